"""What a signer's copy of the log says of its own heads, and which log a database holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger_world import World
from signer_world import Cluster
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.replica import Batch
from strongroom.model.ids import LogId
from strongroom_signer.log_copy import LogCopy, View
from strongroom_signer.store import StoreFailed


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


def test_a_batch_that_is_not_stored_yet_has_its_own_head_and_changes_none_below_it() -> None:
    world = World.started()
    world.log(Tick())
    replica, size = world.replica, world.replica.size
    stored = [(replica.root_at(end), replica.head(end)[1]) for end in (size - 1, size)]
    preview = replica.preview(Batch(first_index=size, entries=(world.entry(Tick()), world.entry(Tick()))))
    view = View(replica, preview)
    heads = [(view.root_at(end), view.digest_at(end)) for end in (size - 1, size, size + 2)]
    assert heads == [*stored, (preview.root, preview.state_digest)]
    # Inside the batch there is no state to compare, and beyond it nothing at all.
    assert [view.digest_at(end) for end in (size + 1, size + 3)] == [None, None]
    assert view.size == size + 2


def test_a_database_with_another_log_than_the_pinned_one_is_damaged(cluster: Cluster) -> None:
    cluster.tick(2)
    store = cluster.signers["s1"].store
    assert LogCopy(store, cluster.world.log_id).size == store.size()
    with pytest.raises(StoreFailed, match="is not the one that is pinned"):
        LogCopy(store, LogId(bytes(32)))


def test_what_is_lacking_is_asked_of_the_very_state_that_is_to_be_held(cluster: Cluster) -> None:
    """Entries beyond it may be dropped with the vault that they made."""
    world, copy = cluster.world, cluster.signers["s1"].copy
    order = world.submit(world.creation("customer-2"), "carol", "alice", "bob")
    cluster.sync()
    before = copy.size
    world.log(world.vault_entry(order))
    cluster.sync()
    added = {vault.recovery_hash for vault in copy.newest().vaults() if vault.name == "customer-2"}
    with copy.store.commit() as write:
        write.remove_recovery(added)
    again = LogCopy(copy.store, cluster.world.log_id)
    assert again.lacking() == again.lacking(again.size) == tuple(added)
    assert again.lacking(before) == ()


@pytest.mark.parametrize("wrong", ["root", "state digest"])
def test_a_stored_batch_that_replays_to_another_head_than_the_one_voted_for_is_damage(
    cluster: Cluster, wrong: str
) -> None:
    """Else a program that judges otherwise than the one that voted would go on as if it had said nothing."""
    cluster.tick(1)
    copy, world = cluster.signers["s1"].copy, cluster.world
    preview = world.replica.preview(Batch(first_index=copy.size, entries=(world.entry(Tick()),)))
    head = (preview.root, preview.state_digest)
    for root, digest in (head, (bytes(32), head[1]) if wrong == "root" else (head[0], bytes(32))):
        with copy.store.commit() as write:
            write.truncate(preview.batch.first_index)
            write.add_batch(preview.batch.first_index, preview.batch.entries, root, digest)
        if (root, digest) == head:
            assert LogCopy(copy.store, world.log_id).size == preview.size
        else:
            with pytest.raises(StoreFailed, match="replay to another head"):
                LogCopy(copy.store, world.log_id)
