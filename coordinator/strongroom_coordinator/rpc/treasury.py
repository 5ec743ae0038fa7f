"""`treasury.v1`: what people and auditors ask. Each handler decodes, calls, and encodes; errors pass through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from strongroom.api.treasury.v1 import treasury_service_pb2 as pb
from strongroom.api.treasury.v1.treasury_service_pb2_grpc import TreasuryServiceServicer
from strongroom.model.errors import StrongroomError
from strongroom_coordinator.rpc import requests
from strongroom_coordinator.rpc.answers import order_pb
from strongroom_coordinator.rpc.bulk import parsed, refusal_text
from strongroom_coordinator.rpc.evidence_queries import LIST, EvidenceQueries
from strongroom_coordinator.rpc.log_queries import LogQueries
from strongroom_coordinator.rpc.parts import Parts
from strongroom_coordinator.rpc.queries import Queries
from strongroom_coordinator.rpc.recovery_queries import LIST as DESTINATIONS
from strongroom_coordinator.rpc.recovery_queries import RecoveryQueries
from strongroom_coordinator.rpc.submissions import Outcome, Submissions
from strongroom_coordinator.rpc.watches import Watches

__all__ = ["TreasuryService"]


def _item(outcome: Outcome) -> pb.ItemResult:
    if isinstance(outcome, StrongroomError):
        return pb.ItemResult(reason=outcome.reason, message=refusal_text(outcome))
    return pb.ItemResult(receipt=outcome)


class TreasuryService(TreasuryServiceServicer):
    """Handlers of the treasury service."""

    def __init__(self, parts: Parts) -> None:
        self._submissions = Submissions(parts)
        self._queries = Queries(parts)
        self._log = LogQueries(parts)
        self._evidence = EvidenceQueries(parts)
        self._recovery = RecoveryQueries(parts)
        self._watches = Watches(parts)

    async def GetLedger(self, request: pb.GetLedgerRequest, context: Any) -> pb.GetLedgerResponse:
        """Charter, log id and heads."""
        return await self._log.ledger()

    async def SubmitOrder(self, request: pb.SubmitOrderRequest, context: Any) -> pb.SubmitOrderResponse:
        """Put one order into the log."""
        entry = requests.order_entry(request.order, request.endorsements)
        return pb.SubmitOrderResponse(receipt=await self._submissions.submit(entry))

    async def SubmitOrders(self, request: pb.SubmitOrdersRequest, context: Any) -> pb.SubmitOrdersResponse:
        """Put many orders into the log."""
        requests.check_bulk(request.orders, "orders")
        entries = [parsed(requests.order_entry, item.order, item.endorsements) for item in request.orders]
        outcomes = await self._submissions.submit_many(entries)
        return pb.SubmitOrdersResponse(results=[_item(outcome) for outcome in outcomes])

    async def EndorseOrder(self, request: pb.EndorseOrderRequest, context: Any) -> pb.EndorseOrderResponse:
        """Add an approval or rejection."""
        entry = requests.endorse_of(request.endorsement)
        return pb.EndorseOrderResponse(receipt=await self._submissions.submit(entry))

    async def EndorseOrders(self, request: pb.EndorseOrdersRequest, context: Any) -> pb.EndorseOrdersResponse:
        """Add many approvals or rejections."""
        requests.check_bulk(request.endorsements, "endorsements")
        entries = [parsed(requests.endorse_of, item) for item in request.endorsements]
        outcomes = await self._submissions.submit_many(entries)
        return pb.EndorseOrdersResponse(results=[_item(outcome) for outcome in outcomes])

    async def GetOrder(self, request: pb.GetOrderRequest, context: Any) -> pb.GetOrderResponse:
        """One order."""
        order = await self._queries.order(*requests.order_key(request))
        return pb.GetOrderResponse(order=order_pb(order))

    async def ListOrders(self, request: pb.ListOrdersRequest, context: Any) -> pb.ListOrdersResponse:
        """Orders, newest first."""
        page = requests.page_of(request.page, "orders")
        vault = requests.vault_name(request.vault, optional=True)
        found, rest = await self._queries.orders(page, vault=vault, statuses=requests.statuses_of(request.statuses))
        return pb.ListOrdersResponse(
            orders=[order_pb(order) for order in found], next_page_token=requests.page_token("orders", rest)
        )

    async def WatchOrders(self, request: pb.WatchOrdersRequest, context: Any) -> AsyncIterator[pb.WatchOrdersResponse]:
        """Changes of orders."""
        only = requests.order_hashes(request.order_hashes)
        async for cursor, order in self._watches.orders(request.cursor, only):
            yield pb.WatchOrdersResponse(cursor=cursor, order=order_pb(order))

    async def ExplainOrder(self, request: pb.ExplainOrderRequest, context: Any) -> pb.ExplainOrderResponse:
        """Why an order passes or not."""
        explanation = await self._queries.explain(requests.hash_of(request.order_hash))
        return pb.ExplainOrderResponse(explanation=explanation)

    async def ListVaults(self, request: pb.ListVaultsRequest, context: Any) -> pb.ListVaultsResponse:
        """All vaults."""
        found, rest = await self._queries.vaults(requests.page_of(request.page, "vaults"))
        return pb.ListVaultsResponse(vaults=found, next_page_token=requests.page_token("vaults", rest))

    async def GetBalance(self, request: pb.GetBalanceRequest, context: Any) -> pb.GetBalanceResponse:
        """Coins of a vault."""
        return pb.GetBalanceResponse(balance=self._queries.balance(requests.vault_name(request.vault)))

    async def ListFreezes(self, request: pb.ListFreezesRequest, context: Any) -> pb.ListFreezesResponse:
        """The whole table of freezes."""
        return self._log.freezes()

    async def ListDestinations(self, request: pb.ListDestinationsRequest, context: Any) -> pb.ListDestinationsResponse:
        """The address book."""
        named = requests.chain_and_address(request.chain, request.address)
        if named is not None:
            return pb.ListDestinationsResponse(records=self._recovery.destination(*named))
        found, rest = self._recovery.destinations(requests.page_of(request.page, DESTINATIONS))
        return pb.ListDestinationsResponse(records=found, next_page_token=requests.page_token(DESTINATIONS, rest))

    async def ListBreakGlass(self, request: pb.ListBreakGlassRequest, context: Any) -> pb.ListBreakGlassResponse:
        """Orders to break the glass that have not ended."""
        return pb.ListBreakGlassResponse(orders=[order_pb(order) for order in await self._recovery.break_glass()])

    async def ReadLog(self, request: pb.ReadLogRequest, context: Any) -> AsyncIterator[pb.ReadLogResponse]:
        """Entries with their certificates."""
        async for response in self._log.entries(request.first_index):
            yield response

    async def ExportLog(self, request: pb.ExportLogRequest, context: Any) -> AsyncIterator[pb.ExportLogResponse]:
        """The log with its recovery data, as a file."""
        async for chunk in self._log.export():
            yield pb.ExportLogResponse(chunk=chunk)

    async def GetStatus(self, request: pb.GetStatusRequest, context: Any) -> pb.GetStatusResponse:
        """How the coordinator is doing."""
        return self._log.status()

    async def ListEvidence(self, request: pb.ListEvidenceRequest, context: Any) -> pb.ListEvidenceResponse:
        """Proven faults of signers, newest first."""
        return await self._evidence.page(requests.page_of(request.page, LIST))

    async def GetEvidence(self, request: pb.GetEvidenceRequest, context: Any) -> AsyncIterator[pb.GetEvidenceResponse]:
        """One record in chunks."""
        async for response in self._evidence.record(requests.hash_of(request.hash, "hash")):
            yield response
