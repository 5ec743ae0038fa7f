"""A revocation handed to a signer: whose it must be, what it does there, and how it gets into the log."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charter_builder import person, signing_key
from ledger_world import DAY_MS
from signer_world import VAULT, Cluster, refusal_of, signed
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.charter import PersonKey
from strongroom.ledger.entry_messages import Endorse, OrderEntry, Tick
from strongroom.ledger.order_messages import AmendCharter, Freeze, Scope
from strongroom.ledger.records import OrderState
from strongroom.ledger.signed_messages import Endorsement, KeyType, Refusal, Signed, Verb, Verdict, View
from strongroom.ledger.state import decode_order
from strongroom.protocol.signed import SignedBody, open_body
from strongroom_signer import inbox as inbox_module
from strongroom_signer.inbox import GRACE_MS, BadWord, Inbox
from strongroom_signer.keygen import NotOrdered
from strongroom_signer.redistribution import NewSharesNotOrdered
from strongroom_signer.requests import Deal, KeygenRound1
from strongroom_signer.revocations import HandedRevocation, NoRevocation, Revoked


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


def inbox_of(cluster: Cluster, name: str = "s1") -> Inbox:
    return cluster.signers[name].inbox


def without_bob(cluster: Cluster) -> dict[str, Any]:
    """The parts of a charter without bob, a member of every group."""
    now = cluster.world.state.charter
    groups = tuple(replace(one, members=tuple(name for name in one.members if name != "bob")) for one in now.groups)
    return {"people": tuple(one for one in now.people if one.name != "bob"), "groups": groups}


def amendment(cluster: Cluster, **parts: Any) -> bytes:
    return cluster.world.order(cluster.world.amendment(**(parts or without_bob(cluster))))


def words(cluster: Cluster, order: bytes, *approvers: str) -> list[Signed]:
    """dave's initiation, and approvals."""
    world = cluster.world
    return [
        world.endorsement("dave", Verb.INITIATE, order),
        *(world.endorsement(name, Verb.APPROVE, order) for name in approvers),
    ]


def hand_in(cluster: Cluster, order: bytes, said: Sequence[Signed], name: str = "s1") -> str:
    return inbox_of(cluster, name).hand_in(order, [SignedBody.of(one) for one in said])


def revoke_bob(cluster: Cluster, name: str = "s1") -> bytes:
    order = amendment(cluster)
    said = hand_in(cluster, order, words(cluster, order, "alice", "carol"), name)
    assert "counts no approval by the 1 key" in said
    return order


def verdict(cluster: Cluster, order: bytes, name: str = "s1") -> Verdict:
    reply = cluster.ask(name, pb.Explain(order_hash=order))
    key = cluster.vote_keys[name]
    return open_body("view", View, signed(reply.view), log_id=cluster.world.log_id, public_key=key).verdict


# --- what it does ----------------------------------------------------------------------------------------------------


def test_an_approval_by_the_revoked_key_counts_no_more_at_this_signer_and_after_its_restart(cluster: Cluster) -> None:
    index = cluster.plan()
    chosen = cluster.commitments(index, "s1", "s2")
    revoke_bob(cluster)
    assert refusal_of(cluster.release("s1", index, chosen)).reason == "APPROVALS_MISSING"
    assert cluster.release("s2", index, chosen).WhichOneof("outcome") == "shares"
    cluster.restart("s1")
    cluster.open_term()
    assert refusal_of(cluster.commit("s1", index)).reason == "APPROVALS_MISSING"
    order = cluster.world.pay(VAULT, 100_000)
    cluster.sync()
    assert verdict(cluster, order) is Verdict.WAITING
    assert verdict(cluster, order, "s2") is Verdict.WOULD_SIGN


def bump(cluster: Cluster, order: bytes) -> int:
    """Index of a bump whose plan nobody was asked to sign."""
    world, coin = cluster.world, cluster.world.coin(200_000)
    first = world.planned([order], [coin])
    world.planned([order], [coin], fee_sat=2_000, bumps=first.hash)
    cluster.sync()
    return world.replica.size - 1


def test_what_nobody_signed_since_a_key_was_revoked_is_not_signed_as_a_bump(cluster: Cluster) -> None:
    for name in cluster.signers:
        revoke_bob(cluster, name)
    index = bump(cluster, cluster.world.pay(VAULT, 100_000))  # by alice and bob
    assert [refusal_of(cluster.commit(name, index)).reason for name in cluster.signers] == ["APPROVALS_MISSING"] * 3
    (word,) = inbox_of(cluster).items
    cluster.world.log(codec.decode(HandedRevocation, word.body).order)
    cluster.tick(3)
    assert not inbox_of(cluster).items
    assert [refusal_of(cluster.commit(name, index)).reason for name in cluster.signers] == ["APPROVALS_MISSING"] * 3


def test_a_bump_of_what_others_approved_passes_as_before(cluster: Cluster) -> None:
    revoke_bob(cluster)
    index = bump(cluster, cluster.world.pay(VAULT, 100_000, "alice", "carol"))
    assert cluster.commit("s1", index).WhichOneof("outcome") == "commitments"


def test_words_handed_in_stop_a_bump(cluster: Cluster) -> None:
    world = cluster.world
    first, second = world.pay(VAULT, 100_000), world.pay(VAULT, 100_000)
    index, other = bump(cluster, first), bump(cluster, second)
    inbox_of(cluster).hand_in(b"", [SignedBody.of(world.endorsement("carol", Verb.REJECT, first))])
    assert refusal_of(cluster.commit("s1", index)).reason == "REJECTED"
    assert cluster.commit("s1", other).WhichOneof("outcome") == "commitments"
    freeze = world.order(Freeze(scope=Scope.VAULT, vault=VAULT, why="look"))
    inbox_of(cluster).hand_in(freeze, [SignedBody.of(world.endorsement("carol", Verb.INITIATE, freeze))])
    assert refusal_of(cluster.commit("s1", other)).reason == "FROZEN"


def test_orders_that_others_approved_pass_as_before(cluster: Cluster) -> None:
    revoke_bob(cluster)
    world = cluster.world
    order = world.submit(world.withdrawal(VAULT, 100_000), "shop", "alice", "carol")
    cluster.sync()
    assert verdict(cluster, order) is Verdict.WOULD_SIGN


def test_neither_new_keys_nor_new_shares_are_made_on_the_word_of_a_revoked_key(cluster: Cluster) -> None:
    world = cluster.world
    vault = world.submit(world.creation("customer-2"), "carol", "alice", "bob")
    shares = world.refreshing()
    cluster.tick(2)
    signer = cluster.signers["s1"]
    revoke_bob(cluster)
    with pytest.raises(NotOrdered, match="APPROVALS_MISSING"):
        signer.key_generation.round1(KeygenRound1(order_hash=vault, attempt=1))
    with pytest.raises(NewSharesNotOrdered, match="APPROVALS_MISSING"):
        signer.redistribution.deal(Deal(order_hash=shares, vault=VAULT, attempt=1))


def test_a_rejection_of_the_revocation_by_the_very_key_that_it_takes_is_no_word(cluster: Cluster) -> None:
    order = amendment(cluster)
    with pytest.raises(BadWord, match="takes the very key by which bob rejects it"):
        hand_in(cluster, order, [cluster.world.endorsement("bob", Verb.REJECT, order)])
    assert not inbox_of(cluster).items
    hand_in(cluster, order, [cluster.world.endorsement("carol", Verb.REJECT, order)])
    assert [item.kind for item in inbox_of(cluster).items] == ["rejection"]


def test_dropped_words_are_kept_beside_a_revocation(cluster: Cluster) -> None:
    revoke_bob(cluster)
    world = cluster.world
    dropped = world.entry(world.endorse("carol", Verb.REJECT, bytes(32)))
    assert [item.kind for item in inbox_of(cluster).salvaged([dropped])] == ["rejection"]


# --- how it gets into the log ----------------------------------------------------------------------------------------


def test_it_is_raised_until_the_log_has_it_and_forgotten_when_that_is_final(cluster: Cluster) -> None:
    order = revoke_bob(cluster)
    raised = cluster.signers["s1"].service.raised()
    assert raised is not None
    assert raised.orders[0].order == order
    (entry,) = inbox_of(cluster).to_raise().orders
    cluster.world.log(entry)
    assert "bob" not in {one.name for one in cluster.world.state.charter.people}
    cluster.sync()
    assert not inbox_of(cluster).to_raise()
    cluster.tick(3)
    assert not inbox_of(cluster).items


def test_one_that_the_log_rejected_is_forgotten(cluster: Cluster) -> None:
    world, order = cluster.world, revoke_bob(cluster)
    world.log(OrderEntry(order=order, endorsements=(world.endorsement("dave", Verb.INITIATE, order),)))
    world.reject(hashlib.sha256(order).digest(), "alice")
    cluster.tick(3)
    assert "bob" in {one.name for one in world.state.charter.people}
    assert not inbox_of(cluster).items


def test_of_an_order_that_the_log_has_only_the_missing_words_are_raised(cluster: Cluster) -> None:
    world = cluster.world
    order = amendment(cluster)
    initiation, first, second = words(cluster, order, "alice", "carol")
    world.log(OrderEntry(order=order, endorsements=(initiation, first)))
    cluster.sync()
    # The person who approved last has the order and an own word; the rest stands in the log.
    hand_in(cluster, order, [second])
    raised = inbox_of(cluster).to_raise()
    assert (raised.orders, raised.endorsements) == ((), (second,))
    cluster.world.log(Endorse(endorsement=second))
    assert "bob" not in {one.name for one in world.state.charter.people}


def test_ten_minutes_later_this_signer_votes_for_nothing_that_lacks_it(cluster: Cluster) -> None:
    world, order = cluster.world, revoke_bob(cluster)
    cluster.wait(GRACE_MS - 1)
    cluster.tick(1)
    cluster.wait(1)
    world.log(Tick())
    answer = cluster.ask("s1", cluster.append(world.previews[-1]))
    assert isinstance(answer, pb.BatchRefused)
    assert codec.decode(Refusal, answer.refusal.body).reason == "WORDS_WITHHELD"
    world.replica.truncate(world.replica.size - 1)
    del world.previews[-1]
    world.log(*inbox_of(cluster).to_raise().orders)
    cluster.sync()
    record = world.state.order(hashlib.sha256(order).digest())
    assert record is not None
    assert record.state is OrderState.DONE


def test_a_revocation_that_another_amendment_overtook_still_acts_and_holds_up_no_vote(cluster: Cluster) -> None:
    world = cluster.world
    revoke_bob(cluster)
    world.amend("alice", "carol", loosening_delay_ms=world.charter.loosening_delay_ms + 1)
    cluster.sync()
    assert world.state.charter.version == 2
    cluster.wait(GRACE_MS)
    cluster.tick(3)
    order = world.pay(VAULT, 100_000)
    cluster.sync()
    assert verdict(cluster, order) is Verdict.WAITING
    world.amend("alice", "carol", **without_bob(cluster))
    cluster.tick(3)
    assert not inbox_of(cluster).items


def is_withheld(cluster: Cluster, name: str = "s1") -> bool:
    """Whether a signer votes for nothing any more because the log lacks a word."""
    world = cluster.world
    world.log(Tick())
    answer = cluster.ask(name, cluster.append(world.previews[-1]))
    world.replica.truncate(world.replica.size - 1)
    del world.previews[-1]
    if isinstance(answer, pb.BatchRefused):
        assert codec.decode(Refusal, answer.refusal.body).reason == "WORDS_WITHHELD"
        return True
    return False


def people_raised(cluster: Cluster) -> list[str]:
    """Whose words about a logged order the coordinator is asked to log."""
    raised = inbox_of(cluster).to_raise().endorsements
    return [codec.decode(Endorsement, one.body).person for one in raised]


OWN = "on paper: the order that takes a stolen key is seen by all as soon as signers ask for it to be logged"


@pytest.mark.attack(
    line="person", title="the id of a revocation that was handed in is taken by the key that it revokes", origin=OWN
)
def test_attack_the_id_of_a_revocation_is_taken_by_the_thief(cluster: Cluster) -> None:
    world, order = cluster.world, revoke_bob(cluster)
    taken = world.order(world.withdrawal(VAULT, 1_000), id=decode_order(order).id)
    world.log(world.order_entry(taken, "bob"))
    cluster.sync()
    cluster.wait(GRACE_MS)
    assert is_withheld(cluster)
    world.log(*inbox_of(cluster).to_raise().orders)
    cluster.sync()
    assert "bob" not in {one.name for one in world.state.charter.people}


@pytest.mark.attack(
    line="person",
    title="a revocation brought into the log by the key that it revokes, with a word that lives for a minute",
    origin=OWN,
)
def test_attack_the_thief_initiates_the_revocation_by_a_word_that_soon_expires(cluster: Cluster) -> None:
    world, order = cluster.world, revoke_bob(cluster)
    short = world.endorsement("bob", Verb.INITIATE, order, expires_ms=world.time_ms + 60_000)
    world.log(OrderEntry(order=order, endorsements=(short,)))
    cluster.sync()
    # While the thief's word lives, only the approvals are lacking.
    assert people_raised(cluster) == ["alice", "carol"]
    cluster.wait(60_000)
    for endorsement in inbox_of(cluster).to_raise().endorsements:
        world.log(Endorse(endorsement=endorsement))
    cluster.sync()
    assert "bob" in {one.name for one in world.state.charter.people}
    assert people_raised(cluster) == ["dave"]
    cluster.wait(GRACE_MS)
    assert is_withheld(cluster)
    for endorsement in inbox_of(cluster).to_raise().endorsements:
        world.log(Endorse(endorsement=endorsement))
    cluster.sync()
    assert "bob" not in {one.name for one in world.state.charter.people}


# --- what revoked keys do --------------------------------------------------------------------------------------------


def without(cluster: Cluster, name: str) -> dict[str, Any]:
    """The parts of a charter without somebody."""
    now = cluster.world.state.charter
    groups = tuple(replace(one, members=tuple(who for who in one.members if who != name)) for one in now.groups)
    return {"people": tuple(one for one in now.people if one.name != name), "groups": groups}


@pytest.mark.attack(line="person", title="a revoked key revokes others by hand, or freezes and rejects", origin=OWN)
def test_attack_a_revoked_key_speaks_by_hand(cluster: Cluster) -> None:
    world, order = cluster.world, revoke_bob(cluster)
    revenge = world.order(world.amendment(**without(cluster, "alice")))
    payment = world.submit(world.withdrawal(VAULT, 100_000), "shop")
    freeze = world.order(Freeze(scope=Scope.ALL, vault="", why="mine"))
    cluster.sync()
    tried: tuple[tuple[bytes, list[Signed]], ...] = (
        (revenge, words(cluster, revenge, "bob", "carol")),
        (freeze, [world.endorsement("bob", Verb.INITIATE, freeze)]),
        (b"", [world.endorsement("bob", Verb.REJECT, payment)]),
    )
    for data, said in tried:
        with pytest.raises(BadWord, match="revocation was handed in here"):
            hand_in(cluster, data, said)
    assert [item.id for item in inbox_of(cluster).items] == [hashlib.sha256(order).digest()]
    # Others still may.
    hand_in(cluster, b"", [world.endorsement("carol", Verb.REJECT, payment)])


def test_logged_approvals_by_a_revoked_key_revoke_nobody(cluster: Cluster) -> None:
    world = cluster.world
    revoke_bob(cluster)
    revenge = world.order(world.amendment(**without(cluster, "alice")))
    initiation, by_bob, by_carol = words(cluster, revenge, "bob", "carol")
    world.log(OrderEntry(order=revenge, endorsements=(initiation, by_bob)))
    cluster.sync()
    with pytest.raises(NoRevocation, match="have not approved it"):
        hand_in(cluster, revenge, [by_carol])


def test_an_approval_that_expired_in_the_log_is_not_renewed_by_hand(cluster: Cluster) -> None:
    """The log takes one word of a person once, so it could never take this one."""
    world = cluster.world
    order = amendment(cluster)
    initiation, again, by_carol = words(cluster, order, "alice", "carol")
    short = world.endorsement("alice", Verb.APPROVE, order, expires_ms=world.time_ms + 60_000)
    world.log(OrderEntry(order=order, endorsements=(initiation, short)))
    cluster.sync()
    cluster.wait(60_000)
    with pytest.raises(NoRevocation, match="have not approved it"):
        hand_in(cluster, order, [again, by_carol])


def test_a_state_is_itself_where_no_key_is_revoked_or_nobody_has_one_yet(cluster: Cluster) -> None:
    state, revoked = cluster.world.state, Revoked()
    assert revoked.without(state) is state
    (key,) = (one.public for person in state.charter.people if person.name == "bob" for one in person.keys)
    revoked.set_keys(frozenset([key]))
    assert revoked.without(state) is not state
    empty = cluster.world.replica.state(0)
    assert revoked.without(empty) is empty


def test_a_revocation_by_a_key_that_the_log_revoked_ends_with_it(cluster: Cluster) -> None:
    """The thief of bob's key, with carol's word, came first: alice's counts again once the log has taken bob's away."""
    world = cluster.world
    revenge = world.order(world.amendment(**without(cluster, "alice")))
    hand_in(cluster, revenge, words(cluster, revenge, "bob", "carol"))
    order = world.pay(VAULT, 100_000, "alice", "carol")
    cluster.sync()
    assert verdict(cluster, order) is Verdict.WAITING
    world.amend("alice", "carol", **without_bob(cluster))
    cluster.tick(1)
    assert inbox_of(cluster).items
    cluster.tick(2)
    assert not inbox_of(cluster).items
    assert verdict(cluster, order) is Verdict.WOULD_SIGN


def test_a_revocation_that_can_still_be_logged_or_that_still_stands_does_not_end(cluster: Cluster) -> None:
    world = cluster.world
    revoke_bob(cluster)
    (item,) = inbox_of(cluster).items
    held = codec.decode(HandedRevocation, item.body)
    assert not held.is_overtaken(world.state)
    world.amend("alice", "carol", loosening_delay_ms=world.charter.loosening_delay_ms + 1)
    # Long after every word of it has expired, those who said it are still the administrators.
    world.later(40 * DAY_MS)
    world.log(Tick())
    assert world.state.charter.version == 2
    assert not held.is_overtaken(world.state)
    # Who initiated it has done what there was to do.
    world.amend("alice", "carol", initiator="shop", **without(cluster, "dave"))
    assert not held.is_overtaken(world.state)


def test_a_no_is_no_approval_of_a_revocation_that_was_said_for_the_log_before(cluster: Cluster) -> None:
    """One approval is here; the others may be gone with entries that were dropped."""
    world = cluster.world
    order = decode_order(amendment(cluster))
    before = codec.encode(replace(order, log_id=bytes(32)))
    said = [world.endorsement("dave", Verb.INITIATE, before), world.endorsement("carol", Verb.APPROVE, before)]
    world.amend("alice", "carol", loosening_delay_ms=world.charter.loosening_delay_ms + 1)
    for with_no in (False, True):
        no = [world.endorsement("bob", Verb.REJECT, before)] if with_no else []
        entry = OrderEntry(order=before, endorsements=(*said, *no))
        held = HandedRevocation(order=entry, keys=(signing_key("bob").public,))
        assert not held.is_overtaken(world.state)


def test_a_revocation_does_not_end_by_a_charter_from_before_the_one_that_it_follows(cluster: Cluster) -> None:
    """What is final lags behind: who approved it may have become an administrator since."""
    world = cluster.world
    before = world.replica.size
    now = world.state.charter
    groups = tuple(replace(one, members=tuple(sorted((*one.members, "eve")))) for one in now.groups)
    world.amend(
        "alice", "carol", people=tuple(sorted((*now.people, person("eve")), key=lambda one: one.name)), groups=groups
    )
    cluster.sync()
    cluster.wait(now.loosening_delay_ms)
    cluster.tick(1)
    assert world.state.charter.version == 2
    order = amendment(cluster)
    hand_in(cluster, order, words(cluster, order, "alice", "eve"))
    (item,) = inbox_of(cluster).items
    held = codec.decode(HandedRevocation, item.body)
    assert not held.is_overtaken(world.replica.state(before))


# --- what is none ----------------------------------------------------------------------------------------------------


def test_what_is_no_approved_revocation_is_refused_and_not_kept(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = cluster.world
    now = world.state.charter
    good = amendment(cluster)
    looser = amendment(
        cluster, people=(*without_bob(cluster)["people"], person("eve")), groups=without_bob(cluster)["groups"]
    )
    later = amendment(cluster, **without_bob(cluster), version=now.version + 2)
    tighter = amendment(cluster, loosening_delay_ms=now.loosening_delay_ms + 1)
    handing = amendment(cluster, **without_bob(cluster), witness_quorum=3)
    payment = world.order(world.withdrawal(VAULT, 100_000))
    garbled = world.order(AmendCharter(charter=b"\xff", handover_expires_ms=0))
    wrong = [
        ("not approved it: 1 more approval", good, words(cluster, good, "alice")),
        ("not approved it: the initiator", good, words(cluster, good, "alice", "carol")[1:]),
        ("not approved it: 1 more approval", good, words(cluster, good, "alice", "shop")),
        (
            "lies something else",
            good,
            [*words(cluster, good, "alice", "carol"), world.endorsement("bob", Verb.REJECT, good)],
        ),
        ("lies something else", good, words(cluster, later, "alice", "carol")),
        ("does more than to tighten", looser, words(cluster, looser, "alice", "carol")),
        ("cannot follow the charter in force", later, words(cluster, later, "alice", "carol")),
        ("takes no key away", tighter, words(cluster, tighter, "alice", "carol")),
        ("does more than to tighten", handing, words(cluster, handing, "alice", "carol")),
        ("is not canonical", garbled, words(cluster, garbled, "alice", "carol")),
        ("can never take this order with these words", good, words(cluster, good, "alice", "carol", "carol")),
        (
            "can never take this order with these words",
            good,
            [*words(cluster, good, "alice", "carol"), world.endorsement("shop", Verb.INITIATE, good)],
        ),
        ("can never take this order with these words", good, words(cluster, good, "alice", "carol", "shop")),
        ("can never take this order with these words", good, words(cluster, good, "alice", "carol", "dave")),
        ("only one rejection", payment, words(cluster, payment, "alice", "carol")),
    ]
    for problem, order, said in wrong:
        with pytest.raises((NoRevocation, BadWord), match=problem):
            hand_in(cluster, order, said)
        assert not inbox_of(cluster).items, problem
    monkeypatch.setattr(inbox_module, "MAX_REVOCATIONS", 0)
    with pytest.raises(BadWord, match="wait for the log already"):
        hand_in(cluster, good, words(cluster, good, "alice", "carol"))


def test_what_fits_no_entry_is_refused_and_holds_up_no_vote(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    order = amendment(cluster)
    said = words(cluster, order, "alice", "carol")
    size = len(cluster.world.entry(OrderEntry(order=order, endorsements=tuple(said))))
    monkeypatch.setattr("strongroom.ledger.replica.MAX_ENTRY_BYTES", size - 1)
    with pytest.raises(BadWord, match="can never take this order"):
        hand_in(cluster, order, said)
    monkeypatch.setattr("strongroom.ledger.replica.MAX_ENTRY_BYTES", size)
    hand_in(cluster, order, said)
    monkeypatch.setattr("strongroom.ledger.replica.MAX_ENTRY_BYTES", size - 1)
    cluster.wait(GRACE_MS)
    cluster.tick(1)


def test_an_amendment_that_is_over_cannot_be_handed_in(cluster: Cluster) -> None:
    world = cluster.world
    order = amendment(cluster)
    initiation, *approvals = words(cluster, order, "alice", "carol")
    world.log(OrderEntry(order=order, endorsements=(initiation,)))
    world.log(Endorse(endorsement=world.endorsement("alice", Verb.REJECT, order)))
    cluster.sync()
    with pytest.raises(NoRevocation, match="REJECTED"):
        hand_in(cluster, order, [initiation, *approvals])
    stale = amendment(cluster)
    cluster.clock.advance(8 * DAY_MS)
    fresh = [
        world.endorsement(one, verb, stale, expires_ms=cluster.clock.wall + DAY_MS)
        for one, verb in (("dave", Verb.INITIATE), ("alice", Verb.APPROVE), ("carol", Verb.APPROVE))
    ]
    with pytest.raises(NoRevocation, match="expired"):
        hand_in(cluster, stale, fresh)


def with_keys(cluster: Cluster, name: str, *labels: str) -> dict[str, Any]:
    """The parts of a charter in which somebody has these keys."""
    keys = tuple(PersonKey(type=KeyType.ED25519, public=signing_key(one).public) for one in labels)
    people = cluster.world.state.charter.people
    return {"people": tuple(replace(one, keys=keys) if one.name == name else one for one in people)}


def test_a_word_by_another_key_counts_where_the_log_has_it_by_one_that_is_gone(cluster: Cluster) -> None:
    """The log would take it too: what somebody said by a key that is revoked, they may say again."""
    world = cluster.world
    world.amend("bob", "carol", **with_keys(cluster, "alice", "alice", "alice-2"))
    cluster.sync()
    cluster.wait(world.charter.loosening_delay_ms)
    cluster.tick(2)
    order = amendment(cluster)
    initiation, by_alice, by_carol = words(cluster, order, "alice", "carol")
    world.log(OrderEntry(order=order, endorsements=(initiation, by_alice)))
    cluster.sync()
    by_other = world.endorsement("alice", Verb.APPROVE, order, "alice-2", key=signing_key("alice-2").public)
    hand_in(cluster, order, [by_other, by_carol])
    (item,) = inbox_of(cluster).items
    held = codec.decode(HandedRevocation, item.body)
    # While the log's word counts, it takes no other of the same person.
    assert held.lacking(world.state) == (Endorse(endorsement=by_carol),)
    world.amend("bob", "carol", **with_keys(cluster, "alice", "alice-2"))
    assert held.lacking(world.state) == (Endorse(endorsement=by_other), Endorse(endorsement=by_carol))
    assert not held.is_overtaken(world.state)
    world.amend("bob", "carol", **with_keys(cluster, "alice", "alice-3"))
    world.later(world.charter.loosening_delay_ms)
    world.log(Tick())
    assert held.is_overtaken(world.state)
