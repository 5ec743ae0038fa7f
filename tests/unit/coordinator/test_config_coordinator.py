"""coordinator.toml: strict, and every problem at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom_coordinator.config import CoordinatorConfig, load_config, parse_config, render_config
from strongroom_coordinator.errors import BadConfig

EXAMPLE = Path(__file__).parents[3] / "coordinator" / "coordinator.example.toml"


def test_example_file_shows_every_key_with_its_default() -> None:
    assert parse_config(EXAMPLE.read_text()) == CoordinatorConfig(listen="127.0.0.1:7400")


def test_what_init_writes_is_read_back() -> None:
    config = CoordinatorConfig(
        listen="[::1]:0",
        bitcoin_cookie=Path('/var/lib/bit"coin\\.cookie'),
        bitcoin_rpc="http://127.0.0.1:18443",
        log_level="debug",
    )
    assert parse_config(render_config(config)) == config


def test_all_problems_are_named_at_once() -> None:
    text = """
    surprise = 1
    [server]
    listen = "nowhere"
    color = "red"
    [ledger]
    tick_ms = "fast"
    vote_timeout_ms = true
    [bitcoin]
    rpc = "http://user:secret@127.0.0.1:18443"
    confirmations = 0
    [log]
    level = "loud"
    """
    with pytest.raises(BadConfig) as caught:
        parse_config(text)
    named = {problem.split(":")[0] for problem in caught.value.problems}
    assert named == {
        "surprise",
        "server.listen",
        "server.color",
        "ledger.tick_ms",
        "ledger.vote_timeout_ms",
        "bitcoin.rpc",
        "bitcoin.confirmations",
        "log.level",
    }
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[server]\n", "server = 1\n", "[server]\nlisten = 'host:70000'\n"])
def test_address_is_required(text: str) -> None:
    with pytest.raises(BadConfig, match=r"server\.listen"):
        parse_config(text)


@pytest.mark.parametrize("text", ["[server", "\x00", "[server]\nlisten = 'a:1'\nlisten = 'a:2'\n"])
def test_text_that_is_no_toml_is_refused(text: str) -> None:
    with pytest.raises(BadConfig, match="TOML"):
        parse_config(text)


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="strongroom-coordinator init"):
        load_config(tmp_path)
