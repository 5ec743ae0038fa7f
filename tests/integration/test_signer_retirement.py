"""A signer that left the witness set erases its vote key, is told so, and comes back after a kill at any moment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import crash_points
import signer_world
from coordinator_world import SIGNERS, Site
from crash_points import CrashPoint
from crash_points_signer import SIGNER_ERASURE, SIGNER_RETIREMENT
from crash_sides import sides_of
from ledger_world import DAY_MS
from signer_world import FakeClock
from strongroom.api.operator.v1 import operator_service_pb2 as operator_pb
from strongroom.ledger.charter import encode_charter
from strongroom.ledger.order_messages import AmendCharter, ReshareVault
from strongroom.ledger.records import WitnessPhase
from strongroom_coordinator.subjects import decode_entry, subjects_of
from strongroom_signer import retirement
from strongroom_signer.assembly import Signer
from strongroom_signer.retirement import Retired, has_left
from strongroom_signer.rotation import begin_rotation
from strongroom_signer.sealing import Sealing
from strongroom_signer.status_answer import status_of
from strongroom_signer.store import Store, StoreFailed

VAULT = "customer-1"


async def removed(site: Site, name: str) -> Signer:
    """Three signers with a vault; an amendment takes one out, and that is final at it."""
    await site.start_coordinator()
    await site.start_signers(*SIGNERS)
    await site.make_vault(VAULT)
    charter = site.side.sequencer.replica.state().charter
    left = tuple(signer for signer in charter.signers if signer.name != name)
    wanted = replace(charter, version=charter.version + 1, signers=left)
    action = AmendCharter(charter=encode_charter(wanted), handover_expires_ms=site.clock.wall_ms() + DAY_MS)
    await site.submit(action, "dave", "alice", "bob")
    copy = site.signers[name].signer.copy
    await site.until(lambda: copy.final().witnesses.number == 2, 30)
    assert site.side.voters.record.phase is WitnessPhase.STEADY
    return site.signers[name].signer


def vote_secret(folder: Path) -> bool:
    """Whether a stopped signer's database still has its sealed vote key."""
    store = Store.open(folder / "signer.db")
    try:
        return bool(store.secret("vote"))
    except StoreFailed:
        return False
    finally:
        store.close()


@pytest.mark.process
async def test_a_removed_signer_erases_its_vote_key_and_its_shares_and_says_so(tmp_path: Path) -> None:
    async with Site(tmp_path, loosening_delay_ms=1) as site:
        gone = await removed(site, "s3")
        assert gone.keys.vote.is_wiped
        sealed = vote_row(gone.store)
        assert sealed is None
        reason, message = gone.alarm()
        assert reason == "SIGNER_RETIRED"
        assert f"until new shares of {VAULT} are final" in message
        refuses_all_that_is_signed(gone)
        # A restart is like any other; it follows the log, and erases its share when the vault has other holders.
        await site.stop_signer("s3")
        gone = site.start_signer("s3")
        assert gone.alarm() == (reason, message)
        reshare = ReshareVault(vault=VAULT, signers=("s1", "s2"), threshold=2, absent=())
        await site.submit(reshare, "alice", "bob", "carol")
        for name in ("s1", "s2"):
            state = site.signers[name].signer.copy.newest()
            site.signers[name].signer.redistribution.accept(state.order_at(state.orders_count - 1).hash)
        await site.until(lambda: not gone.store.share_names())
        assert gone.alarm()[1].endswith("it holds no share: stop it, and dispose of its machine and its words")
        assert await site.signed(await site.pay(VAULT, 100_000))
        others = [site.signers[name].signer for name in ("s1", "s2")]
        assert not any(signer.keys.vote.is_wiped for signer in others)


def vote_row(store: Store) -> bytes | None:
    try:
        return store.secret("vote")
    except StoreFailed:
        return None


def refuses_all_that_is_signed(gone: Signer) -> None:
    calls: tuple[Callable[[], object], ...] = (
        gone.voting.require_voting,
        lambda: gone.inbox.freeze("", "why"),
        lambda: gone.service._explainer.view(bytes(32)),
    )
    for call in calls:
        with pytest.raises(Retired):
            call()
    assert isinstance(status_of(gone, connected=True, last_error=""), operator_pb.GetStatusResponse)


@pytest.mark.parametrize(("point", "side"), sides_of(SIGNER_RETIREMENT))
@pytest.mark.process
async def test_a_kill_around_the_erasure_ends_in_an_erased_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: CrashPoint, side: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(retirement.Retirement, "bring_up_to_date", lambda _: None)
        async with Site(tmp_path, loosening_delay_ms=1) as site:
            kept = await removed(site, "s3")
            final = kept.copy.final()
            assert has_left(final, "s3", kept.keys.vote.public)
            assert not has_left(final, "s1", site.signers["s1"].signer.keys.vote.public)
            assert not has_left(final, "s9", kept.keys.vote.public)
            now = site.clock.wall_ms()
    folder = tmp_path / "s3"
    assert vote_secret(folder)
    killed_as_it_starts(tmp_path, point, side)
    assert vote_secret(folder) == (side == crash_points.BEFORE)
    signer = signer_world.open_folder(folder, FakeClock(wall=now))
    assert signer.alarm()[0] == "SIGNER_RETIRED"
    signer.close()
    assert not vote_secret(folder)
    store = Store.open(folder / "signer.db")
    with signer_world.SecretBytes(signer_world.PASSPHRASE) as phrase, pytest.raises(Retired):
        begin_rotation(folder, store, phrase, confirm=lambda _: None, cost=signer_world.CHEAP, random=bytes)
    store.close()


@pytest.mark.parametrize(("point", "side"), sides_of(SIGNER_ERASURE, ()))
@pytest.mark.process
async def test_a_kill_around_the_erasure_of_a_share_ends_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: CrashPoint, side: str
) -> None:
    """A vault goes to two of its three holders; the third one's share is nobody's any more."""
    with monkeypatch.context() as patch:
        patch.setattr(Sealing, "_erase_all", lambda *_: None)
        async with Site(tmp_path, loosening_delay_ms=1) as site:
            await site.start_coordinator()
            await site.start_signers(*SIGNERS)
            await site.make_vault(VAULT)
            reshare = ReshareVault(vault=VAULT, signers=("s1", "s2"), threshold=2, absent=())
            logged = await site.submit(reshare, "alice", "bob", "carol")
            for name in SIGNERS:
                signer = site.signers[name].signer
                await site.until(lambda signer=signer: signer.copy.size > logged.index)
                signer.redistribution.accept(subjects_of(decode_entry(logged.entry).body)[0])
            copy = site.signers["s3"].signer.copy

            def holders() -> tuple[str, ...]:
                vault = copy.final().vault(VAULT)
                return () if vault is None else vault.signers

            await site.until(lambda: holders() == ("s1", "s2"), 30)
            now = site.clock.wall_ms()
    folder = tmp_path / "s3"
    assert shares_stored(folder) == ((VAULT, 1),)
    killed_as_it_starts(tmp_path, point, side)
    assert shares_stored(folder) == (((VAULT, 1),) if side == crash_points.BEFORE else ())
    signer = signer_world.open_folder(folder, FakeClock(wall=now))
    assert signer.store.share_names() == ()
    signer.close()
    assert shares_stored(folder) == ()


def shares_stored(folder: Path) -> tuple[tuple[str, int], ...]:
    """Vault and epoch of the shares in a stopped signer's database."""
    store = Store.open(folder / "signer.db")
    try:
        return store.share_names()
    finally:
        store.close()


def killed_as_it_starts(root: Path, point: CrashPoint, side: str) -> None:
    """Start the daemon of s3, which ends at the point."""
    folder = root / "s3"
    (folder / "signer.toml").write_text(
        '[coordinator]\naddress = "127.0.0.1:1"\n[storage]\nfree_disk_floor_bytes = 0\n'
    )
    (root / "phrase").write_bytes(signer_world.PASSPHRASE)
    launcher = Path(crash_points.__file__).with_name("signer_launcher.py")
    command = [sys.executable, str(launcher), "--crash", point.name, "--side", side, "--", "run"]
    command += ["--data", str(folder), "--passphrase-file", str(root / "phrase")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -9, done.stderr[-2_000:]
