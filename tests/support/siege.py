"""One deployment that is attacked again and again, and what must hold after every attack.

    outcome = attacked(cluster, "pay-twice", "append", "PLAN_CONFLICT")     # one cheat in a process of its own

starts the cheating coordinator, and checks what must hold after every attack: each signer refused for the right reason
and said so in exactly one line of its log, beside which it wrote no other refusal, no error, and nothing that is no
line of a log; no share was released, every signer is the same process as before, and none raised an alarm. Starting
the cheater costs a few seconds, so cheats that leave nothing behind are run together:

    outcomes = attacked_together(cluster, ["pay-twice", "burn-fees"])        # one process, a term for each cheat
    refused(outcomes["pay-twice"], "append", "PLAN_CONFLICT")                # each test looks at its own part

Both need running signers; the honest coordinator is stopped, and `heals` starts it again. What is started in another
way, or needs help from outside while it runs, is put into the block of `endured`, which checks the same.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from actor import actors, ready
from cluster import VAULT, Cheated, Cluster, funded, running
from payments import AMOUNT, approved, paid, payee, payments_on_chain
from strongroom.protocol.signed import SignedBody
from strongroom_client.demo.processes import Daemon

LOGGED_WITHIN_S = 60.0
BESIDE = ("catch_up.failed", "keygen.failed", "link.failed")
"""Warnings of a signer that are no refusals: why it lacks entries, that it complains of a share, that a link ended."""
PROOFS = ("epoch.dealings_disputed",)
"""Errors of a signer that are right under attack: it has proof against another signer."""
BLAME = ("evidence.found", "evidence.again", "evidence.not_made", "share.wrong")
"""What the coordinator logs of a signer that is proven, or seems, to be at fault."""


@contextmanager
def besieged(name: str) -> Iterator[Cluster]:
    """Three signers whose log holds a paid order and one that waits for its second approval."""
    with running(funded(), name) as cluster:
        cluster.start()
        asyncio.run(_history(cluster))
        yield cluster


async def _history(cluster: Cluster) -> None:
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        alice, bob, _ = people
        await paid(cluster, alice, await approved(people, payee()))
        await bob.approve(await alice.pay(VAULT, payee(), AMOUNT))


def attacked(
    cluster: Cluster,
    cheat: str,
    step: str,
    reason: str,
    *,
    signed: bool = True,
    by: int = 3,
    alarm: str | None = None,
    words: Sequence[SignedBody] = (),
) -> Cheated:
    """Run a cheat: so many signers must refuse it, each for this reason, and none may give a share.

    Args:
        cluster: its signers must be running.
        cheat: one of `cheating_coordinator.py --list`.
        step: where in the cheat the refusal is due.
        reason: what every refusal there must say.
        signed: whether the refusal is signed with the vote key, or only an answer to a request.
        by: how many signers must refuse.
        alarm: the reason of the alarm that this attack is to raise at each signer that refuses; none otherwise.
        words: people's signed words that only the cheater has.
    """
    outcome = attacked_together(cluster, [cheat], words=words, alarm=alarm)[cheat]
    refused(outcome, step, reason, signed=signed, by=by)
    return outcome


def attacked_together(
    cluster: Cluster,
    cheats: Sequence[str],
    *,
    words: Sequence[SignedBody] = (),
    alarm: str | None = None,
    raw: bool = False,
) -> dict[str, Cheated]:
    """Run cheats one after another in one process; what holds after any attack is checked here, for all of them."""
    with endured(cluster, alarm=alarm, raw=raw) as outcomes:
        outcomes.update(cluster.cheats(cheats, words=words))
    return outcomes


@contextmanager
def endured(
    cluster: Cluster, *, alarm: str | None = None, restarted: Collection[str] = (), raw: bool = False
) -> Iterator[dict[str, Cheated]]:
    """What must hold after any attack, checked at the end of the block for every outcome that it enters.

    Args:
        cluster: its signers must be running when the block begins.
        alarm: the reason of the alarm that the attack is to raise at each signer; none otherwise.
        restarted: signers that the block itself starts again; the others must be the same process as before.
        raw: the cheats write frames by hand and read no answers, so signers refuse more than the outcomes name.
    """
    before = {name: (daemon.pid, len(daemon.events)) for name, daemon in cluster.deployment.signers.items()}
    outcomes: dict[str, Cheated] = {}
    yield outcomes
    assert outcomes, "no attack took place"
    cheats = ", ".join(outcomes)
    for name, (pid, mark) in before.items():
        daemon = cluster.signer(name)
        assert daemon.running, f"{name} did not survive {cheats}"
        if name in restarted:
            assert daemon.pid != pid, f"{name} was to be started again during {cheats}"
        else:
            assert daemon.pid == pid, f"{name} is another process than before {cheats}"
        raised = cluster.signer_status(name)["alarm"]
        assert (raised is not None and alarm in str(raised)) if alarm else raised is None, f"{name}: {raised}"
        for outcome in outcomes.values():
            _logged(daemon, mark, name, outcome, raw=raw)
        _nothing_broke(daemon, mark, name, cheats, [*PROOFS, "alarm.raised"] if alarm else PROOFS)
    released = {name: outcome.released for name, outcome in outcomes.items() if outcome.released}
    assert not released, f"shares were given for {released}"


def refused(outcome: Cheated, step: str, reason: str, *, signed: bool = True, by: int = 3) -> None:
    """Exactly so many signers refused at this step, each for this reason and no other."""
    refusals = outcome.refusals(step)
    assert set(refusals.values()) == {(reason, signed)}, f"{outcome.cheat}: {outcome.explained(step)}"
    assert len(refusals) == by, f"{outcome.cheat}: {outcome.explained(step)}"


def _logged(daemon: Daemon, mark: int, signer: str, outcome: Cheated, *, raw: bool) -> None:
    """The signer's log has one warning for each refusal, with its reason and a message for people, and no other."""
    wanted = Counter(line["reason"] for line in outcome.all_refusals() if line["signer"] == signer)
    # The line is written before the answer is sent; only the reader of the log may be behind.
    deadline = time.monotonic() + LOGGED_WITHIN_S
    while not wanted <= _warnings(daemon.events[mark:], outcome) and time.monotonic() < deadline:
        time.sleep(0.01)
    found = _warnings(daemon.events[mark:], outcome)
    muted = [line for line in daemon.events[mark:] if "muted_s" in line]
    logged = {reason: found[reason] for reason in wanted} if raw else dict(found)
    assert logged == dict(wanted), f"{outcome.cheat}: the log of {signer} has {found}, not {wanted}; muted: {muted}"
    tried = [line for line in daemon.events[mark:] if line.get("event") == "catch_up.failed"]
    tried = logged_between(tried, outcome.began_ms, outcome.ended_ms)
    assert len(tried) <= wanted["BEHIND"], f"{outcome.cheat}: {signer} says why it is behind again and again: {tried}"


def _warnings(lines: Sequence[dict[str, Any]], outcome: Cheated) -> Counter[str]:
    """Reasons of the refusals that were logged while the cheat ran, once for each line."""
    return Counter(
        line["reason"]
        for line in logged_between(lines, outcome.began_ms, outcome.ended_ms)
        if line.get("level") == "warning" and line.get("message") and "reason" in line and line["event"] not in BESIDE
    )


def _nothing_broke(daemon: Daemon, mark: int, signer: str, cheats: str, expected: Collection[str]) -> None:
    """No error, except of an event that is expected, and no traceback or other text that is no line of the log."""
    broken = [
        line
        for line in daemon.events[mark:]
        if "text" in line or (line.get("level") in ("error", "critical") and line.get("event") not in expected)
    ]
    assert not broken, f"{signer} wrote during {cheats}: {broken[:5]}"


def logged_between(lines: Sequence[dict[str, Any]], begin_ms: int, end_ms: int | None = None) -> list[dict[str, Any]]:
    """The lines of a log between two moments, Unix milliseconds; to its end with None."""

    def time_ms(line: dict[str, Any]) -> float:
        return datetime.fromisoformat(line["time"]).timestamp() * 1000

    # A line that is no JSON has no time.
    timed = [line for line in lines if "time" in line]
    return [line for line in timed if begin_ms <= time_ms(line) and (end_ms is None or time_ms(line) <= end_ms)]


def nobody_is_blamed(cluster: Cluster) -> None:
    """Nothing was found against any signer, none is in quarantine, and none raised an alarm."""
    assert [line for line in cluster.coordinator.events if line.get("event") in BLAME] == []
    assert list((cluster.deployment.coordinator_folder / "evidence").glob("*")) == []
    for name in cluster.signers:
        status = cluster.signer_status(name)
        assert (status["quarantine"], status["alarm"]) == (None, None), f"{name}: {status}"


async def heals(cluster: Cluster) -> None:
    """An honest coordinator goes on from whatever the cheat left behind, and pays a new order exactly once."""
    cluster.deployment.start_coordinator()
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await ready(people[0])
        await paid(cluster, people[0], await approved(people, destination))
    assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert all(cluster.signer_status(name)["alarm"] is None for name in cluster.signers)
