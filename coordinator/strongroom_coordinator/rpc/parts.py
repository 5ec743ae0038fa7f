"""What the handlers work with; built once, in `rpc.server`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from strongroom.ledger.charter import Charter
from strongroom.model.ids import LogId
from strongroom_coordinator.clock import Clock
from strongroom_coordinator.evidence_book import EvidenceBook
from strongroom_coordinator.founding import Founding
from strongroom_coordinator.link import LinkServer
from strongroom_coordinator.planner import Planner
from strongroom_coordinator.reading import LogReader
from strongroom_coordinator.sequencer import Sequencer
from strongroom_coordinator.storage.engine import Storage
from strongroom_coordinator.tracker import Tracker
from strongroom_coordinator.views import Views

__all__ = ["Parts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The coordinator's parts that answer calls."""

    founding: Founding
    reader: LogReader
    sequencer: Sequencer
    storage: Storage
    tracker: Tracker
    planner: Planner
    views: Views
    links: LinkServer
    clock: Clock
    version: str
    checkpoint: Callable[[], str]
    handovers: Callable[[], list[bytes]]
    refusals: Callable[[bytes], list[str]]
    evidence: EvidenceBook

    @property
    def charter(self) -> Charter:
        """The charter in force as far as the log is certified; that of the founding before anything is."""
        state = self.reader.newest_state()
        return state.charter if state.size and state.log_id == self.log_id else self.founding.charter

    @property
    def log_id(self) -> LogId:
        """The log id in force."""
        return self.founding.log_id
