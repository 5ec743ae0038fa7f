"""Blame that anybody can check: from one record and the log id to what a signer's key is proven to have done.

A share is bad only under the context that its own sender signed: the plan, the set, and everybody's commitments. So the
check recomputes all of it from the record: the charter that hashes to the log id, every handover to other signers since
then, a certificate of the term in which the share was made, the plan below its root, the vault below its state digest,
and the orders whose hashes the plan names. Nothing else in a record is believed, and nobody is named for words that
another key signed.

The certificate must be of the share's own term: the certified heads of one term are of one history, while those of an
earlier one may have been dropped with a vault in them whose name was then given again, with another key.

Spec: design, "The ledger", round 2; BIP-445, PartialSigVerify.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from strongroom.chains.bitcoin import policy
from strongroom.chains.bitcoin.networks import BY_CAIP2
from strongroom.chains.bitcoin.spend import Spend
from strongroom.crypto import frost
from strongroom.ledger import codec, merkle
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.charter import decode_charter, log_id_of
from strongroom.ledger.electorate import Electorate, witness_set_of
from strongroom.ledger.entry_messages import Change, Entry, Plan
from strongroom.ledger.founding import restart_log_id, statement_of
from strongroom.ledger.order_messages import BreakGlass, CancelWithdraw, Withdraw
from strongroom.ledger.plans import plan_hash, transaction_of
from strongroom.ledger.record_proof import RecordProofData, TableRoot, verify_record_proof
from strongroom.ledger.records import ElectorateStep, VaultRecord
from strongroom.ledger.signed_messages import Commitments, Dealing, DealingTerms, Shares, Vote
from strongroom.ledger.state import decode_order
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId, SignerName
from strongroom.protocol.certificates import BadCertificate, open_under, verify_certificate
from strongroom.protocol.commitments import VerifiedCommitments, commitments_hash, verify_commitments
from strongroom.protocol.electorates import KnownSet, follow_steps
from strongroom.protocol.evidence_records import (
    MAX_EVIDENCE_BYTES,
    VERSION,
    Evidence,
    MalformedCommitments,
    MalformedDealing,
    OrderBytes,
    TwoVotes,
    Word,
    WrongShare,
    evidence_hash,
    first_bad_nonce,
)
from strongroom.protocol.redistribution_terms import problem_under, terms_hash
from strongroom.protocol.release import SigningSet, open_set
from strongroom.protocol.signed import BadSignedBody, SignedBody, decode_claimed, open_body
from strongroom.protocol.signing_task import Group, SigningTask, task_of

__all__ = ["EvidenceInvalid", "Fault", "Proven", "evidence_log_id", "verify_evidence"]


M = TypeVar("M")


class EvidenceInvalid(StrongroomError):
    """A record proves nothing against anybody; the message says which part of it does not hold.

    Whoever made the record is at fault, and only to whoever got it from its maker.
    """

    reason = "EVIDENCE_INVALID"
    kind = Kind.FAILED_PRECONDITION


class Fault(StrEnum):
    """What can be proven; the values never change their meaning."""

    WRONG_SHARE = "wrong-share"
    MALFORMED_COMMITMENTS = "malformed-commitments"
    TWO_VOTES = "two-votes"
    MALFORMED_DEALING = "malformed-dealing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What a record proves: the vote key of `signer` signed something that the protocol's software never signs.

    It proves the use of the key, not who used it or why: a defective machine, a share restored from a wrong backup and
    a stolen key do the same as a hostile operator.

    Attributes:
        hash: Name of the record, 32 bytes.
        log_id: The log it is of.
        signer: Whose key it was.
        vote_key: The key, 32 bytes; another machine may have the name since.
        fault: What was done with it.
        term: The term it was done in; 0 for a dealing, which is of no term.
        plan_hash: The plan it was about, 32 bytes; empty for votes and dealings.
        detail: The proof in one line, for people.
    """

    hash: bytes
    log_id: LogId
    signer: SignerName
    vote_key: bytes
    fault: Fault
    term: int
    plan_hash: bytes
    detail: str


def evidence_log_id(data: bytes) -> LogId:
    """The log that a record says it is of; `verify_evidence` with that id says whether it proves anything.

    Args:
        data: Canonical bytes, at most 16 MiB.

    Raises:
        EvidenceInvalid: it is no record.
    """
    try:
        return _log_id_of(codec.decode(Evidence, data, max_size=MAX_EVIDENCE_BYTES))
    except EvidenceInvalid:
        raise
    except StrongroomError as error:
        raise EvidenceInvalid(f"the record cannot be read: {error.message}", problem=error.reason) from error


def verify_evidence(data: bytes, *, log_id: LogId) -> Proven:
    """Check a record from nothing but the log id, and say what it proves.

    Args:
        data: Canonical bytes, at most 16 MiB.
        log_id: The log as the checker knows it.

    Raises:
        EvidenceInvalid: it proves nothing; the first thing that does not hold.
    """
    try:
        record = codec.decode(Evidence, data, max_size=MAX_EVIDENCE_BYTES)
        if record.version != VERSION:
            raise EvidenceInvalid(f"the record is of version {record.version}, this program checks version {VERSION}")
        if (of := _log_id_of(record)) != log_id:
            raise EvidenceInvalid(f"the record is of log {of.hex()}, not of {log_id.hex()}", log_id=of.hex())
        check = _Check(log_id=log_id, reigns=_reigns(record, log_id), hash=evidence_hash(data))
        match record.fault:
            case WrongShare():
                return check.wrong_share(record.fault)
            case MalformedCommitments():
                return check.malformed_commitments(record.fault)
            case TwoVotes():
                return check.two_votes(record.fault)
            case MalformedDealing():
                return check.malformed_dealing(record.fault)
    except EvidenceInvalid:
        raise
    except StrongroomError as error:
        # Every check used here names what it found; none of it holds a secret, because a record holds none.
        raise EvidenceInvalid(f"the record does not hold: {error.message}", problem=error.reason) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reigns:
    """Who could certify and sign what in the log, as the record proves it."""

    newest: KnownSet
    steps: tuple[ElectorateStep, ...]

    @property
    def sets(self) -> tuple[Mapping[str, bytes], ...]:
        """Vote keys by name, of each witness set, the newest first."""
        found = [part for reign in reversed(self.newest.reigns) for part in reversed(reign.electorate.sets)]
        return tuple({one.name: one.vote_key for one in part.signers} for part in dict.fromkeys(found))

    def possible(self, head: Head) -> tuple[Electorate, ...]:
        """Who may have certified a head.

        Signers that left could still use their keys: so where others took over, a head of the time before must be of
        a term of that time too.
        """
        ended = (step for step in self.steps if head.size < step.record.since_size)
        if any(head.term > step.certificate.head.term for step in ended):
            return ()
        return self.newest.possible(head.size)


def _log_id_of(record: Evidence) -> LogId:
    if (record.restart is None) != bool(record.charter):
        raise EvidenceInvalid("the record must hold what the log is founded on: a genesis charter, or a restart")
    return log_id_of(record.charter) if record.restart is None else restart_log_id(record.restart)


def _reigns(record: Evidence, log_id: LogId) -> _Reigns:
    charter = record.charter if record.restart is None else statement_of(record.restart).charter
    first = KnownSet.first(witness_set_of(decode_charter(charter)))
    known = follow_steps(first, record.steps, log_id=log_id)
    if len(known) != len(record.steps):
        raise EvidenceInvalid("a proof of a handover in the record leads nowhere")
    return _Reigns(newest=known[-1] if known else first, steps=record.steps)


def _signed(word: Word) -> SignedBody:
    return SignedBody(body=word.body, signature=word.signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """One record being checked: the log, whose keys count in it, and the record's name."""

    log_id: LogId
    reigns: _Reigns
    hash: bytes

    def keys_of(self, signer: str) -> tuple[bytes, ...]:
        """Every vote key that this name has had, the newest first."""
        keys = tuple(dict.fromkeys(known[signer] for known in self.reigns.sets if signer in known))
        if not keys:
            raise EvidenceInvalid(f"{signer!r} is no signer of this log", signer=signer)
        return keys

    def opened(self, kind: str, cls: type[M], signed: SignedBody, signer: str) -> tuple[M, bytes]:
        """What a signer said, and under which of its keys."""
        return open_under(kind, cls, signed, log_id=self.log_id, keys=self.keys_of(signer))

    def proven(self, signer: tuple[str, bytes], fault: Fault, term: int, plan: bytes, detail: str) -> Proven:
        return Proven(
            hash=self.hash,
            log_id=self.log_id,
            signer=SignerName(signer[0]),
            vote_key=signer[1],
            fault=fault,
            term=term,
            plan_hash=plan,
            detail=detail,
        )

    # --- wrong shares ----------------------------------------------------------------------------------------------

    def wrong_share(self, fault: WrongShare) -> Proven:
        signed = _signed(fault.shares)
        claimed = decode_claimed(Shares, "shares", signed)
        shares, key = self.opened("shares", Shares, signed, claimed.signer)
        task = self._task(fault, shares)
        chosen = self._set(fault, shares, key, task)
        wrong = _wrong_inputs(chosen, shares)
        if not wrong:
            raise EvidenceInvalid(f"every share of {shares.signer} in the record is right: it is to blame for nothing")
        if wrong is _ALL_INPUTS:
            detail = f"{len(shares.shares)} shares for a plan of {len(task.digests)} inputs"
        else:
            places = ", ".join(map(str, wrong[:10])) + (", ..." if len(wrong) > 10 else "")
            detail = f"the share for input {places} is wrong under the commitments that its sender named"
        return self.proven((shares.signer, key), Fault.WRONG_SHARE, shares.term, shares.plan_hash, detail)

    def _task(self, fault: WrongShare, shares: Shares) -> SigningTask:
        """What was to be signed, from what w signers of the share's term certified."""
        certificate = fault.certificate
        self._verify(certificate)
        if certificate.head.term != shares.term:
            raise EvidenceInvalid(
                f"the certificate is of term {certificate.head.term} and the share of term {shares.term}: the log may "
                "have held something else then"
            )
        plan = self._plan(fault, shares)
        vault = self._vault(fault, plan, shares)
        return task_of(
            _transaction(plan, vault, fault.orders),
            log_id=self.log_id,
            term=shares.term,
            entry_index=shares.entry_index,
            plan_hash=shares.plan_hash,
            vault_epoch=vault.epoch,
            group=Group(
                signers=vault.signers,
                threshold=vault.threshold,
                public_shares=vault.public_shares,
                group_key=vault.group_key,
            ),
        )

    def _verify(self, certificate: Certificate) -> None:
        """Check a certificate by whoever may have made it.

        Raises:
            EvidenceInvalid: nobody can certify such a head.
            BadCertificate: says what is wrong with it by the newest who may.
        """
        problem: BadCertificate | None = None
        for electorate in self.reigns.possible(certificate.head):
            try:
                verify_certificate(certificate, log_id=self.log_id, electorate=electorate)
            except BadCertificate as error:
                problem = problem or error
            else:
                return
        raise problem or EvidenceInvalid("the certificate is by signers that others had replaced in its term")

    def _plan(self, fault: WrongShare, shares: Shares) -> Plan:
        head = fault.certificate.head
        leaf = merkle.leaf_hash(fault.plan_entry)
        merkle.verify_inclusion(leaf, shares.entry_index, head.size, fault.entry_path, head.root)
        plan = codec.decode(Entry, fault.plan_entry).body
        if not isinstance(plan, Plan) or plan_hash(codec.encode(plan)) != shares.plan_hash:
            raise EvidenceInvalid(f"entry {shares.entry_index} is not the plan that the share is for")
        return plan

    def _vault(self, fault: WrongShare, plan: Plan, shares: Shares) -> VaultRecord:
        proof = fault.vault
        data = RecordProofData(
            table=b"vaults",
            record=proof.record,
            sequence=proof.sequence,
            path=proof.path,
            table_roots=tuple(TableRoot(count=table.count, root=table.root) for table in proof.tables),
            rule_set=proof.rule_set,
            time_ms=proof.time_ms,
        )
        verify_record_proof(data, fault.certificate.head.state_digest)
        vault = codec.decode(VaultRecord, proof.record)
        if vault.name != plan.vault:
            raise EvidenceInvalid(f"the plan is of vault {plan.vault}, the record proves vault {vault.name}")
        if vault.epoch != shares.vault_epoch:
            raise EvidenceInvalid(f"the share is of epoch {shares.vault_epoch}, the record proves epoch {vault.epoch}")
        return vault

    def _set(self, fault: WrongShare, shares: Shares, key: bytes, task: SigningTask) -> SigningSet:
        """The set, if the sender of the shares is in it and named exactly these commitments.

        All were signers of one charter together, in which the sender had the key that signed the shares.
        """
        commitments = [_signed(word) for word in fault.commitments]
        if commitments_hash(commitments) != shares.commitments_hash:
            raise EvidenceInvalid(f"{shares.signer} gave its share for other commitments than those in the record")
        verified = self._commitments(
            commitments, task, [one for one in self.reigns.sets if one.get(shares.signer) == key]
        )
        chosen = open_set(task, verified)
        if chosen.signers != shares.signers or shares.signer not in chosen.signers:
            raise EvidenceInvalid(f"{shares.signer} gave its share for another set of signers")
        return chosen

    @staticmethod
    def _commitments(
        signed: Sequence[SignedBody], task: SigningTask, sets: Sequence[Mapping[str, bytes]]
    ) -> list[VerifiedCommitments]:
        for keys in sets[:-1]:
            with suppress(BadSignedBody):
                return [verify_commitments(item, task=task, vote_keys=keys) for item in signed]
        return [verify_commitments(item, task=task, vote_keys=sets[-1]) for item in signed]

    # --- malformed commitments -------------------------------------------------------------------------------------

    def malformed_commitments(self, fault: MalformedCommitments) -> Proven:
        signed = _signed(fault.commitments)
        claimed = decode_claimed(Commitments, "commitments", signed)
        message, key = self.opened("commitments", Commitments, signed, claimed.signer)
        bad = first_bad_nonce(message)
        if bad is not None:
            if fault.plan:
                raise EvidenceInvalid("the record holds a plan beside commitments that need none")
            detail = f"its commitment for input {bad} is no pair of points"
        else:
            inputs = self._inputs(fault.plan, message)
            if inputs == len(message.nonces):
                raise EvidenceInvalid(f"the commitments of {message.signer} are in order: it is to blame for nothing")
            detail = f"{len(message.nonces)} commitments for a plan of {inputs} inputs"
        return self.proven((message.signer, key), Fault.MALFORMED_COMMITMENTS, message.term, message.plan_hash, detail)

    @staticmethod
    def _inputs(data: bytes, message: Commitments) -> int:
        if plan_hash(data) != message.plan_hash:
            raise EvidenceInvalid(f"the commitments of {message.signer} are for another plan than the one beside them")
        return len(codec.decode(Plan, data).inputs)

    # --- votes -----------------------------------------------------------------------------------------------------

    def two_votes(self, fault: TwoVotes) -> Proven:
        first, key = self.opened("vote", Vote, _signed(fault.first), fault.signer)
        # By the same key: while one machine takes over a name from another, both vote in it.
        second = open_body("vote", Vote, _signed(fault.second), log_id=self.log_id, public_key=key)
        if (first.term, first.size) != (second.term, second.size):
            raise EvidenceInvalid("the votes are for different terms or sizes, as every signer gives them")
        if (first.root, first.state_digest) == (second.root, second.state_digest):
            raise EvidenceInvalid("the votes are for the same head: saying a thing twice is no fault")
        if fault.first.body > fault.second.body:
            raise EvidenceInvalid("the votes are not in the order of a canonical record")
        detail = f"votes for two different heads at term {first.term} and size {first.size}"
        return self.proven((fault.signer, key), Fault.TWO_VOTES, first.term, b"", detail)

    # --- dealings --------------------------------------------------------------------------------------------------

    def malformed_dealing(self, fault: MalformedDealing) -> Proven:
        """What is encrypted in a dealing is shown to its receivers alone, so that no record can be about it."""
        signed = _signed(fault.dealing)
        claimed = decode_claimed(Dealing, "dealing", signed)
        message, key = self.opened("dealing", Dealing, signed, claimed.signer)
        if terms_hash(fault.terms) != message.terms_hash:
            raise EvidenceInvalid(f"{message.signer} dealt under other terms than those in the record")
        terms = codec.decode(DealingTerms, fault.terms)
        problem = problem_under(terms, message)
        if not problem:
            raise EvidenceInvalid(f"the dealing of {message.signer} is in order: it is to blame for nothing")
        detail = f"its dealing for epoch {terms.epoch} of {terms.vault}: {problem}"
        return self.proven((message.signer, key), Fault.MALFORMED_DEALING, 0, b"", detail)


_ALL_INPUTS: Final = (-1,)


def _wrong_inputs(chosen: SigningSet, shares: Shares) -> tuple[int, ...]:
    """Inputs whose share is wrong; `_ALL_INPUTS` when there are more or fewer shares than inputs."""
    if len(shares.shares) != len(chosen.sessions):
        return _ALL_INPUTS
    index = chosen.signers.index(SignerName(shares.signer))
    return tuple(
        position
        for position, (share, session) in enumerate(zip(shares.shares, chosen.sessions, strict=True))
        if not frost.partial_sig_verify(share, index, session)
    )


def _transaction(plan: Plan, vault: VaultRecord, orders: Sequence[OrderBytes]) -> Spend:
    """The plan's transaction, from the bytes of its orders."""
    hashes = tuple(hashlib.sha256(item.order).digest() for item in orders)
    if hashes != plan.order_hashes:
        raise EvidenceInvalid("the orders in the record are not those of the plan")
    if vault.chain not in BY_CAIP2:
        raise EvidenceInvalid(f"this program knows no chain {vault.chain}")
    change = [output.target.index for output in plan.outputs if isinstance(output.target, Change)]
    if any(index > policy.MAX_INDEX for index in change):
        raise EvidenceInvalid("a change output of the plan is at no index of the vault's key")
    actions = [decode_order(item.order).action for item in orders]
    if len(actions) == 1 and isinstance(actions[0], CancelWithdraw):
        return transaction_of(plan, vault, ())
    if len(actions) == 1 and isinstance(actions[0], BreakGlass):
        return transaction_of(plan, vault, (), recovery=actions[0])
    payments = tuple(action for action in actions if isinstance(action, Withdraw))
    if len(payments) != len(actions):
        raise EvidenceInvalid("the plan names orders that pay nobody")
    return transaction_of(plan, vault, payments)
