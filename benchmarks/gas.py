"""Gas of settlement and of every user's and operator's action, through the production contracts behind their proxies.

Batches of 1, 10, 100 and as many fills as one transaction can hold (EIP-7825) are settled in the six cases of the
protocol's table, with fees, epochs and the Vault's call. Beside the gas per fill stands the least that the batch can
cost by the EVM's prices (gas_floor.py), and the ratio of the two. `--trace` says what a batch's gas is spent on.

Usage: python benchmarks/gas.py [--json] [--trace] [--quick]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ape
import click
from eth_account import Account
from eth_account.signers.local import LocalAccount

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # also without PYTHONPATH

from benchmarks.gas_floor import floor
from benchmarks.gas_trace import spent
from tests.utils import gas
from tests.utils.batches import BUY, SELL, Batch, Domain, Order, build_batch, nonce
from tests.utils.deployed import Exchange, deploy_exchange
from tests.utils.markets import DERIVATIVE_WORD, unpack
from tests.utils.signing import Trader

CASES: dict[str, tuple[Callable[..., list[gas.Fill]], bool]] = {
    "two fresh orders, two fresh accounts": (gas.fresh_accounts, False),
    "one taker x N fresh makers": (gas.one_taker, False),
    "one maker, N orders x N fresh takers": (gas.one_maker, False),
    "two accounts, 2N orders": (gas.two_accounts, False),
    "two accounts, both sides in arrays of ten": (gas.two_accounts, True),
    "the same two orders, N fills": (gas.same_orders, False),
}
SIZES = (1, 10, 100)
LARGEST_SIGNED = 1_000
"""fills with orders of their own that accounts are prepared for"""
PRICE = 600_000  # micro-USDC per lot of BTC-USDC
PERP_PRICE = 500_000  # the index
ROUND = (1 << 64) + 1
FUNDS = 10**15
USDC, INSTRUMENT = 0, 2
HOUR = 3_600


@dataclass(frozen=True)
class Case:
    case: str
    fills: int
    gas_per_fill: int
    floor: int
    ratio: float


@dataclass(frozen=True)
class Action:
    action: str
    gas: int


class Bench:
    def __init__(self, exchange: Exchange, chain: gas.GasChain, traders: Sequence[LocalAccount]) -> None:
        self.exchange = exchange
        self.chain = chain
        self.traders = traders
        self.domain = Domain(exchange.domain.chain_id, exchange.engine.address)
        self.spot = next(iter(exchange.markets.values()))
        self.number = int(exchange.engine.lastBatch()[0])
        self.sequence = 10

    def order(self, signer: LocalAccount, side: int, **changes: Any) -> Order:
        terms = {"market": self.spot.id, "instrument": self.spot.base, "price": PRICE, "quantity": 100}
        return Order(signer=signer, side=side, **(terms | {"nonce": nonce(0, 1)} | changes))

    def batch(self, fills: Sequence[gas.Fill], arrays: Sequence[Sequence[Order]] = ()) -> Batch:
        return build_batch(self.domain, self.number + 1, self.chain.now, fills, arrays=arrays)

    def make(self, create: Callable[..., list[gas.Fill]], in_arrays: bool, fills: int) -> Batch:
        made = create(self, self.traders, fills, self.sequence)
        return self.batch(made, gas.in_tens(made) if in_arrays else ())

    def settle(self, batch: Batch) -> int | None:
        """The gas used; the batch is undone."""
        with self.chain.undone():
            return self.chain.settle(batch)

    def measure(self, name: str, fills: int) -> Case | None:
        """None if the batch does not fit into a transaction."""
        batch = self.make(*CASES[name], fills)
        used = self.settle(batch)
        if used is None:
            return None
        return Case(name, fills, round(used / fills), round(floor(batch) / fills), round(used / floor(batch), 3))

    def measure_small(self, name: str) -> list[Case]:
        cases = [case for fills in SIZES if (case := self.measure(name, fills))]
        assert len(cases) == len(SIZES), name
        return cases

    def measure_largest(self, name: str, at_ten: Case, at_hundred: Case) -> Case:
        """The largest batch that a transaction can hold, to half a percent."""
        marginal = (100 * at_hundred.gas_per_fill - 10 * at_ten.gas_per_fill) / 90
        fixed = 100 * (at_hundred.gas_per_fill - marginal)
        fills = int((gas.TRANSACTION_GAS_CAP - fixed) / marginal)
        while (case := self.measure(name, fills)) is None:
            fills -= 1 + fills // 200
        return case


def measure_cases(bench: Bench, quick: bool) -> Iterator[Case]:
    for name in CASES:
        small = bench.measure_small(name)
        yield from small
        if not quick:
            yield bench.measure_largest(name, *small[1:])


def measure_fills(bench: Bench, market: int, price: int, name: str) -> Iterator[Action]:
    """Fills of accounts that have traded the market before."""
    terms = {"market": market, "instrument": market, "price": price, "quantity": 100}
    sides = (SELL, BUY)
    with bench.chain.undone():
        for sequence in (1, 2):
            orders = [
                bench.order(trader, sides[i % 2], nonce=nonce(0, sequence), **terms)
                for i, trader in enumerate(bench.traders[:200])
            ]
            used = bench.chain.settle(bench.batch([(*pair, 1) for pair in zip(orders[::2], orders[1::2], strict=True)]))
            assert used is not None, name
            bench.number += 1
        yield Action(f"{name}: a fill between two positions, of 100", used // 100)
        maker, taker = (bench.order(bench.traders[i], sides[i], nonce=nonce(0, 3), **terms) for i in (0, 1))
        used = bench.chain.settle(bench.batch([(maker, taker, 1)] * 100))
        assert used is not None, name
        yield Action(f"{name}: a further fill of the same two orders, of 100", used // 100)
        bench.number -= 2


def measure_actions(exchange: Exchange, bench: Bench) -> Iterator[Action]:
    """Each in a transaction of its own on the chain itself."""
    user = Trader.named("user")
    address = "0x" + user.address.hex()
    spot = bench.spot
    exchange.fund(user, FUNDS, 10**12)

    def spend(name: str, method: Any, *arguments: Any, sender: Any = address, time: int | None = None) -> Action:
        data = bytes(method.encode_input(*arguments))
        receipt = exchange.send(sender, method.contract.address, data, time)
        assert receipt["status"] == "0x1", name
        return Action(name, int(receipt["gasUsed"], 16))

    vault, queue = exchange.vault, exchange.queue
    newcomer = Trader.named("newcomer")
    other = "0x" + newcomer.address.hex()
    exchange.rpc("anvil_setBalance", other, hex(10**20))
    exchange.transact(other, exchange.usdc.mint, other, 10**9)
    exchange.transact(other, exchange.usdc.approve, vault.address, 10**9)
    yield spend("deposit of USDC, the first", vault.deposit, 10**6, other, sender=other)
    yield spend("deposit of USDC, again", vault.deposit, 10**6, other, sender=other)
    yield spend("withdrawal request", vault.withdraw, 10**6, False)
    yield spend(
        "withdrawal settled by the operator's release", queue.release, address, USDC, 0, 10**6, sender=exchange.operator
    )
    yield spend("withdrawal request of a synth", queue.request, INSTRUMENT, spot.base, 10**6)
    now = exchange.chain.pending_timestamp
    yield spend(
        "withdrawal settled after the window", queue.settle, address, INSTRUMENT, spot.base, time=now + HOUR + 1
    )
    yield spend("cancel request", exchange.control.requestCancel, spot.base, 1, 1)
    yield from _measure_derivatives(exchange, spend)


def _measure_derivatives(exchange: Exchange, spend: Callable[..., Action]) -> Iterator[Action]:
    """Funding and expiry; the positions come from a batch on the chain itself."""
    perp, future = (market for market in exchange.markets.values() if market.kind in (1, 2))
    feed = exchange.aggregators[perp.id]
    house, operator = exchange.clearinghouse, exchange.operator
    for time in range(2):
        hour = exchange.chain.pending_timestamp // HOUR + 1
        exchange.send(exchange.owner, feed.address, bytes(feed.push.encode_input(50_000 * 10**8)), hour * HOUR - 60)
        arguments = (perp.id, hour, 10_000, feed.latestRound())
        name = f"funding accrual, {('the first', 'again')[time]}"
        yield spend(name, house.accrueFunding, *arguments, sender=operator, time=hour * HOUR + 60)
    _trade(exchange, future)
    (word,), _ = exchange.registry.derivatives([future.id])
    expiry = unpack(word, DERIVATIVE_WORD)["expiry"]
    for offset in (-60, 60):
        exchange.send(exchange.owner, feed.address, bytes(feed.push.encode_input(50_000 * 10**8)), expiry + offset)
    yield spend("expiry of a market", house.expire, future.id, feed.latestRound() - 1)
    for role in ("buyer", "seller"):
        yield spend(f"expiry, a position ({role})", house.close, "0x" + Trader.named(role).address.hex(), future.id)


def _trade(exchange: Exchange, market: Any) -> None:
    """A fill in a derivative market between two accounts, on the chain itself."""
    sides = []
    for role, side in (("buyer", BUY), ("seller", SELL)):
        trader = Trader.named(role)
        exchange.fund(trader, FUNDS, 10**9)
        signer = Account.from_key(trader.private_key)
        terms = {"market": market.id, "instrument": market.id, "price": PERP_PRICE, "quantity": 10}
        sides.append(Order(signer=signer, side=side, nonce=nonce(0, 1), **terms))
    domain = Domain(exchange.domain.chain_id, exchange.engine.address)
    number, now = exchange.engine.lastBatch()[0] + 1, exchange.chain.blocks.head.timestamp
    batch = build_batch(domain, number, now, [(sides[1], sides[0], 10)])
    receipt = exchange.send(exchange.operator, exchange.engine.address, batch.packed_calldata())
    assert receipt["status"] == "0x1", "the fill of the future"


@contextmanager
def prepared(quick: bool) -> Iterator[tuple[Exchange, Bench]]:
    accounts = ape.accounts.test_accounts
    exchange = deploy_exchange(ape.chain, ape.project, accounts[0], accounts[1], accounts[2], has_derivatives=True)
    pilot = Trader.named("pilot")
    exchange.fund(pilot, FUNDS, 10**12)
    traders = gas.create_traders(200 if quick else LARGEST_SIGNED)
    base = next(iter(exchange.markets.values())).base
    with gas.fork(exchange, base, pilot) as chain:
        chain.enrich(traders)
        for trader in traders[:2]:
            chain.use_keys(trader, 60 if quick else LARGEST_SIGNED)
        bench = Bench(exchange, chain, traders)
        # The first fees make the word of the account that gets them; a regular batch finds it there.
        assert chain.settle(bench.make(gas.same_orders, False, 1)) is not None
        bench.number += 1
        bench.sequence += 1
        yield exchange, bench


@click.command(help=__doc__)
@click.option("--json", "as_json", is_flag=True, help="one JSON object instead of tables")
@click.option("--trace", is_flag=True, help="what a batch of ten fills spends its gas on, by case")
@click.option("--quick", is_flag=True, help="without the largest batches")
def main(as_json: bool, trace: bool, quick: bool) -> None:
    ape.logging.logger.set_level("ERROR")
    with ape.networks.ethereum.local.use_provider("foundry"), prepared(quick) as (exchange, bench):
        if trace:
            for name in CASES:
                batch = bench.make(*CASES[name], 10)
                kinds = spent(bench.chain.url, bench.chain.operator, bench.chain.engine, batch.packed_calldata())
                click.echo(f"\n{name}, gas per fill at ten fills: {sum(kinds.values()) // 10}")
                for kind, used in kinds.items():
                    click.echo(f"  {kind:32}{used // 10:9,}{100 * used / sum(kinds.values()):7.1f} %")
            return
        cases = list(measure_cases(bench, quick))
        actions = []
        for market in exchange.markets.values():
            if market.kind in (1, 3) and market.symbol.startswith("BTC"):
                price = PERP_PRICE if market.kind == 1 else 20_000
                actions += measure_fills(bench, market.id, price, ("", "perpetual", "", "option")[market.kind])
        actions += measure_actions(exchange, bench)
    if as_json:
        click.echo(
            json.dumps({"cases": [asdict(case) for case in cases], "actions": [asdict(each) for each in actions]})
        )
        return
    click.echo(f"{'case':44}{'fills':>7}{'gas/fill':>10}{'floor':>9}{'ratio':>8}")
    for case in cases:
        click.echo(f"{case.case:44}{case.fills:7,}{case.gas_per_fill:10,}{case.floor:9,}{case.ratio:8.2f}")
    click.echo(f"\n{'action':64}{'gas':>10}")
    for action in actions:
        click.echo(f"{action.action:64}{action.gas:10,}")


if __name__ == "__main__":
    main()
