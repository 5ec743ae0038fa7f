"""The coordinator's certificate, key and authority: what is wrong is said of the right file, by its path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator_world import TestAuthority
from strongroom_coordinator.config import CoordinatorConfig
from strongroom_coordinator.data_folder import load_tls
from strongroom_coordinator.errors import BadConfig

ORGANISATION = "acme"
CONFIG = CoordinatorConfig(
    listen="127.0.0.1:0",
    certificate=Path("cert.pem"),
    key=Path("key.pem"),
    certificate_authority=Path("ca.pem"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = TestAuthority(ORGANISATION)
    key, certificate = authority.issue("coordinator", "coordinator")
    for name, content in (("cert.pem", certificate), ("key.pem", key), ("ca.pem", authority.pem)):
        (tmp_path / name).write_bytes(content)
    return tmp_path


def load(folder: Path) -> None:
    load_tls(folder, CONFIG, organisation=ORGANISATION)


@pytest.mark.parametrize("name", ["cert.pem", "key.pem", "ca.pem"])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:80]), id="truncated"),
        pytest.param(lambda path: path.unlink(), id="missing"),
    ],
)
def test_a_damaged_file_is_named_and_no_other_is_accused(
    folder: Path, name: str, damage: Callable[[Path], object]
) -> None:
    load(folder)
    damage(folder / name)
    with pytest.raises(BadConfig) as refused:
        load(folder)
    accused = {one for one in ("cert.pem", "key.pem", "ca.pem") if str(folder / one) in refused.value.message}
    assert accused == {name}


def test_a_key_of_another_certificate_is_named(folder: Path) -> None:
    other, _ = TestAuthority(ORGANISATION).issue("coordinator", "coordinator")
    (folder / "key.pem").write_bytes(other)
    with pytest.raises(BadConfig, match=r"key\.pem does not belong to server\.certificate"):
        load(folder)


def test_a_certificate_of_another_role_is_named(folder: Path) -> None:
    key, certificate = TestAuthority(ORGANISATION).issue("signer", "north")
    (folder / "key.pem").write_bytes(key)
    (folder / "cert.pem").write_bytes(certificate)
    with pytest.raises(BadConfig, match=r"cert\.pem is for signer of acme, not for the coordinator of acme"):
        load(folder)
