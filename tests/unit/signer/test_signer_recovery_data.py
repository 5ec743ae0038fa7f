"""Recovery data beside the log: no vote and no certificate without it, and it comes and goes with its epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from signer_world import Cluster, Donor
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.replica import Preview
from strongroom.ledger.signed_messages import Refusal
from strongroom.protocol.voter_state import VoterStopped
from strongroom_signer.catch_up import CannotCatchUp, CatchUp
from strongroom_signer.frames import batches_of
from strongroom_signer.recovery import RecoveryMissing
from strongroom_signer.requests import LogBatch
from strongroom_signer.voting import EntriesMissing

JUNK = b"\xff" * 40


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


def born(cluster: Cluster) -> Preview:
    """The batch in which a second vault is born, not sent to anybody yet."""
    order = cluster.world.submit(cluster.world.creation("customer-2"), "carol", "alice", "bob")
    cluster.sync()
    return cluster.world.log(cluster.world.vault_entry(order))


def held(cluster: Cluster, name: str) -> frozenset[bytes]:
    return cluster.signers[name].store.recovery_hashes()


def refused(cluster: Cluster, name: str, preview: Preview, given: Sequence[bytes]) -> str:
    answer = cluster.ask(name, cluster.append(preview, recovery_data=given))
    assert isinstance(answer, pb.BatchRefused)
    return codec.decode(Refusal, answer.refusal.body).reason


@pytest.mark.attack(
    line="coordinator",
    title="recovery data withheld from a signer",
    origin="design: a vault whose shares nobody could recover from the words",
)
def test_no_signer_votes_for_a_vault_whose_recovery_data_it_was_not_given(cluster: Cluster) -> None:
    preview = born(cluster)
    (given,) = cluster.world.recovery_of(preview)
    for lie in ([], [JUNK], [given[:-1]], [given + b"\0"]):
        assert refused(cluster, "s1", preview, lie) == "RECOVERY_DATA_MISSING"
    assert len(held(cluster, "s1")) == 1
    cluster.vote("s1", preview, recovery_data=[JUNK, given])
    assert held(cluster, "s1") == {vault.recovery_hash for vault in cluster.world.state.vaults()}


def test_recovery_data_that_is_named_and_malformed_is_refused(cluster: Cluster) -> None:
    world = cluster.world
    order = world.submit(world.creation("customer-2"), "carol", "alice", "bob")
    cluster.sync()
    preview = world.log(world.vault_entry(order, recovery_hash=hashlib.sha256(JUNK).digest()))
    assert refused(cluster, "s1", preview, [JUNK]) == "RECOVERY_DATA_MISSING"


def test_what_a_signer_holds_is_given_to_who_asks_and_nothing_else(cluster: Cluster) -> None:
    (name,) = held(cluster, "s1")
    answer = cluster.ask("s1", pb.FetchRecovery(hashes=[bytes(32), name]))
    assert [hashlib.sha256(data).digest() for data in answer.recovery_data] == [name]


class Withholding(Donor):
    """Gives every entry, and of the recovery data what the test says."""

    given: tuple[bytes, ...] = ()

    async def recovery(self, hashes: Sequence[bytes]) -> tuple[bytes, ...]:
        return self.given


def behind(cluster: Cluster) -> tuple[Any, Any]:
    """s1 has missed the birth of a vault: the certificate it is shown, and a way to fetch entries."""
    born(cluster)
    cluster.sync(("s2", "s3"))
    cluster.tick(2, names=("s2", "s3"))
    with pytest.raises(EntriesMissing) as missing:
        cluster.deliver(("s1",))

    async def fetch(first: int, end: int) -> tuple[LogBatch, ...]:
        return batches_of(cluster.ask("s2", pb.FetchBatches(first_index=first, end_index=end)))

    return missing.value.certificate, fetch


@pytest.mark.attack(
    line="coordinator",
    title="recovery data withheld from a signer that catches up",
    origin="design: a signer that vouches for what it could not bring back",
)
async def test_no_signer_that_caught_up_without_recovery_data_votes_or_holds(cluster: Cluster) -> None:
    certificate, fetch = behind(cluster)
    signer = cluster.signers["s1"]
    source = Withholding(cluster, fetch)
    uncertified = cluster.append(cluster.world.previews[-1])
    uncertified.ClearField("certificate")
    for given in ((), (JUNK,)):
        source.given = given
        with pytest.raises(CannotCatchUp):
            await CatchUp(signer.copy, signer.voting, source).run(certificate)
        for _ in range(2):
            with pytest.raises(EntriesMissing):
                cluster.deliver(("s1",))
            with pytest.raises(RecoveryMissing):
                cluster.ask("s1", uncertified)
            signer = cluster.restart("s1")
    await CatchUp(signer.copy, signer.voting, Donor(cluster, fetch)).run(certificate)
    cluster.deliver(("s1",))
    cluster.tick(2)
    cluster.deliver()
    assert signer.shares.has("customer-2", 1)


async def test_no_base_is_adopted_without_its_recovery_data(cluster: Cluster) -> None:
    certificate, fetch = behind(cluster)
    signer = cluster.signers["s1"]
    with pytest.raises(CannotCatchUp):
        await CatchUp(signer.copy, signer.voting, Withholding(cluster, fetch)).run(certificate)
    with pytest.raises(EntriesMissing):
        cluster.open_term(("s2", "s3", "s1"))
    assert not signer.voting.state.adopted


async def test_a_signer_that_lacks_recovery_data_joins_the_term_of_a_later_certificate(cluster: Cluster) -> None:
    certificate, fetch = behind(cluster)
    signer = cluster.signers["s1"]
    with pytest.raises(CannotCatchUp):
        await CatchUp(signer.copy, signer.voting, Withholding(cluster, fetch)).run(certificate)
    cluster.deliver(("s2", "s3"))
    cluster.open_term(("s2", "s3"))
    cluster.tick(1, names=("s2", "s3"))
    with pytest.raises(EntriesMissing):
        cluster.deliver(("s1",))
    assert cluster.restart("s1").voting.state.term == cluster.term


async def test_a_base_that_contradicts_what_is_final_stops_a_signer_that_lacks_recovery_data_too(
    cluster: Cluster,
) -> None:
    certificate, fetch = behind(cluster)
    signer = cluster.signers["s1"]
    with pytest.raises(CannotCatchUp):
        await CatchUp(signer.copy, signer.voting, Withholding(cluster, fetch)).run(certificate)
    with pytest.raises(VoterStopped):
        cluster.ask("s1", cluster.forget_all(("s2", "s3")))
    assert cluster.restart("s1").alarm()[0] == "FINAL_HEAD_CONTRADICTED"


def test_what_a_dropped_entry_named_is_not_kept(cluster: Cluster) -> None:
    preview = born(cluster)
    cluster.deliver()
    cluster.vote("s1", preview)
    assert len(held(cluster, "s1")) == 2
    cluster.world.replica.truncate(preview.batch.first_index)
    cluster.world.previews.pop()
    cluster.open_term(("s2", "s3", "s1"))
    assert len(held(cluster, "s1")) == 1
    cluster.world.log(Tick())
    cluster.sync()
