"""API keys of the account, for programs that read without its private key."""

from __future__ import annotations

import click
import msgspec

from offchain.api.schemas import auth
from offchain.cli.context import Context
from offchain.client import Client

DAY_SECONDS = 86_400


@click.group()
def keys() -> None:
    """API keys, by which programs read, or cancel, without the private key."""


@keys.command()
@click.argument("label")
@click.option("--cancel", is_flag=True, help="good for canceling as well")
@click.option("--days", type=click.IntRange(1), help="until it ends; without it, it is good until it is revoked")
@click.pass_obj
def create(context: Context, label: str, cancel: bool, days: int | None) -> None:
    """Make an API key called LABEL and show its secret, this once."""
    scopes = ["read", "cancel"] if cancel else ["read"]

    async def make(client: Client) -> auth.CreatedApiKey:
        # By the exchange's clock, so that a wrong one here does no harm.
        expiry = None if days is None else await client.server_time() // 1_000 + days * DAY_SECONDS
        return await client.create_key(label, scopes, expiry)

    made = context.run(make)
    if context.as_json:
        click.echo(msgspec.json.encode(made).decode())
        return
    click.echo(f"id      {made.key.id}\nsecret  {made.secret}")


@keys.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500))
@click.pass_obj
def list_keys(context: Context, limit: int) -> None:
    """API keys, newest first, also those that have ended."""
    found = context.run(lambda client: client.keys(limit=limit))
    context.show(found, "id", "label", "scopes", "expiry", "createdAt", "status")


@keys.command()
@click.argument("key_id", metavar="ID")
@click.pass_obj
def revoke(context: Context, key_id: str) -> None:
    """End an API key at once."""
    context.show([context.run(lambda client: client.revoke_key(key_id))], "id", "status")
