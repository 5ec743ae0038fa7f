"""A signer's words are replaced: both sheets are good while both are needed, then the older one is forgotten."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import charter_builder as builder
from paper import typed, words_pipe
from signer_world import CHEAP, PASSPHRASE, VAULT, Cluster, open_folder
from strongroom.crypto.ed25519 import SigningKey
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.crypto.seed_words import secret_of, words_of
from strongroom.wire.cards import parse_card
from strongroom_signer.keys import SEALED_FILE, SignerKeys, open_keys
from strongroom_signer.main import run
from strongroom_signer.rotation import needs_older_words, retire_older_words
from strongroom_signer.store import Store
from strongroom_signer.tls import create_tls_key

OLD = list(words_of(SecretBytes(builder.seed("s1 host"))))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster.started(tmp_path / "signers")
    cluster.signers["s1"].close()
    create_tls_key(cluster.folders["s1"], "s1")
    (tmp_path / "phrase").write_bytes(PASSPHRASE)
    yield cluster
    cluster.close()


def command(cluster: Cluster, root: Path, *arguments: str, pipe: int, code: int = 0) -> Any:
    out, err = io.StringIO(), io.StringIO()
    line = [*arguments, "--data", str(cluster.folders["s1"]), "--json", "--words-fd", str(pipe)]
    done = run(line, clock=cluster.clock, random=os.urandom, cost=CHEAP, out=out, err=err)
    assert done == code, err.getvalue()
    return json.loads((err if code else out).getvalue())


def rotated(cluster: Cluster, root: Path) -> list[str]:
    with words_pipe() as (pipe, words):
        command(cluster, root, "rotate-words", "--passphrase-file", str(root / "phrase"), pipe=pipe)
    return words


def opened(cluster: Cluster) -> tuple[Store, SignerKeys]:
    store = Store.open(cluster.folders["s1"] / "signer.db")
    return store, open_keys(cluster.folders["s1"], store, SecretBytes(PASSPHRASE))


def public_of(words: list[str]) -> bytes:
    with secret_of(words) as secret:
        return SecretScalar.from_bytes(secret.view()).public()


def test_new_words_come_with_a_card_and_the_other_keys_stay(cluster: Cluster, tmp_path: Path) -> None:
    new = rotated(cluster, tmp_path)
    assert new != OLD
    card = parse_card((cluster.folders["s1"] / "card.json").read_text())
    mine = next(signer for signer in cluster.world.charter.signers if signer.name == "s1")
    assert card.keys == {"host": public_of(new), "vote": mine.vote_key, "witness": mine.witness_key}


def test_both_host_keys_are_there_until_nothing_needs_the_older_one(cluster: Cluster, tmp_path: Path) -> None:
    new = rotated(cluster, tmp_path)
    signer = open_folder(cluster.folders["s1"], cluster.clock)
    assert [host.public() for host in signer.keys.hosts] == [public_of(OLD), public_of(new)]
    assert needs_older_words(signer.keys, "s1", signer.copy.final()) == ("charter", VAULT)
    assert signer.keys.host_among([public_of(new), b""]).public() == public_of(new)
    assert signer.keys.host_among([public_of(OLD)]).public() == public_of(OLD)
    assert signer.shares.get(VAULT, 1) is not None
    cluster.signers["s1"] = signer


def test_each_sheet_is_verified_for_its_own_epochs(cluster: Cluster, tmp_path: Path) -> None:
    new = rotated(cluster, tmp_path)
    with typed(new) as pipe:
        assert command(cluster, tmp_path, "backup", "verify", pipe=pipe) == {"verified": []}
    with typed(OLD) as pipe:
        assert command(cluster, tmp_path, "backup", "verify", pipe=pipe)["verified"] == [{"vault": VAULT, "epoch": 1}]
    with typed(list(words_of(SecretBytes(builder.seed("s2 host"))))) as pipe:
        command(cluster, tmp_path, "backup", "verify", pipe=pipe, code=4)


def test_an_unfinished_rotation_is_gone_on_with_and_shows_no_other_words(cluster: Cluster, tmp_path: Path) -> None:
    new = rotated(cluster, tmp_path)
    (cluster.folders["s1"] / "card.json").unlink()
    assert rotated(cluster, tmp_path) == []
    card = parse_card((cluster.folders["s1"] / "card.json").read_text())
    assert card.keys["host"] == public_of(new)


def state_after(cluster: Cluster, new: bytes, *, charter: bool = True, vault: bool = True) -> Any:
    """The final state as it is once the charter and the vault's epoch name the new host key."""
    found = cluster.signers["s2"].copy.final()
    signers = tuple(
        replace(one, host_key=new) if charter and one.name == "s1" else one for one in found.charter.signers
    )
    old = public_of(OLD)
    vaults = [
        replace(one, host_keys=tuple(new if vault and key == old else key for key in one.host_keys))
        for one in found.vaults()
    ]
    return SimpleNamespace(charter=replace(found.charter, signers=signers), vaults=lambda: vaults)


@pytest.mark.parametrize("parts", [{"charter": False}, {"vault": False}])
def test_an_older_key_that_anything_needs_is_kept(cluster: Cluster, tmp_path: Path, parts: dict[str, bool]) -> None:
    new = public_of(rotated(cluster, tmp_path))
    store, keys = opened(cluster)
    state = state_after(cluster, new, **parts)
    left = retire_older_words(
        cluster.folders["s1"], store, keys, state, SecretBytes(PASSPHRASE), cost=CHEAP, random=os.urandom
    )
    assert left.next_host is not None
    store.close()
    store, keys = opened(cluster)
    assert len(keys.hosts) == 2
    store.close()


@pytest.mark.attack(
    line="holders",
    title="a signer's words of before they were replaced, with everything its machine still stores",
    origin="on paper: words stolen years apart add up to one epoch, however often shares were refreshed",
)
def test_older_words_are_forgotten_and_open_nothing_of_this_signer_any_more(cluster: Cluster, tmp_path: Path) -> None:
    new = rotated(cluster, tmp_path)
    store, keys = opened(cluster)
    old_secret = keys.host.expose()
    left = retire_older_words(
        cluster.folders["s1"], store, keys, state_after(cluster, public_of(new)), SecretBytes(PASSPHRASE),
        cost=CHEAP, random=os.urandom,
    )  # fmt: skip
    assert [host.public() for host in left.hosts] == [public_of(new)]
    assert keys.host.wiped
    store.close()
    store, keys = opened(cluster)
    assert [host.public() for host in keys.hosts] == [public_of(new)]
    assert store.identity().host_key == public_of(new)
    assert public_of(OLD).hex() not in (cluster.folders["s1"] / SEALED_FILE).read_text()
    assert keys.host.expose() != old_secret
    assert SigningKey(keys.vote.seed()).public == store.identity().vote_key
    store.close()
    with typed(OLD) as pipe:
        command(cluster, tmp_path, "backup", "verify", pipe=pipe, code=4)


def test_a_kill_between_the_two_writes_is_done_again(cluster: Cluster, tmp_path: Path) -> None:
    new = rotated(cluster, tmp_path)
    store, keys = opened(cluster)
    with store.commit() as write:
        write.change_host_key(public_of(new))
    keys.wipe()
    store.close()
    store, keys = opened(cluster)
    left = retire_older_words(
        cluster.folders["s1"], store, keys, state_after(cluster, public_of(new)), SecretBytes(PASSPHRASE),
        cost=CHEAP, random=os.urandom,
    )  # fmt: skip
    assert [host.public() for host in left.hosts] == [public_of(new)]
    store.close()
