"""Starts a signer as `strongroom-signer` does, that falls silent in one step of signing when a file says so.

    python silent_signer.py --step-file FILE -- run --data DIR --passphrase-file FILE

While the file holds one of these words, the signer misbehaves; the daemon itself knows nothing of this. `vote`: no
answer to a batch. `commitments`: a vote without the nonce commitments asked for with it. `share`: no answer when shares
are asked for. `leaves`: the link breaks then. Each time is a line `fell.silent` in the log, so that a test knows that
the signer was really met in that step.
"""

from __future__ import annotations

import argparse
import json
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
SILENT = "fell.silent"


def fall_silent(step_file: Path) -> None:
    """Make this process misbehave in the step that the file names."""
    session: Any = link_session.LinkSession
    honest_answer, honest_append = session._answer, Service._append

    def is_now(step: str) -> bool:
        """Whether this is the step that the file names; then it is said."""
        if not step_file.exists() or step_file.read_text() != step:
            return False
        sys.stderr.write(json.dumps({"event": SILENT, "level": "info", "step": step}) + "\n")
        sys.stderr.flush()
        return True

    async def answer(self: Any, item: Any) -> None:
        if isinstance(item.request, requests.Append) and is_now("vote"):
            return
        if isinstance(item.request, requests.Release):
            if is_now("share"):
                return
            if is_now("leaves"):
                raise link_session.LinkFailed("this signer leaves when shares are asked for")
        await honest_answer(self, item)

    def append(self: Any, request: requests.Append) -> Any:
        answered = honest_append(self, request)
        if isinstance(answered, pb.Voted) and answered.commitments and is_now("commitments"):
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
