"""The coordinator's copy with thousands of batches that are certified and not final, also after a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sqlalchemy import Connection

from fake_treasury import CertifiedWorld
from strongroom.ledger.certificate_messages import Head
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.replica import Preview
from strongroom.protocol.certificates import NO_CERTIFICATE, Held, held_of
from strongroom_coordinator.data_folder import GenesisFile
from strongroom_coordinator.founding import Founding
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.storage.migrating import migrate
from strongroom_coordinator.voters import Voters

BATCHES = 1_200


def opened(root: Path, world: CertifiedWorld) -> LedgerCopy:
    genesis = GenesisFile(genesis=world.genesis(), charter=world.charter, log_id=world.log_id)
    return LedgerCopy(Storage.open(f"sqlite:///{root / 'coordinator.db'}"), Voters(Founding.of(genesis)))


async def test_thousands_of_batches_become_final_at_once_after_a_restart(tmp_path: Path) -> None:
    migrate(f"sqlite:///{tmp_path / 'coordinator.db'}")
    world = CertifiedWorld.started()

    def certify(ledger: LedgerCopy, preview: Preview, term: int, held: Held) -> None:
        head = Head(
            log_id=world.log_id, term=term, size=preview.size, root=preview.root, state_digest=preview.state_digest
        )
        ledger.append(ledger.replica.preview(preview.batch))
        ledger.certify(world.certify(head, held))

    ledger = opened(tmp_path, world)
    writing = asyncio.create_task(ledger.run())
    for _ in range(BATCHES):
        world.log(Tick())
    for term, preview in enumerate(world.previews, 1):
        # Each vote names a certificate of the term before it, or none: nothing becomes final.
        certify(ledger, preview, term, held_of(ledger.certificate))
    await ledger.stored()
    assert (ledger.final_size, ledger.certified_size) == (0, world.replica.size)
    writing.cancel()

    ledger = opened(tmp_path, world)
    writing = asyncio.create_task(ledger.run())
    assert (ledger.final_size, ledger.certified_size) == (0, world.replica.size)
    for held_before in (False, True):
        world.log(Tick())
        held = held_of(ledger.certificate) if held_before else NO_CERTIFICATE
        certify(ledger, world.previews[-1], BATCHES + 9, held)
    await ledger.stored()
    assert (ledger.final_size, ledger.certified_size) == (world.replica.size - 1, world.replica.size)
    assert ledger.replica.head() == world.replica.head()
    writing.cancel()


async def test_waiting_for_what_is_certified_ends_while_the_log_goes_on_growing(tmp_path: Path) -> None:
    migrate(f"sqlite:///{tmp_path / 'coordinator.db'}")
    ledger = opened(tmp_path, CertifiedWorld.started())
    loop = asyncio.get_running_loop()
    written: list[int] = []

    def one_more(_: Connection) -> None:
        # The next write waits before the commit of this one has ended: the queue is never empty.
        written.append(len(written))
        loop.call_soon_threadsafe(ledger.enqueue, one_more)

    ledger.enqueue(one_more)
    writing = asyncio.create_task(ledger.run())
    async with asyncio.timeout(60):
        await ledger.stored()
        await ledger.stored()
    assert len(written) >= 2
    writing.cancel()
