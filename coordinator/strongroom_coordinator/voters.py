"""Whose votes count, by the own log: the witness set in force, and the one that is to take over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.charter import Charter, decode_charter
from strongroom.ledger.electorate import Electorate
from strongroom.ledger.records import WitnessPhase, WitnessRecord
from strongroom.ledger.replica import Replica
from strongroom.ledger.state import State
from strongroom.model.ids import LogId
from strongroom.protocol.certificates import open_under, verify_certificate
from strongroom.protocol.electorates import Electorates
from strongroom.protocol.signed import BadSignedBody, SignedBody
from strongroom_coordinator.founding import Founding

__all__ = ["Voters"]

M = TypeVar("M")


class Voters:
    """Reads the newest state of the own log; while that lacks its founding, the charter of the founding.

    Attributes:
        founding: What the log is founded on.
        log_id: The log.
    """

    def __init__(self, founding: Founding) -> None:
        self.founding = founding
        self.log_id: LogId = founding.log_id
        self._first_charter: Charter = founding.charter
        self._first = Electorate.of_charter(founding.charter)
        self._replica: Callable[[], Replica] | None = None

    def read(self, replica: Callable[[], Replica]) -> None:
        """Say where the own log is."""
        self._replica = replica

    @property
    def record(self) -> WitnessRecord | None:
        """The newest state's record of the witness sets; None before the founding."""
        state = self._state()
        return None if state is None else state.witnesses

    @property
    def now(self) -> Electorate:
        """Who certifies heads of the newest state."""
        record = self.record
        return self._first if record is None else Electorate.of(record)

    @property
    def wanted(self) -> Electorate | None:
        """The set in force together with the one that is wanted, while heads need only the former."""
        record = self.record
        if record is None or record.next is None or record.phase is not WitnessPhase.WANTED:
            return None
        return Electorate(record.current, record.next)

    @property
    def voting(self) -> frozenset[str]:
        """Signers that are asked for votes."""
        wanted = self.wanted
        return self.now.names if wanted is None else wanted.names

    @property
    def known(self) -> frozenset[str]:
        """Every signer that may connect: those that vote, and those that were removed and have yet to learn of it."""
        state = self._state()
        if state is None:
            return self._first.names
        past = (Electorate.of(record).names for _, record in state.electorates())
        return self.voting.union(*past)

    @property
    def vote_keys(self) -> Mapping[str, bytes]:
        """Vote key of every signer of the charter in force: what shares and statements are signed with."""
        state = self._state()
        charter = self._first_charter if state is None else state.charter
        return {one.name: one.vote_key for one in charter.signers}

    @property
    def witness_keys(self) -> Mapping[str, tuple[bytes, ...]]:
        """Keys of C2SP cosignatures, by signer: of the charter in force, and of the one whose signers are wanted."""
        state = self._state()
        charters = [self._first_charter] if state is None else [state.charter]
        if state is not None and state.next_charter:
            charters.append(decode_charter(state.next_charter))
        found: dict[str, tuple[bytes, ...]] = {}
        for one in (signer for charter in charters for signer in charter.signers):
            found[one.name] = (*found.get(one.name, ()), one.witness_key)
        return found

    @property
    def electorates(self) -> Electorates:
        """Whose votes count at which size."""
        state = self._state()
        if state is None or self._replica is None:
            return Electorates.always(self._first)
        return Electorates.of(state, final_size=self._replica().folded_size)

    def judge(self, certificate: Certificate) -> None:
        """Check a certificate of a head that the own log may not hold yet.

        Raises:
            BadCertificate: it holds for no electorate that is possible there.
        """
        self.electorates.judge(certificate, log_id=self.log_id)

    def verify(self, certificate: Certificate) -> None:
        """Check a certificate of a head that the own log holds.

        Raises:
            BadCertificate: it does not hold; whoever sent it is at fault.
        """
        electorate = self.electorates.own(certificate.head.size)
        verify_certificate(certificate, log_id=self.log_id, electorate=electorate)

    def could_be_quorum(self, signers: Collection[str], head: Head | None = None) -> bool:
        """Whether these signers could certify heads after this one; after the newest for None."""
        electorate = self.now if head is None else self.electorates.own(head.size)
        return electorate.could_be_quorum(signers)

    def open_word(self, kind: str, cls: type[M], signed: SignedBody, signer: str) -> M:
        """Open a signed body of a signer, under any vote key its name is known to have.

        Raises:
            BadSignedBody: it verifies under none.
        """
        keys = self.electorates.keys_of(signer)
        if not keys:
            raise BadSignedBody(f"{signer!r} is no signer of this log", signed_kind=kind)
        return open_under(kind, cls, signed, log_id=self.log_id, keys=keys)[0]

    def _state(self) -> State | None:
        if self._replica is None:
            return None
        state = self._replica().state()
        # Before a restart others voted, in another log: their words are none here.
        return None if state.charter_record is None or state.log_id != self.log_id else state
