"""What a thief has who collected sheets of words and exported logs: which shares these give."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path

from strongroom.crypto.secret import SecretScalar
from strongroom.crypto.seed_words import secret_of
from strongroom.ledger.recovery import GeneratedRecovery, decode_recovery
from strongroom.model.errors import StrongroomError
from strongroom.protocol.share_recovery import share_of
from strongroom.wire.log_export import ExportedRecovery, LogExportReader


def recovery_data(export: Path) -> list[bytes]:
    """The recovery data in an exported log."""
    with export.open("rb") as file:
        return [part.data for part in LogExportReader(file.read) if isinstance(part, ExportedRecovery)]


def public_shares(sheets: Iterable[str], data: Iterable[bytes]) -> set[bytes]:
    """The public shares of every share that any of these sheets has in any of this recovery data."""
    found = set()
    for words, one in product(sheets, data):
        with secret_of(words.split()) as secret, SecretScalar.from_bytes(secret.view()) as host:
            try:
                share = share_of(host, one)
            except StrongroomError:
                continue
            with share:
                found.add(share.public())
    return found


def ciphertexts(data: bytes) -> tuple[bytes, ...]:
    """The encrypted shares and encryption nonces in recovery data of a later epoch than the first."""
    source = decode_recovery(data).source
    assert not isinstance(source, GeneratedRecovery)
    return *source.encrypted_shares, *source.pubnonces
