"""A dishonest coordinator that has some of five signers too: one within every bound, or two, one share too few.

With one, nothing is paid twice or unapproved. With two, t-1, histories may differ, and still nothing is paid that was
not approved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from actor import actors, ready
from attack_cases import Case, attack
from cluster import FIVE, VAULT, Cheated, Cluster, funded, running
from forgetful_signers import two_votes_of_who_forgot
from payments import AMOUNT, approved, paid, payee, payments_on_chain
from siege import attacked_together
from strongroom.ledger.signed_messages import Verb
from strongroom.protocol.signed import SignedBody

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

BOUND = "on paper: one bad signer and the coordinator, where f < t+w-n and f < 2w-n"
SUBSTITUTION = "multi-party-sig #124: commitments that are not the author's"


def _with_one(
    cheat: str, title: str, reason: str, *, step: str, signed: bool = False, by: int = 4, origin: str = BOUND
) -> object:
    return attack(cheat, title, reason, step=step, signed=signed, by=by, origin=origin, line="coordinator+signers")


CASES = [
    _with_one(
        "mole-splits-history",
        "two histories, a stolen vote in each, certified by too few",
        "CERTIFICATE_INVALID",
        step="too-few",
    ),
    _with_one(
        "mole-splits-history", "a stolen vote put under an honest signer's name", "CERTIFICATE_INVALID", step="forged"
    ),
    _with_one(
        "mole-splits-history",
        "one order paid in two histories with a stolen vote in each",
        "NOT_CERTIFIED",
        step="release",
        signed=True,
    ),
    _with_one(
        "mole-two-bases",
        "one term opened twice with a stolen key's two statements",
        "TERM_HAS_ANOTHER_BASE",
        step="second-base",
    ),
    _with_one(
        "mole-claims-a-base", "a base that only a stolen key vouches for", "CERTIFICATE_INVALID", step="open_term"
    ),
    _with_one(
        "mole-breaks-commitments",
        "commitments of a stolen key that are no points",
        "COMMITMENTS_INVALID",
        step="no-points",
        signed=True,
        by=2,
        origin=SUBSTITUTION,
    ),
    _with_one(
        "mole-breaks-commitments",
        "an honest signer's commitments under a stolen key's signature",
        "COMMITMENTS_INVALID",
        step="in-anothers-name",
        signed=True,
        by=2,
        origin=SUBSTITUTION,
    ),
    _with_one(
        "mole-breaks-commitments",
        "commitments of a stolen key for another term",
        "COMMITMENTS_INVALID",
        step="of-another-term",
        signed=True,
        by=2,
        origin=SUBSTITUTION,
    ),
    _with_one(
        "mole-hides-payment",
        "a signed payment left out of a new term's base",
        "TERM_STATEMENTS_INVALID",
        step="without-one",
    ),
    _with_one(
        "mole-hides-payment",
        "a signed payment left out of a new term's base by its other witnesses",
        "TERM_STATEMENTS_INVALID",
        step="without-the-other",
    ),
    _with_one(
        "mole-pays-twice",
        "shares of a dropped payment collected after a second one",
        "TERM_STALE",
        step="first-again",
        by=2,
    ),
    _with_one(
        "mole-pays-twice",
        "nonces of a dropped payment under the new term's certificate",
        "NONCE_UNKNOWN",
        step="under-the-new-certificate",
        signed=True,
        by=2,
    ),
    _with_one(
        "mole-pays-twice",
        "a second payment of one order from other coins, with a stolen vote",
        "PLAN_CONFLICT",
        step="third",
        signed=True,
    ),
]
ORDERED = (
    "mole-splits-history",
    "mole-two-bases",
    "mole-claims-a-base",
    "mole-pays-twice",
    "mole-breaks-commitments",
    "mole-hides-payment",
)
"""The first ones need an order that waits, which a later one pays."""

BELOW_THRESHOLD = "on paper: t-1 bad signers and the coordinator, one share less than a signature takes"
TWO_STOLEN = {
    "moles-pay-unapproved": ("an order that lacks an approval", "APPROVALS_MISSING"),
    "moles-change-amount": ("another amount than was approved", "ENDORSEMENT_MISMATCH"),
    "moles-pay-over-limit": ("an order over the limit", "OVER_LIMIT"),
}
"""Cheats with two stolen signers, the last of which uses the limit up: what each pays, and why nobody else does."""


def _with_two(cheat: str, title: str, reason: str, *, step: str, signed: bool = True) -> object:
    what, _ = TWO_STOLEN[cheat]
    return attack(
        cheat,
        f"two stolen signers: {what}, {title}",
        reason,
        step=step,
        signed=signed,
        origin=BELOW_THRESHOLD,
        line="coordinator+signers",
    )


CASES_OF_TWO = [
    case
    for cheat, (_, reason) in TWO_STOLEN.items()
    for case in (
        _with_two(cheat, "put to the vote", reason, step="append"),
        _with_two(cheat, "nonces asked for", "NO_PLAN_AT_INDEX", step="commit"),
        _with_two(cheat, "certified by stolen votes alone", "CERTIFICATE_INVALID", step="too-few", signed=False),
        _with_two(cheat, "with honest votes made up", "CERTIFICATE_INVALID", step="forged", signed=False),
        _with_two(cheat, "under no certificate", "NOT_CERTIFIED", step="release"),
        _with_two(cheat, "as a set for an approved one", "COMMITMENTS_INVALID", step="under-an-allowed-one"),
    )
]


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    with running(funded(FIVE), "mole") as cluster:
        cluster.start()
        yield cluster


@pytest.fixture(scope="module")
def destination() -> str:
    return payee()


@pytest.fixture(scope="module")
def outcomes(siege: Cluster, destination: str) -> dict[str, Cheated]:
    """Every cheat, each in a term of its own, by one cheater with the keys of the last signer."""
    word = asyncio.run(_order(siege, destination))
    siege.coordinator.stop()
    stolen = siege.signers[-1]
    siege.deployment.signers.pop(stolen).stop()
    (siege.root / "stolen").write_text(stolen)
    return attacked_together(siege, ORDERED, words=[word])


async def _order(siege: Cluster, destination: str) -> SignedBody:
    async with actors(siege.deployment, "alice", "bob", "carol") as people:
        alice, bob, carol = people
        await ready(alice)
        await paid(siege, alice, await approved(people, payee()))
        order = await alice.pay(VAULT, destination, AMOUNT)
        await bob.approve(order)
        return await carol.say(Verb.APPROVE, order)


@pytest.mark.parametrize("case", CASES)
def test_attack_is_refused(outcomes: dict[str, Cheated], case: Case) -> None:
    case.check(outcomes)


def test_honest_signers_helped_with_one_payment_of_the_order(outcomes: dict[str, Cheated]) -> None:
    """One share of the first payment, three of the second: together with the stolen one, no signature of the first."""
    assert outcomes["mole-pays-twice"].events[-1]["honest_shares"] == 4
    assert outcomes["mole-hides-payment"].events[-1]["honest_shares"] == 2


async def test_the_four_go_on_under_an_honest_coordinator(
    siege: Cluster, outcomes: dict[str, Cheated], destination: str
) -> None:
    assert outcomes
    siege.deployment.start_coordinator()
    other = payee()
    async with actors(siege.deployment, "alice", "bob", "carol") as people:
        await ready(people[0])
        await paid(siege, people[0], await approved(people, other))
    assert payments_on_chain(siege, other) == [AMOUNT]
    assert payments_on_chain(siege, destination) in ([], [AMOUNT])
    assert all(siege.signer_status(name)["alarm"] is None for name in siege.signers[:-1])


# --- one stolen, and one that forgot ----------------------------------------------------------------------------------


@pytest.mark.attack(
    line="coordinator+signers",
    title="one signer stolen and another restored from an old copy, asked for a second vote",
    origin="on paper: a snapshot of a signer's machine restored, and the signer asked to vote again",
)
async def test_of_two_histories_with_a_stolen_vote_and_a_forgotten_one_in_each_one_is_certified(
    siege: Cluster, outcomes: dict[str, Cheated], tmp_path: Path
) -> None:
    """The two are fewer than 2w-n = 3. The forgetful one does vote twice."""
    assert outcomes
    forgetful, first, second = await two_votes_of_who_forgot(siege, tmp_path)
    assert set(first["by"]) & set(second["by"]) == {forgetful, siege.signers[-1]}
    assert (first["certified"], second["certified"]) == (True, False)


# --- two of five ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def outcomes_of_two(siege: Cluster) -> dict[str, Cheated]:
    """Every cheat with the keys of the last two signers; without their votes the three others are no quorum."""
    stolen = siege.signers[-2:]
    for name in stolen:
        daemon = siege.deployment.signers.pop(name, None)
        if daemon is not None:
            daemon.stop()
    (siege.root / "stolen").write_text(" ".join(stolen))
    return attacked_together(siege, ["moles-need-one-more", *TWO_STOLEN])


def test_two_stolen_shares_and_one_honest_one_make_a_signature(
    siege: Cluster, outcomes_of_two: dict[str, Cheated]
) -> None:
    """So that an attack with two fails for want of that one share, and for nothing else."""
    outcome = outcomes_of_two["moles-need-one-more"]
    assert outcome.events[-1]["honest_shares"] == 1
    raw = next(line["raw"] for line in outcome.events if line["event"] == "finished")
    (answer,) = siege.deployment.rpc("testmempoolaccept", [raw])
    assert answer["allowed"], answer


@pytest.mark.parametrize("case", CASES_OF_TWO)
def test_attack_by_two_is_refused_by_each_of_the_three_others(outcomes_of_two: dict[str, Cheated], case: Case) -> None:
    case.check(outcomes_of_two)


def test_the_three_others_gave_no_share(outcomes_of_two: dict[str, Cheated]) -> None:
    assert {cheat: outcomes_of_two[cheat].events[-1]["honest_shares"] for cheat in TWO_STOLEN} == dict.fromkeys(
        TWO_STOLEN, 0
    )
