"""A signer that is shown a term's certificates before the term's base takes both, in whatever order they come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from signer_world import Cluster
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Tick
from strongroom_signer.assembly import Signer
from strongroom_signer.catch_up import CatchUp
from strongroom_signer.frames import batches_of
from strongroom_signer.requests import LogBatch
from strongroom_signer.voting import EntriesMissing

OTHERS = ("s2", "s3")
FIT = 6
"""Batches of one small entry that fit in memory here."""


class LinkLost(Exception):
    """The coordinator sends no more."""


class Late:
    """s1 was away while the others opened a term at a base and went on in it; the coordinator keeps its opening."""

    def __init__(self, cluster: Cluster, *, own_batch: bool = False) -> None:
        self.cluster = cluster
        there = ("s1", *OTHERS) if own_batch else OTHERS
        cluster.tick(1, names=there)
        cluster.deliver(there)
        if own_batch:
            cluster.vote("s1", cluster.world.replica.preview(cluster.world.batch(Tick())))
        self.opening = cluster.open_term(OTHERS)
        assert cluster.certificate is not None
        self.base = cluster.certificate.head.size
        cluster.tick(14, names=OTHERS)
        self.newest = pb.Certify(certificate=codec.encode(cluster.certificate))

    @property
    def signer(self) -> Signer:
        return self.cluster.signers["s1"]

    def lacks(self, request: pb.Certify | pb.OpenTerm) -> Certificate:
        with pytest.raises(EntriesMissing) as missing:
            self.cluster.ask("s1", request)
        return missing.value.certificate

    def catch_up(self, *, until_final: int = 10**9) -> CatchUp:
        async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
            if self.signer.copy.final_size > until_final:
                raise LinkLost
            answer = self.cluster.ask("s2", pb.FetchBatches(first_index=first, end_index=end))
            return batches_of(answer)[:2]

        return self.cluster.catch_up("s1", fetch)

    def require_unharmed(self) -> None:
        """It adopts the base, takes what is certified in the term, and votes in it."""
        assert isinstance(self.cluster.ask("s1", self.opening), pb.TermOpened)
        assert self.signer.voting.state.adopted
        assert self.signer.alarm() == ("", "")
        held = self.signer.voting.state.held
        assert held is not None
        assert held.head.size <= self.signer.copy.size
        self.cluster.restart("s1")
        assert self.signer.alarm() == ("", "")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    made.deliver()
    yield made
    made.close()


@pytest.mark.attack(
    line="coordinator",
    title="certificates of a term first, its base when a part of them is final here, and the link cut between",
    origin="on paper: a lagging signer made to see a contradiction between two genuine messages",
)
async def test_attack_the_base_of_a_term_after_what_is_final_in_it(cluster: Cluster) -> None:
    late = Late(cluster)
    wanted = late.lacks(late.newest)
    with pytest.raises(LinkLost):
        await late.catch_up(until_final=late.base).run(wanted)
    assert late.signer.copy.final_size > late.base
    assert late.signer.voting.state.held_in_term is not None
    late.require_unharmed()


async def test_a_base_that_is_offered_again_after_the_certificates_of_its_term_is_adopted(cluster: Cluster) -> None:
    late = Late(cluster)
    late.lacks(late.opening)
    wanted = late.lacks(late.newest)
    await late.catch_up().run(wanted)
    late.require_unharmed()
    assert cluster.ask("s1", late.newest).certified_size == cluster.world.replica.size


async def test_a_long_branch_that_is_cut_in_the_term_contradicts_no_base_either(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom_signer.catch_up.MAX_UNCERTIFIED_BYTES", FIT * 4_096)
    late = Late(cluster, own_batch=True)
    wanted = late.lacks(late.newest)
    with pytest.raises(LinkLost):
        await late.catch_up(until_final=late.base).run(wanted)
    assert late.signer.voting.state.held_in_term is not None
    late.require_unharmed()
