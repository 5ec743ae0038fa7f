"""A dishonest coordinator tries to bend the log: two histories, old terms, false certificates, its own log time."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from actor import actors, ready, until
from attack_cases import Case, attack, cheats_of
from cluster import COINS, VAULT, Cheated, Cluster
from payments import AMOUNT, connected, paid, payee, payments_on_chain
from siege import attacked, attacked_together, besieged, heals
from strongroom.ledger.records import OrderRecord
from strongroom.ledger.signed_messages import Verb

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.campaign]

SPLIT_LOG = "on paper: two histories of one log, each paying an order once"
TIME = "on paper: delays shortened by a log time that stands still and then jumps"
DISK = "on paper: a log that can only grow is filled up for ever"
PARSERS = "on paper: two builds with one parser difference replay one log to two states"
REPLAY = "stacks-sbtc #274: approvals and messages replayed"


def _other_encoding(cheat: str, title: str) -> object:
    return attack(cheat, title, "NOT_CANONICAL", step="append", signed=True, origin=PARSERS)


def _misplaced(cheat: str, title: str, *, step: str = "append", origin: str = SPLIT_LOG) -> object:
    return attack(cheat, title, "BATCH_DOES_NOT_FOLLOW", step=step, origin=origin)


def _too_large(cheat: str, title: str) -> object:
    return attack(cheat, title, "FRAME_MALFORMED", step="append", origin=DISK)


CASES = [
    attack(
        "split-history",
        "another history shown to each signer",
        "NOT_CERTIFIED",
        step="release",
        signed=True,
        origin=SPLIT_LOG,
    ),
    attack(
        "split-history",
        "a certificate put together from votes for different histories",
        "CERTIFICATE_INVALID",
        step="forged-certificate",
        origin=SPLIT_LOG,
    ),
    _misplaced("second-batch", "a second vote at one size", step="second-vote"),
    _misplaced("gap", "a batch appended beyond a gap"),
    _misplaced("rewrite", "a certified entry written over"),
    _misplaced("shorter-log", "a shorter log in one term", step="shorter"),
    _misplaced("false-root", "a root that the entries do not give"),
    attack("false-size", "a size that the batch does not give", "FRAME_MALFORMED", step="append", origin=SPLIT_LOG),
    attack(
        "hide-history",
        "history hidden at the opening of a term",
        "TERM_STATEMENTS_INVALID",
        step="open_term",
        origin=SPLIT_LOG,
    ),
    attack(
        "own-statements",
        "statements of one term replayed for another",
        "TERM_STATEMENTS_INVALID",
        step="open_term",
        origin=REPLAY,
    ),
    attack(
        "alter-certificate",
        "a certificate with another root and size",
        "CERTIFICATE_INVALID",
        step="certify",
        origin=SPLIT_LOG,
    ),
    attack("log-time-ahead", "log time pushed ahead", "BATCH_TIME_OFF", step="append", signed=True, origin=TIME),
    attack("log-time-back", "log time put back", "ENTRY_TIME_FELL", step="append", signed=True, origin=TIME),
    attack("two-times", "two times in one batch", "BATCH_MALFORMED", step="append", signed=True, origin=TIME),
    _too_large("oversized-batch", "a batch of more entries than allowed"),
    _too_large("heavy-batch", "a batch of more bytes than allowed"),
    _too_large("heavy-entry", "an entry larger than allowed"),
    attack("junk-entry", "random bytes as an entry", "NOT_CANONICAL", step="append", signed=True, origin=DISK),
    attack("half-an-entry", "a truncated entry", "NOT_CANONICAL", step="append", signed=True, origin=PARSERS),
    _other_encoding("unknown-field", "an entry with a field of another version"),
    _other_encoding("long-number", "an entry with a number of more bytes than it needs"),
    _other_encoding("explicit-default", "an entry with a default written out"),
    _other_encoding("fields-in-another-order", "an entry with its fields in another order"),
    _other_encoding("field-twice", "an entry with one field twice"),
    _other_encoding("two-bodies", "an entry with two bodies"),
    attack(
        "uncertified-plan",
        "a release without a certificate",
        "NOT_CERTIFIED",
        step="release",
        signed=True,
        origin=SPLIT_LOG,
    ),
    attack(
        "stale-certificate",
        "a release under a certificate of an earlier term",
        "NOT_CERTIFIED",
        step="release",
        signed=True,
        by=2,
        origin=REPLAY,
    ),
    attack(
        "stale-certificate",
        "nonces of an earlier term under a new certificate",
        "NONCE_UNKNOWN",
        step="release-again",
        signed=True,
        by=2,
        origin="nonce reuse (sBTC #1167)",
    ),
]


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    with besieged("history") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def outcomes(siege: Cluster) -> dict[str, Cheated]:
    """Every cheat, each in a term of its own, by one cheater."""
    return attacked_together(siege, cheats_of(CASES))


@pytest.mark.parametrize("case", CASES)
def test_attack_is_refused(outcomes: dict[str, Cheated], case: Case) -> None:
    case.check(outcomes)


async def test_an_honest_coordinator_goes_on_after_all_of_them(siege: Cluster, outcomes: dict[str, Cheated]) -> None:
    assert outcomes
    await heals(siege)


@pytest.mark.campaign
@pytest.mark.attack(
    line="coordinator",
    title="log time that stands still",
    origin="on paper: delays shortened by a log time that stands still and then jumps",
)
async def test_attack_frozen_log_time(stopped_cluster: Cluster) -> None:
    """The signers' clocks are ten minutes on, the log's time stands still: they vote for nothing stamped so."""
    for name in stopped_cluster.signers:
        stopped_cluster.launch_signer(name, "--shift-ms", "600000")
    attacked(stopped_cluster, "frozen-log-time", "append", "BATCH_TIME_OFF")


@pytest.mark.campaign
@pytest.mark.attack(
    line="coordinator",
    title="another batch shown to each signer to wedge the log, one plan of an order in each",
    origin="on paper: one-shot votes have no unlock",
)
async def test_attack_split_heads_one_each_heal_under_an_honest_coordinator(cluster: Cluster) -> None:
    """An approved order is planned once in each of three histories, then the cheater is gone: it is paid once."""
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as (alice, bob, carol):
        order = await alice.pay(VAULT, destination, AMOUNT)
        await bob.approve(order)
        word = await carol.say(Verb.APPROVE, order)
        outcome = attacked_together(cluster, ["split-heads"], words=[word])["split-heads"]
        assert [line["voted"] for line in outcome.events if line["event"] == "shown"] == [True] * 3
        cluster.deployment.start_coordinator()
        await paid(cluster, alice, order)
    assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert all(cluster.signer_status(name)["alarm"] is None for name in cluster.signers)


@pytest.mark.campaign
@pytest.mark.attack(
    line="coordinator",
    title="coins planned together with one that does not exist",
    origin="on paper: an anchor rule locks coins for good",
)
async def test_attack_poisoned_plan_locks_no_coins(cluster: Cluster) -> None:
    """Every coin was planned together with one that does not exist; the order and the vault are not stuck."""
    first, second = payee(), payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        alice, bob, carol = people
        order = await alice.pay(VAULT, first, AMOUNT)
        await bob.approve(order)
        words = [await carol.say(Verb.APPROVE, order)]
        outcome = attacked_together(cluster, ["poison-input"], words=words)["poison-input"]
        poisoned = next(line for line in outcome.events if line["event"] == "poisoned")
        assert poisoned["coins"] == COINS > 1
        cluster.deployment.start_coordinator()
        await ready(alice)
        # The honest coordinator's log holds the plan: it is final, and every coin is in it.
        status = await alice.client.order(order)
        assert status.proven.record.plans[0].hex() == poisoned["plan"]
        other = await alice.pay(VAULT, second, AMOUNT)
        await bob.approve(other)
        await carol.approve(other)
        await paid(cluster, alice, other)
        await paid(cluster, alice, order)
    assert payments_on_chain(cluster, first) == [AMOUNT]
    assert payments_on_chain(cluster, second) == [AMOUNT]


@pytest.mark.campaign
@pytest.mark.attack(
    line="coordinator", title="an operator's freeze withheld", origin="on paper: a coordinator keeps freezes to itself"
)
async def test_attack_withheld_freeze(siege: Cluster) -> None:
    """Two of three operators froze the vault; the coordinator keeps that to itself and gets no share."""
    if siege.coordinator.running:
        siege.coordinator.stop()
    frozen = siege.signers[:2]
    for name in frozen:
        done = siege.signer_command(name, "freeze", "--vault", VAULT, "--why", "the payee looks wrong")
        assert done.returncode == 0, done.stderr
    attacked(siege, "withhold-freeze", "commit", "LOCAL_FREEZE", by=2)
    for name in frozen:
        for freeze in siege.signer_status(name)["local_freezes"]:
            assert siege.signer_command(name, "thaw", freeze["id"]).returncode == 0


@pytest.mark.campaign
@pytest.mark.attack(
    line="coordinator", title="a rejection withheld", origin="on paper: a coordinator keeps rejections to itself"
)
async def test_attack_withheld_rejection(cluster: Cluster) -> None:
    """A rejection handed to two signers by file binds them, though the coordinator logs only the approvals."""
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as (alice, bob, carol):
        order = await alice.pay(VAULT, destination, AMOUNT)
        approval, rejection = await bob.say(Verb.APPROVE, order), await carol.say(Verb.REJECT, order)
        other = await carol.say(Verb.APPROVE, order)
        cluster.coordinator.stop()
        path = cluster.root / "rejection.json"
        content = {"v": 1, "endorsements": [{"body": rejection.body.hex(), "signature": rejection.signature.hex()}]}
        path.write_text(json.dumps(content))
        for name in cluster.signers[:2]:
            assert cluster.signer_command(name, "hand-in", str(path)).returncode == 0
        attacked(cluster, "withhold-rejection", "commit", "REJECTED", by=2, words=[approval, other])
        cluster.deployment.start_coordinator()
        await until(lambda: connected(alice, 3))
        await alice.wait_for_order(order, lambda one: _is_rejected(one.proven.record))
    assert payments_on_chain(cluster, destination) == []


def _is_rejected(record: OrderRecord) -> bool:
    return any(one.verb is Verb.REJECT for one in record.endorsements)
