"""Targets of the coordinator's services: any request of people, integrators and auditors is answered or refused."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from fuzz_target import choice, scratch, target, text_of, total
from fuzz_world import VAULT, certified_world, lasting_loop
from google.protobuf.message import DecodeError

from certified_world import Clock
from strongroom.api.integration.v1 import integration_service_pb2 as integration_pb
from strongroom.api.treasury.v1 import treasury_service_pb2 as treasury_pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec
from strongroom.ledger.order_messages import Freeze, Scope
from strongroom.ledger.signed_messages import Verb
from strongroom.ledger.state import decode_order
from strongroom_coordinator.chain.node import NodeUnavailable
from strongroom_coordinator.config import CoordinatorConfig
from strongroom_coordinator.data_folder import GenesisFile
from strongroom_coordinator.ledger_side import build_ledger_side
from strongroom_coordinator.revocations import Revocations
from strongroom_coordinator.rpc.integration import IntegrationService
from strongroom_coordinator.rpc.requests import page_of, page_token
from strongroom_coordinator.rpc.server import build_edge_side
from strongroom_coordinator.rpc.treasury import TreasuryService
from strongroom_coordinator.storage import ledger as rows
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.storage.migrating import migrate
from strongroom_coordinator.subjects import subjects_in

WAIT_S: Final = 0.02
"""How long an answer may wait for signers, of which there are none here, or for something to watch."""


class NoNode:
    """A Bitcoin node that is out of reach."""

    def __getattr__(self, method: str) -> Any:
        async def refuse(*_: object) -> Any:
            raise NodeUnavailable(f"{method}: there is no node here")

        return refuse


class Services:
    """Both services over the database of a coordinator that certified a log, and leads no term now."""

    def __init__(self) -> None:
        world = certified_world()
        folder = scratch("fuzz-coordinator-")
        url = f"sqlite:///{folder}/coordinator.db"
        migrate(url)
        storage = Storage.open(url)
        storage.run_sync(store_log)
        clock: Any = Clock(world)
        config = CoordinatorConfig(listen="127.0.0.1:0")
        genesis = GenesisFile(genesis=world.genesis(), charter=world.charter, log_id=world.log_id)
        side = build_ledger_side(storage, genesis, config, clock=clock, random=bytes, evidence_folder=folder)
        node: Any = NoNode()
        edge = build_edge_side(side, world.charter, config, node=node, clock=clock, revocations=Revocations.none(clock))
        self.methods: list[tuple[Any, Any]] = []
        for service, module in (
            (TreasuryService(edge.parts), treasury_pb),
            (IntegrationService(edge.parts), integration_pb),
        ):
            for name, method in inspect.getmembers(service, callable):
                if hasattr(module, f"{name}Request"):
                    self.methods.append((method, getattr(module, f"{name}Request")))
        self.names = [method.__qualname__ for method, _ in self.methods]


def store_log(connection: Any) -> None:
    world = certified_world()
    for preview in world.previews:
        batch = preview.batch
        subjects = subjects_in(batch.first_index, batch.entries)
        rows.save_batch(connection, first_index=batch.first_index, entries=batch.entries, subjects=subjects)
        certificate = world.certificates[batch.size]
        rows.save_certificate(
            connection, size=batch.size, term=certificate.head.term, certificate=codec.encode(certificate)
        )
    rows.write_meta(connection, "final_certificate", codec.encode(world.newest))


@lru_cache(maxsize=1)
def services() -> Services:
    async def build() -> Services:
        return Services()

    return lasting_loop().run_until_complete(build())


def request_seeds() -> Iterator[bytes]:
    world, names = certified_world(), services().names
    order = world.state.order_at(1).hash
    page = types_pb2.PageRequest(page_size=2, page_token=page_token("orders", 1))
    fresh = world.order(world.withdrawal(VAULT, 33_000), id=b"of a fuzz target")
    said = [types_pb2.SignedBody(body=one.body, signature=one.signature) for one in said_of(fresh)]
    frozen = world.order(Freeze(scope=Scope.ALL, why="a reason"), id=b"of a fuzz freeze")
    single: Any = {"order_hash": order}
    requests: dict[str, Any] = {
        "TreasuryService.GetLedger": treasury_pb.GetLedgerRequest(),
        "TreasuryService.SubmitOrder": treasury_pb.SubmitOrderRequest(order=fresh, endorsements=said),
        "TreasuryService.SubmitOrders": treasury_pb.SubmitOrdersRequest(
            orders=[treasury_pb.SubmitOrderRequest(order=frozen, endorsements=said[:1])] * 2
        ),
        "TreasuryService.EndorseOrder": treasury_pb.EndorseOrderRequest(endorsement=said[1]),
        "TreasuryService.EndorseOrders": treasury_pb.EndorseOrdersRequest(endorsements=said),
        "TreasuryService.GetOrder": treasury_pb.GetOrderRequest(**single),
        "TreasuryService.ListOrders": treasury_pb.ListOrdersRequest(page=page, vault=VAULT, statuses=[1, 2]),
        "TreasuryService.WatchOrders": treasury_pb.WatchOrdersRequest(order_hashes=[order]),
        "TreasuryService.ExplainOrder": treasury_pb.ExplainOrderRequest(**single),
        "TreasuryService.ListVaults": treasury_pb.ListVaultsRequest(page=types_pb2.PageRequest(page_size=1)),
        "TreasuryService.GetBalance": treasury_pb.GetBalanceRequest(vault=VAULT),
        "TreasuryService.ListFreezes": treasury_pb.ListFreezesRequest(),
        "TreasuryService.ReadLog": treasury_pb.ReadLogRequest(first_index=3),
        "TreasuryService.GetStatus": treasury_pb.GetStatusRequest(),
        "IntegrationService.CreateWithdrawal": integration_pb.CreateWithdrawalRequest(order=fresh, endorsements=said),
        "IntegrationService.GetWithdrawal": integration_pb.GetWithdrawalRequest(
            order_id=decode_order(world.state.order_at(1).order).id
        ),
        "IntegrationService.ListWithdrawals": integration_pb.ListWithdrawalsRequest(page=page),
        "IntegrationService.WatchWithdrawals": integration_pb.WatchWithdrawalsRequest(cursor=2**63),
        "IntegrationService.GetAddress": integration_pb.GetAddressRequest(vault=VAULT, index=7),
        "IntegrationService.ListDeposits": integration_pb.ListDepositsRequest(vault=VAULT),
        "IntegrationService.WatchDeposits": integration_pb.WatchDepositsRequest(vault=VAULT, cursor=2**64 - 1),
    }
    for name, request in requests.items():
        yield bytes([names.index(name)]) + request.SerializeToString()
    yield (
        bytes([names.index("TreasuryService.ReadLog")])
        + treasury_pb.ReadLogRequest(first_index=2**64 - 1).SerializeToString()
    )


def said_of(order: bytes) -> list[Any]:
    world = certified_world()
    return [
        world.endorsement("shop", Verb.INITIATE, order),
        world.endorsement("alice", Verb.APPROVE, order),
        world.endorsement("bob", Verb.APPROVE, order),
    ]


@target(
    "strongroom_coordinator.rpc.requests:order_entry",
    "strongroom_coordinator.rpc.requests:endorse_of",
    "strongroom_coordinator.rpc.requests:order_key",
    "strongroom_coordinator.rpc.requests:page_of",
    "strongroom_coordinator.rpc.watches:Watches.orders",
    "strongroom_coordinator.rpc.watches:Watches.deposits",
    "strongroom_coordinator.rpc.treasury:TreasuryService.SubmitOrder",
    "strongroom_coordinator.rpc.integration:IntegrationService.CreateWithdrawal",
    seeds=request_seeds,
    max_bytes=4_096,
)
def rpc_request(data: bytes) -> None:
    """Every request of both services, to its real handler; the first byte chooses the method."""
    (method, kind), rest = choice(data, services().methods)
    try:
        request = kind.FromString(rest)
    except DecodeError:
        return
    total(lambda: lasting_loop().run_until_complete(answered(method, request)))


async def answered(method: Any, request: Any) -> None:
    """Wait a moment for the answer, or for the first ones of a stream."""
    made = method(request, None)
    try:
        async with asyncio.timeout(WAIT_S):
            if not inspect.isasyncgen(made):
                (await made).SerializeToString()
                return
            async for item in made:
                item.SerializeToString()
    except TimeoutError:
        return  # it waits for signers, or for something to happen: that is an answer too
    finally:
        if inspect.isasyncgen(made):
            await made.aclose()


def token_seeds() -> Iterator[bytes]:
    yield page_token("orders", 7).encode()
    yield page_token("vaults", 0).encode()
    yield page_token("deposits", 10**17).encode()


@target("strongroom_coordinator.rpc.requests:page_of", seeds=token_seeds, max_bytes=100)
def page_tokens(data: bytes) -> None:
    """Page tokens: ours, of the right list, or refused."""
    try:
        page = types_pb2.PageRequest(page_token=text_of(data), page_size=len(data))
    except UnicodeEncodeError:
        return  # not even a protobuf string
    for kind in ("orders", "vaults", "deposits"):
        found = total(page_of, page, kind)
        if found is not None and found.start is not None and not 0 <= found.start < 10**18:
            raise ValueError("a page begins nowhere")
