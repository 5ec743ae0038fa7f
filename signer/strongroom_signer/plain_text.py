"""Text for an operator's terminal, which obeys escape sequences and direction marks in what is printed.

With them, words of a coordinator could cover what `status` shows, and show other heads and no alarm in its place.
"""

from __future__ import annotations

__all__ = ["plain", "plain_lines"]


def plain(text: str) -> str:
    """One line: every character that is not printable is replaced, ends of lines too."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def plain_lines(text: str) -> str:
    """The same for several lines, which stay lines."""
    return "\n".join(map(plain, text.split("\n")))
