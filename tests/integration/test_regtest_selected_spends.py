"""Selected coins, bumps and cancellations as a real node sees them: the fees suffice, to the satoshi."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bitcoin_wallet import PlainVault
from regtest_process import RegtestError, RegtestProcess
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.chains.bitcoin.spend import Spend, SpendInput, SpendOutput
from strongroom.chains.bitcoin.transaction import txid_bytes
from strongroom_coordinator.coins import Coin, Selection, select_coins

pytestmark = pytest.mark.process

VAULT = PlainVault()
KEY = VAULT.key.derive(0, 0)
PAYEE = b"\x00\x14" + bytes(20)
COIN_SAT = 50_0000_0000


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RegtestProcess]:
    with RegtestProcess(tmp_path / "node") as running:
        running.mine(103, KEY.address(REGTEST))
        yield running


def _coins(node: RegtestProcess) -> list[Coin]:
    return [
        Coin(
            txid=txid_bytes(node.call("getblock", node.call("getblockhash", height))["tx"][0]),
            vout=0,
            amount_sat=COIN_SAT,
            branch=0,
            index=0,
            is_confirmed=True,
        )
        for height in (1, 2, 3)
    ]


def _spend(selection: Selection, payments: list[int], first_change_index: int = 0) -> Spend:
    change = [
        SpendOutput(amount_sat=amount, script=VAULT.key.derive(1, first_change_index + at).script)
        for at, amount in enumerate(selection.change_sat)
    ]
    return VAULT.spend(
        [
            SpendInput(txid=coin.txid, vout=coin.vout, amount_sat=coin.amount_sat, branch=coin.branch, index=coin.index)
            for coin in selection.inputs
        ],
        [*(SpendOutput(amount_sat=amount, script=PAYEE) for amount in payments), *change],
    )


def _send(node: RegtestProcess, spend: Spend) -> str:
    txid: str = node.call("sendrawtransaction", spend.finalise(VAULT.sign(spend)).hex(), 0)
    return txid


def test_the_lowest_rate_is_relayed_for_every_number_of_outputs(node: RegtestProcess) -> None:
    coins = _coins(node)
    for count in range(1, 33):
        selection = select_coins(
            coins, [(10_000, len(PAYEE))], rate_sat_per_vb=1, change_outputs=count, least_split_sat=1_000
        )
        assert len(selection.change_sat) == count
        spend = _spend(selection, [10_000])
        [answer] = node.call("testmempoolaccept", [spend.finalise(VAULT.sign(spend)).hex()])
        assert answer["allowed"], answer


def test_a_bump_pays_exactly_what_replacement_asks(node: RegtestProcess) -> None:
    coins = _coins(node)
    first = select_coins(coins, [(COIN_SAT, 22)], rate_sat_per_vb=5, change_outputs=3, least_split_sat=1_000)
    original = _send(node, _spend(first, [COIN_SAT]))
    required = frozenset(coin.outpoint for coin in first.inputs)
    bump = select_coins(
        coins,
        [(COIN_SAT, 22)],
        rate_sat_per_vb=5,
        must_include=required,
        change_outputs=3,
        least_split_sat=1_000,
        replaced_fee_sat=first.fee_sat,
    )
    assert required <= {coin.outpoint for coin in bump.inputs}
    spend = _spend(bump, [COIN_SAT])
    one_less = SpendOutput(amount_sat=spend.outputs[1].amount_sat + 1, script=spend.outputs[1].script)
    cheaper = Spend(vault_key=VAULT.key, inputs=spend.inputs, outputs=(spend.outputs[0], one_less, *spend.outputs[2:]))
    with pytest.raises(RegtestError, match="insufficient fee"):
        _send(node, cheaper)
    replacement = _send(node, spend)
    assert node.call("getrawmempool") == [replacement]
    node.mine(1, KEY.address(REGTEST))
    assert node.call("getrawtransaction", replacement, 1)["confirmations"] == 1
    with pytest.raises(RegtestError) as caught:
        node.call("getrawtransaction", original)
    assert caught.value.code == -5


def test_a_cancellation_brings_everything_back(node: RegtestProcess) -> None:
    coins = _coins(node)
    first = select_coins(coins, [(1_000_000, 22)], rate_sat_per_vb=2)
    _send(node, _spend(first, [1_000_000]))
    cancel = select_coins(
        list(first.inputs),
        [],
        rate_sat_per_vb=4,
        must_include=frozenset(coin.outpoint for coin in first.inputs),
        replaced_fee_sat=first.fee_sat,
    )
    spend = _spend(cancel, [], first_change_index=5)
    txid = _send(node, spend)
    node.mine(1, KEY.address(REGTEST))
    output = node.call("gettxout", txid, 0)
    assert output["scriptPubKey"]["address"] == VAULT.key.derive(1, 5).address(REGTEST)
    assert spend.outputs[0].amount_sat == COIN_SAT - cancel.fee_sat


def test_a_large_batch_of_payments_confirms(node: RegtestProcess) -> None:
    payments = [10_000 + number for number in range(500)]
    selection = select_coins(_coins(node), [(amount, 22) for amount in payments], rate_sat_per_vb=2, change_outputs=4)
    txid = _send(node, _spend(selection, payments))
    [mined] = node.mine(1, KEY.address(REGTEST))
    assert node.call("getrawtransaction", txid, 1)["blockhash"] == mined
