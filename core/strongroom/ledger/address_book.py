"""The address book: what its entries are called, and what an address's owner signs to show that it is theirs."""

from __future__ import annotations

from strongroom.chains.bitcoin.message_signature import verify_simple
from strongroom.chains.bitcoin.networks import BY_CAIP2
from strongroom.ledger.judgement import Listing
from strongroom.ledger.order_messages import AddDestination
from strongroom.ledger.plans import payee_script
from strongroom.ledger.records import DestinationRecord
from strongroom.model.ids import LogId

__all__ = ["listing_of", "ownership_message", "proof_holds"]


def ownership_message(log_id: LogId, address: str) -> bytes:
    """Return the text that an address's owner signs; it names the log, so that one proof serves one organisation."""
    return f"strongroom address book of {log_id.hex()}: {address}".encode("ascii")


def proof_holds(log_id: LogId, action: AddDestination) -> bool:
    """Whether the order's proof is a BIP-322 simple signature by the owner of its address; the chain must be known.

    Raises:
        Refused: DESTINATION_INVALID, it is no canonical address of the chain.
    """
    script = payee_script(action.address, BY_CAIP2[action.chain])
    return verify_simple(script, ownership_message(log_id, action.address), action.proof)


def listing_of(record: DestinationRecord | None) -> Listing | None:
    """Return what the rules need of an entry."""
    return None if record is None else Listing(usable_ms=record.usable_ms, is_removed=record.removed_ms > 0)
