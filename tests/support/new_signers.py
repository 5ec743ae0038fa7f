"""Signers of a deployment that runs already: new machines, lost ones made again, and words that are replaced."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from actor import Actor
from charter_edits import amend, in_force
from cluster import Cluster
from strongroom.ledger.charter import CharterSigner
from strongroom.wire.cards import parse_card
from strongroom_client.demo.processes import program, run_program, run_with_words


def phrase(cluster: Cluster) -> list[str]:
    return ["--passphrase-file", str(cluster.deployment.passphrase_file)]


def exported_log(cluster: Cluster, source: str, file: Path) -> tuple[Path, str]:
    """What the operator of a running signer hands over: the exported log, and a final head to compare."""
    for _ in range(20):
        # The log goes on meanwhile, and a head that became final since may lie beyond what was exported.
        head: str = cluster.signer_status(source)["final_head"]
        file.unlink(missing_ok=True)
        done = cluster.signer_command(source, "export-log", str(file))
        assert done.returncode == 0, done.stderr
        if head and cluster.signer_status(source)["final_head"] == head:
            return file, head
    raise AssertionError(f"the log of {source} does not rest")


def lose_disk(cluster: Cluster, name: str) -> None:
    """A machine dies, and its disk with it."""
    cluster.signer(name).kill()
    shutil.rmtree(cluster.deployment.signer_folder(name))


def words_of(cluster: Cluster, name: str) -> str:
    """The words on a signer's sheet, with spaces between them."""
    return cluster.deployment.sheet(name).read_text().strip()


def verified(cluster: Cluster, name: str) -> list[tuple[str, int]]:
    """Prove a signer's words against the running signer; vault and epoch of each share that they give."""
    command = [program("strongroom-signer"), "backup", "verify", "--json"]
    command += ["--data", str(cluster.deployment.signer_folder(name))]
    done: dict[str, Any] = json.loads(run_with_words(command, words_of(cluster, name)))
    return [(one["vault"], one["epoch"]) for one in done["verified"]]


def rotate_words(cluster: Cluster, name: str) -> None:
    """Give a signer a second host key and a new sheet; its daemon goes on with both host keys."""
    cluster.signer(name).stop()
    command = [program("strongroom-signer"), "rotate-words", *phrase(cluster)]
    command += ["--data", str(cluster.deployment.signer_folder(name))]
    cluster.deployment.write_down(name, run_with_words(command))
    cluster.deployment.start_signer(name)


def recover(cluster: Cluster, name: str, log: Path, head: str) -> dict[str, Any]:
    """Make a lost signer again from the words on its sheet."""
    found = recovered(cluster, name, words_of(cluster, name), log, head, cluster.deployment.signer_folder(name))
    certify(cluster, name)
    return found


def recovered(cluster: Cluster, name: str, words: str, log: Path, head: str, folder: Path) -> dict[str, Any]:
    """Make a signer again from these words in this folder, and nothing more; what the command says."""
    command = [program("strongroom-signer"), "recover", "--name", name, "--log", str(log), "--head", head, "--json"]
    command += ["--data", str(folder), *phrase(cluster), "--fingerprint", cluster.deployment.log_id.hex()]
    found: dict[str, Any] = json.loads(run_with_words(command, words))
    return found


def join(cluster: Cluster, name: str, log: Path, head: str) -> dict[str, Any]:
    """Set up a machine that the first charter does not name, with new words."""
    make_keys(cluster, name)
    return bring_in(cluster, name, log, head)


def make_keys(cluster: Cluster, name: str) -> None:
    """Let the operator of a new machine make its keys, its words and its card; it has no log and no certificate."""
    init = [program("strongroom-signer"), "init", "--name", name, *phrase(cluster)]
    init += ["--data", str(cluster.deployment.signer_folder(name))]
    cluster.deployment.write_down(name, run_with_words(init))


def bring_in(cluster: Cluster, name: str, log: Path, head: str) -> dict[str, Any]:
    """Give a new machine with keys the log and a certificate."""
    command = [program("strongroom-signer"), "join", "--log", str(log), "--head", head, "--json"]
    command += ["--data", str(cluster.deployment.signer_folder(name))]
    joined: dict[str, Any] = json.loads(run_program([*command, "--fingerprint", cluster.deployment.log_id.hex()]))
    certify(cluster, name)
    return joined


def certify(cluster: Cluster, name: str) -> None:
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


async def admit(cluster: Cluster, people: tuple[Actor, ...], *names: str, quorum: int = 0) -> None:
    """Let the charter list these signers with the keys of their present cards; the witness set hands over."""
    now = await in_force(people[0])
    cards = {name: card_of(cluster, name) for name in names}
    listed = [cards.pop(signer.name, signer) for signer in now.signers]
    signers = (*listed, *cards.values())
    await amend(people, signers=signers, witness_quorum=quorum or now.witness_quorum)
