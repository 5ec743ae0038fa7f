"""A dishonest coordinator tries to pay what nobody approved. Each signer refuses, and signs why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster import Cluster
from siege import attacked, besieged, heals

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    with besieged("payments") as cluster:
        yield cluster


@pytest.mark.attack(
    line="coordinator",
    title="another amount under genuine approvals",
    origin="Bybit 2025: three signers approved what a page showed, not what they signed",
)
async def test_attack_altered_amount_under_genuine_approvals(siege: Cluster) -> None:
    """The approvals are real and for other bytes: what counts is what was signed, not what is shown."""
    attacked(siege, "change-amount", "append", "ENDORSEMENT_MISMATCH")
    await heals(siege)


@pytest.mark.attack(
    line="coordinator",
    title="another payee under genuine approvals",
    origin="Bybit 2025: three signers approved what a page showed, not what they signed",
)
async def test_attack_altered_payee_under_genuine_approvals(siege: Cluster) -> None:
    attacked(siege, "change-destination", "append", "ENDORSEMENT_MISMATCH")


@pytest.mark.attack(
    line="coordinator",
    title="an order paid twice from other coins",
    origin="on paper: two plans of one order that can both confirm",
)
async def test_attack_second_payment_from_other_coins(siege: Cluster) -> None:
    attacked(siege, "pay-twice", "append", "PLAN_CONFLICT")
    await heals(siege)


@pytest.mark.attack(
    line="coordinator",
    title="payment before the approvals are complete",
    origin="BitGo and Turnkey reports: a path around the quorum",
)
async def test_attack_payment_before_the_approvals_are_complete(siege: Cluster) -> None:
    attacked(siege, "pay-without-approval", "append", "APPROVALS_MISSING")
    await heals(siege)


@pytest.mark.attack(
    line="coordinator",
    title="a paid order replayed with its approvals",
    origin="WazirX and Liminal 2024: signatures of failed transactions were used again",
)
async def test_attack_replayed_order_and_approvals(siege: Cluster) -> None:
    attacked(siege, "reuse-approvals", "append", "ALREADY_KNOWN")


@pytest.mark.attack(
    line="coordinator",
    title="an order of another deployment",
    origin="stacks-sbtc report: approvals replayed in another session",
)
async def test_attack_order_of_another_deployment(siege: Cluster) -> None:
    attacked(siege, "foreign-log", "append", "WRONG_LOG")


@pytest.mark.attack(
    line="coordinator", title="one order paid by two outputs", origin="on paper: equal payments compared as a set"
)
async def test_attack_one_order_paid_by_two_outputs(siege: Cluster) -> None:
    attacked(siege, "merge-payments", "append", "PLAN_OUTPUTS")


@pytest.mark.attack(
    line="coordinator",
    title="change to an absurd index",
    origin="Frostsnap: change at an index that no wallet would find",
)
async def test_attack_change_to_an_unfindable_path(siege: Cluster) -> None:
    attacked(siege, "lose-change", "append", "PLAN_CHANGE")


@pytest.mark.attack(
    line="coordinator", title="coins burnt as fees", origin="on paper: fees drained to a friendly miner"
)
async def test_attack_coins_burnt_as_fees(siege: Cluster) -> None:
    attacked(siege, "burn-fees", "append", "FEE_OVER_ORDER")
    await heals(siege)


async def test_no_nonce_is_made_for_a_refused_plan(siege: Cluster) -> None:
    """After the batch was refused the cheater asks for nonces all the same: there is no such plan in any log."""
    outcome = attacked(siege, "pay-twice", "afterwards", "NO_PLAN_AT_INDEX")
    assert set(outcome.refusals("append")) == set(siege.signers)
    await heals(siege)
