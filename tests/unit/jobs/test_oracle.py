"""Following oracles: news at once, silence as repetition, trouble without noise."""

from __future__ import annotations

import pytest

from offchain.domain.commands import Command, Price
from offchain.domain.errors import Code, Rejection
from offchain.domain.results import Done, Result
from offchain.jobs.oracle import OracleFollower, OracleSettings
from offchain.ports import Unavailable
from tests.utils.fakechain import MAX_AGE, FakeChain
from tests.utils.service import DOMAIN, ORACLE

USD = 10**18


class Core:
    """Takes commands, and answers as it is told; the time is the chain's."""

    def __init__(self, chain: FakeChain) -> None:
        self.chain = chain
        self.told: list[Price] = []
        self.answers: list[Result | type[Exception]] = []

    def now_ms(self) -> int:
        return self.chain.now * 1000

    async def submit(self, command: Command, timeout_ms: int) -> Result:
        assert isinstance(command, Price)
        self.told.append(command)
        answer = self.answers.pop(0) if self.answers else Done()
        if isinstance(answer, type):
            raise answer("gone")
        return answer


@pytest.fixture
def chain() -> FakeChain:
    chain = FakeChain(DOMAIN)
    chain.push_price(50_000 * USD)
    return chain


@pytest.fixture
def core(chain: FakeChain) -> Core:
    return Core(chain)


@pytest.fixture
def follower(chain: FakeChain, core: Core) -> OracleFollower:
    return OracleFollower(chain, core, lambda: [ORACLE], core, OracleSettings(repeat_seconds=10))  # type: ignore[arg-type]


async def test_a_new_round_is_told_at_once(chain: FakeChain, core: Core, follower: OracleFollower) -> None:
    await follower.step()
    now = chain.now
    assert core.told == [Price(ORACLE, 1, 50_000 * USD, now, now + MAX_AGE)]
    chain.now += 1
    await follower.step()
    assert len(core.told) == 1
    chain.push_price(51_000 * USD)
    await follower.step()
    assert [price.round for price in core.told] == [1, 2]


async def test_an_old_round_is_told_again(chain: FakeChain, core: Core, follower: OracleFollower) -> None:
    for _ in range(21):
        await follower.step()
        chain.now += 1
    assert len(core.told) == 3


async def test_nothing_is_told_of_a_silent_oracle(chain: FakeChain, core: Core, follower: OracleFollower) -> None:
    chain.now += MAX_AGE + 1
    await follower.step()
    assert core.told == []


@pytest.mark.parametrize("answer", [Unavailable, Rejection(Code.OUT_OF_ORDER, "updatedAt", "")])
async def test_what_the_core_did_not_take_is_told_again(
    core: Core, follower: OracleFollower, answer: Result | type[Exception]
) -> None:
    core.answers.append(answer)
    await follower.step()
    await follower.step()
    await follower.step()
    assert len(core.told) == 2


async def test_a_node_that_is_away_is_no_end(chain: FakeChain, core: Core, follower: OracleFollower) -> None:
    chain.outages = 1
    await follower.step()
    assert core.told == []
    await follower.step()
    assert len(core.told) == 1


def test_a_repetition_comes_before_the_core_forgets() -> None:
    with pytest.raises(ValueError, match="repeat_seconds"):
        OracleSettings(repeat_seconds=21)
