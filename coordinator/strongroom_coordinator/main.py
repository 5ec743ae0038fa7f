"""The command `strongroom-coordinator`: init, run, migrate, check-config, restart.

Exit codes: 0 done or stopped on request, 1 failed, 2 wrong usage or configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from strongroom.ledger import codec
from strongroom.model.errors import StrongroomError
from strongroom.model.fingerprints import Compared, spoken
from strongroom_coordinator import logs
from strongroom_coordinator.app import serve
from strongroom_coordinator.clock import Clock, SystemClock
from strongroom_coordinator.config import CONFIG_NAME, CoordinatorConfig, load_config, parse_config, render_config
from strongroom_coordinator.data_folder import (
    FolderLock,
    load_genesis,
    load_restart,
    load_tls,
    storage_url,
    write_private,
)
from strongroom_coordinator.errors import BadConfig
from strongroom_coordinator.founding import load_founding, take_restart
from strongroom_coordinator.revocations import Revocations
from strongroom_coordinator.storage.engine import Storage

__all__ = ["main", "run"]

OK, FAILED, BAD_USAGE = 0, 1, 2


def main() -> None:
    """Entry point: this machine's clock and randomness, the process's arguments."""
    sys.exit(run(sys.argv[1:], clock=SystemClock(), random=os.urandom))


def run(arguments: Sequence[str], *, clock: Clock, random: Callable[[int], bytes]) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: Without the program's name.
        clock: Wall and monotonic time of everything the daemon does.
        random: Gives that many random bytes: salts of entries, the name of this process as a leader.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.command == "init":
            return _init(options)
        folder: Path = options.data
        config = load_config(folder)
        if options.command == "migrate":
            _say(f"schema {migrate(storage_url(folder, config))}")
            return OK
        if options.command == "check-config":
            return _check(folder, config)
        if options.command == "restart":
            with FolderLock(folder):
                return _restart(folder, config, options.file, clock)
        logs.configure(config.log_level.upper())
        with FolderLock(folder):
            return asyncio.run(serve(folder, config, clock=clock, random=random))
    except BadConfig as error:
        _complain(error)
        return BAD_USAGE
    except StrongroomError as error:
        _complain(error)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="strongroom-coordinator",
        description="Carries orders, runs the signing rounds and talks to the chain. Holds no key that can move coins.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('strongroom')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="fill a new data folder and write its configuration")
    init.add_argument("--data", type=Path, required=True, help="new data folder")
    init.add_argument("--genesis", type=Path, required=True, help="genesis file (`strongroom charter genesis`)")
    init.add_argument("--cert", type=Path, required=True, help="TLS certificate of the role coordinator, PEM")
    init.add_argument("--key", type=Path, required=True, help="its private key, PEM")
    init.add_argument("--ca", type=Path, required=True, help="who issues certificates to signers and people, PEM")
    init.add_argument("--listen", default="127.0.0.1:7400", help="HOST:PORT (default %(default)s)")
    init.add_argument("--bitcoin-rpc", default="http://127.0.0.1:18443", help="the node (default %(default)s)")
    init.add_argument("--bitcoin-cookie", type=Path, required=True, help="the node's cookie file")
    for name, text in (
        ("run", "run the daemon; SIGTERM stops it gracefully"),
        ("migrate", "bring the database to this release's schema"),
        ("check-config", "check configuration, files and schema without starting"),
    ):
        commands.add_parser(name, help=text).add_argument("--data", type=Path, required=True, help="data folder")
    restart = commands.add_parser("restart", help="take over a restart of the log (`strongroom restart finish`)")
    restart.add_argument("--data", type=Path, required=True, help="data folder; no daemon may run on it")
    restart.add_argument("file", type=Path, metavar="FILE", help="the finished restart file")
    return parser


def migrate(url: str) -> str:
    """Bring the database to this release's schema, and return its revision; see `storage.migrating`."""
    # A daemon that only runs starts in three quarters of the time without what makes tables.
    from strongroom_coordinator.storage import migrating  # noqa: PLC0415

    return migrating.migrate(url)


def _restart(folder: Path, config: CoordinatorConfig, file: Path, clock: Clock) -> int:
    genesis, restart = load_genesis(folder / config.genesis), load_restart(file)
    storage = Storage.open(storage_url(folder, config))
    try:
        taken = take_restart(storage, genesis, restart, now_ms=clock.wall_ms())
    finally:
        storage.close()
    _say(f"log id {taken.log_id.hex()}")
    _say(f"read aloud {spoken(Compared.CHARTER, taken.log_id)}")
    rest = "" if taken.is_whole else "; the daemon fetches the rest from signers"
    _say(f"entries {taken.size}, dropped {taken.dropped}{rest}")
    return OK


def _init(options: argparse.Namespace) -> int:
    folder: Path = options.data
    config = CoordinatorConfig(
        listen=options.listen, bitcoin_rpc=options.bitcoin_rpc, bitcoin_cookie=options.bitcoin_cookie.absolute()
    )
    text = render_config(config)
    parse_config(text, where="the arguments")
    genesis = load_genesis(options.genesis)
    given = replace(config, certificate=options.cert, key=options.key, certificate_authority=options.ca)
    tls = load_tls(Path(), given, organisation=genesis.charter.organisation)
    if (folder / CONFIG_NAME).exists():
        raise BadConfig(str(folder), [f"holds a {CONFIG_NAME} already; `init` overwrites nothing"])
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadConfig(str(folder), [f"cannot be made: {error.strerror}"]) from None
    write_private(folder / config.genesis, codec.encode(genesis.genesis))
    write_private(folder / config.certificate, tls.certificate)
    write_private(folder / config.key, tls.key)
    write_private(folder / config.certificate_authority, tls.certificate_authority)
    migrate(storage_url(folder, config))
    # The configuration comes last: a folder without it is one where `init` did not finish.
    write_private(folder / CONFIG_NAME, text.encode())
    _say(f"log id {genesis.log_id.hex()}")
    return OK


def _check(folder: Path, config: CoordinatorConfig) -> int:
    genesis = load_genesis(folder / config.genesis)
    tls = load_tls(folder, config, organisation=genesis.charter.organisation)
    if config.revoked is not None:
        Revocations(folder / config.revoked, tls.certificate_authority, SystemClock())
    storage = Storage.open(storage_url(folder, config))
    try:
        _say(f"log id {load_founding(storage, genesis).log_id.hex()}")
    finally:
        storage.close()
    return OK


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _complain(error: StrongroomError) -> None:
    what_to_do = f"What to do: {error.remedy.rstrip('.')}\n" if error.remedy else ""
    sys.stderr.write(f"strongroom-coordinator: {error.reason}: {error.message}\n{what_to_do}")
