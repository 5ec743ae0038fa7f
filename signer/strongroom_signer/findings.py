"""What `doctor` found: a line for each thing that was looked at, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from strongroom.model.errors import StrongroomError
from strongroom_signer.plain_text import plain

__all__ = ["Finding", "Level", "exit_code", "facts_of", "failed", "ok", "text_of"]

_WARNED: Final = 5


class Level(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: what was looked at, how it stands, and what to do when it does not stand well."""

    check: str
    level: Level
    detail: str
    do: str = ""


def ok(check: str, detail: str) -> Finding:
    """Nothing to do."""
    return Finding(check=check, level=Level.OK, detail=detail)


def failed(check: str, error: StrongroomError, do: str) -> Finding:
    """What an error says must be mended, and how."""
    return Finding(check=check, level=Level.FAILED, detail=f"{error.reason}: {error.message}", do=do)


def exit_code(findings: Sequence[Finding]) -> int:
    """0 when all is well, 5 for warnings, 1 when something failed."""
    levels = {one.level for one in findings}
    return 1 if Level.FAILED in levels else _WARNED if Level.WARNING in levels else 0


def facts_of(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings for programs."""
    worst = {0: Level.OK, 1: Level.FAILED, _WARNED: Level.WARNING}[exit_code(findings)]
    return {
        "health": worst.value,
        "checks": [
            {"check": one.check, "level": one.level.value, "detail": one.detail, "do": one.do or None}
            for one in findings
        ],
    }


def text_of(findings: Sequence[Finding]) -> str:
    """The findings for people, a line each, and what to do below."""
    lines = []
    for one in findings:
        lines.append(f"{one.level.value.upper():8} {one.check:14} {one.detail}")
        if one.do:
            lines.append(f"{'':23} -> {one.do}")
    return "\n".join(map(plain, lines))
