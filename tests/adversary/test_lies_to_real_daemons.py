"""The main lies of a signer, told to a real coordinator by a real signer process, beside two honest ones.

`test_attacks_by_signers.py` tells every lie, in one process. Here the coordinator and the honest signers must be the
same processes after each lie, and the payment made meanwhile must be on the chain exactly once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from actor import Actor, actors, ready, until
from cluster import VAULT, Cluster, funded, running
from payments import approved, connected, paid, payee, payments_on_chain
from rogue import Rogue, asked_for_the_log, turn_rogue
from strongroom.ledger.signed_messages import Verdict
from strongroom_client.answers import ExplainedOrder
from strongroom_client.demo.processes import Daemon, program, run_program

pytestmark = [pytest.mark.process, pytest.mark.slow]

AMOUNT = 100_000
SIGNED_WITHIN_S = 15.0
"""From the last approval to the final transaction, whatever the liar does; for a machine that does other things too."""
TRIES = 12
ROAST = "ROAST 2022: one bad signer stops FROST until a human removes it"
VOTES = "on paper: one liar among those whose votes make the log"
TERMS = "on paper: a term opened over statements of one liar"
FETCHED = "on paper: a coordinator that lost its database rebuilds from a liar"
WORDS = "on paper: words in the name of another signer or a person"
FRAMES = "on paper: a signer that breaks the rules of its stream"
DEALT = "ChillDKG: split views, rogue keys and raised thresholds in key generation"


@dataclass
class Siege:
    """Two honest signers, and west."""

    cluster: Cluster
    west: Rogue

    @property
    def honest(self) -> dict[str, Daemon]:
        return {name: self.cluster.signer(name) for name in self.cluster.signers if name != "west"}

    def said_of_west(self, event: str, after: int) -> bool:
        """Whether the coordinator's log has such a line about the liar."""
        lines = self.cluster.coordinator.events[after:]
        return any(line.get("event") == event and _about_west(line) for line in lines)

    def restart_on_an_empty_disk(self) -> None:
        """Lose the coordinator's database, and do what its operator is told to do then."""
        self.cluster.coordinator.stop()
        folder = self.cluster.deployment.coordinator_folder
        for path in folder.glob("coordinator.db*"):
            path.unlink()
        run_program([program("strongroom-coordinator"), "migrate", "--data", str(folder)])
        self.cluster.deployment.start_coordinator()

    async def pay(self, people: tuple[Actor, ...]) -> str:
        """One payment, signed within the bound; where it went."""
        destination = payee()
        coordinator = self.cluster.coordinator
        mark = len(coordinator.events)
        order = await approved(people, destination, AMOUNT)
        begun = time.monotonic()
        await asyncio.to_thread(coordinator.wait_for, "plan.signed", after=mark, timeout_s=SIGNED_WITHIN_S)
        assert time.monotonic() - begun < SIGNED_WITHIN_S
        await paid(self.cluster, people[0], order)
        return destination

    async def tell(self, lie: str, people: tuple[Actor, ...], event: str) -> None:
        """Have the lie told, and the coordinator say so, while payments are made, each of them exactly once.

        A payment may be signed by others before a lie is looked at, so that nothing is said of it.
        """
        mark = len(self.cluster.coordinator.events)
        self.west.lies(lie)
        for number in range(TRIES):
            destination = await self.pay(people)
            assert payments_on_chain(self.cluster, destination) == [AMOUNT]
            if self.west.has_told(lie) and self.said_of_west(event, mark):
                return
            # Holders take turns by the plan's place in the log; a tick in between shifts it.
            await asyncio.sleep(0.3 * (number % 2))
        raise AssertionError(f"{lie}: told {self.west.has_told(lie)}, {event} {self.said_of_west(event, mark)}")


def _about_west(line: dict[str, Any]) -> bool:
    return line.get("signer") == "west" or str(line.get("message", "")).startswith("west:")


@pytest.fixture(scope="module")
def siege() -> Iterator[Siege]:
    with running(funded(), "liar") as cluster:
        cluster.start(signers=[name for name in cluster.signers if name != "west"])
        yield Siege(cluster, turn_rogue(cluster, "west"))


@asynccontextmanager
async def besieging(siege: Siege, restarted: Collection[str] = ()) -> AsyncIterator[tuple[Actor, ...]]:
    """Around a lie: the honest ones are the same processes, without an alarm, and the truth is told afterwards.

    Args:
        siege: Who lies, and to whom.
        restarted: Signers that the block itself starts anew.
    """
    before = {name: daemon.pid for name, daemon in siege.honest.items() if name not in restarted}
    async with actors(siege.cluster.deployment, "alice", "bob", "carol") as people:
        await ready(people[0])
        await until(lambda: connected(people[0], 3))
        try:
            yield people
        finally:
            siege.west.lies("")
        honest = siege.honest
        assert {name: honest[name].pid for name in before if honest[name].running} == before
        assert all(daemon.running for daemon in honest.values())
        assert siege.cluster.coordinator.running
        assert [siege.cluster.signer_status(name)["alarm"] for name in honest] == [None, None]
        destination = await siege.pay(people)
        assert payments_on_chain(siege.cluster, destination) == [AMOUNT]


def lie(name: str, event: str, title: str, origin: str, *, quick: bool = False) -> Any:
    marks = [pytest.mark.attack(line="holders", title=title, origin=origin)]
    return pytest.param(name, event, id=name, marks=marks if quick else [*marks, pytest.mark.campaign])


@pytest.mark.parametrize(
    ("name", "event"),
    [
        lie("vote-other-root", "vote.other_head", "a signer process votes for another history", VOTES, quick=True),
        lie("vote-other-digest", "vote.other_head", "a signer process votes for another replayed state", VOTES),
        lie("vote-wrong-key", "vote.missing", "a signer process votes under a stranger's key", VOTES),
        lie("vote-replayed", "vote.missing", "a signer process votes for an earlier batch again", VOTES),
        lie("batch-refused-falsely", "batch.refused", "a signer process refuses every good batch", VOTES, quick=True),
        lie("frame-out-of-order", "link.misbehaviour", "a signer process numbers its frames out of order", FRAMES),
        lie("frame-huge", "link.closed", "a signer process answers with 17 MB", FRAMES),
        lie("fetch-flood", "link.misbehaviour", "a signer process asks for the log a thousand times", FRAMES),
    ],
)
async def test_lies_about_batches(siege: Siege, name: str, event: str) -> None:
    async with besieging(siege) as people:
        await siege.tell(name, people, event)


@pytest.mark.parametrize(
    ("name", "event"),
    [
        lie(
            "newterm-forged-certificate",
            "term.statement_missing",
            "a signer process states a forged certificate",
            TERMS,
        ),
        lie("hello-absurd-term", "link.opened", "a signer process greets from the highest term there is", TERMS),
        lie("hello-another-name", "link.refused", "a signer process greets in another's name", WORDS),
        lie("freeze-in-another-name", "raised.refused", "a signer process freezes in another's name", WORDS),
    ],
)
async def test_lies_at_the_start(siege: Siege, name: str, event: str) -> None:
    """The coordinator opens a term anew, and every signer greets it again."""
    async with besieging(siege) as people:
        mark = len(siege.cluster.coordinator.events)
        siege.west.lies(name)
        for _ in range(TRIES):
            # Two honest statements open a term as well: the liar may come too late to lie.
            siege.cluster.restart_coordinator()
            await ready(people[0])
            destination = await siege.pay(people)
            assert payments_on_chain(siege.cluster, destination) == [AMOUNT]
            if siege.west.has_told(name) and siege.said_of_west(event, mark):
                break
        siege.west.told(name)
        assert siege.said_of_west(event, mark)
        assert not await people[0].client.freezes()


@pytest.mark.campaign
@pytest.mark.attack(
    line="holders", title="a signer process hands an altered log to a coordinator that lost its disk", origin=FETCHED
)
async def test_an_emptied_coordinator_is_not_misled(siege: Siege) -> None:
    async with besieging(siege, restarted=siege.honest) as people:
        destination = await siege.pay(people)
        before = (await people[0].client.ledger()).final_head
        mark = len(siege.cluster.coordinator.events)
        paying, emptied = partial(siege.pay, people), siege.restart_on_an_empty_disk
        await asked_for_the_log(siege.cluster, siege.west, "fetched-altered", pay=paying, restart=emptied)
        await ready(people[0], timeout_s=120)
        assert siege.said_of_west("catch_up.failed", mark)
        after = (await people[0].client.ledger()).final_head
        assert after.size >= before.size
        assert payments_on_chain(siege.cluster, destination) == [AMOUNT]
        assert siege.cluster.audit()["verified"] is True


@pytest.mark.parametrize(
    ("name", "event"),
    [
        lie("view-in-another-name", "", "a signer process judges an order in another's name", WORDS, quick=True),
        lie("view-of-another-order", "", "a signer process gives its judgement of another order", WORDS),
        lie("view-junk", "", "a signer process gives junk for its judgement", FRAMES),
        lie("view-false", "", "a signer process would sign whatever is asked", VOTES),
    ],
)
async def test_lies_in_what_approvers_are_shown(siege: Siege, name: str, event: str) -> None:
    """Nobody is shown words in another's name; a false judgement stands beside the others', under its author's name."""
    async with besieging(siege) as people:
        order = await people[0].pay(VAULT, payee(), AMOUNT)

        async def all_know_it() -> bool:
            views = (await people[0].client.explain(order)).views
            return [each.view.verdict for each in views] == [Verdict.WAITING] * len(siege.cluster.signers)

        # One that comes late says honestly that it does not know the order, or says nothing.
        await until(all_know_it)
        siege.west.lies(name)

        async def honest_ones_answer() -> ExplainedOrder | None:
            shown = await people[0].client.explain(order)
            return shown if siege.honest.keys() <= {each.signer for each in shown.views} else None

        explained = await until(honest_ones_answer)
        siege.west.told(name)
        views = {each.signer: each.view.verdict for each in explained.views}
        assert not explained.allowed
        assert views["north"] == views["south"] == Verdict.WAITING
        if name == "view-false":
            assert views["west"] == Verdict.WOULD_SIGN
        else:
            assert "west" not in views
            assert explained.silent == ("west",)


@pytest.mark.campaign
@pytest.mark.attack(line="holders", title="a signer process deals a false share in a key generation", origin=DEALT)
async def test_a_false_dealing_makes_no_vault(siege: Siege) -> None:
    async with besieging(siege) as (alice, bob, carol):
        mark = len(siege.cluster.coordinator.events)
        siege.west.lies("keygen-wrong-share")
        order = await alice.create_vault("customer-cold", signers=siege.cluster.signers, threshold=2)
        await bob.approve(order)
        await carol.approve(order)
        coordinator = siege.cluster.coordinator
        await asyncio.to_thread(coordinator.wait_for, "keygen.failed", after=mark, timeout_s=60)
        destination = await siege.pay((alice, bob, carol))
        assert payments_on_chain(siege.cluster, destination) == [AMOUNT]
        assert [vault.record.name for vault in await alice.client.vaults()] == [VAULT]
        siege.west.lies("")
        await alice.wait_for_vault("customer-cold")


@pytest.mark.parametrize(
    ("name", "event"),
    [
        lie("refusal-false", "signing.refused", "a signer process refuses every good payment", ROAST),
        lie("share-junk", "signing.left_out", "a signer process gives junk for its shares", ROAST),
        lie("share-in-another-name", "signing.left_out", "a signer process gives shares in another's name", WORDS),
        lie("commitments-equivocated", "signing.refused", "a signer process shows other nonces than it made", ROAST),
        # The last ones: whoever is proven to have lied is not asked again.
        lie("share-wrong", "share.wrong", "a signer process gives wrong shares", ROAST, quick=True),
    ],
)
async def test_lies_while_signing(siege: Siege, name: str, event: str) -> None:
    # A coordinator that just started remembers no bad experience with anybody, so that it asks the liar soon.
    siege.cluster.restart_coordinator()
    async with besieging(siege) as people:
        await siege.tell(name, people, event)
