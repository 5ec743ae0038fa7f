"""Founding the log of a real deployment anew, by the commands that people and operators type.

    done = restart_log(cluster, lost=("south", "west"), survivor="north")

The daemons of the signers named are dead and their disks gone; everything else is stopped here, and started again as
part of the log that begins there. Clients have accepted it: `deployment.log_id` is the new one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cluster import Cluster, side_by_side
from new_signers import exported_log, phrase, recover
from strongroom.model.ids import LogId
from strongroom_client.demo.deployment import Deployment
from strongroom_client.demo.processes import program, run_program

ADMINS = ("alice", "bob")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartMade:
    """What administrators made of a log.

    Attributes:
        file: The finished restart file.
        log: The exported log that it goes on from.
        old_log_id, log_id: Before and after.
        entries: Entries that stay.
    """

    file: Path
    log: Path
    old_log_id: LogId
    log_id: LogId
    entries: int


def made_restart(
    deployment: Deployment,
    log: Path,
    *,
    cards: Sequence[str] = (),
    admins: Sequence[str] = ADMINS,
    witness_quorum: int = 0,
) -> RestartMade:
    """Draft, approve and finish, each as an administrator without any coordinator does.

    Args:
        deployment: Whose people and signers' cards they are.
        log: An exported log: the newest that anybody has.
        cards: Signers whose present `card.json` replaces what the charter lists.
        admins: Who approve; the first drafts.
        witness_quorum: How many must vote from here on; 0 to keep it.
    """
    root, phrase_file = log.parent, str(deployment.passphrase_file)
    old = deployment.log_id
    judged = ["--log", str(log), "--log-id", old.hex(), "--json"]
    given = [part for name in cards for part in ("--card", str(deployment.signer_folder(name) / "card.json"))]
    if witness_quorum:
        given += ["--witness-quorum", str(witness_quorum)]
    draft = root / f"{log.name}.draft"
    told = json.loads(deployment.strongroom("restart", "draft", *given, "--out", str(draft), *judged))
    files = []
    for name in admins:
        files.append(str(root / f"{log.name}.by-{name}"))
        key = ["--key", str(deployment.person(name)), "--passphrase-file", phrase_file, "--yes"]
        key += ["--fingerprint", told["read_aloud"]]
        deployment.strongroom("restart", "approve", str(draft), *key, "--out", files[-1], *judged)
    file = root / f"{log.name}.restart"
    done = json.loads(deployment.strongroom("restart", "finish", *files, "--out", str(file), *judged))
    new = LogId(bytes.fromhex(done["new_log_id"]))
    return RestartMade(file=file, log=log, old_log_id=old, log_id=new, entries=done["entries"])


def follow(cluster: Cluster, name: str, made: RestartMade) -> dict[str, Any]:
    """Take the restart at one signer, whose daemon is stopped, after its operator compared the new log id."""
    command = [program("strongroom-signer"), "restart", str(made.file), "--log", str(made.log), "--json"]
    command += ["--data", str(cluster.deployment.signer_folder(name)), "--fingerprint", made.log_id.hex()]
    done: dict[str, Any] = json.loads(run_program(command))
    return done


def lead(cluster: Cluster, made: RestartMade) -> str:
    """Take the restart at the coordinator, whose daemon is stopped; what it printed."""
    folder = str(cluster.deployment.coordinator_folder)
    return run_program([program("strongroom-coordinator"), "restart", "--data", folder, str(made.file)])


def accept(cluster: Cluster, made: RestartMade, *people: str) -> None:
    """Let people pin the new log id out of the file, and everything in these tests that asks for the log id."""
    (cluster.root / "log-id").write_text(made.log_id.hex() + "\n")
    words = ["restart", "accept", str(made.file), "--fingerprint", made.log_id.hex()]
    side_by_side([partial(cluster.command, name, *words) for name in people or cluster.deployment.shape.treasury])


def restart_log(
    cluster: Cluster,
    *,
    lost: Sequence[str],
    survivor: str,
    admins: Sequence[str] = ADMINS,
    witness_quorum: int = 0,
) -> RestartMade:
    """All of it: the lost signers recovered from words, the statement, and everybody in the new log and running.

    Args:
        cluster: Its coordinator and the survivors run, or have run; the lost ones' folders are gone.
        lost: Signers whose disks were lost: they come back from their words and the survivor's log.
        survivor: Whose exported log is the newest that there is.
        admins: Who approve.
        witness_quorum: How many must vote from here on; 0 to keep it.
    """
    log, head = exported_log(
        cluster, survivor, cluster.root / f"log-of-{survivor}-{cluster.deployment.log_id.hex()[:8]}"
    )
    if cluster.coordinator.running:
        cluster.coordinator.stop()
    for daemon in cluster.deployment.signers.values():
        if daemon.running:
            daemon.stop()
    side_by_side([partial(recover, cluster, name, log, head) for name in lost])
    made = made_restart(cluster.deployment, log, cards=lost, admins=admins, witness_quorum=witness_quorum)
    side_by_side([partial(lead, cluster, made), *(partial(follow, cluster, name, made) for name in cluster.signers)])
    accept(cluster, made)
    side_by_side(
        [cluster.deployment.start_coordinator, *(partial(cluster.plain_signer, name) for name in cluster.signers)]
    )
    return made


__all__ = ["RestartMade", "accept", "follow", "lead", "made_restart", "phrase", "restart_log"]
