"""A TCP relay that passes what a coordinator says on byte by byte, or not at all; what a signer says goes through."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType


class Trickle:
    """Listens on a free loopback port; at most `bytes_per_second` come back, none of them for 0."""

    def __init__(self, target: int, *, bytes_per_second: int) -> None:
        self._target = target
        self._rate = bytes_per_second
        self._open: list[socket.socket] = []
        self.relayed = 0
        """Connections that reached the target, since the beginning."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Trickle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    near.close()
                    continue
                self._open += [near, far]
                self.relayed += 1
                threading.Thread(target=self._forth, args=(near, far), daemon=True).start()
                threading.Thread(target=self._back, args=(far, near), daemon=True).start()

    def _forth(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(65_536):
                far.sendall(data)

    def _back(self, far: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while self._rate and (data := far.recv(1)):
                near.sendall(data)
                time.sleep(1 / self._rate)
