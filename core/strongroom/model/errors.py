"""The one base of all errors, and the kinds they map to at the gRPC border."""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """What a caller may do about an error. The names are the gRPC status code names."""

    INVALID_ARGUMENT = "fix the request"
    UNAUTHENTICATED = "present a certificate this service accepts"
    PERMISSION_DENIED = "not allowed, whoever retries"
    NOT_FOUND = "no such thing"
    ALREADY_EXISTS = "the same identifier stands for something else"
    FAILED_PRECONDITION = "the state must change first"
    ABORTED = "a peer or a race ended it: start again"
    RESOURCE_EXHAUSTED = "a limit was reached: later, or less"
    UNAVAILABLE = "try again soon"
    DEADLINE_EXCEEDED = "took too long: try again"
    DATA_LOSS = "stored data cannot be trusted: an operator must look"
    INTERNAL = "a defect of ours"


class StrongroomError(Exception):
    """Base of every error that Strongroom raises on purpose.

    A subclass sets `reason`, an UPPER_SNAKE code that never changes its meaning, and `kind`. It sets `remedy` where the
    text of its kind would not tell a person what to do; commands show it, as docs/reference/errors.md does. `facts` are
    short public strings for machines (field names, hashes, counts); never a secret.
    """

    reason: ClassVar[str] = "STRONGROOM_ERROR"
    kind: ClassVar[Kind] = Kind.INTERNAL
    remedy: ClassVar[str] = ""

    def __init__(self, message: str, **facts: str) -> None:
        super().__init__(message)
        self.message = message
        self.facts: dict[str, str] = facts
