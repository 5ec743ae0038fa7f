"""What years bring to one vault, with real daemons: nothing of it costs a coin or needs another address."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from actor import COIN, Actor, actors, funded_vault, ready, until
from charter_edits import amend, in_force, most, without
from cluster import COINS, VAULT, Cluster, made, session_folder, side_by_side
from log_followers import all_hold
from lost_words import ciphertexts, public_shares, recovery_data
from machines import alarmed, empty_coordinator
from new_signers import admit, exported_log, join, lose_disk, recover, recovered, rotate_words, verified, words_of
from payments import approved, paid, payee, payments_on_chain
from restarting import accept, follow, lead, made_restart
from share_epochs import bytes_on_disk, has_epoch, share_anew, shares_of
from strongroom.ledger.order_messages import RefreshShares, ReshareVault
from strongroom_client.answers import derive_address
from strongroom_client.demo.deployment import Shape
from strongroom_client.demo.processes import DaemonFailed
from strongroom_client.errors import RemoteError
from sweeping import KitTable, sweep

pytestmark = [pytest.mark.process, pytest.mark.slow]

log = logging.getLogger(__name__)

FIRST_HOLDERS = ("north", "south", "west")
LATER_HOLDERS = ("north", "south", "east", "middle", "coast")
REFRESH = RefreshShares(vaults=(VAULT,), absent=())


def _quick(source: str) -> str:
    changed = source.replace('loosening_delay = "2d"', 'loosening_delay = "500ms"')
    assert changed != source
    return changed


@dataclass
class Years:
    """What has become of the deployment so far.

    Attributes:
        cluster: Its processes.
        folder: For files that people hand to each other.
        names: Who administers and pays.
        people: The same, with open connections.
        address: The vault's first address.
        holders: Of the vault's shares.
        epoch: Of the vault's shares.
        old_sheets: By holder, the words that were replaced.
    """

    cluster: Cluster
    folder: Path
    names: tuple[str, ...] = ("alice", "bob", "carol", "dave")
    people: tuple[Actor, ...] = ()
    address: str = ""
    holders: tuple[str, ...] = FIRST_HOLDERS
    epoch: int = 0
    old_sheets: dict[str, str] = field(default_factory=dict)
    _connections: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def first(self) -> Actor:
        return self.people[0]

    async def connect(self) -> None:
        """Open connections for those who are there now, in place of earlier ones."""
        await self._connections.aclose()
        self.people = await self._connections.enter_async_context(actors(self.cluster.deployment, *self.names))

    async def close(self) -> None:
        await self._connections.aclose()

    def exported(self, source: str) -> tuple[Path, str]:
        """A new export of a signer's log, and a final head to compare."""
        return exported_log(self.cluster, source, self.folder / f"log-{len(list(self.folder.glob('log-*')))}")

    async def pays(self) -> None:
        """The vault pays, has all its new shares, and the address that it always had."""
        await paid(self.cluster, self.first, await approved(self.people, payee()), timeout_s=90)
        vault = await self.first.wait_for_vault(VAULT)
        assert derive_address(vault, 0) == self.address
        assert (vault.record.epoch, vault.record.signers) == (self.epoch, self.holders)
        for name in self.holders:
            await until(partial(has_epoch, self.cluster, name, self.epoch), timeout_s=90)
        # What follows asks single signers, or takes the log from one: all of them have caught up by then.
        await all_hold(self.cluster, self.first, *self.holders)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Three signers and four people, whose charter can be loosened within a second."""
    shape = Shape(treasury=("alice", "bob", "carol", "dave"), machines=(), edit=_quick)
    cluster = Cluster(made(session_folder() / "years", shape))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


async def test_a_vault_outlives_what_years_bring(
    cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)  # so that a failure shows how far it came, and what took how long
    years = Years(cluster, tmp_path)
    await years.connect()
    try:
        for step in STORY:
            began = time.monotonic()
            await step(years)
            await years.pays()
            log.info("%5.1f s  %s", time.monotonic() - began, step.__name__.replace("_", " "))
        the_whole_log_is_verified(years)
        held = (await years.first.client.balance(VAULT)).confirmed
    finally:
        await years.close()
    the_vault_is_swept_with_every_daemon_gone(years, held)


# --- the first months ------------------------------------------------------------------------------------------------


async def a_vault_is_made_and_receives_money(years: Years) -> None:
    vault = await funded_vault(years.cluster.deployment, years.people, VAULT, coins=COINS, threshold=2)
    years.address, years.epoch = derive_address(vault, 0), 1


async def backups_are_verified(years: Years) -> None:
    all_verified(years)


def all_verified(years: Years) -> None:
    """Every holder's sheet gives its share of the current epoch, and its signer knows."""

    def one(name: str) -> None:
        assert verified(years.cluster, name) == [(VAULT, years.epoch)]
        (vault,) = years.cluster.signer_status(name)["vaults"]
        assert vault["backup_verified"] is True

    side_by_side([partial(one, name) for name in years.holders])


async def a_disk_dies_and_comes_back_from_words(years: Years) -> None:
    lose_disk(years.cluster, "south")
    found = recover(years.cluster, "south", *years.exported("north"))
    assert found["shares"] == [{"vault": VAULT, "epoch": years.epoch}]
    years.cluster.plain_signer("south")
    await alarmed(years.cluster, "south", "NOT_A_WITNESS")
    await admit(years.cluster, years.people, "south")
    await alarmed(years.cluster, "south", None)
    # Its partner for this payment can only be the one that came back.
    years.cluster.signer("west").stop()
    await paid(years.cluster, years.first, await approved(years.people, payee()), timeout_s=90)
    years.cluster.deployment.start_signer("west")


async def shares_are_refreshed(years: Years) -> None:
    await share_anew(years.cluster, years.people, REFRESH)
    years.epoch += 1


# --- other signers, people and rules ---------------------------------------------------------------------------------


async def a_signer_is_replaced_and_two_are_added(years: Years) -> None:
    added = [name for name in LATER_HOLDERS if name not in years.holders]
    export = years.exported("north")
    side_by_side([partial(new_machine, years.cluster, name, export) for name in added])
    await admit(years.cluster, years.people, *added, quorum=4)
    reshare = ReshareVault(vault=VAULT, signers=LATER_HOLDERS, threshold=3, absent=())
    await share_anew(years.cluster, years.people, reshare, accepted_by=FIRST_HOLDERS)
    years.epoch, years.holders = years.epoch + 1, LATER_HOLDERS
    # Who holds nothing any more can go.
    now = await in_force(years.first)
    await amend(years.people, signers=tuple(one for one in now.signers if one.name != "west"))
    await alarmed(years.cluster, "west", "SIGNER_RETIRED")
    years.cluster.signer("west").stop()
    assert shares_of(years.cluster, "west") == {}


def new_machine(cluster: Cluster, name: str, export: tuple[Path, str]) -> None:
    assert join(cluster, name, *export)["admitted"] is False
    cluster.plain_signer(name)


async def a_person_leaves(years: Years) -> None:
    dave = years.people[-1]
    await amend(years.people, **without(await in_force(years.first), dave.name))
    with pytest.raises(RemoteError) as caught:
        await dave.pay(VAULT, payee(), COIN)
    assert caught.value.remote_reason == "KEY_UNKNOWN"
    years.names = years.names[:-1]
    await years.connect()


async def a_limit_is_tightened_and_loosened(years: Years) -> None:
    await amend(years.people, **most(await in_force(years.first), 1))
    with pytest.raises(RemoteError) as caught:
        await years.first.pay(VAULT, payee(), 2 * COIN)
    assert caught.value.remote_reason == "OVER_MAXIMUM"
    await amend(years.people, **most(await in_force(years.first), 3))
    await paid(years.cluster, years.first, await approved(years.people, payee(), 2 * COIN))


async def everything_is_frozen_and_thawed(years: Years) -> None:
    await years.people[-1].freeze(why="a payment that nobody can explain")
    stuck = await approved(years.people, payee())
    status = await years.first.client.order(stuck)
    assert status.plans == ()
    assert "froze everything" in status.waits_for
    await thawed(years)
    await paid(years.cluster, years.first, stuck)


async def thawed(years: Years) -> None:
    """The quorum lifts every freeze that stands."""
    for freeze in await years.first.client.freezes():
        if not freeze.lifted:
            lift = await years.first.unfreeze(freeze.id)
            for person in years.people[1:3]:
                await person.approve(lift)


# --- machines that are gone ------------------------------------------------------------------------------------------


async def the_coordinator_loses_its_database(years: Years) -> None:
    years.cluster.coordinator.kill()
    empty_coordinator(years.cluster)
    years.cluster.deployment.start_coordinator()


async def a_signer_is_lost_for_good_and_its_share_is_repaired(years: Years) -> None:
    lose_disk(years.cluster, "middle")
    years.cluster.deployment.sheet("middle").unlink()
    new_machine(years.cluster, "middle", years.exported("north"))
    await admit(years.cluster, years.people, "middle")
    dealers = [name for name in years.holders if name != "middle"]
    await share_anew(years.cluster, years.people, REFRESH, accepted_by=dealers)
    years.epoch += 1
    await until(partial(has_epoch, years.cluster, "middle", years.epoch))
    assert verified(years.cluster, "middle") == [(VAULT, years.epoch)]


# --- words -----------------------------------------------------------------------------------------------------------


async def two_disks_are_lost_and_the_log_is_restarted(years: Years) -> None:
    cluster, lost = years.cluster, ("south", "coast")
    old = cluster.deployment.log_id
    # Of five, three are left, and four must vote.
    for name in lost:
        lose_disk(cluster, name)
    export, head = years.exported("north")
    left = [cluster.signer(name).stop for name in years.holders if name not in lost]
    side_by_side([cluster.coordinator.stop, *left])
    side_by_side([partial(recover, cluster, name, export, head) for name in lost])
    restart = made_restart(cluster.deployment, export, cards=lost)
    side_by_side(
        [partial(lead, cluster, restart), *(partial(follow, cluster, name, restart) for name in years.holders)]
    )
    accept(cluster, restart, *years.names)
    cluster.start(signers=years.holders, node=False)
    assert cluster.deployment.log_id != old
    await years.connect()
    await ready(years.first)
    payment = await approved(years.people, payee())
    assert (await years.first.client.order(payment)).plans == ()
    await thawed(years)
    await paid(cluster, years.first, payment, timeout_s=90)


async def all_words_are_replaced(years: Years) -> None:
    cluster, holders = years.cluster, years.holders
    years.old_sheets = {name: words_of(cluster, name) for name in holders}
    old_sheets = tuple(years.old_sheets.values())
    old_export, _ = years.exported("north")
    before = await years.first.wait_for_vault(VAULT)
    assert public_shares(old_sheets, recovery_data(old_export)) == set(before.record.public_shares)

    side_by_side([partial(rotate_words, cluster, name) for name in holders])
    await admit(cluster, years.people, *holders)
    await share_anew(cluster, years.people, REFRESH, accepted_by=holders)
    years.epoch += 1
    await years.pays()
    all_verified(years)

    # The old sheets open nothing that is stored anywhere, and their daemons forget them.
    new_export, head = years.exported("north")
    assert public_shares(old_sheets, recovery_data(new_export)) == set()
    with pytest.raises(DaemonFailed, match="no signer of this log has these words"):
        recovered(cluster, "north", old_sheets[0], new_export, head, years.folder / "thief")
    side_by_side([cluster.signer(name).stop for name in holders] + [cluster.coordinator.stop])
    folders = [cluster.deployment.coordinator_folder, *(cluster.deployment.signer_folder(name) for name in holders)]
    stored = [bytes_on_disk(folder) for folder in folders]
    secrets = [one for data in recovery_data(old_export) for one in ciphertexts(data)]
    assert not [one for one in secrets if any(one in data for data in stored)]
    cluster.start(signers=holders, node=False)
    for name in holders:
        assert len(cluster.signer_status(name)["host_keys"]) == 1
    new_sheets = [words_of(cluster, name) for name in holders]
    vault = await years.first.wait_for_vault(VAULT)
    assert public_shares(new_sheets, recovery_data(new_export)) == set(vault.record.public_shares)


# --- the end ---------------------------------------------------------------------------------------------------------


def the_whole_log_is_verified(years: Years) -> None:
    verdict = years.cluster.audit()
    assert verdict["verified"] is True
    assert len(verdict["restarts"]) == 1


def the_vault_is_swept_with_every_daemon_gone(years: Years, held: int) -> None:
    """Words, an exported log, the keys of two administrators and any Bitcoin node are all that is left."""
    deployment, destination = years.cluster.deployment, payee()
    export, head = years.exported("north")
    side_by_side([daemon.stop for daemon in years.cluster.all_daemons() if daemon is not deployment.node])
    for folder in (deployment.coordinator_folder, deployment.root / "signers", deployment.root / "pki"):
        shutil.rmtree(folder)
    holders, folder = years.holders[-3:], years.folder / "table"
    swept = sweep(deployment, vault=VAULT, log=export, head=head, to=destination, folder=folder, signers=holders)
    table = KitTable(deployment=deployment, log=export, head=head, folder=folder)
    (thief := folder / "thief").mkdir()
    with pytest.raises(DaemonFailed, match="words are of another time"):
        table.sign(holders[0], thief, words=years.old_sheets[holders[0]])
    assert not list(thief.iterdir())
    assert payments_on_chain(years.cluster, destination) == [swept.amount_sat]
    assert swept.amount_sat + swept.fee_sat == held


STORY: tuple[Callable[[Years], Awaitable[None]], ...] = (
    a_vault_is_made_and_receives_money,
    backups_are_verified,
    a_disk_dies_and_comes_back_from_words,
    shares_are_refreshed,
    a_signer_is_replaced_and_two_are_added,
    a_person_leaves,
    a_limit_is_tightened_and_loosened,
    everything_is_frozen_and_thawed,
    the_coordinator_loses_its_database,
    a_signer_is_lost_for_good_and_its_share_is_repaired,
    two_disks_are_lost_and_the_log_is_restarted,
    all_words_are_replaced,
)
