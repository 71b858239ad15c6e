"""How much one address, one account and one socket may ask: token buckets, told to clients as the IETF drafts it.

`RateLimit-Policy` and `RateLimit` are those of draft-ietf-httpapi-ratelimit-headers: a policy has a quota `q` for a
window `w` of seconds; `r` is what remains of it and `t` the seconds until it is whole again. Cancels have budgets of
their own: whoever has used up the budget for orders can still get out.

An account's budget is charged after its signature was verified; else anybody could use it up in its name.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import NamedTuple

from aiohttp import web

from offchain.api.state import ApiSettings
from offchain.domain.order import Address

POLICY_HEADER = "RateLimit-Policy"
STATE_HEADER = "RateLimit"

HOUR = 3_600

ALL_ACTIONS = "actions-all"
"""the policy of transactions on chain for all accounts together"""

FORWARDED = "X-Forwarded-For"

_ROUNDING = 1e-6
"""of a request, by which sums of floats may be off"""


class Policy:
    """So many requests per second on average, and as many at once as a window brings."""

    __slots__ = ("header", "name", "per_second", "quota", "window")

    def __init__(self, name: str, per_second: float, window: int) -> None:
        """`per_second` 0: no limit; `window` in seconds."""
        self.name = name
        self.per_second = per_second
        self.window = window
        self.quota = max(1, int(per_second * window))
        self.header = f'"{name}";q={self.quota};w={window}'


class Use(NamedTuple):
    """What one request has left of a budget."""

    policy: Policy
    is_allowed: bool
    remaining: int
    reset: int
    """seconds until the budget is whole again"""
    retry_after: int
    """seconds until the same request would be allowed; 0 if it was"""

    @property
    def header(self) -> str:
        return f'"{self.policy.name}";r={self.remaining};t={self.reset}'


class Buckets:
    """The budgets of one policy, by key. A key that has not come for long is forgotten, and begins anew with all of it.

    One number per key: the time at which its bucket is full again.
    """

    def __init__(self, policy: Policy, max_keys: int) -> None:
        """`policy` has a limit."""
        self.policy = policy
        self._max_keys = max_keys
        self._interval = policy.window / policy.quota
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, now: float, cost: int = 1) -> Use:
        """Take `cost` from the budget of `key` if it has so much; `now` in seconds of a clock that never goes back.

        A cost above the whole quota counts as the whole quota.
        """
        policy, buckets = self.policy, self._full_at
        cost = min(cost, policy.quota)
        before = max(buckets.get(key, now), now)
        after = before + cost * self._interval
        spare = now + policy.window - after
        is_allowed = spare >= -_ROUNDING * self._interval
        if not is_allowed:
            after = before
        buckets[key] = after
        buckets.move_to_end(key)
        if len(buckets) > self._max_keys:
            buckets.popitem(last=False)
        remaining = max(0, int((now + policy.window - after) / self._interval + _ROUNDING))
        return Use(policy, is_allowed, remaining, math.ceil(after - now), 0 if is_allowed else math.ceil(-spare))


class Limits:
    """All budgets of the interface."""

    def __init__(self, settings: ApiSettings) -> None:
        self._hops = settings.proxy_hops
        self._buckets: dict[str, Buckets] = {}
        rates = {
            "address": settings.address_requests_per_second,
            "address-cancels": settings.address_cancels_per_second,
            "sign-ins": settings.address_sign_ins_per_second,
            "orders": settings.account_orders_per_second,
            "cancels": settings.account_cancels_per_second,
        }
        for name, per_second in rates.items():
            if per_second:
                policy = Policy(name, per_second, settings.limit_window_seconds)
                self._buckets[name] = Buckets(policy, settings.limit_keys)
        hourly = {"actions": settings.account_actions_per_hour, ALL_ACTIONS: settings.all_actions_per_hour}
        for name, per_hour in hourly.items():
            if per_hour:
                self._buckets[name] = Buckets(Policy(name, per_hour / HOUR, HOUR), settings.limit_keys)
        self._socket = Policy("messages", settings.socket_messages_per_second, settings.limit_window_seconds)

    def keys(self) -> dict[str, int]:
        """How many keys are remembered, by policy."""
        return {name: len(buckets) for name, buckets in self._buckets.items()}

    def use_address(self, request: web.Request, now: float) -> Use | None:
        """Charge the address that a request comes from; None if there is no limit."""
        buckets = self._buckets.get("address-cancels" if request.method == "DELETE" else "address")
        return buckets.take(self.address_of(request), now) if buckets is not None else None

    def use_sign_in(self, request: web.Request, now: float) -> Use | None:
        """Charge the address that asks for a challenge, a session or an API key; None if there is no limit."""
        buckets = self._buckets.get("sign-ins")
        return buckets.take(self.address_of(request), now) if buckets is not None else None

    def use_account(self, name: str, account: Address, now: float, cost: int = 1) -> Use | None:
        """Charge an account's budget `orders`, `cancels` or `actions`; None if there is no limit."""
        buckets = self._buckets.get(name)
        return buckets.take(account, now, cost) if buckets is not None else None

    def use_all(self, name: str, now: float) -> Use | None:
        """Charge a budget that all accounts share; None if there is no limit."""
        buckets = self._buckets.get(name)
        return buckets.take(None, now) if buckets is not None else None

    def socket(self) -> Buckets | None:
        """The budget of one more socket; None if there is no limit."""
        return Buckets(self._socket, 1) if self._socket.per_second else None

    def address_of(self, request: web.Request) -> str:
        """The client's address: the peer's or, behind proxies, the one that the outermost of them has seen.

        An IPv6 address stands for its /64, which is what one client has at least.
        """
        text = request.remote or ""
        if self._hops:
            entries = [entry for line in request.headers.getall(FORWARDED, ()) for entry in line.split(",")]
            # What stands further left was sent by the client and says what it likes.
            if len(entries) >= self._hops:
                text = entries[-self._hops].strip() or text
        return _network(text) if ":" in text else text[:64]


def headers(uses: Iterable[Use]) -> dict[str, str]:
    """What a client is told of its budgets."""
    uses = list(uses)
    if not uses:
        return {}
    return {
        POLICY_HEADER: ", ".join(use.policy.header for use in uses),
        STATE_HEADER: ", ".join(use.header for use in uses),
    }


def exhausted(use: Use, whose: str) -> str:
    """Why a request is refused, and when it would not be."""
    policy = use.policy
    budget = f"{policy.quota} in {policy.window} seconds ({policy.name})"
    return f"the budget of {whose} is used up: {budget}; nothing was taken, try again in {use.retry_after} s"


def _network(text: str) -> str:
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return text[:64]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
