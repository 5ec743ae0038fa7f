"""The methods of the JSON-RPC interface: names, parameters and answers as Bitcoin Core has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from strongroom.chains.bitcoin.block import InvalidBlock, parse_block
from strongroom.chains.bitcoin.transaction import Transaction, TxOutput, txid_text
from strongroom_regtest.errors import Code, Rejected, RpcError
from strongroom_regtest.kernel import BlockRefused
from strongroom_regtest.mempool import Candidate, Entry
from strongroom_regtest.mining import REGTEST_BITS
from strongroom_regtest.node import Node
from strongroom_regtest.parameters import Parameters, transaction_of
from strongroom_regtest.render import (
    block_json,
    btc,
    chain_work,
    header_json,
    mempool_json,
    script_json,
    transaction_json,
)
from strongroom_regtest.scanning import scantxoutset
from strongroom_regtest.standardness import INCREMENTAL_RELAY_SAT_PER_KVB, MIN_RELAY_SAT_PER_KVB

MAX_BLOCKS_PER_CALL: Final = 10_000
MAX_FORK_BLOCKS: Final = 1_000
DEFAULT_MAX_FEE_RATE_BTC_PER_KVB: Final = 0.10

Method = Callable[[Node, Parameters], Any]


def _getblockchaininfo(node: Node, _: Parameters) -> Any:
    tip = header_json(node.chain, node.chain.height)
    return {
        "chain": "regtest",
        "blocks": node.chain.height,
        "headers": node.chain.height,
        "bestblockhash": tip["hash"],
        "bits": f"{REGTEST_BITS:08x}",
        "target": tip["target"],
        "difficulty": tip["difficulty"],
        "time": tip["time"],
        "mediantime": tip["mediantime"],
        "verificationprogress": 1.0,
        "initialblockdownload": False,
        "chainwork": chain_work(node.chain.height),
        "pruned": False,
        "warnings": [],
    }


def _getblockcount(node: Node, _: Parameters) -> Any:
    return node.chain.height


def _getbestblockhash(node: Node, _: Parameters) -> Any:
    return txid_text(node.chain.hash_at(node.chain.height))


def _getblockhash(node: Node, given: Parameters) -> Any:
    height = given.integer("height", least=-(2**31))
    if not 0 <= height <= node.chain.height:
        raise RpcError(Code.INVALID_PARAMETER, "Block height out of range")
    return txid_text(node.chain.hash_at(height))


def _height_of(node: Node, given: Parameters) -> int:
    block_hash = given.hash("blockhash")
    height = node.chain.height_of(block_hash)
    if height is None:
        where = "Block not in the active chain" if node.kernel.knows(block_hash) else "Block not found"
        raise RpcError(Code.INVALID_ADDRESS_OR_KEY, where)
    return height


def _getblockheader(node: Node, given: Parameters) -> Any:
    height = _height_of(node, given)
    if given.flag("verbose", True):
        return header_json(node.chain, height)
    return node.chain.at(height).block.header.serialise().hex()


def _getblock(node: Node, given: Parameters) -> Any:
    height = _height_of(node, given)
    verbosity = given.verbosity("verbosity", 1)
    if verbosity <= 0:
        return node.chain.at(height).block.serialise().hex()
    return block_json(node.chain, height, decoded=verbosity >= 2)


def _examine(node: Node, transaction: Transaction, max_fee_rate: float) -> Candidate:
    candidate = node.mempool.examine(transaction, time_s=node.clock())
    entry = candidate.entry
    if max_fee_rate and btc(entry.fee_sat) * 1_000 > max_fee_rate * entry.virtual_size:
        raise Rejected("max-fee-exceeded")
    return candidate


def _sendrawtransaction(node: Node, given: Parameters) -> Any:
    transaction = transaction_of(given.text("hexstring"))
    max_fee_rate = given.number("maxfeerate", DEFAULT_MAX_FEE_RATE_BTC_PER_KVB)
    if node.chain.has_unspent_output_of(transaction):
        raise RpcError(Code.TRANSACTION_ALREADY_IN_UTXO_SET, "Transaction outputs already in utxo set")
    known = node.mempool.get(transaction.txid)
    if known is None:
        try:
            node.mempool.add(_examine(node, transaction, max_fee_rate))
        except Rejected as error:
            if error.missing_inputs:
                raise RpcError(Code.TRANSACTION_ERROR, error.reason) from error
            if error.reason == "max-fee-exceeded":
                text = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"
                raise RpcError(Code.TRANSACTION_ERROR, text) from error
            raise RpcError(Code.TRANSACTION_REJECTED, str(error)) from error
    return txid_text(transaction.txid)


def _testmempoolaccept(node: Node, given: Parameters) -> Any:
    texts = given.items("rawtxs")
    if len(texts) != 1:
        raise RpcError(Code.INVALID_PARAMETER, "Array must contain exactly one transaction: packages are not judged")
    transaction = transaction_of(texts[0])
    answer: dict[str, Any] = {"txid": txid_text(transaction.txid), "wtxid": txid_text(transaction.wtxid)}
    try:
        entry = _examine(node, transaction, given.number("maxfeerate", DEFAULT_MAX_FEE_RATE_BTC_PER_KVB)).entry
    except Rejected as error:
        reason = "missing-inputs" if error.missing_inputs else error.reason
        return [{**answer, "allowed": False, "reject-reason": reason, "reject-details": str(error)}]
    return [{**answer, "allowed": True, "vsize": entry.virtual_size, "fees": {"base": btc(entry.fee_sat)}}]


def _getrawmempool(node: Node, given: Parameters) -> Any:
    entries = node.mempool.entries()
    if given.flag("verbose", False):
        return {txid_text(entry.transaction.txid): mempool_json(node.mempool, entry) for entry in entries}
    return [txid_text(entry.transaction.txid) for entry in entries]


def _getmempoolentry(node: Node, given: Parameters) -> Any:
    entry = node.mempool.get(given.hash("txid"))
    if entry is None:
        raise RpcError(Code.INVALID_ADDRESS_OR_KEY, "Transaction not in mempool")
    return mempool_json(node.mempool, entry)


def _getmempoolinfo(node: Node, _: Parameters) -> Any:
    entries = node.mempool.entries()
    return {
        "loaded": True,
        "size": len(entries),
        "bytes": sum(entry.virtual_size for entry in entries),
        "total_fee": btc(sum(entry.fee_sat for entry in entries)),
        "mempoolminfee": btc(MIN_RELAY_SAT_PER_KVB),
        "minrelaytxfee": btc(MIN_RELAY_SAT_PER_KVB),
        "incrementalrelayfee": btc(INCREMENTAL_RELAY_SAT_PER_KVB),
    }


def _getrawtransaction(node: Node, given: Parameters) -> Any:
    txid = given.hash("txid")
    verbosity = given.verbosity("verbosity", 0)
    entry = node.mempool.get(txid)
    if entry is not None:
        transaction, block = entry.transaction, {}
    else:
        place = node.chain.place_of(txid)
        if place is None or place[0] == 0:
            raise RpcError(Code.INVALID_ADDRESS_OR_KEY, "No such mempool or blockchain transaction")
        indexed = node.chain.at(place[0])
        transaction = indexed.block.transactions[place[1]]
        block = {
            "blockhash": txid_text(indexed.block.header.hash),
            "confirmations": node.chain.height - place[0] + 1,
            "time": indexed.block.header.time_s,
            "blocktime": indexed.block.header.time_s,
        }
    if verbosity <= 0:
        return transaction.serialise().hex()
    return {**transaction_json(transaction), **block}


def _gettxout(node: Node, given: Parameters) -> Any:
    outpoint = (given.hash("txid"), given.integer("n", most=2**32 - 1))
    with_mempool = given.flag("include_mempool", True)
    if with_mempool and node.mempool.spender_of(outpoint) is not None:
        return None
    coin = node.mempool.coin(outpoint) if with_mempool else node.chain.coin(outpoint)
    if coin is None:
        return None
    output = TxOutput(amount_sat=coin.amount_sat, script=coin.script)
    return {
        "bestblock": txid_text(node.chain.hash_at(node.chain.height)),
        "confirmations": max(0, node.chain.height - coin.height + 1),
        "value": btc(output.amount_sat),
        "scriptPubKey": script_json(output.script),
        "coinbase": coin.is_coinbase,
    }


def _estimatesmartfee(node: Node, given: Parameters) -> Any:
    target = given.integer("conf_target", least=1, most=1_008)
    given.text("estimate_mode", "economical")
    rate = node.estimate_sat_per_kvb()
    if rate is None:
        return {"errors": ["Insufficient data or no feerate found"], "blocks": target}
    return {"feerate": btc(max(rate, MIN_RELAY_SAT_PER_KVB)), "blocks": target}


def _generatetoaddress(node: Node, given: Parameters) -> Any:
    count = given.integer("nblocks", most=MAX_BLOCKS_PER_CALL)
    script = given.script("address")
    given.integer("maxtries", 1_000_000)
    return [txid_text(node.mine(script, node.template()).header.hash) for _ in range(count)]


def _generateblock(node: Node, given: Parameters) -> Any:
    script = given.script("output")
    entries: list[Entry] = []
    for text in given.items("transactions"):
        named = Parameters(("txid",), [text])
        entry = node.mempool.get(named.hash("txid"))
        if entry is None:
            raise RpcError(Code.INVALID_ADDRESS_OR_KEY, f"Transaction {text} not in mempool.")
        entries.append(entry)
    return {"hash": txid_text(node.mine(script, entries).header.hash)}


def _generatefork(node: Node, given: Parameters) -> Any:
    height = given.integer("height")
    if height > node.chain.height:
        raise RpcError(Code.INVALID_PARAMETER, "Block height out of range")
    count = given.integer("nblocks", least=1, most=MAX_FORK_BLOCKS)
    return [txid_text(block.header.hash) for block in node.mine_fork(height, count, given.script("address"))]


def _submitblock(node: Node, given: Parameters) -> Any:
    try:
        block = parse_block(bytes.fromhex(given.text("hexdata")))
    except (ValueError, InvalidBlock) as error:
        raise RpcError(Code.DESERIALIZATION_ERROR, f"Block decode failed: {error}") from error
    try:
        is_new = node.submit_block(block.serialise())
    except BlockRefused as error:
        return str(error)
    if not is_new:
        return "duplicate"
    return None if node.chain.height_of(block.header.hash) is not None else "inconclusive"


def _uptime(node: Node, _: Parameters) -> Any:
    return node.clock() - node.started_s


METHODS: Final[dict[str, tuple[tuple[str, ...], Method]]] = {
    "estimatesmartfee": (("conf_target", "estimate_mode"), _estimatesmartfee),
    "generateblock": (("output", "transactions"), _generateblock),
    "generatefork": (("height", "nblocks", "address"), _generatefork),
    "generatetoaddress": (("nblocks", "address", "maxtries"), _generatetoaddress),
    "getbestblockhash": ((), _getbestblockhash),
    "getblock": (("blockhash", "verbosity"), _getblock),
    "getblockchaininfo": ((), _getblockchaininfo),
    "getblockcount": ((), _getblockcount),
    "getblockhash": (("height",), _getblockhash),
    "getblockheader": (("blockhash", "verbose"), _getblockheader),
    "getmempoolentry": (("txid",), _getmempoolentry),
    "getmempoolinfo": ((), _getmempoolinfo),
    "getrawmempool": (("verbose",), _getrawmempool),
    "getrawtransaction": (("txid", "verbosity"), _getrawtransaction),
    "gettxout": (("txid", "n", "include_mempool"), _gettxout),
    "scantxoutset": (("action", "scanobjects"), scantxoutset),
    "sendrawtransaction": (("hexstring", "maxfeerate"), _sendrawtransaction),
    "submitblock": (("hexdata",), _submitblock),
    "testmempoolaccept": (("rawtxs", "maxfeerate"), _testmempoolaccept),
    "uptime": ((), _uptime),
}
