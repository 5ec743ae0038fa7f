"""Targets of the ledger: its codec, entries on a real state, signed bodies, certificates, notes, proofs, charters."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from fuzz_target import choice, target, text_of, total
from fuzz_world import ORDERS, VAULT, busy_world

import charter_builder as builder
import protocol_world
from electorate_of import always, electorate
from ledger_world import Coin
from signing_world import Signers
from strongroom.ledger import (
    certificate_messages,
    codec,
    entry_messages,
    merkle,
    order_messages,
    pae,
    records,
    signed_messages,
)
from strongroom.ledger import charter as charters
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.charter import decode_charter, encode_charter
from strongroom.ledger.charter_check import check_charter
from strongroom.ledger.charter_source import parse_charter_toml
from strongroom.ledger.charter_text import charter_to_toml
from strongroom.ledger.checkpoint import Checkpoint, cosign, cosigner_key, log_origin, open_checkpoint, publish
from strongroom.ledger.entry_messages import Endorse, Entry, Plan, SignerFreeze, Tick, Vault
from strongroom.ledger.note import Note, NoteSignature, VerifierKey
from strongroom.ledger.order_messages import Order
from strongroom.ledger.plans import resolve, spend_of
from strongroom.ledger.replica import Batch
from strongroom.ledger.signed_messages import Endorsement, FreezeStatement, Signed, Verb
from strongroom.model.quantities import decimal_text, parse_decimal, parse_duration
from strongroom.protocol.certificates import NO_CERTIFICATE, sign_vote, verify_certificate, verify_vote
from strongroom.protocol.commitments import commitments_hash, verify_commitments
from strongroom.protocol.release import open_set, verify_shares
from strongroom.protocol.signed import SignedBody, decode_claimed, open_body
from strongroom.protocol.terms import check_opening, sign_new_term, verify_new_term
from strongroom_coordinator.subjects import decode_entry

LARGE: Final = 1 << 20
MESSAGES: Final[list[type[Any]]] = [
    value
    for module in (order_messages, signed_messages, certificate_messages, entry_messages, charters, records)
    for value in vars(module).values()
    if isinstance(value, type) and value.__module__ == module.__name__ and value in codec._TABLES
]
SALT: Final = bytes(16)


def is_exact(cls: type[Any], data: bytes) -> Any:
    """Decode, and hold the codec to its promise: one encoding for each message."""
    found = total(codec.decode, cls, data, max_size=LARGE)
    if found is not None and codec.encode(found) != data:
        raise ValueError(f"{cls.__name__} has two encodings")
    return found


@lru_cache(maxsize=1)
def logged_entries() -> tuple[bytes, ...]:
    return tuple(entry for preview in busy_world().previews for entry in preview.batch.entries)


def instances(value: Any) -> Iterator[Any]:
    """A message and every message inside it."""
    if type(value) in codec._TABLES:
        yield value
        for row in codec.describe(type(value)):
            yield from instances(getattr(value, row.oneof or row.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from instances(item)


def codec_seeds() -> Iterator[bytes]:
    seen = set()
    for entry in logged_entries():
        for item in instances(codec.decode(Entry, entry)):
            if type(item) not in seen:
                seen.add(type(item))
                yield bytes([MESSAGES.index(type(item))]) + codec.encode(item)
    for item in instances(decode_charter(busy_world().charter_bytes)):
        if type(item) not in seen:
            seen.add(type(item))
            yield bytes([MESSAGES.index(type(item))]) + codec.encode(item)
    yield bytes([MESSAGES.index(Certificate)]) + codec.encode(sample_certificate())


@target("strongroom.ledger.codec:decode", seeds=codec_seeds, max_bytes=2_048)
def canonical_codec(data: bytes) -> None:
    """Every message of the ledger; the first byte chooses the class."""
    is_exact(*choice(data, MESSAGES))


# --- entries on a real state ---


def entry_seeds() -> Iterator[bytes]:
    """One more entry of each kind as the state would take it next, and the whole log, which it refuses."""
    world = busy_world()
    world_time = world.time_ms
    order = world.order(world.withdrawal(VAULT, 12_345), id=b"an id that is new"[:16])
    bodies = [Tick(), world.order_entry(order, "shop", "alice", "bob"), world.signer_freeze("s1", vault=VAULT)]
    for body in bodies:
        yield codec.encode(Entry(salt=SALT, time_ms=world_time, body=body))
    yield from (entry for entry in logged_entries() if len(entry) < 2_500)


@target(
    "strongroom.ledger.replica:Replica.preview",
    "strongroom_coordinator.subjects:decode_entry",
    "strongroom.ledger.handlers.decoding:decode_inner",
    "strongroom.ledger.handlers.decoding:decode_new_order",
    seeds=entry_seeds,
)
def entry_apply(data: bytes) -> None:
    """Any bytes as the next entry of a log with orders, plans and freezes: refused, or applied; never half."""
    previewed(data)
    total(decode_entry, data)


def previewed(entry: bytes) -> None:
    replica = busy_world().replica
    before = replica.head()
    preview = total(replica.preview, Batch(first_index=replica.size, entries=(entry,)))
    if replica.head() != before:
        raise ValueError("a preview changed the log")
    if preview is not None:
        decoded = codec.decode(Entry, entry)
        if codec.encode(decoded) != entry:
            raise ValueError("an entry that applies is not canonical")
        again = replica.preview(Batch(first_index=replica.size, entries=(entry,)))
        if (again.root, again.state_digest) != (preview.root, preview.state_digest):
            raise ValueError("the same entry leads to two states")


def signed_by_all(order: bytes) -> Any:
    return busy_world().order_entry(order, "shop", "alice", "bob", "carol")


def endorsed(body: bytes) -> Any:
    said = total(codec.decode, Endorsement, body)
    return None if said is None else Endorse(endorsement=resigned("endorsement", body, said.person))


def frozen(body: bytes) -> Any:
    said = total(codec.decode, FreezeStatement, body)
    return None if said is None else SignerFreeze(statement=resigned("freeze", body, f"{said.signer} vote"))


def resigned(kind: str, body: bytes, label: str) -> Signed:
    """The signature that makes the body its author's: what is fuzzed is what people and signers could sign."""
    return Signed(body=body, signature=builder.signing_key(label).sign(pae.pae(kind, body)))


def ordered(body: bytes) -> Any:
    return None if total(codec.decode, Order, body) is None else signed_by_all(body)


BODIES: Final[list[Any]] = [
    ordered,
    endorsed,
    frozen,
    lambda body: total(codec.decode, Plan, body),
    lambda body: total(codec.decode, Vault, body, max_size=LARGE),
]


def body_seeds() -> Iterator[bytes]:
    world = busy_world()
    actions = [
        world.withdrawal(VAULT, 12_345),
        world.creation("customer-9"),
        order_messages.Freeze(scope=order_messages.Scope.ALL, why="a reason"),
        order_messages.CancelWithdraw(order_hash=hashlib.sha256(b"").digest(), max_fee=1_000),
        order_messages.Unfreeze(freeze=bytes(32)),
    ]
    for number, action in enumerate(actions):
        yield b"\0" + world.order(action, id=bytes([number]) * 16)
    open_order = world.state.order_at(world.state.orders_count - 1).hash
    for verb in Verb:
        yield b"\1" + world.endorsement("carol", verb, open_order).body
    yield b"\2" + world.signer_freeze("s2", vault=VAULT).statement.body
    yield b"\3" + codec.encode(world.plan([ORDERS["approved"]], [Coin(b"\x77" * 32, 0, 90_000)]))
    yield b"\4" + codec.encode(world.vault_entry(ORDERS["vault"]))
    for entry in logged_entries():
        body = codec.decode(Entry, entry).body
        if isinstance(body, Plan):
            yield b"\3" + codec.encode(body)
        if isinstance(body, Vault):
            yield b"\4" + codec.encode(body)


@target(
    "strongroom.ledger.apply:apply",
    "strongroom.ledger.state:decode_order",
    "strongroom.ledger.handlers.endorsing:read_endorsement",
    "strongroom.ledger.key_material:public_shares",
    seeds=body_seeds,
)
def entry_body(data: bytes) -> None:
    """Orders, endorsements and freezes under true signatures, plans and vaults: past the signature, into the rules."""
    make, body = choice(data, BODIES)
    made = total(make, body)
    if made is not None:
        entry = total(codec.encode, Entry(salt=SALT, time_ms=busy_world().time_ms, body=made))
        if entry is not None:
            previewed(entry)


def plan_seeds() -> Iterator[bytes]:
    return (data[1:] for data in body_seeds() if data[0] == 3)


@target("strongroom.ledger.plans:spend_of", "strongroom.ledger.plans:resolve", seeds=plan_seeds, max_bytes=2_048)
def plan_decoding(data: bytes) -> None:
    """A plan decoded into the transaction that is signed."""
    plan = is_exact(Plan, data)
    if plan is None:
        return
    spend = total(spend_of, busy_world().state, plan)
    resolved = total(resolve, busy_world().state, plan)
    if spend is not None and resolved is not None and resolved.spend.txid != spend.txid:
        raise ValueError("a plan is decoded in two ways")


# --- what is signed ---


@lru_cache(maxsize=1)
def signing() -> tuple[Signers, Any, Any]:
    """A signing task of three holders, a set of two, and the words that were asked."""
    signers = Signers.of(3, 2)
    commitments = [signers.commit(name) for name in signers.names[:2]]
    verified = [verify_commitments(item, task=signers.task, vote_keys=signers.vote_keys) for item in commitments]
    return signers, open_set(signers.task, verified), commitments


def vote_head() -> Any:
    return protocol_world.head_at((b"batch",), term=1)


def sample_certificate() -> Certificate:
    return protocol_world.certificate(vote_head(), ("s1", "s2"))


SIGNED_KINDS: Final[list[tuple[str, type[Any]]]] = [
    ("adopt", signed_messages.Adopt),
    ("endorsement", Endorsement),
    ("vote", signed_messages.Vote),
    ("newterm", signed_messages.NewTerm),
    ("commitments", signed_messages.Commitments),
    ("shares", signed_messages.Shares),
    ("vault", signed_messages.VaultStatement),
    ("freeze", FreezeStatement),
    ("refusal", signed_messages.Refusal),
    ("view", signed_messages.View),
]


def signed_seeds() -> Iterator[bytes]:
    world, (signers, chosen, commitments) = busy_world(), signing()
    yield b"\0" + world.adoption("alice").body
    yield b"\1" + world.endorsement("alice", Verb.APPROVE, bytes(32)).body
    yield b"\2" + sign_vote(protocol_world.KEYS["s1"], vote_head(), NO_CERTIFICATE).body
    statement = sign_new_term(
        protocol_world.KEYS["s1"],
        log_id=protocol_world.LOG_ID,
        signer="s1",
        term=1,
        leader=protocol_world.LEADER,
        boot_id=protocol_world.BOOT,
        held=NO_CERTIFICATE,
    )
    yield b"\3" + statement.body
    yield b"\4" + commitments[0].body
    share = signed_messages.Shares(
        log_id=signers.task.log_id,
        term=signers.task.term,
        certified_size=signers.task.entry_index + 1,
        entry_index=signers.task.entry_index,
        plan_hash=signers.task.plan_hash,
        vault_epoch=signers.task.vault_epoch,
        signers=tuple(item.signer for item in chosen.commitments),
        commitments_hash=commitments_hash(commitments),
        shares=(bytes(31) + b"\1",),
        signer=signers.names[0],
    )
    yield b"\5" + codec.encode(share)


@target(
    "strongroom.protocol.signed:open_body",
    "strongroom.protocol.signed:decode_claimed",
    "strongroom.protocol.certificates:verify_vote",
    "strongroom.protocol.terms:verify_new_term",
    "strongroom.protocol.terms:check_opening",
    "strongroom.protocol.commitments:verify_commitments",
    "strongroom.protocol.release:verify_shares",
    seeds=signed_seeds,
    max_bytes=2_048,
)
def signed_body(data: bytes) -> None:
    """Bodies of every signed kind under a signature that holds: what a bad signer could say."""
    (kind, cls), body = choice(data, SIGNED_KINDS)
    signers, chosen, _ = signing()
    keys = {**protocol_world.VOTE_KEYS, **signers.vote_keys}
    claimed = total(decode_claimed, cls, kind, SignedBody(body=body, signature=bytes(64)))
    author = getattr(claimed, "signer", "s1")
    key = signers.owners.vote_keys.get(author) if kind in {"commitments", "shares"} else None
    key = key or protocol_world.KEYS.get(author) or protocol_world.KEYS["s1"]
    signed = SignedBody(body=body, signature=key.sign(pae.pae(kind, body)))
    log_id = protocol_world.LOG_ID
    total(open_body, kind, cls, signed, log_id=log_id, public_key=key.public)
    total(verify_vote, "s1", signed, log_id=log_id, electorate=electorate(keys, 2))
    total(verify_new_term, signed, log_id=log_id, electorates=always(keys, 2), term=1, leader=protocol_world.LEADER)
    total(
        check_opening,
        term=1,
        leader=protocol_world.LEADER,
        statements=[signed, signed],
        base_certificate=sample_certificate(),
        log_id=log_id,
        electorates=always(keys, 2),
    )
    total(verify_commitments, signed, task=signers.task, vote_keys=signers.vote_keys)
    total(verify_shares, chosen, signed, vote_keys=signers.vote_keys)


def certificate_seeds() -> Iterator[bytes]:
    yield codec.encode(sample_certificate())
    yield codec.encode(protocol_world.certificate(vote_head(), ("s1", "s2", "s3")))


@target("strongroom.ledger.certification:verify_certificate", seeds=certificate_seeds, max_bytes=2_048)
def certificate(data: bytes) -> None:
    """Certificates, with the votes that signers really cast."""
    found = is_exact(Certificate, data)
    if found is not None:
        total(
            verify_certificate,
            found,
            log_id=protocol_world.LOG_ID,
            electorate=electorate(protocol_world.VOTE_KEYS, 2),
        )


# --- notes, checkpoints, proofs ---


def note_seeds() -> Iterator[bytes]:
    log_id = busy_world().log_id
    checkpoint = Checkpoint(origin=log_origin(log_id), size=3, root=bytes(32))
    names = ("s1", "s2")
    signatures = [
        cosign(checkpoint, builder.signing_key(f"{name} witness"), name=f"{log_origin(log_id)}/{name}", time_s=7)
        for name in names
    ]
    yield publish(checkpoint, signatures)
    yield publish(checkpoint, signatures[:1])
    yield cosigner_key(log_id, "s1", builder.signing_key("s1 witness").public).encode().encode()
    yield checkpoint.text.encode()
    yield signatures[0].line.encode()


@target(
    "strongroom.ledger.checkpoint:open_checkpoint",
    "strongroom.ledger.checkpoint:Checkpoint.parse",
    "strongroom.ledger.note:Note.parse",
    "strongroom.ledger.note:NoteSignature.parse",
    "strongroom.ledger.note:VerifierKey.parse",
    "strongroom.ledger.note:verify_note",
    seeds=note_seeds,
    max_bytes=1_024,
)
def checkpoint_note(data: bytes) -> None:
    """Signed notes, checkpoints and verifier keys; each has one spelling."""
    log_id = busy_world().log_id
    note = total(Note.parse, data)
    if note is not None and note.encode() != data:
        raise ValueError("a note has two encodings")
    witnesses = [
        cosigner_key(log_id, name, builder.signing_key(f"{name} witness").public) for name in ("s1", "s2", "s3")
    ]
    total(open_checkpoint, data, origin=log_origin(log_id), witnesses=witnesses, threshold=1)
    text = text_of(data)
    for parse in (VerifierKey.parse, Checkpoint.parse, NoteSignature.parse):
        found = total(parse, text)
        if isinstance(found, VerifierKey) and found.encode() != text:
            raise ValueError("a verifier key has two encodings")
        if isinstance(found, Checkpoint) and found.text != text:
            raise ValueError("a checkpoint has two encodings")


def proof_seeds() -> Iterator[bytes]:
    leaves = [merkle.leaf_hash(bytes([number])) for number in range(5)]

    def node(level: int, index: int) -> bytes:
        return merkle.root_of(leaves[index << level : (index + 1) << level])

    yield bytes([2, 5]) + b"".join(merkle.inclusion_proof(node, 2, 5))
    yield bytes([3, 5]) + b"".join(merkle.consistency_proof(node, 3, 5))


@target(
    "strongroom.ledger.merkle:verify_inclusion",
    "strongroom.ledger.merkle:verify_consistency",
    seeds=proof_seeds,
    max_bytes=512,
)
def merkle_proof(data: bytes) -> None:
    """Inclusion and consistency proofs for a tree of five leaves, and for sizes nobody has."""
    leaves = [merkle.leaf_hash(bytes([number])) for number in range(5)]
    root = merkle.root_of(leaves)
    index, size = (data[0], data[1]) if len(data) > 1 else (0, 0)
    proof = tuple(data[at : at + 32] for at in range(2, len(data), 32))
    sizes = [(index, size), (2**64 - 1 - index, 2**64 - 1 - size), (index, 2**70 + size), (-index, size)]
    for one, other in sizes:
        total(merkle.verify_inclusion, leaves[2], one, other, proof, root)
        total(merkle.verify_consistency, one, merkle.root_of(leaves[:3]), other, root, proof)


# --- charters ---


def charter_seeds() -> Iterator[bytes]:
    yield busy_world().charter_bytes
    denies = (charters.Deny(name="none", vaults=("*",), to=builder.paying_only(builder.ADDRESS), assets=()),)
    yield encode_charter(builder.charter(denies=denies, rules=(builder.rule(to=builder.paying_only(builder.ADDRESS)),)))


@target(
    "strongroom.ledger.charter:decode_charter",
    "strongroom.ledger.charter_check:check_charter",
    seeds=charter_seeds,
    max_bytes=4_096,
)
def charter_canonical(data: bytes) -> None:
    """Canonical charters: what decodes encodes back, can be judged, and says the same as TOML."""
    found = total(decode_charter, data)
    if found is None:
        return
    if encode_charter(found) != data:
        raise ValueError("a charter has two encodings")
    check_charter(found)
    source = total(charter_to_toml, found)
    again = None if source is None else total(parse_charter_toml, source, salt=found.salt)
    if again is not None and again != found:
        raise ValueError("a charter reads differently as TOML")


def charter_source_seeds() -> Iterator[bytes]:
    yield charter_to_toml(builder.charter()).encode()


@target(
    "strongroom.ledger.charter_source:parse_charter_toml",
    "strongroom.ledger.source_table:Notes.read",
    seeds=charter_source_seeds,
    max_bytes=8_192,
)
def charter_source(data: bytes) -> None:
    """The charter's TOML: a charter, or every problem in words."""
    found = total(parse_charter_toml, text_of(data), salt=bytes(32))
    if found is not None:
        check_charter(found)
        encoded = total(encode_charter, found)
        if encoded is not None and decode_charter(encoded) != found:
            raise ValueError("a charter changes on its way through its own bytes")


def quantity_seeds() -> Iterator[bytes]:
    return iter([b"\x08" + b"0.00012345", b"\0" + b"17", b"\x12" + b"999999999999.1", b"\1" + b"36h", b"\1" + b"7d"])


@target(
    "strongroom.model.quantities:parse_decimal",
    "strongroom.model.quantities:parse_duration",
    seeds=quantity_seeds,
    max_bytes=6_000,
)
def quantity(data: bytes) -> None:
    """Decimal amounts and durations in words."""
    decimals, text = (data[0] % 31 if data else 0), text_of(data[1:])
    amount = total(parse_decimal, text, decimals)
    if amount is not None and parse_decimal(decimal_text(amount, decimals), decimals) != amount:
        raise ValueError("an amount changes when it is written and read")
    total(parse_duration, text)
