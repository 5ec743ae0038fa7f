"""Genuine proofs that are out of date, and answers that are none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
import pytest

from fake_treasury import Office
from strongroom.api.treasury.v1 import treasury_service_pb2 as pb
from strongroom.api.treasury.v1.treasury_service_pb2_grpc import TreasuryServiceStub
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.order_messages import Freeze, Scope
from strongroom.ledger.signed_messages import Verb
from strongroom_client.channel import call, watch
from strongroom_client.errors import NotProven
from strongroom_client.profile import load_profile
from strongroom_client.treasury import TreasuryClient


def connect(office: Office) -> TreasuryClient:
    profile = load_profile(office.person("alice"))
    return TreasuryClient.connect(profile.endpoint, log_id=profile.log_id)


def replayed(office: Office, method: str) -> None:
    """From now on the coordinator gives the answer again that it gave first."""
    kept: list[Any] = []

    def lie(response: Any) -> Any:
        kept.append(type(response).FromString(response.SerializeToString()))
        return kept[0]

    office.treasury.lies[method] = lie


async def test_attack_table_of_freezes_from_before_a_freeze(office: Office) -> None:
    world = office.world
    async with connect(office) as client:
        replayed(office, "ListFreezes")
        assert await client.freezes() == ()
        order = world.order(Freeze(scope=Scope.ALL, vault="", why="looks wrong"))
        world.settle(world.order_entry(order, "dave"))
        world.settle(Tick())
        await client.seen()
        with pytest.raises(NotProven, match="hidden"):
            await client.freezes()


async def test_attack_order_from_before_its_rejection(office: Office) -> None:
    world = office.world
    order = world.order(world.withdrawal("customer-1", 50_000_000))
    world.settle(world.order_entry(order, "carol"))
    key = world.state.order_at(world.state.orders_count - 1).hash
    async with connect(office) as client:
        replayed(office, "GetOrder")
        assert not any(one.verb is Verb.REJECT for one in (await client.order(key)).proven.record.endorsements)
        world.settle(world.endorse("alice", Verb.REJECT, key))
        world.settle(Tick())
        await client.seen()
        with pytest.raises(NotProven, match="hidden"):
            await client.order(key)


async def test_attack_charter_from_before_a_revocation_beside_the_newest_head(office: Office) -> None:
    world = office.world
    old: list[Any] = []

    def lie(response: Any) -> Any:
        old.append(type(response).FromString(response.SerializeToString()).charter)
        response.charter.CopyFrom(old[0])
        return response

    office.treasury.lies["GetLedger"] = lie
    async with connect(office) as client:
        assert (await client.trust()).charter.version == 1
    charter = world.state.charter
    world.amend(
        initiator="carol",
        people=tuple(person for person in charter.people if person.name != "dave"),
        groups=tuple(
            replace(group, members=tuple(name for name in group.members if name != "dave")) for group in charter.groups
        ),
    )
    for _ in range(2):
        world.settle(Tick())
    assert world.state.charter.version == 2
    async with connect(office) as client:
        with pytest.raises(NotProven, match="hidden"):
            await client.trust()


async def test_attack_whole_log_from_before_what_this_machine_has_seen(office: Office) -> None:
    replayed(office, "GetLedger")
    profile = load_profile(office.person("alice"))
    async with connect(office) as client:
        await client.trust()
    world = office.world
    size = world.replica.size
    for _ in range(2):
        world.settle(Tick())
    async with TreasuryClient.connect(profile.endpoint, log_id=profile.log_id, final_seen=size + 1) as client:
        with pytest.raises(NotProven, match="hidden"):
            await client.trust()


async def test_answer_that_is_no_message_is_told_as_such() -> None:
    async def babble(request: bytes, context: object) -> bytes:
        return b"\xff\xff\xff"

    async def babble_on(request: bytes, context: Any) -> None:
        await context.write(b"\xff\xff\xff")

    service = pb.DESCRIPTOR.services_by_name["TreasuryService"].full_name
    handlers = {
        "GetLedger": grpc.unary_unary_rpc_method_handler(babble),
        "ReadLog": grpc.unary_stream_rpc_method_handler(babble_on),
    }
    server = grpc.aio.server(handlers=[grpc.method_handlers_generic_handler(service, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = TreasuryServiceStub(channel)
            with pytest.raises(NotProven):
                await call(stub.GetLedger, pb.GetLedgerRequest())
            with pytest.raises(NotProven):
                [item async for item in watch(stub.ReadLog, pb.ReadLogRequest())]
    finally:
        await server.stop(None)
