"""Golden logs replay to the same digests for ever, and are what their generator writes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Entry, OrderEntry
from strongroom.ledger.order_messages import Order, SweepVault
from strongroom.ledger.reasons import Refused
from strongroom.ledger.replica import Batch, Replica
from strongroom.ledger.view import MemoryStore
from strongroom.model.ids import LogId

GOLDEN = Path(__file__).resolve().parents[2] / "vectors" / "golden"
LOGS = sorted(GOLDEN.glob("rule-set-*.json"))


def batch_of(first_index: int, *entries: str) -> Batch:
    return Batch(first_index=first_index, entries=tuple(bytes.fromhex(entry) for entry in entries))


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_log_generator", GOLDEN / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=LOGS, ids=[path.stem for path in LOGS])
def golden(request: pytest.FixtureRequest) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(request.param.read_text(encoding="utf-8"))
    return document


def test_there_is_a_golden_log() -> None:
    assert [path.stem for path in LOGS] == ["rule-set-1"]


def test_a_golden_log_replays_to_its_heads_and_refusals(golden: dict[str, Any]) -> None:
    log_id, genesis_id = (LogId(bytes.fromhex(golden[name])) for name in ("log_id", "genesis_id"))
    replica = Replica(MemoryStore(), log_id=log_id, genesis_id=genesis_id)
    looked_at = 0
    for batch in golden["batches"]:
        for one in [one for one in golden["refused"] if one["at_size"] == replica.size]:
            with pytest.raises(Refused) as caught:
                replica.preview(batch_of(replica.size, one["entry"]))
            assert (caught.value.reason, caught.value.facts["entry"]) == (one["code"], str(replica.size))
            looked_at += 1
        preview = replica.preview(batch_of(batch["first_index"], *batch["entries"]))
        assert preview.root.hex() == batch["root"]
        assert preview.state_digest.hex() == batch["state_digest"]
        assert preview.time_ms == batch["time_ms"]
        replica.push(preview)
    assert looked_at == len(golden["refused"])


def test_a_golden_log_holds_every_kind_of_entry_and_order(golden: dict[str, Any]) -> None:
    kinds = {kind for batch in golden["batches"] for kind in batch["kinds"]}
    bodies = {row.nested for row in codec.describe(Entry) if row.oneof == "body"} - {OrderEntry}
    # No log takes an order for the recovery kit.
    actions = {row.nested for row in codec.describe(Order) if row.oneof == "action"} - {SweepVault}
    wanted = {cls.__name__ for cls in bodies if cls} | {f"OrderEntry({cls.__name__})" for cls in actions if cls}
    assert wanted <= kinds
    assert len({one["code"] for one in golden["refused"]}) >= 10


def test_the_golden_log_is_what_its_generator_writes() -> None:
    module = generator()
    assert module.text() == module.FILE.read_text(encoding="utf-8")
