"""Cheats with the link itself: bytes that are no frames, numbers that do not fit, floods, silence, and breaking off."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

from cheat_report import cheat
from raw_stream import PATIENCE_S, RawStream
from rogue_leader import RogueLeader

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger.entry_messages import Tick

Speech = Callable[[RogueLeader, RawStream], AsyncIterator[Any]]

FLOOD = 2_000


async def spoken(rogue: RogueLeader, speech: Speech) -> None:
    """End every link, serve each signer's next stream with this speech until it is over, then be honest again."""
    served: set[str] = set()
    everyone = asyncio.Event()

    async def script(stream: RawStream) -> AsyncIterator[Any]:
        try:
            async for item in speech(rogue, stream):
                yield item
        finally:
            served.add(stream.hello.signer)
            if served == set(rogue.electorate.vote_keys):
                everyone.set()

    rogue.raw.speak(script)
    for link in rogue.links.values():
        link.close("the cheater dials anew")
    try:
        async with asyncio.timeout(PATIENCE_S * 2):
            await everyone.wait()
    finally:
        rogue.raw.speak(None)


def welcome(rogue: RogueLeader, seq: int = 1, **other: Any) -> pb.LinkResponse:
    """The honest first frame."""
    facts = {"log_id": rogue.log_id, "leader": rogue.leader, "version": "0", "term": rogue.term, **other}
    return pb.LinkResponse(seq=seq, welcome=pb.Welcome(**facts))


def _harmless(rogue: RogueLeader, seq: int, **other: Any) -> pb.LinkResponse:
    """A request that every signer refuses, and that costs it little."""
    return pb.LinkResponse(seq=seq, promise=pb.Promise(term=1, leader=rogue.leader), **other)


def _cut_cheat(name: str, text: str, items: Callable[[RogueLeader], list[Any]]) -> None:
    """A cheat that sends these after the Welcome (or instead of it), until each signer ends the stream."""

    async def speech(rogue: RogueLeader, stream: RawStream) -> AsyncIterator[Any]:
        for item in items(rogue):
            yield item
        await stream.ended()

    async def run(rogue: RogueLeader) -> None:
        await spoken(rogue, speech)

    cheat(name, text)(run)


_cut_cheat("junk-bytes", "Sends random bytes instead of a message.", lambda rogue: [welcome(rogue), b"\xff" * 60])
_cut_cheat(
    "half-a-frame",
    "Sends a message that breaks off in the middle.",
    lambda rogue: [welcome(rogue), _harmless(rogue, 2).SerializeToString()[:-5]],
)
_cut_cheat(
    "nested-frame",
    "Sends a message that is nested thousands of levels deep, to exhaust whoever reads it.",
    lambda rogue: [welcome(rogue), b"\xf3\x07" * 50_000],
)
_cut_cheat(
    "oversized-frame",
    "Sends one message larger than any may be.",
    lambda rogue: [welcome(rogue), bytes(17 * 1024 * 1024)],
)
_cut_cheat("no-welcome", "Begins without a greeting.", lambda rogue: [_harmless(rogue, 1)])
_cut_cheat(
    "other-logs-welcome",
    "Greets the signers in the name of another log.",
    lambda rogue: [welcome(rogue, log_id=os.urandom(32))],
)
_cut_cheat(
    "gap-in-numbers",
    "Leaves out a message, so that one seems to be lost.",
    lambda rogue: [welcome(rogue), _harmless(rogue, 3)],
)
_cut_cheat(
    "repeated-number",
    "Sends two messages under one number.",
    lambda rogue: [welcome(rogue), _harmless(rogue, 2), _harmless(rogue, 2)],
)
_cut_cheat(
    "answer-to-nothing",
    "Answers a question that no signer asked.",
    lambda rogue: [welcome(rogue), pb.LinkResponse(seq=2, reply_to=999, batches=pb.Batches())],
)
_cut_cheat(
    "malformed-flood",
    "Sends thousands of malformed requests, to fill the signer's log.",
    lambda rogue: [welcome(rogue), *(pb.LinkResponse(seq=seq) for seq in range(2, FLOOD))],
)
_cut_cheat("never-welcome", "Answers the signer's greeting with silence.", lambda rogue: [])


def _flood_cheat(name: str, text: str, items: Callable[[RogueLeader], list[pb.LinkResponse]]) -> None:
    """A cheat that sends all of these without waiting, and then sees how many were answered, if any were."""

    async def speech(rogue: RogueLeader, stream: RawStream) -> AsyncIterator[Any]:
        yield welcome(rogue)
        sent = items(rogue)
        for item in sent:
            yield item
        answered = 0
        while answered < len(sent) and (frame := await stream.read()) is not None:
            answered += bool(frame.reply_to)
        rogue.report.say("flooded", signer=stream.hello.signer, sent=len(sent), answered=answered)

    async def run(rogue: RogueLeader) -> None:
        await spoken(rogue, speech)

    cheat(name, text)(run)


def _heavy(rogue: RogueLeader, seq: int) -> pb.LinkResponse:
    """A request of more than eight million bytes, which every signer refuses."""
    first, entries = len(rogue.entries), [os.urandom(60_000)] * 139
    append = pb.Append(term=rogue.term, first_index=first, entries=entries, size=first + len(entries), root=bytes(32))
    return pb.LinkResponse(seq=seq, append=append)


_flood_cheat(
    "flood",
    "Sends thousands of requests without waiting for an answer.",
    lambda rogue: [_harmless(rogue, seq) for seq in range(2, FLOOD)],
)
_flood_cheat(
    "heavy-flood",
    "Sends many of the largest messages without waiting, to fill the signers' memory.",
    lambda rogue: [_heavy(rogue, seq) for seq in range(2, 14)],
)


@cheat("breaks-off", "Ends the connection in the middle of every step.")
async def breaks_off(rogue: RogueLeader) -> None:
    """Each stream ends before the answer to its request could be read."""
    requests: list[Any] = [
        {"promise": pb.Promise(term=rogue.term + 1, leader=rogue.leader)},
        {"commit": pb.Commit(term=rogue.term, entry_indexes=[0])},
        {"certify": pb.Certify(certificate=b"")},
        {"keygen_round1": pb.KeygenRound1(order_hash=bytes(32), attempt=1)},
        {"fetch_batches": pb.FetchBatches(first_index=0, end_index=10)},
    ]
    for request in requests:

        async def speech(rogue: RogueLeader, stream: RawStream, request: Any = request) -> AsyncIterator[Any]:
            yield welcome(rogue)
            yield pb.LinkResponse(seq=2, **request)

        await spoken(rogue, speech)
        await rogue.everybody()
    rogue.term += 1


def _asking_cheat(name: str, text: str, step: str, items: Callable[[RogueLeader], list[Any]]) -> None:
    """A cheat whose requests are answered with a refusal each, on a stream that goes on."""

    async def speech(rogue: RogueLeader, stream: RawStream) -> AsyncIterator[Any]:
        sent = items(rogue)
        for item in sent:
            yield item
        answered = 0
        while answered < len(sent) - 1 and (frame := await stream.read()) is not None:
            if frame.WhichOneof("body") == "failed":
                answered += 1
                failed = frame.failed
                rogue.report.refused(stream.hello.signer, step, failed.reason, failed.message, signed=False)
            elif frame.reply_to:
                answered += 1
                rogue.report.believed(stream.hello.signer, f"it answered with {frame.WhichOneof('body')}")

    async def run(rogue: RogueLeader) -> None:
        await spoken(rogue, speech)

    cheat(name, text)(run)


_asking_cheat(
    "unknown-request",
    "Asks for something that no version of the signer knows.",
    "request",
    lambda rogue: [welcome(rogue), pb.LinkResponse(seq=2).SerializeToString() + b"\xea\x01\x02\x08\x01"],
)
_asking_cheat(
    "second-welcome",
    "Greets a second time, in the middle of a conversation.",
    "request",
    lambda rogue: [welcome(rogue), welcome(rogue, seq=2)],
)
_asking_cheat(
    "unknown-fields",
    "Adds parts to a message that only another version would read, to change what it means.",
    "request",
    lambda rogue: [
        welcome(rogue),
        _harmless(rogue, 2).SerializeToString() + b"\xe2\x03\x05later",
        _harmless(rogue, 3).SerializeToString() + b"\xe0\x03\x01" * 1_000,
    ],
)


@cheat("many-sets", "Asks for more signatures in one message than any payment needs.")
async def many_sets(rogue: RogueLeader) -> None:
    none = types_pb2.SignedBody(body=b"\x00", signature=bytes(64))
    sets = [pb.SigningSet(entry_index=index, commitments=[none]) for index in range(4_097)]
    for signer in rogue.links:
        await rogue.ask(signer, pb.Release(sets=sets), "release")
        await rogue.ask(signer, pb.Release(sets=[pb.SigningSet(entry_index=0, commitments=[none] * 101)]), "holders")
        await rogue.ask(signer, pb.Release(sets=[]), "none")
        await rogue.ask(signer, pb.Commit(term=rogue.term, entry_indexes=range(4_097)), "commit")


@cheat("absurd-places", "Names places of the log that no log will ever have.")
async def absurd_places(rogue: RogueLeader) -> None:
    none = types_pb2.SignedBody(body=b"\x00", signature=bytes(64))
    far = 2**64 - 1
    for signer in rogue.links:
        await rogue.ask(signer, pb.FetchBatches(first_index=far - 1, end_index=far), "fetch")
        await rogue.ask(signer, pb.FetchBatches(first_index=5, end_index=5), "empty-fetch")
        await rogue.ask(signer, pb.Commit(term=rogue.term, entry_indexes=[far]), "commit")
        sets = [pb.SigningSet(entry_index=far, commitments=[none])]
        await rogue.ask(signer, pb.Release(sets=sets), "release")
        frame = pb.Append(term=rogue.term, first_index=far - 1, entries=[rogue.entry(Tick())], size=far, root=bytes(32))
        await rogue.ask(signer, frame, "append")


@cheat("wrong-lengths", "Sends keys, numbers and names of lengths that they cannot have.")
async def wrong_lengths(rogue: RogueLeader) -> None:
    short, long = bytes(7), bytes(70_000)
    frames: dict[str, Any] = {
        "promise": pb.Promise(term=rogue.term + 1, leader=short),
        "open-term": pb.OpenTerm(term=rogue.term, statements=[types_pb2.SignedBody(body=b"x", signature=short)]),
        "certify": pb.Certify(certificate=long),
        "keygen": pb.KeygenRound1(order_hash=short, attempt=1),
        "keygen-message": pb.KeygenRound2(order_hash=bytes(32), attempt=1, message=long),
        "trial": pb.TrialSign(order_hash=bytes(32), attempt=1, signers=[0, 1], nonces=[short, short]),
        "explain": pb.Explain(order_hash=long),
    }
    for step, frame in frames.items():
        for signer in rogue.links:
            await rogue.ask(signer, frame, step)
