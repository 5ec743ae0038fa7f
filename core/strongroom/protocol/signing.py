"""The coordinator's signing session for one plan, after ROAST: silent or lying holders cannot stop t honest ones.

`step(state, event)` is total and pure: every event is taken in every state, time comes in with the events, and what the
coordinator must send comes out as commands. The rules:

1. The preferred holders are asked first, as many as are needed. Every set has exactly t holders.
2. Commitments go into one set at most, ever. A holder is in at most one unanswered set at a time.
3. A set is opened as soon as t holders have fresh commitments and no earlier set can still be expected to complete.
4. Deadlines only start new sets. Late shares of an older set still count, and may complete it.
5. Signatures are verified first, single shares only when one fails, or before who gave them is asked for more.
6. A holder that gave a wrong share, refused, or sent something malformed is left out; the rest go on at once.

Without holders that leave and return, at most n - t + 1 sets are opened: each but the last keeps a holder for ever that
is bad or silent, or names one.

Spec: ROAST (Ruffing, Ronge, Jin, Schneider-Bensch, Schroeder), section 4; BIP-445.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from strongroom.model.ids import SignerName
from strongroom.protocol.commitments import VerifiedCommitments, commitments_hash, verify_commitments
from strongroom.protocol.release import (
    ShareEvidence,
    SharesDoNotSign,
    SigningSet,
    VerifiedShares,
    aggregate,
    open_set,
    shares_are_valid,
    verify_shares,
)
from strongroom.protocol.signed import BadSignedBody, SignedBody
from strongroom.protocol.signing_events import (
    AskCommitments,
    AskShares,
    Blame,
    Command,
    CommitmentsArrived,
    DeadlinePassed,
    Event,
    Failed,
    RefusalArrived,
    SharesArrived,
    Signed,
    SignerGone,
    SignerReturned,
)
from strongroom.protocol.signing_task import BadContribution, SigningTask

__all__ = [
    "AskCommitments",
    "AskShares",
    "Blame",
    "Command",
    "CommitmentsArrived",
    "DeadlinePassed",
    "Event",
    "Failed",
    "OpenSet",
    "RefusalArrived",
    "SharesArrived",
    "Signed",
    "SignerGone",
    "SignerReturned",
    "SigningState",
    "begin",
    "step",
]

COMMITMENTS_LIFETIME_MS: Final = 20_000
"""Older commitments are asked for again: the signer's own limit is 30 s, and the way there takes time too."""
PATIENCE_MS: Final = 2_000
"""How long an answer is waited for before others are asked."""


V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSet:
    """A set that was sent out.

    It is `late` once its answers took too long, and `closed` once it cannot complete: a member was left out or gone
    before it answered, or gave a wrong share. Members of a closed set stay busy until they answer.
    """

    chosen: SigningSet
    asked_ms: int
    shares: Mapping[SignerName, VerifiedShares] = field(default_factory=dict)
    checked: frozenset[SignerName] = frozenset()
    """Members whose shares were verified one by one and are right."""
    released: frozenset[SignerName] = frozenset()
    """Members that left and are no longer waited for."""
    late: bool = False
    closed: bool = False

    def waits_for(self, signer: str) -> bool:
        """Whether this member's shares are still to come."""
        return signer in self.chosen.signers and signer not in self.shares and signer not in self.released


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningState:
    """One signing session. `outcome` is set once and for all; later events change nothing."""

    task: SigningTask
    vote_keys: Mapping[str, bytes]
    preference: tuple[str, ...]
    """Every holder, preferred ones first."""
    fresh: Mapping[str, tuple[VerifiedCommitments, int]] = field(default_factory=dict)
    """Unused commitments, and when they arrived."""
    asked: Mapping[str, int] = field(default_factory=dict)
    """Holders asked for commitments that have not answered, and when."""
    late: frozenset[str] = frozenset()
    """Those of `asked` that are not waited for any more."""
    sets: tuple[OpenSet, ...] = ()
    used: frozenset[bytes] = frozenset()
    """Hashes of commitments that went into a set."""
    out: Mapping[str, str] = field(default_factory=dict)
    """Holders left out for good, with the reason."""
    gone: frozenset[str] = frozenset()
    outcome: Signed | Failed | None = None


def begin(
    task: SigningTask, *, vote_keys: Mapping[str, bytes], preference: tuple[str, ...], now_ms: int
) -> tuple[SigningState, tuple[Command, ...]]:
    """Start: asks the first t holders of `preference` for commitments.

    Args:
        task: The plan at its place in the log.
        vote_keys: Vote keys of the charter in force.
        preference: Holders in the order in which to ask them; holders not listed follow in participant order.
        now_ms: The time.
    """
    listed = tuple(dict.fromkeys(name for name in preference if name in task.group.signers))
    rest = tuple(name for name in task.group.signers if name not in listed)
    return _advance(SigningState(task=task, vote_keys=vote_keys, preference=listed + rest), now_ms)


def step(state: SigningState, event: Event) -> tuple[SigningState, tuple[Command, ...]]:
    """Take one event in. Unknown holders, repetitions and anything after the outcome change nothing."""
    if state.outcome is not None:
        return state, ()
    match event:
        case CommitmentsArrived():
            state = _take_commitments(state, event.signer, event.signed, event.now_ms)
        case SharesArrived():
            state = _take_shares(state, event)
        case RefusalArrived():
            state = _leave_out(state, event.signer, event.refusal)
        case SignerGone():
            state = _let_go(state, event.signer)
        case SignerReturned():
            state = replace(state, gone=state.gone - {event.signer})
        case DeadlinePassed():
            state = _lose_patience(state, event.now_ms)
    state, commands = _complete(state)
    if state.outcome is not None:
        return state, commands
    state, further = _advance(state, event.now_ms)
    return state, commands + further


def _take_commitments(state: SigningState, signer: str, signed: SignedBody, now_ms: int) -> SigningState:
    if signer not in state.preference or signer in state.out:
        return state
    try:
        verified = verify_commitments(signed, task=state.task, vote_keys=state.vote_keys)
    except (BadContribution, BadSignedBody) as error:
        return _leave_out(state, signer, error.reason)
    if verified.signer != signer:
        return _leave_out(state, signer, BadContribution.reason)
    state = replace(state, asked=_without(state.asked, signer), late=state.late - {signer}, gone=state.gone - {signer})
    if commitments_hash([signed]) in state.used or signer in state.fresh or _is_busy(state, signer):
        return state
    return replace(state, fresh={**state.fresh, signer: (verified, now_ms)})


def _take_shares(state: SigningState, event: SharesArrived) -> SigningState:
    signer = SignerName(event.signer)
    if signer in state.out:
        return state
    index = next((at for at, item in enumerate(state.sets) if item.waits_for(signer)), None)
    if index is not None:
        current = state.sets[index]
        try:
            shares = verify_shares(current.chosen, event.signed, vote_keys=state.vote_keys)
        except (BadContribution, BadSignedBody) as error:
            return _leave_out(state, signer, error.reason)
        if shares.signer != signer:
            return _leave_out(state, signer, BadContribution.reason)
        current = replace(current, shares={**current.shares, signer: shares})
        state = replace(state, sets=(*state.sets[:index], current, *state.sets[index + 1 :]))
    if event.next_commitments is None:
        return state
    return _take_commitments(state, signer, event.next_commitments, event.now_ms)


def _leave_out(state: SigningState, signer: str, reason: str) -> SigningState:
    if signer not in state.preference or signer in state.out:
        return state
    return replace(_silence(state, signer), out={**state.out, signer: reason})


def _let_go(state: SigningState, signer: str) -> SigningState:
    sets = tuple(
        replace(item, closed=True, released=item.released | {SignerName(signer)}) if item.waits_for(signer) else item
        for item in state.sets
    )
    return replace(_silence(replace(state, sets=sets), signer), gone=state.gone | {signer})


def _silence(state: SigningState, signer: str) -> SigningState:
    """Nothing more is expected of this holder for now: its commitments are void, its unanswered set is closed."""
    return replace(
        state,
        sets=tuple(replace(item, closed=True) if item.waits_for(signer) else item for item in state.sets),
        fresh=_without(state.fresh, signer),
        asked=_without(state.asked, signer),
        late=state.late - {signer},
    )


def _lose_patience(state: SigningState, now_ms: int) -> SigningState:
    expired = now_ms - PATIENCE_MS
    return replace(
        state,
        late=state.late | {name for name, asked_ms in state.asked.items() if asked_ms <= expired},
        sets=tuple(replace(item, late=item.late or item.asked_ms <= expired) for item in state.sets),
    )


def _complete(state: SigningState) -> tuple[SigningState, tuple[Command, ...]]:
    """Add up every set that has all its shares. A set that fails names its culprits and is closed."""
    blames: tuple[Command, ...] = ()
    for index, item in enumerate(state.sets):
        if item.closed or len(item.shares) < len(item.chosen.signers):
            continue
        try:
            done = Signed(signatures=aggregate(item.chosen, item.shares))
        except SharesDoNotSign as error:
            state, found = _condemn(state, index, error.evidence)
            blames += found
        else:
            return replace(state, outcome=done), (*blames, done)
    return state, blames


def _check_answers_of(state: SigningState, signers: tuple[str, ...]) -> tuple[SigningState, tuple[Command, ...]]:
    """Verify what these holders gave to sets that are still incomplete, before they are asked for more."""
    blames: tuple[Command, ...] = ()
    for index, item in enumerate(state.sets):
        unchecked = {name for name in item.shares if name in signers and name not in item.checked}
        if item.closed or not unchecked:
            continue
        commitments = tuple(each.signed for each in item.chosen.commitments)
        wrong = tuple(
            ShareEvidence(signer=name, shares=item.shares[name].signed, commitments=commitments)
            for name in item.chosen.signers
            if name in unchecked and not shares_are_valid(item.chosen, item.shares[name])
        )
        checked = replace(item, checked=item.checked | unchecked)
        state = replace(state, sets=(*state.sets[:index], checked, *state.sets[index + 1 :]))
        if wrong:
            state, found = _condemn(state, index, wrong)
            blames += found
    return state, blames


def _condemn(
    state: SigningState, index: int, evidence: tuple[ShareEvidence, ...]
) -> tuple[SigningState, tuple[Command, ...]]:
    """Close a set that holds wrong shares, and leave out who gave them."""
    closed = replace(state.sets[index], closed=True)
    state = replace(state, sets=(*state.sets[:index], closed, *state.sets[index + 1 :]))
    for item in evidence:
        state = _leave_out(state, item.signer, SharesDoNotSign.reason)
    return state, tuple(Blame(evidence=item) for item in evidence)


def _advance(state: SigningState, now_ms: int) -> tuple[SigningState, tuple[Command, ...]]:
    """Open a set if one can be, ask for what is missing, or give up."""
    threshold = state.task.group.threshold
    if len(state.preference) - len(state.out) < threshold:
        failed = Failed(reasons=dict(state.out))
        return replace(state, outcome=failed), (failed,)
    if any(not item.late and not item.closed for item in state.sets):
        return state, ()
    oldest = now_ms - COMMITMENTS_LIFETIME_MS
    state = replace(state, fresh={name: item for name, item in state.fresh.items() if item[1] > oldest})
    ready = tuple(name for name in state.preference if name in state.fresh)[:threshold]
    if len(ready) < threshold:
        return _ask_more(state, threshold - len(ready), now_ms)
    state, blames = _check_answers_of(state, ready)
    opened = None if blames else _open(state, ready, now_ms)
    if opened is None or isinstance(opened, BadContribution):
        if opened is not None:
            state = _leave_out(state, opened.signer, opened.reason)
        state, further = _advance(state, now_ms)
        return state, blames + further
    commands = AskShares(
        signers=opened.chosen.signers, commitments=tuple(item.signed for item in opened.chosen.commitments)
    )
    return (
        replace(
            state,
            sets=(*state.sets, opened),
            fresh={name: item for name, item in state.fresh.items() if name not in ready},
            used=state.used | {commitments_hash([item.signed]) for item in opened.chosen.commitments},
        ),
        (commands,),
    )


def _open(state: SigningState, ready: tuple[str, ...], now_ms: int) -> OpenSet | BadContribution:
    ordered = [state.fresh[name][0] for name in state.task.group.signers if name in ready]
    try:
        return OpenSet(chosen=open_set(state.task, ordered), asked_ms=now_ms)
    except BadContribution as error:
        return error


def _ask_more(state: SigningState, wanted: int, now_ms: int) -> tuple[SigningState, tuple[Command, ...]]:
    """Ask further holders, so that those asked and not yet given up on are as many as wanted."""
    wanted -= sum(name not in state.late for name in state.asked)
    idle = [
        SignerName(name)
        for name in state.preference
        if not (name in state.out or name in state.gone or name in state.fresh or name in state.asked)
        and not _is_busy(state, name)
    ][: max(wanted, 0)]
    if not idle:
        return state, ()
    return (
        replace(state, asked={**state.asked, **dict.fromkeys(idle, now_ms)}),
        (AskCommitments(signers=tuple(idle)),),
    )


def _is_busy(state: SigningState, signer: str) -> bool:
    return any(item.waits_for(signer) for item in state.sets)


def _without(items: Mapping[str, V], name: str) -> dict[str, V]:
    return {key: value for key, value in items.items() if key != name}
