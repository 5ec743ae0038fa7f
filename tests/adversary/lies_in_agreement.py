"""Lies about the log: votes, refusals of batches, statements for a new term, fetched batches, and what Hello says."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from lies_of_signers import HELLO, RAISED, Deed, Liar, lie

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, CertificateVote, Head
from strongroom.ledger.entry_messages import Entry
from strongroom.ledger.order_messages import Scope
from strongroom.ledger.signed_messages import Endorsement, FreezeStatement, NewTerm, Refusal, Verb, Vote
from strongroom.protocol.certificates import Held, held_of
from strongroom.protocol.terms import sign_new_term

ABSURD = 2**63 - 1

# --- votes ------------------------------------------------------------------------------------------------------------


def _vote(liar: Liar, answer: Any, **changes: Any) -> Any:
    if not isinstance(answer, pb.Voted):
        return None
    answer.vote.CopyFrom(liar.again("vote", Vote, answer.vote, **changes))
    return answer


@lie("vote-other-root", "Append", "Votes for another history than the one it was shown.")
def vote_other_root(liar: Liar, request: Any, answer: Any) -> Any:
    return _vote(liar, answer, root=os.urandom(32))


@lie("vote-other-digest", "Append", "Votes for the batch, with another result of replaying it.")
def vote_other_digest(liar: Liar, request: Any, answer: Any) -> Any:
    return _vote(liar, answer, state_digest=os.urandom(32))


@lie("vote-another-size", "Append", "Votes for a log of another length.")
def vote_another_size(liar: Liar, request: Any, answer: Any) -> Any:
    return _vote(liar, answer, size=ABSURD)


@lie("vote-another-term", "Append", "Votes in a term that nobody opened.")
def vote_another_term(liar: Liar, request: Any, answer: Any) -> Any:
    return _vote(liar, answer, term=ABSURD)


@lie("vote-wrong-key", "Append", "Signs its vote with a key that is not its own.")
def vote_wrong_key(liar: Liar, request: Any, answer: Any) -> Any:
    if isinstance(answer, pb.Voted):
        answer.vote.CopyFrom(liar.signed("vote", liar.opened(Vote, answer.vote), liar.stranger()))
    return answer


@lie("vote-replayed", "Append", "Answers every batch with its vote for an earlier one.")
def vote_replayed(liar: Liar, request: Any, answer: Any) -> Any:
    earlier = liar.memory.get("first Append")
    if not isinstance(answer, pb.Voted) or not isinstance(earlier, pb.Voted):
        return None
    answer.vote.CopyFrom(earlier.vote)
    return answer


@lie("vote-false-certificate", "Append", "Says in its vote that it holds a certificate that does not exist.")
def vote_false_certificate(liar: Liar, request: Any, answer: Any) -> Any:
    if not isinstance(answer, pb.Voted):
        return None
    vote = liar.opened(Vote, answer.vote)
    return _vote(liar, answer, held_term=vote.term, held_size=vote.size, held_head=os.urandom(32))


@lie("vote-made-up-certificate", "Append", "Says in its vote that it held a certificate that nobody ever made.")
def vote_made_up_certificate(liar: Liar, request: Any, answer: Any) -> Any:
    if not isinstance(answer, pb.Voted):
        return None
    vote = liar.opened(Vote, answer.vote)
    return _vote(liar, answer, held_term=vote.term, held_size=vote.size - 1, held_head=os.urandom(32))


@lie("vote-double", "Append", "Votes for another history, hangs up, and votes honestly when asked again.")
def vote_double(liar: Liar, request: Any, answer: Any) -> Any:
    if not isinstance(answer, pb.Voted) or liar.memory.get("doubled") == request.size:
        return None
    liar.memory["doubled"] = request.size
    false = pb.Voted()
    false.CopyFrom(answer)
    false.vote.CopyFrom(liar.again("vote", Vote, answer.vote, root=os.urandom(32)))

    async def perform(session: Any, reply_to: int) -> None:
        await session._send(false, reply_to)
        await session._send(answer, reply_to)

    return Deed(perform)


@lie("vote-junk", "Append", "Votes with bytes that decode to nothing.")
def vote_junk(liar: Liar, request: Any, answer: Any) -> Any:
    if isinstance(answer, pb.Voted):
        answer.vote.body, answer.vote.signature = os.urandom(4_000), os.urandom(7)
        answer.cosignature = "— nobody \x00" + "A" * 5_000
    return answer


@lie("batch-refused-falsely", "Append", "Refuses good batches, signed, with a reason that is not true.")
def batch_refused_falsely(liar: Liar, request: Any, answer: Any) -> Any:
    return _refused(liar, request, liar.name)


@lie("batch-refused-in-another-name", "Append", "Refuses good batches in the name of another signer.")
def batch_refused_in_another_name(liar: Liar, request: Any, answer: Any) -> Any:
    return _refused(liar, request, liar.others()[0])


@lie("batch-refused-unsigned", "Append", "Refuses good batches and signs with a key that is not its own.")
def batch_refused_unsigned(liar: Liar, request: Any, answer: Any) -> Any:
    refused = _refused(liar, request, liar.name)
    refused.refusal.CopyFrom(liar.signed("refusal", liar.opened(Refusal, refused.refusal), liar.stranger()))
    return refused


def _refused(liar: Liar, request: Any, signer: str) -> pb.BatchRefused:
    message = Refusal(
        log_id=liar.signer.copy.log_id,
        term=request.term,
        entry_index=request.first_index,
        subject=bytes(32),
        reason="ENTRY_TIME_FELL",
        detail="this batch goes back in time",
        signer=signer,
    )
    return pb.BatchRefused(refusal=liar.signed("refusal", message))


# --- terms ------------------------------------------------------------------------------------------------------------


def _forged(liar: Liar, term: int, size: int) -> Certificate:
    """A certificate that names every signer, with signatures of nobody."""
    head = Head(log_id=liar.signer.copy.log_id, term=term, size=size, root=os.urandom(32), state_digest=os.urandom(32))
    names = sorted([liar.name, *liar.others()])
    votes = tuple(
        CertificateVote(signer=name, held_term=0, held_size=0, held_head=b"", signature=os.urandom(64))
        for name in names
    )
    return Certificate(head=head, votes=votes)


def _stated(liar: Liar, asked: Any, held: Held, *, shown: bytes, term: int | None = None) -> pb.Promised:
    request, _ = asked
    statement = sign_new_term(
        liar.key,
        log_id=liar.signer.copy.log_id,
        signer=liar.name,
        term=request.term if term is None else term,
        leader=request.leader,
        boot_id=liar.signer.boot_id,
        held=held,
    )
    return pb.Promised(
        statement=types_pb2.SignedBody(body=statement.body, signature=statement.signature), certificate=shown
    )


@lie("newterm-forged-certificate", "Promise", "States that a log of a billion entries was certified.", instead=True)
def newterm_forged_certificate(liar: Liar, asked: Any, answer: Any) -> Any:
    forged = _forged(liar, asked[0].term - 1, 10**9)
    return _stated(liar, asked, held_of(forged), shown=codec.encode(forged))


@lie("newterm-unshown-certificate", "Promise", "States a certificate and does not show it.", instead=True)
def newterm_unshown_certificate(liar: Liar, asked: Any, answer: Any) -> Any:
    return _stated(liar, asked, held_of(_forged(liar, asked[0].term - 1, 10**9)), shown=b"")


@lie("newterm-forgets", "Promise", "States that it holds nothing, so that the log would begin anew.", instead=True)
def newterm_forgets(liar: Liar, asked: Any, answer: Any) -> Any:
    return _stated(liar, asked, held_of(None), shown=b"")


@lie("newterm-for-everyone", "Promise", "States for whatever leader asks, again and again in one term.", instead=True)
def newterm_for_everyone(liar: Liar, asked: Any, answer: Any) -> Any:
    held = liar.signer.voting.state.held
    return _stated(liar, asked, held_of(held), shown=b"" if held is None else codec.encode(held))


@lie("newterm-another-term", "Promise", "States for another term than the one it was asked about.", instead=True)
def newterm_another_term(liar: Liar, asked: Any, answer: Any) -> Any:
    return _stated(liar, asked, held_of(None), shown=b"", term=ABSURD)


@lie("newterm-in-another-name", "Promise", "States in the name of another signer.", instead=True)
def newterm_in_another_name(liar: Liar, asked: Any, answer: Any) -> Any:
    promised = _stated(liar, asked, held_of(None), shown=b"")
    promised.statement.CopyFrom(liar.again("newterm", NewTerm, promised.statement, signer=liar.others()[0]))
    return promised


@lie("newterm-junk", "Promise", "States bytes that decode to nothing.", instead=True)
def newterm_junk(liar: Liar, asked: Any, answer: Any) -> Any:
    junk = types_pb2.SignedBody(body=os.urandom(100), signature=os.urandom(64))
    return pb.Promised(statement=junk, certificate=os.urandom(1_000))


@lie("term-opened-falsely", "OpenTerm", "Says that it adopted the term's base, and adopted nothing.", instead=True)
def term_opened_falsely(liar: Liar, asked: Any, answer: Any) -> Any:
    base = asked[0].base_certificate
    return pb.TermOpened(term=asked[0].term, size=0 if base is None else base.head.size)


@lie("term-opened-absurdly", "OpenTerm", "Says that it stands in another term, at an absurd size.")
def term_opened_absurdly(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.TermOpened(term=ABSURD, size=ABSURD)


# --- batches that the coordinator fetches -----------------------------------------------------------------------------


def _edited(batch: Any) -> Any:
    entries = list(batch.entries)
    last = bytearray(entries[-1])
    last[len(last) // 2] ^= 1
    entries[-1] = bytes(last)
    del batch.entries[:]
    batch.entries.extend(entries)
    return batch


@lie("fetched-altered", "FetchBatches", "Hands a coordinator that lost its log an altered one.")
def fetched_altered(liar: Liar, request: Any, answer: Any) -> Any:
    for batch in answer.batches[-1:]:
        _edited(batch)
    return answer


@lie("fetched-salt-altered", "FetchBatches", "Hands out a log whose entries replay well and are others.")
def fetched_salt_altered(liar: Liar, request: Any, answer: Any) -> Any:
    for batch in answer.batches:
        batch.entries[0] = codec.encode(replace(codec.decode(Entry, batch.entries[0]), salt=os.urandom(16)))
        batch.certificate = b""
    return answer


@lie("fetched-shortened", "FetchBatches", "Hands out batches with their last entries missing.")
def fetched_shortened(liar: Liar, request: Any, answer: Any) -> Any:
    for batch in answer.batches:
        del batch.entries[-1:]
    return answer


@lie("fetched-nothing", "FetchBatches", "Answers that it has no entries.")
def fetched_nothing(liar: Liar, request: Any, answer: Any) -> Any:
    return pb.Batches()


@lie("fetched-misplaced", "FetchBatches", "Hands out batches that begin at another place.")
def fetched_misplaced(liar: Liar, request: Any, answer: Any) -> Any:
    for batch in answer.batches:
        batch.first_index += 1
    return answer


@lie("fetched-forged-certificate", "FetchBatches", "Hands out the right log under a forged certificate.")
def fetched_forged_certificate(liar: Liar, request: Any, answer: Any) -> Any:
    for batch in answer.batches:
        size = batch.first_index + len(batch.entries)
        batch.certificate = codec.encode(_forged(liar, 1, size))
    return answer


@lie("fetched-endless", "FetchBatches", "Hands out junk of 15 MB for every batch that is asked for.", instead=True)
def fetched_endless(liar: Liar, asked: Any, answer: Any) -> Any:
    request, _ = asked
    entries = [os.urandom(60_000)] * 250
    return pb.Batches(batches=[types_pb2.LogBatch(first_index=request.first_index, entries=entries)])


# --- what it says unasked ---------------------------------------------------------------------------------------------


@lie("hello-another-name", HELLO, "Introduces itself under another signer's name.")
def hello_another_name(liar: Liar, request: Any, answer: Any) -> Any:
    answer.signer = liar.others()[0]
    return answer


@lie("hello-absurd-term", HELLO, "Says that it stands in the highest term that can be written.")
def hello_absurd_term(liar: Liar, request: Any, answer: Any) -> Any:
    answer.term, answer.size = 2**64 - 1, 2**64 - 1
    return answer


@lie("hello-forged-certificate", HELLO, "Shows a forged certificate when it connects.")
def hello_forged_certificate(liar: Liar, request: Any, answer: Any) -> Any:
    answer.certificate = codec.encode(_forged(liar, ABSURD, ABSURD))
    return answer


@lie("hello-another-log", HELLO, "Says that it belongs to another log.")
def hello_another_log(liar: Liar, request: Any, answer: Any) -> Any:
    answer.log_id = os.urandom(32)
    return answer


@lie("hello-junk", HELLO, "Connects with fields that have no sensible length.")
def hello_junk(liar: Liar, request: Any, answer: Any) -> Any:
    answer.boot_id, answer.version, answer.alarm = b"", "v" * 10_000, "\n" * 10_000
    return answer


@lie("freeze-in-another-name", RAISED, "Hands over a freeze in the name of another signer's operator.")
def freeze_in_another_name(liar: Liar, request: Any, answer: Any) -> Any:
    statement = FreezeStatement(
        log_id=liar.signer.copy.log_id,
        signer=liar.others()[0],
        id=os.urandom(16),
        scope=Scope.ALL,
        vault="",
        why="the other operator did not say so",
    )
    return pb.Raised(freezes=[liar.signed("freeze", statement)])


@lie("words-forged", RAISED, "Hands over a rejection that it signed itself, in the name of a person.")
def words_forged(liar: Liar, request: Any, answer: Any) -> Any:
    state = liar.signer.copy.newest()
    person = state.charter.people[0]
    endorsements = []
    for order in state.open_orders():
        body = Endorsement(
            log_id=liar.signer.copy.log_id,
            verb=Verb.REJECT,
            order_hash=order.hash,
            head_size=1,
            head_root=os.urandom(32),
            expires_ms=state.time_ms + 3_600_000,
            person=person.name,
            key=person.keys[0].key,
        )
        endorsements.append(liar.signed("endorsement", body))
    return pb.Raised(endorsements=endorsements or [types_pb2.SignedBody(body=os.urandom(90), signature=os.urandom(64))])


@lie("words-flood", RAISED, "Hands over words without end, of which none is true.")
def words_flood(liar: Liar, request: Any, answer: Any) -> Any:
    junk = [types_pb2.SignedBody(body=os.urandom(120), signature=os.urandom(64)) for _ in range(2_000)]

    async def perform(session: Any, reply_to: int) -> None:
        for _ in range(100):
            await session._send(pb.Raised(freezes=junk, endorsements=junk), 0)

    return Deed(perform)


@lie("fetch-flood", "Append", "Asks for the whole log a thousand times at once, and never reads.")
def fetch_flood(liar: Liar, request: Any, answer: Any) -> Any:
    async def perform(session: Any, reply_to: int) -> None:
        await session._send(answer, reply_to)
        for _ in range(1_000):
            async with session._sending:
                session._sent += 1
                frame = pb.LinkRequest(
                    seq=session._sent, fetch_batches=pb.FetchBatches(first_index=0, end_index=2**63 - 1)
                )
                await session._write(frame)

    return Deed(perform)
