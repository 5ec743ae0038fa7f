"""The coordinator's side of one key generation attempt: it relays, and can neither read nor split.

`step(state, event)` is total and pure. The phases follow each other when all holders have answered: first messages,
signatures over the transcript, statements, trial nonces, trial shares. The result is the body of the vault's entry.

A holder whose share does not match the commitments says so instead of signing the transcript. It then gets ChillDKG's
investigation message, and what it finds ends the attempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from strongroom.crypto import chilldkg, ed25519
from strongroom.crypto.chilldkg import CoordinatorState
from strongroom.crypto.chilldkg_errors import FaultyParticipantError, FaultyParticipantOrCoordinatorError
from strongroom.crypto.errors import InvalidInput
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Vault, VaultSignature
from strongroom.ledger.pae import pae
from strongroom.protocol.keygen import SILENCE_MS, Fault, KeygenTerms, MadeKey
from strongroom.protocol.keygen_events import (
    AskRound1,
    AskTrialNonces,
    AskTrialShares,
    AttemptFailed,
    Command,
    ComplaintArrived,
    DeadlinePassed,
    Event,
    Generated,
    HolderEvent,
    HolderFailed,
    Investigate,
    Round1Arrived,
    Round2Arrived,
    SendFinish,
    SendRound2,
    StatementArrived,
    Subset,
    TrialNonceArrived,
    TrialShareArrived,
    VerdictArrived,
)
from strongroom.protocol.trials import TrialFailed, Trials, covering_sets

__all__ = [
    "AskRound1",
    "AskTrialNonces",
    "AskTrialShares",
    "AttemptFailed",
    "Command",
    "ComplaintArrived",
    "DeadlinePassed",
    "Event",
    "Generated",
    "HolderFailed",
    "Investigate",
    "KeygenState",
    "Round1Arrived",
    "Round2Arrived",
    "SendFinish",
    "SendRound2",
    "StatementArrived",
    "Subset",
    "TrialNonceArrived",
    "TrialShareArrived",
    "VerdictArrived",
    "awaited",
    "begin",
    "step",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeygenState:
    """One attempt. `outcome` is set once and for all."""

    terms: KeygenTerms
    vote_keys: Mapping[str, bytes]
    since_ms: int
    """When the current phase began."""
    firsts: Mapping[str, bytes] = field(default_factory=dict)
    dealt: CoordinatorState | None = None
    seconds: Mapping[str, bytes] = field(default_factory=dict)
    complaints: frozenset[str] = frozenset()
    """Holders that were dealt a wrong share, and investigate."""
    made: MadeKey | None = None
    statements: Mapping[str, bytes] = field(default_factory=dict)
    trials: Trials | None = None
    """Once all have stated."""
    outcome: Generated | AttemptFailed | None = None


def begin(
    terms: KeygenTerms, *, vote_keys: Mapping[str, bytes], now_ms: int
) -> tuple[KeygenState, tuple[Command, ...]]:
    """Open an attempt.

    Raises:
        SessionParamsError: threshold or host keys are invalid; the charter check should have refused them.
    """
    terms.params.validated()
    return KeygenState(terms=terms, vote_keys=vote_keys, since_ms=now_ms), (AskRound1(),)


def step(state: KeygenState, event: Event) -> tuple[KeygenState, tuple[Command, ...]]:
    """Take one event in.

    Strangers, repetitions, what comes out of order, and anything after the outcome change nothing.
    """
    if state.outcome is not None:
        return state, ()
    if isinstance(event, DeadlinePassed):
        if event.now_ms - state.since_ms <= SILENCE_MS:
            return state, ()
        return _fail(state, "30 s of silence", awaited(state))
    return _take(state, event) if event.signer in state.terms.signers else (state, ())


def _take(state: KeygenState, event: HolderEvent) -> tuple[KeygenState, tuple[Command, ...]]:
    match event:
        case HolderFailed():
            return _fail(state, event.failure, (event.signer,))
        case Round1Arrived():
            return _take_first(state, event)
        case Round2Arrived():
            return _take_second(state, event)
        case ComplaintArrived():
            return _take_complaint(state, event)
        case VerdictArrived():
            return _take_verdict(state, event)
        case StatementArrived():
            return _take_statement(state, event)
        case TrialNonceArrived():
            return _take_nonce(state, event)
        case TrialShareArrived():
            return _take_share(state, event)


def _take_first(state: KeygenState, event: Round1Arrived) -> tuple[KeygenState, tuple[Command, ...]]:
    if state.dealt is not None or event.signer in state.firsts:
        return state, ()
    state = replace(state, firsts={**state.firsts, event.signer: event.message})
    signers = state.terms.signers
    if len(state.firsts) < len(signers):
        return state, ()
    try:
        dealt, message = chilldkg.coordinator_step1([state.firsts[name] for name in signers], state.terms.params)
    except FaultyParticipantError as error:
        return _fail(state, error.message, (signers[error.participant],), fault=Fault.HOLDER)
    except InvalidInput as error:
        return _malformed(state, error)
    return replace(state, dealt=dealt, since_ms=event.now_ms), (SendRound2(message=message),)


def _take_second(state: KeygenState, event: Round2Arrived) -> tuple[KeygenState, tuple[Command, ...]]:
    if not _may_answer_round2(state, event.signer):
        return state, ()
    state = replace(state, seconds={**state.seconds, event.signer: event.message})
    signers = state.terms.signers
    if state.dealt is None or len(state.seconds) < len(signers):
        return state, ()
    try:
        certificate, output, data = chilldkg.coordinator_finalize(
            state.dealt, [state.seconds[name] for name in signers]
        )
        made = MadeKey.of(output, state.terms.params, data)
    except FaultyParticipantError as error:
        return _fail(state, error.message, (signers[error.participant],), fault=Fault.HOLDER)
    except FaultyParticipantOrCoordinatorError as error:
        return _fail(state, error.message, (signers[error.participant],))
    except InvalidInput as error:
        return _malformed(state, error)
    state = replace(state, made=made, since_ms=event.now_ms)
    return state, (SendFinish(message=certificate),)


def _take_complaint(state: KeygenState, event: ComplaintArrived) -> tuple[KeygenState, tuple[Command, ...]]:
    if state.dealt is None or not _may_answer_round2(state, event.signer):
        return state, ()
    terms = state.terms
    messages = chilldkg.coordinator_investigate([state.firsts[name] for name in terms.signers], terms.params)
    me = terms.signers.index(event.signer)
    if (event.encrypted_share, event.pubshare) != chilldkg.investigation_of(state.dealt.transcript, me).received:
        return _fail(state, "it complains of other values than it was sent", (event.signer,), fault=Fault.HOLDER)
    state = replace(state, complaints=state.complaints | {event.signer}, since_ms=event.now_ms)
    return state, (Investigate(signer=event.signer, message=messages[me]),)


def _take_verdict(state: KeygenState, event: VerdictArrived) -> tuple[KeygenState, tuple[Command, ...]]:
    """A holder's finding convinces nobody else: it may have complained falsely."""
    if event.signer not in state.complaints:
        return state, ()
    signers = state.terms.signers
    match event.fault:
        case Fault.HOLDER_OR_COORDINATOR if event.suspect in range(len(signers)):
            suspect = signers[event.suspect or 0]
            if suspect != event.signer:
                problem = f"the share that {suspect} dealt {event.signer} does not match its commitments"
                return _fail(state, problem, (suspect,), fault=event.fault, found_by=event.signer)
        case Fault.COORDINATOR:
            problem = f"{event.signer} was sent values that contradict each other"
            return _fail(state, problem, (), fault=event.fault, found_by=event.signer)
        case Fault.OWN_MACHINE:
            problem = f"{event.signer} computes wrongly"
            return _fail(state, problem, (event.signer,), fault=event.fault, found_by=event.signer)
    return _fail(state, "it complains and then names nobody", (event.signer,), fault=Fault.HOLDER)


def _may_answer_round2(state: KeygenState, signer: str) -> bool:
    asked = state.dealt is not None and state.made is None
    return asked and signer not in state.seconds and signer not in state.complaints


def _take_statement(state: KeygenState, event: StatementArrived) -> tuple[KeygenState, tuple[Command, ...]]:
    made = state.made
    if made is None or event.signer in state.statements:
        return state, ()
    statement = codec.encode(state.terms.statement(event.signer, made))
    if event.recovery_hash != made.recovery_hash:
        return _fail(state, "it computed other recovery data", (event.signer,), fault=Fault.HOLDER)
    if not ed25519.verify(state.vote_keys.get(event.signer, b""), pae("vault", statement), event.signature):
        problem = "its statement does not verify under its vote key"
        return _fail(state, problem, (event.signer,), fault=Fault.HOLDER)
    state = replace(state, statements={**state.statements, event.signer: event.signature})
    if len(state.statements) < len(state.terms.signers):
        return state, ()
    signers = state.terms.signers
    subsets = covering_sets(range(len(signers)), state.terms.threshold)
    trials = Trials(terms=state.terms, made=made, names=signers, subsets=subsets)
    return replace(state, trials=trials, since_ms=event.now_ms), tuple(
        AskTrialNonces(subset=subset, signers=trials.members(subset)) for subset in trials.subsets
    )


def _take_nonce(state: KeygenState, event: TrialNonceArrived) -> tuple[KeygenState, tuple[Command, ...]]:
    trials = state.trials
    if trials is None or (event.subset, event.signer) in trials.nonces:
        return state, ()
    try:
        taken = trials.with_nonce(event.subset, event.signer, event.nonce)
    except TrialFailed as error:
        return _fail_trial(state, error)
    if taken is trials:
        return state, ()
    state = replace(state, trials=taken, since_ms=event.now_ms)
    nonces = taken.nonces_of(event.subset)
    if not nonces:
        return state, ()
    return state, (AskTrialShares(subset=event.subset, signers=taken.members(event.subset), nonces=nonces),)


def _take_share(state: KeygenState, event: TrialShareArrived) -> tuple[KeygenState, tuple[Command, ...]]:
    trials = state.trials
    if trials is None:
        return state, ()
    try:
        taken = trials.with_share(event.subset, event.signer, event.share)
    except TrialFailed as error:
        return _fail_trial(state, error)
    if taken is trials:
        return state, ()
    state = replace(state, trials=taken, since_ms=event.now_ms)
    return _finish(state, taken) if taken.is_complete else (state, ())


def _fail_trial(state: KeygenState, error: TrialFailed) -> tuple[KeygenState, tuple[Command, ...]]:
    suspects = (error.suspect,) if error.suspect else ()
    return _fail(state, error.message, suspects, fault=Fault.HOLDER if suspects else Fault.UNPROVEN)


def _finish(state: KeygenState, trials: Trials) -> tuple[KeygenState, tuple[Command, ...]]:
    made = trials.made
    done = Generated(
        vault=Vault(
            order_hash=state.terms.order_hash,
            key=made.key,
            recovery_hash=made.recovery_hash,
            statements=tuple(
                VaultSignature(signer=name, signature=state.statements[name]) for name in state.terms.signers
            ),
            trials=trials.entries,
        ),
        recovery=made.recovery,
    )
    return replace(state, outcome=done), (done,)


def awaited(state: KeygenState) -> tuple[str, ...]:
    """Who is waited for in the current phase, in participant order. That they are silent proves nothing."""
    signers = state.terms.signers
    for answers, over in ((state.firsts, state.dealt), (state.seconds, state.made)):
        if over is None:
            return tuple(name for name in signers if name not in answers)
    if state.trials is None:
        return tuple(name for name in signers if name not in state.statements)
    return state.trials.awaited()


def _malformed(state: KeygenState, error: InvalidInput) -> tuple[KeygenState, tuple[Command, ...]]:
    """A message does not have the one length it can have; ChillDKG's error says whose."""
    sender = error.facts.get("participant")
    if sender is None:
        return _fail(state, error.message, ())
    return _fail(state, error.message, (state.terms.signers[int(sender)],), fault=Fault.HOLDER)


def _fail(
    state: KeygenState,
    failure: str,
    suspects: tuple[str, ...],
    *,
    fault: Fault = Fault.UNPROVEN,
    found_by: str = "",
) -> tuple[KeygenState, tuple[Command, ...]]:
    failed = AttemptFailed(failure=failure, suspects=suspects, fault=fault, found_by=found_by)
    return replace(state, outcome=failed), (failed,)
