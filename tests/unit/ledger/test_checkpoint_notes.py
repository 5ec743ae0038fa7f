from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from strongroom.crypto.ed25519 import SigningKey, verify
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger.checkpoint import Checkpoint, cosign, cosigner_key, log_origin, open_checkpoint, publish
from strongroom.ledger.merkle import EMPTY_ROOT
from strongroom.ledger.note import (
    MAX_TIME_S,
    Note,
    NoteInvalid,
    NoteSignature,
    SignatureType,
    VerifierKey,
    sign_text,
    verify_note,
)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "c2sp" / "notes.json").read_text(encoding="utf-8")
)
EXAMPLE_KEY = VerifierKey.parse(VECTORS["signed_note_example"]["vkey"])
EXAMPLE_NOTE: bytes = VECTORS["signed_note_example"]["note"].encode()
FORMATS: dict[str, list[str]] = VECTORS["format_only"]
LOG_ID = bytes(range(32))
ORIGIN = log_origin(LOG_ID)
HEAD = Checkpoint(origin=ORIGIN, size=7, root=b"\x11" * 32)
TIME = 1_800_000_000


def key(number: int) -> SigningKey:
    return SigningKey(SecretBytes(bytes((number,)) * 32))


def witness(number: int) -> VerifierKey:
    return cosigner_key(LOG_ID, f"s{number}", key(number).public)


def cosignature(number: int, head: Checkpoint = HEAD, time_s: int = TIME) -> NoteSignature:
    return cosign(head, key(number), name=witness(number).name, time_s=time_s)


def opened(data: bytes, threshold: int = 2) -> dict[str, int]:
    witnesses = [witness(number) for number in (1, 2, 3)]
    return dict(open_checkpoint(data, origin=ORIGIN, witnesses=witnesses, threshold=threshold).times_s)


def test_the_published_key_verifies_the_published_note() -> None:
    note = Note.parse(EXAMPLE_NOTE)
    assert note.text == "This is an example message.\n"
    (verified,) = verify_note(note, [EXAMPLE_KEY])
    assert (verified.key, verified.time_s) == (EXAMPLE_KEY, None)
    assert note.encode() == EXAMPLE_NOTE


def test_the_published_verifier_key_has_its_parts_and_its_text() -> None:
    assert (EXAMPLE_KEY.name, EXAMPLE_KEY.type) == ("example.com/foo", SignatureType.ED25519)
    assert EXAMPLE_KEY.key_id.hex() == "530d903a"
    assert EXAMPLE_KEY.encode() == VECTORS["signed_note_example"]["vkey"]


@pytest.mark.parametrize(
    "data", [data for name in ("signed-note.md", "tlog-checkpoint.md", "tlog-cosignature.md") for data in FORMATS[name]]
)
def test_the_published_notes_without_keys_parse_and_come_back(data: str) -> None:
    assert Note.parse(data.encode()).encode() == data.encode()
    with pytest.raises(NoteInvalid, match="no key known"):
        verify_note(Note.parse(data.encode()), [EXAMPLE_KEY])


def test_the_published_checkpoint_and_cosignature_have_their_parts() -> None:
    note = Note.parse(FORMATS["tlog-cosignature.md"][0].encode())
    head = Checkpoint.parse(note.text)
    assert (head.origin, head.size) == ("example.com/behind-the-sofa", 20852163)
    assert head.text == note.text
    log, cosigner = note.signatures
    assert (log.name, len(log.signature)) == ("example.com/behind-the-sofa", 64)
    assert (cosigner.name, len(cosigner.signature)) == ("witness.example.com/w1", 72)
    assert int.from_bytes(cosigner.signature[:8], "big") == 1679315147


def test_a_note_with_elided_signatures_is_refused() -> None:
    """The proof example of the specification shortens its base64 by dots."""
    proof = FORMATS["tlog-proof.md"][0]
    with pytest.raises(NoteInvalid):
        Note.parse(proof[proof.index("example.com/fancylog") :].encode())


def test_a_cosignature_covers_the_bytes_of_the_specification() -> None:
    """Header line, time line, then the whole note text; key id over name, type 4 and key."""
    signature = cosignature(1)
    message = f"cosignature/v1\ntime {TIME}\n{ORIGIN}\n7\n{base64.b64encode(HEAD.root).decode()}\n".encode()
    assert signature.signature[:8] == TIME.to_bytes(8, "big")
    assert verify(key(1).public, message, signature.signature[8:])
    assert signature.key_id == witness(1).key_id
    assert witness(1).name == f"strongroom/{LOG_ID.hex()}/s1"
    assert VerifierKey.parse(witness(1).encode()) == witness(1)


def test_enough_witnesses_open_a_checkpoint() -> None:
    data = publish(HEAD, [cosignature(1), cosignature(3, time_s=TIME + 5)])
    assert opened(data) == {witness(1).name: TIME, witness(3).name: TIME + 5}
    checkpoint = open_checkpoint(data, origin=ORIGIN, witnesses=[witness(1)], threshold=1).checkpoint
    assert checkpoint == HEAD


def test_too_few_witnesses_do_not_open_a_checkpoint() -> None:
    data = publish(HEAD, [cosignature(1), cosignature(4)])
    with pytest.raises(NoteInvalid, match="1 known witnesses cosigned the checkpoint, 2 are needed"):
        opened(data)


def test_one_witness_counts_once_however_often_it_signs() -> None:
    data = publish(HEAD, [cosignature(1), cosignature(1, time_s=TIME + 1), cosignature(1)])
    assert opened(data, threshold=1) == {witness(1).name: TIME}
    with pytest.raises(NoteInvalid, match="2 are needed"):
        opened(data)


def test_a_signature_under_a_stolen_name_or_key_id_is_no_cosignature() -> None:
    forged = cosign(HEAD, key(4), name=witness(2).name, time_s=TIME)
    with pytest.raises(NoteInvalid, match="2 are needed"):
        opened(publish(HEAD, [cosignature(1), forged]))
    spoiled = NoteSignature(name=forged.name, key_id=witness(2).key_id, signature=forged.signature)
    with pytest.raises(NoteInvalid, match="does not verify"):
        opened(publish(HEAD, [cosignature(1), cosignature(3), spoiled]))


def test_a_plain_signature_by_a_witness_key_is_no_cosignature() -> None:
    plain = sign_text(HEAD.text, key(2), name=witness(2).name)
    with pytest.raises(NoteInvalid, match="2 are needed"):
        opened(publish(HEAD, [cosignature(1), plain]))


@pytest.mark.parametrize(
    "other",
    [
        Checkpoint(origin=ORIGIN, size=8, root=HEAD.root),
        Checkpoint(origin=ORIGIN, size=7, root=b"\x12" * 32),
        Checkpoint(origin=log_origin(bytes(32)), size=7, root=HEAD.root),
    ],
)
def test_a_cosignature_of_another_head_does_not_verify(other: Checkpoint) -> None:
    with pytest.raises(NoteInvalid, match="does not verify"):
        opened(publish(HEAD, [cosignature(1, other), cosignature(2)]))


def test_the_time_is_covered_by_the_cosignature() -> None:
    good = cosignature(1)
    for changed in (bytes(8), (TIME + 1).to_bytes(8, "big"), b"\xff" * 8):
        bad = NoteSignature(name=good.name, key_id=good.key_id, signature=changed + good.signature[8:])
        with pytest.raises(NoteInvalid):
            opened(publish(HEAD, [bad, cosignature(2)]))
    for length in (1, 8, 71):
        cut = NoteSignature(name=good.name, key_id=good.key_id, signature=good.signature[:length])
        with pytest.raises(NoteInvalid):
            opened(publish(HEAD, [cut, cosignature(2)]))
    for time_s in (0, -1, MAX_TIME_S + 1):
        with pytest.raises(NoteInvalid, match="time"):
            cosignature(1, time_s=time_s)


def test_a_checkpoint_of_another_log_is_refused() -> None:
    other = Checkpoint(origin=log_origin(bytes(32)), size=7, root=HEAD.root)
    with pytest.raises(NoteInvalid, match="not of strongroom/0001"):
        opened(publish(other, [cosignature(1, other), cosignature(2, other)]))


@pytest.mark.parametrize(
    ("witnesses", "threshold"),
    [
        ([witness(1)], 0),
        ([witness(1), witness(1)], 1),
        ([witness(1), cosigner_key(LOG_ID, "twin", key(1).public)], 2),
        ([EXAMPLE_KEY], 1),
    ],
)
def test_a_policy_that_could_count_one_key_twice_is_refused(witnesses: list[VerifierKey], threshold: int) -> None:
    with pytest.raises(ValueError, match="open_checkpoint needs"):
        open_checkpoint(publish(HEAD, [cosignature(1)]), origin=ORIGIN, witnesses=witnesses, threshold=threshold)


def test_a_witness_whose_key_was_replaced_counts_once() -> None:
    twice = [witness(1), cosigner_key(LOG_ID, witness(1).name.rpartition("/")[2], key(2).public)]
    again = cosign(HEAD, key(2), name=witness(1).name, time_s=1_700_000_000)
    note = publish(HEAD, [cosignature(1), again])
    assert list(open_checkpoint(note, origin=ORIGIN, witnesses=twice, threshold=1).times_s) == [witness(1).name]
    with pytest.raises(NoteInvalid, match="1 known witnesses"):
        open_checkpoint(note, origin=ORIGIN, witnesses=twice, threshold=2)


ROOT_64 = base64.b64encode(HEAD.root).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"o\n7\n{ROOT_64}",
        f"o\n7\n{ROOT_64}\n\n",
        f"o\n7\n{ROOT_64}\nextension\n",
        f"\n7\n{ROOT_64}\n",
        f"o o\n7\n{ROOT_64}\n",
        f"o+\n7\n{ROOT_64}\n",
        f"o\n07\n{ROOT_64}\n",
        f"o\n+7\n{ROOT_64}\n",
        f"o\n-7\n{ROOT_64}\n",
        f"o\n 7\n{ROOT_64}\n",
        f"o\n7_0\n{ROOT_64}\n",
        f"o\n\u0667\n{ROOT_64}\n",
        f"o\n\n{ROOT_64}\n",
        f"o\n18446744073709551616\n{ROOT_64}\n",
        f"o\n0\n{ROOT_64}\n",
        f"o\n7\n{ROOT_64[:-1]}\n",
        f"o\n7\n{ROOT_64[:-2]}F=\n",
        f"o\n7\n{base64.b64encode(bytes(31)).decode()}\n",
        f"o\n7\n{base64.urlsafe_b64encode(bytes([251]) * 32).decode()}\n",
        f"o\r\n7\n{ROOT_64}\n",
    ],
)
def test_a_text_that_is_not_exactly_a_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        Checkpoint.parse(text)


def test_the_empty_log_has_a_checkpoint() -> None:
    empty = Checkpoint(origin=ORIGIN, size=0, root=EMPTY_ROOT)
    assert Checkpoint.parse(empty.text) == empty
    largest = Checkpoint(origin=ORIGIN, size=2**64 - 1, root=HEAD.root)
    assert Checkpoint.parse(largest.text) == largest
    with pytest.raises(NoteInvalid):
        log_origin(bytes(31))


LINE = cosignature(1).line


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\n\n",
        f"text\n{LINE}".encode(),
        f"text\n\n{LINE}"[:-1].encode(),
        f"text\n\n{LINE}\n".encode(),
        f"text\n\n{LINE}trailing\n".encode(),
        f"te\tt\n\n{LINE}".encode(),
        f"te\rt\n\n{LINE}".encode(),
        f"te\0t\n\n{LINE}".encode(),
        b"te\xfft\n\n" + LINE.encode(),
        f"text\n\n{LINE}".replace("\u2014", "-").encode(),
        f"text\n\n{LINE}".replace("\u2014 ", "\u2014  ").encode(),
        f"text\n\n{LINE}".replace("/s1 ", "/s1\u00a0x ").encode(),
        f"text\n\n{LINE}".replace("/s1 ", "/s+1 ").encode(),
        f"text\n\n\u2014  {LINE.split(' ')[2]}".encode(),
        "text\n\n\u2014 name AAAAAA==\n".encode(),
        "text\n\n\u2014 name AAAAAAB=\n".encode(),
        "text\n\n\u2014 name AAAAAAA\n".encode(),
        "text\n\n\u2014 name AAAA\u00e9AA=\n".encode(),
        "text\n\n\u2014 name \n".encode(),
        f"text\n\n{LINE * 65}".encode(),
        b"x" * 262_145,
    ],
)
def test_a_malformed_note_is_refused(data: bytes) -> None:
    with pytest.raises(NoteInvalid):
        Note.parse(data)


def test_sixty_four_signatures_are_taken() -> None:
    """The format asks for at least sixteen."""
    note = Note(text=HEAD.text, signatures=tuple(cosignature(number) for number in range(64)))
    assert Note.parse(note.encode()) == note


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/fop+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+BOkyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U0=",
        "example.com/foo+530d903a+",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com /foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_a_malformed_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(text)
