"""Reading what an entry carries: what is not canonical, and a charter that shuts itself in, refuses the entry."""

from __future__ import annotations

from typing import TypeVar

from strongroom.ledger import codec
from strongroom.ledger.charter import Charter
from strongroom.ledger.charter_check import first_error
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.order_messages import Order
from strongroom.ledger.reasons import refused
from strongroom.ledger.state import decode_order

__all__ = ["check_structure", "decode_inner", "decode_new_order"]

M = TypeVar("M")


def decode_inner(cls: type[M], data: bytes) -> M:
    """Decode a message that an entry carries as bytes.

    Raises:
        Refused: ENTRY_MALFORMED, whoever made the bytes is at fault.
    """
    try:
        return codec.decode(cls, data)
    except NotCanonical as error:
        raise refused("ENTRY_MALFORMED", error.message, **error.facts) from error


def decode_new_order(data: bytes) -> Order:
    """Decode the order that an entry carries.

    Raises:
        Refused: ENTRY_MALFORMED, whoever made the bytes is at fault.
    """
    try:
        return decode_order(data)
    except NotCanonical as error:
        raise refused("ENTRY_MALFORMED", error.message, **error.facts) from error


def check_structure(charter: Charter) -> None:
    """Refuse a charter that must not come into force although it is canonical.

    Raises:
        Refused: CHARTER_INVALID, whoever made it is at fault.
    """
    finding = first_error(charter)
    if finding is not None:
        raise refused("CHARTER_INVALID", f"{finding.where}: {finding.what}; {finding.do}", where=finding.where)
