"""A 32-byte secret as 24 words that people can keep on paper, and back.

The only module in which a secret becomes text: nobody can write down a locked buffer. Python cannot overwrite the text,
nor the integer that the library makes of it on the way, so whoever calls this does so in a process that ends soon and
never dumps its memory. No error ever repeats a word: one that is nearly right says as much as the right one.

Spec: BIP-39, English list, 256 bits of entropy, no passphrase; the secret is the entropy itself, not a seed made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from mnemonic import Mnemonic

from strongroom.crypto.errors import InvalidInput
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.model.errors import Kind, StrongroomError

__all__ = ["WORDS", "WordsInvalid", "secret_of", "unknown_positions", "words_of"]

WORDS: Final = 24
_SECRET_SIZE: Final = 32
_SHORTEST: Final = 4
"""Letters that tell every word of the list apart."""


class WordsInvalid(StrongroomError):
    """The words typed in are not a sheet that a signer's `init` shows: unknown ones, a wrong count, or a wrong sum."""

    reason = "WORDS_INVALID"
    kind = Kind.INVALID_ARGUMENT


def words_of(secret: SecretBytes | SecretScalar) -> tuple[str, ...]:
    """The 24 words of a secret of 32 bytes.

    Raises:
        InvalidInput: it is not of 32 bytes.
    """
    if len(secret.view()) != _SECRET_SIZE:
        raise InvalidInput("only a secret of 32 bytes has 24 words")
    return tuple(_list().to_mnemonic(secret.expose()).split(" "))


def secret_of(words: Sequence[str]) -> SecretBytes:
    """The secret of 24 words; capitals, and words cut after their fourth letter, are taken.

    Raises:
        WordsInvalid: another count, a word that is not on the list, or words whose checksum is wrong.
    """
    if len(words) != WORDS:
        raise WordsInvalid(f"a sheet has {WORDS} words, not {len(words)}")
    unknown = unknown_positions(words)
    if unknown:
        where = ", ".join(str(position) for position in unknown)
        raise WordsInvalid(f"not on the list of words: number {where}; look at how they are spelt on the sheet")
    whole = [found for word in words if (found := _whole(word)) is not None]
    try:
        return SecretBytes.take_over(_list().to_entropy(whole))
    except ValueError:
        raise WordsInvalid(
            "the words do not belong together (their checksum is wrong): one of them is another word of the list, or "
            "two changed places; compare each with the sheet"
        ) from None


def unknown_positions(words: Sequence[str]) -> tuple[int, ...]:
    """Which of the words, counted from 1, are not on the list."""
    return tuple(position for position, word in enumerate(words, start=1) if _whole(word) is None)


@cache
def _list() -> Mnemonic:
    return Mnemonic("english")


def _whole(word: str) -> str | None:
    """The word of the list that is meant; four letters of a longer one are enough."""
    typed = word.strip().lower()
    known = _list().wordlist
    if typed in known:
        return typed
    if len(typed) < _SHORTEST:
        return None
    return next((candidate for candidate in known if candidate.startswith(typed)), None)
