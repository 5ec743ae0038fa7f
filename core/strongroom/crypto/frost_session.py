"""BIP-445 signing sessions: who signs, under which tweaked key, with which nonces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from strongroom.crypto.bip340 import tagged_hash_int
from strongroom.crypto.curve import GENERATOR, ORDER, Point, lagrange_coefficients
from strongroom.crypto.errors import InvalidContribution, InvalidInput, InvalidPoint
from strongroom.crypto.frost_nonce import PUBLIC_NONCE_BYTES, PublicNonce, aggregate_parsed, parse_public_nonces

__all__ = ["Session", "SessionValues", "SignersContext", "Tweak", "TweakedKey", "ValidatedSigners", "tweaked_key"]


class Tweak(NamedTuple):
    """One key tweak: 32 bytes big-endian below the group order; x-only for taproot, plain for a BIP32 step."""

    value: bytes
    is_xonly: bool


class ValidatedSigners(NamedTuple):
    """What signing needs of a signer set that passed all checks; lists are in the order of the context's `ids`."""

    pubshares: tuple[Point, ...]
    coefficients: tuple[int, ...]
    sorted_ids: bytes


class TweakedKey(NamedTuple):
    """The threshold key after all tweaks: Q = gacc * thresh_pk + tacc * G."""

    point: Point
    gacc: int
    tacc: int


@dataclass(frozen=True, slots=True)
class SignersContext:
    """The signers of a session and the group they belong to.

    Attributes:
        n: Number of key holders.
        t: Number of signers that a signature needs.
        ids: Identifiers of the signers, 0 to n - 1, in any order.
        pubshares: Public share of each, 33 bytes, in the order of `ids`.
        thresh_pk: Threshold public key, 33 bytes, before any tweak.
    """

    n: int
    t: int
    ids: tuple[int, ...]
    pubshares: tuple[bytes, ...]
    thresh_pk: bytes
    _validated: list[ValidatedSigners] = field(default_factory=list, init=False, repr=False, compare=False)

    def validated(self) -> ValidatedSigners:
        """Check the context; the work is done once per group and signer set and remembered.

        Raises:
            InvalidInput: what the caller passed does not fit together; no peer is to blame.
        Spec: BIP-445, ValidateSignersCtx.
        """
        if not self._validated:
            self._validated.append(_validate(self.n, self.t, self.ids, self.pubshares, self.thresh_pk))
        return self._validated[0]

    def position(self, signer_id: int) -> int:
        """Where in `ids` a signer stands. Raises InvalidInput when it is not among them."""
        try:
            return self.ids.index(signer_id)
        except ValueError:
            raise InvalidInput(f"signer {signer_id} is not among the signers {self.ids}") from None


@lru_cache(maxsize=256)
def _validate(n: int, t: int, ids: tuple[int, ...], pubshares: tuple[bytes, ...], thresh_pk: bytes) -> ValidatedSigners:
    if not 1 <= t <= n:
        raise InvalidInput(f"the threshold must be between 1 and {n}, not {t}")
    if not t <= len(ids) <= n:
        raise InvalidInput(f"the number of signers must be between {t} and {n}, not {len(ids)}")
    if len(pubshares) != len(ids):
        raise InvalidInput(f"there are {len(pubshares)} public shares for {len(ids)} signers")
    points = []
    for index, (signer_id, pubshare) in enumerate(zip(ids, pubshares, strict=True)):
        if not 0 <= signer_id <= n - 1:
            raise InvalidInput(f"the signer identifier at position {index} is out of range: {signer_id}")
        try:
            points.append(Point.parse(pubshare))
        except InvalidPoint:
            raise InvalidInput(f"the public share at position {index} is not a point") from None
    coefficients = lagrange_coefficients(ids)
    interpolated = Point.sum(point * factor for point, factor in zip(points, coefficients, strict=True))
    if interpolated.is_infinity or interpolated.serialise() != thresh_pk:
        raise InvalidInput("the public shares do not belong to the threshold public key")
    sorted_ids = b"".join(signer_id.to_bytes(4, "big") for signer_id in sorted(ids))
    return ValidatedSigners(tuple(points), coefficients, sorted_ids)


@lru_cache(maxsize=4096)
def tweaked_key(thresh_pk: bytes, tweaks: tuple[Tweak, ...]) -> TweakedKey:
    """Apply tweaks in order to a threshold public key; remembered per key and list.

    Tweaks must be hashes that cover the key (BIP32 steps, taproot): recompute them, never take them from a peer.

    Raises:
        InvalidInput: the key does not parse, a tweak is not 32 bytes below the group order, or a result is infinity.
    Spec: BIP-445, ApplyTweak.
    """
    point = Point.parse(thresh_pk)
    gacc, tacc = 1, 0
    for value, is_xonly in tweaks:
        if len(value) != 32:
            raise InvalidInput(f"a tweak must be 32 bytes, not {len(value)}")
        scalar = int.from_bytes(value, "big")
        if scalar >= ORDER:
            raise InvalidInput("a tweak is not below the group order")
        if is_xonly and not point.has_even_y:
            point, gacc, tacc = -point, -gacc, -tacc
        point = point.plus_generator_times(scalar)
        if point.is_infinity:
            raise InvalidInput("a tweak leads to the point at infinity")
        tacc = (tacc + scalar) % ORDER
    return TweakedKey(point, gacc, tacc)


class SessionValues(NamedTuple):
    """What every party computes alike from a session."""

    key: TweakedKey
    binding: int
    nonce_point: Point
    nonce_is_odd: bool
    challenge: int


@dataclass(frozen=True, slots=True)
class Session:
    """One signing session: aggregate nonce, signers, tweaks and message.

    Build it with `from_public_nonces` wherever the full list is at hand: only then can partial signatures be verified,
    and no aggregator has to be believed.

    Attributes:
        aggnonce: Aggregate nonce, 66 bytes.
        signers: The signer set.
        tweaks: Tweaks in order: BIP32 steps (plain), then taproot (x-only).
        message: The message, of any length.
    """

    aggnonce: bytes
    signers: SignersContext
    tweaks: tuple[Tweak, ...]
    message: bytes
    _nonces: tuple[tuple[Point, Point], ...] | None = field(default=None, init=False, repr=False, compare=False)
    _aggregate: tuple[Point, Point] | None = field(default=None, init=False, repr=False, compare=False)
    _values: SessionValues | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def from_public_nonces(
        cls, pubnonces: Sequence[PublicNonce], signers: SignersContext, tweaks: Sequence[Tweak], message: bytes
    ) -> Session:
        """Aggregate the public nonces (66 bytes each, in the order of `signers.ids`) and open the session.

        Raises:
            InvalidInput: the number of nonces is not that of the signers.
            InvalidContribution: the public nonce at `signer_index` is malformed.
        """
        if len(pubnonces) != len(signers.ids):
            raise InvalidInput(f"there are {len(pubnonces)} public nonces for {len(signers.ids)} signers")
        parsed = parse_public_nonces(pubnonces)
        first, second, aggnonce = aggregate_parsed(parsed)
        session = cls(aggnonce, signers, tuple(tweaks), message)
        object.__setattr__(session, "_nonces", parsed)
        object.__setattr__(session, "_aggregate", (first, second))
        return session

    def values(self) -> SessionValues:
        """Compute the session values, once.

        Raises:
            InvalidInput: signers or tweaks are invalid; no peer is to blame.
            InvalidContribution: the aggregate nonce is malformed (`signer_index` None: the coordinator is to blame).
        Spec: BIP-445, GetSessionValues.
        """
        values = self._values
        if values is None:
            values = self._compute()
            object.__setattr__(self, "_values", values)
        return values

    def _compute(self) -> SessionValues:
        validated = self.signers.validated()
        key = tweaked_key(self.signers.thresh_pk, self.tweaks)
        x_of_key = key.point.xonly()
        binding = tagged_hash_int("BIP0445/noncecoef", validated.sorted_ids, self.aggnonce, x_of_key, self.message)
        first, second = self._aggregate or self._parse_aggnonce()
        nonce_point = first + second * binding
        if nonce_point.is_infinity:
            # At least one signer lied about its nonce. Going on lets partial verification find out which.
            nonce_point = GENERATOR
        encoded = nonce_point.serialise()
        challenge = tagged_hash_int("BIP0340/challenge", encoded[1:], x_of_key, self.message)
        return SessionValues(key, binding, nonce_point, encoded[0] == 3, challenge)

    def _parse_aggnonce(self) -> tuple[Point, Point]:
        if len(self.aggnonce) != PUBLIC_NONCE_BYTES:
            raise InvalidContribution(None, "aggnonce")
        try:
            return Point.parse_or_infinity(self.aggnonce[:33]), Point.parse_or_infinity(self.aggnonce[33:])
        except InvalidPoint:
            raise InvalidContribution(None, "aggnonce") from None

    @property
    def knows_nonces(self) -> bool:
        """Whether the session was opened from the full list of public nonces."""
        return self._nonces is not None

    def nonce_pair(self, index: int) -> tuple[Point, Point]:
        """The public nonce of the signer at list position `index`.

        Raises:
            InvalidInput: the session was opened from an aggregate only, or there is no such position.
        """
        if self._nonces is None:
            raise InvalidInput("this session knows only the aggregate nonce: open it from the full list")
        if not 0 <= index < len(self._nonces):
            raise InvalidInput(f"there is no signer at position {index}")
        return self._nonces[index]
