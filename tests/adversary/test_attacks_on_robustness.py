"""Up to n - t holders fall silent, each in another step: payments go on, hardly later than with all of them."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from actor import Actor, actors, funded_vault, ready
from cluster import VAULT, Cluster, enrolled, funded, running
from payments import approve_once, paid, payee
from silent_signer import STEPS
from strongroom_client.demo.deployment import Shape
from strongroom_client.demo.processes import Daemon

pytestmark = [pytest.mark.process, pytest.mark.slow]

PROGRAM = Path(__file__).parents[1] / "support" / "silent_signer.py"
NINE = ("north", "south", "west", "east", "upper", "lower", "inner", "outer", "middle")
FIVE_OF_NINE = "customer-cold"
AMOUNT = 10_000_000
SLACK_S = 2.0
"""For a machine that does other things too; a holder that is waited for in vain costs more."""


@dataclass
class Silent:
    """A running cluster in which some signers fall silent on a word."""

    cluster: Cluster
    vault: str
    holders: tuple[str, ...]

    def fall_silent(self, *steps: str) -> None:
        """Each of the holders in its own step; an empty step is honest."""
        for name, step in zip(self.holders, steps, strict=True):
            self.step_file(name).write_text(step)

    def step_file(self, name: str) -> Path:
        return self.cluster.root / f"step-{name}"

    def start(self) -> None:
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
        signed = asyncio.create_task(asyncio.to_thread(coordinator.wait_for, "plan.signed", after=mark, timeout_s=90))
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
    pid = silent.cluster.signer("south").pid
    async with actors(silent.cluster.deployment, "alice", "bob", "carol") as people:
        await ready(people[0])
        silent.fall_silent("")
        honest = await silent.figures(people, 3)
        silent.fall_silent(step)
        attacked = await silent.figures(people, 4)
        record_property("latency", f"all honest {in_ms(honest)}; one silent {in_ms(attacked)}")
        assert median(attacked) < 3 * max(honest) + SLACK_S
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
        assert median(attacked) < 3 * max(honest) + SLACK_S
        assert all(cluster.signer(name).running for name in NINE)


async def four_of_nine(silent: Silent) -> tuple[list[float], list[float]]:
    async with actors(silent.cluster.deployment, "alice", "bob", "carol") as people:
        await funded_vault(silent.cluster.deployment, people, FIVE_OF_NINE, coins=4, threshold=5)
        honest = await silent.figures(people, 4)
        silent.fall_silent(*STEPS)
        return honest, await silent.figures(people, 8)
