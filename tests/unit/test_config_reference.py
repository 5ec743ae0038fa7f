"""The reference of the configuration lists every key of the daemons, with the defaults and ranges of the code."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from docs_text import ROOT
from strongroom_coordinator import config as coordinator_config
from strongroom_signer import config as signer_config

CONFIG = ROOT / "docs" / "reference" / "config.md"
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)


def rows_of(section: str) -> list[tuple[str, str, str]]:
    """Key, default and values of one table of the reference."""
    return ROW.findall(CONFIG.read_text().split(f"## {section}\n")[1].split("\n## ")[0])


def toml_of(key: str, value: str, base: str) -> str:
    """A file with one key more than what is required."""
    table, _, name = key.rpartition(".")
    required_table, required = base.split("\n", 1)
    if f"[{table}]" == required_table:
        return f"[{table}]\n{required}{name} = {value}\n"
    return f"{base}[{table}]\n{name} = {value}\n"


COORDINATOR = '[server]\nlisten = "127.0.0.1:7400"\n'
SIGNER = '[coordinator]\naddress = "127.0.0.1:7400"\n'


@pytest.mark.parametrize(
    ("section", "base", "parse", "bad"),
    [
        ("coordinator.toml", COORDINATOR, coordinator_config.parse_config, coordinator_config.BadConfig),
        ("signer.toml", SIGNER, signer_config.parse_config, signer_config.BadConfig),
    ],
)
def test_defaults_and_ranges_of_the_reference_are_the_codes(section: str, base: str, parse: Any, bad: Any) -> None:
    plain = parse(base)
    ranges = 0
    for key, default, values in rows_of(section):
        if (match := re.fullmatch(r"`(.+)`", default)) is not None:
            assert parse(toml_of(key, match.group(1), base)) == plain, key
        if (match := re.fullmatch(r"(\d+) to (\d+)", values)) is not None:
            ranges += 1
            least, most = int(match.group(1)), int(match.group(2))
            parse(toml_of(key, str(least), base))
            parse(toml_of(key, str(most), base))
            for outside in (least - 1, most + 1):
                with pytest.raises(bad):
                    parse(toml_of(key, str(outside), base))
    assert ranges or section == "signer.toml"


def flat(content: dict[str, Any], path: str = "") -> set[str]:
    """The keys of a TOML file, with their tables; an asset's id stands as "ASSET"."""
    keys: set[str] = set()
    for name, value in content.items():
        here = f"{path}{name}" if "/" not in name else f'{path}"ASSET"'
        keys |= flat(value, f"{here}.") if isinstance(value, dict) else {here}
    return keys


def test_the_reference_lists_every_key_of_the_coordinator() -> None:
    reader = coordinator_config._Reader({})
    reader.read()
    known = {f"{table}.{name}" for table, name in reader._read}
    assert {key for key, _, _ in rows_of("coordinator.toml")} == known
    assert flat(tomllib.loads((ROOT / "coordinator/coordinator.example.toml").read_text())) == known


def test_the_reference_lists_every_key_of_a_signer() -> None:
    listed = {key for key, _, _ in rows_of("signer.toml")}
    assert flat(tomllib.loads((ROOT / "signer/signer.example.toml").read_text())) == listed
    every_key = signer_config.parse_config((ROOT / "signer/signer.example.toml").read_text())
    assert flat(tomllib.loads(signer_config.render_config(every_key))) == listed
