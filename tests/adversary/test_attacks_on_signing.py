"""A dishonest coordinator tries to misuse nonces, commitments, signer sets and places in the log."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import odd_signer
from actor import actors, ready
from attack_cases import Case, attack, cheats_of, helped
from cluster import VAULT, Cheated, Cluster
from payments import AMOUNT, approved, paid, payee, payments_on_chain
from siege import attacked_together, besieged, heals, refused
from strongroom.ledger.signed_messages import Verb
from strongroom_client.demo.processes import Daemon

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

NONCE_REUSE = "nonce reuse (sBTC #1167, sig-net #40): two messages under one nonce give the share away"
PARALLEL = "Drijvers and others 2019, Benhamouda and others 2021 (ROS): forgeries from parallel sessions"
SUBSTITUTION = "multi-party-sig #124: other commitment lists shown to different signers"
SET_CHOSEN_LATER = "zkp #138: the signer set chosen after the nonces"
MIXED = "vultisig #552: shares of different epochs mixed"
PLACES = "on paper: a plan dropped by a term and logged again is another place, with other nonces"


def _set(cheat: str, title: str, origin: str = SUBSTITUTION, *, by: int = 3) -> object:
    return attack(cheat, title, "COMMITMENTS_INVALID", step="release", signed=True, by=by, origin=origin)


def _used(cheat: str, title: str, *, step: str, by: int, origin: str = NONCE_REUSE) -> object:
    return attack(cheat, title, "NONCE_UNKNOWN", step=step, signed=True, by=by, origin=origin)


def _no_plan(step: str, title: str, reason: str = "NO_PLAN_AT_INDEX", *, by: int = 2) -> object:
    return attack("no-plan", title, reason, step=step, signed=True, by=by, origin=PLACES)


CASES = [
    _used("replay-release", "the same release asked twice under one nonce", step="release-again", by=3),
    _used("other-set", "a used nonce with another partner", step="release-again", by=1, origin=SET_CHOSEN_LATER),
    _used("dropped-plan", "nonces of a dropped plan for its new place in the log", step="release", by=2, origin=PLACES),
    attack(
        "dropped-plan",
        "a release at the place where a plan was dropped",
        "NO_PLAN_AT_INDEX",
        step="where-it-was",
        signed=True,
        by=2,
        origin=PLACES,
    ),
    attack(
        "other-plan",
        "a nonce of one payment used for another",
        "NONCE_FOR_ANOTHER_CONTEXT",
        step="release",
        signed=True,
        by=2,
        origin=NONCE_REUSE,
    ),
    attack(
        "many-sessions",
        "hundreds of parallel sessions of one payment",
        "TOO_MANY_OPEN_NONCES",
        step="commit",
        signed=True,
        origin=PARALLEL,
    ),
    attack(
        "many-payments",
        "256 parallel sessions of 256 payments, each paired with another's nonces",
        "COMMITMENTS_INVALID",
        step="release",
        signed=True,
        by=2,
        origin=PARALLEL,
    ),
    _set("swapped-commitments", "a partner's commitments exchanged on the way"),
    _set("forged-commitments", "a partner's commitments made up in its name"),
    _set("strangers-commitments", "a stranger's commitments in the set"),
    _set("junk-commitments", "junk in the place of a partner's commitments"),
    _set("nobodys-points", "a partner's commitments exchanged for points that are none"),
    _set("partners-other-payment", "a partner's commitments for another payment"),
    _set("left-out", "the signer's own commitments left out"),
    _set("twice-in-the-set", "one signer twice in the set", "index tricks (mpcsec): an identifier twice"),
    _set("alone", "fewer signers in the set than the threshold", "mpcsec: a set below the threshold"),
    _set("too-many", "more signers in the set than the threshold", SET_CHOSEN_LATER),
    _set("reordered-set", "the signers of a set in another order", "TSSHOCK: ambiguous encodings of one list", by=2),
    _set("other-epoch", "commitments put under another epoch", MIXED, by=2),
    _used(
        "equivocate",
        "two lists for one signature, to have an honest signer blamed",
        step="release-again",
        by=2,
        origin=SUBSTITUTION,
    ),
    _no_plan("genesis", "a signature asked for the genesis"),
    _no_plan("tick", "a signature asked for an entry that is no plan"),
    _no_plan("beyond-the-log", "a signature asked for an entry beyond the log", "NOT_CERTIFIED"),
    _no_plan("commit-genesis", "nonces asked for the genesis", by=3),
    _no_plan("commit-beyond-the-log", "nonces asked for an entry beyond the log", by=3),
    attack(
        "one-plan-twice",
        "one payment twice in one release",
        "FRAME_MALFORMED",
        step="release",
        by=2,
        origin=NONCE_REUSE,
    ),
    attack(
        "plan-again",
        "one plan logged at two places",
        "ALREADY_KNOWN",
        step="append",
        signed=True,
        origin=PLACES,
    ),
]


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    with besieged("signing") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def outcomes(siege: Cluster) -> dict[str, Cheated]:
    """Every cheat, each in a term of its own, by one cheater."""
    return attacked_together(siege, cheats_of(CASES, floods=["many-sessions", "many-payments"]))


@pytest.mark.parametrize("case", CASES)
def test_attack_is_refused(outcomes: dict[str, Cheated], case: Case) -> None:
    case.check(outcomes)


def test_only_the_genuine_half_of_a_cheat_got_shares(outcomes: dict[str, Cheated]) -> None:
    """Where a cheat begins with a genuine release, that one was answered: what was refused is what followed it."""
    genuine = {name: outcome.events[-1]["honest_shares"] for name, outcome in outcomes.items()}
    assert {name: count for name, count in genuine.items() if count} == {
        "replay-release": 3,
        "other-set": 1,
        "equivocate": 2,
        "many-payments": 2,
    }


def test_each_of_256_parallel_sessions_is_refused_and_none_is_spoilt(outcomes: dict[str, Cheated]) -> None:
    """Both victims refuse all of them; paired as they were made, the shares of one session are a signature."""
    refusals = [line["reason"] for line in outcomes["many-payments"].all_refusals()]
    assert refusals == ["COMMITMENTS_INVALID"] * 2 * 256
    assert "finished" in [line["event"] for line in outcomes["many-payments"].events]


async def test_an_honest_coordinator_goes_on_after_all_of_them(siege: Cluster, outcomes: dict[str, Cheated]) -> None:
    assert outcomes
    await heals(siege)


@pytest.mark.attack(line="coordinator", title="nonces from before a restart of the signer", origin=NONCE_REUSE)
async def test_attack_nonces_of_an_earlier_boot(siege: Cluster) -> None:
    """Every signer is killed between its commitments and the release, and comes back in the same term."""

    def restart() -> None:
        for name in siege.signers:
            siege.signer(name).kill()
            siege.deployment.start_signer(name)

    outcome = await helped(siege, "nonces-of-an-earlier-boot", restart, restarted=siege.signers)
    refused(outcome, "release", "NONCE_UNKNOWN", by=2)
    await heals(siege)


@pytest.mark.attack(
    line="coordinator", title="nonces older than 30 seconds", origin="on paper: a snapshot of a machine"
)
async def test_attack_stale_nonces(siege: Cluster) -> None:
    clock = siege.root / "clock-ahead"
    if siege.coordinator.running:
        siege.coordinator.stop()
    for name in siege.signers:
        siege.signer(name).stop()
        launch_odd(siege, name, "--clock-file", str(clock))
    outcome = await helped(siege, "stale-nonces", lambda: _write(clock, "31000"))
    # Housekeeping may have dropped them already in the moment between.
    assert {reason for reason, _ in outcome.refusals("release").values()} <= {"NONCE_STALE", "NONCE_UNKNOWN"}
    assert len(outcome.refusals("release")) == 2
    for name in siege.signers:
        siege.plain_signer(name)
    await heals(siege)


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def launch_odd(cluster: Cluster, name: str, *options: str) -> Daemon:
    """Start a signer of another build, or with another clock."""
    command = [sys.executable, odd_signer.__file__, *options, "--", *cluster.signer_arguments(name)]
    daemon = Daemon(f"signer {name}", command, cluster.root / "logs" / f"signer-{name}.log")
    cluster.deployment.signers[name] = daemon
    daemon.start()
    return daemon


@pytest.mark.attack(
    line="coordinator",
    title="one signer of another build that replays otherwise",
    origin="on paper: two builds with one parser difference replay one log to two states",
)
async def test_attack_diverging_build(stopped_cluster: Cluster) -> None:
    """The odd one stops with an alarm, before any share, and the others pay once."""
    cluster, odd = stopped_cluster, stopped_cluster.signers[2]
    cluster.start(signers=cluster.signers[:2])
    launch_odd(cluster, odd, "--other-build")
    before = cluster.signer_status(odd)["shares_released"]
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        await ready(people[0])
        await paid(cluster, people[0], await approved(people, destination))
    _has_stopped(cluster, odd)
    assert cluster.signer_status(odd)["shares_released"] == before
    assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert all(cluster.signer_status(name)["alarm"] is None for name in cluster.signers[:2])


@pytest.mark.attack(
    line="coordinator",
    title="an honest signer outvoted by a quorum of another build",
    origin="on paper: an honest signer outvoted into a state it did not compute",
)
async def test_attack_outvoted_by_another_build(cluster: Cluster) -> None:
    """The honest signer stops for good, with an alarm, and signs nothing for a state that it did not compute."""
    alone, *odd = cluster.signers
    async with actors(cluster.deployment, "alice", "bob", "carol") as (alice, bob, carol):
        order = await alice.pay(VAULT, payee(), AMOUNT)
        await bob.approve(order)
        word = await carol.say(Verb.APPROVE, order)
    cluster.coordinator.stop()
    for name in odd:
        cluster.signer(name).stop()
        launch_odd(cluster, name, "--other-build")
    pid, before = cluster.signer(alone).pid, cluster.signer_status(alone)["shares_released"]
    outcome = cluster.cheat("outvote", words=[word])
    for step in ("release", "release-again", "vote"):
        refused(outcome, step, "VOTER_STOPPED", signed=False, by=1)
    _has_stopped(cluster, alone)
    assert cluster.signer_status(alone)["shares_released"] == before
    assert cluster.signer(alone).pid == pid
    assert outcome.released == 0


def _has_stopped(cluster: Cluster, name: str) -> None:
    """The signer raised its alarm, once, in words for its operator."""
    said = cluster.signer(name).wait_for("alarm.raised", timeout_s=60)
    assert said["reason"] == "STATE_DIGEST_MISMATCH"
    assert said["level"] == "error"
    assert said["message"]
