"""Words handed to a signer: which it takes, what it does about them, and what people are shown."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

import charter_builder as builder
from ledger_world import DAY_MS
from signer_world import VAULT, Cluster, open_folder, signed
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.entry_messages import Endorse, OrderEntry, SignerFreeze, Tick
from strongroom.ledger.order_messages import Freeze, Scope
from strongroom.ledger.reasons import Refused
from strongroom.ledger.signed_messages import Endorsement, FreezeStatement, Refusal, Signed, Verb, Verdict, View
from strongroom.ledger.state import decode_order
from strongroom.protocol.signed import SignedBody, open_body
from strongroom_signer.inbox import GRACE_MS, BadWord, Inbox, NoSuchFreeze
from strongroom_signer.offline_freeze import UNSIGNED
from strongroom_signer.retirement import Retired
from strongroom_signer.store import InboxItem


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path)
    yield made
    made.close()


def inbox_of(cluster: Cluster, name: str = "s1") -> Inbox:
    return cluster.signers[name].inbox


def freeze_order(cluster: Cluster, vault: str = "") -> bytes:
    scope = Scope.VAULT if vault else Scope.ALL
    return cluster.world.order(Freeze(scope=scope, vault=vault, why="looks wrong"))


def view_of(cluster: Cluster, order: bytes, name: str = "s1") -> View:
    reply = cluster.ask(name, pb.Explain(order_hash=order))
    key = cluster.vote_keys[name]
    return open_body("view", View, signed(reply.view), log_id=cluster.world.log_id, public_key=key)


# --- what is taken ---


def test_words_that_are_not_one_are_refused_and_not_kept(cluster: Cluster) -> None:
    """Each is refused for what is wrong with it alone: everything else about it holds."""
    world = cluster.world
    order = world.pay(VAULT, 100_000)
    cluster.tick(2)
    rejection = world.endorsement("carol", Verb.REJECT, order)
    body = freeze_order(cluster)
    foreign = codec.encode(replace(decode_order(body), log_id=bytes(32)))
    wrong: dict[str, tuple[bytes, list[Signed]]] = {
        "nothing is handed in": (b"", []),
        "only one rejection": (b"", [world.endorsement("carol", Verb.APPROVE, order)]),
        "only one rejection, a freeze": (b"", [rejection, rejection]),
        "endorsement by carol is for another log": (
            b"",
            [world.endorsement("carol", Verb.REJECT, order, log_id=bytes(32))],
        ),
        "the order is for another log": (foreign, [world.endorsement("dave", Verb.INITIATE, foreign)]),
        "no such key of carol": (b"", [world.endorsement("carol", Verb.REJECT, order, label="somebody else")]),
        "does not verify": (b"", [replace(rejection, signature=bytes(64))]),
        "the endorsement is not canonical": (b"", [replace(rejection, body=rejection.body + b"\xff")]),
        "has expired": (b"", [world.endorsement("carol", Verb.REJECT, order, expires_ms=world.time_ms)]),
        "no rule names shop": (b"", [world.endorsement("shop", Verb.REJECT, order)]),
        "of another order than the one beside it": (
            world.order(world.withdrawal(VAULT, 200_000)),
            [world.endorsement("carol", Verb.REJECT, order)],
        ),
        "no officer of group": (body, [world.endorsement("shop", Verb.INITIATE, body)]),
        "no officer of group treasury": (body, [world.endorsement("dave", Verb.APPROVE, body)]),
        "initiates this freeze": (body, [world.endorsement("dave", Verb.INITIATE, bytes(32))]),
        "the order is not canonical": (b"\xff\xff", [rejection]),
        "initiated the order already": (
            body,
            [world.endorsement("dave", Verb.INITIATE, body), world.endorsement("carol", Verb.INITIATE, body)],
        ),
        "by dave is of another order": (
            body,
            [world.endorsement("dave", Verb.INITIATE, body), world.endorsement("dave", Verb.INITIATE, bytes(32))],
        ),
    }
    for problem, (order_bytes, said) in wrong.items():
        with pytest.raises(BadWord, match=problem):
            inbox_of(cluster).hand_in(order_bytes, [SignedBody.of(one) for one in said])
        assert not inbox_of(cluster).items, problem


def refused_by(cluster: Cluster, order: bytes, *people: str) -> list[str]:
    """Those whose rejection of an order is taken."""
    taken = []
    for person in people:
        said = cluster.world.endorsement(person, Verb.REJECT, order)
        with suppress(BadWord):
            inbox_of(cluster).hand_in(order, [SignedBody.of(said)])
            taken.append(person)
    return taken


def test_who_may_reject_by_hand_follows_the_quorum_of_the_order(tmp_path: Path) -> None:
    cluster = Cluster.started(tmp_path, **builder.recovery_parts())
    world = cluster.world
    people = ("alice", "carol", "dave", "shop")
    assert refused_by(cluster, world.order(world.addition()), *people) == ["alice", "carol"]
    assert refused_by(cluster, world.order(world.recovery(VAULT)), *people) == ["alice", "carol", "dave"]
    assert refused_by(cluster, world.order(world.creation("customer-2")), *people) == ["alice", "carol"]
    assert refused_by(cluster, world.order(world.removal()), *people) == []
    cluster.close()


def test_nobody_rejects_by_hand_what_the_charter_has_no_quorum_for(cluster: Cluster) -> None:
    world = cluster.world
    for action in (world.addition(), world.recovery(VAULT)):
        assert refused_by(cluster, world.order(action), "alice", "dave") == []


def test_thawing_a_freeze_that_is_not_there_is_refused(cluster: Cluster) -> None:
    freeze = inbox_of(cluster).freeze("", "I saw something")
    with pytest.raises(NoSuchFreeze):
        inbox_of(cluster).thaw(bytes(32))
    assert [one.id for one in inbox_of(cluster).local_freezes] == [freeze]


def test_a_signer_without_its_vote_key_signs_no_freeze(cluster: Cluster) -> None:
    cluster.signers["s1"].keys.vote.wipe()
    with pytest.raises(Retired):
        inbox_of(cluster).freeze("", "I saw something")
    assert not inbox_of(cluster).local_freezes


def test_freeze_placed_while_a_retired_signer_stood_still_acts_here_and_is_not_raised(cluster: Cluster) -> None:
    inbox, store = inbox_of(cluster), cluster.signers["s1"].store
    other = inbox.freeze("", "I saw something")
    (freeze,) = inbox.local_freezes
    with store.commit() as write:
        write.add_local_freeze(replace(freeze, id=bytes(32), vault=VAULT, signature=UNSIGNED))
    cluster.signers["s1"].keys.vote.wipe()
    inbox.thaw(other)
    assert inbox.local_freeze_of(VAULT) == "I saw something"
    assert not inbox.to_raise()


def test_each_word_alone_is_something_to_raise(cluster: Cluster) -> None:
    inbox, world = inbox_of(cluster), cluster.world
    assert not inbox.to_raise()
    freeze = inbox.freeze("", "I saw something")
    assert inbox.to_raise()
    inbox.thaw(freeze)
    assert not inbox.to_raise()
    inbox.hand_in(b"", [SignedBody.of(world.endorsement("carol", Verb.REJECT, bytes(32)))])
    assert inbox.to_raise()
    assert not inbox.to_raise().freezes
    assert not inbox.to_raise().orders


def test_rejection_of_an_order_not_logged_yet_acts_when_the_order_comes(cluster: Cluster) -> None:
    world = cluster.world
    order = world.order(world.withdrawal(VAULT, 100_000))
    rejection = world.endorsement("carol", Verb.REJECT, order)
    inbox_of(cluster).hand_in(order, [SignedBody.of(rejection)])
    world.log(world.order_entry(order, "shop", "alice", "bob"))
    cluster.tick()
    hashed = world.state.order_at(world.state.orders_count - 1).hash
    assert view_of(cluster, hashed).verdict is Verdict.WOULD_REFUSE
    assert view_of(cluster, hashed, "s2").verdict is Verdict.WOULD_SIGN


def test_rejection_of_an_order_not_known_yet_acts_only_if_a_rule_names_its_author(cluster: Cluster) -> None:
    world, inbox = cluster.world, inbox_of(cluster)
    order = world.order(world.withdrawal(VAULT, 100_000))
    order_hash = hashlib.sha256(order).digest()
    inbox.hand_in(b"", [SignedBody.of(world.endorsement("shop", Verb.REJECT, order))])
    assert inbox.rejection_of(order_hash, decode_order(order)) is None
    inbox.hand_in(b"", [SignedBody.of(world.endorsement("carol", Verb.REJECT, order))])
    assert inbox.rejection_of(order_hash, decode_order(order)) == "carol"


def test_words_survive_a_restart(cluster: Cluster) -> None:
    order = freeze_order(cluster, VAULT)
    inbox_of(cluster).hand_in(order, [SignedBody.of(cluster.world.endorsement("dave", Verb.INITIATE, order))])
    inbox_of(cluster).freeze("", "I saw something")
    cluster.restart("s1")
    assert inbox_of(cluster).handed_freeze_of(VAULT) == "looks wrong"
    assert inbox_of(cluster).handed_freeze_of("treasury-1") is None
    assert inbox_of(cluster).local_freeze_of("treasury-1") == "I saw something"


def test_freeze_handed_in_is_raised_until_the_log_holds_it(cluster: Cluster) -> None:
    order = freeze_order(cluster)
    said = cluster.world.endorsement("dave", Verb.INITIATE, order)
    inbox_of(cluster).hand_in(order, [SignedBody.of(said)])
    raised = cluster.signers["s1"].service.raised()
    assert raised is not None
    assert raised.orders[0].order == order
    cluster.world.log(*inbox_of(cluster).to_raise().orders)
    cluster.sync()
    assert cluster.signers["s1"].service.raised() is None
    assert inbox_of(cluster).items
    cluster.tick(2)
    assert not inbox_of(cluster).items


@pytest.mark.attack(
    line="person",
    title="the id of a freeze that was handed in is taken, so that no log could ever hold it",
    origin="on paper: what signers ask to be logged is seen by the coordinator, which has a machine's key",
)
def test_attack_the_id_of_a_freeze_is_taken(cluster: Cluster) -> None:
    world, order = cluster.world, freeze_order(cluster)
    inbox_of(cluster).hand_in(order, [SignedBody.of(world.endorsement("dave", Verb.INITIATE, order))])
    taken = world.order(world.withdrawal(VAULT, 100_000), id=decode_order(order).id)
    world.log(world.order_entry(taken, "shop"))
    cluster.sync()
    cluster.wait(GRACE_MS)
    world.log(Tick())
    answer = cluster.ask("s1", cluster.append(world.previews[-1]))
    assert isinstance(answer, pb.BatchRefused)
    assert codec.decode(Refusal, answer.refusal.body).reason == "WORDS_WITHHELD"
    world.replica.truncate(world.replica.size - 1)
    del world.previews[-1]
    world.log(*inbox_of(cluster).to_raise().orders)
    cluster.tick(2)
    assert world.state.freeze(hashlib.sha256(order).digest()) is not None
    assert not inbox_of(cluster).items


def test_local_freeze_is_a_statement_that_the_ledger_takes(cluster: Cluster) -> None:
    identifier = inbox_of(cluster).freeze(VAULT, "I saw something")
    freeze = inbox_of(cluster).local_freezes[0]
    statement = open_body(
        "freeze",
        FreezeStatement,
        SignedBody(body=freeze.body, signature=freeze.signature),
        log_id=cluster.world.log_id,
        public_key=cluster.vote_keys["s1"],
    )
    assert (statement.signer, statement.vault) == ("s1", VAULT)
    cluster.world.log(SignerFreeze(statement=Signed(body=freeze.body, signature=freeze.signature)))
    assert cluster.world.state.freeze(identifier) is not None
    cluster.sync()
    assert not inbox_of(cluster).to_raise()
    assert inbox_of(cluster).local_freezes, "it acts here until the operator thaws it"


def test_freeze_that_the_ledger_cannot_take_is_refused(cluster: Cluster) -> None:
    with pytest.raises(NotCanonical):
        inbox_of(cluster).freeze("NOT A NAME", "x")
    with pytest.raises(NotCanonical):
        inbox_of(cluster).freeze("", "line\nbreak")
    assert not inbox_of(cluster).local_freezes


def test_local_freeze_works_before_anything_is_logged(tmp_path: Path) -> None:
    cluster = Cluster.empty(tmp_path)
    assert len(inbox_of(cluster).freeze("", "from the first day")) == 32
    assert inbox_of(cluster).to_raise().freezes
    with pytest.raises((BadWord, Refused)):
        inbox_of(cluster).hand_in(b"", [SignedBody.of(cluster.world.endorsement("carol", Verb.REJECT, bytes(32)))])
    cluster.close()


def test_freeze_that_was_kept_acts_while_there_is_no_log_to_ask(tmp_path: Path) -> None:
    cluster = Cluster.empty(tmp_path)
    order = freeze_order(cluster)
    body = codec.encode(
        OrderEntry(order=order, endorsements=(cluster.world.endorsement("dave", Verb.INITIATE, order),))
    )
    item = InboxItem(id=bytes(32), kind="freeze", body=body, since_ms=cluster.clock.wall_ms())
    with cluster.signers["s1"].store.commit() as write:
        write.add_inbox(item)
    inbox_of(cluster).reload()
    cluster.clock.advance(400 * DAY_MS)
    assert inbox_of(cluster).handed_freeze_of(VAULT) == "looks wrong"
    cluster.close()


# --- words that the log takes no more ---


@pytest.mark.parametrize(("lapse_days", "life_days", "acts_days"), [(4, 2, 4), (1, 2, 2), (4, 6, 6), (5, 100, 7)])
def test_freeze_that_the_log_takes_no_more_lapses_as_a_logged_one_would(
    tmp_path: Path, lapse_days: int, life_days: int, acts_days: int
) -> None:
    cluster = Cluster.started(tmp_path, freeze_lapse_ms=lapse_days * DAY_MS)
    world = cluster.world
    freeze = Freeze(scope=Scope.VAULT, vault=VAULT, why="looks wrong")
    order = world.order(freeze, expires_ms=world.time_ms + 30 * DAY_MS)
    said = world.endorsement("dave", Verb.INITIATE, order, expires_ms=world.time_ms + life_days * DAY_MS)
    inbox_of(cluster).hand_in(order, [SignedBody.of(said)])
    cluster.wait(acts_days * DAY_MS - 1)
    cluster.restart("s1")
    assert inbox_of(cluster).handed_freeze_of(VAULT) == "looks wrong"
    cluster.wait(1)
    assert inbox_of(cluster).handed_freeze_of(VAULT) is None
    assert inbox_of(cluster).items, "log time does not say so yet"
    cluster.tick(3)
    assert not inbox_of(cluster).items
    assert cluster.commit("s1", cluster.plan()).WhichOneof("outcome") == "commitments"
    cluster.close()


def dropped_rejection(cluster: Cluster) -> bytes:
    """A rejection that comes out of a dropped batch, with the order it is of; returns the order's hash."""
    world = cluster.world
    kept = world.replica.size
    cluster.deliver()
    order = world.submit(world.withdrawal(VAULT, 100_000), "shop", expires_ms=world.time_ms + 30 * DAY_MS)
    world.reject(order, "carol")
    for preview in world.previews[-2:]:
        cluster.vote("s1", preview)
    cluster.open_term(("s2", "s3", "s1"))
    world.replica.truncate(kept)
    del world.previews[-2:]
    cluster.tick(3)
    return order


def test_rejection_of_an_order_that_no_log_takes_any_more_is_forgotten(cluster: Cluster) -> None:
    dropped_rejection(cluster)
    handed = cluster.world.endorsement("carol", Verb.REJECT, bytes(32))
    inbox_of(cluster).hand_in(b"", [SignedBody.of(handed)])
    assert sorted(item.salvaged for item in inbox_of(cluster).items) == [False, True]
    cluster.wait(37 * DAY_MS - 1)
    cluster.tick(3)
    assert len(inbox_of(cluster).items) == 2
    cluster.wait(1)
    cluster.tick(3)
    assert [item.salvaged for item in inbox_of(cluster).items] == [False], "a word handed in is never forgotten so"


def test_dropped_rejection_that_is_handed_in_as_well_is_kept(cluster: Cluster) -> None:
    dropped_rejection(cluster)
    inbox = inbox_of(cluster)
    said = inbox.to_raise().endorsements[0]
    inbox.hand_in(b"", [SignedBody.of(said)])
    assert [item.salvaged for item in inbox.items] == [False]
    cluster.wait(38 * DAY_MS)
    cluster.tick(3)
    assert len(inbox.items) == 1


def test_dropped_rejection_acts_as_long_as_its_order_is_known(cluster: Cluster) -> None:
    world = cluster.world
    order = world.pay(VAULT, 100_000)
    cluster.sync()
    cluster.deliver()
    kept = world.replica.size
    world.reject(order, "carol")
    cluster.vote("s1", world.previews[-1])
    cluster.open_term(("s2", "s3", "s1"))
    world.replica.truncate(kept)
    del world.previews[-1]
    cluster.wait(38 * DAY_MS)
    cluster.tick(3)
    assert [item.salvaged for item in inbox_of(cluster).items] == [True]


def test_attack_dropping_many_words_of_a_person_fills_no_disk_and_keeps_no_word_out(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom_signer.inbox.MAX_OF_PERSON", 3)
    world, inbox = cluster.world, inbox_of(cluster)

    def rejection(person: str, number: int) -> bytes:
        return world.entry(world.endorse(person, Verb.REJECT, bytes([number]) * 32))

    inbox.hand_in(b"", [SignedBody.of(world.endorsement("carol", Verb.REJECT, bytes(32)))])
    entries = [rejection("carol", number) for number in range(6)] + [rejection("dave", 9)]
    found = inbox.salvaged([*entries, *entries])
    words = [codec.decode(Endorsement, codec.decode(Endorse, item.body).endorsement.body) for item in found]
    assert [(said.person, said.order_hash[0]) for said in words] == [("carol", 1), ("carol", 2), ("dave", 9)]
    with cluster.signers["s1"].store.commit() as write:
        for item in found:
            write.add_inbox(item)
    inbox.reload()
    assert not inbox.salvaged(entries)
    inbox.hand_in(b"", [SignedBody.of(world.endorsement("carol", Verb.REJECT, bytes([7]) * 32))])
    assert len(inbox.items) == 5


def test_a_word_that_was_dropped_several_times_counts_once_toward_the_room_for_its_author(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom_signer.inbox.MAX_OF_PERSON", 2)
    world = cluster.world
    first, second = (world.entry(world.endorse("carol", Verb.REJECT, bytes([number]) * 32)) for number in (1, 2))
    assert len(inbox_of(cluster).salvaged([first, first, second])) == 2


# --- what people are shown ---


def test_views_say_what_this_signer_would_do_and_are_signed(cluster: Cluster) -> None:
    world = cluster.world
    waiting = world.submit(world.withdrawal(VAULT, 100_000), "shop", "alice")
    good = world.pay(VAULT, 100_000)
    rejected = world.pay(VAULT, 100_000)
    world.reject(rejected, "carol")
    cluster.tick()
    views = {name: view_of(cluster, order) for name, order in (("waiting", waiting), ("good", good), ("no", rejected))}
    assert views["good"].verdict is Verdict.WOULD_SIGN
    assert views["waiting"].verdict is Verdict.WAITING
    assert "APPROVALS_MISSING" in views["waiting"].reasons[0]
    assert views["no"].verdict is Verdict.WOULD_REFUSE
    assert view_of(cluster, bytes(32)).verdict is Verdict.UNKNOWN_ORDER
    assert views["good"].head_root == world.replica.root_at(views["good"].head_size)


def test_a_stopped_signer_says_so_of_orders_that_it_knows_and_of_those_that_it_does_not(cluster: Cluster) -> None:
    order = cluster.world.pay(VAULT, 100_000)
    cluster.tick()
    signer = cluster.signers["s1"]
    with signer.store.commit() as write:
        write.set_voter(codec.encode(replace(signer.voting.state, alarm="OWN_VOTE_UNKNOWN", alarm_detail="x")))
    signer.close()
    cluster.signers["s1"] = open_folder(cluster.folders["s1"], cluster.clock)
    known, unknown = view_of(cluster, order), view_of(cluster, bytes(32))
    assert (known.verdict, unknown.verdict) == (Verdict.WOULD_REFUSE, Verdict.UNKNOWN_ORDER)
    assert known.reasons == unknown.reasons == ("this signer has stopped: OWN_VOTE_UNKNOWN",)


def test_view_names_freezes_made_here(cluster: Cluster) -> None:
    order = cluster.world.pay(VAULT, 100_000)
    cluster.tick()
    identifier = inbox_of(cluster).freeze(VAULT, "I saw something")
    assert "LOCAL_FREEZE" in view_of(cluster, order).reasons[0]
    inbox_of(cluster).thaw(identifier)
    body = freeze_order(cluster, VAULT)
    inbox_of(cluster).hand_in(body, [SignedBody.of(cluster.world.endorsement("dave", Verb.INITIATE, body))])
    assert "FROZEN" in view_of(cluster, order).reasons[0]


def test_empty_signer_knows_no_order(tmp_path: Path) -> None:
    cluster = Cluster.empty(tmp_path)
    view = view_of(cluster, bytes(32))
    assert (view.verdict, view.head_size) == (Verdict.UNKNOWN_ORDER, 0)
    assert codec.encode(view)
    cluster.close()


def test_attack_many_words_do_not_slow_every_plan_down(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    world = cluster.world
    order = world.pay(VAULT, 100_000)
    cluster.sync()
    inbox = inbox_of(cluster)
    for number in range(20):
        inbox.hand_in(b"", [SignedBody.of(world.endorsement("carol", Verb.REJECT, bytes([number]) * 32))])
    inbox.hand_in(b"", [SignedBody.of(world.endorsement("carol", Verb.REJECT, order))])
    freeze = freeze_order(cluster, VAULT)
    inbox.hand_in(freeze, [SignedBody.of(world.endorsement("dave", Verb.INITIATE, freeze))])
    record = world.state.order(order)
    assert record is not None
    wanted = decode_order(record.order)
    monkeypatch.setattr("strongroom_signer.inbox.codec.decode", None)
    assert inbox.rejection_of(order, wanted) == "carol"
    assert inbox.rejection_of(bytes(32), wanted) == "carol"
    assert inbox.rejection_of(bytes([99]) * 32, wanted) is None
    assert inbox.handed_freeze_of(VAULT) == "looks wrong"
    assert inbox.handed_freeze_of("customer-2") is None
