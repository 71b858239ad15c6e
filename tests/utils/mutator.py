"""Settlement batches that are wrong in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from offchain.chain import eip712
from offchain.domain.batch import NO_GROUP, RESERVED_KEY, Batch, FillEntry
from offchain.domain.market import Market
from offchain.domain.order import LAST_SEQUENCE, NO_EXPIRY, TimeInForce
from tests.utils.signing import Trader

U16, U32, U40, U48, U56 = (2**bits - 1 for bits in (16, 32, 40, 48, 56))


@dataclass
class Mutator:
    """Changes one thing of a batch, which may happen to leave it valid."""

    domain: eip712.Domain
    traders: Sequence[Trader]
    markets: Mapping[int, Market]
    random: Random

    def mutate(self, batch: Batch, now: int) -> Batch:
        table = self.random.choice(
            ("header", "table", "account", "market", "position", "group", "absent", "order", "order", "order", "fill")
        )
        return getattr(self, f"_{table}")(batch, now)  # type: ignore[no-any-return]

    def _header(self, batch: Batch, now: int) -> Batch:
        times = (0, now - 1_801, now - 1_800, now - 1_799, batch.matched_at - 60, now, now + 1, U40)
        change: dict[str, int] = self.random.choice(
            [{"number": self._pick(batch.number - 1, batch.number + 1, U48)}, {"matched_at": self._pick(*times)}]
        )
        return replace(batch, **change)  # type: ignore[arg-type]

    def _table(self, batch: Batch, now: int) -> Batch:
        """Drop, repeat, swap or empty entries."""
        names = ("accounts", "markets", "positions", "groups", "absent", "orders", "fills")
        name = self.random.choice([name for name in names if getattr(batch, name)])
        entries = list(getattr(batch, name))
        index = self.random.randrange(len(entries))
        how = self.random.choice(("drop", "repeat", "swap", "empty"))
        if how == "drop":
            del entries[index]
        elif how == "repeat":
            entries.insert(index, entries[index])
        elif how == "empty":
            entries = []
        else:
            entries[index], entries[index - 1] = entries[index - 1], entries[index]
        return replace(batch, **{name: tuple(entries)})  # type: ignore[arg-type]

    def _account(self, batch: Batch, now: int) -> Batch:
        entry = self._any(batch.accounts)
        changed = self.random.choice(
            (
                replace(entry, epoch=self._pick(1, U32)),
                replace(entry, account=bytes(20)),
                replace(entry, account=entry.account[:19] + bytes((entry.account[19] ^ 1,))),
                replace(entry, account=b"\xff" * 20),
            )
        )
        return self._put(batch, "accounts", entry, changed)

    def _market(self, batch: Batch, now: int) -> Batch:
        entry = self._any(batch.markets)
        changed = self.random.choice(
            (
                replace(entry, id=self._pick(0, entry.id + 1, entry.id - 1, *self.markets, U32)),
                replace(entry, round=self._pick(0, 1, entry.round - 1, entry.round + 1, 2**64 + 1, 2**80 - 1)),
            )
        )
        return self._put(batch, "markets", entry, changed)

    def _position(self, batch: Batch, now: int) -> Batch:
        entry = self._any(batch.positions)
        changed = self.random.choice(
            (
                replace(entry, account=self._pick(0, len(batch.accounts) - 1, len(batch.accounts), U16)),
                replace(entry, instrument=self._pick(0, entry.instrument + 1, U32)),
            )
        )
        return self._put(batch, "positions", entry, changed)

    def _group(self, batch: Batch, now: int) -> Batch:
        entry = self._any(batch.groups)
        flipped = bytearray(entry.signature)
        flipped[self.random.randrange(64)] ^= 1 << self.random.randrange(8)
        counts = (0, 1, 2, 10, 11, 255, entry.leaf_count + 1, entry.leaf_count - 1)
        changed = self.random.choice(
            (
                replace(entry, leaf_count=self._pick(*counts)),
                replace(entry, absent_mask=self._pick(0, 1, 2, 3, entry.absent_mask ^ 2, 2**15, U16)),
                replace(entry, signature=bytes(flipped)),
                replace(entry, signature=bytes(64)),
                replace(entry, signature=_high_s(entry.signature)),
                replace(entry, signature=self._any(batch.groups).signature),
            )
        )
        return self._put(batch, "groups", entry, changed)

    def _absent(self, batch: Batch, now: int) -> Batch:
        return replace(batch, absent=(*batch.absent[1:], bytes(32)))

    def _order(self, batch: Batch, now: int) -> Batch:
        """Change a field; half of the time its owner signs the change."""
        index = self.random.randrange(len(batch.orders))
        entry = batch.orders[index]
        tick = next(iter(self.markets.values())).tick_per_lot
        choices: dict[str, tuple[object, ...]] = {
            "position": (0, entry.position + 1, len(batch.positions), U16),
            "market": (0, entry.market + 1, len(batch.markets), U16),
            "side": (1 - entry.side,),
            "time_in_force": (0, 1, 2, 3),
            "reduce_only": (not entry.reduce_only,),
            "nonce": (
                entry.nonce - 1,
                entry.nonce + 1,
                entry.nonce | LAST_SEQUENCE,
                entry.nonce ^ 1 << 32,
                0,
                RESERVED_KEY << 32 | self.random.randrange(2),
            ),
            "price": (0, 1, entry.price + 1, entry.price + tick, max(1, entry.price - tick), U56),
            "quantity": (0, 1, entry.quantity - 1, entry.quantity + 1, U40),
            "expiry": (0, 1, batch.matched_at - 1, batch.matched_at, U40, NO_EXPIRY),
            "max_fee_bps": (0, 49, 50, U16),
            "conversion_limit": (0, 1, 2**64 - 1, None),
            "group": (0, len(batch.groups), NO_GROUP),
            "leaf": (0, 1, 2, 255),
            "forced": (not entry.forced,),
        }
        name = self.random.choice(sorted(choices))
        changed = replace(entry, **{name: self.random.choice(choices[name])})
        if changed.expiry > U40 and changed.time_in_force != TimeInForce.GTC:
            changed = replace(changed, expiry=now + 5)
        if changed.time_in_force == TimeInForce.GTC:
            changed = replace(changed, expiry=NO_EXPIRY)
        orders = (*batch.orders[:index], changed, *batch.orders[index + 1 :])
        mutated = replace(batch, orders=orders)
        return self._sign(mutated, index) if self.random.random() < 0.7 else mutated

    def _sign(self, batch: Batch, index: int) -> Batch:
        """Let the owner of an order sign its group as it is; as before where it refers outside the tables."""
        group = batch.orders[index].group
        if group >= len(batch.groups):
            return batch
        try:
            account = batch.accounts[batch.positions[batch.orders[index].position].account].account
            trader = next(trader for trader in self.traders if trader.address == account)
            hashes = self._leaves(batch, group)
        except (IndexError, StopIteration, KeyError):
            return batch
        signed = hashes[0] if len(hashes) == 1 else eip712.array_hash(hashes)
        signature = eip712.sign(eip712.order_digest(self.domain, signed), trader.private_key)
        return self._put(batch, "groups", batch.groups[group], replace(batch.groups[group], signature=signature))

    def _leaves(self, batch: Batch, group: int) -> list[bytes]:
        """The hashes of a group's orders. Raises KeyError if a leaf is not set, IndexError beyond the tables."""
        skipped = sum(entry.absent_mask.bit_count() for entry in batch.groups[:group])
        entry = batch.groups[group]
        absent = [leaf for leaf in range(entry.leaf_count) if entry.absent_mask >> leaf & 1]
        hashes = {leaf: batch.absent[skipped + position] for position, leaf in enumerate(absent)}
        hashes |= {
            order.leaf: eip712.order_hash(batch.signed_order(order)) for order in batch.orders if order.group == group
        }
        return [hashes[leaf] for leaf in range(entry.leaf_count)]

    def _fill(self, batch: Batch, now: int) -> Batch:
        if self.random.random() < 0.3:
            return replace(batch, fills=tuple(self.random.choices(batch.fills, k=len(batch.fills) + 1)))
        entry = self._any(batch.fills)
        orders = len(batch.orders)
        changed = self.random.choice(
            (
                FillEntry(entry.taker, entry.maker, entry.quantity),
                replace(entry, maker=self._pick(*range(orders), orders, U16)),
                replace(entry, taker=self._pick(*range(orders), orders, U16)),
                replace(entry, quantity=self._pick(0, entry.quantity + 1, max(1, entry.quantity - 1), U40)),
            )
        )
        return self._put(batch, "fills", entry, changed)

    def _any(self, entries: Sequence[object]):  # type: ignore[no-untyped-def]
        return entries[self.random.randrange(len(entries))]

    def _pick(self, *values: int) -> int:
        return max(0, self.random.choice(values))

    def _put(self, batch: Batch, name: str, old: object, new: object) -> Batch:
        entries = list(getattr(batch, name))
        entries[entries.index(old)] = new
        return replace(batch, **{name: tuple(entries)})  # type: ignore[arg-type]


def _high_s(signature: bytes) -> bytes:
    """The malleable twin, as far as 64 bytes can hold it: s beyond half of the group order."""
    group_order = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
    vs = int.from_bytes(signature[32:], "big")
    s = group_order - (vs & (2**255 - 1))
    return signature[:32] + ((s | (vs >> 255 ^ 1) << 255) & (2**256 - 1)).to_bytes(32, "big")
