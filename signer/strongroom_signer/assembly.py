"""Every part of a signer, built and wired in one place, without any network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from strongroom.api.signer.v1 import signer_link_service_pb2 as link_pb
from strongroom.crypto.sealed import SIGNER, Cost
from strongroom.crypto.secret import SecretBytes
from strongroom.ledger import codec
from strongroom.ledger.charter import RULE_SET, Charter, decode_charter
from strongroom.ledger.state import State
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId
from strongroom_signer.backups import Backups
from strongroom_signer.catch_up import CatchUp, Source
from strongroom_signer.clock import Clock
from strongroom_signer.config import BadConfig, SignerConfig
from strongroom_signer.enrolment import DATABASE_FILE
from strongroom_signer.explain import Explainer
from strongroom_signer.inbox import Inbox
from strongroom_signer.keygen import KeyGeneration
from strongroom_signer.keys import SignerKeys, open_keys
from strongroom_signer.log_copy import LogCopy
from strongroom_signer.logs import Log
from strongroom_signer.money_path import MoneyPath
from strongroom_signer.nonces import NonceBook
from strongroom_signer.quarantine import Quarantine
from strongroom_signer.redistribution import Redistribution
from strongroom_signer.retirement import Retired, Retirement
from strongroom_signer.rotation import retire_older_words
from strongroom_signer.sealing import Sealing
from strongroom_signer.service import Service
from strongroom_signer.shares import Shares
from strongroom_signer.store import Pin, Store
from strongroom_signer.voice import NotAWitness
from strongroom_signer.voting import Voting

__all__ = ["NotEnrolled", "Signer", "check_limits", "open_signer"]


class NotEnrolled(StrongroomError):
    """The signer's operator has not pinned a log yet."""

    reason = "NOT_ENROLLED"
    kind = Kind.FAILED_PRECONDITION
    remedy = "`strongroom-signer enrol`, with the log id that you compared"


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
        return _assemble(_base(store, keys, pin, config, clock=clock, random=random, log=log), config)
    except BaseException:
        store.close()
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Base:
    """What everything else of a signer rests on."""

    name: str
    boot_id: bytes
    keys: SignerKeys
    copy: LogCopy
    inbox: Inbox
    voting: Voting
    shares: Shares
    nonces: NonceBook
    clock: Clock
    random: Callable[[int], bytes]
    log: Log


def _assemble(base: _Base, config: SignerConfig) -> Signer:
    store, keys, clock = base.copy.store, base.keys, base.clock
    _keep_to_what_is_final(base)
    redistribution, key_generation = _ceremonies(base)
    quarantine = Quarantine(store, log_id=base.copy.log_id, signer=base.name, vote_key=keys.vote, clock=clock)
    money_path = MoneyPath(
        copy=base.copy,
        voting=base.voting,
        inbox=base.inbox,
        shares=base.shares,
        nonces=base.nonces,
        keys=keys,
        name=base.name,
        boot_id=base.boot_id,
        limits=config.limits,
        clock=clock,
        random=base.random,
    )
    service = Service(
        copy=base.copy,
        voting=base.voting,
        money_path=money_path,
        key_generation=key_generation,
        redistribution=redistribution,
        explainer=Explainer(base.copy, base.voting, base.inbox, name=base.name, vote_key=keys.vote, clock=clock),
        inbox=base.inbox,
        quarantine=quarantine,
        log=base.log,
    )
    return Signer(
        name=base.name,
        boot_id=base.boot_id,
        config=config,
        store=store,
        keys=keys,
        copy=base.copy,
        inbox=base.inbox,
        quarantine=quarantine,
        voting=base.voting,
        shares=base.shares,
        backups=Backups(base.copy, base.name, clock),
        nonces=base.nonces,
        key_generation=key_generation,
        redistribution=redistribution,
        money_path=money_path,
        service=service,
        clock=clock,
    )


def _base(
    store: Store,
    keys: SignerKeys,
    pin: Pin,
    config: SignerConfig,
    *,
    clock: Clock,
    random: Callable[[int], bytes],
    log: Log,
) -> _Base:
    name = store.identity().name
    boot_id = random(16)
    charter = decode_charter(pin.charter)
    copy = LogCopy(store, LogId(pin.log_id))
    check_limits(config, copy.newest().charter if copy.size else charter)
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
    nonces = NonceBook(clock)
    voting.on_term_change(nonces.drop_all)
    return _Base(
        name=name,
        boot_id=boot_id,
        keys=keys,
        copy=copy,
        inbox=inbox,
        voting=voting,
        shares=Shares(store, keys.storage, random=random),
        nonces=nonces,
        clock=clock,
        random=random,
        log=log.bind(signer=name),
    )


def _keep_to_what_is_final(base: _Base) -> None:
    """Hold the shares and the vote key that the final state says, now and whenever more is final."""
    sealing = Sealing(copy=base.copy, shares=base.shares, keys=base.keys, name=base.name, log=base.log)
    base.voting.on_final(sealing.became_final)
    sealing.bring_up_to_date()
    retirement = Retirement(copy=base.copy, keys=base.keys, name=base.name, log=base.log)
    base.voting.on_final(retirement.became_final)
    retirement.bring_up_to_date()


def _ceremonies(base: _Base) -> tuple[Redistribution, KeyGeneration]:
    redistribution = Redistribution(
        copy=base.copy,
        voting=base.voting,
        shares=base.shares,
        inbox=base.inbox,
        keys=base.keys,
        name=base.name,
        clock=base.clock,
        random=base.random,
        log=base.log,
    )
    base.voting.on_final(redistribution.became_final)
    key_generation = KeyGeneration(
        copy=base.copy,
        voting=base.voting,
        inbox=base.inbox,
        keys=base.keys,
        name=base.name,
        clock=base.clock,
        random=base.random,
        log=base.log,
    )
    base.voting.on_final(key_generation.became_final)
    return redistribution, key_generation


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
