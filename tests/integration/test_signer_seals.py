"""What opens `signer.sealed`: each kind opens what it sealed, nothing else does, and none of it is in the folder."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from paper import words_pipe
from signer_world import CHEAP, FakeClock
from strongroom.crypto.sealed import WrongPassphrase
from strongroom_signer.config import BadConfig, Seal, SealKind, load_seal, render_seal
from strongroom_signer.enrolment import DATABASE_FILE
from strongroom_signer.keys import open_keys
from strongroom_signer.main import run
from strongroom_signer.passphrase import NoPassphrase
from strongroom_signer.store import Store
from strongroom_signer.unseal import SealKeyMissing, TokenFailed, unlock

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
MODULE = next((path for path in MODULES if Path(path).exists()), "")


def init(folder: Path, *options: str) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with words_pipe() as (pipe, _):
        line = ["init", "--name", "s1", "--data", str(folder), "--words-fd", str(pipe), *options]
        code = run(line, clock=FakeClock(), random=os.urandom, cost=CHEAP, out=out, err=err)
    return code, err.getvalue()


def opens(folder: Path, phrase: Path | None = None) -> bytes:
    """Open the signer as its configuration says; its host key."""
    store = Store.open(folder / DATABASE_FILE)
    try:
        with unlock(load_seal(folder), folder, phrase, new=False, random=os.urandom) as secret:
            keys = open_keys(folder, store, secret)
        found = keys.host.public()
        keys.wipe()
        return found
    finally:
        store.close()


def test_a_key_file_is_made_once_and_opens_its_signer_alone(tmp_path: Path) -> None:
    key = tmp_path / "stick" / "key"
    key.parent.mkdir()
    options = ("--seal", "key-file", "--seal-key-file", str(key))
    assert init(tmp_path / "a", *options) == (0, "")
    assert (key.stat().st_mode & 0o777, key.stat().st_size) == (0o600, 32)
    made = key.read_bytes()
    assert init(tmp_path / "b", *options) == (0, "")
    assert key.read_bytes() == made
    assert opens(tmp_path / "a") != opens(tmp_path / "b")
    assert made not in b"".join(file.read_bytes() for file in (tmp_path / "a").iterdir())
    key.write_bytes(os.urandom(32))
    with pytest.raises(WrongPassphrase, match="does not open"):
        opens(tmp_path / "a")
    for wrong in (b"", made[:31], made + b"\n"):
        key.write_bytes(wrong)
        with pytest.raises(SealKeyMissing, match="32 bytes"):
            opens(tmp_path / "a")
    key.unlink()
    with pytest.raises(SealKeyMissing, match="cannot be read"):
        opens(tmp_path / "a")


def test_a_credential_of_systemd_opens_its_signer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--seal", "systemd-credential", "--seal-credential", "strongroom")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    code, err = init(tmp_path / "a", *options)
    assert code == 4
    assert "CREDENTIALS_DIRECTORY" in err
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "strongroom").write_bytes(b"what systemd decrypted")
    assert init(tmp_path / "a", *options) == (0, "")
    opens(tmp_path / "a")
    (tmp_path / "strongroom").write_bytes(b"something else")
    with pytest.raises(WrongPassphrase, match="does not open"):
        opens(tmp_path / "a")
    (tmp_path / "strongroom").write_bytes(b"")
    with pytest.raises(SealKeyMissing, match="1 to 1024"):
        opens(tmp_path / "a")


def test_a_passphrase_file_for_a_kind_without_one_is_refused(tmp_path: Path) -> None:
    for seal in (Seal(kind=SealKind.KEY_FILE, key_file="k"), Seal(kind=SealKind.CREDENTIAL, credential="c")):
        with pytest.raises(NoPassphrase, match="leave --passphrase-file out"):
            unlock(seal, tmp_path, tmp_path / "phrase", new=True, random=os.urandom)


@pytest.mark.parametrize("kind", ["key-file", "systemd-credential", "pkcs11"])
def test_a_kind_without_its_parts_is_refused(tmp_path: Path, kind: str) -> None:
    code, err = init(tmp_path / "a", "--seal", kind)
    assert code == 2
    assert "--seal-" in err
    assert not (tmp_path / "a").exists()


def test_a_choice_in_the_configuration_is_read_back_and_a_wrong_one_named(tmp_path: Path) -> None:
    for seal in (
        Seal(kind=SealKind.KEY_FILE, key_file='/a "b"/c'),
        Seal(kind=SealKind.KEY_FILE, key_file="/\u00e9/\U0001f511/\x7f\n"),
        Seal(kind=SealKind.CREDENTIAL, credential="x"),
        Seal(kind=SealKind.PKCS11, module="/m.so", token="t", key="k"),
    ):
        (tmp_path / "signer.toml").write_text(render_seal(seal), encoding="utf-8")
        assert load_seal(tmp_path) == seal
    for wrong in ('kind = "tpm"', 'kind = "key-file"', 'kind = "passphrase"\nmore = 1', "kind = 5"):
        (tmp_path / "signer.toml").write_text(f"[seal]\n{wrong}\n")
        with pytest.raises(BadConfig, match="seal"):
            load_seal(tmp_path)


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """A new token of SoftHSM with PIN 12345678, and the options that choose it."""
    if not MODULE or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM is not installed on this machine (Debian: softhsm2)")
    if find_spec("pkcs11") is None:
        pytest.skip("python-pkcs11 is not installed (the extra pkcs11)")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm.conf"))
    (tmp_path / "pin").write_text("12345678\n")
    return ("--seal", "pkcs11", "--seal-module", MODULE, "--seal-token", "strongroom", "--seal-key", "s1")


def in_a_process(tmp_path: Path, *arguments: str) -> Any:
    """A PKCS#11 module is set up once in a process, so each test's token needs one of its own."""
    command = [
        "softhsm2-util",
        "--init-token",
        "--free",
        "--label",
        "strongroom",
        "--so-pin",
        "1234",
        "--pin",
        "12345678",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    code = (
        "import sys, pytest\n"
        "sys.path[:0] = sys.argv[1].split(':')\n"
        "import test_signer_seals as seals\n"
        "from pathlib import Path\n"
        "seals.tried_with_a_token(Path(sys.argv[2]), tuple(sys.argv[3:]))\n"
    )
    here = Path(__file__).parent
    paths = f"{here}:{here.parent / 'support'}"
    return subprocess.run(
        [sys.executable, "-c", code, paths, str(tmp_path), *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def tried_with_a_token(tmp_path: Path, options: tuple[str, ...]) -> None:
    """What a signer sealed by a token does; runs in a process of its own."""
    pin = ("--passphrase-file", str(tmp_path / "pin"))
    assert init(tmp_path / "a", *options, *pin) == (0, "")
    assert init(tmp_path / "b", *options, *pin) == (0, "")
    assert opens(tmp_path / "a", tmp_path / "pin") != opens(tmp_path / "b", tmp_path / "pin")
    assert load_seal(tmp_path / "a").kind is SealKind.PKCS11
    (tmp_path / "wrong").write_text("87654321\n")
    with pytest.raises(TokenFailed, match="Pin") as raised:
        opens(tmp_path / "a", tmp_path / "wrong")
    assert "87654321" not in raised.value.message
    seal = load_seal(tmp_path / "a")
    with pytest.raises(TokenFailed, match="0 keys"):
        unlock(
            Seal(kind=seal.kind, module=seal.module, token=seal.token, key="another"), tmp_path, tmp_path / "pin",
            new=False, random=os.urandom,
        )  # fmt: skip
    import pkcs11  # noqa: PLC0415 - an extra

    session_token = pkcs11.lib(seal.module).get_token(token_label=seal.token)
    with session_token.open(user_pin="12345678") as session:
        (key,) = session.get_objects({pkcs11.Attribute.LABEL: "s1"})
        assert key[pkcs11.Attribute.EXTRACTABLE] is False
        with pytest.raises(pkcs11.PKCS11Error):
            key[pkcs11.Attribute.VALUE]


def test_a_token_opens_its_signer_and_never_gives_its_key(token: tuple[str, ...], tmp_path: Path) -> None:
    done = in_a_process(tmp_path, *token)
    assert done.returncode == 0, done.stderr[-3_000:]
