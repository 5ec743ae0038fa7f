"""The signer's crash points: between what it stores and what it says."""

from __future__ import annotations

from typing import Any, Final

from crash_points import CrashPoint

_SEND: Final = "strongroom_signer.link_session:LinkSession._send"
_VOTING: Final = "strongroom_signer.voting:Voting"


def _body(name: str) -> Any:
    """Frames of one kind, as `LinkSession._send` is called with them."""

    def meant(_self: Any, body: Any, _reply_to: int = 0) -> bool:
        return type(body).__name__ == name

    return meant


def _vote_with_commitments(_self: Any, body: Any, _reply_to: int = 0) -> bool:
    return type(body).__name__ == "Voted" and bool(body.commitments)


def _with_a_plan(_self: Any, request: Any) -> bool:
    return bool(request.commit_for)


def _certificate_alone(self: Any, state: Any, *, certificate: Any = None, **_: Any) -> bool:
    """A commit of a certificate in the term that goes on, not part of a larger one."""
    return certificate is not None and state.term == self.state.term and not self._store._joined


def _drops(self: Any, _state: Any, *, truncate_to: int | None = None, **_: Any) -> bool:
    return truncate_to is not None and truncate_to < self._copy.size


def _beyond_the_last(self: Any, size: int) -> bool:
    return bool(size > self._cosigned)


def _log_follows(_self: Any, *, follows: bool) -> bool:
    return follows


def _nothing_follows(_self: Any, *, follows: bool) -> bool:
    return not follows


def _something_fetched(_self: Any, recovery: Any) -> bool:
    return bool(recovery)


def _still_holds(self: Any, vault: Any) -> bool:
    return bool(self._shares.has_any(vault.name))


def _point(name: str, writes: str, then: str, function: str, **more: Any) -> CrashPoint:
    return CrashPoint(name=name, daemon="signer", writes=writes, then=then, function=function, **more)


SIGNER: Final = (
    # --- terms -------------------------------------------------------------------------------------------------------
    _point(
        "the promise of a term is stored and not yet sent",
        "the promise: no vote and no certificate of an earlier term any more",
        "sends the signed statement",
        f"{_VOTING}.promise",
        sites=("signer.voting:Voting._save commit",),
    ),
    _point(
        "the promise of a term is sent",
        "the signed statement NEWTERM",
        "waits for the opening of the term",
        _SEND,
        when=_body("Promised"),
        sites=("signer.link_session:LinkSession._write send", "signer.link_session:LinkSession._answer send"),
    ),
    _point(
        "the base of a term is adopted and not yet told",
        "the base of the term, the dropped entries with it",
        "answers that it has adopted it",
        f"{_VOTING}.adopt",
    ),
    _point(
        "the adoption of a term's base is told",
        "the answer TermOpened",
        "votes in the term",
        _SEND,
        when=_body("TermOpened"),
        sites=("signer.link_session:LinkSession._step_aside send",),
    ),
    _point(
        "entries beyond the base are dropped, and a rejection in them kept",
        "the log cut at the base, and people's words out of what was cut",
        "asks the coordinator to log the words again",
        f"{_VOTING}._save",
        when=_drops,
    ),
    # --- round 1 -----------------------------------------------------------------------------------------------------
    _point(
        "a batch and the vote for it are stored, the vote not yet sent",
        "the batch, the voter state with the vote, and how far heads were cosigned",
        "makes nonces for its plans and sends the vote",
        f"{_VOTING}.append",
        when=_with_a_plan,
        sites=("signer.voting:Voting.append commit",),
    ),
    _point(
        "a vote with nonce commitments is sent",
        "the vote and the nonce commitments",
        "waits for the certificate",
        _SEND,
        when=_vote_with_commitments,
    ),
    # --- certificates ------------------------------------------------------------------------------------------------
    _point(
        "a certificate is stored, with all that it makes final, and not yet answered",
        "the certificate and the state folded up to the final head",
        "answers, and seals shares of vaults that are final now",
        f"{_VOTING}._save",
        when=_certificate_alone,
    ),
    _point(
        "the taking of a certificate is told",
        "the answer Certified",
        "waits for the next batch",
        _SEND,
        when=_body("Certified"),
    ),
    _point(
        "a final head is noted as cosigned and the cosignature not yet sent",
        "the counter of cosigned heads",
        "sends the cosignature with its next answer",
        f"{_VOTING}._cosign",
        when=_beyond_the_last,
        sites=("signer.voting:Voting.cosignature commit",),
    ),
    # --- round 2 -----------------------------------------------------------------------------------------------------
    _point(
        "the nonces are marked as used and no share is made yet",
        "certificate and nonce marks, in one commit",
        "makes the shares",
        "strongroom_signer.money_path:MoneyPath._spend",
        sites=("signer.money_path:MoneyPath._spend one_commit", "signer.money_path:MoneyPath._mark commit"),
    ),
    _point(
        "a signature share is sent",
        "the share, and the commitments for a retry",
        "goes on; the nonce is gone",
        _SEND,
        when=_body("Released"),
    ),
    _point(
        "nonce commitments asked for alone are sent",
        "the commitments for a plan that is certified already",
        "waits for the set",
        _SEND,
        when=_body("Committed"),
    ),
    # --- key generation ----------------------------------------------------------------------------------------------
    _point(
        "the first message of a key generation is sent",
        "commitments and encrypted shares of a new polynomial",
        "waits for what the others dealt",
        _SEND,
        when=_body("KeygenRound1Reply"),
    ),
    _point(
        "the signature under a key generation's transcript is sent",
        "the signature under what all dealt",
        "waits for the certificate of all holders",
        _SEND,
        when=_body("KeygenRound2Reply"),
    ),
    _point(
        "the statement that a key was generated is sent",
        "the statement by the vote key",
        "waits for the trial signatures",
        _SEND,
        when=_body("KeygenFinishReply"),
    ),
    _point(
        "the share of a trial signature is sent",
        "the share under the message made from the transcript",
        "waits for the vault's entry",
        _SEND,
        when=_body("TrialSignReply"),
    ),
    _point(
        "the share of a vault that became final is sealed",
        "the sealed share",
        "erases what this share follows, and what is left of the key generation",
        "strongroom_signer.sealing:Sealing._recover",
        sites=("signer.sealing:Sealing._recover commit",),
    ),
    # --- new shares --------------------------------------------------------------------------------------------------
    _point(
        "a dealing of new shares is sent",
        "nothing: a dealing leaves no state",
        "waits for what the others dealt",
        _SEND,
        when=_body("Dealt"),
    ),
    _point(
        "the statement about a new share is sent",
        "nothing: the new share is in memory",
        "tries the new share with others",
        _SEND,
        when=_body("Stated"),
    ),
    # --- words handed in ---------------------------------------------------------------------------------------------
    _point(
        "the operator's freeze is stored and not yet answered",
        "the freeze, signed by the vote key",
        "answers the operator and raises it with the coordinator",
        "strongroom_signer.inbox:Inbox.freeze",
        sites=("signer.inbox:Inbox.freeze commit",),
    ),
    _point(
        "the end of the operator's freeze is stored and not yet answered",
        "that the freeze is over here",
        "answers the operator",
        "strongroom_signer.inbox:Inbox.thaw",
        sites=("signer.inbox:Inbox.thaw commit",),
    ),
    _point(
        "a rejection handed in is stored and not yet answered",
        "the word in the inbox",
        "answers the operator and raises it with the coordinator",
        "strongroom_signer.inbox:Inbox.hand_in",
        sites=("signer.inbox:Inbox.hand_in commit",),
    ),
    _point(
        "the operator's word for new shares is kept and not yet answered",
        "that this signer may deal for exactly this order, and take its new share",
        "answers the operator; deals when it is asked",
        "strongroom_signer.redistribution:Redistribution.accept",
        sites=("signer.redistribution:Redistribution.accept commit",),
    ),
    _point(
        "words handed in are raised with the coordinator",
        "the frame Raised",
        "raises them again from time to time, until the log holds them",
        _SEND,
        when=_body("Raised"),
        sites=("signer.link_session:LinkSession._raise_words send",),
    ),
    # --- coming back -------------------------------------------------------------------------------------------------
    _point(
        "the database notes that newest commits lie in the file beside it",
        "the note, before the newest commits are moved into the database",
        "moves them",
        "strongroom_signer.store:Store._note_log",
        when=_log_follows,
        sites=("signer.store:Store._note_log execute", "signer.store:Store._move_log execute"),
    ),
    _point(
        "the newest commits are moved into the database",
        "the commits, and then the note that nothing else follows",
        "replays the log and dials",
        "strongroom_signer.store:Store._note_log",
        when=_nothing_follows,
    ),
    _point(
        "the first frame of a link is sent",
        "who it is, its term and its certificate",
        "waits for the welcome",
        _SEND,
        when=_body("Hello"),
        sites=("signer.link_session:LinkSession.greet send",),
    ),
    _point(
        "batches that were missed are stored",
        "the batches and the certificate that came with them",
        "folds what the certificate makes final",
        f"{_VOTING}.extend_copy",
        sites=("signer.voting:Voting.extend_copy commit",),
    ),
    _point(
        "recovery data that was missed is stored",
        "what this signer's share of an epoch is made from",
        "seals its share of the epoch",
        f"{_VOTING}.add_recovery",
        when=_something_fetched,
        sites=("signer.voting:Voting.add_recovery commit",),
    ),
    _point(
        "what a missed certificate makes final is stored",
        "the folded state",
        "takes the certificate it was after",
        f"{_VOTING}.settle",
    ),
    _point(
        "a fetched branch has taken the place of the stored one",
        "the branch and the certificate it leads to, in one commit",
        "adopts the base of the term",
        f"{_VOTING}.replace_copy",
        sites=("signer.voting:Voting.replace_copy one_commit", "signer.voting:Voting._put_in_place commit"),
    ),
    _point(
        "the database is closed cleanly",
        "that this stop was a clean one",
        "ends",
        "strongroom_signer.store:Store.close",
    ),
)
"""In the order in which a signer's life passes them."""
SIGNER_RETIREMENT: Final = (
    _point(
        "the vote key of a signer that left is erased",
        "that there is no vote key any more, and why",
        "follows the log as before, and votes never again",
        "strongroom_signer.retirement:forget_vote_key",
        sites=("signer.keys:forget_vote_key commit",),
    ),
)
"""What a signer passes once, when its part in the witness set is over."""
SIGNER_ERASURE: Final = (
    _point(
        "the share of a vault that went to other holders is erased",
        "that there is no share of the vault here any more",
        "tells its operator, and goes on with the next vault",
        "strongroom_signer.sealing:Sealing._erase_all",
        when=_still_holds,
        sites=("signer.sealing:Sealing._erase_all commit",),
    ),
)
"""What a signer passes when others take its place as a holder."""
SIGNER_REINSTATED: Final = (
    _point(
        "a signer keeps its operator's word that it is mended",
        "that the operator has settled this evidence",
        "answers the operator, and tells the coordinator, now and at every connection",
        "strongroom_signer.quarantine:Quarantine.reinstate",
        sites=("signer.quarantine:Quarantine.reinstate commit",),
    ),
)
"""What a signer that was proven bad passes on its way back."""
