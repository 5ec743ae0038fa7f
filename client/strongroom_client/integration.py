"""The client of `integration.v1`, for an integrator's servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import grpc.aio

from strongroom.api.integration.v1 import integration_service_pb2 as integration_pb
from strongroom.api.integration.v1.integration_service_pb2_grpc import IntegrationServiceStub
from strongroom.ledger.records import VaultRecord
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import LogId, OrderHash
from strongroom.protocol.electorates import KnownSet
from strongroom.protocol.signed import SignedBody
from strongroom_client.answers import (
    Balance,
    Deposit,
    OrderStatus,
    Receipt,
    balance_of,
    derive_address,
    integer_of,
    same_count,
    signed_pb,
)
from strongroom_client.channel import call, watch
from strongroom_client.connection import Client, LedgerResponse
from strongroom_client.errors import NotProven
from strongroom_client.trust import Proven

__all__ = ["IntegrationClient"]


class IntegrationClient(Client):
    """`integration.v1`: what an integrator's servers ask. Errors as in `TreasuryClient`."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        log_id: LogId,
        *,
        final_seen: int = 0,
        witnesses: KnownSet | None = None,
    ) -> None:
        super().__init__(channel, log_id, final_seen=final_seen, witnesses=witnesses)
        self._stub = IntegrationServiceStub(channel)

    async def _ledger(self) -> LedgerResponse:
        response: LedgerResponse = await call(self._stub.GetLedger, integration_pb.GetLedgerRequest())
        return response

    async def create_withdrawal(self, order: bytes, endorsements: Sequence[SignedBody]) -> Receipt:
        """Put a withdrawal order into the log. Idempotent."""
        response = await call(self._stub.CreateWithdrawal, _create(order, endorsements))
        return await self._receipt(response.receipt, order, endorsements)

    async def create_withdrawals(
        self, orders: Sequence[tuple[bytes, Sequence[SignedBody]]], *, timeout_s: float = 60.0
    ) -> list[Receipt | StrongroomError]:
        """Put up to 500 withdrawals into the log at once; a refused one is an error value in its place."""
        request = integration_pb.CreateWithdrawalsRequest(
            withdrawals=[_create(data, signed) for data, signed in orders]
        )
        response = await call(self._stub.CreateWithdrawals, request, timeout_s=timeout_s)
        same_count(response.results, orders)
        pairs = zip(response.results, orders, strict=True)
        return [await self._item(item, data, signed) for item, (data, signed) in pairs]

    async def withdrawal(self, key: OrderHash | bytes) -> OrderStatus:
        """One withdrawal, by its 32-byte hash or its 16-byte id."""
        request = (
            integration_pb.GetWithdrawalRequest(order_id=key)
            if len(key) == 16
            else integration_pb.GetWithdrawalRequest(order_hash=key)
        )
        status = await self._order((await call(self._stub.GetWithdrawal, request)).order)
        if key not in (status.hash, status.order.id):
            raise NotProven("the coordinator answered with another order than the one asked for")
        return status

    async def watch_withdrawals(
        self, *, cursor: int = 0, hashes: Sequence[bytes] = ()
    ) -> AsyncIterator[tuple[int, OrderStatus]]:
        """Changes of withdrawals with the cursor to resume from."""
        request = integration_pb.WatchWithdrawalsRequest(cursor=cursor, order_hashes=list(hashes))
        async for item in watch(self._stub.WatchWithdrawals, request):
            yield item.cursor, await self._order(item.order)

    async def vaults(self) -> list[Proven[VaultRecord]]:
        """All vaults, each proven."""
        return await self._vaults(self._stub.ListVaults, integration_pb.ListVaultsRequest)

    async def address(self, vault: str, index: int) -> str:
        """The deposit address at an index that you choose and keep; derived here from the proven, final vault.

        Raises:
            NotProven: the coordinator's address differs from the derived one.
            NotFinalYet: the vault is not final yet.
        """
        request = integration_pb.GetAddressRequest(vault=vault, index=index)
        response = await call(self._stub.GetAddress, request)
        proven = await self.proven(lambda trust: trust.record(VaultRecord, response.vault.record))
        if proven.record.name != vault:
            raise NotProven("the coordinator answered with another vault")
        derived = derive_address(proven, index)
        if response.address != derived:
            raise NotProven(f"the coordinator's address {response.address!r} is not the vault's: {derived}")
        return derived

    async def balance(self, vault: str) -> Balance:
        """Coins of one vault; the coordinator's word."""
        return balance_of((await call(self._stub.GetBalance, integration_pb.GetBalanceRequest(vault=vault))).balance)

    async def watch_deposits(self, *, vault: str = "", cursor: int = 0) -> AsyncIterator[Deposit]:
        """Deposits seen, confirmed further or removed, from a cursor on; each address derived and compared."""
        vaults = {proven.record.name: proven for proven in await self.vaults()}
        request = integration_pb.WatchDepositsRequest(cursor=cursor, vault=vault)
        async for item in watch(self._stub.WatchDeposits, request):
            deposit = item.deposit
            if deposit.vault not in vaults:
                vaults = {proven.record.name: proven for proven in await self.vaults()}
            if deposit.vault not in vaults or derive_address(vaults[deposit.vault], deposit.index) != deposit.address:
                raise NotProven(f"a deposit names the address {deposit.address!r}, which is not the vault's")
            yield Deposit(
                vault=deposit.vault,
                index=deposit.index,
                address=deposit.address,
                asset=deposit.asset,
                amount=integer_of(deposit.amount),
                txid=deposit.txid,
                vout=deposit.vout,
                confirmations=deposit.confirmations,
                removed=deposit.removed,
                cursor=item.cursor,
            )


def _create(order: bytes, endorsements: Sequence[SignedBody]) -> integration_pb.CreateWithdrawalRequest:
    return integration_pb.CreateWithdrawalRequest(order=order, endorsements=[signed_pb(item) for item in endorsements])
