"""Reading a file of assets and markets: exact, and every refusal names the field and the reason."""

import copy
import json

import pytest

from scripts._lib.settings import LOCAL_MARKETS, AssetSpec, DeploymentError, Listing

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
    assert listing.assets == (AssetSpec("WBTC", "MockWBTC", 8),)
    [market] = listing.markets
    assert (market.tick_size, market.lot_size, market.max_price, market.max_quantity) == (10**5, 10**3, 10**13, 10**9)
    assert market.word(1, 8) == 1 << 224 | 10**8 << 112 | 10**9 << 72 | 1 << 40 | 1 << 16 | 3 << 8


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
        ("markets.0.base", "WETH", r"markets\[0\].base: 'WETH' is not among the assets"),
        ("markets.0.symbol", "", r"markets\[0\].symbol: must be a non-empty string"),
        ("markets.0.extra", "1", r"markets\[0\].extra: is unknown"),
        ("assets.0.token", "0x12", r"assets\[0\].token: '0x12' is neither an address nor a mock's name"),
        ("assets.0.decimals", "8", r"assets\[0\].decimals: '8' is not an integer from 0 to 24"),
        ("assets.0.decimals", True, r"assets\[0\].decimals: True is not an integer from 0 to 24"),
        ("assets.0.decimals", 25, r"assets\[0\].decimals: 25 is not an integer from 0 to 24"),
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


@pytest.mark.parametrize("table", ["assets", "markets"])
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
