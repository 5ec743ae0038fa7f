"""A signer's disk is lost: its words and the log of another signer give the same shares back, with real processes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actor import until
from cluster import VAULT, Cluster, funded, running
from machines import alarmed
from new_signers import exported_log
from strongroom.wire.cards import parse_card
from strongroom_client.demo.processes import DaemonFailed, program, run_with_words

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running(funded(), "recover") as cluster:
        cluster.start(node=False)
        yield cluster


def words_of(cluster: Cluster, name: str) -> str:
    return cluster.deployment.sheet(name).read_text().strip()


def with_words(cluster: Cluster, name: str, command: str, *arguments: str, words: str = "") -> Any:
    """Run a command of a signer that asks for words."""
    line = [program("strongroom-signer"), command, *arguments, "--json"]
    return json.loads(run_with_words(line, words or words_of(cluster, name)))


def data(cluster: Cluster, name: str) -> tuple[str, str]:
    return "--data", str(cluster.deployment.signer_folder(name))


async def test_words_are_proven_against_a_running_signer_and_it_stops_reminding(cluster: Cluster) -> None:
    daemon = cluster.signer("west")
    await until(lambda: reminded(cluster))
    (vault,) = cluster.signer_status("west")["vaults"]
    assert (vault["has_share"], vault["backup_verified"]) == (True, False)
    with pytest.raises(DaemonFailed, match="not this signer's"):
        with_words(cluster, "west", "backup", "verify", *data(cluster, "west"), words=words_of(cluster, "south"))
    done = with_words(cluster, "west", "backup", "verify", *data(cluster, "west"))
    assert done == {"verified": [{"vault": VAULT, "epoch": 1}]}
    (vault,) = cluster.signer_status("west")["vaults"]
    assert vault["backup_verified"] is True
    log = daemon.log_file.read_text()
    assert not [word for word in words_of(cluster, "west").split() if f" {word} " in log]
    metrics = cluster.signer_command("west", "status", "--prometheus").stdout
    assert "strongroom_signer_backups_unverified 0" in metrics


async def reminded(cluster: Cluster) -> bool:
    return "backup.unverified" in cluster.signer("west").log_file.read_text()


async def test_a_lost_disk_comes_back_as_the_same_shares_and_with_no_right_to_vote(
    cluster: Cluster, tmp_path: Path
) -> None:
    old = cluster.deployment.signer_folder("north")
    old_card = parse_card((old / "card.json").read_text())
    # A running signer says which head is final, and exports.
    exported, head = exported_log(cluster, "south", tmp_path / "log")
    cluster.signer("north").kill()
    shutil.rmtree(old)

    arguments = ["--name", "north", "--log", str(exported), "--head", head]
    arguments += ["--fingerprint", cluster.deployment.log_id.hex()]
    arguments += ["--passphrase-file", str(cluster.deployment.passphrase_file)]
    with pytest.raises(DaemonFailed, match="words of signer west"):
        with_words(cluster, "north", "recover", *arguments, *data(cluster, "north"), words=words_of(cluster, "west"))
    found = with_words(cluster, "north", "recover", *arguments, *data(cluster, "north"))
    assert found["shares"] == [{"vault": VAULT, "epoch": 1}]
    card = parse_card((old / "card.json").read_text())
    assert card.keys["host"] == old_card.keys["host"]
    assert card.keys["vote"] != old_card.keys["vote"]

    # Its certificate comes back and it runs: it follows the log, and has no voice until an order admits its card.
    pki, certificate = cluster.root / "pki", tmp_path / "north.pem"
    issue = ["--card", str(old / "card.json"), "--role", "signer", "--out", str(certificate)]
    cluster.deployment.strongroom("pki", "issue", str(pki), *issue)
    enrol = ["--charter", str(cluster.root / "charter.bin"), "--fingerprint", cluster.deployment.log_id.hex()]
    enrol += ["--cert", str(certificate), "--ca", str(pki / "ca.pem")]
    done = cluster.signer_command("north", "enrol", *enrol, "--coordinator", f"127.0.0.1:{cluster.deployment.port}")
    assert done.returncode == 0, done.stderr
    cluster.plain_signer("north")
    status = await alarmed(cluster, "north", "NOT_A_WITNESS")
    assert "amend" in status["alarm_message"]
    (vault,) = status["vaults"]
    assert vault["has_share"] is True


async def test_the_log_comes_straight_from_a_coordinator_to_a_machine_without_a_certificate(
    cluster: Cluster, tmp_path: Path
) -> None:
    """With a person's certificate; it is checked as a file is, and nobody else's certificate gets it."""
    person, signer = cluster.deployment.person("alice"), cluster.deployment.signer_folder("south")
    phrase = ["--passphrase-file", str(cluster.deployment.passphrase_file)]
    head = cluster.signer_status("south")["final_head"]
    common = ["--name", "west", *phrase, "--fingerprint", cluster.deployment.log_id.hex()]

    def arguments(folder: str, *, head: str = head, identity: Path = person) -> list[str]:
        source = ["--coordinator", f"127.0.0.1:{cluster.deployment.port}", "--ca", str(cluster.root / "pki" / "ca.pem")]
        lent = ["--client-cert", str(identity / "cert.pem"), "--client-key", str(identity / "tls.key")]
        return [*common, "--head", head, "--data", str(tmp_path / folder), *source, *lent]

    size, root = head.split(":")
    with pytest.raises(DaemonFailed, match="another history"):
        with_words(cluster, "west", "recover", *arguments("a", head=f"{size}:{root[::-1]}"))
    with pytest.raises(DaemonFailed, match="may not call"):
        with_words(cluster, "west", "recover", *arguments("b", identity=signer))
    with pytest.raises(DaemonFailed, match="--ca, --client-cert, --client-key"):
        with_words(cluster, "west", "recover", *arguments("c")[:-6])
    assert not any((tmp_path / folder / "signer.db").exists() for folder in "abc")
    found = with_words(cluster, "west", "recover", *arguments("west"))
    assert found["shares"] == [{"vault": VAULT, "epoch": 1}]
    assert not list((tmp_path / "west").glob("*.pem"))
    told = cluster.signer_command("south", "doctor", "--json")
    checks = {one["check"]: one["level"] for one in json.loads(told.stdout)["checks"]}
    assert (told.returncode, checks["clock"], checks["coordinator"], checks["backup"]) == (5, "ok", "ok", "warning")
