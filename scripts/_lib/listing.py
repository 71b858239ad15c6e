"""What an exchange lists: assets, oracles and markets, read from a JSON file with decimal strings in whole units.

    {
      "assets":  [{"name": "WBTC", "token": "0x... or MockWBTC", "decimals": 8}],
      "oracles": [{"name": "BTC", "feed": "0x... or MockAggregator", "maxAge": 3600,
                   "minPrice": "1000", "maxPrice": "1000000"}],
      "markets": [{"symbol": "BTC-USDC", "base": "WBTC", "tickSize": "0.1", "lotSize": "0.00001",
                   "maxPrice": "10000000", "maxQuantity": "10000"}]
    }

An oracle is Chainlink's, with "sequencerFeed" and "gracePeriod" on a rollup; a mock feed has an "answer". One with
"pyth", "priceId" and "maxConfidenceBps" in place of "feed" is Pyth's. A market may have "kind" (spot, perp, future,
option), "quote" (an asset; USDC if left out), "oracle", and the terms of its kind, named and bounded as in
IMarketRegistry.DerivativeParams; "expiry" is in Unix seconds or, where mocks are allowed, days from now ("+30d"). A
market whose base is CXPT is listed with governance only.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .fields import (
    DeploymentError,
    check_fields,
    check_unique,
    parse_address,
    parse_count,
    parse_decimal,
    parse_flag,
    parse_text,
)

ROOT = Path(__file__).resolve().parents[2]
LOCAL_MARKETS = ROOT / "scripts" / "_markets" / "local.json"

ZERO_ADDRESS = "0x" + "00" * 20
USDC_DECIMALS = 6
PRICE_DECIMALS = 18
QUOTE_DECIMALS = 12
"""decimals of prices in another quote than USDC"""

CXPT = "CXPT"
CXPT_DECIMALS = 6

KINDS = ("spot", "perp", "future", "option")
SPOT, PERP, FUTURE, OPTION = range(4)

MARGINS = ("initialMarginBps", "maintenanceMarginBps", "bandBps", "liquidationFeeBps", "exitPenaltyBps")
FUNDING = ("fundingCap", "fundingPeriod")
TERMS = {
    SPOT: (),
    PERP: (*MARGINS, *FUNDING),
    FUTURE: ("expiry", *MARGINS),
    OPTION: ("expiry", "strike", "isPut"),
}
"""what a market of each kind must say beside what all say"""

DAY = 86_400
_MOCK = re.compile(r"Mock[A-Za-z0-9]+")
_DAYS_AHEAD = re.compile(r"\+([1-9][0-9]{0,3})d")


@dataclass(frozen=True)
class AssetSpec:
    """A base asset. `token` is the underlying's address, or the name of a mock that is deployed for it."""

    name: str
    token: str
    decimals: int

    @property
    def is_mock(self) -> bool:
        return not self.token.startswith("0x")


@dataclass(frozen=True)
class OracleSpec:
    """An oracle over a Chainlink feed or a Pyth price; prices have 18 decimals, times are seconds."""

    name: str
    source: str
    """the feed's or the Pyth contract's address, or the name of a mock feed"""
    max_age: int
    min_price: int
    max_price: int
    answer: int | None = None
    """what a mock feed answers, with 8 decimals"""
    sequencer_feed: str = ZERO_ADDRESS
    grace_period: int = 0
    price_id: str | None = None
    """Pyth's; None for Chainlink"""
    max_confidence_bps: int = 0

    @property
    def is_mock(self) -> bool:
        return not self.source.startswith("0x")

    @property
    def contract(self) -> str:
        return "ChainlinkOracle" if self.price_id is None else "PythOracle"

    def arguments(self, source: str) -> tuple[Any, ...]:
        """Return the constructor's arguments."""
        bounds = (self.max_age, self.min_price, self.max_price)
        if self.price_id is None:
            return (source, *bounds, self.sequencer_feed, self.grace_period)
        return (source, bytes.fromhex(self.price_id[2:]), *bounds, self.max_confidence_bps)


@dataclass(frozen=True)
class Expiry:
    """When a dated market expires: at a time (Unix seconds), or so many days after it is listed."""

    at: int | None = None
    days_ahead: int | None = None

    @property
    def is_relative(self) -> bool:
        return self.days_ahead is not None

    def resolve(self, now: int) -> int:
        """Return Unix seconds; a relative expiry falls on a whole hour."""
        if self.days_ahead is None:
            return self.at or 0
        return (now + self.days_ahead * DAY) // 3600 * 3600


@dataclass(frozen=True)
class MarketSpec:
    """A market in the registry's units; see IMarketRegistry.MarketParams."""

    symbol: str
    base: str
    tick_size: int
    lot_size: int
    max_price: int
    max_quantity: int
    kind: int = SPOT
    quote: str | None = None
    oracle: str | None = None
    expiry: Expiry = Expiry()
    strike: int = 0
    cap: int = 0
    is_put: bool = False
    margins: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    """basis points, in the order of MARGINS"""
    funding: tuple[int, int] = (0, 0)
    """cap in 1e-8 per hour, period in seconds"""

    @property
    def is_cxpt(self) -> bool:
        return CXPT in (self.base, self.quote)

    def params(self, base_id: int, quote_id: int, oracle: str, expiry: int) -> tuple[Any, ...]:
        """Return IMarketRegistry.MarketParams."""
        sizes = (self.tick_size, self.lot_size, self.max_price, self.max_quantity)
        derivative = (expiry, self.strike, self.cap, self.is_put, *self.margins, *self.funding)
        return (self.symbol, self.kind, base_id, quote_id, *sizes, oracle, derivative)

    def word(self, instrument: int, decimals: int) -> int:
        """Return the market's word (contracts/libraries/MarketWord.sol) without status and its time."""
        mantissa, exponent = self.lot_size, 0
        while mantissa % 10 == 0:
            mantissa, exponent = mantissa // 10, exponent + 1
        word: int = instrument << 224 | self.kind << 216 | self._per_lot(self.max_price, decimals) << 112
        word |= self.max_quantity << 72 | self._per_lot(self.tick_size, decimals) << 40
        return word | mantissa << 16 | exponent << 8 | (self.quote is not None) << 7 | decimals

    def derivative_word(self, decimals: int, expiry: int) -> int:
        """Return the word of contracts/libraries/DerivativeWord.sol; `expiry` is what the market was created with."""
        word = 0
        for shift, value in zip((240, 224, 208, 192, 176), self.margins, strict=True):
            word |= value << shift
        word |= self.funding[0] << 160 | expiry << 120
        return word | self._per_lot(self.strike, decimals) << 64 | self._per_lot(self.cap, decimals) << 8 | self.is_put

    def _per_lot(self, price: int, decimals: int) -> int:
        unit: int = 10**decimals
        return price * self.lot_size // unit


@dataclass(frozen=True)
class Listing:
    """The assets, oracles and markets of a deployment, in the order in which they get their ids."""

    assets: tuple[AssetSpec, ...]
    markets: tuple[MarketSpec, ...]
    oracles: tuple[OracleSpec, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Listing:
        """Read a file like `scripts/_markets/local.json`.

        Raises:
            DeploymentError: naming the file, the field and what is wrong with it.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DeploymentError(f"{path}: {error}") from error
        try:
            return cls._parse(data)
        except DeploymentError as error:
            raise DeploymentError(f"{path}: {error}") from None

    @classmethod
    def _parse(cls, data: Any) -> Listing:
        check_fields("file", data, {"assets", "markets"}, {"oracles"})
        for table in data:
            if not isinstance(data[table], list):
                raise DeploymentError(f"{table}: must be an array")
        assets = tuple(_asset(f"assets[{i}]", entry) for i, entry in enumerate(data["assets"]))
        oracles = tuple(_oracle(f"oracles[{i}]", entry) for i, entry in enumerate(data.get("oracles", [])))
        decimals = {asset.name: asset.decimals for asset in assets} | {CXPT: CXPT_DECIMALS}
        names = {oracle.name for oracle in oracles}
        markets = tuple(_market(f"markets[{i}]", entry, decimals, names) for i, entry in enumerate(data["markets"]))
        check_unique("assets", [asset.name for asset in assets])
        check_unique("oracles", [oracle.name for oracle in oracles])
        check_unique("markets", [market.symbol for market in markets])
        return cls(assets, markets, oracles)

    def without_cxpt(self) -> Listing:
        """Return the listing of an exchange that has no CXPT."""
        return Listing(self.assets, tuple(market for market in self.markets if not market.is_cxpt), self.oracles)

    def market(self, symbol: str) -> MarketSpec:
        """Return the market with this symbol.

        Raises:
            DeploymentError: if it is not listed.
        """
        for market in self.markets:
            if market.symbol == symbol:
                return market
        listed = ", ".join(market.symbol for market in self.markets)
        raise DeploymentError(f"markets: {symbol} is not among {listed}")

    def decimals(self, asset: str) -> int:
        """Return the quantity decimals of an asset, CXPT included."""
        return {spec.name: spec.decimals for spec in self.assets}.get(asset, CXPT_DECIMALS)

    @property
    def needs_mocks(self) -> list[str]:
        """What can only be listed where mocks are allowed."""
        names = [f"asset {asset.name}" for asset in self.assets if asset.is_mock]
        names += [f"oracle {oracle.name}" for oracle in self.oracles if oracle.is_mock]
        return names + [f"expiry of {market.symbol}" for market in self.markets if market.expiry.is_relative]


# -- entries of the file ---------------------------------------------------------------------------------------------


def _source(where: str, value: Any) -> str:
    """An address, or the name of a mock."""
    text = parse_text(where, value)
    if text.startswith("0x") and len(text) == 42:
        return parse_address(where, text)
    if not _MOCK.fullmatch(text):
        raise DeploymentError(f"{where}: {text!r} is neither an address nor a mock's name")
    return text


def _asset(where: str, entry: Any) -> AssetSpec:
    check_fields(where, entry, {"name", "token", "decimals"})
    name = parse_text(f"{where}.name", entry["name"])
    if name == CXPT:
        raise DeploymentError(f"{where}.name: {CXPT} is an asset by itself")
    decimals = parse_count(f"{where}.decimals", entry["decimals"], 0, 24)
    return AssetSpec(name, _source(f"{where}.token", entry["token"]), decimals)


def _oracle(where: str, entry: Any) -> OracleSpec:
    common = {"name", "maxAge", "minPrice", "maxPrice"}
    is_pyth = isinstance(entry, dict) and "pyth" in entry
    if is_pyth:
        check_fields(where, entry, common | {"pyth", "priceId", "maxConfidenceBps"})
    else:
        check_fields(where, entry, common | {"feed"}, {"answer", "sequencerFeed", "gracePeriod"})
    bounds = (
        parse_count(f"{where}.maxAge", entry["maxAge"], 1, 7 * DAY),
        parse_decimal(f"{where}.minPrice", entry["minPrice"], PRICE_DECIMALS),
        parse_decimal(f"{where}.maxPrice", entry["maxPrice"], PRICE_DECIMALS),
    )
    name = parse_text(f"{where}.name", entry["name"])
    if is_pyth:
        price_id = parse_text(f"{where}.priceId", entry["priceId"])
        if not re.fullmatch(r"0x[0-9a-fA-F]{64}", price_id):
            raise DeploymentError(f"{where}.priceId: {price_id!r} is not 32 bytes in hex")
        confidence = parse_count(f"{where}.maxConfidenceBps", entry["maxConfidenceBps"], 1, 1_000)
        source = parse_address(f"{where}.pyth", entry["pyth"])
        return OracleSpec(name, source, *bounds, price_id=price_id, max_confidence_bps=confidence)
    feed = _source(f"{where}.feed", entry["feed"])
    if feed.startswith("0x") == ("answer" in entry):
        raise DeploymentError(f"{where}.answer: a mock feed has one, a real one has none")
    answer = parse_decimal(f"{where}.answer", entry["answer"], 8) if "answer" in entry else None
    if ("sequencerFeed" in entry) != ("gracePeriod" in entry):
        raise DeploymentError(f"{where}.gracePeriod: goes with sequencerFeed, and it with it")
    sequencer = parse_address(f"{where}.sequencerFeed", entry["sequencerFeed"]) if "sequencerFeed" in entry else None
    grace = parse_count(f"{where}.gracePeriod", entry.get("gracePeriod", 0), 0, DAY)
    return OracleSpec(name, feed, *bounds, answer=answer, sequencer_feed=sequencer or ZERO_ADDRESS, grace_period=grace)


def _market(where: str, entry: Any, decimals_of: dict[str, int], oracles: set[str]) -> MarketSpec:
    kind = _kind(where, entry)
    quote = entry.get("quote")
    needs_oracle = kind != SPOT or quote is not None
    required = {"symbol", "base", "tickSize", "lotSize", "maxPrice", "maxQuantity", *TERMS[kind]}
    optional = {"kind", "quote"} if kind == SPOT else {"kind"}
    is_call = kind == OPTION and entry.get("isPut") is False
    required |= ({"oracle"} if needs_oracle else set()) | ({"cap"} if is_call else set())
    check_fields(where, entry, required, optional)
    for field in ("base", "quote"):
        if field in entry and entry[field] not in decimals_of:
            raise DeploymentError(f"{where}.{field}: {entry[field]!r} is not among the assets")
    if needs_oracle and entry["oracle"] not in oracles:
        raise DeploymentError(f"{where}.oracle: {entry['oracle']!r} is not among the oracles")

    decimals = decimals_of[entry["base"]]
    price_decimals = USDC_DECIMALS if quote is None else QUOTE_DECIMALS
    lot_size = parse_decimal(f"{where}.lotSize", entry["lotSize"], decimals)
    max_quanta = parse_decimal(f"{where}.maxQuantity", entry["maxQuantity"], decimals)
    if max_quanta % lot_size:
        raise DeploymentError(f"{where}.maxQuantity: is not a multiple of lotSize")
    margins = tuple(_count(where, entry, name) for name in MARGINS)
    funding = tuple(_count(where, entry, name) for name in FUNDING)
    return MarketSpec(
        symbol=parse_text(f"{where}.symbol", entry["symbol"]),
        base=entry["base"],
        tick_size=parse_decimal(f"{where}.tickSize", entry["tickSize"], price_decimals),
        lot_size=lot_size,
        max_price=parse_decimal(f"{where}.maxPrice", entry["maxPrice"], price_decimals),
        max_quantity=max_quanta // lot_size,
        kind=kind,
        quote=quote,
        oracle=entry.get("oracle"),
        expiry=_expiry(f"{where}.expiry", entry["expiry"]) if "expiry" in entry else Expiry(),
        strike=parse_decimal(f"{where}.strike", entry["strike"], USDC_DECIMALS) if "strike" in entry else 0,
        cap=parse_decimal(f"{where}.cap", entry["cap"], USDC_DECIMALS) if "cap" in entry else 0,
        is_put=parse_flag(f"{where}.isPut", entry["isPut"]) if "isPut" in entry else False,
        margins=margins,  # type: ignore[arg-type]
        funding=funding,  # type: ignore[arg-type]
    )


def _kind(where: str, entry: Any) -> int:
    if not isinstance(entry, dict):
        raise DeploymentError(f"{where}: must be an object")
    name = entry.get("kind", KINDS[SPOT])
    if name not in KINDS:
        raise DeploymentError(f"{where}.kind: {name!r} is none of {', '.join(KINDS)}")
    return KINDS.index(name)


def _count(where: str, entry: dict[str, Any], name: str) -> int:
    return parse_count(f"{where}.{name}", entry.get(name, 0), 0, 2**32 - 1)


def _expiry(where: str, value: Any) -> Expiry:
    if isinstance(value, str):
        found = _DAYS_AHEAD.fullmatch(value)
        if not found:
            raise DeploymentError(f'{where}: {value!r} is neither Unix seconds nor days ahead like "+30d"')
        return Expiry(days_ahead=int(found[1]))
    return Expiry(at=parse_count(where, value, 1, 2**40 - 1))
