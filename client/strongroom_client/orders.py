"""Making orders and endorsements: the exact bytes people sign."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from strongroom.ledger import codec
from strongroom.ledger.order_messages import (
    AddDestination,
    AmendCharter,
    BreakGlass,
    CancelWithdraw,
    CreateVault,
    Freeze,
    Order,
    RefreshShares,
    ReinstateSigner,
    RemoveDestination,
    ReshareVault,
    SweepVault,
    Unfreeze,
    Withdraw,
)
from strongroom.ledger.signed_messages import Endorsement, Verb
from strongroom.model.ids import LogId, OrderHash

__all__ = ["ENDORSEMENT_LIFE_MS", "Action", "DraftedOrder", "Seen", "draft", "endorsement", "fingerprint", "order_hash"]

Action = (
    Withdraw
    | CancelWithdraw
    | CreateVault
    | RefreshShares
    | ReshareVault
    | Freeze
    | Unfreeze
    | ReinstateSigner
    | AmendCharter
    | AddDestination
    | RemoveDestination
    | BreakGlass
    | SweepVault
)

ENDORSEMENT_LIFE_MS: Final = 6 * 24 * 3_600_000
"""Six days: inside the seven that the ledger allows, with room for clocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The newest final head its author saw: size (at least 1) and root (32 bytes)."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftedOrder:
    """An order before it is endorsed: its exact bytes and their SHA-256."""

    order: Order
    data: bytes
    hash: OrderHash


def order_hash(data: bytes) -> OrderHash:
    """SHA-256 of order bytes (32 bytes)."""
    return OrderHash(hashlib.sha256(data).digest())


def draft(
    action: Action,
    *,
    log_id: LogId,
    expires_ms: int,
    random: Callable[[int], bytes],
    note: str = "",
    order_id: bytes | None = None,
) -> DraftedOrder:
    """Make the exact bytes of an order.

    Args:
        action: What to do.
        log_id: 32 bytes.
        expires_ms: Unix milliseconds after which it can no longer be planned for the first time.
        random: Gives random bytes.
        note: At most 200 bytes, for the people who read it.
        order_id: 16 bytes for idempotency; random when absent.

    Raises:
        NotCanonical: a field breaks its bounds; names it.
    """
    order = Order(log_id=log_id, id=order_id or random(16), expires_ms=expires_ms, note=note, action=action)
    data = codec.encode(order)
    return DraftedOrder(order=order, data=data, hash=order_hash(data))


def endorsement(
    verb: Verb,
    order: OrderHash,
    *,
    log_id: LogId,
    seen: Seen,
    now_ms: int,
    person: str,
    key: bytes,
) -> Endorsement:
    """The body to sign for one verb on one order."""
    return Endorsement(
        log_id=log_id,
        verb=verb,
        order_hash=order,
        head_size=seen.size,
        head_root=seen.root,
        expires_ms=now_ms + ENDORSEMENT_LIFE_MS,
        person=person,
        key=key,
    )


def fingerprint(data: bytes) -> str:
    """Twenty hexadecimal digits in fours, to compare by voice: the first 10 bytes of a SHA-256.

    To find other bytes with a given fingerprint takes about 2^80 work.
    """
    text = data[:10].hex()
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))
