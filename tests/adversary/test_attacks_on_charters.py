"""The admin quorum in a hurry, and keys that were revoked: each signer refuses, and signs why."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from actor import actors, ready
from attack_cases import helped
from cluster import VAULT, Cheated, Cluster, funded, running
from payments import AMOUNT, payee
from siege import attacked, attacked_together, besieged, refused

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

HURRY = "Multichain 2023 and insider reports: whoever may change the rules changes them and pays in one minute"
CLOCK = "on paper: a log time that stands still and then jumps over windows and delays"
BYPASS = "Turnkey and BitGo reports: a path around the quorum"
ROLLBACK = "ATTACKS.md: an old charter, or one of another branch, put in force again"
REVOKED = "WazirX and Liminal 2024: approvals that should no longer count were used again"
FOR_EVER = "on paper: one key that belongs to two people, or comes back from the dead"
VETO = "on paper: one stolen key as a veto over everything"
AHEAD_MS = 48 * 3_600_000 + 60_000
"""As in the cheat `spend-the-loosened`."""


def attack(cheat: str, reason: str, title: str, origin: str) -> Any:
    """A cheat, the reason for which every signer refuses it, and what it attacks."""
    mark = pytest.mark.attack(line="admin-quorum", title=title, origin=origin)
    return pytest.param(cheat, reason, marks=mark, id=cheat)


# In this order: from `roll-the-charter-back` on, each leaves the log with another charter in force.
ATTACKS = (
    attack("loosen-and-pay", "OVER_MAXIMUM", "rules loosened and used in one batch", HURRY),
    attack("loosen-under-tightening", "OVER_MAXIMUM", "a loosening under a tightening, used at once", HURRY),
    attack("shorten-the-delay", "OVER_MAXIMUM", "the loosening delay itself shortened, then used", HURRY),
    attack("amend-below-quorum", "OVER_MAXIMUM", "rules loosened by one administrator", BYPASS),
    attack("amend-by-machine", "NOT_AN_APPROVER", "a server's word for an amendment", BYPASS),
    attack("amend-by-initiator", "INITIATOR_CANNOT_APPROVE", "the proposer's own word for an amendment", BYPASS),
    attack("skip-a-version", "AMENDMENT_VERSION", "a version of the charter left out", ROLLBACK),
    attack("other-organisation", "AMENDMENT_IDENTITY", "a charter of another organisation", ROLLBACK),
    attack("amend-freezers-out", "AMENDMENT_VAULTS", "operators who may freeze amended out of the charter", HURRY),
    attack("key-of-another", "AMENDMENT_KEY_USED", "an administrator's key given to another person", FOR_EVER),
    attack("veto-own-revocation", "REJECTION_VOID", "a stolen key vetoes its own revocation", VETO),
    attack("loosen-then-pay", "OVER_MAXIMUM", "rules loosened and used in the next batch", HURRY),
    attack("jump-over-amendment-delay", "BATCH_TIME_OFF", "log time jumped over the delay of an amendment", CLOCK),
    attack("roll-the-charter-back", "AMENDMENT_VERSION", "the charter from before a tightening, once more", ROLLBACK),
    attack("amend-once-more", "AMENDMENT_VERSION", "an amendment approved after another overtook it", ROLLBACK),
    attack("revoked-approval", "APPROVALS_MISSING", "payment by the approval of a key revoked since", REVOKED),
    attack("revoked-key-speaks", "KEY_UNKNOWN", "an approval by a revoked key", REVOKED),
    attack("revoked-key-returns", "AMENDMENT_KEY_USED", "a revoked key put back into the charter", FOR_EVER),
)


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    with besieged("charters") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def outcomes(siege: Cluster) -> dict[str, Cheated]:
    """All cheats, one after another, by one dishonest coordinator; what holds after each is checked there."""
    return attacked_together(siege, [str(one.values[0]) for one in ATTACKS])


@pytest.mark.parametrize(("cheat", "reason"), ATTACKS)
def test_every_signer_refuses_the_amendment_or_what_rests_on_it(
    outcomes: dict[str, Cheated], cheat: str, reason: str
) -> None:
    refused(outcomes[cheat], "append", reason)
    refused(outcomes[cheat], "afterwards", "NO_PLAN_AT_INDEX")


async def test_an_honest_coordinator_goes_on_with_the_charter_in_force(
    siege: Cluster, outcomes: dict[str, Cheated]
) -> None:
    """The tightenings are in force and nothing else is; who was revoked is shown to nobody as a member."""
    assert all(outcome.released == 0 for outcome in outcomes.values())
    siege.deployment.start_coordinator()
    async with actors(siege.deployment, "alice", "bob") as (alice, bob):
        await ready(alice)
        charter = (await alice.client.trust()).charter
        assert charter.version == 4
        assert {person.name for person in charter.people} == {"alice", "bob", "shop"}
        assert charter.rules[0].maximum[0].amount == 250_000_000
        order = await alice.pay(VAULT, payee(), AMOUNT)
        await bob.approve(order)
    assert all(siege.signer_status(name)["alarm"] is None for name in siege.signers)


@pytest.mark.attack(
    line="admin-quorum", title="loosened rules used after their delay, though two operators froze", origin=HURRY
)
def test_what_n_minus_t_plus_1_operators_froze_stays_though_the_quorum_waited_and_lifted_it() -> None:
    """The freeze in the log is the quorum's to lift, and an operator's own is not. Without it the loosening acts."""
    with running(funded(), "waited") as cluster:
        cluster.start(coordinator=False, node=False)
        told, third = cluster.signers[:2], cluster.signers[2]
        asyncio.run(helped(cluster, "loosen-and-thaw", lambda: _freeze(cluster, told)))
        for name in cluster.signers:
            cluster.signer(name).stop()
            cluster.launch_signer(name, "--shift-ms", str(AHEAD_MS))
        outcome = attacked(cluster, "spend-the-loosened", "commit", "LOCAL_FREEZE", by=2)
        assert _committed(outcome) == [third]
        for name in told:
            for freeze in cluster.signer_status(name)["local_freezes"]:
                assert cluster.signer_command(name, "thaw", freeze["id"]).returncode == 0
        outcome = attacked_together(cluster, ["spend-what-nobody-froze"])["spend-what-nobody-froze"]
        assert _committed(outcome) == sorted(cluster.signers)
        assert outcome.events[-1]["honest_shares"] == 2
        assert not outcome.all_refusals()


def _freeze(cluster: Cluster, names: Sequence[str]) -> None:
    for name in names:
        done = cluster.signer_command(name, "freeze", "--why", "the amendment looks wrong")
        assert done.returncode == 0, done.stderr


def _committed(outcome: Cheated) -> list[str]:
    signers: list[str] = next(line["signers"] for line in outcome.events if line["event"] == "committed")
    return signers
