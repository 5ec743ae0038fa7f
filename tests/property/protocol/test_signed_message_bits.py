"""Every bit and every field of every signed message counts: another one, and the signature is no word for it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields, replace
from enum import Enum
from typing import Any, Final

import pytest

import charter_builder as builder
from strongroom.ledger import codec, signed_messages
from strongroom.ledger.order_messages import Scope
from strongroom.ledger.pae import KINDS, pae
from strongroom.ledger.signed_messages import (
    Adopt,
    Commitments,
    Dealing,
    Endorsement,
    EpochStatement,
    FreezeStatement,
    NewTerm,
    Refusal,
    ReinstateStatement,
    RestartApproval,
    Shares,
    VaultStatement,
    Verb,
    Verdict,
    View,
    Vote,
)
from strongroom.model.ids import LogId
from strongroom.protocol.signed import BadSignedBody, SignedBody, open_body, sign_body

KEY: Final = builder.signing_key("s1 vote")
LOG_ID: Final = LogId(b"L" * 32)
HASH: Final = bytes(range(32))
ELSEWHERE: Final = {"card", "sweep-commitments", "sweep-shares"}
"""Kinds of other formats: JSON, and what host keys sign."""
MESSAGES: Final[dict[str, Any]] = {
    "adopt": Adopt(log_id=LOG_ID, person="alice", key=HASH),
    "restart": RestartApproval(log_id=LOG_ID, statement_hash=HASH, person="alice", key=HASH),
    "endorsement": Endorsement(
        log_id=LOG_ID,
        verb=Verb.APPROVE,
        order_hash=HASH,
        head_size=7,
        head_root=HASH,
        expires_ms=1_000,
        person="alice",
        key=HASH,
    ),
    "vote": Vote(log_id=LOG_ID, term=2, size=7, root=HASH, state_digest=HASH, held_term=1, held_size=6, held_head=HASH),
    "newterm": NewTerm(
        log_id=LOG_ID,
        term=2,
        leader=bytes(16),
        boot_id=bytes(16),
        held_term=1,
        held_size=6,
        held_head=HASH,
        signer="s1",
    ),
    "commitments": Commitments(
        log_id=LOG_ID,
        term=2,
        entry_index=6,
        plan_hash=HASH,
        vault_epoch=1,
        boot_id=bytes(16),
        session=bytes(16),
        nonces=(bytes(66), bytes(66)),
        signer="s1",
    ),
    "shares": Shares(
        log_id=LOG_ID,
        term=2,
        certified_size=7,
        entry_index=6,
        plan_hash=HASH,
        vault_epoch=1,
        signers=("s1", "s2"),
        commitments_hash=HASH,
        shares=(HASH, HASH),
        signer="s1",
    ),
    "vault": VaultStatement(log_id=LOG_ID, order_hash=HASH, recovery_hash=HASH, key_hash=HASH, signer="s1"),
    "dealing": Dealing(
        log_id=LOG_ID,
        order_hash=HASH,
        vault="customer-1",
        attempt=1,
        epoch=2,
        terms_hash=HASH,
        commitments=(bytes(33),),
        pubnonce=bytes(33),
        encrypted_shares=(HASH, HASH),
        signer="s1",
    ),
    "epoch": EpochStatement(
        log_id=LOG_ID, order_hash=HASH, vault="customer-1", epoch=2, recovery_hash=HASH, key_hash=HASH, signer="s1"
    ),
    "freeze": FreezeStatement(
        log_id=LOG_ID, signer="s1", id=bytes(16), scope=Scope.VAULT, vault="customer-1", why="looks wrong"
    ),
    "reinstate": ReinstateStatement(log_id=LOG_ID, signer="s1", evidence_hash=HASH),
    "refusal": Refusal(
        log_id=LOG_ID, term=2, entry_index=6, subject=HASH, reason="FROZEN", detail="a freeze", signer="s1"
    ),
    "view": View(
        log_id=LOG_ID,
        order_hash=HASH,
        head_size=7,
        head_root=HASH,
        verdict=Verdict.WAITING,
        reasons=("one approval",),
        signer="s1",
        time_ms=1_000,
    ),
}

kinds = pytest.mark.parametrize("kind", sorted(MESSAGES))


def opened(kind: str, signed: SignedBody, *, as_kind: str = "", log_id: LogId = LOG_ID) -> Any:
    return open_body(as_kind or kind, type(MESSAGES[kind]), signed, log_id=log_id, public_key=KEY.public)


def refused(kind: str, signed: SignedBody, **parts: Any) -> bool:
    try:
        opened(kind, signed, **parts)
    except BadSignedBody:
        return True
    return False


def others(value: Any) -> Iterator[Any]:
    """Other values of a field, near this one."""
    match value:
        case Enum():
            yield next(item for item in type(value) if item is not value)
        case int():
            yield from (value + 1, value - 1)
        case str():
            yield from (value + "x", value[:-1])
        case bytes():
            yield bytes([value[0] ^ 1]) + value[1:]
            yield value[:-1] + bytes([value[-1] ^ 0x80])
        case tuple():
            yield (*value, value[0])
            yield from ((other, *value[1:]) for other in others(value[0]))


def test_every_kind_is_here() -> None:
    classes = [item for _, item in inspect.getmembers(signed_messages, inspect.isclass)]
    named = {(item.__doc__ or "").split("`")[1] for item in classes if (item.__doc__ or "").startswith("Kind `")}
    assert named == set(MESSAGES) == set(KINDS) - ELSEWHERE


@kinds
def test_a_message_as_it_was_signed_is_opened(kind: str) -> None:
    assert opened(kind, sign_body(kind, MESSAGES[kind], KEY)) == MESSAGES[kind]


@kinds
def test_no_bit_can_be_flipped(kind: str) -> None:
    whole = sign_body(kind, MESSAGES[kind], KEY)
    both = whole.body + whole.signature
    for at in range(8 * len(both)):
        changed = bytearray(both)
        changed[at // 8] ^= 1 << at % 8
        assert refused(kind, SignedBody(body=bytes(changed[:-64]), signature=bytes(changed[-64:]))), f"bit {at}"


@kinds
def test_no_field_can_be_changed(kind: str) -> None:
    message, signature = MESSAGES[kind], sign_body(kind, MESSAGES[kind], KEY).signature
    for field in fields(message):
        values = list(others(getattr(message, field.name)))
        assert values
        for value in values:
            body = codec.encode(replace(message, **{field.name: value}))
            assert refused(kind, SignedBody(body=body, signature=signature)), field.name


@kinds
def test_it_is_a_word_of_this_kind_for_this_log_by_this_key_alone(kind: str) -> None:
    signed = sign_body(kind, MESSAGES[kind], KEY)
    assert all(refused(kind, signed, as_kind=other) for other in KINDS - {kind})
    assert refused(kind, signed, log_id=LogId(bytes(32)))
    assert refused(kind, sign_body(kind, MESSAGES[kind], builder.signing_key("s2 vote")))


@kinds
def test_what_is_signed_and_not_canonical_is_no_word(kind: str) -> None:
    body = codec.encode(MESSAGES[kind])
    for other in (body + b"\0", body[:-1], body + body, b"", body + b"\xf8\x7f\x01"):
        assert refused(kind, SignedBody(body=other, signature=KEY.sign(pae(kind, other))))
