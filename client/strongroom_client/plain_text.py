"""Text from other programs, made safe to print: it must not move the cursor or turn the reading direction."""

from __future__ import annotations

from typing import Final

__all__ = ["plain"]

_MAX_LENGTH: Final = 2_000


def plain(text: str, *, max_length: int = _MAX_LENGTH) -> str:
    """Return the text with every character that is not printable replaced, and cut to a length.

    A terminal obeys escape sequences and direction marks in what it prints: with them, words of a lying coordinator
    could cover what is shown of the order to be signed.
    """
    cut = text if len(text) <= max_length else text[:max_length] + "…"
    return "".join(letter if letter.isprintable() else "�" for letter in cut)
