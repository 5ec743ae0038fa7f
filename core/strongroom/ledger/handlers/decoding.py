"""Decoding of messages inside an entry: what is not canonical refuses the entry."""

from __future__ import annotations

from typing import TypeVar

from strongroom.ledger import codec
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.messages import Order
from strongroom.ledger.reasons import refused
from strongroom.ledger.state import decode_order

__all__ = ["decode_inner", "decode_new_order"]

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
