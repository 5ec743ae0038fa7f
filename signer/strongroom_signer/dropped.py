"""What a signer knows beyond the head that a restart names: it is dropped, but may have been signed elsewhere.

The newest batch is certified by whoever got all its votes, so the others hold it without a certificate. When the log is
founded anew below it or beside it, its plans may have transactions, and keys that its amendments took stay taken.

Spec: docs/protocol/restart.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from strongroom.ledger import codec
from strongroom.ledger.charter import encode_charter
from strongroom.ledger.charter_changes import revoked_keys
from strongroom.ledger.entry_messages import Entry, OrderEntry, Plan
from strongroom.ledger.merkle import leaf_hash
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.plans import plan_hash
from strongroom.ledger.records import OrderState, PlanRecord
from strongroom.ledger.state import State, decode_order
from strongroom.model.ids import LogId
from strongroom_signer.log_copy import rebuild
from strongroom_signer.revocations import HandedRevocation
from strongroom_signer.rows import InboxItem
from strongroom_signer.store import Store, StoreFailed

__all__ = ["Dropped", "dropped_by"]

_ENTRIES_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """What ends with the log before.

    Attributes:
        entries: Those that this signer held and that do not stay, in log order.
        plans: Plans that it held and that do not stay: somebody may have signed each.
        revocation: The keys of people that the dropped entries took and the charter that stays has; None when there are
            none.
    """

    entries: tuple[bytes, ...]
    plans: tuple[PlanRecord, ...]
    revocation: InboxItem | None


def dropped_by(store: Store, log_id: LogId, kept: State, *, now_ms: int) -> Dropped:
    """Read what this signer holds and the log that begins does not.

    Args:
        store: The signer's database, as it was before the restart.
        log_id: The pinned log id so far.
        kept: The state at the head that the restart names.
        now_ms: The own clock.

    Raises:
        StoreFailed: the stored log is damaged.
    """
    if not store.size():
        return Dropped(entries=(), plans=(), revocation=None)
    dropped = {index: data for index, data in _unfinal(store, log_id) if not _stays(kept, index, data)}
    own = rebuild(store, store, log_id, store.size()).state()
    bodies = (codec.decode(Entry, data).body for _, data in _unfinal(store, log_id))
    names = (plan_hash(codec.encode(body)) for body in bodies if isinstance(body, Plan))
    plans = tuple(own.known_plan(name) for name in names if kept.plan(name) is None)
    # A signer that was away lacks keys that the log took up since; its own way never had those, so nobody revoked them.
    lacking = revoked_keys(kept.charter, own.charter)
    keys = frozenset(key for key in lacking if own.key_owner(key) is not None)
    revocation = _revocation(store, own, keys, now_ms) if keys else None
    return Dropped(entries=tuple(dropped.values()), plans=plans, revocation=revocation)


def _unfinal(store: Store, log_id: LogId) -> Iterator[tuple[int, bytes]]:
    """Stored entries that are not final here, with their indexes; what is final always stays."""
    final, size = State(store, log_id).size, store.size()
    return enumerate(store.entries(final, size) if size > final else (), final)


def _stays(kept: State, index: int, data: bytes) -> bool:
    return index < kept.size and kept.log_leaf(index) == leaf_hash(data)


def _revocation(store: Store, own: State, keys: frozenset[bytes], now_ms: int) -> InboxItem:
    """The keys as a word that was handed in, under the order that put the newest charter in force."""
    word = HandedRevocation(order=_amending_entry(store, own), keys=tuple(sorted(keys)))
    return InboxItem(id=word.order_hash, kind="revocation", body=codec.encode(word), since_ms=now_ms, salvaged=True)


def _amending_entry(store: Store, own: State) -> OrderEntry:
    """The entry that brought in the order which put the charter in force: only an amendment takes keys of people."""
    charter = encode_charter(own.charter)
    for end in range(store.size(), 0, -_ENTRIES_AT_ONCE):
        stored = reversed(store.entries(max(0, end - _ENTRIES_AT_ONCE), end))
        bodies = (codec.decode(Entry, data).body for data in stored)
        for body in (one for one in bodies if isinstance(one, OrderEntry)):
            match decode_order(body.order).action:
                case AmendCharter(charter=wanted) if wanted == charter and _has_acted(own, body):
                    return body
    raise StoreFailed("no entry asks for the charter that this signer's log has in force")


def _has_acted(own: State, body: OrderEntry) -> bool:
    """Whether an order acted: anybody may have logged another one for the same charter, and let it be rejected."""
    record = own.order(sha256(body.order).digest())
    return record is not None and record.state is OrderState.DONE
