"""A signer's daemon and a coordinator's end of the link, over real gRPC with mutual TLS."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from electorate_of import always
from link_leader import Authority, LinkLeader, LinkOfOneSigner, key_pem
from signer_world import Cluster, refusal_of, signed
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.signer.v1 import signer_link_service_pb2_grpc as pb_grpc
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Tick
from strongroom.protocol.leader import NewTermCollection, TermOpening
from strongroom_coordinator.link import LinkServer
from strongroom_signer.link import Endpoint, Link
from strongroom_signer.link_session import RAISE_EVERY_S
from strongroom_signer.logs import open_log


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create()


class WatchedLog(io.StringIO):
    """A log that a test can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    def write(self, text: str) -> int:
        self._changed.set()
        return super().write(text)

    async def written(self, text: str) -> None:
        async with asyncio.timeout(20):
            while text not in self.getvalue():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def leading(
    cluster: Cluster, authority: Authority, *, signer: str = "s1", leader: bytes | None = None
) -> AsyncIterator[tuple[LinkLeader, LinkOfOneSigner, Link]]:
    """A coordinator, and the link of one signer to it."""
    coordinator = LinkLeader(cluster.world.log_id, leader or cluster.leader)
    await coordinator.start(authority)
    link = dial(cluster, authority, coordinator.port, signer=signer)
    task = asyncio.create_task(link.run())
    try:
        yield coordinator, await coordinator.next_link(), link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await coordinator.stop()


def dial(
    cluster: Cluster,
    authority: Authority,
    port: int,
    *,
    signer: str = "s1",
    address: str = "",
    log: io.StringIO | None = None,
) -> Link:
    part = cluster.signers[signer]
    key = ec.generate_private_key(ec.SECP256R1())
    uri = x509.UniformResourceIdentifier(f"spiffe://acme/signer/{signer}")
    endpoint = Endpoint(
        address=address or f"localhost:{port}",
        authority=authority.pem,
        certificate=authority.issue(key.public_key(), uri),
        key=key_pem(key),
    )
    return Link(
        endpoint,
        service=part.service,
        catch_up=part.catch_up,
        hello=part.hello,
        random=os.urandom,
        log=open_log(stream=log or io.StringIO(), raise_on_secret=True),
    )


async def test_term_append_and_release_over_the_wire(cluster: Cluster, authority: Authority) -> None:
    async with leading(cluster, authority) as (_, link, _):
        assert (link.hello.signer, link.hello.log_id) == ("s1", cluster.world.log_id)
        order = cluster.world.pay("customer-1", 100_000)
        cluster.sync()
        cluster.world.log_plan([order], [cluster.world.coin(150_000)])
        index, preview = cluster.world.replica.size - 1, cluster.world.previews[-1]
        append = cluster.append(preview, commit_for=[index])
        voted = await link.ask(append)
        assert voted.WhichOneof("body") == "voted"
        certificate = cluster.certify(preview)
        mine = voted.voted.commitments[0].commitments
        theirs = cluster.commit("s2", index).commitments
        request = pb.Release(
            certificate=codec.encode(certificate), sets=[pb.SigningSet(entry_index=index, commitments=[mine, theirs])]
        )
        released = await link.ask(request)
        assert released.released.results[0].WhichOneof("outcome") == "shares"


async def test_behind_signer_fetches_before_it_votes(cluster: Cluster, authority: Authority) -> None:
    behind = cluster.signers["s1"].copy.size
    for _ in range(3):
        cluster.tick(names=("s2", "s3"))
    cluster.world.log(Tick())
    preview = cluster.world.previews[-1]
    async with leading(cluster, authority) as (_, link, _):
        seq = link.send(cluster.append(preview))
        await serve_batches(cluster, link, behind)
        voted = await link.answer(seq)
        assert voted.WhichOneof("body") == "voted", voted
        assert cluster.signers["s1"].copy.size == preview.size


async def test_term_opened_is_sent_again_when_the_base_is_adopted(cluster: Cluster, authority: Authority) -> None:
    behind = cluster.signers["s1"].copy.size
    for _ in range(3):
        cluster.tick(names=("s2", "s3"))
    cluster.deliver(("s2", "s3"))
    opening = opening_of(cluster, ("s2", "s3"))
    async with leading(cluster, authority) as (_, link, _):
        seq = link.send(cluster.opening(opening))
        first = await link.answer(seq)
        assert first.term_opened.size == behind
        await serve_batches(cluster, link, behind)
        second = await link.answer(seq)
        assert opening.base is not None
        assert second.term_opened.size == opening.base.head.size


async def test_lying_batches_are_thrown_away(cluster: Cluster, authority: Authority) -> None:
    behind = cluster.signers["s1"].copy.size
    cluster.tick(names=("s2", "s3"))
    true = cluster.world.previews[-1]
    cluster.world.log(Tick())
    async with leading(cluster, authority) as (_, link, _):
        link.send(cluster.append(cluster.world.previews[-1]))
        for _ in range(3):
            asked = await link.next_asked()
            first = asked.fetch_batches.first_index
            entry = cluster.world.entry(Tick())
            lie = types_pb2.LogBatch(first_index=first, entries=[entry] * (true.size - first), certificate=b"")
            link.send(pb.Batches(batches=[lie]), reply_to=asked.seq)
            if first != behind:
                break
        promised = await link.ask(pb.Promise(term=cluster.term + 1, leader=cluster.leader))
        assert promised.WhichOneof("body") == "promised"
        assert cluster.signers["s1"].copy.size == behind


def opening_of(cluster: Cluster, names: tuple[str, ...]) -> TermOpening:
    cluster.term += 1
    collection = NewTermCollection(
        log_id=cluster.world.log_id, term=cluster.term, leader=cluster.leader, electorates=always(cluster.vote_keys, 2)
    )
    for name in names:
        promised = cluster.ask(name, pb.Promise(term=cluster.term, leader=cluster.leader))
        collection = collection.add(signed(promised.statement), codec.decode(Certificate, promised.certificate))
    opening = collection.opening(collection.electorates.own(0))
    assert opening is not None
    return opening


async def serve_batches(cluster: Cluster, link: LinkOfOneSigner, first: int) -> None:
    """Answer one FetchBatches from what s2 holds."""
    asked = await link.next_asked()
    assert asked.fetch_batches.first_index == first
    link.send(cluster.ask("s2", asked.fetch_batches), reply_to=asked.seq)


async def test_malformed_frame_is_answered_with_a_reason_and_the_link_goes_on(
    cluster: Cluster, authority: Authority
) -> None:
    async with leading(cluster, authority) as (_, link, _):
        failed = await link.ask(pb.Promise(term=9, leader=b"short"))
        assert failed.failed.reason == "FRAME_MALFORMED"
        again = await link.ask(pb.Promise(term=1, leader=bytes(16)))
        assert again.failed.reason == "TERM_ALREADY_PROMISED"


async def test_signer_dials_again_when_the_coordinator_ends_or_breaks_the_link(
    cluster: Cluster, authority: Authority
) -> None:
    async with leading(cluster, authority) as (coordinator, link, _):
        link.end()
        second = await coordinator.next_link()
        second.send(pb.Promise(term=5, leader=bytes(16)), seq=77)
        third = await coordinator.next_link()
        assert third.hello.signer == "s1"


async def test_two_daemons_with_one_tls_key_are_told_and_dial_ever_more_slowly(
    cluster: Cluster, authority: Authority
) -> None:
    """A copy of a folder takes the link of the first, and loses it to that: no fault of the network."""
    key = ec.generate_private_key(ec.SECP256R1())
    credentials = grpc.ssl_server_credentials(
        [(key_pem(key), authority.issue(key.public_key(), x509.DNSName("localhost")))],
        root_certificates=authority.pem,
        require_client_auth=True,
    )
    coordinator = LinkServer(
        log_id=cluster.world.log_id,
        organisation="acme",
        leader=cluster.leader,
        version="test",
        signers=lambda: frozenset({"s1"}),
    )
    server = grpc.aio.server()
    pb_grpc.add_SignerLinkServiceServicer_to_server(coordinator, server)
    port = server.add_secure_port("localhost:0", credentials)
    await server.start()
    logs = (WatchedLog(), WatchedLog())
    links = [dial(cluster, authority, port, log=log) for log in logs]
    with structlog.testing.capture_logs() as told:
        tasks = [asyncio.create_task(link.run()) for link in links]
        try:
            for log in logs:
                await log.written('"pause_s": 0.8')
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await server.stop(grace=None)
    for link, log in zip(links, logs, strict=True):
        failed = [line for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == "link.failed"]
        assert {line["reason"] for line in failed} == {"LINK_REPLACED"}
        assert "another daemon uses this signer's TLS key" in failed[0]["message"]
        assert [line["pause_s"] for line in failed][:3] == [0.2, 0.4, 0.8]
        assert link.replaced_ago_s is not None
    warned = [line for line in told if line["event"] == "link.replaced"]
    assert len(warned) >= 6
    assert {(line["log_level"], line["signer"]) for line in warned} == {("warning", "s1")}


@pytest.mark.parametrize(
    ("address", "why"),
    # No name server is asked for a name that none can have.
    [("127.0.0.1:1", "Connection refused"), ("no..such.host:7400", "no..such.host")],
)
async def test_a_coordinator_that_cannot_be_reached_is_told_with_the_cause(
    cluster: Cluster, authority: Authority, address: str, why: str
) -> None:
    log = WatchedLog()
    link = dial(cluster, authority, 0, address=address, log=log)
    task = asyncio.create_task(link.run())
    try:
        await log.written("link.failed")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert why in link.last_error
    assert json.loads(log.getvalue().splitlines()[0])["message"] == link.last_error


async def test_a_link_that_broke_off_by_itself_was_taken_by_nobody(cluster: Cluster, authority: Authority) -> None:
    async with leading(cluster, authority) as (coordinator, link, signer_link):
        link.end()
        await coordinator.next_link()
        assert signer_link.replaced_ago_s is None


async def test_unused_nonces_end_with_their_link_so_that_a_flapping_one_can_go_on_signing(
    cluster: Cluster, authority: Authority
) -> None:
    """A signer keeps n - t + 1 nonce sets for a plan; without this, a link that broke as often would use them up."""
    async with leading(cluster, authority) as (coordinator, first, _):
        link = first
        order = cluster.world.pay("customer-1", 100_000)
        cluster.sync()
        cluster.world.log_plan([order], [cluster.world.coin(150_000)])
        index = cluster.world.replica.size - 1
        await link.ask(cluster.append(cluster.world.previews[-1]))
        for _ in range(4):
            committed = await link.ask(pb.Commit(term=cluster.term, entry_indexes=[index]))
            assert committed.committed.results[0].WhichOneof("outcome") == "commitments"
            assert len(cluster.signers["s1"].nonces) == 1
            link.end()
            link = await coordinator.next_link()
        assert len(cluster.signers["s1"].nonces) == 0


async def test_words_handed_in_are_raised(cluster: Cluster, authority: Authority) -> None:
    async with leading(cluster, authority) as (_, link, signer_link):
        identifier = cluster.signers["s1"].inbox.freeze("", "I saw something")
        signer_link.raise_words()
        asked = await link.next_asked()
        assert asked.WhichOneof("body") == "raised"
        assert len(asked.raised.freezes) == 1
        assert len(identifier) == 32


async def test_words_in_entries_that_a_term_drops_are_raised_at_once(cluster: Cluster, authority: Authority) -> None:
    order = cluster.world.pay("customer-1", 100_000)
    cluster.sync()
    cluster.deliver()
    cluster.world.reject(order, "carol")
    cluster.vote("s1", cluster.world.previews[-1])
    opening = opening_of(cluster, ("s2", "s3"))
    async with leading(cluster, authority) as (_, link, _):
        opened = await link.ask(cluster.opening(opening))
        assert opened.term_opened.size == cluster.signers["s1"].copy.size
        async with asyncio.timeout(RAISE_EVERY_S / 2):
            asked = await link.next_asked()
        assert len(asked.raised.endorsements) == 1


async def test_coordinator_of_another_log_is_left(cluster: Cluster, authority: Authority) -> None:
    log = io.StringIO()
    coordinator = LinkLeader(bytes(32), cluster.leader)
    await coordinator.start(authority)
    link = dial(cluster, authority, coordinator.port, log=log)
    task = asyncio.create_task(link.run())
    await coordinator.next_link()
    await coordinator.next_link()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await coordinator.stop()
    events = [json.loads(line) for line in log.getvalue().splitlines()]
    assert any(event["event"] == "link.failed" and "another" in event["message"] for event in events)
    assert not any(event["event"] == "link.opened" for event in events)


async def test_coordinator_without_a_certificate_of_the_authority_is_not_trusted(
    cluster: Cluster, authority: Authority
) -> None:
    log = WatchedLog()
    coordinator = LinkLeader(cluster.world.log_id, cluster.leader)
    await coordinator.start(Authority.create())
    link = dial(cluster, authority, coordinator.port, log=log)
    task = asyncio.create_task(link.run())
    await log.written("link.failed")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await coordinator.stop()
    assert coordinator.links.empty()


async def test_refused_batch_is_signed(cluster: Cluster, authority: Authority) -> None:
    async with leading(cluster, authority) as (_, link, _):
        cluster.clock.advance(61_000)
        cluster.world.log(Tick())
        answer = await link.ask(cluster.append(cluster.world.previews[-1]))
        assert answer.WhichOneof("body") == "batch_refused"
        assert refusal_of_batch(answer) == "BATCH_TIME_OFF"


def refusal_of_batch(frame: pb.LinkRequest) -> str:
    result = pb.ShareResult(entry_index=0, refusal=frame.batch_refused.refusal)
    return refusal_of(result).reason
