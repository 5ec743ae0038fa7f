"""What this node relays: a documented subset of Bitcoin Core's standardness rules, with Core's reject reasons."""

from __future__ import annotations

from typing import Final

from strongroom.chains.bitcoin.policy import MAX_WEIGHT, dust_sat
from strongroom.chains.bitcoin.transaction import Transaction
from strongroom_regtest.errors import Rejected

MIN_RELAY_SAT_PER_KVB: Final = 1_000
INCREMENTAL_RELAY_SAT_PER_KVB: Final = 1_000
MIN_STRIPPED_BYTES: Final = 65
MAX_SCRIPT_SIG_BYTES: Final = 1_650
MAX_DATA_CARRIER_BYTES: Final = 83
_OP_RETURN: Final = b"\x6a"


def fee_at(rate_sat_per_kvb: int, virtual_size: int) -> int:
    """Fee in satoshi for a virtual size at a rate, rounded up."""
    return -(-rate_sat_per_kvb * virtual_size // 1_000)


def check_standard(transaction: Transaction) -> None:
    """Check a transaction by itself.

    Raises:
        Rejected: the first rule it breaks.
    """
    if not 1 <= transaction.version <= 3:
        raise Rejected("version")
    if transaction.weight > MAX_WEIGHT:
        raise Rejected("tx-size")
    if len(transaction.stripped) < MIN_STRIPPED_BYTES:
        raise Rejected("tx-size-small")
    if any(len(item.script_sig) > MAX_SCRIPT_SIG_BYTES for item in transaction.inputs):
        raise Rejected("scriptsig-size")
    data_carriers = 0
    for output in transaction.outputs:
        if output.script[:1] == _OP_RETURN and len(output.script) <= MAX_DATA_CARRIER_BYTES:
            data_carriers += 1
            continue
        dust = dust_sat(output.script)
        if dust is None:
            raise Rejected("scriptpubkey")
        if output.amount_sat < dust:
            raise Rejected("dust")
    if data_carriers > 1:
        raise Rejected("multi-op-return")


def check_structure(transaction: Transaction) -> None:
    """The consensus rules that need neither chain nor scripts and that the parser has not checked yet.

    Raises:
        Rejected: the first rule it breaks.
    """
    outpoints = [(item.txid, item.vout) for item in transaction.inputs]
    if len(set(outpoints)) != len(outpoints):
        raise Rejected("bad-txns-inputs-duplicate")
    if (bytes(32), 0xFFFF_FFFF) in outpoints:
        if len(outpoints) == 1:
            raise Rejected("coinbase")
        raise Rejected("bad-txns-prevout-null")
