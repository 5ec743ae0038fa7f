"""What a fuzz target is: one function that takes any bytes, the parsers it exercises, and seeds made of real objects.

A target holds a parser of outside bytes to two promises. It is total: an error made for whoever sent the bytes comes
out, or none at all. It is exact: what it accepts encodes back to the very same bytes, where the format has one
encoding.
Time and memory are bounded by the runner for every input.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final, TypeVar

from strongroom.model.errors import StrongroomError

__all__ = ["NASTY", "TARGETS", "Target", "choice", "name_of_seed", "scratch", "target", "text_of", "total"]

T = TypeVar("T")
NASTY: Final = (
    b"[" * 5_000,
    b"x = " + b"[" * 3_000,
    b'{"a":' * 2_000,
    b"a.b" + b".c" * 2_000 + b" = 1",
    b"9" * 5_000,
    b"x = " + b"9" * 5_000,
    b'{"v": ' + b"9" * 5_000 + b"}",
    b'{"v": 1e999999999}',
    b'{"v": "\\ud800"}',
    b'{"id":NaN,"method":"uptime"}',
    b'{"id":1e999,"method":"uptime"}',
    b"x = nan",
    b"x = 1979-05-27T07:32:00Z",
    b"\xff\xfe",
)
"""Inputs that libraries below ours fail on in ways of their own: depth, length, numbers, surrogates."""
Seeds = Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to fuzz.

    Attributes:
        name: the function's name; the corpus lies in a folder of that name.
        run: takes any bytes and raises nothing, or shows a defect by what it raises.
        seeds: makes inputs of real objects.
        parsers: the production functions it reaches, as `module:qualified name`.
        max_bytes: longest input that the fuzzer tries.
        max_seconds: longest time that one input may take.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Seeds
    parsers: tuple[str, ...]
    max_bytes: int
    max_seconds: int


TARGETS: Final[dict[str, Target]] = {}


def target(
    *parsers: str, seeds: Seeds, max_bytes: int = 4_096, max_seconds: int = 10
) -> Callable[[Callable[[bytes], None]], Callable[[bytes], None]]:
    """Register a function as a fuzz target."""

    def register(run: Callable[[bytes], None]) -> Callable[[bytes], None]:
        name = run.__name__
        if name in TARGETS:
            raise ValueError(f"two targets are called {name}")
        TARGETS[name] = Target(
            name=name, run=run, seeds=seeds, parsers=parsers, max_bytes=max_bytes, max_seconds=max_seconds
        )
        return run

    return register


def total(call: Callable[..., T], *arguments: Any, **named: Any) -> T | None:
    """Call a parser; None when it refuses with an error made for that. Anything else that it raises is a defect."""
    try:
        return call(*arguments, **named)
    except StrongroomError as error:
        # Errors travel on: into logs, gRPC statuses and exports. Their text must do so too.
        error.message.encode("utf-8", "backslashreplace")
        if not all(isinstance(value, str) for value in error.facts.values()):
            raise TypeError(f"{type(error).__name__} carries facts that are not text: {error.facts}") from error
        return None


def choice(data: bytes, options: list[T]) -> tuple[T, bytes]:
    """Let the first byte choose; the rest is what is left. Empty input chooses the first."""
    return options[(data[0] if data else 0) % len(options)], data[1:]


def text_of(data: bytes) -> str:
    """Text out of any bytes, lone surrogates included: what a JSON escape can smuggle into a text."""
    return data.decode("utf-8", "surrogateescape")


def scratch(prefix: str) -> Path:
    """A new folder, removed when the process ends."""
    folder = Path(mkdtemp(prefix=prefix))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def name_of_seed(data: bytes) -> str:
    """The file name of an input: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]
