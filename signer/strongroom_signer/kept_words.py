"""What becomes of people's words when the log is founded anew: no log takes them up any more, and every "no" stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Entry, OrderEntry
from strongroom.ledger.state import State, decode_order
from strongroom_signer.dropped import Dropped
from strongroom_signer.revocations import HandedRevocation
from strongroom_signer.rows import InboxItem
from strongroom_signer.word_life import MAX_OF_PERSON
from strongroom_signer.words import person_in, rejection_in, said_in, salvaged_from

__all__ = ["KeptWords", "kept_words", "log_id_of_word", "revoked_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWords:
    """What to write.

    Attributes:
        salvaged: Words out of dropped entries that act here from now on.
        forgotten: Ids of words of the inbox about what can never be paid any more.
    """

    salvaged: tuple[InboxItem, ...]
    forgotten: tuple[bytes, ...]


def kept_words(inbox: Sequence[InboxItem], dropped: Dropped, state: State, *, now_ms: int) -> KeptWords:
    """Keep freezes, revocations, and rejections of what can still be paid.

    Of one person as many as there is room for, as for a term that drops entries.

    Args:
        inbox: What was handed in before.
        dropped: What ends with the log before.
        state: Of the log that begins.
        now_ms: The own clock.
    """
    held = Counter(person_in(item) for item in inbox if item.kind != "revocation")
    found: dict[bytes, InboxItem] = {}
    known = {item.id: item for item in inbox}
    for data in dropped.entries:
        item = salvaged_from(codec.decode(Entry, data).body, now_ms)
        if item is not None and item.id not in known and item.id not in found and _still_acts(item, state):
            person = person_in(item)
            if held[person] < MAX_OF_PERSON:
                held[person] += 1
                found[item.id] = item
    forgotten = [item.id for item in inbox if not _still_acts(item, state)]
    revocation = dropped.revocation
    if revocation is not None and revocation.id in known:
        # The dropped entries may hold amendments before it, which took other keys.
        forgotten.append(revocation.id)
        revocation = _joined(known[revocation.id], revocation)
    if revocation is not None:
        found[revocation.id] = revocation
    return KeptWords(salvaged=tuple(found.values()), forgotten=tuple(forgotten))


def _joined(handed: InboxItem, dropped: InboxItem) -> InboxItem:
    """One revocation that takes the keys of both."""
    word = codec.decode(HandedRevocation, handed.body)
    joined = replace(word, keys=tuple(sorted(revoked_in([handed, dropped]))))
    return replace(handed, body=codec.encode(joined), salvaged=True)


def _still_acts(item: InboxItem, state: State) -> bool:
    if item.kind != "rejection":
        return True
    record = state.order(rejection_in(item).order_hash)
    return record is not None and bool(record.plans)


def revoked_in(inbox: Iterable[InboxItem]) -> frozenset[bytes]:
    """Public keys, 32 bytes each, that the administrators revoked by words which the log does not hold yet."""
    said = (said_in(item) for item in inbox)
    return frozenset(key for one in said if isinstance(one, HandedRevocation) for key in one.keys)


def log_id_of_word(item: InboxItem) -> bytes:
    """The log id that a word of the inbox was said for, 32 bytes: no other log takes it up."""
    said = said_in(item)
    if item.kind == "rejection":
        return rejection_in(item).log_id
    entry = said.order if isinstance(said, HandedRevocation) else codec.decode(OrderEntry, item.body)
    return decode_order(entry.order).log_id
