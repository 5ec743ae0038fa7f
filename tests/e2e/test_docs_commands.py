"""Every command of the guides works as it is printed, against real daemons.

What a guide prints is typed in a terminal, in the guide's order, in a folder that holds the files it speaks of. Prompts
are answered as a person would. Only the words in each guide's `Stage.words` are replaced: ports, folders, ids.
`test_readme_by_hand.py` does the same for the walk of the README, `test_docs_examples.py` for Python, and
`test_e2e_recovery_kit.py` for docs/recovery.md, when nothing runs any more.

A fenced block says what it is by its language: `sh` and `console` are typed here, `python` is run; `text`, `ini` and
`mermaid` are not meant to be typed. A block after `<!-- terminal: PATTERN -->` goes on running in a terminal of its
own, and is ready when the pattern is shown.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from actor import COIN, Actor, until
from cluster import VAULT, Cluster
from conviction import convict, evidence_against
from docs_text import ROOT, Block, blocks, markdown_files
from guide_stage import TYPED, commands, done_by, lift_all, live, node_words, ordered, spoken, staged
from new_signers import exported_log
from strongroom.protocol.evidence_file import write_evidence_file
from strongroom.protocol.evidence_records import evidence_hash
from strongroom_client.demo.deployment import free_port

__all__ = ["live"]

pytestmark = pytest.mark.process

NOT_TYPED = {
    # Languages of blocks that nobody is asked to type, and why a test does not.
    "text": "synopses, what help prints, and steps that need a machine of one's own",
    "ini": "a unit of systemd: there is no systemd in a test",
    "mermaid": "pictures",
    "toml": "configuration, held to the code by test_config_reference.py",
}
DRY = {
    # Blocks of `make` targets, which are asked for with --dry-run: they run for minutes, and two would run this test.
    "README.md": "test_e2e_demo.py runs the demonstration; the tests are these",
    "CONTRIBUTING.md": "the checks and the tests themselves",
}
ELSEWHERE = {"README.md": "test_readme_by_hand.py types the walk"}
WALK = ("<!-- by-hand: start -->", "<!-- by-hand: end -->")


# --- the guides ------------------------------------------------------------------------------------------------------


def test_the_guide_for_people_who_approve(live: Cluster, tmp_path: Path) -> None:
    with staged(live, tmp_path) as stage:
        home = stage.environment["HOME"]
        alice = live.deployment.person("alice")
        stage.put(alice / "cert.pem", "alice.pem")

        def the_key_of_the_charter() -> None:
            # The certificate that comes back is of the key that the charter lists: alice's of the deployment.
            shutil.rmtree(f"{home}/strongroom-key")
            Path(f"{home}/strongroom-key").symlink_to(alice)

        def vault_order(name: str) -> str:
            async def act(carol: Actor, bob: Actor) -> str:
                order = await carol.create_vault(name, signers=live.signers, threshold=2)
                await bob.approve(order)
                return str(order.hex()[:16])

            lift_all(live)
            found: str = done_by(live, "carol bob", act)
            return found

        def a_freeze_of_bob() -> str:
            return str(done_by(live, "bob", lambda bob: bob.freeze(VAULT)).hex()[:8])

        def an_unfreeze_of_carol() -> str:
            freeze = stage.words["7d1f09b2"]

            async def act(carol: Actor) -> str:
                found = [one.id for one in await carol.client.freezes() if one.id.hex().startswith(str(freeze))]
                return str((await carol.unfreeze(found[0])).hex()[:16])

            found: str = done_by(live, "carol", act)
            return found

        def a_reinstatement_by_carol() -> str:
            order = live.command("carol", "signers", "reinstate", "south", "5f" * 32, signs=True)["order"]
            return str(order[:16])

        stage.before = {
            "strongroom login": the_key_of_the_charter,
            "strongroom vault create": lambda: lift_all(live),
        }
        stage.words = {
            "coordinator.example:7400": f"127.0.0.1:{live.deployment.port}",
            "924a dcb0 ...": spoken(live),
            "9f3c21aa": lambda: ordered(live, COIN // 2)[:8],
            "51b07e4c": lambda: ordered(live, COIN // 3)[:8],
            "c2d8a916": lambda: ordered(live, COIN // 5, approvals="alice bob")[:8],
            "ORDER_HASH": lambda: ordered(live, COIN // 7),
            "7d1f09b2": a_freeze_of_bob,
            "e64a1150": an_unfreeze_of_carol,
            "b7034d2f": an_unfreeze_of_carol,
            "a80c66d1": lambda: vault_order("customer-3"),
            "EVIDENCE": "5f" * 32,
            "8d40b7e2": a_reinstatement_by_carol,
        }
        shown = stage.perform("docs/treasury.md")
        assert "No evidence against any signer." in shown
        assert "proven under a certificate" in shown
        assert "delivered. It is entry" in shown
        assert (tmp_path / "reject.json").exists()
        assert "bcrt1p" in shown


def test_the_guide_for_administrators(live: Cluster, tmp_path: Path) -> None:
    deployment = live.deployment
    with staged(live, tmp_path) as stage:
        (tmp_path / "cards").mkdir()
        folders = [deployment.person(name) for name in (*deployment.shape.treasury, *deployment.shape.machines)]
        folders += [deployment.signer_folder(name) for name in live.signers]
        for folder in folders:
            stage.put(folder / "card.json", f"cards/{folder.name}.json")
        home = Path(stage.environment["HOME"])
        (home / "strongroom-key").symlink_to(deployment.person("alice"))
        charter = tmp_path / "charter.bin"

        def bob_adopts() -> None:
            arguments = ["charter", "adopt", str(charter), "--key", str(deployment.person("bob"))]
            phrase = ["--passphrase-file", str(deployment.passphrase_file)]
            deployment.strongroom(*arguments, "--out", str(tmp_path / "adopt-bob.json"), *phrase)

        def a_file_from_the_coordinator() -> str:
            data = evidence_against(live, "south", charter.read_bytes())
            (tmp_path / "evidence").mkdir()
            name = evidence_hash(data).hex()
            (tmp_path / "evidence" / f"{name}.json").write_bytes(write_evidence_file(data))
            return name

        stage.before = {"strongroom charter genesis": bob_adopts}
        stage.words = {
            "924a dcb0 ...": lambda: deployment.strongroom("charter", "fingerprint", str(charter)).strip(),
            "EVIDENCE": a_file_from_the_coordinator,
        }
        shown = stage.perform("docs/administrators.md")
        assert "adopted by alice, bob" in shown
        assert "Proven: signer south" in shown
        assert (tmp_path / "genesis.bin").stat().st_size > charter.stat().st_size


def test_the_guide_for_auditors(live: Cluster, tmp_path: Path) -> None:
    with staged(live, tmp_path) as stage:
        stage.put(live.root / "pki", "pki")
        stage.words = {
            "coordinator.example:7400": f"127.0.0.1:{live.deployment.port}",
            "924a dcb0 ...": spoken(live),
            "EVIDENCE": lambda: convict(live, "south"),
            **node_words(live, stage),
        }
        shown = stage.perform("docs/auditors.md")
        assert "Proven: signer south signed votes for two different heads" in shown
        assert shown.count("Verified: the log of acme") == 2
        assert "each is a plan" in shown


def test_the_guide_for_operators(live: Cluster, tmp_path: Path) -> None:
    folder = live.deployment.signer_folder("north")
    with staged(live, tmp_path) as stage:
        stage.put(live.root / "charter.bin", "charter.bin")
        stage.put(live.root / "signer-north.pem", "north.pem")

        def the_signer_of_the_charter() -> None:
            # The charter that comes back lists the cards that were handed in: north's of the deployment.
            live.signer("north").stop()
            shutil.rmtree(tmp_path / "north")
            (tmp_path / "north").symlink_to(folder)

        def a_rejection() -> str:
            file = tmp_path / "rejection.json"
            live.command("bob", "status")  # remembers the newest head, which the rejection then names
            arguments = ["withdraw", "reject", ordered(live, COIN // 9), "--offline", "--out", str(file)]
            live.command("bob", *arguments, signs=True)
            return file.name

        def freeze_id() -> str:
            (freeze,) = live.signer_status("north")["local_freezes"]
            return str(freeze["id"] if isinstance(freeze, dict) else freeze)

        head_of_south = ""

        def exported_by_south() -> str:
            nonlocal head_of_south
            file, head_of_south = exported_log(live, "south", tmp_path / "log-of-south")
            return file.name

        def connected_again() -> None:
            asyncio.run(until(is_connected))

        async def is_connected() -> bool:
            return bool(live.signer_status("north")["connected"])

        stage.before = {
            "strongroom-signer enrol": the_signer_of_the_charter,
            # That it is not connected would be something to mend now.
            "strongroom-signer doctor": connected_again,
        }
        stage.words = {
            "coordinator.example:7400": f"127.0.0.1:{live.deployment.port}",
            "reject-9f3c21aa.json": a_rejection,
            "FREEZE_ID": freeze_id,
            "EVIDENCE": "5f" * 32,
            "south.log": exported_by_south,
        }
        stage.typed = [
            (r"Word 1 of 24: ?$", live.deployment.sheet("north").read_text().strip()),
            (r"Recent head [^\n]*: ?$", lambda _: head_of_south),
        ]
        shown = stage.perform("docs/operators.md")
        assert f"this signer's share of:\n  {VAULT}, epoch" in shown
        assert "north is here again" in shown
        assert "Stated, and kept." in shown
        assert live.deployment.log_id.hex() in shown
        daemon = stage.daemons[-1]
        assert daemon.stop() == 0
    live.plain_signer("north")
    lift_all(live)


def test_the_readme_of_the_coordinator(live: Cluster, tmp_path: Path) -> None:
    with staged(live, tmp_path) as stage:
        for source in ("genesis.bin", "coordinator-tls/cert.pem", "coordinator-tls/tls.key"):
            stage.put(live.root / source, Path(source).name)
        stage.words = {"127.0.0.1:7400": f"127.0.0.1:{free_port()}", **node_words(live, stage)}
        stage.perform("coordinator/README.md")
        daemon = stage.daemons[-1]
        assert daemon.stop() == 0


def test_the_readme_of_the_regtest_node(live: Cluster, tmp_path: Path) -> None:
    with staged(live, tmp_path) as stage:
        stage.words = {"/var/tmp/regtest": str(tmp_path / "chain"), "18443": str(free_port())}
        stage.perform("deploy/regtest/README.md")
        daemon = stage.daemons[-1]
        assert daemon.stop() == 0


@pytest.mark.parametrize("guide", sorted(DRY))
def test_targets_of_make_can_be_asked_for(guide: str) -> None:
    asked = 0
    for block in blocks(ROOT / guide):
        if block.language == "sh" and is_make(block):
            for line in block.text.splitlines():
                target = line.split("#")[0].split()[1]
                done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, check=False)
                assert done.returncode == 0, done.stderr
                asked += 1
    assert asked


def test_the_commands_of_the_benchmarks_can_be_asked_for() -> None:
    """A run takes minutes; here each command shows that it knows every option that the page prints for it."""
    asked = 0
    for block in blocks(ROOT / "docs/benchmarks.md"):
        if block.language != "console":
            continue
        for typed, _ in commands(block, block.text):
            words = shlex.split(typed, comments=True)
            if words[0] == "make":
                command = ["make", "--dry-run", *words[1:]]
            else:
                assert words[0] == ".venv/bin/python"
                command = [sys.executable, words[1], "--help"]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert all(word in done.stdout for word in words if word.startswith("--"))
            asked += 1
    assert asked


# --- nothing is left out ---------------------------------------------------------------------------------------------

COVERED = {
    "docs/treasury.md",
    "docs/auditors.md",
    "docs/operators.md",
    "docs/administrators.md",
    "docs/recovery.md",
    "docs/integrators.md",
    "docs/benchmarks.md",
    "coordinator/README.md",
    "client/README.md",
    "deploy/regtest/README.md",
    *DRY,
    *ELSEWHERE,
}


def test_every_block_of_every_document_is_of_a_known_kind_and_covered() -> None:
    left = []
    for file in markdown_files():
        name = str(file.relative_to(ROOT))
        for block in blocks(file):
            runs = block.language in (*TYPED, "python")
            if (runs and not is_covered(name, block)) or not (runs or block.language in NOT_TYPED or is_picture(block)):
                left.append(f"{block}: {block.language or 'no language'}")
    assert not left


def is_covered(name: str, block: Block) -> bool:
    """Of the documents with targets of `make`, only those targets and the README's walk are covered."""
    if name not in DRY:
        return name in COVERED
    lines = block.file.read_text().splitlines()
    return is_make(block) or (name in ELSEWHERE and lines.index(WALK[0]) < block.line < lines.index(WALK[1]))


def is_make(block: Block) -> bool:
    return all(line.startswith("make ") for line in block.text.splitlines())


def is_picture(block: Block) -> bool:
    """A drawing in letters needs no language."""
    return not block.language and any(sign in block.text for sign in "─▶│▼")
