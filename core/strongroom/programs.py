"""Where every program begins: with its role's packages, or with one line that says which are missing.

One distribution brings every program; which packages of other projects a machine has is decided by the list that its
operator installed. Without this the wrong program on a machine ends in a traceback.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module

__all__ = ["client", "coordinator", "regtest", "signer"]


def signer() -> None:
    """`strongroom-signer`; its exit code ends the process."""
    _run("strongroom_signer.main", program="strongroom-signer", role="signer")


def coordinator() -> None:
    """`strongroom-coordinator`; its exit code ends the process."""
    _run("strongroom_coordinator.main", program="strongroom-coordinator", role="coordinator")


def client() -> None:
    """`strongroom`; its exit code ends the process."""
    _run("strongroom_client.cli", program="strongroom", role="client")


def regtest() -> None:
    """`strongroom-regtest`; its exit code ends the process."""
    _run("strongroom_regtest.main", program="strongroom-regtest", role="dev")


def _run(module: str, *, program: str, role: str) -> None:
    """Import the role's program and run it.

    Raises:
        SystemExit: when it has ended; or at once with code 1 and what to do, if a package is not installed here.
    """
    # What an import makes is there to stay: looking through it for garbage takes a sixth of the start, and of every
    # full collection in a daemon's life.
    gc.disable()
    try:
        main = import_module(module).main
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not missing or missing.startswith("strongroom"):
            # A part of ours that is not there is no list that somebody forgot to install.
            raise
        message = f"{program}: MISSING_PACKAGES: this machine has no {missing}: install what requirements/{role}.lock"
        sys.exit(f"{message} names, or give this command on a machine of that role")
    gc.freeze()
    gc.enable()
    sys.exit(main())
