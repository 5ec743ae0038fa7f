"""Every check between a request and a released share: with the check gone, its test here fails."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import charter_builder as builder
from ledger_world import BTC
from signer_world import VAULT, Cluster, refusal_of, session_of, signed
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Entry, Plan, Tick
from strongroom.ledger.mutable_state import MutableState
from strongroom.ledger.order_messages import Freeze, Scope
from strongroom.ledger.plans import plan_hash, resolve
from strongroom.ledger.signed_messages import Refusal, Verb
from strongroom.ledger.view import Overlay
from strongroom.model.ids import SignerName
from strongroom.model.row_check import with_check
from strongroom.protocol.commitments import verify_commitments
from strongroom.protocol.release import aggregate, open_set, verify_shares
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.signing_task import task_of
from strongroom_signer import money_path, requests
from strongroom_signer.alarms import ClockDrift
from strongroom_signer.config import Limit, SignerConfig
from strongroom_signer.frames import BadFrame, request_of, signed_to_pb
from strongroom_signer.money_path import group_of
from strongroom_signer.nonces import MAX_AGE_MS
from strongroom_signer.refusals import NonceElsewhere, OverLocalLimit, PlanNotAccepted, WrongEpoch
from strongroom_signer.retirement import Retired
from strongroom_signer.store import StoreFailed
from strongroom_signer.voice import NotAWitness


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


def limited(**limit: int) -> SignerConfig:
    return SignerConfig(coordinator="127.0.0.1:1", free_disk_floor_bytes=0, limits={BTC: Limit(**limit)})


def reason_of_release(cluster: Cluster, index: int, chosen: list[SignedBody], **parts: Any) -> str:
    return refusal_of(cluster.release("s1", index, chosen, **parts)).reason


def plan_at(cluster: Cluster, index: int) -> Plan:
    data = next(
        entry
        for preview in cluster.world.previews
        for offset, entry in enumerate(preview.batch.entries)
        if preview.batch.first_index + offset == index
    )
    body = codec.decode(Entry, data).body
    assert isinstance(body, Plan)
    return body


# --- the whole path ---


def test_shares_of_a_set_make_a_transaction_that_pays(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s3")
    results = {name: cluster.release(name, index, chosen) for name in ("s1", "s3")}
    state = cluster.world.state
    plan, vault = plan_at(cluster, index), state.vault(VAULT)
    assert vault is not None
    spend = resolve(state, plan).spend
    task = task_of(
        spend,
        log_id=cluster.world.log_id,
        term=cluster.term,
        entry_index=index,
        plan_hash=hashlib.sha256(codec.encode(plan)).digest(),
        vault_epoch=vault.epoch,
        group=group_of(vault),
    )
    keys = cluster.vote_keys
    opened = open_set(task, [verify_commitments(one, task=task, vote_keys=keys) for one in chosen])
    shares = {
        SignerName(name): verify_shares(opened, signed(result.shares), vote_keys=keys)
        for name, result in results.items()
    }
    assert spend.finalise(aggregate(opened, shares))


def test_next_commitments_come_with_the_share_and_are_fresh(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    result = cluster.release("s1", index, chosen)
    again = cluster.release("s1", index, [signed(result.next_commitments), *cluster.commitments(index, "s2")])
    assert again.WhichOneof("outcome") == "shares"
    assert session_of(signed(result.next_commitments)) != session_of(chosen[0])


def test_refused_plan_holds_up_no_other(cluster: Cluster) -> None:
    first, second = cluster.plan(), cluster.plan(200_000)
    good, bad = cluster.commitments(first, "s1", "s2"), cluster.commitments(second, "s1", "s2")
    request = cluster.release_request(
        first,
        good,
        sets=[
            pb.SigningSet(entry_index=second, commitments=[signed_to_pb(bad[1])]),
            pb.SigningSet(entry_index=first, commitments=[signed_to_pb(one) for one in good]),
        ],
    )
    results = cluster.ask("s1", request).results
    assert [result.entry_index for result in results] == [second, first]
    assert [result.WhichOneof("outcome") for result in results] == ["refusal", "shares"]


# --- who signs at all ---


def test_a_signer_whose_vote_key_the_charter_does_not_name_signs_nothing(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine took over its name: two that sign for one seat could be used against each other."""
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    cluster.deliver()
    voting = cluster.signers["s1"].voting
    monkeypatch.setattr(voting._voice, "_key", builder.signing_key("the machine before").public)
    with pytest.raises(NotAWitness):
        cluster.commit("s1", index)
    with pytest.raises(NotAWitness):
        cluster.release("s1", index, chosen, certificate=b"")
    monkeypatch.undo()
    assert cluster.release("s1", index, chosen).WhichOneof("outcome") == "shares"


def test_a_signer_whose_vote_key_is_erased_signs_nothing_and_says_so(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    cluster.deliver()
    cluster.signers["s1"].keys.vote.wipe()
    with pytest.raises(Retired, match="its vote key is erased"):
        cluster.commit("s1", index)
    with pytest.raises(Retired, match="its vote key is erased"):
        cluster.release("s1", index, chosen, certificate=b"")


# --- 1: certificate of the current term ---


def test_plan_without_certificate_gets_no_share(cluster: Cluster) -> None:
    order = cluster.world.pay(VAULT, 100_000)
    cluster.sync()
    cluster.world.log_plan([order], [cluster.world.coin(150_000)])
    index = cluster.world.replica.size - 1
    for name in ("s1", "s2"):
        cluster.vote(name, cluster.world.previews[-1])
    chosen = cluster.commitments(index, "s1", "s2")
    assert reason_of_release(cluster, index, chosen) == "NOT_CERTIFIED"


def test_certificate_of_an_earlier_term_releases_nothing(cluster: Cluster) -> None:
    index = cluster.plan()
    cluster.deliver()
    cluster.open_term()
    chosen = cluster.commitments(index, "s1", "s2")
    assert reason_of_release(cluster, index, chosen, certificate=b"") == "NOT_CERTIFIED"


# --- 2: the own decoding of the own log ---


def test_index_of_no_plan_gets_no_share(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    assert reason_of_release(cluster, 0, chosen) == "NO_PLAN_AT_INDEX"
    assert reason_of_release(cluster, 10_000, chosen) in {"NOT_CERTIFIED", "NO_PLAN_AT_INDEX"}


def test_plan_that_the_state_does_not_record_gets_no_nonce(cluster: Cluster) -> None:
    index = cluster.plan()
    forged = replace(plan_at(cluster, index), inputs=(cluster.world.coin(900_000).as_input(),))
    with cluster.signers["s1"].store.commit() as write:
        data = codec.encode(Entry(salt=bytes(16), time_ms=cluster.world.time_ms, body=forged))
        write._db.execute("UPDATE entry SET data = ? WHERE idx = ?", (with_check(b"entry/%d" % index, data), index))
    assert refusal_of(cluster.commit("s1", index)).reason == "PLAN_NOT_ACCEPTED"


def test_plan_that_was_accepted_elsewhere_in_the_log_gets_no_nonce(cluster: Cluster) -> None:
    first, second = cluster.plan(), cluster.plan(200_000)
    store = cluster.signers["s1"].store
    with store.commit() as write:
        moved = with_check(b"entry/%d" % second, store.entry(first) or b"")
        write._db.execute("UPDATE entry SET data = ? WHERE idx = ?", (moved, second))
    assert refusal_of(cluster.commit("s1", second)).reason == "PLAN_NOT_ACCEPTED"


def test_plan_or_order_of_nothing_in_the_state_is_refused(cluster: Cluster) -> None:
    """No accepted plan is so; a signer that met one would refuse and not crash."""
    plan, path, state = plan_at(cluster, cluster.plan()), cluster.signers["s1"].money_path, cluster.world.state
    record = state.plan(plan_hash(codec.encode(plan)))
    assert record is not None
    with pytest.raises(PlanNotAccepted, match="no vault"):
        path.vault_of(state, replace(plan, vault="nowhere"))
    with pytest.raises(PlanNotAccepted, match="no order"):
        path.check_not_rejected_by_hand(state, replace(record, order_hashes=(bytes(32),)))


@pytest.mark.attack(
    line="coordinator",
    title="the signer's decoding differs from the accepted transaction",
    origin="Bybit 2025: people approved what a page showed, and something else was signed",
)
def test_decoding_that_differs_from_the_accepted_transaction_is_refused(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = cluster.plan()

    def other(state: Any, plan: Plan) -> Any:
        return resolve(state, replace(plan, inputs=(cluster.world.coin(plan.inputs[0].amount_sat).as_input(),)))

    monkeypatch.setattr(money_path, "resolve", other)
    assert refusal_of(cluster.commit("s1", index)).reason == "DECODING_DIFFERS"


def test_plan_is_decoded_anew_when_its_vault_has_another_key(cluster: Cluster) -> None:
    """Without change, a plan's transaction is the same under any key; what is signed is not."""
    world = cluster.world
    order = world.pay(VAULT, 100_000)
    world.log_plan([order], [world.coin(101_000)])
    index = world.replica.size - 1
    cluster.sync()
    path, plan = cluster.signers["s1"].money_path, plan_at(cluster, index)
    path.commit(index)
    world.make_vault("customer-2")
    other = world.state.vault("customer-2")
    ticked = world.replica.preview(world.batch(Tick()))
    state = MutableState(Overlay(ticked.overlay), world.log_id)
    vault, record = state.vault(VAULT), state.plan(plan_hash(codec.encode(plan)))
    assert other is not None
    assert vault is not None
    assert record is not None
    state.change_vault(replace(vault, group_key=other.group_key, chain_code=other.chain_code))
    changed = path.vault_of(state, plan)
    before, after = path.decode(world.state, plan, record, vault), path.decode(state, plan, record, changed)
    assert before.txid == after.txid
    assert before.vault_key.group_key == vault.group_key
    assert after.vault_key.group_key == other.group_key


# --- 3: judged now ---


def test_rejection_in_a_batch_not_yet_certified_stops_the_share(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    cluster.world.reject(plan_at(cluster, index).order_hashes[0], "carol")
    cluster.vote("s1", cluster.world.previews[-1])
    assert reason_of_release(cluster, index, chosen) == "REJECTED"


def test_freeze_in_the_ledger_stops_the_share(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    cluster.world.freeze("dave", VAULT)
    cluster.sync()
    assert reason_of_release(cluster, index, chosen) == "FROZEN"


def test_order_that_expired_by_the_own_clock_gets_no_share(cluster: Cluster) -> None:
    world = cluster.world
    order = world.submit(world.withdrawal(VAULT, 100_000), "shop", "alice", "bob", expires_ms=world.time_ms + 10_000)
    world.log_plan([order], [world.coin(150_000)])
    index = world.replica.size - 1
    cluster.sync()
    chosen = cluster.commitments(index, "s1", "s2")
    cluster.clock.advance(10_000)
    assert reason_of_release(cluster, index, chosen) == "ORDER_EXPIRED"


def test_rejection_handed_in_stops_the_share(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    rejection = cluster.world.endorsement("carol", Verb.REJECT, plan_at(cluster, index).order_hashes[0])
    cluster.signers["s1"].inbox.hand_in(b"", [SignedBody.of(rejection)])
    assert reason_of_release(cluster, index, chosen) == "REJECTED"
    assert cluster.release("s2", index, chosen).WhichOneof("outcome") == "shares"


def test_freeze_handed_in_stops_the_share(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    order = cluster.world.order(Freeze(scope=Scope.VAULT, vault=VAULT, why="looks wrong"))
    said = cluster.world.endorsement("dave", Verb.INITIATE, order)
    cluster.signers["s1"].inbox.hand_in(order, [SignedBody.of(said)])
    assert reason_of_release(cluster, index, chosen) == "FROZEN"


@pytest.mark.parametrize("vault", [VAULT, ""])
def test_local_freeze_stops_the_share_until_it_is_thawed(cluster: Cluster, vault: str) -> None:
    index = cluster.plan()
    identifier = cluster.signers["s1"].inbox.freeze(vault, "I saw something")
    assert refusal_of(cluster.commit("s1", index)).reason == "LOCAL_FREEZE"
    cluster.signers["s1"].inbox.thaw(identifier)
    assert cluster.commit("s1", index).WhichOneof("outcome") == "commitments"


def test_local_freeze_of_another_vault_stops_nothing_here(cluster: Cluster) -> None:
    index = cluster.plan()
    cluster.signers["s1"].inbox.freeze("treasury-1", "elsewhere")
    assert cluster.commit("s1", index).WhichOneof("outcome") == "commitments"


def test_local_freeze_between_the_rounds_stops_the_share(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    cluster.signers["s1"].inbox.freeze("", "I saw something")
    assert reason_of_release(cluster, index, chosen) == "LOCAL_FREEZE"


def test_local_maximum_per_order_holds(cluster: Cluster) -> None:
    cluster.restart("s1", limited(per_order=100_000))
    assert cluster.commit("s1", cluster.plan(100_000)).WhichOneof("outcome") == "commitments"
    assert refusal_of(cluster.commit("s1", cluster.plan(100_001))).reason == "LOCAL_LIMIT"


def test_cancellation_pays_nobody_and_meets_no_local_maximum(cluster: Cluster) -> None:
    cluster.restart("s1", limited(per_order=1, per_day=1))
    order, coin = cluster.world.pay(VAULT, 100_000), cluster.world.coin(200_000)
    cluster.world.log_plan([order], [coin])
    cluster.world.log_plan([cluster.world.cancel(order)], [coin], fee_sat=2_000)
    cluster.sync()
    assert cluster.commit("s1", cluster.world.replica.size - 1).WhichOneof("outcome") == "commitments"


def test_local_maxima_of_an_asset_are_about_that_asset_alone(cluster: Cluster) -> None:
    cluster.restart("s1", limited(per_order=100_000, per_day=150_000))
    path = cluster.signers["s1"].money_path
    action = cluster.world.withdrawal(VAULT, 100_000)
    other = replace(action, asset="another asset", amount=500_000)
    path.check_local_limits(((bytes(32), other),), {})
    path.check_local_limits(((bytes(32), action),), {bytes([1]) * 32: other})
    with pytest.raises(OverLocalLimit):
        path.check_local_limits(((bytes(32), action),), {bytes([1]) * 32: action})


def test_stale_nonces_are_destroyed_and_fresh_ones_kept(cluster: Cluster) -> None:
    book = cluster.signers["s1"].nonces
    first = session_of(cluster.commitments(cluster.plan(), "s1")[0])
    stale = book.find(first)
    cluster.clock.advance(MAX_AGE_MS)
    second = session_of(cluster.commitments(cluster.plan(), "s1")[0])
    book.drop_stale()
    assert book.find(first) is stale
    cluster.clock.advance(1)
    book.drop_stale()
    assert book.find(first) is None
    assert book.find(second) is not None
    assert len(book) == 1


def test_local_maximum_per_day_counts_each_order_once_and_forgets_after_a_day(cluster: Cluster) -> None:
    cluster.restart("s1", limited(per_day=150_000))
    first = cluster.plan(100_000)
    chosen = cluster.commitments(first, "s1", "s2")
    result = cluster.release("s1", first, chosen)
    assert result.WhichOneof("outcome") == "shares"
    retry = [signed(result.next_commitments), *cluster.commitments(first, "s2")]
    assert cluster.release("s1", first, retry).WhichOneof("outcome") == "shares"
    second = cluster.plan(100_000)
    assert refusal_of(cluster.commit("s1", second)).reason == "LOCAL_LIMIT"
    cluster.wait(24 * 3_600_000)
    cluster.tick()
    assert cluster.commit("s1", second).WhichOneof("outcome") == "commitments"


def test_local_maximum_per_day_holds_over_the_plans_of_one_request(cluster: Cluster) -> None:
    cluster.restart("s1", limited(per_day=150_000))
    indexes = [cluster.plan(100_000), cluster.plan(100_000)]
    chosen = [cluster.commitments(index, "s1", "s2") for index in indexes]
    sets = [
        pb.SigningSet(entry_index=index, commitments=[signed_to_pb(one) for one in commitments])
        for index, commitments in zip(indexes, chosen, strict=True)
    ]
    results = cluster.ask("s1", cluster.release_request(0, [], sets=sets)).results
    assert [result.WhichOneof("outcome") for result in results] == ["shares", "refusal"]
    assert refusal_of(results[1]).reason == "LOCAL_LIMIT"


# --- 4: the nonce ---


def test_set_without_own_commitments_gets_no_share(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s2", "s3")
    assert reason_of_release(cluster, index, chosen) == "COMMITMENTS_INVALID"


def test_nonces_sign_once(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    assert cluster.release("s1", index, chosen).WhichOneof("outcome") == "shares"
    assert reason_of_release(cluster, index, chosen) == "NONCE_UNKNOWN"
    other_set = [chosen[0], *cluster.commitments(index, "s3")]
    assert reason_of_release(cluster, index, other_set) == "NONCE_UNKNOWN"


@pytest.mark.attack(
    line="coordinator",
    title="old nonces kept for later",
    origin="nonce reuse (sBTC, sig-net): two messages under one nonce give the share",
)
@pytest.mark.parametrize(("wall", "monotonic"), [(30_001, 0), (0, 30_001), (-1, 0)])
def test_nonces_die_after_30_seconds_of_either_clock(cluster: Cluster, wall: int, monotonic: int) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    # Within the drift that is tolerated, so that only the age of the nonces can refuse.
    signer = cluster.signers["s1"]
    signer.voting._guard.voted()
    signer.voting._guard._wall_ms += wall
    signer.voting._guard._monotonic_ms += monotonic
    cluster.clock.wall += wall
    cluster.clock.monotonic += monotonic
    assert reason_of_release(cluster, index, chosen) == "NONCE_STALE"


def test_nonces_of_30_seconds_still_sign(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    cluster.clock.advance(30_000)
    assert cluster.release("s1", index, chosen).WhichOneof("outcome") == "shares"


def test_nonces_die_when_the_term_changes(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    cluster.deliver()
    cluster.ask("s1", pb.Promise(term=cluster.term + 1, leader=cluster.leader))
    assert len(cluster.signers["s1"].nonces) == 0
    cluster.open_term()
    cluster.tick()
    assert reason_of_release(cluster, index, chosen) == "NONCE_UNKNOWN"


def test_nonces_die_with_the_process(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    cluster.restart("s1")
    assert reason_of_release(cluster, index, chosen) == "NONCE_UNKNOWN"


def test_nonces_of_another_boot_do_not_sign(cluster: Cluster) -> None:
    index = cluster.plan()
    (own,) = cluster.commitments(index, "s1")
    signer = cluster.signers["s1"]
    nonces = signer.nonces.find(session_of(own))
    assert nonces is not None
    signer.money_path.check_nonces_for(nonces, nonces.task)
    with pytest.raises(NonceElsewhere):
        signer.money_path.check_nonces_for(replace(nonces, boot_id=bytes(16)), nonces.task)


def test_nonces_of_one_plan_do_not_sign_another(cluster: Cluster) -> None:
    first, second = cluster.plan(), cluster.plan(200_000)
    for_first, for_second = cluster.commitments(first, "s1", "s2"), cluster.commitments(second, "s1", "s2")
    assert reason_of_release(cluster, second, [for_first[0], for_second[1]]) == "NONCE_FOR_ANOTHER_CONTEXT"


def test_commitments_of_others_must_be_signed_and_for_this_plan(cluster: Cluster) -> None:
    first, second = cluster.plan(), cluster.plan(200_000)
    mine, theirs = cluster.commitments(first, "s1", "s2")
    elsewhere = cluster.commitments(second, "s2")[0]
    forged = SignedBody(body=theirs.body, signature=bytes(64))
    assert reason_of_release(cluster, first, [mine, forged]) == "COMMITMENTS_INVALID"
    assert reason_of_release(cluster, first, [mine, elsewhere]) == "COMMITMENTS_INVALID"
    assert cluster.release("s1", first, [mine, theirs]).WhichOneof("outcome") == "shares"


def test_set_is_exactly_the_threshold_in_participant_order(cluster: Cluster) -> None:
    index = cluster.plan()
    one, two, three = cluster.commitments(index, "s1", "s2", "s3")
    for wrong in ([one], [one, two, three], [two, one], [one, one]):
        assert reason_of_release(cluster, index, wrong) == "COMMITMENTS_INVALID"


def test_marked_session_is_never_used_again(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    signer = cluster.signers["s1"]
    with signer.store.commit() as write:
        write.mark_nonce(
            session_of(chosen[0]), boot_id=signer.boot_id, term=1, entry_index=index, plan_hash=bytes(32), time_ms=0
        )
    assert reason_of_release(cluster, index, chosen) == "NONCE_UNKNOWN"


@pytest.mark.attack(
    line="machine",
    title="a crash between mark and share",
    origin="nonce reuse (sBTC, sig-net): two messages under one nonce give the share",
)
def test_share_leaves_only_after_its_mark_is_on_disk(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    store = cluster.signers["s1"].store
    store._db.execute("CREATE TEMP TRIGGER broken BEFORE INSERT ON nonce_mark BEGIN SELECT RAISE(ABORT, 'disk'); END")
    with pytest.raises(StoreFailed):
        cluster.release("s1", index, chosen)
    store = cluster.restart("s1").store
    assert not store.nonce_is_marked(session_of(chosen[0]))
    assert reason_of_release(cluster, index, chosen) == "NONCE_UNKNOWN"


def test_mark_is_there_when_the_share_is(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    assert cluster.release("s1", index, chosen).WhichOneof("outcome") == "shares"
    assert cluster.signers["s1"].store.nonce_is_marked(session_of(chosen[0]))


def test_release_that_gives_nothing_writes_nothing(cluster: Cluster) -> None:
    index = cluster.plan()
    cluster.deliver()
    chosen = cluster.commitments(index, "s2", "s3")
    written = cluster.signers["s1"].store._db.total_changes
    assert reason_of_release(cluster, index, chosen) == "COMMITMENTS_INVALID"
    assert cluster.signers["s1"].store._db.total_changes == written


def test_term_that_begins_between_mark_and_share_gets_no_share(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    path = cluster.signers["s1"].money_path
    request = request_of(pb.LinkResponse(seq=1, release=cluster.release_request(index, chosen)))
    assert isinstance(request, requests.Release)
    ready, _ = path._spend(request)
    cluster.ask("s1", pb.Promise(term=cluster.term + 1, leader=cluster.leader))
    released = path._sign(ready[0])
    assert released.shares is None
    assert released.refusal is not None
    assert codec.decode(Refusal, released.refusal.body).reason == "NOT_CERTIFIED"


def test_open_nonces_of_a_plan_are_bounded_and_free_up(cluster: Cluster) -> None:
    index = cluster.plan()
    assert [cluster.commit("s1", index).WhichOneof("outcome") for _ in range(2)] == ["commitments", "commitments"]
    assert refusal_of(cluster.commit("s1", index)).reason == "TOO_MANY_OPEN_NONCES"
    cluster.clock.advance(30_001)
    assert cluster.commit("s1", index).WhichOneof("outcome") == "commitments"


def test_open_nonces_of_all_plans_together_are_bounded(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = cluster.plan(), cluster.plan()
    monkeypatch.setattr("strongroom_signer.nonces.MAX_OPEN_NONCES", 1)
    assert cluster.commit("s1", first).WhichOneof("outcome") == "commitments"
    assert refusal_of(cluster.commit("s1", second)).reason == "TOO_MANY_OPEN_NONCES"


# --- 5: the epoch and the share ---


def test_nothing_is_signed_between_an_epoch_and_its_being_final(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then some holders have the old shares and some the new ones."""
    index = cluster.plan()
    vault = cluster.world.state.vault(VAULT)
    assert vault is not None
    path = cluster.signers["s1"].money_path
    path.check_epoch(vault)
    path.check_epoch(replace(vault, name="so-new-that-it-is-not-final"))
    next_epoch = replace(vault, epoch=vault.epoch + 1)
    with pytest.raises(WrongEpoch):
        path.check_epoch(next_epoch)
    monkeypatch.setattr(path, "vault_of", lambda state, plan: next_epoch)
    assert refusal_of(cluster.commit("s1", index)).reason == "WRONG_EPOCH"


def test_signer_without_the_share_refuses(cluster: Cluster) -> None:
    index = cluster.plan()
    signer = cluster.signers["s1"]
    with signer.store.commit() as write:
        write._db.execute("DELETE FROM share")
    assert refusal_of(cluster.commit("s1", index)).reason == "NO_SHARE"


def test_share_of_another_key_is_refused(cluster: Cluster) -> None:
    index = cluster.plan()
    signer = cluster.signers["s1"]
    other = cluster.world.generated[VAULT].shares[1].clone()
    with signer.store.commit() as write:
        write._db.execute("DELETE FROM share")
        signer.shares.put(write, VAULT, 1, other)
        epoch = cluster.world.state.vault(VAULT)
        assert epoch is not None
        write._db.execute("UPDATE share SET epoch = ?", (epoch.epoch,))
    assert refusal_of(cluster.commit("s1", index)).reason == "NO_SHARE"


# --- alarms ---


def test_signer_with_drifted_clocks_gives_neither_share_nor_nonce(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    cluster.clock.wall += 31_000
    with pytest.raises(ClockDrift):
        cluster.release("s1", index, chosen)
    with pytest.raises(ClockDrift):
        cluster.commit("s1", index)


def test_refusals_are_signed_and_name_the_plan(cluster: Cluster) -> None:
    index = cluster.plan()
    cluster.signers["s1"].inbox.freeze("", "I saw something")
    refusal = refusal_of(cluster.commit("s1", index))
    assert refusal.subject == hashlib.sha256(codec.encode(plan_at(cluster, index))).digest()
    assert (refusal.signer, refusal.term, refusal.entry_index) == ("s1", cluster.term, index)


@pytest.mark.parametrize("index", [2**62, 2**63, 2**64 - 1])
def test_attack_index_that_no_database_can_look_for_crashes_nothing(cluster: Cluster, index: int) -> None:
    cluster.plan()
    request = cluster.release_request(index, [SignedBody(body=b"x", signature=bytes(64))])
    if index > 2**62:
        with pytest.raises(BadFrame):
            cluster.ask("s1", request)
        with pytest.raises(BadFrame):
            cluster.commit("s1", index)
    else:
        assert refusal_of(cluster.ask("s1", request).results[0]).reason == "NOT_CERTIFIED"
        assert refusal_of(cluster.commit("s1", index)).reason == "NO_PLAN_AT_INDEX"
