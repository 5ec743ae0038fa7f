"""What all participants of ChillDKG sign, and the keys that it defines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from strongroom.crypto import bip340
from strongroom.crypto.chilldkg_errors import FaultyParticipantOrCoordinatorError
from strongroom.crypto.chilldkg_messages import Transcript, certificate_bytes
from strongroom.crypto.chilldkg_params import DKGOutput
from strongroom.crypto.chilldkg_sharing import commit_to_no_script, evaluate_commitments
from strongroom.crypto.curve import Point
from strongroom.crypto.secret import SecretScalar

__all__ = ["GroupPoints", "first_invalid_signature", "group_points"]


def first_invalid_signature(transcript: Transcript, signatures: Sequence[bytes]) -> int | None:
    """The first participant whose signature under the transcript is not valid; None when the certificate is."""
    eq_input = transcript.encode()
    for participant, (hostpubkey, signature) in enumerate(zip(transcript.params.hostpubkeys, signatures, strict=True)):
        if not bip340.verify(hostpubkey[1:], certificate_bytes(participant, eq_input), signature):
            return participant
    return None


class GroupPoints(NamedTuple):
    """The public points that a transcript defines.

    Attributes:
        tweak: What the unspendable script path adds to every share.
        commitments: To the coefficients of the group polynomial, tweaked; the first is the threshold public key.
        pubshares: Public share of each participant, tweaked; may be infinity until `output` has checked it.
    """

    tweak: int
    commitments: tuple[Point, ...]
    pubshares: tuple[Point, ...]

    def output(self, secshare: SecretScalar | None) -> DKGOutput:
        """The result of the key generation; `secshare` is already tweaked and is handed over.

        Raises:
            FaultyParticipantOrCoordinatorError: that participant's public share is infinity. It takes all shares dealt
                to a participant to bring that about.
        """
        for participant, pubshare in enumerate(self.pubshares):
            if pubshare.is_infinity:
                raise FaultyParticipantOrCoordinatorError(participant, "its public share is the point at infinity")
        return DKGOutput(
            secshare=secshare,
            threshold_pubkey=self.commitments[0].serialise(),
            pubshares=tuple(pubshare.serialise() for pubshare in self.pubshares),
            commitments=tuple(commitment.serialise() for commitment in self.commitments),
        )


def group_points(transcript: Transcript) -> GroupPoints:
    """Compute the public points. Raises FaultyCoordinatorError when the constant term is infinity."""
    commitments, tweak = commit_to_no_script(transcript.commitments)
    pubshares = tuple(evaluate_commitments(commitments, participant) for participant in range(transcript.params.n))
    return GroupPoints(tweak, tuple(commitments), pubshares)
