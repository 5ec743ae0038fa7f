"""The main job, by real processes: vault, coins, order, two approvals, confirmed transaction, verified audit."""

from __future__ import annotations

import pytest

from actor import actors, funded_vault, until
from cluster import VAULT, Cluster
from payments import AMOUNT, approved, paid, payee, payments_on_chain
from strongroom.ledger.signed_messages import Verdict
from strongroom_client.answers import ExplainedOrder
from strongroom_client.errors import InvalidArgument, NotProven, PermissionDenied, RemoteError

pytestmark = pytest.mark.process


async def test_from_enrolment_to_a_confirmed_payment_and_a_verified_audit(enrolled_cluster: Cluster) -> None:
    cluster = enrolled_cluster
    cluster.start()
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        vault = await funded_vault(cluster.deployment, people)
        assert vault.final
        assert vault.record.signers == cluster.signers
        destination = payee()
        order = await approved(people, destination)
        status = await paid(cluster, people[0], order)
    assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert len(status.plans) == 1
    assert cluster.audit()["verified"] is True


async def test_each_signer_gives_its_own_signed_view_of_an_order(cluster: Cluster) -> None:
    async with actors(cluster.deployment, "alice", "bob", "carol") as (alice, bob, carol):
        order = await alice.pay(VAULT, payee(), AMOUNT)

        async def all_know_it() -> ExplainedOrder | None:
            explained = await alice.client.explain(order)
            known = all(view.view.verdict is not Verdict.UNKNOWN_ORDER for view in explained.views)
            return explained if known and not explained.silent else None

        # A signer that comes late is not asked, one that is slow is called silent, and one that still catches up says
        # that it does not know the order.
        waiting = await until(all_know_it)
        assert not waiting.allowed
        assert {view.signer: view.view.verdict for view in waiting.views} == dict.fromkeys(
            cluster.signers, Verdict.WAITING
        )
        await bob.approve(order)
        await carol.approve(order)
        await paid(cluster, alice, order)


async def test_one_approval_is_not_enough(cluster: Cluster) -> None:
    async with actors(cluster.deployment, "alice", "bob") as (alice, bob):
        order = await alice.pay(VAULT, payee(), AMOUNT)
        await bob.approve(order)
        with pytest.raises(RemoteError) as twice:
            await alice.approve(order)
        assert twice.value.remote_reason == "INITIATOR_CANNOT_APPROVE"
        status = await alice.client.order(order)
        explained = await alice.client.explain(order)
    assert status.status == "open"
    assert not status.plans
    assert explained.missing


async def test_many_orders_of_one_moment_are_all_paid_exactly_once(cluster: Cluster) -> None:
    payees = [payee() for _ in range(5)]
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        orders = [await approved(people, destination, AMOUNT + number) for number, destination in enumerate(payees)]
        for order in orders:
            await paid(cluster, people[0], order)
    for number, destination in enumerate(payees):
        assert payments_on_chain(cluster, destination) == [AMOUNT + number]


async def test_more_than_the_rule_allows_is_never_planned(cluster: Cluster) -> None:
    """The template's rule allows 2.5 BTC an order, whatever people approve."""
    async with actors(cluster.deployment, "alice", "bob", "carol") as people:
        with pytest.raises((PermissionDenied, InvalidArgument, NotProven, RemoteError)) as refused:
            await approved(people, payee(), 300_000_000)
    assert getattr(refused.value, "remote_reason", "") in {"OVER_MAXIMUM", "NOT_AN_APPROVER", "INITIATOR_NOT_ALLOWED"}
