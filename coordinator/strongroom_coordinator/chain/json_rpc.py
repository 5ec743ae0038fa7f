"""A Bitcoin node over Bitcoin Core's JSON-RPC interface: loopback or a private network, cookie or password file."""

from __future__ import annotations

import json
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any, Final

import httpx

from strongroom.chains.bitcoin.block import Block, InvalidBlock, parse_block
from strongroom.chains.bitcoin.policy import MAX_MONEY_SAT
from strongroom.chains.bitcoin.transaction import InvalidTransaction, double_sha256, parse, txid_bytes, txid_text
from strongroom_coordinator.chain.node import MempoolEntry, NodeRefused, NodeReplyInvalid, NodeUnavailable, Output, Tip

DEFAULT_TIMEOUT_S: Final = 20.0
MAX_REPLY_BYTES: Final = 16 * 1024 * 1024
_INVALID_ADDRESS_OR_KEY: Final = -5
_INVALID_PARAMETER: Final = -8
_IN_WARMUP: Final = -28
_SAT_PER_BTC: Final = 100_000_000
_VIRTUAL_BYTES_PER_KVB: Final = 1_000


class JsonRpcNode:
    """A client of one node. Safe for use by several tasks of one event loop."""

    def __init__(self, url: str, credentials_file: Path, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Name the node; nothing is sent yet.

        Args:
            url: `http://host:port`.
            credentials_file: `user:password` on one line: the node's cookie, or a file with the configured pair. It
                is read again whenever the node refuses the credentials, since a cookie changes at each node start.
            timeout_s: for connecting and for each answer, seconds.
        """
        self._url = url
        self._credentials_file = credentials_file
        self._credentials: httpx.BasicAuth | None = None
        self._client = httpx.AsyncClient(timeout=timeout_s, trust_env=False, follow_redirects=False)

    async def chain_name(self) -> str:
        """See `BitcoinNode`."""
        return _text(_member(await self._call("getblockchaininfo"), "chain"), "chain")

    async def tip(self) -> Tip:
        """See `BitcoinNode`."""
        info = await self._call("getblockchaininfo")
        height = _integer(_member(info, "blocks"), "blocks")
        headers = _integer(_member(info, "headers"), "headers")
        is_syncing = _member(info, "initialblockdownload") is not False or headers > height
        block_hash = _hash(_member(info, "bestblockhash"), "bestblockhash")
        return Tip(height=height, block_hash=block_hash, is_syncing=is_syncing)

    async def block_hash_at(self, height: int) -> bytes | None:
        """See `BitcoinNode`."""
        try:
            return _hash(await self._call("getblockhash", height), "block hash")
        except NodeRefused as error:
            if error.code == _INVALID_PARAMETER:
                return None
            raise

    async def block(self, block_hash: bytes) -> Block | None:
        """See `BitcoinNode`."""
        try:
            raw = _raw(await self._call("getblock", txid_text(block_hash), 0), "block")
        except NodeRefused as error:
            if error.code == _INVALID_ADDRESS_OR_KEY:
                return None
            raise
        try:
            block = parse_block(raw)
        except InvalidBlock as error:
            raise NodeReplyInvalid(f"getblock: {error.message}") from error
        if double_sha256(raw[:80]) != block_hash:
            raise NodeReplyInvalid(f"getblock gave another block than {txid_text(block_hash)}")
        return block

    async def block_at(self, height: int) -> Block | None:
        """See `BitcoinNode`."""
        block_hash = await self.block_hash_at(height)
        return None if block_hash is None else await self.block(block_hash)

    async def broadcast(self, raw: bytes) -> bytes:
        """See `BitcoinNode`."""
        try:
            txid = parse(raw).txid
        except InvalidTransaction as error:
            raise ValueError("only a well-formed transaction can be sent") from error
        # The charter caps the fee, and every signer checked it: the node's own cap would only be a second opinion.
        no_fee_cap = 0
        given = _hash(await self._call("sendrawtransaction", raw.hex(), no_fee_cap), "transaction id")
        if given != txid:
            raise NodeReplyInvalid(f"sendrawtransaction answered {txid_text(given)} instead of {txid_text(txid)}")
        return txid

    async def output(self, txid: bytes, vout: int) -> Output | None:
        """See `BitcoinNode`."""
        with_mempool, without = True, False
        # With the mempool, an output that a waiting transaction spends is left out; without, one that it makes.
        for flag in (with_mempool, without):
            found = await self._call("gettxout", txid_text(txid), vout, flag)
            if found is not None:
                script = _raw(_member(_member(found, "scriptPubKey"), "hex"), "script")
                return Output(amount_sat=_satoshi(_member(found, "value"), "value"), script=script)
        return None

    async def mempool_entry(self, txid: bytes) -> MempoolEntry | None:
        """See `BitcoinNode`."""
        try:
            entry = await self._call("getmempoolentry", txid_text(txid))
        except NodeRefused as error:
            if error.code == _INVALID_ADDRESS_OR_KEY:
                return None
            raise
        return MempoolEntry(
            fee_sat=_satoshi(_member(_member(entry, "fees"), "base"), "fee"),
            virtual_size=_integer(_member(entry, "vsize"), "vsize"),
            time_s=_integer(_member(entry, "time"), "time"),
        )

    async def fee_rate(self, target_blocks: int) -> int | None:
        """See `BitcoinNode`."""
        estimate = await self._call("estimatesmartfee", target_blocks)
        if isinstance(estimate, dict) and "feerate" not in estimate:
            return None
        per_kvb = Decimal(_satoshi(_member(estimate, "feerate"), "feerate"))
        return int((per_kvb / _VIRTUAL_BYTES_PER_KVB).to_integral_value(rounding=ROUND_CEILING)) or None

    async def close(self) -> None:
        """See `BitcoinNode`."""
        await self._client.aclose()

    async def _call(self, method: str, *parameters: object) -> Any:
        if self._credentials is None:
            self._credentials = self._read_credentials()
        reply = await self._post(method, parameters)
        if reply.status_code == httpx.codes.UNAUTHORIZED:
            self._credentials = self._read_credentials()
            reply = await self._post(method, parameters)
        if reply.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise NodeUnavailable(f"{self._url} refuses the credentials in {self._credentials_file}")
        if reply.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise NodeUnavailable(f"{self._url} is overloaded: it took no more calls")
        return self._result(method, reply)

    async def _post(self, method: str, parameters: tuple[object, ...]) -> httpx.Response:
        body = {"jsonrpc": "1.0", "id": 0, "method": method, "params": list(parameters)}
        auth = self._credentials
        try:
            async with self._client.stream("POST", self._url, json=body, auth=auth) as streamed:
                content = bytearray()
                async for chunk in streamed.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_REPLY_BYTES:
                        raise NodeReplyInvalid(f"{method}: the reply is larger than {MAX_REPLY_BYTES} bytes")
                return httpx.Response(streamed.status_code, content=bytes(content))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NodeUnavailable(f"{self._url} does not answer {method}: {type(error).__name__} {error}") from error

    def _read_credentials(self) -> httpx.BasicAuth:
        try:
            user, separator, password = self._credentials_file.read_text().strip().partition(":")
        except (OSError, UnicodeDecodeError) as error:
            kind = type(error).__name__
            raise NodeUnavailable(f"cannot read the node's credentials in {self._credentials_file}: {kind}") from error
        if not separator:
            raise NodeUnavailable(f"{self._credentials_file} does not hold user:password")
        return httpx.BasicAuth(user, password)

    def _result(self, method: str, reply: httpx.Response) -> Any:
        try:
            answer = json.loads(reply.content, parse_float=Decimal, parse_constant=_refuse_constant)
        except (ValueError, ArithmeticError, RecursionError) as broken:
            raise NodeReplyInvalid(f"{method}: status {reply.status_code}, not JSON") from broken
        if not isinstance(answer, dict):
            raise NodeReplyInvalid(f"{method}: the reply is no object")
        error = answer.get("error")
        if error is None:
            if reply.status_code != httpx.codes.OK or "result" not in answer:
                raise NodeReplyInvalid(f"{method}: status {reply.status_code}, neither result nor error")
            return answer["result"]
        code = _integer(_member(error, "code"), "error code")
        text = _text(_member(error, "message"), "error message")
        if code == _IN_WARMUP:
            raise NodeUnavailable(f"{self._url} is starting: {text}")
        raise NodeRefused(method, code, text)


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _member(value: object, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise NodeReplyInvalid(f"the node's reply has no member {name}")
    return value[name]


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise NodeReplyInvalid(f"the node's {what} is no text")
    return value


def _integer(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise NodeReplyInvalid(f"the node's {what} is no integer")
    return value


def _hash(value: object, what: str) -> bytes:
    try:
        return txid_bytes(_text(value, what))
    except InvalidTransaction as error:
        raise NodeReplyInvalid(f"the node's {what} is no 32-byte hash in hex") from error


def _raw(value: object, what: str) -> bytes:
    try:
        return bytes.fromhex(_text(value, what))
    except ValueError as error:
        raise NodeReplyInvalid(f"the node's {what} is not hex") from error


def _satoshi(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise NodeReplyInvalid(f"the node's {what} is no number")
    bitcoin = Decimal(value)
    if not 0 <= bitcoin <= MAX_MONEY_SAT // _SAT_PER_BTC:
        raise NodeReplyInvalid(f"the node's {what} lies outside 0 to 21 million coins")
    satoshi = bitcoin * _SAT_PER_BTC
    if satoshi != satoshi.to_integral_value():
        raise NodeReplyInvalid(f"the node's {what} is no amount of whole satoshi")
    return int(satoshi)
