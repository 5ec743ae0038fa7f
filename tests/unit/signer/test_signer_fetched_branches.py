"""What is fetched is judged before it is stored, and before it is voted for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from charter_builder import signing_key
from electorate_of import certificate_by, electorate
from handover_cluster import HandoverCluster
from ledger_world import DAY_MS
from signer_world import Cluster
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.replica import Preview, Replica
from strongroom.ledger.signed_messages import Refusal
from strongroom.model.errors import StrongroomError
from strongroom.protocol.certificates import BadCertificate, held_of, sign_vote, verify_vote
from strongroom.protocol.voter_state import BaseElectorate, OpenedTerm, StaleTerm, VoterStopped
from strongroom_signer.alarms import DiskLow
from strongroom_signer.catch_up import CannotCatchUp
from strongroom_signer.config import SignerConfig
from strongroom_signer.inbox import GRACE_MS
from strongroom_signer.log_copy import rebuild
from strongroom_signer.requests import LogBatch
from strongroom_signer.store import Writer
from strongroom_signer.voting import EntriesMissing


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def handing(tmp_path: Path) -> AsyncIterator[HandoverCluster]:
    made = await HandoverCluster.wanted(tmp_path)
    yield made
    made.close()


# --- voted for ---


async def stored_by_an_old_certificate(cluster: Cluster) -> pb.Append:
    """Have s1 store a batch that s2 and s3 certified in a term before, and dropped; returns its request for a vote."""
    world = cluster.world
    cluster.deliver()
    dropped = world.replica.preview(world.batch(Tick()))
    vanished = certificate_by([cluster.vote(name, dropped) for name in ("s2", "s3")], 2)
    cluster.open_term(("s2", "s3", "s1"))
    fork = world.replica.size
    world.log(Tick())
    cluster.certify(world.previews[-1], ("s2", "s3"))

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        batch = LogBatch(first_index=fork, entries=dropped.batch.entries, certificate=codec.encode(vanished))
        return (batch,) if first == fork else ()

    signer = cluster.signers["s1"]
    with pytest.raises(EntriesMissing) as missing:
        cluster.ask("s1", pb.Certify(certificate=codec.encode(cluster.certificate)))
    with pytest.raises(CannotCatchUp):
        await cluster.catch_up("s1", fetch).run(missing.value.certificate)
    assert signer.copy.replica.root_at(dropped.size) == dropped.root
    request = cluster.append(dropped)
    request.certificate = b""
    return request


def refused_for(answer: object) -> str:
    assert isinstance(answer, pb.BatchRefused), answer
    return codec.decode(Refusal, answer.refusal.body).reason


async def test_a_batch_that_was_fetched_is_voted_for_when_it_is_good(cluster: Cluster) -> None:
    assert isinstance(cluster.ask("s1", await stored_by_an_old_certificate(cluster)), pb.Voted)


@pytest.mark.attack(
    line="coordinator",
    title="a time lock cut short: a batch of an earlier term fetched with its certificate, then voted for",
    origin="on paper: what a signer fetches it stores, and what it stores it votes for, two days late",
)
async def test_attack_late_vote_for_a_batch_fetched_under_an_earlier_term(cluster: Cluster) -> None:
    request = await stored_by_an_old_certificate(cluster)
    cluster.clock.advance(2 * DAY_MS)
    assert refused_for(cluster.ask("s1", request)) == "BATCH_TIME_OFF"


@pytest.mark.attack(
    line="coordinator",
    title="a freeze withheld from a batch that is fetched first and voted for then",
    origin="on paper: a freeze kept back",
)
async def test_attack_vote_without_a_withheld_freeze_for_a_batch_that_was_fetched(cluster: Cluster) -> None:
    cluster.signers["s1"].inbox.freeze("", "I saw something")
    cluster.wait(GRACE_MS - 1)
    request = await stored_by_an_old_certificate(cluster)
    cluster.clock.advance(1)
    assert refused_for(cluster.ask("s1", request)) == "WORDS_WITHHELD"


async def test_a_batch_that_was_fetched_is_not_voted_for_below_the_disk_floor(cluster: Cluster) -> None:
    request = await stored_by_an_old_certificate(cluster)
    free = cluster.signers["s1"].store.free_bytes()
    cluster.restart("s1", SignerConfig(coordinator="127.0.0.1:1", free_disk_floor_bytes=free * 2))
    with pytest.raises(DiskLow):
        cluster.ask("s1", request)


# --- put in place of what is stored ---


class Branch:
    """Another branch beyond what is final at s1, ready to be put in place there."""

    def __init__(self, cluster: Cluster, previews: tuple[Preview, ...]) -> None:
        signer = cluster.signers["s1"]
        self.voting, self.store, self.copy = signer.voting, signer.store, signer.copy
        self.keep = self.copy.final_size
        self.previews = (*(one for one in cluster.world.previews if one.size > self.keep), *previews)
        self.replica: Replica = rebuild(self.store, self.store, cluster.world.log_id, self.keep)
        for one in self.previews:
            self.replica.push(self.replica.preview(one.batch))

    def put_in_place(self, certificate: Certificate) -> None:
        self.voting.replace_copy(self.replica, self._write, self.keep, certificate)

    def _write(self, write: Writer) -> None:
        for one in self.previews:
            write.add_batch(one.batch.first_index, one.batch.entries, one.root, one.state_digest)

    def stored(self) -> tuple[object, ...]:
        """Everything that must stay as it is when the branch is refused."""
        held = self.voting.state.held
        assert held is not None
        size = self.store.size()
        return (
            held,
            self.store.certificate(held.head.size),
            self.store.entries(0, size),
            self.copy.size,
            self.copy.replica.root_at(held.head.size) == held.head.root,
        )


@pytest.mark.attack(
    line="coordinator",
    title="entries below a certificate that is held deleted, by a fetched branch with votes of a wanted set",
    origin="on paper: a refusal half-way that commits what it had written before",
)
async def test_attack_branch_under_votes_of_the_wanted_set_in_place_of_certified_entries(
    handing: HandoverCluster,
) -> None:
    cluster, world = handing.cluster, handing.cluster.world
    known, _ = handing.rivals()
    by_old = handing.certify(known, handing.old, "s1", "s3")
    await handing.give("s1", by_old)
    fork = len(world.previews)
    for _ in range(2):
        world.log(Tick())
        handing.vote(world.previews[-1], "s2", "s4")
    by_new = handing.certify(world.previews[-1], handing.new, "s2", "s4")
    branch = tuple(world.previews[fork:])
    del world.previews[fork:]
    place = Branch(cluster, branch)
    before = place.stored()
    assert before[-1]
    with pytest.raises(BadCertificate):
        await handing.give("s1", by_new, *branch)
    with pytest.raises(BadCertificate):
        await cluster.catch_up("s1", handing.fetcher("s2", *branch)).run(by_new)
    assert place.stored() == before
    with pytest.raises(BadCertificate):
        place.put_in_place(by_new)
    assert place.stored() == before
    cluster.restart("s1")
    assert handing.held("s1") == by_old


def branched(cluster: Cluster) -> tuple[Branch, Certificate]:
    """s1 stores a batch that it alone voted for; the others certify two on another branch in the next term."""
    world = cluster.world
    cluster.deliver()
    cluster.vote("s1", world.replica.preview(world.batch(Tick())))
    cluster.open_term(("s2", "s3"))
    fork = len(world.previews)
    for _ in range(2):
        world.log(Tick())
    cluster.sync(("s2", "s3"))
    branch = tuple(world.previews[fork:])
    del world.previews[fork:]
    assert cluster.certificate is not None
    with pytest.raises(EntriesMissing):
        cluster.ask("s1", pb.Certify(certificate=codec.encode(cluster.certificate)))
    return Branch(cluster, branch), cluster.certificate


def test_a_branch_is_put_in_place_with_the_certificate_it_leads_to(cluster: Cluster) -> None:
    place, certificate = branched(cluster)
    place.put_in_place(certificate)
    assert cluster.restart("s1").voting.state.held == certificate
    assert cluster.signers["s1"].copy.size == certificate.head.size


def test_a_branch_beyond_a_base_that_waits_is_put_in_place_whole(cluster: Cluster) -> None:
    """The base of the term lies on it, and so does the certificate; what is held is the certificate."""
    world = cluster.world
    cluster.deliver()
    cluster.vote("s1", world.replica.preview(world.batch(Tick())))
    fork = len(world.previews)
    cluster.tick(2, names=("s2", "s3"))
    cluster.deliver(("s2", "s3"))
    opening = cluster.open_term(("s2", "s3"))
    base = cluster.certificate
    with pytest.raises(EntriesMissing):
        cluster.ask("s1", opening)
    cluster.tick(2, names=("s2", "s3"))
    branch = tuple(world.previews[fork:])
    del world.previews[fork:]
    assert base is not None
    assert cluster.certificate is not None
    place = Branch(cluster, branch)
    place.put_in_place(cluster.certificate)
    assert place.voting.state.held == cluster.certificate
    assert place.copy.size == cluster.certificate.head.size > base.head.size


def test_a_base_that_is_adopted_puts_no_branch_in_place_again(cluster: Cluster) -> None:
    cluster.deliver()
    cluster.open_term()
    base = cluster.certificate
    cluster.vote("s1", cluster.world.replica.preview(cluster.world.batch(Tick())))
    assert base is not None
    assert cluster.signers["s1"].voting.state.adopted
    refused(cluster, Branch(cluster, ()), base, StaleTerm)


def test_a_branch_is_not_cut_at_a_certificate_that_does_not_allow_it(cluster: Cluster) -> None:
    place, certificate = branched(cluster)
    earlier = replace(certificate.head, term=certificate.head.term - 1)
    assert not place.voting.may_cut(place.replica, place.keep, certificate, earlier)
    before = place.stored()
    with pytest.raises(EntriesMissing):
        place.voting.cut_copy(place.replica, place._write, place.keep, certificate, earlier)
    assert place.stored() == before


def refused(cluster: Cluster, place: Branch, certificate: Certificate, error: type[StrongroomError]) -> None:
    before = place.stored()
    with pytest.raises(error):
        place.put_in_place(certificate)
    assert place.stored() == before
    cluster.restart("s1")
    assert Branch(cluster, ()).stored() == before


def test_a_branch_whose_certificate_does_not_hold_leaves_the_stored_one(cluster: Cluster) -> None:
    place, certificate = branched(cluster)
    refused(cluster, place, replace(certificate, votes=certificate.votes[:1]), BadCertificate)


def test_a_branch_that_ends_elsewhere_leaves_the_stored_one(cluster: Cluster) -> None:
    place, certificate = branched(cluster)
    place.replica.truncate(place.replica.batch_borders()[-2])
    refused(cluster, place, certificate, EntriesMissing)


def test_a_branch_whose_certificate_raises_an_alarm_leaves_the_stored_one(cluster: Cluster) -> None:
    """Two signers certify another state after the same entries: this one stops, with the log that it voted for."""
    place, certificate = branched(cluster)
    head = replace(certificate.head, state_digest=bytes(32))
    forged = [sign_vote(signing_key(f"{name} vote"), head, held_of(None)) for name in ("s2", "s3")]
    known = electorate(cluster.vote_keys)
    votes = [
        verify_vote(n, v, log_id=cluster.world.log_id, electorate=known)
        for n, v in zip(("s2", "s3"), forged, strict=True)
    ]
    refused(cluster, place, certificate_by(votes, 2), VoterStopped)
    assert cluster.signers["s1"].alarm()[0] == "STATE_DIGEST_MISMATCH"


def test_a_branch_for_a_base_that_others_opened_leaves_the_stored_one(cluster: Cluster) -> None:
    place, certificate = branched(cluster)
    opened = OpenedTerm(statements_hash=bytes(32), base=certificate, electorates=(bytes(32),))
    place.voting._voter = replace(place.voting.state, term=certificate.head.term + 1, opened=opened)
    with place.store.commit() as write:
        write.set_voter(codec.encode(place.voting.state))
    refused(cluster, place, certificate, BaseElectorate)
