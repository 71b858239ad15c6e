"""Everything that changes the state of the exchange, with all its inputs.

Commands are journaled as they are, so every field is plain data. Times named `_ms` are Unix milliseconds, others Unix
seconds; amounts are quanta of their asset (micro-USDC for asset 0).
"""

from __future__ import annotations

import msgspec

from offchain.domain.actions import OPERATOR, Action, ActionStatus
from offchain.domain.admin import Actor, ChangeSettings, Denied, HaltAll, LimitQuantity, SetLeverage
from offchain.domain.market import Asset, Market
from offchain.domain.order import Address, Order, OrderHash, SelfTrade, Trigger


class Base(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Common settings of commands and chain logs: frozen data has no cycles to collect."""


# ---------------------------------------------------------------------------------------------------------------------
# Traders
# ---------------------------------------------------------------------------------------------------------------------


class PlaceOrder(Base, frozen=True, array_like=True, tag="placeOrder"):
    """A signed order whose signature and form intake has verified."""

    order: Order
    order_hash: OrderHash
    signature: bytes
    """64 bytes, EIP-2098"""
    received_ms: int
    order_type: str = "limit"
    """"limit" or "market"; a market order is an IOC with its worst price signed"""
    post_only: bool = False
    self_trade: SelfTrade = SelfTrade.EXPIRE_MAKER
    client_order_id: str | None = None
    expect_filled: int | None = None
    """lots that the order replaced by this one may have filled"""
    delegate: Address | None = None
    """who signed for the account; None if it did itself"""
    replaces: OrderHash | None = None
    """the open order that this one must replace; None: whichever its nonce key has, or none"""
    trigger: Trigger | None = None
    """what it waits for; None: nothing"""


class PlaceArray(Base, frozen=True, array_like=True, tag="placeArray"):
    """Two to ten orders of one account under one signature (EIP-712 `OrderArray`), as intake has verified them.

    Each is decided on by itself, in the order of the array.
    """

    orders: list[PlaceOrder]
    """all carry the signature of the array"""


class CancelOrder(Base, frozen=True, array_like=True, tag="cancelOrder"):
    """A signed cancel: EIP-712 `Cancel(address account,bytes32 orderHash)`."""

    account: Address
    order_hash: OrderHash
    signature: bytes
    received_ms: int
    delegate: Address | None = None
    """who signed for the account; None if it did itself"""


class CancelOrders(Base, frozen=True, array_like=True, tag="cancelOrders"):
    """Cancel the oldest open orders of an account that fit, at most `ending.MAX_CANCELED` at a time."""

    account: Address
    received_ms: int
    market: int | None = None
    """None: of all markets"""
    side: int | None = None
    """None: of both"""


class SetDeadline(Base, frozen=True, array_like=True, tag="setDeadline"):
    """A dead man's switch: unless it is set again before, all orders of the account are canceled at `at_ms`."""

    account: Address
    at_ms: int
    """0: take it back"""


class WatchConnection(Base, frozen=True, array_like=True, tag="watchConnection"):
    """Cancel all orders of the account when this connection is lost, or do so no more."""

    account: Address
    connection: bytes
    """16 random bytes that name it"""
    watched: bool


class ConnectionLost(Base, frozen=True, array_like=True, tag="connectionLost"):
    """A watched connection is gone."""

    connection: bytes


class CreateApiKey(Base, frozen=True, array_like=True, tag="createApiKey"):
    """A key by which programs read, and cancel, without a signature; the account has signed in to ask for it."""

    account: Address
    id: str
    """unique among the account's keys, made of the request's Idempotency-Key"""
    secret_hash: bytes
    """SHA-256 of the secret, which has 256 random bits"""
    label: str
    scopes: list[str]
    expiry: int
    """Unix seconds; the key is dead from then on. 0: it has no end"""


class RevokeApiKey(Base, frozen=True, array_like=True, tag="revokeApiKey"):
    account: Address
    id: str


# ---------------------------------------------------------------------------------------------------------------------
# Transactions that the service sends for others
# ---------------------------------------------------------------------------------------------------------------------


class RequestAction(Base, frozen=True, array_like=True, tag="requestAction"):
    """Send a transaction for `account`. Intake has verified the signature of what a trader has signed."""

    id: bytes
    """32 bytes; of what a trader has signed: its EIP-712 digest"""
    account: Address
    """`actions.OPERATOR` for what administrators ask for"""
    action: Action
    requested_ms: int


class ActionSent(Base, frozen=True, array_like=True, tag="actionSent"):
    """The worker has made this transaction of the action, and is about to give it to the node.

    Journaled before, so that a worker that starts again knows of every transaction that may be mined.
    """

    id: bytes
    tx_hash: bytes


class ActionEnded(Base, frozen=True, array_like=True, tag="actionEnded"):
    """What became of an action."""

    id: bytes
    status: ActionStatus
    """settled, failed, refused or needsOwner"""
    reason: str = ""
    tx_hash: bytes = b""
    """the transaction that was mined"""
    target: Address = b""
    """needsOwner: the contract that is to be called"""
    data: bytes = b""
    """needsOwner: with what"""


# ---------------------------------------------------------------------------------------------------------------------
# Chain
# ---------------------------------------------------------------------------------------------------------------------


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
    positions: list[ClearedPosition] = []
    pools: list[tuple[int, int]] = []
    """(market, micro-USDC) from now on"""
    funding: list[FundingAccrual] = []
    expired: list[tuple[int, int]] = []
    """(market, what a lot is settled at)"""
    payments: list[ClearingPayment] = []
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


# ---------------------------------------------------------------------------------------------------------------------
# Settlement
# ---------------------------------------------------------------------------------------------------------------------


class BatchClosed(Base, frozen=True, array_like=True, tag="batchClosed"):
    """The settler fixed the next batch: items `first..last`, which starts at the oldest unsettled item.

    Journaled before anything is sent, so that a restarted settler sends the same bytes. The same number again, while
    nothing of it is on chain, replaces it (after a retry or a bust).
    """

    number: int
    first: int
    last: int
    matched_at: int


class BatchSent(Base, frozen=True, array_like=True, tag="batchSent"):
    number: int
    tx_hash: bytes


class BatchParked(Base, frozen=True, array_like=True, tag="batchParked"):
    """The batch reverts and no global cause explains it: settlement stops before it and the market halts."""

    number: int
    reason: str
    """the contract's error, e.g. "StaleNonce(3)" """
    item: int | None
    """the item at fault, where the error or bisection names one"""


class BatchRetry(Base, frozen=True, array_like=True, tag="batchRetry"):
    """The operator lets the settler try a parked batch again; its market resumes when the batch is mined."""

    number: int


class Bust(Base, frozen=True, array_like=True, tag="bust"):
    """Drop fills that cannot settle, and every later unsettled one that depends on them."""

    fill_ids: list[bytes]
    reason: str


# ---------------------------------------------------------------------------------------------------------------------
# Operator and time
# ---------------------------------------------------------------------------------------------------------------------


class Configure(Base, frozen=True, array_like=True, tag="configure"):
    """The first command of a journal: what execution depends on and the chain does not say."""

    chain_id: int
    engine: Address
    fee_bps: int
    confirmations: int
    """blocks, counting its own, after which a block's credits count; at least 1"""
    window: int = 3600
    """settlement window in seconds"""
    max_head_age_ms: int = 0
    """age of the newest seen block beyond which only cancels and post-only orders are taken; 0: not checked"""
    max_open_orders: int = 10_000
    """open orders per account"""
    price_band_bps: int = 0
    """how far beyond the best price that others offer an order may reach, basis points; 0: not checked"""


class SetStatus(Base, frozen=True, array_like=True, tag="setStatus"):
    """Halt or resume a market off chain."""

    market: int
    halted: bool
    reason: str


AdminAction = (
    SetStatus | HaltAll | ChangeSettings | LimitQuantity | SetLeverage | BatchRetry | Bust | RequestAction | Denied
)


class Administer(Base, frozen=True, array_like=True, tag="administer"):
    """An administrator acts. The action and its entry in the audit log are one command: there is no one without the
    other."""

    actor: Actor
    action: AdminAction
    key: str = ""
    """Idempotency-Key, by which the same request of the actor is done once; "": it has none"""


def is_bare(command: Command) -> bool:
    """Whether it is an administrator's action without its entry in the audit log: older journals have such."""
    if isinstance(command, RequestAction):
        return command.account == OPERATOR
    return isinstance(command, SetStatus | BatchRetry | Bust)


class Tick(Base, frozen=True, array_like=True, tag="tick"):
    """Time passes: orders past their expiry end."""


Command = (
    PlaceOrder
    | PlaceArray
    | CancelOrder
    | RequestAction
    | ActionSent
    | ActionEnded
    | CancelOrders
    | SetDeadline
    | WatchConnection
    | ConnectionLost
    | ChainBlock
    | ChainRollback
    | Price
    | BatchClosed
    | BatchSent
    | BatchParked
    | BatchRetry
    | Bust
    | Configure
    | SetStatus
    | Administer
    | Tick
    | CreateApiKey
    | RevokeApiKey
)
