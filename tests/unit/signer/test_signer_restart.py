"""A log whose vote states were lost goes on by the administrators' restart, at every signer whose operator pins it."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import charter_builder as builder
from ledger_world import DAY_MS, World
from restart_signers import LOST, NAMES, LostDisks
from restart_world import approval
from signer_world import CHEAP, VAULT, Cluster, make_folder, refusal_of
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.charter import Charter
from strongroom.ledger.entry_messages import Endorse, Entry, SignerFreeze, Tick
from strongroom.ledger.founding import restart_log_id, statement_hash
from strongroom.ledger.order_messages import Freeze, Scope, Unfreeze
from strongroom.ledger.records import OrderState
from strongroom.ledger.replica import Batch
from strongroom.ledger.signed_messages import Verb
from strongroom.model.fingerprints import Compared, spoken
from strongroom.model.ids import LogId
from strongroom.protocol.certificates import BadCertificate
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.voter_state import Alarm, VoterState
from strongroom.wire.log_export import ExportedBatch, LogExportReader, LogExportWriter
from strongroom.wire.restart_file import encode_restart_file
from strongroom_signer.dropped import dropped_by
from strongroom_signer.inbox import BadWord
from strongroom_signer.log_export import export
from strongroom_signer.main import run
from strongroom_signer.process import FolderLock
from strongroom_signer.store import Store
from strongroom_signer.words import rejection_in


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[LostDisks]:
    lost = LostDisks.started(tmp_path, recovered=())
    yield lost
    lost.close()


@pytest.fixture
def recovered(tmp_path: Path) -> Iterator[LostDisks]:
    recovered = LostDisks.started(tmp_path)
    yield recovered
    recovered.close()


def thaw(lost: LostDisks) -> None:
    cluster = lost.cluster
    lifting = cluster.world.submit(Unfreeze(freeze=cluster.world.log_id), "dave", "alice")
    cluster.world.approve(lifting, "carol")
    cluster.sync()


def without(world: World, person: str) -> dict[str, Any]:
    """What an amendment changes that takes a person's keys away."""
    old = world.state.charter
    groups = tuple(replace(one, members=tuple(name for name in one.members if name != person)) for one in old.groups)
    return {"people": tuple(one for one in old.people if one.name != person), "groups": groups}


def all_pin(lost: LostDisks) -> None:
    restart = lost.restart()
    for name in NAMES:
        lost.pin(name, restart)
        assert lost.code == 0, lost.err
    lost.go_on(restart)


# --- the whole way -----------------------------------------------------------------------------------------------


def test_two_lost_disks_and_the_log_goes_on_and_pays(recovered: LostDisks) -> None:
    all_pin(recovered)
    cluster = recovered.cluster
    cluster.open_term()
    cluster.tick(3)
    assert cluster.signers["s2"].copy.final_size > cluster.signers["s2"].copy.newest().founded_size
    frozen = cluster.world.pay(VAULT, 60_000)
    thaw(recovered)
    cluster.world.log_plan([frozen], [cluster.world.coin(200_000)])
    index = cluster.world.replica.size - 1
    cluster.sync()
    cluster.deliver()
    chosen = cluster.commitments(index, "s1", "s2")
    for name in ("s1", "s2"):
        assert cluster.release(name, index, chosen).WhichOneof("outcome") == "shares"


def test_what_is_shown_after_a_restart(lost: LostDisks) -> None:
    restart = lost.restart()
    kept = lost.certificate.head.size
    facts = lost.pin("s1", restart)
    log_id = restart_log_id(restart)
    assert facts == {
        "name": "s1",
        "log_id": log_id.hex(),
        "read_aloud": spoken(Compared.CHARTER, log_id),
        "size": kept + 1,
        "dropped": 0,
        "dropped_plans": [],
        "revoked_keys": [],
        "is_new": True,
        "previous_log_id": lost.world.genesis_id.hex(),
        "kept": kept,
        "term": 1,
        "made_ms": lost.cluster.clock.wall_ms(),
        "approved": ["alice", "bob"],
        "changes": facts["changes"],
        "alarm": "",
    }
    assert {change["where"].split()[1] for change in facts["changes"]} >= set(LOST)


def test_a_restart_that_is_pinned_changes_nothing_when_it_is_given_again(lost: LostDisks) -> None:
    restart = lost.restart()
    lost.pin("s1", restart)
    again = lost.pin("s1", restart, fingerprint="whatever: it is pinned")
    assert lost.code == 0
    assert (again["is_new"], again["log_id"]) == (False, restart_log_id(restart).hex())


def test_the_fingerprint_is_taken_as_it_is_read_aloud(lost: LostDisks) -> None:
    restart = lost.restart()
    lost.pin("s1", restart, fingerprint=spoken(Compared.CHARTER, restart_log_id(restart)))
    assert lost.code == 0


def test_a_signer_that_follows_a_restart_holds_and_promises_nothing(recovered: LostDisks) -> None:
    all_pin(recovered)
    for name in NAMES:
        state = recovered.cluster.signers[name].voting.state
        size = recovered.cluster.world.state.founded_size
        assert (state.term, state.held, state.promise, state.last_vote, state.founded_size) == (
            0,
            None,
            None,
            None,
            size,
        )
        assert recovered.cluster.signers[name].copy.final_size == size


def test_all_signers_reach_the_same_head(recovered: LostDisks) -> None:
    all_pin(recovered)
    heads = {recovered.cluster.signers[name].copy.replica.head() for name in NAMES}
    assert heads == {recovered.cluster.world.replica.head()}


# --- what an operator must not be able to do by mistake, or by trickery -------------------------------------------


def test_another_fingerprint_pins_nothing(lost: LostDisks) -> None:
    restart = lost.restart()
    for wrong in (lost.world.genesis_id.hex(), statement_hash(restart).hex(), restart_log_id(restart).hex()[:40]):
        lost.pin("s1", restart, fingerprint=wrong)
        assert lost.reason == "RESTART_REFUSED"
    lost.start("s1")
    assert lost.cluster.signers["s1"].copy.log_id == lost.world.genesis_id


def test_a_restart_without_the_quorum_pins_nothing(lost: LostDisks) -> None:
    lost.pin("s1", lost.restart(approvers=("alice",)))
    assert lost.reason == "RESTART_APPROVALS"


def test_a_restart_of_another_log_pins_nothing(lost: LostDisks, tmp_path: Path) -> None:
    restart = lost.restart()
    lost.pin("s1", restart)
    again = replace(restart, approvals=tuple(approval(restart, person) for person in ("alice", "carol")))
    lost.pin("s1", again)
    assert lost.reason == "RESTART_OF_ANOTHER_LOG"


def test_a_signer_that_belongs_to_no_log_cannot_follow_a_restart(lost: LostDisks, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "fresh", lost.cluster.world, "s4")
    store = Store.open(folder / "signer.db")
    with store.commit() as write:
        write._db.execute("DELETE FROM pin")
    store.close()
    lost.cluster.folders["s4"] = folder
    lost.pin("s4", lost.restart())
    assert lost.reason == "RESTART_REFUSED"


def test_a_signer_whose_keys_are_not_in_the_new_charter_stays_where_it_is(lost: LostDisks) -> None:
    charter = lost.charter()
    first, second, third = charter.signers
    foreign = builder.signer("other")
    others = (replace(first, vote_key=foreign.vote_key), replace(first, witness_key=foreign.witness_key))
    for restart in [lost.restart(replace(charter, signers=(other, second, third))) for other in others]:
        lost.pin("s1", restart)
        assert lost.reason == "RESTART_REFUSED"


def test_a_signer_that_is_not_in_the_charter_follows_no_restart(lost: LostDisks) -> None:
    restart = lost.restart()
    lost.cluster.folders["s4"] = make_folder(lost.root / "left", lost.cluster.world, "s4")
    lost.pin("s4", restart, log=lost.root / "log")
    assert (lost.reason, "has no signer s4" in lost.err) == ("RESTART_REFUSED", True)


def test_a_statement_from_the_future_is_refused_since_delays_would_end_early(lost: LostDisks) -> None:
    now = lost.cluster.clock.wall_ms()
    early, in_time = lost.restart(made_ms=now + 60_001), lost.restart(made_ms=now + 60_000)
    lost.pin("s1", early)
    assert lost.reason == "RESTART_REFUSED"
    lost.pin("s1", in_time)
    assert lost.code == 0


def test_a_running_daemon_is_in_the_way(recovered: LostDisks) -> None:
    with FolderLock(recovered.cluster.folders["s2"]):
        recovered.pin("s2", recovered.restart())
    assert recovered.code != 0


def test_a_damaged_file_is_none(recovered: LostDisks) -> None:
    restart = recovered.restart()
    recovered.pin("s1", restart)
    file = recovered.root / "restart"
    file.write_bytes(file.read_bytes()[:-1])
    recovered.type("restart", str(file), "--fingerprint", "0", folder=recovered.cluster.folders["s2"])
    assert recovered.reason == "RESTART_FILE_INVALID"


# --- nothing is forgotten ----------------------------------------------------------------------------------------


def test_a_statement_below_the_certificate_held_is_refused(lost: LostDisks) -> None:
    store = lost.cluster.signers["s1"].store
    certificate = codec.decode(Certificate, store.certificate(store.certified_size() - 1) or b"")
    lost.pin("s1", lost.restart(certificate=certificate))
    assert lost.reason == "RESTART_LOSES_CERTIFICATE"


def test_a_signer_that_went_another_way_takes_the_way_that_stays(lost: LostDisks) -> None:
    cluster = lost.cluster
    cluster.world.log(Tick())
    cluster.vote("s1", cluster.world.previews[-1])
    cluster.world.replica.truncate(cluster.world.replica.size - 1)
    cluster.world.previews.pop()
    cluster.world.log(Tick())
    lost.world.term = 2
    certificate = lost.world.certificate(("s2", "s3"))
    restart = lost.restart(certificate=certificate)
    lost.pin("s1", restart)
    assert lost.reason == "RESTART_LOG_TOO_SHORT"
    batches = [ExportedBatch(first_index=one.first_index, entries=one.entries) for one in cluster.world.batches]
    (lost.root / "longer").write_bytes(exported(batches, lost.world.genesis_id))
    lost.pin("s1", restart, log=lost.root / "longer")
    assert lost.code == 0, lost.err
    lost.start("s1")
    assert cluster.signers["s1"].copy.replica.root_at(certificate.head.size) == certificate.head.root


def test_a_leader_that_cut_its_batches_otherwise_is_no_obstacle(lost: LostDisks) -> None:
    cluster = lost.cluster
    entry, other = cluster.world.entry(Tick()), cluster.world.entry(Tick())
    size = cluster.world.replica.size
    both = cluster.world.replica.preview(Batch(first_index=size, entries=(entry, other)))
    cluster.vote("s1", both)
    alone = cluster.world.replica.preview(Batch(first_index=size, entries=(entry,)))
    cluster.world.replica.push(alone)
    cluster.world.previews.append(alone)
    lost.world.term = 2
    restart = lost.restart(certificate=lost.world.certificate(("s2", "s3")))
    facts = lost.pin("s1", restart)
    assert lost.code == 0, lost.err
    assert (facts["kept"], facts["dropped"]) == (size + 1, 1)
    lost.start("s1")
    assert cluster.signers["s1"].copy.newest().log_id == restart_log_id(restart)


def test_a_key_whose_revocation_was_withheld_founds_no_log(lost: LostDisks) -> None:
    cluster = lost.cluster
    order = cluster.world.order(cluster.world.amendment(**without(cluster.world, "bob")))
    said = [
        cluster.world.endorsement("dave", Verb.INITIATE, order),
        *(cluster.world.endorsement(person, Verb.APPROVE, order) for person in ("alice", "carol")),
    ]
    cluster.signers["s1"].inbox.hand_in(order, [SignedBody.of(one) for one in said])
    withheld, without_bob = lost.restart(), lost.restart(approvers=("alice", "carol"))
    lost.pin("s1", withheld)
    assert lost.reason == "RESTART_REFUSED"
    assert "revoked" in lost.err
    lost.pin("s1", without_bob)
    assert lost.code == 0, lost.err
    lost.start("s1")
    (word,) = cluster.signers["s1"].inbox.items
    assert word.kind == "revocation"
    assert not cluster.signers["s1"].inbox.to_raise()


def test_a_key_whose_revocation_lapsed_by_a_restart_counts_no_more(tmp_path: Path) -> None:
    """The log cannot take up an order of the log before: nothing but the key's own removal lets the word go."""
    cluster = Cluster.started(tmp_path / "signers")
    world = cluster.world
    order = world.order(world.amendment(**without(world, "bob")))
    world.log(world.order_entry(order, "dave"))  # its approvals are withheld
    cluster.sync()
    cluster.tick(2)
    cluster.deliver()
    lost = LostDisks(cluster, tmp_path)
    lost.lose()
    for name in LOST:
        lost.recover(name)
    said = [world.endorsement("dave", Verb.INITIATE, order)]
    said += [world.endorsement(person, Verb.APPROVE, order) for person in ("alice", "carol")]
    cluster.signers["s1"].inbox.hand_in(order, [SignedBody.of(one) for one in said])
    restart = lost.restart(approvers=("alice", "carol"))
    for name in NAMES:
        lost.pin(name, restart)
    lost.go_on(restart)
    record = world.state.order(hashlib.sha256(order).digest())
    assert record is not None
    assert record.state is OrderState.LAPSED
    cluster.open_term()
    cluster.tick(3)
    inbox = cluster.signers["s1"].inbox
    assert [word.kind for word in inbox.items] == ["revocation"]
    judged = inbox.without_revoked(cluster.signers["s1"].copy.newest()).charter
    assert "bob" not in {one.name for one in judged.people}
    assert not inbox.to_raise()
    world.amend("alice", "carol", **without(world, "bob"))
    cluster.sync()
    cluster.tick(3)
    assert not inbox.items
    lost.close()


def test_what_is_dropped_is_told_and_the_keys_that_it_took_count_no_more(lost: LostDisks) -> None:
    """s1 voted for batches that the lost ones may have certified with it: their plans may be signed."""
    cluster, world = lost.cluster, lost.cluster.world
    by_bob, without_bob = lost.restart(), lost.restart(approvers=("alice", "carol"))
    key = builder.signing_key("bob").public
    amendment = world.amend("alice", "carol", **without(world, "bob"))
    cluster.vote("s1", world.previews[-1])
    world.submit(world.amendment(loosening_delay_ms=DAY_MS), "dave")  # nobody approves it
    cluster.vote("s1", world.previews[-1])
    order, coin = world.pay(VAULT, 50_000, "alice", "carol"), world.coin(90_000)
    cluster.vote("s1", world.previews[-1])
    plan = world.planned([order], [coin])
    cluster.vote("s1", world.previews[-1])
    lost.pin("s1", by_bob)
    assert (lost.reason, "bob" in lost.err) == ("RESTART_REFUSED", True)
    facts = lost.pin("s1", without_bob)
    assert lost.code == 0, lost.err
    assert (facts["dropped"], facts["revoked_keys"]) == (4, [key.hex()])
    assert facts["dropped_plans"] == [
        {
            "txid": plan.txid[::-1].hex(),
            "vault": VAULT,
            "orders": [order.hex()],
            "inputs": [f"{coin.txid[::-1].hex()}:{coin.vout}"],
        }
    ]
    lost.start("s1")
    signer = cluster.signers["s1"]
    assert [word.id for word in signer.inbox.items] == [amendment]
    assert "bob" in {one.name for one in signer.copy.newest().charter.people}
    assert "bob" not in {one.name for one in signer.inbox.without_revoked(signer.copy.newest()).charter.people}
    assert not signer.inbox.to_raise()


def counts(cluster: Cluster, person: str, name: str = "s1") -> bool:
    """Whether a person's key counts at a signer."""
    signer = cluster.signers[name]
    return person in {one.name for one in signer.inbox.without_revoked(signer.copy.newest()).charter.people}


def test_a_revocation_that_was_approved_entry_by_entry_stays_when_the_new_log_is_final(recovered: LostDisks) -> None:
    """The entry that brought the amendment in has its initiator's word only."""
    cluster, world = recovered.cluster, recovered.cluster.world
    restart = recovered.restart(approvers=("alice", "carol"))
    order = world.submit(world.amendment(**without(world, "bob")), "dave")
    for person in ("alice", "carol"):
        world.approve(order, person)
    for preview in world.previews[-3:]:
        cluster.vote("s1", preview)
    for name in NAMES:
        recovered.pin(name, restart)
    recovered.go_on(restart)
    assert not counts(cluster, "bob")
    cluster.open_term()
    cluster.tick(3)
    assert cluster.signers["s1"].copy.final_size > cluster.world.state.founded_size
    assert not counts(cluster, "bob")
    world.amend("alice", "carol", **without(world, "bob"))
    cluster.sync()
    cluster.tick(3)
    assert not cluster.signers["s1"].inbox.items


def test_one_revocation_of_dropped_entries_joins_what_was_handed_in_of_it(lost: LostDisks) -> None:
    """The first amendment took bob, the second dave: what was handed in knows of the second only."""
    cluster, world = lost.cluster, lost.cluster.world
    restart = lost.restart(approvers=("alice", "carol"))
    world.amend("alice", "carol", **without(world, "bob"))
    cluster.vote("s1", world.previews[-1])
    order = world.order(world.amendment(**without(world, "dave")))
    entry = world.order_entry(order, "shop", "alice", "carol")
    cluster.signers["s1"].inbox.hand_in(order, [SignedBody.of(one) for one in entry.endorsements])
    (handed,) = cluster.signers["s1"].inbox.items
    cluster.clock.advance(1)
    world.log(entry)
    cluster.vote("s1", world.previews[-1])
    assert world.state.charter.version == 3
    lost.pin("s1", restart)
    assert lost.code == 0, lost.err
    lost.start("s1")
    (word,) = cluster.signers["s1"].inbox.items
    assert (word.id, word.since_ms) == (handed.id, handed.since_ms)
    assert [counts(cluster, name) for name in ("alice", "bob", "carol", "dave")] == [True, False, True, False]


def test_a_signer_whose_very_first_batch_does_not_stay_drops_it_and_revokes_nobody(tmp_path: Path) -> None:
    cluster = Cluster.empty(tmp_path)
    cluster.open_term()
    signer, world = cluster.signers["s1"], cluster.world
    other = replace(world, label="other").replica
    founding = codec.decode(Entry, world.entry(world.genesis()))
    batch = Batch(first_index=0, entries=(codec.encode(replace(founding, salt=bytes(16))),))
    other.push(other.preview(batch))
    world.log(world.genesis())
    cluster.vote("s1", world.previews[-1])
    found = dropped_by(signer.store, world.log_id, other.state(), now_ms=0)
    assert (found.entries, found.revocation) == (world.batches[0].entries, None)
    cluster.close()


@pytest.mark.parametrize("approver", ["bob", "eve"])
@pytest.mark.parametrize("was_amended", [False, True])
def test_keys_that_came_while_a_signer_was_away_are_not_revoked(
    tmp_path: Path, approver: str, was_amended: bool
) -> None:
    cluster = Cluster.started(tmp_path / "signers")
    world, live = cluster.world, ("s1", "s2")
    if was_amended:
        world.amend("alice", "carol", loosening_delay_ms=world.charter.loosening_delay_ms + 1)
        cluster.sync()
        cluster.tick(2)
    cluster.signers.pop("s3").close()
    now = world.state.charter
    groups = tuple(
        replace(one, members=tuple(sorted((*one.members, "eve")))) if one.name == now.admin.group else one
        for one in now.groups
    )
    people = tuple(sorted((*now.people, builder.person("eve")), key=lambda one: one.name))
    world.amend("alice", "carol", people=people, groups=groups)
    cluster.sync(live)
    cluster.wait(now.loosening_delay_ms)
    cluster.tick(2, live)
    cluster.deliver(live)
    lost = LostDisks(cluster, tmp_path)
    lost.export("s1", lost.root / "log")
    old = world.state.charter
    (card,) = (builder.signer("s2-new"),)
    signers = tuple(
        replace(one, vote_key=card.vote_key, witness_key=card.witness_key) if one.name == "s2" else one
        for one in old.signers
    )
    charter = replace(old, version=old.version + 1, signers=signers)
    restart = lost.restart(charter, approvers=("alice", approver))
    facts = lost.pin("s3", restart, log=lost.root / "log")
    assert (lost.code, lost.err) == (0, "")
    assert (facts["dropped"], facts["revoked_keys"]) == (0, [])
    lost.start("s3")
    assert counts(cluster, "eve", "s3")
    lost.close()


def test_words_of_an_own_way_below_the_head_that_stays_are_kept(lost: LostDisks) -> None:
    """Only s1 holds dave's rejection; the log went another way, which is as long."""
    cluster, world = lost.cluster, lost.cluster.world
    (record,) = [one for one in map(world.state.order_at, range(world.state.orders_count)) if one.plans]
    world.reject(record.hash, "dave")
    cluster.vote("s1", world.previews[-1])
    amendment = world.amend("alice", "carol", **without(world, "bob"))
    cluster.vote("s1", world.previews[-1])
    lost.world.lose(world.previews[-3].size)
    for _ in range(2):
        world.log(Tick())
    lost.world.term = 2
    restart = lost.restart(certificate=lost.world.certificate(("s2", "s3")), approvers=("alice", "carol"))
    batches = [ExportedBatch(first_index=one.first_index, entries=one.entries) for one in world.batches]
    (lost.root / "longer").write_bytes(exported(batches, lost.world.genesis_id))
    facts = lost.pin("s1", restart, log=lost.root / "longer")
    assert (lost.code, facts["dropped"]) == (0, 2), lost.err
    lost.start("s1")
    words = {word.kind: word for word in cluster.signers["s1"].inbox.items}
    assert (words["rejection"].salvaged, words["revocation"].id) == (True, amendment)
    assert not counts(cluster, "bob")


def test_what_is_not_final_here_and_stays_is_not_dropped(lost: LostDisks) -> None:
    cluster, world = lost.cluster, lost.cluster.world
    order = world.pay(VAULT, 50_000)
    plan = world.planned([order], [world.coin(90_000)])
    for preview in world.previews[-2:]:
        cluster.vote("s1", preview)
    assert cluster.signers["s1"].copy.final_size <= plan.entry_index
    restart = lost.restart(certificate=lost.world.certificate(("s1", "s2")))
    facts = lost.pin("s1", restart)
    assert (lost.code, facts["dropped"], facts["dropped_plans"]) == (0, 0, [])


def test_a_word_that_was_handed_in_stays_what_it_was_though_a_dropped_entry_has_it(lost: LostDisks) -> None:
    cluster, world = lost.cluster, lost.cluster.world
    restart = lost.restart()
    order = world.order(Freeze(scope=Scope.VAULT, vault=VAULT, why="looks wrong"))
    entry = world.order_entry(order, "dave")
    cluster.signers["s1"].inbox.hand_in(order, [SignedBody.of(one) for one in entry.endorsements])
    world.log(entry)
    cluster.vote("s1", world.previews[-1])
    lost.pin("s1", restart)
    lost.start("s1")
    (word,) = cluster.signers["s1"].inbox.items
    assert not word.salvaged


def test_people_read_what_was_dropped(lost: LostDisks) -> None:
    cluster, world = lost.cluster, lost.cluster.world
    restart = lost.restart(approvers=("alice", "carol"))
    world.amend("alice", "carol", **without(world, "bob"))
    order, coin = world.pay(VAULT, 50_000, "alice", "carol"), world.coin(90_000)
    plan = world.planned([order], [coin])
    for preview in world.previews[-3:]:
        cluster.vote("s1", preview)
    (lost.root / "restart").write_bytes(encode_restart_file(restart))
    lost.stop("s1")
    out = io.StringIO()
    command = ["restart", str(lost.root / "restart"), "--fingerprint", restart_log_id(restart).hex()]
    command += ["--data", str(cluster.folders["s1"])]
    assert run(command, clock=cluster.clock, random=os.urandom, cost=CHEAP, out=out, err=out) == 0
    for text in (plan.txid[::-1].hex(), order.hex(), f"{coin.txid[::-1].hex()}:0", "took keys of people"):
        assert text in out.getvalue()


def test_dropped_entries_fill_the_inbox_with_no_more_words_of_a_person_than_there_is_room_for(
    lost: LostDisks, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, world = lost.cluster, lost.cluster.world
    monkeypatch.setattr("strongroom_signer.kept_words.MAX_OF_PERSON", 2)
    restart = lost.restart()
    for _ in range(3):
        world.freeze("dave")
        cluster.vote("s1", world.previews[-1])
    lost.pin("s1", restart)
    lost.start("s1")
    assert len(cluster.signers["s1"].inbox.items) == 2


def test_a_long_log_that_was_never_final_is_taken_from_an_exported_one(lost: LostDisks) -> None:
    cluster, world = lost.cluster, lost.cluster.world
    for _ in range(1_200):
        world.later(1)
        world.log(Tick())
    certificate = lost.world.certificate(("s1", "s2"))
    cluster.clock.advance(1_200)
    restart = lost.restart(certificate=certificate)
    lost.stop("s1")
    cluster.folders["s1"] = make_folder(lost.root / "empty", world, "s1")
    batches = [ExportedBatch(first_index=one.first_index, entries=one.entries) for one in world.batches]
    (lost.root / "long").write_bytes(exported(batches, lost.world.genesis_id))
    facts = lost.pin("s1", restart, log=lost.root / "long")
    assert not lost.err
    assert (lost.code, facts["kept"]) == (0, certificate.head.size)


def test_a_signer_that_lacks_entries_takes_them_from_an_exported_log(lost: LostDisks) -> None:
    restart = lost.restart()
    fresh = make_folder(lost.root / "empty", lost.cluster.world, "s1")
    lost.stop("s1")
    lost.cluster.folders["s1"] = fresh
    lost.pin("s1", restart)
    assert lost.reason == "RESTART_LOG_TOO_SHORT"
    lost.pin("s1", restart, log=lost.root / "log")
    assert lost.code == 0, lost.err
    lost.start("s1")
    signer = lost.cluster.signers["s1"]
    assert signer.copy.newest().log_id == restart_log_id(restart)
    assert not signer.copy.lacking()
    assert signer.shares.get(VAULT, 1) is not None


def test_an_exported_log_of_the_log_that_began_there_will_do(recovered: LostDisks) -> None:
    restart = recovered.restart()
    recovered.pin("s2", restart)
    recovered.start("s2")
    data = b"".join(export(recovered.cluster.signers["s2"].store, restart_log_id(restart)))
    (recovered.root / "newer").write_bytes(data)
    recovered.stop("s1")
    recovered.cluster.folders["s1"] = make_folder(recovered.root / "empty", recovered.cluster.world, "s1")
    recovered.pin("s1", restart, log=recovered.root / "newer")
    assert recovered.code == 0, recovered.err
    recovered.start("s1")
    assert recovered.cluster.signers["s1"].copy.replica.head() == recovered.cluster.signers["s2"].copy.replica.head()


def exported(batches: Iterable[ExportedBatch], log_id: LogId) -> bytes:
    writer = LogExportWriter(log_id)
    pieces = [writer.begin(), *(writer.batch(one.first_index, one.entries, one.certificate) for one in batches)]
    return b"".join([*pieces, writer.end()])


def test_an_exported_log_must_hold_what_stays(lost: LostDisks) -> None:
    restart, genesis_id = lost.restart(), lost.world.genesis_id
    reader = LogExportReader(io.BytesIO((lost.root / "log").read_bytes()).read)
    batches = [part for part in reader if isinstance(part, ExportedBatch)]
    other = World(label="other", charter=lost.cluster.world.charter)
    other.log(other.genesis())
    while other.replica.size < lost.certificate.head.size:
        other.log(Tick())
    wrong = [ExportedBatch(first_index=one.first_index, entries=one.entries) for one in other.batches]
    lost.stop("s1")
    lost.cluster.folders["s1"] = make_folder(lost.root / "empty", lost.cluster.world, "s1")
    for data, reason in (
        (exported(batches[:-1], genesis_id), "RESTART_LOG_TOO_SHORT"),
        (exported(wrong, genesis_id), "RESTART_REFUSED"),
        (exported(batches, LogId(bytes(32))), "RESTART_REFUSED"),
        (exported([replace(batches[0], entries=(b"x",))], genesis_id), "RESTART_REFUSED"),
        (exported(batches, genesis_id)[:-1], "LOG_EXPORT_INVALID"),
    ):
        (lost.root / "wrong").write_bytes(data)
        lost.pin("s1", restart, log=lost.root / "wrong")
        assert lost.reason == reason


def test_words_against_a_payment_that_is_still_possible_stay_in_force(recovered: LostDisks) -> None:
    cluster = recovered.cluster
    (record,) = [one for one in map(cluster.world.state.order_at, range(cluster.world.state.orders_count)) if one.plans]
    said = cluster.world.endorsement("dave", Verb.REJECT, record.hash)
    cluster.signers["s1"].inbox.hand_in(b"", [SignedBody.of(said)])
    all_pin(recovered)
    cluster.open_term()
    thaw(recovered)
    cluster.tick(1)
    cluster.deliver()
    (plan,) = cluster.world.state.plans_of(record.hash)
    chosen = cluster.commit("s1", plan.entry_index)
    assert refusal_of(chosen).reason in ("REJECTED", "WORD_AGAINST")
    assert not cluster.signers["s1"].inbox.to_raise()


@pytest.mark.parametrize("with_order", [False, True])
def test_a_payment_from_before_can_be_rejected_by_hand_after_a_restart(recovered: LostDisks, with_order: bool) -> None:
    cluster = recovered.cluster
    all_pin(recovered)
    cluster.open_term()
    thaw(recovered)
    cluster.tick(1)
    cluster.deliver()
    (record,) = [one for one in map(cluster.world.state.order_at, range(cluster.world.state.orders_count)) if one.plans]
    (plan,) = cluster.world.state.plans_of(record.hash)
    said = cluster.world.endorsement("dave", Verb.REJECT, record.hash)
    inbox = cluster.signers["s1"].inbox
    inbox.hand_in(record.order if with_order else b"", [SignedBody.of(said)])
    assert refusal_of(cluster.commit("s1", plan.entry_index)).reason in ("REJECTED", "WORD_AGAINST")
    assert [one.body for one in inbox.to_raise().endorsements] == [said.body]
    cluster.world.log(Endorse(endorsement=said))


def test_an_order_of_the_log_before_that_this_one_does_not_hold_cannot_be_rejected(recovered: LostDisks) -> None:
    cluster = recovered.cluster
    old = cluster.world.order(cluster.world.withdrawal(VAULT, 100_000))
    all_pin(recovered)
    said = cluster.world.endorsement("dave", Verb.REJECT, old)
    with pytest.raises(BadWord, match="another log"):
        cluster.signers["s1"].inbox.hand_in(old, [SignedBody.of(said)])


def test_a_rejection_that_only_a_dropped_entry_held_stays_in_force(lost: LostDisks) -> None:
    cluster = lost.cluster
    (record,) = [one for one in map(cluster.world.state.order_at, range(cluster.world.state.orders_count)) if one.plans]
    restart = lost.restart()
    cluster.world.reject(record.hash, "dave")
    cluster.vote("s1", cluster.world.previews[-1])
    assert cluster.signers["s1"].copy.size > cluster.signers["s1"].voting.state.held.head.size  # type: ignore[union-attr]
    facts = lost.pin("s1", restart)
    assert facts["dropped"] == 1
    lost.start("s1")
    (word,) = cluster.signers["s1"].inbox.items
    assert (word.kind, word.salvaged) == ("rejection", True)


def test_words_about_what_can_never_be_paid_are_forgotten(lost: LostDisks) -> None:
    cluster = lost.cluster
    order = cluster.world.pay(VAULT, 77_000)
    said = cluster.world.endorsement("dave", Verb.REJECT, order)
    cluster.signers["s1"].inbox.hand_in(b"", [SignedBody.of(said)])
    assert cluster.signers["s1"].inbox.items
    lost.pin("s1", lost.restart())
    lost.start("s1")
    assert not cluster.signers["s1"].inbox.items


def test_words_about_what_no_plan_paid_before_the_log_was_founded_anew_are_forgotten(tmp_path: Path) -> None:
    lost = LostDisks.started(tmp_path, recovered=(), waiting=True)
    world, signer = lost.cluster.world, lost.cluster.signers["s1"]
    (waits,) = world.state.open_orders()
    for order in map(world.state.order_at, range(world.state.orders_count)):
        if order.plans or order.hash == waits.hash:
            signer.inbox.hand_in(b"", [SignedBody.of(world.endorsement("dave", Verb.REJECT, order.hash))])
    assert len(signer.inbox.items) == 2
    lost.pin("s1", lost.restart())
    lost.start("s1")
    assert [rejection_in(one).order_hash == waits.hash for one in lost.cluster.signers["s1"].inbox.items] == [False]
    lost.close()


def test_an_officers_freeze_that_was_handed_in_stays_in_force(lost: LostDisks) -> None:
    cluster = lost.cluster
    order = cluster.world.order(Freeze(scope=Scope.VAULT, vault=VAULT, why="looks wrong"))
    said = cluster.world.endorsement("dave", Verb.INITIATE, order)
    cluster.signers["s1"].inbox.hand_in(order, [SignedBody.of(said)])
    lost.pin("s1", lost.restart())
    lost.start("s1")
    assert cluster.signers["s1"].inbox.handed_freeze_of(VAULT) == "looks wrong"


def test_the_operators_own_freeze_is_asked_for_in_the_new_log(recovered: LostDisks) -> None:
    cluster = recovered.cluster
    cluster.signers["s1"].inbox.freeze(VAULT, "my own")
    all_pin(recovered)
    cluster.open_term()
    assert cluster.signers["s1"].inbox.local_freeze_of(VAULT) == "my own"
    (raised,) = cluster.signers["s1"].inbox.to_raise().freezes
    cluster.world.log(SignerFreeze(statement=raised.stored()))
    assert any(one.signer == "s1" for one in cluster.world.state.freezes())


# --- the log before is over --------------------------------------------------------------------------------------


def test_a_certificate_of_the_log_before_is_worth_nothing(recovered: LostDisks) -> None:
    old = recovered.certificate
    all_pin(recovered)
    with pytest.raises(BadCertificate):
        recovered.cluster.signers["s1"].voting.take(old)


def stopped_by(lost: LostDisks, alarm: Alarm) -> None:
    """s1 stopped with an alarm."""
    lost.stop("s1")
    store = Store.open(lost.cluster.folders["s1"] / "signer.db")
    state = codec.decode(VoterState, store.voter() or b"")
    with store.commit() as write:
        write.set_voter(codec.encode(replace(state, alarm=alarm.name, alarm_detail="x")))
    store.close()
    lost.start("s1")


@pytest.mark.parametrize("alarm", [Alarm.OWN_VOTE_UNKNOWN, Alarm.OWN_STATEMENT_UNKNOWN])
def test_a_signer_that_lost_its_votes_gets_no_voice_back_by_a_restart(lost: LostDisks, alarm: Alarm) -> None:
    stopped_by(lost, alarm)
    lost.pin("s1", lost.restart())
    assert lost.reason == "RESTART_VOTES_LOST"
    assert "recover" in lost.err
    lost.start("s1")
    signer = lost.cluster.signers["s1"]
    assert (signer.copy.log_id, signer.voting.state.alarm) == (lost.world.genesis_id, alarm.name)


def at_a_terminal(lost: LostDisks, monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """What is asked of an operator who gives these answers."""
    asked: list[str] = []
    left = iter(answers)

    def answer(question: str) -> str:
        asked.append(question)
        return next(left)

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    lost.stop("s1")
    lost.type("restart", str(lost.root / "restart"), folder=lost.cluster.folders["s1"])
    return asked


def test_an_operator_is_asked_whether_the_folder_was_put_back(lost: LostDisks, monkeypatch: pytest.MonkeyPatch) -> None:
    restart = lost.restart()
    (lost.root / "restart").write_bytes(encode_restart_file(restart))
    for answer in ("yes", "", "y"):
        (asked,) = at_a_terminal(lost, monkeypatch, answer)
        assert "put back" in asked
        assert "RESTART_REFUSED" in lost.err
    assert len(at_a_terminal(lost, monkeypatch, "no", restart_log_id(restart).hex())) == 2
    assert lost.code == 0, lost.err


def test_a_restart_ends_the_alarm_of_the_log_before(lost: LostDisks) -> None:
    stopped_by(lost, Alarm.CERTIFICATES_CONFLICT)
    restart = lost.restart()
    facts = lost.pin("s1", restart)
    assert facts["alarm"] == "CERTIFICATES_CONFLICT"
    lost.start("s1")
    assert not lost.cluster.signers["s1"].voting.state.alarm


# --- who comes later ---------------------------------------------------------------------------------------------


def test_a_signer_is_recovered_from_the_log_that_began_there(recovered: LostDisks) -> None:
    all_pin(recovered)
    recovered.export("s1", recovered.root / "log")
    reader = LogExportReader(io.BytesIO((recovered.root / "log").read_bytes()).read)
    assert reader.log_id == recovered.cluster.world.log_id
    recovered.recover("s3", fingerprint=recovered.world.genesis_id.hex(), label="wrong")
    assert recovered.reason == "RECOVERY_REFUSED"
    recovered.recover("s3", label="third")
    assert recovered.code == 0, recovered.err
    store = Store.open(recovered.root / "s3-third" / "signer.db")
    state = codec.decode(VoterState, store.voter() or b"")
    pin = store.pin()
    store.close()
    assert pin is not None
    assert (state.log_id, state.founded_size) == (
        recovered.cluster.world.log_id,
        recovered.cluster.world.state.founded_size,
    )
    assert codec.decode(Charter, pin.charter) == recovered.cluster.world.state.charter


def test_a_signer_is_recovered_from_a_log_that_went_on_after_its_restart(recovered: LostDisks) -> None:
    all_pin(recovered)
    cluster = recovered.cluster
    cluster.open_term()
    cluster.tick(3)
    cluster.deliver()
    recovered.export("s1", recovered.root / "log")
    recovered.recover("s3", label="third")
    assert recovered.code == 0, recovered.err
    recovered.stop("s3")
    recovered.start("s3")
    assert cluster.signers["s3"].copy.replica.head() == cluster.signers["s1"].copy.replica.head()
    assert cluster.signers["s3"].voting.state.held == cluster.certificate


def test_an_export_that_stops_before_the_founding_is_of_another_log(lost: LostDisks) -> None:
    restart = lost.restart()
    reader = LogExportReader(io.BytesIO((lost.root / "log").read_bytes()).read)
    batches = [part for part in reader if isinstance(part, ExportedBatch)]
    (lost.root / "log").write_bytes(exported(batches, restart_log_id(restart)))
    lost.recover("s3", fingerprint=restart_log_id(restart).hex(), label="third")
    assert lost.reason == "RECOVERY_REFUSED"
    assert "does not lead to" in lost.err
