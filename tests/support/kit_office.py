"""The files that people have when nothing runs any more: an exported log, keys, sheets of words, and a folder to share.

office = KitOffice.opened(tmp_path)
office.run("describe", "--log", str(office.log))
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

import charter_builder as builder
from fake_treasury import CertifiedWorld
from kit_world import MAX_FEE, SAFE, VAULT, Kit
from ledger_world import World
from paper import typed
from strongroom.chains.bitcoin.transaction import txid_text
from strongroom.crypto import sealed
from strongroom.crypto.secret import SecretBytes
from strongroom.crypto.seed_words import words_of
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Tick
from strongroom.wire.log_export import LogExportWriter
from strongroom_client.cli import main

PASSPHRASE = "correct horse battery"


def exported(world: CertifiedWorld, recovery: Iterable[bytes]) -> bytes:
    """What `export-log` writes of a world."""
    writer = LogExportWriter(world.log_id)
    pieces = [writer.begin()]
    for preview in world.previews:
        voted = world.certificates.get(preview.size)
        certificate = b"" if voted is None else codec.encode(voted)
        pieces.append(writer.batch(preview.batch.first_index, preview.batch.entries, certificate))
    pieces += writer.recovery(list(recovery))
    return b"".join([*pieces, writer.end()])


@dataclass
class KitOffice:
    """A folder with everything in it."""

    root: Path
    kit: Kit

    @classmethod
    def opened(cls, root: Path) -> KitOffice:
        world = CertifiedWorld.started()
        world.make_vault(VAULT)
        world.log(Tick())
        office = cls(root, Kit(world))
        office.export()
        (root / "passphrase").write_text(PASSPHRASE + "\n")
        for name in ("alice", "bob", "dave"):
            office.make_key(name)
        (root / "exchange").mkdir()
        return office

    @property
    def world(self) -> World:
        return self.kit.world

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def head(self) -> str:
        size = self.world.replica.size
        return f"{size}:{(self.world.replica.root_at(size) or b'').hex()}"

    @property
    def pins(self) -> tuple[str, ...]:
        """What people compared."""
        return ("--fingerprint", self.world.log_id.hex(), "--head", self.head)

    def path(self, name: str) -> str:
        return str(self.root / name)

    def export(self, *recovery: bytes, name: str = "log") -> Path:
        """Export the log again, with its recovery data if no other is given."""
        assert isinstance(self.world, CertifiedWorld)
        file = self.root / name
        file.write_bytes(exported(self.world, recovery or self.world.recovery_data.values()))
        return file

    def make_key(self, name: str) -> None:
        """A person's key folder."""
        folder = self.root / name
        folder.mkdir()
        key = builder.signing_key(name)
        content = sealed.seal(
            "person",
            {"name": name, "public": key.public.hex()},
            SecretBytes(bytearray(builder.seed(name))),
            SecretBytes(bytearray(PASSPHRASE.encode())),
            cost=sealed.Cost(memory_kib=8, passes=1),
            random=self.world.fresh,
        )
        (folder / "person.sealed").write_bytes(content)

    # --- commands --------------------------------------------------------------------------------------------------

    def run(self, *arguments: str, code: int = 0, typed: str = "") -> Result:
        """Run a command of the kit, and expect an exit code."""
        done = CliRunner().invoke(main, ["recovery-kit", *arguments], input=typed or None)
        assert done.exit_code == code, done.output
        return done

    def json(self, *arguments: str, **options: Any) -> Any:
        return json.loads(self.run(*arguments, "--json", **options).stdout)

    def order(self, *, name: str = "order.json", **options: str) -> Any:
        """Write an order; options replace its own."""
        asked = {"vault": VAULT, "to": SAFE, "max-fee": str(MAX_FEE), **options}
        given = [part for option, value in asked.items() for part in (f"--{option}", value)]
        return self.json("order", "--log", str(self.log), *given, "--out", self.path(name))

    def approve(self, person: str, *, name: str = "order.json", code: int = 0) -> Result:
        key = ("--key", self.path(person), "--passphrase-file", self.path("passphrase"))
        return self.run("approve", self.path(name), "--log", str(self.log), *key, *self.pins, "--yes", code=code)

    def coins(self, *amounts: int) -> Path:
        """A list of coins at the vault's first addresses."""
        file = self.root / "coins.json"
        found = [self.kit.coin(amount, index=index) for index, amount in enumerate(amounts or (90_000, 60_000))]
        unspents = [
            {
                "txid": txid_text(one.txid),
                "vout": one.vout,
                "scriptPubKey": one.script.hex(),
                "amount": one.amount_sat / 1e8,
            }
            for one in found
        ]
        file.write_text(json.dumps({"success": True, "height": 500, "unspents": unspents}))
        return file

    def plan(self, *, name: str = "plan.json", signers: tuple[str, ...] = ("s1", "s3"), code: int = 0) -> Result:
        given = ["--order", self.path("order.json"), "--coins", str(self.coins()), "--fee-rate", "5"]
        given += [part for signer in signers for part in ("--signer", signer)]
        return self.run("plan", "--log", str(self.log), *given, "--out", self.path(name), "--json", code=code)

    def ordered(self) -> None:
        """An approved order and its plan."""
        self.order()
        self.approve("alice")
        self.approve("bob")
        self.plan()

    def sign(self, signer: str = "s1", *, words_of_signer: str = "", code: int = 0, **options: str) -> Result:
        """Sign with the words of a signer; options replace the files and what was compared."""
        files = {"log": "log", "order": "order.json", "plan": "plan.json", "exchange": "exchange"}
        asked = {**{option: self.path(file) for option, file in files.items()}, "timeout": "5s"}
        asked |= {"fingerprint": self.world.log_id.hex(), "head": self.head, **options}
        given = [part for option, value in asked.items() for part in (f"--{option}", value)]
        words = list(words_of(builder.host_secret(words_of_signer or signer)))
        with typed(words) as pipe:
            return self.run("sign", *given, "--signer", signer, "--words-fd", str(pipe), "--wait", "--yes", code=code)
