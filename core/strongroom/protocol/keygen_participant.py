"""A holder's side of one key generation attempt.

States live in memory only and are used in order: `Dealt`, `Agreed`, `Holding`. Each is good for one message; a message
that does not fit raises `KeygenRefused` or one of ChillDKG's errors, and the attempt is over. When the share received
does not match the commitments, `dispute` gives the state `Disputed`, in which one investigation message is taken.

The shell has checked beforehand, in its own log, that the order is final, approved, and names this signer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from strongroom.crypto import chilldkg
from strongroom.crypto.chilldkg import DKGOutput, ParticipantState1, ParticipantState2
from strongroom.crypto.chilldkg_errors import (
    FaultyCoordinatorError,
    FaultyParticipantOrCoordinatorError,
    MessageLengthError,
    UnknownFaultyParticipantOrCoordinatorError,
)
from strongroom.crypto.ed25519 import SigningKey
from strongroom.crypto.errors import SelfCheckFailed
from strongroom.crypto.secret import SecretScalar
from strongroom.protocol.keygen import (
    SILENCE_MS,
    Fault,
    KeygenRefused,
    KeygenTerms,
    MadeKey,
    session_id,
)
from strongroom.protocol.signed import sign_body
from strongroom.protocol.trials import TrialRefused, Trier, covering_sets

__all__ = [
    "Agreed",
    "Attempt",
    "Dealt",
    "Disputed",
    "Finding",
    "Finished",
    "Holding",
    "agree",
    "begin",
    "dispute",
    "finish",
    "has_expired",
    "investigate",
    "trial_commit",
    "trial_sign",
    "wipe",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealt:
    """The first message was sent."""

    terms: KeygenTerms
    signer: str
    state: ParticipantState1
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """The transcript was signed. The host key must be kept from here on, whatever happens."""

    terms: KeygenTerms
    signer: str
    state: ParticipantState2
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputed:
    """The share received does not match the commitments. No key comes of the attempt; it is asked only whose fault."""

    terms: KeygenTerms
    signer: str
    error: UnknownFaultyParticipantOrCoordinatorError
    since_ms: int

    @property
    def complaint(self) -> tuple[bytes, bytes]:
        """What goes to the coordinator: the encrypted share (32 bytes) and public share (33 bytes) as received."""
        return self.error.investigation.received


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """The key exists and this signer holds a share of it, in memory, for the trials."""

    terms: KeygenTerms
    signer: str
    output: DKGOutput
    made: MadeKey
    trier: Trier
    since_ms: int


Attempt = Dealt | Agreed | Disputed | Holding


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What goes to the coordinator when the key exists."""

    statement_signature: bytes
    recovery_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What an investigation found. It is proven to this holder alone, and to nobody it tells.

    Attributes:
        fault: How far it is proven.
        suspect: The participant that is at fault, unless the coordinator is; None when no participant is named.
        detail: What was found, for people.
    """

    fault: Fault
    suspect: int | None
    detail: str


def begin(
    terms: KeygenTerms,
    *,
    signer: str,
    host_key: SecretScalar,
    random32: bytes,
    now_ms: int,
    previous: Attempt | None = None,
) -> tuple[Dealt, bytes]:
    """Open an attempt; returns ChillDKG's first message, 33t + 32n + 97 bytes.

    Args:
        terms: What to generate, from the own log.
        signer: The own name.
        host_key: The own host secret key; stays the caller's.
        random32: 32 bytes of fresh randomness, never used before.
        now_ms: The time.
        previous: The attempt in memory, if any; it is wiped when this one takes its place.

    Raises:
        KeygenRefused: the attempt's number does not rise above that of an earlier attempt for the same order.
        SessionParamsError, HostSeckeyError: the charter's host keys are wrong for this signer.
    """
    if previous is not None and previous.terms.order_hash == terms.order_hash:
        if terms.attempt <= previous.terms.attempt:
            raise KeygenRefused(
                f"attempt {terms.attempt} does not rise above {previous.terms.attempt}", attempt=str(terms.attempt)
            )
    state, message = chilldkg.participant_step1(host_key, terms.params, random32)
    if terms.signers[state.participant] != signer:
        raise KeygenRefused(f"the host key is that of {terms.signers[state.participant]}, not of {signer}")
    if previous is not None:
        wipe(previous)
    return Dealt(terms=terms, signer=signer, state=state, since_ms=now_ms), message


def agree(
    attempt: Attempt, message: bytes, *, host_key: SecretScalar, aux32: bytes, now_ms: int
) -> tuple[Agreed, bytes]:
    """Check the coordinator's first message (162n + 33(t - 1) bytes); returns the signature over the transcript.

    Raises:
        KeygenRefused: not at this step, or the attempt is over.
        MessageLengthError, ProtocolError: ChillDKG's own, which say who is to blame and how far that is proven.
    """
    if not isinstance(attempt, Dealt) or has_expired(attempt, now_ms):
        raise _out_of_order(attempt, now_ms, "round 2")
    state, signature = chilldkg.participant_step2(host_key, attempt.state, message, aux32)
    return Agreed(terms=attempt.terms, signer=attempt.signer, state=state, since_ms=now_ms), signature


def dispute(attempt: Attempt, error: UnknownFaultyParticipantOrCoordinatorError, *, now_ms: int) -> Disputed:
    """Take note of what `agree` raised, in order to investigate."""
    return Disputed(terms=attempt.terms, signer=attempt.signer, error=error, since_ms=now_ms)


def investigate(attempt: Attempt, message: bytes, *, host_key: SecretScalar, now_ms: int) -> Finding:
    """Find out whose fault the wrong share is; the attempt is over after it.

    Args:
        attempt: The disputed attempt.
        message: The coordinator's investigation message, 65n bytes.
        host_key: The own host secret key; stays the caller's.
        now_ms: The time.

    Raises:
        KeygenRefused: nothing is disputed, or the attempt is over.
    """
    if not isinstance(attempt, Disputed) or has_expired(attempt, now_ms):
        raise _out_of_order(attempt, now_ms, "an investigation")
    try:
        chilldkg.participant_investigate(host_key, attempt.error, message)
    except FaultyParticipantOrCoordinatorError as error:
        suspect = attempt.terms.signers[error.participant]
        detail = f"the share that {suspect} dealt this signer does not match its commitments"
        return Finding(fault=Fault.HOLDER_OR_COORDINATOR, suspect=error.participant, detail=detail)
    except (FaultyCoordinatorError, MessageLengthError) as error:
        return Finding(fault=Fault.COORDINATOR, suspect=None, detail=error.message)
    except SelfCheckFailed as error:
        return Finding(fault=Fault.OWN_MACHINE, suspect=None, detail=error.message)


def finish(attempt: Attempt, message: bytes, *, vote_key: SigningKey, now_ms: int) -> tuple[Holding, Finished]:
    """Check the certificate (64n bytes), and state with the vote key that this signer holds a share.

    Raises:
        KeygenRefused: not at this step, or the attempt is over.
        MessageLengthError, FaultyCoordinatorError: the certificate does not hold.
    """
    if not isinstance(attempt, Agreed) or has_expired(attempt, now_ms):
        raise _out_of_order(attempt, now_ms, "the end")
    output, data = chilldkg.participant_finalize(attempt.state, message)
    made = MadeKey.of(output, attempt.terms.params, data)
    statement = sign_body("vault", attempt.terms.statement(attempt.signer, made), vote_key)
    if output.secshare is None:
        raise SelfCheckFailed("a participant's output has no share: a defect of ours")
    signers = attempt.terms.signers
    trier = Trier(
        terms=attempt.terms,
        made=made,
        share=output.secshare,
        identifier=signers.index(attempt.signer),
        subsets=covering_sets(range(len(signers)), attempt.terms.threshold),
        session=session_id(attempt.terms),
    )
    holding = Holding(
        terms=attempt.terms, signer=attempt.signer, output=output, made=made, trier=trier, since_ms=now_ms
    )
    return holding, Finished(statement_signature=statement.signature, recovery_hash=made.recovery_hash)


def trial_commit(attempt: Attempt, subset: tuple[int, ...], *, random32: bytes, now_ms: int) -> tuple[Holding, bytes]:
    """Commit for the trial of one subset; returns the public nonce, 66 bytes. Asked again, an unused nonce is replaced.

    Raises:
        KeygenRefused: not at this step, the attempt is over, or it is none of the subsets this signer tries.
    """
    holding = _ready(attempt, now_ms)
    try:
        trier, public = holding.trier.commit(subset, random32)
    except TrialRefused as error:
        raise KeygenRefused(error.message) from error
    return replace(holding, trier=trier, since_ms=now_ms), public


def trial_sign(
    attempt: Attempt, subset: tuple[int, ...], nonces: tuple[bytes, ...], *, now_ms: int
) -> tuple[Holding, bytes]:
    """Give the trial signature share of one subset, 32 bytes.

    This is the only signature without a plan: the key is fresh, and the message is made here, from the own log and the
    transcript.

    Raises:
        KeygenRefused: not at this step, the attempt is over, or there is no unused nonce for this subset.
        InvalidInput, InvalidContribution: the nonces are malformed, or do not hold the own one.
    """
    holding = _ready(attempt, now_ms)
    try:
        trier, share = holding.trier.sign(subset, nonces)
    except TrialRefused as error:
        raise KeygenRefused(error.message) from error
    return replace(holding, trier=trier, since_ms=now_ms), share


def has_expired(attempt: Attempt, now_ms: int) -> bool:
    """Whether the coordinator has been silent for too long."""
    return now_ms - attempt.since_ms > SILENCE_MS


def wipe(attempt: Attempt) -> None:
    """Destroy the secrets of an attempt that is over. Wiping twice is harmless."""
    output = attempt.state.output if isinstance(attempt, Agreed) else None
    if isinstance(attempt, Holding):
        attempt.trier.wipe()
    if output is not None and output.secshare is not None:
        output.secshare.wipe()


def _ready(attempt: Attempt, now_ms: int) -> Holding:
    if not isinstance(attempt, Holding) or has_expired(attempt, now_ms):
        raise _out_of_order(attempt, now_ms, "a trial")
    return attempt


def _out_of_order(attempt: Attempt, now_ms: int, wanted: str) -> KeygenRefused:
    if has_expired(attempt, now_ms):
        return KeygenRefused(f"attempt {attempt.terms.attempt} is over: the coordinator was silent for too long")
    return KeygenRefused(f"attempt {attempt.terms.attempt} is at {type(attempt).__name__}, not ready for {wanted}")
