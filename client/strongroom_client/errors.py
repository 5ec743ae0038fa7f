"""What an SDK user catches: one class per thing a caller can do about it, and the stable reason as an attribute."""

from __future__ import annotations

from typing import ClassVar

from strongroom.model.errors import Kind, StrongroomError
from strongroom_client.plain_text import plain

__all__ = [
    "Aborted",
    "AlreadyExists",
    "DataLoss",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "LogRestarted",
    "NotFinalYet",
    "NotFound",
    "NotProven",
    "PermissionDenied",
    "PinMismatch",
    "ProfileProblem",
    "RemoteError",
    "ResourceExhausted",
    "Unauthenticated",
    "Unavailable",
    "remote_error",
]


class RemoteError(StrongroomError):
    """The coordinator refused or failed a call.

    `remote_reason` is the stable code it gave (docs/reference/errors.md); `reason` names the class. Where none came, as
    from a coordinator that cannot be reached, both are the same.
    """

    reason: ClassVar[str] = "REMOTE_ERROR"
    kind = Kind.INTERNAL

    def __init__(self, message: str, *, remote_reason: str, **facts: str) -> None:
        super().__init__(message, **facts)
        self.remote_reason = remote_reason


class InvalidArgument(RemoteError):
    """The request is wrong: fix it."""

    reason = "REMOTE_INVALID_ARGUMENT"
    kind = Kind.INVALID_ARGUMENT


class Unauthenticated(RemoteError):
    """The certificate is not accepted by this service."""

    reason = "REMOTE_UNAUTHENTICATED"
    kind = Kind.UNAUTHENTICATED
    remedy = "ask the administrators for a certificate of your role"


class PermissionDenied(RemoteError):
    """Not allowed, whoever retries."""

    reason = "REMOTE_PERMISSION_DENIED"
    kind = Kind.PERMISSION_DENIED


class NotFound(RemoteError):
    """No such thing."""

    reason = "REMOTE_NOT_FOUND"
    kind = Kind.NOT_FOUND


class AlreadyExists(RemoteError):
    """The same identifier stands for something else."""

    reason = "REMOTE_ALREADY_EXISTS"
    kind = Kind.ALREADY_EXISTS


class FailedPrecondition(RemoteError):
    """The state must change first."""

    reason = "REMOTE_FAILED_PRECONDITION"
    kind = Kind.FAILED_PRECONDITION


class Aborted(RemoteError):
    """A peer or a race ended it: start again."""

    reason = "REMOTE_ABORTED"
    kind = Kind.ABORTED


class ResourceExhausted(RemoteError):
    """A limit was reached: later, or less."""

    reason = "REMOTE_RESOURCE_EXHAUSTED"
    kind = Kind.RESOURCE_EXHAUSTED


class Unavailable(RemoteError):
    """Not reachable, or not ready: try again soon. Submits and endorsements are idempotent."""

    reason = "REMOTE_UNAVAILABLE"
    kind = Kind.UNAVAILABLE
    remedy = "check the address and your certificate; else try again soon, as often as you like"


class DeadlineExceeded(RemoteError):
    """No answer in time: the call may or may not have taken effect. Submits and endorsements are idempotent."""

    reason = "REMOTE_DEADLINE_EXCEEDED"
    kind = Kind.DEADLINE_EXCEEDED
    remedy = "see `strongroom status`; send the same bytes again, or look for your order before you make another"


class DataLoss(RemoteError):
    """Data stored at the other end cannot be trusted."""

    reason = "REMOTE_DATA_LOSS"
    kind = Kind.DATA_LOSS


class Internal(RemoteError):
    """A defect at the other end; the message carries an incident id."""

    reason = "REMOTE_INTERNAL"
    kind = Kind.INTERNAL


class NotProven(StrongroomError):
    """The coordinator's answer does not prove what it says: it is at fault, or lying. Nothing of it was used."""

    reason = "NOT_PROVEN"
    kind = Kind.DATA_LOSS
    remedy = "sign nothing, and tell the operators"


class NotFinalYet(NotProven):
    """What was asked for stands under no final head yet, so that it could still vanish: a new log, or a new vault."""

    reason = "NOT_FINAL_YET"
    kind = Kind.UNAVAILABLE
    remedy = "try again in a moment; if it lasts for minutes, sign nothing, and tell the operators"


class PinMismatch(StrongroomError):
    """The coordinator serves another log than the one that is pinned here."""

    reason = "PIN_MISMATCH"
    kind = Kind.FAILED_PRECONDITION
    remedy = "compare the log id with your colleagues; do not log in again before that"


class LogRestarted(StrongroomError):
    """The pinned log was founded anew by its administrators, as the coordinator says: a person must compare and accept.

    Every word signed for the pinned log is worthless in the new one.
    """

    reason = "LOG_RESTARTED"
    kind = Kind.FAILED_PRECONDITION
    remedy = "compare the new log id with your administrators, then `strongroom restart accept`"


class ProfileProblem(StrongroomError):
    """The client's profile or a file it names cannot be used."""

    reason = "PROFILE_PROBLEM"
    kind = Kind.INVALID_ARGUMENT
    remedy = "run `strongroom login`, or name another file with `--profile`"


_BY_CODE: dict[str, type[RemoteError]] = {
    cls.kind.name: cls
    for cls in (
        InvalidArgument,
        Unauthenticated,
        PermissionDenied,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        Aborted,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        DataLoss,
        Internal,
    )
}


def remote_error(code: str, message: str, reason: str, facts: dict[str, str]) -> RemoteError:
    """The error class for a gRPC status code name; codes the service never uses become `Internal`."""
    safe = {plain(key): plain(value) for key, value in facts.items() if key not in ("message", "remote_reason")}
    error = _BY_CODE.get(code, Internal)
    return error(plain(message), remote_reason=plain(reason) or error.reason, **safe)
