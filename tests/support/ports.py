"""Ports that stay free between the moment they are chosen and the moment a daemon listens on them, also once more."""

from __future__ import annotations

import itertools
import os
import random
import socket
from collections.abc import Iterator
from typing import Final

__all__ = ["own_port"]

# Below the ports that Linux gives to whoever asks for any, and to connections: nobody gets one of these by chance.
_FIRST: Final = 10_240
_COUNT: Final = 1_400
_WORKERS: Final = 16


def own_port() -> int:
    """A TCP port of the loopback address that nothing listens on, and that no other worker of this run is given."""
    return next(port for port in _ports if _is_free(port))


def _of_this_worker() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    first = _FIRST + worker * _COUNT
    # Another run on this machine begins elsewhere.
    begin = random.randrange(_COUNT)
    return itertools.cycle([*range(first + begin, first + _COUNT), *range(first, first + begin)])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


_ports = _of_this_worker()
