"""signer.toml: read strictly, every problem at once, nothing guessed."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final

from strongroom.model.errors import Kind, StrongroomError

__all__ = [
    "BadConfig",
    "Limit",
    "Seal",
    "SealKind",
    "SignerConfig",
    "load_config",
    "load_seal",
    "parse_config",
    "render_config",
    "render_seal",
]

_ADDRESS: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253}):([0-9]{1,5})")
_CAIP19: Final = re.compile(r"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}/[-a-z0-9]{3,8}:[-.%a-zA-Z0-9]{1,128}")
_AMOUNT: Final = re.compile(r"[1-9][0-9]{0,77}")
_LEVELS: Final = ("debug", "info", "warning", "error")
DEFAULT_FLOOR_BYTES: Final = 1 << 30


class BadConfig(StrongroomError):
    """The configuration is wrong; the message lists every problem."""

    reason = "BAD_CONFIG"
    kind = Kind.INVALID_ARGUMENT
    remedy = "mend every problem that the message lists"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Most of one asset that the operator lets this signer help to pay, in its smallest unit; None: no limit."""

    per_order: int | None = None
    per_day: int | None = None


class SealKind(Enum):
    """What opens `signer.sealed`."""

    PASSPHRASE = "passphrase"  # noqa: S105 - the name of a kind
    KEY_FILE = "key-file"
    CREDENTIAL = "systemd-credential"
    PKCS11 = "pkcs11"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """The operator's choice of what opens `signer.sealed`, made at `init`. Only the parts of its kind are looked at."""

    kind: SealKind = SealKind.PASSPHRASE
    key_file: str = ""
    credential: str = ""
    module: str = ""
    """Path of the PKCS#11 module."""
    token: str = ""
    key: str = ""

    def missing(self) -> tuple[str, ...]:
        """Names of the parts that this kind needs and that are empty."""
        needed = {
            SealKind.KEY_FILE: ("key_file",),
            SealKind.CREDENTIAL: ("credential",),
            SealKind.PKCS11: ("module", "token", "key"),
        }
        return tuple(name for name in needed.get(self.kind, ()) if not getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerConfig:
    """signer.toml. Paths are relative to the data folder."""

    coordinator: str
    """HOST:PORT of the coordinator's signer link."""
    certificate: Path = Path("cert.pem")
    certificate_authority: Path = Path("ca.pem")
    revoked: Path | None = None
    """Revocation lists that the coordinator's certificate is checked against, PEM; None: it is not checked."""
    free_disk_floor_bytes: int = DEFAULT_FLOOR_BYTES
    """Below this much free disk the signer does not vote."""
    operator_socket: Path = Path("operator.sock")
    log_level: str = "info"
    limits: Mapping[str, Limit] = field(default_factory=dict)
    """By CAIP-19 asset id."""
    seal: Seal = field(default_factory=Seal)


def load_config(folder: Path) -> SignerConfig:
    """Read `signer.toml` of a data folder.

    Raises:
        BadConfig: missing, not TOML, or wrong; every problem is in the message.
    """
    path = folder / "signer.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadConfig(f"there is no {path}: run `strongroom-signer enrol` first") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path} cannot be read: {error}") from None
    return parse_config(text, where=str(path))


def load_seal(folder: Path) -> Seal:
    """Read what opens `signer.sealed`, which is needed before `enrol` has written the rest of the file.

    Raises:
        BadConfig: the file cannot be read, or its table [seal] is wrong.
    """
    path = folder / "signer.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Seal()
    except (OSError, ValueError, RecursionError) as error:
        raise BadConfig(f"{path} cannot be read: {error}") from None
    reader = _Reader()
    seal = reader.seal(content)
    if reader.problems:
        raise BadConfig("\n".join(f"{path}: {problem}" for problem in reader.problems))
    return seal


def parse_config(text: str, *, where: str = "signer.toml") -> SignerConfig:
    """Parse the text of a configuration.

    Raises:
        BadConfig: every problem is in the message, one a line.
    """
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadConfig(f"{where} is not TOML: {error}") from None
    reader = _Reader()
    config = reader.read(content)
    if reader.problems:
        raise BadConfig(
            f"{where} has {len(reader.problems)} problem(s):\n" + "\n".join(f"  {p}" for p in reader.problems)
        )
    return config


class _Reader:
    """Collects every problem instead of stopping at the first."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def read(self, content: dict[str, Any]) -> SignerConfig:
        self._known(content, "", {"coordinator", "storage", "operator", "log", "limits", "seal"})
        coordinator = self._table(content, "coordinator", {"address", "certificate", "ca", "revoked"})
        storage = self._table(content, "storage", {"free_disk_floor_bytes"})
        operator = self._table(content, "operator", {"socket"})
        log = self._table(content, "log", {"level"})
        return SignerConfig(
            coordinator=self._address(coordinator),
            certificate=Path(self._text(coordinator, "coordinator.certificate", "cert.pem")),
            certificate_authority=Path(self._text(coordinator, "coordinator.ca", "ca.pem")),
            revoked=self._optional_path(coordinator, "coordinator.revoked"),
            free_disk_floor_bytes=self._floor(storage),
            operator_socket=Path(self._text(operator, "operator.socket", "operator.sock")),
            log_level=self._level(log),
            limits=self._limits(content.get("limits", {})),
            seal=self.seal(content),
        )

    def seal(self, content: dict[str, Any]) -> Seal:
        table = self._table(content, "seal", {"kind", "key_file", "credential", "module", "token", "key"})
        wanted = self._text(table, "seal.kind", SealKind.PASSPHRASE.value)
        kind = next((one for one in SealKind if one.value == wanted), None)
        if kind is None:
            self.problems.append(f"seal.kind: must be one of {', '.join(one.value for one in SealKind)}")
        parts = {
            name: self._text(table, f"seal.{name}", "-") if table.get(name, "") != "" else ""
            for name in ("key_file", "credential", "module", "token", "key")
        }
        seal = Seal(kind=kind or SealKind.PASSPHRASE, **parts)
        self.problems += [f"seal.{name}: is needed for seal.kind {wanted}" for name in seal.missing()]
        return seal

    def _known(self, table: dict[str, Any], where: str, known: set[str]) -> None:
        for name in table:
            if name not in known:
                self.problems.append(f"{where}{name}: unknown; known here: {', '.join(sorted(known))}")

    def _table(self, content: dict[str, Any], name: str, known: set[str]) -> dict[str, Any]:
        table = content.get(name, {})
        if not isinstance(table, dict):
            self.problems.append(f"{name}: must be a table [{name}]")
            return {}
        self._known(table, f"{name}.", known)
        return table

    def _text(self, table: dict[str, Any], where: str, default: str) -> str:
        value = table.get(where.rsplit(".", 1)[1], default)
        if not isinstance(value, str) or not value or "\0" in value:
            self.problems.append(f"{where}: must be a text that is not empty")
            return default
        return value

    def _optional_path(self, table: dict[str, Any], where: str) -> Path | None:
        return None if table.get(where.rsplit(".", 1)[1], "") == "" else Path(self._text(table, where, "-"))

    def _address(self, table: dict[str, Any]) -> str:
        value = self._text(table, "coordinator.address", "") if "address" in table else ""
        match = _ADDRESS.fullmatch(value)
        if match is None or not 1 <= int(match.group(1)) <= 65_535:
            self.problems.append('coordinator.address: must be "HOST:PORT"')
        return value

    def _floor(self, table: dict[str, Any]) -> int:
        value = table.get("free_disk_floor_bytes", DEFAULT_FLOOR_BYTES)
        if type(value) is not int or value < 0:
            self.problems.append("storage.free_disk_floor_bytes: must be a number of bytes, 0 or more")
            return DEFAULT_FLOOR_BYTES
        return value

    def _level(self, table: dict[str, Any]) -> str:
        value = self._text(table, "log.level", "info")
        if value not in _LEVELS:
            self.problems.append(f"log.level: must be one of {', '.join(_LEVELS)}")
        return value

    def _limits(self, table: Any) -> dict[str, Limit]:
        if not isinstance(table, dict):
            self.problems.append('limits: must be tables [limits."<CAIP-19 asset id>"]')
            return {}
        limits = {}
        for asset, value in table.items():
            where = f'limits."{asset}"'
            if _CAIP19.fullmatch(asset) is None:
                self.problems.append(f"{where}: is not a CAIP-19 asset id")
            if not isinstance(value, dict) or not value:
                self.problems.append(f"{where}: must hold per_order, per_day or both")
                continue
            self._known(value, f"{where}.", {"per_order", "per_day"})
            limits[asset] = Limit(
                per_order=self._amount(value, "per_order", where), per_day=self._amount(value, "per_day", where)
            )
        return limits

    def _amount(self, table: dict[str, Any], name: str, where: str) -> int | None:
        if name not in table:
            return None
        value = table[name]
        if not isinstance(value, str) or _AMOUNT.fullmatch(value) is None:
            self.problems.append(
                f'{where}.{name}: must be a whole number of the smallest unit in quotes, such as "250000"'
            )
            return None
        return int(value)


def render_config(config: SignerConfig) -> str:
    """The TOML text that `parse_config` reads back as `config`; what `enrol` writes."""
    lines = [
        "# Written by `strongroom-signer enrol`; signer.example.toml explains every key.",
        "[coordinator]",
        f"address = {_quoted(config.coordinator)}",
        f"certificate = {_quoted(str(config.certificate))}",
        f"ca = {_quoted(str(config.certificate_authority))}",
        f"revoked = {_quoted(str(config.revoked or ''))}",
        "",
        "[storage]",
        f"free_disk_floor_bytes = {config.free_disk_floor_bytes}",
        "",
        "[operator]",
        f"socket = {_quoted(str(config.operator_socket))}",
        "",
        "[log]",
        f'level = "{config.log_level}"',
        "",
        *render_seal(config.seal).splitlines(),
    ]
    for asset, limit in config.limits.items():
        lines += ["", f"[limits.{_quoted(asset)}]"]
        lines += [
            f'{name} = "{value}"' for name in ("per_order", "per_day") if (value := getattr(limit, name)) is not None
        ]
    return "\n".join(lines) + "\n"


def render_seal(seal: Seal) -> str:
    """The TOML table that `load_seal` reads back; what `init` writes when another kind than a passphrase is chosen."""
    parts = {"kind": seal.kind.value, "key_file": seal.key_file, "credential": seal.credential}
    parts |= {"module": seal.module, "token": seal.token, "key": seal.key}
    return "\n".join(["[seal]", *(f"{name} = {_quoted(value)}" for name, value in parts.items())]) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string. JSON's escapes are TOML's, but for its pairs of surrogates, and for DEL, which it leaves."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
