"""A vote key is erased once it has counted and never will again, and what needs it is refused from then on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

import charter_builder as builder
from handover_world import HandoverWorld, signer
from ledger_world import DAY_MS
from signer_world import FakeClock, make_folder, open_folder
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.records import WitnessPhase
from strongroom.ledger.replica import Replica
from strongroom.ledger.state import State
from strongroom.ledger.view import MemoryStore
from strongroom_signer.assembly import Signer
from strongroom_signer.log_copy import LogCopy
from strongroom_signer.logs import open_log
from strongroom_signer.retirement import Retired, Retirement, has_left, require_vote_key
from strongroom_signer.store import Store, StoreFailed

VOTERS = ("s1", "s2", "s3:s3-2", "s4")


@dataclass
class FinalLog:
    """A copy whose final state is that of a handover."""

    store: Store
    state: State
    final_size: int

    def final(self) -> State:
        return self.state


@pytest.fixture
def world() -> HandoverWorld:
    return HandoverWorld()


@pytest.fixture
def leaving(world: HandoverWorld, tmp_path: Path) -> Iterator[Signer]:
    """The signer s3, before anything was logged at it."""
    opened = open_folder(make_folder(tmp_path, world.world, "s3"), FakeClock())
    yield opened
    opened.close()


def key(label: str) -> bytes:
    return builder.signing_key(f"{label} vote").public


def replace_s3(world: HandoverWorld, **parts: Any) -> None:
    """s3 gets another machine, s4 comes."""
    charter = world.next_charter(
        builder.signer("s1"), builder.signer("s2"), signer("s3", "s3-2"), builder.signer("s4"), quorum=3
    )
    world.want(charter, **parts)


def left(world: HandoverWorld) -> dict[str, bool]:
    return {
        label: has_left(world.state, label.partition(":")[0], key(label.rpartition(":")[2]))
        for label in ("s1", "s3", "s3:s3-2", "s4", "s9", "s1:s3", "s9:s3")
    }


def test_a_key_has_left_once_no_set_has_it_and_an_earlier_one_had(world: HandoverWorld) -> None:
    nobody = dict.fromkeys(left(world), False)
    assert left(world) == nobody
    replace_s3(world)
    assert world.state.witnesses.phase is WitnessPhase.WANTED
    assert left(world) == nobody
    world.world.log(world.first(VOTERS))
    assert world.state.witnesses.phase is WitnessPhase.JOINT
    assert left(world) == nobody
    world.world.log(world.second(VOTERS))
    assert left(world) == {**nobody, "s3": True}


def test_a_key_that_was_only_wanted_has_not_left_when_the_wish_lapses(world: HandoverWorld) -> None:
    replace_s3(world)
    world.world.later(2 * DAY_MS)
    world.world.log(Tick())
    assert world.state.witnesses.phase is WitnessPhase.STEADY
    assert not any(left(world).values())


def retirement(one: Signer, state: State, *, final_size: int) -> tuple[Retirement, io.StringIO]:
    lines = io.StringIO()
    copy = cast(LogCopy, FinalLog(one.store, state, final_size))
    log = open_log(stream=lines, raise_on_secret=True)
    return Retirement(copy=copy, keys=one.keys, name="s3", log=log), lines


def has_vote_key(one: Signer) -> bool:
    try:
        return bool(one.store.secret("vote"))
    except StoreFailed:
        return False


def test_a_key_that_counts_is_kept(world: HandoverWorld, leaving: Signer) -> None:
    replace_s3(world)
    world.world.log(world.first(VOTERS))
    part, lines = retirement(leaving, world.state, final_size=world.state.size)
    part.became_final(0, world.state.size)
    assert not leaving.keys.vote.is_wiped
    assert has_vote_key(leaving)
    assert "signer.retired" not in lines.getvalue()
    require_vote_key(leaving.keys.vote)


def test_a_key_that_left_is_erased_once_and_refuses_to_sign(world: HandoverWorld, leaving: Signer) -> None:
    replace_s3(world)
    world.world.log(world.first(VOTERS))
    world.world.log(world.second(VOTERS))
    part, lines = retirement(leaving, world.state, final_size=world.state.size)
    part.became_final(0, world.state.size)
    assert leaving.keys.vote.is_wiped
    assert not has_vote_key(leaving)
    part.bring_up_to_date()
    assert lines.getvalue().count("signer.retired") == 1
    with pytest.raises(Retired):
        require_vote_key(leaving.keys.vote)


def test_nothing_is_erased_before_anything_is_final(world: HandoverWorld, leaving: Signer) -> None:
    empty = Replica(MemoryStore(), log_id=world.world.log_id).state()
    part, _ = retirement(leaving, empty, final_size=0)
    part.bring_up_to_date()
    assert not leaving.keys.vote.is_wiped
