"""What a signer must never forget about its own words, and the ways in which it refuses to give one.

`VoterState` is a canonical message, so that one row of the signer's database holds it whole and a partly written one
cannot be read. The shell stores a new state durably before anything that the state allows leaves the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.codec import message
from strongroom.ledger.signed_messages import Signed, Vote
from strongroom.model.errors import Kind, StrongroomError
from strongroom.model.ids import LogId

__all__ = [
    "Adopted",
    "Alarm",
    "Alarmed",
    "BaseElectorate",
    "BaseNotAdopted",
    "BaseNotStored",
    "Behind",
    "HeadNotOwn",
    "Keep",
    "Known",
    "LogView",
    "Missing",
    "NotAnExtension",
    "Opened",
    "OpenedTerm",
    "SecondBase",
    "SizeNotRising",
    "StaleTerm",
    "Taken",
    "TermNotOpen",
    "TermPromised",
    "TermTooFar",
    "VoteAlreadyCast",
    "VoterRefused",
    "VoterState",
    "VoterStopped",
    "WitnessesReplaced",
    "initial_state",
    "stored_state",
]


MAX_STATE_BYTES: Final = 3 * codec.MAX_SIZE
"""Of a stored state: the certificate of the base, the one held, and all the rest."""


class Alarm(Enum):
    """Why a signer stopped: each shows that something is broken which the protocol cannot heal by itself."""

    OWN_VOTE_UNKNOWN = "a vote of this signer exists that its database does not hold: it was restored, copied or cloned"
    OWN_STATEMENT_UNKNOWN = "a newterm statement of this signer exists that its database does not hold"
    STATE_DIGEST_MISMATCH = "this signer's replay of the certified entries gives another state than w signers certified"
    CERTIFICATES_CONFLICT = "two certificates of one term contradict each other: signers voted twice"
    FINAL_HEAD_CONTRADICTED = "a certificate contradicts what was final: more signers are bad than the charter survives"


@message
class OpenedTerm:
    """The base that was accepted for the current term."""

    statements_hash: bytes = codec.fixed(1, 32)
    base: Certificate | None = codec.optional(2, Certificate)
    """Absent when the term starts from what the log is founded on: the empty log, or the entry that founded it anew."""
    electorates: tuple[bytes, ...] = codec.repeated_fixed(3, 32, minimum=1, maximum=64)
    """Digests of those for which the opening held; the replayed log says at adoption which one it must be."""


@message
class VoterState:
    """One signer's side of the voting protocol. The functions of `voter` are its only transitions."""

    log_id: bytes = codec.fixed(1, 32)
    signer: str = codec.name(2)
    term: int = codec.u64(3)
    """Never votes, and takes no certificate, below it; 0 before the first."""
    promise: Signed | None = codec.optional(4, Signed)
    """The NEWTERM statement given for `term`; absent when the term was joined without one."""
    opened: OpenedTerm | None = codec.optional(5, OpenedTerm)
    adopted: bool = codec.boolean(6)
    """Every entry below the base is stored, and nothing beyond it was when it was adopted."""
    held: Certificate | None = codec.optional(7, Certificate)
    """The highest certificate held: every entry below it is stored."""
    last_vote: Signed | None = codec.optional(8, Signed)
    """The latest vote ever cast, of whatever term."""
    alarm: str = codec.text(9, max_length=64, optional=True)
    """Name of an `Alarm`: the signer has stopped."""
    alarm_detail: str = codec.text(10, max_length=400, optional=True)
    vote_key: bytes = codec.fixed(11, 32)
    """The own public vote key: words under another key of the same name are those of another machine."""

    founded_size: int = codec.u64(12)
    """Size of the log with the entry that founded it anew; 0 when that is its genesis. The log is final up to here,
    because its operators pinned it, and a term without any certificate begins here."""

    @property
    def base_size(self) -> int:
        """Size of the base of the term; what the log is founded on when it has none, or none was accepted yet."""
        if self.opened is not None and self.opened.base is not None:
            return self.opened.base.head.size
        return self.founded_size

    @property
    def held_in_term(self) -> Head | None:
        """Head of the certificate held, if it is one of the current term."""
        return self.held.head if self.held is not None and self.held.head.term == self.term else None

    @property
    def alarm_message(self) -> str:
        """What the alarm means, for people; empty when there is none."""
        meaning = Alarm.__members__.get(self.alarm)
        return self.alarm_detail if meaning is None else f"{meaning.value} ({self.alarm_detail})"

    def vote_cast(self) -> Vote | None:
        """The latest vote, decoded."""
        return None if self.last_vote is None else codec.decode(Vote, self.last_vote.body)


def stored_state(data: bytes) -> VoterState:
    """The voter state that a signer stored.

    Raises:
        NotCanonical: it is none; the database is at fault.
    """
    return codec.decode(VoterState, data, max_size=MAX_STATE_BYTES)


def initial_state(log_id: LogId, signer: str, vote_key: bytes, *, founded_size: int = 0) -> VoterState:
    """The state of a signer that was just enrolled, or whose log was founded anew: term 0, nothing promised or held.

    Args:
        log_id: The log id that it pinned.
        signer: Its name.
        vote_key: Its public vote key.
        founded_size: Size of the log with the entry that founded it anew; 0 when that is its genesis.
    """
    return VoterState(
        log_id=log_id, signer=signer, alarm="", alarm_detail="", vote_key=vote_key, founded_size=founded_size
    )


class LogView(Protocol):
    """The signer's own stored log, as the voter needs to see it."""

    @property
    def size(self) -> int:
        """Entries stored."""
        ...

    @property
    def final_size(self) -> int:
        """Entries that can never be dropped."""
        ...

    def root_at(self, size: int) -> bytes | None:
        """Merkle root over the first `size` entries; None above `size`, or when it is not at hand."""
        ...

    def digest_at(self, size: int) -> bytes | None:
        """Own state digest after the batch that ends at `size`; None when no batch at or above the final size does."""
        ...


# --- outcomes ---


class Keep(Enum):
    """How much of the own log is taken for common with the certified one while entries are fetched.

    Try them in this order. Bytes that lead to another root prove nothing, since who sent them may lie: they are thrown
    away and the stored log stays.
    """

    ALL = "the whole own log"
    HELD = "up to the certificate held"
    FINAL = "only what is final"


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Fetch the entries `keep` to `end` (exclusive) onto a working copy cut back to `keep` entries.

    Only when the copy's root at `end` is the certified one does it replace the stored log, in the same durable commit
    as the new voter state. Until then the stored log stays as it is, because the certificate held stands on it.
    """

    keep: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The base is accepted. Fetch what `voter.missing` names, then `voter.adopt`."""

    base: Head | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """The base is adopted: drop entries beyond `truncate_to` in the same commit; None when there is nothing to drop."""

    truncate_to: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The certificate is held now. Drop entries beyond `truncate_to` in the same commit; None for nothing to drop."""

    truncate_to: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Nothing new: this certificate, or a higher one of the same term, is held already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """The certificate holds, but entries below it are missing: fetch what `voter.missing` names, then take it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarmed:
    """The signer has stopped; its state says so too and must be stored."""

    alarm: Alarm
    detail: str


# --- refusals ---


class VoterRefused(StrongroomError):
    """The signer's own words forbid what was asked; the state did not change. Base of the refusals below."""

    reason = "VOTER_REFUSED"
    kind = Kind.FAILED_PRECONDITION


class VoterStopped(VoterRefused):
    """The signer has stopped with an alarm: an operator must look at it before it says another word."""

    reason = "VOTER_STOPPED"
    kind = Kind.DATA_LOSS
    remedy = "find the alarm in `strongroom-signer status`, and what to do in the operators' guide"


class StaleTerm(VoterRefused):
    """What was asked belongs to a term below the signer's own: whoever asks no longer leads."""

    reason = "TERM_STALE"


class TermTooFar(VoterRefused):
    """The term asked for is more than 2^32 above the signer's own."""

    reason = "TERM_TOO_FAR"


class TermPromised(VoterRefused):
    """The signer has joined this term already and makes one NEWTERM statement a term: ask for a higher one."""

    reason = "TERM_ALREADY_PROMISED"


class SecondBase(VoterRefused):
    """The signer accepted another set of statements for this term: open a new term."""

    reason = "TERM_HAS_ANOTHER_BASE"


class TermNotOpen(VoterRefused):
    """The signer has accepted no base for this term: send the term's opening first."""

    reason = "TERM_NOT_OPEN"


class BaseNotAdopted(VoterRefused):
    """The signer has not stored the base of the term yet: let it catch up first."""

    reason = "BASE_NOT_ADOPTED"


class BaseNotStored(VoterRefused):
    """The own log does not hold the base of the term; the shell called too early, or was sent other entries."""

    reason = "BASE_NOT_STORED"


class HeadNotOwn(VoterRefused):
    """The head is not the one the signer computed over its own stored entries."""

    reason = "VOTE_HEAD_NOT_OWN"


class SizeNotRising(VoterRefused):
    """The head is not beyond the base, the last vote and the last certificate of this term."""

    reason = "VOTE_SIZE_NOT_RISING"


class VoteAlreadyCast(VoterRefused):
    """The signer voted for another head at this term and size."""

    reason = "VOTE_ALREADY_CAST"


class WitnessesReplaced(VoterRefused):
    """The words are of a witness set of which it is final that another one took over from it."""

    reason = "WITNESSES_REPLACED"


class BaseElectorate(VoterRefused):
    """The statements that opened the term are not of those who decide about its base: open a new term."""

    reason = "BASE_ELECTORATE"


class NotAnExtension(VoterRefused):
    """The log does not extend what the signer adopted or voted for in this term: only a new term can heal that."""

    reason = "VOTE_NOT_EXTENDING"
