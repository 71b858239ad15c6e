"""From the contracts' logs to the commands of the core."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from offchain.chain.abi import CONTRACTS, EVENTS
from offchain.chain.clearinglogs import CLEARINGHOUSE, ClearingLogs
from offchain.chain.deployment import Deployment
from offchain.chain.node import to_bytes, to_int
from offchain.domain.commands import (
    AssetRegistered,
    BatchSettled,
    CancelApplied,
    CancelRequested,
    ChainLog,
    DelegateSet,
    Deposited,
    EpochBumped,
    EpochBumpRequested,
    FeeScheduled,
    FeesCollected,
    MarketCreated,
    MarketStatusChanged,
    RebateClaimed,
    WithdrawalCanceled,
    WithdrawalNonceUsed,
    WithdrawalRequested,
    WithdrawalSettled,
)
from offchain.domain.derivatives import DerivativeRules
from offchain.domain.market import USDC, Asset, Kind, Market
from offchain.domain.order import Address
from offchain.ports import ChainUnavailable


@dataclass(frozen=True, slots=True)
class RawLog:
    """A log as the node delivers it, in bytes."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    tx_hash: bytes
    log_index: int
    block_number: int
    block_hash: bytes

    @classmethod
    def parse(cls, log: dict[str, Any]) -> RawLog:
        """Raises ChainUnavailable if a field is missing or malformed."""
        try:
            return cls(
                address=to_bytes(log["address"]),
                topics=tuple(to_bytes(topic) for topic in log["topics"]),
                data=to_bytes(log["data"]),
                tx_hash=to_bytes(log["transactionHash"]),
                log_index=to_int(log["logIndex"]),
                block_number=to_int(log["blockNumber"]),
                block_hash=to_bytes(log["blockHash"]),
            )
        except (KeyError, TypeError) as error:
            raise ChainUnavailable(f"malformed log: {error!r}") from error


class Facts(Protocol):
    """What a log does not say."""

    async def decimals(self, asset: int) -> int: ...

    async def gas_used(self, tx_hash: bytes) -> int: ...


class LogDecoder:
    """Decodes the logs of one block."""

    def __init__(self, deployment: Deployment, facts: Facts) -> None:
        self._contracts = {deployment.address(name): name for name in CONTRACTS}
        if deployment.clearinghouse is not None:
            self._contracts[deployment.clearinghouse] = CLEARINGHOUSE
        self._facts = facts

    @property
    def addresses(self) -> list[Address]:
        return list(self._contracts)

    @property
    def topics(self) -> list[bytes]:
        """First topics of the events that matter."""
        return sorted({topic for _, topic in EVENTS})

    async def decode(self, logs: Iterable[RawLog]) -> list[ChainLog]:
        """Commands for the logs of one block, in order.

        The ids of a batch's fills are the `Fill` logs before its `BatchSettled` in the same transaction, and what the
        Clearinghouse logs before it is the batch's; elsewhere a transaction's logs of it become one command. Raises
        ChainUnavailable for a log that is not shaped as its event.
        """
        decoded: list[ChainLog] = []
        fills: defaultdict[bytes, list[bytes]] = defaultdict(list)
        cleared: dict[bytes, ClearingLogs] = {}
        for log in sorted(logs, key=lambda entry: entry.log_index):
            for tx_hash in [known for known in cleared if known != log.tx_hash]:
                decoded.append(cleared.pop(tx_hash).changes(tx_hash))
            contract = self._contracts.get(log.address)
            event = EVENTS.get((contract, log.topics[0])) if contract and log.topics else None
            if event is None:
                continue
            try:
                values = event.decode(log.topics, log.data)
            except ValueError as error:
                raise ChainUnavailable(f"malformed log: {error}") from error
            if event.name == "Fill":
                fills[log.tx_hash].append(values["id"])
            elif event.contract == CLEARINGHOUSE:
                cleared.setdefault(log.tx_hash, ClearingLogs()).add(event.name, values, log.log_index)
            elif event.name == "BatchSettled":
                settled = cleared.pop(log.tx_hash, ClearingLogs())
                decoded.append(
                    BatchSettled(
                        number=values["number"],
                        matched_at=values["matchedAt"],
                        fill_ids=fills.pop(log.tx_hash, []),
                        tx_hash=log.tx_hash,
                        gas_used=await self._facts.gas_used(log.tx_hash),
                        positions=settled.positions,
                        pools=settled.pools,
                    )
                )
            elif values.get("kind") == CXPT_REDEEM:
                continue
            elif event.name == "MarketCreated":
                decoded.append(_market_created(values, await self._facts.decimals(values["params"][_BASE])))
            else:
                decoded.append(_DECODERS[event.contract, event.name](values, log))
        return decoded + [logs.changes(tx_hash) for tx_hash, logs in cleared.items()]


# ---------------------------------------------------------------------------------------------------------------------
# One event each
# ---------------------------------------------------------------------------------------------------------------------

_BASE = 2
"""place of `base` in IMarketRegistry.MarketParams"""

CXPT_REDEEM = 3
"""The kind of withdrawal that takes CXPT from the wallet: no balance of the exchange has to do with it."""


def _address(text: str) -> Address:
    return bytes.fromhex(text.removeprefix("0x"))


def _usdc_deposited(values: dict[str, Any], log: RawLog) -> Deposited:
    return Deposited(_address(values["account"]), USDC, values["assets"], log.tx_hash, log.log_index)


def _synth_deposited(values: dict[str, Any], log: RawLog) -> Deposited:
    return Deposited(_address(values["account"]), values["instrument"], values["amount"], log.tx_hash, log.log_index)


def _fees_collected(values: dict[str, Any], log: RawLog) -> FeesCollected:
    return FeesCollected(_address(values["recipient"]), values["amount"])


def _fee_scheduled(values: dict[str, Any], log: RawLog) -> FeeScheduled:
    return FeeScheduled(values["feeBps"], values["at"])


def _rebate_claimed(values: dict[str, Any], log: RawLog) -> RebateClaimed:
    return RebateClaimed(_address(values["account"]), values["rebate"], log.tx_hash, log.log_index)


def _epoch_bump_requested(values: dict[str, Any], log: RawLog) -> EpochBumpRequested:
    return EpochBumpRequested(_address(values["account"]))


def _epoch_bumped(values: dict[str, Any], log: RawLog) -> EpochBumped:
    return EpochBumped(_address(values["account"]), values["epoch"])


def _cancel_requested(values: dict[str, Any], log: RawLog) -> CancelRequested:
    return CancelRequested(_address(values["account"]), values["instrument"], values["key"], values["sequence"])


def _cancel_applied(values: dict[str, Any], log: RawLog) -> CancelApplied:
    return CancelApplied(_address(values["account"]), values["instrument"], values["key"], values["sequence"])


def _delegate_set(values: dict[str, Any], log: RawLog) -> DelegateSet:
    return DelegateSet(_address(values["account"]), _address(values["delegate"]), values["validUntil"])


def _withdrawal_requested(values: dict[str, Any], log: RawLog) -> WithdrawalRequested:
    return WithdrawalRequested(
        account=_address(values["account"]),
        kind=values["kind"],
        asset=values["instrument"],
        amount=values["amount"],
        requested_at=values["requestedAt"],
        tx_hash=log.tx_hash,
        log_index=log.log_index,
    )


def _withdrawal_canceled(values: dict[str, Any], log: RawLog) -> WithdrawalCanceled:
    return WithdrawalCanceled(
        _address(values["account"]), values["kind"], values["instrument"], log.tx_hash, log.log_index
    )


def _withdrawal_nonce_used(values: dict[str, Any], log: RawLog) -> WithdrawalNonceUsed:
    return WithdrawalNonceUsed(_address(values["account"]), values["nonce"])


def _withdrawal_settled(values: dict[str, Any], log: RawLog) -> WithdrawalSettled:
    return WithdrawalSettled(
        account=_address(values["account"]),
        kind=values["kind"],
        asset=values["instrument"],
        requested=values["requested"],
        paid=values["paid"],
        released=values["released"],
        tx_hash=log.tx_hash,
        log_index=log.log_index,
    )


def _asset_registered(values: dict[str, Any], log: RawLog) -> AssetRegistered:
    return AssetRegistered(
        Asset(
            id=values["id"],
            symbol=values["symbol"],
            synth=_address(values["synth"]),
            underlying=_address(values["underlying"]),
            decimals=values["decimals"],
        )
    )


def _market_created(values: dict[str, Any], decimals: int) -> MarketCreated:
    symbol, kind, base, quote, tick_size, lot_size, max_price, max_quantity, oracle, terms = values["params"]
    return MarketCreated(
        Market(
            id=values["id"],
            symbol=symbol,
            kind=kind,
            instrument=values["instrument"],
            base=base,
            quote=quote,
            decimals=decimals,
            tick_size=tick_size,
            lot_size=lot_size,
            max_price=max_price,
            max_quantity=max_quantity,
            oracle=b"" if int(oracle, 16) == 0 else _address(oracle),
            derivative=None if kind == Kind.SPOT else _derivative_rules(terms, lot_size, 10**decimals),
        )
    )


def _derivative_rules(terms: tuple[Any, ...], lot_size: int, scale: int) -> DerivativeRules:
    """From IMarketRegistry.DerivativeParams; strike and cap become micro-USDC per lot, exactly by the tick rule."""
    expiry, strike, cap, is_put, *margins, funding_cap, funding_period = terms
    initial, maintenance, band, liquidation_fee, exit_penalty = margins
    return DerivativeRules(
        initial_margin_bps=initial,
        maintenance_margin_bps=maintenance,
        band_bps=band,
        liquidation_fee_bps=liquidation_fee,
        exit_penalty_bps=exit_penalty,
        funding_cap=funding_cap,
        expiry=expiry,
        strike_per_lot=strike * lot_size // scale,
        cap_per_lot=cap * lot_size // scale,
        is_put=is_put,
        funding_period=funding_period,
    )


def _status_changed(values: dict[str, Any], log: RawLog) -> MarketStatusChanged:
    return MarketStatusChanged(values["id"], values["status"], values["statusAt"])


_DECODERS: dict[tuple[str, str], Callable[[dict[str, Any], RawLog], ChainLog]] = {
    ("Vault", "Deposited"): _usdc_deposited,
    ("Engine", "Deposited"): _synth_deposited,
    ("Engine", "FeesCollected"): _fees_collected,
    ("Engine", "FeeScheduled"): _fee_scheduled,
    ("Vault", "RebateClaimed"): _rebate_claimed,
    ("Vault", "EpochBumpRequested"): _epoch_bump_requested,
    ("Vault", "EpochBumped"): _epoch_bumped,
    ("OrderControl", "CancelRequested"): _cancel_requested,
    ("OrderControl", "CancelApplied"): _cancel_applied,
    ("OrderControl", "DelegateSet"): _delegate_set,
    ("WithdrawalQueue", "WithdrawalRequested"): _withdrawal_requested,
    ("WithdrawalQueue", "WithdrawalCanceled"): _withdrawal_canceled,
    ("WithdrawalQueue", "NonceUsed"): _withdrawal_nonce_used,
    ("WithdrawalQueue", "WithdrawalSettled"): _withdrawal_settled,
    ("MarketRegistry", "AssetRegistered"): _asset_registered,
    ("MarketRegistry", "StatusChanged"): _status_changed,
}
