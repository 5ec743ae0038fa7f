"""What a signer knows beyond the head that a restart names: it is dropped, but may have been signed elsewhere.

The newest batch is certified by whoever got all its votes, so the others hold it without a certificate. When the log is
founded anew below it, its plans may have transactions, and the keys that its amendments took are taken all the same.

Spec: docs/protocol/restart.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from strongroom.ledger import codec
from strongroom.ledger.charter import Charter, encode_charter
from strongroom.ledger.charter_changes import revoked_keys
from strongroom.ledger.entry_messages import Entry, OrderEntry, Plan
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.plans import plan_hash
from strongroom.ledger.records import PlanRecord
from strongroom.ledger.state import State, decode_order
from strongroom.model.ids import LogId
from strongroom_signer.log_copy import rebuild
from strongroom_signer.revocations import HandedRevocation
from strongroom_signer.rows import InboxItem
from strongroom_signer.store import Store

__all__ = ["Dropped", "dropped_by"]

_ENTRIES_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """What ends with the log before.

    Attributes:
        entries: Those that this signer held and that do not stay, in log order.
        plans: Plans among them: somebody may have signed each.
        charter: The newest that this signer knew.
        revocation: The keys of people that it lacks and the charter that stays has; None when there are none.
    """

    entries: tuple[bytes, ...]
    plans: tuple[PlanRecord, ...]
    charter: Charter
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
        return Dropped(entries=(), plans=(), charter=kept.charter, revocation=None)
    entries = tuple(data for index, data in _unfinal(store, log_id) if index >= kept.size)
    own = rebuild(store, store, log_id, store.size()).state()
    bodies = (codec.decode(Entry, data).body for _, data in _unfinal(store, log_id))
    names = (plan_hash(codec.encode(body)) for body in bodies if isinstance(body, Plan))
    plans = tuple(own.known_plan(name) for name in names if kept.plan(name) is None)
    keys = revoked_keys(kept.charter, own.charter)
    revocation = _revocation(store, own, keys, now_ms) if keys else None
    return Dropped(entries=entries, plans=plans, charter=own.charter, revocation=revocation)


def _unfinal(store: Store, log_id: LogId) -> Iterator[tuple[int, bytes]]:
    """Stored entries that are not final here, with their indexes; what is final always stays."""
    final, size = State(store, log_id).size, store.size()
    return enumerate(store.entries(final, size) if size > final else (), final)


def _revocation(store: Store, own: State, keys: frozenset[bytes], now_ms: int) -> InboxItem:
    """The keys as a word that was handed in, under the order that asked for the newest charter."""
    word = HandedRevocation(order=_entry_of(store, _amendment(own)), keys=tuple(sorted(keys)))
    return InboxItem(id=word.order_hash, kind="revocation", body=codec.encode(word), since_ms=now_ms)


def _amendment(own: State) -> bytes:
    """Hash of the newest order that asked for the charter in force: only an amendment takes keys of people."""
    charter = encode_charter(own.charter)
    orders = map(own.order_at, reversed(range(own.orders_count)))
    asked = ((order.hash, decode_order(order.order).action) for order in orders)
    amendments = ((name, action.charter) for name, action in asked if isinstance(action, AmendCharter))
    return next(name for name, wanted in amendments if wanted == charter)


def _entry_of(store: Store, order_hash: bytes) -> OrderEntry:
    """The entry that brought an order into the stored log."""
    ends = range(store.size(), 0, -_ENTRIES_AT_ONCE)
    stored = (data for end in ends for data in store.entries(max(0, end - _ENTRIES_AT_ONCE), end))
    bodies = (codec.decode(Entry, data).body for data in stored)
    orders = (body for body in bodies if isinstance(body, OrderEntry))
    return next(body for body in orders if hashlib.sha256(body.order).digest() == order_hash)
