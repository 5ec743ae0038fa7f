"""Lies in key generations and views: false dealings, false statements, false trials, false judgements."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import Any

from lies_of_signers import Liar, lie

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.crypto.curve import GENERATOR
from strongroom.crypto.secret import ORDER
from strongroom.ledger.signed_messages import VaultStatement, Verdict, View
from strongroom.protocol.signed import sign_body

POINT, POP, SCALAR = 33, 64, 32


def _terms(liar: Liar, request: Any) -> Any:
    return liar.signer.key_generation._attempts[request.order_hash].terms


@lie("keygen-wrong-share", "KeygenRound1", "Deals one of the others a share that does not fit what it committed to.")
def keygen_wrong_share(liar: Liar, request: Any, answer: Any) -> Any:
    terms = _terms(liar, request)
    victim = next(index for index, name in enumerate(terms.signers) if name != liar.name)
    message = bytearray(answer.message)
    at = POINT * terms.threshold + POP + POINT + SCALAR * victim
    dealt = (int.from_bytes(message[at : at + SCALAR], "big") + 1) % ORDER
    message[at : at + SCALAR] = dealt.to_bytes(SCALAR, "big")
    return pb.KeygenRound1Reply(message=bytes(message))


@lie("keygen-more-commitments", "KeygenRound1", "Commits to a longer polynomial, which would raise the threshold.")
def keygen_more_commitments(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.KeygenRound1Reply(message=GENERATOR.serialise() + answer.message)


@lie("keygen-fewer-commitments", "KeygenRound1", "Commits to a shorter polynomial, which would lower the threshold.")
def keygen_fewer_commitments(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.KeygenRound1Reply(message=answer.message[POINT:])


@lie("keygen-rogue-key", "KeygenRound1", "Deals with a key of its choice that it cannot prove to know.")
def keygen_rogue_key(liar: Liar, request: Any, answer: Any) -> Any:
    rogue = (GENERATOR * (int.from_bytes(os.urandom(31), "big") + 1)).serialise()
    return pb.KeygenRound1Reply(message=rogue + answer.message[POINT:])


@lie("keygen-no-key", "KeygenRound1", "Deals with the point at infinity for its key.")
def keygen_no_key(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.KeygenRound1Reply(message=bytes(POINT) + answer.message[POINT:])


@lie("keygen-junk", "KeygenRound1", "Deals random bytes of the right length.")
def keygen_junk(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.KeygenRound1Reply(message=os.urandom(len(answer.message)))


@lie("keygen-replayed", "KeygenRound1", "Deals again what it dealt in an earlier attempt.")
def keygen_replayed(liar: Liar, request: Any, answer: Any) -> Any:
    earlier = liar.memory.get("KeygenRound1")
    return None if earlier is None else earlier


@lie("keygen-refused-transcript", "KeygenRound2", "Signs another transcript than the one everybody saw.")
def keygen_refused_transcript(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.KeygenRound2Reply(message=os.urandom(64))


@lie("keygen-complaint", "KeygenRound2", "Says falsely that the shares it was dealt do not fit.", instead=True)
def keygen_complaint(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.Failed(reason="DKG_SHARE_INVALID", message="the share I was dealt does not fit")


@lie("keygen-false-statement", "KeygenFinish", "States its share of the vault with a key that is not its own.")
def keygen_false_statement(liar: Liar, request: Any, answer: Any) -> Any:
    statement = VaultStatement(
        log_id=liar.signer.copy.log_id,
        order_hash=request.order_hash,
        recovery_hash=answer.recovery_hash,
        key_hash=os.urandom(32),
        signer=liar.name,
    )
    signed = sign_body("vault", statement, liar.stranger())
    return pb.KeygenFinishReply(statement_signature=signed.signature, recovery_hash=answer.recovery_hash)


@lie("keygen-other-vault", "KeygenFinish", "States that another key came of it.")
def keygen_other_vault(liar: Liar, request: Any, answer: Any) -> Any:
    recovery_hash = hashlib.sha256(b"another key").digest()
    statement = VaultStatement(
        log_id=liar.signer.copy.log_id,
        order_hash=request.order_hash,
        recovery_hash=recovery_hash,
        key_hash=os.urandom(32),
        signer=liar.name,
    )
    signed = sign_body("vault", statement, liar.key)
    return pb.KeygenFinishReply(statement_signature=signed.signature, recovery_hash=recovery_hash)


@lie("trial-no-nonce", "TrialCommit", "Commits to the point at infinity for the trial signature.")
def trial_no_nonce(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.TrialCommitReply(nonce=bytes(66))


@lie("trial-junk-nonce", "TrialCommit", "Commits to bytes that are no points for the trial signature.")
def trial_junk_nonce(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.TrialCommitReply(nonce=b"\x02" + b"\xff" * 65)


@lie("trial-other-nonce", "TrialCommit", "Commits to another nonce than the one it will sign the trial with.")
def trial_other_nonce(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.TrialCommitReply(nonce=GENERATOR.serialise() * 2)


@lie("trial-wrong-share", "TrialSign", "Gives a wrong share of the trial signature.")
def trial_wrong_share(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.TrialSignReply(share=((int.from_bytes(answer.share, "big") + 1) % ORDER).to_bytes(32, "big"))


@lie("trial-junk-share", "TrialSign", "Gives a trial share that is no number below the order.")
def trial_junk_share(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.TrialSignReply(share=b"\xff" * 32)


# --- views ------------------------------------------------------------------------------------------------------------


def _view(liar: Liar, answer: Any, **changes: Any) -> Any:
    view = replace(liar.opened(View, answer.view), **changes)
    return pb.ExplainReply(view=liar.signed("view", view))


@lie("view-in-another-name", "Explain", "Judges an order in the name of another signer.")
def view_in_another_name(liar: Liar, request: Any, answer: Any) -> Any:
    return _view(liar, answer, signer=liar.others()[0], verdict=Verdict.WOULD_SIGN, reasons=())


@lie("view-of-another-order", "Explain", "Gives its judgement of another order than the one asked about.")
def view_of_another_order(liar: Liar, request: Any, answer: Any) -> Any:
    return _view(liar, answer, order_hash=os.urandom(32), verdict=Verdict.WOULD_SIGN, reasons=())


@lie("view-false", "Explain", "Says of every order that it would sign it.")
def view_false(liar: Liar, request: Any, answer: Any) -> Any:
    return _view(liar, answer, verdict=Verdict.WOULD_SIGN, reasons=())


@lie("view-junk", "Explain", "Gives bytes that decode to nothing for its judgement.")
def view_junk(liar: Liar, request: Any, answer: Any) -> Any:
    answer.view.body, answer.view.signature = os.urandom(500), os.urandom(64)
    return answer
