"""What an operator asks of the running daemon over its socket: `status`, `freeze`, `thaw`, `hand-in` and more."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc

from strongroom.api.operator.v1 import operator_service_pb2 as pb
from strongroom.api.operator.v1 import operator_service_pb2_grpc as pb_grpc
from strongroom.api.types.v1 import types_pb2
from strongroom.model.errors import Kind, StrongroomError
from strongroom_signer.metrics import prometheus_text
from strongroom_signer.operator import BadRequest, socket_address
from strongroom_signer.status_view import status_facts, status_text

__all__ = ["BadHandInFile", "DaemonNotRunning", "DaemonRefused", "add", "ask", "operator_stub", "parse_hand_in"]

TIMEOUT_S: Final = 10.0
MAX_HAND_IN_BYTES: Final = 262_144
_ID_OR_DIGITS: Final = re.compile(r"[0-9a-f]{8,64}")


class DaemonNotRunning(StrongroomError):
    """No daemon listens on the operator's socket."""

    reason = "DAEMON_NOT_RUNNING"
    kind = Kind.UNAVAILABLE
    remedy = "start it: `strongroom-signer run`"


class DaemonRefused(StrongroomError):
    """The daemon refused what its operator asked; its message says why."""

    reason = "REFUSED_BY_DAEMON"
    kind = Kind.FAILED_PRECONDITION
    remedy = "do what the message says"


class BadHandInFile(StrongroomError):
    """The file is not one that `strongroom` writes for handing in."""

    reason = "HAND_IN_FILE_INVALID"
    kind = Kind.INVALID_ARGUMENT
    remedy = "ask its author for the file again"


def add(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    status = command("status", "what the running signer holds, votes for, and lacks")
    status.add_argument("--prometheus", action="store_true", help="write metrics in Prometheus' text format instead")
    freeze = command("freeze", "stop this signer's shares at once, daemon or not, and ask for a freeze in the ledger")
    freeze.add_argument("--vault", default="", help="one vault; all vaults when left out")
    freeze.add_argument("--why", required=True, help="the reason, for everybody to read")
    thaw = command("thaw", "end this operator's own freeze here (the ledger's needs the unfreeze quorum)")
    thaw.add_argument("freeze_id", help="its id, or 8 or more first digits of it (`status` lists them)")
    hand_in = command("hand-in", "hand a signed rejection, freeze or revocation to this signer; it acts at once")
    hand_in.add_argument("file", type=Path, help="the file the person gave you")
    reinstate = command("reinstate", "say that what a record of evidence shows of this signer is mended")
    reinstate.add_argument("evidence_hash", help="its hash, 64 hex digits (`status` shows it)")
    accept = command("accept", "let this signer take part in an order for new shares that asks for your word")
    accept.add_argument("order_hash", help="the order's hash, 64 hex digits: compare it with who asks for it")


def ask(options: argparse.Namespace, socket: Path) -> tuple[dict[str, Any], str]:
    """Put one command to the daemon; returns facts for machines and a text for people.

    Raises:
        DaemonNotRunning: nobody answers on the socket.
        DaemonRefused: the daemon says no.
    """
    with operator_stub(socket) as stub:
        return _COMMANDS[options.command](stub, options)


@contextmanager
def operator_stub(socket: Path) -> Iterator[pb_grpc.OperatorServiceStub]:
    """The running daemon, as its operator talks to it.

    Raises:
        DaemonNotRunning: nobody answers on the socket.
        DaemonRefused: the daemon says no.
    """
    if not socket.exists():
        raise DaemonNotRunning(f"no daemon listens on {socket}: start it with `strongroom-signer run`")
    address, folder = socket_address(socket)
    try:
        with grpc.insecure_channel(address) as channel:
            yield pb_grpc.OperatorServiceStub(channel)
    except grpc.RpcError as error:
        code, details = error.code(), error.details() or ""
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            raise DaemonNotRunning(f"no daemon answers on {socket}: start it with `strongroom-signer run`") from None
        raise DaemonRefused(details) from None
    finally:
        if folder is not None:
            os.close(folder)


def _status(stub: pb_grpc.OperatorServiceStub, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    status = stub.GetStatus(pb.GetStatusRequest(), timeout=TIMEOUT_S)
    facts = status_facts(status)
    return facts, prometheus_text(facts) if options.prometheus else status_text(status)


def _freeze(stub: pb_grpc.OperatorServiceStub, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    answer = stub.Freeze(pb.FreezeRequest(vault=options.vault, why=options.why), timeout=TIMEOUT_S)
    where = f"vault {options.vault}" if options.vault else "all vaults"
    return (
        {"freeze_id": answer.freeze_id.hex(), "vault": options.vault or None, "daemon": True},
        f"This signer gives no more shares for {where}. The ledger is asked to freeze it too.\n"
        f"Freeze id {answer.freeze_id.hex()}",
    )


def _thaw(stub: pb_grpc.OperatorServiceStub, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    identifier = _freeze_named(stub, options.freeze_id)
    stub.Thaw(pb.ThawRequest(freeze_id=identifier), timeout=TIMEOUT_S)
    return (
        {"thawed": identifier.hex()},
        "This signer's own freeze has ended. A freeze in the ledger ends by the unfreeze quorum, or lapses.",
    )


def _freeze_named(stub: pb_grpc.OperatorServiceStub, text: str) -> bytes:
    """The id of the operator's own freeze that is meant by it, or by its first digits."""
    digits = text.strip().lower()
    if _ID_OR_DIGITS.fullmatch(digits) is None:
        raise BadRequest("a freeze is named by its id, or by 8 or more first digits of it: `status` lists them")
    if len(digits) == 64:
        return bytes.fromhex(digits)
    status = stub.GetStatus(pb.GetStatusRequest(), timeout=TIMEOUT_S)
    found = [freeze.id for freeze in status.local_freezes if freeze.id.hex().startswith(digits)]
    if len(found) != 1:
        what = f"{len(found)} local freezes begin" if found else "no local freeze begins"
        raise BadRequest(f"{what} with {digits}: `status` lists them")
    return bytes(found[0])


def _hand_in(stub: pb_grpc.OperatorServiceStub, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    with options.file.open("rb") as file:
        request = parse_hand_in(file.read(MAX_HAND_IN_BYTES + 1))
    answer = stub.HandIn(request, timeout=TIMEOUT_S)
    return {"effect": answer.effect}, answer.effect


def _reinstate(stub: pb_grpc.OperatorServiceStub, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    evidence = _hash_of(options.evidence_hash, "the hash of evidence is 64 hex digits: `status` shows it")
    stub.Reinstate(pb.ReinstateRequest(evidence_hash=evidence), timeout=TIMEOUT_S)
    status = stub.GetStatus(pb.GetStatusRequest(), timeout=TIMEOUT_S)
    is_told = status.HasField("quarantine") and status.quarantine.evidence_hash == evidence
    text = (
        "Stated, and kept. The coordinator asks this signer for shares again once an order to reinstate it has acted\n"
        f"too: strongroom signers reinstate {status.signer} {evidence.hex()}"
    )
    if not is_told:
        text += "\nThe coordinator has told this signer of no such evidence: compare the hash with `status`."
    return {"evidence": evidence.hex(), "told_by_coordinator": is_told}, text


def _accept(stub: pb_grpc.OperatorServiceStub, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    order = _hash_of(options.order_hash, "the hash of an order is 64 hex digits")
    answer = stub.Accept(pb.AcceptRequest(order_hash=order), timeout=TIMEOUT_S)
    return {"order": order.hex(), "effect": answer.effect}, f"Accepted, and kept: {answer.effect}"


def _hash_of(text: str, problem: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise BadRequest(problem)
    return found


def parse_hand_in(data: bytes) -> pb.HandInRequest:
    """Read a hand-in file: JSON with `v` 1, `endorsements` (each `body` and `signature` in hex) and perhaps `order`.

    Raises:
        BadHandInFile: it is something else.
    """
    if len(data) > MAX_HAND_IN_BYTES:
        raise BadHandInFile(f"a hand-in file is at most {MAX_HAND_IN_BYTES} bytes")
    try:
        content = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise BadHandInFile("the file is not JSON") from None
    if not isinstance(content, dict) or content.get("v") != 1 or set(content) - {"v", "order", "endorsements"}:
        raise BadHandInFile("the file must hold v = 1, endorsements, and for a freeze or a revocation its order")
    endorsements = content.get("endorsements")
    if not isinstance(endorsements, list) or not endorsements:
        raise BadHandInFile("endorsements: must be a list that is not empty")
    return pb.HandInRequest(
        order=_hex(content.get("order", ""), "order"), endorsements=[_endorsement(item) for item in endorsements]
    )


def _endorsement(item: Any) -> types_pb2.SignedBody:
    if not isinstance(item, dict) or set(item) != {"body", "signature"}:
        raise BadHandInFile("an endorsement holds exactly body and signature")
    return types_pb2.SignedBody(
        body=_hex(item["body"], "endorsements.body"), signature=_hex(item["signature"], "endorsements.signature")
    )


def _hex(value: Any, where: str) -> bytes:
    try:
        return bytes.fromhex(value) if isinstance(value, str) else _not_hex(where)
    except ValueError:
        return _not_hex(where)


def _not_hex(where: str) -> bytes:
    raise BadHandInFile(f"{where}: must be hex")


_COMMANDS: Final[dict[str, Callable[[pb_grpc.OperatorServiceStub, argparse.Namespace], tuple[dict[str, Any], str]]]] = {
    "status": _status,
    "freeze": _freeze,
    "thaw": _thaw,
    "hand-in": _hand_in,
    "reinstate": _reinstate,
    "accept": _accept,
}
