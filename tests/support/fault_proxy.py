"""A bad network between two processes on one machine: a TCP proxy that delays, stalls, throttles, resets and refuses.

TLS passes through it, so the daemons at both ends are the real ones. Bytes are never lost or changed within a
connection, because TCP would not let that happen either: what a network loses shows as a stall and then as a reset.

What it did is counted, so that a test knows that its trouble was felt.

Directions: `up` is from the one who connected (a signer, a person, the coordinator before its node) to the one who
listens, `down` is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Direction = Literal["up", "down"]
DIRECTIONS: Final[tuple[Direction, ...]] = ("up", "down")
_CHUNK: Final = 16 * 1024
_LINGER_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, kw_only=True)
class Weather:
    """How a link is.

    Attributes:
        delay_ms: Added to every chunk, each way.
        jitter_ms: At most so much more, drawn anew for each chunk; order is kept.
        bytes_per_s: Bandwidth each way; 0 for no bound.
        refuses: New connections are reset at once.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    bytes_per_s: int = 0
    refuses: bool = False


FAIR: Final = Weather()


@dataclass(eq=False)
class _Connection:
    writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class FaultyLink:
    """Listens on a port and passes every connection on to the loopback port `target`, through whatever weather is set.

    Every method may be called from any thread; it returns when the change is in force.
    """

    def __init__(self, target: int, *, seed: int = 0, listen: str = "127.0.0.1") -> None:
        self._target = target
        self._host = listen
        self._random = random.Random(seed)
        self._weather = FAIR
        self._flowing = {direction: asyncio.Event() for direction in DIRECTIONS}
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.accepted = 0
        self.held = dict.fromkeys(DIRECTIONS, 0)
        """Chunks that met a stalled direction, since the beginning."""
        self.passed = dict.fromkeys(DIRECTIONS, 0)
        """Bytes that were passed on, since the beginning."""
        self.was_reset = 0
        """Open connections that were reset, since the beginning."""
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True, name="faulty-link")
        self._thread.start()
        started.wait()

    # --- what tests do to it -----------------------------------------------------------------------------------------

    def set(self, weather: Weather) -> None:
        """Change delay, jitter, bandwidth, or whether new connections are taken."""
        self._do(lambda: setattr(self, "_weather", weather))

    def stall(self, *directions: Direction) -> None:
        """Stop the flow, both ways unless told otherwise. Connections stay open and say nothing: half-open."""
        self._do(lambda: [self._flowing[one].clear() for one in directions or DIRECTIONS])

    def resume(self) -> None:
        """Let everything flow again, what was held back first."""
        self._do(lambda: [one.set() for one in self._flowing.values()])

    def reset(self) -> None:
        """Reset (RST) every open connection; new ones are taken."""
        self._do(self._reset)

    def cut(self) -> None:
        """Reset every connection and refuse new ones."""
        self.set(Weather(refuses=True))
        self.reset()

    def heal(self) -> None:
        """Fair weather, everything flows."""
        self.set(FAIR)
        self.resume()

    def close(self) -> None:
        """Stop for good."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    # --- its own thread ----------------------------------------------------------------------------------------------

    def _do(self, change: Callable[[], Any]) -> None:
        async def run() -> None:
            change()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        started.set()
        self._loop.run_forever()
        self._reset()
        if self._server is not None:
            self._server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.wait_for(_ended(tasks), 5))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _listen(self) -> None:
        for flowing in self._flowing.values():
            flowing.set()
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._weather.refuses:
            _abort(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _abort(writer)
            return
        except asyncio.CancelledError:
            _abort(writer)
            raise
        connection = _Connection((writer, far_writer))
        self._connections.add(connection)
        pumps: tuple[Awaitable[None], ...] = (
            self._pump("up", reader, far_writer),
            self._pump("down", far_reader, writer),
        )
        connection.tasks = {asyncio.ensure_future(pump) for pump in pumps}
        try:
            await asyncio.wait(connection.tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._end(connection)

    async def _pump(self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on in order, each chunk when it is due."""
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)
        sender = asyncio.ensure_future(self._send(direction, held, writer))
        due = 0.0
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(_CHUNK):
                    weather = self._weather
                    wait_ms = weather.delay_ms + self._random.random() * weather.jitter_ms
                    due = max(due, self._loop.time() + wait_ms / 1000)
                    await held.put((due, data))
            await held.put((0.0, b""))
            await sender
        finally:
            sender.cancel()

    async def _send(
        self, direction: Direction, held: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        while True:
            due, data = await held.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            self.held[direction] += not self._flowing[direction].is_set()
            await self._flowing[direction].wait()
            if not data:
                return
            if rate := self._weather.bytes_per_s:
                await asyncio.sleep(len(data) / rate)
            try:
                writer.write(data)
                self.passed[direction] += len(data)
                await writer.drain()
            except OSError:
                return

    def _reset(self) -> None:
        for connection in tuple(self._connections):
            self.was_reset += 1
            self._end(connection)

    def _end(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        for writer in connection.writers:
            _abort(writer)
        for task in connection.tasks:
            task.cancel()


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    """Wait for cancelled tasks, and for the sockets they aborted, which are closed a round later."""
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)


def _abort(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset."""
    one = writer.get_extra_info("socket")
    if one is not None:
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    writer.transport.abort()
