"""Keys that entries took which a restart drops: they count no more, by whatever way the log that stays has them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import charter_builder as builder
from ledger_world import World
from restart_signers import LostDisks
from restart_world import approval
from signer_world import Cluster
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.charter import Charter, PersonKey, encode_charter
from strongroom.ledger.entry_messages import Restart, Tick
from strongroom.ledger.founding import statement_of
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.signed_messages import KeyType, Signed, Verb
from strongroom.protocol.signed import SignedBody
from strongroom.wire.log_export import LogExportWriter
from strongroom_signer.word_life import UNKNOWN_ORDER_KEPT_MS


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster.started(tmp_path / "signers")
    yield made
    made.close()


def lose_disks(cluster: Cluster, root: Path) -> LostDisks:
    """What was logged so far is held by s1, and certified; then the disks of s2 and s3 are lost."""
    cluster.sync()
    cluster.tick(2)
    cluster.deliver()
    lost = LostDisks(cluster, root)
    lost.lose()
    return lost


def on_own_way(lost: LostDisks, size: int) -> None:
    """s1 alone votes for what was logged beyond this size; the others never saw it."""
    for preview in lost.cluster.world.previews:
        if preview.size > size:
            lost.cluster.vote("s1", preview)
    lost.world.lose(size)
    lost.world.term = 2


def longer_log(lost: LostDisks) -> Path:
    """The log as it stays, exported."""
    writer = LogExportWriter(lost.world.genesis_id)
    batches = lost.cluster.world.batches
    pieces = [writer.begin(), *(writer.batch(one.first_index, one.entries, b"") for one in batches), writer.end()]
    file = lost.root / "longer"
    file.write_bytes(b"".join(pieces))
    return file


def restart_by(lost: LostDisks, certificate: Certificate, **keys: str) -> Restart:
    """A restart that these people approve, each by the key of a label."""
    restart = lost.restart(lost.world.new_charter(), certificate=certificate, approvers=())
    return replace(restart, approvals=tuple(approval(restart, name, label=label) for name, label in keys.items()))


def with_keys(charter: Charter, person: str, *labels: str) -> dict[str, Any]:
    """What an amendment changes that gives a person these keys."""
    keys = tuple(PersonKey(type=KeyType.ED25519, public=builder.signing_key(one).public) for one in labels)
    return {"people": tuple(replace(one, keys=keys) if one.name == person else one for one in charter.people)}


def counting(cluster: Cluster, person: str) -> Sequence[bytes]:
    """The keys of a person that count at s1."""
    signer = cluster.signers["s1"]
    people = signer.inbox.without_revoked(signer.copy.newest()).charter.people
    return [key.public for one in people if one.name == person for key in one.keys]


def test_a_key_that_came_and_was_revoked_within_the_way_that_is_dropped_counts_no_more(
    cluster: Cluster, tmp_path: Path
) -> None:
    """It is in force on the way that stays, where the entry that revoked it is missing."""
    world, old = cluster.world, cluster.world.state.charter
    given = replace(old, version=2, **with_keys(old, "bob", "bob", "bob-2"))
    world.submit(AmendCharter(charter=encode_charter(given), handover_expires_ms=0), "dave", "alice", "carol")
    lost = lose_disks(cluster, tmp_path)
    size = world.replica.size
    cluster.wait(old.loosening_delay_ms)
    taken = replace(given, version=3, **with_keys(given, "bob", "bob"))
    order = world.order(AmendCharter(charter=encode_charter(taken), handover_expires_ms=0))
    world.log(world.order_entry(order, "dave", "alice", "carol"))
    assert world.state.charter == taken
    on_own_way(lost, size)
    world.log(Tick())
    assert world.state.charter == given
    certificate, log = lost.world.certificate(("s2", "s3")), longer_log(lost)
    key = builder.signing_key("bob-2").public
    lost.pin("s1", restart_by(lost, certificate, alice="alice", bob="bob-2"), log=log)
    assert (lost.reason, "bob" in lost.err) == ("RESTART_REFUSED", True)
    facts = lost.pin("s1", restart_by(lost, certificate, alice="alice", bob="bob"), log=log)
    assert (lost.code, lost.err, facts["revoked_keys"]) == (0, "", [key.hex()])
    lost.start("s1")
    (word,) = cluster.signers["s1"].inbox.items
    assert word.id == hashlib.sha256(order).digest()
    assert counting(cluster, "bob") == [builder.signing_key("bob").public]


def without_person(charter: Charter, person: str) -> dict[str, Any]:
    """What an amendment changes that takes a person's keys away."""
    groups = tuple(
        replace(one, members=tuple(name for name in one.members if name != person)) for one in charter.groups
    )
    return {"people": tuple(one for one in charter.people if one.name != person), "groups": groups}


def without_bob(charter: Charter) -> dict[str, Any]:
    return without_person(charter, "bob")


def test_a_second_order_for_the_same_charter_that_the_log_rejected_takes_no_revocation_back(
    cluster: Cluster, tmp_path: Path
) -> None:
    world = cluster.world
    action = world.amendment(**without_bob(world.state.charter))
    acted, other = world.submit(action, "dave"), world.submit(action, "bob")
    lost = lose_disks(cluster, tmp_path)
    size = world.replica.size
    world.approve(acted, "alice", "carol")
    on_own_way(lost, size)
    world.reject(other, "carol")
    certificate, log = lost.world.certificate(("s2", "s3")), longer_log(lost)
    facts = lost.pin("s1", restart_by(lost, certificate, alice="alice", carol="carol"), log=log)
    assert (lost.code, lost.err) == (0, "")
    assert facts["revoked_keys"] == [builder.signing_key("bob").public.hex()]
    lost.start("s1")
    signer = cluster.signers["s1"]
    assert [word.id for word in signer.inbox.items] == [acted]
    assert not signer.inbox.settled(signer.copy.final())
    assert not counting(cluster, "bob")


# --- how long they stay ----------------------------------------------------------------------------------------------


def hand_in(cluster: Cluster, order: bytes, said: Sequence[Signed]) -> bytes:
    cluster.signers["s1"].inbox.hand_in(order, [SignedBody.of(one) for one in said])
    return hashlib.sha256(order).digest()


def goes_on(lost: LostDisks, restart: Restart) -> World:
    """s1 pins the restart; the log that begins there, of which s1 holds the founding entry."""
    lost.pin("s1", restart)
    assert (lost.code, lost.err) == (0, "")
    lost.start("s1")
    lost.world.lose(statement_of(restart).head.size)
    lost.world.found(restart)
    return lost.cluster.world


def forgotten(cluster: Cluster) -> tuple[bytes, ...]:
    """What s1 would forget if all that is logged were final."""
    cluster.clock.wall = cluster.world.time_ms
    return cluster.signers["s1"].inbox.settled(cluster.world.state)


@pytest.mark.attack(
    line="person",
    title="a revocation handed in by a stolen key and a deceived administrator, kept for ever by a restart of the log",
    origin="on paper: what ends a word within one log must end it across a restart",
)
def test_attack_a_revocation_by_a_stolen_key_stays_across_a_restart(cluster: Cluster, tmp_path: Path) -> None:
    world, now = cluster.world, cluster.world.state.charter
    order = world.order(world.amendment(**without_person(now, "alice")))
    said = [world.endorsement("dave", Verb.INITIATE, order)]
    said += [world.endorsement(name, Verb.APPROVE, order) for name in ("bob", "carol")]
    revenge = hand_in(cluster, order, said)
    lost = lose_disks(cluster, tmp_path)
    goes_on(lost, restart_by(lost, lost.certificate, bob="bob", carol="carol"))
    assert not counting(cluster, "alice")
    assert not forgotten(cluster)
    world.amend("alice", "carol", **without_person(world.state.charter, "bob"))
    assert forgotten(cluster) == (revenge,)


def test_a_revocation_of_which_only_the_log_before_held_an_approval_stays(cluster: Cluster, tmp_path: Path) -> None:
    world = cluster.world
    order = world.order(world.amendment(**without_bob(world.state.charter)))
    by_carol = world.endorsement("carol", Verb.APPROVE, order)
    lost = lose_disks(cluster, tmp_path)
    certificate = lost.certificate
    world.log(world.order_entry(order, "dave", "alice"))
    cluster.vote("s1", world.previews[-1])
    hand_in(cluster, order, [by_carol])
    goes_on(lost, restart_by(lost, certificate, alice="alice", carol="carol"))
    world.amend("alice", "carol", loosening_delay_ms=world.state.charter.loosening_delay_ms + 1)
    assert not forgotten(cluster)
    assert not counting(cluster, "bob")


@pytest.mark.parametrize("was_handed_in", [False, True])
def test_a_revocation_that_a_dropped_entry_did_stays_though_who_approved_it_is_gone(
    cluster: Cluster, tmp_path: Path, was_handed_in: bool
) -> None:
    world = cluster.world
    lost = lose_disks(cluster, tmp_path)
    restart = restart_by(lost, lost.certificate, alice="alice", carol="carol")
    order = world.order(world.amendment(**without_bob(world.state.charter)))
    entry = world.order_entry(order, "dave", "alice", "carol")
    if was_handed_in:
        hand_in(cluster, order, entry.endorsements)
    world.log(entry)
    cluster.vote("s1", world.previews[-1])
    goes_on(lost, restart)
    world.amend("alice", "bob", **without_person(world.state.charter, "carol"))
    world.later(UNKNOWN_ORDER_KEPT_MS)
    world.log(Tick())
    assert not forgotten(cluster)
    assert not counting(cluster, "bob")
    world.amend("alice", "bob", **with_keys(world.state.charter, "bob", "bob-2"))
    world.later(world.state.charter.loosening_delay_ms)
    world.log(Tick())
    assert forgotten(cluster) == (hashlib.sha256(order).digest(),)
