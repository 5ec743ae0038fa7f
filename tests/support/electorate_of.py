"""Electorates of named keys, for tests that have no log with witness sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from strongroom.ledger.certificate_messages import Certificate, Witness, WitnessSet
from strongroom.ledger.charter import Charter
from strongroom.ledger.electorate import Electorate
from strongroom.model.ids import LogId
from strongroom.protocol.certificates import VerifiedVote, certificate_from_votes
from strongroom.protocol.electorates import Electorates


def witness_set(vote_keys: Mapping[str, bytes], quorum: int = 1) -> WitnessSet:
    signers = tuple(Witness(name=name, vote_key=key) for name, key in sorted(vote_keys.items()))
    return WitnessSet(signers=signers, quorum=quorum)


def electorate(vote_keys: Mapping[str, bytes], quorum: int = 1) -> Electorate:
    """One witness set."""
    return Electorate(witness_set(vote_keys, quorum))


def always(vote_keys: Mapping[str, bytes], quorum: int = 1) -> Electorates:
    """One witness set for every size."""
    return Electorates.always(electorate(vote_keys, quorum))


def certificate_by(votes: Iterable[VerifiedVote], quorum: int) -> Certificate:
    """The certificate of votes whose authors are all the signers there are."""
    votes = tuple(votes)
    return certificate_from_votes(votes, electorate=electorate({vote.signer: vote.key for vote in votes}, quorum))


@dataclass(frozen=True)
class GenesisVoters:
    """The signers of a charter as those whose votes count for ever."""

    log_id: LogId
    charter: Charter

    @property
    def vote_keys(self) -> Mapping[str, bytes]:
        return {signer.name: signer.vote_key for signer in self.charter.signers}

    @property
    def witness_quorum(self) -> int:
        return self.charter.witness_quorum

    @property
    def electorate(self) -> Electorate:
        return Electorate.of_charter(self.charter)

    @property
    def electorates(self) -> Electorates:
        return Electorates.always(self.electorate)
