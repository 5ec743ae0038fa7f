"""NEWTERM statements: how a coordinator comes to lead, and from which certificate a term starts.

A term is opened by the statements of a quorum. Whoever makes one will never again vote, or take a certificate, in an
earlier term. The base of the term is the highest certificate, by term and then by size, that one of the statements
names; whose statements are needed is for the electorate of the base to say.

Spec: design, "The ledger", terms.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.electorate import Electorate
from strongroom.ledger.signed_messages import NewTerm
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import BootId, LogId, SignerName
from strongroom.protocol.certificates import Held, held_of, open_under
from strongroom.protocol.electorates import Electorates
from strongroom.protocol.signed import SignedBody, decode_claimed, sign_body

__all__ = [
    "MAX_TERM_STEP",
    "BadStatements",
    "VerifiedStatement",
    "check_opening",
    "highest_held",
    "sign_new_term",
    "statements_hash",
    "verify_new_term",
]

MAX_TERM_STEP: Final = 2**32
"""A promise goes at most this far above the signer's own term, so that nobody can use the numbers up."""


class BadStatements(StrongroomError):
    """A NEWTERM statement, or the set that should open a term, does not hold; whoever sent it is at fault."""

    reason = "TERM_STATEMENTS_INVALID"
    kind = Kind.INVALID_ARGUMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedStatement:
    """A NEWTERM statement whose signature was verified, with the bytes that prove it."""

    signer: SignerName
    key: bytes
    """The vote key it verified under."""
    term: int
    leader: bytes
    boot_id: BootId
    held: Held
    signed: SignedBody


def sign_new_term(
    key: SigningKey, *, log_id: LogId, signer: str, term: int, leader: bytes, boot_id: BootId, held: Held
) -> SignedBody:
    """Sign a NEWTERM statement. Whether it may be made is decided in `voter`, and it is stored before it is sent."""
    statement = NewTerm(
        log_id=log_id,
        term=term,
        leader=leader,
        boot_id=boot_id,
        held_term=held.term,
        held_size=held.size,
        held_head=held.head_hash,
        signer=signer,
    )
    return sign_body("newterm", statement, key)


def verify_new_term(
    signed: SignedBody, *, log_id: LogId, electorates: Electorates, term: int, leader: bytes
) -> VerifiedStatement:
    """Verify one statement for exactly this term and this leader (16 bytes).

    Raises:
        BadStatements: another term or leader, an unknown signer, or a certificate that cannot be below the term.
        BadSignedBody: signature, encoding or log id are wrong.
    """
    claimed = decode_claimed(NewTerm, "newterm", signed)
    keys = electorates.keys_of(claimed.signer)
    if not keys:
        raise BadStatements(f"{claimed.signer!r} is no signer of this charter", signer=claimed.signer)
    statement, key = open_under("newterm", NewTerm, signed, log_id=log_id, keys=keys)
    held = Held(term=statement.held_term, size=statement.held_size, head_hash=statement.held_head)
    if statement.term != term or statement.leader != leader:
        raise BadStatements(f"the statement of {claimed.signer} is for another term or leader", signer=claimed.signer)
    if not held.is_well_formed or held.term >= term:
        raise BadStatements(f"the statement of {claimed.signer} names an impossible certificate", signer=claimed.signer)
    return VerifiedStatement(
        signer=SignerName(statement.signer),
        key=key,
        term=statement.term,
        leader=statement.leader,
        boot_id=BootId(statement.boot_id),
        held=held,
        signed=signed,
    )


def highest_held(statements: Iterable[VerifiedStatement]) -> Held:
    """The base of a term: the highest certificate, by term and then by size, that the statements name.

    Raises:
        BadStatements: two statements name different heads at the highest term and size. No honest leader sends such a
            set, because it has seen and verified every certificate that it lets in.
    """
    named = {statement.held for statement in statements}
    if not named:
        raise BadStatements("no statement, no base")
    best = max(named, key=lambda held: held.rank)
    if sum(held.rank == best.rank for held in named) > 1:
        raise BadStatements(f"two different heads are named at term {best.term}, size {best.size}")
    return best


def statements_hash(statements: Iterable[SignedBody]) -> bytes:
    """SHA-256 over the statement bodies in ascending order, each with an 8-byte length before it; names the set."""
    digest = hashlib.sha256()
    for body in sorted(statement.body for statement in statements):
        digest.update(len(body).to_bytes(8, "big"))
        digest.update(body)
    return digest.digest()


def check_opening(
    *,
    term: int,
    leader: bytes,
    statements: Sequence[SignedBody],
    base_certificate: Certificate | None,
    log_id: LogId,
    electorates: Electorates,
) -> tuple[tuple[VerifiedStatement, ...], tuple[Electorate, ...]]:
    """Check everything that opens a term: statements of different signers, and the certificate they make its base.

    The statements are by a quorum of the base's electorate: exactly its quorum of one witness set, at least the quorum
    of each of two. One more may stand beside them if it alone names the base: it is by a signer whose words count no
    more, or not yet, for heads like the base, and who must not be able to keep the base from being taken up.

    Returns:
        The verified statements, in ascending order of signer, and each possible electorate of the base under which all
        of this holds.

    Raises:
        BadStatements: not a quorum of different signers, a statement for another term or leader, or a base certificate
            other than the highest one named.
        BadSignedBody: a statement's signature, encoding or log id is wrong.
        BadCertificate: the base certificate does not hold.
    """
    verified = sorted(
        (
            verify_new_term(signed, log_id=log_id, electorates=electorates, term=term, leader=leader)
            for signed in statements
        ),
        key=lambda statement: statement.signer,
    )
    if len({statement.signer for statement in verified}) != len(verified):
        raise BadStatements("two of the statements are by the same signer")
    base = highest_held(verified)
    if held_of(base_certificate) != base:
        raise BadStatements(
            f"the base must be the highest certificate named: term {base.term}, size {base.size}",
            term=str(base.term),
            size=str(base.size),
        )
    if base_certificate is None:
        candidates = electorates.possible(0)
    else:
        candidates = electorates.judge(base_certificate, log_id=log_id)
    problems = {electorate: _quorum_problem(verified, base, electorate) for electorate in candidates}
    good = tuple(electorate for electorate, problem in problems.items() if not problem)
    if not good:
        raise BadStatements(next(iter(problems.values())))
    return tuple(verified), good


def _quorum_problem(statements: Sequence[VerifiedStatement], base: Held, electorate: Electorate) -> str:
    """Why these statements do not open a term on a base of this electorate; empty when they do."""
    members = [item for item in statements if electorate.has(item.signer, item.key)]
    others = [item for item in statements if item not in members]
    need = " and ".join(str(part.quorum) for part in electorate.sets)
    if not electorate.is_quorum({item.signer: item.key for item in members}) or len(members) > electorate.most_votes:
        return f"a term is opened by exactly {need} statements, not {len(members)}"
    if (
        len(others) > 1
        or any(item.held != base for item in others)
        or (others and any(m.held == base for m in members))
    ):
        return "statements of signers who do not decide about the base stand beside those of the ones who do"
    return ""
