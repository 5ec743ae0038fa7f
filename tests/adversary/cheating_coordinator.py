"""A coordinator that cheats, to show what signers refuse: over the real protocol, with a coordinator's TLS identity.

    python tests/adversary/cheating_coordinator.py --list
    python tests/adversary/cheating_coordinator.py --data COPY_OF_THE_COORDINATORS_FOLDER --cheat pay-twice
    python tests/adversary/cheating_coordinator.py --data COPY --cheat pay-twice --cheat burn-fees

It listens where the honest coordinator did (stop that one first), waits until every signer has dialled in, opens a term
as an honest leader would, and then cheats at one point. Each refusal is one JSON line, checked against the signer's
vote key; the last line says how many signature shares were released for the cheat: none, or something is broken.
Several cheats run one after another, each in a term of its own; every line names its cheat.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "support"))

from cheat_report import CHEATS, NothingToCheatWith, Report, listed
from rogue_leader import RogueLeader
from rogue_people import People
from stolen_signers import stolen_signers

from strongroom.protocol.signed import SignedBody

# Each of these enters its cheats into the list when it is imported.
MODULES = tuple(import_module(path.stem) for path in sorted(Path(__file__).parent.glob("cheats_*.py")))
OK, FAILED, BAD_USAGE = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """Run cheats; 0 when each ran to its end, whatever the signers answered."""
    options = _parser().parse_args(arguments)
    if options.list:
        for name, text in listed().items():
            sys.stdout.write(f"{name:<22} {text}\n")
        return OK
    if options.data is None or not options.cheat or not CHEATS.keys() >= set(options.cheat):
        sys.stderr.write("give --data and a --cheat of --list\n")
        return BAD_USAGE
    words = [_word(path) for path in options.words]
    people = None if options.people is None else People(options.people, options.passphrase_file)
    return asyncio.run(_cheat(RogueLeader(options.data, Report(options.cheat[0]), words, people), options.cheat))


async def _cheat(rogue: RogueLeader, names: Sequence[str]) -> int:
    result = OK
    rogue.accomplices = stolen_signers
    async with rogue.serving():
        for name in names:
            rogue.report = Report(name)
            try:
                await rogue.everybody()
                await rogue.lead()
                rogue.report.begin(CHEATS[name].text)
                await CHEATS[name].run(rogue)
            except NothingToCheatWith as error:
                sys.stderr.write(f"{name}: {error}\n")
                result = FAILED
            else:
                rogue.report.done()
    return result


def _word(path: Path) -> SignedBody:
    content = json.loads(path.read_text())
    return SignedBody(body=bytes.fromhex(content["body"]), signature=bytes.fromhex(content["signature"]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the cheats and what each tries")
    parser.add_argument("--data", type=Path, help="copy of a coordinator's data folder, its daemon stopped")
    parser.add_argument("--cheat", action="append", default=[], help="one of --list; may be given several times")
    parser.add_argument(
        "--words", type=Path, action="append", default=[], help="a person's signed approval that only this one has"
    )
    parser.add_argument("--people", type=Path, help="folder of the people's keys whose words the cheater gets")
    parser.add_argument("--passphrase-file", type=Path, help="pass phrase of those keys")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
