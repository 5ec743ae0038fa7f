"""The client's profile: which coordinator, which certificate and key, and which log is pinned.

Beside the profile stands what this machine remembers of the log: the newest final head and the newest witness set it
has proven. It tells a coordinator that shows an older log than before, or one of signers who left, and lets a rejection
be signed while no coordinator can be reached.
"""

from __future__ import annotations

import json
import os
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from strongroom.crypto import sealed
from strongroom.ledger.codec import NotCanonical
from strongroom.model.ids import LogId
from strongroom.protocol.electorates import KnownSet
from strongroom_client.channel import Endpoint
from strongroom_client.errors import PinMismatch, ProfileProblem
from strongroom_client.files import FileProblem, make_private_folder, read_bytes, read_text
from strongroom_client.orders import Seen
from strongroom_client.person_key import SEALED_FILE, TLS_KEY_FILE
from strongroom_client.pins import pinned_set, witnesses_pin

__all__ = ["Memory", "Profile", "default_profile", "load_profile", "log_id_from_hex", "replace_file", "save_profile"]

_KEYS: Final = ("coordinator", "log_id", "ca", "certificate", "key_folder")
_MAX_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One person's, machine's or auditor's way into one log."""

    coordinator: str
    """HOST:PORT."""
    log_id: LogId
    ca: Path
    certificate: Path
    key_folder: Path

    @property
    def endpoint(self) -> Endpoint:
        """How to connect."""
        return Endpoint(
            address=self.coordinator,
            ca_file=self.ca,
            cert_file=self.certificate,
            key_file=self.key_folder / TLS_KEY_FILE,
        )

    def person(self) -> str:
        """Name in the sealed key; nothing is opened for it.

        Raises:
            FileProblem: there is no readable key file.
            SealedFileDamaged: it is none.
        """
        data = read_bytes(self.key_folder / SEALED_FILE, max_bytes=sealed.MAX_FILE_SIZE)
        return sealed.parse(data).public.get("name", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The newest final head and witness set this machine has proven, in a file beside the profile."""

    file: Path
    log_id: LogId

    @classmethod
    def beside(cls, profile_file: Path, log_id: LogId) -> Memory:
        """The memory that belongs to a profile file."""
        return cls(file=profile_file.with_name(f"{profile_file.stem}.head.json"), log_id=log_id)

    def head(self) -> Seen | None:
        """What is remembered; None when nothing is, or it is of another log or unreadable."""
        content = self._content()
        try:
            if type(content["size"]) is not int or content["size"] < 1:
                return None
            root = bytes.fromhex(content["root"])
        except (ValueError, KeyError, TypeError):
            return None
        return Seen(size=content["size"], root=root) if len(root) == 32 else None

    def witnesses(self) -> KnownSet | None:
        """The newest witness set that took over and was proven here; None when none has.

        Raises:
            ProfileProblem: the file names one that cannot be read. Going on without would forget it.
        """
        pin = self._pin()
        if not pin:
            return None
        try:
            return pinned_set(bytes.fromhex(pin))
        except (ValueError, NotCanonical) as error:
            raise ProfileProblem(
                f"{self.file} is damaged: compare the log's newest head with your colleagues, then remove it",
                file=str(self.file),
            ) from error

    def remember(self, seen: Seen, known: KnownSet | None = None) -> None:
        """Keep a head, and the witness set that certifies it, unless newer ones are kept already.

        Raises:
            FileProblem: it cannot be written.
        """
        before, newest = self.head(), self.witnesses()
        pin = self._pin()
        if known is not None and (newest is None or newest.number < known.number):
            pin = witnesses_pin(known, final_size=seen.size).hex() or pin
        kept = seen if before is None or before.size < seen.size else before
        content = {"log_id": self.log_id.hex(), "size": kept.size, "root": kept.root.hex()}
        if pin:
            content["witnesses"] = pin
        if content != self._content():
            replace_file(self.file, json.dumps(content) + "\n")

    def _pin(self) -> str:
        pin = self._content().get("witnesses", "")
        return pin if type(pin) is str else "-"

    def _content(self) -> dict[str, Any]:
        """What the file holds of this log; nothing when it is of another log or unreadable."""
        try:
            content: Any = json.loads(read_text(self.file, max_bytes=_MAX_BYTES))
            is_mine = isinstance(content, dict) and content.get("log_id") == self.log_id.hex()
        except (FileProblem, ValueError, RecursionError):
            return {}
        return content if is_mine else {}


def default_profile() -> Path:
    """Where the profile stands when none is named: `~/.config/strongroom/profile.toml`."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "strongroom" / "profile.toml"


def log_id_from_hex(text: str) -> LogId:
    """Read a log id from 64 hexadecimal digits; spaces between them are taken as they are printed for reading aloud.

    Raises:
        ProfileProblem: it is not one.
    """
    digits = "".join(text.split())
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        data = b""
    if len(data) != 32:
        raise ProfileProblem(
            "a log id is 64 hexadecimal digits, or where it is typed the 40 digits read aloud: "
            "`strongroom charter fingerprint` prints both"
        )
    return LogId(data)


def load_profile(file: Path) -> Profile:
    """Read a profile.

    Raises:
        ProfileProblem: it is missing, or not in the form that `strongroom login` writes.
    """
    try:
        text = read_text(file, max_bytes=_MAX_BYTES)
    except FileProblem as error:
        raise ProfileProblem(
            f"there is no readable profile at {file}: run `strongroom login` first, or name another with --profile",
            file=str(file),
        ) from error
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProfileProblem(f"{file} is not TOML: {error}: run `strongroom login` again", file=str(file)) from error
    return _profile_of(content, file)


def _profile_of(content: Mapping[str, Any], file: Path) -> Profile:
    wrong = sorted(set(content) ^ set(_KEYS)) or [key for key in _KEYS if type(content[key]) is not str]
    if wrong:
        what = ", ".join(wrong)
        raise ProfileProblem(f"{file}: missing, unknown or wrong: {what}: run `strongroom login` again", file=str(file))
    return Profile(
        coordinator=content["coordinator"],
        log_id=log_id_from_hex(content["log_id"]),
        ca=Path(content["ca"]),
        certificate=Path(content["certificate"]),
        key_folder=Path(content["key_folder"]),
    )


def save_profile(file: Path, profile: Profile, *, replace_pin: bool = False) -> None:
    """Write a profile, private and whole; one that is there is replaced if it pins the same log.

    Raises:
        PinMismatch: the present profile pins another log, and `replace_pin` is not given.
        FileProblem: it cannot be written.
    """
    if file.exists() and not replace_pin:
        try:
            present = load_profile(file).log_id
        except ProfileProblem:
            present = profile.log_id
        if present != profile.log_id:
            raise PinMismatch(
                f"{file} pins another log: compare the fingerprint with your colleagues, then add --replace-pin",
                pinned=present.hex(),
                given=profile.log_id.hex(),
            )
    values = {
        "coordinator": profile.coordinator,
        "log_id": profile.log_id.hex(),
        "ca": str(profile.ca.absolute()),
        "certificate": str(profile.certificate.absolute()),
        "key_folder": str(profile.key_folder.absolute()),
    }
    # JSON escapes only what TOML escapes in the same way, so a JSON string is a TOML basic string.
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    make_private_folder(file.parent)
    replace_file(file, "\n".join(lines) + "\n")


def replace_file(file: Path, text: str) -> None:
    """Write a file so that after a crash the old or the new content is there whole; mode 0600.

    Raises:
        FileProblem: it cannot be written.
    """
    partial = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise FileProblem(f"cannot write {file}: {error.strerror or error}", path=str(file)) from error
