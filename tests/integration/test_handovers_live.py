"""Witness sets that change: grown, replaced, lapsed, and led through by crashes.

Signers and coordinator run in the test's own process, with their databases and real links between them.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import charter_builder as builder
from coordinator_world import Site
from handover_world import signer
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.charter import Charter, encode_charter
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.records import OrderState, WitnessPhase
from strongroom.ledger.replica import Batch
from strongroom.ledger.signed_messages import Vote
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom_client.audit import Auditor
from strongroom_client.errors import NotProven
from strongroom_client.trust import Trust
from strongroom_coordinator.subjects import decode_entry, subjects_of

pytestmark = pytest.mark.slow

DAY_MS = 86_400_000


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Site(tmp_path, loosening_delay_ms=1) as made:
        await made.start_coordinator()
        await made.start_signers()
        await made.genesis_logged()
        yield made


def next_charter(site: Site, signers: Iterable[str], quorum: int) -> Charter:
    """Signers by name; "s3:s3-2" is s3 with the keys of the label s3-2."""
    charter = site.side.sequencer.replica.state().charter
    made = tuple(signer(*one.split(":")) for one in signers)
    return replace(charter, version=charter.version + 1, signers=made, witness_quorum=quorum)


async def amend(site: Site, charter: Charter, *, for_ms: int = DAY_MS) -> bytes:
    """Order and approve an amendment; the order's hash."""
    action = AmendCharter(charter=encode_charter(charter), handover_expires_ms=site.clock.wall_ms() + for_ms)
    logged = await site.submit(action, "dave", "alice", "bob")
    return subjects_of(decode_entry(logged.entry).body)[0]


def number(site: Site) -> int:
    record = site.side.voters.record
    return 0 if record is None else record.number


def phase(site: Site) -> WitnessPhase | None:
    record = site.side.voters.record
    return None if record is None else record.phase


async def lapsed(site: Site, order: bytes) -> None:
    """Wait until the change that an order wanted is over without a new set."""

    def has_lapsed() -> bool:
        record = site.side.sequencer.replica.state().order(order)
        return record is not None and record.state is OrderState.LAPSED

    await site.until(has_lapsed, 60)
    assert (number(site), phase(site)) == (1, WitnessPhase.STEADY)


async def handed_over(site: Site, to: int, *names: str) -> None:
    """Wait until the new set rules, its proof is at hand, and it is final at these signers."""
    await site.until(lambda: number(site) == to and phase(site) is WitnessPhase.STEADY, 30)
    await site.until(lambda: site.side.handovers.number == to, 30)
    for name in names:
        copy = site.signers[name].signer.copy
        await site.until(lambda copy=copy: copy.final_size and copy.final().witnesses.number == to, 30)


async def test_three_witnesses_become_five(site: Site) -> None:
    five = ("s1", "s2", "s3", "s4", "s5")
    await amend(site, next_charter(site, five, 4))
    await site.until(lambda: phase(site) is WitnessPhase.WANTED)
    site.start_signer("s4")
    site.start_signer("s5")
    await handed_over(site, 2, *five)
    assert site.side.sequencer.replica.state().charter.witness_quorum == 4
    await site.make_vault("customer-1", five, 3)
    assert await site.signed(await site.pay("customer-1", 100_000))
    await people_and_auditors_follow(site)


async def people_and_auditors_follow(site: Site) -> None:
    """From the pinned genesis on: a client by the proofs alone, an auditor by the whole log."""
    side, world = site.side, site.world
    assert side.sequencer.certificate is not None
    newest = codec.encode(side.sequencer.certificate)
    trust = Trust.from_charter(world.charter_bytes, pinned=world.log_id)
    with pytest.raises(NotProven):
        trust.certificate(newest)
    assert codec.encode(trust.handed_over(side.handovers.proofs()).certificate(newest)) == newest
    auditor = Auditor(log_id=world.log_id)
    size, final = side.ledger.certified_size, side.ledger.decided_final_size
    for batch in await side.ledger.batches(0, 2**40, max_bytes=2**30):
        auditor.take(batch.first_index, batch.entries, batch.certificate or b"")
    summary = auditor.finish()
    # The log may have grown since it was read, by a tick that makes its end final.
    assert summary.entries >= size
    assert summary.final_size >= final


def votes(site: Site, label: str) -> tuple[SignedBody, SignedBody]:
    """Two votes for different heads at one size, which no sound signer gives."""
    parts = {"log_id": site.world.log_id, "term": 1, "size": 2, "held_term": 0, "held_size": 0, "held_head": b""}
    said = (Vote(**parts, root=bytes([byte]) * 32, state_digest=bytes(32)) for byte in (1, 2))
    first, second = (sign_body("vote", one, builder.signing_key(f"{label} vote")) for one in said)
    return first, second


async def test_a_machine_is_replaced_under_its_name(site: Site) -> None:
    """The old machine's key counts until the handover, the new one's from then on; what has neither stays silent."""
    await site.stop_signer("s3")
    fresh = site.start_signer("s3", label="s3-2")
    await site.until(lambda: fresh.copy.size == site.side.sequencer.replica.size)
    assert fresh.alarm()[0] == "NOT_A_WITNESS"
    assert "the administrators must amend it" in fresh.alarm()[1]
    assert fresh.voting.state.last_vote is None
    evidence = site.side.evidence
    evidence.two_votes("s3", *votes(site, "s3"))
    await site.until(lambda: evidence.quarantined("s3") is not None)
    await amend(site, next_charter(site, ("s1", "s2", "s3:s3-2"), 3))
    await handed_over(site, 2, "s1", "s2", "s3")
    # What the old machine did is not the new one's fault; what the new one does is, and from the log id alone.
    assert evidence.quarantined("s3") is None
    assert evidence.without(("s1", "s3")) == ["s1", "s3"]
    evidence.two_votes("s3", *votes(site, "s3-2"))
    await site.until(lambda: evidence.quarantined("s3") is not None)
    assert fresh.alarm() == ("", "")
    assert fresh.voting.state.last_vote is not None


async def test_a_fault_of_a_new_machine_is_proven_however_late_the_proof_of_its_handover_is_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    handovers, evidence, may_read = site.side.handovers, site.side.evidence, asyncio.Event()
    run = handovers._storage.run

    async def slowly(work: Any) -> Any:
        await may_read.wait()
        return await run(work)

    monkeypatch.setattr(handovers, "_storage", SimpleNamespace(run=slowly))
    await site.stop_signer("s3")
    site.start_signer("s3", label="s3-2")
    await amend(site, next_charter(site, ("s1", "s2", "s3:s3-2"), 2))
    certified = entered(site, WitnessPhase.STEADY)
    await asyncio.wait_for(certified.wait(), 30)
    evidence.two_votes("s3", *votes(site, "s3-2"))
    await site.make_vault("customer-1")
    assert evidence.quarantined("s3") is None
    may_read.set()
    await site.until(lambda: evidence.quarantined("s3") is not None)


@pytest.mark.attack(
    line="admin-quorum",
    title="an amendment to signers that do not exist",
    origin="on paper: a dead witness set stops the log for good",
)
async def test_a_change_to_signers_that_never_come_lapses_and_can_be_tried_again(site: Site) -> None:
    charter = next_charter(site, ("s1", "s2", "s4", "s5"), 3)
    wanted = await amend(site, charter, for_ms=3_000)
    await site.make_vault("customer-1")
    await lapsed(site, wanted)
    assert await site.signed(await site.pay("customer-1", 100_000))
    await amend(site, next_charter(site, ("s1", "s2", "s3", "s4"), 3))
    site.start_signer("s4")
    await handed_over(site, 2, "s1", "s2", "s3", "s4")
    assert await site.signed(await site.pay("customer-1", 200_000))


async def test_a_change_lapses_by_time_alone_where_nobody_says_anything(site: Site) -> None:
    await lapsed(site, await amend(site, next_charter(site, ("s1", "s2", "s4", "s5"), 3), for_ms=3_000))
    # It becomes final as well, so that clients can prove it.
    copy = site.signers["s1"].signer.copy
    await site.until(lambda: copy.final_size and copy.final().witnesses.phase is WitnessPhase.STEADY, 30)


@pytest.mark.parametrize("at", list(WitnessPhase))
async def test_a_coordinator_that_dies_in_any_phase_takes_nothing_with_it(site: Site, at: WitnessPhase) -> None:
    """Its successor has its database; once more it has an empty one."""
    await amend(site, next_charter(site, ("s1", "s2", "s4"), 3))
    await site.until(lambda: phase(site) is WitnessPhase.WANTED)
    if at is not WitnessPhase.WANTED:
        reached = entered(site, at)
        site.start_signer("s4")
        await asyncio.wait_for(reached.wait(), 30)
    await site.stop_coordinator()
    for name in tuple(site.signers):
        await site.stop_signer(name)
    await site.start_coordinator("another" if at is WitnessPhase.JOINT else "coordinator")
    for name in ("s1", "s2", "s3", "s4"):
        site.start_signer(name)
    await handed_over(site, 2, "s1", "s2", "s4")
    await site.make_vault("customer-1", ("s1", "s2", "s4"), 2)
    assert await site.signed(await site.pay("customer-1", 100_000))


def entered(site: Site, at: WitnessPhase) -> asyncio.Event:
    """Set as soon as a phase is certified: one may be over within milliseconds."""
    reached = asyncio.Event()

    def certified(_batch: Batch, _certificate: Certificate) -> None:
        if phase(site) is at:
            reached.set()

    site.side.sequencer.on_certified(certified)
    return reached


async def test_a_signer_that_slept_through_two_handovers_catches_up(site: Site) -> None:
    await site.stop_signer("s3")
    await amend(site, next_charter(site, ("s1", "s2", "s3", "s4"), 3))
    site.start_signer("s4")
    await handed_over(site, 2, "s1", "s2", "s4")
    await amend(site, next_charter(site, ("s3", "s4", "s5", "s6"), 3))
    site.start_signer("s5")
    site.start_signer("s6")
    await handed_over(site, 3, "s4", "s5", "s6")
    site.start_signer("s3")
    await handed_over(site, 3, "s3")


@pytest.mark.attack(
    line="coordinator",
    title="an old coordinator leads the signers that a handover removed",
    origin="on paper: the old set decides behind the back of the new one",
)
async def test_a_coordinator_that_knows_only_the_old_set_can_do_nothing_with_it(site: Site) -> None:
    """A quorum of the old set answers it: it learns of the handover, opens no term, and leads with the new set only."""
    await site.stop_coordinator()
    shutil.copytree(site.root / "coordinator", site.root / "stale")
    await restarted(site, "coordinator", "s1", "s2", "s3")
    await site.genesis_logged()
    await amend(site, next_charter(site, ("s1", "s4", "s5"), 3))
    site.start_signer("s4")
    site.start_signer("s5")
    await handed_over(site, 2, "s1", "s2", "s3", "s4", "s5")
    said = {name: site.signers[name].signer.voting.state.last_vote for name in ("s2", "s3")}
    size = site.side.ledger.certified_size
    await site.stop_coordinator()
    await restarted(site, "stale", "s2", "s3")
    terms = site.side.terms
    assert (number(site), terms.term) == (1, 0)
    await site.until(lambda: number(site) == 2)
    assert terms.term == 0
    assert {name: site.signers[name].signer.voting.state.last_vote for name in said} == said
    assert not site.signers["s2"].signer.voting.state.alarm
    assert site.signers["s2"].signer.alarm()[0] == "SIGNER_RETIRED"
    for name in ("s1", "s4", "s5"):
        site.start_signer(name)
    await site.until(lambda: terms.term > 0 and number(site) == 2, 30)
    # A certificate that only the stopped coordinator had may vanish; its entry is logged again.
    await site.until(lambda: site.side.ledger.certified_size >= size, 30)


async def restarted(site: Site, folder: str, *names: str) -> None:
    """A coordinator of this folder, with these signers and no others."""
    for name in tuple(site.signers):
        await site.stop_signer(name)
    await site.start_coordinator(folder)
    for name in names:
        site.start_signer(name)
