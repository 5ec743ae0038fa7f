"""From a request of the coordinator to the body of the reply: one handler for each kind of request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec
from strongroom.ledger.records import ElectorateStep
from strongroom.ledger.signed_messages import Refusal
from strongroom.protocol.keygen import Fault
from strongroom.protocol.redistribution import DealingsDisputed
from strongroom.protocol.signed import SignedBody
from strongroom_signer import requests
from strongroom_signer.explain import Explainer
from strongroom_signer.frames import batches_to_pb, signed_to_pb
from strongroom_signer.inbox import Inbox
from strongroom_signer.keygen import Disputed, KeyGeneration
from strongroom_signer.log_copy import LogCopy
from strongroom_signer.logs import Log
from strongroom_signer.money_path import Committed, MoneyPath, Released
from strongroom_signer.quarantine import Notice, Quarantine
from strongroom_signer.redistribution import Redistribution
from strongroom_signer.voting import BatchRefused, Voting

__all__ = ["Service"]

MAX_ANSWER_BYTES: Final = 1024 * 1024
_FAULTS: Final = {
    Fault.HOLDER_OR_COORDINATOR: pb.KeygenFinding.FAULT_HOLDER_OR_COORDINATOR,
    Fault.COORDINATOR: pb.KeygenFinding.FAULT_COORDINATOR,
    Fault.OWN_MACHINE: pb.KeygenFinding.FAULT_OWN_MACHINE,
}


class Service:
    """Answers requests. Errors are the caller's to put into a frame."""

    def __init__(
        self,
        *,
        copy: LogCopy,
        voting: Voting,
        money_path: MoneyPath,
        key_generation: KeyGeneration,
        redistribution: Redistribution,
        explainer: Explainer,
        inbox: Inbox,
        quarantine: Quarantine,
        log: Log,
    ) -> None:
        self._copy = copy
        self._voting = voting
        self._money_path = money_path
        self._keygen = key_generation
        self._redistribution = redistribution
        self._explainer = explainer
        self._inbox = inbox
        self._quarantine = quarantine
        self._log = log
        self._handlers: dict[type[Any], Callable[[Any], Any]] = {
            requests.Promise: self._promise,
            requests.Append: self._append,
            requests.Commit: self._commit,
            requests.Release: self._release,
            requests.Certify: self._certify,
            requests.KeygenRound1: self._keygen_round1,
            requests.KeygenRound2: self._keygen_round2,
            requests.KeygenInvestigate: self._keygen_investigate,
            requests.KeygenFinish: self._keygen_finish,
            requests.TrialCommit: self._trial_commit,
            requests.TrialSign: self._trial_sign,
            requests.Explain: self._explain,
            requests.FetchBatches: self._fetch_batches,
            requests.FetchRecovery: self._fetch_recovery,
            requests.Deal: self._deal,
            requests.Receive: self._receive,
            requests.EpochTrialCommit: self._epoch_trial_commit,
            requests.EpochTrialSign: self._epoch_trial_sign,
        }

    def answer(self, request: requests.Request, leader: bytes) -> Any:
        """The body of the frame that answers a request.

        Args:
            request: What the coordinator asks.
            leader: 16 bytes that name the coordinator process on the other end.

        Raises:
            EntriesMissing: entries must be fetched first; ask again then.
            StrongroomError: why there is no answer.
        """
        if isinstance(request, requests.OpenTerm):
            self._voting.open_term(request, leader)
            return self.term_opened()
        return self._handlers[type(request)](request)

    def link_ended(self) -> None:
        """The coordinator counts nonces as gone with the link; kept, they would stand in the way of new ones."""
        self._money_path.forget_nonces()

    def term_opened(self) -> pb.TermOpened:
        """What says how far this signer has adopted the term."""
        state = self._voting.state
        # A signer that connects again in the middle of a term stores more than the base that it adopted.
        return pb.TermOpened(term=state.term, size=state.base_size if state.adopted else self._copy.size)

    def raised(self) -> pb.Raised | None:
        """Words handed in here that the log lacks; None when there are none."""
        words, reinstatements = self._inbox.to_raise(), self._quarantine.to_raise()
        if not words and not reinstatements:
            return None
        return pb.Raised(
            freezes=[signed_to_pb(freeze) for freeze in words.freezes],
            orders=[
                pb.HandedOrder(
                    order=order.order,
                    endorsements=[
                        types_pb2.SignedBody(body=one.body, signature=one.signature) for one in order.endorsements
                    ],
                )
                for order in words.orders
            ],
            endorsements=[types_pb2.SignedBody(body=one.body, signature=one.signature) for one in words.endorsements],
            reinstatements=[signed_to_pb(statement) for statement in reinstatements],
        )

    def noted(self, notice: Notice | None) -> bool:
        """Keep what the coordinator says of this signer's part in signing sets; returns whether that is new."""
        is_new = self._quarantine.notice != notice
        self._quarantine.notice = notice
        return is_new

    def learn(self, steps: Sequence[ElectorateStep]) -> bool:
        """Take proofs of handovers that the own log does not hold yet; returns whether they are news.

        Raises:
            BadStep: one of them does not hold.
        """
        return self._voting.learn(steps)

    # --- terms and votes ---------------------------------------------------------------------------------------------

    def _promise(self, request: requests.Promise) -> pb.Promised:
        statement = self._voting.promise(request)
        held = self._voting.state.held
        return pb.Promised(statement=signed_to_pb(statement), certificate=b"" if held is None else codec.encode(held))

    def _append(self, request: requests.Append) -> pb.Voted | pb.BatchRefused:
        try:
            voted = self._voting.append(request)
        except BatchRefused as error:
            return pb.BatchRefused(refusal=self._refused("batch.refused", error.refusal))
        return pb.Voted(
            vote=signed_to_pb(voted.vote),
            commitments=self._commitments(request.commit_for),
            cosignature=voted.cosignature,
            final_size=self._copy.final_size,
        )

    def _certify(self, request: requests.Certify) -> pb.Certified:
        self._voting.require_no_alarm()
        self._voting.take(request.certificate)
        held = self._voting.state.held
        return pb.Certified(
            certified_size=0 if held is None else held.head.size,
            final_size=self._copy.final_size,
            cosignature=self._voting.cosignature(),
        )

    # --- signing -----------------------------------------------------------------------------------------------------

    def _commit(self, request: requests.Commit) -> pb.Committed:
        self._voting.require_term(request.term)
        return pb.Committed(results=self._commitments(request.entry_indexes))

    def _commitments(self, indexes: Iterable[int]) -> list[pb.CommitmentResult]:
        return [self._commitment_result(self._money_path.commit(index)) for index in indexes]

    def _release(self, request: requests.Release) -> pb.Released:
        return pb.Released(results=[self._share_result(item) for item in self._money_path.release(request)])

    def _commitment_result(self, item: Committed) -> pb.CommitmentResult:
        if item.refusal is not None:
            refusal = self._refused("commitments.refused", item.refusal)
            return pb.CommitmentResult(entry_index=item.entry_index, refusal=refusal)
        made = None if item.commitments is None else signed_to_pb(item.commitments)
        return pb.CommitmentResult(entry_index=item.entry_index, commitments=made)

    def _share_result(self, item: Released) -> pb.ShareResult:
        more = None if item.next_commitments is None else signed_to_pb(item.next_commitments)
        if item.refusal is not None:
            refusal = self._refused("share.refused", item.refusal)
            return pb.ShareResult(entry_index=item.entry_index, refusal=refusal, next_commitments=more)
        made = None if item.shares is None else signed_to_pb(item.shares)
        return pb.ShareResult(entry_index=item.entry_index, shares=made, next_commitments=more)

    def _refused(self, event: str, refusal: SignedBody) -> types_pb2.SignedBody:
        """Tell the operator what was refused and why, in one line; the coordinator is told the same, signed."""
        said = codec.decode(Refusal, refusal.body)
        self._log.warning(event, entry=said.entry_index, reason=said.reason, message=said.detail)
        return signed_to_pb(refusal)

    # --- key generation ----------------------------------------------------------------------------------------------

    def _keygen_round1(self, request: requests.KeygenRound1) -> pb.KeygenRound1Reply:
        return pb.KeygenRound1Reply(message=self._keygen.round1(request))

    def _keygen_round2(self, request: requests.KeygenRound2) -> pb.KeygenRound2Reply | pb.KeygenComplaint:
        try:
            return pb.KeygenRound2Reply(message=self._keygen.round2(request))
        except Disputed as error:
            return pb.KeygenComplaint(encrypted_share=error.encrypted_share, pubshare=error.pubshare)

    def _keygen_investigate(self, request: requests.KeygenInvestigate) -> pb.KeygenFinding:
        finding = self._keygen.investigate(request)
        return pb.KeygenFinding(fault=_FAULTS[finding.fault], suspect=finding.suspect or 0)

    def _keygen_finish(self, request: requests.KeygenFinish) -> pb.KeygenFinishReply:
        signature, recovery_hash = self._keygen.finish(request)
        return pb.KeygenFinishReply(statement_signature=signature, recovery_hash=recovery_hash)

    def _trial_commit(self, request: requests.TrialCommit) -> pb.TrialCommitReply:
        return pb.TrialCommitReply(nonce=self._keygen.trial_commit(request))

    def _trial_sign(self, request: requests.TrialSign) -> pb.TrialSignReply:
        return pb.TrialSignReply(share=self._keygen.trial_sign(request))

    # --- new shares --------------------------------------------------------------------------------------------------

    def _deal(self, request: requests.Deal) -> pb.Dealt:
        return pb.Dealt(dealing=signed_to_pb(self._redistribution.deal(request)))

    def _receive(self, request: requests.Receive) -> pb.Stated | pb.DealingsDisputed:
        try:
            stated = self._redistribution.receive(request)
        except DealingsDisputed as error:
            self._log.error("epoch.dealings_disputed", order=request.order_hash, message=error.message)
            dealers = [fault.dealer for fault in error.faults]
            return pb.DealingsDisputed(dealers=dealers, detail=error.message[:400])
        return pb.Stated(signature=stated.signature, recovery_hash=stated.recovery_hash, key_hash=stated.key_hash)

    def _epoch_trial_commit(self, request: requests.EpochTrialCommit) -> pb.TrialCommitReply:
        return pb.TrialCommitReply(nonce=self._redistribution.trial_commit(request))

    def _epoch_trial_sign(self, request: requests.EpochTrialSign) -> pb.TrialSignReply:
        return pb.TrialSignReply(share=self._redistribution.trial_sign(request))

    # --- reading -----------------------------------------------------------------------------------------------------

    def _explain(self, request: requests.Explain) -> pb.ExplainReply:
        return pb.ExplainReply(view=signed_to_pb(self._explainer.view(request.order_hash)))

    def _fetch_batches(self, request: requests.FetchBatches) -> pb.Batches:
        """Whole batches from the one that holds `first_index` on, at most about 1 MiB of them."""
        store = self._copy.store
        batches: list[requests.LogBatch] = []
        total = 0
        at = store.batch_at(request.first_index)
        while at is not None and at[1] <= request.end_index and total < MAX_ANSWER_BYTES:
            entries = store.entries(*at)
            total += sum(map(len, entries))
            if batches and total > MAX_ANSWER_BYTES:
                break
            batches.append(
                requests.LogBatch(first_index=at[0], entries=entries, certificate=store.certificate(at[1]) or b"")
            )
            at = store.batch_at(at[1])
        return batches_to_pb(batches)

    def _fetch_recovery(self, request: requests.FetchRecovery) -> pb.RecoveryData:
        """What is held here of what is asked for, at most about 1 MiB of it."""
        found: list[bytes] = []
        total = 0
        for one in request.hashes:
            data = self._copy.store.recovery(one)
            if data is not None and (not found or total + len(data) <= MAX_ANSWER_BYTES):
                found.append(data)
                total += len(data)
        return pb.RecoveryData(recovery_data=found)
