"""The strict parsers take exactly what the serialisers write."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pbk
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from strongroom.chains.bitcoin.block import Block, BlockHeader, InvalidBlock, merkle_root, parse_block, parse_header
from strongroom.chains.bitcoin.policy import MAX_MONEY_SAT
from strongroom.chains.bitcoin.transaction import (
    InvalidTransaction,
    Reader,
    Transaction,
    TxInput,
    TxOutput,
    compact_size,
    double_sha256,
    parse,
    sized,
    txid_bytes,
    txid_text,
    with_witnesses,
)
from wally import wallycore

VECTORS = Path(__file__).parents[2] / "vectors" / "bips"
U32 = st.integers(0, 2**32 - 1)
SCRIPTS = st.binary(max_size=60) | st.binary(min_size=250, max_size=260)
WITNESSES = st.lists(st.binary(max_size=80), max_size=4).map(tuple)


def _inputs(witness: st.SearchStrategy[tuple[bytes, ...]]) -> st.SearchStrategy[TxInput]:
    return st.builds(
        TxInput, txid=st.binary(min_size=32, max_size=32), vout=U32, script_sig=SCRIPTS, sequence=U32, witness=witness
    )


TRANSACTIONS = st.builds(
    Transaction,
    version=U32,
    inputs=st.lists(_inputs(WITNESSES), min_size=1, max_size=5).map(tuple),
    outputs=st.lists(
        st.builds(TxOutput, amount_sat=st.integers(0, MAX_MONEY_SAT), script=SCRIPTS), min_size=1, max_size=5
    ).map(tuple),
    locktime=U32,
)


@settings(max_examples=300, deadline=None)
@given(TRANSACTIONS)
def test_a_transaction_survives_serialisation(transaction: Transaction) -> None:
    raw = transaction.serialise()
    read = parse(raw)
    assert read == transaction
    assert read.serialise() == raw
    assert read.txid == double_sha256(read.stripped)
    assert read.weight == 3 * len(read.stripped) + len(raw)
    bare = with_witnesses(read, [()] * len(read.inputs))
    assert (bare.txid, bare.wtxid) == (read.txid, read.txid)


@settings(max_examples=500, deadline=None)
@given(transaction=TRANSACTIONS, data=st.data())
def test_changed_bytes_are_refused_or_read_as_exactly_themselves(transaction: Transaction, data: st.DataObject) -> None:
    raw = bytearray(transaction.serialise())
    match data.draw(st.sampled_from(["flip", "cut", "insert", "extend"])):
        case "flip":
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
        case "cut":
            del raw[data.draw(st.integers(0, len(raw) - 1)) :]
        case "insert":
            raw.insert(data.draw(st.integers(0, len(raw))), data.draw(st.integers(0, 255)))
        case _:
            raw += data.draw(st.binary(min_size=1, max_size=5))
    try:
        read = parse(bytes(raw))
    except InvalidTransaction:
        return
    assert read.serialise() == bytes(raw)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
@example(b"\x02\x00\x00\x00\x00\x01")
def test_arbitrary_bytes_raise_nothing_but_the_typed_error(raw: bytes) -> None:
    try:
        assert parse(raw).serialise() == raw
    except InvalidTransaction:
        pass


@settings(max_examples=100, deadline=None)
@given(TRANSACTIONS)
def test_wally_reads_the_same_transaction(transaction: Transaction) -> None:
    raw = transaction.serialise()
    flags = wallycore.WALLY_TX_FLAG_USE_WITNESS if transaction.has_witness else 0
    read = wallycore.tx_from_bytes(raw, flags)
    assert bytes(wallycore.tx_get_txid(read)) == transaction.txid
    assert wallycore.tx_get_weight(read) == transaction.weight
    assert bytes(wallycore.tx_to_bytes(read, flags)) == raw


INPUT = bytes(32) + bytes(4) + b"\x00" + b"\xff" * 4
OUTPUT = bytes(8) + b"\x01\x51"
VERSION, LOCKTIME = b"\x02\x00\x00\x00", bytes(4)
PLAIN = VERSION + b"\x01" + INPUT + b"\x01" + OUTPUT + LOCKTIME
BROKEN = {
    "empty": b"",
    "trailing byte": PLAIN + b"\x00",
    "cut": PLAIN[:-1],
    "no input": VERSION + b"\x00\x01" + OUTPUT + LOCKTIME,
    "no output": VERSION + b"\x01" + INPUT + b"\x00" + LOCKTIME,
    "marker without witness": VERSION + b"\x00\x01\x01" + INPUT + b"\x01" + OUTPUT + b"\x00" + LOCKTIME,
    "unknown flag": VERSION + b"\x00\x02\x01" + INPUT + b"\x01" + OUTPUT + b"\x01\x01\x00" + LOCKTIME,
    "count in three bytes": VERSION + b"\xfd\x01\x00" + INPUT + b"\x01" + OUTPUT + LOCKTIME,
    "script length in five bytes": VERSION + b"\x01" + INPUT + b"\x01" + bytes(8) + b"\xfe\x01\0\0\0\x51" + LOCKTIME,
    "more inputs than bytes": VERSION + b"\xfe\xff\xff\xff\xff" + INPUT + LOCKTIME,
    "amount above 21 million": VERSION
    + b"\x01"
    + INPUT
    + b"\x01"
    + (MAX_MONEY_SAT + 1).to_bytes(8, "little")
    + b"\x00"
    + LOCKTIME,
    "negative amount": VERSION + b"\x01" + INPUT + b"\x01" + b"\xff" * 8 + b"\x00" + LOCKTIME,
    "too large": PLAIN + bytes(4_000_000),
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN.keys())
def test_broken_transactions_are_refused(raw: bytes) -> None:
    assert parse(PLAIN).serialise() == PLAIN
    with pytest.raises(InvalidTransaction):
        parse(raw)


@pytest.mark.parametrize(("name", "least"), [("bip-0174-psbt.json", 10), ("bip-0371-psbt-taproot.json", 6)])
def test_transactions_inside_the_published_psbts_are_read_as_the_kernel_reads_them(name: str, least: int) -> None:
    checked = 0
    for case in json.loads((VECTORS / name).read_text()):
        reader = Reader(bytes.fromhex(case["hex"])[5:])
        if "following are invalid" in case["section"] or reader.sized("key") != b"\x00":
            continue
        raw = reader.sized("unsigned transaction")
        inputs = raw[4]
        if inputs == 0 or len(raw) == 10 + 41 * inputs:
            with pytest.raises(InvalidTransaction):
                parse(raw)
            continue
        read = parse(raw)
        assert read.serialise() == raw
        assert txid_text(read.txid) == str(pbk.Transaction(raw).txid)
        checked += 1
    assert checked >= least


def _block(transactions: tuple[Transaction, ...]) -> Block:
    header = BlockHeader(
        version=0x20000000,
        previous=bytes(32),
        merkle_root=merkle_root([item.txid for item in transactions]),
        time_s=1_700_000_000,
        bits=0x207FFFFF,
        nonce=0,
    )
    while not header.meets_target:
        header = BlockHeader(
            version=header.version,
            previous=header.previous,
            merkle_root=header.merkle_root,
            time_s=header.time_s,
            bits=header.bits,
            nonce=header.nonce + 1,
        )
    return Block(header=header, transactions=transactions)


@settings(max_examples=100, deadline=None)
@given(transactions=st.lists(TRANSACTIONS, min_size=1, max_size=6, unique_by=lambda item: item.txid), data=st.data())
def test_a_block_is_read_as_itself_and_any_changed_byte_is_refused(
    transactions: list[Transaction], data: st.DataObject
) -> None:
    block = _block(tuple(transactions))
    raw = block.serialise()
    assert parse_block(raw) == block
    assert parse_header(raw[:80]).hash == block.header.hash
    changed = bytearray(raw)
    changed[data.draw(st.integers(36, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        read = parse_block(bytes(changed))
    except InvalidBlock:
        return
    # Only header fields outside the merkle root, or witnesses, may differ in a block that still reads.
    assert [item.txid for item in read.transactions] == [item.txid for item in block.transactions]


def _paying(version: int, script: bytes = b"\x51" * 20) -> Transaction:
    return Transaction(
        version=version,
        inputs=(TxInput(txid=bytes(32), vout=0, sequence=0),),
        outputs=(TxOutput(amount_sat=1, script=script),),
        locktime=0,
    )


def test_a_block_without_the_work_that_it_claims_is_refused() -> None:
    block = _block((_paying(1),))
    header = block.header
    while header.meets_target:
        header = replace(header, nonce=header.nonce + 1)
    with pytest.raises(InvalidBlock, match="above its own target"):
        parse_block(replace(block, header=header).serialise())


@pytest.mark.parametrize("size", [79, 81])
def test_a_header_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(InvalidBlock, match="80 bytes"):
        parse_header(_block((_paying(1),)).serialise()[:size])


def test_what_is_larger_than_any_block_is_refused_unread() -> None:
    large = _paying(1, b"\x51" * 4_000_000)
    with pytest.raises(InvalidTransaction, match="at most 4000000 bytes"):
        parse(large.serialise())
    with pytest.raises(InvalidBlock, match="at most 4000000 bytes"):
        parse_block(_block((large,)).serialise())


def test_a_transaction_id_of_another_length_is_not_written() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        txid_text(bytes(31))


def test_a_list_that_repeats_its_end_is_refused_although_its_root_is_the_same() -> None:
    transactions = tuple(_paying(number) for number in range(3))
    block = _block(transactions)
    longer = Block(header=block.header, transactions=(*transactions, transactions[-1]))
    with pytest.raises(InvalidBlock, match="repeats"):
        parse_block(longer.serialise())
    with pytest.raises(InvalidBlock):
        merkle_root([])


@given(st.integers(0, 2**64 - 1))
def test_compact_sizes_are_shortest(value: int) -> None:
    encoded = compact_size(value)
    assert len(encoded) == (1 if value < 0xFD else 3 if value < 2**16 else 5 if value < 2**32 else 9)
    assert sized(b"ab") == b"\x02ab"


@given(st.binary(min_size=32, max_size=32))
def test_a_displayed_hash_reads_back(value: bytes) -> None:
    assert txid_bytes(txid_text(value)) == value
    with pytest.raises(InvalidTransaction):
        txid_bytes(txid_text(value)[:-1])
    with pytest.raises(InvalidTransaction):
        txid_bytes("A" + txid_text(value)[1:])
