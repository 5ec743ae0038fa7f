"""The asynchronous client: typed calls whose answers are proven before they are returned.

`TreasuryClient` is for people's tools, `IntegrationClient` for an integrator's servers. Both pin the log id, verify
every record and receipt, and derive addresses themselves. What cannot be proven (balances, confirmations, what an order
waits for) is marked in the docstring of its field as the coordinator's word.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import grpc.aio

from strongroom.api.integration.v1 import integration_service_pb2 as integration_pb
from strongroom.api.integration.v1.integration_service_pb2_grpc import IntegrationServiceStub
from strongroom.api.treasury.v1 import treasury_service_pb2 as treasury_pb
from strongroom.api.treasury.v1.treasury_service_pb2_grpc import TreasuryServiceStub
from strongroom.api.types.v1 import types_pb2
from strongroom.chains.bitcoin import networks
from strongroom.chains.bitcoin.keys import VaultKey
from strongroom.ledger import codec
from strongroom.ledger.messages import Endorse, Endorsement, Order, OrderEntry, Verb, View
from strongroom.ledger.records import FreezeRecord, OrderRecord, VaultRecord
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import LogId, OrderHash
from strongroom.protocol.signed import SignedBody, open_body
from strongroom_client.channel import Endpoint, call, open_channel, watch
from strongroom_client.errors import NotProven, remote_error
from strongroom_client.orders import Seen, order_hash
from strongroom_client.trust import Proven, Trust

__all__ = [
    "Balance",
    "Deposit",
    "ExplainedOrder",
    "IntegrationClient",
    "OrderStatus",
    "Receipt",
    "SignerView",
    "TreasuryClient",
    "derive_address",
]

STATUS_NAMES: dict[int, str] = {
    value.number: value.name.removeprefix("PAYMENT_STATUS_").lower()
    for value in types_pb2.PaymentStatus.DESCRIPTOR.values
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that the log holds an order or an endorsement, under a certificate."""

    order_hash: OrderHash
    index: int
    certified_size: int
    already_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatus:
    """One order. `proven` holds the record and stands under a certificate; the rest is the coordinator's word."""

    proven: Proven[OrderRecord]
    order: Order
    status: str
    """`open`, `payable`, `paid`, `never_will_be_paid` or `done`."""
    waits_for: str
    plans: tuple[types_pb2.PlanProgress, ...]
    submitted_ms: int
    updated_ms: int

    @property
    def hash(self) -> OrderHash:
        """SHA-256 of the order's bytes."""
        return OrderHash(self.proven.record.hash)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerView:
    """One signer's own judgement, verified under its vote key."""

    signer: str
    view: View


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedOrder:
    """Why an order would or would not pass. `views` are signed by the signers; the rest is the coordinator's word."""

    allowed: bool
    rule: str
    missing: tuple[str, ...]
    tried: tuple[str, ...]
    views: tuple[SignerView, ...]
    silent: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Coins of a vault in the smallest unit, as the coordinator sees its chain node. Its word."""

    vault: str
    asset: str
    confirmed: int
    pending_in: int
    pending_out: int
    coins: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """One deposit as the coordinator sees its chain node; the address was derived here and matches."""

    vault: str
    index: int
    address: str
    asset: str
    amount: int
    txid: bytes
    vout: int
    confirmations: int
    removed: bool
    cursor: int


class _LedgerResponse(Protocol):
    genesis_entry: bytes
    final_head: types_pb2.LogHead
    certificate: bytes
    final_certificate: bytes


class _Itemised(Protocol):
    receipt: types_pb2.Receipt
    reason: str
    message: str

    def HasField(self, field_name: Any) -> bool: ...  # noqa: N802 - protobuf's name


C = TypeVar("C", bound="_Client")


class _Client:
    """What both clients share: the channel, the pinned trust, and turning answers into proven values."""

    def __init__(self, channel: grpc.aio.Channel, log_id: LogId) -> None:
        self._channel = channel
        self._log_id = log_id
        self._trust: Trust | None = None

    @classmethod
    def connect(cls, endpoint: Endpoint, *, log_id: LogId) -> Self:
        """Open a client; it connects at the first call.

        Raises:
            ProfileProblem: a certificate or key file cannot be read.
        """
        return cls(open_channel(endpoint), log_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def _ledger(self) -> _LedgerResponse:
        raise NotImplementedError("each service asks in its own words")

    async def trust(self) -> Trust:
        """The charter behind the pinned log id; fetched once, and checked against the pin.

        Raises:
            PinMismatch: the coordinator serves another log.
        """
        if self._trust is None:
            response = await self._ledger()
            self._trust = Trust.from_genesis_entry(response.genesis_entry, pinned=self._log_id)
        return self._trust

    async def seen(self) -> Seen:
        """The newest final head, proven, for an endorsement to name.

        Raises:
            NotProven: nothing is final yet, or the head is not the one the votes make final.
        """
        trust = await self.trust()
        response = await self._ledger()
        head = response.final_head
        if head.size < 1 or trust.final_size(response.final_certificate) < head.size:
            raise NotProven("the coordinator shows no final head of the log yet: try again in a moment")
        return Seen(size=head.size, root=head.root)

    async def _receipt(self, pb: types_pb2.Receipt, data: bytes, endorsements: Sequence[SignedBody]) -> Receipt:
        """Check that a receipt proves these very words to be logged.

        With `data`, the order itself must be; without, an endorsement by the same person, with the same verb, of the same
        order: when the log knew one already, it may be an earlier one than the one sent.
        """
        proven = (await self.trust()).receipt(pb)
        body = proven.entry.body
        if data:
            named = order_hash(data)
            matches = isinstance(body, OrderEntry) and body.order == data
        else:
            wanted = _said(endorsements[0].body)
            named = OrderHash(wanted[2])
            logged = (
                [body.endorsement]
                if isinstance(body, Endorse)
                else list(body.endorsements)
                if isinstance(body, OrderEntry)
                else []
            )
            matches = any(_said(item.body) == wanted for item in logged)
        if not matches:
            raise NotProven("the receipt is for something else than what was sent")
        return Receipt(
            order_hash=named,
            index=proven.index,
            certified_size=proven.certified_size,
            already_known=pb.already_known,
        )

    async def _item(
        self, item: _Itemised, data: bytes, endorsements: Sequence[SignedBody]
    ) -> Receipt | StrongroomError:
        """One result of a bulk call: a proven receipt, or the refusal as an error value."""
        if not item.HasField("receipt"):
            return remote_error("FAILED_PRECONDITION", item.message, item.reason, {})
        return await self._receipt(item.receipt, data, endorsements)

    async def _order(self, view: types_pb2.OrderView) -> OrderStatus:
        """Verify one order view and decode the order from its own bytes."""
        proven = (await self.trust()).record(OrderRecord, view.record)
        record = proven.record
        if order_hash(record.order) != record.hash:
            raise NotProven("the order's bytes do not hash to the order's key")
        return OrderStatus(
            proven=proven,
            order=codec.decode(Order, record.order),
            status=STATUS_NAMES.get(view.status, "unspecified"),
            waits_for=view.waits_for,
            plans=tuple(view.plans),
            submitted_ms=view.submit_time.ToMilliseconds(),
            updated_ms=view.update_time.ToMilliseconds(),
        )

    async def _vaults(self, method: Any, request_type: Any) -> list[Proven[VaultRecord]]:
        """All pages of vaults, each record proven."""
        trust, found, token = await self.trust(), [], ""
        while True:
            page = types_pb2.PageRequest(page_size=200, page_token=token)
            response = await call(method, request_type(page=page))
            found += [trust.record(VaultRecord, vault.record) for vault in response.vaults]
            token = response.next_page_token
            if not token:
                return found


class TreasuryClient(_Client):
    """`treasury.v1`: what people's tools ask. Methods raise `RemoteError` when refused, `NotProven` when lied to."""

    def __init__(self, channel: grpc.aio.Channel, log_id: LogId) -> None:
        super().__init__(channel, log_id)
        self._stub = TreasuryServiceStub(channel)

    async def _ledger(self) -> _LedgerResponse:
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
        _same_count(response.results, orders)
        pairs = zip(response.results, orders, strict=True)
        return [await self._item(item, data, signed) for item, (data, signed) in pairs]

    async def endorse(self, endorsement: SignedBody) -> Receipt:
        """Add an approval or rejection. It is delivered only when this returns: the receipt proves it."""
        request = treasury_pb.EndorseOrderRequest(endorsement=_signed(endorsement))
        response = await call(self._stub.EndorseOrder, request)
        return await self._receipt(response.receipt, b"", [endorsement])

    async def endorse_many(
        self, endorsements: Sequence[SignedBody], *, timeout_s: float = 60.0
    ) -> list[Receipt | StrongroomError]:
        """Add up to 500 endorsements at once; a refused one is an error value in its place."""
        request = treasury_pb.EndorseOrdersRequest(endorsements=[_signed(item) for item in endorsements])
        response = await call(self._stub.EndorseOrders, request, timeout_s=timeout_s)
        _same_count(response.results, endorsements)
        pairs = zip(response.results, endorsements, strict=True)
        return [await self._item(item, b"", [signed]) for item, signed in pairs]

    async def order(self, key: OrderHash | bytes) -> OrderStatus:
        """One order, by its 32-byte hash or its 16-byte id."""
        request = (
            treasury_pb.GetOrderRequest(order_id=key) if len(key) == 16 else treasury_pb.GetOrderRequest(order_hash=key)
        )
        status = await self._order((await call(self._stub.GetOrder, request)).order)
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
            statuses=[_status(name) for name in statuses],
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
        views = tuple(_view(trust, signed, key) for signed in answer.views)
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
        return _balance((await call(self._stub.GetBalance, treasury_pb.GetBalanceRequest(vault=vault))).balance)

    async def freezes(self) -> tuple[FreezeRecord, ...]:
        """Every freeze, past and present; proven complete."""
        response = await call(self._stub.ListFreezes, treasury_pb.ListFreezesRequest())
        return (await self.trust()).freezes(response)

    async def read_log(self, first_index: int = 0) -> AsyncIterator[types_pb2.LogBatch]:
        """Batches of the log from an index on, unverified: replay them."""
        async for chunk in watch(self._stub.ReadLog, treasury_pb.ReadLogRequest(first_index=first_index)):
            for batch in chunk.batches:
                yield batch

    async def status(self) -> treasury_pb.GetStatusResponse:
        """How the coordinator and the signer links are doing; its word."""
        response: treasury_pb.GetStatusResponse = await call(self._stub.GetStatus, treasury_pb.GetStatusRequest())
        return response


class IntegrationClient(_Client):
    """`integration.v1`: what an integrator's servers ask. Errors as in `TreasuryClient`."""

    def __init__(self, channel: grpc.aio.Channel, log_id: LogId) -> None:
        super().__init__(channel, log_id)
        self._stub = IntegrationServiceStub(channel)

    async def _ledger(self) -> _LedgerResponse:
        response: _LedgerResponse = await call(self._stub.GetLedger, integration_pb.GetLedgerRequest())
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
        _same_count(response.results, orders)
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
            NotProven: the coordinator's address differs from the derived one, or the vault is not final yet.
        """
        request = integration_pb.GetAddressRequest(vault=vault, index=index)
        response = await call(self._stub.GetAddress, request)
        proven = (await self.trust()).record(VaultRecord, response.vault.record)
        if proven.record.name != vault:
            raise NotProven("the coordinator answered with another vault")
        derived = derive_address(proven, index)
        if response.address != derived:
            raise NotProven(f"the coordinator's address {response.address!r} is not the vault's: {derived}")
        return derived

    async def balance(self, vault: str) -> Balance:
        """Coins of one vault; the coordinator's word."""
        return _balance((await call(self._stub.GetBalance, integration_pb.GetBalanceRequest(vault=vault))).balance)

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
                amount=_integer(deposit.amount),
                txid=deposit.txid,
                vout=deposit.vout,
                confirmations=deposit.confirmations,
                removed=deposit.removed,
                cursor=item.cursor,
            )


def derive_address(vault: Proven[VaultRecord], index: int, *, branch: int = 0) -> str:
    """Derive an address from a proven vault record; never taken from anybody.

    Raises:
        NotProven: the vault is not final yet, so that its entry could still vanish; or its chain is unknown here.
    """
    record = vault.record
    if not vault.final:
        raise NotProven(f"vault {record.name} is not final yet: its addresses are not shown before that")
    network = networks.BY_CAIP2.get(record.chain)
    if network is None:
        raise NotProven(f"vault {record.name} is on {record.chain}, which this release does not know")
    key = VaultKey(group_key=record.group_key, chain_code=record.chain_code)
    return key.derive(branch, index).address(network)


def _signed(signed: SignedBody) -> types_pb2.SignedBody:
    return types_pb2.SignedBody(body=signed.body, signature=signed.signature)


def _submit(order: bytes, endorsements: Sequence[SignedBody]) -> treasury_pb.SubmitOrderRequest:
    return treasury_pb.SubmitOrderRequest(order=order, endorsements=[_signed(item) for item in endorsements])


def _create(order: bytes, endorsements: Sequence[SignedBody]) -> integration_pb.CreateWithdrawalRequest:
    return integration_pb.CreateWithdrawalRequest(order=order, endorsements=[_signed(item) for item in endorsements])


def _status(name: str) -> Any:
    return types_pb2.PaymentStatus.Value(f"PAYMENT_STATUS_{name.upper()}")


def _said(body: bytes) -> tuple[str, Verb, bytes]:
    """Who says what of which order, out of an endorsement's body."""
    said = codec.decode(Endorsement, body)
    return said.person, said.verb, said.order_hash


def _same_count(results: Sequence[object], sent: Sequence[object]) -> None:
    if len(results) != len(sent):
        raise NotProven(f"{len(sent)} items were sent and {len(results)} answered")


def _integer(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise NotProven(f"an amount must be decimal digits, not {text!r}")
    return int(text)


def _balance(pb: types_pb2.Balance) -> Balance:
    return Balance(
        vault=pb.vault,
        asset=pb.asset,
        confirmed=_integer(pb.confirmed),
        pending_in=_integer(pb.pending_in),
        pending_out=_integer(pb.pending_out),
        coins=pb.coins,
    )


def _view(trust: Trust, signed: types_pb2.SignedBody, key: bytes) -> SignerView:
    """Verify one signer's view under the vote key of the signer it names."""
    try:
        named = codec.decode(View, signed.body).signer
        vote_key = trust.vote_keys.get(named)
        if vote_key is None:
            raise NotProven(f"{named!r} is no signer of the charter")
        body = SignedBody(body=signed.body, signature=signed.signature)
        view = open_body("view", View, body, log_id=trust.log_id, public_key=vote_key)
    except StrongroomError as error:
        raise NotProven(f"a signer's view does not hold: {error.message}") from error
    if view.order_hash != key:
        raise NotProven(f"{named} answered about another order")
    return SignerView(signer=named, view=view)
