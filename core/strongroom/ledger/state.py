"""The replayed state, typed: seven digested tables of canonical records, and indexes derived from them.

`State` reads; `MutableState` beside it also writes, and only `apply` uses that one. Everything lives in one key space,
so an overlay of a batch holds all of what the batch changed. The state digest covers the tables, the log time and the
rule set number; indexes and sums are not covered, because they follow from the entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from strongroom.ledger import codec, log_tree, schedule, tree_table, windows
from strongroom.ledger.charter import Charter
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.open_orders import open_sequences
from strongroom.ledger.order_messages import Order, Scope, Withdraw
from strongroom.ledger.reasons import StateDamaged, refused
from strongroom.ledger.record_proof import RecordProofData, TableRoot, state_digest
from strongroom.ledger.records import (
    TABLES,
    CharterRecord,
    DestinationRecord,
    FreezeRecord,
    OrderRecord,
    PlanRecord,
    QuotaRecord,
    VaultRecord,
    WitnessRecord,
)
from strongroom.ledger.rules import glob_match
from strongroom.ledger.view import KeyValue
from strongroom.model.ids import LogId

__all__ = ["State", "decode_order", "forget_decoded"]

M = TypeVar("M")

CHARTER, FREEZES, VAULTS, ORDERS, PLANS, QUOTAS, WITNESSES, DESTINATIONS = TABLES

MAX_RECORD_BYTES: Final = 1 << 20
RECORD_PREFIX: Final = b"r/"
COUNT_PREFIX: Final = b"c/"
TIME_KEY: Final = b"m/time"
SIZE_KEY: Final = b"m/size"
DIGEST_KEY: Final = b"m/digest"
STANDING_KEY: Final = b"m/standing-freezes"
ELECTORATES_KEY: Final = b"m/electorates"
ELECTORATE_PREFIX: Final = b"e/"
FOUNDED_KEY: Final = b"m/founded"
FOUNDINGS_KEY: Final = b"m/foundings"
KEPT_UNTIL_PREFIX: Final = b"k/"
NEXT_CHARTER_KEY: Final = b"m/next-charter"
_MEMO_LIMIT: Final = 8_192
_MEMO_BYTES: Final = 16 * 1024 * 1024
"""Of encoded messages of one class: what they decode to takes several times as much memory."""


class _Memo:
    """Decoded messages by their bytes: a record is read several times before it changes, and decoding costs most."""

    def __init__(self) -> None:
        self._known: dict[type[Any], dict[bytes, Any]] = {}
        self._bytes: dict[type[Any], int] = {}

    def decode(self, cls: type[M], data: bytes) -> M:
        """Decode, or return what these bytes were decoded to before."""
        known = self._known.setdefault(cls, {})
        found = known.get(data)
        if found is None:
            found = codec.decode(cls, data, max_size=MAX_RECORD_BYTES)
            self.note(cls, data, found)
        instance: M = found
        return instance

    def note(self, cls: type[M], data: bytes, instance: M) -> None:
        """Remember that `instance` is what `data` decodes to."""
        known = self._known.setdefault(cls, {})
        held = self._bytes.get(cls, 0) + len(data)
        if len(known) >= _MEMO_LIMIT or held > _MEMO_BYTES:
            known.clear()
            held = len(data)
        known[data] = instance
        self._bytes[cls] = held

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
        self._bytes.clear()


_memo: Final = _Memo()


def remember(cls: type[M], data: bytes, instance: M) -> None:
    """Spare the next reader decoding `data`, which `instance` was encoded to."""
    _memo.note(cls, data, instance)


def forget_decoded() -> None:
    """Drop what was decoded before: memory back, or a fair start for a measurement. Nothing else changes."""
    _memo.clear()


def decode_order(data: bytes) -> Order:
    """Decode order bytes; repeated calls with the same bytes cost little.

    Raises:
        NotCanonical: the bytes are no canonical order.
    """
    return _memo.decode(Order, data)


def record_key(table: bytes, sequence: int) -> bytes:
    """Return the key under which the record's canonical bytes lie."""
    return RECORD_PREFIX + table + b"/" + sequence.to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class Index:
    """Derived: what a record is found by -> its sequence number."""

    prefix: bytes

    def key(self, name: bytes) -> bytes:
        """Return the key under which the number lies."""
        return self.prefix + name


ORDER_BY_HASH: Final = Index(b"i/order/")
ORDER_BY_ID: Final = Index(b"i/id/")
VAULT_BY_NAME: Final = Index(b"i/vault/")
VAULT_BY_KEY: Final = Index(b"i/group-key/")
FREEZE_BY_ID: Final = Index(b"i/freeze/")
PLAN_BY_HASH: Final = Index(b"i/plan/")
PLAN_BY_TXID: Final = Index(b"i/txid/")
PLANS_BY_OUTPOINT: Final = Index(b"i/outpoint/")
QUOTA_BY_AUTHOR: Final = Index(b"i/quota/")
DESTINATION_BY_ADDRESS: Final = Index(b"i/destination/")
BREAK_GLASS_KEY: Final = b"m/break-glass"

KEY_TAKEN: Final = b"i/key/"
"""Then a key: the owner it has, or had."""
ACTED_AT: Final = b"m/acted/"
"""Then the index of an entry: which scheduled orders its time brought about."""
PERSON_KIND: Final = b"i/person/"
"""Then the name of a person or machine that is, or was, in the charter: which of the two."""


def destination_name(chain: str, address: str) -> bytes:
    """Name an address of a chain in an index; a chain id holds no blank."""
    return f"{chain} {address}".encode()


def outpoint_name(txid: bytes, vout: int) -> bytes:
    """Name an outpoint in an index."""
    return txid + vout.to_bytes(8, "big")


class State:
    """The state as the entries up to `size` left it, read through a view.

    Args:
        view: a store, or an overlay over one.
        log_id: the pinned log id: that of the founding entry which is to be in force.
        genesis_id: SHA-256 of the genesis charter, of a log that was founded anew and is replayed from its beginning;
            by default the pinned one.

    Attributes:
        pinned_id: the pinned log id. The state can have another one only while entries below the founding entry with
            the pinned one are replayed.
    """

    def __init__(self, view: KeyValue, log_id: LogId, *, genesis_id: LogId | None = None) -> None:
        self._view = view
        self.pinned_id = log_id
        self._genesis_id = log_id if genesis_id is None else genesis_id
        self._log_id: LogId | None = None
        self._charter: Charter | None = None

    @property
    def log_id(self) -> LogId:
        """The log id in force: what every word of people and signers must name here."""
        if self._log_id is None:
            record = self.charter_record
            self._log_id = self._genesis_id if record is None else LogId(record.log_id)
        return self._log_id

    @property
    def founded_size(self) -> int:
        """Size of the log with the entry that founded it anew; 0 when its genesis is what it is founded on.

        Up to here the log is final because every operator pinned it, and a term in which no certificate is held
        begins here.
        """
        return self._number(FOUNDED_KEY)

    @property
    def foundings(self) -> int:
        """How often the log was founded anew: what every plan that is logged from here on has as its locktime."""
        return self._number(FOUNDINGS_KEY)

    def kept_until_ms(self, log_id: bytes) -> int:
        """Log time of the last entry that stayed of a log when it was founded anew; 0 for any other log id."""
        return self._number(KEPT_UNTIL_PREFIX + log_id)

    # --- log -------------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of entries applied."""
        return self._number(SIZE_KEY)

    @property
    def time_ms(self) -> int:
        """Log time of the last entry; 0 before the first."""
        return self._number(TIME_KEY)

    def log_root(self, size: int) -> bytes:
        """Return the log's Merkle root over the first `size` entries, at most all of them."""
        return log_tree.root_at(self._view, size)

    def log_leaf(self, index: int) -> bytes:
        """Return the leaf hash of the log's entry `index`, below its size, 32 bytes."""
        return log_tree.leaf(self._view, index)

    # --- charter ---------------------------------------------------------------------------------------------------

    @property
    def charter_record(self) -> CharterRecord | None:
        """The charter in force as recorded; None before the genesis."""
        return self._read(CHARTER, CharterRecord, 0) if self.count(CHARTER) else None

    @property
    def charter(self) -> Charter:
        """The charter in force.

        Raises:
            Refused: GENESIS_MISSING, the log is empty.
        """
        if self._charter is None:
            record = self.charter_record
            if record is None:
                raise refused("GENESIS_MISSING", "the log has no genesis, so no charter is in force")
            self._charter = _memo.decode(Charter, record.charter)
        return self._charter

    def judged_by(self, charter: Charter) -> State:
        """The same records under another charter, for a reader who holds somebody to less than the log allows."""
        state = State(self._view, self.log_id)
        state._charter = charter
        return state

    def key_owner(self, key: bytes) -> str | None:
        """Say whose this key is, or was once; None if no charter ever held it. Of a host key ask for x, 32 bytes."""
        stored = self._view.get(KEY_TAKEN + key)
        return None if stored is None else stored.decode("ascii")

    def person_kind(self, name: str) -> bytes | None:
        """Say which of `person` and `machine` this name stands for, now or once; None for a new name."""
        return self._view.get(PERSON_KIND + name.encode("ascii"))

    # --- witnesses -------------------------------------------------------------------------------------------------

    @property
    def witnesses(self) -> WitnessRecord:
        """Whose votes count.

        Raises:
            Refused: GENESIS_MISSING, the log is empty.
        """
        if not self.count(WITNESSES):
            raise refused("GENESIS_MISSING", "the log has no genesis, so no witness set is in force")
        return self._read(WITNESSES, WitnessRecord, 0)

    def electorates(self) -> tuple[tuple[int, WitnessRecord], ...]:
        """Who could certify heads of which size: each record with the first size it holds for, ascending, from 0.

        Derived: one for the entry that the log is founded on, and one for each time when another electorate came to
        rule since. Heads below an entry that founded the log anew are certified by nobody any more.
        """
        found = []
        for position in range(self._number(ELECTORATES_KEY)):
            stored = self._view.get(ELECTORATE_PREFIX + position.to_bytes(8, "big"))
            if stored is None:
                raise StateDamaged(f"electorate {position} is missing: check the store")
            found.append((int.from_bytes(stored[:8], "big"), _memo.decode(WitnessRecord, stored[8:])))
        return tuple(found)

    @property
    def next_charter(self) -> bytes:
        """Canonical bytes of the charter that comes into force with the next witness set; empty when none waits."""
        return self._view.get(NEXT_CHARTER_KEY) or b""

    # --- orders ----------------------------------------------------------------------------------------------------

    def order(self, order_hash: bytes) -> OrderRecord | None:
        """Return the order with this hash of its bytes."""
        return self._find(ORDER_BY_HASH, order_hash, ORDERS, OrderRecord)

    def order_by_id(self, order_id: bytes) -> OrderRecord | None:
        """Return the first order with this 16-byte id; only freezes and amendments can share one."""
        return self._find(ORDER_BY_ID, order_id, ORDERS, OrderRecord)

    @property
    def orders_count(self) -> int:
        """Number of orders ever accepted."""
        return self.count(ORDERS)

    def order_at(self, sequence: int) -> OrderRecord:
        """Return the order accepted as number `sequence`, from 0."""
        return self._read(ORDERS, OrderRecord, sequence)

    def order_number(self, order_hash: bytes) -> int | None:
        """Return as which number, from 0, the order with this hash was accepted."""
        return self._sequence(ORDER_BY_HASH, order_hash)

    def waiting_numbers(self) -> Iterator[int]:
        """Numbers of the orders that wait for anything but a plan's transaction, in no order; some may have expired."""
        yield from open_sequences(self._view)
        yield from (sequence for _, sequence in schedule.scheduled(self._view))
        amendment = self.witnesses.amendment
        handing_over = self.order_number(amendment) if amendment else None
        if handing_over is not None:
            yield handing_over

    def open_orders(self) -> Iterator[OrderRecord]:
        """Orders that wait for approvals, a delay, a plan or a key, in order of acceptance; some may have expired."""
        for sequence in open_sequences(self._view):
            yield self.order_at(sequence)

    def scheduled_orders(self) -> Iterator[OrderRecord]:
        """Orders that act by themselves when their time comes, earliest first."""
        for _, sequence in schedule.scheduled(self._view):
            yield self.order_at(sequence)

    def acted_at(self, index: int) -> tuple[OrderRecord, ...]:
        """Return the scheduled orders that acted, lapsed or began before the entry at `index` was looked at."""
        stored = self._view.get(ACTED_AT + index.to_bytes(8, "big")) or b""
        starts = range(0, len(stored), 8)
        return tuple(self.order_at(int.from_bytes(stored[start : start + 8], "big")) for start in starts)

    @property
    def next_due_ms(self) -> int | None:
        """Log time at which the next scheduled order acts; None if none is scheduled."""
        return schedule.next_due_ms(self._view)

    # --- vaults ----------------------------------------------------------------------------------------------------

    def vault(self, name: str) -> VaultRecord | None:
        """Return the vault of this name."""
        return self._find(VAULT_BY_NAME, name.encode("ascii"), VAULTS, VaultRecord)

    def vault_by_key(self, group_key: bytes) -> VaultRecord | None:
        """Return the vault with this 33-byte group key."""
        return self._find(VAULT_BY_KEY, group_key, VAULTS, VaultRecord)

    def vaults(self) -> Iterator[VaultRecord]:
        """All vaults in order of birth."""
        for sequence in range(self.count(VAULTS)):
            yield self._read(VAULTS, VaultRecord, sequence)

    # --- freezes ---------------------------------------------------------------------------------------------------

    def freezes(self) -> tuple[FreezeRecord, ...]:
        """All freezes, past and present."""
        return tuple(self._read(FREEZES, FreezeRecord, sequence) for sequence in range(self.count(FREEZES)))

    def freeze(self, freeze_id: bytes) -> FreezeRecord | None:
        """Return the freeze with this id."""
        return self._find(FREEZE_BY_ID, freeze_id, FREEZES, FreezeRecord)

    def standing_freezes(self, now_ms: int) -> Iterator[FreezeRecord]:
        """Freezes neither lifted nor lapsed at `now_ms`."""
        stored = self._view.get(STANDING_KEY) or b""
        for start in range(0, len(stored), 8):
            record = self._read(FREEZES, FreezeRecord, int.from_bytes(stored[start : start + 8], "big"))
            if not record.lifted and (record.lapses_ms == 0 or now_ms < record.lapses_ms):
                yield record

    def active_freeze(self, vault: str, now_ms: int) -> FreezeRecord | None:
        """Return a freeze that stops this vault at `now_ms`, if there is one."""
        for record in self.standing_freezes(now_ms):
            if record.scope is Scope.ALL or record.vault == vault:
                return record
        return None

    # --- the address book and break-glass --------------------------------------------------------------------------

    def destination(self, chain: str, address: str) -> DestinationRecord | None:
        """Return the newest entry of the address book for an address of a chain (CAIP-2), standing or removed."""
        return self._find(DESTINATION_BY_ADDRESS, destination_name(chain, address), DESTINATIONS, DestinationRecord)

    def destination_of(self, action: Withdraw) -> DestinationRecord | None:
        """Return what the address book has of the destination that a withdrawal pays, on its asset's own chain."""
        return self.destination(action.asset.partition("/")[0], action.destination)

    def destination_at(self, sequence: int) -> DestinationRecord:
        """Return the entry made as number `sequence`, from 0, below `count(DESTINATIONS)`."""
        return self._read(DESTINATIONS, DestinationRecord, sequence)

    def break_glass_orders(self) -> Iterator[OrderRecord]:
        """Orders to break the glass that are open, in order of acceptance; some may have expired."""
        stored = self._view.get(BREAK_GLASS_KEY) or b""
        for start in range(0, len(stored), 8):
            yield self.order_at(int.from_bytes(stored[start : start + 8], "big"))

    # --- plans -----------------------------------------------------------------------------------------------------

    def plan(self, plan_hash: bytes) -> PlanRecord | None:
        """Return the plan with this hash."""
        return self._find(PLAN_BY_HASH, plan_hash, PLANS, PlanRecord)

    def plan_by_txid(self, txid: bytes) -> PlanRecord | None:
        """Return the plan whose transaction has this id (32 bytes, internal order)."""
        return self._find(PLAN_BY_TXID, txid, PLANS, PlanRecord)

    def plans_of(self, order_hash: bytes) -> tuple[PlanRecord, ...]:
        """Return all plans of an order, oldest first."""
        record = self.order(order_hash)
        return () if record is None else tuple(self.known_plan(plan_hash) for plan_hash in record.plans)

    def known_plan(self, plan_hash: bytes) -> PlanRecord:
        """Return a plan that another record names."""
        record = self.plan(plan_hash)
        if record is None:
            raise StateDamaged(f"plan {plan_hash.hex()} is named by an order but has no record")
        return record

    def plans_spending(self, txid: bytes, vout: int) -> tuple[PlanRecord, ...]:
        """Return all plans that spend this outpoint, oldest first."""
        stored = self._view.get(PLANS_BY_OUTPOINT.key(outpoint_name(txid, vout))) or b""
        sequences = (int.from_bytes(stored[start : start + 8], "big") for start in range(0, len(stored), 8))
        return tuple(self._read(PLANS, PlanRecord, sequence) for sequence in sequences)

    # --- windows ---------------------------------------------------------------------------------------------------

    def window_total(self, vault_globs: tuple[str, ...], asset: str, since_ms: int, now_ms: int) -> int:
        """Sum of payments of an asset first planned after `since_ms` and up to `now_ms`, from all matching vaults."""
        return sum(
            windows.total(self._view, windows.payment_series(vault.name, asset), since_ms, now_ms)
            for vault in self.vaults()
            if any(glob_match(glob, vault.name) for glob in vault_globs)
        )

    def fee_window_total(self, vault: str, since_ms: int, now_ms: int) -> int:
        """Sum of what a vault's plans added in network fees after `since_ms` and up to `now_ms`, in satoshi."""
        return windows.total(self._view, windows.fee_series(vault), since_ms, now_ms)

    # --- quotas ----------------------------------------------------------------------------------------------------

    def quota(self, author: str) -> QuotaRecord | None:
        """Return what this author wrote last; the coordinator has the empty name."""
        return self._find(QUOTA_BY_AUTHOR, author.encode("ascii"), QUOTAS, QuotaRecord)

    # --- digest and proofs -----------------------------------------------------------------------------------------

    def digest(self) -> bytes:
        """Return the state digest at the end of the last batch, 32 bytes; only a finished batch has one."""
        return state_digest(self.charter.rule_set, self.time_ms, self.table_roots())

    def stored_digest(self) -> bytes | None:
        """Return the state digest as stored at the end of the last batch; None before the first."""
        return self._view.get(DIGEST_KEY)

    def table_roots(self) -> tuple[TableRoot, ...]:
        """Count and root of each table in the order of the digest."""
        return tuple(
            TableRoot(count=tree_table.size(self._view, table), root=tree_table.root(self._view, table))
            for table in TABLES
        )

    def record_proof(self, table: bytes, name: bytes) -> RecordProofData:
        """Return a record with its path to the state digest.

        Args:
            table: one of `TABLES`.
            name: order hash, plan hash, freeze id, a vault's name in ASCII, or `destination_name`; empty for the
                charter and the witnesses.

        Raises:
            StateDamaged: there is no such record. The caller asks only for what it found before.
        """
        sequence = 0 if table in (CHARTER, WITNESSES) else self._sequence(_INDEX_OF[table], name)
        if sequence is None or sequence >= self.count(table):
            raise StateDamaged(f"table {table.decode()} has no record {name.hex()} to prove")
        return self.record_proof_at(table, sequence)

    def record_proof_at(self, table: bytes, sequence: int) -> RecordProofData:
        """Return the record number `sequence` of a table, below its count, with its path to the state digest."""
        return RecordProofData(
            table=table,
            record=self._bytes(table, sequence),
            sequence=sequence,
            path=tree_table.inclusion_proof(self._view, table, sequence),
            table_roots=self.table_roots(),
            rule_set=self.charter.rule_set,
            time_ms=self.time_ms,
        )

    def count(self, table: bytes) -> int:
        """Number of records of a table."""
        return self._number(COUNT_PREFIX + table)

    # --- reading ---------------------------------------------------------------------------------------------------

    def _number(self, key: bytes) -> int:
        stored = self._view.get(key)
        return 0 if stored is None else int.from_bytes(stored, "big")

    def _bytes(self, table: bytes, sequence: int) -> bytes:
        data = self._view.get(record_key(table, sequence))
        if data is None:
            raise StateDamaged(f"record {sequence} of table {table.decode()} is missing: check the store")
        return data

    def _read(self, table: bytes, cls: type[M], sequence: int) -> M:
        try:
            return _memo.decode(cls, self._bytes(table, sequence))
        except NotCanonical as error:
            what = f"record {sequence} of table {table.decode()} is damaged: {error.message}"
            raise StateDamaged(what) from error

    def _sequence(self, index: Index, name: bytes) -> int | None:
        stored = self._view.get(index.key(name))
        return None if stored is None else int.from_bytes(stored, "big")

    def _find(self, index: Index, name: bytes, table: bytes, cls: type[M]) -> M | None:
        sequence = self._sequence(index, name)
        return None if sequence is None else self._read(table, cls, sequence)


_INDEX_OF: Final = {
    FREEZES: FREEZE_BY_ID,
    VAULTS: VAULT_BY_NAME,
    ORDERS: ORDER_BY_HASH,
    PLANS: PLAN_BY_HASH,
    DESTINATIONS: DESTINATION_BY_ADDRESS,
}
