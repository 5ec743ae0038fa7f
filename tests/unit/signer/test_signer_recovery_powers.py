"""A signer on break-glass and the address book at release, and a freeze placed while its daemon is down."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import charter_builder as builder
from ledger_world import DESTINATION, HOUR_MS
from signer_world import CHEAP, PASSPHRASE, VAULT, Cluster, FakeClock, refusal_of
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.crypto import ed25519
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.ledger import codec
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.entry_messages import SignerFreeze, Tick
from strongroom.ledger.order_messages import Freeze, Scope
from strongroom.ledger.pae import pae
from strongroom.ledger.signed_messages import Signed, Verb, Verdict, View
from strongroom.protocol.signed import SignedBody
from strongroom_signer.config import Limit, SignerConfig
from strongroom_signer.keys import create_keys
from strongroom_signer.offline_freeze import DaemonSilent, FreezesNothing, freeze_offline
from strongroom_signer.process import FolderLock
from strongroom_signer.store import Store

DELAY_MS, BOX_MS = HOUR_MS, 6 * HOUR_MS


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path, **builder.recovery_parts(rules=(builder.rule(), builder.book_rule())))
    yield made
    made.close()


def broken(cluster: Cluster) -> tuple[bytes, int]:
    """An open box and a certified sweep: the order, and the entry index of the plan."""
    order = cluster.world.break_glass()
    cluster.sync()
    cluster.wait(DELAY_MS)
    cluster.world.log(cluster.world.sweep(order, [cluster.world.coin(500_000)]))
    index = cluster.world.replica.size - 1
    cluster.sync()
    return order, index


def freeze_by_hand(cluster: Cluster, name: str) -> None:
    order = cluster.world.order(Freeze(scope=Scope.ALL, vault="", why="an attack"))
    said = cluster.world.endorsement("dave", Verb.INITIATE, order)
    cluster.signers[name].inbox.hand_in(order, [SignedBody(body=said.body, signature=said.signature)])


def test_a_sweep_is_signed_under_the_freezes_of_people_in_the_ledger_or_by_hand(cluster: Cluster) -> None:
    cluster.world.freeze("dave")
    cluster.world.log(cluster.world.signer_freeze("s3"))
    cluster.sync()
    order, index = broken(cluster)
    freeze_by_hand(cluster, "s2")
    view = codec.decode(View, cluster.ask("s2", pb.Explain(order_hash=order)).view.body)
    assert view.verdict is Verdict.WOULD_SIGN
    chosen = cluster.commitments(index, "s1", "s2")
    for name in ("s1", "s2"):
        assert cluster.release(name, index, chosen).WhichOneof("outcome") == "shares"


def test_the_operators_own_freeze_stops_even_a_sweep_until_the_operator_thaws(cluster: Cluster) -> None:
    """Whoever rewrites the charter to have a recovery address must not get past the operators as well."""
    _, index = broken(cluster)
    identifier = cluster.signers["s1"].inbox.freeze("", "I do not know this address")
    assert refusal_of(cluster.commit("s1", index)).reason == "LOCAL_FREEZE"
    cluster.signers["s1"].inbox.thaw(identifier)
    assert cluster.commit("s1", index).WhichOneof("outcome") == "commitments"


def test_the_same_freezes_stop_a_withdrawal(cluster: Cluster) -> None:
    index = cluster.plan()
    cluster.signers["s1"].inbox.freeze("", "placed by the operator")
    freeze_by_hand(cluster, "s2")
    assert refusal_of(cluster.commit("s1", index)).reason == "LOCAL_FREEZE"
    assert refusal_of(cluster.commit("s2", index)).reason == "FROZEN"


def test_a_box_held_open_by_frozen_log_time_is_closed_by_the_own_clock(cluster: Cluster) -> None:
    _, index = broken(cluster)
    chosen = cluster.commitments(index, "s1", "s2")
    cluster.clock.advance(BOX_MS)
    assert refusal_of(cluster.release("s1", index, chosen)).reason in {"BOX_CLOSED", "NONCE_STALE"}
    assert refusal_of(cluster.commit("s1", index)).reason == "BOX_CLOSED"


def test_a_rejection_handed_in_closes_the_box_at_this_signer(cluster: Cluster) -> None:
    order, index = broken(cluster)
    said = cluster.world.endorsement("carol", Verb.REJECT, order)
    cluster.signers["s1"].inbox.hand_in(b"", [SignedBody(body=said.body, signature=said.signature)])
    assert refusal_of(cluster.commit("s1", index)).reason == "REJECTED"
    assert cluster.commit("s2", index).WhichOneof("outcome") == "commitments"


def test_a_rejection_of_an_addition_by_one_of_its_quorum_can_be_handed_in(cluster: Cluster) -> None:
    order = cluster.world.submit(cluster.world.addition(), "dave", "alice")
    cluster.sync()
    inbox = cluster.signers["s1"].inbox
    said = cluster.world.endorsement("bob", Verb.REJECT, order)
    inbox.hand_in(b"", [SignedBody(body=said.body, signature=said.signature)])
    assert len(inbox.items) == 1


def test_a_removal_in_an_entry_that_no_certificate_covers_stops_the_release(cluster: Cluster) -> None:
    world = cluster.world
    world.add_destination()
    cluster.sync()
    cluster.wait(24 * HOUR_MS)
    order = world.pay(VAULT, 100_000, "alice", destination=DESTINATION)
    world.log_plan([order], [world.coin(200_000)])
    index = world.replica.size - 1
    cluster.sync()
    chosen = cluster.commitments(index, "s1", "s2")
    world.remove_destination()
    preview = world.previews[cluster.sent]
    cluster.vote("s1", preview)
    cluster.sent += 1
    # What is left is the rule for any destination, which asks for two.
    assert refusal_of(cluster.release("s1", index, chosen)).reason == "APPROVALS_MISSING"


def test_a_local_maximum_does_not_stop_a_sweep(cluster: Cluster) -> None:
    _, index = broken(cluster)
    cluster.deliver()
    limits = {builder.BTC: Limit(per_order=1, per_day=1)}
    config = SignerConfig(coordinator="127.0.0.1:1", free_disk_floor_bytes=0, limits=limits)
    cluster.restart("s1", config)
    cluster.open_term()
    cluster.tick()
    assert cluster.commit("s1", index).WhichOneof("outcome") == "commitments"


# --- a freeze while the daemon is down -------------------------------------------------------------------------------


def placed(cluster: Cluster, vault: str = "") -> bytes:
    """Stop s1, freeze in its folder, and start it again."""
    cluster.deliver()
    cluster.signers["s1"].close()
    folder = cluster.folders["s1"]
    made = freeze_offline(folder, vault=vault, why="the office burns", clock=cluster.clock, random=os.urandom)
    cluster.restart("s1")
    cluster.open_term()
    cluster.tick()
    return made


def test_a_freeze_placed_offline_stops_the_signer_from_its_start_and_is_raised_signed(cluster: Cluster) -> None:
    index = cluster.plan()
    identifier = placed(cluster)
    assert refusal_of(cluster.commit("s1", index)).reason == "LOCAL_FREEZE"
    inbox = cluster.signers["s1"].inbox
    [freeze] = inbox.local_freezes
    assert (freeze.id, freeze.why) == (identifier, "the office burns")
    [statement] = inbox.to_raise().freezes
    assert ed25519.verify(cluster.vote_keys["s1"], pae("freeze", statement.body), statement.signature)
    inbox.thaw(identifier)
    assert cluster.commit("s1", index).WhichOneof("outcome") == "commitments"


def test_a_freeze_of_one_vault_placed_offline_stops_only_that(cluster: Cluster) -> None:
    index = cluster.plan()
    placed(cluster, "customer-2")
    assert cluster.commit("s1", index).WhichOneof("outcome") == "commitments"


def test_what_the_ledger_takes_of_a_freeze_placed_offline_freezes_everybody(cluster: Cluster) -> None:
    placed(cluster)
    [statement] = cluster.signers["s1"].inbox.to_raise().freezes
    cluster.world.log(SignerFreeze(statement=Signed(body=statement.body, signature=statement.signature)), Tick())
    assert cluster.world.state.active_freeze(VAULT, cluster.world.time_ms) is not None


def test_a_freeze_that_the_daemon_stored_and_did_not_answer_is_not_placed_again(cluster: Cluster) -> None:
    why = "a payment that nobody here can explain"
    known = cluster.signers["s1"].inbox.freeze(VAULT, why)
    cluster.signers["s1"].close()

    def place(vault: str, why: str) -> bytes:
        return freeze_offline(cluster.folders["s1"], vault=vault, why=why, clock=cluster.clock, random=os.urandom)

    assert place(VAULT, why) == known
    others = {place("", why), place(VAULT, "another one")}
    cluster.clock.advance(60_001)
    others.add(place(VAULT, why))
    assert len(others - {known}) == 3
    placed = cluster.restart("s1").inbox.local_freezes
    assert {one.id for one in placed} == {known, *others}


def test_a_folder_that_a_silent_process_holds_is_not_written(cluster: Cluster) -> None:
    cluster.signers["s1"].close()
    folder = cluster.folders["s1"]
    with FolderLock(folder), pytest.raises(DaemonSilent) as caught:
        freeze_offline(folder, vault="", why="x", clock=cluster.clock, random=os.urandom)
    assert "stop it" in caught.value.message
    cluster.restart("s1")
    assert cluster.signers["s1"].inbox.local_freezes == ()


def test_a_reason_that_the_ledger_would_not_take_is_refused(cluster: Cluster) -> None:
    cluster.signers["s1"].close()
    with pytest.raises(NotCanonical):
        freeze_offline(cluster.folders["s1"], vault="", why="", clock=cluster.clock, random=os.urandom)
    cluster.restart("s1")
    assert cluster.signers["s1"].inbox.local_freezes == ()


def test_a_signer_of_no_log_freezes_nothing(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "signer.db")
    host = SecretScalar.from_bytes(builder.seed("s1 host"))
    create_keys(tmp_path, store, "s1", SecretBytes(PASSPHRASE), host=host, cost=CHEAP, random=os.urandom).wipe()
    store.close()
    with pytest.raises(FreezesNothing):
        freeze_offline(tmp_path, vault="", why="x", clock=FakeClock(), random=os.urandom)
