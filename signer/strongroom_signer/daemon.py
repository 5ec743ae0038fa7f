"""The running signer: its link, its operator's socket and its housekeeping, started, and stopped in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

from strongroom.ledger.charter import decode_charter
from strongroom_signer.alarms import CLOCK_DRIFT
from strongroom_signer.assembly import Signer
from strongroom_signer.clock import Clock
from strongroom_signer.coordinator_check import CoordinatorCheck
from strongroom_signer.link import Endpoint, Link
from strongroom_signer.logs import Log
from strongroom_signer.operator import OperatorServer, prepare_socket, remove_socket
from strongroom_signer.status_answer import status_of
from strongroom_signer.store import Store
from strongroom_signer.tls import KEY_FILE, load_tls

__all__ = ["confirm_alarm", "serve"]

_HOUSEKEEPING_S: Final = 5.0


async def serve(folder: Path, signer: Signer, *, clock: Clock, random: Callable[[int], bytes], log: Log) -> None:
    """Run until SIGTERM or SIGINT, then stop in order: no more requests, no more secrets, a clean database.

    Raises:
        BadCertificateFile: a TLS file is missing or damaged.
        StoreFailed: the database failed.
    """
    config = signer.config
    tls = load_tls(folder, certificate=config.certificate, authority=config.certificate_authority)
    endpoint = Endpoint(
        address=config.coordinator,
        authority=tls.authority,
        certificate=tls.certificate,
        key=tls.key,
        check=_coordinator_check(folder, signer, tls.authority, clock=clock, log=log),
    )
    link = Link(endpoint, service=signer.service, catch_up=signer.catch_up, hello=signer.hello, random=random, log=log)
    operator = OperatorServer(
        signer.inbox,
        signer.quarantine,
        backups=signer.backups,
        store=signer.store,
        log_id=signer.copy.log_id,
        status=lambda: status_of(
            signer,
            connected=link.is_connected,
            last_error=link.last_error,
            coordinator_ms=link.coordinator_ms,
            replaced_ago_s=link.replaced_ago_s,
        ),
        accept=signer.redistribution.accept,
        raise_words=link.raise_words,
        log=log,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    socket = folder / config.operator_socket
    # A socket left by a daemon that died is in the way; the folder lock says that no other one lives.
    prepare_socket(socket)
    await operator.start(socket)
    tasks = [asyncio.create_task(work) for work in (link.run(), _housekeeping(signer, link, log), stop.wait())]
    log.info("daemon.ready", log_id=signer.copy.log_id, term=signer.voting.state.term, size=signer.copy.size)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await operator.stop()
        remove_socket(socket)
        log.info("daemon.stopped")


def _coordinator_check(
    folder: Path, signer: Signer, authority: bytes, *, clock: Clock, log: Log
) -> CoordinatorCheck | None:
    """What holds the coordinator's certificate against revocation lists, if the operator configured any."""
    config, pin = signer.config, signer.store.pin()
    if config.revoked is None or pin is None:
        return None
    return CoordinatorCheck(
        config.coordinator,
        revoked=folder / config.revoked,
        authority=authority,
        identity=(folder / config.certificate, folder / KEY_FILE),
        organisation=decode_charter(pin.charter).organisation,
        wall_ms=clock.wall_ms,
        log=log,
    )


async def _housekeeping(signer: Signer, link: Link, log: Log) -> None:
    """Destroy stale nonces and key generations though nobody asks, and say when an alarm begins or ends."""
    shown = ""
    reminded: tuple[str, ...] = ()
    while True:
        link.recheck()
        signer.nonces.drop_stale()
        signer.key_generation.drop_stale()
        signer.redistribution.drop_stale()
        signer.store.scrub()
        signer.voting.watch_clocks()
        reason, message = signer.alarm()
        if reason != shown:
            shown = reason
            if reason:
                log.error("alarm.raised", reason=reason, message=message)
            else:
                log.info("alarm.ended")
        unverified = tuple(f"{vault.name}/{vault.epoch}" for vault in signer.backups.unverified())
        if unverified != reminded:
            reminded = unverified
            if unverified:
                log.warning("backup.unverified", epochs=list(unverified))
        await asyncio.sleep(_HOUSEKEEPING_S)


def confirm_alarm(store: Store, reason: str) -> bool:
    """Take an alarm back that the operator has looked into. Only the clock's can be: others show lost votes."""
    known = reason == CLOCK_DRIFT and any(alarm.reason == reason for alarm in store.alarms())
    if known:
        with store.commit() as write:
            write.remove_alarm(reason)
    return known
