"""The services over real mutual TLS, real signers and a real chain, called through the SDK that proves what it gets."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import charter_builder as builder
from edge_world import EdgeSite, edge_site
from regtest_process import RegtestProcess
from strongroom.api.integration.v1 import integration_service_pb2 as integration_pb
from strongroom.api.integration.v1.integration_service_pb2_grpc import IntegrationServiceStub
from strongroom.api.treasury.v1 import treasury_service_pb2 as treasury_pb
from strongroom.api.treasury.v1.treasury_service_pb2_grpc import TreasuryServiceStub
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger.certificate_messages import Head
from strongroom.ledger.charter import AssetAmount, Limit
from strongroom.ledger.order_messages import Freeze, Scope
from strongroom.ledger.signed_messages import Verb
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import OrderHash
from strongroom.protocol.certificates import NO_CERTIFICATE, sign_vote
from strongroom.protocol.evidence import verify_evidence
from strongroom_client import errors as client_errors
from strongroom_client.answers import ExplainedOrder, signed_pb

pytestmark = pytest.mark.process

VAULT = "customer-1"


async def seen(site: EdgeSite) -> Any:
    """The newest final head; a moment after a start there is none."""
    client = site.treasury()
    async with asyncio.timeout(60):
        while True:
            try:
                return await client.seen()
            except client_errors.NotProven:
                await asyncio.sleep(0.02)


def drafted(site: EdgeSite, amount: int = 100_000) -> tuple[bytes, bytes]:
    order = site.order(site.world.withdrawal(VAULT, amount))
    return order, hashlib.sha256(order).digest()


async def ordered(site: EdgeSite, amount: int = 100_000, *approvers: str) -> bytes:
    """A withdrawal through the integration service, then approvals through the treasury service."""
    head = await seen(site)
    order, name = drafted(site, amount)
    await site.integrator().create_withdrawal(order, [site.say("shop", Verb.INITIATE, name, head)])
    client = site.treasury()
    for person in approvers:
        await client.endorse(site.say(person, Verb.APPROVE, name, head))
    return name


async def explained_by_all(site: EdgeSite, order: bytes) -> ExplainedOrder:
    """Ask why an order waits until every signer gives its view: one that has just come, or is slow, gives none."""
    client = site.treasury()
    async with asyncio.timeout(60):
        while True:
            found = await client.explain(OrderHash(order))
            if not found.silent:
                return found
            await asyncio.sleep(0.02)


async def refusal(call: Any) -> tuple[grpc.StatusCode, Any]:
    """Status code and ErrorInfo of a refused raw call."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    for key, value in caught.value.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            info = error_details_pb2.ErrorInfo()
            assert status_pb2.Status.FromString(value).details[0].Unpack(info)
            return caught.value.code(), info
    raise AssertionError("no ErrorInfo came")


async def test_an_approved_withdrawal_is_paid_and_every_answer_is_proven(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        await site.fund(VAULT)
        shop, alice = site.integrator(), site.treasury()
        name = await ordered(site, 100_000)
        status = await shop.withdrawal(name)
        assert status.status == "open"
        assert "2 more approvals" in status.waits_for
        explained = await explained_by_all(site, name)
        assert not explained.allowed
        assert {view.signer for view in explained.views} == {"s1", "s2", "s3"}

        head = await seen(site)
        for person in ("alice", "bob"):
            receipt = await alice.endorse(site.say(person, Verb.APPROVE, name, head))
            assert not receipt.already_known
        await site.status_of(name, "payable")
        plans = site.edge.parts.tracker.plans
        await site.until(lambda: list(plans) and all(plan.is_broadcast for plan in plans))
        await site.mine()
        paid = await site.status_of(name, "paid")
        plan = paid.plans[0]
        assert plan.stage == "confirmed"
        assert plan.confirmations == 1
        found = site.node.call("getrawtransaction", plan.txid[::-1].hex(), False)
        assert found == plan.raw_transaction
        [proven] = await alice.vaults()
        assert proven.final
        listed, token = await alice.orders(statuses=["paid"])
        assert [item.hash for item in listed] == [name]
        assert token == ""
        balance = await alice.balance(VAULT)
        assert balance.confirmed == 50 * 100_000_000 - 100_000 - int(plan.fee)


async def test_repeated_requests_get_receipts_for_what_the_log_holds(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        head = await seen(site)
        shop, alice = site.integrator(), site.treasury()
        order, name = drafted(site)
        first = await shop.create_withdrawal(order, [site.say("shop", Verb.INITIATE, name, head)])
        again = await shop.create_withdrawal(order, [site.say("shop", Verb.INITIATE, name, head)])
        assert (first.already_known, again.already_known) == (False, True)
        assert first.index == again.index
        said = await alice.endorse(site.say("alice", Verb.APPROVE, name, head))
        other_bytes = site.say("alice", Verb.APPROVE, name, head, expires_ms=site.clock.wall_ms() + 3_600_000)
        repeated = await alice.endorse(other_bytes)
        assert repeated.already_known
        assert repeated.index == said.index
        bad = site.say("mallory", Verb.APPROVE, name, head)
        results = await alice.endorse_many([other_bytes, bad, site.say("bob", Verb.APPROVE, name, head)])
        assert getattr(results[0], "already_known", False)
        assert isinstance(results[1], StrongroomError)
        assert getattr(results[1], "remote_reason", "") == "KEY_UNKNOWN"
        assert not getattr(results[2], "already_known", True)


async def test_roles_may_only_call_their_own_service(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await seen(site)
        order, _ = drafted(site)
        submit = treasury_pb.SubmitOrderRequest(order=order)
        for role, who in (("integrator", "shop"), ("signer", "s1"), ("coordinator", "coordinator")):
            stub = TreasuryServiceStub(site.channel(role, who))
            code, info = await refusal(stub.GetLedger(treasury_pb.GetLedgerRequest()))
            assert (code, info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
        auditor = TreasuryServiceStub(site.channel("auditor", "eve"))
        assert (await auditor.GetLedger(treasury_pb.GetLedgerRequest())).log_id == site.world.log_id
        code, info = await refusal(auditor.SubmitOrder(submit))
        assert info.reason == "ROLE_NOT_ALLOWED"
        person = IntegrationServiceStub(site.channel("person", "alice"))
        code, info = await refusal(person.GetLedger(integration_pb.GetLedgerRequest()))
        assert info.reason == "ROLE_NOT_ALLOWED"
        stranger = TreasuryServiceStub(site.channel("person", "alice", organisation="other"))
        code, info = await refusal(stranger.GetLedger(treasury_pb.GetLedgerRequest()))
        assert info.reason == "ROLE_NOT_ALLOWED"


async def test_malformed_requests_name_the_field(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        head = await seen(site)
        treasury = TreasuryServiceStub(site.channel("person", "alice"))
        shop = IntegrationServiceStub(site.channel("integrator", "shop"))
        order, name = drafted(site)
        freeze = site.order(Freeze(scope=Scope.ALL, vault="", why="looks wrong"))
        said = signed_pb(site.say("shop", Verb.INITIATE, name, head))
        token = types_pb2.PageRequest(page_token="bm90IG91cnM=")
        bad: list[tuple[Any, str]] = [
            (treasury.SubmitOrder(treasury_pb.SubmitOrderRequest(order=b"")), "order"),
            (treasury.SubmitOrder(treasury_pb.SubmitOrderRequest(order=order + b"\x00")), "order"),
            (treasury.SubmitOrder(treasury_pb.SubmitOrderRequest(order=order)), "endorsements"),
            (treasury.EndorseOrder(treasury_pb.EndorseOrderRequest()), "endorsement.body"),
            (treasury.GetOrder(treasury_pb.GetOrderRequest()), "key"),
            (treasury.GetOrder(treasury_pb.GetOrderRequest(order_id=b"short")), "order_id"),
            (treasury.ListOrders(treasury_pb.ListOrdersRequest(page=token)), "page.page_token"),
            (
                treasury.ListOrders(treasury_pb.ListOrdersRequest(page=types_pb2.PageRequest(page_size=1_001))),
                "page.page_size",
            ),
            (treasury.GetBalance(treasury_pb.GetBalanceRequest(vault="Customer")), "vault"),
            (treasury.SubmitOrders(treasury_pb.SubmitOrdersRequest()), "orders"),
            (
                shop.CreateWithdrawal(integration_pb.CreateWithdrawalRequest(order=freeze, endorsements=[said])),
                "order",
            ),
            (shop.GetAddress(integration_pb.GetAddressRequest(vault=VAULT, index=2**31)), "index"),
        ]
        for call, field in bad:
            code, info = await refusal(call)
            assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"), field
            assert info.domain == "strongroom"
            assert info.metadata["field"] == field
        code, info = await refusal(shop.GetAddress(integration_pb.GetAddressRequest(vault=VAULT, index=2**31 - 1)))
        assert info.reason == "ADDRESS_INDEX_TOO_FAR"
        code, info = await refusal(treasury.GetBalance(treasury_pb.GetBalanceRequest(vault="nowhere")))
        assert (code, info.reason) == (grpc.StatusCode.NOT_FOUND, "NO_SUCH_THING")
        code, info = await refusal(shop.GetWithdrawal(integration_pb.GetWithdrawalRequest(order_hash=bytes(32))))
        assert (code, info.reason) == (grpc.StatusCode.NOT_FOUND, "NO_SUCH_THING")


async def test_a_watch_resumes_from_its_cursor_over_a_restart(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        name = await ordered(site)
        await site.edge.journal.catch_up()
        cursor = 0
        async for first, order in site.treasury().watch_orders():
            assert order.hash == name
            cursor = first
            break
        head = await seen(site)
        await site.treasury().endorse(site.say("alice", Verb.APPROVE, name, head))
        await site.edge.journal.catch_up()
        await site.close_clients()
        for signer in ("s1", "s2", "s3"):
            await site.stop_signer(signer)
        await site.stop_coordinator()
        site.edges.pop()
        await site.start_coordinator()
        await site.start_signers()
        await site.genesis_logged()
        async with asyncio.timeout(60):
            async for later, order in site.treasury().watch_orders(cursor=cursor, hashes=[name]):
                assert later > cursor
                assert len(order.proven.record.endorsements) == 2
                break
        with pytest.raises(client_errors.FailedPrecondition) as caught:
            async for _ in site.treasury().watch_orders(cursor=10**9):
                pass
        assert caught.value.remote_reason == "CURSOR_UNKNOWN"


async def test_a_watch_tells_that_a_rejection_is_final(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        name = await ordered(site)
        reject = site.say("carol", Verb.REJECT, name, await seen(site))
        told: list[str] = []
        async with asyncio.timeout(60):
            async for _, order in site.treasury().watch_orders():
                if not told:
                    await site.treasury().endorse(reject)
                told.append(order.status)
                if order.status == "never_will_be_paid":
                    break
        assert told[0] == "open"


async def test_a_watch_tells_that_an_order_expired(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        action = site.world.withdrawal(VAULT, 100_000)
        site.world.time_ms = site.clock.wall_ms()
        order = site.world.order(action, id=bytes(range(16)), expires_ms=site.clock.wall_ms() + 3_000)
        await site.side.sequencer.submit(site.order_entry(order, "shop"))
        name = hashlib.sha256(order).digest()
        async with asyncio.timeout(60):
            async for _, seen_order in site.treasury().watch_orders(hashes=[name]):
                if seen_order.status == "never_will_be_paid":
                    break
                # Log time passes with the next entry.
                await asyncio.sleep(max(seen_order.order.expires_ms - site.clock.wall_ms(), 0) / 1000 + 0.05)
                await site.submit(site.world.withdrawal(VAULT, 100_001), "shop")


async def test_a_withdrawal_without_coins_waits_with_a_reason_and_blocks_no_other(tmp_path: Path) -> None:
    rule = builder.rule(
        maximum=(AssetAmount(asset=builder.BTC, amount=100 * builder.COIN),),
        limits=(
            Limit(window_ms=builder.HOUR_MS, amounts=(AssetAmount(asset=builder.BTC, amount=900 * builder.COIN),)),
        ),
    )
    async with edge_site(tmp_path, rules=(rule,)) as site:
        await site.make_vault(VAULT)
        await site.fund(VAULT)
        large = await ordered(site, 60 * builder.COIN, "alice", "bob")
        small = await ordered(site, 50_000, "alice", "bob")
        await site.status_of(small, "payable")
        waiting = await site.treasury().order(large)
        assert waiting.status == "open"
        assert "coins: the vault can spend" in waiting.waits_for
        assert str(60 * builder.COIN) in waiting.waits_for
        explained = await site.treasury().explain(waiting.hash)
        assert explained.allowed
        assert "coins" in explained.missing[0]


async def test_log_freezes_pages_and_health_are_served(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await site.make_vault(VAULT)
        alice = site.treasury()
        names = [await ordered(site, 10_000 + n) for n in range(5)]
        first, token = await alice.orders(page_size=2)
        second, _ = await alice.orders(page_size=2, page_token=token)
        assert [item.hash for item in (*first, *second)] == list(reversed(names))[:4]
        await site.submit(Freeze(scope=Scope.VAULT, vault=VAULT, why="looks wrong"), "dave")
        [freeze] = await alice.freezes()
        assert freeze.vault == VAULT
        # The log may grow by a tick at any moment.
        ledger = await alice.ledger()
        entries = [entry async for batch in alice.read_log() for entry in batch.entries]
        assert entries[0] == ledger.founding_entry
        assert len(entries) >= ledger.final_head.size
        await site.until(lambda: site.edge.parts.tracker.is_reachable)
        status = await alice.status()
        assert status.leading
        assert status.chain_reachable
        health = health_pb2_grpc.HealthStub(site.channel("person", "alice"))
        for service in (
            "strongroom.api.treasury.v1.TreasuryService",
            "strongroom.api.integration.v1.IntegrationService",
        ):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_services_serve_only_once_a_term_is_open(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    with RegtestProcess(tmp_path / "node") as node:
        async with EdgeSite(tmp_path, node) as site:
            await site.start_coordinator()
            channel = site.channel("person", "alice")
            health, treasury = health_pb2_grpc.HealthStub(channel), TreasuryServiceStub(channel)
            request = health_pb2.HealthCheckRequest(service="strongroom.api.treasury.v1.TreasuryService")
            answer = await health.Check(request, wait_for_ready=True)
            assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
            code, info = await refusal(treasury.GetLedger(treasury_pb.GetLedgerRequest()))
            assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_READY")
            await site.start_signers()
            async with asyncio.timeout(60):
                async for answer in health.Watch(request):
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        break
            await site.close_clients()


async def test_reflection_names_the_services(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        stub = reflection_pb2_grpc.ServerReflectionStub(site.channel("person", "alice"))
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        async for answer in stub.ServerReflectionInfo(iter([request])):
            names = {service.name for service in answer.list_services_response.service}
            assert "strongroom.api.treasury.v1.TreasuryService" in names
            break


async def test_a_defect_shows_an_incident_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with edge_site(tmp_path) as site:

        def broken(*_: object) -> None:
            raise ZeroDivisionError("inside")

        monkeypatch.setattr(type(site.edge.parts.reader), "certified", broken)
        stub = TreasuryServiceStub(site.channel("person", "alice"))
        code, info = await refusal(stub.ListFreezes(treasury_pb.ListFreezesRequest()))
        assert (code, info.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")
        assert len(info.metadata["incident"]) == 16
        assert "inside" not in str(info)


async def test_evidence_is_listed_in_pages_and_read_in_chunks_by_whoever_may_read(tmp_path: Path) -> None:
    async with edge_site(tmp_path) as site:
        await seen(site)
        book = site.side.evidence
        head = Head(log_id=site.world.log_id, term=9, size=5, root=b"a" * 32, state_digest=b"d" * 32)
        for signer in ("s1", "s2", "s3"):
            key = builder.signing_key(f"{signer} vote")
            votes = [sign_vote(key, replace(head, root=root), NO_CERTIFICATE) for root in (b"a" * 32, b"b" * 32)]
            book.two_votes(signer, votes[0], votes[1])
            await site.until(partial(book.quarantined, signer))
        await book.stop()
        auditor = site.treasury("erin", role="auditor")
        listed = [item async for item in auditor.evidence()]
        assert [(item.signer, item.fault) for item in listed] == [(name, "two-votes") for name in ("s3", "s2", "s1")]
        for item in listed:
            data = await auditor.evidence_record(item.hash)
            assert verify_evidence(data, log_id=site.world.log_id).signer == item.signer
        stub = TreasuryServiceStub(site.channel("person", "alice"))
        page = types_pb2.PageRequest(page_size=2)
        first = await stub.ListEvidence(treasury_pb.ListEvidenceRequest(page=page))
        page.page_token = first.next_page_token
        second = await stub.ListEvidence(treasury_pb.ListEvidenceRequest(page=page))
        assert ([*first.evidence, *second.evidence], second.next_page_token) == (listed, "")
        quarantined = {one.name: one.quarantine.hash for one in (await site.treasury().status()).signers}
        assert quarantined == {item.signer: item.hash for item in listed}

        shop = TreasuryServiceStub(site.channel("integrator", "shop"))
        code, info = await refusal(shop.ListEvidence(treasury_pb.ListEvidenceRequest()))
        assert (code, info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
        with pytest.raises(client_errors.NotFound):
            await auditor.evidence_record(bytes(32))
