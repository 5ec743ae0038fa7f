"""The charter: the organisation's rule book in its canonical form, which is what is signed, hashed and judged.

People write it as TOML (`charter_source`); nothing is ever judged from TOML text. The log id is SHA-256 of the
canonical bytes of the genesis charter, whose random salt keeps two deployments from sharing one.
"""

from __future__ import annotations

import hashlib

from strongroom.ledger import codec
from strongroom.ledger.codec import message
from strongroom.ledger.signed_messages import KeyType
from strongroom.model.ids import LogId

RULE_SET = 1
MAX_CHARTER_BYTES = 40_000
"""So that a whole charter fits an order that amends it, and that order an entry with its endorsements."""


@message
class PersonKey:
    """One public key of a person."""

    type: KeyType = codec.enum(1, KeyType)
    public: bytes = codec.fixed(2, 32)


@message
class Person:
    """Who may endorse. A machine, an integrator's server, may initiate; it approves only under machine rules."""

    name: str = codec.name(1)
    keys: tuple[PersonKey, ...] = codec.repeated(2, PersonKey, minimum=1, maximum=8)
    machine: bool = codec.boolean(3)


@message
class Group:
    """A named set of people."""

    name: str = codec.name(1)
    members: tuple[str, ...] = codec.repeated_name(2, minimum=1, maximum=500)


@message
class CharterSigner:
    """A signer daemon and its public keys."""

    name: str = codec.name(1)
    host_key: bytes = codec.fixed(2, 33)
    """secp256k1, compressed: ChillDKG host key."""
    vote_key: bytes = codec.fixed(3, 32)
    witness_key: bytes = codec.fixed(4, 32)
    """Ed25519: C2SP cosignatures."""


@message
class Asset:
    """A symbol people write, and what it stands for."""

    symbol: str = codec.text(1, max_length=16)
    id: str = codec.text(2, max_length=128)
    """CAIP-19."""
    decimals: int = codec.u64(3)


@message
class AssetAmount:
    """An amount of one asset, in its smallest unit."""

    asset: str = codec.text(1, max_length=128)
    """CAIP-19."""
    amount: int = codec.amount(2)


@message
class Limit:
    """Most that may be planned from the rule's vaults within a sliding window of log time."""

    window_ms: int = codec.u64(1)
    amounts: tuple[AssetAmount, ...] = codec.repeated(2, AssetAmount, minimum=1, maximum=64)


@message
class Quorum:
    """At least `count` different people of one group."""

    group: str = codec.name(1)
    count: int = codec.u64(2)


@message
class AnyDestination:
    """`to = "any"`."""


@message
class Destinations:
    """A literal list of addresses."""

    addresses: tuple[str, ...] = codec.repeated_text(1, max_length=128, minimum=1, maximum=500)


@message
class AddressBook:
    """`to = "address-book"`: entries of the ledger's address book that have cooled off and were not removed."""


@message
class Rule:
    """One rule. An order passes if one rule passes entirely; the first in order is the one shown."""

    name: str = codec.text(1, max_length=80)
    vaults: tuple[str, ...] = codec.repeated_text(2, max_length=40, minimum=1, maximum=64)
    """Globs over vault names: letters, digits, dashes, and `*`."""
    to: AnyDestination | Destinations | AddressBook = codec.oneof({3: AnyDestination, 4: Destinations, 5: AddressBook})
    maximum: tuple[AssetAmount, ...] = codec.repeated(6, AssetAmount, minimum=1, maximum=64)
    """Per order; an asset not listed is not allowed."""
    limits: tuple[Limit, ...] = codec.repeated(7, Limit, minimum=0, maximum=8)
    initiated: tuple[str, ...] = codec.repeated_text(8, max_length=48, minimum=1, maximum=64)
    """`group:<name>` or `person:<name>`."""
    approvals: tuple[Quorum, ...] = codec.repeated(9, Quorum, minimum=0, maximum=16)
    delay_ms: int = codec.u64(10)
    """From the last needed approval."""
    machine: bool = codec.boolean(11)
    """The approvers may be machines."""


@message
class Deny:
    """A prohibition: an order that matches never passes."""

    name: str = codec.text(1, max_length=80)
    vaults: tuple[str, ...] = codec.repeated_text(2, max_length=40, minimum=1, maximum=64)
    to: AnyDestination | Destinations = codec.oneof({3: AnyDestination, 4: Destinations})
    assets: tuple[str, ...] = codec.repeated_text(5, max_length=128, minimum=0, maximum=64)
    """CAIP-19; none listed: all."""


@message
class Fees:
    """What network fees may cost. Amounts in satoshi."""

    per_vbyte: int = codec.u64(1)
    per_plan: int = codec.u64(2)
    window_ms: int = codec.u64(3)
    per_vault: int = codec.u64(4)
    """Sum over one vault's plans within the window."""


@message
class LogQuotas:
    """What may be written per day of log time, in bytes of entries."""

    coordinator_bytes_per_day: int = codec.u64(1)
    person_bytes_per_day: int = codec.u64(2)


@message
class RecoveryAddress:
    """Where break-glass may move the coins of the vaults that a glob names, and nowhere else."""

    vault: str = codec.text(1, max_length=40)
    """A glob over vault names."""
    address: str = codec.text(2, max_length=128)


@message
class BreakGlassRules:
    """Who may move a vault to its recovery address, freeze or not, and for how long."""

    quorum: Quorum = codec.embedded(1, Quorum)
    delay_ms: int = codec.u64(2)
    """From the last needed approval until the box opens."""
    box_ms: int = codec.u64(3)
    """How long it stays open."""
    addresses: tuple[RecoveryAddress, ...] = codec.repeated(4, RecoveryAddress, minimum=1, maximum=100)
    """The first whose glob matches is the vault's recovery address."""


@message
class Charter:
    """The whole rule book."""

    salt: bytes = codec.fixed(1, 32)
    version: int = codec.u64(2)
    rule_set: int = codec.u64(3)
    organisation: str = codec.name(4)
    witness_quorum: int = codec.u64(5)
    people: tuple[Person, ...] = codec.repeated(6, Person, minimum=1, maximum=500)
    groups: tuple[Group, ...] = codec.repeated(7, Group, minimum=1, maximum=100)
    signers: tuple[CharterSigner, ...] = codec.repeated(8, CharterSigner, minimum=1, maximum=100)
    assets: tuple[Asset, ...] = codec.repeated(9, Asset, minimum=1, maximum=64)
    rules: tuple[Rule, ...] = codec.repeated(10, Rule, minimum=1, maximum=200)
    denies: tuple[Deny, ...] = codec.repeated(11, Deny, minimum=0, maximum=200)
    admin: Quorum = codec.embedded(12, Quorum)
    vault_creation: Quorum = codec.embedded(13, Quorum)
    unfreeze: Quorum = codec.embedded(14, Quorum)
    officers: str = codec.name(15)
    """Group of which any one may freeze."""
    freeze_lapse_ms: int = codec.u64(16)
    """A freeze by one lapses after this much log time unless the unfreeze quorum confirms it."""
    loosening_delay_ms: int = codec.u64(17)
    fees: Fees = codec.embedded(18, Fees)
    log: LogQuotas = codec.embedded(19, LogQuotas)
    unfreeze_delay_ms: int = codec.u64(20)
    """From the last needed approval of an unfreeze until the freeze is lifted."""
    destinations: Quorum | None = codec.optional(21, Quorum)
    """Who adds to the address book; absent: nobody. Any one of the group removes."""
    destination_cooling_ms: int = codec.u64(22)
    """From the last needed approval until an entry of the address book may be paid."""
    break_glass: BreakGlassRules | None = codec.optional(23, BreakGlassRules)
    """Absent: nobody may break the glass."""


def encode_charter(charter: Charter) -> bytes:
    """Canonical bytes of a charter, at most 40,000."""
    return codec.encode(charter)


def decode_charter(data: bytes) -> Charter:
    """Decode canonical charter bytes.

    Raises:
        NotCanonical: the bytes are not a canonical charter; names the field.
    """
    return codec.decode(Charter, data, max_size=MAX_CHARTER_BYTES)


def log_id_of(charter_bytes: bytes) -> LogId:
    """Log id: SHA-256 of the canonical genesis charter (32 bytes)."""
    return LogId(hashlib.sha256(charter_bytes).digest())
