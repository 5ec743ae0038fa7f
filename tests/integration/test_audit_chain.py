"""The audit of the chain against a real consensus engine: every spend of a vault's coins must be a plan of the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bitcoin_wallet import PlainVault
from regtest_process import RegtestProcess
from strongroom.chains.bitcoin.address import script_of
from strongroom.chains.bitcoin.networks import MAINNET, REGTEST
from strongroom.chains.bitcoin.spend import SpendInput, SpendOutput
from strongroom.chains.bitcoin.transaction import parse, txid_bytes
from strongroom.ledger.order_messages import CustodyClass, Scheme
from strongroom.ledger.records import VaultRecord
from strongroom_client.audit import AuditFailed, PlannedSpend
from strongroom_client.audit_chain import BitcoinRpc, ChainSummary, NodeProblem, verify_chain

pytestmark = pytest.mark.process

PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
ORDER = b"o" * 32


@dataclass
class Scene:
    """A node whose chain holds one deposit to a vault and one transaction that pays half of it to somebody."""

    node: RegtestProcess
    vault: PlainVault
    record: VaultRecord
    planned: PlannedSpend
    txid: bytes

    @property
    def source(self) -> BitcoinRpc:
        return BitcoinRpc(url=self.node.url, cookie_file=self.node.cookie_file)

    def verify(self, spends: dict[bytes, PlannedSpend], *, gap: int = 5) -> ChainSummary:
        return verify_chain([self.record], spends, self.source, gap=gap)


def record_of(vault: PlainVault, chain: str = REGTEST.caip2) -> VaultRecord:
    return VaultRecord(
        name="customer-1",
        order_hash=bytes(32),
        custody_class=CustodyClass.CUSTOMER,
        chain=chain,
        scheme=Scheme.FROST_SECP256K1_BIP340,
        signers=("s1",),
        threshold=1,
        group_key=vault.key.group_key,
        chain_code=vault.key.chain_code,
        public_shares=(vault.key.group_key,),
        epoch=1,
        recovery_hash=bytes(32),
        host_keys=(vault.key.group_key,),
        key_hash=bytes(32),
        epoch_order=bytes(32),
        epoch_ms=1,
        changing=b"",
    )


def pay(
    node: RegtestProcess, vault: PlainVault, coin: SpendInput, amount_sat: int, change_index: int = 0
) -> tuple[bytes, SpendInput]:
    """Send a payment with its change, mine it; return its txid and the change coin."""
    change = coin.amount_sat - amount_sat - 1_000
    outputs = [
        SpendOutput(amount_sat=amount_sat, script=script_of(PAYEE, REGTEST)),
        SpendOutput(amount_sat=change, script=vault.key.derive(1, change_index).script),
    ]
    raw = vault.signed([coin], outputs)
    txid = parse(raw).txid
    node.call("sendrawtransaction", raw.hex())
    node.mine(1, PAYEE)
    return txid, SpendInput(txid=txid, vout=1, amount_sat=change, branch=1, index=change_index)


def plan_of(coin: SpendInput, *, entry_index: int = 7, orders: tuple[bytes, ...] = (ORDER,)) -> PlannedSpend:
    return PlannedSpend(
        entry_index=entry_index,
        vault="customer-1",
        order_hashes=orders,
        inputs=((coin.txid, coin.vout, coin.amount_sat, coin.branch, coin.index),),
        is_cancel=False,
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """For tests that only look at it."""
    with made(tmp_path_factory.mktemp("node")) as scene:
        yield scene


@contextmanager
def made(folder: Path) -> Iterator[Scene]:
    vault = PlainVault("audited")
    with RegtestProcess(folder) as node:
        node.mine(1, vault.key.derive(0, 3).address(REGTEST))
        node.mine(100, PAYEE)
        block = node.call("getblock", node.call("getblockhash", 1), 2)
        coinbase = block["tx"][0]
        coin = SpendInput(
            txid=txid_bytes(coinbase["txid"]),
            vout=0,
            amount_sat=round(coinbase["vout"][0]["value"] * 100_000_000),
            branch=0,
            index=3,
        )
        txid, _ = pay(node, vault, coin, 2_500_000_000)
        yield Scene(node=node, vault=vault, record=record_of(vault), planned=plan_of(coin), txid=txid)


def test_a_spend_with_its_plan_is_verified_and_the_rest_is_counted(scene: Scene) -> None:
    summary = scene.verify({scene.txid: scene.planned})
    assert (summary.spends, summary.paid_orders, summary.deposits, summary.height) == (1, 1, 1, 102)
    assert summary.balance_sat == {"customer-1": 2_500_000_000 - 1_000}


def test_a_spend_without_a_plan_is_found(scene: Scene) -> None:
    with pytest.raises(AuditFailed, match="no plan of the log"):
        scene.verify({})


def test_a_claimed_amount_that_the_chain_does_not_have_is_found(scene: Scene) -> None:
    txid, vout, amount, branch, index = scene.planned.inputs[0]
    lie = replace(scene.planned, inputs=((txid, vout, amount + 1, branch, index),))
    with pytest.raises(AuditFailed, match=f"says that input .* is {amount + 1} sat"):
        scene.verify({scene.txid: lie})


def test_deposits_beyond_the_gap_are_found_once_earlier_ones_are_used(scene: Scene) -> None:
    assert scene.verify({scene.txid: scene.planned}, gap=1).deposits == 1


def test_a_vault_on_another_chain_is_noticed(scene: Scene) -> None:
    with pytest.raises(NodeProblem, match="on another chain"):
        verify_chain([record_of(scene.vault, MAINNET.caip2)], {}, scene.source, gap=1)


@pytest.fixture
def own_scene(tmp_path: Path) -> Iterator[Scene]:
    """For a test that adds to it."""
    with made(tmp_path / "node") as scene:
        yield scene


def test_an_order_paid_by_two_transactions_is_found(own_scene: Scene) -> None:
    """Both spends have plans of the log, and both pay one order: the conflict rule was broken."""
    scene = own_scene
    change = SpendInput(txid=scene.txid, vout=1, amount_sat=2_500_000_000 - 1_000, branch=1, index=0)
    second, _ = pay(scene.node, scene.vault, change, 1_000_000, change_index=1)
    spends = {scene.txid: scene.planned, second: plan_of(change, entry_index=9)}
    with pytest.raises(AuditFailed, match="paid twice"):
        scene.verify(spends)
    assert scene.verify({**spends, second: plan_of(change, orders=(b"p" * 32,))}).paid_orders == 2
    # An order to break the glass moves coins by as many transactions as it takes.
    swept = {txid: replace(plan, is_recovery=True) for txid, plan in spends.items()}
    assert scene.verify(swept).spends == 2


def test_a_node_that_does_not_answer_is_said_to_be_the_problem(scene: Scene) -> None:
    source = BitcoinRpc(url="http://127.0.0.1:1", cookie_file=scene.node.cookie_file)
    with pytest.raises(NodeProblem):
        verify_chain([scene.record], {}, source)
    with pytest.raises(NodeProblem):
        BitcoinRpc(url="file:///etc/passwd", cookie_file=scene.node.cookie_file).height()
