"""`strongroom pki`: a small certificate authority for tests and small installations."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from strongroom.wire.cards import parse_card
from strongroom_client.cli.output import PathArgument, emit, group, json_option
from strongroom_client.files import make_private_folder, read_bytes, read_text, write_new
from strongroom_client.pki import (
    CA_CERTIFICATE_FILE,
    DEFAULT_DAYS,
    DEFAULT_LIST_DAYS,
    MAX_DAYS,
    MAX_LIST_DAYS,
    REVOKED_FILE,
    Authority,
    CertificateRefused,
    CertificateRole,
    Issued,
    Revoked,
)

__all__ = ["pki"]

pki = group("pki", "Issue TLS certificates from a small authority. They grant calls, never authority over coins.")

_days = click.option(
    "--days", type=click.IntRange(1, MAX_DAYS), default=DEFAULT_DAYS, show_default=True, help="How long it is valid."
)


@pki.command("init")
@click.option("--out", "folder", required=True, type=PathArgument, help="The folder of the new authority.")
@click.option("--organisation", required=True, help="As in the charter: a-z, 0-9 and dashes, at most 40.")
@json_option
def init_authority(folder: Path, organisation: str) -> None:
    """Make an authority: its key and its certificate."""
    authority = Authority.create(folder, organisation, now=datetime.now(UTC))
    certificate = folder / CA_CERTIFICATE_FILE
    emit(
        {"organisation": authority.organisation, "folder": str(folder), "ca": str(certificate)},
        f"The authority of {organisation} is in {folder}. Give {certificate} to everyone; ca.key stays here.",
    )


@pki.command()
@click.argument("folder", metavar="PKI", type=PathArgument)
@click.option("--card", "card_file", required=True, type=PathArgument, help="The card of who gets the certificate.")
@click.option("--role", required=True, type=click.Choice([role.value for role in CertificateRole]))
@click.option("--out", required=True, type=PathArgument, help="The certificate to write.")
@click.option(
    "--request", type=PathArgument, help="A request (PKCS #10) for another TLS key than the card's, after a theft."
)
@_days
@json_option
def issue(folder: Path, card_file: Path, role: str, out: Path, *, request: Path | None, days: int) -> None:
    """Issue a client certificate for the TLS key of a card."""
    card = parse_card(read_text(card_file))
    if request is not None:
        card = replace(card, certificate_request=read_text(request))
    issued = Authority.open(folder).issue(card, CertificateRole(role), now=datetime.now(UTC), days=days)
    write_new(out, issued.certificate, mode=0o644)
    emit({**_described(issued), "certificate": str(out)}, f"Issued {issued.identity}: {out}")


@pki.command("issue-coordinator")
@click.argument("folder", metavar="PKI", type=PathArgument)
@click.option("--host", "hosts", required=True, multiple=True, help="Host name or IP address; may be repeated.")
@click.option("--name", default="coordinator", show_default=True, help="The coordinator's name.")
@click.option("--out", required=True, type=PathArgument, help="The folder for tls.key, cert.pem and ca.pem.")
@_days
@json_option
def issue_coordinator(folder: Path, hosts: tuple[str, ...], name: str, out: Path, days: int) -> None:
    """Make a coordinator's TLS key and certificate."""
    authority = Authority.open(folder)
    key, issued = authority.issue_coordinator(hosts, now=datetime.now(UTC), name=name, days=days)
    make_private_folder(out)
    write_new(out / "tls.key", key)
    write_new(out / "cert.pem", issued.certificate, mode=0o644)
    write_new(out / CA_CERTIFICATE_FILE, authority.certificate, mode=0o644)
    emit({**_described(issued), "folder": str(out)}, f"Issued {issued.identity}: {out}")


_list_days = click.option(
    "--days",
    type=click.IntRange(1, MAX_LIST_DAYS),
    default=DEFAULT_LIST_DAYS,
    show_default=True,
    help="How long the list is valid; renew it before, for after that nobody is let in.",
)


@pki.command()
@click.argument("folder", metavar="PKI", type=PathArgument)
@click.option("--cert", "files", multiple=True, type=PathArgument, help="A certificate to revoke; may be repeated.")
@click.option("--serial", "serials", multiple=True, help="A serial number in hex, as logs show it; may be repeated.")
@_list_days
@json_option
def revoke(folder: Path, files: tuple[Path, ...], serials: tuple[str, ...], days: int) -> None:
    """Revoke certificates: write them into the authority's list, crl.pem."""
    if not files and not serials:
        raise click.UsageError("give --cert or --serial")
    authority = Authority.open(folder)
    numbers = {authority.issued(read_bytes(file)) for file in files} | {_serial(text) for text in serials}
    _emit_list(folder, authority.revoke(folder, numbers, now=datetime.now(UTC), days=days))


@pki.command("renew-revocations")
@click.argument("folder", metavar="PKI", type=PathArgument)
@_list_days
@json_option
def renew_revocations(folder: Path, days: int) -> None:
    """Write the list of revoked certificates anew, valid for longer; also the first, empty one."""
    _emit_list(folder, Authority.open(folder).revoke(folder, (), now=datetime.now(UTC), days=days))


def _emit_list(folder: Path, revoked: Revoked) -> None:
    path = folder / REVOKED_FILE
    facts = {"revoked": revoked.count, "number": revoked.number, "next_update": revoked.next_update.isoformat()}
    emit(
        {**facts, "list": str(path)},
        f"{path} lists {revoked.count} revoked certificate{'' if revoked.count == 1 else 's'}, valid until "
        f"{revoked.next_update:%Y-%m-%d}.\n"
        "Copy it to the coordinator and to every signer whose settings name a list (`revoked`): no others look at it.",
    )


def _serial(text: str) -> int:
    digits = text.replace(":", "").lower()
    if not digits or len(digits) > 40 or any(digit not in "0123456789abcdef" for digit in digits):
        raise CertificateRefused(f'"{text[:60]}" is no serial number in hex')
    return int(digits, 16)


def _described(issued: Issued) -> dict[str, str]:
    return {"identity": issued.identity, "not_after": issued.not_after.isoformat()}
