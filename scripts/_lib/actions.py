"""The actions of `ape run manage`, one function each; see scripts/manage.py for what they are for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from .addresses import CREATE2_DEPLOYER, SALT, create2_address
from .desk import Desk
from .fields import DeploymentError, parse_address
from .listing import CXPT, SPOT, ZERO_ADDRESS, Listing, MarketSpec
from .proposals import earliest_execution, is_governed, owner_does, propose
from .rounds import ACROSS, HELD, find_round

HOUR = 3_600
STATUSES = ("none", "active", "paused", "closed")
ACTIVE, PAUSED, CLOSED = 1, 2, 3

RATE_DECIMALS = 6
"""A funding rate of 1 % per hour is 10^6 in the contracts."""

MARGIN = 600
"""Seconds by which a fee change proposed today is later than necessary, for the transactions in between."""


# -- markets ---------------------------------------------------------------------------------------------------------


def set_status(desk: Desk, symbol: str, status: int) -> None:
    """Pause, resume or close a market. Its guardian may pause at once; the rest is the owner's."""
    market = desk.market(symbol)
    call = desk.call("MarketRegistry", "setStatus", market, status)
    if status == PAUSED and str(desk.at("MarketRegistry").guardian()) == desk.sender:
        desk.do(call)
    else:
        owner_does(desk, f"Set {symbol} (market {market}) to {STATUSES[status]}", call)


def register_asset(desk: Desk, listing: Listing, name: str) -> None:
    """Deploy the synth over a listed token, if nobody has, and register it."""
    token = next((asset.token for asset in listing.assets if asset.name == name), None)
    if token is None:
        raise DeploymentError(f"assets: {name} is not in the listing")
    token = parse_address(f"assets.{name}.token", token)
    init_code = desk.node.init_code("SynthERC20", token)
    synth = create2_address(init_code)
    if not desk.node.code(synth):
        desk.send(f"SynthERC20 over {token} at {synth}", CREATE2_DEPLOYER, SALT + init_code)
        if not desk.sends:
            return
    owner_does(desk, f"Register {name}", desk.call("MarketRegistry", "registerAsset", synth))


def deploy_oracle(desk: Desk, listing: Listing, name: str) -> None:
    """Deploy a listed oracle over a real feed."""
    spec = next((oracle for oracle in listing.oracles if oracle.name == name), None)
    if spec is None:
        raise DeploymentError(f"oracles: {name} is not in the listing")
    if spec.is_mock:
        raise DeploymentError(f"oracles.{name}: a mock feed is deployed by `ape run deploy` only")
    desk.deploy(f"Oracle{name}", spec.contract, *spec.arguments(spec.source))


def list_market(desk: Desk, listing: Listing, symbol: str, oracle: str | None) -> None:
    """Create a listed market over registered assets."""
    market = listing.market(symbol)
    base, quote = (_asset_id(desk, listing, name) if name else 0 for name in (market.base, market.quote))
    expiry = market.expiry.resolve(desk.node.time())
    params = market.params(base, quote, _oracle_of(desk, market, oracle), expiry)
    owner_does(desk, f"List {symbol}", desk.call("MarketRegistry", "createMarket", params))


def _asset_id(desk: Desk, listing: Listing, name: str) -> int:
    if name == CXPT:
        synth = desk.address(CXPT)
    else:
        token = next(asset.token for asset in listing.assets if asset.name == name)
        if not token.startswith("0x"):
            if not desk.has(name):
                raise DeploymentError(f"{name}: a mock token is deployed by `ape run deploy` only")
            token = desk.address(name)
        synth = create2_address(desk.node.init_code("SynthERC20", token))
    asset = int(desk.at("MarketRegistry").assetId(synth))
    if asset == 0:
        raise DeploymentError(f"{name}: is not registered; `ape run manage register-asset {name}` first")
    return asset


def _oracle_of(desk: Desk, market: MarketSpec, given: str | None) -> str:
    if market.oracle is None:
        if given is not None:
            raise DeploymentError(f"oracle: {market.symbol} has none")
        return ZERO_ADDRESS
    if given is not None:
        return parse_address("oracle", given)
    if not desk.has(f"Oracle{market.oracle}"):
        raise DeploymentError(f"oracle: {market.oracle} was not deployed with the exchange; pass --oracle ADDRESS")
    return desk.address(f"Oracle{market.oracle}")


# -- the Engine ------------------------------------------------------------------------------------------------------


def halt(desk: Desk) -> None:
    desk.do(desk.call("Engine", "halt"))


def end_halt(desk: Desk) -> None:
    desk.do(desk.call("Engine", "endHalt"))


def schedule_fee(desk: Desk, fee_bps: int, at: int) -> None:
    """Change the fee at a time, which must leave a window; with governance, a vote and the timelock before it."""
    window = int(desk.at("Engine").WINDOW())
    is_proposed = is_governed(desk, "Engine")
    earliest = (earliest_execution(desk) + MARGIN if is_proposed else desk.node.time()) + window
    if at < earliest:
        needs = "a vote, the timelock and the settlement window" if is_proposed else "the settlement window"
        raise DeploymentError(f"at: {at} leaves no time for {needs}; {earliest} is the earliest")
    owner_does(desk, f"Fee of {fee_bps} bps from {at}", desk.call("Engine", "scheduleFee", fee_bps, at))


def set_operator(desk: Desk, account: str) -> None:
    owner_does(desk, f"Operator {account}", desk.call("Engine", "setOperator", parse_address("operator", account)))


def set_guardian(desk: Desk, account: str) -> None:
    """Name the guardian of Engine and registry. (The timelock's canceller is another role: see `propose`.)"""
    guardian = parse_address("guardian", account)
    calls = [desk.call(name, "setGuardian", guardian) for name in ("Engine", "MarketRegistry")]
    owner_does(desk, f"Guardian {guardian}", *calls)


def collect_fees(desk: Desk, recipient: str) -> None:
    call = desk.call("Engine", "collectFees", parse_address("recipient", recipient))
    owner_does(desk, f"Collect fees for {recipient}", call)


# -- derivatives -----------------------------------------------------------------------------------------------------


def accrue_funding(desk: Desk, symbol: str, rate: int, hour: int | None, round_id: int | None) -> None:
    """Charge funding of an hour, by default the one that has just begun."""
    market = desk.market(symbol)
    hour = desk.node.time() // HOUR if hour is None else hour
    round_id = find_round(desk, market, hour * HOUR, HELD) if round_id is None else round_id
    desk.do(desk.call("Clearinghouse", "accrueFunding", market, hour, rate, round_id))


def expire(desk: Desk, symbol: str, round_id: int | None, is_abandoned: bool) -> None:
    """Fix the settlement price of a dated market; of any, if the operator is gone."""
    market = desk.market(symbol)
    if is_abandoned:
        desk.do(desk.call("Clearinghouse", "expireAbandoned", market))
        return
    expiry = int(desk.at("MarketRegistry").market(market)[0][-1][0])
    if not expiry:
        raise DeploymentError(f"{symbol}: is no dated market; it ends only by --abandoned")
    if desk.node.time() < expiry:
        raise DeploymentError(f"{symbol}: expires at {expiry}, it is {desk.node.time()}")
    round_id = find_round(desk, market, expiry, ACROSS) if round_id is None else round_id
    desk.do(desk.call("Clearinghouse", "expire", market, round_id))


def close_positions(desk: Desk, symbol: str, accounts: Sequence[str]) -> None:
    """Settle positions of an expired market; all open ones, if no account is named."""
    market = desk.market(symbol)
    named = [parse_address("account", account) for account in accounts] or list(_holders(desk, market))
    if not named:
        desk.echo(f"{symbol}: no position is open")
        return
    desk.do(*(desk.call("Clearinghouse", "close", account, market) for account in named))


def _holders(desk: Desk, market: int) -> Iterator[str]:
    """Yield everybody who has a position in the market, in the order in which they came."""
    clearinghouse = desk.at("Clearinghouse")
    topics = [None, market.to_bytes(32, "big")]
    seen = dict.fromkeys(str(event["account"]) for event in desk.events("Clearinghouse", "PositionChanged", topics))
    for account in seen:
        size, quote, _ = clearinghouse.positionOf(account, market)
        if size or quote:
            yield account


# -- anything --------------------------------------------------------------------------------------------------------


def propose_call(desk: Desk, description: str, contract: str, method: str, arguments: Sequence[str]) -> None:
    """Propose any call; each argument is JSON, or text as it is."""
    propose(desk, description, desk.call(contract, method, *map(_argument, arguments)))


def _argument(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def show_status(desk: Desk) -> None:
    """Show roles, fee, halt and markets."""
    engine, registry = desk.at("Engine"), desk.at("MarketRegistry")
    now = desk.node.time()
    for name in ("MarketRegistry", "Vault", "Engine", "Clearinghouse"):
        owner = str(desk.at(name).owner())
        is_timelock = desk.has("Timelock") and owner == desk.address("Timelock")
        desk.echo(f"{name:<16} owner {owner}{' (timelock)' if is_timelock else ''}")
    desk.echo(f"{'operator':<16} {engine.operator()}")
    desk.echo(f"{'guardian':<16} {engine.guardian()}, of the registry {registry.guardian()}")
    current, following, at = engine.feeSchedule()
    change = f", {following} bps from {at}" if at > now else ""
    desk.echo(f"{'fee':<16} {engine.feeBps() if not change else current} bps{change}")
    _, until = engine.lastHalt()
    desk.echo(f"{'halted':<16} {f'until {until}' if until > now else 'no'}")
    number, matched_at = engine.lastBatch()
    desk.echo(f"{'last batch':<16} {number or 'none'}{f', matched at {matched_at}' if number else ''}")
    for market in range(1, int(registry.lastId()) + 1):
        params, status, since = registry.market(market)
        if status:
            kind = "" if params[1] == SPOT else f", expires {params[-1][0]}" if params[-1][0] else ", perpetual"
            desk.echo(f"{params[0]:<16} market {market}, {STATUSES[status]} since {since}{kind}")
