"""What `charter check` reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Level", "Report", "error", "warning"]


class Level(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to mend, or to know."""

    level: Level
    where: str
    what: str
    do: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All findings, and facts for people: names to short texts, in a fixed order."""

    findings: tuple[Finding, ...]
    facts: Mapping[str, str]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that forbid the charter."""
        return tuple(finding for finding in self.findings if finding.level is Level.ERROR)

    @property
    def ok(self) -> bool:
        """Whether nothing forbids the charter."""
        return not self.errors


def error(where: str, what: str, do: str) -> Finding:
    """A finding that forbids the charter."""
    return Finding(level=Level.ERROR, where=where, what=what, do=do)


def warning(where: str, what: str, do: str) -> Finding:
    """A finding to know of."""
    return Finding(level=Level.WARNING, where=where, what=what, do=do)
