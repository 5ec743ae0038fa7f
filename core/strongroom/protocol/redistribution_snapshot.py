"""What the coordinator keeps of a redistribution that is under way, and what can be said of one afterwards.

Kept is what signers said; they store nothing and need not say it again. Everything is verified when it is read back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from strongroom.crypto import bip340, ed25519
from strongroom.crypto import redistribution as crypto
from strongroom.ledger import codec
from strongroom.ledger.codec import message
from strongroom.ledger.entry_messages import Trial, VaultSignature
from strongroom.ledger.pae import pae
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.keygen import Fault, MadeKey, trial_of
from strongroom.protocol.redistribution import made_of, open_dealing
from strongroom.protocol.redistribution_coordinator import resumed
from strongroom.protocol.redistribution_events import Command
from strongroom.protocol.redistribution_state import LeftOut, RedistributionState
from strongroom.protocol.redistribution_terms import RedistributionTerms
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.trials import Trials

__all__ = ["MAX_SNAPSHOT_BYTES", "SnapshotUnusable", "resume", "snapshot", "transcript_hash"]

MAX_SNAPSHOT_BYTES: Final = 1024 * 1024
_MAX_DEALING_BYTES: Final = 8_192
_MAX_TEXT: Final = 400
_TRANSCRIPT_TAG: Final = "strongroom/redistribution/transcript"


class SnapshotUnusable(StrongroomError):
    """A snapshot is of another attempt, or does not hold together. Begin a new attempt: nothing is lost by it."""

    reason = "REDISTRIBUTION_SNAPSHOT_UNUSABLE"
    kind = Kind.DATA_LOSS


@message
class KeptDealing:
    """A dealing as it came."""

    signer: str = codec.name(1)
    body: bytes = codec.data(2, max_length=_MAX_DEALING_BYTES)
    signature: bytes = codec.fixed(3, 64)


@message
class KeptLeftOut:
    """A dealer that is left out, and why."""

    signer: str = codec.name(1)
    problem: str = codec.text(2, max_length=_MAX_TEXT)
    fault: str = codec.text(3, max_length=40)
    found_by: tuple[str, ...] = codec.repeated_name(4, minimum=0, maximum=100)


@message
class KeptRedistribution:
    """Everything that is kept of one attempt."""

    terms_hash: bytes = codec.fixed(1, 32)
    dealings: tuple[KeptDealing, ...] = codec.repeated(2, KeptDealing, minimum=0, maximum=100)
    left_out: tuple[KeptLeftOut, ...] = codec.repeated(3, KeptLeftOut, minimum=0, maximum=100)
    chosen: tuple[str, ...] = codec.repeated_name(4, minimum=0, maximum=100)
    statements: tuple[VaultSignature, ...] = codec.repeated(5, VaultSignature, minimum=0, maximum=100)
    trials: tuple[Trial, ...] = codec.repeated(6, Trial, minimum=0, maximum=100)


def _kept(state: RedistributionState) -> KeptRedistribution:
    return KeptRedistribution(
        terms_hash=state.terms.hash,
        dealings=tuple(
            KeptDealing(signer=name, body=dealing.body, signature=dealing.signature)
            for name, dealing in state.dealings.items()
        ),
        left_out=tuple(
            KeptLeftOut(signer=name, problem=_plain(one.problem), fault=one.fault.value, found_by=one.found_by)
            for name, one in state.left_out.items()
        ),
        chosen=state.chosen,
        statements=tuple(
            VaultSignature(signer=name, signature=signature) for name, signature in state.statements.items()
        ),
        trials=() if state.trials is None else state.trials.entries,
    )


def _plain(text: str) -> str:
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:_MAX_TEXT]


def snapshot(state: RedistributionState) -> bytes:
    """What to store of a state, at most 1 MiB; the same state gives the same bytes."""
    return codec.encode(_kept(state))


def transcript_hash(state: RedistributionState) -> bytes:
    """The 32 bytes that name all that was said in a redistribution, for its record."""
    return bip340.tagged_hash(_TRANSCRIPT_TAG, snapshot(state))


def resume(
    terms: RedistributionTerms, data: bytes, *, vote_keys: Mapping[str, bytes], now_ms: int
) -> tuple[RedistributionState, tuple[Command, ...]]:
    """Go on with a stored attempt.

    Args:
        terms: What is handed on, from the own log; the attempt number is that of the snapshot.
        data: What `snapshot` gave.
        vote_keys: Vote keys of the charter in force, 32 bytes, by signer.
        now_ms: The time.

    Returns:
        The state, and what to ask now; nobody is taken to have anything in memory.

    Raises:
        SnapshotUnusable: it is of other terms, or a part of it does not verify.
        RedistributionRefused, SessionParamsError, RedistributionInputError: the terms cannot end; see `checked`.
    """
    terms.checked()
    try:
        kept = codec.decode(KeptRedistribution, data, max_size=MAX_SNAPSHOT_BYTES)
        if kept.terms_hash != terms.hash:
            raise SnapshotUnusable("the snapshot is of another attempt, or the charter has changed since")
        return resumed(_restored(terms, kept, vote_keys), now_ms)
    except SnapshotUnusable:
        raise
    except StrongroomError as error:
        raise SnapshotUnusable(f"the snapshot does not hold together: {error.message}") from error


def _restored(
    terms: RedistributionTerms, kept: KeptRedistribution, vote_keys: Mapping[str, bytes]
) -> RedistributionState:
    state = RedistributionState(
        terms=terms,
        vote_keys=vote_keys,
        dealings={one.signer: SignedBody(body=one.body, signature=one.signature) for one in kept.dealings},
        left_out={
            one.signer: LeftOut(problem=one.problem, fault=_fault(one.fault), found_by=one.found_by)
            for one in kept.left_out
        },
    )
    opened = {name: _opened(state, name) for name in state.dealings}
    if not kept.chosen:
        return state
    if not set(kept.chosen) <= set(state.usable):
        raise SnapshotUnusable("the snapshot has chosen a dealer that did not deal")
    made = made_of(terms, crypto.combine(terms.params, dict(opened[name] for name in kept.chosen)))
    trials = Trials(
        terms=terms,
        made=made,
        names=terms.signers,
        subsets=terms.subsets,
        signatures={one.signers: one.signature for one in kept.trials},
    )
    state = replace(
        state, chosen=kept.chosen, made=made, statements={one.signer: one.signature for one in kept.statements}
    )
    _verify_statements(state, made)
    _verify_trials(trials)
    # Trials begin when all have stated.
    return replace(state, trials=trials) if len(state.statements) == len(terms.required) else state


def _fault(value: str) -> Fault:
    try:
        return Fault(value)
    except ValueError:
        raise SnapshotUnusable(f"{value!r} is no kind of fault") from None


def _opened(state: RedistributionState, name: str) -> tuple[int, crypto.Dealing]:
    try:
        dealer, dealt = open_dealing(state.terms, state.dealings[name], state.vote_keys)
    except StrongroomError as error:
        raise SnapshotUnusable(f"the dealing of {name} does not hold: {error.message}") from error
    if state.terms.holders[dealer] != name:
        raise SnapshotUnusable(f"the dealing of {name} is that of another holder")
    return dealer, dealt


def _verify_statements(state: RedistributionState, made: MadeKey) -> None:
    for name, signature in state.statements.items():
        body = codec.encode(state.terms.statement(name, made))
        known = name in state.terms.required
        if not known or not ed25519.verify(state.vote_keys.get(name, b""), pae("epoch", body), signature):
            raise SnapshotUnusable(f"the statement of {name} does not verify")


def _verify_trials(trials: Trials) -> None:
    group_key = trials.made.key.commitments[0]
    for subset, signature in trials.signatures.items():
        message = trial_of(trials.terms, trials.made, subset)
        if subset not in trials.subsets or not bip340.verify(group_key[1:], message, signature):
            raise SnapshotUnusable(f"the trial signature of {subset} does not verify")
