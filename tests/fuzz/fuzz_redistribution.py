"""Targets of redistribution: dealings, recovery data of later epochs, and what the coordinator keeps of a ceremony."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from fuzz_target import choice, target, total
from fuzz_world import lasting_loop
from google.protobuf.message import DecodeError

from protocol_group import host_key
from protocol_world import signing_key
from redistribution_world import Ceremony
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.signed_messages import Dealing
from strongroom.protocol import redistribution_coordinator as coordinator
from strongroom.protocol import redistribution_events as events
from strongroom.protocol import redistribution_snapshot as snapshots
from strongroom.protocol.redistribution import open_dealing
from strongroom.protocol.redistribution_state import RedistributionState
from strongroom.protocol.share_recovery import share_of
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom_coordinator.link import SignerLink
from strongroom_coordinator.link_frames import SignerHello, signed_pb
from strongroom_coordinator.redistribution import _Ceremony


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


# --- what holders answer the coordinator ---


@dataclass(frozen=True)
class Asked:
    """The moment before a holder answers: the machine's state, what it wants, of whom, and the honest answer."""

    state: RedistributionState
    command: events.Command
    signer: str
    honest: pb.LinkRequest


@lru_cache(maxsize=1)
def moments() -> tuple[Asked, ...]:
    """Every answer of one whole ceremony."""
    ceremony, found = Ceremony(), []
    while ceremony.waiting:
        command = ceremony.waiting.pop(0)
        for name in ceremony.asked(command):
            event = ceremony.answer(name, command)
            found.append(Asked(ceremony.state, command, name, framed(event)))
            ceremony.happens(event)
    if not isinstance(ceremony.state.outcome, events.Completed):
        raise TypeError("the honest ceremony did not end well")
    return tuple(found)


def framed(event: events.Event) -> pb.LinkRequest:
    """The frame of an honest answer."""
    match event:
        case events.DealingArrived():
            return pb.LinkRequest(dealt=pb.Dealt(dealing=signed_pb(event.dealing)))
        case events.StatementArrived():
            stated = pb.Stated(signature=event.signature, recovery_hash=event.recovery_hash, key_hash=event.key_hash)
            return pb.LinkRequest(stated=stated)
        case events.TrialNonceArrived():
            return pb.LinkRequest(trial_commit=pb.TrialCommitReply(nonce=event.nonce))
        case events.TrialShareArrived():
            return pb.LinkRequest(trial_sign=pb.TrialSignReply(share=event.share))
    raise TypeError(f"an honest holder answers with {type(event).__name__}")


class NoCertificate:
    """A ledger that certified nothing: holders need not be told of any."""

    certificate = None


class Door:
    """The links that are up."""

    def __init__(self, link: SignerLink) -> None:
        self.ready = {link.signer: link}


async def no_rows(_: bytes) -> None:
    return


async def nothing(*_: object) -> None:
    return


async def answered(asked: Asked, frame: pb.LinkRequest) -> RedistributionState:
    """The coordinator's ceremony asks over a real link, one holder answers so, and the others are away."""
    hello = SignerHello(
        signer=asked.signer, boot_id=bytes(16), version="1", term=1, size=0, certificate=None, rule_set=1, alarm=""
    )
    link = SignerLink(hello)
    ceremony = _Ceremony(
        asked.state,
        (asked.command,),
        ledger=NoCertificate(),  # type: ignore[arg-type] - only its certificate is asked for
        terms=Door(link),  # type: ignore[arg-type] - only the links that are up
        now=lambda: 0,
        timeout_s=60.0,
        keep=no_rows,
        blame=lambda *_: None,
    )
    ceremony._perform(asked.command)
    tasks = tuple(ceremony._tasks)
    await asyncio.sleep(0)
    frame.seq, frame.reply_to = 1, 1
    total(link.receive, frame, nothing)
    link.close("the end")
    await asyncio.gather(*tasks)
    state = asked.state
    while not ceremony._events.empty():
        state, _ = coordinator.step(state, ceremony._events.get_nowait())
    return state


def answer_seeds() -> Iterator[bytes]:
    kinds = set()
    for number, asked in enumerate(moments()):
        kind = type(asked.command)
        yield bytes([number]) + asked.honest.SerializeToString()
        if kind in kinds:
            continue
        kinds.add(kind)
        yield bytes([number]) + pb.LinkRequest(failed=pb.Failed(reason="NO", message="no")).SerializeToString()
        if kind is events.SendDealings:
            for dealers in (["s1"], ["s1", "s2"], ["nobody"], []):
                disputed = pb.DealingsDisputed(dealers=dealers, detail="none is good")
                yield bytes([number]) + pb.LinkRequest(dealings_disputed=disputed).SerializeToString()


@target(
    "strongroom_coordinator.redistribution:_Ceremony._deal",
    "strongroom_coordinator.redistribution:_Ceremony._receive",
    "strongroom_coordinator.redistribution:_Ceremony._trial_nonce",
    "strongroom_coordinator.redistribution:_Ceremony._trial_share",
    "strongroom.protocol.redistribution_coordinator:step",
    seeds=answer_seeds,
    max_bytes=1_024,
)
def holder_answer(data: bytes) -> None:
    """Any answer of one holder at any moment of a ceremony: one holder alone cannot end it, nor break what is kept."""
    asked, rest = choice(data, list(moments()))
    try:
        frame = pb.LinkRequest.FromString(rest)
    except DecodeError:
        return
    state = lasting_loop().run_until_complete(answered(asked, frame))
    if isinstance(state.outcome, events.Failed):
        raise ValueError("one holder ended a ceremony of three: " + state.outcome.failure)
    kept = snapshots.snapshot(state)
    ceremony, _ = dealt()
    again, _ = snapshots.resume(state.terms, kept, vote_keys=ceremony.vote_keys, now_ms=0)
    if snapshots.snapshot(again) != kept:
        raise ValueError("a ceremony goes on from something else than what was kept of it")
