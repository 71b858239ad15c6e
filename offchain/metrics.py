"""What the processes count and measure, for Prometheus.

Each process has one set of metrics with a registry of its own, so that several exchanges in one process, as in tests,
do not meet. The sequencer, projector and settler count once per record, chunk or batch, and what lies on the path of
an order counts with plain numbers (`offchain.tally`): an order must not pay for being counted. Gauges are set when
somebody asks.

`docs/OPERATIONS.md` explains every metric; `ops/` has a dashboard and alerts over them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from offchain.tally import Count, CountFamily, Tally, TallyFamily

CONTENT_TYPE = CONTENT_TYPE_LATEST

# The time at which each series began: nobody asks for it, and it doubles what is sent.
disable_created_metrics()  # type: ignore[no-untyped-call]

_FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""seconds: what happens between a request and its answer"""

_SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""seconds: calls to a node, transactions of the views"""

_SETTLING = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 900.0, 1_800.0)
"""seconds from a match to its place on chain; half a window is 1,800"""

_COMMANDS = (1, 2, 4, 8, 16, 32, 48, 64)
_FILLS = (1, 5, 10, 25, 50, 100, 200, 300, 400, 500, 750)


class Metrics:
    """A set of metrics with its registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.labels: dict[str, tuple[str, ...]] = {}
        """our own metrics by name, with their labels"""
        ProcessCollector(registry=self.registry)

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(self._named(f"{name}_total", labels), text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(self._named(name, labels), text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Iterable[float], *labels: str) -> Histogram:
        return Histogram(self._named(name, labels), text, labels, registry=self.registry, buckets=tuple(buckets))

    def _count(self, name: str, text: str, *labels: str) -> CountFamily:
        """A counter on the path of an order."""
        family = CountFamily(self._named(f"{name}_total", labels), text, labels)
        self.registry.register(family)
        return family

    def _tally(self, name: str, text: str, bounds: Sequence[float], *labels: str) -> TallyFamily:
        """A histogram on the path of an order; a summary if there are no bounds."""
        family = TallyFamily(self._named(name, labels), text, labels, bounds)
        self.registry.register(family)
        return family

    def _named(self, name: str, labels: tuple[str, ...]) -> str:
        self.labels[f"crosspoint_{name}"] = labels
        return f"crosspoint_{name}"


class CoreMetrics(Metrics):
    """The core process: interface, intake, matching, journal, stream."""

    def __init__(self) -> None:
        super().__init__()
        # interface
        self.http_requests = self._count("http_requests", "Answers", "method", "route", "status")
        self.http_seconds = self._tally(
            "http_request_seconds", "From a request's header to its answer", _FAST, "method", "route"
        )
        self.refusals = self._counter("refusals", "Requests that were refused", "code")
        self.rate_limited = self._counter("rate_limited", "Requests and messages beyond a budget", "policy")
        self.limited_keys = self._gauge("rate_limit_keys", "Addresses or accounts with a budget", "policy")
        self.replayed = self._counter("idempotent_replays", "Answers that were given again under an Idempotency-Key")
        self.answers = self._gauge("idempotency_answers", "Answers that are kept under an Idempotency-Key")
        self.sign_ins = self._counter("sign_ins", "Attempts to sign in", "outcome")
        self.sessions = self._gauge("sessions", "Open sessions")
        self.challenges = self._gauge("challenges", "Challenges that wait for their signature")
        self.api_keys = self._gauge("api_keys", "Active API keys")
        self.intake_seconds = self._tally("intake_seconds", "Decoding and verifying a signed request", (), "kind")
        self.order_intake = self.intake_seconds.labels("order")
        self.cancel_intake = self.intake_seconds.labels("cancel")
        self.action_intake = self.intake_seconds.labels("action")
        self.inflight = self._gauge("inflight_requests", "Orders and cancels under way", "kind")
        self.circuit_open = self._gauge("circuit_open", "1 while orders are refused because the core does not answer")
        self.circuit_opened = self._counter("circuit_opened", "Times that the circuit breaker opened")
        self.admin_actions = self._counter("admin_actions", "What administrators asked for", "action", "outcome")
        # matching and journal
        self.queue = self._gauge("queue_depth", "Commands that wait for the core")
        self.queue_limit = self._gauge("queue_limit", "Commands that may wait for the core")
        self.commands = self._count("commands", "Commands that were executed", "command")
        self.events = self._count("events", "Events that were journaled").labels()
        self.fills = self._count("fills", "Fills that were matched").labels()
        self.record_commands = self._tally("record_commands", "Commands per record", _COMMANDS).labels()
        self.match_seconds = self._tally("match_seconds", "Executing the commands of a record", _FAST).labels()
        self.commit_seconds = self._tally("commit_seconds", "Making a record durable", _FAST).labels()
        self.publish_seconds = self._tally("publish_seconds", "Publishing and answering a record", _FAST).labels()
        # stream
        self.sockets = self._gauge("websocket_connections", "Open sockets")
        self.subscriptions = self._gauge("websocket_subscriptions", "Subscriptions", "kind")
        self.socket_messages = self._count("websocket_messages", "Messages queued for sockets", "kind")
        self.sockets_closed = self._counter("websocket_closed", "Sockets that the service closed", "code")
        self.messages_dropped = self._counter(
            "websocket_dropped_messages", "Messages that sockets were closed without having been sent"
        )
        self.resyncs = self._counter("stream_resyncs", "Times that the stream started anew after a gap")
        # state
        self.seq = self._gauge("journal_seq", "Last event executed")
        self.views_lag = self._gauge("views_lag_events", "Events that the views do not show yet")
        self.unsettled = self._gauge("unsettled_fills", "Fills that are not on chain")
        self.releases = self._gauge("pending_releases", "Withdrawals that wait for their release")
        self.settler_lag = self._gauge("settler_lag_seconds", "Age of the oldest fill that is not on chain")
        self.head_age = self._gauge("chain_head_age_seconds", "Time since the newest block was seen")
        self.head = self._gauge("chain_head_block", "Number of the newest block that was seen")
        self.parked = self._gauge("parked_batch", "Number of the parked batch, 0 if there is none")
        self.diverged = self._gauge("chain_diverged", "1 if the chain contradicts the journal")
        self.halted = self._gauge("exchange_halted", "1 while all markets are halted by the operator")
        self.ready = self._gauge("ready", "1 if the service is ready")
        self._http: dict[tuple[str, str, int], tuple[Count, Tally]] = {}

    def answered(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count one HTTP answer; `seconds` is None where nobody waited, as with a socket that opens."""
        found = self._http.get((method, route, status))
        if found is None:
            found = self.http_requests.labels(method, route, status), self.http_seconds.labels(method, route)
            self._http[method, route, status] = found
        requests, duration = found
        requests.inc()
        if seconds is not None:
            duration.observe(seconds)


class WorkerMetrics(Metrics):
    """The worker process: projection, chain, settlement."""

    def __init__(self) -> None:
        super().__init__()
        # views
        self.projected = self._counter("projected_events", "Events that were brought into the views")
        self.projection_seconds = self._histogram("projection_seconds", "One transaction of the views", _SLOW)
        self.snapshots = self._counter("snapshots", "Snapshots that were saved")
        self.snapshot_bytes = self._gauge("snapshot_bytes", "Size of the newest snapshot")
        # chain
        self.blocks = self._counter("indexed_blocks", "Blocks that the core was told of")
        self.rollbacks = self._counter("chain_rollbacks", "Reorganisations that were followed")
        self.node_seconds = self._histogram("node_call_seconds", "Calls to the node", _SLOW, "method")
        self.node_errors = self._counter("node_errors", "Calls that the node did not answer, or refused", "method")
        # settlement
        self.batches_sent = self._counter("batches_sent", "Transactions with a batch that were sent, repeats included")
        self.batch_fills = self._histogram("batch_fills", "Fills per batch", _FILLS)
        self.batches_settled = self._counter("batches_settled", "Batches whose transaction succeeded")
        self.batches_parked = self._counter("batches_parked", "Batches that were parked")
        self.reverted = self._counter("transactions_reverted", "Transactions that were mined and failed")
        self.resent = self._counter("transactions_resent", "Transactions without a receipt that were given up")
        self.waits = self._counter("settlement_waits", "Attempts to settle that met a cause to wait")
        self.settle_seconds = self._histogram(
            "settle_seconds", "From the first match of a batch until its transaction was seen mined", _SETTLING
        )
        self.settled_gas = self._counter("settled_gas", "Gas that mined batches used")
        self.settled_fills = self._counter("settled_fills", "Fills of mined batches")
        self.gas_per_fill = self._gauge("gas_per_fill", "Gas per fill of the last mined batch")
        # transactions for others
        self.actions_pending = self._gauge("actions_pending", "Transactions for others that have not ended")
        self.oldest_action = self._gauge("oldest_action_seconds", "Time since the oldest of them was requested")
        self.actions_sent = self._counter("actions_sent", "Transactions for others that were sent", "kind")
        self.actions_ended = self._counter("actions_ended", "Transactions for others that ended", "kind", "outcome")
        self.actions_gas = self._counter("actions_gas", "Gas that transactions for others used", "kind")

    def mined(self, fills: int, gas_used: int, seconds: float) -> None:
        """A batch is on chain: what it cost, and how long after its first match (seconds)."""
        self.batches_settled.inc()
        self.batch_fills.observe(fills)
        self.settled_fills.inc(fills)
        self.settled_gas.inc(gas_used)
        self.gas_per_fill.set(gas_used / fills)
        self.settle_seconds.observe(seconds)
