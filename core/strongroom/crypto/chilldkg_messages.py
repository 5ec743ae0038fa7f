"""The exact bytes of ChillDKG's messages. Parsing says who is to blame; points and scalars are parsed where used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.crypto.chilldkg_errors import (
    FaultyCoordinatorError,
    FaultyParticipantError,
    MessageLengthError,
    RecoveryDataError,
)
from strongroom.crypto.chilldkg_params import SessionParams
from strongroom.crypto.curve import ORDER, Point
from strongroom.crypto.errors import InvalidPoint, InvalidScalar

__all__ = [
    "CoordinatorMessage1",
    "InvestigationMessage",
    "ParticipantMessage1",
    "Transcript",
    "parse_recovery_data",
    "signed_bytes",
]

POINT_BYTES: Final = 33
SIGNATURE_BYTES: Final = 64
SCALAR_BYTES: Final = 32
_LABEL_BYTES: Final = 33


class _Reader:
    """Cuts a message of known length into its fields."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        field = self._data[self._at : self._at + size]
        self._at += size
        return field

    def take_many(self, size: int, count: int) -> tuple[bytes, ...]:
        return tuple(self.take(size) for _ in range(count))

    def points(self, count: int) -> tuple[Point, ...]:
        """Points, infinity allowed. Raises InvalidPoint."""
        return tuple(Point.parse_or_infinity(self.take(POINT_BYTES)) for _ in range(count))

    def scalars(self, count: int) -> tuple[int, ...]:
        """Public scalars, zero allowed. Raises InvalidScalar."""
        scalars = tuple(int.from_bytes(self.take(SCALAR_BYTES), "big") for _ in range(count))
        if any(scalar >= ORDER for scalar in scalars):
            raise InvalidScalar("a scalar is not below the group order")
        return scalars


def _join_points(points: Iterable[Point]) -> bytes:
    return b"".join(point.serialise() for point in points)


def _join_scalars(scalars: Iterable[int]) -> bytes:
    return b"".join(scalar.to_bytes(SCALAR_BYTES, "big") for scalar in scalars)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantMessage1:
    """First message of a participant, 33t + 32n + 97 bytes.

    Attributes:
        commitments: The t commitments to its polynomial's coefficients.
        pop: Proof of possession of the constant term, 64 bytes.
        pubnonce: Its public encryption nonce, 33 bytes.
        encrypted_shares: One encrypted share for each participant.
    """

    commitments: tuple[Point, ...]
    pop: bytes
    pubnonce: bytes
    encrypted_shares: tuple[int, ...]

    def encode(self) -> bytes:
        """The bytes to send."""
        return _join_points(self.commitments) + self.pop + self.pubnonce + _join_scalars(self.encrypted_shares)

    @classmethod
    def decode(cls, data: bytes, params: SessionParams, sender: int) -> ParticipantMessage1:
        """Parse what `sender` sent.

        Raises:
            MessageLengthError: it is too long or too short; a longer list of commitments would raise the threshold.
            FaultyParticipantError: a commitment, the public nonce or an encrypted share is malformed.
        """
        expected = POINT_BYTES * params.t + SIGNATURE_BYTES + POINT_BYTES + SCALAR_BYTES * params.n
        if len(data) != expected:
            raise MessageLengthError(
                f"the first message of participant {sender} must be {expected} bytes, not {len(data)}",
                participant=str(sender),
            )
        reader = _Reader(data)
        try:
            commitments = reader.points(params.t)
            pop = reader.take(SIGNATURE_BYTES)
            pubnonce = reader.take(POINT_BYTES)
            Point.parse(pubnonce)
            shares = reader.scalars(params.n)
        except (InvalidPoint, InvalidScalar) as error:
            raise FaultyParticipantError(sender, f"its first message is malformed: {error.message}") from None
        return cls(commitments=commitments, pop=pop, pubnonce=pubnonce, encrypted_shares=shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorMessage1:
    """First message of the coordinator, the same for all, 162n + 33(t - 1) bytes.

    Attributes:
        constant_terms: Commitment of each participant to its constant term.
        other_terms: Sums of the commitments to the t - 1 other coefficients.
        pops: Proof of possession of each participant, 64 bytes.
        pubnonces: Public encryption nonce of each participant, 33 bytes, not yet parsed.
        encrypted_shares: For each participant the sum of the encrypted shares meant for it.
    """

    constant_terms: tuple[Point, ...]
    other_terms: tuple[Point, ...]
    pops: tuple[bytes, ...]
    pubnonces: tuple[bytes, ...]
    encrypted_shares: tuple[int, ...]

    def encode(self) -> bytes:
        """The bytes to send."""
        return b"".join(
            (
                _join_points(self.constant_terms),
                _join_points(self.other_terms),
                *self.pops,
                *self.pubnonces,
                _join_scalars(self.encrypted_shares),
            )
        )

    @classmethod
    def decode(cls, data: bytes, params: SessionParams) -> CoordinatorMessage1:
        """Parse what the coordinator sent.

        Raises:
            MessageLengthError: it is too long or too short.
            FaultyCoordinatorError: a commitment or a share is malformed.
        """
        n, t = params.n, params.t
        expected = (2 * POINT_BYTES + SIGNATURE_BYTES + SCALAR_BYTES) * n + POINT_BYTES * (t - 1)
        if len(data) != expected:
            raise MessageLengthError(f"the coordinator's first message must be {expected} bytes, not {len(data)}")
        reader = _Reader(data)
        try:
            return cls(
                constant_terms=reader.points(n),
                other_terms=reader.points(t - 1),
                pops=reader.take_many(SIGNATURE_BYTES, n),
                pubnonces=reader.take_many(POINT_BYTES, n),
                encrypted_shares=reader.scalars(n),
            )
        except (InvalidPoint, InvalidScalar) as error:
            raise FaultyCoordinatorError(f"its first message is malformed: {error.message}") from None

    def transcript(self, params: SessionParams) -> Transcript:
        """What every participant signs."""
        return Transcript(
            params=params,
            commitments=(Point.sum(self.constant_terms), *self.other_terms),
            pubnonces=self.pubnonces,
            encrypted_shares=self.encrypted_shares,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InvestigationMessage:
    """The coordinator's help for one participant to find who is faulty, 65n bytes; not confidential.

    Attributes:
        encrypted_shares: The encrypted share from each participant.
        pubshares: The public share that each participant's commitments give.
    """

    encrypted_shares: tuple[int, ...]
    pubshares: tuple[Point, ...]

    def encode(self) -> bytes:
        """The bytes to send."""
        return _join_scalars(self.encrypted_shares) + _join_points(self.pubshares)

    @classmethod
    def decode(cls, data: bytes, params: SessionParams) -> InvestigationMessage:
        """Parse what the coordinator sent.

        Raises:
            MessageLengthError: it is too long or too short.
            FaultyCoordinatorError: a scalar or a point is malformed.
        """
        expected = (SCALAR_BYTES + POINT_BYTES) * params.n
        if len(data) != expected:
            raise MessageLengthError(f"the investigation message must be {expected} bytes, not {len(data)}")
        reader = _Reader(data)
        try:
            return cls(encrypted_shares=reader.scalars(params.n), pubshares=reader.points(params.n))
        except (InvalidPoint, InvalidScalar) as error:
            raise FaultyCoordinatorError(f"its investigation message is malformed: {error.message}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What all participants must agree on and sign, 4 + 33t + 98n bytes.

    Attributes:
        params: The session parameters.
        commitments: Sums of the commitments to each of the t coefficients, without any tweak.
        pubnonces: Public encryption nonces, 33 bytes each.
        encrypted_shares: Sums of the encrypted shares, by receiver.
    """

    params: SessionParams
    commitments: tuple[Point, ...]
    pubnonces: tuple[bytes, ...]
    encrypted_shares: tuple[int, ...]

    def encode(self) -> bytes:
        """The bytes that are signed, called eq_input in the specification."""
        return b"".join(
            (
                self.params.t.to_bytes(4, "big"),
                _join_points(self.commitments),
                *self.params.hostpubkeys,
                *self.pubnonces,
                _join_scalars(self.encrypted_shares),
            )
        )


def parse_recovery_data(data: bytes) -> tuple[Transcript, tuple[bytes, ...]]:
    """Split recovery data (4 + 33t + 162n bytes) into the transcript and the n signatures under it.

    The parameters and signatures are not yet checked.

    Raises:
        RecoveryDataError: the length fits no number of participants, or a point or scalar is malformed.
    """
    t = int.from_bytes(data[:4], "big")
    n, rest = divmod(len(data) - 4 - POINT_BYTES * t, 2 * POINT_BYTES + SCALAR_BYTES + SIGNATURE_BYTES)
    if rest or n < 1:
        raise RecoveryDataError(f"recovery data of {len(data)} bytes fits no number of participants")
    reader = _Reader(data)
    reader.take(4)
    try:
        commitments = reader.points(t)
        hostpubkeys = reader.take_many(POINT_BYTES, n)
        pubnonces = reader.take_many(POINT_BYTES, n)
        shares = reader.scalars(n)
    except (InvalidPoint, InvalidScalar) as error:
        raise RecoveryDataError(f"recovery data is malformed: {error.message}") from None
    transcript = Transcript(
        params=SessionParams(hostpubkeys, t), commitments=commitments, pubnonces=pubnonces, encrypted_shares=shares
    )
    return transcript, reader.take_many(SIGNATURE_BYTES, n)


def split_signatures(data: bytes, count: int) -> tuple[bytes, ...]:
    """Cut a certificate of 64 * count bytes into its signatures. Raises MessageLengthError."""
    if len(data) != SIGNATURE_BYTES * count:
        raise MessageLengthError(f"a certificate must be {SIGNATURE_BYTES * count} bytes, not {len(data)}")
    return _Reader(data).take_many(SIGNATURE_BYTES, count)


def signed_bytes(label: str, participant: int, body: bytes) -> bytes:
    """What a host key signs: a label padded with zeros to 33 bytes, the participant (4 bytes), and the body."""
    return label.encode().ljust(_LABEL_BYTES, b"\x00") + participant.to_bytes(4, "big") + body


def certificate_bytes(participant: int, eq_input: bytes) -> bytes:
    """What a participant signs to agree on the transcript."""
    return signed_bytes("BIP DKG/certeq message", participant, eq_input)


def join_signatures(signatures: Sequence[bytes]) -> bytes:
    """A certificate of all signatures by participant."""
    return b"".join(signatures)
