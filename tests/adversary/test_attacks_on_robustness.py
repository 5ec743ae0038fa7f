"""Up to n - t holders fall silent, each in another step: no payment is later than it takes to begin another set."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from actor import Actor, actors, funded_vault, ready, until
from cluster import VAULT, Cluster, enrolled, funded, running
from payments import approve_once, connected, paid, payee
from siege import nobody_is_blamed
from silent_signer import SILENT, STEPS
from strongroom.protocol.signing import BUSY_MS
from strongroom_client.demo.deployment import Shape
from strongroom_client.demo.processes import Daemon
from strongroom_coordinator.standing import HEDGE_MOST_MS

pytestmark = [pytest.mark.process, pytest.mark.slow]

PROGRAM = Path(__file__).parents[1] / "support" / "silent_signer.py"
NINE = ("north", "south", "west", "east", "upper", "lower", "inner", "outer", "middle")
FIVE_OF_NINE = "customer-cold"
AMOUNT = 10_000_000
WAIT_S = max(HEDGE_MOST_MS, BUSY_MS) / 1_000
"""The longest that a plan waits for holders: the hedge, or the patience with one that is at work."""
SLACK_S = 20.0
"""For the slowest payment, on a machine that does other things too."""
USUAL_SLACK_S = 2.0
"""For one in the middle. Another wait, for votes or as the last resort, would take longer than this."""
VOTES_WITHIN_S = 60
"""How long the coordinator waits for votes here, so that waiting until that is over takes far longer than the slack."""
PAYMENTS = 4
MOST_PAYMENTS = 16


@dataclass
class Silent:
    """A running cluster in which some signers fall silent on a word."""

    cluster: Cluster
    vault: str
    holders: tuple[str, ...]
    marks: dict[str, int] = field(default_factory=dict)
    """Where in its log each of the holders began to be silent."""

    def fall_silent(self, *steps: str) -> None:
        """Each of the holders in its own step; an empty step is honest."""
        for name, step in zip(self.holders, steps, strict=True):
            self.marks[name] = len(self.cluster.signer(name).events)
            self.step_file(name).write_text(step)

    def not_met(self, steps: Sequence[str]) -> list[str]:
        """Those of the holders that have not been silent yet in the step that is theirs."""
        return [
            name
            for name, step in zip(self.holders, steps, strict=True)
            if not any(
                line.get("event") == SILENT and line["step"] == step
                for line in self.cluster.signer(name).events[self.marks[name] :]
            )
        ]

    async def attacked(self, people: Sequence[Actor], *steps: str) -> list[float]:
        """Payments while the holders are silent, until each was met in its step."""
        self.fall_silent(*steps)
        figures: list[float] = []
        while len(figures) < PAYMENTS or self.not_met(steps):
            assert len(figures) < MOST_PAYMENTS, f"never met: {self.not_met(steps)}"
            figures.append(await self.pay(people))
        return figures

    def check_delays_nobody(self, honest: list[float], attacked: list[float]) -> None:
        """A payment is no later than by one wait, and one more session for each silent holder.

        All silent holders of a plan cost one wait together, for after it every holder is asked, and a set opens
        whenever any t are ready. Each of the silent may spoil one set then; the set after it takes no longer than
        what a whole payment takes when all are honest.
        """
        bound = WAIT_S + (1 + len(self.holders)) * max(honest) + SLACK_S
        assert max(attacked) < bound, f"{in_ms(attacked)}; at most {in_ms([bound])} with {in_ms(honest)} before"
        usual = WAIT_S + (1 + len(self.holders)) * max(honest) + USUAL_SLACK_S
        assert median(attacked) < usual, f"{in_ms(attacked)}; usually {in_ms([usual])} with {in_ms(honest)} before"

    def step_file(self, name: str) -> Path:
        return self.cluster.root / f"step-{name}"

    def start(self) -> None:
        config = self.cluster.deployment.coordinator_folder / "coordinator.toml"
        patience = f"[ledger]\nvote_timeout_ms = {VOTES_WITHIN_S * 1_000}"
        config.write_text(config.read_text().replace("[ledger]", patience))
        self.cluster.start(signers=[name for name in self.cluster.signers if name not in self.holders])
        for name in self.holders:
            command = [sys.executable, str(PROGRAM), "--step-file", str(self.step_file(name))]
            command += ["--", *self.cluster.signer_arguments(name)]
            log = self.cluster.root / "logs" / f"signer-{name}.log"
            daemon = self.cluster.deployment.signers[name] = Daemon(f"signer {name}", command, log)
            daemon.start()

    async def pay(self, people: Sequence[Actor]) -> float:
        """One payment; the seconds from before its last approval until its plan is signed."""
        alice, bob, carol = people
        coordinator = self.cluster.coordinator
        order = await alice.pay(self.vault, payee(), AMOUNT)
        await bob.approve(order)
        mark = len(coordinator.events)
        signed = asyncio.create_task(asyncio.to_thread(coordinator.wait_for, "plan.signed", after=mark, timeout_s=120))
        begun = time.monotonic()
        await approve_once(carol, order)
        await signed
        took = time.monotonic() - begun
        await paid(self.cluster, alice, order)
        return took

    async def figures(self, people: Sequence[Actor], count: int) -> list[float]:
        return [await self.pay(people) for _ in range(count)]


def in_ms(figures: list[float]) -> str:
    return ", ".join(f"{1000 * each:.0f}" for each in figures) + " ms"


@pytest.fixture(scope="module")
def one_of_three() -> Iterator[Silent]:
    with running(funded(), "silent") as cluster:
        silent = Silent(cluster, VAULT, ("south",))
        silent.start()
        yield silent


def silence(step: str, title: str) -> Any:
    origin = "ROAST 2022: one silent signer stops FROST until a human removes it"
    marks = [pytest.mark.attack(line="holders", title=title, origin=origin)]
    return pytest.param(step, marks=marks if step == "share" else [pytest.mark.campaign, *marks])


@pytest.mark.parametrize(
    "step",
    [
        silence("share", "one holder gives no share"),
        silence("vote", "one holder answers no batch"),
        silence("commitments", "one holder votes without its nonce commitments"),
        silence("leaves", "one holder breaks its link instead of giving a share"),
    ],
)
async def test_one_silent_holder_of_three_delays_nobody(one_of_three: Silent, step: str, record_property: Any) -> None:
    silent = one_of_three
    # One that just started remembers no bad experience with anybody, and asks the silent one first in its turn.
    silent.cluster.restart_coordinator()
    pid = silent.cluster.signer("south").pid
    async with actors(silent.cluster.deployment, "alice", "bob", "carol") as people:
        await ready(people[0])
        await until(lambda: connected(people[0], 3))
        silent.fall_silent("")
        honest = await silent.figures(people, 3)
        attacked = await silent.attacked(people, step)
        record_property("latency", f"all honest {in_ms(honest)}; one silent {in_ms(attacked)}")
        silent.check_delays_nobody(honest, attacked)
        nobody_is_blamed(silent.cluster)
        assert silent.cluster.signer("south").pid == pid


@pytest.mark.campaign
@pytest.mark.attack(
    line="holders",
    title="four of nine holders silent, each in another step",
    origin="ROAST 2022: FROST blocks on any missing signer; n - t of them choose where they fall silent",
)
def test_four_of_nine_silent_in_four_steps_delay_nobody(record_property: Any) -> None:
    with running(enrolled(Shape(signers=NINE, witness_quorum=7)), "nine") as cluster:
        silent = Silent(cluster, FIVE_OF_NINE, NINE[1:5])
        silent.start()
        honest, attacked = asyncio.run(four_of_nine(silent))
        record_property("latency", f"all honest {in_ms(honest)}; four silent {in_ms(attacked)}")
        silent.check_delays_nobody(honest, attacked)
        nobody_is_blamed(silent.cluster)
        assert all(cluster.signer(name).running for name in NINE)


async def four_of_nine(silent: Silent) -> tuple[list[float], list[float]]:
    async with actors(silent.cluster.deployment, "alice", "bob", "carol") as people:
        await funded_vault(silent.cluster.deployment, people, FIVE_OF_NINE, coins=4, threshold=5)
        honest = await silent.figures(people, 4)
        return honest, await silent.attacked(people, *STEPS)
