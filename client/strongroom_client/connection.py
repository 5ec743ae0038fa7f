"""What every client shares: the channel, the pinned trust, and turning answers into proven values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import grpc.aio

from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Endorse, OrderEntry
from strongroom.ledger.order_messages import Order
from strongroom.ledger.records import OrderRecord, VaultRecord
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import LogId, OrderHash
from strongroom.protocol.electorates import KnownSet
from strongroom.protocol.signed import SignedBody
from strongroom_client.answers import STATUS_NAMES, OrderStatus, Receipt, milliseconds_of, said_of
from strongroom_client.channel import Endpoint, call, open_channel
from strongroom_client.errors import NotFinalYet, NotProven, remote_error
from strongroom_client.orders import Seen, order_hash
from strongroom_client.trust import Proven, Trust

__all__ = ["Client", "LedgerResponse"]

P = TypeVar("P")


class LedgerResponse(Protocol):
    """What both services answer to GetLedger."""

    founding_entry: bytes
    charter: types_pb2.RecordProof
    final_head: types_pb2.LogHead
    certificate: bytes
    final_certificate: bytes

    @property
    def handovers(self) -> Iterable[bytes]:
        """Canonical proofs of every change of the witness set."""
        ...


class Itemised(Protocol):
    """One result of a bulk call, of either service."""

    receipt: types_pb2.Receipt
    reason: str
    message: str

    def HasField(self, field_name: Any) -> bool: ...  # noqa: N802 - protobuf's name


class Client:
    """What both clients share: the channel, the pinned trust, and turning answers into proven values."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        log_id: LogId,
        *,
        final_seen: int = 0,
        witnesses: KnownSet | None = None,
    ) -> None:
        self._channel = channel
        self._log_id = log_id
        self._pinned = witnesses
        self._trust: Trust | None = None
        self._final_seen = final_seen
        """Largest size that this client saw proven final: what is asked for later must not be older."""

    @classmethod
    def connect(
        cls, endpoint: Endpoint, *, log_id: LogId, final_seen: int = 0, witnesses: KnownSet | None = None
    ) -> Self:
        """Open a client; it connects at the first call.

        Args:
            endpoint: Where the coordinator is, and how to be known there.
            log_id: The log to trust, compared with others.
            final_seen: Size of the newest final head that was proven on this machine before; nothing older is taken.
            witnesses: The newest witness set that was proven before: signers who left before it are never believed.

        Raises:
            ProfileProblem: a certificate or key file cannot be read.
        """
        return cls(open_channel(endpoint), log_id, final_seen=final_seen, witnesses=witnesses)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def _ledger(self) -> LedgerResponse:
        # Abstract: the subclass of each service answers; this class alone is never opened.
        raise NotImplementedError("each service asks in its own words")

    async def trust(self) -> Trust:
        """The charter in force: from the one behind the pinned log id on, each step is proven.

        It is fetched once, and again whenever the newest head is asked for.

        Raises:
            LogRestarted: the pinned log was founded anew; a person must compare and accept that.
            PinMismatch: the coordinator serves another log.
            NotProven: it does not prove which charter is in force.
        """
        if self._trust is None:
            response = await self._ledger()
            pinned = Trust.from_founding_entry(response.founding_entry, pinned=self._log_id)
            if self._pinned is not None:
                pinned = replace(pinned, witnesses=self._pinned)
            self._trust = self._in_force(pinned, response)
        return self._trust

    def _in_force(self, trust: Trust, response: LedgerResponse) -> Trust:
        """Go over to the witness set and the charter in force, as of no earlier than the newest final head."""
        newest = max(self._final_seen, response.final_head.size)
        return trust.handed_over(response.handovers).amended(response.charter, since=newest)

    async def proven(self, verify: Callable[[Trust], P]) -> P:
        """Verify an answer; a witness set that took over since trust was fetched is asked for, once.

        Raises:
            NotProven: it does not hold, by the newest witness set that the coordinator can prove either.
        """
        trust = await self.trust()
        try:
            return verify(trust)
        except NotProven:
            newest = trust.handed_over((await self._ledger()).handovers)
            if newest.witnesses == trust.witnesses:
                raise
            self._trust = newest
            return verify(newest)

    async def seen(self) -> Seen:
        """The newest final head, for an endorsement to name.

        Its size is proven final. Its root need not be: signers compare it with their own log, and an endorsement that
        names another history counts nowhere.

        Raises:
            NotFinalYet: the coordinator shows no final head; on a new log there is none for a moment.
            NotProven: votes do not make the size final that it names.
        """
        trust = await self.trust()
        response = await self._ledger()
        self._trust = trust = self._in_force(trust, response)
        head = response.final_head
        if head.size < 1 and not self._final_seen:
            raise NotFinalYet("the coordinator shows no final head of the log yet")
        if head.size < 1 or len(head.root) != 32 or trust.final_size(response.final_certificate) < head.size:
            raise NotProven(f"votes do not make the head of {head.size} entries final that the coordinator names")
        self._final_seen = max(self._final_seen, head.size)
        return Seen(size=head.size, root=head.root)

    @staticmethod
    def _not_older(size: int, final_seen: int) -> None:
        """Refuse an old but genuine proof: it could hide a rejection or a freeze that came since.

        Args:
            size: Certified size of what was answered.
            final_seen: What was known to be final when it was asked for.
        """
        if size < final_seen:
            raise NotProven(
                f"the coordinator answers with the state after {size} entries, and {final_seen} are final: what came "
                "since is hidden"
            )

    async def _receipt(self, pb: types_pb2.Receipt, data: bytes, endorsements: Sequence[SignedBody]) -> Receipt:
        """Check that a receipt proves these very words to be logged.

        With `data`, the order itself must be; without, an endorsement by the same person, with the same verb, of the
        same order: when the log knew one already, it may be an earlier one than the one sent.
        """
        proven = await self.proven(lambda trust: trust.receipt(pb))
        body = proven.entry.body
        if data:
            named = order_hash(data)
            matches = isinstance(body, OrderEntry) and body.order == data
        else:
            wanted = said_of(endorsements[0].body)
            named = OrderHash(wanted[2])
            logged = (
                [body.endorsement]
                if isinstance(body, Endorse)
                else list(body.endorsements)
                if isinstance(body, OrderEntry)
                else []
            )
            matches = any(said_of(item.body) == wanted for item in logged)
        if not matches:
            raise NotProven("the receipt is for something else than what was sent")
        return Receipt(
            order_hash=named,
            index=proven.index,
            certified_size=proven.certified_size,
            already_known=pb.already_known,
        )

    async def _item(self, item: Itemised, data: bytes, endorsements: Sequence[SignedBody]) -> Receipt | StrongroomError:
        """One result of a bulk call: a proven receipt, or the refusal as an error value."""
        if not item.HasField("receipt"):
            return remote_error("FAILED_PRECONDITION", item.message, item.reason, {})
        return await self._receipt(item.receipt, data, endorsements)

    async def _order(self, view: types_pb2.OrderView) -> OrderStatus:
        """Verify one order view and decode the order from its own bytes."""
        proven = await self.proven(lambda trust: trust.record(OrderRecord, view.record))
        record = proven.record
        if order_hash(record.order) != record.hash or (view.order_hash and view.order_hash != record.hash):
            raise NotProven("the order's bytes do not hash to the order's key")
        try:
            order = codec.decode(Order, record.order)
        except codec.NotCanonical as error:
            raise NotProven(f"the order cannot be read: {error.message}") from error
        # One that was signed before a restart stays in the log, and is worth nothing there.
        if order.log_id != self._log_id and not (await self.trust()).restarted_at:
            raise NotProven("the order is for another log")
        return OrderStatus(
            proven=proven,
            order=order,
            status=STATUS_NAMES.get(view.status, "unspecified"),
            waits_for=view.waits_for,
            plans=tuple(view.plans),
            submitted_ms=milliseconds_of(view.submit_time),
            updated_ms=milliseconds_of(view.update_time),
        )

    async def _vaults(self, method: Any, request_type: Any) -> list[Proven[VaultRecord]]:
        """All pages of vaults, each record proven."""
        found: list[Proven[VaultRecord]] = []
        token = ""
        while True:
            page = types_pb2.PageRequest(page_size=200, page_token=token)
            vaults = (response := await call(method, request_type(page=page))).vaults
            found += await self.proven(partial(_vault_records, vaults))
            token = response.next_page_token
            if not token:
                return found


def _vault_records(vaults: Iterable[Any], trust: Trust) -> list[Proven[VaultRecord]]:
    return [trust.record(VaultRecord, vault.record) for vault in vaults]
