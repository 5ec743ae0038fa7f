"""The TLS files of a data folder: read whole and fitting together, or refused by name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from strongroom_signer.tls import BadCertificateFile, TlsFiles, create_tls_key, load_tls

NAMES = ("ca.pem", "cert.pem", "tls.key")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_tls_key(tmp_path, "north")
    key = serialization.load_pem_private_key((tmp_path / "tls.key").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "north")])
    # Long expired: that is for the coordinator's door to say.
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2001, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2002, 1, 1, tzinfo=dt.UTC))
        .sign(key, hashes.SHA256())
    )
    for file in ("ca.pem", "cert.pem"):
        (tmp_path / file).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return tmp_path


def load(folder: Path) -> TlsFiles:
    return load_tls(folder, certificate=Path("cert.pem"), authority=Path("ca.pem"))


def test_whole_files_are_handed_on_as_they_are(folder: Path) -> None:
    files = load(folder)
    assert files.key == (folder / "tls.key").read_bytes()
    assert files.certificate == (folder / "cert.pem").read_bytes()
    assert "PRIVATE" not in repr(files)


def garble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 16] = bytes(byte ^ 0x5A for byte in data[middle : middle + 16])
    path.write_bytes(data)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", [garble, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_is_named(folder: Path, name: str, damage: Callable[[Path], object]) -> None:
    """gRPC itself would end the process without a word, or fail every connection with words about handshakes."""
    secret = (folder / "tls.key").read_text().splitlines()[1]
    damage(folder / name)
    with pytest.raises(BadCertificateFile, match=name) as caught:
        load(folder)
    assert secret[:16] not in str(caught.value)


def test_a_certificate_for_another_key_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "tls.key").unlink()
    create_tls_key(folder, "south")
    with pytest.raises(BadCertificateFile, match="is not for"):
        load(folder)
