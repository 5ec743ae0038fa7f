"""The writing half of the state. Only `apply` and the handlers of entries use it, always through an overlay."""

from __future__ import annotations

from typing import Any

from strongroom.ledger import codec, log_tree, merkle, open_orders, schedule, tree_table, windows
from strongroom.ledger import state as keys
from strongroom.ledger.charter import Charter
from strongroom.ledger.charter_owners import key_owners, person_kinds
from strongroom.ledger.order_messages import BreakGlass
from strongroom.ledger.reasons import StateDamaged
from strongroom.ledger.records import (
    CharterRecord,
    DestinationRecord,
    FreezeRecord,
    OrderRecord,
    OrderState,
    PlanRecord,
    QuotaRecord,
    VaultRecord,
    WitnessRecord,
)
from strongroom.ledger.state import (
    CHARTER,
    DESTINATIONS,
    FREEZES,
    ORDERS,
    PLANS,
    QUOTAS,
    VAULTS,
    WITNESSES,
    State,
)
from strongroom.ledger.view import Overlay
from strongroom.model.ids import LogId

__all__ = ["MutableState"]

_EXPIRED_REMOVED_AT_ONCE = 2
_LAPSE_MARGIN_MS = 60 * 60 * 1000
"""A signer's clock may lag behind log time, and until it too says so, a freeze has not lapsed for that signer."""


class MutableState(State):
    """State over an overlay that takes its writes."""

    def __init__(self, overlay: Overlay, log_id: LogId, *, genesis_id: LogId | None = None) -> None:
        super().__init__(overlay, log_id, genesis_id=genesis_id)
        self.overlay = overlay

    # --- log and time ----------------------------------------------------------------------------------------------

    def append_leaf(self, index: int, entry_bytes: bytes, time_ms: int) -> None:
        """Count an accepted entry: its leaf, the log's size and time."""
        log_tree.append(self.overlay, index, merkle.leaf_hash(entry_bytes))
        self.overlay.put(keys.SIZE_KEY, (index + 1).to_bytes(8, "big"))
        self.overlay.put(keys.TIME_KEY, time_ms.to_bytes(8, "big"))

    def finish_batch(self) -> tuple[bytes, bytes]:
        """Bring all hashes up to date and return the log's root and the state digest, 32 bytes each."""
        root = log_tree.keep_root(self.overlay, self.size)
        for table, sequences in self._changed().items():
            for sequence in sorted(sequences):
                leaf = merkle.leaf_hash(self.overlay.writes[keys.record_key(table, sequence)])
                tree_table.set_leaf(self.overlay, table, sequence, leaf)
            tree_table.rehash(self.overlay, table, sequences)
        digest = self.digest()
        self.overlay.put(keys.DIGEST_KEY, digest)
        return root, digest

    def _changed(self) -> dict[bytes, set[int]]:
        changed: dict[bytes, set[int]] = {}
        for key in self.overlay.writes:
            if key.startswith(keys.RECORD_PREFIX):
                table = key[len(keys.RECORD_PREFIX) : -9]
                changed.setdefault(table, set()).add(int.from_bytes(key[-8:], "big"))
        return changed

    # --- records ---------------------------------------------------------------------------------------------------

    def start_charter(self, record: CharterRecord, charter: Charter) -> None:
        """Put the genesis charter in force."""
        self._append(CHARTER, record)
        self._take(record, charter)

    def change_charter(self, record: CharterRecord, charter: Charter) -> None:
        """Put another charter in force instead of the one before."""
        self._write(CHARTER, 0, record)
        self._take(record, charter)

    def _take(self, record: CharterRecord, charter: Charter) -> None:
        """Make everything from here on judge by this charter, and take its keys and names for ever."""
        keys.remember(Charter, record.charter, charter)
        self._forget_charter()
        for key, owner in key_owners(charter).items():
            self.overlay.put(keys.KEY_TAKEN + key, owner.encode("ascii"))
        for name, kind in person_kinds(charter).items():
            self.overlay.put(keys.PERSON_KIND + name.encode("ascii"), kind)

    def rollback(self) -> None:
        """Drop what was written for an entry that is refused."""
        self.overlay.rollback()
        # It may have put another charter in force.
        self._forget_charter()

    def _forget_charter(self) -> None:
        self._charter = None
        self._log_id = None

    def found_anew(self, record: CharterRecord, charter: Charter, witnesses: WitnessRecord) -> None:
        """Put another charter and log id in force, whose signers alone have certified heads from the beginning.

        Args:
            record: the charter with the new log id.
            charter: the same, decoded.
            witnesses: its signers; `since_size` is the size with the founding entry.
        """
        self.overlay.put(keys.KEPT_UNTIL_PREFIX + self.log_id, self.time_ms.to_bytes(8, "big"))
        self.change_charter(record, charter)
        self.overlay.put(keys.FOUNDED_KEY, witnesses.since_size.to_bytes(8, "big"))
        self.overlay.put(keys.FOUNDINGS_KEY, (self.foundings + 1).to_bytes(8, "big"))
        self.overlay.put(keys.ELECTORATES_KEY, (0).to_bytes(8, "big"))
        self.set_witnesses(witnesses, rules_from=0)
        self.keep_next_charter(b"")

    def set_witnesses(self, record: WitnessRecord, *, rules_from: int | None = None) -> None:
        """Write whose votes count.

        Args:
            record: the only record of its table.
            rules_from: first size of heads that need the votes of another electorate than before; None when the
                electorate stays.
        """
        if self.count(WITNESSES):
            self._write(WITNESSES, 0, record)
        else:
            self._append(WITNESSES, record)
        if rules_from is not None:
            position = self._number(keys.ELECTORATES_KEY)
            stored = rules_from.to_bytes(8, "big") + codec.encode(record)
            self.overlay.put(keys.ELECTORATE_PREFIX + position.to_bytes(8, "big"), stored)
            self.overlay.put(keys.ELECTORATES_KEY, (position + 1).to_bytes(8, "big"))

    def keep_next_charter(self, charter: bytes) -> None:
        """Keep the charter that waits for its witness set; empty to forget it."""
        self.overlay.put(keys.NEXT_CHARTER_KEY, charter)

    def add_order(self, record: OrderRecord, order_id: bytes, *, now_ms: int) -> None:
        """Record a new order."""
        sequence = self._append(ORDERS, record)
        self.overlay.put(keys.ORDER_BY_HASH.key(record.hash), sequence.to_bytes(8, "big"))
        if self.order_by_id(order_id) is None:
            self.overlay.put(keys.ORDER_BY_ID.key(order_id), sequence.to_bytes(8, "big"))
        if record.state is OrderState.OPEN:
            self._drop_expired(now_ms)
            open_orders.add(self.overlay, sequence)
            if isinstance(keys.decode_order(record.order).action, BreakGlass):
                self._break_glass([*self._breaking(now_ms), sequence])

    def change_order(self, record: OrderRecord) -> None:
        """Write a changed order."""
        sequence = self._known(keys.ORDER_BY_HASH, record.hash)
        self._write(ORDERS, sequence, record)
        if record.state is not OrderState.OPEN:
            open_orders.remove(self.overlay, sequence)
            if isinstance(keys.decode_order(record.order).action, BreakGlass):
                self._break_glass([other for other in self._breaking(0) if other != sequence])
        if record.state is OrderState.SCHEDULED and record.due_ms:
            schedule.put(self.overlay, sequence, record.due_ms)
        else:
            schedule.remove(self.overlay, sequence)

    def note_acted(self, record: OrderRecord, index: int) -> None:
        """Note that the time of the entry at `index` brought a scheduled order about."""
        key = keys.ACTED_AT + index.to_bytes(8, "big")
        sequence = self._known(keys.ORDER_BY_HASH, record.hash)
        self.overlay.put(key, (self.overlay.get(key) or b"") + sequence.to_bytes(8, "big"))

    def due_order(self, now_ms: int) -> OrderRecord | None:
        """Return the earliest scheduled order whose time has come."""
        due_ms = self.next_due_ms
        return next(self.scheduled_orders()) if due_ms is not None and due_ms <= now_ms else None

    def _breaking(self, now_ms: int) -> list[int]:
        """Sequence numbers of the orders to break the glass, without those that expired."""
        return [
            self._known(keys.ORDER_BY_HASH, record.hash)
            for record in self.break_glass_orders()
            if now_ms < keys.decode_order(record.order).expires_ms
        ]

    def _break_glass(self, sequences: list[int]) -> None:
        self.overlay.put(keys.BREAK_GLASS_KEY, b"".join(sequence.to_bytes(8, "big") for sequence in sequences))

    def _drop_expired(self, now_ms: int) -> None:
        for _ in range(_EXPIRED_REMOVED_AT_ONCE):
            sequence = open_orders.first(self.overlay)
            if sequence is None or now_ms < keys.decode_order(self.order_at(sequence).order).expires_ms:
                return
            open_orders.remove(self.overlay, sequence)

    def add_vault(self, record: VaultRecord) -> None:
        """Record a vault's birth."""
        sequence = self._append(VAULTS, record).to_bytes(8, "big")
        self.overlay.put(keys.VAULT_BY_NAME.key(record.name.encode("ascii")), sequence)
        self.overlay.put(keys.VAULT_BY_KEY.key(record.group_key), sequence)

    def change_vault(self, record: VaultRecord) -> None:
        """Write a changed vault."""
        self._write(VAULTS, self._known(keys.VAULT_BY_NAME, record.name.encode("ascii")), record)

    def add_freeze(self, record: FreezeRecord, *, now_ms: int) -> None:
        """Record a freeze, and forget those that lapsed long ago in the list of those that stand."""
        standing = self._standing(now_ms)
        sequence = self._append(FREEZES, record)
        self.overlay.put(keys.FREEZE_BY_ID.key(record.id), sequence.to_bytes(8, "big"))
        self._stand([*standing, sequence])

    def change_freeze(self, record: FreezeRecord, *, now_ms: int) -> None:
        """Write a changed freeze."""
        self._write(FREEZES, self._known(keys.FREEZE_BY_ID, record.id), record)
        self._stand(self._standing(now_ms))

    def _standing(self, now_ms: int) -> list[int]:
        earlier_ms = now_ms - _LAPSE_MARGIN_MS
        return [self._known(keys.FREEZE_BY_ID, other.id) for other in self.standing_freezes(earlier_ms)]

    def _stand(self, sequences: list[int]) -> None:
        self.overlay.put(keys.STANDING_KEY, b"".join(sequence.to_bytes(8, "big") for sequence in sequences))

    def add_plan(self, record: PlanRecord) -> None:
        """Record a plan with what finds it."""
        sequence = self._append(PLANS, record).to_bytes(8, "big")
        self.overlay.put(keys.PLAN_BY_HASH.key(record.hash), sequence)
        self.overlay.put(keys.PLAN_BY_TXID.key(record.txid), sequence)
        for outpoint in record.outpoints:
            key = keys.PLANS_BY_OUTPOINT.key(keys.outpoint_name(outpoint.txid, outpoint.vout))
            self.overlay.put(key, (self.overlay.get(key) or b"") + sequence)

    def count_payment(self, vault: str, asset: str, time_ms: int, amount: int) -> None:
        """Count an order at its first plan."""
        windows.add(self.overlay, windows.payment_series(vault, asset), time_ms, amount)

    def count_fee(self, vault: str, time_ms: int, fee_sat: int) -> None:
        """Count what a plan adds to a vault's network fees."""
        windows.add(self.overlay, windows.fee_series(vault), time_ms, fee_sat)

    def add_destination(self, record: DestinationRecord) -> None:
        """Record an entry of the address book; from now on it is the newest of its address."""
        sequence = self._append(DESTINATIONS, record).to_bytes(8, "big")
        self.overlay.put(keys.DESTINATION_BY_ADDRESS.key(keys.destination_name(record.chain, record.address)), sequence)

    def change_destination(self, record: DestinationRecord) -> None:
        """Write the changed newest entry of an address."""
        name = keys.destination_name(record.chain, record.address)
        self._write(DESTINATIONS, self._known(keys.DESTINATION_BY_ADDRESS, name), record)

    def set_quota(self, record: QuotaRecord) -> None:
        """Write what an author used."""
        key = keys.QUOTA_BY_AUTHOR.key(record.author.encode("ascii"))
        stored = self.overlay.get(key)
        if stored is None:
            self.overlay.put(key, self._append(QUOTAS, record).to_bytes(8, "big"))
        else:
            self._write(QUOTAS, int.from_bytes(stored, "big"), record)

    # --- writing ---------------------------------------------------------------------------------------------------

    def _known(self, index: keys.Index, name: bytes) -> int:
        stored = self.overlay.get(index.key(name))
        if stored is None:
            raise StateDamaged(f"a record to change is not indexed under {name.hex()}")
        return int.from_bytes(stored, "big")

    def _append(self, table: bytes, record: Any) -> int:
        sequence = self.count(table)
        self._write(table, sequence, record)
        self.overlay.put(keys.COUNT_PREFIX + table, (sequence + 1).to_bytes(8, "big"))
        return sequence

    def _write(self, table: bytes, sequence: int, record: Any) -> None:
        data = codec.encode(record)
        keys.remember(type(record), data, record)
        self.overlay.put(keys.record_key(table, sequence), data)
