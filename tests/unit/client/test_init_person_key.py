"""A person's key: made, sealed, opened, and what it signs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.crypto import ed25519
from strongroom.crypto.errors import SecretWiped
from strongroom.crypto.sealed import Cost, SealedFileDamaged, WrongPassphrase
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger.codec import decode
from strongroom.ledger.pae import pae
from strongroom.ledger.signed_messages import Adopt, Endorsement, Verb
from strongroom.model.ids import LogId
from strongroom.wire.cards import Card, CardInvalid, Role, parse_card
from strongroom_client.files import FileExists, FileProblem
from strongroom_client.person_key import PersonKey, WrongPerson, create_person_key

CHEAP = Cost(memory_kib=64, passes=1)
LOG_ID = LogId(bytes(range(32)))


def phrase(text: bytes = b"correct horse") -> SecretBytes:
    return SecretBytes(text)


def create(folder: Path, name: str = "alice", *, machine: bool = False) -> Card:
    return create_person_key(folder, name, phrase(), random=os.urandom, cost=CHEAP, machine=machine)


def test_init_writes_three_private_files_and_a_card_that_reads(tmp_path: Path) -> None:
    card = create(tmp_path / "alice")
    files = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "alice").iterdir()}
    assert files == {"person.sealed": 0o600, "tls.key": 0o600, "card.json": 0o600}
    assert (tmp_path / "alice").stat().st_mode & 0o777 == 0o700
    assert parse_card((tmp_path / "alice" / "card.json").read_text()) == card
    assert (card.role, card.name) == (Role.PERSON, "alice")


def test_a_machine_gets_the_card_of_a_machine(tmp_path: Path) -> None:
    assert create(tmp_path, machine=True).role is Role.MACHINE


def test_the_key_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    card = create(tmp_path)
    with PersonKey.open(tmp_path, phrase()) as key:
        assert (key.name, key.public) == ("alice", card.keys["person"])
    with pytest.raises(WrongPassphrase):
        PersonKey.open(tmp_path, phrase(b"wrong"))
    with pytest.raises(FileProblem):
        PersonKey.open(tmp_path / "nobody", phrase())


def test_a_renamed_owner_does_not_open(tmp_path: Path) -> None:
    create(tmp_path)
    file = tmp_path / "person.sealed"
    file.write_text(file.read_text().replace('"alice"', '"mallory"'))
    with pytest.raises(WrongPassphrase):
        PersonKey.open(tmp_path, phrase())
    file.write_text("{}")
    with pytest.raises(SealedFileDamaged):
        PersonKey.open(tmp_path, phrase())


@pytest.mark.parametrize("file", ["person.sealed", "tls.key", "card.json"])
def test_nothing_is_overwritten(file: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text("precious")
    with pytest.raises(FileExists):
        create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [file]
    assert (tmp_path / file).read_text() == "precious"


def test_a_malformed_name_makes_no_files(tmp_path: Path) -> None:
    with pytest.raises(CardInvalid):
        create(tmp_path / "x", "Alice")
    assert not (tmp_path / "x").exists()


def endorsement(key: PersonKey) -> Endorsement:
    return Endorsement(
        log_id=LOG_ID,
        verb=Verb.APPROVE,
        order_hash=bytes(32),
        head_size=1,
        head_root=bytes(32),
        expires_ms=1,
        person=key.name,
        key=key.public,
    )


def test_what_is_signed_verifies_as_its_kind_and_no_other(tmp_path: Path) -> None:
    create(tmp_path)
    with PersonKey.open(tmp_path, phrase()) as key:
        said, adopted = key.sign_endorsement(endorsement(key)), key.sign_adoption(LOG_ID)
        assert decode(Endorsement, said.body) == endorsement(key)
        assert decode(Adopt, adopted.body) == Adopt(log_id=LOG_ID, person="alice", key=key.public)
        assert ed25519.verify(key.public, pae("endorsement", said.body), said.signature)
        assert ed25519.verify(key.public, pae("adopt", adopted.body), adopted.signature)
        assert not ed25519.verify(key.public, pae("adopt", said.body), said.signature)


def test_a_key_signs_only_in_its_own_name(tmp_path: Path) -> None:
    create(tmp_path)
    with PersonKey.open(tmp_path, phrase()) as key:
        for forged in (replace(endorsement(key), person="bob"), replace(endorsement(key), key=bytes(31) + b"\1")):
            with pytest.raises(WrongPerson):
                key.sign_endorsement(forged)


def test_a_wiped_key_signs_nothing_and_shows_no_secret(tmp_path: Path) -> None:
    create(tmp_path)
    key = PersonKey.open(tmp_path, phrase())
    assert key.public.hex() in repr(key)
    key.wipe()
    with pytest.raises(SecretWiped):
        key.sign_adoption(LOG_ID)
