"""The small certificate authority: identities, uses, proof of possession, and a real TLS handshake."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from charter_builder import host_secret, seed, signing_key
from strongroom.wire.cards import Card, make_person_card, make_signer_card, parse_card
from strongroom_client.files import FileExists, FileProblem
from strongroom_client.pki import Authority, CertificateRefused, CertificateRole, identity_of, make_request

NOW = datetime.now(UTC).replace(microsecond=0)


def card(*, machine: bool = False, request: str | None = None) -> Card:
    request = request or make_request("alice")[1]
    return parse_card(make_person_card("alice", signing_key("alice"), request, machine=machine))


def signer_card() -> Card:
    text = make_signer_card(
        "s1",
        host=host_secret("s1"),
        vote=signing_key("s1 vote"),
        witness=signing_key("s1 witness"),
        certificate_request=make_request("s1")[1],
        aux32=seed("aux"),
    )
    return parse_card(text)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "pki", "acme", now=NOW)


def test_the_key_of_an_authority_is_private_and_it_opens_again(authority: Authority, tmp_path: Path) -> None:
    assert (tmp_path / "pki" / "ca.key").stat().st_mode & 0o777 == 0o600
    again = Authority.open(tmp_path / "pki")
    assert (again.organisation, again.certificate) == ("acme", authority.certificate)
    with pytest.raises(FileExists):
        Authority.create(tmp_path / "pki", "acme", now=NOW)


def test_a_folder_that_holds_no_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(FileProblem):
        Authority.open(tmp_path / "nothing")
    Authority.create(tmp_path / "other", "acme", now=NOW)
    (tmp_path / "pki" / "ca.key").write_bytes((tmp_path / "other" / "ca.key").read_bytes())
    with pytest.raises(CertificateRefused, match="is not the key of"):
        Authority.open(tmp_path / "pki")
    (tmp_path / "pki" / "ca.key").write_text("junk")
    with pytest.raises(CertificateRefused):
        Authority.open(tmp_path / "pki")


@pytest.mark.parametrize("organisation", ["", "Acme", "a/b", "acme."])
def test_an_organisation_that_does_not_fit_an_identity_is_refused(organisation: str, tmp_path: Path) -> None:
    with pytest.raises(CertificateRefused):
        Authority.create(tmp_path, organisation, now=NOW)


@pytest.mark.parametrize(
    ("owner", "role", "identity"),
    [
        (card(), CertificateRole.PERSON, "spiffe://acme/person/alice"),
        (card(), CertificateRole.AUDITOR, "spiffe://acme/auditor/alice"),
        (card(machine=True), CertificateRole.INTEGRATOR, "spiffe://acme/integrator/alice"),
        (signer_card(), CertificateRole.SIGNER, "spiffe://acme/signer/s1"),
    ],
)
def test_a_client_certificate_carries_one_identity_and_serves_no_server(
    authority: Authority, owner: Card, role: CertificateRole, identity: str
) -> None:
    issued = authority.issue(owner, role, now=NOW, days=30)
    certificate = x509.load_pem_x509_certificate(issued.certificate)
    assert issued.identity == identity_of(certificate) == identity
    assert list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.not_valid_before_utc == NOW - timedelta(minutes=5)
    assert issued.not_after == certificate.not_valid_after_utc == NOW + timedelta(days=30)
    request = x509.load_pem_x509_csr(owner.certificate_request.encode())
    assert certificate.public_key() == request.public_key()
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))


@pytest.mark.parametrize(
    ("owner", "role"),
    [
        (card(), CertificateRole.SIGNER),
        (card(), CertificateRole.INTEGRATOR),
        (card(machine=True), CertificateRole.PERSON),
        (signer_card(), CertificateRole.PERSON),
    ],
)
def test_a_role_that_does_not_fit_the_card_is_refused(authority: Authority, owner: Card, role: CertificateRole) -> None:
    with pytest.raises(CertificateRefused, match="not for role"):
        authority.issue(owner, role, now=NOW)


def test_a_request_for_a_key_its_author_does_not_hold_is_refused(authority: Authority) -> None:
    theirs = x509.load_pem_x509_csr(make_request("alice")[1].encode()).public_bytes(serialization.Encoding.DER)
    other = x509.load_pem_x509_csr(make_request("alice")[1].encode()).public_bytes(serialization.Encoding.DER)
    public_at = theirs.index(b"\x03\x42\x00\x04")
    mixed = bytearray(theirs)
    other_at = other.index(b"\x03\x42\x00\x04")
    mixed[public_at : public_at + 68] = other[other_at : other_at + 68]
    request = x509.load_der_x509_csr(bytes(mixed)).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(CertificateRefused, match="not signed by its own key"):
        authority.issue(card(request=request), CertificateRole.PERSON, now=NOW)


def request_by(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP256K1()])
def test_a_tls_key_of_another_kind_is_refused(authority: Authority, curve: ec.EllipticCurve) -> None:
    with pytest.raises(CertificateRefused, match="not P-256"):
        authority.issue(card(request=request_by(ec.generate_private_key(curve))), CertificateRole.PERSON, now=NOW)


def test_a_request_that_is_no_request_is_refused(authority: Authority) -> None:
    junk = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"
    with pytest.raises(CertificateRefused, match="malformed"):
        authority.issue(card(request=junk), CertificateRole.PERSON, now=NOW)


@pytest.mark.parametrize("days", [0, -1, 826])
def test_a_validity_out_of_range_is_refused(authority: Authority, days: int) -> None:
    with pytest.raises(CertificateRefused, match="1 to 825 days"):
        authority.issue(card(), CertificateRole.PERSON, now=NOW, days=days)


@pytest.mark.parametrize("hosts", [(), ("Upper.example",), ("a b",), ("",), ("-x.example",), ("x..y",)])
def test_a_malformed_host_is_refused(authority: Authority, hosts: tuple[str, ...]) -> None:
    with pytest.raises(CertificateRefused):
        authority.issue_coordinator(hosts, now=NOW)


def test_coordinator_and_client_shake_hands_and_see_each_others_identity(authority: Authority, tmp_path: Path) -> None:
    """Both ends verify with the standard library's TLS, mutual authentication on."""
    key, server_certificate = authority.issue_coordinator(("127.0.0.1", "localhost", "::1"), now=NOW)
    client_key, request = make_request("alice")
    client_certificate = authority.issue(card(request=request), CertificateRole.PERSON, now=NOW)
    for name, data in {
        "server.key": key,
        "server.pem": server_certificate.certificate,
        "client.key": client_key,
        "client.pem": client_certificate.certificate,
        "ca.pem": authority.certificate,
    }.items():
        (tmp_path / name).write_bytes(data)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
    for context in (server, client):
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_verify_locations(tmp_path / "ca.pem")
    seen_by_server, seen_by_client = _shake_hands(server, client, "127.0.0.1")
    assert identity_of(x509.load_der_x509_certificate(seen_by_server)) == "spiffe://acme/person/alice"
    assert identity_of(x509.load_der_x509_certificate(seen_by_client)) == "spiffe://acme/coordinator/coordinator"


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> tuple[bytes, bytes]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_end = server.wrap_bio(to_server, to_client, server_side=True)
    client_end = client.wrap_bio(to_client, to_server, server_hostname=host)
    waiting = {client_end, server_end}
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.discard(end)
            except ssl.SSLWantReadError:
                continue
    assert not waiting
    certificates = server_end.getpeercert(binary_form=True), client_end.getpeercert(binary_form=True)
    assert certificates[0] is not None
    assert certificates[1] is not None
    return certificates[0], certificates[1]


def test_the_identity_is_the_cards_name_whatever_the_request_asks_for(authority: Authority) -> None:
    owner = card(request=make_request("mallory")[1])
    assert authority.issue(owner, CertificateRole.PERSON, now=NOW).identity == "spiffe://acme/person/alice"
