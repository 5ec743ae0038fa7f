"""BIP-445 nonces: a secret pair that signs once, and its public half."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

from strongroom.crypto.bip340 import mask_with_hash, secret_tagged_hash
from strongroom.crypto.curve import Point
from strongroom.crypto.errors import InvalidContribution, InvalidInput, InvalidPoint, NonceAlreadyUsed
from strongroom.crypto.secret import SecretScalar

__all__ = ["PUBLIC_NONCE_BYTES", "PublicNonce", "SecretNonce", "nonce_agg", "nonce_gen", "parse_public_nonces"]

PUBLIC_NONCE_BYTES: Final = 66
_ZEROS: Final = bytes(32)

PublicNonce = bytes
"""Two compressed points, 66 bytes; neither may be the point at infinity."""


class SecretNonce:
    """One pair of secret nonces. `take` empties it: no second signature can be made with it.

    It lives in memory only, and nothing can copy, pickle or print it.
    """

    __slots__ = ("_pair", "points", "public")

    points: tuple[Point, Point]
    public: PublicNonce

    def __init__(self, first: SecretScalar, second: SecretScalar) -> None:
        """Take the two scalars over; the caller must not use or wipe them any more."""
        # Taken by list.pop, which is one step of the interpreter: two threads cannot both get the pair.
        self._pair: list[tuple[SecretScalar, SecretScalar]] = [(first, second)]
        self.points = (Point.public_of(first), Point.public_of(second))
        self.public = self.points[0].serialise() + self.points[1].serialise()

    @classmethod
    def from_bytes(cls, data: bytes | bytearray) -> Self:
        """Read k1 || k2, 64 bytes. For test vectors: a live nonce is never stored.

        Raises:
            NonceAlreadyUsed: all zero, the mark of a used nonce.
            InvalidInput: not 64 bytes, or a half out of range.
        """
        if len(data) != 64:
            raise InvalidInput(f"a secret nonce must be 64 bytes, not {len(data)}")
        if not any(data):
            raise NonceAlreadyUsed("the secret nonce is all zero: it was used before")
        return cls(SecretScalar.from_bytes(data[:32]), SecretScalar.from_bytes(data[32:]))

    def take(self) -> tuple[SecretScalar, SecretScalar]:
        """Hand out the pair once; the taker wipes it.

        Raises:
            NonceAlreadyUsed: it was taken or wiped before.
        """
        try:
            return self._pair.pop()
        except IndexError:
            raise NonceAlreadyUsed(
                "this secret nonce was used before: generate a fresh one for a new session"
            ) from None

    @property
    def used(self) -> bool:
        """Whether the pair is gone."""
        return not self._pair

    def wipe(self) -> None:
        """Destroy the pair unused. Wiping twice is harmless."""
        if self._pair:
            for scalar in self.take():
                scalar.wipe()

    def __repr__(self) -> str:
        return "<SecretNonce redacted>"

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("SecretNonce cannot be copied, pickled or serialised")

    def __copy__(self) -> Self:
        raise TypeError("SecretNonce cannot be copied")

    def __deepcopy__(self, memo: object) -> Self:
        raise TypeError("SecretNonce cannot be copied")


def nonce_gen(
    random32: bytes,
    *,
    secshare: SecretScalar | None = None,
    pubshare: bytes | None = None,
    thresh_pk_xonly: bytes | None = None,
    message: bytes | None = None,
    extra: bytes | None = None,
) -> tuple[SecretNonce, PublicNonce]:
    """Make a nonce pair for one session.

    The optional inputs keep the nonce secret if the random source is weak; give all that are known. They do not make
    it safe to call twice with one `random32`.

    Args:
        random32: 32 bytes of fresh randomness, never all zero.
        secshare: The signer's share.
        pubshare: Its public share, 33 bytes.
        thresh_pk_xonly: The tweaked threshold public key, 32 bytes x-only.
        message: The message to be signed, of any length; None when not yet known (an empty message is another thing).
        extra: Anything else that tells sessions apart, up to 2^32 - 1 bytes.

    Returns:
        The secret nonce and the public nonce (66 bytes) to send.

    Raises:
        InvalidInput: a length is wrong or the randomness is all zero.
    Spec: BIP-445, NonceGen.
    """
    if len(random32) != 32 or random32 == _ZEROS:
        raise InvalidInput("nonce randomness must be 32 bytes, not all zero: check the random source")
    if pubshare is not None and len(pubshare) != 33:
        raise InvalidInput(f"the public share must be 33 bytes, not {len(pubshare)}")
    if thresh_pk_xonly is not None and len(thresh_pk_xonly) != 32:
        raise InvalidInput(f"the x-only threshold public key must be 32 bytes, not {len(thresh_pk_xonly)}")
    public_part = _nonce_hash_input(pubshare or b"", thresh_pk_xonly or b"", message, extra or b"")
    rand = bytearray(random32) if secshare is None else mask_with_hash(secshare, "BIP0445/aux", random32)
    try:
        # A hash out of range has probability 2^-128; it raises instead of being reduced, so that no integer is formed.
        first = secret_tagged_hash("BIP0445/nonce", rand, public_part, b"\x00")
        second = secret_tagged_hash("BIP0445/nonce", rand, public_part, b"\x01")
    finally:
        rand[:] = _ZEROS
    nonce = SecretNonce(first, second)
    return nonce, nonce.public


def _nonce_hash_input(pubshare: bytes, thresh_pk_xonly: bytes, message: bytes | None, extra: bytes) -> bytes:
    prefixed_message = b"\x00" if message is None else b"\x01" + len(message).to_bytes(8, "big") + message
    return b"".join(
        (
            bytes((len(pubshare),)),
            pubshare,
            bytes((len(thresh_pk_xonly),)),
            thresh_pk_xonly,
            prefixed_message,
            len(extra).to_bytes(4, "big"),
            extra,
        )
    )


def parse_public_nonces(pubnonces: Sequence[PublicNonce]) -> tuple[tuple[Point, Point], ...]:
    """Parse public nonces of 66 bytes each.

    Raises:
        InvalidContribution: `signer_index` is the list position of the first one that is malformed.
    """
    parsed = []
    for index, pubnonce in enumerate(pubnonces):
        if len(pubnonce) != PUBLIC_NONCE_BYTES:
            raise InvalidContribution(index, "pubnonce")
        try:
            parsed.append((Point.parse(pubnonce[:33]), Point.parse(pubnonce[33:])))
        except InvalidPoint:
            raise InvalidContribution(index, "pubnonce") from None
    return tuple(parsed)


def nonce_agg(pubnonces: Sequence[PublicNonce]) -> bytes:
    """Add public nonces up to the aggregate nonce, 66 bytes; a half that cancels out is 33 zero bytes.

    Raises:
        InvalidContribution: `signer_index` is the list position of the malformed public nonce.
        InvalidInput: the list is empty.
    Spec: BIP-445, NonceAgg.
    """
    return aggregate_parsed(parse_public_nonces(pubnonces))[2]


def aggregate_parsed(parsed: Sequence[tuple[Point, Point]]) -> tuple[Point, Point, bytes]:
    """Add parsed public nonces up: both points of the aggregate and its 66 bytes."""
    if not parsed:
        raise InvalidInput("there is no public nonce to aggregate")
    first = Point.sum(pair[0] for pair in parsed)
    second = Point.sum(pair[1] for pair in parsed)
    return first, second, first.serialise() + second.serialise()
