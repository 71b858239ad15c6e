"""The demo's order flow from a file, in place of bots."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from offchain.api.schemas.http import Markets
from offchain.cli.flow import lines_of
from offchain.client.replay import Replay, steps_of
from offchain.flow import FlowFile
from scripts._demo.screen import Board
from scripts._lib.deployment import Deployment

MAX_TRADERS = 50
"""The demo creates and funds an account for each trader of a file."""

REDRAW_SECONDS = 0.25
CREATED_ASSET = "WBTC"


class FlowRefused(ValueError):
    """The file is none for this demo."""


def read(path: Path, markets: Markets | None = None) -> FlowFile:
    """The file, if the demo can play it. Raises FlowRefused; `markets` are the exchange's, once there is one."""
    try:
        flow = FlowFile(path, None if markets is None else steps_of(markets))
    except (ValueError, OSError) as error:
        raise FlowRefused(str(error)) from error
    if not 1 <= len(flow.traders) <= MAX_TRADERS:
        raise FlowRefused(f"{path} has {len(flow.traders)} traders; the demo plays 1 to {MAX_TRADERS}")
    return flow


def assets_of(flow: FlowFile, deployment: Deployment) -> list[str]:
    """What traders need besides USDC. Raises FlowRefused for a market that the demo's exchange does not have."""
    assets = {CREATED_ASSET}
    for market in flow.header.markets:
        listed = deployment.markets.get(market.symbol)
        if listed is None:
            raise FlowRefused(f"{flow.path}: the demo has {', '.join(deployment.markets)}, no {market.symbol}")
        assets.add(listed["base"])
    return sorted(assets)


class Player:
    """Replays a file and writes on the board how that goes; ends by itself."""

    def __init__(
        self,
        board: Board,
        flow: FlowFile,
        keys: Sequence[str],
        speed: float | None,
        session: aiohttp.ClientSession,
    ) -> None:
        """`keys` of the traders, in the order in which the file names them; `speed` None: as fast as it goes."""
        self._board = board
        by_name = dict(zip(flow.traders, keys, strict=True))
        self._replay = Replay(board.url, flow, by_name, speed=speed, session=session)
        self.is_done = False

    def stop(self) -> None:
        self._replay.stop()

    async def run(self) -> None:
        running = asyncio.create_task(self._replay.run())
        try:
            while not running.done():
                await asyncio.wait((running,), timeout=REDRAW_SECONDS)
                self._show()
            running.result()
        finally:
            running.cancel()
        self.is_done = True

    def lines(self) -> list[str]:
        """What became of the file."""
        return lines_of(self._replay.progress.summary())

    def _show(self) -> None:
        board, done = self._board, self._replay.progress
        board.orders, board.cancels, board.rejected = done.orders, done.cancels, done.refused.total()
        board.last_refusal = ", ".join(f"{code} {count}" for code, count in sorted(done.refused.items()))
        board.latencies.samples.clear()
        board.latencies.samples.extend(done.latencies_ms[-board.latencies.size :])
