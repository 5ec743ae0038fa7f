"""Every place where a program writes, or lets something leave it, is a crash point, or stands here with why not."""

from __future__ import annotations

from typing import Any, Final

import pytest

from crash_points import CrashPoint, located, points
from crash_sites import ROLES, sites


def _each(why: str, where: str, kind: str, names: str) -> dict[str, str]:
    """One reason for several functions of a module or class, each by its name, so that a new one is not among them."""
    joint = "" if where.endswith(":") else "."
    return {f"{where}{joint}{name} {kind}": why for name in names.split()}


EXEMPT: Final = {
    # --- primitives: whoever calls them is a site of its own ---------------------------------------------------------
    **_each(
        "one statement of a commit, and the commit is a site",
        "signer.writer:Writer",
        "execute",
        (
            "add_accepted add_alarm add_batch add_inbox add_local_freeze add_payment add_recovery "
            "add_reinstatement add_secret add_share change_host_key change_pin mark_nonce note_backup "
            "put_certificate put_state remove_alarm remove_inbox remove_local_freeze remove_recovery "
            "remove_secret remove_share set_counter set_identity set_pin set_voter truncate"
        ),
    ),
    **_each(
        "the commit itself, its undoing, or a read",
        "signer.store:Store",
        "execute",
        "_finish _row _rows _undo commit create one_commit scrub",
    ),
    "signer.store:Store.create open": "the file of `initialise create`",
    "signer.process:write_private *": "the primitive of every private file: each of its callers is a site",
    "signer.process:sync_folder open": "opens a folder to make its names durable, and writes nothing of its own",
    "signer.link_session:LinkSession._send send": "the primitive of every frame: each that follows a write is a point",
    "coordinator.storage.engine:Storage.run_sync begin": "the transaction of every write: each caller is a site",
    "coordinator.main:migrate migrate": "what it hands on to: each of its callers is a site",
    "coordinator.storage.migrating:migrate begin": "the transaction of the migration",
    **_each(
        "the queue of every frame to a signer: each of its callers is a site",
        "coordinator.link:SignerLink",
        "*",
        "_serve_one post request tell",
    ),
    "coordinator.data_folder:write_private open": "the primitive of every file of `init`",
    **_each(
        "the primitive of every new file of the client: it is there whole or not at all",
        "client.files:",
        "*",
        "_give_name _sync_folder make_private_folder replace_file write_new",
    ),
    "client.profile:replace_file *": "the primitive of every replaced file: the old or the new one is there whole",
    # --- locks, sockets, folders -------------------------------------------------------------------------------------
    "signer.process:FolderLock.__init__ open": "an empty file that the kernel's lock is on; its content says nothing",
    "coordinator.data_folder:FolderLock.__enter__ open": "an empty file that the kernel's lock is on",
    **_each(
        "the operator's socket: made anew at each start, and its answers are points of the inbox",
        "signer.operator:",
        "*",
        "_abort _restrict prepare_socket remove_socket socket_address",
    ),
    "signer.enrolment:initialise mkdir": "an empty folder: `init` takes it as it is",
    "signer.seed_words:_open_terminal open": "a terminal: no file",
    "signer.restore:recover mkdir": "an empty folder: `recover` takes it as it is",
    "coordinator.main:_init mkdir": "an empty folder: `init` takes it as it is",
    "coordinator.app:_Daemon._start write_text": "the port that is listened on now: written anew at each start",
    # --- reads that look like writes ---------------------------------------------------------------------------------
    "signer.link_session:LinkSession._fetch send": "asks for entries: nothing was written; asked again after a start",
    "signer.link_session:LinkSession._read_all send": "refuses a frame that is malformed: nothing was written",
    "coordinator.catch_up:CatchUp._fetch_recovery request": "asks for recovery data: nothing was written",
    "coordinator.ledger_copy:LedgerCopy.batches run": "a read",
    "coordinator.ledger_copy:LedgerCopy.certificate_at run": "a read",
    "coordinator.ledger_copy:LedgerCopy.entry_of_subject run": "a read",
    "coordinator.founding:load_founding run_sync": "a read",
    "coordinator.founding:_replayed run_sync": "a read",
    "coordinator.founding:_require_nothing_lost run_sync": "a read",
    **_each("a read", "coordinator.rpc.log_queries:LogQueries", "run", "_founding_entry entries export"),
    **_each("a read", "coordinator.rpc.queries:Queries", "run", "deposits"),
    "coordinator.rpc.queries:Queries._view request": "asks a signer for its view, which writes nothing there",
    "coordinator.rpc.submissions:Submissions._known run": "a read",
    **_each("a read", "coordinator.rpc.watches:Watches", "run", "deposits orders"),
    **_each("reads", "coordinator.unsigned_plans:UnsignedPlans", "run", "_take_up _take_up_one _take_up_row"),
    "client.recovery_kit.exchange:_content open": "reads",
    "client.recovery_kit.words:_silent_terminal open": "the terminal",
    **_each("a read", "coordinator.tracker.follower:Follower", "run", "_leave_abandoned_blocks _load_coins"),
    "coordinator.tracker.follower:Follower.load run": "a read",
    "coordinator.tracker.journal:OrderJournal.catch_up run": "a read",
    "coordinator.tracker.plan_loader:PlanLoader._excluded_parents run": "a read",
    "coordinator.tracker.plan_loader:PlanLoader._load run": "a read",
    "coordinator.tracker.plan_loader:PlanLoader._settle_late run": "a read",
    "coordinator.tracker.plan_loader:PlanLoader.load_settled run": "a read",
    "coordinator.tracker.plan_loader:PlanLoader.sync run": "a read",
    "coordinator.views:Views.orders run": "a read",
    "coordinator.tracker.claims:ClaimCheck._look_at_all run": "tells watchers a verdict that each start reaches anew",
    "coordinator.evidence_book:EvidenceBook.data run": "a read",
    "coordinator.evidence_book:EvidenceBook.page run": "a read",
    "coordinator.evidence_making:ShareCase.record run": "a read",
    # --- writes that nothing follows from ----------------------------------------------------------------------------
    "signer.enrolment:note_seal write_private": "a choice alone makes no signer: the next `init` writes it anew",
    "signer.unseal:_from_key_file write_private": "a key file that opens nothing yet: the next `init` takes it",
    "signer.keys:seal_again write_private": "one file, the old or the new one whole; the same command goes on",
    "signer.rotation:begin_rotation write_private": "a card that the same command writes again",
    "signer.rotation:retire_older_words commit": "the database names the newer key first: the next start does the rest",
    "signer.backups:Backups.note commit": "a note that the same command makes again",
    "signer.alarms:ClockGuard.check_drift commit": "it refuses whether the row is there or not, and compares anew",
    "signer.offline_freeze:_place commit": "one row, by a command that says when it is there: it is given again",
    "signer.daemon:confirm_alarm commit": "one row that the operator takes away; the same command does it again",
    "coordinator.rounds:VotingRounds.handed_out post": "on a stop, before the end: what `_give` does, and waits for it",
    "coordinator.evidence_book:EvidenceBook._load run_sync": "brings database and files of evidence to the same",
    "coordinator.evidence_book:EvidenceBook.log_founded run": "what each start with a log does, from the same files",
    "coordinator.evidence_files:EvidenceFiles.write *": "the file is made from the database's row at each start",
    "coordinator.redistribution:Redistributions._forget_ended run": (
        "deletes what a kill left: found again, by the same look at open orders, at the next start"
    ),
    "client.cli.ceremony:Watching.follow write_new": "new files, each whole or not there, of an order that has acted",
    "signer.voting:Voting.cut_copy one_commit": "as `replace_copy`, where a branch of 64 MiB goes on; in unit tests",
    "coordinator.quarantine_notices:QuarantineNotices._tell tell": "told again at every connection",
    "coordinator.handovers:Handovers.__init__ run_sync": "reads only",
    "coordinator.handovers:Handovers._read_again run": "reads only",
    "coordinator.rpc.live_orders:LiveOrders.numbers run": "reads only",
    "coordinator.handovers:Handovers._tell tell": "told again at every connection",
    # --- many at once: the same path as one --------------------------------------------------------------------------
    **_each(
        "each is submitted as one is",
        "coordinator.rpc.treasury:TreasuryService",
        "submit_many",
        "EndorseOrders SubmitOrders",
    ),
    "coordinator.rpc.integration:IntegrationService.CreateWithdrawals submit_many": "each is submitted as one is",
    "coordinator.rpc.submissions:Submissions.submit_many submit_many": "each is submitted as one is",
    # --- one file, made by a command that says no when it is there ---------------------------------------------------
    "signer.log_export:write_export *": "one new file, whole or not there: the command is given again",
    "signer.enrolment:_unmake unlink": "nothing of a signer is there yet: the next `init` takes the empty folder",
    "signer.log_replay:Replayed.stand commit": "before the pin: a kill leaves what is refused, or what `join` discards",
    "signer.joining:join create": "a database beside the signer's own, which the next `join` discards",
    "signer.joining:_discard unlink": "what an earlier `join` left, and nobody saw or voted by",
    "signer.restore:_leaving_nothing unlink": "what a refused `recover` made; the next one refuses what a kill leaves",
    **_each(
        "one new file, whole or not there: the command is given again",
        "client.cli.charter:",
        "write_new",
        "adopt build genesis new",
    ),
    **_each(
        "one new file, whole or not there: the command is given again",
        "client.cli.charter_amend:",
        "write_new",
        "current proposed",
    ),
    **_each(
        "one new file, whole or not there: the command is given again",
        "client.cli.restart:",
        "write_new",
        "approve draft finish",
    ),
    **_each(
        "new files, each whole or not there: the command is given again, for another folder",
        "client.cli.pki:",
        "write_new",
        "issue issue_coordinator",
    ),
    "client.pki:Authority.create write_new": "the key before its certificate: without both the folder is refused",
    "client.cli.shared_signing:write_hand_in write_new": "one new file, whole or not there, before it is shown",
    "client.cli.signers:_evidence write_new": "one new file, whole or not there: the command is given again",
    "client.cli.audit:_export open": "a log that was exported in part says so: it has no end line",
    "client.pki:Authority.revoke replace_file": "one file, the old or the new one whole: the command is given again",
    **_each(
        "one new file, whole or not there: the command is given again",
        "client.cli.recovery_kit:",
        "write_new",
        "combine_shares make_order make_the_plan",
    ),
    "client.cli.recovery_kit:approve replace_file": "one file, the old or the new one whole: it is approved again",
    "client.cli.shared:Session.seen remember": "calls `Memory.remember`, which is a site",
}
"""Sites without a point of their own, and why they need none; `*` stands for every kind of write in one function."""


def is_exempt(site: str) -> bool:
    function, _, _ = site.rpartition(" ")
    return site in EXEMPT or f"{function} *" in EXEMPT


def every_site() -> set[str]:
    return set().union(*(sites(role) for role in ROLES))


def test_every_write_site_is_a_crash_point_or_says_why_not() -> None:
    covered = {site for point in points().values() for site in point.sites}
    assert not {site for site in every_site() - covered if not is_exempt(site)}


def test_no_point_and_no_exemption_names_a_site_that_is_gone() -> None:
    found = every_site()
    named = {site for point in points().values() for site in point.sites}
    assert not named - found
    found |= {f"{site.rpartition(' ')[0]} *" for site in found}
    assert not set(EXEMPT) - found


def test_no_site_is_a_point_and_exempt() -> None:
    """An exemption that is not needed any more would hide the loss of the point."""
    assert not {site for point in points().values() for site in point.sites if is_exempt(site)}


def test_exemptions_name_their_functions() -> None:
    """A pattern would take in functions that nobody has thought about."""
    assert not [one for one in EXEMPT if set("*?[") & set(one.rpartition(" ")[0])]


@pytest.mark.parametrize("point", [pytest.param(point, id=name) for name, point in points().items()])
def test_every_point_wraps_a_function_that_exists(point: CrashPoint) -> None:
    for path in filter(None, (point.function, point.inside)):
        owner, name = located(path)
        assert callable(getattr(owner, name))


def test_names_of_points_read_as_sentences() -> None:
    for point in points().values():
        assert point.name[0].islower()
        assert not point.name.endswith(".")
        assert point.writes
        assert point.then


def test_a_site_that_is_added_is_found(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scan sees a commit, a file and a frame in functions that are new."""
    (tmp_path / "new.py").write_text(
        "class Thing:\n"
        "    def keep(self):\n"
        "        with self._store.commit() as write:\n"
        "            write.set_voter(b'')\n"
        "    async def say(self):\n"
        "        await self._send(1)\n"
        "def note(path):\n"
        "    path.write_text('x')\n"
        "    path.with_name('y').replace(path)\n"
        "    'text'.replace('t', 'x')\n"
        "def swap(one, other):\n"
        "    os.replace(one, other)\n"
    )
    monkeypatch.setitem(ROLES, "signer", tmp_path)
    assert sites("signer") == {
        "signer.new:Thing.keep commit",
        "signer.new:Thing.say send",
        "signer.new:note write_text",
        "signer.new:note replace",
        "signer.new:swap replace",
    }
