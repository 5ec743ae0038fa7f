"""signer.toml is read strictly, and every problem is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.chains.bitcoin.networks import REGTEST
from strongroom_signer.config import BadConfig, Limit, SignerConfig, load_config, parse_config, render_config

ASSET = REGTEST.asset_id
GOOD = '[coordinator]\naddress = "127.0.0.1:7443"\n'
EXAMPLE = Path(__file__).resolve().parents[3] / "signer" / "signer.example.toml"


def test_shipped_example_is_valid() -> None:
    config = parse_config(EXAMPLE.read_text(encoding="utf-8"))
    assert config.coordinator == "coordinator.example.org:7443"
    assert config.limits[ASSET] == Limit(per_order=250_000_000, per_day=1_000_000_000)


def test_defaults_need_only_an_address() -> None:
    config = parse_config(GOOD)
    assert (config.free_disk_floor_bytes, config.log_level, config.limits) == (1 << 30, "info", {})


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "coordinator.address"),
        ('[coordinator]\naddress = "nowhere"', "coordinator.address"),
        ('[coordinator]\naddress = "host:0"', "coordinator.address"),
        ('[coordinator]\naddress = "host:70000"', "coordinator.address"),
        ("[coordinator]\naddress = 7", "coordinator.address"),
        (GOOD + "key = 1", "coordinator.key"),
        (GOOD + "[more]", "more"),
        (GOOD + "[storage]\nfree_disk_floor_bytes = -1", "storage.free_disk_floor_bytes"),
        (GOOD + "[storage]\nfree_disk_floor_bytes = true", "storage.free_disk_floor_bytes"),
        (GOOD + '[log]\nlevel = "loud"', "log.level"),
        (GOOD + '[operator]\nsocket = ""', "operator.socket"),
        (GOOD + f'[limits."{ASSET}"]\nper_order = 5', "per_order"),
        (GOOD + f'[limits."{ASSET}"]\nper_order = "2.5"', "per_order"),
        (GOOD + f'[limits."{ASSET}"]\nper_order = "0"', "per_order"),
        (GOOD + f'[limits."{ASSET}"]\nper_week = "5"', "per_week"),
        (GOOD + f'[limits."{ASSET}"]', ASSET),
        (GOOD + '[limits.BTC]\nper_order = "5"', "BTC"),
        ("coordinator = 5", "coordinator"),
        ("limits = 5", "limits"),
    ],
)
def test_problem_is_named(text: str, where: str) -> None:
    with pytest.raises(BadConfig) as error:
        parse_config(text)
    assert where in error.value.message


def test_all_problems_come_at_once() -> None:
    with pytest.raises(BadConfig) as error:
        parse_config('[log]\nlevel = "loud"\n[storage]\nfree_disk_floor_bytes = -1\n[more]')
    assert error.value.message.startswith("signer.toml has 4 problem(s)")


def test_text_that_is_no_toml_and_files_that_are_missing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="TOML"):
        parse_config("[[[")
    with pytest.raises(BadConfig, match="enrol"):
        load_config(tmp_path)
    (tmp_path / "signer.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadConfig):
        load_config(tmp_path)


def test_what_enrol_writes_is_read_back() -> None:
    config = SignerConfig(coordinator="[::1]:7443", limits={ASSET: Limit(per_order=5), ASSET + "7": Limit(per_day=9)})
    assert parse_config(render_config(config)) == config


@pytest.mark.parametrize("name", ['a "quoted" file', "back\\slash", "tab\there", "umlaut ü", "line\nbreak", "del\x7f"])
def test_paths_of_any_characters_are_read_back(name: str) -> None:
    paths = {"certificate": Path(name), "certificate_authority": Path(name + "2"), "revoked": Path(name + "3")}
    config = SignerConfig(coordinator="[::1]:7443", **paths, operator_socket=Path(name + "4"))
    assert parse_config(render_config(config)) == config


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_config(text)
    except BadConfig:
        return
