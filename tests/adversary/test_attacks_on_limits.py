"""Limits, maxima, delays and prohibitions evaded: by the coordinator, by a whole approval quorum, by log time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

import attack_cases
from actor import DAY_MS, Actor, actors, ready, until
from attack_cases import Case
from cluster import VAULT, Cheated, Cluster, running
from machines import said
from payments import approved, paid, payee, payments_on_chain
from siege import attacked, attacked_together, heals, refused
from strict_deployment import strict, strictly_besieged
from strongroom.ledger.order_messages import Freeze, Scope
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Verb
from strongroom.model.ids import OrderHash
from strongroom_client.demo.processes import DaemonFailed

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

SPLIT = "on paper: a limit evaded by many small payments"
SUBSETS = "on paper: limits counted by each signer for what it signed itself"
HIDDEN = "Emily in sBTC: limits served by a central program that tells each signer what it likes"
CLOCK = "on paper: a log time that stands still and then jumps over windows and delays"
COUNTED = "on paper: one person counted in two groups by greedy choice"
TIERS = "Turnkey report: a request judged under another policy than its own"
COLLUSION = "Multichain 2023 and insider reports: everybody who approves is one attacker"
COMMINGLED = "FTX 2022: one vault pays what another owes"
WITHHELD = "on paper: rejections, freezes and revocations that a coordinator keeps to itself"
AMOUNT_LIE = "hardware wallets 2020: a false input amount turned coins into fees (CVE-2020-14199)"
DISK = "on paper: a log that can only grow is filled up for ever"
LOCAL = "on paper: an operator's own maximum counted by somebody else"


def attack(cheat: str, reason: str, title: str, origin: str, *, step: str = "append", **options: Any) -> Any:
    """An attack whose refusal is signed, at the first round if nothing else is said."""
    return attack_cases.attack(cheat, title, reason, step=step, origin=origin, **{"signed": True, **options})


def by_quorum(cheat: str, reason: str, title: str) -> Any:
    return attack(cheat, reason, title, COLLUSION, line="approval-quorum")


# In this order: from `alternate-histories` on, attacks use up what they then try to have once more.
ATTACKS = (
    attack("too-early", "DELAY_RUNNING", "payment before its delay is over", CLOCK),
    attack("jump-delay", "BATCH_TIME_OFF", "log time jumped over a delay", CLOCK),
    attack("creep-delay", "DELAY_RUNNING", "log time pushed as far as it goes to shorten a delay", CLOCK),
    attack("backdate-approval", "ENTRY_TIME_FELL", "the last approval backdated to shorten a delay", CLOCK),
    attack("board-twice", "APPROVALS_MISSING", "one person counted in two groups", COUNTED),
    attack("wrong-group", "NOT_AN_APPROVER", "an approver of another group", COUNTED),
    attack("small-tier-for-large", "APPROVALS_MISSING", "a large order under the small tier", TIERS),
    attack("pay-from-other-vault", "PLAN_VAULT", "a plan for an order of another vault", COMMINGLED),
    attack("orders-of-two-vaults", "PLAN_VAULT", "orders of two vaults in one plan", COMMINGLED),
    attack("freeze-another", "FREEZE_SCOPE", "a freeze of everything narrowed to one vault", WITHHELD),
    by_quorum("quorum-over-maximum", "OVER_MAXIMUM", "everybody signs above the maximum"),
    by_quorum("quorum-over-window", "OVER_LIMIT", "everybody signs more than a day allows"),
    by_quorum("quorum-denied", "DENIED", "everybody signs to a denied destination"),
    by_quorum("quorum-other-vault", "NO_RULE_MATCHES", "everybody signs from another vault"),
    by_quorum("quorum-skips-delay", "DELAY_RUNNING", "everybody signs and skips the delay"),
    by_quorum("quorum-unlisted-asset", "ASSET_MISMATCH", "everybody signs an unlisted asset"),
    by_quorum("quorum-absurd-fee", "FEE_OVER_PLAN", "everybody signs an absurd fee"),
    attack("split-in-plan", "OVER_LIMIT", "a limit split into many orders of one plan", SPLIT),
    attack("split-in-batch", "OVER_LIMIT", "a limit split into many plans of one batch", SPLIT),
    attack("over-local-maximum", "LOCAL_LIMIT", "an order above two operators' maximum", LOCAL, step="commit", by=2),
    attack("split-over-holders", "LOCAL_LIMIT", "an operator's maximum split over holders", LOCAL, step="commit", by=2),
    attack(
        "alternate-histories",
        "NOT_CERTIFIED",
        "a limit used once in each of two histories",
        HIDDEN,
        step="release",
        by=1,
    ),
    attack("withhold-entries", "BEHIND", "payments hidden from one signer", HIDDEN, by=1, signed=False),
    attack("alternate-signers", "OVER_LIMIT", "a limit split over alternating pairs of signers", SUBSETS, by=2),
    attack("split-over-batches", "OVER_LIMIT", "a limit split over many batches", SPLIT),
    attack("split-over-terms", "OVER_LIMIT", "a limit split over two terms", SPLIT),
    attack("jump-window", "BATCH_TIME_OFF", "log time jumped over a window", CLOCK),
    attack("turn-window-back", "ENTRY_TIME_FELL", "a payment stamped before the window was used", CLOCK),
)


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    with strictly_besieged("limits") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def outcomes(siege: Cluster) -> dict[str, Cheated]:
    """All cheats, one after another, by one dishonest coordinator; what holds after each is checked there."""
    return attacked_together(siege, [one.values[0].cheat for one in ATTACKS])


@pytest.mark.parametrize("case", ATTACKS)
def test_every_signer_keeps_to_the_limits(outcomes: dict[str, Cheated], case: Case) -> None:
    case.check(outcomes)


def test_the_second_history_is_refused_by_who_saw_the_first(outcomes: dict[str, Cheated]) -> None:
    refused(outcomes["alternate-histories"], "second-history", "BATCH_DOES_NOT_FOLLOW", signed=False, by=1)


def test_each_operator_helps_to_pay_no_more_than_its_own_maximum(outcomes: dict[str, Cheated]) -> None:
    """Of four payments one went through with each of the two; the third and fourth found nobody."""
    assert outcomes["split-over-holders"].events[-1]["honest_shares"] == 4
    assert outcomes["over-local-maximum"].events[-1]["honest_shares"] == 0


async def test_an_honest_coordinator_goes_on_after_the_limits_were_tried(
    siege: Cluster, outcomes: dict[str, Cheated]
) -> None:
    assert all(outcome.released == 0 for outcome in outcomes.values())
    await heals(siege)


def signed_in_vain(siege: Cluster, cheat: str, why: str) -> dict[str, Any]:
    """Signers cannot know coins, so they sign; what they sign commits to the claims, and no node takes it."""
    outcome = attacked_together(siege, [cheat])[cheat]
    assert outcome.events[-1]["honest_shares"] == 2
    made: dict[str, Any] = next(line for line in outcome.events if line["event"] == "finished")
    with pytest.raises(DaemonFailed, match=why):
        siege.deployment.rpc("sendrawtransaction", made["raw"])
    siege.deployment.start_coordinator()
    return made


async def waits_for(person: Actor, order: OrderHash, words: str) -> str:
    """Wait until the honest coordinator says this of an order; the order's status."""

    async def says_so() -> str | None:
        seen = await person.client.order(order)
        return seen.status if words in seen.waits_for else None

    status: str = await until(says_so, timeout_s=60)
    return status


@pytest.mark.attack(
    line="coordinator", title="a coin said to be worth less, to burn the rest as a fee", origin=AMOUNT_LIE
)
async def test_a_coin_with_a_false_amount_burns_nothing_and_its_order_is_paid(siege: Cluster) -> None:
    made = signed_in_vain(siege, "lie-about-amount", "script-verify")
    assert siege.deployment.rpc("gettxout", made["txid"], made["vout"]) is not None
    async with actors(siege.deployment, "alice") as (alice,):
        await ready(alice)
        done = await paid(siege, alice, OrderHash(bytes.fromhex(made["order"])))
    assert payments_on_chain(siege, made["payee"]) == [made["amount"]]
    assert [plan.stage for plan in done.plans] == ["excluded", "confirmed"]


@pytest.mark.attack(line="coordinator", title="another vault's coin said to be this one's", origin=COMMINGLED)
async def test_another_vaults_coin_moves_nothing_and_its_order_can_be_ended(siege: Cluster) -> None:
    """No plan of the order's vault can spend that coin, so none can take its place; but it can never confirm either."""
    made = signed_in_vain(siege, "borrow-coin", "script-verify")
    order = OrderHash(bytes.fromhex(made["order"]))
    async with actors(siege.deployment, "alice", "carol") as (alice, carol):
        await ready(alice)
        assert await waits_for(alice, order, "reject the order and make a new one") == "payable"
        await carol.reject(order)
        ended = await alice.wait_for_order(order, lambda one: one.status == "never_will_be_paid", timeout_s=60)
    assert "is not what the plan says of it" in str(ended)
    assert siege.deployment.rpc("gettxout", made["txid"], made["vout"]) is not None


@pytest.mark.attack(
    line="coordinator", title="a payment planned on coins that do not exist", origin="on paper: a coin nobody can spend"
)
async def test_an_order_on_a_coin_that_does_not_exist_says_so_and_holds_up_nothing_else(siege: Cluster) -> None:
    """It stays payable: who invented the coin may hold back the transaction that makes it, and has the signatures."""
    made = signed_in_vain(siege, "invent-coin", "missingorspent")
    async with actors(siege.deployment, "alice", "bob", "carol") as people:
        await ready(people[0])
        assert await waits_for(people[0], OrderHash(bytes.fromhex(made["order"])), "does not exist") == "payable"
        destination = payee()
        await paid(siege, people[0], await approved(people, destination, 1_000_000))
    assert payments_on_chain(siege, destination) == [1_000_000]
    assert payments_on_chain(siege, made["payee"]) == []


@pytest.mark.attack(line="coordinator", title="an officer's freeze withheld, handed in by file", origin=WITHHELD)
async def test_a_handed_freeze_binds_though_the_log_lacks_it(siege: Cluster) -> None:
    """Two of three operators were handed the file; the coordinator logs a payment that it forbids, in vain."""
    if not siege.coordinator.running:
        siege.deployment.start_coordinator()
    async with actors(siege.deployment, "carol") as (carol,):
        await ready(carol)
        order = carol.draft(Freeze(scope=Scope.VAULT, vault=VAULT, why="the coordinator looks hostile"))
        word = await carol.say(Verb.INITIATE, order.hash)
    siege.coordinator.stop()
    path = siege.root / "freeze.json"
    said = [{"body": word.body.hex(), "signature": word.signature.hex()}]
    path.write_text(json.dumps({"v": 1, "order": order.data.hex(), "endorsements": said}))
    for name in siege.signers[:2]:
        done = siege.signer_command(name, "hand-in", str(path))
        assert done.returncode == 0, done.stderr
    attacked(siege, "withhold-handed-freeze", "commit", "FROZEN", by=2)


@pytest.mark.attack(line="coordinator", title="log time kept behind, then jumped over a window", origin=CLOCK)
def test_a_standing_lag_buys_no_second_window() -> None:
    """The signers' clocks are 50 s ahead, so every batch lags; the furthest jump they take is still in the window."""
    with running(strict(), "lag") as cluster:
        for name in cluster.signers:
            cluster.launch_signer(name, "--shift-ms", "50000")
        outcome = attacked(cluster, "lag-then-jump", "append", "BATCH_TIME_OFF")
        refused(outcome, "within-tolerance", "OVER_LIMIT")


@pytest.mark.attack(line="coordinator", title="the log filled with all the bytes of a day, and more", origin=DISK)
async def test_a_filled_day_ends_at_the_quota_and_keeps_nobodys_words_out() -> None:
    """Neither one more tick nor a plan gets in, from the cheater or its honest successor; what people say does."""
    with running(strict(), "filled") as cluster:
        cluster.start(coordinator=False)
        outcome = attacked(cluster, "fill-the-day", "tick", "LOG_QUOTA")
        for step in ("bump", "plan"):
            refused(outcome, step, "LOG_QUOTA")
        (filled,) = (line for line in outcome.events if line["event"] == "filled")
        assert 0 <= filled["left"] < filled["tick"]
        cluster.deployment.start_coordinator()
        async with actors(cluster.deployment, "alice", "bob", "carol") as people:
            alice, _, carol = people
            await ready(alice)
            order = await approved(people, payee())
            if time.time_ns() // 1_000_000 // DAY_MS == filled["day"]:
                await asyncio.to_thread(said, cluster.coordinator, "plan.refused", reason="LOG_QUOTA")
                assert not (await alice.client.order(order)).plans
            await carol.reject(order)
            await alice.wait_for_order(order, lambda one: one.proven.record.state is OrderState.REJECTED)
