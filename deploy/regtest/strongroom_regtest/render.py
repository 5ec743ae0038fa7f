"""Chain objects as the JSON that Bitcoin Core's interface returns."""

from __future__ import annotations

from typing import Any, Final

from strongroom.chains.bitcoin.address import address_of
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.chains.bitcoin.policy import ScriptType, script_type
from strongroom.chains.bitcoin.transaction import Transaction, TxInput, TxOutput, txid_text
from strongroom_regtest.coins import ChainIndex, IndexedBlock
from strongroom_regtest.mempool import Entry, Mempool

SAT_PER_BTC: Final = 100_000_000
_WORK_PER_BLOCK: Final = 2
_MAX_TARGET: Final = 0xFFFF << 208
_TYPE_NAMES: Final = {
    ScriptType.P2PKH: "pubkeyhash",
    ScriptType.P2SH: "scripthash",
    ScriptType.P2WPKH: "witness_v0_keyhash",
    ScriptType.P2WSH: "witness_v0_scripthash",
    ScriptType.P2TR: "witness_v1_taproot",
}


def btc(amount_sat: int) -> float:
    """An amount as a JSON number of bitcoin: exact, as the shortest text of a double keeps each satoshi."""
    return amount_sat / SAT_PER_BTC


def chain_work(height: int) -> str:
    """Work of the active chain up to a height; every regtest block counts 2."""
    return f"{_WORK_PER_BLOCK * (height + 1):064x}"


def script_json(script: bytes) -> dict[str, Any]:
    """An output script."""
    kind = script_type(script)
    if kind is not None:
        return {"hex": script.hex(), "address": address_of(script, REGTEST), "type": _TYPE_NAMES[kind]}
    return {"hex": script.hex(), "type": "nulldata" if script[:1] == b"\x6a" else "nonstandard"}


def _input_json(item: TxInput) -> dict[str, Any]:
    witness = {"txinwitness": [part.hex() for part in item.witness]} if item.witness else {}
    if item.txid == bytes(32):
        return {"coinbase": item.script_sig.hex(), **witness, "sequence": item.sequence}
    return {
        "txid": txid_text(item.txid),
        "vout": item.vout,
        "scriptSig": {"hex": item.script_sig.hex()},
        **witness,
        "sequence": item.sequence,
    }


def _output_json(position: int, output: TxOutput) -> dict[str, Any]:
    return {"value": btc(output.amount_sat), "n": position, "scriptPubKey": script_json(output.script)}


def transaction_json(transaction: Transaction) -> dict[str, Any]:
    """A decoded transaction."""
    raw = transaction.serialise()
    return {
        "txid": txid_text(transaction.txid),
        "hash": txid_text(transaction.wtxid),
        "version": transaction.version,
        "size": len(raw),
        "vsize": transaction.virtual_size,
        "weight": transaction.weight,
        "locktime": transaction.locktime,
        "vin": [_input_json(item) for item in transaction.inputs],
        "vout": [_output_json(position, output) for position, output in enumerate(transaction.outputs)],
        "hex": raw.hex(),
    }


def header_json(chain: ChainIndex, height: int) -> dict[str, Any]:
    """A header of the active chain."""
    indexed = chain.at(height)
    header = indexed.block.header
    answer = {
        "hash": txid_text(header.hash),
        "confirmations": chain.height - height + 1,
        "height": height,
        "version": header.version,
        "versionHex": f"{header.version:08x}",
        "merkleroot": txid_text(header.merkle_root),
        "time": header.time_s,
        "mediantime": chain.median_time_past(height),
        "nonce": header.nonce,
        "bits": f"{header.bits:08x}",
        "target": f"{header.target:064x}",
        "difficulty": _MAX_TARGET / header.target,
        "chainwork": chain_work(height),
        "nTx": len(indexed.block.transactions),
    }
    if height:
        answer["previousblockhash"] = txid_text(header.previous)
    if height < chain.height:
        answer["nextblockhash"] = txid_text(chain.hash_at(height + 1))
    return answer


def block_json(chain: ChainIndex, height: int, *, decoded: bool) -> dict[str, Any]:
    """A block of the active chain with transaction ids, or with decoded transactions and their fees."""
    indexed = chain.at(height)
    block = indexed.block
    size = len(block.serialise())
    witness_bytes = sum(len(item.serialise()) - len(item.stripped) for item in block.transactions)
    body = {
        "strippedsize": size - witness_bytes,
        "size": size,
        "weight": 4 * size - 3 * witness_bytes,
    }
    transactions: list[Any]
    if decoded:
        transactions = [_block_transaction(indexed, position) for position in range(len(block.transactions))]
    else:
        transactions = [txid_text(item.txid) for item in block.transactions]
    return {**header_json(chain, height), **body, "tx": transactions}


def _block_transaction(indexed: IndexedBlock, position: int) -> dict[str, Any]:
    answer = transaction_json(indexed.block.transactions[position])
    return {**answer, "fee": btc(indexed.fee_sat(position))} if position else answer


def mempool_json(mempool: Mempool, entry: Entry) -> dict[str, Any]:
    """A mempool entry."""
    txid = entry.transaction.txid
    ancestors = [found for found in map(mempool.get, mempool.ancestors(entry.transaction)) if found is not None]
    descendants = [found for found in map(mempool.get, mempool.descendants([txid])) if found is not None]
    return {
        "vsize": entry.virtual_size,
        "weight": entry.transaction.weight,
        "time": entry.time_s,
        "height": entry.height,
        "descendantcount": len(descendants),
        "descendantsize": sum(item.virtual_size for item in descendants),
        "ancestorcount": len(ancestors) + 1,
        "ancestorsize": sum(item.virtual_size for item in ancestors) + entry.virtual_size,
        "wtxid": txid_text(entry.transaction.wtxid),
        "fees": {
            "base": btc(entry.fee_sat),
            "modified": btc(entry.fee_sat),
            "ancestor": btc(sum(item.fee_sat for item in ancestors) + entry.fee_sat),
            "descendant": btc(sum(item.fee_sat for item in descendants)),
        },
        "depends": [txid_text(parent) for parent in mempool.parents(entry.transaction)],
        "spentby": [txid_text(child) for child in mempool.children(txid)],
        "bip125-replaceable": entry.signals_replacement,
    }
