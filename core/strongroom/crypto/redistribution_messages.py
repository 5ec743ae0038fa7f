"""Values of share redistribution: parameters, dealings, and the transcript that a set of dealings adds up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from strongroom.crypto.chilldkg_params import SessionParams
from strongroom.crypto.curve import ORDER, Point
from strongroom.crypto.errors import InvalidInput, InvalidScalar
from strongroom.crypto.redistribution_errors import DealingFault, RedistributionInputError

__all__ = ["CheckedDealing", "Dealing", "RedistributionParams", "Transcript", "parse_scalar"]

_CONTEXT_BYTES: Final = 32
_SCALAR_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RedistributionParams:
    """What is handed on, by whom, and to whom; every party takes it from its own log.

    Attributes:
        context: 32 bytes that name this redistribution and nothing else; every pad is bound to them.
        group_key: Group public key, 33 bytes.
        threshold_before: How many old holders sign.
        public_shares: Public share of every old holder, 33 bytes each; an old holder's identifier is its position.
        receivers: Host public keys of the new holders, in the order of their identifiers, and the new threshold t'.
    """

    context: bytes
    group_key: bytes
    threshold_before: int
    public_shares: tuple[bytes, ...]
    receivers: SessionParams

    def validated(self) -> tuple[Point, ...]:
        """Check the parameters and return the host public keys of the receivers as points.

        Raises:
            SessionParamsError: a host key or the new threshold is wrong.
            RedistributionInputError: the context is not 32 bytes, or the old threshold is wrong.
        """
        if len(self.context) != _CONTEXT_BYTES:
            raise RedistributionInputError(f"the context must be {_CONTEXT_BYTES} bytes, not {len(self.context)}")
        if not 1 <= self.threshold_before <= len(self.public_shares):
            raise RedistributionInputError(
                f"the old threshold must be between 1 and {len(self.public_shares)}, not {self.threshold_before}"
            )
        return self.receivers.validated()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealing:
    """What one dealer sends, the same to all: 33(t' - 1) + 33 + 32N' bytes for t' of N' new holders.

    Attributes:
        commitments: Commitments to the coefficients 1 to t' - 1, 33 bytes each; there is none to the constant term.
        pubnonce: Public encryption nonce, 33 bytes.
        encrypted_shares: One for each new holder, 32 bytes each.
    """

    commitments: tuple[bytes, ...]
    pubnonce: bytes
    encrypted_shares: tuple[bytes, ...]

    def checked(self, params: RedistributionParams, dealer: int) -> CheckedDealing | DealingFault:
        """Parse the dealing, or say what everybody sees to be wrong with it.

        The constant term is the dealer's public share.
        """
        receivers = params.receivers
        try:
            commitments, pubnonce, encrypted_shares = self.parsed(threshold=receivers.t, holders=receivers.n)
            constant = Point.parse(params.public_shares[dealer])
        except InvalidInput as error:
            return DealingFault(dealer=dealer, problem=error.message, is_public=True)
        return CheckedDealing(
            commitments=(constant, *commitments), pubnonce=pubnonce, encrypted_shares=encrypted_shares
        )

    def parsed(self, *, threshold: int, holders: int) -> tuple[tuple[Point, ...], Point, tuple[int, ...]]:
        """Return commitments, encryption nonce and encrypted shares, if they are of a dealing to so many new holders.

        More commitments than one below the threshold would raise it, fewer would lower it; infinity, which an honest
        dealer does not draw, is refused in every place.

        Args:
            threshold: How many new holders sign.
            holders: How many there are.

        Raises:
            InvalidInput: what everybody sees to be wrong with it.
        """
        if len(self.commitments) != threshold - 1:
            raise InvalidInput(
                f"it has {len(self.commitments)} commitments, and a threshold of {threshold} takes {threshold - 1}"
            )
        if len(self.encrypted_shares) != holders:
            raise InvalidInput(f"it has {len(self.encrypted_shares)} encrypted shares for {holders} new holders")
        try:
            commitments = tuple(Point.parse(item) for item in self.commitments)
            return commitments, Point.parse(self.pubnonce), tuple(parse_scalar(item) for item in self.encrypted_shares)
        except InvalidInput as error:
            raise InvalidInput(f"it is malformed: {error.message}") from error


def parse_scalar(data: bytes) -> int:
    """Read a public scalar of 32 bytes, zero allowed. Raises InvalidScalar."""
    value = int.from_bytes(data, "big")
    if len(data) != _SCALAR_BYTES or value >= ORDER:
        raise InvalidScalar("a scalar is not 32 bytes below the group order")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedDealing:
    """A dealing that is well formed, as far as everybody can see.

    Attributes:
        commitments: Commitments to all t' coefficients; the first is the dealer's public share.
        pubnonce: Public encryption nonce.
        encrypted_shares: Public scalars, one for each new holder.
    """

    commitments: tuple[Point, ...]
    pubnonce: Point
    encrypted_shares: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What the dealings of a set of dealers add up to: public, and with a host key enough to recover a share.

    Attributes:
        context: The 32 bytes that name the redistribution.
        receivers: Host public keys of the new holders, and the new threshold t'.
        dealers: Identifiers of the dealers among the old holders, ascending.
        pubnonces: Public encryption nonce of each dealer, 33 bytes.
        commitments: Commitments to the t' coefficients of the new polynomial, 33 bytes each; the first is the group
            key.
        encrypted_shares: For each new holder the weighted sum of the encrypted shares, 32 bytes.
    """

    context: bytes
    receivers: SessionParams
    dealers: tuple[int, ...]
    pubnonces: tuple[bytes, ...]
    commitments: tuple[bytes, ...]
    encrypted_shares: tuple[bytes, ...]
