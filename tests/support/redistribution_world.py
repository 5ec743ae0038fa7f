"""A vault's holders, old and new, that hand its key on through a coordinator, in memory, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from protocol_group import deterministic, host_key
from protocol_world import LOG_ID, signing_key
from redistribution_groups import Sharing, scalar, sharing
from strongroom.crypto.secret import SecretScalar
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import OrderHash
from strongroom.protocol import redistribution as signer
from strongroom.protocol import redistribution_coordinator as coordinator
from strongroom.protocol import redistribution_events as events
from strongroom.protocol import redistribution_snapshot as snapshots
from strongroom.protocol.redistribution import DealingsDisputed, Holding
from strongroom.protocol.redistribution_terms import RedistributionTerms
from strongroom.protocol.share_recovery import share_of

ORDER = OrderHash(hashlib.sha256(b"refresh").digest())
VAULT = "customer-cold"


def names(n: int, prefix: str = "s") -> tuple[str, ...]:
    return tuple(f"{prefix}{position + 1}" for position in range(n))


def terms(
    before: Sharing,
    *,
    holders: Sequence[str],
    signers: Sequence[str],
    threshold: int,
    absent: Sequence[str] = (),
    attempt: int = 1,
    epoch: int = 2,
) -> RedistributionTerms:
    return RedistributionTerms(
        log_id=LOG_ID,
        order_hash=ORDER,
        vault=VAULT,
        attempt=attempt,
        epoch=epoch,
        holders=tuple(holders),
        public_shares=before.public_shares,
        threshold_before=before.threshold,
        group_key=before.group_key,
        chain_code=hashlib.sha256(b"chain code").digest(),
        key_hash=hashlib.sha256(b"key material of epoch %d" % (epoch - 1)).digest(),
        signers=tuple(signers),
        host_keys=tuple(host_key(name).public() for name in signers),
        threshold=threshold,
        absent=tuple(absent),
    )


class Ceremony:
    """Carries messages between the machine and the holders; `tamper` may change, or drop, what comes back."""

    def __init__(
        self,
        t: int = 2,
        n: int = 3,
        new_t: int = 2,
        *,
        signers: Sequence[str] | None = None,
        absent: Sequence[str] = (),
        label: object = "vault",
        attempt: int = 1,
    ) -> None:
        self.before = sharing(t, n, label)
        self.holders = names(n)
        self.terms = terms(
            self.before,
            holders=self.holders,
            signers=self.holders if signers is None else signers,
            threshold=new_t,
            absent=absent,
            attempt=attempt,
        )
        self.random = deterministic(f"ceremony {label} {attempt}")
        self.shares: dict[str, SecretScalar] = {
            name: scalar(self.before.shares[position]) for position, name in enumerate(self.holders)
        }
        self.vote_keys = {name: signing_key(name).public for name in (*self.holders, *self.terms.signers)}
        self.in_memory: dict[str, Holding] = {}
        self.now = 0
        self.commands_seen: list[events.Command] = []
        self.tamper: Callable[[events.Event], events.Event | None] = lambda event: event
        self.down: set[str] = set()
        self.state, commands = coordinator.begin(self.terms, vote_keys=self.vote_keys)
        self.waiting: list[events.Command] = list(commands)

    # --- the holders -----------------------------------------------------------------------------------------------

    def asked(self, command: events.Command) -> tuple[str, ...]:
        return () if isinstance(command, events.Blame | events.Completed | events.Failed) else command.signers

    def answer(self, name: str, command: events.Command) -> events.Event:
        """What a holder says; a refusal is an answer too."""
        if name in self.down:
            return self.failed(name, "no link")
        try:
            return self.honest_answer(name, command)
        except DealingsDisputed as error:
            dealers = tuple(fault.dealer for fault in error.faults)
            return events.Disputed(signer=name, dealers=dealers, now_ms=self.now)
        except (StrongroomError, KeyError) as error:
            return self.failed(name, str(error))

    def failed(self, name: str, failure: str) -> events.HolderFailed:
        return events.HolderFailed(signer=name, failure=failure, now_ms=self.now)

    def honest_answer(self, name: str, command: events.Command) -> events.Event:
        match command:
            case events.AskDealing():
                return events.DealingArrived(signer=name, dealing=self.deal(name), now_ms=self.now)
            case events.SendDealings():
                return self.state_of(name, command.dealings)
            case events.AskTrialNonces():
                self.in_memory[name], nonce = signer.trial_commit(
                    self.in_memory[name], command.subset, random32=self.random(32), now_ms=self.now
                )
                return events.TrialNonceArrived(signer=name, subset=command.subset, nonce=nonce, now_ms=self.now)
            case events.AskTrialShares():
                self.in_memory[name], share = signer.trial_sign(
                    self.in_memory[name], command.subset, command.nonces, now_ms=self.now
                )
                return events.TrialShareArrived(signer=name, subset=command.subset, share=share, now_ms=self.now)
            case _:
                raise AssertionError(command)

    def deal(self, name: str, terms_of_dealer: RedistributionTerms | None = None) -> Any:
        return signer.deal(
            terms_of_dealer or self.terms,
            signer=name,
            share=self.shares[name],
            vote_key=signing_key(name),
            random32=self.random(32),
        )

    def receive(self, name: str, dealings: Sequence[Any]) -> tuple[Holding, signer.Stated]:
        with host_key(name) as own:
            return signer.receive(
                self.terms,
                dealings,
                signer=name,
                host_key=own,
                vote_key=signing_key(name),
                vote_keys=self.vote_keys,
                now_ms=self.now,
            )

    def state_of(self, name: str, dealings: Sequence[Any]) -> events.Event:
        self.in_memory[name], stated = self.receive(name, dealings)
        return events.StatementArrived(
            signer=name,
            recovery_hash=stated.recovery_hash,
            key_hash=stated.key_hash,
            signature=stated.signature,
            now_ms=self.now,
        )

    # --- the coordinator -------------------------------------------------------------------------------------------

    def happens(self, event: events.Event) -> None:
        self.state, commands = coordinator.step(self.state, event)
        self.waiting += commands

    def run(self) -> None:
        """Answer everything that is asked."""
        while self.waiting:
            command = self.waiting.pop(0)
            self.commands_seen.append(command)
            for name in self.asked(command):
                changed = self.tamper(self.answer(name, command))
                if changed is not None:
                    self.happens(changed)

    def later(self, ms: int = coordinator.RETRY_MS) -> None:
        self.now += ms
        self.happens(events.DeadlinePassed(now_ms=self.now))
        self.run()

    def restart_coordinator(self) -> None:
        """Only what was stored is left; answers on their way are lost."""
        data = snapshots.snapshot(self.state)
        self.state, commands = snapshots.resume(self.terms, data, vote_keys=self.vote_keys, now_ms=self.now)
        assert snapshots.snapshot(self.state) == data
        self.waiting = list(commands)

    def restart_signer(self, name: str) -> None:
        self.in_memory.pop(name, None)

    def completed(self) -> events.Completed:
        self.run()
        assert isinstance(self.state.outcome, events.Completed), coordinator.progress(self.state)
        return self.state.outcome

    def failure(self) -> events.Failed:
        self.run()
        assert isinstance(self.state.outcome, events.Failed), coordinator.progress(self.state)
        return self.state.outcome

    def after(self, completed: events.Completed, lost: Sequence[str] = ()) -> dict[str, int]:
        """The new shares as host keys and recovery data give them, as numbers."""
        found = {}
        for name in self.terms.signers:
            if name not in lost:
                with host_key(name) as own, share_of(own, completed.made.recovery) as share:
                    found[name] = int.from_bytes(share.expose(), "big")
        return found


def with_dealing(event: events.Event, change: Callable[[Any], Any]) -> events.Event:
    """The same event with another dealing."""
    return replace(event, dealing=change(event.dealing)) if isinstance(event, events.DealingArrived) else event


def numbered(shares: Mapping[str, int], signers: Sequence[str]) -> dict[int, int]:
    """Shares by identifier."""
    return {signers.index(name): share for name, share in shares.items()}
