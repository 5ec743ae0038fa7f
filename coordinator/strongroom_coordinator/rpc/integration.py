"""`integration.v1`: what integrators' machines ask. Each handler decodes, calls, and encodes; errors pass through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from strongroom.api.integration.v1 import integration_service_pb2 as pb
from strongroom.api.integration.v1.integration_service_pb2_grpc import IntegrationServiceServicer
from strongroom.api.types.v1 import types_pb2
from strongroom.model.errors import StrongroomError
from strongroom_coordinator.rpc import requests
from strongroom_coordinator.rpc.answers import deposit_pb, order_pb
from strongroom_coordinator.rpc.bulk import parsed, refusal_text
from strongroom_coordinator.rpc.log_queries import LogQueries
from strongroom_coordinator.rpc.parts import Parts
from strongroom_coordinator.rpc.queries import Queries
from strongroom_coordinator.rpc.submissions import Outcome, Submissions
from strongroom_coordinator.rpc.watches import Watches
from strongroom_coordinator.storage.chain import DepositRow

__all__ = ["IntegrationService"]


def _item(outcome: Outcome) -> pb.WithdrawalResult:
    if isinstance(outcome, StrongroomError):
        return pb.WithdrawalResult(reason=outcome.reason, message=refusal_text(outcome))
    return pb.WithdrawalResult(receipt=outcome)


class IntegrationService(IntegrationServiceServicer):
    """Handlers of the integration service."""

    def __init__(self, parts: Parts) -> None:
        self._tracker = parts.tracker
        self._submissions = Submissions(parts)
        self._queries = Queries(parts)
        self._log = LogQueries(parts)
        self._watches = Watches(parts)

    async def GetLedger(self, request: pb.GetLedgerRequest, context: Any) -> pb.GetLedgerResponse:
        """Charter, log id and heads."""
        ledger = await self._log.ledger()
        return pb.GetLedgerResponse(
            log_id=ledger.log_id,
            charter=ledger.charter,
            founding_entry=ledger.founding_entry,
            certificate=ledger.certificate,
            final_certificate=ledger.final_certificate,
            final_head=ledger.final_head,
            handovers=ledger.handovers,
        )

    async def CreateWithdrawal(self, request: pb.CreateWithdrawalRequest, context: Any) -> pb.CreateWithdrawalResponse:
        """Put one withdrawal into the log."""
        entry = requests.order_entry(request.order, request.endorsements, withdrawals_only=True)
        return pb.CreateWithdrawalResponse(receipt=await self._submissions.submit(entry))

    async def CreateWithdrawals(
        self, request: pb.CreateWithdrawalsRequest, context: Any
    ) -> pb.CreateWithdrawalsResponse:
        """Put many withdrawals into the log."""
        requests.check_bulk(request.withdrawals, "withdrawals")
        entries = [
            parsed(requests.order_entry, item.order, item.endorsements, withdrawals_only=True)
            for item in request.withdrawals
        ]
        outcomes = await self._submissions.submit_many(entries)
        return pb.CreateWithdrawalsResponse(results=[_item(outcome) for outcome in outcomes])

    async def GetWithdrawal(self, request: pb.GetWithdrawalRequest, context: Any) -> pb.GetWithdrawalResponse:
        """One withdrawal."""
        order = await self._queries.order(*requests.order_key(request))
        return pb.GetWithdrawalResponse(order=order_pb(order))

    async def ListWithdrawals(self, request: pb.ListWithdrawalsRequest, context: Any) -> pb.ListWithdrawalsResponse:
        """Orders, newest first."""
        page = requests.page_of(request.page, "orders")
        vault = requests.vault_name(request.vault, optional=True)
        statuses = requests.statuses_of(request.statuses)
        found, rest = await self._queries.orders(page, vault=vault, statuses=statuses, withdrawals_only=True)
        return pb.ListWithdrawalsResponse(
            orders=[order_pb(order) for order in found], next_page_token=requests.page_token("orders", rest)
        )

    async def WatchWithdrawals(
        self, request: pb.WatchWithdrawalsRequest, context: Any
    ) -> AsyncIterator[pb.WatchWithdrawalsResponse]:
        """Changes of withdrawals."""
        only = requests.order_hashes(request.order_hashes)
        async for cursor, order in self._watches.orders(request.cursor, only, withdrawals_only=True):
            yield pb.WatchWithdrawalsResponse(cursor=cursor, order=order_pb(order))

    async def ListVaults(self, request: pb.ListVaultsRequest, context: Any) -> pb.ListVaultsResponse:
        """All vaults."""
        found, rest = await self._queries.vaults(requests.page_of(request.page, "vaults"))
        return pb.ListVaultsResponse(vaults=found, next_page_token=requests.page_token("vaults", rest))

    async def GetAddress(self, request: pb.GetAddressRequest, context: Any) -> pb.GetAddressResponse:
        """The deposit address at an index."""
        vault, index = requests.vault_name(request.vault), requests.address_index(request.index)
        address, view = await self._queries.address(vault, index)
        return pb.GetAddressResponse(address=address, vault=view)

    async def GetBalance(self, request: pb.GetBalanceRequest, context: Any) -> pb.GetBalanceResponse:
        """Coins of a vault."""
        return pb.GetBalanceResponse(balance=self._queries.balance(requests.vault_name(request.vault)))

    async def ListDeposits(self, request: pb.ListDepositsRequest, context: Any) -> pb.ListDepositsResponse:
        """Deposits, each as it stands now."""
        page = requests.page_of(request.page, "deposits")
        found, rest = await self._queries.deposits(page, vault=requests.vault_name(request.vault, optional=True))
        return pb.ListDepositsResponse(
            deposits=[self._deposit(row) for row in found], next_page_token=requests.page_token("deposits", rest)
        )

    async def WatchDeposits(
        self, request: pb.WatchDepositsRequest, context: Any
    ) -> AsyncIterator[pb.WatchDepositsResponse]:
        """Deposits seen, confirmed further, or removed."""
        vault = requests.vault_name(request.vault, optional=True)
        async for row in self._watches.deposits(request.cursor, vault):
            yield pb.WatchDepositsResponse(cursor=row.cursor, deposit=self._deposit(row))

    def _deposit(self, row: DepositRow) -> types_pb2.Deposit:
        return deposit_pb(row, asset=self._tracker.network.asset_id, tip_height=self._tracker.height)
