"""Whether words under this signer's vote key count, by the witness sets in force.

A signer that was recovered from its words has a new vote key, and a signer that was removed has one that counts no
more. Neither votes, states NEWTERM or signs: its words would be noise at best, and at worst those of a machine that the
organisation has replaced.

Spec: docs/protocol/witnesses.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from strongroom.ledger.certificate_messages import WitnessSet
from strongroom.ledger.charter import Charter
from strongroom.ledger.electorate import witness_set_of
from strongroom.ledger.state import State
from strongroom.model.errors import Kind, StrongroomError

__all__ = ["NotAWitness", "Voice"]


class NotAWitness(StrongroomError):
    """This signer's vote key is not the one that the witness sets have for its name: it neither votes nor signs."""

    reason = "NOT_A_WITNESS"
    kind = Kind.FAILED_PRECONDITION


class Voice:
    """Judges by states of the own log; before its first entry, by the pinned charter."""

    def __init__(self, name: str, vote_key: bytes, pinned: Charter) -> None:
        self._name = name
        self._key = vote_key
        self._pinned = pinned

    def vote_keys(self, state: State) -> Mapping[str, bytes]:
        """Vote key of every signer of the charter in force, by name."""
        return {one.name: one.vote_key for one in self._charter(state).signers}

    def require_statement(self, final: State, newest: State) -> None:
        """Whether NEWTERM may be stated.

        A newest state that is not final may be dropped by the very term that is asked for, so being in either will do.

        Raises:
            NotAWitness: it may not.
        """
        problem = self.silence(final, newest)
        if problem:
            raise NotAWitness(problem)

    def require_vote(self, after: State) -> None:
        """Whether a head may be voted for, given the state after its batch.

        Raises:
            NotAWitness: it may not.
        """
        if not self._stands(after):
            raise NotAWitness(self._problem(after))

    def require_signing(self, newest: State) -> None:
        """Whether nonce commitments and shares may be signed: by those only whom the charter in force names.

        Raises:
            NotAWitness: they may not.
        """
        if self.vote_keys(newest).get(self._name) != self._key:
            raise NotAWitness(self._problem(newest))

    def silence(self, final: State, newest: State) -> str:
        """Why words under this key count for nothing; empty when they count."""
        return "" if self._stands(final) or self._stands(newest) else self._problem(newest)

    def _charter(self, state: State) -> Charter:
        return self._pinned if state.charter_record is None else state.charter

    def _sets(self, state: State) -> tuple[WitnessSet, ...]:
        if state.charter_record is None:
            return (witness_set_of(self._pinned),)
        record = state.witnesses
        return (record.current,) if record.next is None else (record.current, record.next)

    def _stands(self, state: State) -> bool:
        return any(
            (one.name, one.vote_key) == (self._name, self._key) for part in self._sets(state) for one in part.signers
        )

    def _problem(self, state: State) -> str:
        known = any(one.name == self._name for part in self._sets(state) for one in part.signers)
        if known:
            return (
                f"the charter has another vote key for {self._name}: the administrators must amend it with the card of "
                "this machine"
            )
        return f"no witness set has a signer {self._name}: it was removed, or has not been added yet"
