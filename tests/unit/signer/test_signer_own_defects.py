"""A defect of this program, met over bytes that somebody sent, costs a vote and not the daemon; none is silent."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from signer_world import VAULT, Cluster
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.order_messages import Freeze, Scope
from strongroom.ledger.replica import Draft
from strongroom.ledger.signed_messages import Refusal, Signed, Verb
from strongroom.ledger.state import decode_order
from strongroom.protocol.signed import SignedBody
from strongroom_signer import requests
from strongroom_signer.catch_up import CatchUp
from strongroom_signer.inbox import GRACE_MS
from strongroom_signer.link_session import LinkSession, _Waiting
from strongroom_signer.log_copy import CannotJudge
from strongroom_signer.logs import open_log
from strongroom_signer.requests import LogBatch
from strongroom_signer.service import Service
from strongroom_signer.voting import EntriesMissing


def attack(how: str) -> pytest.MarkDecorator:
    return pytest.mark.attack(
        line="coordinator",
        title=f"an entry over which this machine's libraries fail: {how}",
        origin="OpenSSL 3.0 and FIPS builds lack RIPEMD-160: anybody's proposal ends the daemon, again at every start",
    )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


POISON = b"?"
ADD = Draft.add


def broken(draft: Draft, entry: bytes) -> None:
    """Replay where the library that one entry needs is not there."""
    if entry == POISON:
        raise ValueError("unsupported hash type")
    ADD(draft, entry)


@attack("in a batch to vote for")
def test_attack_batch_over_which_the_replay_fails(cluster: Cluster) -> None:
    cluster.world.log(Tick())
    request = cluster.append(cluster.world.previews[-1])
    poisoned = cluster.append(cluster.world.previews[-1], entries=[POISON])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Draft, "add", broken)
        answer = cluster.ask("s1", poisoned)
    assert isinstance(answer, pb.BatchRefused)
    refusal = codec.decode(Refusal, answer.refusal.body)
    assert (refusal.reason, refusal.entry_index) == ("ENTRIES_NOT_JUDGED", request.first_index)
    assert isinstance(cluster.ask("s1", request), pb.Voted)


@attack("among entries that are fetched")
@pytest.mark.parametrize("branched", [False, True])
async def test_attack_fetched_entries_over_which_the_replay_fails(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, branched: bool
) -> None:
    world, signer = cluster.world, cluster.signers["s1"]
    cluster.deliver()
    if branched:
        cluster.vote("s1", world.replica.preview(world.batch(Tick())))
        cluster.open_term(("s2", "s3"))
    cluster.tick(names=("s2", "s3"))
    assert cluster.certificate is not None
    with pytest.raises(EntriesMissing) as missing:
        cluster.ask("s1", pb.Certify(certificate=codec.encode(cluster.certificate)))
    before = signer.copy.size

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        return (LogBatch(first_index=first, entries=(POISON,), certificate=b""),)

    monkeypatch.setattr(Draft, "add", broken)
    with pytest.raises(CannotJudge):
        await cluster.catch_up("s1", fetch).run(missing.value.certificate)
    assert signer.copy.size == before


def breaking(monkeypatch: pytest.MonkeyPatch, said: Signed, error: type[Exception]) -> None:
    """From now on the replay fails over every entry that holds somebody's word."""

    def broken_over_it(draft: Draft, entry: bytes) -> None:
        if said.signature in entry:
            raise error("unsupported hash type")
        ADD(draft, entry)

    monkeypatch.setattr(Draft, "add", broken_over_it)


def rejected_by_hand(cluster: Cluster) -> tuple[bytes, Signed]:
    """An order in the log, and carol's rejection, which s1 got long ago and no log took up."""
    order = cluster.world.pay(VAULT, 100_000)
    cluster.tick()
    said = cluster.world.endorsement("carol", Verb.REJECT, order)
    cluster.signers["s1"].inbox.hand_in(b"", [SignedBody.of(said)])
    cluster.wait(GRACE_MS + 1)
    return order, said


@attack("in a word that a stolen key hands in")
def test_attack_word_over_which_the_replay_fails(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    order, said = rejected_by_hand(cluster)
    inbox = cluster.signers["s1"].inbox
    assert "rejection" in inbox.withheld()
    breaking(monkeypatch, said, ValueError)
    assert inbox.withheld() == ""
    cluster.tick()
    record = cluster.world.state.order(order)
    assert record is not None
    assert inbox.rejection_of(order, decode_order(record.order)) is not None


def test_a_lack_of_memory_says_nothing_about_a_word_that_is_withheld(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, said = rejected_by_hand(cluster)
    breaking(monkeypatch, said, MemoryError)
    with pytest.raises(CannotJudge):
        cluster.tick()


@attack("among the words beside a freeze that is handed in")
def test_attack_freeze_beside_a_word_over_which_the_replay_fails(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The freeze itself can still be handed in: nothing that cannot be logged with it takes its place."""
    world, inbox = cluster.world, cluster.signers["s1"].inbox
    freeze = world.order(Freeze(scope=Scope.ALL, vault="", why="looks wrong"))
    own, stolen = world.endorsement("dave", Verb.INITIATE, freeze), world.endorsement("alice", Verb.APPROVE, freeze)
    breaking(monkeypatch, stolen, ValueError)
    with pytest.raises(CannotJudge):
        inbox.hand_in(freeze, [SignedBody.of(own), SignedBody.of(stolen)])
    assert not inbox.items
    inbox.hand_in(freeze, [SignedBody.of(own)])
    assert inbox.handed_freeze_of(VAULT)


async def test_a_request_over_which_the_signer_breaks_is_named_before_it_stops() -> None:
    class Broken:
        def answer(self, *_: object) -> Any:
            raise ValueError("x")

    stream = io.StringIO()
    session = LinkSession(None, cast(Service, Broken()), lambda _: cast(CatchUp, None), open_log(stream=stream))
    with pytest.raises(ValueError, match="x"):
        await session._answer(_Waiting(1, requests.Commit(term=1, entry_indexes=()), 0))
    line = json.loads(stream.getvalue())
    assert (line["event"], line["request"], line["error"]) == ("request.broken", "Commit", "ValueError")
