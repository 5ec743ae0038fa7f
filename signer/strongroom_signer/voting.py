"""Terms, votes and certificates, with the durable commits between what is decided and what is said.

Every method decides with the pure voter, writes one commit, and only then changes the copy in memory and answers. A
failed commit therefore leaves everything as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from strongroom.ledger import checkpoint, codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.charter import Charter
from strongroom.ledger.codec import NotCanonical
from strongroom.ledger.electorate import Electorate, witness_set_of
from strongroom.ledger.reasons import Refused
from strongroom.ledger.records import ElectorateStep
from strongroom.ledger.replica import Preview, Replica
from strongroom.ledger.signed_messages import Refusal
from strongroom.ledger.state import State
from strongroom.model.errors import StrongroomError
from strongroom.model.ids import BootId
from strongroom.protocol import voter
from strongroom.protocol.certificates import final_size
from strongroom.protocol.electorates import Electorates, KnownSet, follow_steps
from strongroom.protocol.signed import SignedBody, sign_body
from strongroom.protocol.voter_state import (
    Adopted,
    Alarmed,
    BaseNotStored,
    Behind,
    StaleTerm,
    Taken,
    VoterState,
    VoterStopped,
    initial_state,
    stored_state,
)
from strongroom_signer import requests
from strongroom_signer.alarms import BatchTimeOff, ClockDrift, ClockGuard, WordsWithheld, check_free_disk
from strongroom_signer.clock import Clock
from strongroom_signer.inbox import Inbox
from strongroom_signer.keys import SignerKeys
from strongroom_signer.log_copy import CannotJudge, LogCopy, View
from strongroom_signer.recovery import RecoveryMissing
from strongroom_signer.refusals import printable
from strongroom_signer.retirement import require_vote_key
from strongroom_signer.store import InboxItem, Writer
from strongroom_signer.voice import Voice
from strongroom_signer.vote_outcomes import BatchRefused, EntriesMissing, NotOurBatch, Voted

__all__ = ["BatchRefused", "EntriesMissing", "NotOurBatch", "Voting"]

_COSIGNED = "cosigned_size"


class Voting:
    """This signer's voice in the log."""

    def __init__(
        self,
        copy: LogCopy,
        inbox: Inbox,
        *,
        keys: SignerKeys,
        charter: Charter,
        name: str,
        boot_id: bytes,
        clock: Clock,
        free_disk_floor_bytes: int,
    ) -> None:
        self._copy = copy
        self._store = copy.store
        self._keys = keys
        self._inbox = inbox
        self._name = name
        self._boot_id = BootId(boot_id)
        self._clock = clock
        self._floor = free_disk_floor_bytes
        self._guard = ClockGuard(clock, copy.store)
        self._pinned = charter
        self._announced: tuple[KnownSet, ...] = ()
        self._voice = Voice(name, keys.vote.public, charter)
        stored = copy.store.voter()
        self._voter = initial_state(copy.log_id, name, keys.vote.public) if stored is None else stored_state(stored)
        self._cosigned = copy.store.counter(_COSIGNED)
        self._on_term: list[Callable[[], None]] = []
        self._on_final: list[Callable[[int, int], None]] = []

    # --- what others need to know ------------------------------------------------------------------------------------

    @property
    def state(self) -> VoterState:
        """The voter state as stored."""
        return self._voter

    @property
    def final_size(self) -> int:
        """Entries known to be final."""
        return self._copy.final_size

    @property
    def vote_keys(self) -> Mapping[str, bytes]:
        """Vote key of every signer of the charter in force, by name: what commitments and shares are signed with."""
        return self._voice.vote_keys(self._copy.newest())

    @property
    def electorates(self) -> Electorates:
        """Whose votes count, as far as the own log and proven handovers beyond it say."""
        return self._electorates(self._copy.replica)

    def _electorates(self, replica: Replica) -> Electorates:
        ahead = [one for known in self._announced for one in (known.electorate, known.joint) if one is not None]
        newest = replica.state()
        if newest.charter_record is None:
            return replace(Electorates.always(Electorate.of_charter(self._pinned)), ahead=tuple(ahead))
        return Electorates.of(newest, final_size=replica.folded_size, ahead=ahead)

    def learn(self, steps: Sequence[ElectorateStep]) -> bool:
        """Take proofs of handovers that the own log does not hold yet, so that their certificates can be judged.

        Returns:
            Whether they say anything that was not known.

        Raises:
            BadStep: one does not follow from what is final here; nothing is learned from any.
        """
        final = self._copy.final()
        if final.charter_record is None:
            known = KnownSet.first(witness_set_of(self._pinned))
        else:
            record = final.witnesses
            known = KnownSet(number=record.number, witnesses=record.current)
        before = self._announced
        self._announced = follow_steps(known, steps, log_id=self._copy.log_id)
        return self._announced != before

    def silence(self) -> str:
        """Why words under this signer's vote key count for nothing, for its operator; empty when they count."""
        return self._voice.silence(self._copy.final(), self._copy.newest())

    def require_signing(self) -> None:
        """Raise what keeps this signer from nonce commitments and shares, beside what keeps it from voting.

        Raises:
            NotAWitness: the charter in force has another vote key for its name, or no such name.
        """
        self._voice.require_signing(self._copy.newest())

    def on_term_change(self, callback: Callable[[], None]) -> None:
        """Call back when the term has changed: nonces die."""
        self._on_term.append(callback)

    def on_final(self, callback: Callable[[int, int], None]) -> None:
        """Call back with the final size before and after, when it has risen, or has got its recovery data at last."""
        self._on_final.append(callback)

    def releasable(self, size: int) -> bool:
        """Whether entries below `size` lie under a held certificate of the current term."""
        return voter.releasable(self._voter, size)

    def require_voting(self) -> None:
        """Raise what keeps this signer from voting and signing, if anything does.

        Raises:
            Retired: the vote key is erased.
            VoterStopped: an alarm of the protocol.
            ClockDrift: the clocks drifted apart and nobody confirmed it.
        """
        require_vote_key(self._keys.vote)
        self.require_no_alarm()

    def require_no_alarm(self) -> None:
        """Raise the alarm that stands, if one does; a retired signer without one goes on to follow the log.

        Raises:
            VoterStopped: an alarm of the protocol.
            ClockDrift: the clocks drifted apart and nobody confirmed it.
        """
        if self._voter.alarm:
            raise VoterStopped(f"this signer has stopped: {self._voter.alarm}: {self._voter.alarm_message}")
        self._guard.check_drift()

    def watch_clocks(self) -> None:
        """Notice clocks that drifted apart though nobody asks for a vote; the alarm then stands."""
        with suppress(ClockDrift):
            self._guard.check_drift()

    def require_term(self, term: int) -> None:
        """Refuse a request of another term than the own one.

        Raises:
            StaleTerm: it is of another term.
        """
        if term != self._voter.term:
            raise StaleTerm(f"term {term} is not the own term {self._voter.term}", term=str(self._voter.term))

    # --- terms -------------------------------------------------------------------------------------------------------

    def promise(self, request: requests.Promise) -> SignedBody:
        """State NEWTERM: never act in an earlier term again.

        Raises:
            Retired: the vote key is erased.
            NotAWitness: no witness set has this signer's vote key.
            VoterRefused: the statement is refused.
        """
        require_vote_key(self._keys.vote)
        self._voice.require_statement(self._copy.final(), self._copy.newest())
        state, statement = voter.promise(
            self._voter, self._keys.vote, term=request.term, leader=request.leader, boot_id=self._boot_id
        )
        self._save(state)
        return statement

    def open_term(self, request: requests.OpenTerm, leader: bytes) -> None:
        """Accept the base of a term and adopt it.

        Raises:
            EntriesMissing: entries below the base must be fetched first; adopt it then.
            VoterRefused, BadStatements, BadCertificate, BadSignedBody: the opening is refused.
        """
        state, outcome = voter.open_term(
            self._voter,
            term=request.term,
            leader=leader,
            statements=request.statements,
            base_certificate=request.base_certificate,
            electorates=self.electorates,
        )
        self._save(state)
        self._require_no_alarm(outcome)
        self.adopt()

    def adopt(self) -> None:
        """Adopt the base of the current term, once its entries are stored.

        Raises:
            EntriesMissing: they are not.
        """
        try:
            state, outcome = voter.adopt(self._voter, self._copy.view(), electorates=self.electorates)
        except BaseNotStored:
            opened = self._voter.opened
            base = None if opened is None else opened.base
            if base is None:
                raise
            raise EntriesMissing(base) from None
        held = state.held if isinstance(outcome, Adopted) else None
        truncate_to = outcome.truncate_to if isinstance(outcome, Adopted) else None
        if held is not None and self._copy.lacking(truncate_to):
            raise EntriesMissing(held)
        self._save(state, certificate=held, truncate_to=truncate_to)
        self._require_no_alarm(outcome)

    # --- round 1 -----------------------------------------------------------------------------------------------------

    def append(self, request: requests.Append) -> Voted:
        """Store a batch and vote for it.

        Raises:
            BatchRefused: an entry is not accepted at its place, the time is off, or words are withheld: signed.
            EntriesMissing: entries before the batch must be fetched first.
            NotOurBatch: it does not follow what is stored here.
            ClockDrift, DiskLow, VoterRefused, NotAWitness: this signer does not vote.
        """
        self.require_voting()
        # A certificate of an earlier term says nothing here any more: the base of the term took its place.
        if request.certificate is not None and request.certificate.head.term >= self._voter.term:
            self.take(request.certificate)
        if request.term < self._voter.term:
            raise StaleTerm(f"term {request.term} is below the own term {self._voter.term}", term=str(self._voter.term))
        if self._copy.lacking():
            raise RecoveryMissing(
                "this signer lacks recovery data of vaults in its log: it votes when it has caught up"
            )
        if request.size == self._copy.size:
            return self._repeat(request)
        if request.first_index != self._copy.size:
            raise NotOurBatch(f"the batch begins at {request.first_index}, {self._copy.size} entries are stored here")
        check_free_disk(self._store, self._floor)
        preview, recovery = self._checked(request)
        self._voice.require_vote(State(preview.overlay, self._copy.log_id))
        head = self._head(request.term, preview.size, preview.root, preview.state_digest)
        state, signed = voter.vote(self._voter, self._keys.vote, head, self._copy.view(preview))
        final = self._copy.final_size
        with self._store.commit() as write:
            write.add_batch(request.first_index, request.entries, preview.root, preview.state_digest)
            self._copy.recovery.add(write, recovery)
            write.set_voter(codec.encode(state))
            if final > self._cosigned:
                write.set_counter(_COSIGNED, final)
        self._copy.replica.push(preview)
        self._voter = state
        self._guard.voted()
        return Voted(vote=signed, cosignature=self._cosign(final))

    def _repeat(self, request: requests.Append) -> Voted:
        """The vote for a batch that is stored already, word for word."""
        self._voice.require_vote(self._copy.newest())
        root, digest = self._copy.replica.head(request.size)
        if root != request.root:
            raise NotOurBatch(f"another batch is stored here at {request.first_index} to {request.size}")
        head = self._head(request.term, request.size, root, digest)
        before = self._voter
        state, signed = voter.vote(before, self._keys.vote, head, self._copy.view())
        if state is not before:
            # Fetched entries are stored without a look at them, and the certificate that was fetched for may not come.
            check_free_disk(self._store, self._floor)
            newest = self._copy.newest()
            self._judge(request, newest.time_ms, newest)
            self._save(state)
            self._guard.voted()
        return Voted(vote=signed, cosignature=self.cosignature())

    def _judge(self, request: requests.Append, time_ms: int, after: State) -> None:
        """Judge a batch by the own clock, and by the words that were handed in here.

        Raises:
            BatchRefused: signed.
        """
        try:
            self._guard.check_batch_time(time_ms)
            self._inbox.check_not_withheld(after)
        except (BatchTimeOff, WordsWithheld) as error:
            raise self._refusal(request, 0, error) from error

    def _checked(self, request: requests.Append) -> tuple[Preview, dict[bytes, bytes]]:
        """Replay a batch and judge it by what is this signer's to judge: form, time, recovery data, and words withheld.

        Returns:
            The batch replayed, and the recovery data to store with it.
        """
        try:
            preview = self._copy.preview(request.first_index, request.entries)
        except (Refused, NotCanonical, CannotJudge) as error:
            offset = max(int(error.facts.get("entry", request.first_index)) - request.first_index, 0)
            raise self._refusal(request, min(offset, len(request.entries) - 1), error) from error
        if preview.root != request.root:
            raise NotOurBatch(f"the batch gives another root at {request.size} than the coordinator says")
        self._judge(request, preview.time_ms, State(preview.overlay, self._copy.log_id))
        try:
            book = self._copy.recovery
            recovery = book.checked(book.lacking_of(preview), request.recovery_data)
        except RecoveryMissing as error:
            raise self._refusal(request, 0, error) from error
        return preview, recovery

    def _refusal(self, request: requests.Append, offset: int, error: StrongroomError) -> BatchRefused:
        refusal = Refusal(
            log_id=self._copy.log_id,
            term=request.term,
            entry_index=request.first_index + offset,
            subject=hashlib.sha256(request.entries[offset]).digest(),
            reason=error.reason,
            detail=printable(error.message),
            signer=self._name,
        )
        return BatchRefused(sign_body("refusal", refusal, self._keys.vote), error.reason, error.message)

    def _head(self, term: int, size: int, root: bytes, digest: bytes) -> Head:
        return Head(log_id=self._copy.log_id, term=term, size=size, root=root, state_digest=digest)

    # --- certificates ------------------------------------------------------------------------------------------------

    def take(self, certificate: Certificate) -> None:
        """Hold a certificate; what it makes final is folded.

        Raises:
            EntriesMissing: entries below it must be fetched first.
            BadCertificate, VoterRefused: it is refused.
        """
        if certificate == self._voter.held and self._voter.adopted:
            return
        state, outcome = voter.take_certificate(
            self._voter, certificate, self._copy.view(), electorates=self.electorates
        )
        taken = isinstance(outcome, Taken)
        if taken:
            voter.require_true_claims(certificate, self._copy.view())
        truncate_to = outcome.truncate_to if isinstance(outcome, Taken) else None
        if taken and self._copy.lacking(truncate_to):
            raise EntriesMissing(certificate)
        self._save(state, certificate=certificate if taken else None, truncate_to=truncate_to)
        self._require_no_alarm(outcome)
        if isinstance(outcome, Behind):
            raise EntriesMissing(certificate)

    def settle(self, certificate: Certificate) -> None:
        """Fold what a verified certificate of any term makes final, while entries are being fetched.

        Finality is a fact that no later term undoes, so it is taken from old certificates as well. A vote of this
        signer's own in one, that it does not remember, stops it.

        A certificate of a term whose base was not adopted is held with what it makes final, as if it had been handed
        in: that base may lie below, and what is final without it would seem to contradict it. As long as recovery data
        is missing it can be neither.
        """
        inspected = voter.inspect_certificate(self._voter, certificate)
        if inspected is not None:
            self._save(inspected[0])
            self._require_no_alarm(inspected[1])
        term = certificate.head.term
        if term < self._voter.term or (term == self._voter.term and self._voter.adopted):
            self._save(self._voter, proof=certificate)
        elif not self._copy.lacking():
            state, outcome = voter.take_certificate(
                self._voter, certificate, self._copy.view(), electorates=self.electorates
            )
            self._save(state, certificate=certificate if isinstance(outcome, Taken) else None)
            self._require_no_alarm(outcome)

    def cosignature(self) -> str:
        """A C2SP cosignature line over the newest final head, empty when that is not beyond the last one cosigned.

        A retired signer witnesses no more.
        """
        if self._keys.vote.is_wiped:
            return ""
        size = self._copy.final_size
        if size > self._cosigned:
            with self._store.commit() as write:
                write.set_counter(_COSIGNED, size)
        return self._cosign(size)

    def _cosign(self, size: int) -> str:
        """Cosign the final head of this size, which is noted on disk, unless it or a larger one was cosigned before."""
        if size <= self._cosigned:
            return ""
        self._cosigned = size
        root, _ = self._copy.replica.head(size)
        origin = checkpoint.log_origin(self._copy.log_id)
        signature = checkpoint.cosign(
            checkpoint.Checkpoint(origin=origin, size=size, root=root),
            self._keys.witness,
            name=f"{origin}/{self._name}",
            time_s=self._clock.wall_ms() // 1000,
        )
        return signature.line

    # --- replacing what lies beyond the final size -------------------------------------------------------------------

    def replace_copy(
        self, replica: Replica, write_batches: Callable[[Writer], None], keep: int, certificate: Certificate
    ) -> None:
        """Put a fetched log in place of the stored one beyond `keep` entries, and hold the certificate it leads to.

        Whether it is held is decided on the fetched log first: while it is refused, the stored entries stay, because
        the certificate held stands on them. Both are one commit: between them the voter state would name a certificate
        whose entries are gone.

        Raises:
            VoterStopped: the certificate raises an alarm; the stored log stays.
            EntriesMissing: it cannot be held on this log either.
            BadCertificate, VoterRefused: it is refused; nothing was written.
        """
        state, outcome = self._decided(View(replica), certificate)
        if isinstance(outcome, Alarmed):
            self._save(state)
            self._require_no_alarm(outcome)
        if not isinstance(outcome, Adopted | Taken):
            raise EntriesMissing(certificate)
        with self._store.one_commit():
            self._put_in_place(replica, write_batches, keep)
            self._save(state, certificate=state.held, truncate_to=outcome.truncate_to)

    def may_cut(self, replica: Replica, keep: int, certificate: Certificate, target: Head) -> bool:
        """Whether a fetched branch, which still goes on, may take the place of what is stored beyond `keep` entries."""
        return self._on_branch(replica, keep, certificate, target) is not None

    def cut_copy(
        self,
        replica: Replica,
        write_batches: Callable[[Writer], None],
        keep: int,
        certificate: Certificate,
        target: Head,
    ) -> None:
        """Put a fetched branch up to a certificate on its way in place of what is stored beyond `keep` entries.

        One commit, with what the voter holds from then on: it never names a certificate whose entries are gone.

        Raises:
            VoterStopped: the certificate raises an alarm; the stored log stays.
            EntriesMissing: the own entries must stay.
            BadCertificate: it does not hold; nothing was written.
        """
        state = self._on_branch(replica, keep, certificate, target)
        if state is None:
            raise EntriesMissing(certificate)
        inspected = voter.inspect_certificate(self._voter, certificate)
        if inspected is not None:
            self._save(inspected[0])
            self._require_no_alarm(inspected[1])
        with self._store.one_commit():
            self._put_in_place(replica, write_batches, keep)
            self._save(state, certificate=certificate)

    def _on_branch(self, replica: Replica, keep: int, certificate: Certificate, target: Head) -> VoterState | None:
        return voter.on_branch(
            self._voter, certificate, target, View(replica), keep=keep, electorates=self._electorates(replica)
        )

    def _put_in_place(self, replica: Replica, write_batches: Callable[[Writer], None], keep: int) -> None:
        """Store another log beyond `keep` entries; the caller writes in the same commit what is held on it."""
        salvaged = self._salvaged(keep)
        with self._store.commit() as write:
            for item in salvaged:
                write.add_inbox(item)
            write.truncate(keep)
            write_batches(write)
        self._copy.replica = replica
        self._copy.changed()
        self._inbox.reload()

    def _decided(self, log: View, certificate: Certificate) -> tuple[VoterState, object]:
        """What adopting the base of the term, or taking a certificate, gives on a log that is not stored.

        A false claim in it is no reason to refuse: whoever has to catch up takes the log as it is certified.
        """
        opened, electorates = self._voter.opened, self._electorates(log.replica)
        if opened is not None and not self._voter.adopted and opened.base == certificate:
            return voter.adopt(self._voter, log, electorates=electorates)
        return voter.take_certificate(self._voter, certificate, log, electorates=electorates)

    def extend_copy(self, previews: list[Preview], write_batches: Callable[[Writer], None]) -> None:
        """Append fetched batches that follow the stored ones, in one commit."""
        with self._store.commit() as write:
            write_batches(write)
        for preview in previews:
            self._copy.replica.push(preview)
        self._copy.changed()

    def add_recovery(self, recovery: dict[bytes, bytes]) -> None:
        """Store fetched recovery data."""
        if not recovery:
            return
        with self._store.commit() as write:
            self._copy.recovery.add(write, recovery)
        for on_final in self._on_final:
            on_final(self._copy.final_size, self._copy.final_size)

    # --- committing --------------------------------------------------------------------------------------------------

    def _save(
        self,
        state: VoterState,
        *,
        certificate: Certificate | None = None,
        proof: Certificate | None = None,
        truncate_to: int | None = None,
    ) -> None:
        """One commit of a voter state with all that goes with it; then the same in memory."""
        replica = self._copy.replica
        before = replica.folded_size
        end = replica.size if truncate_to is None else truncate_to
        proves = certificate if certificate is not None else proof
        final = before
        if proves is not None:
            bound = min(final_size(proves), end)
            final = max(before, self._copy.border_up_to(bound))
        salvaged = () if truncate_to is None else self._salvaged(truncate_to)
        folded = replica.fold(final) if final > before else {}
        settled = self._inbox.settled(replica.state(final)) if final > before else ()
        with self._store.commit() as write:
            for item in salvaged:
                write.add_inbox(item)
            if truncate_to is not None:
                write.truncate(truncate_to)
            if certificate is not None:
                write.put_certificate(certificate.head.size, certificate.head.term, codec.encode(certificate))
            if folded:
                write.put_state(folded)
                write.remove_inbox(settled)
            if final > before or truncate_to is not None:
                kept = [replica.state(border) for border in replica.batch_borders() if final <= border <= end]
                self._copy.recovery.remove_stale(write, kept)
            if state is not self._voter:
                write.set_voter(codec.encode(state))
        self._applied(state, truncate_to, before, final)

    def _applied(self, state: VoterState, truncate_to: int | None, before: int, final: int) -> None:
        replica = self._copy.replica
        term_changed = state.term != self._voter.term
        self._voter = state
        if truncate_to is not None:
            replica.truncate(truncate_to)
            self._copy.changed()
        if final > before:
            replica.folded(final)
        if truncate_to is not None or final > before:
            self._inbox.reload()
        if term_changed:
            for on_term in self._on_term:
                on_term()
        if final > before:
            for on_final in self._on_final:
                on_final(before, final)

    def _salvaged(self, keep: int) -> tuple[InboxItem, ...]:
        return self._inbox.salvaged(self._store.entries(keep, self._copy.size)) if keep < self._copy.size else ()

    def _require_no_alarm(self, outcome: object) -> None:
        if isinstance(outcome, Alarmed):
            raise VoterStopped(f"{outcome.alarm.name}: {outcome.alarm.value} ({outcome.detail})")
