"""Clocks that jump, forward and back, at a signer and at the coordinator.

Two of three signers run, and the organisation needs both: a payment that arrives shows that both vote again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from actor import Actor, actors, until
from cluster import VAULT, Cluster, funded, running
from machines import PATIENCE_S, alarmed, coordinator_on, said, signer_on
from payments import AMOUNT, approve_again, connected, paid, payee, payments_on_chain
from strongroom.model.ids import OrderHash
from strongroom_client.errors import RemoteError

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
TIME = "on paper: whoever moves the clocks of w machines pushes log time, and time locks with it"


@pytest.fixture(scope="module")
def clocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Path, Path]]:
    """A deployment, and the files that move the clock of its first signer and of its coordinator."""
    folder = tmp_path_factory.mktemp("clocks")
    signers_clock, coordinators_clock = folder / "signer", folder / "coordinator"
    with running(funded(), "clocks") as cluster:
        move(signers_clock, 0)
        move(coordinators_clock, 0)
        first, second, _ = cluster.signers
        cluster.deployment.start_node()
        coordinator_on(cluster, "--clock", str(coordinators_clock))
        cluster.deployment.start_signer(second)
        signer_on(cluster, first, "--clock", str(signers_clock))
        yield cluster, signers_clock, coordinators_clock


def move(clock: Path, ahead_ms: int) -> None:
    """Let a clock jump, in one step."""
    new = clock.with_suffix(".new")
    new.write_text(str(ahead_ms))
    new.replace(clock)


@pytest.mark.parametrize(
    ("jump_ms", "words"),
    [
        pytest.param(
            jump,
            words,
            marks=pytest.mark.attack(line="machine", title=f"a signer's clock {words}", origin=TIME),
        )
        for jump, words in (
            (10 * MINUTE_MS, "moved ten minutes forward"),
            (-10 * MINUTE_MS, "moved ten minutes back"),
            (DAY_MS, "moved a day forward"),
            (-DAY_MS, "moved a day back"),
        )
    ],
)
async def test_a_signer_whose_clock_jumped_does_not_vote_until_its_operator_confirms(
    clocked: tuple[Cluster, Path, Path], jump_ms: int, words: str
) -> None:
    cluster, clock, _ = clocked
    name = cluster.signers[0]
    daemon = cluster.signer(name)
    mark = len(daemon.events)
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await until(lambda: connected(people[0], 2), timeout_s=PATIENCE_S)
        order = await until(lambda: ordered(people[0], destination), timeout_s=PATIENCE_S)
        released = cluster.signer_status(name)["shares_released"]
        move(clock, jump_ms)
        status = await alarmed(cluster, name, "CLOCK_DRIFT")
        assert "run --confirm CLOCK_DRIFT" in status["alarm_message"]
        approving = [
            asyncio.create_task(approve_again(person, order, timeout_s=2 * PATIENCE_S)) for person in people[1:]
        ]
        line = await asyncio.to_thread(said, daemon, "request.refused", mark, reason="CLOCK_DRIFT")
        assert "against the monotonic clock" in line["message"]
        # The clock going back by itself, and a restart, confirm nothing.
        move(clock, 0)
        daemon.stop()
        daemon = signer_on(cluster, name, "--clock", str(clock))
        await asyncio.to_thread(said, daemon, "request.refused", reason="CLOCK_DRIFT")
        status = await alarmed(cluster, name, "CLOCK_DRIFT")
        assert status["shares_released"] == released
        daemon.stop()
        signer_on(cluster, name, "--clock", str(clock), arguments=["--confirm", "CLOCK_DRIFT"])
        await asyncio.gather(*approving)
        await paid(cluster, people[0], order, timeout_s=PATIENCE_S)
    assert payments_on_chain(cluster, destination) == [AMOUNT]
    await alarmed(cluster, name, None)


async def ordered(actor: Actor, destination: str, **options: int) -> OrderHash | None:
    """A new order; None when the coordinator cannot take it at this moment."""
    try:
        return await actor.pay(VAULT, destination, AMOUNT, **options)
    except RemoteError as error:
        if error.remote_reason in ("NOT_READY", "ENTRY_REFUSED_BY_SIGNERS"):
            return None
        raise


@pytest.mark.parametrize(
    ("jump_ms", "words"),
    [
        pytest.param(
            jump,
            words,
            marks=pytest.mark.attack(line="machine", title=f"the coordinator's clock {words}", origin=TIME),
        )
        for jump, words in ((10 * MINUTE_MS, "ten minutes ahead"), (-10 * MINUTE_MS, "ten minutes behind"))
    ],
)
async def test_a_coordinators_wrong_clock_is_named_by_the_signers_and_heals(
    clocked: tuple[Cluster, Path, Path], jump_ms: int, words: str
) -> None:
    """No batch is voted for. An order that expires between the two clocks is as good as before once it is right."""
    cluster, _, clock = clocked
    coordinator = cluster.coordinator
    pids = [cluster.signer(name).pid for name in cluster.signers[:2]]
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await until(lambda: connected(people[0], 2), timeout_s=PATIENCE_S)
        order = await people[0].pay(VAULT, destination, AMOUNT, expires_in_ms=5 * MINUTE_MS)
        await people[1].approve(order)
        mark = len(coordinator.events)
        move(clock, jump_ms)
        refused = asyncio.create_task(
            asyncio.to_thread(
                coordinator.wait_for,
                "batch.refused",
                where={"reason": "BATCH_TIME_OFF"},
                after=mark,
                timeout_s=2 * PATIENCE_S,
            )
        )
        # A clock that is behind stamps with the time of the last batch, which is right for another minute.
        others = asyncio.create_task(keep_ordering(people[0], refused))
        line = await refused
        assert "compare both clocks with a time server" in line["detail"]
        move(clock, 0)
        await others
        await until(lambda: connected(people[0], 2), timeout_s=PATIENCE_S)
        await approve_again(people[2], order, timeout_s=PATIENCE_S)
        await paid(cluster, people[0], order, timeout_s=PATIENCE_S)
    assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert [cluster.signer(name).pid for name in cluster.signers[:2]] == pids
    for name in cluster.signers[:2]:
        await alarmed(cluster, name, None)


async def keep_ordering(actor: Actor, until_done: asyncio.Task[object]) -> None:
    """Give the coordinator something to log until it cannot."""
    while not until_done.done():
        ordering = asyncio.create_task(ordered(actor, payee()))
        await asyncio.wait({ordering, until_done}, return_when=asyncio.FIRST_COMPLETED)
        if not ordering.done():
            # It waits in the coordinator, and is logged when the clock is right again.
            await asyncio.wait({ordering}, timeout=0.1)
            ordering.cancel()
        await asyncio.wait({until_done}, timeout=1.0)


@pytest.mark.attack(
    line="machine",
    title="an order held open beyond its end by a coordinator's slow clock",
    origin="on paper: permissions that end by time, held open by a frozen log time",
)
async def test_an_order_that_expired_by_the_signers_clocks_gets_no_share(clocked: tuple[Cluster, Path, Path]) -> None:
    cluster, _, clock = clocked
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await until(lambda: connected(people[0], 2), timeout_s=PATIENCE_S)
        released = [cluster.signer_status(name)["shares_released"] for name in cluster.signers[:2]]
        expires_at = time.time() + 15
        order = await people[0].pay(VAULT, destination, AMOUNT, expires_in_ms=15_000)
        await people[1].approve(order)
        move(clock, -10 * MINUTE_MS)

        async def expired() -> bool:
            return time.time() > expires_at + 1

        await until(expired, timeout_s=PATIENCE_S)
        daemons = [cluster.signer(name) for name in cluster.signers[:2]]
        marks = [len(daemon.events) for daemon in daemons]
        approving = asyncio.create_task(approve_again(people[2], order, timeout_s=PATIENCE_S))
        # The clock is slow until both have refused; only then is it shown that neither goes by the coordinator's time.
        for daemon, mark in zip(daemons, marks, strict=True):
            line = await asyncio.to_thread(said, daemon, "commitments.refused", mark, reason="ORDER_EXPIRED")
            assert line["level"] == "warning"
        move(clock, 0)
        await asyncio.wait({approving}, timeout=PATIENCE_S)
        approving.cancel()
        assert [cluster.signer_status(name)["shares_released"] for name in cluster.signers[:2]] == released
        destination_after = payee()
        await until(lambda: connected(people[0], 2), timeout_s=PATIENCE_S)
        follow_up = await until(lambda: ordered(people[0], destination_after), timeout_s=PATIENCE_S)
        for person in people[1:]:
            await approve_again(person, follow_up, timeout_s=PATIENCE_S)
        await paid(cluster, people[0], follow_up, timeout_s=PATIENCE_S)
    assert payments_on_chain(cluster, destination) == []
    assert payments_on_chain(cluster, destination_after) == [AMOUNT]
