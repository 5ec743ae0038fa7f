"""A log whose signers lost too many of their vote states is founded anew: who makes that, and who may follow.

The administrators sign which head stays and which signers go on. Every operator pins the outcome, after comparing its
fingerprint with the others. Nobody ever follows by a vote, or by what a coordinator says.

Spec: docs/protocol/restart.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.charter import Charter, encode_charter
from strongroom.ledger.charter_changes import Change, changes
from strongroom.ledger.entry_messages import Restart, RestartStatement
from strongroom.ledger.founding import restart_log_id, statement_hash, statement_of
from strongroom.ledger.handlers.restarting import approvers_of, check_head, check_restart, check_restart_charter
from strongroom.ledger.pae import pae
from strongroom.ledger.reasons import refused
from strongroom.ledger.rules import quorum_members
from strongroom.ledger.signed_messages import RestartApproval, Signed
from strongroom.ledger.state import State
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId
from strongroom.protocol.certificates import Held, head_hash, held_of
from strongroom.protocol.voter_state import VoterState

__all__ = [
    "Founding",
    "RestartLosesCertificate",
    "approval_of",
    "draft_restart",
    "judge_restart",
    "require_complete",
    "require_nothing_lost",
    "with_approval",
]


class RestartLosesCertificate(StrongroomError):
    """This signer knows a higher certificate than the statement names, so payments would be forgotten.

    The administrators need that certificate: export this signer's log, and make the statement again from there.
    """

    reason = "RESTART_LOSES_CERTIFICATE"
    kind = Kind.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True, kw_only=True)
class Founding:
    """What a restart file says, judged by the log that it follows.

    Attributes:
        head: What stays: log id in force before, term, size, root and state digest.
        statement: Fingerprint of the statement, which administrators compare before they sign; 32 bytes.
        charter: The next charter.
        changes: What it changes, in words.
        made_ms: The log time of the founding entry, Unix milliseconds.
        approved: Administrators whose approval was verified.
        missing: How many more must approve.
        may_approve: The other administrators.
        log_id: The new log id; None while approvals are missing.
    """

    head: Head
    statement: bytes
    charter: Charter
    changes: tuple[Change, ...]
    made_ms: int
    approved: tuple[str, ...]
    missing: int
    may_approve: tuple[str, ...]
    log_id: LogId | None


def draft_restart(state: State, certificate: Certificate | None, charter: Charter, *, now_ms: int) -> Restart:
    """Make a restart without approvals.

    Args:
        state: Of a replayed log, at the end of the last batch that stays.
        certificate: Of that head; None when the log was founded anew and nothing was certified since.
        charter: The next charter.
        now_ms: Unix milliseconds; at least the log time.

    Raises:
        Refused: the head is not certified, or the charter cannot follow.
    """
    head = Head(
        log_id=state.log_id,
        term=0,
        size=state.size,
        root=state.log_root(state.size),
        state_digest=state.stored_digest() or b"",
    )
    statement = RestartStatement(
        head=head if certificate is None else certificate.head, charter=encode_charter(charter), made_ms=now_ms
    )
    check_head(state, statement, certificate)
    check_restart_charter(state, statement)
    return Restart(statement=codec.encode(statement), certificate=certificate, approvals=())


def approval_of(restart: Restart, *, person: str, key: bytes, sign: Callable[[bytes], bytes]) -> Signed:
    """Sign the statement as this person; `sign` signs bytes with the secret of the public key (32 bytes)."""
    approval = RestartApproval(
        log_id=statement_of(restart).head.log_id, statement_hash=statement_hash(restart), person=person, key=key
    )
    body = codec.encode(approval)
    return Signed(body=body, signature=sign(pae("restart", body)))


def with_approval(state: State, restart: Restart, approval: Signed) -> Restart:
    """Add an approval in its place.

    Raises:
        Refused: it does not hold, the person approved before, or no more approvals are needed: with another one it
            would be another restart, with another log id.
    """
    if len(approvers_of(state, restart)) >= _needed(state):
        raise refused("RESTART_APPROVALS", "the statement has all approvals that it needs")
    ordered = sorted((*restart.approvals, approval), key=lambda one: codec.decode(RestartApproval, one.body).person)
    added = replace(restart, approvals=tuple(ordered))
    approvers_of(state, added)
    return added


def judge_restart(state: State, restart: Restart) -> Founding:
    """Judge a restart file by the replayed state that it follows, complete or not.

    Raises:
        Refused: something about it does not hold; only missing approvals are no reason.
    """
    statement = statement_of(restart)
    check_head(state, statement, restart.certificate)
    charter = check_restart_charter(state, statement)
    approved = approvers_of(state, restart)
    missing = max(0, _needed(state) - len(approved))
    if not missing:
        check_restart(state, restart)
    members = quorum_members(state.charter, state.charter.admin)
    return Founding(
        head=statement.head,
        statement=statement_hash(restart),
        charter=charter,
        changes=changes(state.charter, charter),
        made_ms=statement.made_ms,
        approved=approved,
        missing=missing,
        may_approve=tuple(sorted(set(members) - set(approved))),
        log_id=None if missing else restart_log_id(restart),
    )


def require_complete(state: State, restart: Restart) -> tuple[Founding, LogId]:
    """Judge a restart that is to be pinned; return what it says, and the new log id.

    Raises:
        Refused: something about it does not hold, or approvals are missing.
    """
    founding = judge_restart(state, restart)
    if founding.log_id is None:
        raise refused("RESTART_APPROVALS", f"{founding.missing} approvals by administrators are missing")
    return founding, founding.log_id


def require_nothing_lost(restart: Restart, voter: VoterState, *, final_size: int) -> None:
    """Check that the statement names the highest certificate that this signer knows, or a higher one.

    Args:
        restart: The restart.
        voter: This signer's words in the log that ends there; of the same log id.
        final_size: Entries that are final here.

    Raises:
        RestartLosesCertificate: it does not, or what is final here would be taken back.
    """
    head = statement_of(restart).head
    named = Held(term=head.term, size=head.size, head_hash=head_hash(head))
    base = voter.opened.base if voter.opened is not None else None
    for known in (held_of(voter.held), held_of(base)):
        if known.rank > named.rank or (known.rank == named.rank and known != named):
            raise RestartLosesCertificate(
                f"this signer knows the certificate of term {known.term} at size {known.size}, and the statement names "
                f"that of term {named.term} at size {named.size}: export this signer's log and give it to the "
                "administrators, who make the statement from it",
                term=str(known.term),
                size=str(known.size),
            )
    if final_size > head.size:
        raise RestartLosesCertificate(
            f"{final_size} entries are final here, and the statement keeps {head.size}: export this signer's log and "
            "give it to the administrators, who make the statement from it",
            size=str(final_size),
        )


def _needed(state: State) -> int:
    return max(1, state.charter.admin.count)
