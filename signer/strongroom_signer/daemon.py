"""The running signer: every part built and wired in one place, started, and stopped in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from strongroom.api.operator.v1 import operator_service_pb2 as operator_pb
from strongroom.api.signer.v1 import signer_link_service_pb2 as link_pb
from strongroom.crypto.sealed import SIGNER, Cost
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger import codec
from strongroom.ledger.charter import RULE_SET, Charter, decode_charter
from strongroom.ledger.state import State
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId
from strongroom_signer.alarms import CLOCK_DRIFT
from strongroom_signer.backups import Backups
from strongroom_signer.catch_up import CatchUp, Source
from strongroom_signer.clock import Clock
from strongroom_signer.config import BadConfig, SignerConfig
from strongroom_signer.coordinator_check import CoordinatorCheck
from strongroom_signer.enrolment import DATABASE_FILE
from strongroom_signer.explain import Explainer
from strongroom_signer.inbox import Inbox
from strongroom_signer.keygen import KeyGeneration
from strongroom_signer.keys import SignerKeys, open_keys
from strongroom_signer.link import Endpoint, Link
from strongroom_signer.log_copy import LogCopy
from strongroom_signer.logs import Log
from strongroom_signer.money_path import RELEASED_COUNTER, MoneyPath
from strongroom_signer.nonces import NonceBook
from strongroom_signer.operator import OperatorServer, prepare_socket, remove_socket
from strongroom_signer.precautions import boxes_pb, freezes_pb
from strongroom_signer.quarantine import Notice, Quarantine
from strongroom_signer.redistribution import Redistribution
from strongroom_signer.retirement import Retired, Retirement
from strongroom_signer.rotation import retire_older_words
from strongroom_signer.sealing import Sealing
from strongroom_signer.service import Service
from strongroom_signer.shares import Shares
from strongroom_signer.store import Pin, Store
from strongroom_signer.tls import KEY_FILE, load_tls
from strongroom_signer.voice import NotAWitness
from strongroom_signer.voting import Voting

__all__ = ["NotEnrolled", "Signer", "check_limits", "confirm_alarm", "open_signer", "serve"]

_HOUSEKEEPING_S: Final = 5.0


class NotEnrolled(StrongroomError):
    """The signer's operator has not pinned a log yet."""

    reason = "NOT_ENROLLED"
    kind = Kind.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """All parts of one signer, without any network."""

    name: str
    boot_id: bytes
    config: SignerConfig
    store: Store
    keys: SignerKeys
    copy: LogCopy
    inbox: Inbox
    quarantine: Quarantine
    voting: Voting
    shares: Shares
    backups: Backups
    nonces: NonceBook
    key_generation: KeyGeneration
    redistribution: Redistribution
    money_path: MoneyPath
    service: Service
    clock: Clock

    def catch_up(self, source: Source) -> CatchUp:
        """What brings the log up to a certified head, with `fetch` to ask the coordinator."""
        return CatchUp(self.copy, self.voting, source)

    def hello(self) -> link_pb.Hello:
        """How this signer introduces itself."""
        state = self.voting.state
        return link_pb.Hello(
            signer=self.name,
            log_id=self.copy.log_id,
            boot_id=self.boot_id,
            version=version("strongroom"),
            term=state.term,
            size=self.copy.size,
            certificate=b"" if state.held is None else codec.encode(state.held),
            rule_set=RULE_SET,
            alarm=self.alarm()[0],
        )

    def alarm(self) -> tuple[str, str]:
        """What keeps this signer from voting: reason and message, both empty when nothing does."""
        if self.keys.vote.is_wiped:
            return Retired.reason, self._retired_text()
        state = self.voting.state
        if state.alarm:
            return state.alarm, state.alarm_message
        for alarm in self.store.alarms():
            return alarm.reason, alarm.message
        if self.store.free_bytes() < self.config.free_disk_floor_bytes:
            return "DISK_LOW", f"less than {self.config.free_disk_floor_bytes} bytes are free beside {self.store.path}"
        silence = self.voting.silence()
        return (NotAWitness.reason, silence) if silence else ("", "")

    def _retired_text(self) -> str:
        held = sorted({vault for vault, _ in self.store.share_names()})
        over = f"{self.name} left the witness set for good and its vote key is erased: it votes and signs no more; "
        if held:
            return over + f"keep it running until new shares of {', '.join(held)} are final, so that it erases its own"
        return over + "it holds no share: stop it, and dispose of its machine and its words"

    def status(
        self, *, connected: bool, last_error: str, coordinator_ms: int | None = None
    ) -> operator_pb.GetStatusResponse:
        """What `strongroom-signer status` shows."""
        ahead_ms = None if coordinator_ms is None else self.clock.wall_ms() - coordinator_ms
        alarm, message = self.alarm()
        held = self.voting.state.held
        state = self.copy.newest()
        now_ms = max(state.time_ms, self.clock.wall_ms())
        unverified = {vault.name for vault in self.backups.unverified()}
        return operator_pb.GetStatusResponse(
            signer=self.name,
            log_id=self.copy.log_id,
            connected=connected,
            term=self.voting.state.term,
            size=self.copy.size,
            certified_size=0 if held is None else held.head.size,
            certified_root=b"" if held is None else held.head.root,
            final_size=self.copy.final_size,
            vaults=[
                operator_pb.VaultStatus(
                    name=vault.name,
                    epoch=vault.epoch,
                    has_share=self.shares.has(vault.name, vault.epoch),
                    threshold=vault.threshold,
                    signers=len(vault.signers),
                    backup_verified=self.name in vault.signers and vault.name not in unverified,
                    is_holder=self.name in vault.signers,
                )
                for vault in state.vaults()
            ],
            local_freezes=[
                operator_pb.LocalFreeze(
                    id=freeze.id,
                    vault=freeze.vault,
                    why=freeze.why,
                    since_ms=freeze.since_ms,
                    logged=state.freeze(freeze.id) is not None,
                )
                for freeze in self.inbox.local_freezes
            ],
            inbox=len(self.inbox.items),
            alarm=alarm,
            alarm_message=message,
            last_error=last_error,
            clock_ahead_ms=ahead_ms,
            free_disk_bytes=self.store.free_bytes(),
            version=version("strongroom"),
            coordinator=self.config.coordinator,
            shares_released=self.store.counter(RELEASED_COUNTER),
            last_refusal=self.money_path.last_refusal,
            last_keygen_failure=self.key_generation.last_failure,
            quarantine=_notice_pb(self.quarantine.notice),
            ledger_freezes=freezes_pb(state, now_ms),
            boxes=boxes_pb(state, now_ms),
            founded_size=self.voting.state.founded_size,
            final_root=self.copy.replica.root_at(self.copy.final_size) or b"",
            host_keys=[host.public() for host in self.keys.hosts],
        )

    def close(self) -> None:
        """Destroy nonces and open secrets, and close the database cleanly."""
        self.nonces.drop_all()
        self.key_generation.forget()
        self.redistribution.forget()
        self.shares.close()
        self.keys.wipe()
        self.store.close()


def open_signer(
    folder: Path,
    config: SignerConfig,
    passphrase: SecretBytes,
    *,
    clock: Clock,
    random: Callable[[int], bytes],
    log: Log,
    cost: Cost = SIGNER,
) -> Signer:
    """Open the signer in `folder`, whose lock the caller holds.

    Raises:
        NotEnrolled: no log is pinned.
        BadConfig: a local maximum is for an asset that the charter does not list.
        WrongPassphrase: the passphrase does not open the keys.
        StoreFailed, KeysDoNotMatch, BoxDamaged, SealedFileDamaged: the folder is not whole.
    """
    store = Store.open(folder / DATABASE_FILE)
    try:
        pin = store.pin()
        if pin is None:
            raise NotEnrolled(f"the signer in {folder} belongs to no log yet: run `strongroom-signer enrol`")
        keys = open_keys(folder, store, passphrase)
        # What is final lies folded in the database: enough to see whether the older of two sheets is needed still.
        final = State(store, LogId(pin.log_id))
        if keys.next_host is not None and final.size:
            keys = retire_older_words(folder, store, keys, final, passphrase, cost=cost, random=random)
            log.info("words.replaced" if keys.next_host is None else "words.older_needed", signer=store.identity().name)
        return _assemble(store, keys, pin, config, clock=clock, random=random, log=log)
    except BaseException:
        store.close()
        raise


def _assemble(
    store: Store,
    keys: SignerKeys,
    pin: Pin,
    config: SignerConfig,
    *,
    clock: Clock,
    random: Callable[[int], bytes],
    log: Log,
) -> Signer:
    name = store.identity().name
    log = log.bind(signer=name)
    boot_id = random(16)
    charter = decode_charter(pin.charter)
    copy = LogCopy(store, LogId(pin.log_id))
    check_limits(config, copy.newest().charter if copy.size else charter)
    quarantine = Quarantine(store, log_id=copy.log_id, signer=name, vote_key=keys.vote, clock=clock)
    inbox = Inbox(copy, signer=name, vote_key=keys.vote, clock=clock, random=random)
    voting = Voting(
        copy,
        inbox,
        keys=keys,
        charter=charter,
        name=name,
        boot_id=boot_id,
        clock=clock,
        free_disk_floor_bytes=config.free_disk_floor_bytes,
    )
    shares = Shares(store, keys.storage, random=random)
    nonces = NonceBook(clock)
    voting.on_term_change(nonces.drop_all)
    sealing = Sealing(copy=copy, shares=shares, keys=keys, name=name, log=log)
    voting.on_final(sealing.became_final)
    sealing.bring_up_to_date()
    retirement = Retirement(copy=copy, keys=keys, name=name, log=log)
    voting.on_final(retirement.became_final)
    retirement.bring_up_to_date()
    redistribution = Redistribution(
        copy=copy,
        voting=voting,
        shares=shares,
        inbox=inbox,
        keys=keys,
        name=name,
        clock=clock,
        random=random,
        log=log,
    )
    voting.on_final(redistribution.became_final)
    key_generation = KeyGeneration(
        copy=copy,
        voting=voting,
        inbox=inbox,
        keys=keys,
        name=name,
        clock=clock,
        random=random,
        log=log,
    )
    voting.on_final(key_generation.became_final)
    money_path = MoneyPath(
        copy=copy,
        voting=voting,
        inbox=inbox,
        shares=shares,
        nonces=nonces,
        keys=keys,
        name=name,
        boot_id=boot_id,
        limits=config.limits,
        clock=clock,
        random=random,
    )
    explainer = Explainer(copy, voting, inbox, name=name, vote_key=keys.vote, clock=clock)
    service = Service(
        copy=copy,
        voting=voting,
        money_path=money_path,
        key_generation=key_generation,
        redistribution=redistribution,
        explainer=explainer,
        inbox=inbox,
        quarantine=quarantine,
        log=log,
    )
    return Signer(
        name=name,
        boot_id=boot_id,
        config=config,
        store=store,
        keys=keys,
        copy=copy,
        inbox=inbox,
        quarantine=quarantine,
        voting=voting,
        shares=shares,
        backups=Backups(copy, name, clock),
        nonces=nonces,
        key_generation=key_generation,
        redistribution=redistribution,
        money_path=money_path,
        service=service,
        clock=clock,
    )


def _notice_pb(notice: Notice | None) -> operator_pb.Quarantine | None:
    if notice is None:
        return None
    return operator_pb.Quarantine(
        evidence_hash=notice.evidence_hash,
        fault=notice.fault,
        detail=notice.detail,
        operator_cleared=notice.operator_cleared,
        ordered=notice.ordered,
    )


def check_limits(config: SignerConfig, charter: Charter) -> None:
    """Check the operator's own maximums: one for an asset that no order can name would silently limit nothing.

    Raises:
        BadConfig: the charter does not list the asset.
    """
    known = sorted(asset.id for asset in charter.assets)
    unknown = sorted(set(config.limits) - set(known))
    if unknown:
        raise BadConfig(
            f"signer.toml limits {', '.join(unknown)}, which the charter does not list; it lists {', '.join(known)}"
        )


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
        status=lambda: signer.status(
            connected=link.is_connected, last_error=link.last_error, coordinator_ms=link.coordinator_ms
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
