"""Every command and every Python example of the guides works as it is printed, against real daemons.

What a guide prints is typed in a terminal, in the guide's order, in a folder that holds the files it speaks of. Prompts
are answered as a person would. Only the words in each guide's `Stage.words` are replaced: ports, folders, ids.
`test_readme_by_hand.py` does the same for the walk of the README.

A fenced block says what it is by its language: `sh` and `console` are typed here, `python` is run; `text`, `ini` and
`mermaid` are not meant to be typed. A block after `<!-- terminal: PATTERN -->` goes on running in a terminal of its
own, and is ready when the pattern is shown.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from actor import BTC, COIN, Actor, actors, burn_address, until
from cluster import VAULT, Cluster, funded, running
from docs_text import ROOT, Block, blocks, markdown_files
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger.messages import Verb
from strongroom.model.ids import OrderHash
from strongroom.protocol.signed import SignedBody
from strongroom_client import Endpoint, IntegrationClient, endorsement
from strongroom_client.demo.deployment import free_port
from strongroom_client.orders import DraftedOrder
from strongroom_client.person_key import PersonKey
from terminal import Terminal

pytestmark = pytest.mark.process

TYPED = ("sh", "console")
NOT_TYPED = {
    # Languages of blocks that nobody is asked to type, and why a test does not.
    "text": "synopses, what help prints, and steps that need a machine of one's own",
    "ini": "a unit of systemd: there is no systemd in a test",
    "mermaid": "pictures",
    "toml": "configuration, held to the code by test_docs_consistency.py",
}
DRY = {
    # Blocks of `make` targets, which are asked for with --dry-run: they run for minutes, and two would run this test.
    "README.md": "test_e2e_demo.py runs the demonstration; the tests are these",
    "CONTRIBUTING.md": "the checks and the tests themselves",
}
ELSEWHERE = {"README.md": "test_readme_by_hand.py types the walk"}
WALK = ("<!-- by-hand: start -->", "<!-- by-hand: end -->")


# --- the stage of one guide ------------------------------------------------------------------------------------------


@dataclass
class Stage:
    """One guide's folder, the words replaced in it, and what is done before some of its blocks."""

    cluster: Cluster
    folder: Path
    words: dict[str, str | Callable[[], str]] = field(default_factory=dict)
    before: dict[str, Callable[[], None]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    terminals: list[Terminal] = field(default_factory=list)
    daemons: list[Terminal] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """A person's environment: a home of their own, the programs, no profile but their own."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "TERM": "dumb", "COLUMNS": "120"}

    @property
    def answers(self) -> list[tuple[str, str]]:
        """What a person types when asked."""
        phrase = self.cluster.deployment.passphrase_file.read_text().strip()
        return [
            (r"(?i)passphrase[^\n]*: ?$", phrase),
            (r"(?i)(?:the same again|repeat for confirmation): ?$", phrase),
            (r"fingerprint[^\n]*: ?$", self.cluster.deployment.log_id.hex()),
            (r"\[y/N\]: ?$", "y"),
        ]

    def put(self, source: Path, name: str) -> None:
        """Have a file or folder of the deployment here under a guide's name."""
        (self.folder / name).symlink_to(source)

    def replaced(self, text: str) -> str:
        """The text with the words of this stage."""
        for word in sorted(self.words, key=len, reverse=True):
            if word in text:
                self.used.add(word)
                value = self.words[word]
                if callable(value):
                    value = self.words[word] = value()
                text = text.replace(word, value)
        return text

    def type(self, block: Block) -> str:
        """Type one block as it is printed; what was shown."""
        for beginning, act in self.before.items():
            if block.text.startswith(beginning):
                act()
        text = self.replaced(block.text)
        if block.mark == "terminal":
            terminal = Terminal(f"exec {text.strip()}", self.folder, self.environment, self.answers)
            self.terminals.append(terminal)
            self.daemons.append(terminal)
            terminal.wait_for(block.value)
            return terminal.shown
        shown = ""
        for typed, expected in commands(block, text):
            terminal = Terminal(typed, self.folder, self.environment, self.answers)
            self.terminals.append(terminal)
            code = terminal.finish()
            shown += terminal.shown
            assert code == 0, f"{block}:\n{typed}\nended with {code}:\n{terminal.shown[-3000:]}"
            assert "Traceback" not in terminal.shown
            if expected:
                assert terminal.shown.split() == expected.split(), block
        return shown

    def perform(self, guide: str) -> str:
        """Type all blocks of a guide; every word must have been of use."""
        shown = "".join(self.type(block) for block in blocks(ROOT / guide) if block.language in TYPED)
        unused = self.words.keys() - self.used
        assert not unused, f"{guide} does not say {unused} any more"
        return shown


def commands(block: Block, text: str) -> Iterator[tuple[str, str]]:
    """What is typed, and what the guide says is shown then; an `sh` block shows nothing and is typed whole."""
    if block.language == "sh":
        yield text, ""
        return
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        typed, _, expected = part.partition("\n")
        yield typed, expected


@pytest.fixture(scope="module")
def live() -> Iterator[Cluster]:
    """One deployment for all guides: three signers, a coordinator, a node, a funded vault."""
    with running(funded(), "docs") as cluster:
        cluster.start()
        yield cluster


@contextmanager
def staged(live: Cluster, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(live, tmp_path)
    stage.put(live.root / "pki" / "ca.pem", "ca.pem")
    try:
        yield stage
    finally:
        for terminal in stage.terminals:
            terminal.close()


def node_words(live: Cluster, stage: Stage) -> dict[str, str]:
    """The node, whose cookie lies where Bitcoin Core has it."""
    cookie = stage.folder / "home" / ".bitcoin" / "regtest" / ".cookie"
    cookie.parent.mkdir(parents=True)
    cookie.symlink_to(live.root / "node" / ".cookie")
    return {"127.0.0.1:18443": f"127.0.0.1:{(live.root / 'node-port').read_text().strip()}"}


def spoken(live: Cluster) -> str:
    """The log id as people read it to each other."""
    digits = live.deployment.log_id.hex()
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))


def done_by(live: Cluster, names: str, act: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
    """Let people act through the SDK, as others do while a guide's reader reads."""

    async def perform() -> Any:
        async with actors(live.deployment, *names.split()) as people:
            return await act(*people)

    return asyncio.run(perform())


def ordered(live: Cluster, amount: int, *, approvals: str = "") -> str:
    """Whole hash of a withdrawal that carol orders and others may approve; planned when two do."""

    async def act(carol: Actor, *others: Actor) -> str:
        order = await carol.pay(VAULT, burn_address(7), amount)
        for other in others:
            await other.approve(order)
        if len(others) > 1:
            await carol.wait_for_order(order, lambda status: status.status != "open")
        return str(order.hex())

    found: str = done_by(live, f"carol {approvals}", act)
    return found


def lift_all(live: Cluster) -> None:
    """End every freeze, so that the next guide begins in peace."""

    async def act(carol: Actor, *others: Actor) -> None:
        for freeze in await carol.client.freezes():
            if not freeze.lifted:
                order = await carol.unfreeze(freeze.id)
                for other in others:
                    await other.approve(order)

        async def lifted() -> bool:
            return all(freeze.lifted for freeze in await carol.client.freezes())

        await until(lifted)

    done_by(live, "carol alice bob", act)


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
            "a80c66d1": lambda: vault_order("customer-3"),
        }
        shown = stage.perform("docs/treasury.md")
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

        stage.before = {"strongroom charter genesis": bob_adopts}
        stage.words = {"924a dcb0 ...": lambda: deployment.strongroom("charter", "fingerprint", str(charter)).strip()}
        shown = stage.perform("docs/administrators.md")
        assert "adopted by alice, bob" in shown
        assert (tmp_path / "genesis.bin").stat().st_size > charter.stat().st_size


def test_the_guide_for_auditors(live: Cluster, tmp_path: Path) -> None:
    with staged(live, tmp_path) as stage:
        stage.put(live.root / "pki", "pki")
        stage.words = {
            "coordinator.example:7400": f"127.0.0.1:{live.deployment.port}",
            "924a dcb0 ...": spoken(live),
            **node_words(live, stage),
        }
        shown = stage.perform("docs/auditors.md")
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

        stage.before = {"strongroom-signer enrol": the_signer_of_the_charter}
        stage.words = {
            "coordinator.example:7400": f"127.0.0.1:{live.deployment.port}",
            "reject-9f3c21aa.json": a_rejection,
            "FREEZE_ID": freeze_id,
        }
        shown = stage.perform("docs/operators.md")
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


# --- Python ----------------------------------------------------------------------------------------------------------


class Enough(Exception):
    """Raised by what a reader's own program does with an event: a watch has no end of its own."""


@asynccontextmanager
async def integrator(live: Cluster) -> AsyncIterator[tuple[IntegrationClient, PersonKey]]:
    deployment = live.deployment
    with SecretBytes(deployment.passphrase_file.read_bytes().strip()) as phrase:
        key = PersonKey.open(deployment.person("shop"), phrase)
    with key:
        async with IntegrationClient.connect(deployment.endpoint("shop"), log_id=deployment.log_id) as client:
            yield client, key


async def run_snippet(code: str, names: dict[str, Any]) -> None:
    """Run an example with what its reader's own program gives it."""
    compiled = compile(code, "<guide>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, names)
    if inspect.iscoroutine(result):
        await result


def python_of(guide: str) -> list[str]:
    return [block.text for block in blocks(ROOT / guide) if block.language == "python"]


def with_words(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        assert word in text, f"the example does not say {word} any more"
        text = text.replace(word, value)
    return text


async def test_the_examples_for_integrators(live: Cluster, tmp_path: Path) -> None:
    deployment = live.deployment
    script, status_of, watch, deposits = python_of("docs/integrators.md")
    (tmp_path / "passphrase").symlink_to(deployment.passphrase_file)
    with staged(live, tmp_path) as stage:
        stage.put(live.root / "pki", "pki")
        await asyncio.to_thread(stage.perform, "docs/integrators.md")
    # The charter lists the card that was handed in: the shop's of the deployment, with the certificate for its key.
    shutil.rmtree(tmp_path / "shop")
    (tmp_path / "shop").symlink_to(deployment.person("shop"))
    (tmp_path / "cert.pem").unlink()
    (tmp_path / "cert.pem").symlink_to(deployment.person("shop") / "cert.pem")
    script = with_words(
        script,
        {
            "924adcb0...": deployment.log_id.hex(),
            "coordinator.example:7400": f"127.0.0.1:{deployment.port}",
            "customer-1": VAULT,
            "bcrt1q...": burn_address(3),
        },
    )
    kept = "def store(key, data):\n    Path('stored').write_text(key.hex())\n"
    (tmp_path / "order.py").write_text(f"{kept}{script}")
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "order.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"logged as entry \d+ under a certificate of \d+", done.stdout)
    key = bytes.fromhex((tmp_path / "stored").read_text())

    async with integrator(live) as (client, _):
        names: dict[str, Any] = {"client": client, "order_hash": OrderHash(key)}
        await run_snippet(status_of, names)
        assert names["status"].status == "open"
        assert names["status"].order.action.amount == 250_000

        events: list[Any] = []
        cursors: list[int] = []
        names |= {"load_cursor": lambda: 0, "handle": events.append, "save_cursor": stop_after(1, cursors)}
        with pytest.raises(Enough):
            await run_snippet(watch, names)
        assert key in [status.hash for status in events]
        assert cursors[0] > 0

        told: list[Any] = []
        names |= {"index": 0, "load_deposit_cursor": lambda: 0, "credit_or_take_back": told.append}
        names["save_deposit_cursor"] = stop_after(1, cursors)
        with pytest.raises(Enough):
            await run_snippet(with_words(deposits, {"customer-1": VAULT}), names)
        assert names["address"].startswith("bcrt1p")
        assert told[0].amount == 50 * COIN


def stop_after(times: int, kept: list[int]) -> Callable[[int], None]:
    """A reader's `save_cursor` that ends the watch."""
    start = len(kept)

    def save(cursor: int) -> None:
        kept.append(cursor)
        if len(kept) - start >= times:
            raise Enough

    return save


async def test_the_example_of_the_clients_readme(live: Cluster) -> None:
    (snippet,) = python_of("client/README.md")
    deployment = live.deployment
    async with integrator(live) as (client, key):
        seen = await client.seen()

        def sign(order: DraftedOrder) -> SignedBody:
            now_ms = time.time_ns() // 1_000_000
            body = endorsement(
                Verb.INITIATE,
                order.hash,
                log_id=deployment.log_id,
                seen=seen,
                now_ms=now_ms,
                person="shop",
                key=key.public,
            )
            return SignedBody.of(key.sign_endorsement(body))

        shown: list[str] = []

        def show(status: str) -> None:
            shown.append(status)
            raise Enough

        names: dict[str, Any] = {
            "endpoint": deployment.endpoint("shop"),
            "log_id": deployment.log_id,
            "asset": BTC,
            "payee": burn_address(4),
            "tomorrow_ms": time.time_ns() // 1_000_000 + 86_400_000,
            "sign": sign,
            "print": show,
        }
        exec("import secrets\nfrom strongroom.ledger.messages import Withdraw", names)
        exec("from strongroom_client import IntegrationClient, draft", names)
        with pytest.raises(Enough):
            await run_snippet(snippet.replace("customer-1", VAULT), names)
        assert shown == ["open"]


# --- other languages -------------------------------------------------------------------------------------------------


def test_the_calls_of_other_languages(live: Cluster) -> None:
    """`grpcurl` is no tool of ours, so its block is `text`; its calls are made here by its means: reflection, JSON."""
    (block,) = [block for block in blocks(ROOT / "docs/integrators.md") if "grpcurl" in block.text]
    calls = re.findall(
        r"grpcurl \$tls(?: -d '([^']+)')? coordinator.example:7400 (\S+)", re.sub(r"\\\n\s*", "", block.text)
    )
    assert len(calls) == block.text.count("grpcurl ")
    endpoint: Endpoint = live.deployment.endpoint("shop")
    credentials = grpc.ssl_channel_credentials(
        endpoint.ca_file.read_bytes(), endpoint.key_file.read_bytes(), endpoint.cert_file.read_bytes()
    )
    with grpc.secure_channel(endpoint.address, credentials) as channel:
        reflection = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(reflection)
        services = set(reflection.get_services())
        assert "strongroom.api.integration.v1.IntegrationService" in services
        for body, method in calls:
            if method == "list":
                continue
            service, name = method.split("/")
            assert service in services
            described = pool.FindServiceByName(service).FindMethodByName(name)
            request = json_format.Parse(body, message_factory.GetMessageClass(described.input_type)())
            answer = message_factory.GetMessageClass(described.output_type)
            ask = channel.unary_unary(
                f"/{method}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=answer.FromString,
            )
            said = json.loads(json_format.MessageToJson(ask(request, timeout=20)))
            assert said, method


# --- nothing is left out ---------------------------------------------------------------------------------------------

COVERED = {
    "docs/treasury.md",
    "docs/auditors.md",
    "docs/operators.md",
    "docs/administrators.md",
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
