"""The ledger half of the daemon, built in one place: from the database to the sequencer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from strongroom_coordinator.clock import Clock
from strongroom_coordinator.config import CoordinatorConfig
from strongroom_coordinator.cosignatures import Cosignatures
from strongroom_coordinator.data_folder import GenesisFile
from strongroom_coordinator.evidence_book import EvidenceBook
from strongroom_coordinator.evidence_files import EvidenceFiles
from strongroom_coordinator.founding import Founding, load_founding
from strongroom_coordinator.handovers import Handovers
from strongroom_coordinator.keygen import KeyGeneration
from strongroom_coordinator.ledger_copy import LedgerCopy
from strongroom_coordinator.link import LinkServer
from strongroom_coordinator.quarantine_notices import QuarantineNotices
from strongroom_coordinator.raised import SignerRequests
from strongroom_coordinator.redistribution import Redistributions
from strongroom_coordinator.rounds import VotingRounds
from strongroom_coordinator.sequencer import Sequencer
from strongroom_coordinator.sessions import SigningSessions
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.terms import Terms
from strongroom_coordinator.voters import Voters

__all__ = ["LedgerSide", "build_ledger_side"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSide:
    """The parts that others talk to."""

    storage: Storage
    voters: Voters
    ledger: LedgerCopy
    links: LinkServer
    terms: Terms
    rounds: VotingRounds
    sessions: SigningSessions
    sequencer: Sequencer
    keygen: KeyGeneration
    redistributions: Redistributions
    cosignatures: Cosignatures
    handovers: Handovers
    evidence: EvidenceBook

    def progress(self, order_hash: bytes) -> str:
        """How far the key, or the new shares, that an order asks for are; empty when nothing is under way."""
        return self.keygen.progress(order_hash) or self.redistributions.progress(order_hash)

    async def stop(self) -> None:
        """End everything but the database; what was certified is stored first."""
        self.links.stop()
        await self.keygen.stop()
        await self.redistributions.stop()
        await self.terms.stop()
        await self.sessions.stop()
        # Evidence that is being made may wait for the proof of a handover.
        await self.evidence.stop()
        await self.handovers.stop()


def build_ledger_side(
    storage: Storage,
    genesis: GenesisFile,
    config: CoordinatorConfig,
    *,
    clock: Clock,
    random: Callable[[int], bytes],
    evidence_folder: Path,
) -> LedgerSide:
    """Wire the ledger half. `ledger.run` and `sequencer.run` must then run as tasks.

    Args:
        storage: The database.
        genesis: The log's first entry.
        config: The daemon's configuration.
        clock: Wall and monotonic time.
        random: Gives that many random bytes.
        evidence_folder: Where evidence against signers is written for people.

    Raises:
        FinalContradicted: the database is of another log.
        StorageFailed: the database cannot be read.
    """
    founding = load_founding(storage, genesis)
    base = _reach_signers(storage, founding, clock=clock, random=random)
    cosignatures = Cosignatures(
        log_id=founding.log_id,
        witness_keys=lambda: base.voters.witness_keys,
        root_at=base.ledger.replica.root_at,
        electorate=lambda: base.voters.now,
    )
    evidence = EvidenceBook(
        ledger=base.ledger,
        voters=base.voters,
        charter=founding.restart or genesis.genesis.charter,
        handovers=base.handovers,
        storage=storage,
        files=EvidenceFiles(evidence_folder),
        clock=clock,
    )
    sessions = SigningSessions(
        ledger=base.ledger,
        terms=base.terms,
        links=base.links,
        voters=base.voters,
        storage=storage,
        clock=clock,
        evidence=evidence,
    )
    rounds = VotingRounds(
        ledger=base.ledger,
        terms=base.terms,
        sessions=sessions,
        voters=base.voters,
        cosignatures=cosignatures,
        evidence=evidence,
        handovers=base.handovers,
        timeout_ms=config.vote_timeout_ms,
    )
    sequencer = Sequencer(
        ledger=base.ledger,
        terms=base.terms,
        rounds=rounds,
        sessions=sessions,
        handovers=base.handovers,
        genesis=genesis.genesis,
        clock=clock,
        random=random,
        tick_ms=config.tick_ms,
    )
    base.ledger.on_founded(evidence.log_founded)
    sequencer.on_certified(evidence.certified)
    sequencer.on_final(cosignatures.note_final)
    sequencer.on_certified(base.handovers.note_progress)
    sequencer.on_final(base.handovers.note_progress)
    cosignatures.note_final(base.ledger.final_size)
    keygen, redistributions = _ceremonies(base, sequencer, evidence, storage=storage, config=config, clock=clock)
    sequencer.on_final(sessions.became_final)
    QuarantineNotices(evidence, base.links)
    base.links.serve_requests(SignerRequests(base.ledger, sequencer, evidence).serve)
    return LedgerSide(
        storage=storage,
        voters=base.voters,
        ledger=base.ledger,
        links=base.links,
        terms=base.terms,
        rounds=rounds,
        sessions=sessions,
        sequencer=sequencer,
        keygen=keygen,
        redistributions=redistributions,
        cosignatures=cosignatures,
        handovers=base.handovers,
        evidence=evidence,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Base:
    """What everything else rests on: the log, and the way to its signers."""

    voters: Voters
    ledger: LedgerCopy
    links: LinkServer
    handovers: Handovers
    terms: Terms


def _reach_signers(storage: Storage, founding: Founding, *, clock: Clock, random: Callable[[int], bytes]) -> _Base:
    voters = Voters(founding)
    ledger = LedgerCopy(storage, voters)
    leader = random(16)
    links = LinkServer(
        log_id=founding.log_id,
        organisation=founding.charter.organisation,
        leader=leader,
        version=version("strongroom"),
        signers=lambda: voters.known,
        clock=clock,
    )
    # Before the terms: a signer learns whose votes count before it is shown any.
    handovers = Handovers(ledger=ledger, voters=voters, links=links, storage=storage)
    terms = Terms(ledger=ledger, links=links, voters=voters, handovers=handovers, leader=leader, random=random)
    links.term = lambda: terms.term
    return _Base(voters=voters, ledger=ledger, links=links, handovers=handovers, terms=terms)


def _ceremonies(
    base: _Base,
    sequencer: Sequencer,
    evidence: EvidenceBook,
    *,
    storage: Storage,
    config: CoordinatorConfig,
    clock: Clock,
) -> tuple[KeyGeneration, Redistributions]:
    keygen = KeyGeneration(
        ledger=base.ledger,
        terms=base.terms,
        sequencer=sequencer,
        voters=base.voters,
        clock=clock,
        timeout_ms=config.keygen_timeout_ms,
        retry_ms=config.keygen_retry_ms,
    )
    redistributions = Redistributions(
        ledger=base.ledger,
        terms=base.terms,
        sequencer=sequencer,
        storage=storage,
        evidence=evidence,
        clock=clock,
        timeout_ms=config.keygen_timeout_ms,
        retry_ms=config.keygen_retry_ms,
    )
    return keygen, redistributions
