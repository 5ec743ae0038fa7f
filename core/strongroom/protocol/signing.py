"""The coordinator's signing session for one plan, after ROAST: silent or lying holders cannot stop t honest ones.

`step(state, event)` is total and pure: every event is taken in every state, time comes in with the events, and what the
coordinator must send comes out as commands. The rules:

1. The preferred holders are asked first, as many as are needed. Every set has exactly t holders.
2. When one of them has not answered after the hedge, or failed in any other way, every idle holder is asked. From then
   on nobody is waited for: a set is opened whenever t holders have fresh commitments, whatever older sets still lack.
   A holder that is visibly at work on what it was asked before is waited for a little longer.
3. No set is opened before the plan is certified, and nobody counts as late before that.
4. Commitments go into one set at most, ever. A holder is in at most one unanswered set at a time.
5. Late shares of an older set still count, and may complete it.
6. Signatures are verified first, single shares only when one fails, or before who gave them is asked for more.
7. A holder that gave a wrong share, refused, sent something malformed, or left `MAX_DEPARTURES` times while it was
   waited for, is left out.

Each set that does not sign keeps a holder that is bad or silent, or names one, or lost a member that left. So at most
n - t + 1 sets are opened, and one more for each time a holder left while it was waited for.

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
    Demote,
    Event,
    Failed,
    PlanCertified,
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
    "Demote",
    "Event",
    "Failed",
    "OpenSet",
    "PlanCertified",
    "RefusalArrived",
    "SharesArrived",
    "Signed",
    "SignerGone",
    "SignerReturned",
    "SigningState",
    "awaited",
    "begin",
    "step",
]

COMMITMENTS_LIFETIME_MS: Final = 20_000
"""Older commitments are asked for again: the signer's own limit is 30 s, and the way there takes time too."""
HEDGE_MS: Final = 250
"""How long the preferred holders are waited for alone, while nothing is known about how fast they answer."""
BUSY_MS: Final = 2_000
"""How long a holder is waited for that is visibly at work, while nothing is known of how long everybody takes.

To ask others too would only add to everybody's work."""
MAX_DEPARTURES: Final = 3
"""So often may a holder leave while it is waited for: each time may cost a set."""
LEFT_TOO_OFTEN: Final = "LINK_UNSTABLE"


V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSet:
    """A set that was sent out.

    It is `closed` once it cannot complete: a member was left out or gone before it answered, or gave a wrong share.
    Members of a closed set stay busy until they answer.
    """

    chosen: SigningSet
    asked_ms: int
    shares: Mapping[SignerName, VerifiedShares] = field(default_factory=dict)
    checked: frozenset[SignerName] = frozenset()
    """Members whose shares were verified one by one and are right."""
    released: frozenset[SignerName] = frozenset()
    """Members that left and are no longer waited for."""
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
    hedge_ms: int
    certified: bool
    """Whether a certificate covers the plan, so that signers give shares for it."""
    busy_ms: int = BUSY_MS
    """How long one of them is waited for that is at work on what it was asked before."""
    hedged: bool = False
    """Whether every holder is asked, and nobody waited for any more."""
    fresh: Mapping[str, tuple[VerifiedCommitments, int]] = field(default_factory=dict)
    """Unused commitments, and when they arrived."""
    asked: Mapping[str, int] = field(default_factory=dict)
    """Holders asked for commitments that have not answered, and when."""
    sets: tuple[OpenSet, ...] = ()
    used: frozenset[bytes] = frozenset()
    """Hashes of commitments that went into a set."""
    out: Mapping[str, str] = field(default_factory=dict)
    """Holders left out for good, with the reason."""
    gone: frozenset[str] = frozenset()
    departures: Mapping[str, int] = field(default_factory=dict)
    """How often a holder left while it was waited for."""
    outcome: Signed | Failed | None = None


def begin(
    task: SigningTask,
    *,
    vote_keys: Mapping[str, bytes],
    preference: tuple[str, ...],
    now_ms: int,
    hedge_ms: int = HEDGE_MS,
    busy_ms: int = BUSY_MS,
    certified: bool = True,
    absent: frozenset[str] = frozenset(),
) -> tuple[SigningState, tuple[Command, ...]]:
    """Start: asks the first t present holders of `preference` for commitments.

    Args:
        task: The plan at its place in the log.
        vote_keys: Vote keys of the charter in force.
        preference: Holders in the order in which to ask them; holders not listed follow in participant order.
        now_ms: The time.
        hedge_ms: How long the preferred holders are waited for alone.
        busy_ms: How long one of them is waited for that is visibly at work.
        certified: Whether a certificate covers the plan already; if not, `PlanCertified` must follow.
        absent: Holders without a link; each takes part once it returns.
    """
    listed = tuple(dict.fromkeys(name for name in preference if name in task.group.signers))
    rest = tuple(name for name in task.group.signers if name not in listed)
    state = SigningState(
        task=task,
        vote_keys=vote_keys,
        preference=listed + rest,
        hedge_ms=hedge_ms,
        busy_ms=busy_ms,
        certified=certified,
        gone=absent & frozenset(task.group.signers),
    )
    return _advance(state, now_ms)


def step(state: SigningState, event: Event) -> tuple[SigningState, tuple[Command, ...]]:
    """Take one event in. Unknown holders, repetitions and anything after the outcome change nothing."""
    if state.outcome is not None:
        return state, ()
    before = state
    late: tuple[str, ...] = ()
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
        case PlanCertified():
            state, late = _lose_patience(replace(state, certified=True), event)
        case DeadlinePassed():
            state, late = _lose_patience(state, event)
    state, commands = _complete(state)
    if state.outcome is None:
        state, further = _advance(state, event.now_ms)
        commands += further
    return state, _demotion(before, state, late) + commands


def awaited(state: SigningState) -> dict[str, int]:
    """Holders that owe an answer, and since when."""
    owed = {str(name): item.asked_ms for item in state.sets for name in item.chosen.signers if item.waits_for(name)}
    return owed | dict(state.asked)


def _take_commitments(state: SigningState, signer: str, signed: SignedBody, now_ms: int) -> SigningState:
    if signer not in state.preference or signer in state.out:
        return state
    try:
        verified = verify_commitments(signed, task=state.task, vote_keys=state.vote_keys)
    except (BadContribution, BadSignedBody) as error:
        return _leave_out(state, signer, error.reason)
    if verified.signer != signer:
        return _leave_out(state, signer, BadContribution.reason)
    if commitments_hash([signed]) in state.used:
        return _leave_out(state, signer, BadContribution.reason)
    state = replace(state, asked=_without(state.asked, signer), gone=state.gone - {signer})
    if signer in state.fresh or _is_busy(state, signer):
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
    if signer not in state.preference or signer in state.out:
        return state
    if signer in awaited(state):
        left = state.departures.get(signer, 0) + 1
        state = replace(state, departures={**state.departures, signer: left})
        if left >= MAX_DEPARTURES:
            return _leave_out(state, signer, LEFT_TOO_OFTEN)
    sets = tuple(
        replace(item, closed=True, released=item.released | {SignerName(signer)}) if item.waits_for(signer) else item
        for item in state.sets
    )
    return replace(_silence(state, signer), sets=sets, gone=state.gone | {signer})


def _silence(state: SigningState, signer: str) -> SigningState:
    """Nothing more is expected of this holder for now: its commitments are void, its unanswered set is closed.

    If it was counted on, the others are asked at once.
    """
    return replace(
        state,
        hedged=state.hedged or signer in state.fresh or signer in awaited(state),
        sets=tuple(replace(item, closed=True) if item.waits_for(signer) else item for item in state.sets),
        fresh=_without(state.fresh, signer),
        asked=_without(state.asked, signer),
    )


def _lose_patience(state: SigningState, event: PlanCertified | DeadlinePassed) -> tuple[SigningState, tuple[str, ...]]:
    """Stop waiting when a preferred holder is late; also returns who is."""
    if state.hedged or not state.certified:
        return state, ()
    patience = {name: max(state.busy_ms, state.hedge_ms) for name in event.busy}
    late = tuple(
        name
        for name, since_ms in awaited(state).items()
        if since_ms <= event.now_ms - patience.get(name, state.hedge_ms)
    )
    return replace(state, hedged=bool(late)), late


def _demotion(before: SigningState, after: SigningState, late: tuple[str, ...]) -> tuple[Command, ...]:
    left = tuple(name for name, times in after.departures.items() if times > before.departures.get(name, 0))
    out = tuple(name for name in after.out if name not in before.out)
    names = tuple(dict.fromkeys((*late, *left, *out)))
    return (Demote(signers=names),) if names else ()


def _complete(state: SigningState) -> tuple[SigningState, tuple[Command, ...]]:
    """Add up every set that has all its shares. A set that fails names its culprits and is closed."""
    blames: tuple[Command, ...] = ()
    for index, item in enumerate(state.sets):
        if item.closed or len(item.shares) < len(item.chosen.signers):
            continue
        try:
            done = Signed(signatures=aggregate(item.chosen, item.shares), signers=item.chosen.signers)
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
    state = replace(state, hedged=True, sets=(*state.sets[:index], closed, *state.sets[index + 1 :]))
    for item in evidence:
        state = _leave_out(state, item.signer, SharesDoNotSign.reason)
    return state, tuple(Blame(evidence=item) for item in evidence)


def _advance(state: SigningState, now_ms: int) -> tuple[SigningState, tuple[Command, ...]]:
    """Give up, or open every set that can be opened, and ask for what is missing."""
    threshold = state.task.group.threshold
    if len(state.preference) - len(state.out) < threshold:
        failed = Failed(reasons=dict(state.out))
        return replace(state, outcome=failed), (failed,)
    oldest = now_ms - COMMITMENTS_LIFETIME_MS
    state = replace(state, fresh={name: item for name, item in state.fresh.items() if item[1] > oldest})
    ready = tuple(name for name in state.preference if name in state.fresh)[:threshold]
    if len(ready) < threshold or not state.certified or (state.sets and not state.hedged):
        return _ask_more(state, now_ms)
    state, commands = _check_answers_of(state, ready)
    opened = None if commands else _open(state, ready, now_ms)
    if isinstance(opened, BadContribution):
        state = _leave_out(state, opened.signer, opened.reason)
    elif opened is not None:
        chosen = tuple(item.signed for item in opened.chosen.commitments)
        commands += (AskShares(signers=opened.chosen.signers, commitments=chosen),)
        state = replace(
            state,
            sets=(*state.sets, opened),
            fresh={name: item for name, item in state.fresh.items() if name not in ready},
            used=state.used | {commitments_hash([item]) for item in chosen},
        )
    state, further = _advance(state, now_ms)
    return state, commands + further


def _open(state: SigningState, ready: tuple[str, ...], now_ms: int) -> OpenSet | BadContribution:
    ordered = [state.fresh[name][0] for name in state.task.group.signers if name in ready]
    try:
        return OpenSet(chosen=open_set(state.task, ordered), asked_ms=now_ms)
    except BadContribution as error:
        return error


def _ask_more(state: SigningState, now_ms: int) -> tuple[SigningState, tuple[Command, ...]]:
    """Ask idle holders for commitments: as many as a set lacks, or all of them."""
    idle = tuple(
        SignerName(name)
        for name in state.preference
        if not (name in state.out or name in state.gone or name in state.fresh or name in state.asked)
        and not _is_busy(state, name)
    )
    if not state.hedged:
        lacking = state.task.group.threshold - len(state.fresh) - len(state.asked)
        idle = () if state.sets else idle[: max(lacking, 0)]
    if not idle:
        return state, ()
    return (
        replace(state, asked={**state.asked, **dict.fromkeys(idle, now_ms)}),
        (AskCommitments(signers=idle),),
    )


def _is_busy(state: SigningState, signer: str) -> bool:
    return any(item.waits_for(signer) for item in state.sets)


def _without(items: Mapping[str, V], name: str) -> dict[str, V]:
    return {key: value for key, value in items.items() if key != name}
