"""Asking a running regtest node to mine: what a newcomer types instead of a JSON-RPC call."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

__all__ = ["MiningFailed", "mine"]


class MiningFailed(Exception):
    """The node is not running on this folder, or refused."""


def mine(datadir: Path, blocks: int, address: str) -> int:
    """Mine blocks that pay `address` and return the new height.

    Raises:
        MiningFailed: says what is wrong and what to do.
    """
    try:
        port = int((datadir / "rpc.port").read_text())
        cookie = (datadir / ".cookie").read_text()
    except (OSError, ValueError):
        raise MiningFailed(
            f"no node runs on {datadir}: start one with strongroom-regtest --datadir {datadir}"
        ) from None
    _call(port, cookie, "generatetoaddress", [blocks, address])
    height: int = _call(port, cookie, "getblockcount", [])
    return height


def _call(port: int, cookie: str, method: str, parameters: list[object]) -> int:
    body = json.dumps({"id": 1, "method": method, "params": parameters}).encode()
    headers = {"Authorization": "Basic " + b64encode(cookie.encode()).decode(), "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:  # noqa: S310 - our own node on loopback
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        answer = json.load(error)
    except OSError as error:
        raise MiningFailed(f"the node does not answer on port {port}: {error}") from None
    if answer.get("error"):
        raise MiningFailed(f"the node refused: {answer['error'].get('message')}")
    result: int = answer["result"]
    return result
