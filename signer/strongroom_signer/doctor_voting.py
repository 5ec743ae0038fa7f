"""What `doctor` finds that keeps this signer from voting or signing: alarms, quarantine, words that the log lacks.

The running daemon tells it; of a stopped one it is read in the database, as the daemon would at its next start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from strongroom.api.operator.v1 import operator_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.model.quantities import duration_text, time_text
from strongroom.protocol.voter_state import Alarm, stored_state
from strongroom_signer.alarms import CLOCK_DRIFT
from strongroom_signer.findings import Finding, Level, ok
from strongroom_signer.inbox import GRACE_MS
from strongroom_signer.retirement import Retired
from strongroom_signer.store import Store, StoreFailed

__all__ = ["alarm_of", "handed_in_of", "quarantine_of", "stored_alarms", "stored_words"]

_VOTES_LOST: Final = (
    "find the copy and stop it; this signer never votes again: `recover` it from its words into a new folder, and hand "
    "the administrators the new card"
)
_DO: Final[Mapping[str, str]] = {
    Alarm.OWN_VOTE_UNKNOWN.name: _VOTES_LOST,
    Alarm.OWN_STATEMENT_UNKNOWN.name: _VOTES_LOST,
    CLOCK_DRIFT: "find out who changed the time, then `run --confirm CLOCK_DRIFT`",
}
_GUIDE: Final = "see the alarms in the operators' guide"
_WITHHELD: Final = "the log must take them up: hand them to the other operators too, and ask why the coordinator waits"


def alarm_of(status: pb.GetStatusResponse) -> Finding:
    """Whether the running daemon votes."""
    running = f"signer {status.signer} runs: {status.final_size} of {status.size} entries final, term {status.term}"
    if status.alarm == Retired.reason:
        return Finding(check="daemon", level=Level.WARNING, detail=status.alarm_message)
    return _alarm("daemon", status.alarm, status.alarm_message) if status.alarm else ok("daemon", running)


def stored_alarms(store: Store) -> Iterator[Finding]:
    """Alarms that stand again when the daemon starts: of its votes, and of its machine.

    Raises:
        StoreFailed: the voter's state cannot be read.
    """
    data = store.voter()
    try:
        voter = None if data is None else stored_state(data)
    except codec.NotCanonical as error:
        raise StoreFailed(f"the voter's state cannot be read: {error.message}") from None
    found = [(one.reason, one.message) for one in store.alarms()]
    if voter is not None and voter.alarm:
        found.insert(0, (voter.alarm, voter.alarm_message))
    for reason, message in found:
        yield _alarm("alarm", reason, message)


def _alarm(check: str, reason: str, message: str) -> Finding:
    return Finding(check=check, level=Level.FAILED, detail=f"{reason}: {message}", do=_DO.get(reason, _GUIDE))


def quarantine_of(status: pb.GetStatusResponse) -> Finding:
    """Whether the coordinator asks for shares, by its own word: nothing of it is stored here."""
    if not status.HasField("quarantine"):
        if status.connected:
            return ok("quarantine", "the coordinator knows no evidence against this signer")
        return Finding(check="quarantine", level=Level.UNKNOWN, detail="told by the coordinator once it is connected")
    told = status.quarantine
    evidence = told.evidence_hash.hex()
    do = f"check the evidence and find the cause; is it mended: `reinstate {evidence}`"
    if told.operator_cleared:
        do = "you said that it is mended; now the unfreeze quorum must order `reinstate`"
    return Finding(
        check="quarantine",
        level=Level.WARNING,
        detail=f"the coordinator asks for no shares: {told.fault}, {told.detail} (evidence {evidence})",
        do=do,
    )


def handed_in_of(status: pb.GetStatusResponse) -> Finding:
    """Words that the log of the running daemon lacks."""
    if status.withheld:
        detail = f"this signer does not vote: {status.withheld}"
        return Finding(check="inbox", level=Level.FAILED, detail=detail, do=_WITHHELD)
    if status.inbox:
        detail = f"{status.inbox} word(s) handed in act here and are not final in the ledger yet"
        do = f"look again: what the log could take up for {duration_text(GRACE_MS)} and did not stops the votes"
        return Finding(check="inbox", level=Level.WARNING, detail=detail, do=do)
    return ok("inbox", "no word handed in waits for the ledger")


def stored_words(store: Store) -> Iterator[Finding]:
    """Words in the inbox of a stopped signer, and who alone knows of a quarantine."""
    yield Finding(check="quarantine", level=Level.UNKNOWN, detail="told by the coordinator while the daemon runs")
    items = store.inbox()
    if not items:
        yield ok("inbox", "no word handed in waits for the ledger")
        return
    told = ", ".join(f"{item.kind} {item.id.hex()} since {time_text(item.since_ms)}" for item in items[:8])
    detail = f"{len(items)} word(s) handed in are not final in the ledger: {told}"
    yield Finding(check="inbox", level=Level.WARNING, detail=detail, do=f"start the daemon: {_WITHHELD}")
