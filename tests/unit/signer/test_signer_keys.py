"""Keys at rest and in memory: what opens them, what does not, and that nothing prints them."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from signer_world import CHEAP, PASSPHRASE
from strongroom.crypto.sealed import SealedFileDamaged, WrongPassphrase
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom_signer.box import BoxDamaged, open_box, seal_box
from strongroom_signer.keys import KeysDoNotMatch, SignerKeys, create_keys, open_keys
from strongroom_signer.logs import SecretInLog, open_log
from strongroom_signer.shares import Shares
from strongroom_signer.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.create(tmp_path / "signer.db")
    yield made
    made.close()


@pytest.fixture
def keys(store: Store, tmp_path: Path) -> SignerKeys:
    return create_keys(
        tmp_path,
        store,
        "s1",
        SecretBytes(PASSPHRASE),
        host=SecretScalar.generate(os.urandom),
        cost=CHEAP,
        random=os.urandom,
    )


def test_keys_open_with_the_passphrase_they_were_made_with(store: Store, keys: SignerKeys, tmp_path: Path) -> None:
    again = open_keys(tmp_path, store, SecretBytes(PASSPHRASE))
    assert again.host.public() == keys.host.public()
    assert (again.vote.public, again.witness.public) == (keys.vote.public, keys.witness.public)
    assert again.storage == keys.storage


def test_wrong_passphrase_opens_nothing(store: Store, keys: SignerKeys, tmp_path: Path) -> None:
    with pytest.raises(WrongPassphrase):
        open_keys(tmp_path, store, SecretBytes(b"correct horse batterz"))


def test_missing_or_damaged_file_is_no_wrong_passphrase(store: Store, keys: SignerKeys, tmp_path: Path) -> None:
    path = tmp_path / "signer.sealed"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(SealedFileDamaged):
        open_keys(tmp_path, store, SecretBytes(PASSPHRASE))
    path.unlink()
    with pytest.raises(SealedFileDamaged, match="init"):
        open_keys(tmp_path, store, SecretBytes(PASSPHRASE))


def test_sealed_file_of_another_signer_is_refused(store: Store, keys: SignerKeys, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    other_store = Store.create(other / "signer.db")
    create_keys(
        other,
        other_store,
        "s1",
        SecretBytes(PASSPHRASE),
        host=SecretScalar.generate(os.urandom),
        cost=CHEAP,
        random=os.urandom,
    )
    other_store.close()
    (tmp_path / "signer.sealed").unlink()
    (tmp_path / "signer.sealed").write_bytes((other / "signer.sealed").read_bytes())
    with pytest.raises(KeysDoNotMatch):
        open_keys(tmp_path, store, SecretBytes(PASSPHRASE))


def test_secrets_in_the_database_do_not_open_in_each_others_place(
    store: Store, keys: SignerKeys, tmp_path: Path
) -> None:
    with store.commit() as write:
        vote = store.secret("vote")
        write._db.execute("UPDATE secret SET sealed = ? WHERE name = 'witness'", (vote,))
    with pytest.raises(BoxDamaged):
        open_keys(tmp_path, store, SecretBytes(PASSPHRASE))


def test_box_opens_only_whole_with_its_key_and_name() -> None:
    key, secret = SecretBytes(os.urandom(32)), SecretBytes(b"a secret")
    box = seal_box(key, b"name", secret, random=os.urandom)
    assert open_box(key, b"name", box) == secret
    for wrong_key, name, data in (
        (SecretBytes(os.urandom(32)), b"name", box),
        (key, b"other", box),
        (key, b"name", box[:-1] + bytes([box[-1] ^ 1])),
        (key, b"name", box[:40]),
        (key, b"name", b""),
    ):
        with pytest.raises(BoxDamaged):
            open_box(wrong_key, name, data)
    assert seal_box(key, b"name", secret, random=os.urandom) != box


def test_share_opens_under_its_vault_and_epoch_only(store: Store, keys: SignerKeys) -> None:
    shares = Shares(store, keys.storage, random=os.urandom)
    share = SecretScalar.generate(os.urandom)
    with store.commit() as write:
        shares.put(write, "v", 1, share)
        write.add_share("w", 1, store.share("v", 1) or b"")
    assert shares.get("v", 1) == share
    assert shares.get("v", 2) is None
    with pytest.raises(BoxDamaged):
        shares.get("w", 1)


def test_nothing_prints_pickles_or_logs_a_secret(keys: SignerKeys, store: Store) -> None:
    shown = [keys.host.expose(), keys.storage.expose(), keys.vote.seed().expose(), keys.witness.seed().expose()]
    text = repr(keys) + str(keys) + f"{keys}"
    for secret in shown:
        assert secret.hex() not in text
        assert repr(secret) not in text
    with pytest.raises(TypeError):
        pickle.dumps(keys)
    stream = io.StringIO()
    for fact in (keys.host, keys.vote, [keys.storage], {"deep": (keys.witness,)}):
        with pytest.raises(SecretInLog):
            open_log(stream=stream, raise_on_secret=True).info("key.shown", fact=fact)
        open_log(stream=stream).info("key.shown", fact=fact)
    assert "redacted" in stream.getvalue()
    for secret in shown:
        assert secret.hex() not in stream.getvalue()


def test_database_and_sealed_file_hold_no_secret_in_the_clear(store: Store, keys: SignerKeys, tmp_path: Path) -> None:
    shares = Shares(store, keys.storage, random=os.urandom)
    share = SecretScalar.generate(os.urandom)
    with store.commit() as write:
        shares.put(write, "v", 1, share)
    store.close()
    secrets = [keys.host.expose(), keys.storage.expose(), keys.vote.seed().expose(), share.expose(), PASSPHRASE]
    for path in tmp_path.iterdir():
        if path.is_file():
            data = path.read_bytes()
            assert all(secret not in data and secret.hex().encode() not in data for secret in secrets), path
