"""The operator's freeze while the daemon does not run: written into its database, in force from its next start.

It needs no passphrase: whoever can write the folder can stop the signer anyway, and in an emergency nobody should look
for one. The daemon signs the statement when it starts, because only then is its vote key open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from strongroom.ledger import codec
from strongroom.ledger.order_messages import Scope
from strongroom.ledger.signed_messages import FreezeStatement
from strongroom.model.errors import Kind, StrongroomError
from strongroom_signer.clock import Clock
from strongroom_signer.enrolment import DATABASE_FILE
from strongroom_signer.process import FolderInUse, FolderLock
from strongroom_signer.rows import LocalFreeze
from strongroom_signer.store import Store

__all__ = ["UNSIGNED", "DaemonSilent", "freeze_offline"]

UNSIGNED: Final = bytes(64)
"""In the place of the signature that the daemon makes; no signature looks like it."""
_JUST_NOW_MS: Final = 60_000
"""Longer than the command waits for the daemon's answer."""


class DaemonSilent(StrongroomError):
    """A process works in the data folder and does not answer: stop that process, which stops every share, and retry."""

    reason = "DAEMON_SILENT"
    kind = Kind.UNAVAILABLE
    remedy = "stop the process that works in the folder, then try again"


class FreezesNothing(StrongroomError):
    """The signer belongs to no log yet, so it signs nothing that could be stopped."""

    reason = "NOTHING_TO_FREEZE"
    kind = Kind.FAILED_PRECONDITION


def freeze_offline(folder: Path, *, vault: str, why: str, clock: Clock, random: Callable[[int], bytes]) -> bytes:
    """Write a freeze durably; the daemon gives no share against it from its first moment on.

    One for the same vault and reason that was placed a moment ago is the same one: the daemon stored it, and died
    before it said so.

    Args:
        folder: The signer's data folder.
        vault: One vault; empty for all.
        why: The reason, for everybody to read.
        clock: Wall time.
        random: Gives random bytes.

    Returns:
        Its id, 32 bytes.

    Raises:
        DaemonSilent: a process holds the folder, though it did not answer.
        FreezesNothing: the signer is not enrolled.
        NotCanonical: the vault's name or the reason is not in the form the ledger takes.
    """
    try:
        lock = FolderLock(folder)
    except FolderInUse as error:
        raise DaemonSilent(f"{error.message}, and does not answer: stop it, then freeze again") from error
    with lock:
        store = Store.open(folder / DATABASE_FILE)
        try:
            return _place(store, vault=vault, why=why, clock=clock, random=random)
        finally:
            store.close()


def _place(store: Store, *, vault: str, why: str, clock: Clock, random: Callable[[int], bytes]) -> bytes:
    pin = store.pin()
    if pin is None:
        raise FreezesNothing("this signer is not enrolled in any log, so there is nothing to freeze")
    now_ms = clock.wall_ms()
    for placed in store.local_freezes():
        if (placed.vault, placed.why) == (vault, why) and abs(now_ms - placed.since_ms) <= _JUST_NOW_MS:
            return placed.id
    statement = FreezeStatement(
        log_id=pin.log_id,
        signer=store.identity().name,
        id=random(16),
        scope=Scope.VAULT if vault else Scope.ALL,
        vault=vault,
        why=why,
    )
    body = codec.encode(statement)
    freeze = LocalFreeze(
        id=hashlib.sha256(body).digest(),
        vault=vault,
        why=why,
        body=body,
        signature=UNSIGNED,
        since_ms=now_ms,
    )
    with store.commit() as write:
        write.add_local_freeze(freeze)
    return freeze.id
