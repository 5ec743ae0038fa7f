"""Signers that come to a deployment that runs already: new machines, and lost ones made again from their words."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from actor import Actor, until
from cluster import Cluster
from strongroom.ledger.charter import Charter, CharterSigner, encode_charter
from strongroom.ledger.messages import AmendCharter
from strongroom.wire.cards import parse_card
from strongroom_client.demo.processes import program, run_program, run_with_words

DAY_MS = 86_400_000


def phrase(cluster: Cluster) -> list[str]:
    return ["--passphrase-file", str(cluster.deployment.passphrase_file)]


def exported_log(cluster: Cluster, source: str, file: Path) -> tuple[Path, str]:
    """What the operator of a running signer hands over: the exported log, and a final head to compare."""
    done = cluster.signer_command(source, "export-log", str(file))
    assert done.returncode == 0, done.stderr
    head: str = cluster.signer_status(source)["head"]
    return file, head


def lose_disk(cluster: Cluster, name: str) -> None:
    """A machine dies, and its disk with it."""
    cluster.signer(name).kill()
    shutil.rmtree(cluster.deployment.signer_folder(name))


def recover(cluster: Cluster, name: str, log: Path, head: str) -> dict[str, Any]:
    """Make a lost signer again from the words on its sheet."""
    command = [program("strongroom-signer"), "recover", "--name", name, "--log", str(log), "--head", head, "--json"]
    command += ["--data", str(cluster.deployment.signer_folder(name)), *phrase(cluster)]
    command += ["--fingerprint", cluster.deployment.log_id.hex()]
    found: dict[str, Any] = json.loads(run_with_words(command, cluster.deployment.sheet(name).read_text().strip()))
    _certify(cluster, name)
    return found


def join(cluster: Cluster, name: str, log: Path, head: str) -> dict[str, Any]:
    """Set up a machine that the first charter does not name, with new words."""
    folder = ["--data", str(cluster.deployment.signer_folder(name))]
    init = [program("strongroom-signer"), "init", "--name", name, *folder, *phrase(cluster)]
    cluster.deployment.write_down(name, run_with_words(init))
    command = [program("strongroom-signer"), "join", "--log", str(log), "--head", head, *folder, "--json"]
    joined: dict[str, Any] = json.loads(run_program([*command, "--fingerprint", cluster.deployment.log_id.hex()]))
    _certify(cluster, name)
    return joined


def _certify(cluster: Cluster, name: str) -> None:
    """Get a certificate for the link, and say where the coordinator is."""
    deployment = cluster.deployment
    certificate = cluster.root / f"signer-{name}-{_count(cluster.root, name)}.pem"
    card = str(deployment.signer_folder(name) / "card.json")
    pki = cluster.root / "pki"
    deployment.strongroom("pki", "issue", str(pki), "--card", card, "--role", "signer", "--out", str(certificate))
    command = [program("strongroom-signer"), "enrol", "--data", str(deployment.signer_folder(name))]
    command += ["--charter", str(cluster.root / "charter.bin"), "--fingerprint", deployment.log_id.hex()]
    command += ["--cert", str(certificate), "--ca", str(pki / "ca.pem")]
    run_program([*command, "--coordinator", f"127.0.0.1:{deployment.port}"])


def _count(root: Path, name: str) -> int:
    return len(list(root.glob(f"signer-{name}-*.pem"))) + 1


def card_of(cluster: Cluster, name: str) -> CharterSigner:
    """A signer's entry in the charter, from the card that its operator hands over."""
    return parse_card((cluster.deployment.signer_folder(name) / "card.json").read_text()).as_signer()


async def in_force(actor: Actor) -> Charter:
    """The charter that is proven to be in force now."""
    await actor.client.seen()
    return (await actor.client.trust()).charter


async def amend(people: tuple[Actor, ...], **parts: Any) -> Charter:
    """Have the administrators amend the charter, and wait until the amendment is in force."""
    first, *others = people
    now = await in_force(first)
    proposed = replace(now, **{"version": now.version + 1, **parts})
    action = AmendCharter(charter=encode_charter(proposed), handover_expires_ms=int(time.time() * 1000) + DAY_MS)
    order = await first.submit(action)
    await asyncio.gather(*(other.approve(order) for other in others))

    async def reached() -> bool:
        return (await in_force(first)).version == proposed.version

    await until(reached, timeout_s=120)
    return proposed


async def admit(cluster: Cluster, people: tuple[Actor, ...], *names: str, quorum: int = 0) -> None:
    """Let the charter list these signers with the keys of their present cards; the witness set hands over."""
    now = await in_force(people[0])
    cards = {name: card_of(cluster, name) for name in names}
    listed = [cards.pop(signer.name, signer) for signer in now.signers]
    signers = (*listed, *cards.values())
    await amend(people, signers=signers, witness_quorum=quorum or now.witness_quorum)
