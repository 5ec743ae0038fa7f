"""The records of the replayed state, whose canonical bytes the state digest covers.

Tables in digest order: charter, freezes, vaults, orders, plans, quotas, witnesses, destinations. Records of a table
have dense sequence numbers in the order of their creation.
"""

from __future__ import annotations

from enum import IntEnum

from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, StateSummary, WitnessSet
from strongroom.ledger.codec import message
from strongroom.ledger.order_messages import MAX_ORDER_BYTES, CustodyClass, Scheme, Scope
from strongroom.ledger.signed_messages import Verb

TABLES: tuple[bytes, ...] = (
    b"charter",
    b"freezes",
    b"vaults",
    b"orders",
    b"plans",
    b"quotas",
    b"witnesses",
    b"destinations",
)


@message
class CharterRecord:
    """The charter in force."""

    log_id: bytes = codec.fixed(1, 32)
    charter: bytes = codec.data(2, max_length=40_000)
    since_ms: int = codec.u64(3)


@message
class FreezeRecord:
    """One freeze, past or present."""

    id: bytes = codec.fixed(1, 32)
    """Hash of the freeze order's bytes, or of the signer's statement body."""
    scope: Scope = codec.enum(2, Scope)
    vault: str = codec.name(3, optional=True)
    person: str = codec.name(4, optional=True)
    signer: str = codec.name(5, optional=True)
    since_ms: int = codec.u64(6)
    lapses_ms: int = codec.u64(7)
    """Log time at which a freeze by one lapses; 0 once the unfreeze quorum has confirmed it by approving it, and of
    the freeze that comes with a restart of the log, which is by nobody and has the new log id as its id."""
    lifted: bool = codec.boolean(8)
    why: str = codec.text(9, max_length=200)


@message
class VaultRecord:
    """A vault and its current key epoch."""

    name: str = codec.name(1)
    order_hash: bytes = codec.fixed(2, 32)
    custody_class: CustodyClass = codec.enum(3, CustodyClass)
    chain: str = codec.text(4, max_length=64)
    scheme: Scheme = codec.enum(5, Scheme)
    signers: tuple[str, ...] = codec.repeated_name(6, minimum=1, maximum=100)
    threshold: int = codec.u64(7)
    group_key: bytes = codec.fixed(8, 33)
    chain_code: bytes = codec.fixed(9, 32)
    public_shares: tuple[bytes, ...] = codec.repeated_fixed(10, 33, minimum=1, maximum=100)
    epoch: int = codec.u64(11)
    recovery_hash: bytes = codec.fixed(12, 32)
    highest_change: int = codec.u64(13)
    """One more than the highest branch 1 index of any accepted plan; 0 before the first."""
    born_ms: int = codec.u64(14)
    host_keys: tuple[bytes, ...] = codec.repeated_fixed(15, 33, minimum=1, maximum=100)
    """Of the holders, in participant order, as they were when the epoch began."""
    key_hash: bytes = codec.fixed(16, 32)
    """SHA-256 of the epoch's canonical KeyMaterial."""
    epoch_order: bytes = codec.fixed(17, 32)
    """Hash of the order that the epoch came of."""
    epoch_ms: int = codec.u64(18)
    """Log time at which the epoch began."""
    changing: bytes = codec.fixed(19, 32, optional=True)
    """Hash of the last order for new shares that was approved and has not acted on this vault; it may have ended."""


class OrderState(IntEnum):
    """Where an order stands in the ledger."""

    OPEN = 1
    """Accepted; waits for approvals, a delay, or a plan."""
    PLANNED = 2
    """Has at least one plan: payable until excluded, without expiry."""
    REJECTED = 3
    """An approver said no: never planned again."""
    CANCELLED = 4
    """Cancelled before it had a plan: never will be paid."""
    EXCLUDING = 5
    """Cancelled after it had a plan: no further plan or bump; payable until the cancellation's plan confirms."""
    DONE = 6
    """An order that acts in the ledger itself (vault made, freeze, unfreeze) has acted."""
    SCHEDULED = 7
    """Approved; acts by itself at the first entry at or after `due_ms`, or waits for what it began to be finished."""
    LAPSED = 8
    """Approved, but it could no longer act when its time came; or the log was founded anew before it had a plan."""


@message
class EndorsementRecord:
    """One accepted endorsement of an order."""

    verb: Verb = codec.enum(1, Verb)
    person: str = codec.name(2)
    key: bytes = codec.fixed(3, 32)
    expires_ms: int = codec.u64(4)
    time_ms: int = codec.u64(5)
    """Log time at which it was accepted."""


@message
class OrderRecord:
    """One order with everything said and done about it."""

    hash: bytes = codec.fixed(1, 32)
    order: bytes = codec.data(2, max_length=MAX_ORDER_BYTES)
    accepted_ms: int = codec.u64(3)
    state: OrderState = codec.enum(4, OrderState)
    endorsements: tuple[EndorsementRecord, ...] = codec.repeated(5, EndorsementRecord, minimum=1, maximum=128)
    plans: tuple[bytes, ...] = codec.repeated_fixed(6, 32, minimum=0, maximum=64)
    """Plan hashes, in order of acceptance."""
    cancelled_by: bytes = codec.fixed(7, 32, optional=True)
    """Hash of the cancellation's order."""
    planned_ms: int = codec.u64(8)
    """Log time of the first plan; windows count the order there, once."""
    ended_ms: int = codec.u64(9)
    due_ms: int = codec.u64(10)
    """Log time from which a scheduled order acts; 0 when it waits for something else than time."""
    approved_ms: int = codec.u64(11)
    """Log time at which an order for new shares had its quorum and took its vaults; 0 before, and of other kinds."""
    opens_ms: int = codec.u64(12)
    """Log time from which an order to break the glass moves coins, fixed when its quorum was complete; else 0."""
    closes_ms: int = codec.u64(13)
    """Log time at which its box closes for ever."""


@message
class OutpointRecord:
    """A coin by its outpoint."""

    txid: bytes = codec.fixed(1, 32)
    vout: int = codec.u64(2)


@message
class PlanRecord:
    """One accepted plan: what the conflict rule and the fee window need of it."""

    hash: bytes = codec.fixed(1, 32)
    txid: bytes = codec.fixed(2, 32)
    vault: str = codec.name(3)
    vault_epoch: int = codec.u64(4)
    entry_index: int = codec.u64(5)
    time_ms: int = codec.u64(6)
    order_hashes: tuple[bytes, ...] = codec.repeated_fixed(7, 32, minimum=1, maximum=1_000)
    outpoints: tuple[OutpointRecord, ...] = codec.repeated(8, OutpointRecord, minimum=1, maximum=1_700)
    fee_sat: int = codec.u64(9)
    fee_shares_sat: tuple[int, ...] = codec.repeated_u64(10, minimum=1, maximum=1_000)
    """What each order of the plan bears of the fee, in plan order."""
    bumps: bytes = codec.fixed(11, 32, optional=True)
    is_cancel: bool = codec.boolean(12)


@message
class QuotaRecord:
    """Bytes one author wrote on the last day on which it wrote; one record for each author keeps the table small."""

    author: str = codec.name(1, optional=True)
    """A person; absent for the coordinator. Signers write freezes only, which count against no quota."""
    day: int = codec.u64(2)
    """Days of log time since the Unix epoch."""
    used_bytes: int = codec.u64(3)


class WitnessPhase(IntEnum):
    """How far a change of the witness set is."""

    STEADY = 1
    """No change is under way: heads need a quorum of the current set."""
    WANTED = 2
    """Another set was ordered and may vote; heads need a quorum of the current set still. It can lapse."""
    JOINT = 3
    """Heads need a quorum of each of the two sets. It ends when this is final, and never lapses."""


@message
class WitnessRecord:
    """Whose votes count, and whose are to count next. The table has this one record."""

    number: int = codec.u64(1)
    """Of the current set: 1 for that which the log is founded on, one more with every change."""
    phase: WitnessPhase = codec.enum(2, WitnessPhase)
    since_size: int = codec.u64(3)
    """Size of the log with the entry that began the phase."""
    current: WitnessSet = codec.embedded(4, WitnessSet)
    next: WitnessSet | None = codec.optional(5, WitnessSet)
    """Absent in STEADY."""
    amendment: bytes = codec.fixed(6, 32, optional=True)
    """Hash of the order whose charter has the next set; absent in STEADY."""
    lapses_ms: int = codec.u64(7)
    """Log time at which WANTED is given up; 0 in STEADY."""


@message
class ElectorateStep:
    """Proof for those without the entries that one witness set takes over from another; never logged as such."""

    certificate: Certificate = codec.embedded(1, Certificate)
    """By quorums of both sets; takes effect for the next one alone when its votes make the record's phase final."""
    record: WitnessRecord = codec.embedded(2, WitnessRecord)
    """With both sets, as it stands in the certified state."""
    summary: StateSummary = codec.embedded(3, StateSummary)


@message
class DestinationRecord:
    """One entry of the address book, standing or removed; added again after its removal, it has another record."""

    order_hash: bytes = codec.fixed(1, 32)
    """The order that added it."""
    chain: str = codec.text(2, max_length=64)
    address: str = codec.text(3, max_length=128)
    label: str = codec.text(4, max_length=80)
    added_ms: int = codec.u64(5)
    usable_ms: int = codec.u64(6)
    """Log time from which it may be paid: the end of its cooling-off."""
    is_proven: bool = codec.boolean(7)
    """Its owner signed for it."""
    removed_ms: int = codec.u64(8)
    """0 while it stands."""
    removed_by: str = codec.name(9, optional=True)
