"""What the Clearinghouse's work costs, measured in its own frame or by transaction."""

from __future__ import annotations

import pytest

from tests.functional.clearinghouse.house import FUTURE, HOUR, INDEX, OPTION, Fill

FILLS = 50


@pytest.fixture
def per_fill(house):
    """Gas per further fill of a warm batch."""

    def run(fills: list[Fill]) -> int:
        house.settle(fills)
        many = house.settle(fills).receipt.gas_used
        one = house.settle(fills[:1]).receipt.gas_used
        return (many - one) // (len(fills) - 1)

    return run


def report(name: str, gas: int) -> None:
    print(f"{name}: {gas}")


def test_fills_between_two_positions(house, maker, taker, per_fill):
    gas = per_fill([Fill(maker, taker, 1, INDEX)] * FILLS)
    report("perpetual, the same two positions, per fill", gas)
    assert gas < 4_300


def test_fills_of_one_position_with_many(house, taker, per_fill):
    makers = [f"0x{n + 1:040x}" for n in range(FILLS)]
    for account in makers:
        house.deposit(account, 10**9)
    gas = per_fill([Fill(taker, account, 1, INDEX) for account in makers])
    report("perpetual, one position against many warm ones, per fill (with the Vault)", gas)
    assert gas < 24_000


def test_option_fills_between_two_positions(house, maker, taker, per_fill):
    option = house.create_market(OPTION, expiry=house.now() + HOUR, strikePerLot=INDEX, isPut=True)
    gas = per_fill([Fill(maker, taker, 1, 1_000, market=option)] * FILLS)
    report("option, the same two positions, per fill", gas)
    assert gas < 3_200


def test_funding(house):
    used = []
    for _ in range(2):
        hour = house.now() // HOUR + 1
        house.move_to(hour * HOUR)
        used.append(house.clearing.accrueFunding(house.market, hour, 10, 1, sender=house.operator).gas_used)
    report("funding accrual", used[1])
    assert used[1] < 90_000


def test_closing_an_expired_position(house, maker, taker):
    expiry = house.now() + HOUR
    future = house.create_market(FUTURE, expiry=expiry)
    house.trade(maker, taker, 2, market=future)
    house.set_index(INDEX, future, at=expiry + 1)
    house.move_to(expiry + 1)
    report("expire", house.clearing.expire(future, 1, sender=house.owner).gas_used)
    gas = house.clearing.close(maker, future, sender=house.owner).gas_used
    report("close", gas)
    assert gas < 90_000


def test_leaving_and_taking_over(house, maker, taker):
    house.trade(maker, taker, 2)
    report("request exit", house.clearing.requestExit(house.market, sender=maker).gas_used)
    house.wait(HOUR)
    report("exit", house.clearing.exit(maker, house.market, sender=maker).gas_used)
    house.set_index(INDEX * 120 // 100)
    report("flag", house.clearing.flag(taker, house.market, sender=maker).gas_used)
    gas = house.clearing.takeOver(taker, house.market, sender=house.operator).gas_used
    report("takeover", gas)
    assert gas < 200_000
