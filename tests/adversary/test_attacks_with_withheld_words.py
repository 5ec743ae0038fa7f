"""Freezes, rejections and revocations that come between the rounds, or that the coordinator keeps to itself.

Two of three signers are told, which is enough to stop a vault that two sign for. The third is not, and is the control:
it gives what is asked of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import attack_cases
from actor import Actor, actors, ready, until
from attack_cases import Case
from cluster import VAULT, Cheated, Cluster, side_by_side
from machines import PATIENCE_S, coordinator_on
from payments import AMOUNT, approved, paid, payee, payments_on_chain
from recovery_deployment import recovery_site
from siege import attacked, endured

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

BETWEEN = "on paper: a signer judges when it gives its nonces, and not again when it gives its share"
WITHHELD = "on paper: rejections, freezes and revocations that a coordinator keeps to itself"
AHEAD_MS = 601_000
"""As in the cheat `withhold-past-grace`."""


def attack(cheat: str, reason: str, title: str, *, step: str = "release", origin: str = BETWEEN) -> Any:
    """An attack that both signers that were told refuse, and sign why."""
    return attack_cases.attack(cheat, title, reason, step=step, origin=origin, signed=True, by=2)


ATTACKS = (
    attack("rejection-between-rounds", "REJECTED", "a rejection between the rounds"),
    attack("uncertified-rejection", "REJECTED", "a rejection that was logged and never certified"),
    attack("revocation-between-rounds", "APPROVALS_MISSING", "an approver's key revoked between the rounds"),
    attack("withhold-revocation", "APPROVALS_MISSING", "a revocation withheld", step="commit", origin=WITHHELD),
    attack("operator-freeze-between-rounds", "LOCAL_FREEZE", "an operator's freeze between the rounds"),
    attack("officer-freeze-between-rounds", "FROZEN", "an officer's freeze between the rounds"),
)


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    with recovery_site("words") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def outcomes(siege: Cluster) -> dict[str, Cheated]:
    """All cheats in this order: the revocation stays with those that were told, and so does the last freeze."""
    handing_in = partial(_both, siege, "hand-in", str(siege.root / "rogue" / "handed.json"))
    return _helped(
        siege,
        [str(case.values[0].cheat) for case in ATTACKS],
        {
            "rejection-between-rounds": handing_in,
            "revocation-between-rounds": handing_in,
            "officer-freeze-between-rounds": handing_in,
            "operator-freeze-between-rounds": partial(
                _both, siege, "freeze", "--vault", VAULT, "--why", "the payee looks wrong"
            ),
            "thaw": partial(_thaw, siege),
        },
    )


def _helped(siege: Cluster, cheats: Sequence[str], help_with: Mapping[str, Callable[[], None]]) -> dict[str, Cheated]:
    """Run cheats in one process, each of which waits until the operators have done what it names."""
    folder = siege.root / "rogue"
    left = dict(help_with)
    with endured(siege) as outcomes, ThreadPoolExecutor(max_workers=1) as pool:
        run = pool.submit(siege.cheats, cheats)
        while not run.done():
            name = _wanted(folder / "waiting")
            if name in left:
                left.pop(name)()
                (folder / "go").touch()
            time.sleep(0.02)
        outcomes.update(run.result())
    assert not left, f"nobody waited for {', '.join(left)}"
    return outcomes


def _wanted(waiting: Path) -> str:
    """What the cheater waits for, if it waits; it takes the file away when it goes on."""
    try:
        return waiting.read_text()
    except FileNotFoundError:
        return ""


def _both(siege: Cluster, command: str, *arguments: str) -> None:
    """Run an operator's command at both signers that are told."""

    def tell(name: str) -> None:
        done = siege.signer_command(name, command, *arguments)
        assert done.returncode == 0, done.stderr

    side_by_side([partial(tell, name) for name in siege.signers[:2]])


def _thaw(siege: Cluster) -> None:
    for name in siege.signers[:2]:
        for freeze in siege.signer_status(name)["local_freezes"]:
            done = siege.signer_command(name, "thaw", freeze["id"])
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("case", ATTACKS)
def test_a_signer_that_was_told_gives_no_share(outcomes: dict[str, Cheated], case: Case) -> None:
    case.check(outcomes)


def test_the_signer_that_was_not_told_gives_its_own_and_nobody_refuses_after_a_thaw(
    siege: Cluster, outcomes: dict[str, Cheated]
) -> None:
    """So it was the word, and nothing else, for which the others refused."""
    shares = {name: outcome.events[-1]["honest_shares"] for name, outcome in outcomes.items()}
    assert shares == {
        "rejection-between-rounds": 1,
        "uncertified-rejection": 1,
        "revocation-between-rounds": 1,
        "withhold-revocation": 0,
        "operator-freeze-between-rounds": 3,
        "officer-freeze-between-rounds": 1,
    }
    assert _told_of(outcomes["withhold-revocation"], "committed") == [siege.signers[2]]


def _told_of(outcome: Cheated, event: str) -> list[str]:
    signers: list[str] = next(line["signers"] for line in outcome.events if line["event"] == event)
    return signers


@pytest.mark.attack(line="coordinator", title="words withheld for longer than ten minutes", origin=WITHHELD)
async def test_attack_words_withheld_past_the_grace(siege: Cluster, outcomes: dict[str, Cheated]) -> None:
    """By then both that were told do not even vote; once an honest coordinator has logged the words, all go on."""
    assert outcomes
    for name in siege.signers:
        siege.signer(name).stop()
        siege.launch_signer(name, "--shift-ms", str(AHEAD_MS))
    outcome = attacked(siege, "withhold-past-grace", "append", "WORDS_WITHHELD", by=2)
    assert _told_of(outcome, "voted") == [siege.signers[2]]
    clock = siege.root / "clock-ahead"
    clock.write_text(str(AHEAD_MS))
    coordinator_on(siege, "--clock", str(clock))
    destination = payee()
    async with actors(siege.deployment, "alice", "bob", "dave") as people:
        await ready(people[0], timeout_s=PATIENCE_S)
        await until(partial(_nothing_kept, siege), timeout_s=PATIENCE_S)
        await _unfrozen(people)
        await paid(siege, people[0], await approved(people, destination))
        charter = (await people[0].client.trust()).charter
    assert "carol" not in {person.name for person in charter.people}
    assert payments_on_chain(siege, destination) == [AMOUNT]
    assert all(siege.signer_status(name)["alarm"] is None for name in siege.signers)


async def _nothing_kept(siege: Cluster) -> bool:
    """Whether every word that was handed in is final in the log."""
    return all(siege.signer_status(name)["inbox"] == 0 for name in siege.signers)


async def _unfrozen(people: tuple[Actor, ...]) -> None:
    """Have the freeze lifted by the quorum, after the charter's delay of a second."""
    first, *others = people
    for freeze in await first.client.freezes():
        order = await first.unfreeze(freeze.id)
        for other in others:
            await other.approve(order)

    async def lifted() -> bool:
        return all(freeze.lifted for freeze in await first.client.freezes())

    await until(lifted, timeout_s=PATIENCE_S)
