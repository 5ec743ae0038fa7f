"""Targets of whole conversations: a coordinator with one signer that lies, and a signer with a coordinator that lies.

The script of the liar is the input: for each frame it is asked, one operation. Everybody else is honest and real.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

import grpc
import structlog
from fuzz_handover import change
from fuzz_link import Copy, cluster, hello
from fuzz_target import scratch, target
from fuzz_world import lasting_loop
from google.protobuf.message import DecodeError

import charter_builder as builder
from electorate_of import certificate_by, electorate
from signer_world import VAULT, open_folder
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.entry_messages import OrderPayment, Plan, PlanInput, PlanOutput, Tick
from strongroom.ledger.order_messages import Withdraw
from strongroom.ledger.state import State, decode_order
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.certificates import held_of, sign_vote, verify_vote
from strongroom_coordinator.config import CoordinatorConfig
from strongroom_coordinator.data_folder import GenesisFile
from strongroom_coordinator.errors import SignerMisbehaved
from strongroom_coordinator.ledger_side import LedgerSide, build_ledger_side
from strongroom_coordinator.link import SignerLink
from strongroom_coordinator.link_frames import SIGNER_REQUESTS, hello_of
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.storage.migrating import migrate
from strongroom_signer.assembly import Signer
from strongroom_signer.frames import request_of
from strongroom_signer.link_session import LinkSession
from strongroom_signer.logs import open_log

SILENT, HONEST, VERBATIM, CHANGED = range(4)
ENOUGH_S: Final = 90.0
LIAR: Final = "s3"
HONEST_FOR_LONG: Final = 40
"""Honest answers after which a key generation has got to its second round: it is waited for."""
DEFECTS: Final = frozenset({"link.defect", "sequencer.defect", "task.died", "rpc.incident"})


def operations(data: bytes) -> list[tuple[int, bytes]]:
    """An input as operations: one byte says which and how long (in the two bytes after), then its argument."""
    found, at = [], 0
    while at + 3 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 3], "big")
        found.append((data[at] % 4, data[at + 3 : at + 3 + size]))
        at += 3 + size
    return found


def script(*operations: tuple[int, bytes]) -> bytes:
    return b"".join(bytes([which]) + len(data).to_bytes(2, "big") + data for which, data in operations)


def changed(message: bytes, how: bytes) -> bytes:
    """A message with one byte changed, or a piece cut out: how is the place (2 bytes), a mask, and a length to cut."""
    if len(how) < 4 or not message:
        return message
    at = int.from_bytes(how[:2], "big") % len(message)
    piece = bytearray(message)
    piece[at] ^= how[2]
    del piece[at + 1 : at + 1 + how[3]]
    return bytes(piece)


# --- a coordinator and a signer that lies ---


class StoppedClock:
    """The time of the signers' world; only what is measured goes on."""

    def wall_ms(self) -> int:
        return cluster().clock.wall

    def monotonic(self) -> float:
        return time.monotonic()


def plan_of_open_orders(state: State, _: int) -> list[Plan]:
    """One plan for each open withdrawal that was approved here."""
    made = []
    for record in state.open_orders():
        action = decode_order(record.order).action
        if record.hash == new_order()[1] and isinstance(action, Withdraw):
            coin = PlanInput(txid=b"\x11" * 32, vout=0, amount_sat=action.amount + 1_000, branch=0, index=0)
            made.append(
                Plan(
                    vault=action.vault,
                    order_hashes=(record.hash,),
                    inputs=(coin,),
                    outputs=(PlanOutput(target=OrderPayment(position=0)),),
                    bumps=b"",
                )
            )
    return made


@lru_cache(maxsize=1)
def new_order() -> tuple[Any, bytes]:
    """An approved withdrawal that no log holds yet, and its hash."""

    world = cluster().world
    order = world.order(world.withdrawal(VAULT, 44_000), id=b"of conversations")
    return world.order_entry(order, "shop", "alice", "bob"), hashlib.sha256(order).digest()


@lru_cache(maxsize=1)
def new_vault() -> Any:
    """An approved order of a vault, whose key generation needs all three signers."""
    world = cluster().world
    order = world.order(world.creation("customer-8"), id=b"of conversation2")
    return world.order_entry(order, "carol", "alice", "bob")


class Liar:
    """Answers by the script; what it would say honestly is there to be changed."""

    def __init__(self, data: bytes) -> None:
        self._script = iter(operations(data))

    def __call__(self, honest: pb.LinkRequest) -> pb.LinkRequest | None:
        which, argument = next(self._script, (SILENT, b""))
        said = honest
        try:
            if which == SILENT:
                return None
            if which == VERBATIM:
                said = pb.LinkRequest.FromString(argument)
            if which == CHANGED:
                said = pb.LinkRequest.FromString(changed(honest.SerializeToString(), argument))
        except DecodeError:
            return None
        asks = said.WhichOneof("body") in SIGNER_REQUESTS
        said.seq, said.reply_to = honest.seq, 0 if asks else honest.reply_to
        return said


async def carry(
    side: LedgerSide,
    link: SignerLink,
    signer: Signer,
    say: Callable[[pb.LinkRequest], pb.LinkRequest | None],
    generating: asyncio.Event,
) -> None:
    """Carry frames between the coordinator and one signer, as the stream does."""
    sent, leader = 1, b""
    async for frame in link.outgoing():
        if frame.HasField("welcome"):
            leader = frame.welcome.leader
            continue
        if frame.reply_to:
            continue
        if frame.HasField("keygen_round2"):
            generating.set()
        try:
            body = signer.service.answer(request_of(frame), leader)
        except StrongroomError as error:
            body = pb.Failed(reason=error.reason, message=error.message[:400])
        honest = pb.LinkRequest(seq=sent + 1, reply_to=frame.seq)
        field = next(item.name for item in honest.DESCRIPTOR.fields if item.message_type == body.DESCRIPTOR)
        getattr(honest, field).CopyFrom(body)
        said = say(honest)
        if said is None and (frame.HasField("fetch_batches") or frame.HasField("fetch_recovery")):
            # A coordinator that rebuilds itself waits 20 s for one who is silent here: too long for a fuzzer.
            said = pb.LinkRequest(seq=honest.seq, reply_to=honest.reply_to, failed=pb.Failed(reason="NOT_TODAY"))
        if said is None:
            continue
        sent += 1
        try:
            link.receive(said, side.links._handler)  # type: ignore[arg-type] - set by now
        except SignerMisbehaved as error:
            link.close(error.message)
    await link.closed()
    side.links._leave(link)


async def converse(data: bytes) -> None:
    """An order is approved; two honest signers and one that follows the script; it is signed all the same."""
    root = scratch("fuzz-talk-")
    url = f"sqlite:///{root}/coordinator.db"
    migrate(url)
    world = cluster().world
    genesis = GenesisFile(genesis=world.genesis(), charter=world.charter, log_id=world.log_id)
    storage = Storage.open(url)
    clock: Any = StoppedClock()
    config = CoordinatorConfig(listen="127.0.0.1:0", tick_ms=20)
    side = build_ledger_side(storage, genesis, config, clock=clock, random=random_bytes, evidence_folder=root)
    side.sequencer.plan_source = plan_of_open_orders
    done, generating = asyncio.Event(), asyncio.Event()
    side.sessions.on_signed(lambda *_: done.set())
    wrong: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
    tasks = [asyncio.create_task(side.ledger.run()), asyncio.create_task(side.sequencer.run())]
    signers = {}
    for name, folder in cluster().folders.items():
        shutil.copytree(folder, root / name)
        signers[name] = open_folder(root / name, cluster().clock)
    for name, signer in signers.items():
        first = pb.LinkRequest(seq=1, hello=signer.hello())
        link = side.links._join(SignerLink(hello_of(first, log_id=world.log_id)))
        say: Any = Liar(data) if name == LIAR else (lambda honest: honest)
        tasks.append(asyncio.create_task(carry(side, link, signer, say, generating)))
    try:
        async with asyncio.timeout(ENOUGH_S):
            await submitted(side, new_vault())
            await submitted(side, new_order()[0])
            await done.wait()
            if [which for which, _ in operations(data)].count(HONEST) >= HONEST_FOR_LONG:
                await generating.wait()
    except TimeoutError:
        raise ValueError("two honest signers and one liar did not sign an approved order") from None
    finally:
        died = [task.exception() for task in tasks if task.done() and not task.cancelled()]
        await side.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        storage.close()
        for signer in signers.values():
            signer.close()
        shutil.rmtree(root)
    for error in died:
        if error is not None:
            raise error
    if wrong:
        raise ValueError(f"something failed beside the conversation: {wrong[0]}")


async def submitted(side: LedgerSide, entry: Any) -> None:
    """Submit an order as a client does: again, while nobody leads."""
    while True:
        try:
            await side.sequencer.submit(entry)
            return
        except StrongroomError as error:
            if error.kind is not Kind.UNAVAILABLE:
                raise
            await asyncio.sleep(0.005)


def random_bytes(size: int) -> bytes:
    return b"\x5a" * size


def conversation_seeds() -> Iterator[bytes]:
    honest, silent = (HONEST, b""), (SILENT, b"")
    yield b""
    yield script(*[honest] * 12)
    yield script(*[honest] * HONEST_FOR_LONG)
    for asked in range(5):
        for how in (b"\0\x20\1\0", b"\0\x08\0\x10")[asked % 2 :]:
            yield script(*[honest] * asked, (CHANGED, how), *[honest] * 6)
    yield script(honest, honest, (VERBATIM, pb.LinkRequest(voted=pb.Voted()).SerializeToString()), silent)
    yield script((VERBATIM, pb.LinkRequest(promised=pb.Promised()).SerializeToString()), honest)
    released = pb.Released(results=[pb.ShareResult(entry_index=7)])
    yield script(*[honest] * 4, (VERBATIM, pb.LinkRequest(released=released).SerializeToString()))
    committed = pb.Committed(results=[pb.CommitmentResult(entry_index=2**64 - 1)])
    yield script(*[honest] * 3, (VERBATIM, pb.LinkRequest(committed=committed).SerializeToString()))
    words = pb.Raised(freezes=[types_pb2.SignedBody(body=b"body", signature=bytes(64))])
    yield script(honest, (VERBATIM, pb.LinkRequest(raised=words).SerializeToString()), honest)


@target(
    "strongroom_coordinator.rounds:VotingRounds._take",
    "strongroom_coordinator.sessions:SigningSessions.committed",
    "strongroom_coordinator.signing_answers:SigningAnswers.shares_answered",
    "strongroom_coordinator.terms:Terms._add",
    "strongroom_coordinator.link:SignerLink.receive",
    seeds=conversation_seeds,
    max_bytes=1_024,
    max_seconds=100,
)
def lying_signer(data: bytes) -> None:
    """A whole term with one signer that says anything: the order is signed, and nothing in the coordinator fails."""
    quiet()
    with structlog.testing.capture_logs() as lines:
        lasting_loop().run_until_complete(converse(data))
    for line in lines:
        if line["event"] in DEFECTS:
            raise ValueError(f"the coordinator logs a defect: {line}")


def quiet() -> None:
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


# --- a signer and a coordinator that lies ---


class Stream:
    """The signer's end of a stream whose other end follows the script."""

    def __init__(self, frames: list[bytes]) -> None:
        self._frames = iter(frames)
        self.written: list[pb.LinkRequest] = []
        self._read = 0

    async def write(self, frame: pb.LinkRequest) -> None:
        self.written.append(frame)

    async def read(self) -> Any:
        # The signer works through what came before the next frame comes.
        for _ in range(20):
            await asyncio.sleep(0)
        data = next(self._frames, None)
        if data is None:
            return grpc.aio.EOF
        try:
            frame = pb.LinkResponse.FromString(data)
        except DecodeError:
            return None  # as grpc does
        self._read += 1
        frame.seq = self._read
        return frame

    async def details(self) -> str:
        return "the script is over"

    def cancel(self) -> None:
        return


def framed(*frames: pb.LinkResponse) -> bytes:
    return script(*((VERBATIM, frame.SerializeToString()) for frame in frames))


@lru_cache(maxsize=1)
def beyond() -> tuple[types_pb2.LogBatch, bytes]:
    """A batch that the signers of the cluster have not seen, and its certificate."""
    made = cluster()
    world = made.world
    assert made.certificate is not None
    preview = world.replica.preview(world.batch(Tick()))
    head = Head(
        log_id=world.log_id,
        term=made.term,
        size=preview.size,
        root=preview.root,
        state_digest=preview.state_digest,
    )
    keys = {name: builder.signing_key(f"{name} vote") for name in ("s2", "s3")}
    public = {name: key.public for name, key in keys.items()}
    votes = [
        verify_vote(
            name, sign_vote(key, head, held_of(made.certificate)), log_id=world.log_id, electorate=electorate(public)
        )
        for name, key in keys.items()
    ]
    certificate: Certificate = certificate_by(votes, 2)
    data = codec.encode(certificate)
    batch = types_pb2.LogBatch(first_index=preview.batch.first_index, entries=preview.batch.entries, certificate=data)
    return batch, data


def session_seeds() -> Iterator[bytes]:
    made = cluster()
    welcome = pb.LinkResponse(welcome=pb.Welcome(log_id=made.world.log_id, leader=made.leader, version="1", term=1))
    batch, certificate = beyond()
    certify = pb.LinkResponse(certify=pb.Certify(certificate=certificate))
    yield framed(welcome, certify, pb.LinkResponse(reply_to=2, batches=pb.Batches(batches=[batch])))
    yield framed(welcome, certify, pb.LinkResponse(reply_to=2, batches=pb.Batches(batches=[batch, batch])))
    bare = types_pb2.LogBatch(first_index=batch.first_index, entries=batch.entries)
    yield framed(welcome, certify, pb.LinkResponse(reply_to=2, batches=pb.Batches(batches=[bare])))
    yield framed(welcome, certify, pb.LinkResponse(reply_to=2, failed=pb.Failed(reason="NO", message="no")))
    yield framed(welcome, pb.LinkResponse(promise=pb.Promise(term=2, leader=made.leader)), certify)
    yield framed(pb.LinkResponse(welcome=pb.Welcome(log_id=bytes(32), leader=made.leader)))
    yield framed(welcome, pb.LinkResponse(reply_to=1), pb.LinkResponse(failed=pb.Failed()))
    told = pb.Witnesses(steps=[codec.encode(change().completed)])
    yield framed(welcome, pb.LinkResponse(witnesses=told), pb.LinkResponse(witnesses=pb.Witnesses(steps=[b"none"])))


@lru_cache(maxsize=1)
def listener() -> Copy:
    return Copy()


@target(
    "strongroom_signer.link_session:LinkSession.greet",
    "strongroom_signer.link_session:LinkSession.serve",
    "strongroom_signer.link_session:LinkSession._fetch",
    "strongroom_signer.link_session:LinkSession._learn",
    "strongroom_signer.catch_up:CatchUp.run",
    seeds=session_seeds,
    max_bytes=4_096,
    max_seconds=100,
)
def lying_coordinator(data: bytes) -> None:
    """A stream of any frames to a real signer, which may be fetching entries meanwhile; the signer outlives it."""
    signer = listener().signer()
    log = open_log(level="error", raise_on_secret=True)
    session = LinkSession(Stream([part for _, part in operations(data)]), signer.service, signer.catch_up, log)

    async def talk() -> None:
        try:
            async with asyncio.timeout(ENOUGH_S):
                await session.greet(hello())
                await session.serve()
        except StrongroomError:
            return
        finally:
            await session.close()
        raise ValueError("a session ended without saying why")

    lasting_loop().run_until_complete(talk())
