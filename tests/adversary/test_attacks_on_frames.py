"""A dishonest coordinator tries to break signers through the link: bytes, numbers, floods, silence, breaking off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from actor import actors, ready
from attack_cases import Case, attack, cheats_of
from cluster import Cheated, Cluster
from payments import AMOUNT, approved, connected, paid, payee, payments_on_chain
from siege import LOGGED_WITHIN_S, attacked_together, besieged, heals, logged_between
from trickle import Trickle

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

INPUT = "mpcsec: input validation of every message"
FLOOD = "mpcsec: sessions without a bound"
STUCK = "session stuck, slow-loris: a peer that accepts and never answers"

MOST_GROWTH_KIB = 320 * 1024
"""64 MiB of requests may wait; reading and decoding the next one, and what malloc keeps, come on top."""


def _malformed(cheat: str, step: str, title: str, origin: str = INPUT) -> object:
    return attack(cheat, title, "FRAME_MALFORMED", step=step, origin=origin)


CASES = [
    _malformed("unknown-request", "request", "a request of an unknown kind"),
    _malformed("second-welcome", "request", "a second Welcome in the middle of a link"),
    attack("unknown-fields", "unknown fields added to a request", "TERM_STALE", step="request", origin=INPUT),
    _malformed("many-sets", "release", "thousands of signer sets in one release", FLOOD),
    _malformed("many-sets", "holders", "more commitments in one set than a vault has holders", FLOOD),
    _malformed("many-sets", "none", "a release of nothing"),
    _malformed("many-sets", "commit", "thousands of nonces asked for in one request", FLOOD),
    _malformed("absurd-places", "fetch", "entries asked for at a place that no log has"),
    _malformed("absurd-places", "empty-fetch", "no entries asked for"),
    _malformed("absurd-places", "commit", "nonces asked for at a place that no log has"),
    _malformed("absurd-places", "release", "a signature asked for at a place that no log has"),
    _malformed("absurd-places", "append", "a batch at a place that no log has"),
    _malformed("wrong-lengths", "promise", "a leader's name of the wrong length"),
    _malformed("wrong-lengths", "open-term", "a statement with a signature of the wrong length"),
    _malformed("wrong-lengths", "certify", "a certificate longer than any can be"),
    _malformed("wrong-lengths", "keygen", "an order's hash of the wrong length"),
    _malformed("wrong-lengths", "keygen-message", "a key generation message longer than any can be"),
    _malformed("wrong-lengths", "trial", "trial nonces of the wrong length"),
    _malformed("wrong-lengths", "explain", "a question about an order's hash of the wrong length"),
]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A cheat for which every signer ends its link, or finds it ended, and what its log says of that."""

    cheat: str
    said: str
    reason: str
    times: int
    """How many such lines each signer has for it at least."""


def _cut(
    cheat: str, title: str, said: str, *, reason: str = "LINK_MISUSED", origin: str = INPUT, times: int = 1
) -> object:
    mark = pytest.mark.attack(line="coordinator", title=title, origin=origin)
    return pytest.param(Cut(cheat=cheat, said=said, reason=reason, times=times), id=cheat, marks=mark)


CUTS = [
    _cut("junk-bytes", "random bytes instead of a frame", "no frame"),
    _cut("half-a-frame", "a truncated frame", "no frame"),
    _cut("nested-frame", "a frame nested thousands of levels deep", "no frame"),
    _cut("oversized-frame", "a frame larger than allowed", "larger than max", reason="LINK_FAILED"),
    _cut("no-welcome", "a link that begins with a request", "did not begin with Welcome"),
    _cut("other-logs-welcome", "a Welcome in the name of another log", "belongs to another", reason="LINK_FAILED"),
    _cut("gap-in-numbers", "a frame left out", "has number 3"),
    _cut("repeated-number", "two frames under one number", "has number 2"),
    _cut("answer-to-nothing", "an answer to a frame that was never sent", "never sent"),
    _cut(
        "malformed-flood",
        "thousands of malformed frames, to fill the log",
        "64 frames that are malformed",
        origin=FLOOD,
    ),
    _cut("never-welcome", "a Hello that is never answered", "no Welcome", reason="LINK_FAILED", origin=STUCK),
    _cut(
        "breaks-off",
        "links broken off in the middle of every step",
        "the link ended",
        reason="LINK_FAILED",
        origin=STUCK,
        # Each of the five begins with the end of the link before it.
        times=10,
    ),
]


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    with besieged("frames") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def before(siege: Cluster) -> dict[str, int]:
    """Resident memory of each signer in KiB, after a quiet start."""
    return {name: _resident(siege, name) for name in siege.signers}


@pytest.fixture(scope="module")
def outcomes(siege: Cluster, before: dict[str, int]) -> dict[str, Cheated]:
    """Every cheat, each in a term of its own, by one cheater."""
    assert before
    cuts = [case.values[0].cheat for case in CUTS]  # type: ignore[attr-defined] - pytest hides its type
    floods = ["malformed-flood", "heavy-flood", "flood"]
    return attacked_together(siege, cheats_of(CASES, *cuts, floods=floods), raw=True)


@pytest.mark.parametrize("case", CASES)
def test_attack_is_refused(outcomes: dict[str, Cheated], case: Case) -> None:
    case.check(outcomes)


def _ends_of_links(siege: Cluster, name: str, outcomes: dict[str, Cheated], cheat: str) -> list[dict[str, Any]]:
    """Why a signer's links ended from the beginning of a cheat to that of the next.

    The signer may log the line after the cheater has seen the end, but always before it dials again.
    """
    begins = sorted(outcome.began_ms for outcome in outcomes.values())
    begin = outcomes[cheat].began_ms
    end = next((other for other in begins if other > begin), None)
    lines = logged_between(siege.signer(name).events, begin, end)
    return [line for line in lines if line.get("event") == "link.failed"]


@pytest.mark.parametrize("cut", CUTS)
def test_attack_ends_the_link(siege: Cluster, outcomes: dict[str, Cheated], cut: Cut) -> None:
    """Each signer ends its link and says why in a warning, while this attack lasts; it dials again by itself."""
    for name in siege.signers:
        ends = _ends_of_links(siege, name, outcomes, cut.cheat)
        lines = [line for line in ends if line["reason"] == cut.reason and cut.said in line["message"]]
        assert len(lines) >= cut.times, f"what {name} said of {cut.cheat}: {ends}"
        assert all(line["level"] == "warning" for line in lines)
    assert outcomes[cut.cheat].released == 0


@pytest.mark.parametrize(
    "cheat",
    [
        pytest.param(
            "flood",
            marks=pytest.mark.attack(
                line="coordinator", title="thousands of requests without waiting for an answer", origin=FLOOD
            ),
        ),
        pytest.param(
            "heavy-flood",
            marks=pytest.mark.attack(
                line="coordinator", title="hundreds of megabytes without waiting for an answer", origin=FLOOD
            ),
        ),
    ],
)
def test_attack_flood_is_answered_or_cut(siege: Cluster, outcomes: dict[str, Cheated], cheat: str) -> None:
    """A signer answers as fast as it reads, with refusals, or ends the link; it stays up and gives nothing."""
    flooded = {line["signer"]: line for line in outcomes[cheat].events if line["event"] == "flooded"}
    assert set(flooded) == set(siege.signers)
    for name, line in flooded.items():
        ends = _ends_of_links(siege, name, outcomes, cheat)
        cut = [end for end in ends if end["reason"] == "LINK_MISUSED" and "without waiting" in end["message"]]
        assert line["answered"] == line["sent"] or cut, f"{name} answered {line['answered']} of {line['sent']}: {ends}"
    assert outcomes[cheat].released == 0


def test_malformed_frames_do_not_fill_the_log(siege: Cluster, outcomes: dict[str, Cheated]) -> None:
    assert outcomes
    for name in siege.signers:
        lines = [line for line in siege.signer(name).events if line.get("event") == "frame.refused"]
        assert len(lines) < 64 + len(CASES) * 2


def test_memory_stays_bounded(siege: Cluster, before: dict[str, int], outcomes: dict[str, Cheated]) -> None:
    """The highest that each signer ever reached, after every flood."""
    assert outcomes
    for name in siege.signers:
        growth = _status(siege, name, "VmHWM") - before[name]
        assert growth < MOST_GROWTH_KIB, f"{name} grew by {growth} KiB"


async def test_an_honest_coordinator_goes_on_after_all_of_them(siege: Cluster, outcomes: dict[str, Cheated]) -> None:
    assert outcomes
    await heals(siege)


@pytest.mark.parametrize(
    "rate",
    [
        pytest.param(
            0,
            id="silent",
            marks=pytest.mark.attack(
                line="coordinator", title="a coordinator that accepts a connection and never speaks", origin=STUCK
            ),
        ),
        pytest.param(
            40,
            id="one-byte-at-a-time",
            marks=pytest.mark.attack(line="coordinator", title="a coordinator that sends byte by byte", origin=STUCK),
        ),
    ],
)
async def test_attack_slow_loris(stopped_cluster: Cluster, rate: int) -> None:
    """One signer meets a coordinator that hardly speaks: it says so and comes back; the others pay meanwhile."""
    cluster, victim = stopped_cluster, stopped_cluster.signers[0]
    switch = cluster.switch_signer(victim)
    with Trickle(cluster.deployment.port, bytes_per_second=rate) as slow:
        switch.point(slow.port)
        cluster.start(signers=[name for name in cluster.signers if name != victim])
        cluster.start(signers=[victim], coordinator=False, node=False)
        pid, destination = cluster.signer(victim).pid, payee()
        async with actors(cluster.deployment, "alice", "bob", "carol") as people:
            await ready(people[0])
            await paid(cluster, people[0], await approved(people, destination))
            # It may take gRPC's own patience with a connection and ten seconds for a Welcome.
            failed = await asyncio.to_thread(cluster.signer(victim).wait_for, "link.failed", timeout_s=90)
            assert slow.relayed
            assert not cluster.signer_status(victim)["connected"]
            assert failed["level"] == "warning"
            assert failed["message"]
            switch.point(cluster.deployment.port)
            deadline = time.monotonic() + LOGGED_WITHIN_S
            while not await connected(people[0], 3):
                assert time.monotonic() < deadline
    assert cluster.signer(victim).pid == pid
    assert cluster.signer(victim).running
    assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert cluster.signer_status(victim)["alarm"] is None


def _resident(cluster: Cluster, name: str) -> int:
    return _status(cluster, name, "VmRSS")


def _status(cluster: Cluster, name: str, field: str) -> int:
    text = Path(f"/proc/{cluster.signer(name).pid}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith(field)))
