"""What can go wrong in the coordinator itself, beside what the ledger refuses."""

from __future__ import annotations

from typing import Final

from strongroom.model.errors import Kind, StrongroomError

__all__ = [
    "DAMAGED",
    "Abandoned",
    "BadConfig",
    "BadSchema",
    "DataFolderBusy",
    "LinkBroken",
    "NotReady",
    "SignerFailed",
    "SignerMisbehaved",
    "SignerSilent",
    "StorageFailed",
]


class BadConfig(StrongroomError):
    """The configuration or a file it names cannot be used; every problem is listed. The operator is at fault."""

    reason = "BAD_CONFIG"
    kind = Kind.INVALID_ARGUMENT
    remedy = "mend every problem that the message lists"

    def __init__(self, where: str, problems: list[str]) -> None:
        super().__init__(f"{where}: " + "; ".join(problems))
        self.problems = problems


class BadSchema(StrongroomError):
    """The database has another schema than this release knows. Nobody is at fault; the operator migrates."""

    reason = "BAD_SCHEMA"
    kind = Kind.FAILED_PRECONDITION
    remedy = "run the release that wrote it, or migrate"


class StorageFailed(StrongroomError):
    """The database did not take or give what it should: the disk, or its server. Nothing was changed."""

    reason = "STORAGE_FAILED"
    kind = Kind.DATA_LOSS


class DataFolderBusy(StrongroomError):
    """Another coordinator runs on the same data folder. The operator is at fault."""

    reason = "DATA_FOLDER_BUSY"
    kind = Kind.FAILED_PRECONDITION
    remedy = "stop the other coordinator, or give this one a folder of its own"


class NotReady(StrongroomError):
    """The coordinator does not lead a term yet, or is stopping: too few signers, or just starting."""

    reason = "NOT_READY"
    kind = Kind.UNAVAILABLE
    remedy = "try again soon; if it stays, too few signers are connected: see `strongroom status`"


DAMAGED: Final = (
    "if the disk is sound and has room, the database is damaged: move its files away and run `strongroom-coordinator "
    "migrate`, and the log comes back from the signers at the next start"
)
"""What the operator does about a database that cannot be read: it holds nothing that the signers do not have."""


class Abandoned(StrongroomError):
    """An entry was given to the signers, and they would not vote for it; `facts` name who and why."""

    reason = "ENTRY_REFUSED_BY_SIGNERS"
    kind = Kind.ABORTED


class LinkBroken(StrongroomError):
    """The connection to a signer ended while a request was under way."""

    reason = "SIGNER_LINK_BROKEN"
    kind = Kind.UNAVAILABLE


class SignerSilent(StrongroomError):
    """A signer did not answer in time."""

    reason = "SIGNER_SILENT"
    kind = Kind.DEADLINE_EXCEEDED


class SignerFailed(StrongroomError):
    """A signer answered that the request failed; `code` is the reason it gave."""

    reason = "SIGNER_FAILED"
    kind = Kind.ABORTED

    def __init__(self, message: str, *, code: str, **facts: str) -> None:
        super().__init__(message, code=code, **facts)
        self.code = code


class SignerMisbehaved(StrongroomError):
    """A signer sent what the protocol does not allow. The signer, or who holds its TLS key, is at fault."""

    reason = "SIGNER_MISBEHAVED"
    kind = Kind.ABORTED
