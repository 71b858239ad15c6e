"""The Clearinghouse becomes its second version: positions, pools and money stay, and a field is new."""

import pytest

from tests.functional.clearinghouse.conftest import RICHES, empty_house, house, maker, rescuer, taker
from tests.utils.contracts import contract_at

__all__ = ["empty_house", "house", "maker", "rescuer", "taker"]


@pytest.fixture
def upgrade(project, house, owner):
    """Upgrade to the second version and return the Clearinghouse as it."""

    def run():
        implementation = owner.deploy(project.ClearinghouseV2, house.engine, house.vault, house.registry)
        house.clearing.upgradeToAndCall(implementation, b"", sender=owner)
        return contract_at(project.ClearinghouseV2, house.clearing.address)

    return run


@pytest.fixture(autouse=True)
def position(house, maker, taker):
    """Ten lots between maker and taker, and a requested exit."""
    house.trade(maker, taker, 10)
    house.clearing.requestExit(house.market, sender=taker)


def state(clearing, house, maker, taker):
    return {
        "positions": [tuple(clearing.positionOf(account, house.market)) for account in (maker, taker)],
        "exits": [clearing.exitRequestedAt(account, house.market) for account in (maker, taker)],
        "market": tuple(clearing.marketState(house.market)),
        "money": tuple(clearing.solvency()),
        "wiring": (clearing.owner(), clearing.engine(), clearing.vault(), clearing.registry()),
    }


def test_everything_is_kept(house, upgrade, maker, taker):
    before = state(house.clearing, house, maker, taker)
    assert [position[0] for position in before["positions"]] == [10, -10]
    assert before["exits"][1] > before["exits"][0] == 0
    assert before["money"][0] == before["money"][1] > 0
    assert state(upgrade(), house, maker, taker) == before


def test_the_new_field_is_behind_the_old_ones(house, upgrade, maker, taker):
    before = state(house.clearing, house, maker, taker)
    clearing = upgrade()
    clearing.setMark(2**256 - 1, sender=maker)
    assert clearing.mark() == 2**256 - 1
    assert state(clearing, house, maker, taker) == before


def test_positions_close_after_the_upgrade(house, upgrade, maker, taker):
    upgrade()
    house.trade(taker, maker, 10)
    assert house.position(maker) == house.position(taker) == (0, 0)
    assert (house.balance(maker), house.balance(taker), house.pool()) == (RICHES, RICHES, 0)
