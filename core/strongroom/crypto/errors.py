"""What can go wrong in the cryptographic core, and whose fault it is."""

from __future__ import annotations

from typing import ClassVar

from strongroom.model.errors import Kind, StrongroomError

__all__ = [
    "InvalidContribution",
    "InvalidEncoding",
    "InvalidInput",
    "InvalidPoint",
    "InvalidScalar",
    "InvalidSignature",
    "NonceAlreadyUsed",
    "SecretWiped",
    "SelfCheckFailed",
]


class InvalidInput(StrongroomError, ValueError):
    """An argument of the caller is out of its range; nobody else is to blame."""

    reason: ClassVar[str] = "CRYPTO_INPUT_INVALID"
    kind: ClassVar[Kind] = Kind.INVALID_ARGUMENT


class InvalidScalar(InvalidInput):
    """A scalar is not 32 bytes in the range its use allows; the caller knows where it came from."""

    reason: ClassVar[str] = "SCALAR_INVALID"


class InvalidPoint(InvalidInput):
    """An encoding is not a point of the curve; the caller knows where it came from."""

    reason: ClassVar[str] = "POINT_INVALID"


class InvalidEncoding(InvalidInput):
    """An address or an extended key is not in its one correct form."""

    reason: ClassVar[str] = "ENCODING_INVALID"


class SecretWiped(StrongroomError):
    """A secret was used after it had been wiped: a defect of ours, never of a peer."""

    reason: ClassVar[str] = "SECRET_WIPED"
    kind: ClassVar[Kind] = Kind.FAILED_PRECONDITION


class NonceAlreadyUsed(InvalidInput):
    """A secret nonce was offered a second time. Two signatures under one nonce reveal the share."""

    reason: ClassVar[str] = "NONCE_ALREADY_USED"
    kind: ClassVar[Kind] = Kind.FAILED_PRECONDITION


class SelfCheckFailed(StrongroomError):
    """A signature made here did not verify here: hardware fault or corrupted memory. It was not released."""

    reason: ClassVar[str] = "SIGNATURE_SELF_CHECK_FAILED"
    kind: ClassVar[Kind] = Kind.INTERNAL


class InvalidSignature(StrongroomError):
    """The aggregate does not verify although every partial signature does: the inputs do not belong together."""

    reason: ClassVar[str] = "AGGREGATE_SIGNATURE_INVALID"
    kind: ClassVar[Kind] = Kind.ABORTED


class InvalidContribution(StrongroomError):
    """A peer's contribution to a signing session is invalid.

    Attributes:
        signer_index: Position of the blamed contribution in the list it came in (not an identifier), or None when the
            coordinator is to blame.
        contrib: "pubnonce", "aggnonce" or "psig".

    Blame is evidence only for who saw the contribution come over an authenticated link.
    """

    reason: ClassVar[str] = "CONTRIBUTION_INVALID"
    kind: ClassVar[Kind] = Kind.ABORTED

    def __init__(self, signer_index: int | None, contrib: str) -> None:
        self.signer_index = signer_index
        self.contrib = contrib
        who = "the coordinator" if signer_index is None else f"the signer at position {signer_index}"
        super().__init__(
            f"{who} sent an invalid {contrib}: leave it out and start a new session",
            contrib=contrib,
            signer_index="" if signer_index is None else str(signer_index),
        )
