"""The state of one redistribution at the coordinator, and how far it is for people to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from strongroom.protocol.keygen import Fault, MadeKey
from strongroom.protocol.redistribution_events import Completed, Failed
from strongroom.protocol.redistribution_terms import RedistributionTerms
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.trials import Subset, Trials

__all__ = ["Failure", "LeftOut", "Progress", "RedistributionState", "Step", "progress"]


class Step(Enum):
    """How far a redistribution is."""

    DEALING = "dealing"
    RECEIVING = "checking what was dealt"
    TRYING = "trying the new shares"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A dealer that is left out for good.

    Attributes:
        problem: Why.
        fault: How far it is proven; `Fault.HOLDER` is proven by the dealing itself, which its dealer signed.
        found_by: The new holders that found it, in the order in which they said so; none when the coordinator did.
    """

    problem: str
    fault: Fault
    found_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The last thing that went wrong with a holder; it is asked again some time after."""

    text: str
    since_ms: int
    fault: Fault = Fault.UNPROVEN


@dataclass(frozen=True, slots=True, kw_only=True)
class RedistributionState:
    """One attempt. `outcome` is set once and for all.

    Attributes:
        terms: What is handed on.
        vote_keys: Vote keys of the charter in force, 32 bytes, by signer.
        dealings: Dealings that are good as far as the coordinator sees, by dealer, in the order in which they came.
        left_out: Dealers that are left out for good, and why.
        chosen: The dealers whose dealings count, in participant order; empty while there are too few.
        made: What the chosen dealings add up to.
        statements: Signatures under the statements of new holders, by name.
        here: New holders that have the share of `made` in memory, as far as is known, and since when.
        trials: The trials, once all have stated.
        under_way: Subsets that were asked to sign, and have not yet.
        failures: What went wrong last, by name.
    """

    terms: RedistributionTerms
    vote_keys: Mapping[str, bytes]
    dealings: Mapping[str, SignedBody] = field(default_factory=dict)
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    chosen: tuple[str, ...] = ()
    made: MadeKey | None = None
    statements: Mapping[str, bytes] = field(default_factory=dict)
    here: Mapping[str, int] = field(default_factory=dict)
    trials: Trials | None = None
    under_way: frozenset[Subset] = frozenset()
    failures: Mapping[str, Failure] = field(default_factory=dict)
    enough_since_ms: int | None = None
    """Since when there are enough dealings to go on with."""
    outcome: Completed | Failed | None = None

    @property
    def step(self) -> Step:
        """How far it is."""
        match self.outcome:
            case Completed():
                return Step.DONE
            case Failed():
                return Step.FAILED
        if self.made is None:
            return Step.DEALING
        return Step.RECEIVING if self.trials is None else Step.TRYING

    @property
    def may_still_deal(self) -> tuple[str, ...]:
        """Old holders that have not dealt and are not left out, in participant order."""
        return tuple(name for name in self.terms.candidates if name not in self.dealings and name not in self.left_out)

    @property
    def usable(self) -> tuple[str, ...]:
        """Old holders whose dealings are good as far as is known, in participant order."""
        return tuple(name for name in self.terms.candidates if name in self.dealings and name not in self.left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a redistribution is, for people.

    Attributes:
        step: The step.
        done: Who has done its part in this step.
        awaited: Who is awaited in this step.
        optional: Who may still take part in this step and is not waited for.
        left_out: Dealers that are left out, and why.
        troubles: What went wrong last with holders that are still asked, by name.
    """

    step: Step
    done: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    troubles: Mapping[str, str] = field(default_factory=dict)


def progress(state: RedistributionState) -> Progress:
    """Who is in which step, and who is awaited."""
    done: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    match state.step:
        case Step.DEALING:
            done, late = state.usable, state.may_still_deal
            awaited, optional = (late, ()) if len(done) < state.terms.threshold_before else ((), late)
        case Step.RECEIVING:
            done = tuple(name for name in state.terms.required if name in state.statements)
            awaited = tuple(name for name in state.terms.required if name not in state.statements)
        case Step.TRYING if state.trials is not None:
            awaited = state.trials.awaited()
            done = tuple(name for name in state.terms.required if name not in awaited)
        case _:
            done = state.terms.required if state.step is Step.DONE else ()
    troubles = {name: failure.text for name, failure in state.failures.items()}
    return Progress(
        step=state.step,
        done=done,
        awaited=awaited,
        optional=optional,
        left_out=dict(state.left_out),
        troubles=troubles,
    )
