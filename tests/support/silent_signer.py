"""Starts a signer as `strongroom-signer` does, that falls silent in one step of signing when a file says so.

    python silent_signer.py --step-file FILE -- run --data DIR --passphrase-file FILE

While the file holds one of these words, the signer misbehaves; the daemon itself knows nothing of this. `vote`: no
answer to a batch. `commitments`: a vote without the nonce commitments asked for with it. `share`: no answer when shares
are asked for. `leaves`: the link breaks then.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom_signer import link_session, requests
from strongroom_signer import main as signer_main
from strongroom_signer.clock import SystemClock
from strongroom_signer.service import Service

STEPS = ("vote", "commitments", "share", "leaves")


def fall_silent(step_file: Path) -> None:
    """Make this process misbehave in the step that the file names."""
    session: Any = link_session.LinkSession
    honest_answer, honest_append = session._answer, Service._append

    def step() -> str:
        return step_file.read_text() if step_file.exists() else ""

    async def answer(self: Any, item: Any) -> None:
        now = step()
        if now == "vote" and isinstance(item.request, requests.Append):
            return
        if now == "share" and isinstance(item.request, requests.Release):
            return
        if now == "leaves" and isinstance(item.request, requests.Release):
            raise link_session.LinkFailed("this signer leaves when shares are asked for")
        await honest_answer(self, item)

    def append(self: Any, request: requests.Append) -> Any:
        answered = honest_append(self, request)
        if step() == "commitments" and isinstance(answered, pb.Voted):
            del answered.commitments[:]
        return answered

    session._answer = answer
    Service._append = append  # type: ignore[method-assign]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--step-file", type=Path, required=True)
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    fall_silent(options.step_file)
    return signer_main.run(options.arguments, clock=SystemClock(), random=os.urandom)


if __name__ == "__main__":
    sys.exit(main())
