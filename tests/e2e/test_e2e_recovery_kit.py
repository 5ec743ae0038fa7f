"""Nothing runs any more: words on paper, an exported log and two administrators' keys still move a vault's coins.

The first test types docs/recovery.md as it is printed, as `test_docs_commands.py` does with the other guides.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from actor import burn_address
from cluster import VAULT, Cluster, funded, running
from guide_stage import Stage
from strongroom.chains.bitcoin.transaction import parse
from strongroom_client.demo.deployment import Deployment
from sweeping import KitTable, sweep

pytestmark = pytest.mark.process


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[tuple[Cluster, KitTable]]:
    """A deployment of which an exported log, the sheets of words and people's keys are left, and any Bitcoin node."""
    with running(funded(), "kit") as cluster:
        done = cluster.signer_command("south", "export-log", str(tmp_path / "south.log"))
        assert done.returncode == 0, done.stderr
        for lost in ("coordinator", "signers", "pki"):
            shutil.rmtree(cluster.root / lost)
        cluster.deployment.start_node()
        table = KitTable(deployment=cluster.deployment, log=tmp_path / "south.log", head="", folder=tmp_path)
        yield cluster, replace(table, head=table.kit("describe", "--search", "10")["certified_head"])


def held_by(deployment: Deployment, address: str) -> list[int]:
    """Satoshi of each coin at an address."""
    found = deployment.rpc("scantxoutset", "start", [f"addr({address})"])["unspents"]
    return [round(one["amount"] * 100_000_000) for one in found]


def test_the_guide_moves_a_vault_with_every_daemon_gone(
    stopped: tuple[Cluster, KitTable], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, table = stopped
    deployment, folder, to = cluster.deployment, table.folder, burn_address(43)
    (folder / "exchange").mkdir()
    (folder / "bin").mkdir()
    bitcoin_cli(deployment, folder / "bin" / "bitcoin-cli")
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    stage = Stage(cluster, folder)
    Path(f"{stage.environment['HOME']}/strongroom-key").symlink_to(deployment.person("alice"))
    stage.before = {
        "bitcoin-cli scantxoutset": lambda: table.approve("bob"),
        "strongroom recovery-kit combine": lambda: stage.daemons[-1].wait_for(r"Wrote \S*north.shares"),
    }
    stage.words = {"ADDRESS": to}
    stage.typed = [
        (r"Recent head [^\n]*: ?$", table.head),
        (r"Word 1 of 24: ?$", lambda shown: words_of_sheet(deployment, shown)),
    ]
    try:
        shown = stage.perform("docs/recovery.md")
    finally:
        for terminal in stage.terminals:
            terminal.close()
    assert "is approved by alice; 2 are needed" in shown
    transaction = parse(bytes.fromhex((folder / "transaction.hex").read_text()))
    assert shown.split()[-1] == transaction.txid[::-1].hex()
    deployment.rpc("generatetoaddress", 1, burn_address())
    assert held_by(deployment, to) == [transaction.outputs[0].amount_sat]
    assert all_files_are_without(folder, [deployment.sheet(name).read_text() for name in ("north", "west")])


@pytest.mark.campaign
def test_several_hosts_sweep_side_by_side(stopped: tuple[Cluster, KitTable], tmp_path: Path) -> None:
    cluster, table = stopped
    to = burn_address(41)
    (vault,) = table.kit("describe", "--search", "100")["vaults"]
    before = cluster.deployment.rpc("scantxoutset", "start", vault["scan"])
    swept = sweep(cluster.deployment, vault=VAULT, log=table.log, head=table.head, to=to, folder=tmp_path / "table")
    assert parse(swept.transaction).txid[::-1].hex() == swept.txid
    assert round(before["total_amount"] * 100_000_000) == swept.amount_sat + swept.fee_sat
    assert held_by(cluster.deployment, to) == [swept.amount_sat]
    assert cluster.deployment.rpc("scantxoutset", "start", vault["scan"])["unspents"] == []


def all_files_are_without(folder: Path, sheets: list[str]) -> bool:
    """Whether no word of a sheet stands in any file that the kit wrote or was given."""
    names = ("order.json", "plan.json", "coins.json", "transaction.hex")
    files = [*(folder / name for name in names), *(folder / "exchange").iterdir()]
    content = b"".join(path.read_bytes() for path in files)
    return not any(f" {word} ".encode() in content for sheet in sheets for word in sheet.split())


def words_of_sheet(deployment: Deployment, shown: str) -> str:
    """The words of whoever is asked for theirs."""
    return deployment.sheet(re.findall(r"sheet of (\w+);", shown)[-1]).read_text().strip()


def bitcoin_cli(deployment: Deployment, file: Path) -> None:
    """What comes with Bitcoin Core, as far as the guide types it: calls the node, prints strings bare, else JSON."""
    port, cookie = (deployment.root / name for name in ("node-port", "node/.cookie"))
    file.write_text(
        f"#!{sys.executable}\n"
        "import base64, json, sys, urllib.request\n"
        "def value(text):\n"
        "    return json.loads(text) if text[:1] in '[{' else text\n"
        f"login = base64.b64encode(open({str(cookie)!r}, 'rb').read().strip()).decode()\n"
        f"url = 'http://127.0.0.1:' + open({str(port)!r}).read().strip()\n"
        "given = [value(text) for text in sys.argv[2:]]\n"
        "body = json.dumps({'method': sys.argv[1], 'params': given, 'id': 1}).encode()\n"
        "asked = urllib.request.Request(url, body, {'Authorization': 'Basic ' + login})\n"
        "result = json.load(urllib.request.urlopen(asked))['result']\n"
        "print(result if isinstance(result, str) else json.dumps(result))\n"
    )
    file.chmod(0o700)
