"""A sweep with the recovery kit after everything has stopped: real processes, files passed in folders, nothing running.

    swept = sweep(deployment, vault="customer-hot", log=exported, head=head, to=address, folder=tmp_path)

Only the Bitcoin node of the deployment must run. What the kit is given is the exported log, the words on the sheets and
the keys of two administrators; the data folders of coordinator and signers may be gone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actor import burn_address
from strongroom_client.demo.deployment import Deployment
from strongroom_client.demo.processes import DaemonFailed, program, run_program, run_with_words

MAX_FEE = 50_000
RATE = 3


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What was sent: transaction id as people see it, its bytes, what it pays, and the folder of the exchange."""

    txid: str
    transaction: bytes
    amount_sat: int
    fee_sat: int
    exchange: Path


@dataclass(frozen=True, kw_only=True)
class KitTable:
    """The table at which the kit is used: files in one folder, people with keys, holders with sheets."""

    deployment: Deployment
    log: Path
    head: str
    folder: Path

    @property
    def pins(self) -> list[str]:
        """What people compared."""
        return ["--fingerprint", self.deployment.log_id.hex(), "--head", self.head]

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def kit(self, command: str, *arguments: str, log: bool = True) -> Any:
        """Run one command of the kit."""
        given = ["--log", str(self.log)] if log else []
        line = [program("strongroom"), "recovery-kit", command, *arguments, *given, "--json"]
        return json.loads(run_program(line))

    def ordered(self, vault: str, to: str, people: Sequence[str], *, max_fee: int = MAX_FEE) -> str:
        """Make an order and have people approve it; the hash of the order."""
        asked = ["--vault", vault, "--to", to, "--max-fee", str(max_fee), "--out", self.path("order.json")]
        order: str = self.kit("order", *asked)["order"]
        for person in people:
            self.approve(person)
        return order

    def approve(self, person: str) -> None:
        """Add a person's approval to the order."""
        key = ["--key", str(self.deployment.person(person))]
        key += ["--passphrase-file", str(self.deployment.passphrase_file)]
        self.kit("approve", self.path("order.json"), *key, *self.pins, "--yes")

    def planned(self, vault: str, signers: Sequence[str], *, rate: int = RATE) -> Any:
        """Look for the vault's coins with the node, and plan."""
        (described,) = [one for one in self.kit("describe", "--search", "100")["vaults"] if one["vault"] == vault]
        coins = self.deployment.rpc("scantxoutset", "start", described["scan"])
        (self.folder / "coins.json").write_text(json.dumps(coins))
        given = ["--order", self.path("order.json"), "--coins", self.path("coins.json"), "--fee-rate", str(rate)]
        given += [part for name in signers for part in ("--signer", name)]
        return self.kit("plan", *given, "--out", self.path("plan.json"))

    def sign(self, name: str, exchange: Path, *options: str, words: str = "") -> str:
        """Sign with a holder's words, at a machine of its own; what it said."""
        line = [program("strongroom"), "recovery-kit", "sign", "--log", str(self.log), "--signer", name]
        line += ["--order", self.path("order.json"), "--plan", self.path("plan.json"), "--exchange", str(exchange)]
        line += [*self.pins, "--wait", "--timeout", "60s", "--yes", *options]
        return run_with_words(line, words or self.deployment.sheet(name).read_text().strip())

    def signed(self, exchange: Path, signers: Sequence[str]) -> None:
        """All of them sign, each in a process of its own."""
        exchange.mkdir()
        with ThreadPoolExecutor(len(signers)) as machines:
            for done in [machines.submit(self.sign, name, exchange) for name in signers]:
                done.result()

    def combined(self, exchange: Path) -> Any:
        """Make the transaction."""
        given = ["--plan", self.path("plan.json"), "--exchange", str(exchange), "--out", self.path("transaction.hex")]
        return self.kit("combine", *given, log=False)

    def sent(self, transaction: str) -> str:
        """Send it and mine a block; its id."""
        txid: str = self.deployment.rpc("sendrawtransaction", transaction)
        self.deployment.rpc("generatetoaddress", 1, burn_address())
        if self.deployment.rpc("getrawtransaction", txid, True).get("confirmations") != 1:
            raise DaemonFailed(f"the node did not confirm {txid}")
        return txid


def sweep(
    deployment: Deployment,
    *,
    vault: str,
    log: Path,
    head: str,
    to: str,
    folder: Path,
    signers: Sequence[str] = ("north", "west"),
    people: Sequence[str] = ("alice", "bob"),
    rate: int = RATE,
) -> Swept:
    """Move a vault, from the order to the confirmed transaction.

    Args:
        deployment: Its node runs; nothing else needs to.
        vault: The vault.
        log: An exported log.
        head: Its head, or an earlier one that people compared, as SIZE:ROOT.
        to: Where everything goes.
        folder: Where the files are passed; made if it is not there.
        signers: Those whose sheets are used, as many as the vault's threshold.
        people: Administrators who approve.
        rate: Fee rate in satoshi for each virtual byte.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = KitTable(deployment=deployment, log=log, head=head, folder=folder)
    table.ordered(vault, to, people)
    plan = table.planned(vault, signers, rate=rate)
    exchange = folder / "exchange"
    table.signed(exchange, signers)
    made = table.combined(exchange)
    txid = table.sent(made["transaction"])
    return Swept(
        txid=txid,
        transaction=bytes.fromhex(made["transaction"]),
        amount_sat=plan["amount_sat"],
        fee_sat=plan["fee_sat"],
        exchange=exchange,
    )
