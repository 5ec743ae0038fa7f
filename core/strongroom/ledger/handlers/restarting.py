"""The log is founded anew: what was certified stays, and everything else begins again under another log id.

This is the one act that the promise of exact history does not span: entries that only lost signers knew are gone. So
whatever they may have held must not happen a second time. Orders without a plan end, since a lost plan may have paid
them; orders with one stay payable, because every further plan of theirs spends all coins of one that the lost plans had
to exclude (`strongroom.ledger.conflict`). And everything is frozen until the unfreeze quorum thaws it.

Spec: docs/protocol/restart.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from strongroom.crypto import ed25519
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.certification import BadCertificate, verify_certificate
from strongroom.ledger.charter import Charter
from strongroom.ledger.electorate import Electorate, witness_set_of
from strongroom.ledger.entry_messages import Entry, Restart, RestartStatement
from strongroom.ledger.founding import restart_entry, restart_log_id, statement_hash
from strongroom.ledger.handlers.amending import check_successor
from strongroom.ledger.handlers.decoding import decode_inner
from strongroom.ledger.handlers.position import Position
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.order_messages import BreakGlass, Scope
from strongroom.ledger.pae import pae
from strongroom.ledger.reasons import refused
from strongroom.ledger.records import (
    CharterRecord,
    FreezeRecord,
    OrderRecord,
    OrderState,
    WitnessPhase,
    WitnessRecord,
)
from strongroom.ledger.rules import person_key_known, quorum_members
from strongroom.ledger.signed_messages import RestartApproval, Signed
from strongroom.ledger.state import State, decode_order
from strongroom.model.ids import LogId

__all__ = [
    "FREEZE_REASON",
    "apply_restart",
    "approvers_of",
    "check_head",
    "check_restart",
    "check_restart_charter",
]

FREEZE_REASON: Final = "the log was founded anew: what was lost may have paid; look at the chain before you thaw"


def apply_restart(state: MutableState, body: Restart, entry: Entry, at: Position) -> None:
    """Found the log anew, where the pinned log id says that it was; `entry` is the one that holds `body`."""
    if state.log_id == state.pinned_id:
        raise refused(
            "RESTART_NOT_PINNED",
            f"entry {at.index} founds the log anew with the id {restart_log_id(body).hex()}, and "
            f"{state.pinned_id.hex()} is pinned here",
            log_id=restart_log_id(body).hex(),
        )
    charter = check_restart(state, body)
    if entry != restart_entry(body):
        raise refused("RESTART_ENTRY", "the time or the salt of the entry is not the one that its statement gives")
    statement = decode_inner(RestartStatement, body.statement)
    _end_orders(state, at)
    log_id = restart_log_id(body)
    state.found_anew(
        CharterRecord(log_id=log_id, charter=statement.charter, since_ms=at.time_ms),
        charter,
        WitnessRecord(
            number=1,
            phase=WitnessPhase.STEADY,
            since_size=at.index + 1,
            current=witness_set_of(charter),
            amendment=b"",
        ),
    )
    state.add_freeze(_freeze(log_id, at), now_ms=at.time_ms)


# --- checks, without the pin: for whoever makes, signs or reads a restart ---------------------------------------------


def check_restart(state: State, restart: Restart) -> Charter:
    """Check everything about a restart against the state that it follows.

    Args:
        state: After the last batch that stays; its digest is that of this batch.
        restart: Complete.

    Returns:
        The charter that it puts in force.

    Raises:
        Refused: it does not hold there; who made it is at fault.
    """
    statement = decode_inner(RestartStatement, restart.statement)
    check_head(state, statement, restart.certificate)
    charter = check_restart_charter(state, statement)
    _check_quorum(state, restart)
    return charter


def check_head(state: State, statement: RestartStatement, certificate: Certificate | None) -> None:
    """Check that the log ends at the head which the statement names, and that this head is certified.

    Raises:
        Refused: WRONG_LOG, RESTART_HEAD or RESTART_CERTIFICATE; ENTRY_TIME_FELL, the statement is older than the log.
    """
    head = statement.head
    if head.log_id != state.log_id:
        raise refused("WRONG_LOG", f"the statement is about log {head.log_id.hex()}, not {state.log_id.hex()}")
    if head.size != state.size:
        raise refused("RESTART_HEAD", f"the statement keeps {head.size} entries, and here are {state.size}")
    if head.root != state.log_root(state.size):
        raise refused("RESTART_HEAD", f"the statement names another root than this log has at {head.size}")
    if head.state_digest != state.stored_digest():
        raise refused("RESTART_HEAD", f"the statement names another state than the entries give at {head.size}")
    if statement.made_ms < state.time_ms:
        raise refused("ENTRY_TIME_FELL", f"the statement's time {statement.made_ms} is before {state.time_ms}")
    if certificate is None:
        if head.term or head.size != state.founded_size:
            raise refused("RESTART_CERTIFICATE", "only a log in which nothing was certified yet needs no certificate")
        return
    if certificate.head != head:
        raise refused("RESTART_CERTIFICATE", "the certificate is for another head than the one that is named")
    try:
        # Who certifies a head follows from the state at it.
        verify_certificate(certificate, log_id=state.log_id, electorate=Electorate.of(state.witnesses))
    except BadCertificate as error:
        raise refused("RESTART_CERTIFICATE", f"the head at {head.size} is not certified: {error.message}") from error


def check_restart_charter(state: State, statement: RestartStatement) -> Charter:
    """Check that a statement's charter can follow, and that it changes vote and witness keys, w, and nothing else.

    Everything else has its own way into the charter, with its delay: a disaster must not be a way around that. The
    names stay because w of them are more than half: no two restarts of one head are each followed by enough of them.

    Raises:
        Refused: RESTART_CHARTER, or as an amendment is refused.
    """
    charter = decode_inner(Charter, statement.charter)
    check_successor(state, charter)
    old = state.charter
    kept = replace(charter, version=old.version, signers=old.signers, witness_quorum=old.witness_quorum)
    if kept != old:
        raise refused("RESTART_CHARTER", "the statement's charter changes more than signers and the witness quorum")
    if [(one.name, one.host_key) for one in charter.signers] != [(one.name, one.host_key) for one in old.signers]:
        raise refused("RESTART_CHARTER", "the statement's charter changes a signer's name or host key: amend it later")
    return charter


def approvers_of(state: State, restart: Restart) -> tuple[str, ...]:
    """Who approved, as verified by the charter in force before; in the order of the approvals, which must ascend.

    Raises:
        Refused: one does not hold.
    """
    members = quorum_members(state.charter, state.charter.admin)
    found: list[str] = []
    for signed in restart.approvals:
        approval = decode_inner(RestartApproval, signed.body)
        _check_approval(state, restart, approval, signed)
        if approval.person not in members:
            raise refused("RESTART_APPROVALS", f"{approval.person} is not in the charter's group of administrators")
        if found and approval.person <= found[-1]:
            raise refused("RESTART_APPROVALS", f"approvals must ascend: {approval.person} stands after {found[-1]}")
        found.append(approval.person)
    return tuple(found)


def _check_approval(state: State, restart: Restart, approval: RestartApproval, signed: Signed) -> None:
    if approval.log_id != state.log_id:
        raise refused("WRONG_LOG", f"the approval by {approval.person} is of another log")
    if approval.statement_hash != statement_hash(restart):
        raise refused("RESTART_APPROVALS", f"the approval by {approval.person} is of another statement")
    if not person_key_known(state.charter, approval.person, approval.key):
        raise refused("KEY_UNKNOWN", f"the charter has no such key of {approval.person}", person=approval.person)
    if not ed25519.verify(approval.key, pae("restart", signed.body), signed.signature):
        raise refused("BAD_SIGNATURE", f"the signature under the approval by {approval.person} does not verify")


def _check_quorum(state: State, restart: Restart) -> None:
    """Exactly the quorum: a further approval would make it another restart, with another log id."""
    approved, needed = len(approvers_of(state, restart)), max(1, state.charter.admin.count)
    if approved != needed:
        raise refused("RESTART_APPROVALS", f"{approved} administrators approved the statement, where {needed} must")


# --- effects ---------------------------------------------------------------------------------------------------------


def _end_orders(state: MutableState, at: Position) -> None:
    """End every order that may have been carried out by an entry which was lost, or waits for what ends here."""
    for record in tuple(_waiting(state)):
        state.change_order(replace(record, state=OrderState.LAPSED, ended_ms=at.time_ms, due_ms=0))
        state.note_acted(record, at.index)


def _waiting(state: State) -> Iterator[OrderRecord]:
    """Orders that are not ended and have no plan, and those that pass a freeze whatever plans they have.

    What had expired by then was planned by no lost entry. Listed orders to break the glass end, expired or not.
    """
    for record in state.open_orders():
        order = decode_order(record.order)
        if not record.plans and order.expires_ms > state.time_ms and not isinstance(order.action, BreakGlass):
            yield record
    yield from state.break_glass_orders()
    yield from state.scheduled_orders()
    amendment = state.witnesses.amendment
    handing_over = state.order(amendment) if amendment else None
    if handing_over is not None:
        yield handing_over


def _freeze(log_id: LogId, at: Position) -> FreezeRecord:
    return FreezeRecord(
        id=log_id,
        scope=Scope.ALL,
        vault="",
        person="",
        signer="",
        since_ms=at.time_ms,
        lapses_ms=0,
        lifted=False,
        why=FREEZE_REASON,
    )
