"""Keeps what signers send, and what they are asked to sign with, over the ends of their processes; then judges it.

A frame is kept before it leaves a signer and as it reaches the coordinator, whichever of the two a launcher records;
the same frame in both is one. `used_twice` finds a nonce that went into two different shares, `voted_twice` two votes
of one signer at one term and size.
"""

from __future__ import annotations

import functools
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.signed_messages import Commitments, Shares, Vote
from strongroom.protocol.commitments import commitments_hash
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody

_FROM_SIGNERS = frozenset({"promised", "voted", "committed", "released"})
_TO_SIGNERS = frozenset({"release"})


# --- in the launched process -----------------------------------------------------------------------------------------


def _kept(path: str) -> Any:
    # Unbuffered: what was kept is there although the process ends in the next moment.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def keep(kind: str, signer: str, frame: Any) -> None:
        content = {"kind": kind, "signer": signer, "frame": frame.SerializeToString(deterministic=True).hex()}
        os.write(descriptor, json.dumps(content).encode("ascii") + b"\n")

    return keep


def record_signer(path: str) -> None:
    """Keep every frame that counts before it leaves this signer, and every request for shares."""
    from strongroom_signer.link_session import LinkSession  # noqa: PLC0415 - only the launched daemon has it

    keep = _kept(path)
    names: list[str] = []
    write, read = LinkSession._write, LinkSession._read

    @functools.wraps(write)
    async def keeping_write(self: Any, frame: Any) -> None:
        if frame.WhichOneof("body") == "hello":
            names.append(frame.hello.signer)
        if frame.WhichOneof("body") in _FROM_SIGNERS:
            keep("from", names[-1], frame)
        await write(self, frame)

    @functools.wraps(read)
    async def keeping_read(self: Any) -> Any:
        frame = await read(self)
        if frame is not None and frame.WhichOneof("body") in _TO_SIGNERS:
            keep("to", names[-1], frame)
        return frame

    LinkSession._write, LinkSession._read = keeping_write, keeping_read  # type: ignore[method-assign]


def record_coordinator(path: str) -> None:
    """Keep every frame that counts as it reaches this coordinator, and every request for shares."""
    from strongroom_coordinator.link import SignerLink  # noqa: PLC0415 - only the launched daemon has it

    keep = _kept(path)
    receive, enqueue = SignerLink.receive, SignerLink._enqueue

    @functools.wraps(receive)
    def keeping_receive(self: Any, frame: Any, serve: Any) -> None:
        if frame.WhichOneof("body") in _FROM_SIGNERS:
            keep("from", self.signer, frame)
        receive(self, frame, serve)

    @functools.wraps(enqueue)
    def keeping_enqueue(self: Any, body: Any, *, reply_to: int) -> Any:
        frame = enqueue(self, body, reply_to=reply_to)
        if frame.WhichOneof("body") in _TO_SIGNERS:
            keep("to", self.signer, frame)
        return frame

    SignerLink.receive, SignerLink._enqueue = keeping_receive, keeping_enqueue  # type: ignore[method-assign]


# --- in the test -----------------------------------------------------------------------------------------------------


@dataclass
class Record:
    """Everything that some launched processes kept."""

    shares: dict[bytes, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    """Bodies of the shares made with each nonce commitment of their signer."""
    sessions: set[tuple[str, bytes]] = field(default_factory=set)
    """Signer and nonce session of every share."""
    votes: dict[tuple[str, int, int], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    """Roots and state digests that each signer voted for, by signer, term and size."""
    _sets: dict[bytes, tuple[SignedBody, ...]] = field(default_factory=dict)
    _read: dict[Path, int] = field(default_factory=dict)
    """Bytes of each file that were read."""

    @property
    def used_twice(self) -> list[bytes]:
        """Nonce commitments that stand behind more than one share."""
        return [nonce for nonce, bodies in self.shares.items() if len(bodies) > 1]

    @property
    def voted_twice(self) -> list[tuple[str, int, int]]:
        """Signer, term and size with two different votes."""
        return [place for place, heads in self.votes.items() if len(heads) > 1]

    def read(self, *files: Path) -> None:
        """Read what launchers kept since the last time. A share must answer a request that was kept in its file."""
        for file in files:
            for kind, signer, frame in self._news(file):
                if kind == "to":
                    self._ask(frame)
                else:
                    self._take(signer, frame)

    def _news(self, file: Path) -> Iterator[tuple[str, str, Any]]:
        with file.open("rb") as stream:
            stream.seek(self._read.get(file, 0))
            for line in stream:
                if not line.endswith(b"\n"):
                    break  # a process is writing it
                self._read[file] = self._read.get(file, 0) + len(line)
                content = json.loads(line)
                message = pb.LinkRequest if content["kind"] == "from" else pb.LinkResponse
                yield content["kind"], content["signer"], message.FromString(bytes.fromhex(content["frame"]))

    def _ask(self, frame: Any) -> None:
        for chosen in frame.release.sets:
            signed = tuple(SignedBody(body=one.body, signature=one.signature) for one in chosen.commitments)
            self._sets[commitments_hash(signed)] = signed

    def _take(self, signer: str, frame: Any) -> None:
        if frame.WhichOneof("body") == "voted":
            vote = codec.decode(Vote, frame.voted.vote.body)
            self.votes[signer, vote.term, vote.size].add(vote.root + vote.state_digest)
        for result in frame.released.results:
            if result.WhichOneof("outcome") != "shares":
                continue
            shares = codec.decode(Shares, result.shares.body, max_size=MAX_BODY_BYTES)
            for signed in self._sets[shares.commitments_hash]:
                made = codec.decode(Commitments, signed.body, max_size=MAX_BODY_BYTES)
                if made.signer == signer:
                    self.sessions.add((signer, made.session))
                    for nonce in made.nonces:
                        self.shares[nonce].add(result.shares.body)
