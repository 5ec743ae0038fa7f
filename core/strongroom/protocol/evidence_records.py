"""The record of a fault that a signer's own signatures prove, as it is hashed, stored and handed on.

Canonical bytes like those of the ledger, documented for other languages in proto/strongroom/ledger/v1/evidence.proto. A
record carries everything its check needs, so that whoever has it trusts the log id and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from strongroom.crypto.errors import InvalidContribution
from strongroom.crypto.frost_nonce import parse_public_nonces
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.codec import message
from strongroom.ledger.entry_messages import Restart
from strongroom.ledger.record_proof import RecordProofData
from strongroom.ledger.records import ElectorateStep
from strongroom.ledger.signed_messages import Commitments
from strongroom.protocol.signed import BadSignedBody, SignedBody, decode_claimed

__all__ = [
    "MAX_EVIDENCE_BYTES",
    "MAX_WORD_BYTES",
    "VERSION",
    "Evidence",
    "Founded",
    "MalformedCommitments",
    "MalformedDealing",
    "OrderBytes",
    "StateTable",
    "TwoVotes",
    "VaultProof",
    "Word",
    "WrongShare",
    "evidence_hash",
    "first_bad_nonce",
    "malformed_commitments",
    "malformed_dealing",
    "two_votes",
    "wrong_share",
]

VERSION: Final = 1
MAX_WORD_BYTES: Final = 131_072
"""The largest body that a signer signs: commitments to, or shares of, 1,700 inputs."""
MAX_EVIDENCE_BYTES: Final = 16 * 1024 * 1024
"""Of one record. One plan of 1,000 orders signed by 15 holders takes about 3 MiB."""


MAX_STEPS: Final = 1_000
"""Changes of the witness set in the life of a log; together with everything else they must fit the record."""


Founded = bytes | Restart
"""What the log is founded on: its canonical genesis charter, or the restart by which it was founded anew."""


@message
class Word:
    """What a signer said: the exact body and its signature by the vote key. Kind and author follow from the place."""

    body: bytes = codec.data(1, max_length=MAX_WORD_BYTES)
    signature: bytes = codec.fixed(2, 64)


@message
class OrderBytes:
    """Canonical bytes of one order; its hash stands in the plan."""

    order: bytes = codec.data(1, max_length=16_384)


@message
class StateTable:
    """Count and root of one table of the state."""

    count: int = codec.u64(1)
    root: bytes = codec.fixed(2, 32)


@message
class VaultProof:
    """A vault's record and its path to the state digest of the certificate beside it."""

    record: bytes = codec.data(1, max_length=65_535)
    sequence: int = codec.u64(2)
    path: tuple[bytes, ...] = codec.repeated_fixed(3, 32, minimum=0, maximum=64)
    tables: tuple[StateTable, ...] = codec.repeated(4, StateTable, minimum=1, maximum=32)
    """Every table, in the order of the state digest."""
    rule_set: int = codec.u64(5)
    time_ms: int = codec.u64(6)


@message
class WrongShare:
    """A signature share that is wrong under the context that its own sender signed."""

    shares: Word = codec.embedded(1, Word)
    commitments: tuple[Word, ...] = codec.repeated(2, Word, minimum=1, maximum=100)
    """Of the whole set, in participant order."""
    plan_entry: bytes = codec.data(3, max_length=65_535)
    """The log entry that holds the plan."""
    entry_path: tuple[bytes, ...] = codec.repeated_fixed(4, 32, minimum=0, maximum=64)
    """Its path to the root of the certificate."""
    certificate: Certificate = codec.embedded(5, Certificate)
    """Of the term in which the share was made, of a head that covers the plan."""
    vault: VaultProof = codec.embedded(6, VaultProof)
    orders: tuple[OrderBytes, ...] = codec.repeated(7, OrderBytes, minimum=1, maximum=1_000)
    """The orders of the plan, in its order."""


@message
class MalformedCommitments:
    """Nonce commitments that no plan admits, or not the plan that they name."""

    commitments: Word = codec.embedded(1, Word)
    plan: bytes = codec.data(2, max_length=65_535, optional=True)
    """Canonical bytes of that plan; absent when a commitment is no pair of points."""


@message
class TwoVotes:
    """Two votes of one signer for different heads at one term and size."""

    signer: str = codec.name(1)
    first: Word = codec.embedded(2, Word)
    """The one whose body is the lesser as bytes."""
    second: Word = codec.embedded(3, Word)


@message
class MalformedDealing:
    """A dealing of new shares that fits the terms it names in no way: everybody sees it, whatever was encrypted."""

    dealing: Word = codec.embedded(1, Word)
    terms: bytes = codec.data(2, max_length=16_384)
    """Canonical DealingTerms, whose hash the dealing names."""


@message
class Evidence:
    """The record. Its name is the SHA-256 of its canonical bytes."""

    version: int = codec.u64(1)
    charter: bytes = codec.data(2, max_length=60_000, optional=True)
    """The genesis charter, which hashes to the log id and names the first signers' keys; absent beside `restart`."""
    steps: tuple[ElectorateStep, ...] = codec.repeated(3, ElectorateStep, minimum=0, maximum=MAX_STEPS)
    """Proofs of every handover since, ascending: so later signers' vote keys follow from the log id as well."""
    restart: Restart | None = codec.optional(4, Restart)
    """What founded the log anew, of a log that was: it hashes to the log id, and its charter names the signers."""
    fault: WrongShare | MalformedCommitments | TwoVotes | MalformedDealing = codec.oneof(
        {10: WrongShare, 11: MalformedCommitments, 12: TwoVotes, 13: MalformedDealing}
    )


def evidence_hash(data: bytes) -> bytes:
    """The name of a record: SHA-256 of its canonical bytes (32 bytes)."""
    return hashlib.sha256(data).digest()


def wrong_share(
    *,
    charter: Founded,
    steps: Sequence[ElectorateStep] = (),
    shares: SignedBody,
    commitments: Sequence[SignedBody],
    plan_entry: bytes,
    entry_path: Sequence[bytes],
    certificate: Certificate,
    vault: RecordProofData,
    orders: Sequence[bytes],
) -> bytes:
    """The record of a wrong share, as canonical bytes; `verify_evidence` says whether it holds.

    Args:
        charter: What the log is founded on.
        steps: Proofs of the handovers since.
        shares: What the signer gave.
        commitments: Of its whole set, in participant order.
        plan_entry: The entry that holds the plan.
        entry_path: Its path to the certificate's root.
        certificate: Of the share's term, of a head that covers the plan.
        vault: The vault's record, proven against the certificate's state digest.
        orders: Bytes of the plan's orders, in its order.

    Raises:
        NotCanonical: a part is larger than records take; it is then not evidence in this form.
    """
    fault = WrongShare(
        shares=_word(shares),
        commitments=tuple(map(_word, commitments)),
        plan_entry=plan_entry,
        entry_path=tuple(entry_path),
        certificate=certificate,
        vault=VaultProof(
            record=vault.record,
            sequence=vault.sequence,
            path=vault.path,
            tables=tuple(StateTable(count=table.count, root=table.root) for table in vault.table_roots),
            rule_set=vault.rule_set,
            time_ms=vault.time_ms,
        ),
        orders=tuple(OrderBytes(order=order) for order in orders),
    )
    return _record(charter, steps, fault)


def malformed_commitments(
    *, charter: Founded, steps: Sequence[ElectorateStep] = (), commitments: SignedBody, plan: bytes
) -> bytes:
    """The record of commitments that are no points, or of another number than the plan has inputs.

    Args:
        charter: What the log is founded on.
        steps: Proofs of the handovers since.
        commitments: What the signer gave.
        plan: Canonical bytes of the plan; left out of the record where the commitments alone prove the fault.

    Raises:
        NotCanonical: a part is larger than records take.
    """
    said = _decoded_nonces(commitments)
    told = plan if said is None or first_bad_nonce(said) is None else b""
    fault = MalformedCommitments(commitments=_word(commitments), plan=told)
    return _record(charter, steps, fault)


def two_votes(
    *, charter: Founded, steps: Sequence[ElectorateStep] = (), signer: str, votes: tuple[SignedBody, SignedBody]
) -> bytes:
    """The record of two votes at one term and size; the same for either order of the votes.

    Raises:
        NotCanonical: a part is larger than records take.
    """
    first, second = sorted(votes, key=lambda vote: vote.body)
    fault = TwoVotes(signer=signer, first=_word(first), second=_word(second))
    return _record(charter, steps, fault)


def malformed_dealing(
    *, charter: Founded, steps: Sequence[ElectorateStep] = (), dealing: SignedBody, terms: bytes
) -> bytes:
    """The record of a dealing that does not fit the terms it names.

    Args:
        charter: What the log is founded on.
        steps: Proofs of the handovers since.
        dealing: What the signer gave.
        terms: Canonical DealingTerms, whose hash the dealing names.

    Raises:
        NotCanonical: a part is larger than records take.
    """
    return _record(charter, steps, MalformedDealing(dealing=_word(dealing), terms=terms))


def _record(
    founded: Founded,
    steps: Sequence[ElectorateStep],
    fault: WrongShare | MalformedCommitments | TwoVotes | MalformedDealing,
) -> bytes:
    charter, restart = (b"", founded) if isinstance(founded, Restart) else (founded, None)
    return codec.encode(Evidence(version=VERSION, charter=charter, steps=tuple(steps), restart=restart, fault=fault))


def _word(signed: SignedBody) -> Word:
    return Word(body=signed.body, signature=signed.signature)


def _decoded_nonces(commitments: SignedBody) -> Commitments | None:
    try:
        return decode_claimed(Commitments, "commitments", commitments)
    except BadSignedBody:
        return None


def first_bad_nonce(message: Commitments) -> int | None:
    """The first input whose commitment is no pair of points; None when all are."""
    try:
        parse_public_nonces(message.nonces)
    except InvalidContribution as error:
        return error.signer_index
    return None
