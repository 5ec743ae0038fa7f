"""The daemon's log: one JSON object a line on standard error.

Event names are static and dotted, `noun.past_verb`; facts are keywords. A secret among the facts is a defect: it is
replaced before anything is written, and raises where the caller asked for that (as the tests do).

Most lines are about what a coordinator asked for, and one in an attacker's hands must not fill the disk with them:
below the floor of free disk the signer would stop to vote. So of each event with the same reason there are so many
lines a minute at most: a flood of one kind of refusal mutes that kind, and cannot hide another one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog

from strongroom.crypto.ed25519 import SigningKey
from strongroom.crypto.frost import SecretNonce
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.model.log_allowance import LogAllowance

__all__ = ["Log", "SecretInLog", "open_log"]

Log = structlog.typing.FilteringBoundLogger

LINES_A_MINUTE: Final = 300
"""Of one event with one reason; debug lines, for which an operator asked, are all written."""
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class SecretInLog(TypeError):
    """A secret was handed to the log: a defect of ours."""


def open_log(
    *,
    level: str = "info",
    signer: str = "",
    stream: TextIO | None = None,
    raise_on_secret: bool = False,
    monotonic: Callable[[], float] = time.monotonic,
) -> Log:
    """Return a logger that writes JSON lines to `stream` (standard error by default)."""
    # Reasons are names in this program, so there are only so many.
    allowances: dict[tuple[Any, Any], LogAllowance] = {}

    def bound(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if method == "debug":
            return event
        kind = (event.get("event"), event.get("reason"))
        allowance = allowances.setdefault(kind, LogAllowance(lines=LINES_A_MINUTE))
        left = allowance.take(monotonic())
        if left < 0:
            raise structlog.DropEvent
        if left == 0:
            event["muted_s"] = allowance.window_s
        return event

    def guard(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            if _holds_secret(value):
                if raise_on_secret:
                    raise SecretInLog(f"{key} of event {event.get('event')!r} holds a secret")
                event[key] = "<redacted>"
        return event

    log: Log = structlog.wrap_logger(
        structlog.PrintLogger(stream or sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            guard,
            bound,
            _readable,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.JSONRenderer(sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=False,
    )
    return log.bind(signer=signer) if signer else log


def _holds_secret(value: Any) -> bool:
    if isinstance(value, SecretBytes | SecretScalar | SecretNonce | SigningKey):
        return True
    if isinstance(value, Mapping):
        return any(_holds_secret(part) for part in value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return any(_holds_secret(part) for part in value)
    return False


def _readable(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Public hashes and keys are written as hex."""
    for key, value in event.items():
        if isinstance(value, bytes):
            event[key] = value.hex()
    return event
