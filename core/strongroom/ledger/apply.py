"""`apply`: one entry changes the state, or is refused and leaves no trace. Deterministic; time is log time only.

An order that was scheduled acts at the first entry whose time is not before its own, and before that entry is handled.
The coordinator asks before it appends, each signer before it votes, and an auditor for every entry ever logged; all run
this code. Rule set 1 is the only one so far; a charter that asks for another is refused at the genesis.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from strongroom.ledger.entry_messages import (
    Endorse,
    Entry,
    Epoch,
    Genesis,
    Handover,
    OrderEntry,
    Plan,
    Restart,
    SignerFreeze,
    Tick,
    Vault,
)
from strongroom.ledger.handlers.actions import act_of
from strongroom.ledger.handlers.amending import check_amendment
from strongroom.ledger.handlers.epochs import apply_epoch
from strongroom.ledger.handlers.freezing import apply_signer_freeze
from strongroom.ledger.handlers.genesis import apply_genesis
from strongroom.ledger.handlers.orders import apply_endorse, apply_order
from strongroom.ledger.handlers.planning import apply_plan
from strongroom.ledger.handlers.position import COORDINATOR, Author, Position
from strongroom.ledger.handlers.restarting import apply_restart
from strongroom.ledger.handlers.vaults import apply_vault
from strongroom.ledger.handlers.witnesses import apply_handover, lapse_change
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.reasons import Refused, refused
from strongroom.ledger.records import OrderState, QuotaRecord
from strongroom.ledger.state import decode_order

__all__ = ["apply"]

LAST_TIME_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999: with what a charter may let people wait, sums stay far below 2^64."""
_DAY_MS: Final = 24 * 60 * 60 * 1000


def apply(state: MutableState, entry: Entry, entry_bytes: bytes, index: int) -> None:
    """Apply one entry at its place.

    Args:
        state: the state that the entries before left; its overlay takes the changes.
        entry: the decoded entry.
        entry_bytes: its canonical bytes, at most 65,535.
        index: its index in the log, from 0.

    Raises:
        Refused: the entry does not belong here; `facts["entry"]` is the index, and nothing changed. Its author or the
            coordinator is at fault.
    """
    state.overlay.begin()
    try:
        _apply(state, entry, entry_bytes, index)
    except Refused as refusal:
        state.rollback()
        refusal.facts["entry"] = str(index)
        raise
    except BaseException:
        state.rollback()
        raise
    state.overlay.commit()


def _apply(state: MutableState, entry: Entry, entry_bytes: bytes, index: int) -> None:
    at = Position(index=index, time_ms=entry.time_ms)
    if not 0 < entry.time_ms <= LAST_TIME_MS:
        raise refused("ENTRY_TIME_RANGE", f"the entry's time {entry.time_ms} is not in the years 1970 to 9999")
    if entry.time_ms < state.time_ms:
        raise refused("ENTRY_TIME_FELL", f"the entry's time {entry.time_ms} is before {state.time_ms}")
    if not isinstance(entry.body, Genesis) and state.charter_record is None:
        raise refused("GENESIS_MISSING", "the first entry of a log is its genesis")
    if not isinstance(entry.body, Restart):
        # What was scheduled when the log is founded anew belongs to the log that ends there.
        lapse_change(state, at)
        _act_when_due(state, at)
    author = _handle(state, entry, at)
    if author is not None:
        _check_quota(state, author, len(entry_bytes), at)
    state.append_leaf(index, entry_bytes, entry.time_ms)


def _act_when_due(state: MutableState, at: Position) -> None:
    """Let every scheduled order act whose time has come, before the entry itself is looked at."""
    while (record := state.due_order(at.time_ms)) is not None:
        changed = act_of(decode_order(record.order)).due(state, record, at)
        if changed.state is OrderState.SCHEDULED:
            # From here on it waits for what it began to be finished.
            changed = replace(changed, due_ms=0)
        state.change_order(changed)
        state.note_acted(changed, at.index)


def _handle(state: MutableState, entry: Entry, at: Position) -> Author | None:
    """Let the handler of the body's type check and change; return whose quota the entry counts against."""
    match entry.body:
        case Genesis() | Handover() | Restart():
            _change_signers(state, entry, at)
            return None
        case OrderEntry():
            return apply_order(state, entry.body, at)
        case Endorse():
            return apply_endorse(state, entry.body, at)
        case SignerFreeze():
            apply_signer_freeze(state, entry.body, at)
            return None
        case Vault():
            apply_vault(state, entry.body, at)
            return COORDINATOR
        case Epoch():
            apply_epoch(state, entry.body, at)
            return COORDINATOR
        case Plan():
            apply_plan(state, entry.body, at)
            return COORDINATOR
        case Tick():
            return COORDINATOR


def _change_signers(state: MutableState, entry: Entry, at: Position) -> None:
    """Handle what says whose votes count: so few entries that nobody's quota may stand in their way."""
    if isinstance(entry.body, Genesis):
        apply_genesis(state, entry.body, at)
    elif isinstance(entry.body, Handover):
        apply_handover(state, entry.body, at, check=check_amendment)
    elif isinstance(entry.body, Restart):
        apply_restart(state, entry.body, entry, at)


def _check_quota(state: MutableState, author: Author, size: int, at: Position) -> None:
    """Count an entry against its author's day of log time."""
    log = state.charter.log
    most = log.coordinator_bytes_per_day if author == COORDINATOR else log.person_bytes_per_day
    day = at.time_ms // _DAY_MS
    record = state.quota(author.name)
    used = record.used_bytes if record is not None and record.day == day else 0
    if used + size > most:
        who = author.name or "the coordinator"
        raise refused("LOG_QUOTA", f"{who} wrote {used} of {most} bytes today, and this entry has {size}", author=who)
    state.set_quota(QuotaRecord(author=author.name, day=day, used_bytes=used + size))
