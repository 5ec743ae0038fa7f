"""What the clients return, and how it is made of the coordinator's answers: proven, or marked as its word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from strongroom.api.types.v1 import types_pb2
from strongroom.chains.bitcoin import networks
from strongroom.chains.bitcoin.keys import VaultKey
from strongroom.ledger import codec
from strongroom.ledger.order_messages import Order
from strongroom.ledger.records import FreezeRecord, OrderRecord, VaultRecord
from strongroom.ledger.signed_messages import Endorsement, Verb, View
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import OrderHash
from strongroom.protocol.signed import SignedBody, open_body
from strongroom_client.errors import NotFinalYet, NotProven
from strongroom_client.trust import Proven, Trust

__all__ = [
    "Balance",
    "Deposit",
    "ExplainedOrder",
    "OrderStatus",
    "Receipt",
    "SignerView",
    "balance_of",
    "derive_address",
    "frozen_by",
    "integer_of",
    "milliseconds_of",
    "said_of",
    "same_count",
    "signed_pb",
    "status_pb",
    "view_of",
]

_MAX_DIGITS: Final = 78
"""Of 2^256 - 1, the largest amount that the ledger takes."""
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

    @property
    def data(self) -> bytes:
        """The order's exact bytes, which endorsements name by their hash."""
        return self.proven.record.order


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


def derive_address(vault: Proven[VaultRecord], index: int, *, branch: int = 0) -> str:
    """Derive an address from a proven vault record; never taken from anybody.

    Raises:
        NotFinalYet: the vault is not final yet, so that its entry could still vanish.
        NotProven: its chain is unknown here.
    """
    record = vault.record
    if not vault.final:
        raise NotFinalYet(f"vault {record.name} is not final yet: its addresses are not shown before that")
    network = networks.BY_CAIP2.get(record.chain)
    if network is None:
        raise NotProven(f"vault {record.name} is on {record.chain}, which this release does not know")
    key = VaultKey(group_key=record.group_key, chain_code=record.chain_code)
    return key.derive(branch, index).address(network)


def signed_pb(signed: SignedBody) -> types_pb2.SignedBody:
    """A signed body as it travels."""
    return types_pb2.SignedBody(body=signed.body, signature=signed.signature)


def status_pb(name: str) -> Any:
    """The status of that name, as it travels."""
    return types_pb2.PaymentStatus.Value(f"PAYMENT_STATUS_{name.upper()}")


def same_count(results: Sequence[object], sent: Sequence[object]) -> None:
    """Check that a bulk call answered every item.

    Raises:
        NotProven: it did not; the coordinator is at fault.
    """
    if len(results) != len(sent):
        raise NotProven(f"{len(sent)} items were sent and {len(results)} answered")


def integer_of(text: str) -> int:
    """Read a decimal amount.

    Raises:
        NotProven: it is not one; the coordinator is at fault.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise NotProven(f"an amount must be at most {_MAX_DIGITS} decimal digits, not {text[:_MAX_DIGITS]!r}")
    return int(text)


def milliseconds_of(stamp: Timestamp) -> int:
    """A time of the coordinator's as Unix milliseconds.

    Raises:
        NotProven: it lies outside the years 1 to 9999, so that it is no time at all; the coordinator is at fault.
    """
    try:
        return stamp.ToMilliseconds()
    except ValueError:
        raise NotProven("the coordinator gave a time that no clock shows") from None


def said_of(body: bytes) -> tuple[str, Verb, bytes]:
    """Who says what of which order, out of an endorsement's body."""
    said = codec.decode(Endorsement, body)
    return said.person, said.verb, said.order_hash


def balance_of(pb: types_pb2.Balance) -> Balance:
    """A balance as the coordinator tells it."""
    return Balance(
        vault=pb.vault,
        asset=pb.asset,
        confirmed=integer_of(pb.confirmed),
        pending_in=integer_of(pb.pending_in),
        pending_out=integer_of(pb.pending_out),
        coins=pb.coins,
    )


def view_of(trust: Trust, signed: types_pb2.SignedBody, key: bytes) -> SignerView:
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


def frozen_by(freeze: FreezeRecord) -> str:
    """Who placed a freeze: a person, a signer's operator, or nobody but the restart of the log itself."""
    return freeze.person or (f"signer {freeze.signer}" if freeze.signer else "the restart of the log")
