"""The coordinator's side of a redistribution: it relays, and can neither read nor split.

`step(state, event)` is total and pure. Old holders deal, each when it can; once all that may deal have answered, or
enough have dealt and the others are silent, their dealings go to the new holders. All of these who are not absent state
that they have their shares, and subsets of them sign trials. Whatever fails is asked again until it is done.

A dealer that is proven bad, or that a new holder names, is left out: its dealing is dropped and the rest added up anew,
which costs no other dealer anything. Only when too few old holders are left does the attempt fail.

Signers keep nothing, so the coordinator keeps what they said (`snapshot`) and goes on from there after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from strongroom.crypto import ed25519
from strongroom.crypto import redistribution as crypto
from strongroom.crypto.redistribution_errors import CommitmentsCancelError
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import VaultSignature
from strongroom.ledger.key_material import key_hash
from strongroom.ledger.pae import pae
from strongroom.model.errors import StrongroomError
from strongroom.protocol.keygen import SILENCE_MS, Fault, MadeKey
from strongroom.protocol.redistribution import made_of, open_dealing
from strongroom.protocol.redistribution_events import (
    AskDealing,
    AskTrialNonces,
    AskTrialShares,
    Blame,
    Command,
    Completed,
    DeadlinePassed,
    DealingArrived,
    Disputed,
    Event,
    Failed,
    HolderEvent,
    HolderFailed,
    HolderReady,
    SendDealings,
    StatementArrived,
    TrialNonceArrived,
    TrialShareArrived,
)
from strongroom.protocol.redistribution_state import Failure, LeftOut, RedistributionState, progress
from strongroom.protocol.redistribution_terms import RedistributionTerms
from strongroom.protocol.trials import Subset, TrialFailed, Trials

__all__ = ["RETRY_MS", "begin", "progress", "resumed", "step"]

RETRY_MS: Final = 10_000
"""How long a holder that failed is left alone before it is asked again."""

_Outcome = tuple[RedistributionState, tuple[Command, ...]]


def begin(terms: RedistributionTerms, *, vote_keys: Mapping[str, bytes]) -> _Outcome:
    """Open an attempt.

    Raises:
        RedistributionRefused, SessionParamsError, RedistributionInputError: it could not end; see `checked`.
    """
    terms.checked()
    return RedistributionState(terms=terms, vote_keys=vote_keys), (AskDealing(signers=terms.candidates),)


def step(state: RedistributionState, event: Event) -> _Outcome:
    """Take one event in.

    Strangers, repetitions, what comes out of order or too late, and anything after the outcome change nothing.
    """
    if state.outcome is not None:
        return state, ()
    if isinstance(event, DeadlinePassed):
        return _take_time(state, event.now_ms)
    known = {*state.terms.candidates, *state.terms.required}
    return _take(state, event) if event.signer in known else (state, ())


def _take(state: RedistributionState, event: HolderEvent) -> _Outcome:
    match event:
        case DealingArrived():
            return _take_dealing(state, event)
        case StatementArrived():
            return _take_statement(state, event)
        case Disputed():
            return _take_dispute(state, event)
        case TrialNonceArrived():
            return _take_nonce(state, event)
        case TrialShareArrived():
            return _take_share(state, event)
        case HolderFailed():
            return _take_failure(state, event.signer, event.failure, event.now_ms)
        case HolderReady():
            return _ask_again(state, (event.signer,) if event.signer in state.failures else ())


# --- dealing ---------------------------------------------------------------------------------------------------------


def _take_dealing(state: RedistributionState, event: DealingArrived) -> _Outcome:
    name = event.signer
    if name not in state.may_still_deal:
        return state, ()
    if state.made is None:
        # Later on, a failure is one of another step, and stays until that is done.
        state = _recovered(state, name)
    problem, blame = _problem_with(state, event)
    if problem:
        state, commands = _leave_out(state, {name: LeftOut(problem=problem, fault=Fault.HOLDER)}, event.now_ms)
        return state, (*blame, *commands)
    state = replace(state, dealings={**state.dealings, name: event.dealing})
    if state.enough_since_ms is None and len(state.usable) >= state.terms.threshold_before:
        state = replace(state, enough_since_ms=event.now_ms)
    return _go_on_dealing(state, event.now_ms)


def _problem_with(state: RedistributionState, event: DealingArrived) -> tuple[str, tuple[Blame, ...]]:
    """What is wrong with a dealing that came over its dealer's own link, empty when nothing is; and whom it convicts.

    What does not verify, or is of another redistribution, convicts nobody to anybody else: only the link shows whose it
    was.
    """
    try:
        dealer, dealt = open_dealing(state.terms, event.dealing, state.vote_keys)
    except StrongroomError as error:
        return error.message, ()
    name = state.terms.holders[dealer]
    faults = crypto.public_faults(state.terms.params, {dealer: dealt})
    blame = tuple(Blame(dealer=name, dealing=event.dealing) for _ in faults)
    if name != event.signer:
        return "it sent the dealing of another holder as its own", blame
    return (faults[0].problem if faults else ""), blame


def _go_on_dealing(state: RedistributionState, now_ms: int) -> _Outcome:
    """Choose the dealings that count, if none are chosen, there are enough, and no more are to be waited for."""
    since = state.enough_since_ms
    if state.made is not None or since is None:
        return _fail_if_too_few(state)
    waits = [name for name in state.may_still_deal if name not in state.failures]
    if waits and now_ms - since <= SILENCE_MS:
        return state, ()
    return _choose(state, now_ms)


def _choose(state: RedistributionState, now_ms: int) -> _Outcome:
    """Add the usable dealings up and send them to the new holders."""
    chosen = state.usable
    try:
        made = made_of(state.terms, crypto.combine(state.terms.params, _opened(state, chosen)))
    except CommitmentsCancelError:
        # Only who dealt after the others could make its commitments cancel theirs.
        last = [name for name in state.dealings if name in chosen][-1]
        problem = "its commitments cancel those of the dealers before it"
        return _leave_out(state, {last: LeftOut(problem=problem, fault=Fault.UNPROVEN)}, now_ms)
    failures = {name: failure for name, failure in state.failures.items() if name not in state.terms.required}
    state = replace(_without_choice(state), chosen=chosen, made=made, failures=failures)
    return state, (_dealings_for(state, state.terms.required),)


def _opened(state: RedistributionState, names: tuple[str, ...]) -> dict[int, crypto.Dealing]:
    return dict(open_dealing(state.terms, state.dealings[name], state.vote_keys) for name in names)


def _dealings_for(state: RedistributionState, names: tuple[str, ...]) -> SendDealings:
    return SendDealings(signers=names, dealings=tuple(state.dealings[name] for name in state.chosen))


def _leave_out(state: RedistributionState, left_out: dict[str, LeftOut], now_ms: int) -> _Outcome:
    """Leave dealers out for good; if a dealing of theirs counted, the rest is added up anew."""
    state = replace(state, left_out={**state.left_out, **left_out})
    if state.made is not None and not set(left_out) & set(state.chosen):
        return state, ()
    state = _without_choice(state)
    if len(state.usable) >= state.terms.threshold_before:
        since = now_ms if state.enough_since_ms is None else state.enough_since_ms
        return _go_on_dealing(replace(state, enough_since_ms=since), now_ms)
    state, commands = _fail_if_too_few(replace(state, enough_since_ms=None, failures={}))
    # Everybody left is asked: while their dealings were not needed, nobody kept count of who failed to deal.
    return state, commands or (AskDealing(signers=state.may_still_deal),)


def _without_choice(state: RedistributionState) -> RedistributionState:
    return replace(state, chosen=(), made=None, statements={}, here={}, trials=None, under_way=frozenset())


def _fail_if_too_few(state: RedistributionState) -> _Outcome:
    left = len(state.usable) + len(state.may_still_deal)
    if left >= state.terms.threshold_before:
        return state, ()
    accusers = {accuser for one in state.left_out.values() for accuser in one.found_by}
    suspects = tuple(dict.fromkeys([*state.left_out, *sorted(accusers)]))
    failed = Failed(
        failure=f"{left} old holders are left to deal, {state.terms.threshold_before} are needed", suspects=suspects
    )
    return replace(state, outcome=failed), (failed,)


# --- receiving -------------------------------------------------------------------------------------------------------


def _take_statement(state: RedistributionState, event: StatementArrived) -> _Outcome:
    made, name = state.made, event.signer
    if made is None or name not in state.terms.required:
        return state, ()
    if (event.recovery_hash, event.key_hash) != (made.recovery_hash, key_hash(made.key)):
        # Honest when it answers to dealings of which some were left out since.
        return _take_failure(state, name, "it states that it has another share than the dealings give", event.now_ms)
    statement = codec.encode(state.terms.statement(name, made))
    if not ed25519.verify(state.vote_keys.get(name, b""), pae("epoch", statement), event.signature):
        failure = "its statement does not verify under its vote key"
        return _take_failure(state, name, failure, event.now_ms, fault=Fault.HOLDER)
    state = _recovered(state, name)
    state = replace(
        state, statements={**state.statements, name: event.signature}, here={**state.here, name: event.now_ms}
    )
    return _begin_trials(state, made, event.now_ms)


def _take_dispute(state: RedistributionState, event: Disputed) -> _Outcome:
    name = event.signer
    if state.made is None or name not in state.terms.required:
        return state, ()
    named = [dealer for dealer in dict.fromkeys(event.dealers) if dealer in state.chosen]
    if not named:
        # Honest when it answers to dealings of which some were left out since.
        return _take_failure(state, name, "it disputes dealings that do not count", event.now_ms)
    problem = f"{name} says that the share it was dealt does not match the commitments"
    left_out = LeftOut(problem=problem, fault=Fault.HOLDER_OR_COORDINATOR, found_by=(name,))
    return _leave_out(_recovered(state, name), dict.fromkeys(named, left_out), event.now_ms)


# --- trials ----------------------------------------------------------------------------------------------------------


def _begin_trials(state: RedistributionState, made: MadeKey, now_ms: int) -> _Outcome:
    """When all have stated, have those subsets try whose members all have their shares in memory.

    Who stated long ago has dropped its share, and gets the dealings again first.
    """
    if len(state.statements) < len(state.terms.required):
        return state, ()
    terms = state.terms
    trials = state.trials or Trials(terms=terms, made=made, names=terms.signers, subsets=terms.subsets)
    idle = [subset for subset in trials.subsets if subset not in trials.signatures and subset not in state.under_way]
    wanted = {name for subset in idle for name in trials.members(subset)}
    gone = tuple(name for name in sorted(wanted) if now_ms - state.here.get(name, now_ms) > SILENCE_MS)
    here = _less(state.here, gone)
    ready = [subset for subset in idle if set(trials.members(subset)) <= here.keys()]
    state = replace(state, trials=trials, here=here, under_way=state.under_way | set(ready))
    commands: list[Command] = [AskTrialNonces(subset=subset, signers=trials.members(subset)) for subset in ready]
    if gone:
        commands.append(_dealings_for(state, gone))
    return state, tuple(commands)


def _less(here: Mapping[str, int], names: tuple[str, ...]) -> dict[str, int]:
    return {name: since for name, since in here.items() if name not in names}


def _trials_under_way(state: RedistributionState, subset: Subset) -> Trials | None:
    """The trials, if this subset was asked to sign and has not yet."""
    return state.trials if subset in state.under_way else None


def _take_nonce(state: RedistributionState, event: TrialNonceArrived) -> _Outcome:
    trials = _trials_under_way(state, event.subset)
    if trials is None:
        return state, ()
    try:
        taken = trials.with_nonce(event.subset, event.signer, event.nonce)
    except TrialFailed as error:
        return _take_failure(state, event.signer, error.message, event.now_ms, fault=Fault.HOLDER)
    nonces = taken.nonces_of(event.subset)
    state = replace(state, trials=taken, here=_touched(state, event.signer, event.now_ms))
    if not nonces or taken is trials:
        return state, ()
    return state, (AskTrialShares(subset=event.subset, signers=taken.members(event.subset), nonces=nonces),)


def _take_share(state: RedistributionState, event: TrialShareArrived) -> _Outcome:
    trials = _trials_under_way(state, event.subset)
    if trials is None:
        return state, ()
    try:
        trials = trials.with_share(event.subset, event.signer, event.share)
    except TrialFailed as error:
        return _take_failure(state, error.suspect or event.signer, error.message, event.now_ms, fault=Fault.HOLDER)
    here = _touched(state, event.signer, event.now_ms)
    state = replace(state, trials=trials, here=here, under_way=state.under_way - set(trials.signatures))
    return _finish(state, trials) if trials.is_complete else (state, ())


def _touched(state: RedistributionState, name: str, now_ms: int) -> dict[str, int]:
    """A holder that was asked for its share keeps it in memory for a while longer."""
    return {**state.here, **({name: now_ms} if name in state.here else {})}


def _finish(state: RedistributionState, trials: Trials) -> _Outcome:
    done = Completed(
        made=trials.made,
        statements=tuple(
            VaultSignature(signer=name, signature=state.statements[name]) for name in state.terms.required
        ),
        trials=trials.entries,
    )
    return replace(state, outcome=done), (done,)


# --- failures --------------------------------------------------------------------------------------------------------


def _take_failure(
    state: RedistributionState, name: str, text: str, now_ms: int, *, fault: Fault = Fault.UNPROVEN
) -> _Outcome:
    """Note what went wrong with a holder; whatever trial it was in begins again when it is back."""
    failure = Failure(text=text, since_ms=now_ms, fault=fault)
    state = replace(state, failures={**state.failures, name: failure}, here=_less(state.here, (name,)))
    trials = state.trials
    if trials is not None:
        broken = [subset for subset in state.under_way if name in trials.members(subset)]
        for subset in broken:
            trials = trials.again(subset)
        state = replace(state, trials=trials, under_way=state.under_way - set(broken))
    return _go_on_dealing(state, now_ms) if state.made is None else (state, ())


def _recovered(state: RedistributionState, name: str) -> RedistributionState:
    return replace(state, failures={key: value for key, value in state.failures.items() if key != name})


def _take_time(state: RedistributionState, now_ms: int) -> _Outcome:
    if state.made is None and state.enough_since_ms is not None:
        state, commands = _go_on_dealing(state, now_ms)
        if commands:
            return state, commands
    rested = [name for name, failure in state.failures.items() if now_ms - failure.since_ms >= RETRY_MS]
    return _ask_again(state, tuple(rested))


def _ask_again(state: RedistributionState, names: tuple[str, ...]) -> _Outcome:
    """Ask holders that failed for what they owe now."""
    if state.made is None:
        owing = tuple(name for name in state.may_still_deal if name in names)
        command: Command = AskDealing(signers=owing)
    else:
        owing = tuple(name for name in _owing_statements(state) if name in names)
        command = _dealings_for(state, owing)
    if not owing:
        return state, ()
    for name in owing:
        state = _recovered(state, name)
    return state, (command,)


def _owing_statements(state: RedistributionState) -> tuple[str, ...]:
    """New holders that have not stated, or whose share is gone from their memory while a trial needs it."""
    trials = state.trials
    tried: set[str] = set()
    if trials is not None:
        tried = {name for subset in trials.signatures for name in trials.members(subset)}
        tried -= {
            name for subset in trials.subsets if subset not in trials.signatures for name in trials.members(subset)
        }
    return tuple(name for name in state.terms.required if name not in tried)


# --- going on after a restart ----------------------------------------------------------------------------------------


def resumed(state: RedistributionState, now_ms: int) -> _Outcome:
    """What to ask, when a state was read back: nobody is known to have anything in memory.

    Args:
        state: As it was read back from a snapshot.
        now_ms: The time.
    """
    if state.trials is not None and state.trials.is_complete:
        return _finish(state, state.trials)
    if state.made is not None:
        owing = _owing_statements(state)
        return state, (_dealings_for(state, owing),) if owing else ()
    if len(state.usable) >= state.terms.threshold_before:
        state = replace(state, enough_since_ms=now_ms)
    asked = state.may_still_deal
    if not asked:
        return _go_on_dealing(state, now_ms)
    return state, (AskDealing(signers=asked),)
