"""A TCP switch between a signer and coordinators: it can be pointed elsewhere, and cut. TLS passes through."""

from __future__ import annotations

import contextlib
import socket
import threading


class Switch:
    """Listens on a free loopback port and passes every connection on to `target`, a loopback port; 0 passes none."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def point(self, target: int) -> None:
        """Pass new connections on to another port, and cut those that are open."""
        with self._lock:
            self.target = target
            cut, self._open = self._open, set()
        for one in cut:
            _close(one)

    def cut(self) -> None:
        """Cut everything, and refuse new connections until it is pointed somewhere."""
        self.point(0)

    def close(self) -> None:
        """Stop listening."""
        _close(self._listener)
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(near,), daemon=True).start()

    def _pass(self, near: socket.socket) -> None:
        with self._lock:
            target = self.target
        try:
            far = socket.create_connection(("127.0.0.1", target), timeout=5) if target else None
        except OSError:
            far = None
        if far is None:
            _close(near)
            return
        far.settimeout(None)
        with self._lock:
            if self.target != target:
                _close(near)
                _close(far)
                return
            self._open |= {near, far}
        threading.Thread(target=self._pump, args=(far, near), daemon=True).start()
        self._pump(near, far)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        _close(source)
        _close(sink)
        with self._lock:
            self._open -= {source, sink}


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
