"""Targets of redistribution: dealings, recovery data of later epochs, and what the coordinator keeps of a ceremony."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Final

from fuzz_target import choice, target, total

from protocol_group import host_key
from protocol_world import signing_key
from redistribution_world import Ceremony
from strongroom.ledger import codec
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.messages import Dealing
from strongroom.protocol import redistribution_coordinator as coordinator
from strongroom.protocol import redistribution_events as events
from strongroom.protocol import redistribution_snapshot as snapshots
from strongroom.protocol.redistribution import open_dealing
from strongroom.protocol.share_recovery import share_of
from strongroom.protocol.signed import SignedBody, sign_body


@lru_cache(maxsize=1)
def dealt() -> tuple[Ceremony, tuple[SignedBody, ...]]:
    """A ceremony before anybody answered, and what honest dealers of it send."""
    ceremony = Ceremony()
    return ceremony, tuple(ceremony.deal(name) for name in ceremony.holders)


@lru_cache(maxsize=1)
def finished() -> tuple[Ceremony, events.Completed]:
    ceremony = Ceremony()
    return ceremony, ceremony.completed()


def take_dealing(dealing: SignedBody) -> None:
    """At the receiver and at the coordinator: never anything else than a refusal, or a dealer left out."""
    ceremony, honest = dealt()
    total(open_dealing, ceremony.terms, dealing, ceremony.vote_keys)
    total(ceremony.receive, "s3", [honest[0], dealing])
    event = events.DealingArrived(signer="s2", dealing=dealing, now_ms=0)
    state, _ = coordinator.step(ceremony.state, event)
    if ("s2" in state.dealings) == ("s2" in state.left_out):
        raise ValueError("a dealing is neither taken nor its dealer left out")
    snapshots.snapshot(state)


def take_body(data: bytes) -> None:
    """A body under its dealer's true signature."""
    try:
        take_dealing(sign_body("dealing", codec.decode(Dealing, data), signing_key("s2")))
    except NotCanonical:
        take_dealing(SignedBody(body=data, signature=bytes(64)))


def take_parts(data: bytes) -> None:
    """Any commitment, nonce and encrypted share in a dealing that is right otherwise."""
    _, honest = dealt()
    body = codec.decode(Dealing, honest[1].body)
    body = replace(
        body,
        commitments=(data[:33].ljust(33, b"\0"),),
        pubnonce=data[33:66].ljust(33, b"\0"),
        encrypted_shares=(*body.encrypted_shares[:2], data[66:98].ljust(32, b"\0")),
    )
    take_dealing(sign_body("dealing", body, signing_key("s2")))


def take_signed(data: bytes) -> None:
    take_dealing(SignedBody(body=data[64:], signature=data[:64]))


STEPS: Final = [take_body, take_parts, take_signed]


def dealing_seeds() -> Iterator[bytes]:
    _, honest = dealt()
    body = codec.decode(Dealing, honest[1].body)
    yield b"\0" + honest[1].body
    yield b"\1" + body.commitments[0] + body.pubnonce + body.encrypted_shares[2]
    yield b"\1" + bytes(98)
    yield b"\2" + honest[1].signature + honest[1].body


@target(
    "strongroom.protocol.redistribution:open_dealing",
    "strongroom.protocol.redistribution:receive",
    "strongroom.crypto.redistribution:receive",
    "strongroom.crypto.redistribution_messages:Dealing.checked",
    "strongroom.crypto.redistribution_messages:parse_scalar",
    seeds=dealing_seeds,
    max_bytes=1_024,
)
def dealing(data: bytes) -> None:
    """Dealings of any bytes, signed and unsigned."""
    take, rest = choice(data, STEPS)
    take(rest)


def epoch_seeds() -> Iterator[bytes]:
    _, done = finished()
    yield done.made.recovery


@target(
    "strongroom.ledger.recovery:decode_recovery",
    "strongroom.protocol.share_recovery:share_of",
    "strongroom.crypto.redistribution:recover",
    seeds=epoch_seeds,
    max_bytes=2_048,
)
def epoch_recovery(data: bytes) -> None:
    """Recovery data of an epoch that a redistribution began."""
    with host_key("s1") as own:
        share = total(share_of, own, data)
    if share is not None:
        share.wipe()


def snapshot_seeds() -> Iterator[bytes]:
    ceremony, _ = finished()
    yield snapshots.snapshot(ceremony.state)
    yield snapshots.snapshot(dealt()[0].state)


@target("strongroom.protocol.redistribution_snapshot:resume", seeds=snapshot_seeds, max_bytes=4_096)
def redistribution_snapshot(data: bytes) -> None:
    """What the coordinator kept, from a database that somebody changed."""
    ceremony, _ = finished()
    found = total(snapshots.resume, ceremony.terms, data, vote_keys=ceremony.vote_keys, now_ms=0)
    if found is not None and snapshots.snapshot(found[0]) != data:
        raise ValueError("a snapshot that was taken is not what would be kept of it")
