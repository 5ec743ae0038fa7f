"""Starts a coordinator as `strongroom-coordinator` does, that garbles the shares of one holder in key generations.

    python garbling_coordinator.py --victim NAME --how share|accusing|investigation --switch FILE -- run --data DIR

`share`: the encrypted share for the victim is altered on its way, and the investigation is answered truly. `accusing`:
the investigation message is altered too, so that it adds up and accuses the first other holder. `investigation`: the
message to a victim that was dealt a wrong share is junk. It garbles while the switch file exists.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from strongroom.crypto import chilldkg
from strongroom.crypto.chilldkg_messages import CoordinatorMessage1, InvestigationMessage
from strongroom.crypto.curve import ORDER
from strongroom.protocol import keygen_coordinator as machine
from strongroom_coordinator import keygen
from strongroom_coordinator import main as coordinator_main
from strongroom_coordinator.clock import SystemClock


def shifted(shares: tuple[int, ...], at: int) -> tuple[int, ...]:
    return tuple((share + (position == at)) % ORDER for position, share in enumerate(shares))


def garble(victim: str, how: str, switch: Path) -> None:
    """Alter what the attempt's shell carries to and from the victim; the machine in it stays honest."""
    attempt: Any = keygen._Attempt
    honest_round2, honest_investigate = attempt._round2, attempt._investigate

    def is_on() -> bool:
        return switch.exists()

    async def round2(self: Any, message: bytes, name: str) -> machine.Event:
        if name != victim or how == "investigation" or not is_on():
            event: machine.Event = await honest_round2(self, message, name)
            return event
        params, me = self._terms.params, self._terms.signers.index(name)
        sent = CoordinatorMessage1.decode(message, params)
        altered = replace(sent, encrypted_shares=shifted(sent.encrypted_shares, me))
        event = await honest_round2(self, altered.encode(), name)
        if isinstance(event, machine.ComplaintArrived):
            # Its own machine is shown what it wants to see, so that it goes on to investigate.
            true_share, _ = chilldkg.investigation_of(sent.transcript(params), me).received
            event = replace(event, encrypted_share=true_share)
        return event

    async def investigate(self: Any, message: bytes, name: str) -> machine.Event:
        params = self._terms.params
        if name == victim and is_on() and how != "share":
            told = InvestigationMessage.decode(message, params)
            accused = next(at for at, holder in enumerate(self._terms.signers) if holder != victim)
            lie = replace(told, encrypted_shares=shifted(told.encrypted_shares, accused)).encode()
            message = lie if how == "accusing" else bytes(len(message))
        event: machine.Event = await honest_investigate(self, message, name)
        return event

    attempt._round2, attempt._investigate = round2, investigate


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--victim", required=True)
    parser.add_argument("--how", choices=("share", "accusing", "investigation"), required=True)
    parser.add_argument("--switch", type=Path, required=True)
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    garble(options.victim, options.how, options.switch)
    return coordinator_main.run(options.arguments, clock=SystemClock(), random=os.urandom)


if __name__ == "__main__":
    sys.exit(main())
