"""Two disks are lost at once, and with them the quorum: people found the log anew, and the money is paid again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from actor import Actor, actors, ready, until
from cluster import VAULT, Cluster, funded, running, side_by_side
from log_followers import all_hold
from new_signers import exported_log, lose_disk, recover
from payments import AMOUNT, approved, paid, payee
from restarting import ADMINS, accept, follow, lead, made_restart
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Verb
from strongroom.protocol.signed import SignedBody
from strongroom_client.demo.processes import program, run_program
from strongroom_client.errors import LogRestarted, RemoteError
from strongroom_client.orders import DraftedOrder

pytestmark = pytest.mark.process

LOST = ("south", "west")
"""Both signers that one vote of north's does not replace."""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running(funded(), "restart") as cluster:
        cluster.start()
        yield cluster


@pytest.mark.attack(
    line="coordinator",
    title="an approved order kept back until the log is restarted",
    origin="on paper: replay of approvals across logs of the same people and keys",
)
async def test_a_log_goes_on_after_its_quorum_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    deployment = cluster.deployment
    async with actors(deployment, *deployment.shape.treasury) as people:
        alice, *others = people
        await ready(alice)
        await paid(cluster, alice, await approved(people, payee()))
        # While everything is frozen an order waits, with every approval that it needs.
        await alice.freeze()
        waiting = alice.draft(alice.withdrawal(VAULT, payee(), AMOUNT))
        words = [await alice.say(Verb.INITIATE, waiting.hash)]
        words += [await other.say(Verb.APPROVE, waiting.hash) for other in others]
        await alice.client.submit(waiting.data, words)
        # Another one is approved by all and handed to nobody: a thief keeps it for later.
        kept = alice.draft(alice.withdrawal(VAULT, payee(), AMOUNT))
        kept_words = [await alice.say(Verb.INITIATE, kept.hash)]
        kept_words += [await other.say(Verb.APPROVE, kept.hash) for other in others]
        # What goes on is what the survivor holds: of three witnesses it need not have been among the first two.
        await all_hold(cluster, alice, "north")

    # Two disks die. Shares come back from words; the right to vote does not, and nothing can be certified.
    log, head = exported_log(cluster, "north", tmp_path / "log")
    for name in LOST:
        lose_disk(cluster, name)
    cluster.coordinator.stop()
    cluster.signer("north").stop()
    side_by_side([partial(recover, cluster, name, log, head) for name in LOST])
    made = made_restart(deployment, log, cards=LOST)
    side_by_side([partial(lead, cluster, made), *(partial(follow, cluster, name, made) for name in cluster.signers)])
    cluster.start(node=False)

    # Clients stop, and follow only after a person typed the compared log id.
    async with actors(deployment, "alice") as (stranded,):
        with pytest.raises(LogRestarted, match="restart accept"):
            await until(stranded.client.trust)
    accept(cluster, made)

    async with actors(deployment, *deployment.shape.treasury) as people:
        alice, bob, carol = people
        await ready(alice)
        assert (await alice.client.order(waiting.hash)).proven.record.state is OrderState.LAPSED
        await worthless(carol, waiting, words, kept, kept_words)
        payment = await approved(people, payee())
        for freeze in [one for one in await alice.client.freezes() if not one.lifted]:
            assert (await alice.client.order(payment)).proven.record.state is OrderState.OPEN
            lift = await alice.unfreeze(freeze.id)
            for other in (bob, carol):
                await other.approve(lift)
        await paid(cluster, alice, payment, timeout_s=90)

    verdict = cluster.audit()
    assert verdict["log_id"] == made.log_id.hex()
    (restart,) = verdict["restarts"]
    assert (restart["entry"], restart["old_log_id"]) == (made.entries, made.old_log_id.hex())
    assert restart["approved_by"] == list(ADMINS)
    assert verdict["chain"]["paid_orders"] == 2

    # A coordinator that knows nothing takes the same file, and has the rest from the signers.
    cluster.coordinator.stop()
    for file in deployment.coordinator_folder.glob("coordinator.db*"):
        file.unlink()
    run_program([program("strongroom-coordinator"), "migrate", "--data", str(deployment.coordinator_folder)])
    assert "fetches the rest" in lead(cluster, made)
    deployment.start_coordinator()
    async with actors(deployment, "alice") as (alice,):
        await ready(alice)
        assert (await alice.client.order(payment)).proven.record.state is OrderState.PLANNED
    again = cluster.command("alice", "audit", "verify")
    assert again["restarts"] == [restart]


async def worthless(
    person: Actor, lapsed: DraftedOrder, words: list[SignedBody], kept: DraftedOrder, kept_words: list[SignedBody]
) -> None:
    """What was signed for the log before does nothing in the new one, logged there or kept back."""
    assert (await person.client.submit(lapsed.data, words)).already_known
    await person.approve(lapsed.hash)
    assert (await person.client.order(lapsed.hash)).proven.record.state is OrderState.LAPSED
    with pytest.raises(RemoteError) as foreign:
        await person.client.submit(kept.data, kept_words)
    assert foreign.value.remote_reason == "WRONG_LOG"
