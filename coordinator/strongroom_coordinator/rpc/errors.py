"""What only a request itself can be wrong in."""

from __future__ import annotations

from strongroom.model.errors import Kind, StrongroomError

__all__ = ["CallTooSlow", "CursorUnknown", "InternalError", "InvalidRequest", "NoSuchThing", "RoleNotAllowed"]


class InvalidRequest(StrongroomError):
    """A field of the request is missing or malformed; `facts["field"]` names it. The caller is at fault."""

    reason = "INVALID_REQUEST"
    kind = Kind.INVALID_ARGUMENT

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}", field=field)


class RoleNotAllowed(StrongroomError):
    """The certificate's role may not make this call; the caller uses the wrong certificate or service."""

    reason = "ROLE_NOT_ALLOWED"
    kind = Kind.PERMISSION_DENIED
    remedy = "use the certificate of the role that may, or the service for yours"


class NoSuchThing(StrongroomError):
    """Nothing certified has this name. The caller is at fault, or too early."""

    reason = "NO_SUCH_THING"
    kind = Kind.NOT_FOUND
    remedy = "check the name, and try again soon if it was made just now"


class CursorUnknown(StrongroomError):
    """The cursor is beyond the feed: it is from before the coordinator was rebuilt. Start again from 0."""

    reason = "CURSOR_UNKNOWN"
    kind = Kind.FAILED_PRECONDITION
    remedy = "start again from cursor 0"


class CallTooSlow(StrongroomError):
    """The answer was not ready within the call's deadline. Submits and endorsements may be repeated."""

    reason = "CALL_TOO_SLOW"
    kind = Kind.DEADLINE_EXCEEDED


class InternalError(StrongroomError):
    """A defect of the coordinator; its log holds the incident named in the message."""

    reason = "INTERNAL_ERROR"
    kind = Kind.INTERNAL
    remedy = "give the incident from the message to whoever runs the coordinator"
