"""What the log holds: entries, and the parts that they are made of."""

from __future__ import annotations

from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head, StateSummary
from strongroom.ledger.codec import message
from strongroom.ledger.order_messages import MAX_HOLDERS, MAX_ORDER_BYTES
from strongroom.ledger.signed_messages import MAX_INPUTS_PER_PLAN, KeyMaterial, Signed

__all__ = [
    "MAX_BATCH_BYTES",
    "MAX_BATCH_ENTRIES",
    "MAX_ENTRY_BYTES",
    "MAX_ORDERS_PER_PLAN",
    "MAX_RECOVERY_BYTES",
    "MAX_RESTART_APPROVALS",
    "Change",
    "Endorse",
    "Entry",
    "Epoch",
    "Genesis",
    "Handover",
    "OrderEntry",
    "OrderPayment",
    "Plan",
    "PlanInput",
    "PlanOutput",
    "Recovery",
    "Restart",
    "RestartStatement",
    "SignerFreeze",
    "Tick",
    "Trial",
    "Vault",
    "VaultSignature",
]

MAX_ENTRY_BYTES = 65_535
MAX_BATCH_ENTRIES = 4_096
MAX_BATCH_BYTES = 8 * 1024 * 1024
MAX_ORDERS_PER_PLAN = 1_000
MAX_RECOVERY_BYTES = 40_000
"""Of the recovery data of one epoch of a vault, which lies beside the log."""
MAX_RESTART_APPROVALS = 64


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
    locktime: int = codec.u64(6)
    """How often the log was founded anew before. It is the transaction's locktime, a height that every chain passed: so
    no transaction of the log is one that an entry lost by the last founding holds."""


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
