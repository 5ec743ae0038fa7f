"""The coordinator's side of one key generation attempt: it relays, and can neither read nor split.

`step(state, event)` is total and pure. The phases follow each other when all holders have answered: first messages,
signatures over the transcript, statements, trial nonces, trial shares. The result is the body of the vault's entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from strongroom.crypto import chilldkg, ed25519, frost
from strongroom.crypto.chilldkg import CoordinatorState, DKGOutput
from strongroom.crypto.chilldkg_errors import FaultyParticipantError, FaultyParticipantOrCoordinatorError
from strongroom.crypto.errors import InvalidInput
from strongroom.ledger import codec
from strongroom.ledger.messages import Trial, Vault, VaultSignature
from strongroom.ledger.pae import pae
from strongroom.protocol.keygen import SILENCE_MS, KeygenTerms, recovery_hash, trial_session, trial_sets

__all__ = [
    "AskRound1",
    "AskTrialNonces",
    "AskTrialShares",
    "AttemptFailed",
    "Command",
    "DeadlinePassed",
    "Event",
    "Generated",
    "HolderFailed",
    "KeygenState",
    "Round1Arrived",
    "Round2Arrived",
    "SendFinish",
    "SendRound2",
    "StatementArrived",
    "TrialNonceArrived",
    "TrialShareArrived",
    "begin",
    "step",
]

Subset = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round1Arrived:
    """ChillDKG's first message of a holder, 33t + 32n + 97 bytes."""

    signer: str
    message: bytes
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Round2Arrived:
    """A holder's signature over the transcript, 64 bytes."""

    signer: str
    message: bytes
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementArrived:
    """A holder's signature under its VaultStatement, 64 bytes, and the hash of the recovery data it computed."""

    signer: str
    signature: bytes
    recovery_hash: bytes
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialNonceArrived:
    """A holder's public nonce for the trial of one subset, 66 bytes."""

    signer: str
    subset: Subset
    nonce: bytes
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialShareArrived:
    """A holder's share of one trial signature, 32 bytes."""

    signer: str
    subset: Subset
    share: bytes
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderFailed:
    """A holder refused or broke off, or its link is gone."""

    signer: str
    failure: str
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed:
    """Time passed."""

    now_ms: int


_Answer = Round1Arrived | Round2Arrived | StatementArrived | TrialNonceArrived | TrialShareArrived | HolderFailed
Event = _Answer | DeadlinePassed


@dataclass(frozen=True, slots=True, kw_only=True)
class AskRound1:
    """Ask every holder for its first message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRound2:
    """Send every holder the coordinator's first message, 162n + 33(t - 1) bytes."""

    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFinish:
    """Send every holder the certificate, 64n bytes."""

    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTrialNonces:
    """Ask the members of a subset, named in participant order, for nonces."""

    subset: Subset
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTrialShares:
    """Ask the members of a subset for shares under these nonces, in the same order."""

    subset: Subset
    signers: tuple[str, ...]
    nonces: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """Done: the body of the vault's entry."""

    vault: Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """The attempt is over; the next has a higher number.

    Attributes:
        failure: What happened.
        suspects: Who did it, or was silent. In front of others this proves nothing.
    """

    failure: str
    suspects: tuple[str, ...]


Command = AskRound1 | SendRound2 | SendFinish | AskTrialNonces | AskTrialShares | Generated | AttemptFailed


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
    output: DKGOutput | None = None
    recovery_data: bytes = b""
    statements: Mapping[str, bytes] = field(default_factory=dict)
    nonces: Mapping[tuple[Subset, str], bytes] = field(default_factory=dict)
    shares: Mapping[tuple[Subset, str], bytes] = field(default_factory=dict)
    signatures: Mapping[Subset, bytes] = field(default_factory=dict)
    outcome: Generated | AttemptFailed | None = None

    @property
    def subsets(self) -> tuple[Subset, ...]:
        """The subsets that try the key."""
        return trial_sets(len(self.terms.signers), self.terms.threshold)

    def members(self, subset: Subset) -> tuple[str, ...]:
        """Names of a subset, in participant order."""
        return tuple(self.terms.signers[identifier] for identifier in subset)


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
        return _fail(state, "30 s of silence", _silent(state))
    return _take(state, event) if event.signer in state.terms.signers else (state, ())


def _take(state: KeygenState, event: _Answer) -> tuple[KeygenState, tuple[Command, ...]]:
    match event:
        case HolderFailed():
            return _fail(state, event.failure, (event.signer,))
        case Round1Arrived():
            return _take_first(state, event)
        case Round2Arrived():
            return _take_second(state, event)
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
        return _fail(state, error.message, (signers[error.participant],))
    except InvalidInput as error:
        return _fail(state, error.message, ())
    return replace(state, dealt=dealt, since_ms=event.now_ms), (SendRound2(message=message),)


def _take_second(state: KeygenState, event: Round2Arrived) -> tuple[KeygenState, tuple[Command, ...]]:
    if state.dealt is None or state.output is not None or event.signer in state.seconds:
        return state, ()
    state = replace(state, seconds={**state.seconds, event.signer: event.message})
    signers = state.terms.signers
    if state.dealt is None or len(state.seconds) < len(signers):
        return state, ()
    try:
        certificate, output, recovery_data = chilldkg.coordinator_finalize(
            state.dealt, [state.seconds[name] for name in signers]
        )
    except (FaultyParticipantError, FaultyParticipantOrCoordinatorError) as error:
        return _fail(state, error.message, (signers[error.participant],))
    except InvalidInput as error:
        return _fail(state, error.message, ())
    state = replace(state, output=output, recovery_data=recovery_data, since_ms=event.now_ms)
    return state, (SendFinish(message=certificate),)


def _take_statement(state: KeygenState, event: StatementArrived) -> tuple[KeygenState, tuple[Command, ...]]:
    if state.output is None or event.signer in state.statements:
        return state, ()
    statement = codec.encode(state.terms.statement(event.signer, state.recovery_data))
    if event.recovery_hash != recovery_hash(state.recovery_data):
        return _fail(state, "it computed other recovery data", (event.signer,))
    if not ed25519.verify(state.vote_keys.get(event.signer, b""), pae("vault", statement), event.signature):
        return _fail(state, "its statement does not verify under its vote key", (event.signer,))
    state = replace(state, statements={**state.statements, event.signer: event.signature})
    if len(state.statements) < len(state.terms.signers):
        return state, ()
    return replace(state, since_ms=event.now_ms), tuple(
        AskTrialNonces(subset=subset, signers=state.members(subset)) for subset in state.subsets
    )


def _take_nonce(state: KeygenState, event: TrialNonceArrived) -> tuple[KeygenState, tuple[Command, ...]]:
    key = (event.subset, event.signer)
    if not _in_trials(state, event.subset, event.signer) or key in state.nonces:
        return state, ()
    state = replace(state, nonces={**state.nonces, key: event.nonce}, since_ms=event.now_ms)
    members = state.members(event.subset)
    if any((event.subset, name) not in state.nonces for name in members):
        return state, ()
    nonces = tuple(state.nonces[event.subset, name] for name in members)
    return state, (AskTrialShares(subset=event.subset, signers=members, nonces=nonces),)


def _take_share(state: KeygenState, event: TrialShareArrived) -> tuple[KeygenState, tuple[Command, ...]]:
    key = (event.subset, event.signer)
    ready = _in_trials(state, event.subset, event.signer) and _has_all_nonces(state, event.subset)
    output = state.output
    if not ready or key in state.shares or output is None:
        return state, ()
    members = state.members(event.subset)
    state = replace(state, shares={**state.shares, key: event.share}, since_ms=event.now_ms)
    if any((event.subset, name) not in state.shares for name in members):
        return state, ()
    try:
        session = trial_session(
            state.terms,
            output,
            state.recovery_data,
            event.subset,
            [state.nonces[event.subset, name] for name in members],
        )
        signature = frost.aggregate([state.shares[event.subset, name] for name in members], session)
    except frost.InvalidContribution as error:
        suspects = () if error.signer_index is None else (members[error.signer_index],)
        return _fail(state, f"the trial of {members} failed: {error.contrib}", suspects)
    state = replace(state, signatures={**state.signatures, event.subset: signature})
    return _finish(state) if len(state.signatures) == len(state.subsets) else (state, ())


def _finish(state: KeygenState) -> tuple[KeygenState, tuple[Command, ...]]:
    done = Generated(
        vault=Vault(
            order_hash=state.terms.order_hash,
            recovery_data=state.recovery_data,
            statements=tuple(
                VaultSignature(signer=name, signature=state.statements[name]) for name in state.terms.signers
            ),
            trials=tuple(Trial(signers=subset, signature=state.signatures[subset]) for subset in state.subsets),
        )
    )
    return replace(state, outcome=done), (done,)


def _in_trials(state: KeygenState, subset: Subset, signer: str) -> bool:
    all_stated = len(state.statements) == len(state.terms.signers)
    return all_stated and subset in state.subsets and signer in state.members(subset)


def _silent(state: KeygenState) -> tuple[str, ...]:
    """Who is waited for in the current phase."""
    signers = state.terms.signers
    for answers, over in ((state.firsts, state.dealt), (state.seconds, state.output)):
        if over is None:
            return tuple(name for name in signers if name not in answers)
    if len(state.statements) < len(signers):
        return tuple(name for name in signers if name not in state.statements)
    late = {
        name
        for subset in state.subsets
        for name in state.members(subset)
        if (subset, name) not in (state.shares if _has_all_nonces(state, subset) else state.nonces)
    }
    return tuple(name for name in signers if name in late)


def _has_all_nonces(state: KeygenState, subset: Subset) -> bool:
    return all((subset, name) in state.nonces for name in state.members(subset))


def _fail(state: KeygenState, failure: str, suspects: tuple[str, ...]) -> tuple[KeygenState, tuple[Command, ...]]:
    failed = AttemptFailed(failure=failure, suspects=suspects)
    return replace(state, outcome=failed), (failed,)
