"""Reading requests: every field checked, and named when it is wrong."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from strongroom.api.types.v1 import types_pb2
from strongroom.chains.bitcoin.policy import MAX_INDEX
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Endorse, OrderEntry
from strongroom.ledger.order_messages import MAX_ORDER_BYTES, Order, Withdraw
from strongroom.ledger.signed_messages import Endorsement, Signed
from strongroom_coordinator.rpc.errors import InvalidRequest
from strongroom_coordinator.views import Status

__all__ = [
    "Page",
    "address_index",
    "check_bulk",
    "endorse_of",
    "hash_of",
    "order_entry",
    "order_hashes",
    "order_key",
    "page_of",
    "page_token",
    "statuses_of",
    "vault_name",
]

MAX_BODY_BYTES: Final = 4_096
MAX_ENDORSEMENTS: Final = 64
MAX_BULK: Final = 500
MAX_HASHES: Final = 1_000
MAX_PAGE: Final = 1_000
DEFAULT_PAGE: Final = 100
MAX_TOKEN: Final = 64
_NAME: Final = re.compile(r"[a-z0-9-]{1,40}")
_STATUSES: Final[dict[int, Status]] = {
    types_pb2.PAYMENT_STATUS_OPEN: Status.OPEN,
    types_pb2.PAYMENT_STATUS_PAYABLE: Status.PAYABLE,
    types_pb2.PAYMENT_STATUS_PAID: Status.PAID,
    types_pb2.PAYMENT_STATUS_NEVER_WILL_BE_PAID: Status.NEVER_WILL_BE_PAID,
    types_pb2.PAYMENT_STATUS_DONE: Status.DONE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """How many, and where the page begins (None: at the beginning)."""

    size: int
    start: int | None


def order_entry(
    order: bytes, endorsements: Sequence[types_pb2.SignedBody], *, withdrawals_only: bool = False
) -> OrderEntry:
    """An order with its endorsements, as it enters the log. Signatures are judged by the ledger.

    Raises:
        InvalidRequest: a field is malformed.
    """
    if not 1 <= len(order) <= MAX_ORDER_BYTES:
        raise InvalidRequest("order", f"must be 1 to {MAX_ORDER_BYTES} bytes")
    try:
        action = codec.decode(Order, order, max_size=MAX_ORDER_BYTES).action
    except codec.NotCanonical as error:
        raise InvalidRequest("order", f"is not canonical: {error.message}") from error
    if withdrawals_only and not isinstance(action, Withdraw):
        raise InvalidRequest("order", "must be a withdrawal; other orders go through the treasury service")
    if not 1 <= len(endorsements) <= MAX_ENDORSEMENTS:
        raise InvalidRequest("endorsements", f"must be 1 to {MAX_ENDORSEMENTS}, the initiator's among them")
    return OrderEntry(
        order=order,
        endorsements=tuple(_signed(item, f"endorsements[{position}]") for position, item in enumerate(endorsements)),
    )


def endorse_of(endorsement: types_pb2.SignedBody) -> Endorse:
    """One endorsement, as it enters the log.

    Raises:
        InvalidRequest: a field is malformed.
    """
    return Endorse(endorsement=_signed(endorsement, "endorsement"))


def _signed(item: types_pb2.SignedBody, field: str) -> Signed:
    if not 1 <= len(item.body) <= MAX_BODY_BYTES:
        raise InvalidRequest(f"{field}.body", f"must be 1 to {MAX_BODY_BYTES} bytes")
    if len(item.signature) != 64:
        raise InvalidRequest(f"{field}.signature", "must be 64 bytes")
    try:
        codec.decode(Endorsement, item.body)
    except codec.NotCanonical as error:
        raise InvalidRequest(f"{field}.body", f"is no canonical endorsement: {error.message}") from error
    return Signed(body=item.body, signature=item.signature)


def check_bulk(items: Sequence[object], field: str) -> None:
    """Check the number of items of a bulk call.

    Raises:
        InvalidRequest: none, or too many.
    """
    if not 1 <= len(items) <= MAX_BULK:
        raise InvalidRequest(field, f"must be 1 to {MAX_BULK} items")


def hash_of(data: bytes, field: str = "order_hash") -> bytes:
    """A 32-byte hash.

    Raises:
        InvalidRequest: another length.
    """
    if len(data) != 32:
        raise InvalidRequest(field, "must be 32 bytes")
    return data


class NamesOrder(Protocol):
    """A request that names one order, of either service."""

    order_hash: bytes
    order_id: bytes

    def WhichOneof(self, oneof_group: Any) -> str | None:
        """Which of the two fields is set."""


def order_key(request: NamesOrder) -> tuple[bytes | None, bytes | None]:
    """Hash or id of the order that a request names.

    Raises:
        InvalidRequest: neither, or a wrong length.
    """
    which = request.WhichOneof("key")
    if which == "order_hash":
        return hash_of(request.order_hash), None
    if which == "order_id":
        if len(request.order_id) != 16:
            raise InvalidRequest("order_id", "must be 16 bytes")
        return None, request.order_id
    raise InvalidRequest("key", "name the order by order_hash or order_id")


def order_hashes(hashes: Sequence[bytes]) -> frozenset[bytes]:
    """The orders that a watch is limited to; empty for all.

    Raises:
        InvalidRequest: too many, or a wrong length.
    """
    if len(hashes) > MAX_HASHES:
        raise InvalidRequest("order_hashes", f"must be at most {MAX_HASHES}")
    return frozenset(hash_of(item, f"order_hashes[{position}]") for position, item in enumerate(hashes))


def vault_name(name: str, *, optional: bool = False) -> str:
    """A vault's name.

    Raises:
        InvalidRequest: it is none.
    """
    if optional and not name:
        return name
    if _NAME.fullmatch(name) is None:
        raise InvalidRequest("vault", "must be 1 to 40 letters a-z, digits or dashes")
    return name


def chain_and_address(chain: str, address: str) -> tuple[str, str] | None:
    """The entry of the address book that a request names; None when it names none.

    Raises:
        InvalidRequest: only one of the two, or text that no entry holds.
    """
    if not chain and not address:
        return None
    for field, text, most in (("chain", chain, 64), ("address", address, 128)):
        if not 1 <= len(text) <= most or not text.isascii():
            raise InvalidRequest(field, f"must be 1 to {most} letters, together with the other of the two")
    return chain, address


def address_index(index: int) -> int:
    """An address index.

    Raises:
        InvalidRequest: it is out of range.
    """
    if not 0 <= index <= MAX_INDEX:
        raise InvalidRequest("index", f"must be 0 to {MAX_INDEX}")
    return index


def statuses_of(values: Sequence[int]) -> frozenset[Status]:
    """Statuses that a list is limited to; empty for all.

    Raises:
        InvalidRequest: an unknown one.
    """
    unknown = [value for value in values if value not in _STATUSES]
    if unknown:
        raise InvalidRequest("statuses", f"{unknown[0]} is no status")
    return frozenset(_STATUSES[value] for value in values)


def page_of(page: types_pb2.PageRequest, kind: str) -> Page:
    """Read a page request; tokens are those that `page_token` gave for the same kind of list.

    Raises:
        InvalidRequest: the size is out of range, or the token is not ours.
    """
    if page.page_size > MAX_PAGE:
        raise InvalidRequest("page.page_size", f"must be at most {MAX_PAGE}")
    size = page.page_size or DEFAULT_PAGE
    if not page.page_token:
        return Page(size=size, start=None)
    problem = InvalidRequest("page.page_token", "is not one that this list gave")
    if len(page.page_token) > MAX_TOKEN:
        raise problem
    try:
        text = base64.b64decode(page.page_token, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise problem from error
    match = re.fullmatch(rf"{kind}:([0-9]{{1,18}})", text)
    if match is None:
        raise problem
    return Page(size=size, start=int(match[1]))


def page_token(kind: str, start: int | None) -> str:
    """The token of the page that begins at `start`; empty for no further page."""
    return "" if start is None else base64.urlsafe_b64encode(f"{kind}:{start}".encode()).decode()
