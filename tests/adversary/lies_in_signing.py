"""Lies about payments: shares and nonce commitments that are wrong, borrowed, stale, or in the name of another."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from lies_of_signers import Liar, lie

from strongroom.crypto.curve import GENERATOR
from strongroom.crypto.secret import ORDER
from strongroom.ledger import codec
from strongroom.ledger.signed_messages import Commitments, Refusal, Shares
from strongroom.protocol.signed import MAX_BODY_BYTES
from strongroom_signer.frames import signed_to_pb

# --- signature shares -------------------------------------------------------------------------------------------------


def _with_shares(liar: Liar, answer: Any, change: Callable[[Shares], dict[str, Any]]) -> Any:
    """The answer to Release with every list of shares changed and signed anew."""
    changed = False
    for result in answer.results:
        if result.WhichOneof("outcome") == "shares":
            message = liar.opened(Shares, result.shares)
            result.shares.CopyFrom(liar.again("shares", Shares, result.shares, **change(message)))
            changed = True
    return answer if changed else None


def _scalars(liar: Liar, answer: Any, make: Callable[[bytes], bytes]) -> Any:
    return _with_shares(liar, answer, lambda message: {"shares": tuple(make(share) for share in message.shares)})


@lie("share-wrong", "Release", "Gives a signature share with a wrong value, in good form.")
def share_wrong(liar: Liar, request: Any, answer: Any) -> Any:
    return _scalars(liar, answer, lambda share: ((int.from_bytes(share, "big") + 1) % ORDER).to_bytes(32, "big"))


@lie("share-random", "Release", "Gives a random number for a signature share.")
def share_random(liar: Liar, request: Any, answer: Any) -> Any:
    return _scalars(liar, answer, lambda _: (int.from_bytes(os.urandom(31), "big") + 1).to_bytes(32, "big"))


@lie("share-zero", "Release", "Gives zero for a signature share.")
def share_zero(liar: Liar, request: Any, answer: Any) -> Any:
    return _scalars(liar, answer, lambda _: bytes(32))


@lie("share-overflow", "Release", "Gives a signature share written as a number above the group order.")
def share_overflow(liar: Liar, request: Any, answer: Any) -> Any:
    def lifted(share: bytes) -> bytes:
        number = int.from_bytes(share, "big")
        return (number + ORDER if number + ORDER < 2**256 else ORDER).to_bytes(32, "big")

    return _scalars(liar, answer, lifted)


@lie("share-negated", "Release", "Gives the right share with the wrong sign.")
def share_negated(liar: Liar, request: Any, answer: Any) -> Any:
    return _scalars(liar, answer, lambda share: (ORDER - int.from_bytes(share, "big")).to_bytes(32, "big"))


@lie("share-of-another-payment", "Release", "Gives the share of an earlier payment as that of this one.")
def share_of_another_payment(liar: Liar, request: Any, answer: Any) -> Any:
    earlier = liar.memory.get("Release")
    given = [] if earlier is None else [item for item in earlier.results if item.WhichOneof("outcome") == "shares"]
    if not given:
        return None
    scalar = liar.opened(Shares, given[0].shares).shares[0]
    return _scalars(liar, answer, lambda _: scalar)


@lie("share-replayed", "Release", "Answers with the signed shares of an earlier payment, word for word.")
def share_replayed(liar: Liar, request: Any, answer: Any) -> Any:
    earlier = liar.memory.get("Release")
    given = [] if earlier is None else [item for item in earlier.results if item.WhichOneof("outcome") == "shares"]
    if not given:
        return None
    for result in answer.results:
        result.shares.CopyFrom(given[0].shares)
    return answer


@lie("share-in-another-name", "Release", "Gives a wrong share in the name of another signer.")
def share_in_another_name(liar: Liar, request: Any, answer: Any) -> Any:
    return _with_shares(liar, answer, lambda message: {"signer": _partner(liar, message), "shares": _wrong(message)})


@lie("share-of-another-set", "Release", "Gives shares that say they are for another set of signers.")
def share_of_another_set(liar: Liar, request: Any, answer: Any) -> Any:
    return _with_shares(liar, answer, lambda _: {"signers": tuple(sorted([liar.name, liar.others()[0], "nobody"]))})


@lie("share-of-other-commitments", "Release", "Gives wrong shares bound to other commitments than it was asked for.")
def share_of_other_commitments(liar: Liar, request: Any, answer: Any) -> Any:
    return _with_shares(liar, answer, lambda message: {"commitments_hash": os.urandom(32), "shares": _wrong(message)})


@lie("share-uncertified", "Release", "Gives shares that say they were given under no sufficient certificate.")
def share_uncertified(liar: Liar, request: Any, answer: Any) -> Any:
    return _with_shares(liar, answer, lambda message: {"certified_size": message.entry_index})


@lie("share-too-many", "Release", "Gives more shares than the payment has inputs.")
def share_too_many(liar: Liar, request: Any, answer: Any) -> Any:
    return _with_shares(liar, answer, lambda message: {"shares": (*message.shares, *message.shares)})


@lie("share-badly-signed", "Release", "Signs its shares with a key that is not its own.")
def share_badly_signed(liar: Liar, request: Any, answer: Any) -> Any:
    for result in answer.results:
        if result.WhichOneof("outcome") == "shares":
            message = liar.opened(Shares, result.shares)
            result.shares.CopyFrom(liar.signed("shares", message, liar.stranger()))
    return answer


@lie("share-of-another-place", "Release", "Answers for entries of the log that nobody asked about.")
def share_of_another_place(liar: Liar, request: Any, answer: Any) -> Any:
    for result in answer.results:
        result.entry_index = 2**63
    return answer


@lie("share-withheld", "Release", "Answers, and leaves out the share it was asked for.")
def share_withheld(liar: Liar, request: Any, answer: Any) -> Any:
    del answer.results[:]
    return answer


@lie("share-junk", "Release", "Gives bytes that decode to nothing as its signed shares.")
def share_junk(liar: Liar, request: Any, answer: Any) -> Any:
    for result in answer.results:
        result.shares.body, result.shares.signature = os.urandom(200), os.urandom(64)
    return answer


@lie("refusal-false", "Release", "Refuses good payments with a signed reason that is not true.")
def refusal_false(liar: Liar, request: Any, answer: Any) -> Any:
    for result in answer.results:
        result.refusal.CopyFrom(_refusal(liar, result.entry_index, liar.name))
    return answer


@lie("refusal-in-another-name", "Release", "Refuses good payments in the name of another signer.")
def refusal_in_another_name(liar: Liar, request: Any, answer: Any) -> Any:
    for result in answer.results:
        result.refusal.CopyFrom(_refusal(liar, result.entry_index, liar.others()[0]))
    return answer


def _refusal(liar: Liar, entry_index: int, signer: str) -> Any:
    message = Refusal(
        log_id=liar.signer.copy.log_id,
        term=liar.signer.voting.state.term,
        entry_index=entry_index,
        subject=os.urandom(32),
        reason="FROZEN",
        detail="everything is frozen",
        signer=signer,
    )
    return liar.signed("refusal", message)


def _partner(liar: Liar, message: Shares) -> str:
    return next(name for name in message.signers if name != liar.name)


def _wrong(message: Shares) -> tuple[bytes, ...]:
    return tuple((int.from_bytes(share, "big") ^ 1).to_bytes(32, "big") for share in message.shares)


# --- commitments ------------------------------------------------------------------------------------------------------


def _results(answer: Any) -> Any:
    """Where commitments stand in an answer to Append, Commit or Release."""
    if hasattr(answer, "commitments"):
        return [(item.commitments, item) for item in answer.commitments if item.WhichOneof("outcome") == "commitments"]
    return [(item.commitments, item) for item in answer.results if item.WhichOneof("outcome") == "commitments"]


def _commitments(liar: Liar, answer: Any, change: Callable[[Commitments], dict[str, Any]]) -> Any:
    found = _results(answer)
    for signed, _ in found:
        message = liar.opened(Commitments, signed)
        signed.CopyFrom(liar.again("commitments", Commitments, signed, **change(message)))
    return answer if found else None


def _nonces(liar: Liar, answer: Any, make: Callable[[bytes], bytes]) -> Any:
    return _commitments(liar, answer, lambda message: {"nonces": tuple(make(nonce) for nonce in message.nonces)})


ASKED_FOR = ("Append", "Commit")
"""Commitments are asked for beside a vote, and alone."""


@lie("commitments-no-points", ASKED_FOR, "Commits to nonces that are no points of the curve.")
def commitments_no_points(liar: Liar, request: Any, answer: Any) -> Any:
    return _nonces(liar, answer, lambda _: b"\x02" + b"\xff" * 32 + b"\x03" + b"\xff" * 32)


@lie("commitments-infinity", ASKED_FOR, "Commits to the point at infinity, which is no nonce.")
def commitments_infinity(liar: Liar, request: Any, answer: Any) -> Any:
    return _nonces(liar, answer, lambda _: bytes(66))


@lie("commitments-known-nonce", ASKED_FOR, "Commits to a nonce that everybody knows, and cannot sign under it.")
def commitments_known_nonce(liar: Liar, request: Any, answer: Any) -> Any:
    return _nonces(liar, answer, lambda _: GENERATOR.serialise() * 2)


@lie("commitments-too-many", ASKED_FOR, "Commits to more nonces than the payment has inputs.")
def commitments_too_many(liar: Liar, request: Any, answer: Any) -> Any:
    return _commitments(liar, answer, lambda message: {"nonces": (*message.nonces, *message.nonces)})


@lie("commitments-for-another-plan", ASKED_FOR, "Commits for another payment than it was asked for.")
def commitments_for_another_plan(liar: Liar, request: Any, answer: Any) -> Any:
    return _commitments(liar, answer, lambda message: {"plan_hash": os.urandom(32), "entry_index": 1})


@lie("commitments-of-another-epoch", ASKED_FOR, "Commits with shares of another epoch than the current one.")
def commitments_of_another_epoch(liar: Liar, request: Any, answer: Any) -> Any:
    return _commitments(liar, answer, lambda message: {"vault_epoch": message.vault_epoch + 1})


@lie("commitments-in-another-name", ASKED_FOR, "Commits in the name of another signer.")
def commitments_in_another_name(liar: Liar, request: Any, answer: Any) -> Any:
    return _commitments(liar, answer, lambda _: {"signer": liar.others()[0]})


@lie("commitments-replayed", ASKED_FOR, "Answers with its commitments for an earlier payment.")
def commitments_replayed(liar: Liar, request: Any, answer: Any) -> Any:
    found = _results(answer)
    earlier = liar.memory.get("commitments given")
    if not found:
        return None
    liar.memory["commitments given"] = _copied(found[0][0])
    if earlier is None:
        return None
    for signed, _ in found:
        signed.CopyFrom(earlier)
    return answer


@lie("commitments-of-another-signer", ASKED_FOR, "Answers with another signer's own signed commitments.")
def commitments_of_another_signer(liar: Liar, request: Any, answer: Any) -> Any:
    found = _results(answer)
    seen = [item for item in liar.memory.get("commitments seen", ()) if _author(item) != liar.name]
    if not found or not seen:
        return None
    for signed, _ in found:
        signed.CopyFrom(signed_to_pb(seen[0]))
    return answer


@lie("commitments-copied-points", ASKED_FOR, "Commits to the very nonces of another signer, signed as its own.")
def commitments_copied_points(liar: Liar, request: Any, answer: Any) -> Any:
    seen = [item for item in liar.memory.get("commitments seen", ()) if _author(item) != liar.name]
    if not seen:
        return None
    nonce = codec.decode(Commitments, seen[0].body, max_size=MAX_BODY_BYTES).nonces[0]
    return _nonces(liar, answer, lambda _: nonce)


@lie(
    "commitments-equivocated", ASKED_FOR, "Commits to other nonces than those it made, and then has none to sign with."
)
def commitments_equivocated(liar: Liar, request: Any, answer: Any) -> Any:
    return _commitments(
        liar,
        answer,
        lambda message: {"session": os.urandom(16), "nonces": tuple(_points() for _ in message.nonces)},
    )


@lie("commitments-withheld", ASKED_FOR, "Votes, and leaves out the commitments it was asked for.")
def commitments_withheld(liar: Liar, request: Any, answer: Any) -> Any:
    found = _results(answer)
    if not found:
        return None
    items = answer.commitments if hasattr(answer, "commitments") else answer.results
    del items[:]
    return answer


@lie("commitments-badly-signed", ASKED_FOR, "Signs its commitments with a key that is not its own.")
def commitments_badly_signed(liar: Liar, request: Any, answer: Any) -> Any:
    found = _results(answer)
    for signed, _ in found:
        signed.CopyFrom(liar.signed("commitments", liar.opened(Commitments, signed), liar.stranger()))
    return answer if found else None


@lie("next-commitments-reused", "Release", "Offers for a retry the nonces that it just used, under a wrong share.")
def next_commitments_reused(liar: Liar, request: Any, answer: Any) -> Any:
    own = {
        chosen.entry_index: item for chosen in request.sets for item in chosen.commitments if _author(item) == liar.name
    }
    for result in answer.results:
        if result.WhichOneof("outcome") == "shares":
            message = liar.opened(Shares, result.shares)
            result.shares.CopyFrom(liar.again("shares", Shares, result.shares, shares=_wrong(message)))
            result.next_commitments.CopyFrom(signed_to_pb(own[result.entry_index]))
    return answer


@lie("next-commitments-junk", "Release", "Gives a right share and, for a retry, commitments that are junk.")
def next_commitments_junk(liar: Liar, request: Any, answer: Any) -> Any:
    for result in answer.results:
        result.next_commitments.body, result.next_commitments.signature = os.urandom(300), bytes(64)
    return answer


def _points() -> bytes:
    def point() -> bytes:
        return (GENERATOR * (int.from_bytes(os.urandom(31), "big") + 1)).serialise()

    return point() + point()


def _author(signed: Any) -> str:
    return codec.decode(Commitments, signed.body, max_size=MAX_BODY_BYTES).signer


def _copied(message: Any) -> Any:
    copied = type(message)()
    copied.CopyFrom(message)
    return copied
