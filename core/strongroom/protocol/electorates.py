"""What is known about whose votes count at which size, and the proof that one witness set took over from another.

The electorate of a head follows from the state at that head. For heads of the own log it is known. For others, beyond
it or on another branch, there are several possible ones: each is good enough to fetch the entries below a head, and
the replayed entries then say which one it must have been.

Spec: docs/protocol/witnesses.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from strongroom.ledger import codec, merkle
from strongroom.ledger.certificate_messages import Certificate, WitnessSet
from strongroom.ledger.certification import BadCertificate, final_size, verify_certificate
from strongroom.ledger.electorate import Electorate
from strongroom.ledger.handlers.witnesses import summary_digest
from strongroom.ledger.merkle import ProofInvalid
from strongroom.ledger.records import TABLES, ElectorateStep, WitnessPhase, WitnessRecord
from strongroom.ledger.state import WITNESSES, State
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId

__all__ = ["BadStep", "Electorates", "KnownSet", "Reign", "follow_steps"]


class BadStep(StrongroomError):
    """A proof that one witness set took over from another does not hold; whoever sent it is at fault."""

    reason = "ELECTORATE_STEP_INVALID"
    kind = Kind.INVALID_ARGUMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Electorates:
    """Whose votes count, by size.

    Attributes:
        history: Of the own log: each electorate with the first size it rules, ascending, from 0.
        final_size: Up to here every log agrees with the own one.
        ahead: Others that may rule beyond the final size, on a longer log or another branch.
    """

    history: tuple[tuple[int, Electorate], ...]
    final_size: int = 0
    ahead: tuple[Electorate, ...] = ()

    @classmethod
    def always(cls, electorate: Electorate) -> Electorates:
        """One electorate for every size: before the first entry, and in a log that never changes it."""
        return cls(history=((0, electorate),))

    @classmethod
    def of(cls, state: State, *, final_size: int, ahead: Iterable[Electorate] = ()) -> Electorates:
        """What a replayed log knows, and what it says may come next.

        Up to the entry that founded it anew a log is final, whatever certificates say.
        """
        known = tuple((size, Electorate.of(record)) for size, record in state.electorates())
        final_size = max(final_size, state.founded_size)
        return cls(history=known, final_size=final_size, ahead=(*_next_after(state.witnesses), *ahead))

    def own(self, size: int) -> Electorate:
        """Who certifies the head of this size in the own log."""
        found = self.history[0][1]
        for first, electorate in self.history:
            if first <= size:
                found = electorate
        return found

    def possible(self, size: int) -> tuple[Electorate, ...]:
        """Who may certify a head of this size that is not, or not yet, one of the own log; the likeliest first."""
        if size <= self.final_size:
            return (self.own(size),)
        later = (electorate for first, electorate in self.history if first > self.final_size)
        return tuple(dict.fromkeys((self.own(size), self.own(self.final_size), *later, *self.ahead)))

    def keys_of(self, name: str) -> tuple[bytes, ...]:
        """Every vote key known of this name, the newest first, those that no longer count included."""
        known = (*self.ahead, *(electorate for _, electorate in reversed(self.history)))
        return tuple(dict.fromkeys(key for electorate in known for key in electorate.keys_of(name)))

    def is_replaced(self, size: int) -> bool:
        """Whether it is final that those who certify heads of this size no longer do."""
        return size < self.final_size and self.own(size) != self.own(self.final_size)

    def judge(self, certificate: Certificate, *, log_id: LogId) -> tuple[Electorate, ...]:
        """Every possible electorate for which a certificate holds.

        Raises:
            BadCertificate: there is none; says what is wrong under the likeliest.
        """
        problem: BadCertificate | None = None
        held = []
        for electorate in self.possible(certificate.head.size):
            try:
                verify_certificate(certificate, log_id=log_id, electorate=electorate)
            except BadCertificate as error:
                problem = problem or error
            else:
                held.append(electorate)
        if problem is not None and not held:
            raise problem
        return tuple(held)


def _next_after(record: WitnessRecord) -> tuple[Electorate, ...]:
    """Who may rule next after this record.

    While a set is only wanted it decides nothing by itself: its votes on another branch are no certificate there. That
    it rules alone beyond entries that are missing here is for a proven step to say.
    """
    if record.next is None:
        return ()
    joint = record.phase is WitnessPhase.JOINT
    return (Electorate(record.next) if joint else Electorate(record.current, record.next),)


# --- proofs for those who lack the entries ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Reign:
    """An electorate, with the first size whose heads it may certify and the first one it may not; 0 for no end."""

    electorate: Electorate
    first: int
    end: int = 0

    def covers(self, size: int) -> bool:
        """Whether it may certify a head of this size."""
        return self.first <= size and (not self.end or size < self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSet:
    """The newest witness set that somebody without the newest entries can rely on.

    Attributes:
        number: Its number, from 1.
        witnesses: The set.
        joint: Both sets, of the handover to it, or of one that has begun and is not known to be final.
        reigns: Who may certify heads of which size, as far as the proofs tell.
    """

    number: int
    witnesses: WitnessSet
    joint: Electorate | None = None
    reigns: tuple[Reign, ...] = ()

    @classmethod
    def first(cls, witnesses: WitnessSet) -> KnownSet:
        """The set of the genesis charter."""
        return cls(number=1, witnesses=witnesses, reigns=(Reign(electorate=Electorate(witnesses), first=0),))

    @property
    def electorate(self) -> Electorate:
        """The set alone."""
        return Electorate(self.witnesses)

    def possible(self, size: int) -> tuple[Electorate, ...]:
        """Who may certify a head of this size, the newest first."""
        return tuple(reign.electorate for reign in reversed(self.reigns) if reign.covers(size))


def follow_steps(known: KnownSet, steps: Iterable[ElectorateStep], *, log_id: LogId) -> tuple[KnownSet, ...]:
    """Follow handovers from a known set on; steps before it are passed over.

    Args:
        known: What is relied on already.
        steps: Proofs in ascending order.
        log_id: The log.

    Returns:
        What is known after each step that leads on; empty when none does.

    Raises:
        BadStep: a step does not follow from what is known; nothing of the whole list should be used.
    """
    found: list[KnownSet] = []
    for step in steps:
        if step.record.number < known.number:
            continue
        known = _follow(known, step, log_id)
        found.append(known)
    return tuple(found)


def _follow(known: KnownSet, step: ElectorateStep, log_id: LogId) -> KnownSet:
    record = step.record
    if record.phase is not WitnessPhase.JOINT or record.next is None:
        raise BadStep("the record of the step is not one with both witness sets")
    if record.number != known.number or Electorate(record.current) != known.electorate:
        raise BadStep(f"the step does not begin with witness set {known.number} as it is known here")
    both = Electorate(record.current, record.next)
    try:
        verify_certificate(step.certificate, log_id=log_id, electorate=both)
        digest = summary_digest(step.summary)
    except (BadCertificate, ProofInvalid) as error:
        raise BadStep(f"the step from witness set {known.number} is not proven: {error.message}") from error
    table = step.summary.tables[TABLES.index(WITNESSES)]
    leaf = merkle.leaf_hash(codec.encode(record))
    if digest != step.certificate.head.state_digest or table.root != merkle.root_of([leaf]):
        raise BadStep(f"the record of witness set {known.number} does not stand in the certified state")
    joint = Reign(electorate=both, first=record.since_size)
    if final_size(step.certificate) < record.since_size:
        # This head may vanish, and then the set before goes on where it was.
        others = tuple(reign for reign in known.reigns if reign != joint)
        return replace(known, joint=both, reigns=(*others, joint))
    # Where both have ruled for good, neither the set before nor an earlier handover's two certify alone any more.
    ended = tuple(reign if reign.end else replace(reign, end=record.since_size) for reign in known.reigns)
    reigns = (*ended, joint)
    alone = Reign(electorate=Electorate(record.next), first=step.certificate.head.size + 1)
    return KnownSet(number=record.number + 1, witnesses=record.next, joint=both, reigns=(*reigns, alone))
