"""Founding a log anew, by people who have no coordinator: what they look at before they sign, and what they hand on.

A restart file is judged by a log that was replayed here, so that nobody signs for a head or a charter because somebody
else says that it is right.

Spec: docs/protocol/restart.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from strongroom.ledger import codec
from strongroom.ledger.charter import Charter, CharterSigner
from strongroom.ledger.entry_messages import Restart
from strongroom.ledger.founding import statement_of
from strongroom.ledger.signed_messages import RestartApproval, Signed
from strongroom.model.errors import Kind, StrongroomError
from strongroom.protocol.restart import Founding, judge_restart
from strongroom.wire.restart_file import MAX_FILE_BYTES, decode_restart_file
from strongroom_client.audit import Auditor
from strongroom_client.files import read_bytes

__all__ = ["Judged", "RestartRefused", "joined", "judge", "read_restart", "with_signers"]

_CLOCK_MARGIN_MS: Final = 60_000


class RestartRefused(StrongroomError):
    """The restart file, the log and what was asked for do not belong together; nothing was signed or written."""

    reason = "RESTART_FILE_REFUSED"
    kind = Kind.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A restart file held against the log that it goes on from.

    Attributes:
        restart: what the file holds.
        founding: what it says, each part verified.
        time_ms: log time of the newest entry that stays.
        lapsing: orders that wait for approvals, a delay or a plan: they end with it.
        vaults: vaults, all of which it freezes.
    """

    restart: Restart
    founding: Founding
    time_ms: int
    lapsing: int
    vaults: tuple[str, ...]


def read_restart(file: Path) -> Restart:
    """Read a restart file, with whatever approvals it has. Nothing in it is judged.

    Raises:
        FileProblem: it cannot be read.
        RestartFileInvalid: it is no such file.
    """
    return decode_restart_file(read_bytes(file, max_bytes=MAX_FILE_BYTES))


def with_signers(charter: Charter, signers: Iterable[CharterSigner], *, quorum: int | None = None) -> Charter:
    """The next version of a charter, with these signers in place of those of the same names, and new names added."""
    given = {one.name: one for one in signers}
    listed = [given.pop(one.name, one) for one in charter.signers]
    return replace(
        charter,
        version=charter.version + 1,
        signers=(*listed, *given.values()),
        witness_quorum=charter.witness_quorum if quorum is None else quorum,
    )


def judge(log: Auditor, restart: Restart, *, now_ms: int) -> Judged:
    """Hold a restart against a log that was replayed to its end.

    Args:
        log: The newest log that can be had.
        restart: With whatever approvals it has.
        now_ms: This machine's clock.

    Raises:
        RestartRefused: the log at hand shows that the statement gives something up, or does not reach it.
        Refused: statement, charter or an approval does not hold.
    """
    state, statement = log.state, statement_of(restart)
    _require_newest(log, restart)
    if statement.made_ms > max(now_ms, state.time_ms) + _CLOCK_MARGIN_MS:
        raise RestartRefused("this machine's clock is before the time of the statement: the log would wait until then")
    founding = judge_restart(state, restart)
    return Judged(
        restart=restart,
        founding=founding,
        time_ms=state.time_ms,
        lapsing=sum(not record.plans for record in (*state.open_orders(), *state.scheduled_orders())),
        vaults=tuple(vault.name for vault in state.vaults()),
    )


def _require_newest(log: Auditor, restart: Restart) -> None:
    """Whether the statement names the newest certificate of the log at hand."""
    state, named = log.state, statement_of(restart).head
    if named.log_id != state.log_id:
        raise RestartRefused(
            f"the statement is about log {named.log_id.hex()}, and the one given is {state.log_id.hex()}"
        )
    newest = None if log.certificate is None else log.certificate.head
    if newest is not None and (newest.term, newest.size) > (named.term, named.size):
        raise RestartRefused(
            f"the log given here has a certificate of term {newest.term} for {newest.size} entries, and the statement "
            f"goes on from {named.size} entries of term {named.term}: draft it again from this log"
        )
    if named.size > state.size:
        raise RestartRefused(
            f"the statement keeps {named.size} entries, and the log given here ends at {state.size}: take a newer one"
        )


def joined(given: Sequence[Restart], *, needed: int) -> Restart:
    """Join the approvals of one statement, each by another person; of more than are needed, those of the first names.

    Raises:
        RestartRefused: the files are of different statements.
    """
    first = given[0]
    if any((one.statement, one.certificate) != (first.statement, first.certificate) for one in given):
        raise RestartRefused("the files are of different statements: find out which one was agreed on")
    found: dict[str, Signed] = {}
    for signed in (signed for one in given for signed in one.approvals):
        found.setdefault(codec.decode(RestartApproval, signed.body).person, signed)
    return replace(first, approvals=tuple(found[name] for name in sorted(found)[:needed]))
