"""What an entry is about: the hash by which a repeated request finds the entry that answered the first one."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Endorse, Entry, Epoch, OrderEntry, Plan, SignerFreeze, Vault

__all__ = ["decode_entry", "subject_of_epoch", "subject_of_vault", "subjects_in", "subjects_of"]


@lru_cache(maxsize=8_192)
def decode_entry(data: bytes) -> Entry:
    """Decode canonical entry bytes that the ledger took; several readers look at each entry soon after each other."""
    return codec.decode(Entry, data)


def subjects_of(body: Any) -> tuple[bytes, ...]:
    """Hashes (32 bytes) that name this entry body, the main one first; empty for a genesis or tick.

    An order goes by the hash of its bytes, an endorsement or freeze by that of its signed body, a plan by its own.
    """
    match body:
        case OrderEntry():
            endorsed = (hashlib.sha256(item.body).digest() for item in body.endorsements)
            return (hashlib.sha256(body.order).digest(), *endorsed)
        case Endorse():
            return (hashlib.sha256(body.endorsement.body).digest(),)
        case SignerFreeze():
            return (hashlib.sha256(body.statement.body).digest(),)
        case Plan():
            return (hashlib.sha256(codec.encode(body)).digest(),)
        case Vault():
            return (subject_of_vault(body.order_hash),)
        case Epoch():
            return (subject_of_epoch(body.order_hash, body.vault),)
        case _:
            return ()


def subject_of_vault(order_hash: bytes) -> bytes:
    """Hash that names the entry by which the vault of this order was born."""
    return hashlib.sha256(b"vault" + order_hash).digest()


def subject_of_epoch(order_hash: bytes, vault: str) -> bytes:
    """Hash that names the entry by which this order gave the vault new shares."""
    return hashlib.sha256(b"epoch" + order_hash + vault.encode("ascii")).digest()


def subjects_in(first_index: int, entries: tuple[bytes, ...]) -> dict[bytes, int]:
    """Every subject of a batch of canonical entries, with the index of its entry."""
    found: dict[bytes, int] = {}
    for offset, entry in enumerate(entries):
        for subject in subjects_of(decode_entry(entry).body):
            found.setdefault(subject, first_index + offset)
    return found
