"""Real deployments for tests: enrolled once, copied for every test, each with its own folders, ports and processes.

A template is made once per run, the first time that any worker asks for it: one that is enrolled and was never started,
one whose log holds a final 2-of-3 vault with confirmed coins, and others that tests make. A copy starts in seconds.
"""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from actor import actors, burn_address, funded_vault
from ports import own_port
from quick_enrolment import enrol
from strongroom.protocol.signed import SignedBody
from strongroom_client.demo.deployment import Deployment, Shape
from strongroom_client.demo.processes import Daemon, DaemonFailed, program
from strongroom_signer.operator_commands import ask
from switchboard import Switch

VAULT = "customer-hot"
COINS = 4
LED_WITHIN_S = 60.0
LEVEL_WITHIN_S = 60.0
LAUNCHER = Path(__file__).with_name("signer_launcher.py")
CHEATER = Path(__file__).parents[1] / "adversary" / "cheating_coordinator.py"


@cache
def session_folder() -> Path:
    """Where the copies of this process lie."""
    # Short, because the path of a Unix socket has at most 107 letters.
    folder = Path(tempfile.mkdtemp(prefix="sr-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _template_folder() -> Path:
    """Where the templates lie: the same for all workers of one run; the last one to end removes it."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:
        return session_folder()
    folder = Path(tempfile.gettempdir()) / f"sr-{run[:12]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    user = folder / f"used-by-{os.getpid()}"
    user.touch()
    atexit.register(_leave, folder, user)
    return folder


def _leave(folder: Path, user: Path) -> None:
    user.unlink(missing_ok=True)
    if not any(folder.glob("used-by-*")):
        shutil.rmtree(folder, ignore_errors=True)


def template(name: str, shape: Shape, make: Callable[[Path], Deployment]) -> Deployment:
    """A stopped deployment, made once in a run by whichever worker asks first, while others wait; use a copy.

    Args:
        name: Names it among all templates.
        shape: Who takes part.
        make: Makes it in a folder that does not exist yet.
    """
    folder = _template_folder()
    root, done = folder / name, folder / f"{name}.port"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(root, ignore_errors=True)
            done.write_text(str(make(root).port))
    return Deployment(root=root, shape=shape, port=int(done.read_text()))


def made(root: Path, shape: Shape, work: Callable[[Deployment], Coroutine[Any, Any, None]] | None = None) -> Deployment:
    """Enrol a deployment and have some work done with it; it is stopped then, and quick to start."""
    deployment = Deployment(root=root, shape=shape, port=own_port())
    enrol(deployment)
    return deployment if work is None else prepared(deployment, work)


THREE: Final = Shape()
"""Three signers of whom two sign and two witness."""
FIVE: Final = Shape(signers=("north", "south", "west", "east", "middle"), witness_quorum=4)
"""Five signers of whom three sign and four witness: one may be down, and one bad together with the coordinator."""
_THRESHOLD: Final = {THREE: 2, FIVE: 3}


def enrolled(shape: Shape = THREE) -> Deployment:
    """An enrolled deployment that was never started; use a copy."""
    return _enrolled(shape)


def funded(shape: Shape = THREE) -> Deployment:
    """A stopped deployment with one final vault (2-of-3, or 3-of-5) and a few confirmed coins; use a copy."""
    return _funded(shape)


# A cache keeps calls with and without the default apart, which would make a template twice.


@cache
def _enrolled(shape: Shape) -> Deployment:
    return template(f"enrolled-{len(shape.signers)}", shape, lambda root: made(root, shape))


@cache
def _funded(shape: Shape) -> Deployment:
    def fund(root: Path) -> Deployment:
        return prepared(copied(enrolled(shape), root), _fund)

    return template(f"funded-{len(shape.signers)}", shape, fund)


def prepared(deployment: Deployment, work: Callable[[Deployment], Coroutine[Any, Any, None]]) -> Deployment:
    """Start an enrolled deployment, have some work done with it, and stop it again; use a copy."""
    cluster = Cluster(deployment)
    try:
        cluster.start()
        asyncio.run(work(deployment))
        _let_all_catch_up(cluster)
        cluster.stop()
    except BaseException:
        sys.stderr.write(cluster.logs())
        raise
    finally:
        cluster.kill()
    return deployment


def _let_all_catch_up(cluster: Cluster) -> None:
    """Wait until every signer that runs holds the whole log: a quorum is enough for anything that was done with it."""
    deadline = time.monotonic() + LEVEL_WITHIN_S
    names = [name for name, daemon in cluster.deployment.signers.items() if daemon.running]
    while time.monotonic() < deadline:
        found = [cluster.signer_status(name) for name in names]
        held = {(status["size"], status["certified_size"], status["final_size"]) for status in found}
        if len(held) <= 1 and all(size == certified for size, certified, _ in held):
            return
        time.sleep(0.05)
    raise TimeoutError(f"{names} never held the same log: {held}")


async def _fund(deployment: Deployment) -> None:
    async with actors(deployment, *deployment.shape.treasury) as people:
        threshold = _THRESHOLD[deployment.shape]
        await funded_vault(deployment, people, VAULT, coins=COINS, threshold=threshold)


def copied(template: Deployment, root: Path) -> Deployment:
    """A copy of a stopped deployment under `root`, on ports of its own."""
    shutil.copytree(template.root, root, ignore=shutil.ignore_patterns("logs", "*.sock"))
    old_node = (root / "node-port").read_text().strip()
    deployment = Deployment(root=root, shape=template.shape, port=own_port())
    changes = {
        str(template.root): str(root),
        f"127.0.0.1:{template.port}": f"127.0.0.1:{deployment.port}",
        f"127.0.0.1:{old_node}": f"127.0.0.1:{(node_port := own_port())}",
    }
    for path in root.rglob("*.toml"):
        text = path.read_text()
        for old, new in changes.items():
            text = text.replace(old, new)
        path.write_text(text)
    (root / "node-port").write_text(f"{node_port}\n")
    return deployment


@dataclass
class Cluster:
    """The processes of one deployment, and what tests do to them."""

    deployment: Deployment
    switches: dict[str, Switch] = field(default_factory=dict)
    extra: list[Daemon] = field(default_factory=list)

    # --- processes ---------------------------------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        return self.deployment.root

    @property
    def signers(self) -> tuple[str, ...]:
        return self.deployment.shape.signers

    def start(self, *, signers: Sequence[str] | None = None, coordinator: bool = True, node: bool = True) -> None:
        """Start everything named, side by side, and wait until the log is led if there are enough of them."""
        named = self.signers if signers is None else signers
        earlier = self.deployment.coordinator
        mark = 0 if earlier is None else len(earlier.events)
        work: list[Callable[[], None]] = [self.deployment.start_node] if node and self.deployment.node is None else []
        work += [self.deployment.start_coordinator] if coordinator else []
        work += [partial(self.deployment.start_signer, name) for name in named]
        side_by_side(work)
        if coordinator and len(named) >= self.deployment.shape.witness_quorum:
            # Where a test keeps them apart from the start, it waits for what it waits for.
            with suppress(DaemonFailed):
                self.coordinator.wait_for("term.opened", after=mark, timeout_s=LED_WITHIN_S)

    def signer(self, name: str) -> Daemon:
        return self.deployment.signers[name]

    @property
    def coordinator(self) -> Daemon:
        daemon = self.deployment.coordinator
        assert daemon is not None
        return daemon

    def restart_coordinator(self, *, kill: bool = False) -> None:
        """Stop or kill the coordinator and start it again."""
        if kill:
            self.coordinator.kill()
        else:
            self.coordinator.stop()
        self.deployment.start_coordinator()

    def launch_signer(self, name: str, *options: str) -> Daemon:
        """Start a signer through the test launcher: a shifted clock, or an end at a chosen point."""
        command = [sys.executable, str(LAUNCHER), *options, "--", *self.signer_arguments(name)]
        log = self.root / "logs" / f"signer-{name}.log"
        self.deployment.signers[name] = Daemon(f"signer {name}", command, log)
        self.deployment.signers[name].start()
        return self.deployment.signers[name]

    def plain_signer(self, name: str) -> Daemon:
        """Start a signer as its operator does, after a test launcher was used."""
        earlier = self.deployment.signers.pop(name, None)
        if earlier is not None:
            earlier.kill()
        self.deployment.start_signer(name)
        return self.deployment.signers[name]

    def signer_arguments(self, name: str) -> list[str]:
        folder = str(self.deployment.signer_folder(name))
        return ["run", "--data", folder, "--passphrase-file", str(self.deployment.passphrase_file)]

    def all_daemons(self) -> list[Daemon]:
        named = [*self.deployment.signers.values(), self.deployment.coordinator, self.deployment.node, *self.extra]
        return [daemon for daemon in named if daemon is not None]

    def stop(self) -> None:
        """Stop everything gracefully, the coordinator first, so that it ends with a whole log."""
        order = [self.deployment.coordinator, *self.extra, *self.deployment.signers.values(), self.deployment.node]
        for daemon in order:
            if daemon is not None and daemon.running:
                daemon.stop()
        self.deployment.node = None

    def kill(self) -> None:
        """End everything at once."""
        for daemon in self.all_daemons():
            if daemon.running:
                daemon.kill()
        for switch in self.switches.values():
            switch.close()

    def logs(self, lines: int = 60) -> str:
        """The last lines of every log, for a failed test."""
        parts = [f"{daemon.name}: {'running' if daemon.running else 'ended'}" for daemon in self.all_daemons()]
        for path in sorted((self.root / "logs").glob("*.log")):
            last = path.read_text(errors="replace").splitlines()[-lines:]
            parts.append("\n".join([f"--- {path.name}", *(line[:500] for line in last)]))
        return "\n".join(parts) + "\n"

    # --- the network -------------------------------------------------------------------------------------------------

    def switch_signer(self, name: str) -> Switch:
        """Put a switch between a signer and the coordinator; call it before the signer starts."""
        switch = Switch(self.deployment.port)
        self.switches[name] = switch
        config = self.deployment.signer_folder(name) / "signer.toml"
        old = f"127.0.0.1:{self.deployment.port}"
        config.write_text(config.read_text().replace(old, f"127.0.0.1:{switch.port}"))
        return switch

    # --- commands ----------------------------------------------------------------------------------------------------

    def signer_command(self, name: str, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `strongroom-signer` for one signer."""
        folder = str(self.deployment.signer_folder(name))
        return subprocess.run(
            [program("strongroom-signer"), command, "--data", folder, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def signer_status(self, name: str) -> dict[str, Any]:
        """What the running signer tells its operator over its socket."""
        facts, _ = ask(
            Namespace(command="status", prometheus=False), self.deployment.signer_folder(name) / "operator.sock"
        )
        return facts

    def audit(self) -> dict[str, Any]:
        """Replay the whole log and hold the chain against it, as the first person; what `audit verify` says."""
        port = (self.root / "node-port").read_text().strip()
        node = ["--bitcoin-rpc", f"http://127.0.0.1:{port}", "--bitcoin-cookie", str(self.root / "node" / ".cookie")]
        verdict: dict[str, Any] = self.command(self.deployment.shape.treasury[0], "audit", "verify", *node)
        return verdict

    def command(self, person: str, *arguments: str, signs: bool = False) -> Any:
        """Run a `strongroom` command as a person, which must succeed; its JSON."""
        phrase = ["--yes", "--passphrase-file", str(self.deployment.passphrase_file)] if signs else []
        return json.loads(self.deployment.as_person(person, *arguments, *phrase, "--json"))

    def mine(self, blocks: int = 1) -> list[str]:
        """Mine blocks to nobody."""
        hashes: list[str] = self.deployment.rpc("generatetoaddress", blocks, burn_address(9))
        return hashes

    # --- cheating ----------------------------------------------------------------------------------------------------

    def cheat(self, name: str, *, words: Sequence[SignedBody] = ()) -> Cheated:
        """Stop the coordinator and run a cheat with a copy of its folder; its signers must be running."""
        return self.cheats([name], words=words)[name]

    def cheats(self, names: Sequence[str], *, words: Sequence[SignedBody] = ()) -> dict[str, Cheated]:
        """Run cheats one after another in one process, each in a term of its own; by name, what came of each."""
        if self.deployment.coordinator is not None and self.coordinator.running:
            self.coordinator.stop()
        folder = self.root / "rogue"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.deployment.coordinator_folder, folder)
        command = [sys.executable, str(CHEATER), "--data", str(folder)]
        command += ["--people", str(self.root / "people"), "--passphrase-file", str(self.deployment.passphrase_file)]
        for name in names:
            command += ["--cheat", name]
        for number, word in enumerate(words):
            path = self.root / f"word-{number}.json"
            path.write_text(json.dumps({"body": word.body.hex(), "signature": word.signature.hex()}))
            command += ["--words", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90 + 30 * len(names), check=False)
        log = self.root / "logs" / "cheater.log"
        with log.open("a") as file:
            file.write(done.stdout + done.stderr)
        assert done.returncode == 0, done.stderr[-2_000:]
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return {name: Cheated(name, [line for line in lines if line["cheat"] == name]) for name in names}


@dataclass
class Cheated:
    """What the cheating coordinator printed about one cheat."""

    cheat: str
    events: list[dict[str, Any]]

    @property
    def released(self) -> int:
        """Signature shares that were given for the cheat."""
        last = self.events[-1]
        assert last["event"] == "done"
        released: int = last["released"]
        return released

    @property
    def began_ms(self) -> int:
        """When the cheat began, its term open; Unix milliseconds."""
        return self._time_of("cheating")

    @property
    def ended_ms(self) -> int:
        """When the last answer had come; Unix milliseconds."""
        return self._time_of("done")

    def _time_of(self, event: str) -> int:
        found: int = next(line["time_ms"] for line in self.events if line["event"] == event)
        return found

    def all_refusals(self) -> list[dict[str, Any]]:
        """The printed lines of the refusals at every step."""
        return [line for line in self.events if line["event"] in ("refused", "share_refused")]

    def refusals(self, step: str = "append") -> dict[str, tuple[str, bool]]:
        """Reason by signer at one step, and whether the refusal was signed."""
        return {
            line["signer"]: (line["reason"], line["signed"]) for line in self.all_refusals() if line["step"] == step
        }

    def explained(self, step: str) -> list[str]:
        """The refusals at one step in full, for a failed test."""
        return [f"{line['signer']}: {line['reason']}: {line['detail']}" for line in self.all_refusals()] + [
            f"asked for the step {step}"
        ]


def side_by_side(work: Sequence[Callable[[], None]]) -> None:
    """Do several things at once and raise the first failure."""
    with ThreadPoolExecutor(max_workers=max(len(work), 1)) as pool:
        for future in [pool.submit(task) for task in work]:
            future.result()


@contextmanager
def running(template: Deployment, name: str) -> Iterator[Cluster]:
    """A copy of a template, not started; everything is killed at the end."""
    root = Path(tempfile.mkdtemp(prefix=name[:12] + "-", dir=session_folder()))
    root.rmdir()
    cluster = Cluster(copied(template, root))
    try:
        yield cluster
    finally:
        cluster.kill()
        shutil.rmtree(root, ignore_errors=True)
