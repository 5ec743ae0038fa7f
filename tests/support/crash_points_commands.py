"""Crash points of the commands that write files: making a signer, enrolling it, making a coordinator, and the client's.

A file is named by the last part of its path; the function that writes it is wrapped where the command looks it up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from crash_points import CrashPoint


def _file(name: str) -> Any:
    """Calls that write the file of this name."""

    def meant(path: Path, *_: Any, **__: Any) -> bool:
        return path.name == name

    return meant


def _ending(name: str) -> Any:
    """Calls that write a file whose name ends so."""

    def meant(path: Path, *_: Any, **__: Any) -> bool:
        return path.name.endswith(name)

    return meant


def _second_table(_self: Any, table: Any, **_: Any) -> bool:
    return bool(table.name == "ledger_batch")


def _signer(name: str, writes: str, then: str, function: str, **more: Any) -> CrashPoint:
    path = f"strongroom_signer.{function}"
    return CrashPoint(name=name, daemon="signer", writes=writes, then=then, function=path, **more)


def _coordinator(name: str, writes: str, then: str, function: str, **more: Any) -> CrashPoint:
    path = f"strongroom_coordinator.{function}"
    return CrashPoint(name=name, daemon="coordinator", writes=writes, then=then, function=path, **more)


def _client(name: str, writes: str, then: str, function: str, **more: Any) -> CrashPoint:
    path = f"strongroom_client.{function}"
    return CrashPoint(name=name, daemon="client", writes=writes, then=then, function=path, **more)


SIGNER_INIT: Final = (
    _signer(
        "a new signer's empty database is made",
        "signer.db without an identity",
        "makes the TLS key",
        "store:Store.create",
        sites=("signer.enrolment:initialise create",),
    ),
    _signer(
        "a new signer's TLS key is written",
        "tls.key",
        "makes the other keys",
        "tls:write_private",
        sites=("signer.tls:create_tls_key write_private",),
    ),
    _signer(
        "a new signer's sealed keys are in its database",
        "vote and witness keys, sealed, and the identity",
        "writes signer.sealed",
        "enrolment:create_keys",
        inside="strongroom_signer.writer:Writer.set_identity",
        sites=("signer.keys:create_keys commit",),
    ),
    _signer(
        "a new signer's sealed file is written",
        "signer.sealed, with the host key",
        "writes the card",
        "keys:write_private",
        sites=("signer.keys:create_keys write_private",),
    ),
    _signer(
        "a new signer's card is written",
        "card.json",
        "tells the operator that it is ready",
        "enrolment:write_private",
        when=_file("card.json"),
        sites=("signer.enrolment:initialise write_private",),
    ),
)
SIGNER_ENROL: Final = (
    _signer(
        "the certificate of a signer being enrolled is written",
        "cert.pem",
        "writes the authority",
        "enrolment:write_private",
        when=_file("cert.pem"),
        sites=("signer.enrolment:enrol write_private",),
    ),
    _signer(
        "the certificate authority of a signer being enrolled is written",
        "ca.pem",
        "writes the configuration",
        "enrolment:write_private",
        when=_file("ca.pem"),
    ),
    _signer(
        "the configuration of a signer being enrolled is written",
        "signer.toml",
        "pins the log",
        "enrolment:write_private",
        when=_file("signer.toml"),
    ),
    _signer(
        "the log of a signer being enrolled is pinned",
        "the log id and the charter",
        "shows the operator what to compare",
        "main:enrol",
        inside="strongroom_signer.writer:Writer.set_pin",
        sites=("signer.enrolment:enrol commit",),
    ),
)
SIGNER_RECOVER: Final = (
    _signer(
        "a recovering signer's empty database is made",
        "signer.db without an identity",
        "replays the exported log",
        "store:Store.create",
        sites=("signer.restore:_made create",),
    ),
    _signer(
        "a part of the exported log is stored",
        "entries, batches, certificates, and the state that is final",
        "goes on, or holds the log against the head",
        "log_replay:_Replay._flush",
        sites=("signer.log_replay:_Replay._flush commit",),
    ),
    _signer(
        "a recovering signer's recovery data is stored",
        "the recovery data of current epochs",
        "makes the TLS key and the other keys",
        "log_replay:_keep_recovery_data",
        sites=("signer.log_replay:_keep_recovery_data commit",),
    ),
    _signer(
        "a recovering signer's shares are sealed",
        "the shares of final vaults",
        "writes the card",
        "restore:_put_shares",
        sites=("signer.restore:_put_shares commit",),
    ),
    _signer(
        "a recovering signer's card is written",
        "card.json",
        "pins the log",
        "restore:write_private",
        when=_file("card.json"),
        sites=("signer.restore:_made write_private",),
    ),
    _signer(
        "a recovering signer is pinned",
        "the log id and the charter",
        "tells the operator what came back",
        "restore:_pin",
        sites=("signer.restore:_pin commit",),
    ),
)
SIGNER_JOIN: Final = (
    _signer(
        "a joining signer's database with the log takes the place of its first one",
        "the log, the pin and the keys, under the name of the signer's database",
        "tells the operator what it holds",
        "joining:_take_place",
        sites=("signer.joining:_take_place replace",),
    ),
)
SIGNER_RESTART: Final = (
    _signer(
        "the restart of a log is pinned",
        "the entries that stay, the founding one, the new log id, and a voter state that holds nothing",
        "shows the operator what the signer belongs to now",
        "restarting:_take_over",
        sites=("signer.restarting:_take_over commit",),
    ),
)
COORDINATOR_INIT: Final = (
    _coordinator(
        "a new coordinator's genesis is written",
        "genesis.bin",
        "writes the certificate",
        "main:write_private",
        when=_file("genesis.bin"),
        sites=("coordinator.main:_init write_private",),
    ),
    _coordinator(
        "a new coordinator's TLS key is written",
        "key.pem",
        "writes the authority",
        "main:write_private",
        when=_file("key.pem"),
    ),
    _coordinator(
        "a new coordinator's database is made",
        "coordinator.db with its schema",
        "writes the configuration",
        "main:migrate",
        sites=("coordinator.main:_init migrate",),
    ),
    _coordinator(
        "a new coordinator's configuration is written",
        "coordinator.toml",
        "tells the operator the log id",
        "main:write_private",
        when=_file("coordinator.toml"),
    ),
)
COORDINATOR_MIGRATE: Final = (
    CrashPoint(
        name="half of a migration's tables are made",
        daemon="coordinator",
        writes="the first tables, in a transaction that is open",
        then="makes the others, and notes the revision with them",
        function="alembic.ddl.impl:DefaultImpl.create_table",
        when=_second_table,
    ),
    _coordinator(
        "a migration is done and not yet told",
        "the schema of this release",
        "tells the operator the revision",
        "main:migrate",
        sites=("coordinator.main:run migrate", "coordinator.storage.migrating:migrate upgrade"),
    ),
)
COORDINATOR_RESTART: Final = (
    _coordinator(
        "a restart of the log is taken",
        "the founding entry, the log cut to it, and the new log id",
        "tells the operator the new log id",
        "main:take_restart",
        inside="strongroom_coordinator.founding:_note",
        sites=("coordinator.founding:take_restart run_sync",),
    ),
)
CLIENT_FILES: Final = (
    _client(
        "a person's sealed key is written",
        "person.sealed, whole or not at all",
        "writes the TLS key",
        "person_key:write_new",
        when=_file("person.sealed"),
        sites=("client.person_key:create_person_key write_new",),
    ),
    _client(
        "a person's card is written",
        "card.json, whole or not at all",
        "tells the person that the key is ready",
        "person_key:write_new",
        when=_file("card.json"),
    ),
    _client(
        "a profile is written in place of the one before",
        "profile.toml, the old or the new one whole",
        "tells the person that they are logged in",
        "profile:replace_file",
        when=_file("profile.toml"),
        sites=(
            "client.profile:save_profile replace_file",
            "client.cli.login:_saved save_profile",
            "client.cli.restart_accept:accept save_profile",
        ),
    ),
)
CLIENT_RUNNING: Final = (
    _client(
        "the newest head that was proven is remembered",
        "the head beside the profile, the old or the new one whole",
        "shows what was asked for",
        "profile:replace_file",
        when=_file("profile.head.json"),
        sites=("client.profile:Memory.remember replace_file",),
    ),
)
KIT_SIGNING: Final = (
    _client(
        "a holder's commitments for a sweep are written",
        "its commitments in the exchange folder, whole or not at all",
        "waits for those of the others, the nonces in memory",
        "recovery_kit.exchange:write_new",
        when=_ending(".commitments"),
        sites=("client.recovery_kit.exchange:Exchange.write write_new",),
    ),
    _client(
        "a holder's shares for a sweep are written",
        "its signature shares in the exchange folder, whole or not at all",
        "tells the person that its part is done",
        "recovery_kit.exchange:write_new",
        when=_ending(".shares"),
    ),
)
COMMANDS: Final = (
    *SIGNER_INIT,
    *SIGNER_ENROL,
    *SIGNER_RECOVER,
    *SIGNER_JOIN,
    *SIGNER_RESTART,
    *COORDINATOR_INIT,
    *COORDINATOR_MIGRATE,
    *COORDINATOR_RESTART,
    *CLIENT_FILES,
    *CLIENT_RUNNING,
    *KIT_SIGNING,
)
