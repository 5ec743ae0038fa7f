"""What the operator of a signer sees and may type: heads to compare, freezes by their first digits, files."""

from __future__ import annotations

import argparse
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from signer_world import PASSPHRASE, Cluster
from strongroom.api.operator.v1 import operator_service_pb2 as pb
from strongroom.crypto.sealed import Cost
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.model.fingerprints import Compared, spoken
from strongroom_signer import operator_commands
from strongroom_signer.assembly import Signer
from strongroom_signer.enrolment import AlreadyInitialised, initialise
from strongroom_signer.log_export import ExportExists, write_export
from strongroom_signer.main import run
from strongroom_signer.operator import BadRequest
from strongroom_signer.seed_words import WordsNotConfirmed
from strongroom_signer.status_answer import status_of


class Line:
    """The operator's interface of a signer in this process."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def GetStatus(self, request: pb.GetStatusRequest, timeout: float) -> pb.GetStatusResponse:
        return status_of(self._signer, connected=True, last_error="")

    def Thaw(self, request: pb.ThawRequest, timeout: float) -> pb.ThawResponse:
        self._signer.inbox.thaw(request.freeze_id)
        return pb.ThawResponse()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    opened = Cluster.started(tmp_path)
    yield opened
    opened.close()


def asked(signer: Signer, command: str, **options: object) -> tuple[dict[str, object], str]:
    given = argparse.Namespace(command=command, prometheus=False, **options)
    return operator_commands._COMMANDS[command](Line(signer), given)  # type: ignore[arg-type]


# --- status ----------------------------------------------------------------------------------------------------------


def test_status_tells_both_heads_and_the_log_id_as_it_is_read_aloud(cluster: Cluster) -> None:
    cluster.tick()
    signer, log = cluster.signers["s1"], cluster.world.replica
    facts, text = asked(signer, "status")
    status = status_of(signer, connected=True, last_error="")
    assert status.final_size < status.certified_size
    roots = {size: log.root_at(size) for size in (status.certified_size, status.final_size)}
    certified, final = (f"{size}:{(root or b'').hex()}" for size, root in roots.items())
    assert (facts["certified_head"], facts["final_head"]) == (certified, final)
    assert facts["read_aloud"] == spoken(Compared.CHARTER, cluster.world.log_id)
    lines = {" ".join(line.split()) for line in text.splitlines()}
    assert {f"certified head {certified}", f"final head {final}", f"read aloud {facts['read_aloud']}"} <= lines
    assert json.loads(json.dumps(facts)) == facts


# --- thaw ------------------------------------------------------------------------------------------------------------


def test_a_freeze_is_thawed_by_its_first_digits(cluster: Cluster) -> None:
    signer = cluster.signers["s1"]
    first, second = signer.inbox.freeze("", "one"), signer.inbox.freeze("", "two")
    for typed, why in (
        (first.hex()[:7], "8 or more first digits"),
        ("not hex digits", "8 or more first digits"),
        ("0" * 8, "no local freeze begins with 00000000"),
        (first.hex() + "00", "8 or more first digits"),
    ):
        with pytest.raises(BadRequest, match=why):
            asked(signer, "thaw", freeze_id=typed)
    assert len(signer.inbox.local_freezes) == 2
    facts, _ = asked(signer, "thaw", freeze_id=first.hex()[:8].upper())
    assert facts == {"thawed": first.hex()}
    asked(signer, "thaw", freeze_id=second.hex())
    assert not signer.inbox.local_freezes


def test_digits_of_two_freezes_thaw_neither() -> None:
    class Two:
        def GetStatus(self, request: pb.GetStatusRequest, timeout: float) -> pb.GetStatusResponse:
            alike = [pb.LocalFreeze(id=bytes(4) + bytes([end]) * 28) for end in (1, 2)]
            return pb.GetStatusResponse(local_freezes=alike)

    with pytest.raises(BadRequest, match="2 local freezes begin with 00000000"):
        operator_commands._freeze_named(Two(), "0" * 8)  # type: ignore[arg-type]


# --- files -----------------------------------------------------------------------------------------------------------


def test_an_export_takes_the_place_of_a_file_only_when_told_to_and_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "south.log"
    assert write_export(file, [b"old"]) == 3
    with pytest.raises(ExportExists, match="--replace") as raised:
        write_export(file, [b"new"])
    assert raised.value.reason == "EXPORT_EXISTS"

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise OSError(28, "no space left")

    with pytest.raises(OSError, match="no space left"):
        write_export(file, broken(), replace=True)
    assert file.read_bytes() == b"old"
    assert write_export(file, [b"ne", b"wer"], replace=True) == 5
    assert file.read_bytes() == b"newer"
    assert list(tmp_path.iterdir()) == [file]


def test_the_command_replaces_an_export_when_told_to(cluster: Cluster, tmp_path: Path) -> None:
    cluster.close()
    command = ["export-log", str(tmp_path / "s1.log"), "--data", str(cluster.folders["s1"])]
    for more, code, why in (([], 0, ""), ([], 4, "EXPORT_EXISTS"), (["--replace"], 0, "")):
        err = io.StringIO()
        done = run([*command, *more], clock=cluster.clock, random=os.urandom, out=io.StringIO(), err=err)
        assert (done, why in err.getvalue()) == (code, True)


def test_a_file_that_appears_while_the_export_is_written_stays(tmp_path: Path) -> None:
    file = tmp_path / "south.log"

    def slow() -> Iterator[bytes]:
        yield b"new"
        file.write_bytes(b"theirs")

    with pytest.raises(ExportExists):
        write_export(file, slow())
    assert file.read_bytes() == b"theirs"


# --- init ------------------------------------------------------------------------------------------------------------


def refuse(_: SecretScalar) -> None:
    raise WordsNotConfirmed("these are not the words that were shown")


def begun(folder: Path, confirm: Callable[[SecretScalar], None], name: str = "s1") -> Path:
    cost = Cost(memory_kib=8, passes=1)
    with SecretBytes(bytearray(PASSPHRASE)) as passphrase:
        return initialise(folder, name, passphrase, confirm=confirm, cost=cost, random=lambda size: b"\7" * size)


def test_a_refused_init_leaves_no_folder_that_it_made(tmp_path: Path) -> None:
    with pytest.raises(WordsNotConfirmed):
        begun(tmp_path / "new" / "s1", refuse)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_init_leaves_what_was_there(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    with pytest.raises(WordsNotConfirmed):
        begun(mine, refuse)
    assert mine.is_dir()

    def while_somebody_writes(host: SecretScalar) -> None:
        (tmp_path / "s1" / "notes").write_text("theirs")
        refuse(host)

    with pytest.raises(WordsNotConfirmed):
        begun(tmp_path / "s1", while_somebody_writes)
    assert (tmp_path / "s1" / "notes").read_text() == "theirs"
    (mine / "card.json").write_text("{}")
    with pytest.raises(AlreadyInitialised):
        begun(mine, lambda _: None)
    assert (mine / "card.json").exists()
