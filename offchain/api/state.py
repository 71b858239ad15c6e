"""What the API needs from the rest of the service."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from offchain.api.admin.settings import AdminSettings
from offchain.domain.core import Core
from offchain.metrics import CoreMetrics
from offchain.ports import Clock, Feed, Ingress, Views

T = TypeVar("T")


class Live(Protocol):
    """The core's state of this moment. The sequencer of the same process implements it."""

    async def read(self, fn: Callable[[Core], T]) -> T:
        """Run `fn` between two commands and return what it returned, once everything that it saw is durable.

        Raises Unavailable.
        """
        ...

    @property
    def queued(self) -> int:
        """Commands that wait to be taken."""
        ...

    def tail(self) -> int:
        """Sequence number of the last event executed; inside `read` it belongs to the state that `fn` sees."""
        ...


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Bounds of the interface; times in milliseconds unless named otherwise."""

    max_body_bytes: int = 16_384
    """largest request body"""
    max_batch: int = 50
    """orders in one batch"""
    max_batch_bytes: int = 131_072
    """largest body of a batch"""
    body_timeout_ms: int = 5_000
    """time for a request body to arrive"""
    submit_timeout_ms: int = 5_000
    """time for the core to answer a command"""
    read_own_writes_ms: int = 500
    """longest wait of a query for the views to include what was executed when it arrived"""
    max_inflight: int = 4_096
    """orders under way at one time, and as many cancels"""
    default_page: int = 50
    max_page: int = 500
    depth_levels: int = 1_000
    """price levels per side that are published"""
    deepest_book: int = 10_000
    """price levels per side that one may ask for"""
    depth_flush_ms: int = 25
    """time over which changes of a book are collected into one message"""
    depth_ring: int = 1_024
    """depth messages per market that are kept for those who come back"""
    depth_ring_bytes: int = 524_288
    """and their size"""
    price_flush_ms: int = 1_000
    """time over which changes of marks and rates of funding are collected into one message"""
    max_sockets: int = 1_000
    max_sockets_per_address: int = 0
    """sockets of one address; 0: as many as there are"""
    max_subscriptions: int = 64
    """channels per socket"""
    max_message_bytes: int = 8_192
    """largest WebSocket message from a client"""
    max_pending: int = 256
    """orders and cancels of one socket that may wait for their answers"""
    send_queue: int = 2_000
    """messages that may wait for one socket; a socket that needs more is closed"""
    heartbeat_seconds: float = 20.0
    breaker_failures: int = 0
    """commands in a row that the core did not answer, after which orders are refused at once; 0: never"""
    breaker_seconds: float = 2.0
    """time until one order is let through again; doubled while that fails"""
    idempotency_seconds: float = 86_400.0
    """how long the answer under an Idempotency-Key is kept"""
    idempotency_answers: int = 65_536
    """answers that are kept altogether"""
    idempotency_answers_per_account: int = 1_024
    public_url: str = ""
    """under which clients know the service, without path; "": the address at which a request arrives"""
    session_seconds: int = 86_400
    """how long one stays signed in"""
    challenge_seconds: int = 300
    """time to sign a challenge"""
    max_challenges: int = 65_536
    """challenges that wait for their signature"""
    max_challenges_per_address: int = 32
    max_sessions: int = 65_536
    """open sessions; beyond, those that end first are closed, here and below"""
    max_sessions_per_account: int = 32
    limit_window_seconds: int = 10
    """over which a budget is counted: an unused budget of so many seconds may be spent at once"""
    limit_keys: int = 65_536
    """addresses, and accounts, whose budgets are remembered per policy"""
    address_requests_per_second: float = 0
    """requests of one address, except cancels; here and below 0: no limit"""
    address_cancels_per_second: float = 0
    address_sign_ins_per_second: float = 0
    """challenges and sign-ins of one address, which count as requests besides"""
    account_orders_per_second: float = 0
    account_cancels_per_second: float = 0
    account_actions_per_hour: float = 0
    """transactions on chain that one account may ask for"""
    all_actions_per_hour: float = 0
    """transactions on chain that all accounts together may ask for"""
    socket_messages_per_second: float = 0
    """messages from one socket; every channel of a subscription counts as one"""
    proxy_hops: int = 0
    """reverse proxies before the service, of which each adds the address that it sees to X-Forwarded-For"""
    ready_timeout_ms: int = 2_000
    """time for journal and views to answer, beyond which the service calls itself not ready"""
    ready_backlog_events: int = 50_000
    """events by which the views may lag before the service calls itself not ready"""
    ready_item_age_ms: int = 1_800_000
    """age of the oldest unsettled item beyond which the service calls itself not ready"""
    ready_head_age_ms: int = 900_000
    """age of the newest block seen beyond which the service calls itself not ready; 0: not checked"""
    ready_oracle_age_ms: int = 120_000
    """time since any oracle was looked at beyond which the service calls itself not ready; 0: not checked"""


@dataclass(frozen=True, slots=True)
class Health:
    """What the rest of the service says about its readiness; the API adds what it sees itself."""

    reasons: tuple[str, ...] = ()
    """why no traffic should come, one sentence each, such as a worker that is not connected"""


@dataclass(frozen=True, slots=True)
class ApiState:
    """The doors that the API uses; `offchain.app` fills it."""

    ingress: Ingress
    live: Live
    views: Views
    feed: Feed
    clock: Clock
    health: Callable[[], Awaitable[Health]]
    is_open: Callable[[], bool]
    """whether orders are taken: not before the chain's news since the last run are known, such as withdrawals"""
    settings: ApiSettings = field(default_factory=ApiSettings)
    metrics: CoreMetrics = field(default_factory=CoreMetrics)
    monotonic: Callable[[], float] = time.monotonic
    """seconds of a clock that never goes back, by which budgets fill"""
    admin: AdminSettings | None = None
    """whose tokens are administrators'; None: there is no administration over this interface"""
