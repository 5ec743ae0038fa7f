"""The command `strongroom-signer`.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 wrong passphrase, 4 refused, 5 `doctor` warns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TextIO

from strongroom.crypto.sealed import SIGNER, Cost, WrongPassphrase
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.fingerprints import Compared, spoken
from strongroom_signer import assembly, backup_commands, daemon, doctor, operator_commands, restart_command
from strongroom_signer.clock import Clock, SystemClock
from strongroom_signer.config import BadConfig, Seal, load_config, load_seal
from strongroom_signer.config_check import check_everything
from strongroom_signer.enrolment import DATABASE_FILE, Enrolled, enrol, initialise
from strongroom_signer.keys import open_keys
from strongroom_signer.logs import open_log
from strongroom_signer.offline_freeze import freeze_offline
from strongroom_signer.passphrase import NoPassphrase
from strongroom_signer.plain_text import plain_lines
from strongroom_signer.process import FolderLock, harden
from strongroom_signer.rotation import begin_rotation
from strongroom_signer.seed_words import show_words
from strongroom_signer.store import DiskFull, Store, StoreFailed
from strongroom_signer.unseal import add_seal_options, seal_of, unlock

__all__ = ["main", "run"]

OK, FAILED, BAD_USAGE, WRONG_PASSPHRASE, REFUSED = 0, 1, 2, 3, 4
MAX_FILE_BYTES: Final = 1 << 20


def main() -> None:
    """Entry point: this machine's clocks and randomness, the process's arguments."""
    harden()
    sys.exit(run(sys.argv[1:], clock=SystemClock(), random=os.urandom))


def run(
    arguments: Sequence[str],
    *,
    clock: Clock,
    random: Callable[[int], bytes],
    cost: Cost = SIGNER,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: Without the program's name.
        clock: Wall and monotonic time of everything the signer does.
        random: Gives that many random bytes: keys, nonces, salts.
        cost: What one guess of the passphrase costs in files that `init` makes.
        out: Where results are written; standard output by default.
        err: Where errors and the daemon's log are written; standard error by default.
    """
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else BAD_USAGE
    command = _Command(options, clock=clock, random=random, cost=cost, out=out or sys.stdout, err=err or sys.stderr)
    try:
        return command.perform()
    except StrongroomError as error:
        command.complain(error)
        return exit_code(error)
    except OSError as error:
        told = _told(error)
        command.complain(told)
        return exit_code(told)


class FileUnusable(StrongroomError):
    """A file that the command names is not there, or may not be read or written by this user."""

    reason = "FILE_UNUSABLE"
    kind = Kind.INVALID_ARGUMENT


class SystemFailed(StrongroomError):
    """The operating system failed the command: a full or broken disk, or nothing left of what it gives to programs."""

    reason = "SYSTEM_FAILED"
    kind = Kind.UNAVAILABLE


def _told(error: OSError) -> StrongroomError:
    message = f"{error.strerror or error}: {error.filename or ''}".removesuffix(": ")
    files = FileNotFoundError | FileExistsError | IsADirectoryError | NotADirectoryError | PermissionError
    return FileUnusable(message) if isinstance(error, files) and error.filename else SystemFailed(message)


def exit_code(error: StrongroomError) -> int:
    """How an error ends the program."""
    if isinstance(error, WrongPassphrase):
        return WRONG_PASSPHRASE
    if isinstance(error, BadConfig | NoPassphrase) or error.kind is Kind.INVALID_ARGUMENT:
        return BAD_USAGE
    refused = (Kind.PERMISSION_DENIED, Kind.FAILED_PRECONDITION, Kind.ALREADY_EXISTS, Kind.NOT_FOUND)
    return REFUSED if error.kind in refused else FAILED


class _Command:
    """One parsed command line."""

    def __init__(
        self,
        options: argparse.Namespace,
        *,
        clock: Clock,
        random: Callable[[int], bytes],
        cost: Cost,
        out: TextIO,
        err: TextIO,
    ) -> None:
        self._options = options
        self._folder: Path = options.data
        self._clock = clock
        self._random = random
        self._cost = cost
        self._out = out
        self._err = err

    def perform(self) -> int:
        """Do what the command says."""
        commands: dict[str, Callable[[], int]] = {
            "init": self._init,
            "enrol": self._enrol,
            "run": self._run,
            "check-config": self._check_config,
            "status": self._ask,
            "freeze": self._freeze,
            "thaw": self._ask,
            "hand-in": self._ask,
            "reinstate": self._ask,
            "export-log": self._export_log,
            "backup": self._backup_verify,
            "recover": self._recover,
            "rotate-words": self._rotate_words,
            "accept": self._ask,
            "doctor": self._doctor,
            "join": self._join,
            "restart": self._restart,
        }
        return commands[self._options.command]()

    def complain(self, error: StrongroomError) -> None:
        """Write an error for people, or for machines with --json."""
        if getattr(self._options, "json", False):
            content = {"reason": error.reason, "message": error.message, "remedy": error.remedy, "facts": error.facts}
            self._err.write(json.dumps({"error": content}, indent=2) + "\n")
            return
        what_to_do = f"\nWhat to do: {error.remedy.rstrip('.')}" if error.remedy else ""
        self._err.write(plain_lines(f"strongroom-signer: {error.reason}: {error.message}{what_to_do}") + "\n")

    def _init(self) -> int:
        with self._passphrase(new=True) as passphrase:
            card = initialise(
                self._folder,
                self._options.name,
                passphrase,
                confirm=self._show_words,
                cost=self._cost,
                random=self._random,
                seal=self._seal(new=True),
            )
        self._show(
            {"name": self._options.name, "card": str(card)},
            f"Signer {self._options.name} is ready in {self._folder}.\n"
            f"Hand {card} to the administrators; nothing in it is secret. Keep the passphrase: nobody can recover it.",
        )
        return OK

    def _show_words(self, host: SecretScalar) -> None:
        show_words(host, descriptor=self._options.words_fd, random=self._random)

    def _enrol(self) -> int:
        options = self._options
        if options.passphrase_file is not None:
            self._check_passphrase()
        enrolled = enrol(
            self._folder,
            charter=_read(options.charter),
            fingerprint=options.fingerprint or self._ask_fingerprint(),
            certificate=_read(options.cert),
            authority=_read(options.ca),
            coordinator=options.coordinator,
            clock=self._clock,
        )
        self._show(_enrolled_facts(enrolled), _enrolled_text(enrolled))
        return OK

    def _check_passphrase(self) -> None:
        with FolderLock(self._folder), self._passphrase() as passphrase:
            store = Store.open(self._folder / DATABASE_FILE)
            try:
                open_keys(self._folder, store, passphrase).wipe()
            finally:
                store.close()

    def _ask_fingerprint(self) -> str:
        if not sys.stdin.isatty():
            raise BadConfig("give --fingerprint: the digits you compared with the other operators")
        return input("Charter fingerprint, as compared on a second channel: ")

    def _run(self) -> int:
        config = load_config(self._folder)
        log = open_log(level=config.log_level, stream=self._err)
        for one in doctor.permissions(self._folder):
            if one.level is doctor.Level.FAILED:
                log.warning("folder.exposed", detail=one.detail, do=one.do)
        with FolderLock(self._folder):
            if self._options.confirm is not None:
                self._confirm()
            with self._passphrase() as passphrase:
                signer = assembly.open_signer(
                    self._folder,
                    config,
                    passphrase,
                    clock=self._clock,
                    random=self._random,
                    log=log,
                    cost=self._cost,
                )
            try:
                work = daemon.serve(
                    self._folder, signer, clock=self._clock, random=self._random, log=log.bind(signer=signer.name)
                )
                asyncio.run(work)
            except BaseException:
                # What stopped the daemon is what its operator must read, not that the same disk takes no last note.
                with suppress(StoreFailed, DiskFull):
                    signer.close()
                raise
            signer.close()
        return OK

    def _confirm(self) -> None:
        store = Store.open(self._folder / DATABASE_FILE)
        try:
            if not daemon.confirm_alarm(store, self._options.confirm):
                raise BadConfig(f"there is no alarm {self._options.confirm} that an operator can confirm")
        finally:
            store.close()

    def _check_config(self) -> int:
        config = load_config(self._folder)
        found = check_everything(self._folder, config, clock=self._clock)
        self._show(
            {"ok": True, "signer": found.name, "log_id": found.log_id.hex(), "coordinator": config.coordinator},
            f"{self._folder}/signer.toml is right: signer {found.name} of log {found.log_id.hex()}, "
            f"coordinator {config.coordinator}.",
        )
        return OK

    def _ask(self) -> int:
        config = load_config(self._folder)
        facts, text = operator_commands.ask(self._options, self._folder / config.operator_socket)
        self._show(facts, text)
        return OK

    def _freeze(self) -> int:
        """Freeze through the daemon; where none answers, whatever the reason, in its folder."""
        options = self._options
        try:
            return self._ask()
        except (operator_commands.DaemonNotRunning, BadConfig):
            identifier = freeze_offline(
                self._folder, vault=options.vault, why=options.why, clock=self._clock, random=self._random
            )
        where = f"vault {options.vault}" if options.vault else "all vaults"
        self._show(
            {"freeze_id": identifier.hex(), "vault": options.vault or None, "daemon": False},
            f"The daemon does not run. Once it does, it gives no shares for {where}, and asks the ledger to freeze.\n"
            f"Freeze id {identifier.hex()}",
        )
        return OK

    def _export_log(self) -> int:
        self._show(*backup_commands.export_log(self._options))
        return OK

    def _backup_verify(self) -> int:
        self._show(*backup_commands.backup_verify(self._options, clock=self._clock, random=self._random))
        return OK

    def _recover(self) -> int:
        with self._passphrase(new=True) as passphrase:
            done = backup_commands.recover_signer(
                self._options,
                passphrase,
                seal=self._seal(new=True),
                cost=self._cost,
                clock=self._clock,
                random=self._random,
            )
        self._show(*done)
        return OK

    def _rotate_words(self) -> int:
        with FolderLock(self._folder), self._passphrase() as passphrase:
            store = Store.open(self._folder / DATABASE_FILE)
            try:
                card, is_new = begin_rotation(
                    self._folder, store, passphrase, confirm=self._show_words, cost=self._cost, random=self._random
                )
            finally:
                store.close()
        self._show(
            {"card": str(card), "new": is_new},
            f"{'New words are made' if is_new else 'The new words were shown before'}: keep BOTH sheets for now.\n"
            f"Hand {card} to the administrators: they amend the charter with it, and order a refresh of every vault.\n"
            "When those are final, restart the daemon: it forgets the older key, and you destroy the older sheet.",
        )
        return OK

    def _join(self) -> int:
        self._show(*backup_commands.join_log(self._options, clock=self._clock))
        return OK

    def _restart(self) -> int:
        self._show(*restart_command.restart_log(self._options, clock=self._clock, tell=self._err))
        return OK

    def _doctor(self) -> int:
        findings = doctor.examine(
            self._folder, clock=self._clock, passphrase_file=self._options.passphrase_file, random=self._random
        )
        self._show(doctor.facts_of(findings), doctor.text_of(findings))
        return doctor.exit_code(findings)

    def _passphrase(self, *, new: bool = False) -> SecretBytes:
        seal = self._seal(new=new)
        return unlock(seal, self._folder, self._options.passphrase_file, new=new, random=self._random)

    def _seal(self, *, new: bool = False) -> Seal:
        return seal_of(self._options) if new else load_seal(self._folder)

    def _show(self, facts: dict[str, Any], text: str) -> None:
        self._out.write((json.dumps(facts, indent=2) if self._options.json else plain_lines(text)) + "\n")
        self._out.flush()


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise BadConfig(f"{path} is larger than {MAX_FILE_BYTES} bytes: it is not the file meant here")
    return data


def _enrolled_facts(enrolled: Enrolled) -> dict[str, Any]:
    return {
        "name": enrolled.name,
        "organisation": enrolled.organisation,
        "log_id": enrolled.log_id.hex(),
        "read_aloud": spoken(Compared.CHARTER, enrolled.log_id),
        "signers": list(enrolled.signers),
        "witness_quorum": enrolled.witness_quorum,
        "params_hashes": {str(t): value.hex() for t, value in enrolled.params_hashes.items()},
    }


def _enrolled_text(enrolled: Enrolled) -> str:
    n = len(enrolled.signers)
    lines = [
        f"{enrolled.name} is enrolled in {enrolled.organisation}.",
        f"  log id          {enrolled.log_id.hex()}",
        f"    read aloud    {spoken(Compared.CHARTER, enrolled.log_id)}",
        f"  signers         {', '.join(enrolled.signers)}; {enrolled.witness_quorum} votes make a certificate",
    ]
    for t, value in enrolled.params_hashes.items():
        lines.append(f"  host keys {t:>2}/{n:<2} {value.hex()}")
        lines.append(f"    read aloud    {spoken(Compared.KEY_PARAMETERS, value)}")
    lines.append("Compare the log id and the lines of your vaults' t/n with the other operators on a second channel.")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="strongroom-signer",
        description="One signer: holds one share of each vault's key, judges every order for itself, and dials out to "
        "the coordinator. It listens on no network port.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 wrong passphrase, 4 refused, "
        "5 `doctor` warns.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('strongroom')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, *, passphrase: bool = False) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--data", type=Path, required=True, help="the signer's data folder")
        sub.add_argument("--json", action="store_true", help="write the result as JSON")
        if passphrase:
            sub.add_argument("--passphrase-file", type=Path, help="read the passphrase from a file, not the terminal")
        return sub

    init = command("init", "make the keys of a new signer and its card", passphrase=True)
    init.add_argument("--name", required=True, help="1 to 40 of a-z, 0-9 and '-'; for ever")
    init.add_argument("--words-fd", type=int, metavar="FD", help="an open pipe that takes the words, not the terminal")
    add_seal_options(init)
    join = command("enrol", "pin the log by its charter's fingerprint", passphrase=True)
    join.add_argument(
        "--charter",
        type=Path,
        required=True,
        help="canonical charter (`strongroom charter build`), or the restart file that is pinned here already",
    )
    join.add_argument(
        "--fingerprint", help="the log id as you compared it, in hex or as read aloud; asked for when left out"
    )
    join.add_argument("--cert", type=Path, required=True, help="this signer's TLS certificate, PEM")
    join.add_argument("--ca", type=Path, required=True, help="the organisation's certificate authority, PEM")
    join.add_argument("--coordinator", required=True, metavar="HOST:PORT", help="where to dial")
    start = command("run", "run the daemon; SIGTERM stops it gracefully", passphrase=True)
    start.add_argument("--confirm", metavar="ALARM", help="take back an alarm you have looked into (CLOCK_DRIFT)")
    command("check-config", "check configuration, folder and certificate without starting")
    operator_commands.add(command)
    backup_commands.add(command)
    doctor.add(command)
    restart_command.add(command)
    return parser
