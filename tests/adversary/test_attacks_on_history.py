"""A dishonest coordinator tries to bend the log: two histories, old terms, false certificates, its own log time."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from actor import actors, ready, until
from cluster import VAULT, Cluster
from payments import AMOUNT, connected, paid, payee, payments_on_chain
from siege import attacked, besieged, heals
from strongroom.ledger.messages import Verb
from strongroom.ledger.records import OrderRecord

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture(scope="module")
def siege() -> Iterator[Cluster]:
    with besieged("history") as cluster:
        yield cluster


async def test_attack_split_history(siege: Cluster) -> None:
    """Each signer sees another history: no certificate comes together, and a false one is refused."""
    outcome = attacked(siege, "split-history", "release", "NOT_CERTIFIED")
    assert set(outcome.refusals("forged-certificate").values()) == {("CERTIFICATE_INVALID", False)}
    await heals(siege)


async def test_attack_second_vote_at_one_size(siege: Cluster) -> None:
    attacked(siege, "second-batch", "second-vote", "BATCH_DOES_NOT_FOLLOW", signed=False)


async def test_attack_release_under_a_certificate_of_an_earlier_term(siege: Cluster) -> None:
    outcome = attacked(siege, "stale-certificate", "release", "NOT_CERTIFIED", by=2)
    assert set(outcome.refusals("release-again").values()) == {("NONCE_UNKNOWN", True)}
    await heals(siege)


async def test_attack_release_without_a_certificate(siege: Cluster) -> None:
    attacked(siege, "uncertified-plan", "release", "NOT_CERTIFIED")
    await heals(siege)


async def test_attack_log_time_pushed_ahead(siege: Cluster) -> None:
    attacked(siege, "log-time-ahead", "append", "BATCH_TIME_OFF")


async def test_attack_log_time_put_back(siege: Cluster) -> None:
    attacked(siege, "log-time-back", "append", "ENTRY_TIME_FELL")


async def test_attack_history_hidden_at_a_new_term(siege: Cluster) -> None:
    attacked(siege, "hide-history", "open_term", "TERM_STATEMENTS_INVALID", signed=False)


async def test_attack_replayed_statements_for_another_term(siege: Cluster) -> None:
    attacked(siege, "own-statements", "open_term", "TERM_STATEMENTS_INVALID", signed=False)


async def test_attack_altered_certificate(siege: Cluster) -> None:
    attacked(siege, "alter-certificate", "certify", "CERTIFICATE_INVALID", signed=False)


async def test_attack_false_root(siege: Cluster) -> None:
    attacked(siege, "false-root", "append", "BATCH_DOES_NOT_FOLLOW", signed=False)


async def test_attack_disk_filling_batch(siege: Cluster) -> None:
    attacked(siege, "oversized-batch", "append", "FRAME_MALFORMED", signed=False)
    await heals(siege)


async def test_attack_frozen_log_time(stopped_cluster: Cluster) -> None:
    """The signers' clocks are ten minutes on, the log's time stands still: they vote for nothing stamped so."""
    for name in stopped_cluster.signers:
        stopped_cluster.launch_signer(name, "--shift-ms", "600000")
    attacked(stopped_cluster, "frozen-log-time", "append", "BATCH_TIME_OFF")


async def test_attack_split_heads_one_each_heal_under_an_honest_coordinator(cluster: Cluster) -> None:
    """An approved order is planned once in each of three histories, then the cheater is gone: it is paid once."""
    destination = payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as (alice, bob, carol):
        order = await alice.pay(VAULT, destination, AMOUNT)
        await bob.approve(order)
        word = await carol.say(Verb.APPROVE, order)
        outcome = cluster.cheat("split-heads", words=[word])
        assert [line["voted"] for line in outcome.events if line["event"] == "shown"] == [True] * 3
        cluster.deployment.start_coordinator()
        await paid(cluster, alice, order)
    assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert all(cluster.signer_status(name)["alarm"] is None for name in cluster.signers)


async def test_attack_poisoned_plan_locks_no_coins(cluster: Cluster) -> None:
    """Every coin was planned together with one that does not exist; the order and the vault are not stuck."""
    first, second = payee(), payee()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        alice, bob, carol = people
        order = await alice.pay(VAULT, first, AMOUNT)
        await bob.approve(order)
        cluster.cheat("poison-input", words=[await carol.say(Verb.APPROVE, order)])
        cluster.deployment.start_coordinator()
        await ready(alice)
        other = await alice.pay(VAULT, second, AMOUNT)
        await bob.approve(other)
        await carol.approve(other)
        await paid(cluster, alice, other)
        await paid(cluster, alice, order)
    assert payments_on_chain(cluster, first) == [AMOUNT]
    assert payments_on_chain(cluster, second) == [AMOUNT]


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
        outcome = cluster.cheat("withhold-rejection", words=[approval, other])
        assert outcome.released == 0
        assert {name: reason for name, (reason, _) in outcome.refusals("commit").items()} == dict.fromkeys(
            cluster.signers[:2], "REJECTED"
        )
        cluster.deployment.start_coordinator()
        await until(lambda: connected(alice, 3))
        await alice.wait_for_order(order, lambda one: _is_rejected(one.proven.record))
    assert payments_on_chain(cluster, destination) == []


def _is_rejected(record: OrderRecord) -> bool:
    return any(one.verb is Verb.REJECT for one in record.endorsements)
