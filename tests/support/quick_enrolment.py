"""Enrols a deployment in this process: what some thirty programs do one after another, without starting any of them.

The commands, their arguments and their files are those of `Deployment.enrol`; a passphrase is stretched for no time,
which proves nothing here. That the programs themselves enrol is what the demonstration and the README's walk show.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Final
from unittest.mock import patch

from click.testing import CliRunner

import strongroom_coordinator.main
import strongroom_signer.main
from strongroom.crypto import sealed
from strongroom_client.cli import main as strongroom
from strongroom_client.demo import deployment as deployments
from strongroom_client.demo import processes
from strongroom_client.demo.deployment import Deployment
from strongroom_client.demo.processes import DaemonFailed
from strongroom_client.person_key import create_person_key
from strongroom_coordinator.clock import SystemClock as CoordinatorClock
from strongroom_signer.clock import SystemClock as SignerClock

CHEAP: Final = sealed.Cost(memory_kib=8, passes=1)


def enrol(deployment: Deployment) -> None:
    """Everything up to the first start.

    Raises:
        DaemonFailed: a command refused.
    """
    with _without_programs():
        deployment.enrol()


@contextmanager
def _without_programs() -> Iterator[None]:
    cheaper = {**create_person_key.__kwdefaults__, "cost": CHEAP}
    with (
        patch.object(processes, "_run", _run_here),
        patch.object(deployments, "_do_together", _do_in_turn),
        patch.object(create_person_key, "__kwdefaults__", cheaper),
    ):
        yield


def _do_in_turn(work: Sequence[Callable[[], object]]) -> None:
    for task in work:
        task()


def _run_here(command: Sequence[str], *, timeout_s: float, pass_fds: tuple[int, ...] = ()) -> str:
    name, *arguments = [Path(command[0]).name, *command[1:]]
    code, printed = _PROGRAMS[name](arguments)
    if code:
        raise DaemonFailed(f"{name} {' '.join(arguments[:2])} ended with code {code}: {printed[-600:]}")
    return printed


def _client(arguments: list[str]) -> tuple[int, str]:
    done = CliRunner().invoke(strongroom, arguments, catch_exceptions=False)
    return done.exit_code, done.stderr if done.exit_code else done.stdout


def _signer(arguments: list[str]) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    # As the program has it: what it writes is its user's alone.
    umask = os.umask(0o077)
    try:
        run = strongroom_signer.main.run
        code = run(arguments, clock=SignerClock(), random=os.urandom, cost=CHEAP, out=out, err=err)
    finally:
        os.umask(umask)
    return code, err.getvalue() if code else out.getvalue()


def _coordinator(arguments: list[str]) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = strongroom_coordinator.main.run(arguments, clock=CoordinatorClock(), random=os.urandom)
    return code, err.getvalue() if code else out.getvalue()


_PROGRAMS: Final[dict[str, Callable[[list[str]], tuple[int, str]]]] = {
    "strongroom": _client,
    "strongroom-signer": _signer,
    "strongroom-coordinator": _coordinator,
}
