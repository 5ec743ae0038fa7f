"""24 words on paper are the secret of 32 bytes, whole or not at all."""

from __future__ import annotations

import os

import pytest
import wallycore as wally
from hypothesis import given
from hypothesis import strategies as st

from strongroom.crypto.errors import InvalidInput
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.crypto.seed_words import WordsInvalid, secret_of, unknown_positions, words_of

PUBLISHED = {
    # BIP-39's test vectors of 256 bits.
    "7f" * 32: "legal winner thank year wave sausage worth useful " * 2
    + "legal winner thank year wave sausage worth title",
    "80" * 32: "letter advice cage absurd amount doctor acoustic avoid " * 2
    + "letter advice cage absurd amount doctor acoustic bless",
}
LETTER = PUBLISHED["80" * 32].split()


@pytest.mark.parametrize("entropy", PUBLISHED)
def test_words_are_those_of_the_published_vectors(entropy: str) -> None:
    words = PUBLISHED[entropy].split()
    assert words_of(SecretBytes(bytes.fromhex(entropy))) == tuple(words)
    assert secret_of(words).expose().hex() == entropy


@given(st.binary(min_size=32, max_size=32))
def test_an_independent_library_finds_the_same_words(entropy: bytes) -> None:
    words = words_of(SecretBytes(entropy))
    assert wally.bip39_mnemonic_from_bytes(None, entropy) == " ".join(words)
    assert secret_of(words).expose() == entropy


def test_a_host_secret_comes_back() -> None:
    host = SecretScalar.generate(os.urandom)
    assert SecretScalar.from_bytes(secret_of(words_of(host)).view()) == host


def test_only_secrets_of_32_bytes_have_words() -> None:
    with pytest.raises(InvalidInput):
        words_of(SecretBytes(bytes(16)))


def test_capitals_spaces_and_first_four_letters_are_taken() -> None:
    typed = [f" {word[:4].upper()} " for word in LETTER]
    assert secret_of(typed).expose().hex() == "80" * 32


def test_unknown_words_are_named_by_their_place_and_never_repeated() -> None:
    typed = [*LETTER]
    typed[2], typed[19] = "cagey", "absurdd"
    assert unknown_positions(typed) == (3, 20)
    with pytest.raises(WordsInvalid, match="number 3, 20") as raised:
        secret_of(typed)
    assert "cage" not in raised.value.message
    assert "absurd" not in raised.value.message


@pytest.mark.parametrize("cut", ["let", "", "é", "letterx"])
def test_too_few_letters_are_no_word(cut: str) -> None:
    assert unknown_positions([cut]) == (1,)


@pytest.mark.parametrize("count", [0, 12, 23, 25])
def test_another_count_is_refused(count: int) -> None:
    with pytest.raises(WordsInvalid, match=f"not {count}"):
        secret_of((LETTER * 2)[:count])


def test_a_word_of_the_list_in_the_place_of_another_fails_the_checksum() -> None:
    typed = [*LETTER]
    typed[5] = "zebra"
    with pytest.raises(WordsInvalid, match="checksum") as raised:
        secret_of(typed)
    assert "zebra" not in raised.value.message


def test_words_that_changed_places_fail_the_checksum() -> None:
    typed = [*LETTER]
    typed[0], typed[1] = typed[1], typed[0]
    with pytest.raises(WordsInvalid, match="changed places"):
        secret_of(typed)
