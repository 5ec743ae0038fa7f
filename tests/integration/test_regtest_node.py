"""The embedded regtest node as a real process: consensus, mempool rules, reorganisations, restarts."""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bitcoin_wallet import PlainVault
from regtest_process import RegtestError, RegtestProcess
from strongroom.chains.bitcoin.address import script_of
from strongroom.chains.bitcoin.block import parse_block
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.chains.bitcoin.sighash import default_digests
from strongroom.chains.bitcoin.spend import SpendInput, SpendOutput
from strongroom.chains.bitcoin.transaction import (
    Transaction,
    TxInput,
    TxOutput,
    parse,
    txid_bytes,
    txid_text,
    with_witnesses,
)
from strongroom_regtest.mining import make_block

pytestmark = pytest.mark.process

VAULT = PlainVault()
ADDRESS = VAULT.key.derive(0, 0).address(REGTEST)
SCRIPT = VAULT.key.derive(0, 0).script
OTHER = PlainVault("other").key.derive(0, 0)
COIN_SAT = 50_0000_0000


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RegtestProcess]:
    with RegtestProcess(tmp_path / "node") as running:
        yield running


def _coinbase_input(node: RegtestProcess, height: int) -> SpendInput:
    block = node.call("getblock", node.call("getblockhash", height), 1)
    return SpendInput(txid=txid_bytes(block["tx"][0]), vout=0, amount_sat=COIN_SAT, branch=0, index=0)


def _payment(coin: SpendInput, fee_sat: int = 1_000, script: bytes = OTHER.script) -> bytes:
    return VAULT.signed([coin], [SpendOutput(amount_sat=coin.amount_sat - fee_sat, script=script)])


def _refused(node: RegtestProcess, raw: bytes) -> RegtestError:
    with pytest.raises(RegtestError) as caught:
        node.call("sendrawtransaction", raw.hex())
    return caught.value


def test_a_taproot_spend_is_accepted_mined_and_confirmed(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    raw = _payment(_coinbase_input(node, 1))
    txid = node.call("sendrawtransaction", raw.hex())
    assert txid == txid_text(parse(raw).txid)
    assert node.call("getrawmempool") == [txid]
    entry = node.call("getmempoolentry", txid)
    assert entry["fees"]["base"] == 0.00001
    assert entry["vsize"] == parse(raw).virtual_size
    [mined] = node.mine(1, ADDRESS)
    assert node.call("getrawmempool") == []
    found = node.call("getrawtransaction", txid, 1)
    assert (found["confirmations"], found["blockhash"], found["hex"]) == (1, mined, raw.hex())
    output = node.call("gettxout", txid, 0)
    assert output["value"] == 49.99999
    assert output["scriptPubKey"]["address"] == OTHER.address(REGTEST)
    block = node.call("getblock", mined, 2)
    assert block["tx"][1]["fee"] == 0.00001
    assert parse_block(bytes.fromhex(node.call("getblock", mined, 0))).transactions[1].serialise() == raw


def test_the_miner_collects_the_fees(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    node.call("sendrawtransaction", _payment(_coinbase_input(node, 1), fee_sat=7_777).hex())
    [mined] = node.mine(1, ADDRESS)
    assert node.call("getblock", mined, 2)["tx"][0]["vout"][0]["value"] == 50.00007777


def test_a_bad_signature_is_refused(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    signed = parse(_payment(_coinbase_input(node, 1)))
    signature = bytearray(signed.inputs[0].witness[0])
    signature[40] ^= 1
    error = _refused(node, with_witnesses(signed, [(bytes(signature),)]).serialise())
    assert error.code == -26
    assert "script-verify" in error.message


def test_a_claimed_amount_that_is_not_the_coins_makes_the_signature_worthless(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    coin = _coinbase_input(node, 1)
    claimed = SpendInput(txid=coin.txid, vout=0, amount_sat=coin.amount_sat - 1, branch=0, index=0)
    assert _refused(node, _payment(claimed)).code == -26


def test_a_premature_coinbase_spend_is_refused_until_depth_one_hundred(node: RegtestProcess) -> None:
    node.mine(99, ADDRESS)
    raw = _payment(_coinbase_input(node, 1))
    error = _refused(node, raw)
    assert (error.code, error.message.split(",")[0]) == (-26, "bad-txns-premature-spend-of-coinbase")
    node.mine(1, ADDRESS)
    assert node.call("sendrawtransaction", raw.hex()) == txid_text(parse(raw).txid)
    node.mine(1, ADDRESS)


def test_a_confirmed_coin_cannot_be_spent_again(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    coin = _coinbase_input(node, 1)
    first = _payment(coin)
    node.call("sendrawtransaction", first.hex())
    node.mine(1, ADDRESS)
    second = _refused(node, _payment(coin, script=SCRIPT))
    assert (second.code, second.message) == (-25, "bad-txns-inputs-missingorspent")
    again = _refused(node, first)
    assert (again.code, again.message) == (-27, "Transaction outputs already in utxo set")


def test_sending_a_known_transaction_again_is_no_error(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    raw = _payment(_coinbase_input(node, 1)).hex()
    assert node.call("sendrawtransaction", raw) == node.call("sendrawtransaction", raw)
    assert len(node.call("getrawmempool")) == 1


def test_a_replacement_needs_a_higher_fee_and_the_relay_of_its_own_size(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    coin = _coinbase_input(node, 1)
    original = node.call("sendrawtransaction", _payment(coin, fee_sat=1_000).hex())
    for fee_sat in (900, 1_000, 1_050):
        error = _refused(node, _payment(coin, fee_sat=fee_sat, script=SCRIPT))
        assert (error.code, error.message.split(",")[0]) == (-26, "insufficient fee")
    assert node.call("getrawmempool") == [original]
    replacement = node.call("sendrawtransaction", _payment(coin, fee_sat=1_111, script=SCRIPT).hex())
    assert node.call("getrawmempool") == [replacement]


def test_a_replacement_evicts_what_was_built_on_the_original(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    coin = _coinbase_input(node, 1)
    parent = VAULT.spend([coin], [SpendOutput(amount_sat=COIN_SAT - 500, script=SCRIPT)])
    node.call("sendrawtransaction", parent.finalise(VAULT.sign(parent)).hex())
    child_coin = SpendInput(txid=parent.txid, vout=0, amount_sat=COIN_SAT - 500, branch=0, index=0)
    child = node.call("sendrawtransaction", _payment(child_coin, fee_sat=2_000).hex())
    assert node.call("getmempoolentry", child)["depends"] == [txid_text(parent.txid)]
    assert _refused(node, _payment(coin, fee_sat=2_400)).code == -26
    replacement = node.call("sendrawtransaction", _payment(coin, fee_sat=2_700).hex())
    assert node.call("getrawmempool") == [replacement]


def test_a_replacement_may_not_spend_new_unconfirmed_coins(node: RegtestProcess) -> None:
    node.mine(102, ADDRESS)
    original, other = _coinbase_input(node, 1), _coinbase_input(node, 2)
    node.call("sendrawtransaction", _payment(original, fee_sat=1_000).hex())
    parent = VAULT.spend([other], [SpendOutput(amount_sat=COIN_SAT - 500, script=SCRIPT)])
    node.call("sendrawtransaction", parent.finalise(VAULT.sign(parent)).hex())
    fresh = SpendInput(txid=parent.txid, vout=0, amount_sat=COIN_SAT - 500, branch=0, index=0)
    raw = VAULT.signed([original, fresh], [SpendOutput(amount_sat=2 * COIN_SAT - 50_000, script=SCRIPT)])
    assert _refused(node, raw).message.startswith("replacement-adds-unconfirmed")


def test_a_replacement_may_not_spend_what_it_replaces(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    coin = _coinbase_input(node, 1)
    first = VAULT.spend([coin], [SpendOutput(amount_sat=COIN_SAT - 500, script=SCRIPT)])
    node.call("sendrawtransaction", first.finalise(VAULT.sign(first)).hex())
    child = SpendInput(txid=first.txid, vout=0, amount_sat=COIN_SAT - 500, branch=0, index=0)
    raw = VAULT.signed([coin, child], [SpendOutput(amount_sat=COIN_SAT, script=SCRIPT)])
    assert _refused(node, raw).message.startswith("bad-txns-spends-conflicting-tx")


def test_an_input_that_does_not_signal_cannot_be_replaced(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    coin = _coinbase_input(node, 1)
    spend = VAULT.spend([coin], [SpendOutput(amount_sat=COIN_SAT - 1_000, script=OTHER.script)])
    final = _signed_with_sequence(spend.unsigned_transaction(), spend.spent_outputs, 0xFFFFFFFF)
    node.call("sendrawtransaction", final.hex())
    assert _refused(node, _payment(coin, fee_sat=50_000)).message == "txn-mempool-conflict"


def _signed_with_sequence(unsigned: Transaction, spent: Sequence[TxOutput], sequence: int) -> bytes:
    changed = replace(unsigned, inputs=tuple(replace(item, sequence=sequence) for item in unsigned.inputs))
    [digest] = default_digests(changed, spent)
    signature = VAULT.private_key(VAULT.key.derive(0, 0)).sign_schnorr(digest)
    return with_witnesses(changed, [(signature,)]).serialise()


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        ([(329, OTHER.script)], "dust"),
        ([(1_000, b"\x51" * 20)], "scriptpubkey"),
        ([(COIN_SAT - 50, OTHER.script)], "min relay fee not met"),
        ([(COIN_SAT + 1, OTHER.script)], "bad-txns-in-belowout"),
    ],
)
def test_what_is_not_standard_is_not_relayed(
    node: RegtestProcess, outputs: list[tuple[int, bytes]], reason: str
) -> None:
    node.mine(101, ADDRESS)
    coin = _coinbase_input(node, 1)
    valid = parse(_payment(coin))
    changed = replace(valid, outputs=tuple(TxOutput(amount_sat=amount, script=script) for amount, script in outputs))
    answer = node.call("testmempoolaccept", [changed.serialise().hex()], 0)[0]
    assert (answer["allowed"], answer["reject-reason"]) == (False, reason)


def test_a_fee_above_the_callers_cap_is_refused(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    raw = _payment(_coinbase_input(node, 1), fee_sat=1_0000_0000)
    error = _refused(node, raw)
    assert (error.code, error.message.startswith("Fee exceeds maximum")) == (-25, True)
    node.call("sendrawtransaction", raw.hex(), 0)


def test_a_longer_branch_takes_over_and_returns_its_transactions_to_the_mempool(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    raw = _payment(_coinbase_input(node, 1))
    txid = node.call("sendrawtransaction", raw.hex())
    [replaced] = node.mine(1, ADDRESS)
    assert node.call("getrawtransaction", txid, 1)["confirmations"] == 1
    node.call("generatefork", 101, 1, ADDRESS)
    assert node.call("getbestblockhash") == replaced
    branch = node.call("generatefork", 101, 2, ADDRESS)
    assert node.call("getblockcount") == 103
    assert node.call("getbestblockhash") == branch[-1]
    assert node.call("getrawmempool") == [txid]
    with pytest.raises(RegtestError) as caught:
        node.call("getblockheader", replaced)
    assert caught.value.code == -5
    node.mine(1, ADDRESS)
    assert node.call("getrawtransaction", txid, 1)["confirmations"] == 1


def test_a_reorganisation_drops_what_became_a_double_spend(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    height = 101
    coin = _coinbase_input(node, 1)
    first, second = _payment(coin), _payment(coin, fee_sat=5_000, script=SCRIPT)
    txid = node.call("sendrawtransaction", first.hex())
    node.mine(1, ADDRESS)
    tip = node.call("getblockheader", node.call("getblockhash", height))
    previous, time_s = txid_bytes(tip["hash"]), tip["time"] + 1
    for at, transactions, fees in ((102, [parse(second)], 5_000), (103, [], 0)):
        block = make_block(
            previous=previous,
            height=at,
            time_s=time_s,
            script=SCRIPT,
            transactions=transactions,
            fees_sat=fees,
            extra=os.urandom(4),
        )
        node.call("submitblock", block.serialise().hex())
        previous, time_s = block.header.hash, time_s + 1
    assert node.call("getblockcount") == 103
    assert node.call("getrawmempool") == []
    with pytest.raises(RegtestError) as caught:
        node.call("getrawtransaction", txid)
    assert caught.value.code == -5
    assert node.call("getrawtransaction", txid_text(parse(second).txid), 1)["confirmations"] == 2


@pytest.mark.parametrize(
    ("fees", "change", "reason"),
    [(10**6, None, "bad-cb-amount"), (1_000, "signature", "block-script-verify-flag-failed")],
)
def test_the_kernel_refuses_blocks_that_break_consensus(
    node: RegtestProcess, fees: int, change: str | None, reason: str
) -> None:
    node.mine(101, ADDRESS)
    transaction = parse(_payment(_coinbase_input(node, 1)))
    if change:
        transaction = with_witnesses(transaction, [(bytes(64),)])
    tip = node.call("getblockheader", node.call("getbestblockhash"))
    block = make_block(
        previous=txid_bytes(tip["hash"]),
        height=102,
        time_s=tip["time"] + 1,
        script=SCRIPT,
        transactions=[transaction],
        fees_sat=fees,
        extra=b"bad",
    )
    assert node.call("submitblock", block.serialise().hex()).startswith(reason)
    assert node.call("getblockcount") == 101


def test_chains_of_unconfirmed_change_end_at_twenty_five(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    coin = _coinbase_input(node, 1)
    for _ in range(25):
        spend = VAULT.spend([coin], [SpendOutput(amount_sat=coin.amount_sat - 200, script=SCRIPT)])
        node.call("sendrawtransaction", spend.finalise(VAULT.sign(spend)).hex())
        coin = SpendInput(txid=spend.txid, vout=0, amount_sat=coin.amount_sat - 200, branch=0, index=0)
    error = _refused(node, _payment(coin))
    assert (error.code, error.message.split(",")[0]) == (-26, "too-long-mempool-chain")
    node.mine(1, ADDRESS)
    assert node.call("getrawmempool") == []
    node.call("sendrawtransaction", _payment(coin).hex())


def test_a_clean_stop_and_a_kill_both_keep_the_chain(tmp_path: Path) -> None:
    node = RegtestProcess(tmp_path / "node").start()
    try:
        node.mine(101, ADDRESS)
        txid = node.call("sendrawtransaction", _payment(_coinbase_input(node, 1)).hex())
        tip = node.mine(1, ADDRESS)[0]
        assert node.kill() == -9
        node.start()
        assert node.call("getbestblockhash") == tip
        assert node.call("getrawtransaction", txid, 1)["confirmations"] == 1
        tip = node.mine(3, ADDRESS)[-1]
        assert node.stop() == 0
        assert not node.cookie_file.exists()
        node.start()
        assert (node.call("getblockcount"), node.call("getbestblockhash")) == (105, tip)
        node.call("stop")
    finally:
        node.stop()


def test_a_folder_belongs_to_one_node(node: RegtestProcess) -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        RegtestProcess(node.datadir).start()
    assert node.call("getblockcount") == 0


def test_calls_without_the_cookie_are_refused(node: RegtestProcess) -> None:
    assert node.cookie_file.stat().st_mode & 0o777 == 0o600
    request = urllib.request.Request(
        node.url, data=b'{"method":"uptime","id":1}', headers={"Authorization": "Basic eDp5"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    caught.value.close()
    assert caught.value.code == 401


def _post(node: RegtestProcess, body: bytes) -> tuple[int, Any]:
    credentials = base64.b64encode(node.cookie_file.read_bytes()).decode()
    request = urllib.request.Request(node.url, data=body, headers={"Authorization": f"Basic {credentials}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_both_versions_batches_and_named_parameters_are_understood(node: RegtestProcess) -> None:
    assert _post(node, b'{"method": "getblockcount", "id": 7}') == (200, {"result": 0, "error": None, "id": 7})
    modern = b'{"jsonrpc": "2.0", "method": "getblockhash", "params": {"height": 0}, "id": "a"}'
    assert _post(node, modern) == (200, {"jsonrpc": "2.0", "result": REGTEST.genesis_hash, "id": "a"})
    status, batch = _post(node, b'[{"method": "getblockcount", "id": 1}, {"method": "nothing", "id": 2}, 3]')
    assert status == 200
    assert [answer["error"] and answer["error"]["code"] for answer in batch] == [None, -32601, -32600]
    assert _post(node, b"{broken")[1]["error"]["code"] == -32700
    assert _post(node, b"[" * 100_000)[1]["error"]["code"] == -32700
    assert _post(node, b'{"method": "nothing"}')[0] == 404
    unknown = b'{"method": "getblockhash", "params": {"depth": 0}}'
    assert (_post(node, unknown)[0], _post(node, unknown)[1]["error"]["code"]) == (500, -8)


@pytest.mark.parametrize(
    ("method", "parameters", "code"),
    [
        ("nothing", [], -32601),
        ("getblockhash", [1], -8),
        ("getblockhash", ["1"], -3),
        ("getblock", ["00" * 32], -5),
        ("getblock", ["zz"], -8),
        ("getmempoolentry", ["11" * 32], -5),
        ("getrawtransaction", ["11" * 32], -5),
        ("sendrawtransaction", ["00"], -22),
        ("sendrawtransaction", ["xy"], -22),
        ("generatetoaddress", [1, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"], -5),
    ],
)
def test_errors_carry_bitcoin_cores_codes(
    node: RegtestProcess, method: str, parameters: list[object], code: int
) -> None:
    with pytest.raises(RegtestError) as caught:
        node.call(method, *parameters)
    assert caught.value.code == code


def test_fees_are_estimated_from_recent_blocks_or_not_at_all(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    assert node.call("estimatesmartfee", 6)["errors"] == ["Insufficient data or no feerate found"]
    raw = _payment(_coinbase_input(node, 1), fee_sat=1_110)
    node.call("sendrawtransaction", raw.hex())
    node.mine(1, ADDRESS)
    size = parse(raw).virtual_size
    assert node.call("estimatesmartfee", 6)["feerate"] == pytest.approx(1_110 / size / 100_000, rel=1e-3)


def test_an_empty_block_leaves_the_mempool_alone(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    txid = node.call("sendrawtransaction", _payment(_coinbase_input(node, 1)).hex())
    node.call("generateblock", ADDRESS, [])
    assert node.call("getrawmempool") == [txid]
    node.call("generateblock", ADDRESS, [txid])
    assert node.call("getrawmempool") == []


def test_lock_times_hold_a_transaction_back(node: RegtestProcess) -> None:
    node.mine(101, ADDRESS)
    valid = parse(_payment(_coinbase_input(node, 1)))
    item = valid.inputs[0]
    absolute = replace(valid, locktime=500)
    assert node.call("testmempoolaccept", [absolute.serialise().hex()])[0]["reject-reason"] == "non-final"
    waits = TxInput(txid=item.txid, vout=0, sequence=200, witness=item.witness)
    relative = replace(valid, inputs=(waits,))
    assert node.call("testmempoolaccept", [relative.serialise().hex()])[0]["reject-reason"] == "non-BIP68-final"


def test_addresses_of_every_kind_can_be_mined_to(node: RegtestProcess) -> None:
    for address in (ADDRESS, "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn"):
        [mined] = node.mine(1, address)
        output = node.call("getblock", mined, 2)["tx"][0]["vout"][0]["scriptPubKey"]
        assert output["hex"] == script_of(address, REGTEST).hex()
        assert output["address"] == address
