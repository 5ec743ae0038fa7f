"""The client of `treasury.v1`, for people's tools."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

import grpc.aio

from strongroom.api.treasury.v1 import treasury_service_pb2 as treasury_pb
from strongroom.api.treasury.v1.treasury_service_pb2_grpc import TreasuryServiceStub
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger.records import DestinationRecord, FreezeRecord, VaultRecord
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import LogId, OrderHash
from strongroom.protocol.electorates import KnownSet
from strongroom.protocol.evidence_records import MAX_EVIDENCE_BYTES, evidence_hash
from strongroom.protocol.signed import SignedBody
from strongroom_client.address_book import BookPage, entry_of, page_of
from strongroom_client.answers import (
    Balance,
    ExplainedOrder,
    OrderStatus,
    Receipt,
    balance_of,
    same_count,
    signed_pb,
    status_pb,
    view_of,
)
from strongroom_client.channel import call, watch
from strongroom_client.connection import Client, LedgerResponse
from strongroom_client.errors import NotProven
from strongroom_client.trust import FreezeTable, Proven

__all__ = ["TreasuryClient"]


class TreasuryClient(Client):
    """`treasury.v1`: what people's tools ask. Methods raise `RemoteError` when refused, `NotProven` when lied to."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        log_id: LogId,
        *,
        final_seen: int = 0,
        witnesses: KnownSet | None = None,
    ) -> None:
        super().__init__(channel, log_id, final_seen=final_seen, witnesses=witnesses)
        self._stub = TreasuryServiceStub(channel)

    async def _ledger(self) -> LedgerResponse:
        return await self.ledger()

    async def ledger(self) -> treasury_pb.GetLedgerResponse:
        """Charter, heads and checkpoint as served; prove what you use through `trust()`."""
        response: treasury_pb.GetLedgerResponse = await call(self._stub.GetLedger, treasury_pb.GetLedgerRequest())
        return response

    async def submit(self, order: bytes, endorsements: Sequence[SignedBody]) -> Receipt:
        """Put an order into the log. Idempotent: the same bytes give the first receipt again."""
        response = await call(self._stub.SubmitOrder, _submit(order, endorsements))
        return await self._receipt(response.receipt, order, endorsements)

    async def submit_many(
        self, orders: Sequence[tuple[bytes, Sequence[SignedBody]]], *, timeout_s: float = 60.0
    ) -> list[Receipt | StrongroomError]:
        """Put up to 500 orders into the log at once; a refused one is an error value in its place."""
        request = treasury_pb.SubmitOrdersRequest(orders=[_submit(data, signed) for data, signed in orders])
        response = await call(self._stub.SubmitOrders, request, timeout_s=timeout_s)
        same_count(response.results, orders)
        pairs = zip(response.results, orders, strict=True)
        return [await self._item(item, data, signed) for item, (data, signed) in pairs]

    async def endorse(self, endorsement: SignedBody) -> Receipt:
        """Add an approval or rejection. It is delivered only when this returns: the receipt proves it."""
        request = treasury_pb.EndorseOrderRequest(endorsement=signed_pb(endorsement))
        response = await call(self._stub.EndorseOrder, request)
        return await self._receipt(response.receipt, b"", [endorsement])

    async def endorse_many(
        self, endorsements: Sequence[SignedBody], *, timeout_s: float = 60.0
    ) -> list[Receipt | StrongroomError]:
        """Add up to 500 endorsements at once; a refused one is an error value in its place."""
        request = treasury_pb.EndorseOrdersRequest(endorsements=[signed_pb(item) for item in endorsements])
        response = await call(self._stub.EndorseOrders, request, timeout_s=timeout_s)
        same_count(response.results, endorsements)
        pairs = zip(response.results, endorsements, strict=True)
        return [await self._item(item, b"", [signed]) for item, signed in pairs]

    async def order(self, key: OrderHash | bytes) -> OrderStatus:
        """One order, by its 32-byte hash or its 16-byte id."""
        request = (
            treasury_pb.GetOrderRequest(order_id=key) if len(key) == 16 else treasury_pb.GetOrderRequest(order_hash=key)
        )
        final_seen = self._final_seen
        status = await self._order((await call(self._stub.GetOrder, request)).order)
        self._not_older(status.proven.certified_size, final_seen)
        if key not in (status.hash, status.order.id):
            raise NotProven("the coordinator answered with another order than the one asked for")
        return status

    async def orders(
        self, *, vault: str = "", statuses: Iterable[str] = (), page_size: int = 100, page_token: str = ""
    ) -> tuple[list[OrderStatus], str]:
        """One page of orders, newest first, and the token of the next ("" at the end). The selection is its word."""
        request = treasury_pb.ListOrdersRequest(
            page=types_pb2.PageRequest(page_size=page_size, page_token=page_token),
            vault=vault,
            statuses=[status_pb(name) for name in statuses],
        )
        response = await call(self._stub.ListOrders, request)
        return [await self._order(view) for view in response.orders], response.next_page_token

    async def watch_orders(
        self, *, cursor: int = 0, hashes: Sequence[bytes] = ()
    ) -> AsyncIterator[tuple[int, OrderStatus]]:
        """Changes of orders with the cursor to resume from; cursor 0 starts with the present state of open orders."""
        request = treasury_pb.WatchOrdersRequest(cursor=cursor, order_hashes=list(hashes))
        async for item in watch(self._stub.WatchOrders, request):
            yield item.cursor, await self._order(item.order)

    async def explain(self, key: OrderHash, *, timeout_s: float = 10.0) -> ExplainedOrder:
        """Why an order passes or not, with each signer's own signed view."""
        request = treasury_pb.ExplainOrderRequest(order_hash=key)
        answer = (await call(self._stub.ExplainOrder, request, timeout_s=timeout_s)).explanation
        trust = await self.trust()
        views = tuple(view_of(trust, signed, key) for signed in answer.views)
        return ExplainedOrder(
            allowed=answer.allowed,
            rule=answer.rule,
            missing=tuple(answer.missing),
            tried=tuple(answer.tried),
            views=tuple(sorted(views, key=lambda view: view.signer)),
            silent=tuple(answer.silent),
        )

    async def vaults(self) -> list[Proven[VaultRecord]]:
        """All vaults, each proven."""
        return await self._vaults(self._stub.ListVaults, treasury_pb.ListVaultsRequest)

    async def balance(self, vault: str) -> Balance:
        """Coins of one vault; the coordinator's word."""
        return balance_of((await call(self._stub.GetBalance, treasury_pb.GetBalanceRequest(vault=vault))).balance)

    async def freezes(self) -> tuple[FreezeRecord, ...]:
        """Every freeze, past and present; proven complete, as of no earlier than the newest final head seen here."""
        return (await self.freeze_table()).records

    async def freeze_table(self) -> FreezeTable:
        """The same freezes, with the size and log time of the certified state that shows them."""
        final_seen = self._final_seen
        response = await call(self._stub.ListFreezes, treasury_pb.ListFreezesRequest())
        table = await self.proven(lambda trust: trust.freezes(response))
        self._not_older(table.certified_size, final_seen)
        return table

    async def destinations(self, *, page_size: int = 100, page_token: str = "") -> BookPage:
        """One page of the address book, oldest entry first, as of no earlier than the newest final head seen here."""
        final_seen = self._final_seen
        page = types_pb2.PageRequest(page_size=page_size, page_token=page_token)
        response = await call(self._stub.ListDestinations, treasury_pb.ListDestinationsRequest(page=page))
        found = await self.proven(lambda trust: page_of(trust, response.records, response.next_page_token))
        for proven in found.entries:
            self._not_older(proven.certified_size, final_seen)
        if not page_token and found.first:
            raise NotProven("the coordinator's list of the address book does not begin with the first entry")
        if not found.entries:
            # An empty page proves nothing by itself; the proof of the charter has how many entries there are.
            await self.seen()
            if (await self.trust()).destinations and not page_token:
                raise NotProven("the coordinator shows an empty address book, and it has entries")
        return found

    async def destination(self, chain: str, address: str) -> Proven[DestinationRecord] | None:
        """The newest entry of an address; None is the coordinator's word that the address book never had it."""
        final_seen = self._final_seen
        request = treasury_pb.ListDestinationsRequest(chain=chain, address=address)
        response = await call(self._stub.ListDestinations, request)
        found = await self.proven(lambda trust: entry_of(trust, response.records, chain=chain, address=address))
        if found is not None:
            self._not_older(found.certified_size, final_seen)
        return found

    async def break_glass(self) -> list[OrderStatus]:
        """Orders to break the glass that have not ended, each proven; that these are all is the coordinator's word."""
        response = await call(self._stub.ListBreakGlass, treasury_pb.ListBreakGlassRequest())
        return [await self._order(view) for view in response.orders]

    async def read_log(self, first_index: int = 0) -> AsyncIterator[types_pb2.LogBatch]:
        """Batches of the log from an index on, unverified: replay them."""
        async for chunk in watch(self._stub.ReadLog, treasury_pb.ReadLogRequest(first_index=first_index)):
            for batch in chunk.batches:
                yield batch

    async def status(self) -> treasury_pb.GetStatusResponse:
        """How the coordinator and the signer links are doing; its word."""
        response: treasury_pb.GetStatusResponse = await call(self._stub.GetStatus, treasury_pb.GetStatusRequest())
        return response

    async def evidence(self) -> AsyncIterator[treasury_pb.EvidenceSummary]:
        """Records of evidence against signers, newest first; the list is the coordinator's word."""
        token = ""
        while True:
            page = types_pb2.PageRequest(page_token=token)
            response = await call(self._stub.ListEvidence, treasury_pb.ListEvidenceRequest(page=page))
            for item in response.evidence:
                yield item
            token = response.next_page_token
            if not token:
                return

    async def evidence_record(self, name: bytes) -> bytes:
        """The bytes of the record with this hash (32 bytes), unverified but for the hash.

        Raises:
            NotProven: the coordinator sent another one.
        """
        data = bytearray()
        async for chunk in watch(self._stub.GetEvidence, treasury_pb.GetEvidenceRequest(hash=name)):
            data += chunk.chunk
            if len(data) > MAX_EVIDENCE_BYTES:
                break
        if evidence_hash(bytes(data)) != name:
            raise NotProven("the coordinator answered with another record than the one asked for")
        return bytes(data)


def _submit(order: bytes, endorsements: Sequence[SignedBody]) -> treasury_pb.SubmitOrderRequest:
    return treasury_pb.SubmitOrderRequest(order=order, endorsements=[signed_pb(item) for item in endorsements])
