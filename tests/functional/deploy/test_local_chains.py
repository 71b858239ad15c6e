"""Forks of local chains: the end-to-end tests run several at a time."""

from __future__ import annotations

import contextlib

from scripts._lib.anvil import anvil, rpc

ACCOUNT = "0x" + "11" * 20


def test_a_fork_reads_its_own_chain_although_another_is_its_twin():
    """Same chain id, same block number, same time: all by which Anvil's cache on disk tells forks apart."""
    with contextlib.ExitStack() as stack:
        found = []
        for balance in (5, 7):
            url = stack.enter_context(anvil())
            rpc(url, "evm_setNextBlockTimestamp", 2_000_000_000)
            rpc(url, "anvil_setBalance", ACCOUNT, hex(balance))
            rpc(url, "evm_mine")
            with anvil(fork_url=url, fork_block=1) as fork:
                found.append(int(rpc(fork, "eth_getBalance", ACCOUNT, "latest"), 16))
    assert found == [5, 7]
