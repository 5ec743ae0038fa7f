"""A signer with revocation lists looks at the coordinator's certificate before it dials, and while it is connected."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from callers import DAY, Identity, Issuer
from strongroom_client.pki import Authority
from strongroom_signer.coordinator_check import CoordinatorCheck, CoordinatorRefused, pem_of
from strongroom_signer.logs import open_log

COORDINATOR = "spiffe://acme/coordinator/coordinator"
HOST = "127.0.0.1"


@dataclass
class Desk:
    """An authority, a signer's files, and its list."""

    folder: Path
    authority: Authority
    issuer: Issuer

    @property
    def list(self) -> Path:
        return self.folder / "crl.pem"

    def revoke(self, *serials: int) -> bytes:
        return self.authority.revoke(self.folder, serials, now=dt.datetime.now(dt.UTC)).pem

    def coordinator(self, uri: str = COORDINATOR, **options: object) -> Identity:
        return self.issuer.issue(uri, hosts=[HOST], server=True, **options)  # type: ignore[arg-type]

    def check(self, port: int, *, ahead: dt.timedelta = dt.timedelta(0)) -> CoordinatorCheck:
        identity = self.issuer.issue("spiffe://acme/signer/north")
        (self.folder / "cert.pem").write_bytes(identity.certificate)
        (self.folder / "tls.key").write_bytes(identity.key)
        return CoordinatorCheck(
            f"{HOST}:{port}",
            revoked=self.list,
            authority=self.authority.certificate,
            identity=(self.folder / "cert.pem", self.folder / "tls.key"),
            organisation="acme",
            wall_ms=lambda: int((dt.datetime.now(dt.UTC) + ahead).timestamp() * 1000),
            log=open_log(stream=io.StringIO()),
        )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    authority = Authority.create(tmp_path, "acme", now=dt.datetime.now(dt.UTC))
    desk = Desk(tmp_path, authority, Issuer.of(tmp_path))
    desk.revoke()
    return desk


@asynccontextmanager
async def listening(desk: Desk, identity: Identity) -> AsyncIterator[int]:
    server = grpc.aio.server()
    pair = [(identity.key, identity.certificate)]
    credentials = grpc.ssl_server_credentials(pair, desk.authority.certificate, require_client_auth=True)
    port = server.add_secure_port(f"{HOST}:0", credentials)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


async def test_a_good_certificate_is_the_one_that_is_trusted(desk: Desk) -> None:
    identity = desk.coordinator()
    async with listening(desk, identity) as port:
        assert pem_of(await desk.check(port).verified()) == identity.certificate


async def test_words_around_the_authoritys_certificate_may_be_of_any_language(desk: Desk) -> None:
    identity = desk.coordinator()
    async with listening(desk, identity) as port:
        check = desk.check(port)
        check._authority = "# Zertifizierungsstelle Zürich\n".encode() + check._authority
        assert pem_of(await check.verified()) == identity.certificate


async def test_a_revoked_certificate_is_refused_before_and_after_dialling(desk: Desk) -> None:
    identity = desk.coordinator()
    async with listening(desk, identity) as port:
        check = desk.check(port)
        certificate = await check.verified()
        desk.revoke(identity.serial)
        with pytest.raises(CoordinatorRefused, match="CERTIFICATE_REVOKED"):
            check.require_good(certificate)
        with pytest.raises(CoordinatorRefused, match="CERTIFICATE_REVOKED"):
            await check.verified()


async def test_whoever_is_no_coordinator_of_the_organisation_is_refused(desk: Desk) -> None:
    others = (
        desk.coordinator("spiffe://acme/signer/south"),
        desk.coordinator("spiffe://other/coordinator/coordinator"),
        desk.coordinator(end=-DAY / 2),
        desk.issuer.issue(COORDINATOR, hosts=["192.0.2.1"], server=True),
        desk.issuer.issue(COORDINATOR, hosts=[HOST]),
        Issuer.stranger(desk.issuer).issue(COORDINATOR, hosts=[HOST], server=True),
    )
    for identity in others:
        async with listening(desk, identity) as port:
            with pytest.raises(CoordinatorRefused):
                await desk.check(port).verified()


async def test_without_a_valid_list_nobody_is_dialled(desk: Desk) -> None:
    good = desk.list.read_bytes()
    async with listening(desk, desk.coordinator()) as port:
        for content in (b"", b"junk", good[:-30]):
            desk.list.write_bytes(content)
            with pytest.raises(CoordinatorRefused, match="REVOCATION_LIST_INVALID"):
                await desk.check(port).verified()
        desk.list.unlink()
        with pytest.raises(CoordinatorRefused, match="cannot be read"):
            await desk.check(port).verified()
        desk.list.write_bytes(good)
        with pytest.raises(CoordinatorRefused, match="REVOCATION_LIST_EXPIRED"):
            await desk.check(port, ahead=91 * DAY).verified()


async def test_a_damaged_or_older_list_leaves_the_one_before_in_force(desk: Desk) -> None:
    identity = desk.coordinator()
    older = desk.list.read_bytes()
    async with listening(desk, identity) as port:
        check = desk.check(port)
        desk.revoke(identity.serial)
        for content in (None, b"junk", older):
            if content is not None:
                desk.list.write_bytes(content)
            with pytest.raises(CoordinatorRefused, match="CERTIFICATE_REVOKED"):
                await check.verified()
        desk.list.unlink()
        with pytest.raises(CoordinatorRefused, match="CERTIFICATE_REVOKED"):
            await check.verified()


async def test_nobody_who_answers_is_refused_in_time(desk: Desk) -> None:
    with pytest.raises(CoordinatorRefused):
        await desk.check(1).verified()
