"""A person with a sheet of paper: reads a signer's words off the terminal, and types back those that are asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from terminal import Answer

_WORD = re.compile(r"(?<![0-9])([1-9]|1[0-9]|2[0-4])  +([a-z]{3,8})\b")
_ASKED = re.compile(r"Word ([0-9]+) on your sheet: ?$")

ENTER = (r"Press Enter when they are on paper: ?$", "")


def sheet_in(shown: str) -> list[str]:
    """The words shown last, in their order."""
    found = {int(number): word for number, word in _WORD.findall(shown)}
    assert sorted(found) == list(range(1, 25)), shown
    return [found[number] for number in range(1, 25)]


def asked_word(shown: str) -> str:
    """The word that the last line of a terminal asks for, from the sheet that it showed."""
    asked = _ASKED.search(shown)
    assert asked is not None
    return sheet_in(shown)[int(asked.group(1)) - 1]


CONFIRMS: tuple[tuple[str, Answer], ...] = (ENTER, (_ASKED.pattern, asked_word))
"""Answers of a person who wrote the words down."""


@contextmanager
def words_pipe() -> Iterator[tuple[int, list[str]]]:
    """A pipe for `--words-fd` of a command in this process, and the words once the block has ended."""
    reader, writer = os.pipe()
    words: list[str] = []
    try:
        yield writer, words
    finally:
        os.close(writer)
        with open(reader, encoding="ascii") as pipe:
            words += pipe.read().split()


@contextmanager
def typed(words: list[str]) -> Iterator[int]:
    """A pipe that gives these words, for `--words-fd` of a command in this process."""
    reader, writer = os.pipe()
    with open(writer, "w", encoding="ascii") as pipe:
        pipe.write(" ".join(words))
    try:
        yield reader
    finally:
        os.close(reader)
