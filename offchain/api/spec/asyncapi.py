"""The AsyncAPI 3.0 document (https://www.asyncapi.com/docs/reference/specification/v3.0.0) of the stream.

One socket carries everything: `control` are the operations and their answers, the other channels are what one
subscribes to by name; every message of theirs names its channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, get_args

import msgspec

from offchain.api.closing import CloseCode
from offchain.api.schemas import admin, control, stream
from offchain.api.spec.fields import ADDRESS
from offchain.api.spec.schemas import components


@dataclass(frozen=True)
class Channel:
    address: str
    description: str
    sent: tuple[type[msgspec.Struct], ...]
    received: tuple[type[msgspec.Struct], ...] = ()
    parameters: tuple[str, ...] = ()


CHANNELS: dict[str, Channel] = {
    "control": Channel(
        "/v1/ws",
        "What a client asks for, and the answers. A refusal closes nothing.",
        (
            control.SignedIn,
            control.AdminSignedIn,
            control.Subscribed,
            control.Placed,
            control.PlacedArray,
            control.Canceled,
            control.CanceledMany,
            control.CancelAfterSet,
            control.CancelOnDisconnectSet,
            control.Pong,
            control.StreamError,
        ),
        (
            control.SignIn,
            control.Subscribe,
            control.Unsubscribe,
            control.Place,
            control.PlaceArray,
            control.Replace,
            control.Cancel,
            control.CancelAll,
            control.CancelAfterOperation,
            control.CancelOnDisconnect,
            control.Ping,
        ),
    ),
    "depth": Channel(
        "market.{symbol}.depth",
        "The book: a snapshot, then its changes, each with a checksum of the best ten levels after it. With `after`, "
        "what followed that message is sent again, and `resumed`; a snapshot with `resync` if it is not kept any more.",
        get_args(stream.DepthMessage),
        parameters=("symbol",),
    ),
    "trades": Channel(
        "market.{symbol}.trade", "Trades as they happen.", get_args(stream.TradesMessage), parameters=("symbol",)
    ),
    "markPrice": Channel(
        "market.{symbol}.markPrice",
        "Mark and index: the newest, then each that differs, at most one a second.",
        (stream.MarkPriceMessage,),
        parameters=("symbol",),
    ),
    "fundingRate": Channel(
        "market.{symbol}.fundingRate",
        "What the present hour of a perpetual makes so far, and what was accrued last: the newest, then each that "
        "differs.",
        (stream.FundingRateMessage,),
        parameters=("symbol",),
    ),
    "trader": Channel(
        "trader.{address}",
        "Everything that concerns the account that has signed in on the socket. Nothing is left out, also over a "
        "reconnection with `after`.",
        get_args(stream.TraderMessage),
        parameters=("address",),
    ),
    "admin": Channel(
        "admin.{scope}",
        "Whether markets trade, and their limits, as they change; for who has signed in as an administrator.",
        get_args(admin.AdminMessage),
        parameters=("scope",),
    ),
}

_PARAMETERS = {
    "symbol": {"description": "of a market, such as `BTC-USDC`"},
    "scope": {"description": "`*`, or the symbol of a market"},
    "address": {"description": f"of an account: `{ADDRESS['pattern']}`"},
}


@cache
def asyncapi() -> dict[str, Any]:
    types = list(dict.fromkeys(each for channel in CHANNELS.values() for each in (*channel.sent, *channel.received)))
    _, schemas = components(types)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Crosspoint stream",
            "version": version("crosspoint"),
            "description": "`seq` is the exchange's event sequence, `prevSeq` that of the message before on the "
            "channel. A message applies if `prevSeq <= have < seq`, where `have` is the `seq` of the last one applied. "
            "The service closes a socket with "
            + ", ".join(f"{code.value} ({code.reason})" for code in CloseCode)
            + ".",
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(channel) for name, channel in CHANNELS.items()},
        "operations": dict(_operations()),
        "components": {
            "messages": {each.__name__: {"payload": _reference("schemas", each)} for each in types},
            "schemas": schemas,
        },
    }


def _reference(kind: str, type_: type[msgspec.Struct]) -> dict[str, Any]:
    return {"$ref": f"#/components/{kind}/{type_.__name__}"}


def _channel(channel: Channel) -> dict[str, Any]:
    described: dict[str, Any] = {
        "address": channel.address,
        "description": channel.description,
        "messages": {each.__name__: _reference("messages", each) for each in (*channel.sent, *channel.received)},
    }
    if channel.parameters:
        described["parameters"] = {name: _PARAMETERS[name] for name in channel.parameters}
    return described


def _operations() -> list[tuple[str, dict[str, Any]]]:
    """As the specification has it, from the service's side: it sends what clients receive."""
    operations = []
    for name, channel in CHANNELS.items():
        for action, messages in (("send", channel.sent), ("receive", channel.received)):
            if messages:
                described = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{name}"},
                    "messages": [{"$ref": f"#/channels/{name}/messages/{each.__name__}"} for each in messages],
                }
                operations.append((f"{action}{name[0].upper()}{name[1:]}", described))
    return operations
