"""Everything that changes the state of the exchange, with all its inputs.

Commands are journaled as they are, so every field is plain data. Times named `_ms` are Unix milliseconds, others Unix
seconds; amounts are quanta of their asset (micro-USDC for asset 0).
"""

from __future__ import annotations

from offchain.domain.actions import OPERATOR
from offchain.domain.commands.base import Base
from offchain.domain.commands.chain import (
    AssetRegistered,
    BatchSettled,
    CancelApplied,
    CancelRequested,
    ChainBlock,
    ChainLog,
    ChainRollback,
    ClearedPosition,
    ClearingChanged,
    ClearingPayment,
    DelegateSet,
    Deposited,
    EpochBumped,
    EpochBumpRequested,
    FeeScheduled,
    FeesCollected,
    FundingAccrual,
    MarketCreated,
    MarketStatusChanged,
    Price,
    RebateClaimed,
    WithdrawalCanceled,
    WithdrawalNonceUsed,
    WithdrawalRequested,
    WithdrawalSettled,
)
from offchain.domain.commands.operation import AdminAction, Administer, Configure, SetStatus, Tick
from offchain.domain.commands.relay import ActionEnded, ActionSent, RequestAction
from offchain.domain.commands.settlement import BatchClosed, BatchParked, BatchRetry, BatchSent, Bust
from offchain.domain.commands.traders import (
    CancelOrder,
    CancelOrders,
    ConnectionLost,
    CreateApiKey,
    PlaceArray,
    PlaceOrder,
    RevokeApiKey,
    SetDeadline,
    WatchConnection,
)

__all__ = [
    "ActionEnded",
    "ActionSent",
    "AdminAction",
    "Administer",
    "AssetRegistered",
    "Base",
    "BatchClosed",
    "BatchParked",
    "BatchRetry",
    "BatchSent",
    "BatchSettled",
    "Bust",
    "CancelApplied",
    "CancelOrder",
    "CancelOrders",
    "CancelRequested",
    "ChainBlock",
    "ChainLog",
    "ChainRollback",
    "ClearedPosition",
    "ClearingChanged",
    "ClearingPayment",
    "Command",
    "Configure",
    "ConnectionLost",
    "CreateApiKey",
    "DelegateSet",
    "Deposited",
    "EpochBumpRequested",
    "EpochBumped",
    "FeeScheduled",
    "FeesCollected",
    "FundingAccrual",
    "MarketCreated",
    "MarketStatusChanged",
    "PlaceArray",
    "PlaceOrder",
    "Price",
    "RebateClaimed",
    "RequestAction",
    "RevokeApiKey",
    "SetDeadline",
    "SetStatus",
    "Tick",
    "WatchConnection",
    "WithdrawalCanceled",
    "WithdrawalNonceUsed",
    "WithdrawalRequested",
    "WithdrawalSettled",
    "is_bare",
]

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


def is_bare(command: Command) -> bool:
    """Whether it is an administrator's action without its entry in the audit log: older journals have such."""
    if isinstance(command, RequestAction):
        return command.account == OPERATOR
    return isinstance(command, SetStatus | BatchRetry | Bust)
