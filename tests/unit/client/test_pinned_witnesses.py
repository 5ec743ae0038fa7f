"""What a machine remembers of the witnesses: a set that left is believed no more, whatever a coordinator leaves out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import charter_builder as builder
from handover_world import HandoverWorld
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.entry_messages import Entry, Tick
from strongroom.ledger.records import TABLES, ElectorateStep
from strongroom.protocol.electorates import KnownSet
from strongroom_client.connection import Client
from strongroom_client.errors import NotProven, ProfileProblem
from strongroom_client.orders import Seen
from strongroom_client.profile import Memory
from strongroom_client.trust import Trust

OLD, BOTH, NEW = ("s1", "s2"), ("s1", "s2", "s4", "s5"), ("s1", "s4", "s5")


def wanted(world: HandoverWorld) -> None:
    world.want(world.next_charter(*(builder.signer(name) for name in ("s1", "s2", "s4", "s5")), quorum=3))


def handed_over(world: HandoverWorld) -> bytes:
    """The change to the end, and its proof."""
    wanted(world)
    world.world.log(world.first(BOTH))
    second = world.second(BOTH)
    world.world.log(second)
    world.world.log(Tick())
    return codec.encode(world.step(second))


def trust_in(world: HandoverWorld, steps: Iterable[bytes] = ()) -> Trust:
    return Trust.from_charter(world.world.charter_bytes, pinned=world.world.log_id).handed_over(steps)


def memory_of(world: HandoverWorld, folder: Path) -> Memory:
    return Memory.beside(folder / "profile.toml", world.world.log_id)


def remembered(world: HandoverWorld, folder: Path) -> KnownSet:
    """What a second run of the program knows of the witnesses."""
    memory = memory_of(world, folder)
    trust = trust_in(world, [handed_over(world)])
    memory.remember(Seen(size=world.world.replica.size, root=bytes(32)), trust.witnesses)
    known = memory_of(world, folder).witnesses()
    assert known is not None
    return known


class Told(Client):
    """A client and what it is answered."""

    def __init__(self, world: HandoverWorld, witnesses: KnownSet | None, response: Any) -> None:
        super().__init__(None, world.world.log_id, witnesses=witnesses)  # type: ignore[arg-type]
        self._response = response

    async def _ledger(self) -> Any:
        return self._response


def ledger(world: HandoverWorld, certificate: Certificate, steps: tuple[bytes, ...] = ()) -> Any:
    """What a coordinator answers on the branch of this world, with the newest head certified so."""
    state = world.state
    data = state.record_proof(b"charter", b"")
    roots = zip(TABLES, data.table_roots, strict=True)
    proof = types_pb2.RecordProof(
        record=data.record,
        table="charter",
        sequence=data.sequence,
        path=data.path,
        tables=[types_pb2.TableRoot(table=name.decode(), count=one.count, root=one.root) for name, one in roots],
        rule_set=data.rule_set,
        state_time_ms=data.time_ms,
        certificate=codec.encode(certificate),
    )
    genesis = codec.encode(Entry(salt=bytes(16), time_ms=1, body=world.world.genesis()))
    head = types_pb2.LogHead(size=1)
    return SimpleNamespace(founding_entry=genesis, handovers=steps, charter=proof, final_head=head)


@pytest.mark.attack(
    line="holders",
    title="a branch on which nobody ever took over, certified with the leaked keys of signers who left",
    origin="on paper: a client that knows only the genesis charter believes it",
)
async def test_a_branch_of_signers_who_left_is_believed_by_nobody_who_remembers(tmp_path: Path) -> None:
    known = remembered(HandoverWorld(), tmp_path)
    branch = HandoverWorld()
    for _ in range(12):
        branch.world.log(Tick())
    lie = ledger(branch, branch.certificate(OLD))
    assert (await Told(branch, None, lie).trust()).charter.version == 1
    with pytest.raises(NotProven):
        await Told(branch, known, lie).trust()


async def test_the_log_of_those_who_took_over_is_believed_with_and_without_the_proof(tmp_path: Path) -> None:
    world = HandoverWorld()
    known = remembered(world, tmp_path)
    step = codec.encode(trust_step(world))
    told = ledger(world, world.certificate(NEW), (step,))
    for pin in (None, known):
        trust = await Told(world, pin, told).trust()
        assert (trust.charter.version, trust.witnesses.number) == (2, 2)
    with pytest.raises(NotProven):
        await Told(world, None, ledger(world, world.certificate(NEW))).trust()
    assert (await Told(world, known, ledger(world, world.certificate(NEW))).trust()).charter.version == 2


def trust_step(world: HandoverWorld) -> Any:
    """The proof of the change that is over, out of its entry."""
    entries = [codec.decode(Entry, one).body for batch in world.world.batches for one in batch.entries]
    second = next(body for body in entries if getattr(body, "summary", None) is not None)
    return world.step(second)


def test_a_change_that_may_come_to_nothing_is_not_remembered(tmp_path: Path) -> None:
    world = HandoverWorld()
    wanted(world)
    world.world.log(world.first(BOTH))
    step = ElectorateStep(certificate=world.certificate(BOTH), record=world.state.witnesses, summary=world.summary())
    both = trust_in(world, [codec.encode(step)]).witnesses
    assert (both.number, both.joint) != (2, None)
    memory = memory_of(world, tmp_path)
    memory.remember(Seen(size=5, root=bytes(32)), both)
    assert memory.witnesses() is None
    assert memory.head() == Seen(size=5, root=bytes(32))


def test_what_is_remembered_never_goes_back(tmp_path: Path) -> None:
    world = HandoverWorld()
    known = remembered(world, tmp_path)
    memory = memory_of(world, tmp_path)
    size = world.world.replica.size
    memory.remember(Seen(size=1, root=bytes(32)), trust_in(world).witnesses)
    assert memory.witnesses() == known
    assert memory.head() == Seen(size=size, root=bytes(32))
    # Who certified only smaller heads than the one that is known is forgotten.
    assert known.possible(1) == ()
    other = Memory.beside(tmp_path / "profile.toml", type(world.world.log_id)(bytes(32)))
    assert other.witnesses() is None


@pytest.mark.parametrize("pin", ["zz", "00", 7, None])
def test_a_damaged_memory_is_not_taken_for_an_empty_one(tmp_path: Path, pin: Any) -> None:
    world = HandoverWorld()
    remembered(world, tmp_path)
    memory = memory_of(world, tmp_path)
    content = json.loads(memory.file.read_text())
    memory.file.write_text(json.dumps({**content, "witnesses": pin}))
    with pytest.raises(ProfileProblem, match="damaged"):
        memory.witnesses()
    with pytest.raises(ProfileProblem):
        memory.remember(Seen(size=99, root=bytes(32)))
