"""HTTP on the loopback interface: JSON-RPC 1.0 and 2.0 with a cookie, as Bitcoin Core serves them."""

from __future__ import annotations

import hmac
import json
import sys
import threading
from base64 import b64encode
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import isfinite
from typing import Any, ClassVar, Final

from strongroom_regtest.errors import Code, RpcError
from strongroom_regtest.methods import METHODS
from strongroom_regtest.node import Node
from strongroom_regtest.parameters import Parameters

MAX_REQUEST_BYTES: Final = 32 * 1024 * 1024
_MAX_DIGITS: Final = 10
_IDLE_TIMEOUT_S: Final = 120
_LEGACY_STATUS: Final = {
    Code.INVALID_REQUEST: HTTPStatus.BAD_REQUEST,
    Code.METHOD_NOT_FOUND: HTTPStatus.NOT_FOUND,
}


class RpcServer(ThreadingHTTPServer):
    """Serves one node; connections have threads of their own, calls run one at a time."""

    daemon_threads = True
    block_on_close = False
    # Restarting on the same port must not wait for the kernel's timeout of old connections.
    allow_reuse_address = True

    def __init__(self, port: int, node: Node, credentials: str, stop: Callable[[], None]) -> None:
        """Bind 127.0.0.1; `credentials` is `user:password`, `stop` ends the process soon."""
        super().__init__(("127.0.0.1", port), _Handler)
        self._node = node
        self._authorization = b"Basic " + b64encode(credentials.encode())
        self._stop = stop
        self._lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a client go that was killed in the middle of an answer; tell of anything else."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def authorised(self, header: str | None) -> bool:
        """True if the Authorization header carries the cookie."""
        return header is not None and hmac.compare_digest(header.encode("latin-1", "replace"), self._authorization)

    def call(self, method: str, parameters: object) -> Any:
        """Run one method.

        Raises:
            RpcError: the call failed.
        """
        if method == "stop":
            self._stop()
            return "Regtest node stopping"
        if method not in METHODS:
            raise RpcError(Code.METHOD_NOT_FOUND, "Method not found")
        names, function = METHODS[method]
        with self._lock:
            return function(self._node, Parameters(names, parameters))

    def close_node(self) -> None:
        """Close the node once no call runs any more."""
        with self._lock:
            self._node.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_TIMEOUT_S
    # Without this a small reply waits for the client's delayed acknowledgement.
    disable_nagle_algorithm: ClassVar[bool] = True
    server: RpcServer

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        is_number = length.isascii() and length.isdigit() and len(length) <= _MAX_DIGITS
        if not is_number or int(length) > MAX_REQUEST_BYTES:
            self.close_connection = True
            self._reply(HTTPStatus.BAD_REQUEST, None)
            return
        body = self.rfile.read(int(length))
        if not self.server.authorised(self.headers.get("Authorization")):
            self._reply(HTTPStatus.UNAUTHORIZED, None)
            return
        try:
            request = json.loads(body, parse_constant=_finite, parse_float=_finite)
        except (ValueError, RecursionError):
            error = RpcError(Code.PARSE_ERROR, "Parse error")
            self._reply(HTTPStatus.INTERNAL_SERVER_ERROR, _failure(None, error, modern=False))
            return
        if isinstance(request, list):
            self._reply(HTTPStatus.OK, [self._answer(item)[1] for item in request])
        else:
            self._reply(*self._answer(request))

    def _answer(self, request: object) -> tuple[HTTPStatus, dict[str, Any]]:
        identifier: object = None
        modern = False
        try:
            if not isinstance(request, dict):
                raise RpcError(Code.INVALID_REQUEST, "Invalid Request object")
            identifier = request.get("id")
            modern = request.get("jsonrpc") == "2.0"
            method = request.get("method")
            if not isinstance(method, str):
                raise RpcError(Code.INVALID_REQUEST, "Missing method")
            result = self.server.call(method, request.get("params"))
        except RpcError as error:
            legacy = _LEGACY_STATUS.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
            return HTTPStatus.OK if modern else legacy, _failure(identifier, error, modern=modern)
        answer = {"result": result, "id": identifier}
        return HTTPStatus.OK, {"jsonrpc": "2.0", **answer} if modern else {**answer, "error": None}

    def _reply(self, status: HTTPStatus, answer: object) -> None:
        body = b"" if answer is None else json.dumps(answer, allow_nan=False).encode() + b"\n"
        self.send_response(status)
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="jsonrpc"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged: the node prints nothing but its ready line."""


def _finite(text: str) -> float:
    """A number that an answer can carry back; NaN and the infinities are not JSON."""
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text} is out of range")
    return number


def _failure(identifier: object, error: RpcError, *, modern: bool) -> dict[str, Any]:
    answer = {"error": {"code": int(error.code), "message": error.message}, "id": identifier}
    return {"jsonrpc": "2.0", **answer} if modern else {"result": None, **answer}
