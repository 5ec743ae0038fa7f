"""Why this signer gives no share for a plan: typed, each with a stable reason that is signed and shown to people."""

from __future__ import annotations

from strongroom.model.errors import Kind, StrongroomError

__all__ = [
    "CommitmentsInvalid",
    "DecodingDiffers",
    "FrozenByHand",
    "FrozenLocally",
    "NoPlanHere",
    "NoShareHere",
    "NonceElsewhere",
    "NonceStale",
    "NonceUnknown",
    "NotCertified",
    "OrderNotAllowed",
    "OverLocalLimit",
    "PlanNotAccepted",
    "RejectedByHand",
    "ShareDoesNotVerify",
    "ShareRefused",
    "WrongEpoch",
    "printable",
]


class ShareRefused(StrongroomError):
    """No share, and no nonce, for this plan. Base of the refusals below; each has a stable reason."""

    reason = "SHARE_REFUSED"
    kind = Kind.FAILED_PRECONDITION


class NotCertified(ShareRefused):
    """The plan does not lie under a certificate of the current term that this signer holds."""

    reason = "NOT_CERTIFIED"


class NoPlanHere(ShareRefused):
    """There is no plan at this index of this signer's own log."""

    reason = "NO_PLAN_AT_INDEX"
    kind = Kind.NOT_FOUND
    remedy = "nothing: the coordinator asks again once this signer has caught up"


class PlanNotAccepted(ShareRefused):
    """The own state does not record this plan as accepted at this index."""

    reason = "PLAN_NOT_ACCEPTED"


class DecodingDiffers(ShareRefused):
    """The own decoding of the plan is not the transaction that was accepted."""

    reason = "DECODING_DIFFERS"
    kind = Kind.DATA_LOSS


class OrderNotAllowed(ShareRefused):
    """An order of the plan does not pass any more; the detail has the rule's own reason."""

    reason = "ORDER_NOT_ALLOWED"
    kind = Kind.PERMISSION_DENIED


class RejectedByHand(ShareRefused):
    """A named approver's rejection was handed to this signer."""

    reason = "REJECTED"
    kind = Kind.PERMISSION_DENIED


class FrozenByHand(ShareRefused):
    """An officer's freeze was handed to this signer."""

    reason = "FROZEN"


class FrozenLocally(ShareRefused):
    """This signer's operator has frozen the vault."""

    reason = "LOCAL_FREEZE"


class OverLocalLimit(ShareRefused):
    """More than this signer's operator lets it help to pay."""

    reason = "LOCAL_LIMIT"
    kind = Kind.PERMISSION_DENIED


class NonceUnknown(ShareRefused):
    """The set holds no open nonces of this signer: used, too old, of another term or boot, or never made here."""

    reason = "NONCE_UNKNOWN"


class NonceStale(ShareRefused):
    """The nonces are more than 30 seconds old by one of the two clocks."""

    reason = "NONCE_STALE"


class NonceElsewhere(ShareRefused):
    """The nonces were made for another plan, place, term, boot or digest."""

    reason = "NONCE_FOR_ANOTHER_CONTEXT"


class CommitmentsInvalid(ShareRefused):
    """The commitment list is not exactly t holders' signed commitments for this very plan."""

    reason = "COMMITMENTS_INVALID"
    kind = Kind.INVALID_ARGUMENT


class WrongEpoch(ShareRefused):
    """The request is for another generation of the vault's shares than the current one."""

    reason = "WRONG_EPOCH"


class NoShareHere(ShareRefused):
    """This signer holds no share of the vault."""

    reason = "NO_SHARE"


class ShareDoesNotVerify(ShareRefused):
    """The share made here does not verify: faulty hardware. Nothing was released."""

    reason = "SELF_CHECK_FAILED"
    kind = Kind.INTERNAL


def printable(text: str) -> str:
    """A message in the letters and length (400) that a signed refusal takes."""
    return "".join(letter if " " <= letter <= "~" else " " for letter in text)[:400]
