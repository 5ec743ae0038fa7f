"""Fetching takes time, and the log goes on meanwhile: what was to be fetched must still be wanted when it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from electorate_of import certificate_by
from signer_world import VAULT, Cluster, Donor
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.replica import Batch, Preview
from strongroom_signer.catch_up import CannotCatchUp, CatchUp
from strongroom_signer.frames import batches_of
from strongroom_signer.requests import LogBatch
from strongroom_signer.voting import EntriesMissing


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


def secret_branch(cluster: Cluster, *batches: Batch) -> tuple[list[Preview], Certificate]:
    """Certify batches by s2 and s3 behind everybody's back: no signer holds their certificate."""
    world, known = cluster.world, cluster.certificate
    fork = world.replica.size
    previews = []
    for batch in batches:
        previews.append(world.replica.preview(Batch(first_index=world.replica.size, entries=batch.entries)))
        world.replica.push(previews[-1])
        votes = [cluster.vote(name, previews[-1], certificate=known) for name in ("s2", "s3")]
    world.replica.truncate(fork)
    return previews, certificate_by(votes, 2)


async def test_attack_branch_of_an_earlier_term_that_arrives_after_a_later_certificate(cluster: Cluster) -> None:
    world = cluster.world
    order = world.pay(VAULT, 100_000)
    cluster.sync()
    cluster.deliver()
    common = list(world.previews)
    fork = world.replica.size
    hidden = world.plan([order], [world.coin(150_000)])
    branch, vanished = secret_branch(cluster, world.batch(hidden), world.batch(Tick()))
    with pytest.raises(EntriesMissing) as missing:
        cluster.ask("s1", pb.Certify(certificate=codec.encode(vanished)))

    asked: list[int] = []

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        asked.append(first)
        if cluster.term == 1:
            cluster.open_term(("s2", "s3", "s1"))
            world.log_plan([order], [world.coin(170_000)])
            cluster.sync()
            cluster.deliver()
        return tuple(
            LogBatch(first_index=one.batch.first_index, entries=one.batch.entries, certificate=b"")
            for one in (*common, *branch)
            if one.batch.first_index >= first
        )

    signer = cluster.signers["s1"]
    with pytest.raises(CannotCatchUp):
        await cluster.catch_up(signer.name, fetch).run(missing.value.certificate)
    assert len(asked) == 1, "what is not wanted any more is asked for no second time"
    assert signer.voting.state.held == cluster.certificate
    assert signer.copy.replica.root_at(fork + 1) == world.replica.root_at(fork + 1)
    assert signer.store.entry(fork) == world.previews[-1].batch.entries[0]
    first, second = cluster.commit("s1", fork), cluster.commit("s2", fork)
    assert {one.WhichOneof("outcome") for one in (first, second)} == {"commitments"}
    cluster.restart("s1")
    cluster.tick()


class GoesOn(Donor):
    """Gives everything, but lets the signer promise another term before the last answer comes."""

    async def recovery(self, hashes: Sequence[bytes]) -> tuple[bytes, ...]:
        with suppress(EntriesMissing):
            self.cluster.open_term(("s2", "s3", "s1"))
        return await super().recovery(hashes)


async def test_another_branch_takes_no_place_once_the_signer_went_on_while_its_recovery_data_came(
    cluster: Cluster,
) -> None:
    world = cluster.world
    cluster.sync()
    cluster.deliver()
    cluster.vote("s1", world.replica.preview(world.batch(Tick())))
    cluster.open_term(("s2", "s3"))
    world.make_vault("customer-2")
    cluster.sync(("s2", "s3"))
    cluster.tick(2, names=("s2", "s3"))
    assert cluster.certificate is not None
    with pytest.raises(EntriesMissing) as missing:
        cluster.ask("s1", pb.Certify(certificate=codec.encode(cluster.certificate)))

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        return batches_of(cluster.ask("s2", pb.FetchBatches(first_index=first, end_index=end)))

    signer = cluster.signers["s1"]
    before = signer.copy.replica.head(signer.copy.size)
    with pytest.raises(CannotCatchUp, match="went on from the place"):
        await CatchUp(signer.copy, signer.voting, GoesOn(cluster, fetch)).run(missing.value.certificate)
    assert signer.copy.replica.head(signer.copy.size) == before


async def test_target_of_an_earlier_term_is_not_fetched_at_all(cluster: Cluster) -> None:
    cluster.sync()
    cluster.deliver()
    _, vanished = secret_branch(cluster, cluster.world.batch(Tick()))
    with pytest.raises(EntriesMissing) as missing:
        cluster.ask("s1", pb.Certify(certificate=codec.encode(vanished)))
    cluster.open_term(("s2", "s3", "s1"))

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        raise AssertionError("nothing is asked for")

    signer = cluster.signers["s1"]
    with pytest.raises(CannotCatchUp):
        await cluster.catch_up(signer.name, fetch).run(missing.value.certificate)


async def test_what_a_signer_holds_already_is_not_fetched_at_all(cluster: Cluster) -> None:
    cluster.sync()
    cluster.deliver()
    held = cluster.certificate
    cluster.tick()
    cluster.deliver()

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        raise AssertionError("nothing is asked for")

    for certificate in (held, cluster.certificate):
        assert certificate is not None
        with pytest.raises(CannotCatchUp, match="no longer what this signer lacks"):
            await cluster.catch_up("s1", fetch).run(certificate)


async def test_attack_same_entries_in_other_batches_keep_no_signer_out_of_a_term(cluster: Cluster) -> None:
    """One signer is shown two entries as one batch, the others the first alone; then the leader is replaced."""
    world = cluster.world
    cluster.sync()
    cluster.deliver()
    known = cluster.certificate
    first, second = world.entry(Tick()), world.entry(Tick())
    fork = world.replica.size
    both = world.replica.preview(Batch(first_index=fork, entries=(first, second)))
    cluster.vote("s1", both)
    alone = world.replica.preview(Batch(first_index=fork, entries=(first,)))
    world.replica.push(alone)
    world.previews.append(alone)
    votes = [cluster.vote(name, alone, certificate=known) for name in ("s2", "s3")]
    cluster.certificate = certificate_by(votes, 2)
    cluster.sent += 1
    cluster.deliver(("s2", "s3"))
    with pytest.raises(EntriesMissing) as missing:
        cluster.open_term(("s2", "s1"))

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        return batches_of(cluster.ask("s2", pb.FetchBatches(first_index=first, end_index=end)))

    signer = cluster.signers["s1"]
    await cluster.catch_up(signer.name, fetch).run(missing.value.certificate)
    signer.voting.adopt()
    assert signer.copy.size == alone.size
    cluster.restart("s1")
    cluster.tick(names=("s1", "s2"))
