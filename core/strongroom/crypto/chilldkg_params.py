"""ChillDKG session parameters, host keys and the result of a key generation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from strongroom.crypto.bip340 import tagged_hash
from strongroom.crypto.chilldkg_errors import (
    DuplicateHostPubkeyError,
    HostSeckeyError,
    InvalidHostPubkeyError,
    ThresholdOrCountError,
)
from strongroom.crypto.curve import Point
from strongroom.crypto.errors import InvalidInput, InvalidPoint, InvalidScalar
from strongroom.crypto.secret import Buffer, SecretScalar

__all__ = ["DKGOutput", "SessionParams", "chain_code", "hostpubkey_gen", "hostseckey_from_bytes", "params_hash"]

_MAX_COUNT: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class SessionParams:
    """Who takes part, in order, and how many of them sign later.

    Attributes:
        hostpubkeys: Host public key of each participant, 33 bytes; a participant's id is its position.
        t: Threshold.
    """

    hostpubkeys: tuple[bytes, ...]
    t: int

    @property
    def n(self) -> int:
        """Number of participants."""
        return len(self.hostpubkeys)

    def encode(self) -> bytes:
        """The threshold (4 bytes big-endian) and all host public keys, 4 + 33n bytes."""
        return self.t.to_bytes(4, "big") + b"".join(self.hostpubkeys)

    def validated(self) -> tuple[Point, ...]:
        """Check the parameters and return the parsed host public keys.

        Raises:
            ThresholdOrCountError: not 1 <= t <= n <= 2^32 - 1.
            InvalidHostPubkeyError: a key is not a point.
            DuplicateHostPubkeyError: two keys are the same.
        """
        return _validated(self)

    def id_of(self, hostpubkey: bytes) -> int:
        """The participant with this host public key. Raises HostSeckeyError when there is none."""
        try:
            return self.hostpubkeys.index(hostpubkey)
        except ValueError:
            raise HostSeckeyError("the host secret key belongs to none of the participants") from None


@lru_cache(maxsize=64)
def _validated(params: SessionParams) -> tuple[Point, ...]:
    if not 1 <= params.t <= params.n <= _MAX_COUNT:
        raise ThresholdOrCountError(f"the threshold must be between 1 and {params.n}, not {params.t}")
    points = []
    for participant, hostpubkey in enumerate(params.hostpubkeys):
        try:
            points.append(Point.parse(hostpubkey))
        except InvalidPoint:
            raise InvalidHostPubkeyError(participant) from None
    first_seen: dict[bytes, int] = {}
    for participant, hostpubkey in enumerate(params.hostpubkeys):
        earlier = first_seen.setdefault(hostpubkey, participant)
        if earlier != participant:
            raise DuplicateHostPubkeyError(earlier, participant)
    return tuple(points)


def params_hash(params: SessionParams) -> bytes:
    """The 32 bytes that all operators compare over another channel before they trust a session.

    Raises:
        SessionParamsError: the parameters are invalid.
    Spec: ChillDKG, params_hash.
    """
    params.validated()
    return tagged_hash("BIP DKG/params_hash", params.encode())


def hostseckey_from_bytes(data: Buffer) -> SecretScalar:
    """Read a host secret key of 32 bytes.

    Raises:
        InvalidInput: not 32 bytes.
        HostSeckeyError: zero, or not below the group order.
    """
    if len(data) != 32:
        raise InvalidInput(f"the host secret key must be 32 bytes, not {len(data)}")
    try:
        return SecretScalar.from_bytes(data)
    except InvalidScalar:
        raise HostSeckeyError("the host secret key must be at least 1 and below the group order") from None


def hostpubkey_gen(hostseckey: SecretScalar) -> bytes:
    """The host public key, 33 bytes."""
    return hostseckey.public()


@dataclass(frozen=True, slots=True, kw_only=True)
class DKGOutput:
    """What a key generation gives.

    Attributes:
        secshare: The participant's share; None for who takes no part. The holder of the output wipes it.
        threshold_pubkey: Threshold public key, 33 bytes; it commits to no script path.
        pubshares: Public share of each participant, 33 bytes, by id.
        commitments: Commitments to the coefficients of the group polynomial in effect, t of 33 bytes; the first is the
            threshold public key. Every public share follows from them.
    """

    secshare: SecretScalar | None
    threshold_pubkey: bytes
    pubshares: tuple[bytes, ...]
    commitments: tuple[bytes, ...]


def chain_code(eq_input: bytes) -> bytes:
    """The BIP32 chain code of a generated key, 32 bytes, from the transcript that all participants signed."""
    return tagged_hash("strongroom/chaincode", eq_input)
