"""One person's stolen key, and one person's TLS certificate, over the services of a real coordinator.

The key is carol's: one of three whose orders need the approvals of two others. It can veto and freeze, by design; what
it cannot do is shown here. The signers' own refusals, with a coordinator that helps the thief, are tested elsewhere.
"""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import grpc
import pytest

from actor import BTC, COIN, Actor, actors, ready, until
from callers import ANSWERS_WITHIN_S, INTEGRATION, TREASURY, Identity, Issuer, called, channel
from cluster import VAULT, Cluster, funded, running
from payments import approved, paid, payee, payments_on_chain
from strongroom.api.treasury.v1 import treasury_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Entry, Tick
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.signed_messages import Endorsement, Verb
from strongroom.model.ids import OrderHash
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom_client.errors import NotFound, RemoteError
from strongroom_client.orders import draft, endorsement
from strongroom_client.person_key import PersonKey

pytestmark = [pytest.mark.process, pytest.mark.slow]

STOLEN = "Ronin 2022 and Harmony 2022: keys of people stolen one by one"
REPLAY = "Optimism and Wintermute 2022: a signed word used again in another place"
FLOOD = "on paper: one caller uses up what all share"
FORM = "on paper: requests that no client would send"
CAMPAIGN = [pytest.mark.campaign]
AMOUNT = 100_000
DAY_MS = 86_400_000


def attack(title: str, origin: str = STOLEN) -> pytest.MarkDecorator:
    return pytest.mark.attack(line="person", title=title, origin=origin)


@pytest.fixture(scope="module")
def site() -> Iterator[Cluster]:
    with running(funded(), "people") as cluster:
        cluster.start()
        yield cluster


@asynccontextmanager
async def people(cluster: Cluster) -> AsyncIterator[tuple[Actor, Actor, Actor]]:
    """Alice, bob, and carol whose key is stolen; afterwards the coordinator is the same process and pays an order."""
    pid = cluster.coordinator.pid
    async with actors(cluster.deployment, "alice", "bob", "carol") as (alice, bob, carol):
        await ready(alice)
        yield alice, bob, carol
        destination = payee()
        await paid(cluster, alice, await approved((alice, bob, carol), destination, AMOUNT))
        assert payments_on_chain(cluster, destination) == [AMOUNT]
    assert cluster.coordinator.running
    assert cluster.coordinator.pid == pid


async def refusal(call: Any) -> str:
    """The stable reason with which the coordinator refuses."""
    with pytest.raises(RemoteError) as caught:
        await call
    return caught.value.remote_reason


def forged(signer: Actor, claimed: Endorsement) -> SignedBody:
    """Words under this actor's key, whatever name stands in them; the honest client would refuse to sign."""
    return sign_body("endorsement", claimed, signer.key._key)


async def waits(cluster: Cluster, actor: Actor, order: OrderHash, for_what: str) -> None:
    """An order is open and unplanned, for this reason, also after the log went on."""
    await actor.pay(VAULT, payee(), AMOUNT)
    status = await actor.client.order(order)
    assert status.status == "open"
    assert for_what in status.waits_for
    assert not status.proven.record.plans


def payment(destination: str, amount: int = AMOUNT) -> Withdraw:
    return Withdraw(vault=VAULT, asset=BTC, amount=amount, destination=destination, max_fee=100_000)


def body(actor: Actor, order: OrderHash, seen: Any, **changes: Any) -> Endorsement:
    """An endorsement as the client would make it, with some fields changed."""
    made = endorsement(
        Verb.APPROVE,
        order,
        log_id=actor.deployment.log_id,
        seen=seen,
        now_ms=int(time.time() * 1000),
        person=actor.name,
        key=actor.key.public,
    )
    return replace(made, **changes)


# --- a stolen key below the quorum ------------------------------------------------------------------------------------


@attack("a stolen key creates an order and approves it itself")
async def test_nobody_approves_an_order_of_their_own(site: Cluster) -> None:
    async with people(site) as (_, _, carol):
        order = await carol.pay(VAULT, payee(), AMOUNT)
        assert await refusal(carol.approve(order)) == "INITIATOR_CANNOT_APPROVE"
        await waits(site, carol, order, "2 more approvals")


@attack("a stolen key approves everything that it finds")
async def test_one_approval_of_two_pays_nothing(site: Cluster) -> None:
    async with people(site) as (alice, _, carol):
        orders = [await alice.pay(VAULT, payee(), AMOUNT) for _ in range(3)]
        for order in orders:
            await carol.approve(order)
        for order in orders:
            await waits(site, alice, order, "1 more approval")


@attack("one person approves twice, in other words and over another person's connection")
async def test_one_person_counts_once_whatever_the_connection(site: Cluster) -> None:
    """Carol's key and bob's TLS certificate together are still one person's word."""
    async with people(site) as (alice, bob, carol):
        order = await alice.pay(VAULT, payee(), AMOUNT)
        await carol.approve(order)
        seen = await alice.client.seen()
        other_words = carol.sign(body(carol, order, seen, expires_ms=int(time.time() * 1000) + 3_600_000))
        receipt = await bob.client.endorse(other_words)
        assert receipt.already_known
        await waits(site, alice, order, "1 more approval")


@attack("a stolen key endorses in another person's name")
async def test_words_in_another_name_are_refused(site: Cluster) -> None:
    async with people(site) as (alice, bob, carol):
        order = await alice.pay(VAULT, payee(), AMOUNT)
        seen = await alice.client.seen()
        in_bobs_name = forged(carol, body(bob, order, seen))
        assert await refusal(carol.client.endorse(in_bobs_name)) == "BAD_SIGNATURE"
        with_her_key = forged(carol, body(bob, order, seen, key=carol.key.public))
        assert await refusal(bob.client.endorse(with_her_key)) == "KEY_UNKNOWN"
        as_nobody = forged(carol, body(carol, order, seen, person="mallory"))
        assert await refusal(carol.client.endorse(as_nobody)) == "KEY_UNKNOWN"
        await waits(site, alice, order, "2 more approvals")


@attack("a genuine approval of one order replayed on another", REPLAY)
async def test_a_genuine_approval_is_for_one_order_only(site: Cluster) -> None:
    async with people(site) as (alice, bob, carol):
        small = await alice.pay(VAULT, payee(), AMOUNT)
        genuine = await bob.say(Verb.APPROVE, small)
        await bob.client.endorse(genuine)
        mine = carol.draft(payment(payee(), COIN))
        own = await carol.say(Verb.INITIATE, mine.hash)
        assert await refusal(carol.client.submit(mine.data, [own, genuine])) == "ENDORSEMENT_MISMATCH"
        await carol.client.submit(mine.data, [own])
        moved = SignedBody(body=genuine.body.replace(small, mine.hash), signature=genuine.signature)
        assert await refusal(carol.client.endorse(moved)) == "BAD_SIGNATURE"
        await waits(site, carol, mine.hash, "2 more approvals")
        again = await carol.client.endorse(genuine)
        assert again.already_known


@attack("approvals that are old, live too long, saw another history, or are for another log", REPLAY)
async def test_approvals_out_of_their_context_are_refused(site: Cluster) -> None:
    async with people(site) as (alice, _, carol):
        order = await alice.pay(VAULT, payee(), AMOUNT)
        seen = await alice.client.seen()
        now = int(time.time() * 1000)
        cases = {
            "ENDORSEMENT_EXPIRED": {"expires_ms": now - 60_000},
            "ENDORSEMENT_TOO_LONG": {"expires_ms": now + 8 * DAY_MS},
            "ENDORSEMENT_HEAD": {"head_root": os.urandom(32)},
            "WRONG_LOG": {"log_id": os.urandom(32)},
        }
        for reason, changes in cases.items():
            word = carol.sign(body(carol, order, seen, **changes))
            assert await refusal(carol.client.endorse(word)) == reason
        await waits(site, alice, order, "2 more approvals")


@attack("a stolen key orders more than any rule allows")
async def test_an_order_above_every_tier_is_never_paid(site: Cluster) -> None:
    async with people(site) as (alice, _, carol):
        order = carol.draft(payment(payee(), 3 * COIN))
        said = await carol.say(Verb.INITIATE, order.hash)
        with pytest.raises(RemoteError) as caught:
            await carol.client.submit(order.data, [said])
        assert caught.value.remote_reason == "OVER_MAXIMUM"
        # The log went on, and never took it.
        await alice.pay(VAULT, payee(), AMOUNT)
        with pytest.raises(NotFound):
            await alice.client.order(order.hash)


@attack("a stolen server key approves what it ordered, and what people ordered")
async def test_a_machine_approves_nothing(site: Cluster) -> None:
    folder = site.deployment.person("shop")
    with SecretBytes(site.deployment.passphrase_file.read_bytes().strip()) as secret:
        key = PersonKey.open(folder, secret)
    async with people(site) as (alice, _, _):
        shop = Actor("shop", key, alice.client, site.deployment)
        order = await alice.pay(VAULT, payee(), AMOUNT)
        assert await refusal(shop.approve(order)) == "NOT_AN_APPROVER"
        own = await shop.pay(VAULT, payee(), AMOUNT)
        assert await refusal(shop.approve(own)) in ("INITIATOR_CANNOT_APPROVE", "NOT_AN_APPROVER")
        await waits(site, alice, own, "2 more approvals")
    key.wipe()


@attack("an order id used again with other bytes", REPLAY)
async def test_an_order_id_stands_for_one_order(site: Cluster) -> None:
    async with people(site) as (alice, _, carol):
        first = alice.draft(payment(payee()))
        word = await alice.say(Verb.INITIATE, first.hash)
        receipt = await alice.client.submit(first.data, [word])
        again = await alice.client.submit(first.data, [word])
        assert (receipt.index, receipt.already_known) == (again.index, False)
        assert again.already_known
        expires = int(time.time() * 1000) + DAY_MS
        other = draft(
            payment(payee(), COIN),
            log_id=site.deployment.log_id,
            expires_ms=expires,
            random=os.urandom,
            order_id=first.order.id,
        )
        said = await carol.say(Verb.INITIATE, other.hash)
        assert await refusal(carol.client.submit(other.data, [said])) == "ORDER_ID_TAKEN"
        assert (await alice.client.order(first.order.id)).hash == first.hash


# --- what it can do, and what that costs ------------------------------------------------------------------------------


@pytest.mark.campaign
@attack("a stolen key rejects every order that it sees")
async def test_a_veto_ends_orders_and_moves_nothing(site: Cluster) -> None:
    """By design. Each rejection ends one order for ever and names its author in the log; the coins stay."""
    async with people(site) as (alice, bob, carol):
        destinations = [payee() for _ in range(5)]
        orders = [await alice.pay(VAULT, destination, AMOUNT) for destination in destinations]
        for order in orders:
            await carol.reject(order)
            assert await refusal(bob.approve(order)) in ("ORDER_ENDED", "REJECTED")
        for order in orders:
            status = await alice.wait_for_order(order, lambda one: one.status == "never_will_be_paid")
            said = status.proven.record.endorsements
            assert [one.person for one in said if one.verb is Verb.REJECT] == ["carol"]
        assert all(payments_on_chain(site, destination) == [] for destination in destinations)


@pytest.mark.campaign
@attack("a stolen key freezes everything, again and again")
async def test_freezes_of_one_person_are_few_and_are_lifted_by_others(site: Cluster) -> None:
    async with people(site) as (alice, bob, carol):
        while not await _is_full(carol):
            pass
        freezes = await alice.client.freezes()
        assert 1 <= len(freezes) <= 32
        destination = payee()
        order = await approved((alice, bob, carol), destination, AMOUNT)
        await waits(site, alice, order, "froz")
        assert payments_on_chain(site, destination) == []
        # The quorum lifts them, one by one; what waited is paid.
        for freeze in freezes:
            lifting = await alice.unfreeze(freeze.id)
            for other in (bob, carol):
                await other.approve(lifting)
        await paid(site, alice, order)
        assert payments_on_chain(site, destination) == [AMOUNT]


async def _is_full(actor: Actor) -> bool:
    """Freeze once more, unless this author's freezes are as many as may be."""
    try:
        await actor.freeze(VAULT, "nothing may move")
    except RemoteError as error:
        return error.remote_reason == "FREEZES_FULL"
    return False


# --- floods and malformed requests ------------------------------------------------------------------------------------


@pytest.mark.campaign
@attack("thousands of junk requests at once from one person's certificate", FLOOD)
async def test_a_flood_of_junk_keeps_others_from_nothing(site: Cluster) -> None:
    """A payment of others goes through in the middle of it, and the log holds none of the junk."""
    async with people(site) as (alice, bob, carol):
        flooding = [asyncio.create_task(_flood(site)) for _ in range(4)]
        try:
            destination = payee()
            size = (await alice.client.ledger()).final_head.size
            order = await approved((alice, bob, carol), destination, AMOUNT)
            await paid(site, alice, order)
        finally:
            for task in flooding:
                task.cancel()
            done = await asyncio.gather(*flooding, return_exceptions=True)
        assert [item for item in done if not isinstance(item, asyncio.CancelledError | int)] == []
        assert payments_on_chain(site, destination) == [AMOUNT]
        # The order, two approvals, and the plan, with whatever was not final yet: nothing of the junk.
        assert len(await _said_since(alice, size)) < 20


async def _said_since(actor: Actor, size: int) -> list[Any]:
    """The bodies of entries from this size on, without the empty ones that only time brings."""
    bodies = []
    async for batch in actor.client.read_log():
        bodies += [codec.decode(Entry, entry).body for entry in batch.entries[max(size - batch.first_index, 0) :]]
    return [body for body in bodies if not isinstance(body, Tick)]


async def _flood(site: Cluster) -> int:
    """Junk orders, alone and by the hundred, as fast as the coordinator answers."""
    authority = Issuer.of(site.root / "pki").pem
    sent = 0
    async with channel(site.deployment.port, authority, Identity.of(site.deployment.endpoint("carol"))) as opened:
        word = types_pb2.SignedBody(body=os.urandom(200), signature=os.urandom(64))
        one = pb.SubmitOrderRequest(order=os.urandom(300), endorsements=[word])
        many = pb.SubmitOrdersRequest(orders=[one] * 500)
        single, bulk = TREASURY.methods_by_name["SubmitOrder"], TREASURY.methods_by_name["SubmitOrders"]
        while True:
            calls = [called(opened, TREASURY, single, one.SerializeToString()) for _ in range(50)]
            await asyncio.gather(*calls, called(opened, TREASURY, bulk, many.SerializeToString()))
            sent += 51


@pytest.mark.campaign
@attack("genuine orders without end from one stolen key", FLOOD)
async def test_genuine_orders_of_one_person_take_their_turn(site: Cluster) -> None:
    """They cost their author's share of the log, which the charter bounds by the day; others are paid meanwhile."""
    async with people(site) as (alice, bob, carol):
        seen = await carol.client.seen()

        def genuine() -> tuple[bytes, list[SignedBody]]:
            order = carol.draft(payment(payee()))
            return order.data, [carol.sign(body(carol, order.hash, seen, verb=Verb.INITIATE))]

        batches = [[genuine() for _ in range(200)] for _ in range(3)]
        # Whoever gets no answer in time asks again, and hears what became of it.
        flood = [
            asyncio.create_task(until(partial(carol.client.submit_many, batch), timeout_s=300)) for batch in batches
        ]
        destination = payee()
        order = await approved((alice, bob, carol), destination, AMOUNT)
        await paid(site, alice, order, timeout_s=180)
        outcomes = [item for batch in await asyncio.gather(*flood) for item in batch]
        assert len(outcomes) == 600
        assert payments_on_chain(site, destination) == [AMOUNT]


MALFORMED: dict[str, tuple[str, bytes, frozenset[str]]] = {
    "oversized": (
        "a request of 17 MB",
        b"\x0a" + b"\x80\x80\xc0\x08" + bytes(17 << 20),
        frozenset({"RESOURCE_EXHAUSTED"}),
    ),
    "truncated": (
        "a request that ends in the middle of a field",
        b"\x0a\xff\x01short",
        frozenset({"INVALID_ARGUMENT"}),
    ),
    "nested": (
        "a request nested ten thousand levels deep",
        b"\xa3\x06" * 10_000 + b"\xa4\x06" * 10_000,
        frozenset({"INVALID_ARGUMENT"}),
    ),
    "unknown": (
        "a request of fields that nobody knows",
        b"\xf8\x07\x01" * 50_000,
        frozenset({"INVALID_ARGUMENT"}),
    ),
    "junk": ("a request of random bytes", os.urandom(100_000), frozenset({"INVALID_ARGUMENT"})),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(name, marks=[attack(title, FORM), *([] if name in ("truncated", "nested") else CAMPAIGN)])
        for name, (title, _, _) in MALFORMED.items()
    ],
)
async def test_malformed_requests_are_refused_by_every_method(site: Cluster, case: str) -> None:
    _, request, codes = MALFORMED[case]
    authority = Issuer.of(site.root / "pki").pem
    callers = ((TREASURY, "alice"), (INTEGRATION, "shop"))
    mark = len(site.coordinator.events)
    async with people(site):
        for service, name in callers:
            async with channel(site.deployment.port, authority, Identity.of(site.deployment.endpoint(name))) as opened:
                for method in service.methods:
                    if case == "oversized" and not method.name.startswith(("GetOrder", "ReadLog", "CreateWithdrawal")):
                        continue
                    if case == "unknown" and not method.name.startswith(("Submit", "Create", "Endorse", "GetOrder")):
                        # Unknown fields alone ask for nothing wrong: a listing answers as if they were not there.
                        continue
                    code, _ = await called(opened, service, method, request)
                    assert code in codes, method.name
        # Not one line of the log: neither a defect nor the stack of a parser.
        assert [line for line in site.coordinator.events[mark:] if "text" in line or line["level"] == "error"] == []


@attack("forged page tokens and cursors", FORM)
async def test_forged_tokens_and_cursors_are_refused(site: Cluster) -> None:
    def token(text: str) -> types_pb2.PageRequest:
        return types_pb2.PageRequest(page_token=base64.urlsafe_b64encode(text.encode()).decode())

    async with people(site) as (alice, _, _):
        stub = alice.client._stub
        pages = [token("vaults:0"), token("orders:-1"), token("orders:" + "9" * 19), token("orders:0 OR 1=1")]
        pages += [types_pb2.PageRequest(page_token=text) for text in ("x" * 5_000, "\x00", "orders:0", "=" * 8)]
        for page in pages:
            answer = await _status(stub.ListOrders(pb.ListOrdersRequest(page=page), timeout=ANSWERS_WITHIN_S))
            assert answer == grpc.StatusCode.INVALID_ARGUMENT, page
        for cursor in (2**62, 2**64 - 1):
            with pytest.raises(RemoteError) as caught:
                async for _ in alice.client.watch_orders(cursor=cursor):
                    pass
            assert caught.value.remote_reason in ("CURSOR_UNKNOWN", "INVALID_REQUEST")
        # A token far beyond the end gives an empty page, not another's data.
        assert (await alice.client.orders(page_token=token("orders:" + "0" * 17 + "0").page_token))[0] == []


async def _status(call: Any) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


@pytest.mark.campaign
@attack("a caller that asks and never reads the answer", FLOOD)
async def test_answers_that_nobody_reads_fill_nothing(site: Cluster) -> None:
    """Fifty streams of the whole log and fifty watches are opened and left alone."""
    authority = Issuer.of(site.root / "pki").pem
    read, watch = (TREASURY.methods_by_name[name] for name in ("ReadLog", "WatchOrders"))
    async with people(site) as (alice, _, _):
        async with channel(site.deployment.port, authority, Identity.of(site.deployment.endpoint("carol"))) as opened:
            paths = [f"/{TREASURY.full_name}/{method.name}" for method in (read, watch)]
            streams = [opened.unary_stream(path)(b"") for path in paths for _ in range(50)]
            await until(lambda: _leads(alice))
            for stream in streams:
                stream.cancel()


async def _leads(actor: Actor) -> bool:
    return (await actor.client.status()).leading
