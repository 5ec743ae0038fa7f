"""Every message of the ledger as it is signed, logged and hashed.

Canonical bytes, documented for other languages in proto/strongroom/ledger/v1. Whoever signs, signs the encoded body
under DSSE pre-authentication encoding (`pae.pae(kind, body)`), and the first field of every signed body is the 32-byte
log id. Amounts are positive integers in the asset's smallest unit, times are unsigned Unix milliseconds, hashes are
SHA-256.
"""

from __future__ import annotations

from enum import IntEnum

from strongroom.ledger import codec
from strongroom.ledger.codec import message

MAX_ENTRY_BYTES = 65_535
MAX_ORDER_BYTES = 45_000
MAX_ORDER_LIFE_MS = 30 * 24 * 60 * 60 * 1000
MAX_BATCH_ENTRIES = 4_096
MAX_BATCH_BYTES = 8 * 1024 * 1024
MAX_PLANS_PER_ORDER = 64
MAX_ORDERS_PER_PLAN = 1_000
MAX_INPUTS_PER_PLAN = 1_700
MAX_OWNERSHIP_PROOF = 256
MAX_HOLDERS = 100
MAX_RECOVERY_BYTES = 40_000
"""Of the recovery data of one epoch of a vault, which lies beside the log."""
MAX_RESTART_APPROVALS = 64
MAX_CERTIFICATE_VOTES = 200
"""Two witness sets of 100 signers each, when the one takes over from the other."""


class Verb(IntEnum):
    """What a person says of an order."""

    INITIATE = 1
    APPROVE = 2
    REJECT = 3


class KeyType(IntEnum):
    """Kinds of person keys. Numbers 2 and up are kept for P-256 (WebAuthn, PIV)."""

    ED25519 = 1


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


# --- orders: what people ask for, signed as exact bytes ---


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


# --- what people and signers sign ---


@message
class Adopt:
    """Kind `adopt`: an administrator adopts the genesis charter, whose hash is the log id."""

    log_id: bytes = codec.fixed(1, 32)
    person: str = codec.name(2)
    key: bytes = codec.fixed(3, 32)


@message
class RestartApproval:
    """Kind `restart`: an administrator founds the log anew as a statement says."""

    log_id: bytes = codec.fixed(1, 32)
    """In force before."""
    statement_hash: bytes = codec.fixed(2, 32)
    """SHA-256 of the canonical RestartStatement."""
    person: str = codec.name(3)
    key: bytes = codec.fixed(4, 32)


@message
class Endorsement:
    """Kind `endorsement`: a person initiates, approves or rejects one order."""

    log_id: bytes = codec.fixed(1, 32)
    verb: Verb = codec.enum(2, Verb)
    order_hash: bytes = codec.fixed(3, 32)
    head_size: int = codec.u64(4)
    """Newest final head its author saw: size (at least 1) and Merkle root of the log at that size."""
    head_root: bytes = codec.fixed(5, 32)
    expires_ms: int = codec.u64(6)
    """At most 7 days after the log time at which it is accepted."""
    person: str = codec.name(7)
    key: bytes = codec.fixed(8, 32)


@message
class Signed:
    """One signed body. The kind and the author are known from the place it stands in and from the body itself."""

    body: bytes = codec.data(1, max_length=4_096)
    signature: bytes = codec.fixed(2, 64)


@message
class Vote:
    """Kind `vote`: this head follows, in this term, from what its author holds. The signer is named beside it."""

    log_id: bytes = codec.fixed(1, 32)
    term: int = codec.u64(2)
    size: int = codec.u64(3)
    root: bytes = codec.fixed(4, 32)
    state_digest: bytes = codec.fixed(5, 32)
    held_term: int = codec.u64(6)
    """Highest certificate its author holds: term, size and head hash; 0, 0 and absent when there is none."""
    held_size: int = codec.u64(7)
    held_head: bytes = codec.fixed(8, 32, optional=True)


@message
class NewTerm:
    """Kind `newterm`: its author will never again vote, or accept a certificate, in a term below this one."""

    log_id: bytes = codec.fixed(1, 32)
    term: int = codec.u64(2)
    leader: bytes = codec.fixed(3, 16)
    """Random, one per coordinator process."""
    boot_id: bytes = codec.fixed(4, 16)
    held_term: int = codec.u64(5)
    held_size: int = codec.u64(6)
    held_head: bytes = codec.fixed(7, 32, optional=True)
    signer: str = codec.name(8)


@message
class Commitments:
    """Kind `commitments`: nonce commitments of one holder for one plan, one per input (66 bytes each, BIP-445)."""

    log_id: bytes = codec.fixed(1, 32)
    term: int = codec.u64(2)
    entry_index: int = codec.u64(3)
    plan_hash: bytes = codec.fixed(4, 32)
    vault_epoch: int = codec.u64(5)
    boot_id: bytes = codec.fixed(6, 16)
    session: bytes = codec.fixed(7, 16)
    """Random, chosen by the signer: names this set of nonces."""
    nonces: tuple[bytes, ...] = codec.repeated_fixed(8, 66, minimum=1, maximum=MAX_INPUTS_PER_PLAN)
    signer: str = codec.name(9)


@message
class Shares:
    """Kind `shares`: signature shares of one holder for one plan, one per input (32 bytes each), over their context."""

    log_id: bytes = codec.fixed(1, 32)
    term: int = codec.u64(2)
    certified_size: int = codec.u64(3)
    entry_index: int = codec.u64(4)
    plan_hash: bytes = codec.fixed(5, 32)
    vault_epoch: int = codec.u64(6)
    signers: tuple[str, ...] = codec.repeated_name(7, minimum=1, maximum=100)
    """The signer set, in participant order."""
    commitments_hash: bytes = codec.fixed(8, 32)
    """SHA-256 over the commitment bodies of the set, in the same order, each with an 8-byte length before it."""
    shares: tuple[bytes, ...] = codec.repeated_fixed(9, 32, minimum=1, maximum=MAX_INPUTS_PER_PLAN)
    signer: str = codec.name(10)


@message
class KeyMaterial:
    """The public side of a vault's key in one epoch. The public shares follow from the commitments."""

    threshold: int = codec.u64(1)
    commitments: tuple[bytes, ...] = codec.repeated_fixed(2, 33, minimum=1, maximum=MAX_HOLDERS)
    """To the coefficients of the group polynomial in effect, as many as the threshold; the first is the group key."""
    host_keys: tuple[bytes, ...] = codec.repeated_fixed(3, 33, minimum=1, maximum=MAX_HOLDERS)
    """Of the holders, in participant order: the keys with which the recovery data gives their shares back."""
    chain_code: bytes = codec.fixed(4, 32)


@message
class VaultStatement:
    """Kind `vault`: its author holds a share of the key that was generated for this order, and can recover it."""

    log_id: bytes = codec.fixed(1, 32)
    order_hash: bytes = codec.fixed(2, 32)
    recovery_hash: bytes = codec.fixed(3, 32)
    """SHA-256 of the recovery data, as it lies beside the log."""
    key_hash: bytes = codec.fixed(4, 32)
    """SHA-256 of the canonical KeyMaterial."""
    signer: str = codec.name(5)


@message
class Dealing:
    """Kind `dealing`: one old holder shares its share among the new holders of an epoch; relayed, never logged."""

    log_id: bytes = codec.fixed(1, 32)
    order_hash: bytes = codec.fixed(2, 32)
    vault: str = codec.name(3)
    attempt: int = codec.u64(4)
    epoch: int = codec.u64(5)
    """The epoch that is to begin."""
    terms_hash: bytes = codec.fixed(6, 32)
    """Tagged hash of a DealingTerms: what is handed on, from which key, to whom."""
    commitments: tuple[bytes, ...] = codec.repeated_fixed(7, 33, minimum=0, maximum=99)
    """To all coefficients but the constant one, which is the dealer's public share."""
    pubnonce: bytes = codec.fixed(8, 33)
    encrypted_shares: tuple[bytes, ...] = codec.repeated_fixed(9, 32, minimum=1, maximum=100)
    """One for each new holder, in participant order."""
    signer: str = codec.name(10)


@message
class EpochStatement:
    """Kind `epoch`: its author holds a share of this vault's key in this epoch, and can recover it from this data."""

    log_id: bytes = codec.fixed(1, 32)
    order_hash: bytes = codec.fixed(2, 32)
    vault: str = codec.name(3)
    epoch: int = codec.u64(4)
    recovery_hash: bytes = codec.fixed(5, 32)
    """SHA-256 of the recovery data, as it lies beside the log."""
    key_hash: bytes = codec.fixed(6, 32)
    """SHA-256 of the canonical KeyMaterial."""
    signer: str = codec.name(7)


@message
class DealingTerms:
    """What a dealing is for; only its hash travels, since every party has all of it in its own log and charter."""

    log_id: bytes = codec.fixed(1, 32)
    order_hash: bytes = codec.fixed(2, 32)
    vault: str = codec.name(3)
    attempt: int = codec.u64(4)
    epoch: int = codec.u64(5)
    key_hash: bytes = codec.fixed(6, 32)
    """SHA-256 of the canonical KeyMaterial of the epoch before."""
    holders: tuple[str, ...] = codec.repeated_name(7, minimum=1, maximum=100)
    """Of the epoch before, in participant order."""
    threshold: int = codec.u64(8)
    """Of the epoch that is to begin, like the rest."""
    signers: tuple[str, ...] = codec.repeated_name(9, minimum=1, maximum=100)
    host_keys: tuple[bytes, ...] = codec.repeated_fixed(10, 33, minimum=1, maximum=100)


@message
class FreezeStatement:
    """Kind `freeze`: an operator's freeze, by the vote key of the operator's signer."""

    log_id: bytes = codec.fixed(1, 32)
    signer: str = codec.name(2)
    id: bytes = codec.fixed(3, 16)
    scope: Scope = codec.enum(4, Scope)
    vault: str = codec.name(5, optional=True)
    why: str = codec.text(6, max_length=200)


@message
class ReinstateStatement:
    """Kind `reinstate`: an operator says that what the evidence shows of its signer is mended; never logged."""

    log_id: bytes = codec.fixed(1, 32)
    signer: str = codec.name(2)
    evidence_hash: bytes = codec.fixed(3, 32)


@message
class Refusal:
    """Kind `refusal`: a signer says why it did not vote for a batch, or gave no commitment or share for a plan."""

    log_id: bytes = codec.fixed(1, 32)
    term: int = codec.u64(2)
    entry_index: int = codec.u64(3)
    subject: bytes = codec.fixed(4, 32)
    """SHA-256 of the refused entry's bytes, or the plan hash."""
    reason: str = codec.text(5, max_length=64)
    detail: str = codec.text(6, max_length=400, optional=True)
    signer: str = codec.name(7)


class Verdict(IntEnum):
    """How one signer sees an order now."""

    WOULD_SIGN = 1
    WAITING = 2
    WOULD_REFUSE = 3
    UNKNOWN_ORDER = 4


@message
class View:
    """Kind `view`: one signer's own judgement of one order at one head; relayed to who asks, never logged."""

    log_id: bytes = codec.fixed(1, 32)
    order_hash: bytes = codec.fixed(2, 32)
    head_size: int = codec.u64(3)
    head_root: bytes = codec.fixed(4, 32, optional=True)
    verdict: Verdict = codec.enum(5, Verdict)
    reasons: tuple[str, ...] = codec.repeated_text(6, max_length=200, minimum=0, maximum=20)
    signer: str = codec.name(7)
    time_ms: int = codec.u64(8)


# --- certificates ---


@message
class Head:
    """What a certificate certifies. Its hash is `head_hash`."""

    log_id: bytes = codec.fixed(1, 32)
    term: int = codec.u64(2)
    size: int = codec.u64(3)
    root: bytes = codec.fixed(4, 32)
    state_digest: bytes = codec.fixed(5, 32)


@message
class CertificateVote:
    """One signer's vote in a certificate; the rest of the VOTE body is the certificate's head."""

    signer: str = codec.name(1)
    held_term: int = codec.u64(2)
    held_size: int = codec.u64(3)
    held_head: bytes = codec.fixed(4, 32, optional=True)
    signature: bytes = codec.fixed(5, 64)


@message
class Certificate:
    """Votes for one head, signers in ascending order of name: of w signers, or of both quorums during a handover."""

    head: Head = codec.embedded(1, Head)
    votes: tuple[CertificateVote, ...] = codec.repeated(2, CertificateVote, minimum=1, maximum=MAX_CERTIFICATE_VOTES)


# --- witness sets ---


@message
class Witness:
    """One signer as a voter."""

    name: str = codec.name(1)
    vote_key: bytes = codec.fixed(2, 32)
    """Ed25519."""


@message
class WitnessSet:
    """Signers whose votes count, and how many of them make a quorum."""

    signers: tuple[Witness, ...] = codec.repeated(1, Witness, minimum=1, maximum=100)
    quorum: int = codec.u64(2)


@message
class TableSummary:
    """Number of records of a table of the state and its Merkle root."""

    count: int = codec.u64(1)
    root: bytes = codec.fixed(2, 32)


@message
class StateSummary:
    """What a state digest is the hash of: rule set, log time, and every table in digest order."""

    rule_set: int = codec.u64(1)
    time_ms: int = codec.u64(2)
    tables: tuple[TableSummary, ...] = codec.repeated(3, TableSummary, minimum=1, maximum=32)


# --- entries ---


@message
class Genesis:
    """The first entry: the charter and its adoption by the administrators' quorum."""

    charter: bytes = codec.data(1, max_length=40_000)
    adoptions: tuple[Signed, ...] = codec.repeated(2, Signed, minimum=1, maximum=64)


@message
class OrderEntry:
    """An order enters the log, with its initiator's endorsement among the endorsements."""

    order: bytes = codec.data(1, max_length=MAX_ORDER_BYTES)
    endorsements: tuple[Signed, ...] = codec.repeated(2, Signed, minimum=1, maximum=64)


@message
class Endorse:
    """One more endorsement of a logged order."""

    endorsement: Signed = codec.embedded(1, Signed)


@message
class SignerFreeze:
    """An operator's freeze enters the log."""

    statement: Signed = codec.embedded(1, Signed)


@message
class VaultSignature:
    """One signer's signature over its VaultStatement."""

    signer: str = codec.name(1)
    signature: bytes = codec.fixed(2, 64)


@message
class Trial:
    """A trial signature by one subset of the holders, over a message computed from the transcript and the subset."""

    signers: tuple[int, ...] = codec.repeated_u64(1, minimum=1, maximum=100)
    """BIP-445 identifiers (positions), ascending."""
    signature: bytes = codec.fixed(2, 64)


@message
class Vault:
    """A vault is born: its public key material, n statements, and trial signatures that cover all holders.

    The recovery data is beside the log: every signer stores it before it votes for the entry.
    """

    order_hash: bytes = codec.fixed(1, 32)
    key: KeyMaterial = codec.embedded(2, KeyMaterial)
    recovery_hash: bytes = codec.fixed(3, 32)
    """SHA-256 of the recovery data."""
    statements: tuple[VaultSignature, ...] = codec.repeated(4, VaultSignature, minimum=1, maximum=MAX_HOLDERS)
    trials: tuple[Trial, ...] = codec.repeated(5, Trial, minimum=1, maximum=MAX_HOLDERS)


@message
class Epoch:
    """A vault gets new shares of the same key: statements and trials of all new holders that the order does not excuse.

    The recovery data is beside the log: every signer stores it before it votes for the entry.
    """

    order_hash: bytes = codec.fixed(1, 32)
    vault: str = codec.name(2)
    key: KeyMaterial = codec.embedded(3, KeyMaterial)
    recovery_hash: bytes = codec.fixed(4, 32)
    """SHA-256 of the recovery data."""
    statements: tuple[VaultSignature, ...] = codec.repeated(5, VaultSignature, minimum=1, maximum=MAX_HOLDERS)
    """Under EpochStatements, in participant order."""
    trials: tuple[Trial, ...] = codec.repeated(6, Trial, minimum=1, maximum=MAX_HOLDERS)


@message
class PlanInput:
    """One coin a plan spends. Outpoint and amount are claims: BIP341 makes a false one an invalid signature."""

    txid: bytes = codec.fixed(1, 32)
    """Internal byte order, as it stands in a serialised outpoint."""
    vout: int = codec.u64(2)
    amount_sat: int = codec.u64(3)
    branch: int = codec.u64(4)
    index: int = codec.u64(5)


@message
class OrderPayment:
    """The output that pays one order of the plan; amount and script come from the order itself."""

    position: int = codec.u64(1)
    """Index into the plan's order hashes."""


@message
class Change:
    """An output back to the vault, on branch 1."""

    amount_sat: int = codec.u64(1)
    index: int = codec.u64(2)


@message
class Recovery:
    """The one output of a plan that breaks the glass; its script comes from the order itself."""

    amount_sat: int = codec.u64(1)


@message
class PlanOutput:
    """One output of a plan, in transaction order."""

    target: OrderPayment | Change | Recovery = codec.oneof({1: OrderPayment, 2: Change, 3: Recovery})


@message
class Plan:
    """An unsigned Bitcoin transaction that pays withdrawals of one vault, or executes a cancellation or break-glass."""

    vault: str = codec.name(1)
    order_hashes: tuple[bytes, ...] = codec.repeated_fixed(2, 32, minimum=1, maximum=MAX_ORDERS_PER_PLAN)
    inputs: tuple[PlanInput, ...] = codec.repeated(3, PlanInput, minimum=1, maximum=MAX_INPUTS_PER_PLAN)
    outputs: tuple[PlanOutput, ...] = codec.repeated(4, PlanOutput, minimum=1, maximum=2_000)
    bumps: bytes = codec.fixed(5, 32, optional=True)
    """Plan hash of the plan this one replaces at a higher fee; absent for a plan judged in full."""


@message
class Handover:
    """A step of a change of the witness set, proven by votes; written by the coordinator.

    The first one shows that quorums of both sets stand behind one head, and begins the time in which every head needs
    both. The second one shows that the first is final by both, and ends it: from there on the new set alone votes.
    """

    certificate: Certificate = codec.embedded(1, Certificate)
    summary: StateSummary | None = codec.optional(2, StateSummary)
    """Of the second: opens the state digest of the certificate's head, so that whoever has no log can check that both
    sets were in force there."""


@message
class RestartStatement:
    """What the administrators sign to found a log anew whose signers lost too many of their vote states."""

    head: Head = codec.embedded(1, Head)
    """What stays of the log: the head of the highest certificate that any operator holds, under the log id in force
    before. Its term is 0 when nothing was certified since the log was founded anew already."""
    charter: bytes = codec.data(2, max_length=40_000)
    """Canonical bytes of the next charter: only its signers and its witness quorum differ from those in force."""
    made_ms: int = codec.u64(3)
    """The log time of the entry, Unix milliseconds."""


@message
class Restart:
    """The log is founded anew: its hash is the new log id. It never comes by a vote; each operator pins it."""

    statement: bytes = codec.data(1, max_length=41_000)
    """A canonical RestartStatement."""
    certificate: Certificate | None = codec.optional(2, Certificate)
    """Of the head that the statement names; absent exactly when its term is 0."""
    approvals: tuple[Signed, ...] = codec.repeated(3, Signed, minimum=0, maximum=MAX_RESTART_APPROVALS)
    """As many as the admin quorum of the charter in force before has members, ascending by person."""


@message
class Tick:
    """Nothing but time: lets a waiting head become final."""


@message
class Entry:
    """One leaf of the log. All entries of a batch carry the same time."""

    salt: bytes = codec.fixed(1, 16)
    time_ms: int = codec.u64(2)
    body: Genesis | OrderEntry | Endorse | SignerFreeze | Vault | Plan | Tick | Epoch | Handover | Restart = (
        codec.oneof(
            {
                10: Genesis,
                11: OrderEntry,
                12: Endorse,
                13: SignerFreeze,
                14: Vault,
                15: Plan,
                16: Tick,
                17: Epoch,
                18: Handover,
                19: Restart,
            }
        )
    )
