"""`strongroom charter`: from cards to the genesis of an organisation's log."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import click

from strongroom.ledger import codec
from strongroom.ledger.charter import Charter, decode_charter, encode_charter, log_id_of
from strongroom.ledger.charter_check import Report, check_charter
from strongroom.ledger.charter_source import charter_to_toml, parse_charter_toml
from strongroom.ledger.rules import person_key_known
from strongroom.model.fingerprints import Compared, is_fingerprint, spoken
from strongroom.wire.cards import parse_card
from strongroom_client.adoption import adoption_text, make_genesis, parse_adoption
from strongroom_client.charter_template import charter_template
from strongroom_client.cli.charter_view import charter_tables, fingerprint_text, report_parts
from strongroom_client.cli.output import (
    PathArgument,
    Refused,
    emit,
    group,
    json_option,
    passphrase_option,
    read_passphrase,
)
from strongroom_client.files import read_bytes, read_text, write_new
from strongroom_client.person_key import PersonKey
from strongroom_client.plain_text import counted

__all__ = ["charter", "refuse_errors"]

charter = group("charter", "Write, check, build and adopt the organisation's rule book.")
_CANONICAL = ".bin"
_out = click.option("--out", required=True, type=PathArgument, help="The file to write; it must not be there yet.")


@charter.command()
@click.argument("cards", metavar="CARD...", nargs=-1, required=True, type=PathArgument)
@click.option("--organisation", required=True, help="a-z, 0-9 and dashes, at most 40.")
@click.option("--threshold", type=click.IntRange(1, 100), help="Largest threshold of the vaults to come.")
@_out
@json_option
def new(cards: tuple[Path, ...], organisation: str, threshold: int | None, out: Path) -> None:
    """Write a first charter source from the cards of people and signers."""
    read = [parse_card(read_text(card)) for card in cards]
    write_new(out, charter_template(organisation, read, threshold=threshold), secret=False)
    emit(
        {"source": str(out), "cards": [{"role": card.role.value, "name": card.name} for card in read]},
        f"Wrote {out} from {counted(len(read), 'card')}. Edit it, then: strongroom charter check {out}",
    )


@charter.command()
@click.argument("file", type=PathArgument)
@json_option
def check(file: Path) -> None:
    """Check a charter source (.toml) or a canonical charter (.bin), and say what its numbers mean."""
    report = check_charter(_read(file))
    emit(_report_data(report), report_parts(report))
    if not report.ok:
        raise Refused(f"{file} must not be adopted: mend what is listed above and check again")


@charter.command()
@click.argument("source", type=PathArgument)
@_out
@json_option
def build(source: Path, out: Path) -> None:
    """Write the canonical charter of a checked source, with a fresh random salt. Do this once."""
    built = parse_charter_toml(read_text(source), salt=secrets.token_bytes(32))
    refuse_errors(source, check_charter(built))
    data = encode_charter(built)
    write_new(out, data, mode=0o644)
    log_id = log_id_of(data)
    emit(
        {"charter": str(out), "bytes": len(data), **_fingerprint_facts(log_id)},
        f"Wrote {out}, {len(data)} bytes. Its fingerprint, which is the log id, to compare on another channel:\n"
        f"{fingerprint_text(log_id)}",
    )


@charter.command()
@click.argument("file", type=PathArgument)
@json_option
def show(file: Path) -> None:
    """Show what a canonical charter says, and its fingerprint."""
    data = read_bytes(file)
    shown = decode_charter(data)
    log_id = log_id_of(data)
    content = {**_fingerprint_facts(log_id), "source": charter_to_toml(shown), **_report_data(check_charter(shown))}
    emit(content, charter_tables(shown, log_id))


@charter.command()
@click.argument("file", type=PathArgument)
@json_option
def fingerprint(file: Path) -> None:
    """Print the fingerprint of a canonical charter: its SHA-256, which is the log id, and digits to read aloud."""
    data = read_bytes(file)
    decode_charter(data)
    log_id = log_id_of(data)
    # Scripts take the hex from the output; the digits are for the person who runs them.
    click.echo(f"Read aloud: {spoken(Compared.CHARTER, log_id)}", err=True)
    emit(_fingerprint_facts(log_id), log_id.hex())


@charter.command()
@click.argument("file", type=PathArgument)
@click.option("--key", "folder", required=True, type=PathArgument, help="The folder of your key.")
@click.option("--fingerprint", "expected", help="Refuse any charter but the one with this fingerprint.")
@_out
@passphrase_option
@json_option
def adopt(file: Path, folder: Path, expected: str | None, out: Path, passphrase_file: Path | None) -> None:
    """Adopt a genesis charter as one of its administrators. Read it first: strongroom charter show."""
    data = read_bytes(file)
    adopted = decode_charter(data)
    refuse_errors(file, check_charter(adopted))
    log_id = log_id_of(data)
    if expected is not None and not is_fingerprint(expected, Compared.CHARTER, log_id):
        raise Refused(f"{file} has the fingerprint {log_id.hex()}, not the one given: get the right charter")
    click.echo(f"Adopting the charter of {adopted.organisation}:\n{fingerprint_text(log_id)}", err=True)
    with (
        read_passphrase(passphrase_file, what=f"the key in {folder}") as passphrase,
        PersonKey.open(folder, passphrase) as key,
    ):
        if not person_key_known(adopted, key.name, key.public):
            raise Refused(f"{file} does not list the key of {key.name} in {folder}: nothing was signed")
        write_new(out, adoption_text(key.sign_adoption(log_id)), mode=0o644)
        emit(
            {"adoption": str(out), "person": key.name, "log_id": log_id.hex()},
            f"{key.name} adopts the charter: send {out} to who makes the genesis.",
        )


@charter.command()
@click.argument("file", type=PathArgument)
@click.argument("adoptions", metavar="ADOPTION...", nargs=-1, required=True, type=PathArgument)
@_out
@json_option
def genesis(file: Path, adoptions: tuple[Path, ...], out: Path) -> None:
    """Join a charter and the adoptions of its admin quorum to the first entry of the log."""
    data = read_bytes(file)
    refuse_errors(file, check_charter(decode_charter(data)))
    signed = [(str(path), parse_adoption(read_text(path), str(path))) for path in adoptions]
    made, names = make_genesis(data, signed)
    write_new(out, codec.encode(made), mode=0o644)
    log_id = log_id_of(data)
    emit(
        {"genesis": str(out), "adopted_by": list(names), **_fingerprint_facts(log_id)},
        f"Wrote {out}, adopted by {', '.join(names)}. Log id:\n{fingerprint_text(log_id)}",
    )


def _fingerprint_facts(log_id: bytes) -> dict[str, str]:
    return {"log_id": log_id.hex(), "read_aloud": spoken(Compared.CHARTER, log_id)}


def _read(file: Path) -> Charter:
    if file.suffix == _CANONICAL:
        return decode_charter(read_bytes(file))
    return parse_charter_toml(read_text(file), salt=bytes(32))


def refuse_errors(file: Path, report: Report) -> None:
    """Refuse a file whose charter has errors, and list them.

    Raises:
        Refused: it has some.
    """
    if not report.ok:
        raise Refused(_refusal(file, report))


def _refusal(file: Path, report: Report) -> str:
    lines = "\n".join(f"  {finding.where}: {finding.what}: {finding.do}" for finding in report.errors)
    return f"{file} must not be adopted:\n{lines}"


def _report_data(report: Report) -> dict[str, Any]:
    findings = [
        {"level": finding.level.value, "where": finding.where, "what": finding.what, "do": finding.do}
        for finding in report.findings
    ]
    return {"ok": report.ok, "findings": findings, "facts": dict(report.facts)}
