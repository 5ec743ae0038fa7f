"""What a coordinator tries beside the usual road: forged proofs while fetching, stopped signers, failing machines."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

import charter_builder as builder
from charter_builder import signing_key
from electorate_of import certificate_by, electorate
from handover_world import HandoverWorld
from ledger_world import BTC, World
from signer_world import Cluster, refusal_of
from strongroom.api.operator.v1 import operator_service_pb2 as operator_pb
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.signer.v1 import signer_link_service_pb2_grpc as pb_grpc
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, CertificateVote, Head
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.signed_messages import Shares, Verb
from strongroom.protocol.certificates import (
    BadCertificate,
    final_size,
    held_of,
    sign_vote,
    verify_vote,
)
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody, sign_body
from strongroom.protocol.voter_state import VoterStopped
from strongroom_signer import doctor, link_session, money_path
from strongroom_signer.catch_up import CatchUp
from strongroom_signer.config import BadConfig, Limit, SignerConfig
from strongroom_signer.logs import open_log
from strongroom_signer.requests import LogBatch
from strongroom_signer.status_view import status_text
from strongroom_signer.store import StoreFailed
from strongroom_signer.voting import EntriesMissing


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


def certified(cluster: Cluster, head: Head, held: Certificate, names: tuple[str, ...] = ("s2", "s3")) -> Certificate:
    """A certificate made with the signers' own keys, behind their backs."""
    votes = [
        verify_vote(
            name,
            sign_vote(signing_key(f"{name} vote"), head, held_of(held)),
            log_id=cluster.world.log_id,
            electorate=electorate(cluster.vote_keys),
        )
        for name in names
    ]
    return certificate_by(votes, 2)


def lacking(cluster: Cluster) -> Certificate:
    """The certificate below which s1 lacks entries."""
    assert cluster.certificate is not None
    with pytest.raises(EntriesMissing) as missing:
        cluster.ask("s1", pb.Certify(certificate=codec.encode(cluster.certificate)))
    return missing.value.certificate


async def test_attack_forged_certificate_with_fetched_entries(cluster: Cluster) -> None:
    world = cluster.world
    fork = world.replica.size
    known = cluster.certificate
    assert known is not None
    false = world.replica.preview(world.batch(Tick()))
    cluster.tick(2, names=("s2", "s3"))
    wanted = lacking(cluster)
    head = Head(log_id=world.log_id, term=1, size=false.size, root=false.root, state_digest=false.state_digest)
    held = held_of(known)
    votes = tuple(
        CertificateVote(
            signer=name, held_term=1, held_size=held.size, held_head=held.head_hash, signature=bytes(63) + b"\x01"
        )
        for name in ("s2", "s3")
    )
    forged = codec.encode(Certificate(head=head, votes=votes))

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        return (LogBatch(first_index=first, entries=false.batch.entries, certificate=forged),)

    signer = cluster.signers["s1"]
    final = signer.copy.final_size
    with pytest.raises(BadCertificate):
        await cluster.catch_up(signer.name, fetch).run(wanted)
    assert (signer.copy.size, signer.store.size(), signer.copy.final_size) == (fork, fork, final)


async def test_certificate_of_another_state_makes_nothing_final_while_fetching(cluster: Cluster) -> None:
    """More signers than the charter survives certify a state that replay does not give: it is not folded here."""
    world = cluster.world
    cluster.deliver()
    known = cluster.certificate
    assert known is not None
    cluster.tick(1, names=("s2", "s3"))
    assert cluster.certificate is not None
    wrong = certified(cluster, replace(cluster.certificate.head, state_digest=bytes(32)), known)
    cluster.tick(1, names=("s2", "s3"))
    wanted = lacking(cluster)

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        return tuple(
            LogBatch(
                first_index=one.batch.first_index,
                entries=one.batch.entries,
                certificate=codec.encode(wrong) if one.size == wrong.head.size else b"",
            )
            for one in world.previews
            if one.batch.first_index >= first and one.size <= end
        )

    signer = cluster.signers["s1"]
    assert signer.copy.final_size < final_size(wrong)
    await cluster.catch_up(signer.name, fetch).run(wanted)
    assert signer.copy.final_size < final_size(wrong)


async def test_rejection_in_a_branch_that_is_replaced_is_kept(cluster: Cluster) -> None:
    world = cluster.world
    order = world.pay("customer-1", 100_000)
    cluster.sync()
    cluster.deliver()
    lost = world.replica.preview(world.batch(world.endorse("carol", Verb.REJECT, order)))
    cluster.vote("s1", lost)
    cluster.open_term(("s2", "s3"))
    cluster.tick(2, names=("s2", "s3"))

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        return tuple(
            LogBatch(first_index=one.batch.first_index, entries=one.batch.entries, certificate=b"")
            for one in world.previews
            if one.batch.first_index >= first and one.size <= end
        )

    signer = cluster.signers["s1"]
    await cluster.catch_up(signer.name, fetch).run(lacking(cluster))
    assert signer.copy.replica.root_at(world.replica.size) == world.replica.root_at(world.replica.size)
    assert [item.kind for item in signer.inbox.items] == ["rejection"]
    assert [item.kind for item in cluster.restart("s1").inbox.items] == ["rejection"]


def test_stopped_signer_gives_neither_nonce_nor_share(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    known = cluster.certificate
    assert known is not None
    head = replace(known.head, size=cluster.world.replica.size + 1, root=bytes(32))
    unknown = certified(cluster, head, known, ("s1", "s2"))
    for ask in (
        lambda: cluster.ask("s1", pb.Certify(certificate=codec.encode(unknown))),
        lambda: cluster.commit("s1", index),
        lambda: cluster.release("s1", index, chosen),
    ):
        with pytest.raises(VoterStopped):
            ask()
    assert len(cluster.signers["s1"].nonces) == 1


def test_share_that_came_out_wrong_is_not_given(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that computes wrongly after the cryptography's own check: the words sent are checked once more."""
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    real = money_path.make_shares

    def faulty(*args: Any, **parts: Any) -> SignedBody:
        made = codec.decode(Shares, real(*args, **parts).body, max_size=MAX_BODY_BYTES)
        wrong = bytes([made.shares[0][0] ^ 1]) + made.shares[0][1:]
        return sign_body("shares", replace(made, shares=(wrong, *made.shares[1:])), parts["key"])

    monkeypatch.setattr(money_path, "make_shares", faulty)
    result = cluster.release("s1", index, chosen)
    assert refusal_of(result).reason == "SELF_CHECK_FAILED"


def test_local_maximum_of_an_asset_that_no_order_can_name_is_no_maximum(cluster: Cluster) -> None:
    mistyped = SignerConfig(
        coordinator="127.0.0.1:1",
        free_disk_floor_bytes=0,
        limits={BTC.replace("slip44:0", "slip44:1"): Limit(per_day=1)},
    )
    assert BTC not in mistyped.limits
    with pytest.raises(BadConfig, match="charter does not list"):
        cluster.restart("s1", mistyped)
    cluster.restart("s1")


class BrokenService:
    """A signer whose database fails at the next request."""

    def answer(self, request: object, leader: bytes) -> object:
        raise StoreFailed("the disk is gone")

    def raised(self) -> None:
        return None


class EndingCall:
    """A stream that brings one request and ends."""

    def __init__(self) -> None:
        self._frames: list[Any] = [pb.LinkResponse(seq=1, promise=pb.Promise(term=1, leader=bytes(16))), grpc.aio.EOF]

    async def read(self) -> Any:
        return self._frames.pop(0)

    async def write(self, frame: object) -> None:
        return None

    async def details(self) -> str:
        return "the coordinator hung up"


@pytest.mark.parametrize("_", range(8))
async def test_failed_database_stops_the_daemon_though_the_stream_ends_too(_: int) -> None:
    services: Any = BrokenService()
    session = link_session.LinkSession(
        EndingCall(), services, lambda source: CatchUp(*[None] * 2, source), open_log(stream=io.StringIO())
    )  # type: ignore[arg-type]
    with pytest.raises(StoreFailed):
        await session.serve()


async def hang_up(requests: object, context: object) -> None:
    """A coordinator that ends every stream at once."""


async def babble(requests: object, context: Any) -> None:
    """A coordinator that sends bytes that are no protobuf."""
    await context.write(b"\xff\xff\xff")


@asynccontextmanager
async def session_with(cluster: Cluster, coordinator: Any) -> AsyncIterator[tuple[Any, Any]]:
    """The link of s1 over a real stream to this coordinator; it speaks raw bytes."""
    handler = grpc.stream_stream_rpc_method_handler(coordinator)
    service = pb.DESCRIPTOR.services_by_name["SignerLinkService"].full_name
    server = grpc.aio.server(handlers=[grpc.method_handlers_generic_handler(service, {"Link": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    signer = cluster.signers["s1"]
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = pb_grpc.SignerLinkServiceStub(channel).Link()
            yield call, link_session.LinkSession(call, signer.service, signer.catch_up, open_log(stream=io.StringIO()))
    finally:
        await server.stop(None)


OVER_THE_SCREEN = "gone)\x1b[1;1H\x1b[2Jcertified head 1204:aaaa\nterm 9\x9b8m\u202e"


async def cover(requests: object, context: Any) -> None:
    """A coordinator that ends the stream with what a terminal would obey."""
    await context.abort(grpc.StatusCode.UNAVAILABLE, OVER_THE_SCREEN)


@pytest.mark.attack(
    line="coordinator",
    title="a link ended with text that covers what `status` and `doctor` show",
    origin="CVE-2021-42574 and terminal escapes before it: what is printed is not what is there",
)
async def test_words_of_the_coordinator_stay_words_on_the_operators_screen(cluster: Cluster) -> None:
    async with session_with(cluster, cover) as (call, session):
        await call.code()
        with pytest.raises((link_session.LinkFailed, grpc.aio.AioRpcError)) as caught:
            await session.serve()
        kept = link_session.ended(await call.details()).message
    assert isinstance(caught.value, grpc.aio.AioRpcError) or caught.value.message == kept
    assert kept.isprintable()
    assert "certified head 1204:aaaa" in kept
    # However it should get there: nothing but the programs' own lines reach the screen.
    for last_error in (kept, OVER_THE_SCREEN):
        status = operator_pb.GetStatusResponse(signer="s1", last_error=last_error)
        shown = status_text(status), doctor.text_of([doctor._reach(status)])
        assert all(line.isprintable() for text in shown for line in text.split("\n"))
        assert [len(text.split("\n")) for text in shown] == [10, 2]


async def test_stream_that_ended_before_an_answer_is_a_failed_link(cluster: Cluster) -> None:
    async with session_with(cluster, hang_up) as (call, session):
        await call.code()
        with pytest.raises(link_session.LinkFailed):
            await session._send(pb.Failed(reason="LATE"))
        with pytest.raises(link_session.LinkFailed):
            await session.batches(0, 1)


async def test_attack_bytes_that_are_no_frame_fail_the_link_and_no_more(cluster: Cluster) -> None:
    async with session_with(cluster, babble) as (_, session):
        with pytest.raises(link_session.LinkFailed, match=r"no frame|the link ended"):
            await session.greet(cluster.signers["s1"].hello())


def proofs(kind: str) -> list[bytes]:
    """The genuine proof of a handover from the same genesis, one that does not follow, or none."""
    if kind in ("none", "malformed"):
        return [b"x"] if kind == "malformed" else []
    other = HandoverWorld(World(charter=builder.charter()))
    other.world.log(other.world.genesis())
    other.want(other.next_charter(*(builder.signer(name) for name in ("s1", "s2", "s4")), quorum=2))
    other.world.log(other.first(("s1", "s2", "s4")))
    second = other.second(("s1", "s2", "s4"))
    other.world.log(second)
    step = other.step(second)
    return [codec.encode(replace(step, record=replace(step.record, number=2)) if kind == "false" else step)]


@pytest.mark.attack(
    line="coordinator",
    title="proofs of handovers told again and again, past the queue of requests",
    origin="on paper: each costs thousands of signature checks, and none waits for its turn",
)
@pytest.mark.parametrize("kind", ["none", "malformed", "false", "known"])
async def test_attack_proofs_that_prove_nothing_new_end_the_link(cluster: Cluster, kind: str) -> None:
    told = pb.Witnesses(steps=proofs(kind))
    new = 1 if kind == "known" else 0

    async def insist(requests: object, context: Any) -> None:
        for number in range(1, link_session.MAX_BAD_FRAMES + 2):
            await context.write(pb.LinkResponse(seq=number, witnesses=told).SerializeToString())
        await asyncio.Event().wait()

    async with session_with(cluster, insist) as (_, session):
        with pytest.raises(link_session.LinkMisused, match="nothing new"):
            await asyncio.wait_for(session.serve(), 60)
        assert session._received == link_session.MAX_BAD_FRAMES + new


async def test_attack_requests_without_end_do_not_fill_the_memory(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator that sends on and on, and one that waits for each answer."""
    flood = pb.Append(term=9, first_index=0, entries=[bytes(60_000)] * 8, size=8, root=bytes(32))
    monkeypatch.setattr(link_session, "MAX_WAITING_BYTES", 1_000_000)

    async def hasty(requests: object, context: Any) -> None:
        for number in range(1, 60):
            await context.write(pb.LinkResponse(seq=number, append=flood).SerializeToString())

    async def patient(requests: Any, context: Any) -> None:
        for number in range(1, 5):
            await context.write(pb.LinkResponse(seq=number, append=flood).SerializeToString())
            await anext(requests)

    async with session_with(cluster, hasty) as (_, session):
        monkeypatch.setattr(session, "_answer_all", asyncio.Event().wait)
        with pytest.raises(link_session.LinkFailed, match="without waiting"):
            await session.serve()
    async with session_with(cluster, patient) as (_, session):
        with pytest.raises(link_session.LinkFailed, match="the link ended"):
            await session.serve()
        assert session._waiting_bytes == 0
