"""The address book and break-glass turned against their owners, by a coordinator and by everybody who approves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import attack_cases
from attack_cases import Case, cheats_of
from cluster import Cheated, Cluster
from recovery_deployment import recovery_site
from siege import attacked_together

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

BOOK = "reports of address books 2023: a new withdrawal address used before its owner could see it"
COLLUSION = "Multichain 2023 and insider reports: everybody who approves is one attacker"
EMERGENCY = "on paper: an emergency power that passes every brake is the best one to steal"
CLOCK = "on paper: what ends by time is held open by a log time that stands still"


def attack(cheat: str, reason: str, title: str, origin: str, *, step: str = "append", **options: Any) -> Any:
    """An attack whose refusal is signed, at the first round if nothing else is said."""
    return attack_cases.attack(cheat, title, reason, step=step, origin=origin, **{"signed": True, **options})


def by_quorum(cheat: str, reason: str, title: str, origin: str = COLLUSION) -> Any:
    return attack(cheat, reason, title, origin, line="approval-quorum")


# A freeze stays to the end, so the attack that needs it comes last.
ATTACKS = (
    by_quorum("book-pay-at-once", "COOLING_OFF", "an address added to the address book and paid at once", BOOK),
    attack("book-pay-unlisted", "NO_RULE_MATCHES", "a payment to what the address book never had", BOOK),
    attack("book-one-approval", "NO_RULE_MATCHES", "an address added below the quorum and paid", BOOK),
    by_quorum("book-other-chain", "CHAIN_UNKNOWN", "an address added for another chain", BOOK),
    attack("book-pay-removed", "NO_RULE_MATCHES", "a payment to an address after its removal", BOOK),
    by_quorum("book-pay-readded", "COOLING_OFF", "a removed address added again and paid at once", BOOK),
    attack("book-add-again", "DESTINATION_KNOWN", "an address added twice to shorten its cooling-off", BOOK),
    attack("book-false-proof", "OWNERSHIP_NOT_PROVEN", "a proof of ownership that nobody gave", BOOK),
    attack("glass-two-approvals", "APPROVALS_MISSING", "break-glass below its quorum", EMERGENCY),
    by_quorum("glass-too-early", "DELAY_RUNNING", "break-glass without time to object"),
    by_quorum("glass-elsewhere", "RECOVERY_ADDRESS", "break-glass to another address"),
    by_quorum("glass-unregistered", "RECOVERY_ADDRESS", "break-glass of a vault without a recovery address"),
    attack("glass-other-vault", "PLAN_VAULT", "break-glass turned on another vault", EMERGENCY),
    attack("glass-keeps-change", "PLAN_OUTPUTS", "break-glass that keeps a part back", EMERGENCY),
    attack("glass-burns-fees", "FEE_OVER_ORDER", "break-glass that burns coins as a fee", EMERGENCY),
    attack("glass-pays-as-well", "PLAN_ORDERS", "a withdrawal paid under cover of break-glass", EMERGENCY),
    attack("glass-rejected", "REJECTED", "break-glass after one of the quorum closed the box", EMERGENCY),
    by_quorum("glass-address-in-one-go", "RECOVERY_ADDRESS", "a recovery address amended and used in one go"),
    attack("glass-frozen-time", "BOX_CLOSED", "a box held open by frozen log time", CLOCK, step="commit"),
    attack("glass-for-a-payment", "PLAN_OUTPUTS", "a withdrawal called a recovery", EMERGENCY, step="as-recovery"),
)


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    with recovery_site("recovery") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def outcomes(siege: Cluster) -> dict[str, Cheated]:
    """All cheats, one after another, by one dishonest coordinator; what holds after each is checked there."""
    last = "glass-for-a-payment"
    return attacked_together(siege, [*(name for name in cheats_of(ATTACKS) if name != last), last])


@pytest.mark.parametrize("case", ATTACKS)
def test_every_signer_keeps_to_the_recovery_powers(outcomes: dict[str, Cheated], case: Case) -> None:
    case.check(outcomes)
