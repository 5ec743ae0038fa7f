"""A ledger world whose witness set changes: real votes of any signers, and the entries that hand over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import charter_builder as builder
from ledger_world import DAY_MS, World, sign
from strongroom.ledger.certificate_messages import Certificate, CertificateVote, Head, StateSummary, TableSummary
from strongroom.ledger.charter import Charter, CharterSigner, encode_charter
from strongroom.ledger.entry_messages import Handover, Tick
from strongroom.ledger.order_messages import AmendCharter
from strongroom.ledger.records import ElectorateStep, WitnessPhase
from strongroom.ledger.state import State
from strongroom.protocol.certificates import NO_CERTIFICATE, Held, held_of, vote_body


def signer(name: str, key: str = "") -> CharterSigner:
    """A signer with the keys of another label: the machine that took over a name."""
    return replace(builder.signer(key or name), name=name)


class HandoverWorld:
    """Votes are of any signers, by labels: "s3" votes as s3, "s3:new" as s3 with the key of the label "new"."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World.started()
        self.term = 1

    @property
    def state(self) -> State:
        return self.world.state

    def next_charter(self, *signers: CharterSigner, quorum: int) -> Charter:
        charter = self.state.charter
        return replace(charter, version=charter.version + 1, signers=tuple(signers), witness_quorum=quorum)

    def want(
        self, charter: Charter, *, for_ms: int = DAY_MS, people: tuple[str, str, str] = ("dave", "alice", "bob")
    ) -> bytes:
        """Amend the charter, and let its time come; the wish lapses so long after. Returns the order's hash."""
        initiator, *approvers = people
        begins_ms = self.world.time_ms + self.state.charter.loosening_delay_ms
        action = AmendCharter(charter=encode_charter(charter), handover_expires_ms=begins_ms + for_ms)
        order = self.world.submit(action, initiator, *approvers)
        self.world.later(begins_ms - self.world.time_ms)
        self.world.log(Tick())
        return order

    # --- votes -----------------------------------------------------------------------------------------------------

    def head(self, size: int | None = None) -> Head:
        size = self.world.replica.size if size is None else size
        root, digest = self.world.replica.head(size)
        return Head(log_id=self.world.log_id, term=self.term, size=size, root=root, state_digest=digest)

    def certificate(
        self, labels: Iterable[str], *, head: Head | None = None, held: Held = NO_CERTIFICATE
    ) -> Certificate:
        head = head or self.head()
        body = vote_body(head, held)
        votes = []
        for label in sorted(labels, key=lambda one: one.split(":")[0]):
            name, _, key = label.partition(":")
            votes.append(
                CertificateVote(
                    signer=name,
                    held_term=held.term,
                    held_size=held.size,
                    held_head=held.head_hash,
                    signature=sign("vote", body, f"{key or name} vote").signature,
                )
            )
        return Certificate(head=head, votes=tuple(votes))

    def summary(self, size: int | None = None) -> StateSummary:
        state = self.world.replica.state(size)
        tables = tuple(TableSummary(count=table.count, root=table.root) for table in state.table_roots())
        return StateSummary(rule_set=state.charter.rule_set, time_ms=state.time_ms, tables=tables)

    # --- steps -----------------------------------------------------------------------------------------------------

    def first(self, labels: Iterable[str]) -> Handover:
        return Handover(certificate=self.certificate(labels))

    def second(self, labels: Iterable[str]) -> Handover:
        """After one more batch, over a head whose votes name the certificate of the head before."""
        labels = tuple(labels)
        held = held_of(self.certificate(labels))
        self.world.log(Tick())
        return Handover(certificate=self.certificate(labels, held=held), summary=self.summary())

    def hand_over(self, charter: Charter, labels: Iterable[str], **parts: Any) -> bytes:
        """All of a change, with these voters for both sets; returns the order's hash."""
        labels = tuple(labels)
        order = self.want(charter, **parts)
        self.world.log(self.first(labels))
        self.world.log(self.second(labels))
        return order

    def step(self, second: Handover) -> ElectorateStep:
        """What proves a completed change to who lacks the entries."""
        record = next(r for _, r in reversed(self.state.electorates()) if r.phase is WitnessPhase.JOINT)
        assert second.summary is not None
        return ElectorateStep(certificate=second.certificate, record=record, summary=second.summary)
