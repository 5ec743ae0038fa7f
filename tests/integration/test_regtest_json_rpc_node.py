"""The coordinator's node client against the real regtest node, and against servers that answer badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from bitcoin_wallet import PlainVault
from regtest_process import RegtestProcess
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.chains.bitcoin.spend import SpendInput, SpendOutput
from strongroom.chains.bitcoin.transaction import parse, txid_bytes
from strongroom_coordinator.chain.json_rpc import JsonRpcNode
from strongroom_coordinator.chain.node import BitcoinNode, NodeRefused, NodeReplyInvalid, NodeUnavailable

pytestmark = pytest.mark.process

VAULT = PlainVault()
KEY = VAULT.key.derive(0, 0)
ADDRESS = KEY.address(REGTEST)
COIN_SAT = 50_0000_0000


@pytest.fixture
def regtest(tmp_path: Path) -> Iterator[RegtestProcess]:
    with RegtestProcess(tmp_path / "node") as running:
        yield running


@pytest.fixture
async def node(regtest: RegtestProcess) -> AsyncIterator[BitcoinNode]:
    client = JsonRpcNode(regtest.url, regtest.cookie_file)
    yield client
    await client.close()


async def _payment(node: BitcoinNode, height: int, fee_sat: int) -> bytes:
    block = await node.block_at(height)
    assert block is not None
    coin = SpendInput(txid=block.transactions[0].txid, vout=0, amount_sat=COIN_SAT, branch=0, index=0)
    return VAULT.signed([coin], [SpendOutput(amount_sat=COIN_SAT - fee_sat, script=KEY.script)])


async def test_follows_the_chain_block_by_block(regtest: RegtestProcess, node: BitcoinNode) -> None:
    hashes = regtest.mine(3, ADDRESS)
    assert await node.chain_name() == "regtest"
    tip = await node.tip()
    assert (tip.height, tip.block_hash) == (3, txid_bytes(hashes[-1]))
    block = await node.block(tip.block_hash)
    assert block is not None
    assert block.header.previous == await node.block_hash_at(2)
    assert block.transactions[0].outputs[0].script == KEY.script
    assert await node.block_at(4) is None
    assert await node.block_hash_at(4) is None
    assert await node.block(bytes(32)) is None
    genesis = await node.block_at(0)
    assert genesis is not None
    assert genesis.header.hash[::-1].hex() == REGTEST.genesis_hash


async def test_broadcasts_and_finds_what_waits(regtest: RegtestProcess, node: BitcoinNode) -> None:
    regtest.mine(101, ADDRESS)
    raw = await _payment(node, 1, fee_sat=12_345)
    txid = await node.broadcast(raw)
    assert txid == parse(raw).txid
    assert await node.broadcast(raw) == txid
    entry = await node.mempool_entry(txid)
    assert entry is not None
    assert (entry.fee_sat, entry.virtual_size) == (12_345, parse(raw).virtual_size)
    regtest.mine(1, ADDRESS)
    assert await node.mempool_entry(txid) is None
    confirmed = await node.block_at(102)
    assert confirmed is not None
    assert confirmed.transactions[1].txid == txid
    with pytest.raises(NodeRefused) as caught:
        await node.broadcast(raw)
    assert caught.value.already_confirmed


async def test_refusals_keep_the_nodes_code_and_words(regtest: RegtestProcess, node: BitcoinNode) -> None:
    regtest.mine(101, ADDRESS)
    await node.broadcast(await _payment(node, 1, fee_sat=5_000))
    with pytest.raises(NodeRefused, match="insufficient fee") as caught:
        await node.broadcast(await _payment(node, 1, fee_sat=4_000))
    assert (caught.value.code, caught.value.missing_inputs) == (-26, False)
    regtest.mine(1, ADDRESS)
    with pytest.raises(NodeRefused) as caught:
        await node.broadcast(await _payment(node, 1, fee_sat=9_000))
    assert caught.value.missing_inputs
    with pytest.raises(NodeRefused, match="premature"):
        await node.broadcast(await _payment(node, 102, fee_sat=9_000))


async def test_fee_rate_is_none_without_data_and_rounded_up_with_it(regtest: RegtestProcess, node: BitcoinNode) -> None:
    regtest.mine(101, ADDRESS)
    assert await node.fee_rate(6) is None
    raw = await _payment(node, 1, fee_sat=0 + parse(await _payment(node, 1, fee_sat=1_000)).virtual_size * 7 + 1)
    await node.broadcast(raw)
    regtest.mine(1, ADDRESS)
    assert await node.fee_rate(6) == 8


async def test_a_restarted_nodes_new_cookie_is_read(tmp_path: Path) -> None:
    regtest = RegtestProcess(tmp_path / "node").start()
    client = JsonRpcNode(regtest.url, regtest.cookie_file)
    try:
        assert (await client.tip()).height == 0
        regtest.stop()
        with pytest.raises(NodeUnavailable):
            await client.tip()
        again = RegtestProcess(tmp_path / "node", port=regtest.port).start()
        try:
            assert (await client.tip()).height == 0
        finally:
            again.stop()
    finally:
        await client.close()
        regtest.stop()


async def test_a_missing_or_wrong_credentials_file_is_unavailable(regtest: RegtestProcess, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    client = JsonRpcNode(regtest.url, credentials)
    with pytest.raises(NodeUnavailable, match="credentials"):
        await client.tip()
    credentials.write_text("no separator")
    with pytest.raises(NodeUnavailable, match="user:password"):
        await client.tip()
    credentials.write_text("user:wrong secret")
    with pytest.raises(NodeUnavailable, match="refuses the credentials") as caught:
        await client.tip()
    assert "wrong secret" not in str(caught.value)
    credentials.write_bytes(regtest.cookie_file.read_bytes())
    assert (await client.tip()).height == 0
    await client.close()


@asynccontextmanager
async def _server(reply: bytes, tmp_path: Path, *, timeout_s: float = 60) -> AsyncIterator[JsonRpcNode]:
    """A client of a server that gives every connection the same bytes; empty bytes mean it never answers."""

    handlers: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
            await writer.drain()
            if not reply:
                await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.create_task(answer(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    (tmp_path / "cookie").write_text("user:password")
    port = server.sockets[0].getsockname()[1]
    client = JsonRpcNode(f"http://127.0.0.1:{port}", tmp_path / "cookie", timeout_s=timeout_s)
    try:
        yield client
    finally:
        await client.close()
        server.close()
        await asyncio.gather(*handlers)


def _http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"result": null, "error": null, "id": 0}',
        b'{"result": {"blocks": "1", "bestblockhash": "00"}, "error": null}',
        b'{"result": {"blocks": true, "bestblockhash": "' + b"00" * 32 + b'"}, "error": null}',
        b'{"result": {"blocks": 1, "bestblockhash": "' + b"0g" * 32 + b'"}, "error": null}',
        b'{"result": {"blocks": NaN, "bestblockhash": "' + b"00" * 32 + b'"}, "error": null}',
        b'{"result": null, "error": "broken"}',
        b'{"result": null, "error": {"code": "1", "message": "x"}}',
        b"[" * 100_000,
    ],
)
async def test_malformed_replies_are_refused(body: bytes, tmp_path: Path) -> None:
    async with _server(_http(body), tmp_path) as client:
        with pytest.raises(NodeReplyInvalid):
            await client.tip()


@pytest.mark.parametrize("rate", [b"-0.1", b"1e9999999", b"1e99999999999999999999", b"true", b'"0.1"', b"0.000000001"])
async def test_impossible_fee_estimates_are_refused(rate: bytes, tmp_path: Path) -> None:
    async with _server(
        _http(b'{"result": {"feerate": ' + rate + b', "blocks": 6}, "error": null}'), tmp_path
    ) as client:
        with pytest.raises(NodeReplyInvalid):
            await client.fee_rate(6)


async def test_a_block_other_than_the_one_asked_for_is_refused(tmp_path: Path, regtest: RegtestProcess) -> None:
    raw = regtest.call("getblock", regtest.call("getblockhash", 0), 0)
    async with _server(_http(b'{"result": "' + raw.encode() + b'", "error": null}'), tmp_path) as client:
        with pytest.raises(NodeReplyInvalid, match="another block"):
            await client.block(b"\x01" * 32)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        _http(b"Work queue depth exceeded", "503 Service Unavailable"),
        _http(
            b'{"result": null, "error": {"code": -28, "message": "Loading block index"}}', "500 Internal Server Error"
        ),
        _http(b"", "403 Forbidden"),
        b"garbage\r\n\r\n",
    ],
)
async def test_silence_overload_and_warm_up_mean_unavailable(reply: bytes, tmp_path: Path) -> None:
    async with _server(reply, tmp_path, timeout_s=60 if reply else 0.5) as client:
        with pytest.raises(NodeUnavailable):
            await client.tip()


async def test_a_reply_without_end_is_cut_off(tmp_path: Path) -> None:
    endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b" " * (17 * 1024 * 1024)
    async with _server(endless, tmp_path) as client:
        with pytest.raises(NodeReplyInvalid, match="larger than"):
            await client.tip()
