"""A signer in an attacker's hands: the real daemon on its real folder, that lies at one chosen point.

    python tests/adversary/rogue_signer.py --list
    python tests/adversary/rogue_signer.py --lie share-wrong -- run --data DIR --passphrase-file FILE
    python tests/adversary/rogue_signer.py --lies FILE -- run --data DIR --passphrase-file FILE

With `--lies` the file names the lie in force, and may be rewritten while the signer runs; an empty file is the truth.
Keys, share, log, votes and link are the daemon's own. The daemon knows nothing of this: it has no switch for lies.
Each lie that is told is a line `lie.told` in the log, so that a test knows that the attack took place.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lies_in_agreement
import lies_in_ceremonies
import lies_in_signing
from lies_of_signers import LIES, corrupt

from strongroom_signer import assembly
from strongroom_signer import main as signer_main
from strongroom_signer.assembly import Signer
from strongroom_signer.clock import SystemClock

MODULES = (lies_in_agreement, lies_in_ceremonies, lies_in_signing)
OK, BAD_USAGE = 0, 2


def main(arguments: Sequence[str]) -> int:
    """Run the daemon with a lie; its exit code."""
    options = _parser().parse_args(arguments)
    if options.list:
        for name, lie in sorted(LIES.items()):
            sys.stdout.write(f"{name:<40} {', '.join(lie.at):<14} {lie.text}\n")
        return OK
    if (options.lie is None) == (options.lies is None) or (options.lie is not None and options.lie not in LIES):
        sys.stderr.write("give --lie with one of --list, or --lies with a file that names one\n")
        return BAD_USAGE
    if options.lies is None:
        _corrupt_daemon(lambda: str(options.lie))
    else:
        _corrupt_daemon(lambda: _read(options.lies))
    return signer_main.run(options.arguments, clock=SystemClock(), random=os.urandom)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def _corrupt_daemon(chosen: Callable[[], str]) -> None:
    """Put the liar between the daemon's parts and its link."""
    honest = assembly.open_signer

    def open_signer(*arguments: Any, **parts: Any) -> Signer:
        return corrupt(honest(*arguments, **parts), chosen)

    assembly.open_signer = open_signer


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the lies and where each stands")
    parser.add_argument("--lie", help="the lie that is told whenever it can be")
    parser.add_argument("--lies", type=Path, help="a file that names the lie in force")
    parser.add_argument("arguments", nargs="*", help="those of `strongroom-signer`")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
