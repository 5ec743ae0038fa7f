"""The link's rules on frames: numbering, what may answer what, and bounds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger.certificate_messages import Certificate, CertificateVote, Head
from strongroom_coordinator.errors import LinkBroken, SignerFailed, SignerMisbehaved, SignerSilent
from strongroom_coordinator.link import MAX_OPEN_REQUESTS, SignerLink
from strongroom_coordinator.link_frames import SignerHello, hello_of

LOG_ID = b"\x07" * 32


def hello_frame(**parts: Any) -> pb.LinkRequest:
    hello = {"signer": "s1", "log_id": LOG_ID, "boot_id": bytes(16), "version": "1", "rule_set": 1, **parts}
    return pb.LinkRequest(seq=1, hello=pb.Hello(**hello))


def link() -> SignerLink:
    hello = SignerHello(
        signer="s1", boot_id=bytes(16), version="1", term=0, size=0, certificate=None, rule_set=1, alarm=""
    )
    return SignerLink(hello)


async def serve_nothing(_link: SignerLink, _frame: pb.LinkRequest) -> None:
    return None


async def sent(opened: SignerLink, count: int) -> list[pb.LinkResponse]:
    frames = []
    async for frame in opened.outgoing():
        frames.append(frame)
        if len(frames) == count:
            break
    return frames


async def test_a_signer_that_is_given_nothing_has_what_it_said_when_it_came() -> None:
    """One that stopped with an alarm, for instance: it is not at term 0 without any entries."""
    opened = link()
    assert opened.held == (0, 0)
    head = Head(log_id=LOG_ID, term=3, size=17, root=bytes(32), state_digest=bytes(32))
    vote = CertificateVote(signer="s1", held_term=0, held_size=0, held_head=b"", signature=bytes(64))
    opened.hello = replace(opened.hello, certificate=Certificate(head=head, votes=(vote,)))
    assert opened.held == (3, 17)
    opened.given = (3, 20)
    assert opened.held == (3, 20)


@pytest.mark.parametrize(
    "frame",
    [
        pb.LinkRequest(seq=1, certified=pb.Certified()),
        pb.LinkRequest(seq=2, hello=hello_frame().hello),
        pb.LinkRequest(seq=1, reply_to=1, hello=hello_frame().hello),
        hello_frame(log_id=bytes(32)),
        hello_frame(boot_id=bytes(15)),
        hello_frame(certificate=b"\x01"),
        hello_frame(alarm="x" * 65),
        pb.LinkRequest(),
    ],
)
def test_malformed_first_frame_is_refused(frame: pb.LinkRequest) -> None:
    with pytest.raises(SignerMisbehaved):
        hello_of(frame, log_id=LOG_ID)


async def test_answer_reaches_who_asked() -> None:
    opened = link()
    first = opened.post(pb.Promise(term=1))
    second = opened.post(pb.Certify(certificate=b"x"))
    assert [frame.seq for frame in await sent(opened, 2)] == [1, 2]
    opened.receive(pb.LinkRequest(seq=2, reply_to=2, certified=pb.Certified(final_size=5)), serve_nothing)
    opened.receive(pb.LinkRequest(seq=3, reply_to=1, promised=pb.Promised()), serve_nothing)
    assert (await second).certified.final_size == 5
    assert (await first).WhichOneof("body") == "promised"


@pytest.mark.parametrize(
    "frame",
    [
        pb.LinkRequest(seq=3, reply_to=1, promised=pb.Promised()),
        pb.LinkRequest(seq=2, reply_to=2, promised=pb.Promised()),
        pb.LinkRequest(seq=2, reply_to=1, voted=pb.Voted()),
        pb.LinkRequest(seq=2, reply_to=1),
        pb.LinkRequest(seq=2, promised=pb.Promised()),
        pb.LinkRequest(seq=2, hello=pb.Hello()),
    ],
    ids=["gap", "never-asked", "wrong-kind", "empty", "unasked", "second-hello"],
)
async def test_frame_against_the_rules_is_misbehaviour(frame: pb.LinkRequest) -> None:
    opened = link()
    future = opened.post(pb.Promise(term=1))
    with pytest.raises(SignerMisbehaved):
        opened.receive(frame, serve_nothing)
    assert not future.done()


async def test_failure_carries_the_signers_reason() -> None:
    opened = link()
    future = opened.post(pb.Promise(term=1))
    opened.receive(pb.LinkRequest(seq=2, reply_to=1, failed=pb.Failed(reason="TERM_STALE")), serve_nothing)
    with pytest.raises(SignerFailed) as caught:
        await future
    assert caught.value.code == "TERM_STALE"


async def test_request_may_be_answered_more_than_once_until_the_last() -> None:
    opened = link()
    future = opened.post(pb.OpenTerm(term=1), is_last=lambda frame: frame.term_opened.size == 9)
    opened.receive(pb.LinkRequest(seq=2, reply_to=1, term_opened=pb.TermOpened(size=3)), serve_nothing)
    assert not future.done()
    opened.receive(pb.LinkRequest(seq=3, reply_to=1, term_opened=pb.TermOpened(size=9)), serve_nothing)
    assert (await future).term_opened.size == 9


async def test_end_of_the_link_fails_what_is_open_and_what_follows() -> None:
    opened = link()
    future = opened.post(pb.Promise(term=1))
    opened.close("gone")
    with pytest.raises(LinkBroken):
        await future
    with pytest.raises(LinkBroken):
        await opened.post(pb.Promise(term=2))
    assert await opened.closed() == "gone"


async def test_silence_ends_a_request_and_its_late_answer_is_dropped() -> None:
    opened = link()
    with pytest.raises(SignerSilent):
        await opened.request(pb.Promise(term=1), timeout_s=0.01)
    opened.receive(pb.LinkRequest(seq=2, reply_to=1, promised=pb.Promised()), serve_nothing)
    assert opened.is_open


async def test_signer_that_never_answers_loses_its_link() -> None:
    opened = link()
    futures = [opened.post(pb.Promise(term=1)) for _ in range(MAX_OPEN_REQUESTS + 1)]
    assert not opened.is_open
    assert all(isinstance(future.exception(), LinkBroken) for future in futures)


async def test_requests_of_a_signer_are_served_and_bounded() -> None:
    opened = link()
    release = asyncio.Event()

    async def serve(_link: SignerLink, _frame: pb.LinkRequest) -> Any:
        await release.wait()
        return pb.Batches()

    for seq in range(2, 10):
        opened.receive(pb.LinkRequest(seq=seq, fetch_batches=pb.FetchBatches(end_index=1)), serve)
    with pytest.raises(SignerMisbehaved, match="too many"):
        opened.receive(pb.LinkRequest(seq=10, fetch_batches=pb.FetchBatches(end_index=1)), serve)
    release.set()
    assert {frame.reply_to for frame in await sent(opened, 8)} == set(range(2, 10))
