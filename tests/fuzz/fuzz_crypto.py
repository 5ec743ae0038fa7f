"""Targets of the cryptography: key generation messages, nonces, shares, points and sealed files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from fuzz_target import choice, target, total

import protocol_group
from protocol_group import deterministic, host_key
from strongroom.crypto import bip340, chilldkg, ed25519, frost, sealed
from strongroom.crypto.chilldkg_messages import (
    CoordinatorMessage1,
    InvestigationMessage,
    ParticipantMessage1,
    parse_recovery_data,
)
from strongroom.crypto.curve import Point
from strongroom.crypto.frost import SecretNonce, Session, SignersContext, nonce_agg
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.ledger import codec
from strongroom.ledger.recovery import decode_recovery, recovery_of_generation
from strongroom.protocol.share_recovery import share_of

NAMES: Final = ("s1", "s2", "s3")


@lru_cache(maxsize=1)
def generation() -> dict[str, Any]:
    """One honest key generation, 2 of 3, with every message of it."""
    keys = [host_key(name) for name in NAMES]
    params = chilldkg.SessionParams(tuple(key.public() for key in keys), 2)
    random = deterministic("fuzz")
    firsts = [chilldkg.participant_step1(key, params, random(32)) for key in keys]
    coordinator, cmsg1 = chilldkg.coordinator_step1([message for _, message in firsts], params)
    seconds = [
        chilldkg.participant_step2(key, state, cmsg1, random(32)) for key, (state, _) in zip(keys, firsts, strict=True)
    ]
    cmsg2, output, recovery = chilldkg.coordinator_finalize(coordinator, [message for _, message in seconds])
    return {
        "keys": keys,
        "params": params,
        "pmsgs1": [message for _, message in firsts],
        "coordinator": coordinator,
        "cmsg1": cmsg1,
        "states2": [state for state, _ in seconds],
        "pmsgs2": [message for _, message in seconds],
        "cmsg2": cmsg2,
        "recovery": recovery,
        "investigation": chilldkg.coordinator_investigate([message for _, message in firsts], params),
        "output": output,
    }


def exact(parse: Any, data: bytes, *arguments: Any) -> None:
    found = total(parse, data, *arguments)
    if found is not None and found.encode() != data:
        raise ValueError(f"{type(found).__name__} has two encodings")


def take_first(data: bytes) -> None:
    made = generation()
    for sender in range(3):
        exact(ParticipantMessage1.decode, data, made["params"], sender)
    total(chilldkg.coordinator_step1, [data, *made["pmsgs1"][1:]], made["params"])


def take_coordinator_first(data: bytes) -> None:
    made = generation()
    exact(CoordinatorMessage1.decode, data, made["params"])
    # A participant's state is good for one message, so each message meets a fresh one.
    key = made["keys"][0]
    state, _ = chilldkg.participant_step1(key, made["params"], deterministic("fuzz")(32))
    total(chilldkg.participant_step2, key, state, data, bytes(32))


def take_second(data: bytes) -> None:
    made = generation()
    total(chilldkg.coordinator_finalize, made["coordinator"], [data, *made["pmsgs2"][1:]])


def take_certificate(data: bytes) -> None:
    total(chilldkg.participant_finalize, generation()["states2"][0], data)


def take_recovery(data: bytes) -> None:
    total(parse_recovery_data, data)
    for key in (None, generation()["keys"][0]):
        total(chilldkg.recover, key, data)


def take_investigation(data: bytes) -> None:
    exact(InvestigationMessage.decode, data, generation()["params"])


def take_stored_recovery(data: bytes) -> None:
    found = total(decode_recovery, data)
    if found is not None and codec.encode(found) != data:
        raise ValueError("recovery data has two encodings")
    total(share_of, generation()["keys"][0], data)


STEPS: Final[list[Any]] = [
    take_first,
    take_coordinator_first,
    take_second,
    take_certificate,
    take_recovery,
    take_investigation,
    take_stored_recovery,
]


def generation_seeds() -> Iterator[bytes]:
    made = generation()
    yield b"\0" + made["pmsgs1"][0]
    yield b"\1" + made["cmsg1"]
    yield b"\2" + made["pmsgs2"][0]
    yield b"\3" + made["cmsg2"]
    yield b"\4" + made["recovery"]
    yield b"\5" + made["investigation"][0]
    yield b"\6" + recovery_of_generation(made["recovery"])


@target(
    "strongroom.crypto.chilldkg:coordinator_step1",
    "strongroom.crypto.chilldkg:participant_step2",
    "strongroom.crypto.chilldkg:coordinator_finalize",
    "strongroom.crypto.chilldkg:participant_finalize",
    "strongroom.crypto.chilldkg_recovery:recover",
    "strongroom.crypto.chilldkg_messages:ParticipantMessage1.decode",
    "strongroom.crypto.chilldkg_messages:CoordinatorMessage1.decode",
    "strongroom.crypto.chilldkg_messages:InvestigationMessage.decode",
    "strongroom.crypto.chilldkg_messages:parse_recovery_data",
    "strongroom.ledger.recovery:decode_recovery",
    "strongroom.protocol.share_recovery:share_of",
    seeds=generation_seeds,
    max_bytes=1_024,
)
def key_generation(data: bytes) -> None:
    """Every message of ChillDKG, at the step that takes it."""
    take, rest = choice(data, STEPS)
    take(rest)


@lru_cache(maxsize=1)
def signing() -> tuple[SignersContext, list[bytes], bytes, list[bytes]]:
    """A signing context of two of three, its public nonces, a message, and the true shares."""
    owners = protocol_group.holders(3, 2)
    context = owners.group.context(NAMES[:2])
    made = [frost.nonce_gen(deterministic(f"nonce {name}")(32)) for name in NAMES[:2]]
    public = [item for _, item in made]
    session = Session.from_public_nonces(public, context, (), b"message")
    shares = [
        frost.sign(nonce, owners.shares[name], position, session)
        for position, (name, (nonce, _)) in enumerate(zip(NAMES, made, strict=False))
    ]
    return context, public, b"message", shares


def contribution_seeds() -> Iterator[bytes]:
    _, public, _, shares = signing()
    yield public[0] + shares[0]
    yield public[0] + bytes(32)
    yield Point.generator_times(1).serialise() * 2 + shares[1]


@target(
    "strongroom.crypto.frost_session:Session.from_public_nonces",
    "strongroom.crypto.frost_nonce:parse_public_nonces",
    "strongroom.crypto.frost:aggregate",
    "strongroom.crypto.frost:partial_sig_verify",
    seeds=contribution_seeds,
    max_bytes=200,
)
def contribution(data: bytes) -> None:
    """One signer's public nonce and share, beside an honest one's: an aggregate that verifies, or who is to blame."""
    context, public, message, shares = signing()
    nonce, share = data[:66], data[66:]
    total(nonce_agg, [nonce, public[1]])
    session = total(Session.from_public_nonces, [nonce, public[1]], context, (), message)
    if session is None:
        return
    total(frost.partial_sig_verify, share, 0, session)
    signature = total(frost.aggregate, [share, shares[1]], session)
    if signature is not None and not bip340.verify(context.thresh_pk[1:], message, signature):
        raise ValueError("an aggregate was given that does not verify")


def primitive_seeds() -> Iterator[bytes]:
    point = Point.generator_times(7)
    yield point.serialise() + b"m" + bytes(64)
    yield point.xonly() + b"m" + bytes(64)
    yield bytes(33) + bytes(64)
    yield bytes(31) + b"\1" + bytes(31) + b"\2"


@target(
    "strongroom.crypto.curve:Point.parse",
    "strongroom.crypto.curve:Point.parse_or_infinity",
    "strongroom.crypto.curve:Point.parse_xonly",
    "strongroom.crypto.secret:SecretScalar.from_bytes",
    "strongroom.crypto.frost_nonce:SecretNonce.from_bytes",
    "strongroom.crypto.bip340:verify",
    "strongroom.crypto.ed25519:verify",
    seeds=primitive_seeds,
    max_bytes=160,
)
def primitives(data: bytes) -> None:
    """Points, scalars and signatures of any length."""
    for size in (32, 33, len(data)):
        head, rest = data[:size], data[size:]
        for parse in (Point.parse, Point.parse_or_infinity):
            point = total(parse, head)
            if point is not None and not point.is_infinity and point.serialise() != head:
                raise ValueError("a point has two encodings")
        total(Point.parse_xonly, head)
        total(SecretScalar.from_bytes, head)
        total(SecretNonce.from_bytes, head)
        if bip340.verify(head, b"message", rest) or ed25519.verify(head, b"message", rest):
            # Nobody can have signed with the keys of the seeds; only a forgery gets here.
            raise ValueError("a signature nobody made verifies")


CHEAP: Final = sealed.Cost(memory_kib=8, passes=1)
PASSPHRASE: Final = b"passphrase"


def sealed_seeds() -> Iterator[bytes]:
    for public in ({"name": "alice"}, {}):
        with SecretBytes(bytearray(32)) as secret, SecretBytes(bytearray(PASSPHRASE)) as phrase:
            yield sealed.seal("person-key", public, secret, phrase, cost=CHEAP, random=bytes)


@target("strongroom.crypto.sealed:parse", "strongroom.crypto.sealed:open_sealed", seeds=sealed_seeds, max_bytes=2_048)
def sealed_file(data: bytes) -> None:
    """Sealed files: their costs have ceilings; a changed one does not open."""
    found = total(sealed.parse, data)
    if found is None:
        return
    if found.cost.memory_kib > sealed.MAX_MEMORY_KIB or found.cost.passes > sealed.MAX_PASSES:
        raise ValueError("a file may ask for more work than the ceilings allow")
    if found.cost.memory_kib * found.cost.passes <= 1_024:
        with SecretBytes(bytearray(PASSPHRASE)) as phrase:
            opened = total(sealed.open_sealed, data, phrase, kind=found.kind)
        if opened is not None:
            opened.wipe()
