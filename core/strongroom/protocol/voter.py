"""A signer's words about the log: promises, bases, votes and certificates, as pure functions of `VoterState`.

The rules, which hold at every step and across restarts:

1. One NEWTERM statement a term, for a term above the own one. After it, no vote and no certificate of an earlier term.
2. One base a term: the highest certificate among a quorum's statements. Another set of statements for the same term is
   refused. Whose quorum is for the electorate of the base to say, and that of a certificate for its head's own.
3. A certificate is held, stated, adopted or released under only when every entry below it is stored.
4. The first vote of a term extends its base, later ones extend the last vote and what was certified since; sizes
   rise; one head at one size.
5. The state is stored durably before its consequence leaves the process: promise before statement, vote before vote,
   certificate before share.

Every function takes the state and gives the next one; a refusal raises and changes nothing. What shows that this signer
lost its memory, or that more signers lie than the charter survives, stops it: the next state carries the alarm.

Spec: design, "The ledger", terms and rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from strongroom.crypto import ed25519
from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, CertificateVote, Head
from strongroom.ledger.pae import pae
from strongroom.ledger.signed_messages import NewTerm
from strongroom.model.ids import BootId, LogId
from strongroom.protocol.certificates import (
    BadCertificate,
    VerifiedVote,
    false_claims,
    head_hash,
    head_of,
    held_by,
    held_of,
    sign_vote,
    verify_certificate,
    vote_body,
)
from strongroom.protocol.electorates import Electorates
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.terms import MAX_TERM_STEP, check_opening, sign_new_term, statements_hash
from strongroom.protocol.voter_state import (
    Adopted,
    Alarm,
    Alarmed,
    BaseElectorate,
    BaseNotAdopted,
    BaseNotStored,
    Behind,
    HeadNotOwn,
    Keep,
    Known,
    LogView,
    Missing,
    NotAnExtension,
    Opened,
    OpenedTerm,
    SecondBase,
    SizeNotRising,
    StaleTerm,
    Taken,
    TermNotOpen,
    TermPromised,
    TermTooFar,
    VoteAlreadyCast,
    VoterState,
    VoterStopped,
    WitnessesReplaced,
)

__all__ = [
    "adopt",
    "inspect_certificate",
    "inspect_vote",
    "missing",
    "on_branch",
    "open_term",
    "promise",
    "raise_alarm",
    "releasable",
    "require_true_claims",
    "take_certificate",
    "vote",
]

_MAX_DETAIL = 400


def promise(
    state: VoterState, key: SigningKey, *, term: int, leader: bytes, boot_id: BootId
) -> tuple[VoterState, SignedBody]:
    """Promise never to act in a term below `term` again, and sign the NEWTERM statement that says so.

    Asked again by the same leader for the same term, the very same statement comes back. Nonces of earlier terms die
    here: the caller wipes them.

    Args:
        state: The current state.
        key: The signer's vote key.
        term: Above the own term, by at most 2^32.
        leader: 16 bytes, random per coordinator process.
        boot_id: 16 bytes, random per start of this daemon.

    Raises:
        VoterStopped: the signer has an alarm.
        StaleTerm, TermPromised, TermTooFar: the term is below, equal to, or too far above the own one.
    """
    _require_running(state)
    if term == state.term and state.promise is not None:
        given = codec.decode(NewTerm, state.promise.body)
        if given.leader == leader:
            return state, SignedBody.of(state.promise)
    if term < state.term:
        raise _stale(state, term)
    if term == state.term:
        raise TermPromised(f"term {term} was joined already: ask for a higher one", term=str(state.term))
    if term > state.term + MAX_TERM_STEP:
        raise TermTooFar(f"term {term} is more than 2^32 above the own term {state.term}", term=str(state.term))
    statement = sign_new_term(
        key,
        log_id=LogId(state.log_id),
        signer=state.signer,
        term=term,
        leader=leader,
        boot_id=boot_id,
        held=held_of(state.held),
    )
    return replace(state, term=term, promise=statement.stored(), opened=None, adopted=False), statement


def open_term(
    state: VoterState,
    *,
    term: int,
    leader: bytes,
    statements: Sequence[SignedBody],
    base_certificate: Certificate | None,
    electorates: Electorates,
) -> tuple[VoterState, Opened | Alarmed]:
    """Accept the base of a term: the highest certificate that a quorum's statements for this term and leader name.

    A signer that made no statement for the term joins it by this alone: a quorum vouches for the number, so the step
    limit of `promise` does not apply. The same set of statements again changes nothing.

    Raises:
        VoterStopped: the signer has an alarm.
        StaleTerm: the term is below the own one.
        SecondBase: another set of statements was accepted for this term.
        WitnessesReplaced: the base is from before a handover that is final here.
        BadStatements, BadSignedBody, BadCertificate: the opening does not hold; the coordinator is at fault.
    """
    _require_running(state)
    if term < state.term:
        raise _stale(state, term)
    verified, good = check_opening(
        term=term,
        leader=leader,
        statements=statements,
        base_certificate=base_certificate,
        log_id=LogId(state.log_id),
        electorates=electorates,
    )
    _require_not_replaced(electorates, 0 if base_certificate is None else base_certificate.head.size)
    own = next((item.signed.body for item in verified if _is_own(state, item.signer, item.key)), None)
    # A promise names its term, so one of an earlier term is another statement as well.
    if own is not None and (state.promise is None or own != state.promise.body):
        return raise_alarm(state, Alarm.OWN_STATEMENT_UNKNOWN, f"statement for term {term}")
    if base_certificate is not None:
        inspected = inspect_certificate(state, base_certificate)
        if inspected is not None:
            return inspected
    base = None if base_certificate is None else base_certificate.head
    digest = statements_hash(statements)
    if term == state.term and state.opened is not None:
        if state.opened.statements_hash != digest:
            raise SecondBase(f"term {term} was opened with other statements: open a new term", term=str(term))
        return state, Opened(base=base)
    return (
        replace(
            state,
            term=term,
            promise=state.promise if term == state.term else None,
            opened=OpenedTerm(
                statements_hash=digest, base=base_certificate, electorates=tuple(one.digest for one in good)
            ),
            adopted=False,
        ),
        Opened(base=base),
    )


def missing(state: VoterState, target: Head, log: LogView, *, keep: Keep = Keep.ALL) -> Missing | None:
    """Say which entries the own log lacks below a certified head (the base of a term, or a certificate's).

    Args:
        state: The current state.
        target: A head whose certificate was verified.
        log: The own stored log.
        keep: How much of it to build on.

    Returns:
        What to fetch, or None when the log holds the head, or contradicts it where nothing can be fetched: `adopt` or
        `take_certificate` then decides. A log with the same entries in other batches, none of which ends at the head,
        lacks it: a leader that split a batch differently for this signer must not keep it out.
    """
    end = target.size
    if log.root_at(end) == target.root and log.digest_at(end) is not None:
        return None
    start = log.final_size
    if keep is not Keep.FINAL and state.held is not None and state.held.head.size <= end:
        start = max(start, state.held.head.size)
    if keep is Keep.ALL and log.size < end:
        start = log.size
    return Missing(keep=start, end=end) if start < end else None


def on_branch(
    state: VoterState,
    certificate: Certificate,
    target: Head,
    log: LogView,
    *,
    keep: int,
    electorates: Electorates,
) -> VoterState | None:
    """Say what is held when a fetched branch is stored up to a certificate on its way, in place of the own entries.

    What is stored beyond `keep` gives way to the target in any case. It may do so before, since a certificate of the
    last vote's term or a later one shows that no other batch of that vote's branch can still be certified. Under an
    earlier one it must stay: whether the branch leads to the target shows only when it is whole. A certificate held
    stays unless the branch lacks it; then only one of a later term takes its place, and never that of a base that was
    adopted: whatever was final lies below every certificate of a later term, and what was released under the one held
    was released in its own.

    Args:
        state: The current state.
        certificate: One on the way to the target.
        target: The head for which entries are fetched; a certificate of it was verified, or it is the term's base.
        log: The fetched branch, up to the certificate's head at least.
        keep: Entries that the own log and the branch have in common for certain.
        electorates: Whose votes count on the branch.

    Returns:
        The state to store in the same commit as the branch; None when the own entries must stay.

    Raises:
        VoterStopped: the signer has an alarm.
        BadCertificate: the certificate does not hold.
    """
    _require_running(state)
    head, last = certificate.head, state.vote_cast()
    if head.term > min(target.term, state.term) or not _has(log, head):
        return None
    if last is not None and head.term < last.term:
        return None
    held, after = state.held, state
    if held is not None and held.head.size > keep and not _has(log, held.head):
        if state.adopted or head.term <= held.head.term:
            return None
        after = replace(state, held=certificate)
    elif head.term == state.term and not state.adopted and head.size > _size_held_in_term(state):
        # What it makes final may lie beyond the base of the term, and without it would seem to contradict that base.
        after = replace(state, held=certificate)
    verify_certificate(certificate, log_id=LogId(state.log_id), electorate=electorates.own(head.size))
    return after


def _size_held_in_term(state: VoterState) -> int:
    return 0 if state.held_in_term is None else state.held_in_term.size


def adopt(state: VoterState, log: LogView, *, electorates: Electorates) -> tuple[VoterState, Adopted | Alarmed]:
    """Adopt the base of the term, once every entry below it is stored. From here on the signer may vote in the term.

    The base becomes the certificate held, even when a higher one was: that one has vanished, because w signers stated
    lower ones and will never take it. A certificate of the current term, taken before its base was known, is kept.

    Raises:
        VoterStopped: the signer has an alarm.
        TermNotOpen: no base was accepted.
        BaseNotStored: the log does not hold the base, batch border included.
        NotAnExtension: a certificate of this term is held that does not extend this base.
        BaseElectorate: the statements are not of those who decide about this base, as the stored entries show.
    """
    _require_running(state)
    if state.opened is None:
        raise TermNotOpen(f"no base was accepted for term {state.term}", term=str(state.term))
    if state.adopted:
        return state, Adopted(truncate_to=None)
    base, size = state.opened.base, state.base_size
    if state.held_in_term is not None:
        if base is not None and log.root_at(size) != base.head.root:
            raise NotAnExtension(f"the certificate held of term {state.term} does not extend the base at {size}")
        _require_electorate(state.opened, electorates, size)
        return replace(state, adopted=True), Adopted(truncate_to=None)
    if base is not None and log.root_at(size) != base.head.root and size > log.final_size:
        raise BaseNotStored(f"the log does not hold the base at {size} yet", size=str(size))
    # Before anything is compared: what others than those who decide about the base say is no sign of a defect here.
    _require_electorate(state.opened, electorates, size)
    if size < log.final_size:
        return raise_alarm(state, Alarm.FINAL_HEAD_CONTRADICTED, f"base at {size}, final at {log.final_size}")
    if base is not None:
        problem = _compare(state, base.head, log)
        if problem is not None:
            return problem
    return (
        replace(state, adopted=True, held=base),
        Adopted(truncate_to=size if log.size > size else None),
    )


def vote(state: VoterState, key: SigningKey, head: Head, log: LogView) -> tuple[VoterState, SignedBody]:
    """Vote for a head that this signer computed over its own stored entries.

    Batch and state are stored in one durable commit before the vote is sent. The same request again gets the very same
    bytes. Whether the batch is good (form, time, disk) is the caller's to judge, before.

    Raises:
        VoterStopped: the signer has an alarm.
        StaleTerm, TermNotOpen, BaseNotAdopted: the term is not the own one, or not ready for votes.
        VoteAlreadyCast: a vote for another head at this size exists.
        SizeNotRising: not beyond the base, the last vote and the last certificate of the term.
        HeadNotOwn: the own log ends elsewhere, or gives another root or state digest.
        NotAnExtension: the own log does not extend the base, the last vote, or the certificate held, of the term.
    """
    _require_running(state)
    opened = _require_ready(state, head.term)
    last = state.vote_cast()
    if last is not None and last.term != state.term:
        last = None
    if last is not None and state.last_vote is not None and last.size == head.size:
        if head_of(last) != head:
            raise VoteAlreadyCast(f"another head was voted for at term {head.term}, size {head.size}")
        return state, SignedBody.of(state.last_vote)
    held = state.held_in_term
    floor = max(state.base_size, last.size if last else 0, held.size if held else 0)
    if head.size <= floor:
        raise SizeNotRising(f"a head at {head.size} is not beyond {floor}", size=str(head.size), floor=str(floor))
    if head.log_id != state.log_id or (log.size, log.root_at(head.size), log.digest_at(head.size)) != (
        head.size,
        head.root,
        head.state_digest,
    ):
        raise HeadNotOwn(f"the own log does not end with this head at {head.size}", size=str(head.size))
    for passed in (opened.base.head if opened.base else None, head_of(last) if last else None, held):
        if passed is not None and log.root_at(passed.size) != passed.root:
            raise NotAnExtension(f"the log does not extend what stood at {passed.size} in term {state.term}")
    signed = sign_vote(key, head, held_of(state.held))
    return replace(state, last_vote=signed.stored()), signed


def take_certificate(
    state: VoterState,
    certificate: Certificate,
    log: LogView,
    *,
    electorates: Electorates,
) -> tuple[VoterState, Taken | Known | Behind | Alarmed]:
    """Take a certificate: verify it, join its term, and hold it once every entry below it is stored.

    While entries are missing it is enough that it holds for a possible electorate; to be held it must be by those whom
    the stored entries name. So must one that contradicts a certificate held: of the branch that a term has certified
    here, every entry is stored, and votes of others prove nothing against it.

    A certificate of a higher term moves the signer to that term even when entries are missing (`Behind`): store the
    state first, then fetch, then take it again. The nonces of earlier terms die.

    Raises:
        VoterStopped: the signer has an alarm.
        BadCertificate: the certificate does not hold.
        WitnessesReplaced: it is from before a handover that is final here.
        StaleTerm: it is of a term below the own one.
    """
    _require_running(state)
    head, log_id = certificate.head, LogId(state.log_id)
    held = state.held_in_term if head.term == state.term else None
    is_below_held = held is not None and head.size <= held.size
    if is_below_held or log.root_at(head.size) == head.root:
        verify_certificate(certificate, log_id=log_id, electorate=electorates.own(head.size))
    else:
        electorates.judge(certificate, log_id=log_id)
    _require_not_replaced(electorates, head.size)
    inspected = inspect_certificate(state, certificate)
    if inspected is not None:
        return inspected
    if head.term < state.term:
        raise _stale(state, head.term)
    if held is not None and is_below_held:
        same = head_hash(head) == head_hash(held) if head.size == held.size else _agrees(log, head)
        return (state, Known()) if same else _conflict(state, head, held)
    if head.size <= log.final_size and not _agrees(log, head):
        return raise_alarm(state, Alarm.FINAL_HEAD_CONTRADICTED, f"certificate of {head.term} at {head.size}")
    joined = state
    if head.term > state.term:
        joined = replace(state, term=head.term, promise=None, opened=None, adopted=False)
    if log.root_at(head.size) != head.root or log.digest_at(head.size) is None:
        return joined, Behind()
    if held is not None and not _agrees(log, held):
        return _conflict(state, head, held)
    problem = _compare(state, head, log)
    if problem is not None:
        return problem
    end = max(head.size, log.final_size)
    drop = joined.term > state.term and log.size > end
    return replace(joined, held=certificate), Taken(truncate_to=end if drop else None)


def require_true_claims(certificate: Certificate, log: LogView) -> None:
    """Refuse a certificate of the own history in which a vote names one that this history shows never to have been.

    For certificates that a coordinator makes: an honest one counts no such vote. Where a log is taken over or caught up
    with, they are taken as they are: a lie that is in it already touches nothing else of it.

    Args:
        certificate: Verified, of a head that the own log holds.
        log: The own log.

    Raises:
        BadCertificate: names the first such vote; the coordinator is at fault, and so is its author.
    """

    def own(size: int) -> tuple[bytes, bytes] | None:
        root, digest = log.root_at(size), log.digest_at(size)
        return None if root is None or digest is None else (root, digest)

    liars = false_claims(certificate, own)
    if liars:
        raise BadCertificate(
            f"the vote of {liars[0].signer} names a certificate of size {liars[0].held_size} that never was",
            signer=liars[0].signer,
        )


def releasable(state: VoterState, size: int) -> bool:
    """Whether entries below `size` lie under a certificate of the current term that is held.

    Signature shares may be released only for such entries, and only after the state that says so was stored.
    """
    held = state.held_in_term
    return not state.alarm and held is not None and size <= held.size


def inspect_certificate(state: VoterState, certificate: Certificate) -> tuple[VoterState, Alarmed] | None:
    """Look in a verified certificate for a vote of this signer's own that it does not remember.

    Votes rise by term and size, so any own vote above the last one remembered, or another one in its place, is one that
    was lost: the database was restored, or runs twice.

    Returns:
        The stopped state and the alarm to store, or None when there is no such vote.
    """
    for item in certificate.votes:
        if item.signer == state.signer and _signed_by_self(state, item, certificate.head):
            return _inspect(state, codec.encode(vote_body(certificate.head, held_by(item))), certificate.head)
    return None


def inspect_vote(state: VoterState, seen: VerifiedVote) -> tuple[VoterState, Alarmed] | None:
    """The same for a single verified vote."""
    return _inspect(state, seen.signed.body, seen.head) if _is_own(state, seen.signer, seen.key) else None


def raise_alarm(state: VoterState, alarm: Alarm, detail: str) -> tuple[VoterState, Alarmed]:
    """Stop the signer. The first alarm stays; `detail` is printable ASCII for the operator."""
    detail = detail[:_MAX_DETAIL]
    if state.alarm:
        return state, Alarmed(alarm=Alarm[state.alarm], detail=state.alarm_detail)
    return replace(state, alarm=alarm.name, alarm_detail=detail), Alarmed(alarm=alarm, detail=detail)


def _inspect(state: VoterState, body: bytes, head: Head) -> tuple[VoterState, Alarmed] | None:
    last = state.vote_cast()
    seen, remembered = (head.term, head.size), (0, 0) if last is None else (last.term, last.size)
    if seen < remembered or (state.last_vote is not None and state.last_vote.body == body):
        return None
    return raise_alarm(state, Alarm.OWN_VOTE_UNKNOWN, f"own vote in term {head.term} for size {head.size}")


def _is_own(state: VoterState, signer: str, key: bytes) -> bool:
    return (signer, key) == (state.signer, state.vote_key)


def _signed_by_self(state: VoterState, item: CertificateVote, head: Head) -> bool:
    """Whether a vote under the own name is by the own key, and not by a machine that had the name before or after."""
    body = codec.encode(vote_body(head, held_by(item)))
    return ed25519.verify(state.vote_key, pae("vote", body), item.signature)


def _require_not_replaced(electorates: Electorates, size: int) -> None:
    if electorates.is_replaced(size):
        raise WitnessesReplaced(f"it is final that other witnesses took over from those who decided at {size}")


def _require_electorate(opened: OpenedTerm, electorates: Electorates, size: int) -> None:
    """The possible electorate for which the opening held must be the one that the stored entries give."""
    if electorates.own(size).digest not in opened.electorates:
        raise BaseElectorate(
            f"other signers decide about the base at {size} than those whose statements opened the term"
        )


def _agrees(log: LogView, head: Head) -> bool:
    """Whether the log does not contradict a head; a root that is not at hand contradicts nothing."""
    root = log.root_at(head.size)
    return root is None or root == head.root


def _has(log: LogView, head: Head) -> bool:
    return (log.root_at(head.size), log.digest_at(head.size)) == (head.root, head.state_digest)


def _compare(state: VoterState, head: Head, log: LogView) -> tuple[VoterState, Alarmed] | None:
    """Compare the own root and state digest with those that w signers certified."""
    if log.root_at(head.size) != head.root:
        return raise_alarm(state, Alarm.FINAL_HEAD_CONTRADICTED, f"term {head.term}, size {head.size}")
    digest = log.digest_at(head.size)
    if digest is None:
        raise BaseNotStored(
            f"no batch of the own log ends at {head.size}: fetch the batches again", size=str(head.size)
        )
    if digest != head.state_digest:
        return raise_alarm(state, Alarm.STATE_DIGEST_MISMATCH, f"term {head.term}, size {head.size}")
    return None


def _conflict(state: VoterState, head: Head, held: Head) -> tuple[VoterState, Alarmed]:
    detail = f"term {head.term}: size {head.size} against the held size {held.size}"
    return raise_alarm(state, Alarm.CERTIFICATES_CONFLICT, detail)


def _require_running(state: VoterState) -> None:
    if state.alarm:
        raise VoterStopped(f"this signer has stopped: {state.alarm}: {state.alarm_detail}", alarm=state.alarm)


def _require_ready(state: VoterState, term: int) -> OpenedTerm:
    if term < state.term:
        raise _stale(state, term)
    if term > state.term or state.opened is None:
        raise TermNotOpen(f"term {term} is not open here", term=str(state.term))
    if not state.adopted:
        raise BaseNotAdopted(f"the base of term {state.term} at {state.base_size} is not adopted yet")
    return state.opened


def _stale(state: VoterState, term: int) -> StaleTerm:
    return StaleTerm(f"term {term} is below the own term {state.term}", term=str(state.term))
