"""A certified branch of any length takes the place of the own one in bounded memory, and across crashes."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from charter_builder import signing_key
from electorate_of import certificate_by, electorate
from signer_world import VAULT, Cluster, Fetch, open_folder
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.replica import Preview
from strongroom.ledger.signed_messages import Verb, Vote
from strongroom.protocol.certificates import NO_CERTIFICATE, sign_vote, verify_vote
from strongroom.protocol.voter_state import VoterStopped
from strongroom_signer.assembly import Signer
from strongroom_signer.catch_up import BranchTooLong, CannotCatchUp
from strongroom_signer.frames import batches_of
from strongroom_signer.requests import LogBatch
from strongroom_signer.store import StoreFailed
from strongroom_signer.voting import EntriesMissing

FIT = 6
"""Batches of one small entry that fit in memory here."""
OTHERS = ("s2", "s3")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    monkeypatch.setattr("strongroom_signer.catch_up.MAX_UNCERTIFIED_BYTES", FIT * 4_096)
    yield made
    made.close()


@pytest.fixture
def only_newer_objects() -> Iterator[None]:
    """The collector sees nothing that was there before: neither what earlier tests left nor the programs themselves."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def in_memory() -> tuple[int, int]:
    """Batches as they were fetched, and batches replayed, that are in this process."""
    gc.collect()
    found = gc.get_objects()
    return sum(isinstance(one, LogBatch) for one in found), sum(isinstance(one, Preview) for one in found)


class Away:
    """s1 comes back after the log went on without it, beside what it alone has stored, or holds."""

    def __init__(self, cluster: Cluster, *, is_held: bool, count: int = 40) -> None:
        world = cluster.world
        self.cluster = cluster
        order = world.pay(VAULT, 50_000)
        cluster.sync()
        cluster.deliver()
        self.private = world.replica.preview(world.batch(world.endorse("dave", Verb.REJECT, order)))
        votes = [cluster.vote(name, self.private) for name in (("s1", "s2") if is_held else ("s1",))]
        if is_held:
            cluster.ask("s1", pb.Certify(certificate=codec.encode(certificate_by(votes, 2))))
        cluster.open_term(OTHERS)
        cluster.tick(count, names=OTHERS)
        self.last_vote = self.signer.voting.state.last_vote
        self.before = self.stored()
        self.wanted = self.missing()
        self.asked: list[int] = []

    @property
    def signer(self) -> Signer:
        return self.cluster.signers["s1"]

    @property
    def request(self) -> pb.Certify:
        assert self.cluster.certificate is not None
        return pb.Certify(certificate=codec.encode(self.cluster.certificate))

    def stored(self) -> tuple[bytes, ...]:
        store = self.signer.store
        return store.entries(0, store.size())

    def missing(self) -> Certificate:
        with pytest.raises(EntriesMissing) as missing:
            self.cluster.ask("s1", self.request)
        return missing.value.certificate

    async def fetch(self, first: int, end: int) -> tuple[LogBatch, ...]:
        """Two batches at a time."""
        self.asked.append(first)
        answer = self.cluster.ask("s2", pb.FetchBatches(first_index=first, end_index=end))
        return batches_of(answer)[:2]

    async def come_back(self, fetch: Fetch | None = None) -> None:
        await self.cluster.catch_up("s1", fetch or self.fetch).run(self.wanted)

    def require_whole(self) -> None:
        """What is held is stored, and nothing was said or forgotten on the way."""
        signer = self.signer
        state, replica = signer.voting.state, signer.copy.replica
        assert state.held is not None
        assert replica.root_at(state.held.head.size) == state.held.head.root
        assert state.last_vote == self.last_vote
        assert not state.alarm
        assert [word.kind for word in signer.inbox.items] == ["rejection"] * (self.stored() != self.before)

    def require_back(self) -> None:
        """s1 holds what the others do, and votes for what comes next; never again for what it voted for before."""
        cluster, world = self.cluster, self.cluster.world
        assert cluster.ask("s1", self.request).certified_size == world.replica.size
        self.require_whole()
        assert self.signer.copy.replica.head() == world.replica.head()
        cluster.restart("s1")
        self.require_whole()
        known = self.last_vote
        assert known is not None
        cluster.open_term()
        cluster.tick(2)
        said = codec.decode(Vote, self.signer.voting.state.last_vote.body)  # type: ignore[union-attr]
        first = codec.decode(Vote, known.body)
        assert (said.term, said.size) > (first.term, first.size)


HELD = pytest.mark.parametrize("is_held", [False, True])


@HELD
@pytest.mark.usefixtures("only_newer_objects")
async def test_no_more_of_a_long_certified_branch_is_in_memory_than_fits(cluster: Cluster, is_held: bool) -> None:
    away = Away(cluster, is_held=is_held)
    fetched, replayed = in_memory()
    found: list[tuple[int, int]] = []

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        found.append(in_memory())
        return await away.fetch(first, end)

    await away.come_back(fetch)
    assert len(away.asked) > 3 * FIT
    assert 0 < max(batches for batches, _ in found) - fetched <= 2 * FIT
    assert 0 < max(previews for _, previews in found) - replayed <= 2 * FIT
    assert len(away.signer.copy.replica.batch_borders()) <= 2 * FIT
    away.require_back()


@HELD
async def test_a_branch_that_fits_takes_the_place_at_once_when_it_is_whole(cluster: Cluster, is_held: bool) -> None:
    away = Away(cluster, is_held=is_held, count=FIT)

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        assert away.stored() == away.before
        return await away.fetch(first, end)

    await away.come_back(fetch)
    away.require_back()


@HELD
async def test_only_what_a_certificate_covers_takes_the_place(cluster: Cluster, is_held: bool) -> None:
    """Certificates come with some batches only; of those between none is stored before the next certificate comes."""
    away = Away(cluster, is_held=is_held)
    ends = {len(away.before)}

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        assert away.signer.store.size() == away.signer.copy.size
        ends.add(away.signer.store.size())
        fetched = await away.fetch(first, end)
        return tuple(replace(one, certificate=b"") if one.size % 4 else one for one in fetched)

    await away.come_back(fetch)
    assert len(ends) > 3
    assert {end % 4 for end in ends - {len(away.before)}} == {0}
    away.require_back()


@HELD
async def test_certificates_beyond_what_took_the_place_are_not_stored(cluster: Cluster, is_held: bool) -> None:
    """They are genuine, and of a term of which this signer has not heard: nothing gives way under them."""
    away = Away(cluster, is_held=is_held)
    start = len(away.before)

    def of_later_term(batch: LogBatch) -> LogBatch:
        head = replace(codec.decode(Certificate, batch.certificate).head, term=cluster.term + 1)
        keys = electorate(cluster.vote_keys)
        votes = [
            verify_vote(name, said, log_id=cluster.world.log_id, electorate=keys)
            for name in OTHERS
            for said in [sign_vote(signing_key(f"{name} vote"), head, NO_CERTIFICATE)]
        ]
        return replace(batch, certificate=codec.encode(certificate_by(votes, 2)))

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        if away.stored() != away.before:
            raise ConnectionError
        fetched = await away.fetch(first, end)
        return tuple(of_later_term(one) if one.size > start + 3 else one for one in fetched)

    with pytest.raises(ConnectionError):
        await away.come_back(fetch)
    size = away.signer.store.size()
    assert size == start + 3
    assert [away.signer.store.certificate(at) for at in range(size + 1, size + 2 * FIT)] == [None] * (2 * FIT - 1)
    await away.come_back()
    away.require_back()


def crash(away: Away, root: Path) -> None:
    """The machine loses power: what runs next is what was on its disk."""
    cluster = away.cluster
    shutil.copytree(cluster.folders["s1"], root)
    cluster.signers["s1"].close()
    cluster.folders["s1"] = root
    cluster.signers["s1"] = open_folder(root, cluster.clock)


@HELD
async def test_a_crash_at_any_place_of_a_catch_up_loses_nothing_and_the_next_start_goes_on_there(
    cluster: Cluster, is_held: bool, tmp_path: Path
) -> None:
    away = Away(cluster, is_held=is_held)

    class PowerLost(Exception):
        pass

    left = 0

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        nonlocal left
        if not left:
            raise PowerLost
        left -= 1
        return await away.fetch(first, end)

    went_on = 0
    for attempt in range(30):
        left = 8
        size = away.signer.store.size()
        went_on += size > len(away.before) + FIT
        try:
            await away.come_back(fetch)
            break
        except PowerLost:
            crash(away, tmp_path / f"disk {attempt}")
        away.require_whole()
        assert away.signer.store.size() >= size
        away.wanted = away.missing()
        assert away.missing() == away.wanted
    assert went_on > 1
    away.require_back()


@pytest.mark.parametrize(
    ("is_held", "table"), [(False, "batch"), (False, "certificate"), (True, "inbox"), (True, "voter")]
)
async def test_a_branch_and_what_is_held_on_it_are_one_commit(cluster: Cluster, is_held: bool, table: str) -> None:
    away = Away(cluster, is_held=is_held)
    store, state = away.signer.store, away.signer.voting.state
    store._db.execute(f"CREATE TEMP TRIGGER broken BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'disk'); END")
    with pytest.raises(StoreFailed):
        await away.come_back()
    store._db.execute("DROP TRIGGER broken")
    cluster.restart("s1")
    assert (away.stored(), away.signer.voting.state) == (away.before, state)
    away.require_whole()
    await away.come_back()
    away.require_back()


async def test_a_lie_beyond_what_took_the_place_is_not_stored_and_the_truth_goes_on_from_there(
    cluster: Cluster,
) -> None:
    away = Away(cluster, is_held=True)
    state = away.signer.voting.state

    async def lie(first: int, end: int) -> tuple[LogBatch, ...]:
        if away.signer.voting.state is state:
            return await away.fetch(first, end)
        entries = tuple(cluster.world.entry(Tick()) for _ in range(end - first))
        return (LogBatch(first_index=first, entries=entries, certificate=b""),)

    with pytest.raises(CannotCatchUp, match="do not give the certified root"):
        await away.come_back(lie)
    cut = away.signer.store.size()
    held = away.signer.voting.state.held
    assert held is not None
    assert (held.head.size, away.signer.copy.replica.root_at(cut)) == (cut, held.head.root)
    away.require_whole()
    away.asked.clear()
    await away.come_back()
    assert away.asked[0] == cut
    away.require_back()


async def test_a_restored_signer_that_meets_its_own_later_votes_on_a_long_branch_stops_with_the_log_that_it_has(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.deliver()
    cluster.vote("s1", cluster.world.replica.preview(cluster.world.batch(Tick())))
    cluster.signers["s1"].close()
    shutil.copytree(cluster.folders["s1"], tmp_path / "backup")
    cluster.signers["s1"] = open_folder(cluster.folders["s1"], cluster.clock)
    cluster.open_term()
    cluster.tick(3 * FIT, names=("s1", "s2"))
    cluster.deliver(("s2",))
    with pytest.raises(EntriesMissing) as missing:
        cluster.deliver(("s3",))

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        return batches_of(cluster.ask("s2", pb.FetchBatches(first_index=first, end_index=end)))[:2]

    await cluster.catch_up("s3", fetch).run(missing.value.certificate)
    cluster.tick(FIT, names=OTHERS)
    cluster.signers["s1"].close()
    signer = cluster.signers["s1"] = open_folder(tmp_path / "backup", cluster.clock)
    assert cluster.certificate is not None
    with pytest.raises(EntriesMissing) as missing:
        cluster.ask("s1", pb.Certify(certificate=codec.encode(cluster.certificate)))
    before = signer.store.entries(0, signer.store.size())
    with pytest.raises(VoterStopped):
        await cluster.catch_up("s1", fetch).run(missing.value.certificate)
    assert signer.store.entries(0, signer.store.size()) == before
    signer.close()
    signer = cluster.signers["s1"] = open_folder(tmp_path / "backup", cluster.clock)
    assert signer.alarm()[0] == "OWN_VOTE_UNKNOWN"


@pytest.mark.attack(
    line="coordinator",
    title="what a signer voted for last pushed out of its disk by a long branch that an earlier term gave up",
    origin="on paper: a branch that takes the place of stored entries before it is whole",
)
async def test_attack_a_long_branch_of_an_earlier_term(cluster: Cluster) -> None:
    world, known = cluster.world, cluster.certificate
    cluster.deliver()
    fork = world.replica.size
    vanished: list[LogBatch] = []
    for _ in range(2 * FIT):
        preview = world.replica.preview(world.batch(Tick()))
        world.replica.push(preview)
        votes = [cluster.vote(name, preview, certificate=known) for name in OTHERS]
        data = codec.encode(certificate_by(votes, 2))
        vanished.append(
            LogBatch(first_index=preview.batch.first_index, entries=preview.batch.entries, certificate=data)
        )
    world.replica.truncate(fork)
    cluster.open_term(("s2", "s3", "s1"))
    cluster.vote("s1", world.replica.preview(world.batch(Tick())))
    cluster.open_term(OTHERS)
    cluster.tick(3 * FIT, names=OTHERS)
    signer = cluster.signers["s1"]
    request = pb.Certify(certificate=codec.encode(cluster.certificate))  # type: ignore[arg-type]
    with pytest.raises(EntriesMissing) as missing:
        cluster.ask("s1", request)
    before, state = signer.store.entries(0, signer.store.size()), signer.voting.state

    async def lie(first: int, end: int) -> tuple[LogBatch, ...]:
        known = (
            batches_of(cluster.ask("s2", pb.FetchBatches(first_index=first, end_index=fork))) if first < fork else ()
        )
        return tuple(one for one in (*known, *vanished) if one.first_index >= first)[:2]

    with pytest.raises(BranchTooLong, match="recover"):
        await cluster.catch_up("s1", lie).run(missing.value.certificate)
    assert (signer.store.entries(0, signer.store.size()), signer.voting.state) == (before, state)

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        return batches_of(cluster.ask("s2", pb.FetchBatches(first_index=first, end_index=end)))[:2]

    await cluster.catch_up("s1", fetch).run(missing.value.certificate)
    assert cluster.ask("s1", request).certified_size == world.replica.size
