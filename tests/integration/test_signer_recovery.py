"""A lost signer comes back from its words and the log that another signer exported; what does not fit is refused."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import charter_builder as builder
from paper import typed
from signer_world import CHEAP, PASSPHRASE, VAULT, Cluster, open_folder
from strongroom.crypto import frost
from strongroom.crypto.chilldkg_errors import HostSeckeyError
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.crypto.seed_words import WordsInvalid, secret_of, words_of
from strongroom.protocol.share_recovery import share_of
from strongroom.wire.cards import parse_card
from strongroom.wire.log_export import ExportedBatch, ExportedRecovery, LogExportReader, LogExportWriter
from strongroom_signer import backup_commands
from strongroom_signer.log_export import ExportBroken, export
from strongroom_signer.main import run
from strongroom_signer.status_answer import status_of
from strongroom_signer.store import Store

STOLEN = "on paper: backups lie in more places than machines, and are stolen more easily"
SWAPPED = "on paper: whoever hands over the files of a recovery decides which history the new machine believes"


def words(name: str) -> list[str]:
    return list(words_of(SecretBytes(builder.seed(f"{name} host"))))


class Person:
    """Types commands; `said` is what was printed."""

    def __init__(self, cluster: Cluster, root: Path) -> None:
        self.cluster = cluster
        self.root = root
        (root / "phrase").write_bytes(PASSPHRASE)
        self.code = 0
        self.out = self.err = ""

    def type(self, *arguments: str, folder: Path, sheet: list[str] | None = None) -> Any:
        out, err = io.StringIO(), io.StringIO()
        command = [*arguments, "--data", str(folder), "--json"]
        with typed(sheet or []) as pipe:
            if sheet is not None:
                command += ["--words-fd", str(pipe)]
            self.code = run(command, clock=self.cluster.clock, random=os.urandom, cost=CHEAP, out=out, err=err)
        self.out, self.err = out.getvalue(), err.getvalue()
        return json.loads(self.out) if self.out else {}

    def head(self) -> str:
        state = self.cluster.signers["s2"].copy
        return f"{state.final_size}:{(state.replica.root_at(state.final_size) or b'').hex()}"

    def recover(self, name: str = "s1", sheet: list[str] | None = None, **parts: Any) -> Any:
        fields = {
            "log": self.root / "log",
            "fingerprint": self.cluster.world.log_id.hex(),
            "head": self.head(),
            **parts,
        }
        folder = fields.pop("folder", self.root / "again")
        command = ["recover", "--name", name, "--passphrase-file", str(self.root / "phrase")]
        for option, value in fields.items():
            command += [f"--{option}", str(value)]
        return self.type(*command, folder=folder, sheet=sheet or words(name))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster.started(tmp_path / "signers")
    cluster.plan()
    cluster.tick(2)
    cluster.deliver()
    yield cluster
    cluster.close()


@pytest.fixture
def person(cluster: Cluster, tmp_path: Path) -> Person:
    person = Person(cluster, tmp_path)
    export_from(cluster, "s2", tmp_path / "log")
    return person


def export_from(cluster: Cluster, name: str, file: Path) -> None:
    file.write_bytes(b"".join(export(cluster.signers[name].store, cluster.world.log_id)))


# --- recover ---


def test_no_word_is_asked_for_before_the_log_is_the_one_that_was_compared(cluster: Cluster, person: Person) -> None:
    """While a stranger's stream is read and judged, no secret is in this process."""
    size = cluster.signers["s2"].copy.final_size
    refused = {"fingerprint": "0" * 64, "head": f"{size}:{'0' * 64}"}
    for option, value in refused.items():
        reader, writer = os.pipe()
        os.write(writer, " ".join(words("s1")).encode())
        os.close(writer)
        fields = {"log": person.root / "log", "fingerprint": cluster.world.log_id.hex(), "head": person.head()}
        command = [
            "recover",
            "--name",
            "s1",
            "--passphrase-file",
            str(person.root / "phrase"),
            "--words-fd",
            str(reader),
        ]
        for name, given in {**fields, option: value}.items():
            command += [f"--{name}", str(given)]
        person.type(*command, folder=person.root / "again")
        assert person.code == 4, person.err
        assert os.read(reader, 1_024).split()[0].decode() == words("s1")[0]
        os.close(reader)


def test_an_export_is_broken_off_when_its_shares_are_replaced_meanwhile(cluster: Cluster) -> None:
    store = cluster.signers["s2"].store
    pieces = export(store, cluster.world.log_id)
    next(pieces)
    with store.commit() as write:
        write.remove_recovery(store.recovery_hashes())
    with pytest.raises(ExportBroken, match="got new shares"):
        list(pieces)


def test_the_same_share_comes_back_from_another_signers_log(cluster: Cluster, person: Person) -> None:
    done = person.recover()
    assert person.code == 0, person.err
    assert done["shares"] == [{"vault": VAULT, "epoch": 1}]
    assert not done["without"]
    cluster.signers["s1"].close()
    del cluster.signers["s1"]
    again = open_folder(person.root / "again", cluster.clock)
    cluster.signers["again"] = again
    share = again.shares.get(VAULT, 1)
    vault = again.copy.final().vault(VAULT)
    assert vault is not None
    assert share is not None
    assert share.public() == vault.public_shares[vault.signers.index("s1")]
    other = cluster.signers["s2"]
    assert (again.copy.size, again.copy.final_size) == (other.copy.size, other.copy.final_size)
    assert again.copy.replica.head() == other.copy.replica.head()


def test_a_recovered_share_signs(cluster: Cluster, person: Person) -> None:
    person.recover()
    again = open_folder(person.root / "again", cluster.clock)
    cluster.signers["again"] = again
    vault = again.copy.final().vault(VAULT)
    assert vault is not None
    share, partner = again.shares.get(VAULT, 1), cluster.signers["s2"].shares.get(VAULT, 1)
    assert share is not None
    assert partner is not None
    me, peer = vault.signers.index("s1"), vault.signers.index("s2")
    holders = sorted([(me, share), (peer, partner)], key=lambda pair: pair[0])
    nonces = [frost.nonce_gen(os.urandom(32)) for _ in holders]
    context = frost.SignersContext(
        n=len(vault.signers), t=vault.threshold, ids=tuple(number for number, _ in holders),
        pubshares=tuple(vault.public_shares[number] for number, _ in holders), thresh_pk=vault.group_key,
    )  # fmt: skip
    session = frost.Session.from_public_nonces([public for _, public in nonces], context, (), bytes(32))
    partials = [
        frost.sign(nonce, secret, number, session) for (nonce, _), (number, secret) in zip(nonces, holders, strict=True)
    ]
    assert len(frost.aggregate(partials, session)) == 64


def test_vote_witness_and_link_keys_are_new_and_only_the_host_key_is_not(cluster: Cluster, person: Person) -> None:
    person.recover()
    card = parse_card((person.root / "again" / "card.json").read_text())
    mine = next(signer for signer in cluster.world.charter.signers if signer.name == "s1")
    assert card.keys["host"] == mine.host_key
    assert card.keys["vote"] != mine.vote_key
    assert card.keys["witness"] != mine.witness_key


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"sheet": words("s2")}, "the words of signer s2, not of s1"),
        ({"sheet": list(words_of(SecretBytes(b"\7" * 32)))}, "no signer of this log has these words"),
        ({"fingerprint": "00" * 32}, "not the one whose fingerprint you typed"),
        ({"head": f"1:{'00' * 32}"}, "another history"),
        ({"head": f"1000:{'00' * 32}"}, "it is an old one"),
        ({"head": "7"}, "SIZE:ROOT"),
    ],
)
@pytest.mark.attack(line="machine", title="a signer recovered from words, a log or a head of others", origin=SWAPPED)
def test_what_does_not_belong_together_leaves_nothing(person: Person, parts: dict[str, Any], why: str) -> None:
    person.recover(**parts)
    assert person.code in (2, 4)
    assert why in person.err
    again = person.root / "again"
    assert not again.exists() or [path.name for path in again.iterdir()] == ["signer.lock"]
    person.recover()
    assert person.code == 0, person.err


def test_words_with_a_slip_leave_nothing(person: Person) -> None:
    sheet = words("s1")
    sheet[6] = "xylophonist"
    person.recover(sheet=sheet)
    assert person.code == 2
    assert "number 7" in person.err
    assert "xylophonist" not in person.err + person.out
    assert [path.name for path in (person.root / "again").iterdir()] == ["signer.lock"]


def test_a_person_who_made_a_slip_is_asked_again_and_a_pipe_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the words lies a replay that took minutes."""
    sheets = [words("s1")[::-1], words("s1")]

    def asked(*, descriptor: int | None) -> SecretBytes:
        return secret_of(sheets.pop(0))

    monkeypatch.setattr(backup_commands, "ask_words", asked)
    with pytest.raises(WordsInvalid), backup_commands._host_key(7, again=True):
        pass
    sheets.insert(0, words("s1")[::-1])
    with backup_commands._host_key(None, again=True) as host:
        assert host.public() == builder.host_secret("s1").public()
    assert not sheets


def test_a_cut_file_is_refused_at_every_length(cluster: Cluster, person: Person, tmp_path: Path) -> None:
    whole = (tmp_path / "log").read_bytes()
    for length in {0, 10, 60, len(whole) // 3, len(whole) // 2, len(whole) - 46, len(whole) - 1}:
        (tmp_path / "cut").write_bytes(whole[:length])
        person.recover(log=tmp_path / "cut")
        assert person.code == 2, length
        assert "LOG_EXPORT_INVALID" in person.err


def edited(file: Path, change: Any) -> bytes:
    """The file written again by somebody who can compute every hash in it."""
    with file.open("rb") as stream:
        reader = LogExportReader(stream.read)
        writer = LogExportWriter(reader.log_id)
        parts = list(reader)
    batches, bodies = change(
        [part for part in parts if isinstance(part, ExportedBatch)], [p.data for p in parts if hasattr(p, "data")]
    )
    pieces = [writer.begin(), *(writer.batch(*batch) for batch in batches), *writer.recovery(bodies), writer.end()]
    return b"".join(pieces)


def written(batches: list[ExportedBatch]) -> list[tuple[int, tuple[bytes, ...], bytes]]:
    return [(batch.first_index, batch.entries, batch.certificate) for batch in batches]


def without_certificates(batches: list[ExportedBatch], bodies: list[bytes]) -> Any:
    return [(first, entries, b"") for first, entries, _ in written(batches)], bodies


def with_a_certificate_of_another_head(batches: list[ExportedBatch], bodies: list[bytes]) -> Any:
    *others, (first, entries, _) = written(batches)
    return [*others, (first, entries, batches[-2].certificate)], bodies


def with_another_genesis(batches: list[ExportedBatch], bodies: list[bytes]) -> Any:
    (first, (genesis, *more), certificate), *others = written(batches)
    return [(first, (genesis[:-1] + bytes([genesis[-1] ^ 1]), *more), certificate), *others], bodies


def without_recovery_data(batches: list[ExportedBatch], bodies: list[bytes]) -> Any:
    return written(batches), []


def with_forged_recovery_data(batches: list[ExportedBatch], bodies: list[bytes]) -> Any:
    return written(batches), [bodies[0][:-1] + b"\0"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without_certificates, "under no certificate"),
        (with_a_certificate_of_another_head, "is for another log"),
        (with_another_genesis, "entry 0"),
        (without_recovery_data, "RECOVERY_DATA_MISSING"),
        (with_forged_recovery_data, "RECOVERY_DATA_MISSING"),
    ],
)
@pytest.mark.attack(line="machine", title="an exported log edited before a signer recovers from it", origin=SWAPPED)
def test_a_file_that_somebody_edited_is_refused(person: Person, tmp_path: Path, change: Any, why: str) -> None:
    (tmp_path / "edited").write_bytes(edited(tmp_path / "log", change))
    person.recover(log=tmp_path / "edited")
    assert person.code in (1, 4), person.err
    assert why in person.err


@pytest.mark.attack(line="machine", title="an old export handed to a recovering signer as the newest", origin=SWAPPED)
def test_an_export_from_before_the_compared_head_is_refused(person: Person, cluster: Cluster, tmp_path: Path) -> None:
    cluster.tick(3)
    cluster.deliver()
    person.recover()
    assert person.code == 4
    assert "it is an old one" in person.err


def test_an_interrupted_recovery_is_refused_and_never_completed(person: Person, tmp_path: Path) -> None:
    Store.create(_folder(tmp_path / "again") / "signer.db").close()
    person.recover()
    assert person.code == 4
    assert "ALREADY_INITIALISED" in person.err


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.attack(line="machine", title="an exported log stolen without the words", origin=STOLEN)
def test_an_export_alone_gives_no_share_to_anybody(person: Person, tmp_path: Path) -> None:
    with (tmp_path / "log").open("rb") as stream:
        bodies = [part.data for part in LogExportReader(stream.read) if isinstance(part, ExportedRecovery)]
    assert len(bodies) == 1
    for stranger in (b"\1" * 32, builder.seed("s1 vote"), builder.seed("alice")):
        with pytest.raises(HostSeckeyError):
            share_of(SecretScalar.from_bytes(stranger), bodies[0])


# --- backup verify ---


def test_verified_backups_are_noted_until_the_next_epoch(cluster: Cluster, person: Person) -> None:
    signer = cluster.signers["s1"]
    assert [vault.name for vault in signer.backups.unverified()] == [VAULT]
    assert status_of(signer, connected=False, last_error="").vaults[0].backup_verified is False
    signer.close()
    done = person.type("backup", "verify", folder=cluster.folders["s1"], sheet=words("s1"))
    assert person.code == 0, person.err
    assert done == {"verified": [{"vault": VAULT, "epoch": 1}]}
    signer = cluster.signers["s1"] = open_folder(cluster.folders["s1"], cluster.clock)
    assert not signer.backups.unverified()
    assert status_of(signer, connected=False, last_error="").vaults[0].backup_verified is True
    assert signer.store.backups() == {VAULT: 1}


def test_words_of_another_signer_verify_nothing(cluster: Cluster, person: Person) -> None:
    cluster.signers["s1"].close()
    person.type("backup", "verify", folder=cluster.folders["s1"], sheet=words("s2"))
    assert person.code == 4
    assert "not this signer's" in person.err
    signer = cluster.signers["s1"] = open_folder(cluster.folders["s1"], cluster.clock)
    assert signer.backups.unverified()


def test_a_backup_without_the_recovery_data_is_not_good(cluster: Cluster, person: Person) -> None:
    signer = cluster.signers["s1"]
    with signer.store.commit() as write:
        write.remove_recovery(signer.store.recovery_hashes())
    signer.close()
    person.type("backup", "verify", folder=cluster.folders["s1"], sheet=words("s1"))
    assert person.code == 4
    assert "not the one that the log names" in person.err
    cluster.signers["s1"] = open_folder(cluster.folders["s1"], cluster.clock)
    assert cluster.signers["s1"].backups.unverified()


# --- export-log ---


def test_a_stopped_signer_exports_the_same_log(cluster: Cluster, person: Person, tmp_path: Path) -> None:
    cluster.signers["s3"].close()
    person.type("export-log", str(tmp_path / "s3.log"), folder=cluster.folders["s3"])
    assert person.code == 0, person.err
    cluster.signers["s3"] = open_folder(cluster.folders["s3"], cluster.clock)
    sizes = []
    for name in ("log", "s3.log"):
        with (tmp_path / name).open("rb") as stream:
            sizes.append([part.size for part in LogExportReader(stream.read) if isinstance(part, ExportedBatch)])
    assert sizes[0] == sizes[1]
    person.type("export-log", str(tmp_path / "s3.log"), folder=cluster.folders["s3"])
    assert person.code == 1
