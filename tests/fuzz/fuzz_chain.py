"""Targets of the chain: transactions, blocks, addresses, and what a node answers or is asked over JSON-RPC."""

from __future__ import annotations

import io
import json
import threading
import urllib.request
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import httpx
from fuzz_target import choice, scratch, target, text_of, total
from fuzz_world import VAULT, busy_world, lasting_loop

import charter_builder as builder
from strongroom.chains.bitcoin.address import address_of, script_of
from strongroom.chains.bitcoin.block import BlockHeader, merkle_root, parse_block, parse_header
from strongroom.chains.bitcoin.keys import VaultKey
from strongroom.chains.bitcoin.networks import NETWORKS, REGTEST
from strongroom.chains.bitcoin.transaction import Reader, parse, read_transaction, txid_bytes, txid_text
from strongroom.crypto import bech32
from strongroom.crypto.bip32 import ExtendedPublicKey, base58check_decode, base58check_encode
from strongroom.crypto.curve import Point
from strongroom.ledger.codec import decode
from strongroom.ledger.entry_messages import Entry, Plan
from strongroom.ledger.plans import spend_of
from strongroom_client.audit import PlannedSpend
from strongroom_client.audit_chain import BitcoinRpc, verify_chain
from strongroom_coordinator.chain.json_rpc import JsonRpcNode
from strongroom_regtest.errors import RpcError
from strongroom_regtest.node import Node
from strongroom_regtest.server import RpcServer, _Handler

LOWEST_TARGET: Final = 0x207FFFFF


@lru_cache(maxsize=1)
def plans() -> tuple[Plan, ...]:
    bodies = [decode(Entry, entry).body for preview in busy_world().previews for entry in preview.batch.entries]
    return tuple(body for body in bodies if isinstance(body, Plan))


@lru_cache(maxsize=1)
def transactions() -> tuple[bytes, ...]:
    spends = [spend_of(busy_world().state, plan) for plan in plans()]
    return tuple(spend.unsigned_transaction().serialise() for spend in spends)


def transaction_seeds() -> Iterator[bytes]:
    yield from transactions()
    # One with a witness, one that looks like a coinbase.
    head = (2).to_bytes(4, "little")
    one_input = b"\1" + b"\x11" * 32 + b"\0\0\0\0" + b"\0" + b"\xfd\xff\xff\xff"
    one_output = b"\1" + (1_000).to_bytes(8, "little") + b"\x16" + b"\0\x14" + b"\x22" * 20
    yield head + b"\0\1" + one_input + one_output + b"\1\x40" + b"\x33" * 64 + b"\0\0\0\0"
    yield head + b"\1" + bytes(32) + b"\xff\xff\xff\xff" + b"\3\1\2\3" + b"\xff\xff\xff\xff" + one_output + b"\0" * 4


@target("strongroom.chains.bitcoin.transaction:parse", seeds=transaction_seeds, max_bytes=2_048)
def transaction(data: bytes) -> None:
    """A serialised transaction has one reading, which serialises back."""
    found = total(parse, data)
    if found is None:
        return
    if found.serialise() != data:
        raise ValueError("a transaction has two encodings")
    if len(found.txid) != 32 or found.weight <= 0:
        raise ValueError("a transaction without id or weight")
    if txid_bytes(txid_text(found.txid)) != found.txid:
        raise ValueError("a transaction id changes as text")


def mined(*raw: bytes) -> bytes:
    """A block of these transactions that meets the lowest target."""
    root = merkle_root([parse(item).txid for item in raw])
    for nonce in range(1_000):
        header = BlockHeader(version=4, previous=bytes(32), merkle_root=root, time_s=1, bits=LOWEST_TARGET, nonce=nonce)
        if header.meets_target:
            return header.serialise() + bytes([len(raw)]) + b"".join(raw)
    raise RuntimeError("no block found")


def block_seeds() -> Iterator[bytes]:
    seeds = list(transaction_seeds())
    yield mined(seeds[-1])
    yield mined(seeds[-1], seeds[0], seeds[1])


@target(
    "strongroom.chains.bitcoin.block:parse_block",
    "strongroom.chains.bitcoin.block:parse_header",
    seeds=block_seeds,
    max_bytes=4_096,
)
def block(data: bytes) -> None:
    """A serialised block; with its Merkle root and proof of work put right as well, so that the rest is reached."""
    header = total(parse_header, data[:80])
    if header is not None and header.serialise() != data[:80]:
        raise ValueError("a block header has two encodings")
    for tried in (data, repaired(data)):
        found = total(parse_block, tried)
        if found is not None and found.serialise() != tried:
            raise ValueError("a block has two encodings")


def repaired(data: bytes) -> bytes:
    """The same block with a header that commits to the transactions, as a node that lies can always make it."""
    reader, found = Reader(data[81:]), []
    while len(found) < 8:
        one = total(read_transaction, reader)
        if one is None:
            break
        found.append(one.serialise())
    return mined(*found) if found and total(merkle_root, [parse(item).txid for item in found]) else data


# --- text of addresses and keys ---


def address_seeds() -> Iterator[bytes]:
    scripts = [
        b"\x76\xa9\x14" + b"\1" * 20 + b"\x88\xac",
        b"\xa9\x14" + b"\2" * 20 + b"\x87",
        b"\0\x14" + b"\3" * 20,
        b"\0\x20" + b"\4" * 32,
        b"\x51\x20" + b"\5" * 32,
    ]
    for number, network in enumerate(NETWORKS):
        yield from (bytes([number]) + address_of(script, network).encode() for script in scripts)
    yield b"\0" + builder.ADDRESS.encode()


@target(
    "strongroom.chains.bitcoin.address:script_of",
    "strongroom.crypto.bech32:decode",
    "strongroom.crypto.bech32:decode_segwit",
    "strongroom.crypto.bip32:base58check_decode",
    seeds=address_seeds,
    max_bytes=200,
)
def address(data: bytes) -> None:
    """Addresses of every network, bech32 and base58check: one spelling each."""
    network, rest = choice(data, list(NETWORKS))
    text = text_of(rest)
    script = total(script_of, text, network)
    if script is not None and address_of(script, network) != text:
        raise ValueError("an address has two spellings")
    found = total(bech32.decode, text)
    if found is not None and bech32.encode(*found) not in (text, text.lower()):
        raise ValueError("a bech32 text has two spellings")
    total(bech32.decode_segwit, network.hrp, text)
    payload = total(base58check_decode, text)
    if payload is not None and base58check_encode(payload) != text:
        raise ValueError("a base58check text has two spellings")


def key_seeds() -> Iterator[bytes]:
    key = busy_world().vault_key(VAULT)
    for network in NETWORKS:
        yield key.xpub(network).encode()
    yield ExtendedPublicKey.parse(key.xpub(REGTEST)).child(7).encode().encode()


@target("strongroom.crypto.bip32:ExtendedPublicKey.parse", seeds=key_seeds, max_bytes=160)
def extended_key(data: bytes) -> None:
    """Extended public keys; also with the checksum put right, so that the fields are reached."""
    texts = [text_of(data), base58check_encode(data)]
    for text in texts:
        found = total(ExtendedPublicKey.parse, text)
        if found is not None:
            if found.encode() != text:
                raise ValueError("an extended key has two spellings")
            total(found.child, 0)
            total(found.child, 2**31)


# --- a node's answers ---


class Answers:
    """A node that gives the answers of a list, over and over."""

    def __init__(self, status: int, bodies: list[bytes]) -> None:
        self.status, self.bodies, self.count = status, bodies, 0

    def next(self) -> bytes:
        self.count += 1
        return self.bodies[(self.count - 1) % len(self.bodies)]

    def handle(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(self.status, content=self.next())


@lru_cache(maxsize=1)
def cookie() -> Path:
    file = scratch("fuzz-") / ".cookie"
    file.write_text("user:password")
    return file


@lru_cache(maxsize=1)
def asked_node() -> tuple[JsonRpcNode, Answers]:
    """The coordinator's client, and the node that it asks: real but for the socket between them."""
    node, answers = JsonRpcNode("http://127.0.0.1:1", cookie()), Answers(200, [b""])
    node._client = httpx.AsyncClient(transport=httpx.MockTransport(answers.handle))
    return node, answers


def answered(result: object) -> bytes:
    return json.dumps({"result": result, "error": None, "id": 0}).encode()


def node_seeds() -> Iterator[bytes]:
    whole = mined(list(transaction_seeds())[-1])
    name = txid_text(parse_header(whole[:80]).hash)
    fine = [
        answered({"chain": "regtest", "blocks": 7, "bestblockhash": name}),
        answered(name),
        answered(whole.hex()),
        answered({"fees": {"base": 0.00001234}, "vsize": 141, "time": 1_700_000_000}),
        answered({"feerate": 0.00012}),
        answered(txid_text(parse(transactions()[0]).txid)),
        json.dumps({"result": None, "error": {"code": -5, "message": "No such transaction"}, "id": 0}).encode(),
        json.dumps({"result": None, "error": {"code": -28, "message": "Loading"}, "id": 0}).encode(),
    ]
    yield from (bytes([number % 4]) + body for number, body in enumerate(fine))
    yield b"\0" + b"\0".join(fine[:3])
    yield from (b"\0" + answered(odd) for odd in (None, "seven", 1.5, True, [], {}, 2**70, -1))


STATUSES: Final = [200, 500, 401, 503]


@target(
    "strongroom_coordinator.chain.json_rpc:JsonRpcNode._result",
    "strongroom_coordinator.chain.json_rpc:JsonRpcNode.block",
    "strongroom_coordinator.chain.json_rpc:JsonRpcNode.mempool_entry",
    seeds=node_seeds,
    max_bytes=4_096,
)
def node_answer(data: bytes) -> None:
    """What a Bitcoin node may answer the coordinator; a zero byte parts several answers."""
    status, rest = choice(data, STATUSES)
    node, answers = asked_node()
    answers.status, answers.bodies = status, rest.split(b"\0")
    wanted = parse_header(mined(list(transaction_seeds())[-1])[:80]).hash if rest[:1] == b"\0" else bytes(32)
    raw = transactions()[0]
    calls = [
        node.chain_name,
        node.tip,
        lambda: node.block_hash_at(1),
        lambda: node.block(wanted),
        lambda: node.block_at(1),
        lambda: node.broadcast(raw),
        lambda: node.mempool_entry(bytes(32)),
        lambda: node.fee_rate(6),
    ]
    for call in calls:
        answers.count = 0
        total(lambda call=call: lasting_loop().run_until_complete(call()))


def audit_seeds() -> Iterator[bytes]:
    whole = mined(list(transaction_seeds())[-1])
    yield b"\0".join([answered(0), answered(txid_text(bytes(32))), answered(whole.hex())])
    for odd in (None, "seven", 1.5, True, [], {}, 2**70, -1):
        yield b"\0".join([answered(odd), answered(whole.hex())])
    yield b"\0".join([answered(1), answered("00"), json.dumps({"result": None, "error": {"code": -8}}).encode()])


@target(
    "strongroom_client.audit_chain:verify_chain",
    "strongroom_client.audit_chain:BitcoinRpc.height",
    "strongroom_client.audit_chain:BitcoinRpc.block",
    seeds=audit_seeds,
    max_bytes=4_096,
)
def auditor_node_answer(data: bytes) -> None:
    """What a Bitcoin node may answer an auditor; a zero byte parts several answers."""
    answers = Answers(200, data.split(b"\0"))
    source = BitcoinRpc(url="http://127.0.0.1:1", cookie_file=cookie())
    with patch.object(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(answers.next())):
        height = total(source.height)
        total(source.block, 0)
        if height is not None and height < 50:
            answers.count = 0
            total(verify_chain, (), {}, source, gap=1)
    # The blocks themselves, with a header that holds: everything a node can show an auditor.
    chain = OneBlock(repaired(data))
    vaults = [busy_world().state.vault(VAULT)]
    total(verify_chain, vaults, spends_of_log(), chain, gap=1)
    total(verify_chain, (), {}, chain, gap=1)


class OneBlock:
    """A chain of one block."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def height(self) -> int:
        return 0

    def block(self, height: int) -> bytes:
        return self.raw


@lru_cache(maxsize=1)
def spends_of_log() -> dict[bytes, PlannedSpend]:
    return {
        spend_of(busy_world().state, plan).txid: PlannedSpend(
            entry_index=0,
            vault=plan.vault,
            order_hashes=plan.order_hashes,
            inputs=tuple((one.txid, one.vout, one.amount_sat, one.branch, one.index) for one in plan.inputs),
            is_cancel=False,
        )
        for plan in plans()
    }


# --- the regtest node's own interface ---


@lru_cache(maxsize=1)
def regtest_node() -> Node:
    node = Node(scratch("fuzz-node-"), lambda: 1_700_000_000)
    node.mine(script_of(builder.ADDRESS, REGTEST), [])
    return node


class Talk:
    """A connection: what the caller sends, and what the server writes."""

    def __init__(self, request: bytes) -> None:
        self.reader, self.written = io.BytesIO(request), b""

    def makefile(self, mode: str, _: int = -1) -> Any:
        return self.reader if "r" in mode else io.BytesIO()

    def sendall(self, data: bytes) -> None:
        self.written += data

    def settimeout(self, _: float) -> None:
        return

    def setsockopt(self, *_: Any) -> None:
        return


class QuietServer(RpcServer):
    """The server without its socket."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._authorization = b"Basic dXNlcjpwYXNzd29yZA=="
        self._stop = lambda: None
        self._lock = threading.Lock()


def called(method: str, *parameters: object) -> bytes:
    return json.dumps({"jsonrpc": "1.0", "id": 1, "method": method, "params": list(parameters)}).encode()


def rpc_seeds() -> Iterator[bytes]:
    raw = transactions()[0].hex()
    best = txid_text(bytes(32))
    yield called("getblockcount")
    yield called("getblock", best, 0)
    yield called("getblockheader", best, True)
    yield called("sendrawtransaction", raw, 0)
    yield called("testmempoolaccept", [raw])
    yield called("submitblock", mined(list(transaction_seeds())[-1]).hex())
    yield called("gettxout", best, 0, True)
    yield called("getrawtransaction", best, 1)
    yield called("estimatesmartfee", 6)
    wanted = f"addr({builder.ADDRESS})"
    ranged = VaultKey(group_key=Point.generator_times(7).serialise(), chain_code=bytes(32)).descriptor(0, REGTEST)
    yield called("scantxoutset", "start", [wanted, "raw(51)", {"desc": ranged, "range": 3}])
    yield json.dumps([{"jsonrpc": "2.0", "id": "a", "method": "getblockhash", "params": {"height": 0}}, 7]).encode()


SLOW: Final = (b"generate",)


@target(
    "strongroom_regtest.server:_Handler.do_POST",
    "strongroom_regtest.parameters:transaction_of",
    "strongroom_regtest.scanning:_scripts",
    seeds=rpc_seeds,
    max_bytes=2_048,
)
def regtest_request(data: bytes) -> None:
    """What a caller with the cookie may send to the test node; and raw bytes from one without."""
    if any(word in data for word in SLOW):
        return
    server = QuietServer(regtest_node())
    head = b"POST / HTTP/1.1\r\nAuthorization: Basic dXNlcjpwYXNzd29yZA==\r\nContent-Length: %d\r\n\r\n" % len(data)
    for request in (head + data, data, b"POST / HTTP/1.1\r\nContent-Length: " + data):
        try:
            _Handler(Talk(request), ("127.0.0.1", 1), server)
        except RpcError as error:
            raise ValueError(f"{error} is not answered but ends the connection") from error
