"""The witness set changes: wanted, then joint, then the new one alone; or it lapses while it is only wanted.

A set takes over only where no head is ever certified by one set behind the other's back. So heads need quorums of both
from the entry that shows both to stand behind one head, until that very entry is final by both: from then on every base
that a quorum of the old set can open a term with needs the new set too.

Spec: docs/protocol/witnesses.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from strongroom.ledger import codec, merkle
from strongroom.ledger.certificate_messages import Certificate, StateSummary
from strongroom.ledger.certification import BadCertificate, final_size, verify_certificate
from strongroom.ledger.charter import Charter, encode_charter
from strongroom.ledger.electorate import Electorate, witness_set_of
from strongroom.ledger.entry_messages import Handover
from strongroom.ledger.handlers.decoding import decode_inner
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.merkle import ProofInvalid
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.reasons import refused
from strongroom.ledger.record_proof import TableRoot, state_digest
from strongroom.ledger.records import TABLES, CharterRecord, OrderRecord, OrderState, WitnessPhase, WitnessRecord
from strongroom.ledger.state import WITNESSES, State

__all__ = [
    "apply_handover",
    "begin_change",
    "changes_witnesses",
    "give_up_change",
    "lapse_change",
    "start_witnesses",
    "summary_digest",
]


def start_witnesses(state: MutableState, charter: Charter, at: Position) -> None:
    """Put the genesis charter's signers in force as the first witness set."""
    record = WitnessRecord(
        number=1,
        phase=WitnessPhase.STEADY,
        since_size=at.index + 1,
        current=witness_set_of(charter),
        amendment=b"",
    )
    # The first batch and the first term's base, the empty log, are this set's already.
    state.set_witnesses(record, rules_from=0)


def changes_witnesses(state: State, charter: Charter) -> bool:
    """Whether a charter has other vote keys, names of signers or another quorum than the set in force.

    The order in which it lists them, and their other keys, are no reason to hand over.
    """
    current, wanted = state.witnesses.current, witness_set_of(charter)
    return frozenset(current.signers) != frozenset(wanted.signers) or current.quorum != wanted.quorum


def begin_change(
    state: MutableState, record: OrderRecord, charter: Charter, at: Position, *, lapses_ms: int
) -> OrderRecord:
    """Begin to hand over to the signers of a charter whose time has come, instead of putting it in force.

    Args:
        state: The state.
        record: The amendment's order.
        charter: The charter it asks for; it comes into force with its signers.
        at: Where this happens.
        lapses_ms: Log time at which the change is given up.

    Returns:
        The order as it stands then: scheduled for no time, or lapsed when another change is under way or its time is
        over. The caller records it.
    """
    witnesses = state.witnesses
    if witnesses.phase is not WitnessPhase.STEADY or lapses_ms <= at.time_ms:
        return replace(record, state=OrderState.LAPSED, ended_ms=at.time_ms)
    state.set_witnesses(
        replace(
            witnesses,
            phase=WitnessPhase.WANTED,
            since_size=at.index + 1,
            next=witness_set_of(charter),
            amendment=record.hash,
            lapses_ms=lapses_ms,
        )
    )
    state.keep_next_charter(encode_charter(charter))
    return replace(record, state=OrderState.SCHEDULED, due_ms=0)


def lapse_change(state: MutableState, at: Position) -> None:
    """Give a change up that nobody completed in time; asked before every entry."""
    if state.charter_record is None:
        return
    witnesses = state.witnesses
    if witnesses.phase is WitnessPhase.WANTED and at.time_ms >= witnesses.lapses_ms:
        give_up_change(state, at, OrderState.LAPSED)


def give_up_change(state: MutableState, at: Position, end: OrderState) -> bool:
    """Go back to the set in force alone, and end the amendment.

    Returns:
        False when no change can be given up: none is under way, or both sets are in force already.
    """
    witnesses = state.witnesses
    if witnesses.phase is not WitnessPhase.WANTED:
        return False
    _end_amendment(state, witnesses, at, end)
    state.set_witnesses(_steady(witnesses, at))
    state.keep_next_charter(b"")
    return True


def apply_handover(
    state: MutableState, body: Handover, at: Position, *, check: Callable[[State, Charter], None]
) -> None:
    """Take the next step of a change.

    Args:
        state: The state.
        body: The entry.
        at: Where it stands.
        check: Refuses a charter that cannot follow the one in force any more: a vault may have been made since.
    """
    witnesses = state.witnesses
    wanted = witnesses.next
    if wanted is None:
        raise refused("HANDOVER_NOT_WANTED", "no change of the witness set is under way")
    both = Electorate(witnesses.current, wanted)
    _check_certificate(state, witnesses, body.certificate, both, at)
    if witnesses.phase is WitnessPhase.WANTED:
        if body.summary is not None:
            raise refused("HANDOVER_PROOF", "the first handover of a change carries no summary of the state")
        check(state, decode_inner(Charter, state.next_charter))
        joint = replace(witnesses, phase=WitnessPhase.JOINT, since_size=at.index + 1, lapses_ms=0)
        state.set_witnesses(joint, rules_from=at.index + 1)
        return
    if final_size(body.certificate) < witnesses.since_size:
        raise refused(
            "HANDOVER_NOT_FINAL",
            f"the votes make {final_size(body.certificate)} entries final, and both sets vote since entry "
            f"{witnesses.since_size - 1}",
        )
    _check_summary(body, witnesses)
    _complete(state, witnesses, at)


def _check_certificate(
    state: State, witnesses: WitnessRecord, certificate: Certificate, both: Electorate, at: Position
) -> None:
    """A head of this very log, from within the phase, with votes of both sets."""
    head = certificate.head
    if not witnesses.since_size <= head.size <= at.index:
        raise refused(
            "HANDOVER_HEAD", f"the head at {head.size} is not within entries {witnesses.since_size} to {at.index}"
        )
    if state.log_root(head.size) != head.root:
        raise refused("HANDOVER_HEAD", f"the head at {head.size} is not one of this log")
    try:
        verify_certificate(certificate, log_id=state.log_id, electorate=both)
    except BadCertificate as error:
        raise refused("HANDOVER_VOTES", f"the votes are not of both witness sets: {error.message}") from error


def _check_summary(body: Handover, witnesses: WitnessRecord) -> None:
    """The certified state is one in which both sets were in force, for those who have no log to replay."""
    summary = body.summary
    if summary is None:
        raise refused("HANDOVER_PROOF", "the second handover of a change carries a summary of the certified state")
    try:
        digest = summary_digest(summary)
    except ProofInvalid as error:
        raise refused("HANDOVER_PROOF", error.message) from error
    if digest != body.certificate.head.state_digest:
        raise refused("HANDOVER_PROOF", "the summary is not that of the certified state")
    table = summary.tables[TABLES.index(WITNESSES)]
    if table.root != merkle.root_of([merkle.leaf_hash(codec.encode(witnesses))]):
        raise refused("HANDOVER_PROOF", "the certified state is not one with both witness sets")


def summary_digest(summary: StateSummary) -> bytes:
    """The state digest that a summary opens, 32 bytes.

    Raises:
        ProofInvalid: it does not list the tables of the state, or a number does not fit.
    """
    tables = tuple(TableRoot(count=table.count, root=table.root) for table in summary.tables)
    return state_digest(summary.rule_set, summary.time_ms, tables)


def _complete(state: MutableState, witnesses: WitnessRecord, at: Position) -> None:
    """Let the next set alone vote from here on, and put its charter in force.

    Every vault fits that charter: those of before were looked at when both sets came to rule, and those made since,
    when they were made.
    """
    data = state.next_charter
    charter = decode_inner(Charter, data)
    state.change_charter(CharterRecord(log_id=state.log_id, charter=data, since_ms=at.time_ms), charter)
    state.keep_next_charter(b"")
    _end_amendment(state, witnesses, at, OrderState.DONE)
    steady = replace(_steady(witnesses, at), number=witnesses.number + 1, current=witness_set_of(charter))
    state.set_witnesses(steady, rules_from=at.index + 1)


def _steady(witnesses: WitnessRecord, at: Position) -> WitnessRecord:
    return replace(witnesses, phase=WitnessPhase.STEADY, since_size=at.index + 1, next=None, amendment=b"", lapses_ms=0)


def _end_amendment(state: MutableState, witnesses: WitnessRecord, at: Position, end: OrderState) -> None:
    record = state.order(witnesses.amendment)
    if record is not None:
        state.change_order(replace(record, state=end, ended_ms=at.time_ms))
        state.note_acted(record, at.index)
