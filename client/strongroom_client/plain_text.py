"""Plain text for people: words of other programs made safe to print, and counts with their nouns."""

from __future__ import annotations

from typing import Final

__all__ = ["counted", "plain"]

_MAX_LENGTH: Final = 2_000


def plain(text: str, *, max_length: int = _MAX_LENGTH) -> str:
    """Return the text with every character that is not printable replaced, and cut to a length.

    A terminal obeys escape sequences and direction marks in what it prints: with them, words of a lying coordinator
    could cover what is shown of the order to be signed.
    """
    cut = text if len(text) <= max_length else text[:max_length] + "…"
    return "".join(letter if letter.isprintable() else "�" for letter in cut)


def counted(count: int, one: str) -> str:
    """Return a count with its noun in the right number: "1 vault", "2 batches", "3 entries"."""
    if count == 1:
        return f"1 {one}"
    if one.endswith("y"):
        return f"{count} {one[:-1]}ies"
    return f"{count} {one}es" if one.endswith("ch") else f"{count} {one}s"
