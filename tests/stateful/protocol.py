"""The whole protocol on a chain of its own, for random sequences: what anyone can do, and what is there."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ape.api import AccountAPI
from ape.contracts import ContractInstance
from ape.managers.project import ProjectManager
from eth_account import Account
from eth_account.signers.local import LocalAccount

from offchain.domain.market import Kind, Market
from scripts._lib.anvil import anvil, rpc
from tests.utils.batches import FUND, Batch, Domain, Order
from tests.utils.deployed import Exchange
from tests.utils.markets import DERIVATIVE_WORD, unpack
from tests.utils.signing import Trader

ROLES = ("maker", "taker", "third", "bystander")
"""The bystander has everything and signs nothing."""
GAS = 16_777_216
FUNDING_BITS = 32
WORD = 32
USDC, USDC_AS_CXPT, INSTRUMENT, CXPT_REDEEM = range(4)
TIERS = ((1_000, 2_000), (1_000_000, 5_000))
"""of rebates: CXPT held and basis points of the fees"""
RATE_SCALE = 10**12


@dataclass(frozen=True)
class Position:
    size: int
    quote: int  # after funding


@dataclass
class Ledger:
    """Everything that is somebody's, at one block."""

    shares: dict[str, int] = field(default_factory=dict)
    wallets: dict[str, int] = field(default_factory=dict)  # USDC
    cxpt: dict[str, int] = field(default_factory=dict)  # in wallets
    base: dict[tuple[str, int], int] = field(default_factory=dict)
    positions: dict[tuple[str, int], Position] = field(default_factory=dict)
    pools: dict[int, int] = field(default_factory=dict)
    expired: dict[int, bool] = field(default_factory=dict)
    exits: dict[tuple[str, int], int] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)


@dataclass
class World:
    url: str
    exchange: Exchange
    cxpt: ContractInstance
    synths: dict[int, tuple[ContractInstance, ContractInstance]]  # by instrument: synth and underlying
    people: dict[str, LocalAccount]

    def __post_init__(self) -> None:
        markets = self.exchange.markets.values()
        self.spot = [market for market in markets if market.kind == Kind.SPOT and not market.quote]
        self.crossed = [market for market in markets if market.kind == Kind.SPOT and market.quote]
        self.derivatives = [market for market in markets if market.kind != Kind.SPOT]
        self.domain = Domain(self.exchange.domain.chain_id, self.exchange.engine.address)
        self.traders = [self.people[role].address for role in ROLES]
        words, _ = self.exchange.registry.derivatives([market.id for market in self.derivatives])
        self.terms = {m.id: unpack(word, DERIVATIVE_WORD) for m, word in zip(self.derivatives, words, strict=True)}
        self.guardian = str(self.exchange.engine.guardian())

    # Acting

    def send(self, sender: Any, method: Any, *arguments: Any) -> bool:
        """Whether a transaction succeeds."""
        address = sender if isinstance(sender, str) else sender.address
        return self.send_data(address, method.contract.address, bytes(method.encode_input(*arguments)))

    def send_data(self, sender: str, to: str, data: bytes) -> bool:
        rpc(self.url, "anvil_impersonateAccount", sender)
        transaction = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(GAS)}
        sent = rpc(self.url, "eth_sendTransaction", transaction)
        while (receipt := rpc(self.url, "eth_getTransactionReceipt", sent)) is None:
            pass  # it is mined at once, a moment after the answer
        return int(receipt["status"], 16) == 1

    def settle(self, batch: Batch) -> bool:
        engine = self.exchange.engine.address
        return self.send_data(self.exchange.operator.address, engine, batch.packed_calldata())

    def wait(self, seconds: int) -> None:
        rpc(self.url, "evm_setNextBlockTimestamp", self.now() + seconds)
        rpc(self.url, "evm_mine")

    # Looking

    def now(self) -> int:
        return int(rpc(self.url, "eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def epoch_of(self, account: str) -> int:
        return self.read([(self.exchange.vault.epochOf, (account,))])[0][0]

    def last_batch(self) -> tuple[int, int]:
        number, matched_at = self.read([(self.exchange.engine.lastBatch, ())])[0]
        return number, matched_at

    def read(self, calls: Sequence[tuple[Any, tuple[Any, ...]]]) -> list[list[int]]:
        """The words that each of these calls answers, in one request."""
        requests = [
            {
                "jsonrpc": "2.0",
                "id": index,
                "method": "eth_call",
                "params": [
                    {"to": method.contract.address, "data": "0x" + bytes(method.encode_input(*arguments)).hex()},
                    "latest",
                ],
            }
            for index, (method, arguments) in enumerate(calls)
        ]
        body = json.dumps(requests).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            answers = {answer["id"]: answer for answer in json.load(response)}
        return [_words(answers[index]["result"]) for index in range(len(calls))]

    def ledger(self) -> Ledger:
        """Read everything at the latest block."""
        asked: list[tuple[dict[Any, Any], Any, Any, tuple[Any, ...]]] = []
        ledger = Ledger()
        vault, engine, house = self.exchange.vault, self.exchange.engine, self.exchange.clearinghouse
        holders = [*self.traders, FUND, engine.address, house.address, self.cxpt.address]
        for account in holders:
            asked.append((ledger.shares, account, vault.sharesOf, (account,)))
        for account in (*self.traders, vault.address):
            asked.append((ledger.wallets, account, self.exchange.usdc.balanceOf, (account,)))
        for account in (*self.traders, self.exchange.queue.address):
            asked.append((ledger.cxpt, account, self.cxpt.balanceOf, (account,)))
        for instrument in self.synths:
            for account in self.traders:
                asked.append((ledger.base, (account, instrument), engine.balanceOf, (account, instrument)))
        positions: dict[tuple[str, int], list[int]] = {}
        states: dict[int, list[int]] = {}
        for market in self.derivatives:
            asked.append((states, market.id, house.marketState, (market.id,)))
            for account in (*self.traders, FUND):
                key = (account, market.id)
                asked.append((positions, key, house.positionOf, key))
                asked.append((ledger.exits, key, house.exitRequestedAt, key))
        totals = {
            "totalAssets": vault.totalAssets,
            "usdc": self.exchange.usdc.totalSupply,
            "cxpt": self.cxpt.totalSupply,
        }
        for name, method in totals.items():
            asked.append((ledger.totals, name, method, ()))
        for instrument, (synth, token) in self.synths.items():
            asked.append((ledger.totals, f"supply {instrument}", synth.totalSupply, ()))
            asked.append((ledger.totals, f"backing {instrument}", token.balanceOf, (synth.address,)))
            asked.append((ledger.totals, f"held {instrument}", synth.balanceOf, (engine.address,)))

        for (table, key, _, _), words in zip(asked, self.read([entry[2:] for entry in asked]), strict=True):
            table[key] = words if table is positions or table is states else words[0]
        for market, (funding, _, state, _, pool) in states.items():
            ledger.pools[market], ledger.expired[market] = pool, state != 0
            for account in (*self.traders, FUND):
                size, quote, paid_until = map(_signed, positions[account, market])
                owed = -(-size * (_signed(funding) - paid_until) >> FUNDING_BITS)
                ledger.positions[account, market] = Position(size, quote - owed)
        return ledger

    def index(self, market: Market) -> int:
        """Micro-USDC per lot at the oracle's latest price."""
        feed = self.exchange.aggregators[market.id]
        _, answer, *_ = self.read([(feed.latestRoundData, ())])[0]
        return answer * 10**10 * market.lot_size // 10 ** (market.decimals + 12)

    def rate(self, market: int, round_: int) -> int:
        """Micro-USDC per whole unit of what a cross-quoted market is quoted in."""
        feed = self.exchange.aggregators[market]
        _, answer, *_ = self.read([(feed.getRoundData, (round_,))])[0]
        return answer * 10**10 // RATE_SCALE

    def notional(self, order: Order, lots: int, price: int, rates: Mapping[int, int]) -> int:
        """Micro-USDC."""
        value = lots * price
        return value * rates[order.market] // RATE_SCALE if order.market in rates else value

    def locked_per_lot(self, market: int) -> int:
        """What an option's seller locks for a lot."""
        terms = self.terms[market]
        return terms["strikePerLot"] if terms["isPut"] else terms["capPerLot"] - terms["strikePerLot"]

    def is_below_maintenance(self, position: Position, market: Market, index: int) -> bool:
        margin = self.terms[market.id]["maintenanceMarginBps"]
        return position.size * index + position.quote < -(-abs(position.size) * index * margin // 10_000)


def _words(data: str) -> list[int]:
    raw = bytes.fromhex(data[2:])
    return [int.from_bytes(raw[i : i + WORD], "big") for i in range(0, len(raw), WORD)]


def _signed(word: int) -> int:
    return word - (1 << 256) if word >> 255 else word


@contextmanager
def create_world(exchange: Exchange, project: ProjectManager, sponsor: AccountAPI) -> Iterator[World]:
    """Everybody has a little of everything; the insurance fund too. The chain is a fork, which Ape does not trace."""
    cxpt = exchange.owner.deploy(project.CXPT, exchange.vault.address)
    exchange.vault.setCxpt(cxpt, sender=exchange.owner)
    people = {}
    for role in ROLES:
        trader = Trader.named(role)
        exchange.fund(trader, usdc=10**10, base=10**21)
        people[role] = Account.from_key(trader.private_key)
    exchange.fund_insurance(sponsor, 10**9)
    exchange.vault.setRebateTiers(TIERS, sender=exchange.owner)
    synths = {}
    for instrument in sorted({market.base for market in exchange.markets.values()}):
        asset = exchange.registry.asset(instrument)
        synths[instrument] = tuple(map(exchange.chain.contracts.instance_at, (asset.synth, asset.underlying)))
    provider = exchange.chain.provider
    with anvil(chain_id=provider.chain_id, fork_url=provider.uri) as url:
        yield World(url, exchange, cxpt, synths, people)
