"""Starts the embedded regtest node as a real process and calls its JSON-RPC interface."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

_CALL_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 30


class RegtestError(Exception):
    """The node answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class RegtestProcess:
    """One node over one data folder; `start` and `stop` may alternate."""

    def __init__(self, datadir: Path, port: int = 0) -> None:
        self.datadir = datadir
        self._wanted_port = port
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    @property
    def cookie_file(self) -> Path:
        return self.datadir / ".cookie"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> RegtestProcess:
        command = [sys.executable, "-m", "strongroom_regtest.main"]
        command += ["--datadir", str(self.datadir), "--port", str(self._wanted_port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, errors = self._process.communicate(timeout=_STOP_TIMEOUT_S)
            raise RuntimeError(f"the regtest node did not start: {errors}")
        self.port = json.loads(line)["port"]
        return self

    def stop(self) -> int:
        """Stop it with SIGTERM and give its exit code."""
        return self._end("terminate")

    def kill(self) -> int:
        """End it with SIGKILL, as a power switch would."""
        return self._end("kill")

    def wait(self) -> int:
        """Wait until it ends by itself."""
        return self._end("poll")

    def _end(self, how: str) -> int:
        process = self._process
        if process is None:
            return 0
        getattr(process, how)()
        process.communicate(timeout=_STOP_TIMEOUT_S)
        self._process = None
        return process.returncode

    def __enter__(self) -> RegtestProcess:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def call(self, method: str, *parameters: Any) -> Any:
        """Call one method; raises RegtestError with the node's code."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}).encode()
        credentials = base64.b64encode(self.cookie_file.read_bytes()).decode()
        request = urllib.request.Request(self.url, data=body, headers={"Authorization": f"Basic {credentials}"})
        with urllib.request.urlopen(request, timeout=_CALL_TIMEOUT_S) as reply:
            answer = json.load(reply)
        if "error" in answer:
            raise RegtestError(answer["error"]["code"], answer["error"]["message"])
        return answer["result"]

    def mine(self, count: int, address: str) -> list[str]:
        hashes: list[str] = self.call("generatetoaddress", count, address)
        return hashes
