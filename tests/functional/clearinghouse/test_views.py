"""What the views answer."""

from __future__ import annotations

from tests.functional.clearinghouse.house import EXPIRED, HOUR, INDEX, OPEN, OPTION

LOTS = 3


def test_equity_and_maintenance_follow_the_latest_index(house, maker, taker):
    house.trade(maker, taker, LOTS)
    index = INDEX * 97 // 100 + 1
    house.set_index(index)
    margin = LOTS * INDEX // 10
    maintenance = -(-LOTS * index * 5 // 100)
    assert house.clearing.equity(maker, house.market) == (margin - LOTS * (INDEX - index), maintenance)
    assert house.clearing.equity(taker, house.market) == (margin + LOTS * (INDEX - index), maintenance)


def test_who_has_no_position_has_nothing(house, stranger):
    assert house.clearing.equity(stranger, house.market) == (0, 0)
    assert not house.clearing.isLiquidatable(stranger, house.market)
    assert house.clearing.positionOf(stranger, house.market) == (0, 0, 0)
    assert house.clearing.flaggedAt(stranger, house.market) == 0


def test_after_expiry_equity_is_what_the_position_is_worth(house, maker, taker):
    house.trade(maker, taker, LOTS)
    house.set_index(INDEX + 5)
    house.wait(49 * HOUR)
    house.clearing.expireAbandoned(house.market, sender=house.owner)
    house.set_index(INDEX * 2)
    assert house.clearing.equity(maker, house.market) == (LOTS * INDEX // 10 + 5 * LOTS, 0)


def test_after_expiry_an_options_equity_is_its_payment(house, maker, taker):
    option = house.create_market(OPTION, expiry=house.now() + 100 * HOUR, strikePerLot=INDEX, isPut=True)
    house.trade(maker, taker, LOTS, price=7, market=option)
    house.set_index(INDEX - 5, option)
    house.wait(49 * HOUR)
    house.clearing.expireAbandoned(option, sender=house.owner)
    assert house.clearing.equity(maker, option) == (5 * LOTS, 0)
    assert house.clearing.equity(taker, option) == ((INDEX - 5) * LOTS, 0)


def test_the_state_of_a_market(house, maker, taker):
    assert tuple(house.clearing.marketState(house.market)) == (0, 0, OPEN, 0, 0)
    house.trade(maker, taker, LOTS)
    assert house.clearing.marketState(house.market).pool == house.clearing.poolOf(house.market) == LOTS * INDEX // 5
    house.wait(49 * HOUR)
    house.clearing.expireAbandoned(house.market, sender=house.owner)
    assert tuple(house.clearing.marketState(house.market)) == (0, 0, EXPIRED, INDEX, LOTS * INDEX // 5)
