"""Key generation between real participants and the relaying coordinator, in memory, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from protocol_group import deterministic, host_key
from protocol_world import LOG_ID, signing_key
from strongroom.crypto.chilldkg_errors import UnknownFaultyParticipantOrCoordinatorError
from strongroom.model.ids import OrderHash
from strongroom.protocol import keygen_coordinator as coordinator
from strongroom.protocol import keygen_participant as participant
from strongroom.protocol.keygen import KeygenTerms

ORDER = OrderHash(hashlib.sha256(b"create vault").digest())


def terms(n: int = 3, t: int = 2, attempt: int = 1) -> KeygenTerms:
    names = tuple(f"s{position + 1}" for position in range(n))
    return KeygenTerms(
        log_id=LOG_ID,
        order_hash=ORDER,
        attempt=attempt,
        signers=names,
        host_keys=tuple(host_key(name).public() for name in names),
        threshold=t,
    )


class Generation:
    """Carries messages between the two machines; `tamper` may change what a holder sends."""

    def __init__(self, n: int = 3, t: int = 2, attempt: int = 1) -> None:
        self.terms = terms(n, t, attempt)
        self.random = deterministic(f"generation {n} {t} {attempt}")
        self.holders: dict[str, participant.Attempt] = {}
        self.now = 0
        self.commands_seen: list[coordinator.Command] = []
        self.findings: dict[str, participant.Finding] = {}
        self.tamper: Callable[[coordinator.Event], coordinator.Event | None] = lambda event: event
        vote_keys = {name: signing_key(name).public for name in self.terms.signers}
        self.state, commands = coordinator.begin(self.terms, vote_keys=vote_keys, now_ms=0)
        self.waiting = list(commands)

    def run(self) -> None:
        while self.waiting:
            command = self.waiting.pop(0)
            self.commands_seen.append(command)
            for event in self.answers(command):
                changed = self.tamper(event)
                if changed is not None:
                    self.state, commands = coordinator.step(self.state, changed)
                    self.waiting += commands

    def answers(self, command: coordinator.Command) -> list[coordinator.Event]:
        return [self.answer(name, command) for name in self.asked(command)]

    def asked(self, command: coordinator.Command) -> tuple[str, ...]:
        match command:
            case coordinator.AskTrialNonces() | coordinator.AskTrialShares():
                return command.signers
            case coordinator.Investigate():
                return (command.signer,)
            case coordinator.Generated() | coordinator.AttemptFailed():
                return ()
            case _:
                return self.terms.signers

    def answer(self, name: str, command: coordinator.Command) -> coordinator.Event:
        now = self.now
        match command:
            case coordinator.AskRound1():
                self.holders[name], message = participant.begin(
                    self.terms, signer=name, host_key=host_key(name), random32=self.random(32), now_ms=now
                )
                return coordinator.Round1Arrived(signer=name, message=message, now_ms=now)
            case coordinator.SendRound2():
                return self.second(name, command.message)
            case coordinator.Investigate():
                finding = participant.investigate(
                    self.holders[name], command.message, host_key=host_key(name), now_ms=now
                )
                self.findings[name] = finding
                return coordinator.VerdictArrived(signer=name, fault=finding.fault, suspect=finding.suspect, now_ms=now)
            case coordinator.SendFinish():
                self.holders[name], done = participant.finish(
                    self.holders[name], command.message, vote_key=signing_key(name), now_ms=now
                )
                return coordinator.StatementArrived(
                    signer=name, signature=done.statement_signature, recovery_hash=done.recovery_hash, now_ms=now
                )
            case coordinator.AskTrialNonces():
                self.holders[name], nonce = participant.trial_commit(
                    self.holders[name], command.subset, random32=self.random(32), now_ms=now
                )
                return coordinator.TrialNonceArrived(signer=name, subset=command.subset, nonce=nonce, now_ms=now)
            case coordinator.AskTrialShares():
                self.holders[name], share = participant.trial_sign(
                    self.holders[name], command.subset, command.nonces, now_ms=now
                )
                return coordinator.TrialShareArrived(signer=name, subset=command.subset, share=share, now_ms=now)
            case _:
                raise AssertionError(command)

    def second(self, name: str, message: bytes) -> coordinator.Event:
        """Agree, or complain of the share received."""
        attempt = self.holders[name]
        try:
            self.holders[name], signature = participant.agree(
                attempt, message, host_key=host_key(name), aux32=self.random(32), now_ms=self.now
            )
        except UnknownFaultyParticipantOrCoordinatorError as error:
            disputed = self.holders[name] = participant.dispute(attempt, error, now_ms=self.now)
            encrypted_share, pubshare = disputed.complaint
            return coordinator.ComplaintArrived(
                signer=name, encrypted_share=encrypted_share, pubshare=pubshare, now_ms=self.now
            )
        return coordinator.Round2Arrived(signer=name, message=signature, now_ms=self.now)

    def generated(self) -> coordinator.Generated:
        self.run()
        assert isinstance(self.state.outcome, coordinator.Generated)
        return self.state.outcome

    def failed(self) -> coordinator.AttemptFailed:
        self.run()
        assert isinstance(self.state.outcome, coordinator.AttemptFailed)
        return self.state.outcome
