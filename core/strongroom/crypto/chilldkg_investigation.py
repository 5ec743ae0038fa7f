"""Finding the faulty party after a share did not match the commitments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from strongroom.crypto.chilldkg_errors import (
    FaultyCoordinatorError,
    FaultyParticipantOrCoordinatorError,
    UnknownFaultyParticipantOrCoordinatorError,
)
from strongroom.crypto.chilldkg_messages import InvestigationMessage, ParticipantMessage1, Transcript
from strongroom.crypto.chilldkg_params import SessionParams
from strongroom.crypto.chilldkg_sharing import decryption_pads, evaluate_commitments
from strongroom.crypto.curve import ORDER, Point
from strongroom.crypto.errors import InvalidScalar, SelfCheckFailed
from strongroom.crypto.secret import SecretScalar

__all__ = ["Investigation", "coordinator_investigate", "investigation_of", "participant_investigate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Investigation:
    """What a participant remembers of a failed step 2. Public values only: pads are derived again from the host key.

    Attributes:
        params: The session parameters.
        participant: Who investigates.
        pubnonces: Public encryption nonces as the coordinator sent them.
        encrypted_share: The sum of encrypted shares as the coordinator sent it.
        pubshare: The investigator's public share, untweaked, as the commitments give it.
    """

    params: SessionParams
    participant: int
    pubnonces: tuple[bytes, ...]
    encrypted_share: int
    pubshare: Point

    @property
    def received(self) -> tuple[bytes, bytes]:
        """What the investigator was sent: its encrypted share (32 bytes) and its public share (33 bytes)."""
        return self.encrypted_share.to_bytes(32, "big"), self.pubshare.serialise()


def investigation_of(transcript: Transcript, participant: int) -> Investigation:
    """What a participant investigates with, when its share does not match this transcript."""
    return Investigation(
        params=transcript.params,
        participant=participant,
        pubnonces=transcript.pubnonces,
        encrypted_share=transcript.encrypted_shares[participant],
        pubshare=evaluate_commitments(transcript.commitments, participant),
    )


def coordinator_investigate(pmsgs1: Sequence[bytes], params: SessionParams) -> tuple[bytes, ...]:
    """One investigation message (65n bytes) for each participant. Send all of them to all: they are not confidential.

    Raises:
        SessionParamsError: the parameters are invalid.
        MessageLengthError, FaultyParticipantError: as in `coordinator_step1`, which must have succeeded before.
    Spec: ChillDKG, coordinator_investigate.
    """
    params.validated()
    messages = [ParticipantMessage1.decode(data, params, sender) for sender, data in enumerate(pmsgs1)]
    return tuple(
        InvestigationMessage(
            encrypted_shares=tuple(message.encrypted_shares[receiver] for message in messages),
            pubshares=tuple(evaluate_commitments(message.commitments, receiver) for message in messages),
        ).encode()
        for receiver in range(params.n)
    )


def participant_investigate(
    hostseckey: SecretScalar, error: UnknownFaultyParticipantOrCoordinatorError, cinv: bytes
) -> NoReturn:
    """Find who is faulty. Always raises.

    Args:
        hostseckey: The host secret key that step 2 used.
        error: What step 2 raised.
        cinv: The coordinator's investigation message for this participant, 65n bytes.

    Raises:
        MessageLengthError: the message is too long or too short.
        FaultyCoordinatorError: the coordinator contradicts itself.
        FaultyParticipantOrCoordinatorError: that participant's share does not match its commitments.
    Spec: ChillDKG, participant_investigate.
    """
    known = error.investigation
    message = InvestigationMessage.decode(cinv, known.params)
    if Point.sum(message.pubshares) != known.pubshare:
        raise FaultyCoordinatorError("the partial public shares do not add up to the public share")
    if sum(message.encrypted_shares) % ORDER != known.encrypted_share:
        raise FaultyCoordinatorError("the partial encrypted shares do not add up to the encrypted share")
    pads = decryption_pads(hostseckey, known.params, known.participant, known.pubnonces)
    try:
        for sender, pad in enumerate(pads):
            if _public_of_share(pad, message.encrypted_shares[sender]) == message.pubshares[sender]:
                continue
            if sender == known.participant:
                raise FaultyCoordinatorError("it altered the share from this participant to itself")
            raise FaultyParticipantOrCoordinatorError(sender, "its share does not match its commitments")
    finally:
        for pad in pads:
            pad.wipe()
    raise SelfCheckFailed("every partial share is right and their sum is not: check this machine's memory")


def _public_of_share(pad: SecretScalar, encrypted: int) -> Point:
    """Decrypt one share into its pad's place and return its public point; a share of zero gives infinity."""
    pad.negate()
    try:
        pad.add_public(encrypted)
    except InvalidScalar:
        return Point(None)
    return Point.public_of(pad)
