"""Words of people forged, replayed, borrowed or stolen, and rules replaced: each signer refuses, and signs why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import attack_cases
from attack_cases import Case
from cluster import Cheated, Cluster
from siege import attacked_together, besieged, heals, refused

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

FORGED = "mpcium report: fields outside the signature, and an identity taken from the message"
ELSEWHERE = "on paper: a staging clone with the production keys, and a log started anew"
REPLAYED = "stacks-sbtc report: approvals replayed in another session"
REUSED = "WazirX and Liminal 2024: approvals of cancelled requests were used again"
ONE_FOR_ALL = "mpcium report: one key signs for all initiators"
BYPASS = "Turnkey and BitGo reports: a path around the quorum"
DOWNGRADE = "sBTC Emily report: limits and rules served by a central program"
STOLEN = "Ronin 2022: a few stolen keys were taken for a quorum"
FROZEN = "on paper: a freeze that the coordinator logs and then ignores"
VETO = "on paper: one stolen key as a veto over everything"


def attack(cheat: str, reason: str, title: str, origin: str, *, line: str = "coordinator") -> Any:
    """A cheat, the reason for which every signer refuses it, and what it attacks."""
    return pytest.param(cheat, reason, marks=pytest.mark.attack(line=line, title=title, origin=origin), id=cheat)


ATTACKS = (
    # forged and borrowed words
    attack("stranger-key", "KEY_UNKNOWN", "an approval by a stranger's key", FORGED),
    attack("forged-signature", "BAD_SIGNATURE", "an approval with a forged signature", FORGED),
    attack("swap-verb", "BAD_SIGNATURE", "a rejection turned into an approval", FORGED),
    attack("extend-expiry", "BAD_SIGNATURE", "an approval whose expiry was moved", FORGED),
    attack("alter-seen-head", "BAD_SIGNATURE", "an approval with an altered head", FORGED),
    attack("borrowed-key", "KEY_UNKNOWN", "one officer's signature under another's name", FORGED),
    attack("other-kind-signature", "BAD_SIGNATURE", "an adoption's signature under an approval", FORGED),
    # words from elsewhere, and words that no longer count
    attack("clone-approval", "WRONG_LOG", "an approval from a clone with the same keys", ELSEWHERE),
    attack("other-history", "ENDORSEMENT_HEAD", "an approval from a log that was started anew", ELSEWHERE),
    attack("later-history", "ENDORSEMENT_HEAD", "an approval from a longer log that was cut off", ELSEWHERE),
    attack("expired-approval", "ENDORSEMENT_EXPIRED", "an expired approval", REPLAYED),
    attack("endless-approval", "ENDORSEMENT_TOO_LONG", "an approval that counts for a year", REPLAYED),
    attack("replayed-approval", "ALREADY_KNOWN", "one approval logged twice", REPLAYED),
    attack("approval-of-another", "ENDORSEMENT_MISMATCH", "an approval moved to another order", REUSED),
    attack("endless-order", "ORDER_LIFE_TOO_LONG", "an order that is payable for a year", REPLAYED),
    attack("rejected-order", "REJECTED", "payment of a rejected order", REUSED),
    attack("approve-after-reject", "ORDER_ENDED", "a rejected order approved again", REUSED),
    attack("same-id", "ORDER_ID_TAKEN", "another order under a known id", REUSED),
    # the wrong people
    attack("one-person-twice", "ALREADY_KNOWN", "one person's two approvals", ONE_FOR_ALL),
    attack("initiator-approves", "INITIATOR_CANNOT_APPROVE", "the initiator as approver", ONE_FOR_ALL),
    attack("machine-approves", "NOT_AN_APPROVER", "a server as approver", ONE_FOR_ALL),
    attack("two-initiators", "VERB_NOT_ALLOWED", "an order with two initiators", ONE_FOR_ALL),
    attack("nobody-asked", "INITIATOR_NOT_ALLOWED", "an order that nobody asked for", BYPASS),
    # one stolen key, with the coordinator's help
    attack("stolen-key-alone", "APPROVALS_MISSING", "a stolen key asks and nobody approves", STOLEN, line="person"),
    attack("stolen-key-approves", "APPROVALS_MISSING", "one stolen key where two must approve", STOLEN, line="person"),
    attack(
        "stolen-key-own-approval",
        "INITIATOR_CANNOT_APPROVE",
        "a stolen key approves its own order",
        STOLEN,
        line="person",
    ),
    attack(
        "stolen-server-key",
        "INITIATOR_CANNOT_APPROVE",
        "a server's stolen key approves its own order",
        STOLEN,
        line="person",
    ),
    attack("stolen-server-cancels", "INITIATOR_NOT_ALLOWED", "a server's stolen key cancels", VETO, line="person"),
    attack("stolen-server-freezes", "INITIATOR_NOT_ALLOWED", "a server's stolen key freezes", VETO, line="person"),
    attack("stolen-key-lifts-freeze", "FROZEN", "a stolen key lifts a freeze alone", STOLEN, line="person"),
    # freezes and the charter
    attack("frozen-by-officer", "FROZEN", "payment under a logged freeze", FROZEN),
    attack("forged-operator-freeze", "BAD_SIGNATURE", "a forged operator's freeze", FORGED),
    attack("loosen-and-spend", "GENESIS_MISPLACED", "rules loosened in the batch of the payment", DOWNGRADE),
    attack("second-genesis", "GENESIS_MISPLACED", "the first entry logged again", DOWNGRADE),
    attack("unknown-amendment", "NOT_CANONICAL", "an amendment of a kind these rules lack", DOWNGRADE),
    attack("unknown-order-kind", "ENTRY_MALFORMED", "an order of a kind these rules lack", DOWNGRADE),
)


RUN_OUT = tuple(
    attack_cases.attack("wait-it-out", title, reason, step=step, origin=REPLAYED, signed=True)
    for step, title, reason in (
        ("expired-order", "payment of an expired order", "ORDER_EXPIRED"),
        ("late-word", "an approval added to an expired order", "ORDER_EXPIRED"),
        ("approval-ran-out", "payment held back until an approval ran out", "APPROVALS_MISSING"),
    )
)


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    with besieged("orders") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def outcomes(siege: Cluster) -> dict[str, Cheated]:
    """All cheats, one after another, by one dishonest coordinator; what holds after each is checked there."""
    return attacked_together(siege, [*(str(one.values[0]) for one in ATTACKS), "wait-it-out", "stolen-key-vault"])


@pytest.mark.parametrize(("cheat", "reason"), ATTACKS)
def test_every_signer_refuses_the_words(outcomes: dict[str, Cheated], cheat: str, reason: str) -> None:
    """Each for this reason, signed; when asked for nonces all the same, they know of no such plan."""
    refused(outcomes[cheat], "append", reason)
    refused(outcomes[cheat], "afterwards", "NO_PLAN_AT_INDEX")


def test_an_approval_of_an_earlier_batch_counts_once_too(outcomes: dict[str, Cheated]) -> None:
    refused(outcomes["replayed-approval"], "in-a-later-batch", "ALREADY_KNOWN")


@pytest.mark.parametrize("case", RUN_OUT)
def test_what_has_run_out_stays_so(outcomes: dict[str, Cheated], case: Case) -> None:
    case.check(outcomes)


@pytest.mark.attack(line="person", title="a stolen key orders a vault of its own", origin=STOLEN)
def test_no_key_is_made_for_a_vault_below_the_quorum(outcomes: dict[str, Cheated]) -> None:
    refused(outcomes["stolen-key-vault"], "keygen", "KEYGEN_NOT_ORDERED", signed=False)


async def test_an_honest_coordinator_goes_on_after_all_of_the_words(
    siege: Cluster, outcomes: dict[str, Cheated]
) -> None:
    assert all(outcome.released == 0 for outcome in outcomes.values())
    await heals(siege)
