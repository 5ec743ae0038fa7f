"""The coordinator's recovery data: offered, named by the log, asked for, and forgotten with its epoch."""

from __future__ import annotations

import hashlib

import pytest

from ledger_world import World
from strongroom.ledger.replica import Preview
from strongroom_coordinator.recovery import MAX_ASKED, RecoveryBook


@pytest.fixture
def world() -> World:
    made = World.started()
    made.make_vault("customer-1")
    return made


def newest(world: World) -> Preview:
    return world.previews[-1]


def test_a_batch_goes_out_with_what_its_entries_name(world: World) -> None:
    book = RecoveryBook({})
    assert book.of_batch(newest(world)) == ()
    for data in world.recovery_data.values():
        book.offer(data)
    assert book.of_batch(newest(world)) == tuple(world.recovery_data.values())
    assert book.named_in(newest(world).batch.entries) == world.recovery_data
    assert book.of_batch(world.previews[0]) == ()


def test_only_what_is_wanted_and_sound_is_taken_from_a_signer(world: World) -> None:
    book = RecoveryBook({})
    wanted = book.lacking(world.state)
    junk = b"\xff" * 20
    assert book.take([*wanted, hashlib.sha256(junk).digest()], [junk, b"other", *world.recovery_data.values()]) == (
        world.recovery_data
    )
    assert book.lacking(world.state) == ()
    assert book.answer([bytes(32), *wanted]) == tuple(world.recovery_data.values())


def test_an_answer_stays_below_a_bound() -> None:
    held = {hashlib.sha256(data).digest(): data for data in (bytes([number]) * 40_000 for number in range(60))}
    answer = RecoveryBook(held).answer(list(held))
    assert 0 < sum(map(len, answer)) <= 1024 * 1024
    many = {bytes([number]) * 32: b"x" for number in range(200)}
    assert len(RecoveryBook(many).answer(list(many))) == MAX_ASKED


def test_what_no_state_needs_is_forgotten_unless_it_is_on_its_way_into_the_log(world: World) -> None:
    needed = dict(world.recovery_data)
    book = RecoveryBook({**needed, bytes(32): b"of an epoch that is over"})
    offered = book.offer(b"of an entry to come")
    assert book.drop_stale(world.replica, world.replica.size) == (bytes(32),)
    book.settle(offered)
    assert book.drop_stale(world.replica, world.replica.size) == (offered,)
    assert book.drop_stale(world.replica, world.replica.size) == ()
    assert book.answer(list(needed)) == tuple(needed.values())


def test_what_a_dropped_entry_names_waits_for_it_to_be_logged_again(world: World) -> None:
    book = RecoveryBook(dict(world.recovery_data))
    dropped = newest(world).batch.entries
    world.replica.truncate(newest(world).batch.first_index)
    book.put_back(dropped)
    assert book.drop_stale(world.replica, world.replica.size) == ()
