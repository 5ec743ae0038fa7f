"""The coordinator's side of terms and votes: it collects words of signers and has none of its own.

Nothing here is trusted by a signer. A mistake of the coordinator costs time, never safety: each signer checks the
statements, the base and the votes itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.electorate import Electorate
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId
from strongroom.protocol.certificates import (
    BadVote,
    Held,
    VerifiedVote,
    certificate_from_votes,
    held_of,
    verify_vote,
)
from strongroom.protocol.electorates import Electorates
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.terms import BadStatements, VerifiedStatement, highest_held, verify_new_term

__all__ = ["DoubleVote", "NewTermCollection", "TermOpening", "VoteCollection", "next_term"]


class DoubleVote(StrongroomError):
    """A signer voted for two heads at one term and size.

    The two signed votes prove that its vote key was used twice. They do not prove intent: a signer that was restored or
    runs twice does the same.

    Attributes:
        signer: Whose key it was.
        first: The vote that came first.
        second: The other one.
    """

    reason = "SIGNER_VOTED_TWICE"
    kind = Kind.ABORTED

    def __init__(self, signer: str, first: SignedBody, second: SignedBody) -> None:
        super().__init__(f"{signer} signed two different votes for one term and size: it was restored or is bad")
        self.signer = signer
        self.first = first
        self.second = second


@dataclass(frozen=True, slots=True, kw_only=True)
class TermOpening:
    """What opens a term at a signer: a quorum's statements, ascending by signer, and the certificate that is the base.

    Attributes:
        electorate: Who decides about heads like the base.
    """

    term: int
    leader: bytes
    statements: tuple[SignedBody, ...]
    base: Certificate | None
    electorate: Electorate


def next_term(known: Iterable[int]) -> int:
    """The term to ask promises for: one above every term heard of, from signers and from the own past."""
    return max(known, default=0) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTermCollection:
    """Statements for one term and leader, each with the certificate that it names."""

    log_id: LogId
    term: int
    leader: bytes
    electorates: Electorates
    statements: Mapping[str, VerifiedStatement] = field(default_factory=dict)
    certificates: Mapping[Held, Certificate] = field(default_factory=dict)

    def add(self, signed: SignedBody, certificate: Certificate | None) -> NewTermCollection:
        """Take a statement in.

        Raises:
            BadStatements: not for this term and leader, or the certificate is not the one it names.
            BadSignedBody, BadCertificate: a signature or an encoding is wrong.
                In every case the signer that sent both is at fault, and its statement is left out.
        """
        statement = verify_new_term(
            signed, log_id=self.log_id, electorates=self.electorates, term=self.term, leader=self.leader
        )
        if held_of(certificate) != statement.held:
            raise BadStatements(
                f"{statement.signer} states a certificate that it does not show", signer=statement.signer
            )
        certificates = dict(self.certificates)
        if certificate is not None and statement.held not in certificates:
            self.electorates.judge(certificate, log_id=self.log_id)
            certificates[statement.held] = certificate
        return replace(self, statements={**self.statements, statement.signer: statement}, certificates=certificates)

    def base(self, without: Collection[str] = ()) -> Held | None:
        """The highest certificate stated, if under some possible electorate of it there are statements enough.

        Args:
            without: Signers to leave out, because their base cannot be reached, or has too few statements.

        Raises:
            BadStatements: two verified certificates contradict each other at the highest term and size: more signers
                are bad than the charter survives. Nobody should lead on from here.
        """
        usable = self._usable(without)
        if not usable:
            return None
        base = highest_held(usable)
        words: dict[str, bytes] = {item.signer: item.key for item in usable}
        possible = self.electorates.possible(base.size)
        return base if any(electorate.is_quorum(words) for electorate in possible) else None

    def certificate_of(self, base: Held) -> Certificate | None:
        """The certificate that a base names; None for the empty log."""
        return self.certificates.get(base)

    def opening(self, electorate: Electorate, without: Collection[str] = ()) -> TermOpening | None:
        """What opens the term, from the highest statements; None while they are no quorum.

        Args:
            electorate: Who decides about the base, as the own log says once it reaches it.
            without: Signers to leave out.

        Raises:
            BadStatements: as `base` does.
        """
        usable = self._usable(without)
        words: dict[str, bytes] = {item.signer: item.key for item in usable if electorate.has(item.signer, item.key)}
        if not usable or not electorate.is_quorum(words):
            return None
        base = highest_held(usable)
        ranked = sorted(usable, key=lambda item: (item.held.rank, item.signer), reverse=True)
        chosen = set(electorate.chosen((item.signer, item.key) for item in ranked))
        if all(item.held != base for item in usable if item.signer in chosen):
            # A signer that does not decide about the base names it: it must not be passed over.
            chosen.add(ranked[0].signer)
        return TermOpening(
            term=self.term,
            leader=self.leader,
            statements=tuple(
                item.signed for item in sorted(usable, key=lambda item: item.signer) if item.signer in chosen
            ),
            base=self.certificates.get(base),
            electorate=electorate,
        )

    def _usable(self, without: Collection[str]) -> list[VerifiedStatement]:
        return [item for name, item in self.statements.items() if name not in without]


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteCollection:
    """Votes for one head.

    Attributes:
        head: The head that the coordinator itself computed.
        electorate: Whose quorum certifies it.
        both: The set in force and the one that is wanted, whose votes are collected too; None when none is.
        certified: Whether a certificate of this head's term was made: the coordinator of a term makes all of them.
        votes: Votes for this head, by signer.
        dissent: Votes that do not count, by signer: for another head of the same term and size, because their replay
            differs or they lie; or for this one, and with a lie about the certificate held.
    """

    head: Head
    electorate: Electorate
    certified: Callable[[Held], bool]
    both: Electorate | None = None
    votes: Mapping[str, VerifiedVote] = field(default_factory=dict)
    dissent: Mapping[str, VerifiedVote] = field(default_factory=dict)

    def add(self, signer: str, signed: SignedBody) -> VoteCollection:
        """Take a vote in; the same vote again changes nothing.

        Who votes for the head and names a certificate of this term that was never made is as good as silent. Such a
        vote makes nothing final, and in a certificate it would be a lie that everybody stores for ever.

        Raises:
            BadVote: it is not by this signer, malformed, or for another term or size; the signer is at fault.
            BadSignedBody: signature, encoding or log id are wrong; the signer is at fault.
            DoubleVote: the signer voted for another head at this term and size before.
        """
        seen = verify_vote(signer, signed, log_id=LogId(self.head.log_id), electorate=self.both or self.electorate)
        if (seen.vote.term, seen.vote.size) != (self.head.term, self.head.size):
            raise BadVote(f"the vote of {signer} is for another term or size", signer=signer)
        earlier = self.votes.get(signer) or self.dissent.get(signer)
        if earlier is not None and earlier.key == seen.key:
            if earlier.signed.body != signed.body:
                raise DoubleVote(signer, earlier.signed, signed)
            return self
        if seen.head != self.head or self._is_made_up(seen.held):
            return replace(self, dissent={**self.dissent, signer: seen})
        return replace(self, votes={**self.votes, signer: seen})

    def _is_made_up(self, held: Held) -> bool:
        return held.term == self.head.term and not self.certified(held)

    def certificate(self) -> Certificate | None:
        """The certificate, as soon as there is a quorum of votes for the head."""
        return self._by(self.electorate)

    def handover(self) -> Certificate | None:
        """The certificate by the set in force and the wanted one, as soon as both have voted for the head."""
        return None if self.both is None else self._by(self.both)

    def could_certify(self, without: Collection[str]) -> bool:
        """Whether a certificate can still come when these signers do not vote."""
        return self.electorate.could_be_quorum(self.electorate.names - frozenset(without))

    def _by(self, electorate: Electorate) -> Certificate | None:
        votes = [item for item in self.votes.values() if electorate.has(item.signer, item.key)]
        if not electorate.is_quorum({item.signer: item.key for item in votes}):
            return None
        return certificate_from_votes(votes, electorate=electorate)
