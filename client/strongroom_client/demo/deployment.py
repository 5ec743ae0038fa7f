"""One organisation on one machine: its files, its enrolment through the real commands, and its processes.

Everything an operator does by hand in the README is done here by the same programs: cards, charter, adoption,
certificates, enrolment. Nothing is prepared behind their back, except that pass phrases and words stand in files.
"""

from __future__ import annotations

import atexit
import json
import secrets
import socket
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from strongroom.model.ids import LogId
from strongroom_client.channel import Endpoint
from strongroom_client.demo.processes import Daemon, DaemonFailed, program, run_program, run_with_words

__all__ = ["Deployment", "Shape", "free_port"]

ORGANISATION: Final = "acme"
_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Who takes part. Two of `treasury` approve; `admins` adopt the charter and create vaults."""

    signers: tuple[str, ...] = ("north", "south", "west")
    treasury: tuple[str, ...] = ("alice", "bob", "carol")
    machines: tuple[str, ...] = ("shop",)
    witness_quorum: int = 2
    edit: Callable[[str], str] = str
    """Changes the charter's TOML source before it is built."""


@dataclass(slots=True, kw_only=True)
class Deployment:
    """A folder with everything in it, and the daemons that run on it."""

    root: Path
    shape: Shape = field(default_factory=Shape)
    port: int = 0
    node: Daemon | None = None
    coordinator: Daemon | None = None
    signers: dict[str, Daemon] = field(default_factory=dict)

    # --- files ------------------------------------------------------------------------------------------------------

    @property
    def log_id(self) -> LogId:
        """The pinned log id."""
        return LogId(bytes.fromhex((self.root / "log-id").read_text().strip()))

    @property
    def passphrase_file(self) -> Path:
        """One pass phrase for everybody; a demonstration's shortcut."""
        return self.root / "passphrase"

    def sheet(self, name: str) -> Path:
        """What stands here for the sheet of paper with a signer's words; a demonstration's shortcut as well."""
        return self.root / "paper" / name

    def person(self, name: str) -> Path:
        """Folder of a person's or a machine's key, certificate and profile."""
        return self.root / "people" / name

    def signer_folder(self, name: str) -> Path:
        """Data folder of a signer."""
        return self.root / "signers" / name

    @property
    def coordinator_folder(self) -> Path:
        """Data folder of the coordinator."""
        return self.root / "coordinator"

    def endpoint(self, name: str) -> Endpoint:
        """How this person's client connects."""
        folder = self.person(name)
        return Endpoint(
            address=f"127.0.0.1:{self.port}",
            ca_file=self.root / "pki" / "ca.pem",
            cert_file=folder / "cert.pem",
            key_file=folder / "tls.key",
        )

    # --- enrolment --------------------------------------------------------------------------------------------------

    def enrol(self) -> None:
        """Cards, charter, adoption, certificates, pins: everything up to the first start.

        Raises:
            DaemonFailed: a command refused; its message is in the error.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        self.passphrase_file.write_text(secrets.token_hex(16) + "\n")
        self.passphrase_file.chmod(0o600)
        self.port = self.port or free_port()
        self._make_cards()
        self._make_charter()
        self._issue_certificates()
        self._enrol_signers()
        self._init_coordinator()
        self._write_profiles()

    def strongroom(self, *arguments: str, timeout_s: float = 120.0) -> str:
        """Run the `strongroom` command."""
        return run_program([program("strongroom"), *arguments], timeout_s=timeout_s)

    def as_person(self, name: str, *arguments: str, timeout_s: float = 120.0) -> str:
        """Run the `strongroom` command with a person's profile and pass phrase file."""
        profile = str(self.person(name) / "profile.toml")
        return self.strongroom(*arguments, "--profile", profile, timeout_s=timeout_s)

    def _make_cards(self) -> None:
        phrase = ["--passphrase-file", str(self.passphrase_file)]
        strongroom, signer = program("strongroom"), program("strongroom-signer")
        commands = []
        for name in (*self.shape.treasury, *self.shape.machines):
            machine = ["--machine"] if name in self.shape.machines else []
            commands.append([strongroom, "init", "--name", name, "--out", str(self.person(name)), *phrase, *machine])
        _run_together(commands)

        def init_signer(name: str) -> None:
            command = [signer, "init", "--name", name, "--data", str(self.signer_folder(name)), *phrase]
            self.write_down(name, run_with_words(command))

        _do_together([partial(init_signer, name) for name in self.shape.signers])

    def write_down(self, name: str, words: str) -> None:
        """Keep a signer's words where `sheet` says."""
        sheet = self.sheet(name)
        sheet.parent.mkdir(mode=0o700, exist_ok=True)
        sheet.touch(mode=0o600)
        sheet.write_text(words + "\n")

    def _make_charter(self) -> None:
        people = [str(self.person(name) / "card.json") for name in (*self.shape.treasury, *self.shape.machines)]
        signers = [str(self.signer_folder(name) / "card.json") for name in self.shape.signers]
        source, built = self.root / "charter.toml", self.root / "charter.bin"
        self.strongroom("charter", "new", "--organisation", ORGANISATION, "--out", str(source), *people, *signers)
        source.write_text(self._edited(source.read_text()))
        self.strongroom("charter", "check", str(source))
        built_json = self.strongroom("charter", "build", str(source), "--out", str(built), "--json")
        (self.root / "log-id").write_text(json.loads(built_json)["log_id"] + "\n")
        phrase = ["--passphrase-file", str(self.passphrase_file)]
        adoptions = {name: str(self.root / f"adopt-{name}.json") for name in self.shape.treasury[:2]}
        adopt = [program("strongroom"), "charter", "adopt", str(built)]
        _run_together(
            [[*adopt, "--key", str(self.person(name)), "--out", out, *phrase] for name, out in adoptions.items()]
        )
        self.strongroom("charter", "genesis", str(built), *adoptions.values(), "--out", str(self.root / "genesis.bin"))

    def _edited(self, source: str) -> str:
        """The charter source with this deployment's witness quorum and edits."""
        quorum = f"witness_quorum = {self.shape.witness_quorum}"
        lines = [quorum if line.startswith("witness_quorum") else line for line in source.splitlines()]
        return self.shape.edit("\n".join(lines) + "\n")

    def _issue_certificates(self) -> None:
        pki = str(self.root / "pki")
        self.strongroom("pki", "init", "--out", pki, "--organisation", ORGANISATION)
        wanted = [
            (
                self.person(name) / "card.json",
                "integrator" if name in self.shape.machines else "person",
                self.person(name) / "cert.pem",
            )
            for name in (*self.shape.treasury, *self.shape.machines)
        ]
        wanted += [
            (self.signer_folder(name) / "card.json", "signer", self.root / f"signer-{name}.pem")
            for name in self.shape.signers
        ]
        issue = [program("strongroom"), "pki", "issue", pki]
        commands = [[*issue, "--card", str(card), "--role", role, "--out", str(out)] for card, role, out in wanted]
        hosts = ["--host", "127.0.0.1", "--host", "localhost"]
        out = str(self.root / "coordinator-tls")
        _run_together([*commands, [program("strongroom"), "pki", "issue-coordinator", pki, *hosts, "--out", out]])

    def _enrol_signers(self) -> None:
        commands = []
        for name in self.shape.signers:
            command = [program("strongroom-signer"), "enrol", "--data", str(self.signer_folder(name))]
            command += ["--charter", str(self.root / "charter.bin"), "--fingerprint", self.log_id.hex()]
            command += ["--cert", str(self.root / f"signer-{name}.pem"), "--ca", str(self.root / "pki" / "ca.pem")]
            command += ["--coordinator", f"127.0.0.1:{self.port}", "--passphrase-file", str(self.passphrase_file)]
            commands.append(command)
        _run_together(commands)

    def _init_coordinator(self) -> None:
        tls, node = self.root / "coordinator-tls", self.root / "node"
        node_port = free_port()
        (self.root / "node-port").write_text(f"{node_port}\n")
        command = [program("strongroom-coordinator"), "init", "--data", str(self.coordinator_folder)]
        command += ["--genesis", str(self.root / "genesis.bin"), "--listen", f"127.0.0.1:{self.port}"]
        command += ["--cert", str(tls / "cert.pem"), "--key", str(tls / "tls.key")]
        command += ["--ca", str(self.root / "pki" / "ca.pem")]
        command += ["--bitcoin-rpc", f"http://127.0.0.1:{node_port}", "--bitcoin-cookie", str(node / ".cookie")]
        run_program(command)

    def _write_profiles(self) -> None:
        commands = []
        for name in self.shape.treasury:
            folder = self.person(name)
            arguments = ["--coordinator", f"127.0.0.1:{self.port}", "--ca", str(self.root / "pki" / "ca.pem")]
            arguments += ["--cert", str(folder / "cert.pem"), "--key-dir", str(folder), "--log-id", self.log_id.hex()]
            commands.append([program("strongroom"), "login", *arguments, "--profile", str(folder / "profile.toml")])
        _run_together(commands)

    # --- processes --------------------------------------------------------------------------------------------------

    def start_node(self) -> None:
        """Start the regtest node."""
        port = (self.root / "node-port").read_text().strip()
        command = [program("strongroom-regtest"), "--datadir", str(self.root / "node"), "--port", port]
        self.node = Daemon("bitcoin node", command, self.root / "logs" / "node.log")
        self.node.start(ready="ready")

    def start_coordinator(self) -> None:
        """Start the coordinator."""
        command = [program("strongroom-coordinator"), "run", "--data", str(self.coordinator_folder)]
        if self.coordinator is None:
            self.coordinator = Daemon("coordinator", command, self.root / "logs" / "coordinator.log")
        self.coordinator.start()

    def start_signer(self, name: str) -> None:
        """Start one signer."""
        command = [program("strongroom-signer"), "run", "--data", str(self.signer_folder(name))]
        command += ["--passphrase-file", str(self.passphrase_file)]
        if name not in self.signers:
            self.signers[name] = Daemon(f"signer {name}", command, self.root / "logs" / f"signer-{name}.log")
        self.signers[name].start()

    def start(self) -> None:
        """Start everything."""
        self.start_node()
        self.start_coordinator()
        for name in self.shape.signers:
            self.start_signer(name)

    def stop(self) -> None:
        """Stop everything that runs."""
        for daemon in (*self.signers.values(), self.coordinator, self.node):
            if daemon is not None and daemon.running:
                daemon.stop()

    # --- the chain --------------------------------------------------------------------------------------------------

    def rpc(self, method: str, *parameters: Any) -> Any:
        """Call the Bitcoin node.

        Raises:
            DaemonFailed: it answered with an error.
        """
        port = (self.root / "node-port").read_text().strip()
        cookie = (self.root / "node" / ".cookie").read_text().strip()
        body = json.dumps({"jsonrpc": "1.0", "id": 1, "method": method, "params": parameters}).encode()
        headers = {
            "Authorization": "Basic " + b64encode(cookie.encode()).decode(),
            "Content-Type": "application/json",
        }
        request = urllib.request.Request(f"http://127.0.0.1:{port}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - loopback
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            answer = json.load(error)
        if answer.get("error"):
            raise DaemonFailed(f"the node refused {method}: {answer['error']}")
        return answer["result"]


def _run_together(commands: Sequence[Sequence[str]]) -> None:
    """Run programs that do not depend on each other, a few at a time.

    Raises:
        DaemonFailed: one of them refused.
    """
    _do_together([partial(run_program, command) for command in commands])


def _do_together(work: Sequence[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        for future in [pool.submit(task) for task in work]:
            future.result()


def free_port() -> int:
    """A TCP port of the loopback address for a daemon, kept for it until this process ends.

    A daemon starts seconds later, and may stop and start again: the system gives the port to nobody else meanwhile.
    """
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    # Set once it is bound: a daemon may now listen there beside it, and the system still calls the port taken.
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port: int = holder.getsockname()[1]
    atexit.register(holder.close)
    return port
