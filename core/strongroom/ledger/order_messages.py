"""Orders: what people ask for, signed as exact bytes."""

from __future__ import annotations

from enum import IntEnum

from strongroom.ledger import codec
from strongroom.ledger.codec import message

__all__ = [
    "MAX_HOLDERS",
    "MAX_ORDER_BYTES",
    "MAX_ORDER_LIFE_MS",
    "MAX_OWNERSHIP_PROOF",
    "MAX_PLANS_PER_ORDER",
    "AddDestination",
    "AmendCharter",
    "BreakGlass",
    "CancelWithdraw",
    "CreateVault",
    "CustodyClass",
    "Freeze",
    "Order",
    "RefreshShares",
    "ReinstateSigner",
    "RemoveDestination",
    "ReshareVault",
    "Scheme",
    "Scope",
    "SweepVault",
    "Unfreeze",
    "Withdraw",
]

MAX_ORDER_BYTES = 45_000
MAX_ORDER_LIFE_MS = 30 * 24 * 60 * 60 * 1000
MAX_PLANS_PER_ORDER = 64
MAX_OWNERSHIP_PROOF = 256
MAX_HOLDERS = 100


class CustodyClass(IntEnum):
    """Whose coins a vault holds; fixed at its birth."""

    CUSTOMER = 1
    TREASURY = 2
    FEES = 3
    INSURANCE = 4


class Scheme(IntEnum):
    """Threshold signature schemes."""

    FROST_SECP256K1_BIP340 = 1


class Scope(IntEnum):
    """What a freeze stops."""

    ALL = 1
    VAULT = 2


@message
class Withdraw:
    """Pay one destination from one vault."""

    vault: str = codec.name(1)
    asset: str = codec.text(2, max_length=128)
    """CAIP-19 asset id."""
    amount: int = codec.amount(3)
    destination: str = codec.text(4, max_length=128)
    """Canonical address text of the asset's chain: encode(decode(a)) == a."""
    max_fee: int = codec.amount(5)
    """Most of the network fee that may fall to this order, in the chain's fee unit (satoshi)."""
    # Field 6 is kept for `replaces`: the hash of an order whose plans this one must exclude.


@message
class CancelWithdraw:
    """End a withdrawal: at once when it has no plan yet, else by a plan that excludes every plan of it."""

    order_hash: bytes = codec.fixed(1, 32)
    max_fee: int = codec.amount(2)


@message
class CreateVault:
    """Generate a new group key, t of the named signers."""

    name: str = codec.name(1)
    custody_class: CustodyClass = codec.enum(2, CustodyClass)
    chain: str = codec.text(3, max_length=64)
    """CAIP-2 chain id."""
    scheme: Scheme = codec.enum(4, Scheme)
    signers: tuple[str, ...] = codec.repeated_name(5, minimum=1, maximum=100)
    """In participant order: the position is the BIP-445 identifier."""
    threshold: int = codec.u64(6)


@message
class Freeze:
    """Stop plans and releases, of one vault or of all. Any one officer may."""

    scope: Scope = codec.enum(1, Scope)
    vault: str = codec.name(2, optional=True)
    """Named exactly when the scope is VAULT."""
    why: str = codec.text(3, max_length=200)


@message
class Unfreeze:
    """Lift one freeze; the charter's unfreeze quorum."""

    freeze: bytes = codec.fixed(1, 32)
    """Id of the freeze: hash of the freeze order, or of the signer's freeze statement body."""


@message
class ReinstateSigner:
    """Tell coordinators to ask a signer for shares again that evidence convicts; the charter's unfreeze quorum.

    It changes no rule: nothing in the ledger knows who is left out of signing sets.
    """

    signer: str = codec.name(1)
    evidence_hash: bytes = codec.fixed(2, 32)
    """Name of the evidence that is settled by this."""


@message
class AmendCharter:
    """Put the next version of the charter in force; the admin quorum of the charter in force.

    What loosens waits out the charter's loosening delay, what only tightens acts at once.
    """

    charter: bytes = codec.data(1, max_length=40_000)
    """Canonical bytes of the whole new charter; its version is one above the one in force."""
    handover_expires_ms: int = codec.u64(2)
    """Log time at which a change of the witness set lapses; 0 when the set stays."""


@message
class RefreshShares:
    """Give the holders of vaults new shares of the same keys; the charter's admin quorum. Old shares are worth nothing.

    A holder whose host key the charter has changed gets its new share under the new one.
    """

    vaults: tuple[str, ...] = codec.repeated_name(1, minimum=1, maximum=100)
    absent: tuple[str, ...] = codec.repeated_name(2, minimum=0, maximum=MAX_HOLDERS)
    """Holders that neither deal nor are waited for; each recovers its share later, or gets one in a later refresh."""


@message
class ReshareVault:
    """Give a vault's key to these holders, with this threshold; the charter's admin quorum.

    One that adds a holder, lowers the threshold, or lets fewer holders be lost than before waits out the loosening
    delay, and each old holder deals only when its own operator has accepted the order.
    """

    vault: str = codec.name(1)
    signers: tuple[str, ...] = codec.repeated_name(2, minimum=1, maximum=MAX_HOLDERS)
    """In participant order: the position is the BIP-445 identifier."""
    threshold: int = codec.u64(3)
    absent: tuple[str, ...] = codec.repeated_name(4, minimum=0, maximum=MAX_HOLDERS)
    """Holders, old or new, that neither deal nor are waited for."""


@message
class AddDestination:
    """Add an address to the address book; the charter's quorum for destinations, then the cooling-off."""

    chain: str = codec.text(1, max_length=64)
    """CAIP-2 chain id."""
    address: str = codec.text(2, max_length=128)
    """Canonical address text of that chain."""
    label: str = codec.text(3, max_length=80)
    """What people call it."""
    proof: bytes = codec.data(4, max_length=MAX_OWNERSHIP_PROOF, optional=True)
    """BIP-322 simple signature by the address's owner over `address_book.ownership_message`: the witness stack."""


@message
class RemoveDestination:
    """Take an address out of the address book, at once. Any one who may add, and any one officer, may."""

    chain: str = codec.text(1, max_length=64)
    address: str = codec.text(2, max_length=128)
    why: str = codec.text(3, max_length=200)


@message
class BreakGlass:
    """Move a whole vault to the recovery address that the charter registers for it, whatever freeze is in force."""

    vault: str = codec.name(1)
    destination: str = codec.text(2, max_length=128)
    """The recovery address, so that people sign where the coins go; void once the charter registers another."""
    max_fee: int = codec.amount(3)
    """Most of network fees for each transaction, in satoshi."""


@message
class SweepVault:
    """Move a whole vault to one address with the recovery kit, when nothing runs any more; the charter's admin quorum.

    Never logged, because there is no log then that takes it: each holder judges it by the last log there is.
    """

    vault: str = codec.name(1)
    destination: str = codec.text(2, max_length=128)
    """Canonical address text of the vault's chain."""
    max_fee: int = codec.amount(3)
    """Most of network fees for each transaction, in satoshi."""


@message
class Order:
    """The exact bytes people sign (through their hash)."""

    log_id: bytes = codec.fixed(1, 32)
    id: bytes = codec.fixed(2, 16)
    """Random; for people and idempotency. Same id and same bytes: the same order. Other bytes: refused."""
    expires_ms: int = codec.u64(3)
    note: str = codec.text(4, max_length=200, optional=True)
    action: (
        Withdraw
        | CancelWithdraw
        | CreateVault
        | Freeze
        | Unfreeze
        | ReinstateSigner
        | AmendCharter
        | RefreshShares
        | ReshareVault
        | AddDestination
        | RemoveDestination
        | BreakGlass
        | SweepVault
    ) = codec.oneof(
        {
            10: Withdraw,
            11: CancelWithdraw,
            12: CreateVault,
            13: Freeze,
            14: Unfreeze,
            15: ReinstateSigner,
            16: AmendCharter,
            17: RefreshShares,
            18: ReshareVault,
            19: AddDestination,
            20: RemoveDestination,
            21: BreakGlass,
            22: SweepVault,
        }
    )
