"""Real signers of which two lost their disks: recovered from words, they follow the administrators' restart.

lost = LostDisks.started(tmp_path)            # s1 survives; s2 and s3 are recovered from words, under new vote keys
restart = lost.restart()                      # by alice and bob, from s1's highest certificate
lost.pin("s1", restart)                       # what `strongroom-signer restart` does
lost.go_on(restart)                           # the same three, in the log that begins there
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import charter_builder as builder
from paper import typed
from restart_world import RestartWorld, approval
from signer_world import CHEAP, PASSPHRASE, VAULT, Cluster, open_folder
from strongroom.crypto.secret import SecretBytes
from strongroom.crypto.seed_words import words_of
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.charter import Charter
from strongroom.ledger.entry_messages import Restart
from strongroom.ledger.founding import restart_log_id, statement_of
from strongroom.ledger.state import State
from strongroom.protocol.restart import draft_restart
from strongroom.wire.cards import parse_card
from strongroom.wire.restart_file import encode_restart_file
from strongroom_signer.log_export import export
from strongroom_signer.main import run

NAMES = ("s1", "s2", "s3")
LOST = ("s2", "s3")


class LostDisks:
    """A cluster, and what people type at each signer's machine; `out` and `err` are what was printed last."""

    def __init__(self, cluster: Cluster, root: Path) -> None:
        self.cluster = cluster
        self.world = RestartWorld(cluster.world)
        self.root = root
        self.code = 0
        self.out = self.err = ""
        (root / "phrase").write_bytes(PASSPHRASE)

    @classmethod
    def started(cls, root: Path, *, recovered: Sequence[str] = LOST, waiting: bool = False) -> LostDisks:
        """A planned payment is certified, and one that waits for its plan when that is asked for.

        Then the disks of s2 and s3 are lost, and those named are recovered.
        """
        cluster = Cluster.started(root / "signers")
        cluster.plan()
        if waiting:
            cluster.world.pay(VAULT, 77_000)
        cluster.tick(2)
        cluster.deliver()
        lost = cls(cluster, root)
        lost.lose()
        for name in recovered:
            lost.recover(name)
        return lost

    def close(self) -> None:
        self.cluster.close()

    # --- disks and words -----------------------------------------------------------------------------------------

    def lose(self) -> None:
        self.export("s1", self.root / "log")
        for name in LOST:
            self.stop(name)

    def stop(self, name: str) -> None:
        signer = self.cluster.signers.pop(name, None)
        if signer is not None:
            signer.close()

    def start(self, name: str) -> None:
        self.cluster.signers[name] = open_folder(self.cluster.folders[name], self.cluster.clock)

    def export(self, name: str, file: Path) -> None:
        file.write_bytes(b"".join(export(self.cluster.signers[name].store, self.cluster.world.log_id)))

    def recover(self, name: str, *, fingerprint: str = "", label: str = "again") -> Any:
        folder = self.root / f"{name}-{label}"
        copy = self.cluster.signers["s1"].copy
        root = copy.replica.root_at(copy.final_size) or b""
        sheet = list(words_of(SecretBytes(builder.seed(f"{name} host"))))
        made = self.type(
            *("recover", "--name", name, "--passphrase-file", str(self.root / "phrase")),
            *("--log", str(self.root / "log"), "--head", f"{copy.final_size}:{root.hex()}"),
            *("--fingerprint", fingerprint or self.cluster.world.log_id.hex()),
            folder=folder,
            sheet=sheet,
        )
        self.cluster.folders[name] = folder
        return made

    def type(self, *arguments: str, folder: Path, sheet: Sequence[str] | None = None) -> Any:
        out, err = io.StringIO(), io.StringIO()
        command = [*arguments, "--data", str(folder), "--json"]
        with typed(sheet or []) as pipe:
            if sheet is not None:
                command += ["--words-fd", str(pipe)]
            self.code = run(command, clock=self.cluster.clock, random=os.urandom, cost=CHEAP, out=out, err=err)
        self.out, self.err = out.getvalue(), err.getvalue()
        return json.loads(self.out) if self.out else {}

    @property
    def reason(self) -> str:
        """The stable reason of the error that was printed last."""
        return str(json.loads(self.err)["error"]["reason"]) if self.err else ""

    # --- the administrators ----------------------------------------------------------------------------------------

    @property
    def certificate(self) -> Certificate:
        """The highest that s1 holds."""
        held = self.cluster.signers["s1"].voting.state.held
        assert held is not None
        return held

    def charter(self) -> Charter:
        """The charter in force with new keys for those who were lost."""
        old = self.state_at(self.certificate.head.size).charter
        new = {name: self._keys(name) for name in LOST}
        signers = tuple(
            replace(one, vote_key=new[one.name][0], witness_key=new[one.name][1]) if one.name in new else one
            for one in old.signers
        )
        return replace(old, version=old.version + 1, signers=signers)

    def _keys(self, name: str) -> tuple[bytes, bytes]:
        """The vote and witness keys of the card of one who was recovered, or some that nobody used before."""
        card = self.cluster.folders[name] / "card.json"
        if card.exists():
            keys = parse_card(card.read_text()).keys
            return keys["vote"], keys["witness"]
        made = builder.signer(f"{name}-new")
        return made.vote_key, made.witness_key

    def state_at(self, size: int) -> State:
        return self.cluster.world.replica.state(size)

    def restart(
        self,
        charter: Charter | None = None,
        *,
        certificate: Certificate | None = None,
        approvers: Sequence[str] = ("alice", "bob"),
        made_ms: int = 0,
    ) -> Restart:
        """A restart from the highest certificate of s1, or another one."""
        named = certificate or self.certificate
        drafted = draft_restart(
            self.state_at(named.head.size),
            named,
            charter or self.charter(),
            now_ms=made_ms or self.cluster.clock.wall_ms(),
        )
        return replace(drafted, approvals=tuple(approval(drafted, person) for person in approvers))

    # --- the operators ---------------------------------------------------------------------------------------------

    def pin(self, name: str, restart: Restart, *, fingerprint: str = "", log: Path | None = None) -> Any:
        """What the operator of a stopped signer types."""
        file = self.root / "restart"
        file.write_bytes(encode_restart_file(restart))
        self.stop(name)
        command = ["restart", str(file), "--fingerprint", fingerprint or restart_log_id(restart).hex()]
        if log is not None:
            command += ["--log", str(log)]
        return self.type(*command, folder=self.cluster.folders[name])

    def go_on(self, restart: Restart) -> None:
        """Start all signers in the log that the restart founds, and lead it."""
        cluster, statement = self.cluster, statement_of(restart)
        kept = [one for one in cluster.world.previews if one.size <= statement.head.size]
        cluster.world.previews = kept
        cluster.world.replica.truncate(statement.head.size)
        self.world.found(restart)
        cluster.world.charter = cluster.world.state.charter
        cluster.term, cluster.certificate, cluster.sent = 0, None, len(cluster.world.previews)
        for name in NAMES:
            self.stop(name)
            self.start(name)
