"""Targets of the link between coordinator and signers, in both directions, and of a signer's operator socket."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from fuzz_target import choice, scratch, target, total
from fuzz_world import lasting_loop
from google.protobuf.message import DecodeError

import charter_builder as builder
from signer_world import VAULT, Cluster, open_folder
from strongroom.api.operator.v1 import operator_service_pb2 as operator_pb
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec, pae
from strongroom.ledger.entry_messages import Entry, Plan, Tick
from strongroom.ledger.plans import plan_hash
from strongroom.ledger.replica import Batch
from strongroom.ledger.signed_messages import Commitments, Endorsement, Verb
from strongroom.model.errors import StrongroomError
from strongroom.protocol.signed import SignedBody
from strongroom_coordinator.errors import LinkBroken
from strongroom_coordinator.link import SignerLink
from strongroom_coordinator.link_frames import ANSWERS, SignerHello, hello_of
from strongroom_signer.assembly import Signer
from strongroom_signer.frames import batches_of, request_of

ASKED_FOR: Final = b"own"
"""Stands for commitments that the signer makes when it is asked: nobody can write their session down before."""
FRESH_AFTER: Final = 250
"""Requests that one copy of a signer meets; it is made anew earlier when it leaves the term."""


@lru_cache(maxsize=1)
def cluster() -> Cluster:
    """Three signers in term 1 with a vault, one plan that they may sign, and another order; stopped."""
    made = Cluster.started(scratch("fuzz-signers-"))
    made.plan()
    made.world.pay(VAULT, 77_000)
    made.sync()
    made.deliver()
    made.close()
    return made


class Copy:
    """A signer on a copy of its folder, made anew every so often."""

    def __init__(self) -> None:
        self._taken = FRESH_AFTER
        self._signer: Signer | None = None
        self._folder = scratch("fuzz-signer-")

    def signer(self) -> Signer:
        self._taken += 1
        moved = self._signer is not None and _moved(self._signer)
        if self._signer is None or moved or self._taken > FRESH_AFTER:
            if self._signer is not None:
                self._signer.close()
            shutil.rmtree(self._folder)
            shutil.copytree(cluster().folders["s1"], self._folder)
            self._signer = open_folder(self._folder, cluster().clock)
            self._taken = 0
        return self._signer


def _moved(signer: Signer) -> bool:
    """Whether a signer left the term, or the log, at which seeds are aimed."""
    return signer.voting.state.term != cluster().term or signer.copy.size != cluster().world.replica.size


@lru_cache(maxsize=1)
def copy() -> Copy:
    return Copy()


def frame_of(body: Any) -> bytes:
    frame = pb.LinkResponse(seq=1)
    kind = next(item.name for item in frame.DESCRIPTOR.fields if item.message_type == body.DESCRIPTOR)
    getattr(frame, kind).CopyFrom(body)
    return frame.SerializeToString()


def request_seeds() -> Iterator[bytes]:
    made = cluster()
    world, term = made.world, made.term
    size = world.replica.size
    order = world.state.order_at(world.state.orders_count - 1).hash
    assert made.certificate is not None
    certificate = codec.encode(made.certificate)
    tick = world.replica.preview(world.batch(Tick()))
    plan_index = next(index for index in range(size) if b"customer-1\x12 " in world_entry(index)[:80])
    signed = types_pb2.SignedBody(body=b"body", signature=bytes(64))
    bodies = [
        pb.Promise(term=term + 1, leader=made.leader),
        pb.OpenTerm(term=term, statements=[signed, signed], base_certificate=certificate),
        made.append(tick),
        made.append(tick, commit_for=[plan_index]),
        pb.Commit(term=term, entry_indexes=[plan_index]),
        pb.Release(certificate=certificate, sets=[pb.SigningSet(entry_index=plan_index, commitments=[signed])]),
        pb.Certify(certificate=certificate),
        pb.KeygenRound1(order_hash=order, attempt=1),
        pb.KeygenRound2(order_hash=order, attempt=1, message=b"message"),
        pb.KeygenFinish(order_hash=order, attempt=1, message=b"message"),
        pb.TrialCommit(order_hash=order, attempt=1, signers=[0, 1]),
        pb.TrialSign(order_hash=order, attempt=1, signers=[0, 1], nonces=[bytes(66), bytes(66)]),
        pb.Explain(order_hash=order),
        pb.FetchBatches(first_index=0, end_index=size),
    ]
    bodies += [
        pb.Release(certificate=certificate, sets=[pb.SigningSet(entry_index=plan_index, commitments=chosen)])
        for chosen in sets_of_commitments(plan_index)
    ]
    for body in bodies:
        yield b"\0" + frame_of(body)
        yield b"\1" + frame_of(body)


def sets_of_commitments(index: int) -> Iterator[list[types_pb2.SignedBody]]:
    """Sets for one plan: foreign commitments, claimed ones, bytes that are none, and own ones that `put_right` adds."""
    plan = codec.decode(Entry, world_entry(index)).body
    assert isinstance(plan, Plan)
    own, other, third = (
        Commitments(
            log_id=cluster().world.log_id,
            term=cluster().term,
            entry_index=index,
            plan_hash=plan_hash(codec.encode(plan)),
            vault_epoch=1,
            boot_id=bytes(16),
            session=bytes(16),
            nonces=(builder.host_secret(name).public() * 2,),
            signer=name,
        )
        for name in ("s1", "s2", "s3")
    )
    whole = [types_pb2.SignedBody(body=codec.encode(item), signature=bytes(64)) for item in (own, other, third)]
    asked = types_pb2.SignedBody(body=ASKED_FOR, signature=bytes(64))
    longer = types_pb2.SignedBody(body=whole[1].body + b"\0", signature=bytes(64))
    yield whole[:2]
    yield whole[1:]
    yield [asked, whole[1]]
    yield [asked, asked]
    yield [asked, longer]
    yield [whole[1], asked]


def world_entry(index: int) -> bytes:
    return [entry for preview in cluster().world.previews for entry in preview.batch.entries][index]


@target(
    "strongroom_signer.frames:request_of",
    "strongroom_signer.frames:open_signed",
    "strongroom_signer.frames:decode_certificate",
    "strongroom_signer.service:Service.answer",
    "strongroom_signer.money_path:MoneyPath.own_commitments",
    "strongroom_signer.money_path:MoneyPath.check_commitments",
    "strongroom_signer.money_path:MoneyPath._sign",
    seeds=request_seeds,
    max_bytes=4_096,
)
def signer_request(data: bytes) -> None:
    """Frames of the coordinator, through the checks of a real signer into its voting, signing and key generation."""
    how, rest = choice(data, [False, True])
    try:
        frame = pb.LinkResponse.FromString(rest)
    except DecodeError:
        return
    if how:
        put_right(frame)
    request = total(request_of, frame)
    if request is None:
        return
    signer = copy().signer()
    total(signer.service.answer, request, cluster().leader)
    if signer.voting.state.term < cluster().term:
        raise ValueError("a signer went back to an earlier term")


def put_right(frame: pb.LinkResponse) -> None:
    """Make a batch follow the log in the right term, and sign words as some signer would: past the first checks."""
    made = cluster()
    state = copy().signer().voting.state
    if frame.HasField("append"):
        log = made.world.replica
        frame.append.term, frame.append.first_index = state.term, log.size
        frame.append.size = log.size + len(frame.append.entries)
        preview = total(log.preview, Batch(first_index=log.size, entries=tuple(frame.append.entries)))
        frame.append.root = bytes(32) if preview is None else preview.root
    kinds = {"open_term": ("newterm", frame.open_term.statements)}
    for kind, (label, words) in kinds.items():
        if frame.HasField(kind):
            for name, word in zip(("s2", "s3"), words, strict=False):
                word.signature = builder.signing_key(f"{name} vote").sign(pae.pae(label, word.body))
    if frame.HasField("release"):
        # As many as may be open at once, for every input.
        copy().signer().money_path.forget_nonces()
    for sets in frame.release.sets:
        for name, word in zip(("s1", "s2"), sets.commitments, strict=False):
            if word.body == ASKED_FOR:
                ask_for(word, sets.entry_index)
            else:
                word.signature = builder.signing_key(f"{name} vote").sign(pae.pae("commitments", word.body))


def ask_for(word: types_pb2.SignedBody, entry_index: int) -> None:
    """Put commitments of the signer's own in this place, if it makes any for this entry."""
    path = copy().signer().money_path
    made = path.commit(entry_index).commitments
    if made is not None:
        word.body, word.signature = made.body, made.signature


def batches_seeds() -> Iterator[bytes]:
    made = cluster()
    batches = [
        types_pb2.LogBatch(first_index=preview.batch.first_index, entries=preview.batch.entries)
        for preview in made.world.previews[:2]
    ]
    assert made.certificate is not None
    batches[-1].certificate = codec.encode(made.certificate)
    yield pb.Batches(batches=batches).SerializeToString()


@target("strongroom_signer.frames:batches_of", seeds=batches_seeds)
def fetched_batches(data: bytes) -> None:
    """Batches that the coordinator sends a signer that lacks them."""
    try:
        batches = pb.Batches.FromString(data)
    except DecodeError:
        return
    found = total(batches_of, batches)
    for one, other in zip(found or (), (found or ())[1:], strict=False):
        if one.size != other.first_index:
            raise ValueError("batches that do not follow one another were taken")


# --- the operator's socket ---


def operator_seeds() -> Iterator[bytes]:
    world = cluster().world
    order = world.state.order_at(world.state.orders_count - 1).hash
    said = world.endorsement("carol", Verb.REJECT, order)
    body = types_pb2.SignedBody(body=said.body, signature=said.signature)
    yield b"\0" + operator_pb.FreezeRequest(vault=VAULT, why="a reason").SerializeToString()
    yield b"\1" + operator_pb.ThawRequest(freeze_id=bytes(32)).SerializeToString()
    yield b"\2" + operator_pb.HandInRequest(endorsements=[body]).SerializeToString()
    yield b"\2" + operator_pb.HandInRequest(order=b"order", endorsements=[body]).SerializeToString()
    yield b"\3" + operator_pb.HandInRequest(endorsements=[body]).SerializeToString()


@target("strongroom_signer.inbox:Inbox.hand_in", seeds=operator_seeds, max_bytes=2_048)
def operator_request(data: bytes) -> None:
    """Requests on a signer's operator socket; endorsements also under the signature of the person they name."""
    which, rest = choice(data, [operator_pb.FreezeRequest, operator_pb.ThawRequest, operator_pb.HandInRequest] * 2)
    try:
        request: Any = which.FromString(rest)
    except DecodeError:
        return
    inbox = copy().signer().inbox
    if which is operator_pb.FreezeRequest:
        total(inbox.freeze, request.vault, request.why)
    elif which is operator_pb.ThawRequest:
        total(inbox.thaw, request.freeze_id)
    else:
        words = [SignedBody(body=one.body, signature=one.signature) for one in request.endorsements]
        if data[:1] != b"\2":
            words = [signed_by_author(word) for word in words]
        total(inbox.hand_in, request.order, words)
    inbox.to_raise()


def signed_by_author(word: SignedBody) -> SignedBody:
    said = total(codec.decode, Endorsement, word.body)
    label = "alice" if said is None else said.person
    return SignedBody(body=word.body, signature=builder.signing_key(label).sign(pae.pae("endorsement", word.body)))


# --- frames of a signer ---


def hello() -> pb.Hello:
    made = cluster()
    assert made.certificate is not None
    return pb.Hello(
        log_id=made.world.log_id,
        signer="s1",
        boot_id=bytes(16),
        version="1",
        term=made.term,
        size=made.world.replica.size,
        certificate=codec.encode(made.certificate),
        rule_set=1,
    )


def frame_seeds() -> Iterator[bytes]:
    yield pb.LinkRequest(seq=1, hello=hello()).SerializeToString()
    signed = types_pb2.SignedBody(body=b"body", signature=bytes(64))
    yield pb.LinkRequest(seq=2, reply_to=1, promised=pb.Promised(statement=signed)).SerializeToString()
    yield pb.LinkRequest(seq=2, reply_to=2, failed=pb.Failed(reason="A", message="b")).SerializeToString()
    yield pb.LinkRequest(seq=2, raised=pb.Raised(freezes=[signed])).SerializeToString()
    yield pb.LinkRequest(seq=2, fetch_batches=pb.FetchBatches(end_index=3)).SerializeToString()
    yield pb.LinkRequest(seq=2, fetch_recovery=pb.FetchRecovery(hashes=[bytes(32)])).SerializeToString()


@target(
    "strongroom_coordinator.link_frames:hello_of",
    "strongroom_coordinator.link_frames:certificate_of",
    "strongroom_coordinator.link:SignerLink.receive",
    seeds=frame_seeds,
    max_bytes=2_048,
)
def signer_frame(data: bytes) -> None:
    """First frames of a signer, and frames that answer, ask, or do neither."""
    try:
        frame = pb.LinkRequest.FromString(data)
    except DecodeError:
        return
    found = total(hello_of, frame, log_id=cluster().world.log_id)
    if found is not None and len(found.boot_id) != 16:
        raise ValueError("a Hello without a boot id was taken")
    lasting_loop().run_until_complete(meet(frame))


async def meet(frame: pb.LinkRequest) -> None:
    """A link with one open request of each kind meets the frame."""
    link = SignerLink(
        SignerHello(signer="s1", boot_id=bytes(16), version="1", term=1, size=0, certificate=None, rule_set=1, alarm="")
    )
    asked = [
        pb.Promise(),
        pb.Append(),
        pb.Commit(),
        pb.Release(),
        pb.Certify(),
        pb.Explain(),
        pb.FetchBatches(),
        pb.FetchRecovery(),
    ]
    futures = [link.post(body) for body in asked]

    async def serve(_: SignerLink, asked_for: pb.LinkRequest) -> Any:
        return pb.Batches() if asked_for.WhichOneof("body") == "fetch_batches" else None

    before = sum(future.done() for future in futures)
    taken = total(lambda: (link.receive(frame, serve), True)[1])
    done = [future for future in futures if future.done()]
    if taken and len(done) - before > 1:
        raise ValueError("one frame answered two requests")
    for future in done:
        error = future.exception()
        if error is not None and not isinstance(error, StrongroomError):
            raise error
        if error is None and future.result().WhichOneof("body") not in set().union(*ANSWERS.values()):
            raise ValueError("a frame that answers nothing was given as an answer")
    link.close("the end")
    await link.stop_serving()
    for future in futures:
        if not future.done() or (future in done and future.exception() is None):
            continue
        if not isinstance(future.exception(), StrongroomError | LinkBroken):
            raise ValueError("an open request ended without a reason")
