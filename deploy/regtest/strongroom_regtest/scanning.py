"""`scantxoutset`: the unspent coins at the scripts that descriptors name, without a wallet.

Descriptors known here: `addr(ADDRESS)`, `raw(HEX)`, and `tr(XPUB/NUMBER/.../*)` with a key path alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from strongroom.chains.bitcoin.address import BadAddress, script_of
from strongroom.chains.bitcoin.keys import taproot_output_key, with_checksum
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.chains.bitcoin.transaction import txid_text
from strongroom.crypto.bip32 import ExtendedPublicKey
from strongroom.crypto.errors import InvalidInput
from strongroom_regtest.errors import Code, RpcError
from strongroom_regtest.node import Node
from strongroom_regtest.parameters import Parameters
from strongroom_regtest.render import btc

__all__ = ["scantxoutset"]

_DEFAULT_RANGE: Final = 1_000
_MAX_SCRIPTS: Final = 25_000
"""So that an answer takes seconds, not minutes."""
_DESCRIPTOR: Final = re.compile(r"(addr|raw|tr)\(([0-9A-Za-z/*]+)\)")
_RANGED: Final = re.compile(r"([0-9A-Za-z]+)((?:/[0-9]{1,9})*)/\*")


def scantxoutset(node: Node, given: Parameters) -> Any:
    """Look through all coins of the active chain, the mempool left out."""
    action = given.text("action")
    if action != "start":
        raise RpcError(
            Code.INVALID_PARAMETER, f"Invalid action '{action}': a scan here ends before it could be asked for"
        )
    objects = given.items("scanobjects")
    scripts: dict[bytes, str] = {}
    for script, text in chain.from_iterable(map(_scripts, objects)):
        scripts[script] = text
        if len(scripts) > _MAX_SCRIPTS:
            raise RpcError(Code.INVALID_PARAMETER, f"more than {_MAX_SCRIPTS} scripts: scan in parts")
    index = node.chain
    unspents = [
        {
            "txid": txid_text(txid),
            "vout": vout,
            "scriptPubKey": coin.script.hex(),
            "desc": scripts[coin.script],
            "amount": btc(coin.amount_sat),
            "coinbase": coin.is_coinbase,
            "height": coin.height,
            "blockhash": txid_text(index.hash_at(coin.height)),
            "confirmations": index.height - coin.height + 1,
        }
        for (txid, vout), coin in index.coins_paying(scripts)
    ]
    return {
        "success": True,
        "txouts": index.coins_count,
        "height": index.height,
        "bestblock": txid_text(index.hash_at(index.height)),
        "unspents": unspents,
        "total_amount": btc(sum(coin.amount_sat for _, coin in index.coins_paying(scripts))),
    }


def _scripts(item: object) -> Iterator[tuple[bytes, str]]:
    """Each script of a scan object, and what it is described by."""
    last = _DEFAULT_RANGE
    if isinstance(item, dict):
        last, item = item.get("range", last), item.get("desc")
    if not isinstance(item, str) or type(last) is not int or not last >= 0:
        raise RpcError(Code.INVALID_PARAMETER, "a scanobject is a descriptor, or has a desc and the end of a range")
    text, _, checksum = item.partition("#")
    match = _DESCRIPTOR.fullmatch(text)
    if match is None or (checksum and with_checksum(text) != item):
        raise RpcError(
            Code.INVALID_ADDRESS_OR_KEY, f"'{item[:200]}' is no descriptor known here, or its checksum is wrong"
        )
    kind, inside = match.groups()
    try:
        if kind == "addr":
            yield script_of(inside, REGTEST), text
        elif kind == "raw":
            yield bytes.fromhex(inside), text
        else:
            yield from _taproot(inside, last)
    except (BadAddress, InvalidInput, ValueError) as error:
        raise RpcError(Code.INVALID_ADDRESS_OR_KEY, f"'{item[:200]}' names no script: {error}") from error


def _taproot(inside: str, last: int) -> Iterator[tuple[bytes, str]]:
    match = _RANGED.fullmatch(inside)
    if match is None:
        raise ValueError("a key with a path that ends in /*")
    key = ExtendedPublicKey.parse(match.group(1))
    for step in match.group(2).split("/")[1:]:
        key = key.child(int(step))
    for index in range(last + 1):
        _, output = taproot_output_key(key.child(index).public_key[1:])
        yield b"\x51\x20" + output, f"tr({inside[:-1]}{index})"
