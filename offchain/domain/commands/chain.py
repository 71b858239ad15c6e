"""What happened on chain, block by block, and what oracles say."""

from __future__ import annotations

import msgspec

from offchain.domain.commands.base import Base
from offchain.domain.market import Asset, Market
from offchain.domain.order import Address


class AssetRegistered(Base, frozen=True, array_like=True, tag="assetRegistered"):
    asset: Asset


class MarketCreated(Base, frozen=True, array_like=True, tag="marketCreated"):
    market: Market


class MarketStatusChanged(Base, frozen=True, array_like=True, tag="marketStatusChanged"):
    market: int
    status: int
    at: int


class Deposited(Base, frozen=True, array_like=True, tag="deposited"):
    """USDC in the Vault (asset 0) or a synth in the Engine arrived for `account`."""

    account: Address
    asset: int
    amount: int
    tx_hash: bytes
    log_index: int


class WithdrawalRequested(Base, frozen=True, array_like=True, tag="withdrawalRequested"):
    """A request in the queue; it replaces an earlier one of the same account and asset."""

    account: Address
    kind: int
    """as in `IWithdrawalQueue.Kind`: 0 USDC, 1 USDC as CXPT, 2 instrument"""
    asset: int
    amount: int
    requested_at: int
    """window clock, seconds"""
    tx_hash: bytes
    log_index: int


class WithdrawalCanceled(Base, frozen=True, array_like=True, tag="withdrawalCanceled"):
    account: Address
    kind: int
    asset: int
    tx_hash: bytes
    log_index: int


class WithdrawalNonceUsed(Base, frozen=True, array_like=True, tag="withdrawalNonceUsed"):
    """The account's next signed withdrawal request carries `nonce` + 1."""

    account: Address
    nonce: int


class WithdrawalSettled(Base, frozen=True, array_like=True, tag="withdrawalSettled"):
    account: Address
    kind: int
    asset: int
    requested: int
    paid: int
    released: bool
    tx_hash: bytes
    log_index: int


class FeesCollected(Base, frozen=True, array_like=True, tag="feesCollected"):
    """The owner moved collected fees to `recipient`'s Vault account."""

    recipient: Address
    amount: int


class FeeScheduled(Base, frozen=True, array_like=True, tag="feeScheduled"):
    """Batches that are matched at `at` or later pay `fee_bps`. It replaces a change that has not begun."""

    fee_bps: int
    at: int


class RebateClaimed(Base, frozen=True, array_like=True, tag="rebateClaimed"):
    """`amount` of the collected fees went to the account that had paid them."""

    account: Address
    amount: int
    tx_hash: bytes
    log_index: int


class CancelRequested(Base, frozen=True, array_like=True, tag="cancelRequested"):
    """One window later, no sequence up to `sequence` of the nonce key can settle any more."""

    account: Address
    instrument: int
    key: int
    sequence: int


class CancelApplied(Base, frozen=True, array_like=True, tag="cancelApplied"):
    """No sequence up to `sequence` of the nonce key can settle any more."""

    account: Address
    instrument: int
    key: int
    sequence: int


class EpochBumpRequested(Base, frozen=True, array_like=True, tag="epochBumpRequested"):
    """One window later, anyone may end the account's epoch, and with it all orders that sign it."""

    account: Address


class EpochBumped(Base, frozen=True, array_like=True, tag="epochBumped"):
    """Only orders that sign `epoch` can settle from now on."""

    account: Address
    epoch: int


class DelegateSet(Base, frozen=True, array_like=True, tag="delegateSet"):
    """`delegate` signs for the account until `valid_until`, inclusive."""

    account: Address
    delegate: Address
    valid_until: int


class ClearedPosition(Base, frozen=True, array_like=True):
    """A position as the Clearinghouse stores it from now on."""

    account: Address
    market: int
    size: int
    quote: int
    funding: int


class ClearingPayment(Base, frozen=True, array_like=True):
    """What an account was paid for a position besides fills: an exit, a deleveraging, a close after expiry."""

    account: Address
    market: int
    amount: int
    log_index: int


class FundingAccrual(Base, frozen=True, array_like=True):
    """An hour's funding of a perpetual, as the Clearinghouse has accrued it."""

    market: int
    hour: int
    """Unix time / 3600"""
    funding: int
    """the funding index from now on"""
    rate: int = 0
    """1e-8 per hour"""
    index: int = 0
    """of the market at the full hour, micro-USDC per lot"""


class ClearingChanged(Base, frozen=True, array_like=True, tag="clearingChanged"):
    """What one transaction did in the Clearinghouse besides settling a batch."""

    tx_hash: bytes
    positions: list[ClearedPosition] = msgspec.field(default_factory=list)
    pools: list[tuple[int, int]] = msgspec.field(default_factory=list)
    """(market, micro-USDC) from now on"""
    funding: list[FundingAccrual] = msgspec.field(default_factory=list)
    expired: list[tuple[int, int]] = msgspec.field(default_factory=list)
    """(market, what a lot is settled at)"""
    payments: list[ClearingPayment] = msgspec.field(default_factory=list)
    fund: int = 0
    """what the insurance fund's Vault account received, micro-USDC; negative: paid"""


class BatchSettled(Base, frozen=True, array_like=True, tag="batchSettled"):
    """A batch was mined; `fill_ids` in match order."""

    number: int
    matched_at: int
    fill_ids: list[bytes]
    tx_hash: bytes
    gas_used: int
    positions: list[ClearedPosition] | None = None
    """those that it changed; None: not known"""
    pools: list[tuple[int, int]] | None = None
    """(market, micro-USDC) where it changed; None: not known"""


ChainLog = (
    AssetRegistered
    | MarketCreated
    | MarketStatusChanged
    | Deposited
    | WithdrawalRequested
    | WithdrawalCanceled
    | WithdrawalNonceUsed
    | WithdrawalSettled
    | FeesCollected
    | FeeScheduled
    | RebateClaimed
    | CancelRequested
    | CancelApplied
    | EpochBumpRequested
    | EpochBumped
    | DelegateSet
    | ClearingChanged
    | BatchSettled
)


class ChainBlock(Base, frozen=True, array_like=True, tag="chainBlock"):
    """The next block that the indexer saw: a child of the last one or, as blocks without logs may be skipped, later."""

    number: int
    block_hash: bytes
    parent_hash: bytes
    time: int
    logs: list[ChainLog]


class ChainRollback(Base, frozen=True, array_like=True, tag="chainRollback"):
    """Blocks after `number` are no longer canonical. A rollback may not reach behind confirmed blocks."""

    number: int
    block_hash: bytes


class Price(Base, frozen=True, array_like=True, tag="price"):
    """An oracle's newest round.

    It comes with every new round, and again while there is none: a price counts only for a while after it was seen.
    """

    oracle: Address
    round: int
    price: int
    """USD per whole unit, 18 decimals"""
    updated_at: int
    valid_until: int
    """last second at which the oracle takes the round for fresh"""
