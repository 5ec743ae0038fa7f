"""This signer's part in key generations.

A key is generated only for an order that is final in the own log with its quorum. Attempts live in memory; when the
vault's entry is final, `sealing` makes the share again from the host key and the recovery data beside the log. So a
kill at any step loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from strongroom.crypto.chilldkg_errors import ProtocolError, UnknownFaultyParticipantOrCoordinatorError
from strongroom.ledger.judge import judge_by_both
from strongroom.ledger.order_messages import CreateVault
from strongroom.ledger.records import OrderState
from strongroom.ledger.state import decode_order
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import OrderHash
from strongroom.protocol import keygen_participant as participant
from strongroom.protocol.keygen import KeygenRefused, KeygenTerms, proven
from strongroom.protocol.keygen_participant import Attempt, Finding
from strongroom_signer import requests
from strongroom_signer.clock import Clock
from strongroom_signer.inbox import Inbox
from strongroom_signer.keys import SignerKeys
from strongroom_signer.log_copy import LogCopy
from strongroom_signer.logs import Log
from strongroom_signer.voting import Voting

__all__ = ["Disputed", "KeyGeneration", "NotOrdered"]

MAX_ATTEMPTS: Final = 8


class NotOrdered(StrongroomError):
    """No final and approved order of the own log asks this signer to take part in this key generation."""

    reason = "KEYGEN_NOT_ORDERED"
    kind = Kind.PERMISSION_DENIED


class Disputed(StrongroomError):
    """The share received does not match the commitments; some other participant or the coordinator is at fault.

    Attributes:
        encrypted_share: The encrypted share as received, 32 bytes.
        pubshare: The public share that the commitments give this signer, 33 bytes.
    """

    reason = "KEYGEN_SHARE_DISPUTED"
    kind = Kind.ABORTED

    def __init__(self, encrypted_share: bytes, pubshare: bytes) -> None:
        super().__init__("the share received does not match the commitments: ask the coordinator to investigate")
        self.encrypted_share = encrypted_share
        self.pubshare = pubshare


class KeyGeneration:
    """Attempts in memory.

    Attributes:
        last_failure: Why the last attempt that failed here did, for the operator; empty when none has.
    """

    def __init__(
        self,
        *,
        copy: LogCopy,
        voting: Voting,
        inbox: Inbox,
        keys: SignerKeys,
        name: str,
        clock: Clock,
        random: Callable[[int], bytes],
        log: Log,
    ) -> None:
        self._copy = copy
        self._voting = voting
        self._inbox = inbox
        self._keys = keys
        self._name = name
        self._clock = clock
        self._random = random
        self._log = log
        self._attempts: dict[bytes, Attempt] = {}
        self.last_failure = ""

    # --- the attempt -------------------------------------------------------------------------------------------------

    def round1(self, request: requests.KeygenRound1) -> bytes:
        """Deal shares for an ordered vault."""
        self._voting.require_voting()
        terms = self._terms(request.order_hash, request.attempt)
        self.drop_stale()
        previous = self._attempts.get(request.order_hash)
        if previous is None and len(self._attempts) >= MAX_ATTEMPTS:
            raise KeygenRefused(f"{MAX_ATTEMPTS} key generations are open already: they end after 30 s of silence")
        dealt, message = participant.begin(
            terms,
            signer=self._name,
            host_key=self._keys.host_among(terms.host_keys),
            random32=self._random(32),
            now_ms=self._clock.monotonic_ms(),
            previous=previous,
        )
        self._attempts[request.order_hash] = dealt
        self._log.info("keygen.started", order=request.order_hash, attempt=request.attempt)
        return message

    def round2(self, request: requests.KeygenRound2) -> bytes:
        """Check the shares received, and sign the transcript. A message that does not hold ends the attempt.

        Raises:
            Disputed: the share received is wrong, and `investigate` can find out whose fault that is.
            StrongroomError: the message does not hold.
        """
        attempt = self._attempt(request.order_hash, request.attempt)
        try:
            agreed, signature = participant.agree(
                attempt,
                request.message,
                host_key=self._keys.host_among(attempt.terms.host_keys),
                aux32=self._random(32),
                now_ms=self._clock.monotonic_ms(),
            )
        except UnknownFaultyParticipantOrCoordinatorError as error:
            disputed = participant.dispute(attempt, error, now_ms=self._clock.monotonic_ms())
            self._attempts[request.order_hash] = disputed
            self._note_failure(attempt, error)
            raise Disputed(*disputed.complaint) from error
        except StrongroomError as error:
            # What was dealt once is tried against one message only: nobody may ask again and again.
            if isinstance(attempt, participant.Dealt):
                self._drop(request.order_hash)
            self._note_failure(attempt, error)
            raise
        self._attempts[request.order_hash] = agreed
        return signature

    def investigate(self, request: requests.KeygenInvestigate) -> Finding:
        """Find out whose fault a wrong share is, once; it ends the attempt, and the operator is told."""
        attempt = self._attempt(request.order_hash, request.attempt)
        finding = participant.investigate(
            attempt,
            request.message,
            host_key=self._keys.host_among(attempt.terms.host_keys),
            now_ms=self._clock.monotonic_ms(),
        )
        self._drop(request.order_hash)
        suspects = () if finding.suspect is None else (attempt.terms.signers[finding.suspect],)
        words = proven(finding.fault, suspects, self._name)
        self._log.error(
            "keygen.fault_found",
            order=request.order_hash,
            attempt=request.attempt,
            fault=finding.fault.value,
            suspects=list(suspects),
            detail=finding.detail,
            proven=words,
        )
        self.last_failure = f"{_named(attempt)}: {finding.detail}; {words}"
        return finding

    def _note_failure(self, attempt: Attempt, error: StrongroomError) -> None:
        if isinstance(error, ProtocolError):
            self.last_failure = f"{_named(attempt)}: {error.message}"
            # A refusal is warned of where the request is answered, and this adds which key it was about; a complaint is
            # an answer like any other, and this is the only line about it.
            complains = isinstance(error, UnknownFaultyParticipantOrCoordinatorError)
            (self._log.warning if complains else self._log.info)(
                "keygen.failed",
                order=attempt.terms.order_hash,
                attempt=attempt.terms.attempt,
                reason=error.reason,
                message=error.message,
            )

    def finish(self, request: requests.KeygenFinish) -> tuple[bytes, bytes]:
        """Check that all holders signed one transcript, and state so: the signature and the recovery data's hash."""
        attempt = self._attempt(request.order_hash, request.attempt)
        try:
            holding, finished = participant.finish(
                attempt, request.message, vote_key=self._keys.vote, now_ms=self._clock.monotonic_ms()
            )
        except StrongroomError as error:
            self._note_failure(attempt, error)
            raise
        self._attempts[request.order_hash] = holding
        return finished.statement_signature, finished.recovery_hash

    def trial_commit(self, request: requests.TrialCommit) -> bytes:
        """A nonce for the trial signature of one subset."""
        holding, nonce = participant.trial_commit(
            self._attempt(request.order_hash, request.attempt),
            request.signers,
            random32=self._random(32),
            now_ms=self._clock.monotonic_ms(),
        )
        self._attempts[request.order_hash] = holding
        return nonce

    def trial_sign(self, request: requests.TrialSign) -> bytes:
        """The one signature without a plan: over a message computed here from the transcript and the subset."""
        self._voting.require_voting()
        holding, share = participant.trial_sign(
            self._attempt(request.order_hash, request.attempt),
            request.signers,
            request.nonces,
            now_ms=self._clock.monotonic_ms(),
        )
        self._attempts[request.order_hash] = holding
        return share

    def _attempt(self, order_hash: bytes, number: int) -> Attempt:
        attempt = self._attempts.get(order_hash)
        if attempt is None or attempt.terms.attempt != number:
            raise KeygenRefused(f"attempt {number} is not open here: begin a new one", attempt=str(number))
        return attempt

    def _terms(self, order_hash: bytes, attempt: int) -> KeygenTerms:
        """What the order asks for, if it is final here, has its quorum, has not acted, and names this signer."""
        if attempt < 1:
            raise KeygenRefused("attempts are numbered from 1")
        state = self._copy.final()
        record = state.order(order_hash)
        if record is None:
            raise NotOrdered(f"order {order_hash.hex()} is not final in this signer's log")
        order = decode_order(record.order)
        action = order.action
        if not isinstance(action, CreateVault) or self._name not in action.signers:
            raise NotOrdered(f"order {order_hash.hex()} asks for no vault that {self._name} holds a share of")
        judgement = judge_by_both(self._inbox.without_revoked(state), record, self._clock.wall_ms())
        if not judgement.allowed:
            raise NotOrdered(f"order {order_hash.hex()}: {judgement.code}: {'; '.join(judgement.missing)}")
        person = self._inbox.rejection_of(order_hash, order)
        if person is not None:
            raise NotOrdered(f"{person} rejected order {order_hash.hex()}; it was handed in here")
        keys = {signer.name: signer.host_key for signer in state.charter.signers}
        return KeygenTerms(
            log_id=self._copy.log_id,
            order_hash=OrderHash(order_hash),
            attempt=attempt,
            signers=action.signers,
            host_keys=tuple(keys[signer] for signer in action.signers),
            threshold=action.threshold,
        )

    def drop_stale(self) -> None:
        """Destroy attempts whose coordinator has been silent for too long."""
        now = self._clock.monotonic_ms()
        for order_hash, attempt in list(self._attempts.items()):
            if participant.has_expired(attempt, now):
                self._drop(order_hash)

    def forget(self) -> None:
        """Destroy all attempts."""
        for order_hash in list(self._attempts):
            self._drop(order_hash)

    def _drop(self, order_hash: bytes) -> None:
        attempt = self._attempts.pop(order_hash, None)
        if attempt is not None:
            participant.wipe(attempt)

    def became_final(self, _before: int, _after: int) -> None:
        """Destroy the attempts of orders that have acted: their share is sealed by now."""
        state = self._copy.final()
        for order_hash in tuple(self._attempts):
            record = state.order(order_hash)
            if record is None or record.state is not OrderState.OPEN:
                self._drop(order_hash)


def _named(attempt: Attempt) -> str:
    return f"attempt {attempt.terms.attempt} of order {attempt.terms.order_hash.hex()}"
