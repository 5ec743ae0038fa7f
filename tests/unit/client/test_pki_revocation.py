"""Revocation lists: what the small authority writes, and how strictly they are read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from charter_builder import signing_key
from strongroom.wire.cards import make_person_card
from strongroom.wire.revocation import (
    BadRevocationList,
    CertificateRevoked,
    RevocationListExpired,
    RevocationLists,
)
from strongroom_client.cli.pki import pki
from strongroom_client.pki import Authority, CertificateRefused, identity_of, make_request

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path, "acme", now=NOW)


def certificate(authority: Authority) -> x509.Certificate:
    _, issued = authority.issue_coordinator(["localhost"], now=NOW)
    return x509.load_pem_x509_certificate(issued.certificate)


def lists(authority: Authority, pem: bytes, now: datetime = NOW) -> RevocationLists:
    return RevocationLists.parse(pem, authorities=authority.certificate, now=now)


class Signer:
    """Signs lists of any form with an authority's own key."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self.key = key
        self.subject = x509.load_pem_x509_certificate(authority.certificate).subject

    def builder(self, *, number: int | None = 1, days: int = 1) -> x509.CertificateRevocationListBuilder:
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.subject).last_update(NOW)
        builder = builder.next_update(NOW + timedelta(days=days))
        return builder if number is None else builder.add_extension(x509.CRLNumber(number), critical=False)

    def pem(
        self, builder: x509.CertificateRevocationListBuilder, algorithm: hashes.HashAlgorithm | None = None
    ) -> bytes:
        return builder.sign(self.key, algorithm or hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_a_revoked_certificate_is_refused_and_others_pass(authority: Authority, tmp_path: Path) -> None:
    bad, good = certificate(authority), certificate(authority)
    found = lists(authority, authority.revoke(tmp_path, [bad.serial_number], now=NOW).pem)
    with pytest.raises(CertificateRevoked) as caught:
        found.check(bad, NOW)
    assert caught.value.facts == {"serial": f"{bad.serial_number:x}"}
    found.check(good, NOW)
    assert found.count == 1


def test_revocations_add_up_and_numbers_rise(authority: Authority, tmp_path: Path) -> None:
    first = authority.revoke(tmp_path, [7], now=NOW)
    second = authority.revoke(tmp_path, [9], now=NOW + DAY)
    renewed = authority.revoke(tmp_path, (), now=NOW + 2 * DAY, days=5)
    assert [(one.number, one.count) for one in (first, second, renewed)] == [(1, 1), (2, 2), (3, 2)]
    assert (tmp_path / "crl.pem").read_bytes() == renewed.pem
    crl = x509.load_pem_x509_crl(renewed.pem)
    assert {entry.serial_number: entry.revocation_date_utc for entry in crl} == {7: NOW, 9: NOW + DAY}
    assert crl.next_update_utc == NOW + 7 * DAY


def test_an_expired_list_lets_nobody_in_and_still_says_who_is_revoked(authority: Authority, tmp_path: Path) -> None:
    bad, good = certificate(authority), certificate(authority)
    found = lists(authority, authority.revoke(tmp_path, [bad.serial_number], now=NOW, days=2).pem)
    found.check(good, NOW + 2 * DAY)
    with pytest.raises(RevocationListExpired):
        found.check(good, NOW + 2 * DAY + timedelta(seconds=1))
    with pytest.raises(CertificateRevoked):
        found.check(bad, NOW + 3 * DAY)


def test_a_certificate_of_an_authority_without_a_list_is_refused(authority: Authority, tmp_path: Path) -> None:
    found = lists(authority, authority.revoke(tmp_path, (), now=NOW).pem)
    other = Authority.create(tmp_path / "other", "other", now=NOW)
    with pytest.raises(CertificateRevoked):
        found.check(certificate(other), NOW)


def test_each_authority_needs_exactly_one_list_of_its_own(authority: Authority, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "other", "other", now=NOW)
    ours, theirs = authority.revoke(tmp_path, [5], now=NOW).pem, other.revoke(tmp_path / "other", [6], now=NOW).pem
    both = authority.certificate + other.certificate
    assert RevocationLists.parse(ours + theirs, authorities=both, now=NOW).count == 2
    for data, authorities in (
        (ours, both),
        (ours + theirs, authority.certificate),
        (ours + ours, both),
        (theirs, ours),
    ):
        with pytest.raises(BadRevocationList):
            RevocationLists.parse(data, authorities=authorities, now=NOW)


def test_a_list_in_the_authority_s_name_by_another_key_is_refused(authority: Authority, tmp_path: Path) -> None:
    impostor = Authority.create(tmp_path / "impostor", "acme", now=NOW)
    with pytest.raises(BadRevocationList, match="not signed"):
        lists(authority, impostor.revoke(tmp_path / "impostor", (), now=NOW).pem)


def test_damaged_lists_are_refused(authority: Authority, tmp_path: Path) -> None:
    pem = authority.revoke(tmp_path, [5], now=NOW).pem
    der = bytearray(x509.load_pem_x509_crl(pem).public_bytes(serialization.Encoding.DER))
    for data in (b"", b"junk", pem[:-40], pem + b"junk", b"junk" + pem, bytes(der), pem * 30_000):
        with pytest.raises(BadRevocationList):
            lists(authority, data)
    lines = pem.decode().splitlines()
    for at in range(1, len(lines) - 1):
        swapped = lines[at][:10] + ("A" if lines[at][10] != "A" else "B") + lines[at][11:]
        with pytest.raises(BadRevocationList):
            lists(authority, "\n".join([*lines[:at], swapped, *lines[at + 1 :]]).encode() + b"\n")


def test_lists_of_another_form_are_refused(authority: Authority, tmp_path: Path) -> None:
    signer = Signer(tmp_path, authority)
    lists(authority, signer.pem(signer.builder()))
    delta = x509.DeltaCRLIndicator(1)
    partition = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
    held = x509.RevokedCertificateBuilder().serial_number(5).revocation_date(NOW)
    held = held.add_extension(x509.CertificateIssuer([x509.DirectoryName(signer.subject)]), critical=True)
    bad = (
        signer.pem(signer.builder(number=None)),
        signer.pem(signer.builder().add_extension(delta, critical=True)),
        signer.pem(signer.builder().add_extension(partition, critical=True)),
        signer.pem(signer.builder().add_revoked_certificate(held.build())),
        signer.pem(signer.builder(), hashes.SHA384()),
    )
    for pem in bad:
        with pytest.raises(BadRevocationList):
            lists(authority, pem)


def test_a_list_from_the_future_is_refused(authority: Authority, tmp_path: Path) -> None:
    pem = authority.revoke(tmp_path, (), now=NOW + DAY).pem
    with pytest.raises(BadRevocationList, match="future"):
        lists(authority, pem)
    lists(authority, pem, NOW + DAY - timedelta(minutes=4))


def test_an_older_list_does_not_take_the_place_of_a_newer_one(authority: Authority, tmp_path: Path) -> None:
    old = lists(authority, authority.revoke(tmp_path, (), now=NOW).pem)
    new = lists(authority, authority.revoke(tmp_path, [5], now=NOW).pem)
    new.require_not_older(old)
    new.require_not_older(new)
    with pytest.raises(BadRevocationList, match="older"):
        old.require_not_older(new)


def test_the_authority_extends_no_damaged_list(authority: Authority, tmp_path: Path) -> None:
    authority.revoke(tmp_path, [5], now=NOW)
    (tmp_path / "crl.pem").write_bytes(b"damaged")
    with pytest.raises(BadRevocationList):
        authority.revoke(tmp_path, [6], now=NOW)
    assert (tmp_path / "crl.pem").read_bytes() == b"damaged"


def test_only_own_certificates_and_sensible_numbers_are_revoked(authority: Authority, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "other", "acme", now=NOW)
    for pem in (b"junk", other.issue_coordinator(["localhost"], now=NOW)[1].certificate):
        with pytest.raises(CertificateRefused):
            authority.issued(pem)
    for serial in (0, -1, 1 << 159):
        with pytest.raises(CertificateRefused):
            authority.revoke(tmp_path, [serial], now=NOW)
    for days in (0, 366):
        with pytest.raises(CertificateRefused):
            authority.revoke(tmp_path, (), now=NOW, days=days)


def test_a_list_of_an_authority_that_may_sign_none_is_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "no lists")])
    usage = x509.KeyUsage(
        digital_signature=False,
        key_cert_sign=True,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + DAY)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    crl = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(NOW).next_update(NOW + DAY)
    pem = crl.add_extension(x509.CRLNumber(1), critical=False).sign(key, hashes.SHA256())
    with pytest.raises(BadRevocationList, match="may sign no"):
        RevocationLists.parse(
            pem.public_bytes(serialization.Encoding.PEM),
            authorities=certificate.public_bytes(serialization.Encoding.PEM),
            now=NOW,
        )


def test_the_commands_revoke_renew_and_replace_a_stolen_key(tmp_path: Path) -> None:
    def command(*arguments: str) -> Any:
        done = CliRunner().invoke(pki, [*arguments, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.output)

    folder = str(tmp_path / "pki")
    command("init", "--out", folder, "--organisation", "acme")
    card, stolen = tmp_path / "card.json", make_request("alice")[1]
    card.write_text(make_person_card("alice", signing_key("alice"), stolen, machine=False))
    issue = ("issue", folder, "--card", str(card), "--role", "person")
    command(*issue, "--out", str(tmp_path / "old.pem"))
    fresh = tmp_path / "fresh.csr"
    fresh.write_text(make_request("alice")[1])
    command(*issue, "--out", str(tmp_path / "new.pem"), "--request", str(fresh))
    old, new = (x509.load_pem_x509_certificate((tmp_path / name).read_bytes()) for name in ("old.pem", "new.pem"))
    assert identity_of(old) == identity_of(new) == "spiffe://acme/person/alice"
    assert new.public_key() == x509.load_pem_x509_csr(fresh.read_bytes()).public_key() != old.public_key()
    assert command("renew-revocations", folder)["revoked"] == 0
    assert command("revoke", folder, "--cert", str(tmp_path / "old.pem"))["revoked"] == 1
    assert command("revoke", folder, "--serial", f"{7:x}")["revoked"] == 2
    found = RevocationLists.parse(
        (tmp_path / "pki" / "crl.pem").read_bytes(),
        authorities=(tmp_path / "pki" / "ca.pem").read_bytes(),
        now=datetime.now(UTC),
    )
    found.check(new, datetime.now(UTC))
    with pytest.raises(CertificateRevoked):
        found.check(old, datetime.now(UTC))
    for bad in ((), ("--serial", "xyz"), ("--cert", str(tmp_path / "pki" / "ca.key")), ("--cert", f"{folder}/ca.pem")):
        assert CliRunner().invoke(pki, ["revoke", folder, *bad]).exit_code != 0


def test_an_authority_that_takes_over_anothers_name_clears_nobody(authority: Authority, tmp_path: Path) -> None:
    """Both trusted, the list of the newer key alone would be taken, and the older key's revocations forgotten."""
    revoked = certificate(authority).serial_number
    older = authority.revoke(tmp_path, [revoked], now=NOW).pem
    (tmp_path / "next").mkdir()
    successor = Authority.create(tmp_path / "next", "acme", now=NOW)
    newer = successor.revoke(tmp_path / "next", [], now=NOW).pem
    for both in (authority.certificate + successor.certificate, successor.certificate + authority.certificate):
        for pem in (older, newer, older + newer):
            with pytest.raises(BadRevocationList, match="two authorities named"):
                RevocationLists.parse(pem, authorities=both, now=NOW)
    assert RevocationLists.parse(older, authorities=authority.certificate * 2, now=NOW).count == 1
