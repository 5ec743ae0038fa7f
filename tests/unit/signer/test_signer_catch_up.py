"""Fetching what is missing: extensions, forks, lies, and old finality."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from handover_world import HandoverWorld
from signer_world import Cluster
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.reasons import Refused
from strongroom_signer.catch_up import CannotCatchUp, CatchUp
from strongroom_signer.frames import batches_of
from strongroom_signer.requests import LogBatch
from strongroom_signer.store import StoreFailed
from strongroom_signer.voting import EntriesMissing


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


def catch_up(cluster: Cluster, name: str, *, donor: str = "s2", most: int = 2) -> CatchUp:
    """Fetches from another signer, a few batches at a time."""

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        answer = cluster.ask(donor, pb.FetchBatches(first_index=first, end_index=end))
        return batches_of(answer)[:most]

    return cluster.catch_up(name, fetch, donor=donor)


def missing_of(cluster: Cluster, name: str, request: object) -> EntriesMissing:
    with pytest.raises(EntriesMissing) as missing:
        cluster.ask(name, request)
    return missing.value


async def test_absent_signer_catches_up_and_folds_on_the_way(cluster: Cluster) -> None:
    for _ in range(3):
        cluster.plan()
        for name in cluster.signers:
            cluster.signers[name].nonces.drop_all()
    before = cluster.signers["s1"].copy.final_size
    for _ in range(6):
        cluster.tick(names=("s2", "s3"))
    cluster.deliver(("s2", "s3"))
    assert cluster.certificate is not None
    request = pb.Certify(certificate=codec.encode(cluster.certificate))
    missing = missing_of(cluster, "s1", request)
    await catch_up(cluster, "s1").run(missing.certificate)
    signer = cluster.signers["s1"]
    assert signer.copy.size == cluster.world.replica.size
    assert signer.copy.final_size > before
    assert cluster.ask("s1", request).certified_size == signer.copy.size
    cluster.restart("s1")
    cluster.tick()


async def test_new_signer_builds_everything_from_nothing(cluster: Cluster) -> None:
    cluster.tick(2)
    cluster.deliver()
    empty = Cluster.empty(cluster.root / "second")
    empty.signers["s2"].close()
    empty.signers["s2"] = cluster.signers["s2"]
    empty.certificate, empty.term = cluster.certificate, cluster.term
    assert cluster.certificate is not None
    missing = missing_of(empty, "s1", pb.Certify(certificate=codec.encode(cluster.certificate)))
    await catch_up(empty, "s1").run(missing.certificate)
    empty.ask("s1", pb.Certify(certificate=codec.encode(cluster.certificate)))
    signer = empty.signers["s1"]
    assert signer.copy.size == cluster.world.replica.size
    assert signer.shares.has("customer-1", 1) or signer.copy.final().vault("customer-1") is not None
    for name in ("s1", "s3"):
        empty.signers[name].close()


async def test_branch_that_no_term_took_up_is_replaced(cluster: Cluster) -> None:
    world = cluster.world
    cluster.deliver()
    kept = world.replica.size
    lost = world.replica.preview(world.batch(Tick()))
    cluster.vote("s1", lost)
    cluster.open_term(("s2", "s3"))
    world.log(Tick())
    cluster.sync(("s2", "s3"))
    world.log(Tick())
    cluster.sync(("s2", "s3"))
    cluster.deliver(("s2", "s3"))
    assert cluster.certificate is not None
    request = pb.Certify(certificate=codec.encode(cluster.certificate))
    missing = missing_of(cluster, "s1", request)
    await catch_up(cluster, "s1").run(missing.certificate)
    signer = cluster.signers["s1"]
    assert signer.copy.replica.root_at(world.replica.size) == world.replica.root_at(world.replica.size)
    assert cluster.ask("s1", request).certified_size == world.replica.size > kept
    cluster.restart("s1")
    assert cluster.signers["s1"].copy.size == world.replica.size


async def test_replaced_branch_and_the_certificate_it_leads_to_are_one_commit(cluster: Cluster) -> None:
    world = cluster.world
    cluster.deliver()
    cluster.vote("s1", world.replica.preview(world.batch(Tick())))
    cluster.open_term(("s2", "s3"))
    world.log(Tick())
    cluster.sync(("s2", "s3"))
    assert cluster.certificate is not None
    missing = missing_of(cluster, "s1", pb.Certify(certificate=codec.encode(cluster.certificate)))
    store = cluster.signers["s1"].store
    entries = store.entries(0, store.size())
    store._db.execute("CREATE TEMP TRIGGER broken BEFORE INSERT ON certificate BEGIN SELECT RAISE(ABORT, 'disk'); END")
    with pytest.raises(StoreFailed):
        await catch_up(cluster, "s1").run(missing.certificate)
    assert store.entries(0, store.size()) == entries
    store._db.execute("DROP TRIGGER broken")
    cluster.restart("s1")
    await catch_up(cluster, "s1").run(missing.certificate)
    assert cluster.signers["s1"].voting.state.held == cluster.certificate


async def test_lies_change_nothing_that_is_stored(cluster: Cluster) -> None:
    cluster.tick(2, names=("s2", "s3"))
    assert cluster.certificate is not None
    signer = cluster.signers["s1"]
    missing = missing_of(cluster, "s1", pb.Certify(certificate=codec.encode(cluster.certificate)))
    before = (signer.copy.size, signer.store.size(), signer.copy.replica.head())

    async def lie(first: int, end: int) -> tuple[LogBatch, ...]:
        entries = tuple(cluster.world.entry(Tick()) for _ in range(end - first))
        return (LogBatch(first_index=first, entries=entries, certificate=b""),)

    async def nothing(first: int, end: int) -> tuple[LogBatch, ...]:
        return ()

    async def elsewhere(first: int, end: int) -> tuple[LogBatch, ...]:
        return (LogBatch(first_index=first + 1, entries=(b"x",), certificate=b""),)

    async def more(first: int, end: int) -> tuple[LogBatch, ...]:
        entries = tuple(cluster.world.entry(Tick()) for _ in range(end - first + 1))
        return (LogBatch(first_index=first, entries=entries, certificate=b""),)

    async def garbage(first: int, end: int) -> tuple[LogBatch, ...]:
        return (LogBatch(first_index=first, entries=(cluster.world.entry(cluster.world.genesis()),), certificate=b""),)

    lies: dict[Callable[[int, int], Awaitable[tuple[LogBatch, ...]]], str] = {
        lie: "do not give the certified root",
        nothing: "did not send the entries",
        elsewhere: "did not send the entries",
        more: "did not send the entries",
        garbage: "genesis",
    }
    for fetch, problem in lies.items():
        with pytest.raises((CannotCatchUp, Refused), match=problem):
            await cluster.catch_up(signer.name, fetch).run(missing.certificate)
        assert (signer.copy.size, signer.store.size(), signer.copy.replica.head()) == before
    await catch_up(cluster, "s1").run(missing.certificate)
    assert signer.copy.size == cluster.world.replica.size


@pytest.mark.attack(line="coordinator", title="disk filling in catch-up", origin="on paper: disks filled with entries")
async def test_endless_entries_without_a_certificate_are_cut_off(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom_signer.catch_up.MAX_UNCERTIFIED_BYTES", 100)
    cluster.tick(6, names=("s2", "s3"))
    assert cluster.certificate is not None
    missing = missing_of(cluster, "s1", pb.Certify(certificate=codec.encode(cluster.certificate)))
    asked = 0

    async def bare(first: int, end: int) -> tuple[LogBatch, ...]:
        nonlocal asked
        asked += 1
        answer = cluster.ask("s2", pb.FetchBatches(first_index=first, end_index=end))
        return tuple(
            LogBatch(first_index=one.first_index, entries=one.entries, certificate=b"")
            for one in batches_of(answer)[:1]
        )

    with pytest.raises(CannotCatchUp, match=r"without any certificate|more entries than fit"):
        await cluster.catch_up("s1", bare).run(missing.certificate)
    assert asked < 30


async def test_a_certificate_on_the_way_ends_what_is_counted_as_uncertified(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom_signer.catch_up.MAX_UNCERTIFIED_BYTES", 2 * 4_096)
    cluster.tick(6, names=("s2", "s3"))
    assert cluster.certificate is not None
    missing = missing_of(cluster, "s1", pb.Certify(certificate=codec.encode(cluster.certificate)))
    await catch_up(cluster, "s1").run(missing.certificate)
    assert cluster.signers["s1"].copy.size == cluster.world.replica.size


async def far_behind(cluster: Cluster) -> Certificate:
    """s1 alone stores a batch and goes away; the log goes on without it."""
    cluster.deliver()
    cluster.vote("s1", cluster.world.replica.preview(cluster.world.batch(Tick())))
    cluster.open_term(("s2", "s3"))
    cluster.tick(12, names=("s2", "s3"))
    assert cluster.certificate is not None
    return missing_of(cluster, "s1", pb.Certify(certificate=codec.encode(cluster.certificate))).certificate


async def test_a_signer_that_holds_a_dropped_batch_comes_back_however_far_the_log_went_on(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = await far_behind(cluster)
    monkeypatch.setattr("strongroom_signer.catch_up.MAX_UNCERTIFIED_BYTES", 5 * 4_096)
    await catch_up(cluster, "s1").run(wanted)
    assert cluster.signers["s1"].copy.size == cluster.world.replica.size


@pytest.mark.parametrize("kind", ["root", "votes"])
async def test_certificates_that_cover_nothing_or_are_nobodys_let_no_more_entries_through(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    wanted = await far_behind(cluster)
    monkeypatch.setattr("strongroom_signer.catch_up.MAX_UNCERTIFIED_BYTES", 5 * 4_096)

    def changed(certificate: Certificate, kind: str) -> Certificate:
        if kind == "root":
            # By the same signers, for another way that the log went.
            other = replace(certificate.head, root=bytes(32))
            return HandoverWorld(cluster.world).certificate(("s2", "s3"), head=other)
        return replace(certificate, votes=certificate.votes[:1])

    async def fetch(first: int, end: int, kind: str) -> tuple[LogBatch, ...]:
        answer = cluster.ask("s2", pb.FetchBatches(first_index=first, end_index=end))
        given = []
        for one in batches_of(answer)[:2]:
            held = codec.decode(Certificate, one.certificate) if one.certificate else None
            data = codec.encode(changed(held, kind)) if held is not None else b""
            given.append(replace(one, certificate=data))
        return tuple(given)

    with pytest.raises(CannotCatchUp, match="without any certificate"):
        await cluster.catch_up("s1", partial(fetch, kind=kind)).run(wanted)


@pytest.mark.parametrize("went_another_way", [False, True])
async def test_many_small_batches_without_a_certificate_count_for_more_than_their_bytes(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, went_another_way: bool
) -> None:
    if went_another_way:
        cluster.deliver()
        cluster.vote("s1", cluster.world.replica.preview(cluster.world.batch(Tick())))
        cluster.open_term(("s2", "s3"))
    cluster.tick(6, names=("s2", "s3"))
    assert cluster.certificate is not None
    missing = missing_of(cluster, "s1", pb.Certify(certificate=codec.encode(cluster.certificate)))

    async def bare(first: int, end: int) -> tuple[LogBatch, ...]:
        answer = cluster.ask("s2", pb.FetchBatches(first_index=first, end_index=end))
        return tuple(
            LogBatch(first_index=one.first_index, entries=one.entries, certificate=b"") for one in batches_of(answer)
        )

    monkeypatch.setattr("strongroom_signer.catch_up.MAX_UNCERTIFIED_BYTES", 5 * 4_096)
    with pytest.raises(CannotCatchUp, match=r"without any certificate|more entries than fit"):
        await cluster.catch_up("s1", bare).run(missing.certificate)
    monkeypatch.setattr("strongroom_signer.catch_up.MAX_UNCERTIFIED_BYTES", 10 * 4_096)
    await cluster.catch_up("s1", bare).run(missing.certificate)
    assert cluster.signers["s1"].copy.size == cluster.world.replica.size
