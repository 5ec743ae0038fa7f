"""`strongroom-regtest`: a regtest node in a process of its own, for the demonstration and the tests."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from strongroom_regtest.miner import MiningFailed, mine
from strongroom_regtest.node import Node
from strongroom_regtest.server import RpcServer

BURN_ADDRESS = "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202"
"""Of a key hash of zeros: nobody has the key."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a node until SIGTERM, SIGINT or the call `stop`; the exit code is 0 then, 1 if the folder is in use."""
    arguments = _parser().parse_args(argv)
    datadir: Path = arguments.datadir
    if arguments.mine is not None:
        return _mine(datadir, arguments.mine, arguments.to)
    datadir.mkdir(parents=True, exist_ok=True)
    try:
        node = Node(datadir / "chain", lambda: int(time.time()))
    except RuntimeError as error:
        print(f"cannot open {datadir}: {error}; is another node using it?", file=sys.stderr)
        return 1
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    cookie = f"__cookie__:{secrets.token_hex(32)}"
    try:
        server = RpcServer(arguments.port, node, cookie, stopping.set)
    except OSError as error:
        print(f"cannot listen on 127.0.0.1:{arguments.port}: {error}", file=sys.stderr)
        node.close()
        return 1
    port = server.server_address[1]
    _write_private(datadir / ".cookie", cookie)
    _write_private(datadir / "rpc.port", f"{port}\n")
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="rpc")
    serving.start()
    print(json.dumps({"event": "ready", "port": port, "height": node.chain.height}), flush=True)
    stopping.wait()
    server.shutdown()
    serving.join()
    server.server_close()
    server.close_node()
    (datadir / ".cookie").unlink(missing_ok=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="strongroom-regtest",
        description="A Bitcoin regtest node on libbitcoinkernel, speaking a subset of Bitcoin Core's JSON-RPC.",
    )
    parser.add_argument("--datadir", type=Path, required=True, help="folder of blocks, chain state and cookie file")
    parser.add_argument(
        "--port", type=int, default=0, help="port on 127.0.0.1; 0 picks a free one and writes it to DATADIR/rpc.port"
    )
    parser.add_argument("--mine", type=int, metavar="BLOCKS", help="ask the node that runs on DATADIR to mine, and end")
    parser.add_argument(
        "--to", metavar="ADDRESS", default=BURN_ADDRESS, help="who gets the mined coins (default: nobody)"
    )
    return parser


def _mine(datadir: Path, blocks: int, address: str) -> int:
    try:
        height = mine(datadir, blocks, address)
    except MiningFailed as error:
        print(f"strongroom-regtest: {error}", file=sys.stderr)
        return 1
    print(f"mined {blocks} blocks, height {height}")
    return 0


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, complete or not at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
