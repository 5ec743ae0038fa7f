"""Targets of the files that people hand around or keep: cards, adoptions, hand-ins, exports, settings, certificates."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fuzz_target import scratch, target, text_of, total
from fuzz_world import busy_world, stopped_clock

import charter_builder as builder
from coordinator_world import TestAuthority
from fake_treasury import CertifiedWorld
from ledger_world import START_MS
from strongroom.ledger import codec
from strongroom.ledger.electorate import Electorate, witness_set_of
from strongroom.ledger.signed_messages import Verb
from strongroom.protocol.electorates import KnownSet, Reign
from strongroom.wire.cards import make_person_card, make_signer_card, parse_card
from strongroom.wire.revocation import RevocationLists
from strongroom.wire.x509_faults import MALFORMED
from strongroom_client.adoption import adoption_text, make_genesis, parse_adoption
from strongroom_client.audit import Auditor
from strongroom_client.cli.revocation import read_handed
from strongroom_client.log_files import held_log_id, replay_file
from strongroom_client.orders import Seen
from strongroom_client.pki import Authority, CertificateRole, identity_of, make_request
from strongroom_client.profile import Memory, Profile, load_profile, log_id_from_hex, save_profile
from strongroom_client.typed_log_id import log_id_of_typed
from strongroom_coordinator.config import CoordinatorConfig
from strongroom_coordinator.config import parse_config as coordinator_config
from strongroom_coordinator.data_folder import load_genesis, load_tls
from strongroom_coordinator.identity import identity_of_certificate, peer_certificate
from strongroom_signer.config import Seal, SealKind, load_config, load_seal, render_config, render_seal
from strongroom_signer.config import parse_config as signer_config
from strongroom_signer.enrolment import enrol
from strongroom_signer.operator_commands import parse_hand_in
from strongroom_signer.tls import check_certificate, create_tls_key

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1)
def folder() -> Path:
    return scratch("fuzz-")


def written(name: str, data: bytes) -> Path:
    path = folder() / name
    path.write_bytes(data)
    return path


# --- cards and certificates ---


def card_seeds() -> Iterator[bytes]:
    request = make_request("alice")[1]
    yield make_person_card("alice", builder.signing_key("alice"), request).encode()
    yield make_person_card("shop", builder.signing_key("shop"), request, machine=True).encode()
    yield make_signer_card(
        "s1",
        host=builder.host_secret("s1"),
        vote=builder.signing_key("s1 vote"),
        witness=builder.signing_key("s1 witness"),
        certificate_request=request,
        aux32=bytes(32),
    ).encode()


@lru_cache(maxsize=1)
def authority() -> Authority:
    return Authority.create(folder() / "pki", "acme", now=NOW)


@target("strongroom.wire.cards:parse_card", seeds=card_seeds, max_bytes=4_096)
def card(data: bytes) -> None:
    """Cards, and what an authority makes of one."""
    found = total(parse_card, text_of(data))
    if found is None:
        return
    total(found.as_person)
    total(found.as_signer)
    for role in CertificateRole:
        total(authority().issue, found, role, now=NOW)


def request_seeds() -> Iterator[bytes]:
    for name in ("alice", "s1"):
        pem = make_request(name)[1].encode()
        yield x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER)
    other = ec.generate_private_key(ec.SECP384R1())
    subject = x509.Name([])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(other, hashes.SHA256())
    yield made.public_bytes(serialization.Encoding.DER)


@target("strongroom_client.pki:_requested_key", seeds=request_seeds, max_bytes=2_048)
def certificate_request(data: bytes) -> None:
    """Certificate requests as DER, in a card that its owner signed."""
    for pem in (armoured("CERTIFICATE REQUEST", data), text_of(data)):
        made = total(make_person_card, "alice", builder.signing_key("alice"), pem)
        if made is not None:
            total(authority().issue, parse_card(made), CertificateRole.PERSON, now=NOW)


def armoured(what: str, der: bytes) -> str:
    lines = b64encode(der).decode()
    body = "\n".join(lines[at : at + 64] for at in range(0, len(lines), 64))
    return f"-----BEGIN {what}-----\n{body}\n-----END {what}-----\n"


@lru_cache(maxsize=1)
def tls_folder() -> Path:
    path = folder() / "signer"
    path.mkdir()
    create_tls_key(path, "s1")
    return path


@lru_cache(maxsize=1)
def test_authority() -> TestAuthority:
    return TestAuthority()


test_authority.__test__ = False  # type: ignore[attr-defined] - pytest's own switch


def certificate_seeds() -> Iterator[bytes]:
    for role in ("signer", "person", "coordinator"):
        _, pem = test_authority().issue(role, "s1")
        yield x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    yield x509.load_pem_x509_certificate(test_authority().pem).public_bytes(serialization.Encoding.DER)


@target(
    "strongroom_coordinator.identity:identity_of_certificate",
    "strongroom_client.pki:identity_of",
    "strongroom_client.pki:Authority.open",
    "strongroom_signer.tls:check_certificate",
    seeds=certificate_seeds,
    max_bytes=2_048,
)
def tls_certificate(data: bytes) -> None:
    """Certificates as DER: who a peer is, whether a signer's own is right, whether an authority's is one."""
    pem = armoured("CERTIFICATE", data).encode()
    for tried in (pem, data):
        total(identity_of_certificate, tried)
        for own, issuer in ((tried, test_authority().pem), (test_authority().pem, tried), (tried, tried)):
            total(
                check_certificate,
                tls_folder(),
                certificate=own,
                authority=issuer,
                organisation="acme",
                name="s1",
                now_ms=1_800_000_000_000,
            )
        authority()
        written("pki/ca.pem", tried)
        total(Authority.open, folder() / "pki")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except MALFORMED:
        return
    identity_of(certificate)


# --- what people hand around ---


def adoption_seeds() -> Iterator[bytes]:
    yield adoption_text(busy_world().adoption("alice")).encode()


@target(
    "strongroom_client.adoption:parse_adoption",
    "strongroom_client.adoption:make_genesis",
    seeds=adoption_seeds,
    max_bytes=2_048,
)
def adoption(data: bytes) -> None:
    """Adoption files, and the genesis they would make."""
    found = total(parse_adoption, text_of(data), "the file")
    if found is not None:
        total(make_genesis, busy_world().charter_bytes, [("the file", found), ("bob's", busy_world().adoption("bob"))])


def hand_in_seeds() -> Iterator[bytes]:
    world = busy_world()
    said = world.endorsement("alice", Verb.REJECT, bytes(32))
    item = {"body": said.body.hex(), "signature": said.signature.hex()}
    yield json.dumps({"v": 1, "order": "", "endorsements": [item]}, indent=2).encode()
    yield json.dumps({"v": 1, "order": "00ff", "endorsements": [item, item]}).encode()
    people = tuple(person for person in world.charter.people if person.name != "dave")
    amendment = world.order(world.amendment(people=people))
    said = world.endorsement("alice", Verb.APPROVE, sha256(amendment).digest())
    item = {"body": said.body.hex(), "signature": said.signature.hex()}
    yield json.dumps({"v": 1, "order": amendment.hex(), "endorsements": [item]}).encode()


@target(
    "strongroom_signer.operator_commands:parse_hand_in",
    "strongroom_client.cli.revocation:read_handed",
    seeds=hand_in_seeds,
    max_bytes=12_000,
)
def hand_in_file(data: bytes) -> None:
    """Hand-in files of rejections, freezes and revocations, as operators and other administrators read them."""
    total(parse_hand_in, data)
    world = busy_world()
    total(read_handed, written("hand-in.json", data), world.charter, world.log_id)


def export_of(world: CertifiedWorld) -> bytes:
    lines: list[dict[str, Any]] = [{"kind": "strongroom-log", "v": 1, "log_id": world.log_id.hex()}]
    for preview in world.previews:
        lines.append(
            {
                "first_index": preview.batch.first_index,
                "entries": [entry.hex() for entry in preview.batch.entries],
                "certificate": codec.encode(world.certificates[preview.size]).hex(),
            }
        )
    lines.append({"end": world.replica.size, "checkpoint": ""})
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def exported_world() -> CertifiedWorld:
    """A log of a genesis, certified."""
    with stopped_clock():
        world = CertifiedWorld(label="export", time_ms=START_MS)
        world.settle(world.genesis())
    return world


def export_seeds() -> Iterator[bytes]:
    yield export_of(exported_world())
    yield exported_world().exported()


@target(
    "strongroom_client.log_files:held_log_id",
    "strongroom_client.log_files:replay_file",
    "strongroom_client.log_files:_replay_lines",
    "strongroom_client.log_files:_lines",
    "strongroom_client.audit:Auditor.take",
    "strongroom_client.audit:Auditor.finish",
    seeds=export_seeds,
    max_bytes=12_000,
)
def log_export(data: bytes) -> None:
    """Exported logs, as an auditor verifies them against a pinned log id."""
    total(held_log_id, written("export.jsonl", data))
    total(replay_file, Auditor(busy_world().log_id), written("export.jsonl", data))


def genesis_seeds() -> Iterator[bytes]:
    world = busy_world()
    yield codec.encode(world.genesis())


@target("strongroom_coordinator.data_folder:load_genesis", seeds=genesis_seeds)
def genesis_file(data: bytes) -> None:
    """The genesis file that a coordinator starts from."""
    total(load_genesis, written("genesis.bin", data))


# --- settings ---


def config_seeds() -> Iterator[bytes]:
    yield render_config(signer_config('[coordinator]\naddress = "127.0.0.1:7000"\n')).encode()
    yield render_seal(Seal(kind=SealKind.PKCS11, module="/lib/pkcs11.so", token="strongroom", key="seal")).encode()
    yield render_seal(Seal(kind=SealKind.KEY_FILE, key_file="/media/\U0001f511/\x7f")).encode()
    root = Path(__file__).parents[2]
    yield (root / "signer" / "signer.example.toml").read_bytes()
    yield (root / "coordinator" / "coordinator.example.toml").read_bytes()
    path = folder() / "seed.toml"
    profile = Profile(
        coordinator="host:7000",
        log_id=busy_world().log_id,
        ca=Path("/ca.pem"),
        certificate=Path("/cert.pem"),
        key_folder=Path("/key"),
    )
    save_profile(path, profile)
    yield path.read_bytes()
    yield b'{"log_id": "' + busy_world().log_id.hex().encode() + b'", "size": 3, "root": "' + b"00" * 32 + b'"}'
    handed = Electorate(replace(witness_set_of(busy_world().charter), quorum=3))
    known = KnownSet(number=2, witnesses=handed.sets[0], reigns=(Reign(electorate=handed, first=9),))
    memory = Memory.beside(folder() / "seed.toml", busy_world().log_id)
    memory.remember(Seen(size=9, root=bytes(32)), known)
    yield memory.file.read_bytes()


@target(
    "strongroom_signer.config:parse_config",
    "strongroom_signer.config:load_seal",
    "strongroom_coordinator.config:parse_config",
    "strongroom_client.profile:load_profile",
    "strongroom_client.profile:Memory.head",
    "strongroom_client.profile:Memory.witnesses",
    "strongroom_client.pins:pinned_set",
    seeds=config_seeds,
    max_bytes=6_000,
)
def settings(data: bytes) -> None:
    """The settings of signers and coordinators, profiles, and what a profile remembers of the log."""
    text = text_of(data)
    found = total(signer_config, text)
    if found is not None:
        total(signer_config, render_config(found))
    file = written("signer.toml", data)
    seal, whole = total(load_seal, file.parent), total(load_config, file.parent)
    if whole is not None and seal != whole.seal:
        raise ValueError("what opens the sealed file is read in two ways")
    if seal is not None:
        file.write_text(render_seal(seal), encoding="utf-8")
        if load_seal(file.parent) != seal:
            raise ValueError("what opens the sealed file changes when it is written and read")
    total(coordinator_config, text)
    path = written("profile.toml", data)
    total(load_profile, path)
    written("profile.head.json", data)
    memory = Memory.beside(path, busy_world().log_id)
    total(memory.head)
    total(memory.witnesses)


def fingerprint_seeds() -> Iterator[bytes]:
    yield busy_world().log_id.hex().encode()
    yield ("\u2013".join(["12345678"] * 8)).encode()
    yield " ".join(busy_world().log_id.hex()[at : at + 4] for at in range(0, 64, 4)).encode()


@target(
    "strongroom_signer.enrolment:enrol",
    "strongroom_client.profile:log_id_from_hex",
    "strongroom_client.typed_log_id:log_id_of_typed",
    seeds=fingerprint_seeds,
    max_bytes=300,
)
def typed_fingerprint(data: bytes) -> None:
    """Fingerprints as people type them, in whatever alphabet."""
    text = text_of(data)
    total(log_id_from_hex, text)
    total(log_id_of_typed, text, lambda: busy_world().log_id)
    total(
        enrol,
        folder() / "nobody",
        charter=b"not the charter",
        fingerprint=text,
        certificate=b"",
        authority=b"",
        coordinator="host:1",
        clock=None,  # type: ignore[arg-type] - the fingerprint is never right, so nothing after it runs
    )


# --- revocation lists, and certificates as daemons meet them ---


@lru_cache(maxsize=1)
def list_authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """An authority whose key is at hand, so that lists of it verify."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "acme")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1_000))
        .sign(key, hashes.SHA256())
    )
    return made, key


def revocation_list(*serials: int, number: int = 1) -> bytes:
    """A list of the authority, as DER."""
    authority, key = list_authority()
    building = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(NOW - timedelta(hours=1))
        .next_update(NOW + timedelta(days=7))
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for serial in serials:
        one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - timedelta(hours=2))
        building = building.add_revoked_certificate(one.build())
    return building.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def revocation_seeds() -> Iterator[bytes]:
    yield revocation_list()
    yield revocation_list(1, 2, 2**150, number=2**100)


@target("strongroom.wire.revocation:RevocationLists.parse", seeds=revocation_seeds, max_bytes=2_048)
def revocation_file(data: bytes) -> None:
    """Revocation lists as DER, in PEM; also signed anew, so that what is signed is reached."""
    authority, _ = list_authority()
    trusted = authority.public_bytes(serialization.Encoding.PEM)
    for der in (data, signed_anew(data)):
        pem = armoured("X509 CRL", der).encode()
        for tried in (pem, pem + pem, data):
            found = total(RevocationLists.parse, tried, authorities=trusted, now=NOW)
            if found is not None:
                total(found.check, authority, NOW)
                total(found.require_not_older, found)
    total(RevocationLists.parse, armoured("X509 CRL", data).encode(), authorities=data, now=NOW)


def signed_anew(data: bytes) -> bytes:
    """Put the authority's signature under whatever the list says, if it is one at all."""
    try:
        inside = x509.load_der_x509_crl(data).tbs_certlist_bytes
    except MALFORMED:
        return data
    signature = list_authority()[1].sign(inside, ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    return der_of(0x30, inside + algorithm + der_of(0x03, b"\0" + signature))


def der_of(tag: int, content: bytes) -> bytes:
    """A DER value of at most 65,535 bytes."""
    size = len(content)
    length = (
        bytes([size]) if size < 128 else b"\x81" + bytes([size]) if size < 256 else b"\x82" + size.to_bytes(2, "big")
    )
    return bytes([tag]) + length + content


class Peer:
    """A call over mutual TLS, as far as who calls is asked."""

    def __init__(self, *certificates: bytes) -> None:
        self._certificates = list(certificates)

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"x509_pem_cert": self._certificates}


@target(
    "strongroom_coordinator.identity:peer_certificate",
    "strongroom_coordinator.data_folder:load_tls",
    "strongroom_client.pki:Authority.issued",
    seeds=certificate_seeds,
    max_bytes=2_048,
)
def peer(data: bytes) -> None:
    """Certificates of callers, of the coordinator's own folder, and those that an authority is to revoke."""
    for tried in (armoured("CERTIFICATE", data).encode(), data):
        total(peer_certificate, Peer(tried))
        total(peer_certificate, Peer(tried, tried))
        total(authority().issued, tried)
        for name in ("cert.pem", "key.pem", "ca.pem"):
            written(f"tls-{name}", tried)
        config = CoordinatorConfig(
            listen="127.0.0.1:0",
            certificate=Path("tls-cert.pem"),
            key=Path("tls-key.pem"),
            certificate_authority=Path("tls-ca.pem"),
        )
        total(load_tls, folder(), config, organisation="acme")
