"""What a signer votes for, what it remembers, and what stops it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charter_builder import signing_key
from electorate_of import always, certificate_by, electorate
from signer_world import Cluster, open_folder, signed
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.checkpoint import Checkpoint, cosigner_key, log_origin, open_checkpoint
from strongroom.ledger.entry_messages import Endorse, SignerFreeze, Tick
from strongroom.ledger.signed_messages import Refusal, Signed, Verb
from strongroom.model.ids import BootId
from strongroom.protocol.certificates import (
    NO_CERTIFICATE,
    BadCertificate,
    final_size,
    held_of,
    sign_vote,
    verify_vote,
)
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.terms import sign_new_term, verify_new_term
from strongroom.protocol.voter_state import StaleTerm, VoteAlreadyCast, VoterStopped
from strongroom_signer.alarms import ClockDrift, DiskLow
from strongroom_signer.config import SignerConfig
from strongroom_signer.daemon import confirm_alarm
from strongroom_signer.frames import signed_to_pb
from strongroom_signer.inbox import GRACE_MS
from strongroom_signer.retirement import Retired
from strongroom_signer.store import DiskFull, Store, StoreFailed
from strongroom_signer.voice import NotAWitness
from strongroom_signer.voting import EntriesMissing, NotOurBatch


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


def reason_of_batch(answer: Any) -> str:
    assert isinstance(answer, pb.BatchRefused), answer
    return codec.decode(Refusal, answer.refusal.body).reason


def next_append(cluster: Cluster, **parts: Any) -> pb.Append:
    cluster.world.log(Tick())
    return cluster.append(cluster.world.previews[-1], **parts)


# --- clocks and disk ---


@pytest.mark.parametrize(("skew", "taken"), [(60_000, True), (60_001, False), (-60_000, True), (-60_001, False)])
def test_batch_is_voted_for_within_60_seconds_of_the_own_clock(cluster: Cluster, skew: int, taken: bool) -> None:
    cluster.clock.advance(120_000)
    cluster.world.later(120_000 + skew)
    answer = cluster.ask("s1", next_append(cluster))
    if taken:
        assert isinstance(answer, pb.Voted)
    else:
        assert reason_of_batch(answer) == "BATCH_TIME_OFF"


@pytest.mark.attack(line="machine", title="a stepped clock", origin="on paper: log time pushed by a false clock")
def test_clock_that_stepped_stops_votes_until_it_is_confirmed(cluster: Cluster) -> None:
    cluster.clock.wall += 31_000
    cluster.world.later(31_000)
    append = next_append(cluster)
    with pytest.raises(ClockDrift):
        cluster.ask("s1", append)
    cluster.clock.wall -= 31_000
    cluster.restart("s1")
    with pytest.raises(ClockDrift):
        cluster.ask("s1", append)
    signer = cluster.signers["s1"]
    assert signer.alarm()[0] == signer.hello().alarm == "CLOCK_DRIFT"
    assert not confirm_alarm(signer.store, "OWN_VOTE_UNKNOWN")
    assert confirm_alarm(signer.store, "CLOCK_DRIFT")
    cluster.restart("s1")
    cluster.clock.wall += 31_000
    cluster.restart("s1")
    assert isinstance(cluster.ask("s1", append), pb.Voted)


def test_clock_that_stepped_is_noticed_though_nobody_asks_for_a_vote(cluster: Cluster) -> None:
    voting = cluster.signers["s1"].voting
    voting.watch_clocks()
    assert cluster.signers["s1"].alarm() == ("", "")
    cluster.clock.wall -= 31_000
    voting.watch_clocks()
    assert cluster.signers["s1"].alarm()[0] == "CLOCK_DRIFT"


def test_drift_counts_from_the_last_vote(cluster: Cluster) -> None:
    for _ in range(4):
        cluster.clock.wall += 20_000
        cluster.world.later(20_000)
        assert isinstance(cluster.ask("s1", next_append(cluster)), pb.Voted)


def test_signer_below_the_disk_floor_does_not_vote(cluster: Cluster) -> None:
    free = cluster.signers["s1"].store.free_bytes()
    cluster.restart("s1", SignerConfig(coordinator="127.0.0.1:1", free_disk_floor_bytes=free * 2))
    with pytest.raises(DiskLow):
        cluster.ask("s1", next_append(cluster))
    assert cluster.signers["s1"].alarm()[0] == "DISK_LOW"


def test_full_disk_leaves_the_signer_as_it_was(cluster: Cluster) -> None:
    signer = cluster.signers["s1"]
    append = next_append(cluster)
    before, state = signer.copy.size, signer.voting.state
    pages = signer.store._db.execute("PRAGMA page_count").fetchone()[0]
    signer.store._db.execute(f"PRAGMA max_page_count = {pages}")
    big = [bytes([number]) * 60_000 for number in range(8)]
    with pytest.raises(DiskFull):
        write_state(signer.store, {b"x%d" % number: data for number, data in enumerate(big)})
    assert (signer.copy.size, signer.voting.state) == (before, state)
    signer.store._db.execute("PRAGMA max_page_count = 1000000")
    assert isinstance(cluster.ask("s1", append), pb.Voted)


def write_state(store: Store, values: dict[bytes, bytes]) -> None:
    with store.commit() as write:
        write.put_state(values)


# --- votes ---


def test_batch_that_replay_refuses_gets_a_signed_refusal_and_no_vote(cluster: Cluster) -> None:
    good = cluster.world.entry(Tick())
    append = next_append(cluster)
    bad = cluster.ask("s1", pb.Append(**_fields(append, [good, b"\x01not an entry"])))
    assert reason_of_batch(bad) == "NOT_CANONICAL"
    refusal = codec.decode(Refusal, bad.refusal.body)
    assert refusal.entry_index == append.first_index + 1
    assert isinstance(cluster.ask("s1", append), pb.Voted)


def _fields(append: pb.Append, entries: list[bytes]) -> dict[str, Any]:
    return {
        "term": append.term,
        "first_index": append.first_index,
        "entries": entries,
        "size": append.first_index + len(entries),
        "root": append.root,
        "certificate": append.certificate,
    }


def test_root_must_be_the_one_computed_here(cluster: Cluster) -> None:
    append = next_append(cluster, root=bytes(32))
    with pytest.raises(NotOurBatch):
        cluster.ask("s1", append)


def test_repeated_append_gets_the_very_same_vote(cluster: Cluster) -> None:
    append = next_append(cluster)
    first, second = cluster.ask("s1", append), cluster.ask("s1", append)
    assert first.vote == second.vote


def test_two_batches_of_one_size_in_one_term_get_one_vote(cluster: Cluster) -> None:
    preview = cluster.world.replica.preview(cluster.world.batch(Tick()))
    assert isinstance(cluster.ask("s1", cluster.append(preview)), pb.Voted)
    other = cluster.world.replica.preview(cluster.world.batch(Tick()))
    with pytest.raises((NotOurBatch, VoteAlreadyCast)):
        cluster.ask("s1", cluster.append(other))


def test_vote_is_on_disk_before_it_leaves_and_survives_a_kill(cluster: Cluster, tmp_path: Path) -> None:
    append = next_append(cluster)
    vote = cluster.ask("s1", append).vote
    killed = tmp_path / "killed"
    shutil.copytree(cluster.folders["s1"], killed)
    again = open_folder(killed, cluster.clock)
    cluster.signers["s1"].close()
    cluster.signers["s1"] = again
    assert again.copy.size == append.size
    assert cluster.ask("s1", append).vote == vote


def test_signer_that_dies_before_the_commit_votes_afresh(cluster: Cluster, tmp_path: Path) -> None:
    append = next_append(cluster)
    signer = cluster.signers["s1"]
    signer.store._db.execute("CREATE TEMP TRIGGER broken BEFORE INSERT ON batch BEGIN SELECT RAISE(ABORT, 'x'); END")
    with pytest.raises(StoreFailed):
        cluster.ask("s1", append)
    killed = tmp_path / "killed"
    shutil.copytree(cluster.folders["s1"], killed)
    signer.close()
    cluster.signers["s1"] = open_folder(killed, cluster.clock)
    assert cluster.signers["s1"].copy.size == append.first_index
    assert isinstance(cluster.ask("s1", append), pb.Voted)


def test_restarted_signer_goes_on_voting_in_the_same_term(cluster: Cluster) -> None:
    cluster.plan()
    for name in ("s1", "s2", "s3"):
        cluster.restart(name)
    cluster.tick(3)
    assert cluster.signers["s1"].voting.state.term == 1


def test_gap_in_the_log_is_fetched_first(cluster: Cluster) -> None:
    cluster.tick(names=("s2", "s3"))
    append = next_append(cluster)
    with pytest.raises(EntriesMissing) as missing:
        cluster.ask("s1", append)
    assert missing.value.target.size == append.first_index


# --- terms ---


def test_fenced_leader_gets_nothing(cluster: Cluster) -> None:
    append = next_append(cluster)
    cluster.ask("s1", pb.Promise(term=2, leader=bytes(16)))
    with pytest.raises(StaleTerm):
        cluster.ask("s1", append)
    with pytest.raises(StaleTerm):
        cluster.ask("s1", pb.Commit(term=1, entry_indexes=[0]))


def test_fenced_leader_learns_so_though_its_batch_does_not_follow(cluster: Cluster) -> None:
    append = next_append(cluster, certificate=b"")
    later = next_append(cluster, certificate=b"")
    cluster.ask("s1", pb.Promise(term=2, leader=bytes(16)))
    for batch in (append, later, pb.Append(**{**_fields(append, list(append.entries)), "root": bytes(32)})):
        with pytest.raises(StaleTerm):
            cluster.ask("s1", batch)


def test_batch_beyond_a_gap_does_not_follow(cluster: Cluster) -> None:
    next_append(cluster)
    with pytest.raises(NotOurBatch, match="entries are stored here"):
        cluster.ask("s1", next_append(cluster, certificate=b""))


def test_certificate_held_means_nothing_once_a_later_term_is_promised(cluster: Cluster) -> None:
    cluster.deliver()
    assert cluster.certificate is not None
    request = pb.Certify(certificate=codec.encode(cluster.certificate))
    held = cluster.ask("s1", request).certified_size
    cluster.ask("s1", pb.Promise(term=cluster.term + 1, leader=cluster.leader))
    with pytest.raises(StaleTerm):
        cluster.ask("s1", request)
    cluster.open_term()
    # The base of the new term is held there as well, so it is no news.
    assert cluster.certificate is not None
    assert cluster.ask("s1", pb.Certify(certificate=codec.encode(cluster.certificate))).certified_size == held


def test_promise_survives_a_kill(cluster: Cluster) -> None:
    statement = cluster.ask("s1", pb.Promise(term=7, leader=bytes(16))).statement
    cluster.restart("s1")
    assert cluster.signers["s1"].voting.state.term == 7
    assert cluster.ask("s1", pb.Promise(term=7, leader=bytes(16))).statement == statement


def test_signer_whose_vote_key_is_erased_states_and_votes_nothing(cluster: Cluster) -> None:
    append = next_append(cluster)
    before = cluster.signers["s1"].voting.state
    cluster.signers["s1"].keys.vote.wipe()
    for request in (pb.Promise(term=cluster.term + 1, leader=bytes(16)), append):
        with pytest.raises(Retired, match="its vote key is erased"):
            cluster.ask("s1", request)
    assert cluster.signers["s1"].voting.state == before


def test_signer_that_no_witness_set_names_states_votes_and_repeats_nothing(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = next_append(cluster)
    cluster.ask("s1", stored)
    cluster.deliver()
    voting = cluster.signers["s1"].voting
    before = voting.state
    monkeypatch.setattr(voting._voice, "_key", signing_key("the machine before").public)
    for request in (pb.Promise(term=cluster.term + 1, leader=bytes(16)), stored, next_append(cluster)):
        with pytest.raises(NotAWitness, match="another vote key for s1"):
            cluster.ask("s1", request)
    assert (voting.state.term, voting.state.last_vote) == (before.term, before.last_vote)


def test_new_term_drops_what_lies_beyond_its_base_but_no_rejection(cluster: Cluster) -> None:
    index = cluster.plan()
    cluster.deliver()
    order = _order_of_last_plan(cluster)
    kept = cluster.world.replica.size
    cluster.world.reject(order, "carol")
    cluster.vote("s1", cluster.world.previews[-1])
    cluster.open_term(("s2", "s3", "s1"))
    signer = cluster.signers["s1"]
    assert signer.copy.size == kept
    assert [item.kind for item in signer.inbox.items] == ["rejection"]
    cluster.world.replica.truncate(kept)
    del cluster.world.previews[-1]
    cluster.tick()
    refusal = cluster.commit("s1", index).refusal
    assert codec.decode(Refusal, refusal.body).reason == "REJECTED"
    assert cluster.commit("s2", index).WhichOneof("outcome") == "commitments"


def test_rejection_leaves_the_inbox_only_when_it_is_final(cluster: Cluster) -> None:
    cluster.plan()
    order = _order_of_last_plan(cluster)
    signer = cluster.signers["s1"]
    said = cluster.world.endorsement("carol", Verb.REJECT, order)
    signer.inbox.hand_in(b"", [SignedBody.of(said)])
    assert len(signer.inbox.to_raise().endorsements) == 1
    cluster.restart("s1")
    signer = cluster.signers["s1"]
    cluster.world.log(Endorse(endorsement=said))
    cluster.sync()
    assert not signer.inbox.to_raise()
    assert len(signer.inbox.items) == 1
    cluster.tick(2)
    assert not signer.inbox.items


def _order_of_last_plan(cluster: Cluster) -> bytes:
    record = next(iter(cluster.world.state.open_orders()), None)
    orders = [cluster.world.state.order_at(number) for number in range(cluster.world.state.orders_count)]
    return (record or orders[-1]).hash


# --- words withheld ---


@pytest.mark.attack(line="coordinator", title="words withheld for ever", origin="on paper: a freeze kept back")
@pytest.mark.parametrize("kind", ["rejection", "freeze"])
def test_signer_stops_voting_ten_minutes_after_a_word_the_log_lacks(cluster: Cluster, kind: str) -> None:
    cluster.plan()
    order = _order_of_last_plan(cluster)
    inbox = cluster.signers["s1"].inbox
    said = cluster.world.endorsement("carol", Verb.REJECT, order)
    if kind == "rejection":
        inbox.hand_in(b"", [SignedBody.of(said)])
        body: Any = Endorse(endorsement=said)
    else:
        inbox.freeze("", "I saw something")
        freeze = inbox.local_freezes[0]
        body = SignerFreeze(statement=Signed(body=freeze.body, signature=freeze.signature))
    cluster.wait(GRACE_MS - 1)
    cluster.tick()
    cluster.wait(1)
    without = cluster.world.replica.preview(cluster.world.batch(Tick()))
    assert reason_of_batch(cluster.ask("s1", cluster.append(without))) == "WORDS_WITHHELD"
    within = cluster.world.replica.preview(cluster.world.batch(body))
    assert isinstance(cluster.ask("s1", cluster.append(within)), pb.Voted)


def test_word_that_the_log_cannot_take_never_stops_votes(cluster: Cluster) -> None:
    said = cluster.world.endorsement("carol", Verb.REJECT, bytes(32))
    cluster.signers["s1"].inbox.hand_in(b"", [SignedBody.of(said)])
    cluster.wait(GRACE_MS * 2)
    cluster.tick()


# --- certificates, finality, cosignatures ---


def test_final_heads_are_cosigned_once(cluster: Cluster) -> None:
    world, signer = cluster.world, cluster.signers["s1"]
    answer = cluster.ask("s1", next_append(cluster))
    size = signer.copy.final_size
    assert answer.final_size == size > 0
    assert cluster.ask("s1", cluster.append(world.previews[-1])).cosignature == ""
    line = answer.cosignature
    assert line
    origin = log_origin(world.log_id)
    root = world.replica.root_at(size)
    assert root is not None
    note = Checkpoint(origin=origin, size=size, root=root).text + "\n" + line
    key = next(one.witness_key for one in world.charter.signers if one.name == "s1")
    opened = open_checkpoint(
        note.encode(), origin=origin, witnesses=[cosigner_key(world.log_id, "s1", key)], threshold=1
    )
    assert opened.checkpoint.size == size


def test_a_signer_whose_vote_key_is_erased_witnesses_no_more(cluster: Cluster) -> None:
    signer = cluster.signers["s1"]
    assert cluster.certificate is not None
    signer.voting.take(cluster.certificate)
    assert signer.voting._cosigned < signer.copy.final_size
    signer.keys.vote.wipe()
    assert signer.voting.cosignature() == ""


@pytest.mark.attack(
    line="coordinator",
    title="two builds that replay differently",
    origin="on paper: two builds that read one entry differently",
)
def test_other_state_digest_in_a_certificate_stops_the_signer_for_good(cluster: Cluster) -> None:
    cluster.world.log(Tick())
    preview = cluster.world.previews[-1]
    cluster.vote("s1", preview)
    certificate = _certificate_of_liars(cluster, preview)
    with pytest.raises(VoterStopped):
        cluster.ask("s1", pb.Certify(certificate=codec.encode(certificate)))
    cluster.restart("s1")
    assert cluster.signers["s1"].alarm()[0] == "STATE_DIGEST_MISMATCH"
    with pytest.raises(VoterStopped):
        cluster.ask("s1", next_append(cluster))


def test_base_below_what_is_final_stops_the_signer_for_good(cluster: Cluster) -> None:
    size = cluster.signers["s1"].copy.size
    with pytest.raises(VoterStopped):
        cluster.ask("s1", cluster.forget_all(("s2", "s3")))
    assert cluster.signers["s1"].alarm()[0] == "FINAL_HEAD_CONTRADICTED"
    assert cluster.signers["s1"].copy.size == size


def test_own_statement_that_is_not_remembered_stops_the_signer_and_says_what_that_means(cluster: Cluster) -> None:
    leader, term = bytes(range(16)), cluster.term + 1
    held = cluster.signers["s1"].voting.state.held
    statements = [
        sign_new_term(
            signing_key(f"{name} vote"),
            log_id=cluster.world.log_id,
            signer=name,
            term=term,
            leader=leader,
            boot_id=BootId(bytes(16)),
            held=held_of(held),
        )
        for name in ("s1", "s2")
    ]
    cluster.leader = leader
    base = b"" if held is None else codec.encode(held)
    opening = pb.OpenTerm(term=term, statements=[signed_to_pb(one) for one in statements], base_certificate=base)
    with pytest.raises(VoterStopped, match="a newterm statement of this signer exists"):
        cluster.ask("s1", opening)
    assert cluster.signers["s1"].alarm()[0] == "OWN_STATEMENT_UNKNOWN"


def _certificate_of_liars(cluster: Cluster, preview: Any) -> Certificate:
    """A certificate of s2 and s3 for the same entries with another state."""
    head = Head(
        log_id=cluster.world.log_id, term=cluster.term, size=preview.size, root=preview.root, state_digest=bytes(32)
    )
    votes = [
        verify_vote(
            name,
            sign_vote(signing_key(f"{name} vote"), head, NO_CERTIFICATE),
            log_id=cluster.world.log_id,
            electorate=electorate(cluster.vote_keys),
        )
        for name in ("s2", "s3")
    ]
    return certificate_by(votes, 2)


@pytest.mark.attack(
    line="machine", title="rollback of a signer's state", origin="keep-core: a signer's state rolled back"
)
def test_restored_signer_that_sees_its_own_later_vote_stops(cluster: Cluster, tmp_path: Path) -> None:
    cluster.signers["s1"].close()
    shutil.copytree(cluster.folders["s1"], tmp_path / "backup")
    cluster.signers["s1"] = open_folder(cluster.folders["s1"], cluster.clock)
    cluster.world.log(Tick())
    cluster.sync(("s1", "s2"))
    assert cluster.certificate is not None
    cluster.signers["s1"].close()
    cluster.signers["s1"] = open_folder(tmp_path / "backup", cluster.clock)
    with pytest.raises(VoterStopped):
        cluster.ask("s1", pb.Certify(certificate=codec.encode(cluster.certificate)))
    assert cluster.signers["s1"].hello().alarm == "OWN_VOTE_UNKNOWN"
    with pytest.raises(VoterStopped):
        cluster.ask("s1", pb.Promise(term=9, leader=bytes(16)))


def test_restored_signer_that_meets_its_own_later_vote_while_it_fetches_stops(cluster: Cluster, tmp_path: Path) -> None:
    cluster.signers["s1"].close()
    shutil.copytree(cluster.folders["s1"], tmp_path / "backup")
    cluster.signers["s1"] = open_folder(cluster.folders["s1"], cluster.clock)
    cluster.tick(names=("s1", "s2"))
    assert cluster.certificate is not None
    cluster.signers["s1"].close()
    cluster.signers["s1"] = open_folder(tmp_path / "backup", cluster.clock)
    voting = cluster.signers["s1"].voting
    with pytest.raises(VoterStopped):
        voting.settle(cluster.certificate)
    assert voting.state.alarm == "OWN_VOTE_UNKNOWN"


def test_certificate_of_another_state_in_a_later_term_that_is_met_while_it_fetches_stops_the_signer(
    cluster: Cluster,
) -> None:
    cluster.world.log(Tick())
    preview = cluster.world.previews[-1]
    cluster.vote("s1", preview)
    cluster.term += 1
    voting = cluster.signers["s1"].voting
    with pytest.raises(VoterStopped):
        voting.settle(_certificate_of_liars(cluster, preview))
    cluster.restart("s1")
    assert cluster.signers["s1"].alarm()[0] == "STATE_DIGEST_MISMATCH"


def test_forged_certificate_is_refused(cluster: Cluster) -> None:
    cluster.world.log(Tick())
    certificate = cluster.certify(cluster.world.previews[-1])
    vote = replace(certificate.votes[0], signature=bytes(64))
    forged = replace(certificate, votes=(vote, *certificate.votes[1:]))
    with pytest.raises(BadCertificate):
        cluster.ask("s1", pb.Certify(certificate=codec.encode(forged)))


def test_final_state_is_folded_and_no_more(cluster: Cluster) -> None:
    cluster.tick(2)
    assert cluster.certificate is not None
    cluster.deliver()
    signer = cluster.signers["s1"]
    assert signer.copy.final_size == final_size(cluster.certificate) > 0
    assert signer.copy.final().size == signer.copy.final_size


def test_stored_batch_that_replays_differently_keeps_the_daemon_from_starting(cluster: Cluster) -> None:
    cluster.ask("s1", next_append(cluster))
    signer = cluster.signers["s1"]
    with signer.store.commit() as write:
        write._db.execute("UPDATE batch SET state_digest = ? WHERE size = ?", (bytes(32), signer.copy.size))
    signer.close()
    with pytest.raises(StoreFailed):
        open_folder(cluster.folders["s1"], cluster.clock)
    store = Store.open(cluster.folders["s1"] / "signer.db")
    with store.commit() as write:
        write.truncate(cluster.world.previews[-1].batch.first_index)
    store.close()
    cluster.signers["s1"] = open_folder(cluster.folders["s1"], cluster.clock)


def test_batches_are_given_to_who_lacks_them(cluster: Cluster) -> None:
    size = cluster.signers["s1"].copy.size
    found = cluster.ask("s1", pb.FetchBatches(first_index=0, end_index=size)).batches
    assert found[0].first_index == 0
    assert b"".join(entry for batch in found for entry in batch.entries) == b"".join(
        entry for preview in cluster.world.previews for entry in preview.batch.entries
    )
    assert any(batch.certificate for batch in found)
    assert not cluster.ask("s1", pb.FetchBatches(first_index=size, end_index=size + 5)).batches


def test_own_statement_is_signed_by_the_vote_key(cluster: Cluster) -> None:
    statement = signed(cluster.ask("s1", pb.Promise(term=3, leader=bytes(16))).statement)
    verified = verify_new_term(
        statement, log_id=cluster.world.log_id, term=3, leader=bytes(16), electorates=always(cluster.vote_keys)
    )
    assert verified.signer == "s1"


def test_certificate_in_which_a_vote_names_one_that_never_was_is_not_taken(cluster: Cluster) -> None:
    """Everybody who stores it would store the lie for ever; an honest coordinator makes none."""
    cluster.tick()
    cluster.world.log(Tick())
    preview = cluster.world.previews[-1]
    first, second = (cluster.vote(name, preview) for name in ("s1", "s2"))
    lie = verify_vote(
        "s3",
        sign_vote(signing_key("s3 vote"), first.head, replace(first.held, head_hash=bytes(32))),
        log_id=cluster.world.log_id,
        electorate=electorate(cluster.vote_keys),
    )
    made = certificate_by([first, lie], 2)
    with pytest.raises(BadCertificate, match="the vote of s3"):
        cluster.ask("s1", pb.Certify(certificate=codec.encode(made)))
    assert cluster.signers["s1"].store.certificate(preview.size) is None
    cluster.ask("s1", pb.Certify(certificate=codec.encode(certificate_by([first, second], 2))))
    assert cluster.signers["s1"].store.certificate(preview.size) is not None
