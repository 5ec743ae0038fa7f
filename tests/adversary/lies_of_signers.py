"""How a signer lies: what it answers instead of the truth, one lie at a time, and how it is put into a real signer.

A lie stands at one kind of request. The honest daemon answers first, with its own keys, log and share; the lie then
replaces that answer, or keeps it back. So whatever a lie does not concern is done as an honest signer does it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger import codec
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody, sign_body
from strongroom_signer import link_session, requests
from strongroom_signer.assembly import Signer
from strongroom_signer.frames import signed_to_pb

HELLO, RAISED = "Hello", "Raised"
"""Not requests: what a signer says of itself when it connects, and what it hands over unasked."""
LATE_S = 3.0
"""A late answer: beyond the coordinator's patience of two seconds, far below the life of a nonce."""

M = TypeVar("M")


@dataclass
class Liar:
    """A signer in an attacker's hands: all that the honest one has, and what it remembers of earlier answers."""

    signer: Signer
    chosen: Callable[[], str]
    memory: dict[str, Any] = field(default_factory=dict)
    told: int = 0

    @property
    def name(self) -> str:
        return self.signer.name

    @property
    def key(self) -> SigningKey:
        return self.signer.keys.vote

    def others(self) -> tuple[str, ...]:
        """The other signers of the charter."""
        return tuple(name for name in sorted(self.signer.voting.vote_keys) if name != self.name)

    def stranger(self) -> SigningKey:
        """A key that stands in no charter."""
        return SigningKey.generate(os.urandom)

    def opened(self, cls: type[M], message: Any) -> M:
        """Decode the body of a signed protobuf message of this signer's own."""
        return codec.decode(cls, message.body, max_size=MAX_BODY_BYTES)

    def signed(self, kind: str, message: Any, key: SigningKey | None = None) -> Any:
        """Sign a body with the vote key, or with another one."""
        return signed_to_pb(sign_body(kind, message, key or self.key))

    def again(self, kind: str, cls: type[Any], message: Any, **changes: Any) -> Any:
        """The same signed body with some fields changed, signed anew."""
        return self.signed(kind, replace(self.opened(cls, message), **changes))

    def say(self, lie: str, at: str) -> None:
        """One line in the daemon's log, so that a test knows that the lie was told."""
        self.told += 1
        line = {"event": "lie.told", "level": "info", "signer": self.name, "lie": lie, "at": at, "told": self.told}
        sys.stderr.write(json.dumps(line) + "\n")
        sys.stderr.flush()


Tell = Callable[[Liar, Any, Any], Any]
"""From liar, request and honest answer to what is sent: the body of a frame, or a `Deed`."""


@dataclass(frozen=True)
class Lie:
    """One way to lie; the text is for people who know no cryptography."""

    at: tuple[str, ...]
    """Kinds of requests, or `HELLO` or `RAISED`."""
    text: str
    tell: Tell
    instead: bool
    """Whether the honest daemon is not even asked: its state stays as if no request had come."""


LIES: dict[str, Lie] = {}


def lie(name: str, at: str | tuple[str, ...], text: str, *, instead: bool = False) -> Callable[[Tell], Tell]:
    """Enter a function into the list of lies."""

    def enter(function: Tell) -> Tell:
        if name in LIES:
            raise ValueError(f"two lies are called {name}")
        LIES[name] = Lie((at,) if isinstance(at, str) else at, text, function, instead)
        return function

    return enter


class Deed:
    """What is done on the stream in place of sending one honest frame."""

    def __init__(self, perform: Callable[[Any, int], Any]) -> None:
        self.perform = perform


class LyingService:
    """Stands in front of the honest service and lies at one kind of request."""

    def __init__(self, liar: Liar) -> None:
        self._liar = liar
        self._honest = liar.signer.service

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    def answer(self, request: requests.Request, leader: bytes) -> Any:
        """The lie in force, if it is about this kind of request; else the truth."""
        at = type(request).__name__
        lie = self._lie(at)
        if lie is not None and lie.instead:
            return self._told(at, lie.tell(self._liar, (request, leader), None))
        body = self._honest.answer(request, leader)
        if lie is not None:
            lied = lie.tell(self._liar, request, _copy(body))
            if lied is not None:
                return self._told(at, lied)
        _remember(self._liar, request, body)
        return body

    def raised(self) -> Any:
        """Words handed over unasked."""
        lie = self._lie(RAISED)
        honest = self._honest.raised()
        return honest if lie is None else self._told(RAISED, lie.tell(self._liar, None, honest))

    def hello(self) -> pb.Hello:
        """How this signer introduces itself."""
        lie = self._lie(HELLO)
        honest = self._liar.signer.hello()
        return honest if lie is None else self._told(HELLO, lie.tell(self._liar, None, honest))

    def _lie(self, at: str) -> Lie | None:
        found = LIES.get(self._liar.chosen())
        return found if found is not None and at in found.at else None

    def _told(self, at: str, body: Any) -> Any:
        self._liar.say(self._liar.chosen(), at)
        return body


def _copy(body: Any) -> Any:
    copied = type(body)()
    copied.CopyFrom(body)
    return copied


def _remember(liar: Liar, request: Any, body: Any) -> None:
    """Keep the last honest answer of each kind, with what other signers' words came with the question."""
    liar.memory.setdefault(f"first {type(request).__name__}", _copy(body))
    liar.memory[type(request).__name__] = _copy(body)
    if isinstance(request, requests.Release):
        seen = [signed for chosen in request.sets for signed in chosen.commitments]
        liar.memory["commitments seen"] = tuple(seen)


def corrupt(signer: Signer, chosen: Callable[[], str]) -> Signer:
    """A real signer whose answers pass through a liar; `chosen` names the lie in force, "" for none."""
    _install()
    return replace(signer, service=LyingService(Liar(signer, chosen)))  # type: ignore[arg-type] - stands in for it


def _install() -> None:
    """Let the link perform deeds where it would send a body, and ask a liar how it introduces itself; once."""
    session: Any = link_session.LinkSession
    send, hello = session._send, Signer.hello
    if getattr(send, "performs_deeds", False):
        return

    async def send_or_perform(self: Any, body: Any, reply_to: int = 0) -> Any:
        return await (body.perform(self, reply_to) if isinstance(body, Deed) else send(self, body, reply_to))

    def hello_or_lie(self: Signer) -> Any:
        return self.service.hello() if isinstance(self.service, LyingService) else hello(self)

    send_or_perform.performs_deeds = True  # type: ignore[attr-defined] - a mark of ours
    session._send = send_or_perform
    Signer.hello = hello_or_lie  # type: ignore[method-assign] - that is the lie


# --- silence, slowness, hanging up, and failures that say too much, at every kind of request ---

REQUESTS: Mapping[str, str] = {
    "promise": "Promise",
    "open-term": "OpenTerm",
    "vote": "Append",
    "commit": "Commit",
    "release": "Release",
    "certify": "Certify",
    "keygen-round1": "KeygenRound1",
    "keygen-round2": "KeygenRound2",
    "keygen-finish": "KeygenFinish",
    "trial-commit": "TrialCommit",
    "trial-sign": "TrialSign",
    "deal": "Deal",
    "receive": "Receive",
    "epoch-trial-commit": "EpochTrialCommit",
    "epoch-trial-sign": "EpochTrialSign",
    "explain": "Explain",
    "fetch": "FetchBatches",
}


async def _nothing(_session: Any, _reply_to: int) -> None:
    """Send nothing, ever."""


async def _hang_up(_session: Any, _reply_to: int) -> None:
    raise link_session.LinkFailed("this signer hangs up")


def _late(body: Any) -> Deed:
    async def perform(session: Any, reply_to: int) -> None:
        async def later() -> None:
            await asyncio.sleep(LATE_S)
            await session._send(body, reply_to)

        session.lies_late = [*getattr(session, "lies_late", ()), asyncio.create_task(later())]

    return Deed(perform)


def _enter_plain_lies() -> None:
    for step, request in REQUESTS.items():
        lie(f"silent-{step}", request, f"Takes {request} and never answers.", instead=True)(
            lambda _liar, _request, _answer: Deed(_nothing)
        )
        lie(f"late-{step}", request, f"Answers {request} three seconds late.")(
            lambda _liar, _request, answer: _late(answer)
        )
        lie(f"hang-up-{step}", request, f"Ends the connection at each {request}.", instead=True)(
            lambda _liar, _request, _answer: Deed(_hang_up)
        )
        lie(
            f"fail-{step}",
            request,
            f"Fails each {request} with a reason that would forge lines in a log.",
            instead=True,
        )(
            lambda _liar, _request, _answer: pb.Failed(
                reason="A\n{}\x1b[31m" * 2_000, message="\n\r\x00\x1b[2J" * 20_000
            )
        )


_enter_plain_lies()


# --- frames that break the rules of the stream ---


def _frame(make: Callable[[Any, int], pb.LinkRequest]) -> Deed:
    async def perform(session: Any, reply_to: int) -> None:
        async with session._sending:
            await session._write(make(session, reply_to))

    return Deed(perform)


@lie("frame-out-of-order", "Append", "Numbers its frames out of order.")
def frame_out_of_order(liar: Liar, request: Any, answer: Any) -> Deed:
    return _frame(
        lambda session, reply_to: pb.LinkRequest(seq=session._sent + 7, reply_to=reply_to, voted=_voted(answer))
    )


@lie("frame-answers-the-future", "Append", "Answers a question that was never asked.")
def frame_answers_the_future(liar: Liar, request: Any, answer: Any) -> Deed:
    def make(session: Any, reply_to: int) -> pb.LinkRequest:
        session._sent += 1
        return pb.LinkRequest(seq=session._sent, reply_to=reply_to + 1_000_000, voted=_voted(answer))

    return _frame(make)


@lie("frame-of-another-kind", "Append", "Answers a batch with the answer to another question.")
def frame_of_another_kind(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.Certified(certified_size=2**64 - 1, final_size=2**64 - 1)


@lie("frame-empty", "Append", "Answers with a frame that holds nothing.")
def frame_empty(liar: Liar, request: Any, answer: Any) -> Deed:
    def make(session: Any, reply_to: int) -> pb.LinkRequest:
        session._sent += 1
        return pb.LinkRequest(seq=session._sent, reply_to=reply_to)

    return _frame(make)


@lie("frame-twice", "Append", "Sends each answer twice.")
def frame_twice(liar: Liar, request: Any, answer: Any) -> Deed:
    async def perform(session: Any, reply_to: int) -> None:
        await session._send(answer, reply_to)
        await session._send(answer, reply_to)

    return Deed(perform)


@lie("frame-huge", "Append", "Answers with a frame of 17 MB, more than any frame may have.")
def frame_huge(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.Failed(reason="HUGE", message="x" * 17_000_000)


@lie("frame-large", "Append", "Answers with a frame of 15 MB, as large as frames may be.")
def frame_large(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.Failed(reason="LARGE", message="x" * 15_000_000)


def _voted(answer: Any) -> pb.Voted:
    return answer if isinstance(answer, pb.Voted) else pb.Voted()


def body_of(message: Any) -> SignedBody:
    """A signed protobuf body as a value."""
    return SignedBody(body=message.body, signature=message.signature)
