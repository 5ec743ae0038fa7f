"""Nothing runs any more: words on paper, an exported log and two administrators' keys still move a vault's coins."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actor import burn_address
from cluster import VAULT, Cluster, funded, running
from strongroom.chains.bitcoin.transaction import parse
from strongroom_client.demo.processes import program, run_program
from sweeping import KitTable, sweep

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KitTable]:
    """A deployment of which an exported log, the sheets of words and people's keys are left, and any Bitcoin node."""
    folder = tmp_path_factory.mktemp("kit")
    with running(funded(), "kit") as cluster:
        log = exported(cluster, folder / "log")
        for lost in ("coordinator", "signers", "pki"):
            shutil.rmtree(cluster.root / lost)
        cluster.deployment.start_node()
        described = json.loads(
            run_program([program("strongroom"), "recovery-kit", "describe", "--log", str(log), "--json"])
        )
        yield KitTable(deployment=cluster.deployment, log=log, head=described["head"], folder=folder)


def exported(cluster: Cluster, file: Path) -> Path:
    """What the operator of a stopped signer keeps beside the sheet."""
    done = cluster.signer_command("south", "export-log", str(file))
    assert done.returncode == 0, done.stderr
    return file


def coins_at(table: KitTable, address: str) -> Any:
    return table.deployment.rpc("scantxoutset", "start", [f"addr({address})"])


def test_a_vault_is_swept_with_every_daemon_gone(table: KitTable, tmp_path: Path) -> None:
    to = burn_address(41)
    (vault,) = table.kit("describe")["vaults"]
    before = table.deployment.rpc("scantxoutset", "start", vault["scan"])
    swept = sweep(table.deployment, vault=VAULT, log=table.log, head=table.head, to=to, folder=tmp_path)
    transaction = parse(swept.transaction)
    assert transaction.txid[::-1].hex() == swept.txid
    held = round(before["total_amount"] * 100_000_000)
    assert held == swept.amount_sat + swept.fee_sat
    assert [round(one["amount"] * 100_000_000) for one in coins_at(table, to)["unspents"]] == [swept.amount_sat]
    assert table.deployment.rpc("scantxoutset", "start", vault["scan"])["unspents"] == []
    words = [table.deployment.sheet(name).read_text() for name in ("north", "west")]
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not [word for sheet in words for word in sheet.split() if f" {word} ".encode() in files]
