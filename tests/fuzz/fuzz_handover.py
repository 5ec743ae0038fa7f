"""Targets of handovers: proofs that one witness set took over from another, as signers and clients get them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from fuzz_target import choice, target, total

import charter_builder as builder
from handover_world import HandoverWorld
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec, merkle
from strongroom.ledger.entry_messages import Handover
from strongroom.ledger.handlers.witnesses import summary_digest
from strongroom.ledger.records import TABLES, ElectorateStep, WitnessRecord
from strongroom.ledger.state import WITNESSES
from strongroom.protocol.certificates import held_of
from strongroom_client.trust import Trust
from strongroom_signer.frames import steps_of

BOTH: Final = ("s1", "s2", "s4", "s5")
"""A quorum of the first set and of the next one."""
PLACE: Final = TABLES.index(WITNESSES)


@dataclass(frozen=True)
class Change:
    """A log whose witness set changed, what a client pinned before, and proofs of the change: begun, and complete."""

    world: HandoverWorld
    trust: Trust
    begun: ElectorateStep
    completed: ElectorateStep

    @property
    def records(self) -> tuple[WitnessRecord, WitnessRecord]:
        return self.begun.record, self.completed.record


@lru_cache(maxsize=1)
def change() -> Change:
    world = HandoverWorld()
    log = world.world
    world.want(world.next_charter(*(builder.signer(name) for name in BOTH), quorum=3))
    log.log(world.first(BOTH))
    begun = ElectorateStep(certificate=world.certificate(BOTH), record=world.state.witnesses, summary=world.summary())
    second: Handover = world.second(BOTH)
    log.log(second)
    trust = Trust.from_charter(log.charter_bytes, pinned=log.log_id)
    return Change(world=world, trust=trust, begun=begun, completed=world.step(second))


def put_right(step: ElectorateStep) -> ElectorateStep:
    """The record in the table, the table in the digest, and the digest under votes of both quorums: past the proofs."""
    made = change()
    if len(step.summary.tables) != len(TABLES):
        return step
    tables = list(step.summary.tables)
    tables[PLACE] = replace(tables[PLACE], root=merkle.root_of([merkle.leaf_hash(codec.encode(step.record))]))
    summary = replace(step.summary, tables=tuple(tables))
    digest = total(summary_digest, summary)
    if digest is None:
        return step
    head = replace(step.certificate.head, log_id=made.world.world.log_id, state_digest=digest)
    held = held_of(made.begun.certificate)
    return replace(step, summary=summary, certificate=made.world.certificate(BOTH, head=head, held=held))


def step_seeds() -> Iterator[bytes]:
    for step in (change().begun, change().completed):
        yield b"\0" + codec.encode(step)
        yield b"\1" + codec.encode(step)


@target(
    "strongroom.protocol.electorates:follow_steps",
    "strongroom.ledger.handlers.witnesses:summary_digest",
    "strongroom_signer.frames:steps_of",
    "strongroom_client.trust:Trust.handed_over",
    "strongroom_client.trust:Trust.certificate",
    seeds=step_seeds,
)
def electorate_step(data: bytes) -> None:
    """A proof of a handover, as it is and under true votes of both quorums: nobody else comes to vote by it."""
    how, proof = choice(data, [False, True])
    made = change()
    decoded = total(steps_of, pb.Witnesses(steps=[proof]))
    if decoded is None:
        if total(made.trust.handed_over, [proof]) is not None:
            raise ValueError("a client believes a proof that a signer cannot read")
        return
    (step,) = decoded
    if codec.encode(step) != proof:
        raise ValueError("a proof has two encodings")
    if how:
        step = put_right(step)
        proof = codec.encode(step)
    found = total(made.trust.handed_over, [proof])
    if found is None:
        return
    if not how and step.record not in made.records:
        raise ValueError("a record of witness sets is believed that no certified state holds")
    if found.witnesses.number > made.trust.witnesses.number and found.witnesses.witnesses != step.record.next:
        raise ValueError("a handover leads to another witness set than the one it names")
    total(found.certificate, codec.encode(step.certificate))
    total(found.handed_over, [proof, proof])
