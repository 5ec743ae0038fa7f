from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from nacl import bindings

from strongroom.crypto.errors import InvalidInput
from strongroom.crypto.sealed import (
    MAX_FILE_SIZE,
    PEOPLE,
    SIGNER,
    Cost,
    SealedFileDamaged,
    WrongPassphrase,
    open_sealed,
    parse,
    seal,
)
from strongroom.crypto.secret import SecretBytes

CHEAP = Cost(memory_kib=8, passes=1)
PASSPHRASE = SecretBytes(b"correct horse")
PUBLIC = {"key": "ab" * 32, "name": "alice"}
SECRET = b"\xa7" * 32


def counting_random() -> Callable[[int], bytes]:
    state = iter(range(256))
    return lambda size: bytes(next(state) for _ in range(size))


def sealed(**changes: Any) -> bytes:
    arguments: dict[str, Any] = {"kind": "person-key", "public": PUBLIC, "cost": CHEAP} | changes
    return seal(
        arguments["kind"],
        arguments["public"],
        SecretBytes(arguments.get("secret", SECRET)),
        PASSPHRASE,
        cost=arguments["cost"],
        random=counting_random(),
    )


def changed(path: tuple[str, ...], value: Any) -> bytes:
    content = json.loads(sealed())
    place = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(content).encode()


def test_a_sealed_secret_opens_with_its_passphrase() -> None:
    assert open_sealed(sealed(), PASSPHRASE, kind="person-key").expose() == SECRET


@pytest.mark.parametrize("secret", [b"x", b"y" * 65_536])
def test_secrets_of_every_legal_size_come_back(secret: bytes) -> None:
    assert open_sealed(sealed(secret=secret), PASSPHRASE, kind="person-key").expose() == secret


def test_the_costs_are_those_promised() -> None:
    assert PEOPLE == Cost(memory_kib=64 * 1024, passes=2)
    assert SIGNER == Cost(memory_kib=256 * 1024, passes=3)


def test_a_file_with_the_cost_for_people_opens() -> None:
    assert open_sealed(sealed(cost=PEOPLE), PASSPHRASE, kind="person-key").expose() == SECRET


def test_the_format_is_what_its_description_says() -> None:
    """Opened by PyNaCl's own bindings, from the documented construction alone."""
    content = json.loads(sealed())
    key = bindings.crypto_pwhash_alg(
        32, b"correct horse", bytes.fromhex(content["salt"]), 1, 8192, bindings.crypto_pwhash_ALG_ARGON2ID13
    )
    associated = (
        b'strongroom/sealed\n{"argon2id":{"memory_kib":8,"passes":1},"kind":"person-key","public":{"key":"'
        + b"ab" * 32
        + b'","name":"alice"},"v":1}'
    )
    opened = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
        bytes.fromhex(content["ciphertext"]), associated, bytes.fromhex(content["nonce"]), key
    )
    assert opened == SECRET


def test_the_readable_parts_can_be_read_without_the_passphrase() -> None:
    parts = parse(sealed())
    assert (parts.kind, parts.public, parts.cost) == ("person-key", PUBLIC, CHEAP)
    assert SECRET.hex() not in sealed().decode()


def test_a_wrong_passphrase_is_named_so() -> None:
    with pytest.raises(WrongPassphrase):
        open_sealed(sealed(), SecretBytes(b"correct hors"), kind="person-key")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("public", "key"), "ac" * 32),
        (("public", "extra"), "x"),
        (("argon2id", "memory_kib"), 9),
        (("argon2id", "passes"), 2),
        (("salt",), "00" * 16),
        (("nonce",), "00" * 24),
        (("ciphertext",), "00" * 48),
    ],
)
def test_a_change_of_any_part_keeps_the_file_shut(path: tuple[str, ...], value: Any) -> None:
    with pytest.raises(WrongPassphrase):
        open_sealed(changed(path, value), PASSPHRASE, kind="person-key")


def test_a_renamed_kind_keeps_the_file_shut() -> None:
    with pytest.raises(WrongPassphrase):
        open_sealed(changed(("kind",), "vote-key"), PASSPHRASE, kind="vote-key")
    with pytest.raises(SealedFileDamaged, match="holds a person-key, not a vote-key"):
        open_sealed(sealed(), PASSPHRASE, kind="vote-key")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("v",), 2),
        (("v",), True),
        (("v",), 1.0),
        (("kind",), ""),
        (("kind",), "Person"),
        (("kind",), 5),
        (("public",), []),
        (("public",), {str(n): "x" for n in range(17)}),
        (("public", "key"), ""),
        (("public", "key"), "\u00e9"),
        (("public", "key"), 1),
        (("argon2id",), {"memory_kib": 8}),
        (("argon2id", "lanes"), 1),
        (("argon2id", "memory_kib"), 104_857_600),
        (("argon2id", "memory_kib"), 7),
        (("argon2id", "memory_kib"), True),
        (("argon2id", "memory_kib"), "8"),
        (("argon2id", "passes"), 0),
        (("argon2id", "passes"), 17),
        (("salt",), "00" * 15),
        (("salt",), "AA" * 16),
        (("nonce",), "00" * 25),
        (("ciphertext",), "00" * 16),
        (("ciphertext",), "00" * 16 + "0"),
        (("ciphertext",), "00" * (65_536 + 17)),
        (("extra",), 1),
    ],
)
def test_a_malformed_file_is_refused_before_any_work(path: tuple[str, ...], value: Any) -> None:
    with pytest.raises(SealedFileDamaged):
        open_sealed(changed(path, value), PASSPHRASE, kind="person-key")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b" " * (MAX_FILE_SIZE + 1),
        sealed()[:-3],
        sealed() + b"{}",
        sealed().replace(b'"v": 1', b'"v": NaN'),
        sealed().replace(b'"v": 1', b'"v": 1, "v": 1'),
        sealed().replace(b'"name": "alice"', b'"name": "alice", "name": "bob"'),
        b'{"v": ' + b"9" * 5000 + b"}",
    ],
)
def test_bytes_that_are_no_strict_json_file_are_refused(data: bytes) -> None:
    with pytest.raises(SealedFileDamaged):
        parse(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "has space"},
        {"public": {"key": "\n"}},
        {"public": {"Key": "x"}},
        {"secret": b""},
        {"secret": bytes(65_537)},
    ],
)
def test_what_could_not_be_opened_is_never_sealed(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        sealed(**changes)


@pytest.mark.parametrize("passphrase", [b"", b"x" * 1025])
def test_a_passphrase_has_bounds(passphrase: bytes) -> None:
    with pytest.raises(InvalidInput):
        seal("k", {}, SecretBytes(SECRET), SecretBytes(passphrase), cost=CHEAP, random=counting_random())


def test_a_short_random_source_is_refused() -> None:
    with pytest.raises(InvalidInput):
        seal("k", {}, SecretBytes(SECRET), PASSPHRASE, cost=CHEAP, random=lambda size: bytes(size - 1))
