"""The files of a sweep by the recovery kit, version 1: JSON objects that can be carried on a stick or mailed.

    {"kind": "strongroom-sweep-order", "v": 1, "order": HEX, "approvals": [{"body": HEX, "signature": HEX}]}
    {"kind": "strongroom-sweep-plan", "v": 1, "hash": HEX, "plan": HEX, "transaction": HEX, "psbt": BASE64}
    {"kind": "strongroom-sweep-commitments", "v": 1, "body": HEX, "signature": HEX}
    {"kind": "strongroom-sweep-shares", "v": 1, "body": HEX, "signature": HEX}

Hex is lower case. Nothing but these parts may stand in a file, so that each has one reading. The transaction and the
PSBT of a plan are for other programs; a file in which they are not the plan's own is refused.

Coins come as a Bitcoin node's `scantxoutset` prints them, or as a list of objects with `txid`, `vout`, `amount_sat` and
`address`.

Spec: docs/protocol/recovery-kit.md.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NoReturn

from strongroom.chains.bitcoin import policy
from strongroom.chains.bitcoin.address import BadAddress, script_of
from strongroom.chains.bitcoin.networks import Network
from strongroom.chains.bitcoin.psbt import psbt_of
from strongroom.chains.bitcoin.transaction import InvalidTransaction, txid_bytes
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.order_messages import MAX_ORDER_BYTES
from strongroom.ledger.signed_messages import Signed
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.recovery_kit_order import MAX_APPROVALS
from strongroom.protocol.recovery_kit_plan import FoundCoin, OpenedPlan, open_plan
from strongroom.protocol.recovery_kit_records import MAX_SWEEP_PLAN_BYTES
from strongroom.protocol.recovery_kit_words import COMMITMENTS, SHARES
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody

__all__ = [
    "MAX_COINS_BYTES",
    "MAX_FILE_BYTES",
    "Coins",
    "SweepFileInvalid",
    "SweepOrderFile",
    "read_coins",
    "read_order_file",
    "read_plan_file",
    "read_revocation_file",
    "read_word_file",
    "write_order_file",
    "write_plan_file",
    "write_word_file",
]

MAX_FILE_BYTES: Final = 2 * 1024 * 1024
MAX_COINS_BYTES: Final = 64 * 1024 * 1024
_VERSION: Final = 1
_ORDER: Final = "strongroom-sweep-order"
_PLAN: Final = "strongroom-sweep-plan"
_WORDS: Final = {COMMITMENTS: "strongroom-sweep-commitments", SHARES: "strongroom-sweep-shares"}
_HEX: Final = frozenset("0123456789abcdef")
_SATOSHI_DIGITS: Final = 8
_MATURITY: Final = 100
"""Blocks after which a coin that was mined may be spent."""


class SweepFileInvalid(StrongroomError):
    """A file is not what the recovery kit asks for here: another kind, changed, or damaged. Get it again."""

    reason = "SWEEP_FILE_INVALID"
    kind = Kind.INVALID_ARGUMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOrderFile:
    """An order and what was said of it, neither judged yet: canonical bytes, and signed endorsements."""

    order: bytes
    approvals: tuple[Signed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Coins:
    """Coins that can be spent, and how many were left out because they were mined too lately."""

    found: tuple[FoundCoin, ...]
    immature: int = 0


# --- order, plan, words ---


def write_order_file(file: SweepOrderFile) -> bytes:
    """The content of an order's file."""
    approvals = [{"body": one.body.hex(), "signature": one.signature.hex()} for one in file.approvals]
    return _written(_ORDER, {"order": file.order.hex(), "approvals": approvals})


def read_order_file(content: bytes) -> SweepOrderFile:
    """An order's file.

    Raises:
        SweepFileInvalid: it is no such file.
    """
    parts = _read(content, _ORDER, {"order", "approvals"})
    approvals = parts["approvals"]
    if type(approvals) is not list or len(approvals) > MAX_APPROVALS:
        raise SweepFileInvalid(f"approvals: must be a list of at most {MAX_APPROVALS}")
    order = _bytes(parts["order"], "order")
    if len(order) > MAX_ORDER_BYTES:
        raise SweepFileInvalid(f"order: {len(order)} bytes are more than {MAX_ORDER_BYTES}")
    return SweepOrderFile(order=order, approvals=tuple(_approval(one) for one in approvals))


def read_revocation_file(content: bytes) -> SweepOrderFile:
    """The file that administrators hand to signers, with an amendment and its approvals; nothing of it judged yet.

    Raises:
        SweepFileInvalid: it is no such file.
    """
    if len(content) > MAX_FILE_BYTES:
        raise SweepFileInvalid(f"a file has at most {MAX_FILE_BYTES} bytes")
    parts = _object(_json(content), {"v", "order", "endorsements"}, "what is handed to signers")
    said = parts["endorsements"]
    if type(parts["v"]) is not int or parts["v"] != 1:
        raise SweepFileInvalid("v: must be 1")
    if type(said) is not list or len(said) > MAX_APPROVALS:
        raise SweepFileInvalid(f"endorsements: must be a list of at most {MAX_APPROVALS}")
    return SweepOrderFile(order=_bytes(parts["order"], "order"), approvals=tuple(_approval(one) for one in said))


def _approval(value: object) -> Signed:
    parts = _object(value, {"body", "signature"}, "an approval")
    try:
        return Signed(body=_bytes(parts["body"], "body"), signature=_bytes(parts["signature"], "signature"))
    except NotCanonical as error:
        raise SweepFileInvalid(f"an approval: {error.message}") from error


def write_plan_file(opened: OpenedPlan) -> bytes:
    """The content of a plan's file."""
    return _written(_PLAN, _plan_parts(opened))


def read_plan_file(content: bytes) -> OpenedPlan:
    """A plan's file, the plan opened and not judged yet.

    Raises:
        SweepFileInvalid: it is no such file, or says of the plan what is not so.
        SweepPlanRefused: the plan in it does not hold together.
    """
    parts = _read(content, _PLAN, {"hash", "plan", "transaction", "psbt"})
    data = _bytes(parts["plan"], "plan")
    if len(data) > MAX_SWEEP_PLAN_BYTES:
        raise SweepFileInvalid(f"plan: {len(data)} bytes are more than {MAX_SWEEP_PLAN_BYTES}")
    opened = open_plan(data)
    for name, value in _plan_parts(opened).items():
        if parts[name] != value:
            raise SweepFileInvalid(f"{name}: is not that of the plan beside it: the file was changed")
    return opened


def _plan_parts(opened: OpenedPlan) -> dict[str, Any]:
    return {
        "hash": opened.hash.hex(),
        "plan": opened.data.hex(),
        "transaction": opened.spend.unsigned_transaction().stripped.hex(),
        "psbt": b64encode(psbt_of(opened.spend)).decode("ascii"),
    }


def write_word_file(kind: str, signed: SignedBody) -> bytes:
    """The content of the file with a holder's commitments or shares."""
    return _written(_WORDS[kind], {"body": signed.body.hex(), "signature": signed.signature.hex()})


def read_word_file(kind: str, content: bytes) -> SignedBody:
    """The file with a holder's commitments or shares, nothing of it verified yet.

    Raises:
        SweepFileInvalid: it is no such file.
    """
    parts = _read(content, _WORDS[kind], {"body", "signature"})
    body, signature = _bytes(parts["body"], "body"), _bytes(parts["signature"], "signature")
    if len(body) > MAX_BODY_BYTES or len(signature) != 64:
        raise SweepFileInvalid("the body is too long, or the signature has not 64 bytes")
    return SignedBody(body=body, signature=signature)


# --- coins ---


def read_coins(content: bytes, network: Network) -> Coins:
    """Coins as a node's `scantxoutset` prints them, also inside the node's whole answer, or as a simple list.

    Raises:
        SweepFileInvalid: it is neither, or a coin in it is none.
    """
    if len(content) > MAX_COINS_BYTES:
        raise SweepFileInvalid(f"a file of coins has at most {MAX_COINS_BYTES} bytes")
    parsed = _json(content)
    if type(parsed) is list:
        return Coins(found=tuple(_listed(one, network) for one in parsed))
    if type(parsed) is dict and type(parsed.get("result")) is dict:
        parsed = parsed["result"]
    if type(parsed) is not dict or parsed.get("success") is not True or type(parsed.get("unspents")) is not list:
        raise SweepFileInvalid("the file of coins is neither what `scantxoutset` prints nor a list of coins")
    ripe = [one for one in parsed["unspents"] if not _is_immature(one, parsed.get("height"))]
    return Coins(found=tuple(_scanned(one) for one in ripe), immature=len(parsed["unspents"]) - len(ripe))


def _listed(value: object, network: Network) -> FoundCoin:
    parts = _object(value, {"txid", "vout", "amount_sat", "address"}, "a coin")
    if type(parts["address"]) is not str:
        raise SweepFileInvalid("address: must be text")
    try:
        script = script_of(parts["address"], network)
    except BadAddress as error:
        raise SweepFileInvalid(f"address: {error.message}") from error
    return _coin(parts["txid"], parts["vout"], parts["amount_sat"], script)


def _scanned(value: Any) -> FoundCoin:
    amount = value.get("amount")
    if type(amount) is int:
        amount = Decimal(amount)
    if type(amount) is not Decimal or not 0 < amount <= policy.MAX_MONEY_SAT // 10**_SATOSHI_DIGITS:
        raise SweepFileInvalid("amount: must be a number of bitcoin")
    if int(amount.as_tuple().exponent) < -_SATOSHI_DIGITS:
        raise SweepFileInvalid("amount: is finer than a satoshi")
    return _coin(
        value.get("txid"),
        value.get("vout"),
        int(amount.scaleb(_SATOSHI_DIGITS)),
        _bytes(value.get("scriptPubKey"), "scriptPubKey"),
    )


def _coin(txid: object, vout: object, amount_sat: object, script: bytes) -> FoundCoin:
    if type(txid) is not str:
        raise SweepFileInvalid("txid: must be text")
    try:
        internal = txid_bytes(txid)
    except InvalidTransaction as error:
        raise SweepFileInvalid(f"txid: {error.message}") from error
    if type(vout) is not int or not 0 <= vout <= 0xFFFF_FFFF:
        raise SweepFileInvalid("vout: must be the number of an output")
    if type(amount_sat) is not int or not 1 <= amount_sat <= policy.MAX_MONEY_SAT:
        raise SweepFileInvalid("amount_sat: must be an amount in satoshi")
    return FoundCoin(txid=internal, vout=vout, amount_sat=amount_sat, script=script)


def _is_immature(value: object, height: object) -> bool:
    """Whether a coin was mined too lately to be spent, as far as the file tells."""
    if type(value) is not dict:
        raise SweepFileInvalid("unspents: must be a list of objects")
    mined = value.get("height")
    # The next block is the first that could spend it.
    return (
        value.get("coinbase") is True and type(height) is int and type(mined) is int and height + 1 - mined < _MATURITY
    )


# --- JSON ---


def _written(kind: str, parts: dict[str, Any]) -> bytes:
    return json.dumps({"kind": kind, "v": _VERSION, **parts}, indent=1).encode("ascii") + b"\n"


def _read(content: bytes, kind: str, names: set[str]) -> dict[str, Any]:
    if len(content) > MAX_FILE_BYTES:
        raise SweepFileInvalid(f"a file of the recovery kit has at most {MAX_FILE_BYTES} bytes")
    parts = _object(_json(content), {"kind", "v", *names}, f"a {kind}")
    if parts["kind"] != kind or type(parts["v"]) is not int or parts["v"] != _VERSION:
        raise SweepFileInvalid(f"the file is no {kind} of version {_VERSION}")
    return parts


def _json(content: bytes) -> Any:
    try:
        return json.loads(
            content.decode("ascii"), parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_distinct
        )
    except (ValueError, RecursionError, ArithmeticError):
        raise SweepFileInvalid("the file is not JSON in ASCII with each name once") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _object(value: object, names: set[str], what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise SweepFileInvalid(f"{what} must have exactly these parts: {', '.join(sorted(names))}")
    return value


def _bytes(value: object, where: str) -> bytes:
    digits = value if isinstance(value, str) else ""
    # `bytes.fromhex` takes spaces, which no writer of these files makes.
    if not digits or set(digits) - _HEX or len(digits) % 2:
        raise SweepFileInvalid(f"{where}: must be lower-case hex")
    return bytes.fromhex(digits)
