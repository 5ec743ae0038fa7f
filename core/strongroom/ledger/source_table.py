"""Strict reading of TOML tables that collects every problem with its place, so that people mend all of them at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

from strongroom.ledger import codec_kinds
from strongroom.ledger.codec_kinds import Fault, NotCanonical
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.quantities import BadQuantity, parse_duration

__all__ = ["Notes", "Problem", "SourceInvalid", "Table"]

MAX_SOURCE_LETTERS: Final = 1_000_000
_NAME: Final = codec_kinds.name()
_HEADER: Final = re.compile(r"\s*\[(\[?)\s*\"?([A-Za-z0-9_-]+)\"?\s*\]\]?")

Message = TypeVar("Message")
Step = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a source file. `line` is the line it most likely stands on, 0 if unknown."""

    where: str
    line: int
    what: str

    def __str__(self) -> str:
        place = self.where or "the file"
        return f"{place} (line {self.line}): {self.what}" if self.line else f"{place}: {self.what}"


class SourceInvalid(StrongroomError):
    """The source text is not valid; `problems` lists everything found. Whoever wrote the text is at fault."""

    reason = "CHARTER_SOURCE_INVALID"
    kind = Kind.INVALID_ARGUMENT
    remedy = "mend every line that the message names, and check it again"

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"the charter source has {count}:\n{lines}")
        self.problems = tuple(problems)


@dataclass(slots=True)
class Notes:
    """The problems found so far, and the text that tells their lines."""

    text: str
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def read(cls, text: str) -> tuple[Self, Table]:
        """Parse the text as TOML; return the notes and the whole file as a table.

        Raises:
            SourceInvalid: the text is too long or not TOML.
        """
        if len(text) > MAX_SOURCE_LETTERS:
            raise SourceInvalid([Problem(where="", line=0, what=f"is longer than {MAX_SOURCE_LETTERS} letters")])
        try:
            content = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
            raise SourceInvalid([Problem(where="", line=0, what=f"is not TOML: {error}")]) from None
        notes = cls(text)
        return notes, Table(notes, (), content)

    def add(self, path: tuple[Step, ...], what: str) -> None:
        """Note one problem at a path of keys and positions."""
        self.problems.append(Problem(where=_path_text(path), line=_line_of(self.text, path), what=what))

    def check(self) -> None:
        """Raise SourceInvalid if anything was noted."""
        if self.problems:
            raise SourceInvalid(sorted(self.problems, key=lambda problem: problem.line))


class Table:
    """One table of the source. Each reader takes a key off; `close` notes the keys that nobody asked for.

    A reader returns None after noting a problem; `make` builds a message only of complete parts.
    """

    def __init__(self, notes: Notes, path: tuple[Step, ...], content: dict[str, Any]) -> None:
        self.notes = notes
        self.path = path
        self._left = dict(content)
        self._sound = True

    def fail(self, key: str, what: str) -> None:
        """Note a problem of one key of this table; the table's message is then not built."""
        self._sound = False
        self.notes.add((*self.path, key) if key else self.path, what)

    def take(self, key: str, kind: type[Any], wanted: str, *, optional: bool = False) -> Any:
        """Take off the raw value of a key, which must be of exactly this Python type."""
        if key not in self._left:
            if not optional:
                self.fail(key, f"is missing: write {wanted}")
            return None
        value = self._left.pop(key)
        if type(value) is not kind:
            self.fail(key, f"must be {wanted}, not {_kind_text(value)}")
            return None
        return value

    def has(self, key: str) -> bool:
        """Whether the key is there and not taken off yet."""
        return key in self._left

    def holds(self, key: str, kind: type[Any]) -> bool:
        """Whether the key's value is of exactly this Python type."""
        return type(self._left.get(key)) is kind

    def text(self, key: str, max_bytes: int) -> str | None:
        """Read text of 1 to `max_bytes` bytes of UTF-8, of the letters that a ledger message may hold."""
        value = self.take(key, str, "text in quotes")
        return self._checked(key, value, codec_kinds.text(minimum=1, maximum=max_bytes))

    def name(self, key: str) -> str | None:
        """Read a name, `[a-z0-9-]{1,40}`."""
        return self._checked(key, self.take(key, str, "a name in quotes"), _NAME)

    def number(self, key: str, minimum: int, maximum: int = codec_kinds.U64_MAX) -> int | None:
        """Read a whole number."""
        value = self.take(key, int, "a whole number without quotes")
        if value is not None and not minimum <= value <= maximum:
            self.fail(key, f"must be {minimum} to {maximum}, not {value}")
            return None
        return value if value is None else int(value)

    def flag(self, key: str) -> bool:
        """Read true or false; absent is false."""
        return bool(self.take(key, bool, "true or false", optional=True))

    def hex(self, key: str, size: int) -> bytes | None:
        """Read `size` bytes of lowercase hex."""
        value = self.take(key, str, f"{2 * size} hex digits in quotes")
        if value is None:
            return None
        if len(value) != 2 * size or not re.fullmatch(r"[0-9a-f]*", value):
            self.fail(key, f"must be {2 * size} lowercase hex digits")
            return None
        return bytes.fromhex(value)

    def duration(self, key: str) -> int | None:
        """Read a duration such as "24h", in milliseconds."""
        value = self.take(key, str, 'a duration in quotes, as "24h"')
        try:
            return None if value is None else parse_duration(value)
        except BadQuantity as error:
            self.fail(key, error.message)
            return None

    def texts(self, key: str, max_bytes: int, most: int, *, form: re.Pattern[str] | None = None) -> tuple[str, ...]:
        """Read a list of 1 to `most` different texts, each matching `form` if one is given; () after a problem."""
        values = self.take(key, list, "a list in brackets")
        if values is None:
            return ()
        if not 1 <= len(values) <= most:
            self.fail(key, f"must have 1 to {most} items, not {len(values)}")
            return ()
        kind = codec_kinds.text(minimum=1, maximum=max_bytes)
        wrong = False
        known: set[str] = set()
        for value in values:
            if self._checked(key, value, kind) is None:
                wrong = True
                continue
            if form is not None and not form.fullmatch(value):
                wrong = True
                self.fail(key, f'"{value}" has not the form it needs: {form.pattern}')
            if value in known:
                wrong = True
                self.fail(key, f'names "{value}" twice')
            known.add(value)
        return () if wrong else tuple(values)

    def table(self, key: str) -> Table | None:
        """Read a table inside this one."""
        value = self.take(key, dict, "a table")
        return None if value is None else Table(self.notes, (*self.path, key), value)

    def tables(self, key: str, most: int, *, least: int = 1) -> list[Table]:
        """Read a list of `least` to `most` tables; [] after a problem."""
        values = self.take(key, list, "a list of tables", optional=least == 0)
        if values is None:
            return []
        if not least <= len(values) <= most:
            self.fail(key, f"there must be {least} to {most}, not {len(values)}")
            return []
        found = []
        for position, value in enumerate(values, 1):
            path = (*self.path, key, position)
            if type(value) is dict:
                found.append(Table(self.notes, path, value))
            else:
                self.fail(key, f"must be a list of tables, but number {position} is {_kind_text(value)}")
        return found

    def rest(self) -> dict[str, Any]:
        """Take off everything that is left."""
        left, self._left = self._left, {}
        return left

    def close(self) -> None:
        """Note every key that nobody asked for."""
        for key in self._left:
            self.fail(key, "is unknown here: check its spelling")
        self._left = {}

    def make(self, cls: type[Message], **parts: Any) -> Message | None:
        """Close the table and build its message; None after a problem in it or in a part."""
        self.close()
        if not self._sound or any(part is None for part in parts.values()):
            return None
        try:
            return cls(**parts)
        except NotCanonical as error:
            self.notes.add(self.path, error.message)
            return None

    def _checked(self, key: str, value: Any, kind: codec_kinds.ValueKind) -> str | None:
        if value is None:
            return None
        try:
            kind.check(value)
        except Fault as fault:
            self.fail(key, fault.what)
            return None
        return str(value)


def _kind_text(value: Any) -> str:
    match value:
        case bool():
            return "true or false"
        case float():
            return "a number with a point (amounts stand in quotes)"
        case int():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time"


def _path_text(path: tuple[Step, ...]) -> str:
    words = ""
    for step in path:
        words += f" {step}" if isinstance(step, int) else f".{step}" if words else step
    return words


def _line_of(text: str, path: tuple[Step, ...]) -> int:
    """Find the line of the path's table header, or of its first key below that header; 0 if there is none.

    Only a help for people: a header inside a multi-line string would mislead it, never the parser.
    """
    if not path:
        return 0
    table, position = str(path[0]), path[1] if len(path) > 1 and isinstance(path[1], int) else 0
    keys = [str(step) for step in path[1:] if not isinstance(step, int)]
    start, seen, found = 0, 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            if found:
                break
            seen += header.group(2) == table
            found = number if header.group(2) == table and seen == max(1, position) else 0
            start = start or number
        elif found and keys and re.match(rf"\s*\"?{re.escape(keys[0])}\"?\s*=", line):
            return number
        elif not start and re.match(rf"\s*\"?{re.escape(table)}\"?\s*=", line):
            return number
    return found
