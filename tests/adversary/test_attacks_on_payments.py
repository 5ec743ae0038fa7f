"""A dishonest coordinator tries to pay what nobody approved. Each signer refuses, and signs why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cluster import Cheated, Cluster
from siege import attacked_together, besieged, heals, refused

pytestmark = [pytest.mark.process, pytest.mark.slow]

BYBIT = "Bybit 2025: three signers approved what a page showed, and signed something else"
LIMINAL = "WazirX and Liminal 2024: genuine approvals went with another payload"
REUSED = "WazirX and Liminal 2024: signatures of failed transactions were used again"
SBTC = "stacks-sbtc report: approvals replayed in another session"
FROSTSNAP = "Frostsnap: change sent to an index that no wallet would find"
BYPASS = "Turnkey and BitGo reports: a path around the quorum"
TWICE = "on paper: two plans of one order that can both confirm"
MERGED = "on paper: equal payments compared as a set"
DRAINED = "on paper: coins burnt as fees to a friendly miner, plan after plan"
LOCKED = "on paper: a transaction that no node relays locks the coins it spends"
BUMPED = "on paper: a raised fee is judged less strictly than a payment"
CREDITED = "on paper: change on the deposit branch is credited as a deposit"


def by_coordinator(cheat: str, reason: str, title: str, origin: str) -> Any:
    """A cheat, the reason for which every signer refuses it, and what it attacks."""
    return pytest.param(
        cheat, reason, marks=pytest.mark.attack(line="coordinator", title=title, origin=origin), id=cheat
    )


ATTACKS = (
    by_coordinator("change-amount", "ENDORSEMENT_MISMATCH", "another amount under genuine approvals", BYBIT),
    by_coordinator("change-destination", "ENDORSEMENT_MISMATCH", "another payee under genuine approvals", BYBIT),
    by_coordinator("reuse-approvals", "ALREADY_KNOWN", "a paid order replayed with its approvals", REUSED),
    by_coordinator("foreign-log", "WRONG_LOG", "an order of another deployment", SBTC),
    by_coordinator("pay-without-approval", "APPROVALS_MISSING", "payment before the approvals are complete", BYPASS),
    # outputs
    by_coordinator("merge-payments", "PLAN_OUTPUTS", "one order paid by two outputs", MERGED),
    by_coordinator("merge-orders", "PLAN_OUTPUTS", "two equal orders merged into one output", MERGED),
    by_coordinator(
        "leave-out-payment", "PLAN_OUTPUTS", "an order counted as paid by a plan without its output", LIMINAL
    ),
    by_coordinator("extra-output", "PLAN_OUTPUTS", "one more output than the orders ask for", BYBIT),
    by_coordinator("stated-amount", "NOT_CANONICAL", "a plan that states an amount of its own", BYBIT),
    by_coordinator("stranger-change", "NOT_CANONICAL", "change to a stranger", BYBIT),
    by_coordinator("deposit-change", "NOT_CANONICAL", "change on the deposit branch", CREDITED),
    by_coordinator("lose-change", "PLAN_CHANGE", "change to an absurd index", FROSTSNAP),
    by_coordinator("scatter-change", "PLAN_CHANGE", "change scattered over more outputs than allowed", DRAINED),
    by_coordinator("dust-change", "PLAN_FORM", "change below dust", LOCKED),
    by_coordinator("dust-order", "AMOUNT_INVALID", "an order below dust", LOCKED),
    by_coordinator("overspend", "PLAN_FORM", "outputs that exceed the inputs", LOCKED),
    # coins and orders
    by_coordinator("absurd-input", "PLAN_FORM", "an input derived at an absurd index", FROSTSNAP),
    by_coordinator("third-branch", "PLAN_FORM", "an input of a branch that no vault has", FROSTSNAP),
    by_coordinator("same-coin-twice", "PLAN_FORM", "one coin listed twice", LOCKED),
    by_coordinator(
        "foreign-input", "NOT_CANONICAL", "an input that names another vault", "on paper: coins of two vaults"
    ),
    by_coordinator("unknown-vault", "VAULT_UNKNOWN", "a plan of a vault that nobody made", LIMINAL),
    by_coordinator("unknown-order", "ORDER_UNKNOWN", "a plan for an order that nobody gave", BYPASS),
    by_coordinator("order-named-twice", "PLAN_ORDERS", "an order named twice in one plan", MERGED),
    by_coordinator("pay-a-freeze", "PLAN_ORDERS", "a freeze planned as if it were a payment", LIMINAL),
    # fees
    by_coordinator("burn-fees", "FEE_OVER_ORDER", "a fee above what the order allows", DRAINED),
    by_coordinator("fee-rate", "FEE_OVER_RATE", "a fee inflated per vbyte", DRAINED),
    by_coordinator("fee-per-plan", "FEE_OVER_PLAN", "a fee inflated for one plan", DRAINED),
    by_coordinator("fee-window", "FEE_OVER_WINDOW", "fees of many plans above the vault's window", DRAINED),
    # at most once
    by_coordinator("pay-twice", "PLAN_CONFLICT", "an order paid twice through disjoint inputs", TWICE),
    by_coordinator("spend-own-payment", "PLAN_CONFLICT", "a second plan that spends the change of the first", TWICE),
    by_coordinator("hide-behind-chain", "PLAN_CONFLICT", "a second payment behind a chain of two plans", TWICE),
    by_coordinator("mixed-batch", "PLAN_CONFLICT", "a planned order slipped into a payment of new ones", TWICE),
    by_coordinator(
        "one-transaction-two-orders", "TRANSACTION_KNOWN", "one transaction logged as the plans of two orders", MERGED
    ),
    # bumps
    by_coordinator("bump-adds-payee", "BUMP_MISMATCH", "a bump that adds a payee", BUMPED),
    by_coordinator("bump-drops-payee", "BUMP_MISMATCH", "a bump that drops a payee", BUMPED),
    by_coordinator("bump-changes-amount", "NOT_CANONICAL", "a bump that states another amount", BUMPED),
    by_coordinator("bump-other-coins", "BUMP_MISMATCH", "a bump from other coins", BUMPED),
    by_coordinator("bump-not-higher", "BUMP_NOT_HIGHER", "a bump at a lower fee", BUMPED),
    by_coordinator("bump-unknown", "BUMP_MISMATCH", "a bump of a plan that nobody knows", BUMPED),
    by_coordinator("bump-chain", "FEE_OVER_ORDER", "a chain of bumps that drains fees", DRAINED),
    by_coordinator("bump-rejected", "REJECTED", "a bump of a payment that was rejected since", BUMPED),
    # cancellations
    by_coordinator("cancel-pays-out", "PLAN_OUTPUTS", "a cancellation that pays out", "on paper: a cancel that pays"),
    by_coordinator("cancel-with-payment", "PLAN_ORDERS", "a cancellation beside a payment in one plan", MERGED),
    by_coordinator("cancel-beside", "PLAN_CONFLICT", "a cancellation that does not exclude the payment", TWICE),
    by_coordinator("pay-after-cancel", "CANCELLED", "payment of a cancelled order", REUSED),
)


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    with besieged("payments") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def outcomes(siege: Cluster) -> dict[str, Cheated]:
    """All cheats, one after another, by one dishonest coordinator; what holds after each is checked there."""
    return attacked_together(siege, [str(attack.values[0]) for attack in ATTACKS])


@pytest.mark.parametrize(("cheat", "reason"), ATTACKS)
def test_every_signer_refuses(outcomes: dict[str, Cheated], cheat: str, reason: str) -> None:
    """Each for this reason, signed; when asked for nonces all the same, they know of no such plan."""
    refused(outcomes[cheat], "append", reason)
    refused(outcomes[cheat], "afterwards", "NO_PLAN_AT_INDEX")


async def test_an_honest_coordinator_goes_on_after_all_of_them(siege: Cluster, outcomes: dict[str, Cheated]) -> None:
    assert all(outcome.released == 0 for outcome in outcomes.values())
    await heals(siege)
