"""coordinator.toml: read strictly, every problem at once, nothing guessed."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from strongroom_coordinator.errors import BadConfig

__all__ = ["CONFIG_NAME", "CoordinatorConfig", "load_config", "parse_config", "render_config"]

CONFIG_NAME: Final = "coordinator.toml"
_ADDRESS: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253}):([0-9]{1,5})")
_LEVELS: Final = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorConfig:
    """coordinator.toml. Paths are relative to the data folder."""

    listen: str
    """HOST:PORT for people, integrators and signers; port 0 takes a free one (see `listen.port` in the data folder)."""
    certificate: Path = Path("cert.pem")
    key: Path = Path("key.pem")
    certificate_authority: Path = Path("ca.pem")
    revoked: Path | None = None
    """Revocation lists, PEM, read again when the file changes; None: certificates are not checked for revocation."""
    genesis: Path = Path("genesis.bin")
    storage_url: str = "sqlite:///coordinator.db"
    bitcoin_rpc: str = "http://127.0.0.1:18443"
    bitcoin_cookie: Path = Path("bitcoin.cookie")
    bitcoin_confirmations: int = 1
    """Blocks on top, the containing one included, after which a payment counts as paid."""
    bitcoin_poll_ms: int = 1_000
    """How often the chain node is asked for new blocks."""
    fee_rate_sat_per_vbyte: int = 2
    """Fee rate of a new plan where the node gives no estimate; the charter's cap rules."""
    bump_after_s: int = 3_600
    """A signed plan that stays unconfirmed for this long is replaced at a higher fee."""
    max_orders_per_plan: int = 500
    vote_timeout_ms: int = 5_000
    """No certificate within this time: a new term."""
    tick_ms: int = 200
    """Something waits to become final for this long: an empty entry is logged."""
    keygen_timeout_ms: int = 30_000
    keygen_retry_ms: int = 2_000
    """Pause before the second attempt at a key generation; it doubles up to a minute."""
    log_level: str = "info"


def load_config(folder: Path) -> CoordinatorConfig:
    """Read `coordinator.toml` of a data folder.

    Raises:
        BadConfig: missing, not TOML, or wrong; every problem is in the message.
    """
    path = folder / CONFIG_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadConfig(str(path), ["no such file: run `strongroom-coordinator init` first"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(str(path), [f"cannot be read: {error}"]) from None
    return parse_config(text, where=str(path))


def parse_config(text: str, *, where: str = CONFIG_NAME) -> CoordinatorConfig:
    """Parse the text of a configuration.

    Raises:
        BadConfig: every problem is in the message.
    """
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadConfig(where, [f"is not TOML: {error}"]) from None
    reader = _Reader(content)
    config = reader.read()
    if reader.problems:
        raise BadConfig(where, reader.problems)
    return config


def render_config(config: CoordinatorConfig) -> str:
    """The TOML text that `init` writes; `parse_config` reads it back. Timings keep their defaults."""
    return "\n".join(
        [
            "# Written by `strongroom-coordinator init`; coordinator.example.toml explains every key.",
            "[server]",
            f"listen = {_quoted(config.listen)}",
            f"certificate = {_quoted(str(config.certificate))}",
            f"key = {_quoted(str(config.key))}",
            f"ca = {_quoted(str(config.certificate_authority))}",
            *([] if config.revoked is None else [f"revoked = {_quoted(str(config.revoked))}"]),
            "",
            "[ledger]",
            f"genesis = {_quoted(str(config.genesis))}",
            "",
            "[storage]",
            f"url = {_quoted(config.storage_url)}",
            "",
            "[bitcoin]",
            f"rpc = {_quoted(config.bitcoin_rpc)}",
            f"cookie = {_quoted(str(config.bitcoin_cookie))}",
            "",
            "[log]",
            f"level = {_quoted(config.log_level)}",
            "",
        ]
    )


def _quoted(value: str) -> str:
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in value):
        raise BadConfig(CONFIG_NAME, [f"{value!r} holds a control character"])
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Reader:
    """Collects every problem instead of stopping at the first."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.problems: list[str] = []
        self._content = content
        self._read: set[tuple[str, str]] = set()

    def read(self) -> CoordinatorConfig:
        config = CoordinatorConfig(
            listen=self._address("server", "listen"),
            certificate=self._path("server", "certificate", "cert.pem"),
            key=self._path("server", "key", "key.pem"),
            certificate_authority=self._path("server", "ca", "ca.pem"),
            revoked=self._optional_path("server", "revoked"),
            genesis=self._path("ledger", "genesis", "genesis.bin"),
            vote_timeout_ms=self._number("ledger", "vote_timeout_ms", 5_000, 100, 60_000),
            tick_ms=self._number("ledger", "tick_ms", 200, 10, 60_000),
            storage_url=self._text("storage", "url", "sqlite:///coordinator.db"),
            bitcoin_rpc=self._http("bitcoin", "rpc", "http://127.0.0.1:18443"),
            bitcoin_cookie=self._path("bitcoin", "cookie", "bitcoin.cookie"),
            bitcoin_confirmations=self._number("bitcoin", "confirmations", 1, 1, 1_000),
            bitcoin_poll_ms=self._number("bitcoin", "poll_ms", 1_000, 10, 600_000),
            fee_rate_sat_per_vbyte=self._number("bitcoin", "fee_rate_sat_per_vbyte", 2, 1, 10_000),
            bump_after_s=self._number("bitcoin", "bump_after_s", 3_600, 1, 1_000_000),
            max_orders_per_plan=self._number("bitcoin", "max_orders_per_plan", 500, 1, 1_000),
            keygen_timeout_ms=self._number("signing", "keygen_timeout_ms", 30_000, 1_000, 600_000),
            keygen_retry_ms=self._number("signing", "keygen_retry_ms", 2_000, 10, 600_000),
            log_level=self._level("log", "level"),
        )
        self._refuse_unknown()
        return config

    def _value(self, table: str, name: str, default: Any) -> Any:
        self._read.add((table, name))
        content = self._content.get(table, {})
        return content.get(name, default) if isinstance(content, dict) else default

    def _text(self, table: str, name: str, default: str) -> str:
        value = self._value(table, name, default)
        if not isinstance(value, str) or not value or "\0" in value:
            self.problems.append(f"{table}.{name}: must be a text that is not empty")
            return default
        return value

    def _path(self, table: str, name: str, default: str) -> Path:
        return Path(self._text(table, name, default))

    def _optional_path(self, table: str, name: str) -> Path | None:
        return None if self._value(table, name, "") == "" else self._path(table, name, "")

    def _number(self, table: str, name: str, default: int, least: int, most: int) -> int:
        value = self._value(table, name, default)
        if type(value) is not int or not least <= value <= most:
            self.problems.append(f"{table}.{name}: must be a whole number from {least} to {most}")
            return default
        return value

    def _address(self, table: str, name: str) -> str:
        value = self._value(table, name, "")
        match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
        if match is None or int(match.group(1)) > 65_535:
            self.problems.append(f'{table}.{name}: must be "HOST:PORT"')
            return "127.0.0.1:0"
        return str(value)

    def _http(self, table: str, name: str, default: str) -> str:
        value = self._text(table, name, default)
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            self.problems.append(f"{table}.{name}: must be http://HOST:PORT without a user; the cookie file has it")
        return value

    def _level(self, table: str, name: str) -> str:
        value = self._text(table, name, "info")
        if value not in _LEVELS:
            self.problems.append(f"{table}.{name}: must be one of {', '.join(_LEVELS)}")
        return value

    def _refuse_unknown(self) -> None:
        tables = {table for table, _ in self._read}
        for table, content in self._content.items():
            if table not in tables:
                self.problems.append(f"{table}: unknown; known are {', '.join(sorted(tables))}")
            elif not isinstance(content, dict):
                self.problems.append(f"{table}: must be a table [{table}]")
            else:
                known = sorted(name for owner, name in self._read if owner == table)
                unknown = [name for name in content if name not in known]
                self.problems += [f"{table}.{name}: unknown; known are {', '.join(known)}" for name in unknown]
