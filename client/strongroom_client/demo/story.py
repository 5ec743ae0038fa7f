"""The demonstration: the main job from the first key to the audited payment, then a coordinator that cheats.

Everything is real: daemons are processes with data folders of their own, people act through the commands of the README,
the shop through the SDK, and the Bitcoin node runs Bitcoin's own consensus engine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from strongroom.model.errors import Kind, StrongroomError
from strongroom_client.demo.cheats import CHEATS, Cheat, run_cheat
from strongroom_client.demo.deployment import Deployment
from strongroom_client.demo.shop import Shop
from strongroom_client.demo.teller import Teller

__all__ = ["Story", "StoryBroken"]

VAULT: Final = "customer-hot"
PAYEE: Final = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
MINER: Final = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
COIN: Final = 100_000_000
DEPOSITS: Final = 6
_PATIENCE_S: Final = 60.0


class StoryBroken(StrongroomError):
    """A step of the demonstration did not hold; the message says which."""

    reason: ClassVar[str] = "DEMO_BROKEN"
    kind = Kind.FAILED_PRECONDITION


@dataclass(slots=True)
class Story:
    """Tells the whole story on one deployment.

    Args:
        deployment: An empty folder's.
        teller: Where it is told.
        cheater: The program that plays the dishonest coordinator; without it that part is not told.
    """

    deployment: Deployment
    teller: Teller
    cheater: Path | None = None
    orders: dict[str, str] = field(default_factory=dict)
    """Order hashes by what they are for."""
    refusals: int = 0

    def tell(self) -> None:
        """Tell it from the beginning to the end.

        Raises:
            StoryBroken, DaemonFailed: a step did not hold.
        """
        self.teller.title(
            "Strongroom",
            "A company keeps its customers' bitcoin. Nobody in it, and no computer, shall be able to move",
            "them alone. You watch it being set up, paying, being audited, and being attacked.",
        )
        self._set_up()
        self._start()
        self._make_vault()
        self._fund()
        self._order()
        self._approve()
        self._pay()
        self._audit()
        if self.cheater is None:
            self.teller.section("A coordinator that cheats", "This part was not run: no program for it was given.")
        else:
            self._cheat(self.cheater)
            self._go_on()
        self._sum_up()

    # --- the acts ---------------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        shape = self.deployment.shape
        people, signers = ", ".join(shape.treasury), ", ".join(shape.signers)
        self.teller.section(
            "Everybody gets a key of their own",
            f"{people} look after the money. {shape.machines[0]} is the shop's server. {signers} are three computers",
            "with three different owners. They all agree on one rule book, the charter.",
        )
        with self.teller.step("keys, charter, adoption by two people, certificates, pins") as said:
            self.deployment.enrol()
            said.append(f"The rule book's fingerprint: {_spaced(self.deployment.log_id.hex()[:32])} ...")
            said.append("Its main rule: up to 2.5 BTC may be paid when two people other than who asks for it approve.")

    def _start(self) -> None:
        self.teller.section(
            "Five programs start, each on its own",
            "The coordinator carries messages between them. It has no key to the money.",
        )
        with self.teller.step("a Bitcoin node (a private test chain, real rules)"):
            self.deployment.start_node()
        with self.teller.step("the coordinator"):
            self.deployment.start_coordinator()
        for name in self.deployment.shape.signers:
            with self.teller.step(f"signer {name}"):
                self.deployment.start_signer(name)
        with self.teller.step("all signers connected, each over an encrypted line with certificates on both ends"):
            self._until("three connected signers and a final log", self._all_connected)

    def _make_vault(self) -> None:
        first, *others = self.deployment.shape.treasury
        signers = ",".join(self.deployment.shape.signers)
        self.teller.section(
            "A key that nobody ever holds",
            f"{first} asks for a vault, {' and '.join(others)} approve. Then the three signers make its key together:",
            "each ends with one share, any two can sign, and the whole key never exists anywhere.",
        )
        with self.teller.step(f"{first} orders the vault, {' and '.join(others)} approve"):
            order = self._sign(first, "vault", "create", VAULT, "--signers", signers, "--threshold", "2")["order"]
            for name in others:
                self._sign(name, "vault", "approve", order)
        with self.teller.step("the signers generate the key and try it out") as said:
            vault = self._ask(first, "vault", "wait", VAULT)
            said.append(f"Vault {VAULT}: {vault['threshold']} of {', '.join(vault['signers'])}")

    def _fund(self) -> None:
        first = self.deployment.shape.treasury[0]
        self.teller.section(
            "Money comes in",
            f"{first}'s own computer works out the addresses from the proven vault. It asks nobody for them.",
        )
        with self.teller.step(f"{DEPOSITS} deposits of 50 BTC, mined and confirmed") as said:
            for index in range(DEPOSITS):
                address = self._ask(first, "vault", "address", VAULT, "--index", str(index))["address"]
                if index == 0:
                    said.append(f"First address: {address}")
                self.deployment.rpc("generatetoaddress", 1, address)
            self.deployment.rpc("generatetoaddress", 100, MINER)
            self._until("the coordinator to see the deposits", self._all_deposited)

    def _order(self) -> None:
        self.teller.section(
            "Customers want their money",
            "The shop's server asks for three withdrawals. It can ask; it cannot approve.",
        )
        wanted = {"first": 50_000_000, "second": 25_000_000, "third": 100_000_000}
        with self.teller.step("three withdrawals ordered, each signed by the shop and proven to be in the log") as said:
            self.orders = Shop(self.deployment).order(VAULT, PAYEE, wanted)
            self._until("the orders to be final", self._all_final)
            for name, amount in wanted.items():
                said.append(f"{name}: {amount / COIN:g} BTC to {PAYEE}, order {self.orders[name][:16]}")

    def _approve(self) -> None:
        first, second, *_ = self.deployment.shape.treasury
        self.teller.section(
            f"{first.capitalize()} and {second} look, and approve with their own keys",
            "What they see is worked out on their own computers from the very bytes they are going to sign.",
        )
        shown = self._as(first, "withdraw", "show", self.orders["first"])
        self.teller.quote(shown, heading=f"{first}'s screen")
        with self.teller.step(f"{first} approves all three, {second} approves the first two"):
            for name in ("first", "second", "third"):
                self._sign(first, "withdraw", "approve", self.orders[name])
            for name in ("first", "second"):
                self._sign(second, "withdraw", "approve", self.orders[name])

    def _pay(self) -> None:
        self.teller.section(
            "The signers judge for themselves, and sign",
            "Each signer replays the log, checks the people's signatures, the rules and the transaction, and only then",
            "gives its part of the signature. Two parts make one; the Bitcoin node accepts it.",
        )
        with self.teller.step("signed, accepted by the Bitcoin node, mined, confirmed") as said:
            for name in ("first", "second"):
                status = self._paid(name)
                said.append(f"{name}: paid in transaction {status['coordinator']['plans'][-1]['txid']}")
        third = self._ask(self.deployment.shape.treasury[0], "withdraw", "show", self.orders["third"])
        if third["status"] != "open":
            raise StoryBroken(f"the third withdrawal has one approval and is {third['status']}, not open")
        self.teller.note("third: not paid, because one approval is missing", style="yellow")

    def _audit(self) -> None:
        self.teller.section(
            "An auditor checks everything again",
            "From the first entry: every approval, every rule, every vote, and every payment on the chain.",
        )
        with self.teller.step("the whole history replayed and held against the Bitcoin node") as said:
            audit = self._verify()
            chain = audit["chain"]
            said.append(
                f"{audit['entries']} entries, {audit['votes']} votes, {audit['orders']} orders: all in order. "
                f"{chain['paid_orders']} withdrawals paid, none twice."
            )

    def _cheat(self, cheater: Path) -> None:
        self.teller.section(
            "The coordinator turns dishonest",
            "The honest coordinator stops. A thief takes its place, with its certificate and all its data, and speaks",
            "the same language. It tries four frauds. Watch what every signer answers.",
        )
        if self.deployment.coordinator is not None:
            self.deployment.coordinator.stop()
        for cheat in CHEATS:
            self.teller.note("")
            self.teller.note(f"The thief {cheat.story}", style="bold")
            self._one_cheat(cheater, cheat)

    def _one_cheat(self, cheater: Path, cheat: Cheat) -> None:
        words = self._withheld_approval() if cheat.needs_words else []
        outcome = run_cheat(self.deployment, cheater, cheat, words)
        silent = set(self.deployment.shape.signers) - {refusal.signer for refusal in outcome.refusals}
        for refusal in outcome.refusals:
            self.teller.refusal(refusal.signer, refusal.reason, refusal.detail)
        if outcome.released or silent:
            raise StoryBroken(
                f"{cheat.name}: {outcome.released} signature shares were released, and no refusal came from "
                f"{', '.join(sorted(silent)) or 'nobody'}"
            )
        self.teller.note(cheat.why, style="green")
        self.refusals += len(outcome.refusals)

    def _withheld_approval(self) -> list[dict[str, str]]:
        """The second person's approval of the third withdrawal, which reaches the dishonest coordinator alone."""
        return [Shop.approval(self.deployment, self.deployment.shape.treasury[1], self.orders["third"])]

    def _go_on(self) -> None:
        second = self.deployment.shape.treasury[1]
        self.teller.section(
            "An honest coordinator goes on",
            f"Nothing was lost and nothing is stuck. {second.capitalize()} approves the third withdrawal: it is paid.",
        )
        with self.teller.step("the honest coordinator starts again and takes over") as said:
            self.deployment.start_coordinator()
            self._until("three connected signers and a final log", self._all_connected)
            said.append(f"It leads in term {self._ask(second, 'status')['coordinator']['term']}.")
        with self.teller.step("the third withdrawal approved, signed, mined, confirmed") as said:
            self._sign(second, "withdraw", "approve", self.orders["third"])
            said.append(f"third: paid in transaction {self._paid('third')['coordinator']['plans'][-1]['txid']}")
        with self.teller.step("audited once more, the attack included") as said:
            audit = self._verify()
            said.append(
                f"{audit['entries']} entries verified, {audit['chain']['paid_orders']} withdrawals, none twice."
            )

    def _sum_up(self) -> None:
        lines = [
            "A vault whose key nobody has, withdrawals paid on the approval of two people, and an audit of all of it.",
        ]
        if self.cheater is not None:
            lines.append(
                f"{len(CHEATS)} frauds by the coordinator: {self.refusals} refusals, 0 signature shares released, "
                "0 satoshi lost."
            )
        self.teller.end(*lines, f"It took {self.teller.elapsed_s:.0f} seconds.")

    # --- what people do ---------------------------------------------------------------------------------------------

    def _as(self, person: str, *arguments: str) -> str:
        return self.deployment.as_person(person, *arguments)

    def _ask(self, person: str, *arguments: str) -> Any:
        return json.loads(self._as(person, *arguments, "--json"))

    def _sign(self, person: str, *arguments: str) -> Any:
        phrase = str(self.deployment.passphrase_file)
        return self._ask(person, *arguments, "--yes", "--passphrase-file", phrase)

    def _verify(self) -> Any:
        port = (self.deployment.root / "node-port").read_text().strip()
        cookie = str(self.deployment.root / "node" / ".cookie")
        node = ["--bitcoin-rpc", f"http://127.0.0.1:{port}", "--bitcoin-cookie", cookie]
        return self._ask(self.deployment.shape.treasury[0], "audit", "verify", *node)

    def _paid(self, name: str) -> Any:
        """Mine what reaches the node until a withdrawal counts as paid; return what is shown of it then."""
        person = self.deployment.shape.treasury[0]
        shown: dict[str, Any] = {}

        def check() -> bool:
            nonlocal shown
            if self.deployment.rpc("getrawmempool"):
                self.deployment.rpc("generatetoaddress", 1, MINER)
            shown = self._ask(person, "withdraw", "show", self.orders[name])
            return bool(shown["status"] == "paid")

        self._until(f"the {name} withdrawal to be paid", check)
        return shown

    def _all_connected(self) -> bool:
        told = self._ask(self.deployment.shape.treasury[0], "status")
        connected = [signer["name"] for signer in told["coordinator"]["signers"] if signer["connected"]]
        return bool(len(connected) == len(self.deployment.shape.signers) and told["coordinator"]["leading"])

    def _all_deposited(self) -> bool:
        balance = self._ask(self.deployment.shape.treasury[0], "vault", "balance", VAULT)
        return int(balance["confirmed"]) >= DEPOSITS * 50 * COIN

    def _all_final(self) -> bool:
        person = self.deployment.shape.treasury[0]
        return all(self._ask(person, "withdraw", "show", order)["final"] for order in self.orders.values())

    def _until(self, what: str, met: Callable[[], bool]) -> None:
        """Ask until something is so.

        Raises:
            StoryBroken: it is not, in a minute.
        """
        deadline = time.monotonic() + _PATIENCE_S
        problem = ""
        while time.monotonic() < deadline:
            try:
                if met():
                    return
            except StrongroomError as error:
                problem = error.message  # not ready yet: a leader needs a moment to open its term
            time.sleep(0.2)
        raise StoryBroken(f"waited {_PATIENCE_S:.0f} s for {what}; {problem}")


def _spaced(digits: str) -> str:
    return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))
