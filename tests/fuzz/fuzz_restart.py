"""Targets of what people hand around to found a log anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from fuzz_files import written
from fuzz_target import target, total
from fuzz_world import stopped_clock

from fake_treasury import CertifiedWorld
from ledger_world import START_MS
from restart_world import RestartWorld
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import MAX_ENTRY_BYTES, Restart
from strongroom.ledger.founding import restart_entry
from strongroom.protocol.restart import judge_restart, with_approval
from strongroom.wire.restart_file import decode_restart_file, encode_restart_file
from strongroom_client.audit import Auditor
from strongroom_client.cli.restart_view import claimed_data, claimed_parts, judged_data, judged_parts
from strongroom_client.restarting import joined, judge
from strongroom_client.trust import Trust
from strongroom_coordinator.data_folder import load_restart


@lru_cache(maxsize=1)
def small_world() -> CertifiedWorld:
    """A log of a genesis, certified; nobody founded it anew yet."""
    with stopped_clock():
        world = CertifiedWorld(label="restart", time_ms=START_MS)
        world.settle(world.genesis())
    return world


@lru_cache(maxsize=1)
def replayed() -> Auditor:
    auditor = Auditor(small_world().log_id)
    for part in small_world().logged():
        auditor.take(*part)
    return auditor


def restart_seeds() -> Iterator[bytes]:
    world = small_world()
    for approvers in ((), ("alice",), ("alice", "bob")):
        made = RestartWorld(world).restart(approvers=approvers, certificate=world.newest)
        yield encode_restart_file(made)


@target(
    "strongroom.wire.restart_file:decode_restart_file",
    "strongroom.protocol.restart:judge_restart",
    "strongroom.protocol.restart:with_approval",
    "strongroom.ledger.founding:statement_of",
    "strongroom.ledger.founding:read_founding",
    "strongroom_client.restarting:joined",
    "strongroom_client.restarting:judge",
    "strongroom_client.trust:Trust.from_founding_entry",
    "strongroom_coordinator.data_folder:load_restart",
    seeds=restart_seeds,
    max_bytes=12_000,
)
def restart_of_people(data: bytes) -> None:
    """Restart files, as administrators judge and join them, operators take them, and clients pin them."""
    found = total(decode_restart_file, data)
    total(load_restart, written("restart.bin", data))
    if found is None:
        return
    if encode_restart_file(found) != data:
        raise ValueError("a restart file is read in two ways")
    claimed_data(found)
    claimed_parts(found)
    total(judge_restart, replayed().state, found)
    judged = total(judge, replayed(), found, now_ms=START_MS)
    if judged is not None:
        judged_data(judged)
        judged_parts(judged)
    total(joined, [found, found], needed=2)
    for signed in found.approvals:
        total(with_approval, replayed().state, found, signed)
        total(with_approval, replayed().state, replace(found, approvals=()), signed)
    _pinned(found)


def _pinned(found: Restart) -> None:
    """Only the id of exactly this restart leads to its charter."""
    entry = codec.encode(restart_entry(found))
    if len(entry) > MAX_ENTRY_BYTES:
        return
    total(Trust.from_founding_entry, entry, pinned=small_world().log_id)
