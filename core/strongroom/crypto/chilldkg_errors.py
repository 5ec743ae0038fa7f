"""Blame in ChillDKG, one type per verdict.

"Faulty" is what the party that raises can conclude for itself; it convinces nobody else. Keep the signed messages as
they came in: with them an operator can settle whether a participant or the coordinator lied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from strongroom.crypto.errors import InvalidInput
from strongroom.model.errors import Kind, StrongroomError

if TYPE_CHECKING:
    from strongroom.crypto.chilldkg_investigation import Investigation

__all__ = [
    "DuplicateHostPubkeyError",
    "FaultyCoordinatorError",
    "FaultyParticipantError",
    "FaultyParticipantOrCoordinatorError",
    "HostSeckeyError",
    "InvalidHostPubkeyError",
    "MessageLengthError",
    "ProtocolError",
    "RandomnessError",
    "RecoveryDataError",
    "SessionParamsError",
    "StateAlreadyUsedError",
    "ThresholdOrCountError",
    "UnknownFaultyParticipantOrCoordinatorError",
]


class SessionParamsError(InvalidInput):
    """The session parameters are invalid; compare them with the other participants' operators."""

    reason: ClassVar[str] = "DKG_PARAMS_INVALID"


class ThresholdOrCountError(SessionParamsError):
    """Not 1 <= t <= n <= 2^32 - 1."""

    reason: ClassVar[str] = "DKG_THRESHOLD_OR_COUNT_INVALID"


class InvalidHostPubkeyError(SessionParamsError):
    """The host public key of `participant` is not a point."""

    reason: ClassVar[str] = "DKG_HOST_PUBKEY_INVALID"

    def __init__(self, participant: int) -> None:
        self.participant = participant
        super().__init__(
            f"the host public key of participant {participant} is not a compressed point", participant=str(participant)
        )


class DuplicateHostPubkeyError(SessionParamsError):
    """Two participants, `participant1` and `participant2`, have the same host public key."""

    reason: ClassVar[str] = "DKG_HOST_PUBKEY_DUPLICATE"

    def __init__(self, participant1: int, participant2: int) -> None:
        self.participant1 = participant1
        self.participant2 = participant2
        super().__init__(
            f"participants {participant1} and {participant2} have the same host public key",
            participant1=str(participant1),
            participant2=str(participant2),
        )


class HostSeckeyError(InvalidInput):
    """The host secret key is out of range, or belongs to none of the participants; the caller's fault."""

    reason: ClassVar[str] = "DKG_HOST_SECKEY_INVALID"


class RandomnessError(InvalidInput):
    """The randomness is all zero: the random source is broken."""

    reason: ClassVar[str] = "DKG_RANDOMNESS_INVALID"


class MessageLengthError(InvalidInput):
    """A message does not have the one length that the parameters give it, or a message is missing or too many."""

    reason: ClassVar[str] = "DKG_MESSAGE_LENGTH_INVALID"


class StateAlreadyUsedError(InvalidInput):
    """A state was used a second time; it could have certified two different transcripts."""

    reason: ClassVar[str] = "DKG_STATE_ALREADY_USED"
    kind: ClassVar[Kind] = Kind.FAILED_PRECONDITION


class RecoveryDataError(InvalidInput):
    """The recovery data is malformed or not certified by all participants; look for another copy."""

    reason: ClassVar[str] = "DKG_RECOVERY_DATA_INVALID"
    kind: ClassVar[Kind] = Kind.DATA_LOSS


class ProtocolError(StrongroomError):
    """Somebody broke the key generation protocol; the session is over and no key exists."""

    reason: ClassVar[str] = "DKG_PROTOCOL_VIOLATED"
    kind: ClassVar[Kind] = Kind.ABORTED


class FaultyParticipantError(ProtocolError):
    """`participant` is faulty, provided that its message came over an authenticated link."""

    reason: ClassVar[str] = "DKG_PARTICIPANT_FAULTY"

    def __init__(self, participant: int, problem: str) -> None:
        self.participant = participant
        super().__init__(f"participant {participant} is faulty: {problem}", participant=str(participant))


class FaultyCoordinatorError(ProtocolError):
    """The coordinator is faulty."""

    reason: ClassVar[str] = "DKG_COORDINATOR_FAULTY"

    def __init__(self, problem: str) -> None:
        super().__init__(f"the coordinator is faulty: {problem}")


class FaultyParticipantOrCoordinatorError(ProtocolError):
    """Either `participant` is faulty, or the coordinator altered what it sent; a participant cannot tell which."""

    reason: ClassVar[str] = "DKG_PARTICIPANT_OR_COORDINATOR_FAULTY"

    def __init__(self, participant: int, problem: str) -> None:
        self.participant = participant
        super().__init__(
            f"participant {participant} or the coordinator is faulty: {problem}", participant=str(participant)
        )


class UnknownFaultyParticipantOrCoordinatorError(ProtocolError):
    """Some participant or the coordinator is faulty: the received share does not match the commitments.

    Give it to `participant_investigate` with an investigation message of the coordinator. `investigation` holds public
    values only.
    """

    reason: ClassVar[str] = "DKG_FAULTY_PARTY_UNKNOWN"

    def __init__(self, investigation: Investigation) -> None:
        self.investigation = investigation
        super().__init__("the received share does not match the commitments: ask the coordinator for an investigation")
