"""A hostile signer gives wrong shares: it is proven offline, left out, and back only when both have spoken."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from actor import Actor, actors, ready, until
from cluster import Cluster
from payments import AMOUNT, approved, paid, payee, payments_on_chain
from rogue import turn_rogue
from strongroom_client.demo.processes import Daemon, program

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

LIAR = "west"
MOST_PAYMENTS = 20
"""Until the liar was asked for a share: a slow signer takes part in few."""


def quarantine_in_view_of(cluster: Cluster, name: str) -> Any:
    listed = cluster.command("alice", "signers", "list")["signers"]
    return next(one["quarantined"] for one in listed if one["name"] == name)


def blame(file: Path, log_id: str) -> subprocess.CompletedProcess[str]:
    """Check a record with nothing but its file and the log id: no profile, no network."""
    command = [program("strongroom"), "audit", "blame", str(file), "--log-id", log_id, "--json"]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={"HOME": "/nonexistent"}
    )


@pytest.mark.attack(
    line="holders",
    title="a holder gives wrong shares until it is left out",
    origin="ROAST (2022): one bad share stops a plain FROST session",
)
async def test_a_signer_that_gives_wrong_shares_is_proven_left_out_and_taken_back(cluster: Cluster) -> None:
    liar = turn_rogue(cluster, LIAR)
    destinations: list[str] = []

    async def pay(people: Any) -> None:
        destinations.append(payee())
        await paid(cluster, people[0], await approved(people, destinations[-1]))

    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await ready(people[0])
        liar.daemon.wait_for("link.opened")
        liar.lies("share-wrong")
        for _ in range(MOST_PAYMENTS):
            if any(event.get("event") == "evidence.found" for event in cluster.coordinator.events):
                break
            await pay(people)
        liar.told("share-wrong")

        found = cluster.coordinator.wait_for("evidence.found")
        assert (found["signer"], found["fault"]) == (LIAR, "wrong-share")
        await until(lambda: is_kept(cluster, found["evidence"]))
        log_id = cluster.deployment.log_id.hex()
        answer = json.loads(blame(Path(found["file"]), log_id).stdout)
        assert (answer["signer"], answer["fault"], answer["evidence"]) == (LIAR, "wrong-share", found["evidence"])
        assert blame(Path(found["file"]), "00" * 32).returncode == 4

        # The operator sees it, and so does everybody; a restart forgets nothing.
        await until(lambda: told(cluster, LIAR, found["evidence"]))
        mark = len(liar.daemon.events)
        cluster.restart_coordinator()
        liar.daemon.wait_for("link.opened", after=mark)
        # While one of the others is away, the quarantined one is the last resort.
        await until(lambda: all_in_the_term(people[0]))
        await ready(people[0])
        assert quarantine_in_view_of(cluster, LIAR)["evidence"] == found["evidence"]
        lies, mark = told_by(liar.daemon), len(cluster.coordinator.events)
        for _ in range(2):
            await pay(people)
        # Nor is it asked otherwise, unless the two others take longer than a plan may wait for them.
        late = any(event.get("event") == "signing.last_resort" for event in cluster.coordinator.events[mark:])
        assert told_by(liar.daemon) == lies or late

        # The organisation alone cannot take it back; with its operator's word it can.
        order = cluster.command("carol", "signers", "reinstate", LIAR, found["evidence"], signs=True)["order"]
        for person in ("alice", "bob"):
            cluster.command(person, "signers", "reinstate", order, "--approve", signs=True)
        await until(lambda: ordered(cluster, LIAR))
        liar.lies("")
        stated = cluster.signer_command(LIAR, "reinstate", found["evidence"])
        assert stated.returncode == 0, stated.stderr
        await until(lambda: told(cluster, LIAR, None))
        assert quarantine_in_view_of(cluster, LIAR) is None
        released = cluster.signer_status(LIAR)["shares_released"]
        while cluster.signer_status(LIAR)["shares_released"] == released:
            await pay(people)
        listed = cluster.command("bob", "signers", "evidence")["evidence"]
        assert [(one["signer"], one["operator_cleared"], one["order"]) for one in listed] == [(LIAR, True, order)]
    for destination in destinations:
        assert payments_on_chain(cluster, destination) == [AMOUNT]


async def all_in_the_term(actor: Actor) -> bool:
    """Whether every signer is connected and was given a certificate of the term that the coordinator leads."""
    status = await actor.client.status()
    return status.leading and all(signer.connected and signer.term == status.term for signer in status.signers)


def told_by(daemon: Daemon) -> int:
    """How many lies a liar has told."""
    return sum(event.get("event") == "lie.told" for event in daemon.events)


async def is_kept(cluster: Cluster, evidence: str) -> bool:
    """Whether everybody is shown the record, and its file is there."""
    listed = cluster.command("bob", "signers", "evidence")["evidence"]
    files = [path.stem for path in (cluster.deployment.coordinator_folder / "evidence").glob("*.json")]
    return [one["evidence"] for one in listed] == files == [evidence]


async def told(cluster: Cluster, name: str, evidence: str | None) -> bool:
    """Whether the signer's operator sees this evidence, or none."""
    shown = cluster.signer_status(name)["quarantine"]
    return (None if shown is None else shown["evidence"]) == evidence


async def ordered(cluster: Cluster, name: str) -> bool:
    """Whether the order has acted, while the operator has not spoken."""
    shown = quarantine_in_view_of(cluster, name)
    return bool(shown["order"]) and not shown["operator_cleared"]
