"""Reading a file of assets and markets: exact, and every refusal names the field and the reason."""

import copy
import json

import pytest

from scripts._lib.fields import DeploymentError
from scripts._lib.listing import LOCAL_MARKETS, AssetSpec, Expiry, Listing, OracleSpec

VALID = json.loads(LOCAL_MARKETS.read_text())


@pytest.fixture
def load(tmp_path):
    def run(content):
        path = tmp_path / "listing.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return Listing.load(path)

    return run


def test_local_listing_is_exact():
    listing = Listing.load(LOCAL_MARKETS)
    assert listing.assets == (AssetSpec("WBTC", "MockWBTC", 8), AssetSpec("WETH", "MockWETH", 18))
    bounds = (1_000 * 10**18, 10_000_000 * 10**18)
    assert listing.oracles == (OracleSpec("BTC", "MockAggregator", 604_800, *bounds, answer=64_000 * 10**8),)
    market = listing.market("BTC-USDC")
    assert (market.tick_size, market.lot_size, market.max_price, market.max_quantity) == (10**5, 10**3, 10**13, 10**9)
    assert market.word(1, 8) == 1 << 224 | 10**8 << 112 | 10**9 << 72 | 1 << 40 | 1 << 16 | 3 << 8 | 8


def test_cross_quoted_prices_have_12_decimals():
    market = Listing.load(LOCAL_MARKETS).market("ETH-BTC")
    assert (market.quote, market.oracle, market.tick_size, market.max_price) == ("WBTC", "BTC", 10**7, 10**13)
    assert market.word(2, 18) & 0xFF == 1 << 7 | 18


def test_derivative_terms_are_exact():
    listing = Listing.load(LOCAL_MARKETS)
    perp, option = listing.market("BTC-PERP"), listing.market("BTC-30D-70000-C")
    assert (perp.kind, perp.margins, perp.funding) == (1, (1_000, 500, 250, 100, 100), (50_000, 28_800))
    words = 1_000 << 240 | 500 << 224 | 250 << 208 | 100 << 192 | 100 << 176 | 50_000 << 160
    assert perp.derivative_word(8, 0) == words
    assert (option.strike, option.cap, option.is_put) == (70_000 * 10**6, 140_000 * 10**6, False)
    assert option.derivative_word(8, 77) == 77 << 120 | 70_000_000 << 64 | 140_000_000 << 8
    assert option.expiry == Expiry(days_ahead=30)


def test_days_ahead_fall_on_a_whole_hour():
    assert Expiry(days_ahead=2).resolve(1_000_000_000) == (1_000_000_000 + 2 * 86_400) // 3600 * 3600
    assert Expiry(at=1_000_000_001).resolve(5) == 1_000_000_001
    assert Expiry().resolve(5) == 0


def test_real_feeds_and_pyth_are_read(load):
    address = "0x" + "ab" * 20
    data = copy.deepcopy(VALID)
    bounds = {"maxAge": 3_600, "minPrice": "0.5", "maxPrice": "2"}
    data["oracles"] += [
        {"name": "FEED", "feed": address, "sequencerFeed": address, "gracePeriod": 600, **bounds},
        {"name": "PYTH", "pyth": address, "priceId": "0x" + "cd" * 32, "maxConfidenceBps": 50, **bounds},
    ]
    _, feed, pyth = load(data).oracles
    checksummed = feed.source
    assert (checksummed.lower(), feed.contract, pyth.contract) == (address, "ChainlinkOracle", "PythOracle")
    numbers = (3_600, 5 * 10**17, 2 * 10**18)
    assert feed.arguments(feed.source) == (checksummed, *numbers, checksummed, 600)
    assert pyth.arguments(pyth.source) == (checksummed, b"\xcd" * 32, *numbers, 50)


def test_what_needs_mocks_is_named():
    assert Listing.load(LOCAL_MARKETS).needs_mocks == [
        "asset WBTC",
        "asset WETH",
        "oracle BTC",
        "expiry of BTC-30D",
        "expiry of BTC-30D-70000-C",
    ]


def test_market_that_is_not_listed_is_named():
    with pytest.raises(DeploymentError, match="DOGE-USDC is not among BTC-USDC, ETH-USDC"):
        Listing.load(LOCAL_MARKETS).market("DOGE-USDC")


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("markets.0.tickSize", 0.1, r"markets\[0\].tickSize: 0.1 is not a decimal string"),
        ("markets.0.tickSize", "1e-1", r"markets\[0\].tickSize: '1e-1' is not a decimal string"),
        ("markets.0.tickSize", "-0.1", r"markets\[0\].tickSize: '-0.1' is not a decimal string"),
        ("markets.0.tickSize", "0.0", r"markets\[0\].tickSize: must be above 0"),
        ("markets.0.tickSize", "0.0000001", r"markets\[0\].tickSize: 0.0000001 has more than 6 decimals"),
        ("markets.0.lotSize", "0.000000001", r"markets\[0\].lotSize: 0.000000001 has more than 8 decimals"),
        ("markets.0.maxQuantity", "0.000015", r"markets\[0\].maxQuantity: is not a multiple of lotSize"),
        ("markets.0.base", "DOGE", r"markets\[0\].base: 'DOGE' is not among the assets"),
        ("markets.0.symbol", "", r"markets\[0\].symbol: must be a non-empty string"),
        ("markets.0.extra", "1", r"markets\[0\].extra: is unknown"),
        ("assets.0.token", "0x12", r"assets\[0\].token: '0x12' is neither an address nor a mock's name"),
        ("assets.0.decimals", "8", r"assets\[0\].decimals: '8' is not an integer from 0 to 24"),
        ("assets.0.decimals", True, r"assets\[0\].decimals: True is not an integer from 0 to 24"),
        ("assets.0.decimals", 25, r"assets\[0\].decimals: 25 is not an integer from 0 to 24"),
        ("assets.0.name", "CXPT", r"assets\[0\].name: CXPT is an asset by itself"),
        ("markets.0.kind", "swap", r"markets\[0\].kind: 'swap' is none of spot, perp, future, option"),
        ("markets.0.oracle", "BTC", r"markets\[0\].oracle: is unknown"),
        ("markets.0.expiry", 5, r"markets\[0\].expiry: is unknown"),
        ("markets.0.bandBps", 5, r"markets\[0\].bandBps: is unknown"),
        ("markets.0.quote", "DOGE", r"markets\[0\].oracle: is missing"),
        ("markets.2.quote", "DOGE", r"markets\[2\].quote: 'DOGE' is not among the assets"),
        ("markets.2.oracle", "DOGE", r"markets\[2\].oracle: 'DOGE' is not among the oracles"),
        ("markets.2.tickSize", "0.0000000000001", r"markets\[2\].tickSize: .* has more than 12 decimals"),
        ("markets.3.quote", "WETH", r"markets\[3\].quote: is unknown"),
        ("markets.3.expiry", 5, r"markets\[3\].expiry: is unknown"),
        ("markets.3.bandBps", "250", r"markets\[3\].bandBps: '250' is not an integer"),
        ("markets.3.bandBps", -1, r"markets\[3\].bandBps: -1 is not an integer"),
        ("markets.4.expiry", "30d", r"markets\[4\].expiry: '30d' is neither Unix seconds nor days ahead"),
        ("markets.4.expiry", 2**40, r"markets\[4\].expiry: .* is not an integer from 1 to"),
        ("markets.4.fundingCap", 5, r"markets\[4\].fundingCap: is unknown"),
        ("markets.5.isPut", 0, r"markets\[5\].cap: is unknown"),
        ("markets.5.isPut", True, r"markets\[5\].cap: is unknown"),
        ("markets.5.strike", 70000, r"markets\[5\].strike: 70000 is not a decimal string"),
        ("markets.5.bandBps", 5, r"markets\[5\].bandBps: is unknown"),
        ("oracles.0.feed", "0x12", r"oracles\[0\].feed: '0x12' is neither an address nor a mock's name"),
        ("oracles.0.feed", "0x" + "ab" * 20, r"oracles\[0\].answer: a mock feed has one, a real one has none"),
        ("oracles.0.maxAge", 0, r"oracles\[0\].maxAge: 0 is not an integer from 1 to 604800"),
        ("oracles.0.minPrice", 1000, r"oracles\[0\].minPrice: 1000 is not a decimal string"),
        ("oracles.0.gracePeriod", 60, r"oracles\[0\].gracePeriod: goes with sequencerFeed"),
        ("oracles.0.priceId", "0x12", r"oracles\[0\].priceId: is unknown"),
        ("oracles.0.pyth", "0x" + "ab" * 20, r"oracles\[0\].maxConfidenceBps: is missing"),
        ("oracles", {}, "oracles: must be an array"),
    ],
)
def test_names_field_and_reason(load, path, value, reason):
    data = copy.deepcopy(VALID)
    target = data
    *parents, last = path.split(".")
    for key in parents:
        target = target[int(key) if key.isdigit() else key]
    target[last] = value
    with pytest.raises(DeploymentError, match=reason):
        load(data)


def test_missing_fields_are_named(load):
    data = copy.deepcopy(VALID)
    del data["markets"][0]["maxPrice"]
    with pytest.raises(DeploymentError, match=r"markets\[0\].maxPrice: is missing"):
        load(data)


@pytest.mark.parametrize("table", ["assets", "oracles", "markets"])
def test_names_are_unique(load, table):
    data = copy.deepcopy(VALID)
    data[table] = data[table] * 2
    with pytest.raises(DeploymentError, match=f"{table}: .* is listed twice"):
        load(data)


@pytest.mark.parametrize("content", ["", "[]", '{"assets": []}', '{"assets": [1], "markets": []}'])
def test_other_files_are_refused(load, content):
    with pytest.raises(DeploymentError, match=r"listing\.json"):
        load(content)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DeploymentError, match=r"nowhere\.json"):
        Listing.load(tmp_path / "nowhere.json")
