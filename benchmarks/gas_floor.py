"""The least gas that a batch can cost, from the documented prices of the EVM.

Counted is what no design of this exchange can do without: the transaction; its bytes, of the packed form, at their real
price; one signature check for each group; the hashes of orders, arrays and fill ids and of the mappings' slots; a Fill
event for each fill; a read and a write of every storage word that changes; and the market's word and the Vault's
account, which lie in other contracts. Not counted are memory, loops, checks, the proxies, and the copying of anything.
"""

from __future__ import annotations

from tests.utils.batches import Batch

TRANSACTION = 21_000  # yellow paper, G_transaction
ZERO_BYTE, OTHER_BYTE = 4, 16  # EIP-2028
COLD_SLOAD = 2_100  # EIP-2929
COLD_ACCOUNT = 2_600  # EIP-2929
WARM_ACCESS = 100  # EIP-2929
SSTORE_RESET = 5_000 - COLD_SLOAD  # EIP-2200 with EIP-2929: a word that was not zero, already read in this transaction
ECRECOVER = 3_000  # precompile 1, EIP-196 and yellow paper appendix E
KECCAK, KECCAK_WORD = 30, 6  # G_keccak256, G_keccak256word
LOG, LOG_TOPIC, LOG_BYTE = 375, 375, 8  # G_log, G_logtopic, G_logdata

ORDER_WORDS = 13  # type hash and twelve members
DIGEST_WORDS = 3  # 66 bytes
FILL_ID_WORDS = 4
MAPPING_WORDS = 2


def keccak(words: int) -> int:
    return KECCAK + KECCAK_WORD * words


def calldata(data: bytes) -> int:
    zeros = data.count(0)
    return zeros * ZERO_BYTE + (len(data) - zeros) * OTHER_BYTE


def words_written(batch: Batch) -> tuple[int, int]:
    """Storage words in the Engine and in the Vault that a batch of spot fills changes."""
    filled = {order for fill in batch.fills for order in fill[:2]}
    words = {(batch.orders[order].position, 0) for order in filled}  # the balances
    for order in filled:
        key = batch.orders[order].nonce >> 32
        words.add((batch.orders[order].position, 0 if key == 0 else 1 + (key >> 1)))
    accounts = {batch.positions[position][0] for position, _ in words}
    return len(words) + 1, len(accounts) + 1  # the batch's number; the Engine's account, which takes the fees


def floor(batch: Batch) -> int:
    """Gas of a batch of spot fills whose words were all used before."""
    orders, groups, fills = len(batch.orders), len(batch.groups), len(batch.fills)
    hashes = orders * keccak(ORDER_WORDS) + groups * keccak(DIGEST_WORDS) + fills * keccak(FILL_ID_WORDS)
    hashes += sum(keccak(group.leaf_count) + keccak(2) for group in batch.groups if group.leaf_count > 1)
    engine_words, vault_words = words_written(batch)
    storage = (engine_words + vault_words) * (COLD_SLOAD + SSTORE_RESET)
    storage += (engine_words - 1 + vault_words) * keccak(MAPPING_WORDS)
    others = 2 * COLD_ACCOUNT + len(batch.markets) * COLD_SLOAD  # registry and Vault
    signatures = groups * (ECRECOVER + WARM_ACCESS)
    events = fills * (LOG + LOG_TOPIC + 32 * LOG_BYTE) + LOG + 2 * LOG_TOPIC + 64 * LOG_BYTE
    return TRANSACTION + calldata(batch.packed()) + signatures + hashes + events + storage + others
