"""`strongroom login`: the profile that every other command uses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from strongroom.model.errors import StrongroomError
from strongroom.model.fingerprints import Compared, spoken
from strongroom.model.ids import LogId
from strongroom.wire.x509_faults import MALFORMED
from strongroom_client.cli.charter_view import fingerprint_text
from strongroom_client.cli.output import PathArgument, emit, json_option
from strongroom_client.cli.shared import connected, profile_option, run, session
from strongroom_client.errors import PinMismatch, ProfileProblem, RemoteError
from strongroom_client.files import read_bytes
from strongroom_client.pki import identity_of
from strongroom_client.profile import Memory, Profile, save_profile
from strongroom_client.typed_log_id import LOG_ID_FORMS, log_id_of_typed, served_log_id

__all__ = ["login"]


@click.command()
@click.option("--coordinator", required=True, metavar="HOST:PORT", help="Where the coordinator listens.")
@click.option("--ca", required=True, type=PathArgument, help="The certificate authority's certificate.")
@click.option("--cert", required=True, type=PathArgument, help="Your certificate.")
@click.option("--key-dir", required=True, type=PathArgument, help="The folder that `strongroom init` wrote.")
@click.option("--log-id", required=True, metavar="LOG_ID", help=f"The compared fingerprint: {LOG_ID_FORMS}.")
@click.option("--replace-pin", is_flag=True, help="Replace a profile that pins another log.")
@profile_option
@json_option
def login(
    *, coordinator: str, ca: Path, cert: Path, key_dir: Path, log_id: str, replace_pin: bool, profile: Path
) -> None:
    """Write your profile, and pin the log whose fingerprint you compared with your colleagues."""
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal():
        raise click.BadParameter("write it as HOST:PORT", param_hint="--coordinator")
    unpinned = Profile(
        coordinator=coordinator,
        log_id=LogId(bytes(32)),
        ca=ca.absolute(),
        certificate=cert.absolute(),
        key_folder=key_dir.absolute(),
    )
    identity = _check_files(unpinned)
    made = replace(unpinned, log_id=log_id_of_typed(log_id, lambda: _served(unpinned)))
    verified, words = run(_saved(profile, made, replace_pin=replace_pin))
    emit(
        {
            "profile": str(profile),
            "log_id": made.log_id.hex(),
            "read_aloud": spoken(Compared.CHARTER, made.log_id),
            "identity": identity,
            "coordinator": coordinator,
            "verified": verified,
            "detail": words,
        },
        f"Wrote {profile} for {identity}.\nPinned the log:\n{fingerprint_text(made.log_id)}\n{words}",
    )


def _served(profile: Profile) -> LogId:
    """The id of the log that the coordinator serves, to be compared with what was typed.

    Raises:
        ProfileProblem: the coordinator cannot be asked.
    """
    try:
        return run(served_log_id(profile.endpoint))
    except RemoteError as error:
        raise ProfileProblem(
            f"the 40 digits are compared with what the coordinator serves, and it does not answer: {error.message}; "
            "try again, or give the log id as 64 hexadecimal digits"
        ) from error


def _check_files(profile: Profile) -> str:
    """Check that certificate, key and authority can be used together; return the certificate's URI name.

    Raises:
        ProfileProblem: they cannot.
        FileProblem: one of them cannot be read.
    """
    try:
        authority = x509.load_pem_x509_certificate(read_bytes(profile.ca))
        certificate = x509.load_pem_x509_certificate(read_bytes(profile.certificate))
    except MALFORMED as error:
        raise ProfileProblem(f"{profile.ca} and {profile.certificate} must be PEM certificates") from error
    try:
        certificate.verify_directly_issued_by(authority)
    except (*MALFORMED, InvalidSignature) as error:
        raise ProfileProblem(f"{profile.certificate} was not issued by {profile.ca}: give the right files") from error
    name = profile.person()
    identity = identity_of(certificate)
    if identity.rsplit("/", 1)[-1] != name:
        raise ProfileProblem(f"{profile.certificate} is of {identity or 'nobody'}, and the key is of {name}")
    read_bytes(profile.endpoint.key_file)
    return identity


async def _saved(file: Path, profile: Profile, *, replace_pin: bool) -> tuple[bool, str]:
    """Ask the coordinator whether it serves the pinned log, and write the profile unless it serves another.

    It need not be reachable yet. A mistyped log id is not pinned where it is: to correct it would need --replace-pin,
    and that is for people who compared a new fingerprint.
    """
    try:
        async with connected(profile, Memory.beside(file, profile.log_id)) as client:
            trust = await client.trust()
    except RemoteError as error:
        save_profile(file, profile, replace_pin=replace_pin)
        return False, f"Not verified yet that the coordinator serves this log: {error.message} ({error.remote_reason})"
    except PinMismatch as error:
        raise PinMismatch(f"{error.message}; nothing was written", **error.facts) from error
    save_profile(file, profile, replace_pin=replace_pin)
    try:
        async with session(file) as opened:
            seen = await opened.seen()
    except StrongroomError as error:
        return True, f"The coordinator serves this log; {error.message}"
    count = "1 entry is" if seen.size == 1 else f"{seen.size} entries are"
    return True, f"The coordinator serves the log of {trust.charter.organisation}: {count} final."
