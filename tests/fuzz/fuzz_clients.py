"""Targets of the clients: whatever a coordinator answers is proven, marked as its word, or refused."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache
from typing import Any, Final

import grpc
from coincurve import PrivateKey
from fuzz_target import choice, target, text_of, total
from fuzz_world import VAULT, certified_world, lasting_loop, stopped_clock
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from fake_treasury import FakeTreasury
from ledger_world import START_MS
from strongroom.api.integration.v1 import integration_service_pb2 as integration_pb
from strongroom.api.treasury.v1 import treasury_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.chains.bitcoin.address import address_of
from strongroom.chains.bitcoin.message_signature import _segwit_digest, to_sign
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.chains.bitcoin.sighash import default_digests
from strongroom.chains.bitcoin.transaction import TxOutput
from strongroom.crypto import bip340, ecdsa
from strongroom.crypto.secret import SecretScalar
from strongroom.ledger import codec
from strongroom.ledger.address_book import ownership_message, proof_holds
from strongroom.ledger.entry_messages import Endorse, Entry, OrderEntry
from strongroom.ledger.order_messages import AddDestination
from strongroom.ledger.signed_messages import Verb
from strongroom.model.ids import LogId, OrderHash
from strongroom.model.quantities import time_text
from strongroom.protocol.signed import SignedBody
from strongroom_client.answers import derive_address, integer_of
from strongroom_client.channel import call
from strongroom_client.cli.address_book import _proof_bytes
from strongroom_client.display import make_sheet
from strongroom_client.errors import RemoteError, remote_error
from strongroom_client.integration import IntegrationClient
from strongroom_client.plain_text import plain
from strongroom_client.treasury import TreasuryClient
from strongroom_client.trust import Trust

Ask = Callable[[], Any]


class Line:
    """A gRPC channel to a coordinator that answers every call with the same bytes, and then with nothing."""

    def __init__(self) -> None:
        self.answer = b""
        self.asked = 0

    def _next(self, deserialise: Callable[[bytes], Any]) -> Any:
        self.asked += 1
        try:
            return deserialise(self.answer if self.asked == 1 else b"")
        except DecodeError:
            return None  # as grpc does

    def unary_unary(self, _: str, *, response_deserializer: Any, **__: Any) -> Any:
        async def call(_: Any, **__: Any) -> Any:
            return self._next(response_deserializer)

        return call

    def unary_stream(self, _: str, *, response_deserializer: Any, **__: Any) -> Any:
        class Stream:
            async def __aiter__(stream) -> AsyncIterator[Any]:
                yield self._next(response_deserializer)

            def cancel(stream) -> None:
                return

        return lambda *_, **__: Stream()


async def gathered(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]


class Desk:
    """Both clients on one line, with the charter that they pinned."""

    def __init__(self) -> None:
        world = certified_world()
        self.line = Line()
        self.people = TreasuryClient(self.line, world.log_id)  # type: ignore[arg-type] - a line that is fuzzed
        self.shop = IntegrationClient(self.line, world.log_id)  # type: ignore[arg-type] - a line that is fuzzed
        self.trust = Trust.from_founding_entry(world.batches[0].entries[0], pinned=world.log_id)
        self.order = OrderHash(world.state.order_at(1).hash)
        entries = [entry for batch in world.batches for entry in batch.entries]
        self.entries = entries
        self.said = SignedBody.of(world.endorsement("alice", Verb.APPROVE, self.order))
        people, shop, order = self.people, self.shop, self.order
        self.calls: list[tuple[Ask, Any]] = [
            (people.ledger, pb.GetLedgerResponse),
            (people.seen, pb.GetLedgerResponse),
            (lambda: people.order(order), pb.GetOrderResponse),
            (people.orders, pb.ListOrdersResponse),
            (lambda: gathered(people.watch_orders()), pb.WatchOrdersResponse),
            (lambda: people.explain(order), pb.ExplainOrderResponse),
            (people.vaults, pb.ListVaultsResponse),
            (lambda: people.balance(VAULT), pb.GetBalanceResponse),
            (people.freezes, pb.ListFreezesResponse),
            (lambda: gathered(people.read_log()), pb.ReadLogResponse),
            (people.status, pb.GetStatusResponse),
            (lambda: people.submit(b"order", [self.said]), pb.SubmitOrderResponse),
            (lambda: people.submit_many([(b"order", [self.said])]), pb.SubmitOrdersResponse),
            (lambda: people.endorse(self.said), pb.EndorseOrderResponse),
            (lambda: people.endorse_many([self.said]), pb.EndorseOrdersResponse),
            (lambda: shop.withdrawal(order), integration_pb.GetWithdrawalResponse),
            (lambda: gathered(shop.watch_withdrawals()), integration_pb.WatchWithdrawalsResponse),
            (lambda: shop.create_withdrawal(b"order", [self.said]), integration_pb.CreateWithdrawalResponse),
            (lambda: shop.address(VAULT, 0), integration_pb.GetAddressResponse),
            (lambda: gathered(shop.watch_deposits()), integration_pb.WatchDepositsResponse),
        ]

    def ask(self, number: int, answer: bytes) -> Any:
        """Make one call, with the trust in the pinned charter that an earlier call gave."""
        for client in (self.people, self.shop):
            client._trust = None if number == 1 else self.trust
            client._final_seen = 0
        self.line.answer, self.line.asked = answer, 0
        return lasting_loop().run_until_complete(self.calls[number][0]())


@lru_cache(maxsize=1)
def desk() -> Desk:
    return Desk()


class NoContext:
    """The context of a call that the treasury under test never refuses."""


def answer_seeds() -> Iterator[bytes]:
    """True answers of the coordinator that the client's tests use; those of the other service have the same parts."""
    world, order = certified_world(), desk().order
    with stopped_clock():
        treasury, none = FakeTreasury(world=world), NoContext()
        answers: list[Any] = [
            treasury.GetLedger(None, none),
            treasury.GetLedger(None, none),
            treasury.GetOrder(pb.GetOrderRequest(order_hash=order), none),
            treasury.ListOrders(pb.ListOrdersRequest(page=types_pb2.PageRequest(page_size=1)), none),
            next(treasury.WatchOrders(pb.WatchOrdersRequest(), none)),
            treasury.ExplainOrder(pb.ExplainOrderRequest(order_hash=order), none),
            treasury.ListVaults(pb.ListVaultsRequest(), none),
            treasury.GetBalance(pb.GetBalanceRequest(vault=VAULT), none),
            treasury.ListFreezes(pb.ListFreezesRequest(), none),
            next(treasury.ReadLog(pb.ReadLogRequest(), none)),
            treasury.GetStatus(pb.GetStatusRequest(), none),
        ]
        index = next(at for at, entry in enumerate(desk().entries) if is_order(entry))
        receipt = treasury.receipt(index)
        view = treasury.view(world.state.order_at(1))
    answers += [
        pb.SubmitOrderResponse(receipt=receipt),
        pb.SubmitOrdersResponse(results=[pb.ItemResult(receipt=receipt)]),
        pb.EndorseOrderResponse(receipt=receipt),
        pb.EndorseOrdersResponse(results=[pb.ItemResult(reason="REASON", message="a message")]),
        integration_pb.GetWithdrawalResponse(order=view),
        integration_pb.WatchWithdrawalsResponse(cursor=1, order=view),
        integration_pb.CreateWithdrawalResponse(receipt=receipt),
        integration_pb.GetAddressResponse(address="bcrt1", vault=answers[6].vaults[0]),
        integration_pb.WatchDepositsResponse(
            cursor=1, deposit=types_pb2.Deposit(vault=VAULT, index=0, address="bcrt1", amount="5", txid=bytes(32))
        ),
    ]
    for number, answer in enumerate(answers):
        yield bytes([number]) + answer.SerializeToString()
    yield b"\x07" + pb.GetBalanceResponse(balance=types_pb2.Balance(confirmed="1e5")).SerializeToString()


def is_order(entry: bytes) -> bool:
    return isinstance(codec.decode(Entry, entry).body, OrderEntry | Endorse)


@target(
    "strongroom_client.trust:Trust.record",
    "strongroom_client.trust:Trust.freezes",
    "strongroom_client.trust:Trust.receipt",
    "strongroom_client.trust:Trust.certificate",
    "strongroom_client.trust:Trust.from_founding_entry",
    "strongroom_client.answers:view_of",
    "strongroom_client.answers:balance_of",
    "strongroom_client.display:make_sheet",
    "strongroom.ledger.record_proof:verify_record_proof",
    seeds=answer_seeds,
    max_bytes=6_000,
)
def coordinator_answer(data: bytes) -> None:
    """A coordinator's answer to each call of both clients; a proven order is shown, whatever stands beside it."""
    number, rest = choice(data, list(range(len(desk().calls))))
    found = total(desk().ask, number, rest)
    if number == 2 and found is not None:
        sheet = total(make_sheet, desk().trust, found, now_ms=START_MS, others=[found])
        if sheet is None:
            raise ValueError("a proven order cannot be shown")
        time_text(min(found.updated_ms, 2**63))
    if number == 6 and found:
        total(derive_address, found[0], 0)


def word_seeds() -> Iterator[bytes]:
    yield b"12345"
    yield "text with \u202e and \x1b[31m".encode()
    yield b"9" * 5_000


def refusal_seeds() -> Iterator[bytes]:
    info = error_details_pb2.ErrorInfo(reason="NOT_READY", domain="strongroom", metadata={"entry": "7"})
    detail = AnyMessage()
    detail.Pack(info)
    yield status_pb2.Status(code=14, message="nobody leads", details=[detail]).SerializeToString()
    yield status_pb2.Status(code=2).SerializeToString()


@target("strongroom_client.channel:_translated", seeds=refusal_seeds, max_bytes=2_048)
def coordinator_refusal(data: bytes) -> None:
    """The details of a refused call, as a coordinator may make them."""

    async def refused(*_: object, **__: object) -> None:
        for_people = data.decode("utf-8", "replace")
        meta = grpc.aio.Metadata(("grpc-status-details-bin", data))
        raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, meta, meta, details=for_people)

    try:
        lasting_loop().run_until_complete(call(refused, None))
    except RemoteError as error:
        if not (error.message.isprintable() and error.remote_reason.isprintable()):
            raise ValueError("a control character reaches the terminal") from error


# --- the owner of an address ---


@lru_cache(maxsize=1)
def addresses() -> dict[str, bytes]:
    """Address -> its owner's signature over what the address book asks for, of each kind that can be proven."""
    log_id, made = certified_world().log_id, {}
    key = SecretScalar.from_bytes(bytes(31) + b"\x07")
    script = b"\x51\x20" + key.public()[1:]
    address = address_of(script, REGTEST)
    (digest,) = default_digests(
        to_sign(script, ownership_message(log_id, address)), [TxOutput(amount_sat=0, script=script)]
    )
    made[address] = b"\1\x40" + bip340.sign(key, digest, bytes(32))
    other = PrivateKey(bytes(31) + b"\x08")
    public = other.public_key.format()
    script = b"\0\x14" + ecdsa.hash160(public)
    address = address_of(script, REGTEST)
    code = b"\x76\xa9\x14" + script[2:] + b"\x88\xac"
    digest = _segwit_digest(to_sign(script, ownership_message(log_id, address)), script_code=code)
    signature = other.sign(digest, hasher=None) + b"\1"
    made[address] = b"\2" + bytes([len(signature)]) + signature + b"\x21" + public
    return made


def addition(address: str, proof: bytes) -> AddDestination:
    return AddDestination(chain=REGTEST.caip2, address=address, label="exchange", proof=proof)


def proof_seeds() -> Iterator[bytes]:
    for proof in addresses().values():
        yield b"smp" + b64encode(proof)
        yield proof
    yield b"smp"


@target(
    "strongroom_client.cli.address_book:_proof_bytes",
    "strongroom.ledger.address_book:proof_holds",
    "strongroom.chains.bitcoin.message_signature:verify_simple",
    "strongroom.crypto.ecdsa:verify",
    seeds=proof_seeds,
    max_bytes=512,
)
def ownership_proof(data: bytes) -> None:
    """BIP-322 signatures as an owner sends them, text and bytes: good for one address in one organisation's book."""
    log_id = certified_world().log_id
    for proof in (total(_proof_bytes, text_of(data)), data):
        if proof is None:
            continue
        orders = [total(addition, address, proof) for address in addresses()]
        held = [order for order in orders if order is not None and total(proof_holds, log_id, order)]
        if len(held) > 1 or any(proof_holds(LogId(bytes(32)), order) for order in held):
            raise ValueError("a proof is good for something else than what was signed")


PARTS: Final = ("entry", "message", "remote_reason")


@target(
    "strongroom_client.answers:integer_of",
    "strongroom_client.errors:remote_error",
    "strongroom_client.plain_text:plain",
    seeds=word_seeds,
    max_bytes=6_000,
)
def coordinator_words(data: bytes) -> None:
    """Amounts and error texts of a coordinator: numbers, or nothing that a terminal would act on."""
    text = text_of(data)
    total(integer_of, text)
    shown = plain(text)
    if any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in shown.replace("\n", "")):
        raise ValueError("a control character reaches the terminal")
    error = remote_error("INTERNAL", text, text, dict.fromkeys(PARTS, text))
    if error.kind.name != "INTERNAL":
        raise ValueError("an error changes its code")
