"""Cheats with terms and certificates: bases that are too low, statements and votes that are forged, borrowed or old."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from cheat_report import NothingToCheatWith, cheat
from rogue_leader import RogueLeader

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.api.types.v1 import types_pb2
from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, CertificateVote
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.pae import pae
from strongroom.ledger.signed_messages import NewTerm, Vote
from strongroom.model.ids import BootId
from strongroom.protocol.certificates import held_by, held_of, vote_body
from strongroom.protocol.signed import SignedBody
from strongroom.protocol.terms import MAX_TERM_STEP, sign_new_term
from strongroom_coordinator.link_frames import signed_of, signed_pb

STRANGER = "zz-stranger"

Statements = dict[str, SignedBody]
Certified = Callable[[RogueLeader, Certificate], Certificate]


async def promised(rogue: RogueLeader, term: int, leader: bytes | None = None) -> Statements:
    """Every signer's statement for a term."""
    given: Statements = {}
    for signer in rogue.links:
        frame = pb.Promise(term=term, leader=rogue.leader if leader is None else leader)
        reply = await rogue.ask(signer, frame, "promise")
        if reply is None:
            raise NothingToCheatWith(f"{signer} made no statement")
        given[signer] = signed_of(reply.promised.statement)
    rogue.term = max(rogue.term, term)
    return given


async def open_with(
    rogue: RogueLeader,
    term: int,
    statements: Sequence[SignedBody],
    base: Certificate | None,
    *,
    step: str = "open_term",
) -> None:
    """Ask every signer to open a term with these statements and this base."""
    frame = pb.OpenTerm(
        term=term,
        statements=[signed_pb(statement) for statement in statements],
        base_certificate=b"" if base is None else codec.encode(base),
    )
    for signer in rogue.links:
        await rogue.ask(signer, frame, step)


def held(rogue: RogueLeader) -> Certificate:
    """The certificate that the term stands on."""
    if rogue.certificate is None:
        raise NothingToCheatWith("there is no certificate")
    return rogue.certificate


def _own_statement(rogue: RogueLeader, term: int, name: str) -> SignedBody:
    """A statement in somebody's name, signed with a key of the cheater's own."""
    return sign_new_term(
        SigningKey.generate(os.urandom),
        log_id=rogue.log_id,
        signer=name,
        term=term,
        leader=rogue.leader,
        boot_id=BootId(os.urandom(16)),
        held=held_of(rogue.certificate),
    )


# --- opening a term ---------------------------------------------------------------------------------------------------


@cheat("few-statements", "Opens a term with the word of fewer signers than must agree to it.")
async def few_statements(rogue: RogueLeader) -> None:
    given = await promised(rogue, rogue.term + 1)
    await open_with(rogue, rogue.term, list(given.values())[: rogue.electorate.witness_quorum - 1], rogue.certificate)


@cheat("statement-twice", "Opens a term with the word of one signer, counted as if it were two.")
async def statement_twice(rogue: RogueLeader) -> None:
    first, *_ = (await promised(rogue, rogue.term + 1)).values()
    await open_with(rogue, rogue.term, [first] * rogue.electorate.witness_quorum, rogue.certificate)


@cheat("all-statements", "Opens a term with more statements than the rules name, to choose later which ones count.")
async def all_statements(rogue: RogueLeader) -> None:
    given = await promised(rogue, rogue.term + 1)
    await open_with(rogue, rogue.term, list(given.values()), rogue.certificate)


@cheat("strangers-statement", "Opens a term with the word of somebody who is no signer.")
async def strangers_statement(rogue: RogueLeader) -> None:
    given = list((await promised(rogue, rogue.term + 1)).values())[: rogue.electorate.witness_quorum - 1]
    await open_with(rogue, rogue.term, [*given, _own_statement(rogue, rogue.term, STRANGER)], rogue.certificate)


@cheat("forged-statement", "Opens a term with a word in a signer's name that the signer never gave.")
async def forged_statement(rogue: RogueLeader) -> None:
    given = await promised(rogue, rogue.term + 1)
    names = sorted(given)[: rogue.electorate.witness_quorum]
    kept = [given[name] for name in names[1:]]
    await open_with(rogue, rogue.term, [_own_statement(rogue, rogue.term, names[0]), *kept], rogue.certificate)


@cheat(
    "altered-statement", "Opens a term with a signer's word, changed to say that it holds an older log than it does."
)
async def altered_statement(rogue: RogueLeader) -> None:
    given = await promised(rogue, rogue.term + 1)
    names = sorted(given)[: rogue.electorate.witness_quorum]
    said = codec.decode(NewTerm, given[names[0]].body)
    lower = replace(said, held_term=0, held_size=0, held_head=b"")
    altered = SignedBody(body=codec.encode(lower), signature=given[names[0]].signature)
    await open_with(rogue, rogue.term, [altered, *(given[name] for name in names[1:])], rogue.certificate)


@cheat("another-leaders-statements", "Opens a term with words that the signers gave to another coordinator.")
async def another_leaders_statements(rogue: RogueLeader) -> None:
    given = await promised(rogue, rogue.term + 1, leader=os.urandom(16))
    await open_with(rogue, rogue.term, list(given.values())[: rogue.electorate.witness_quorum], rogue.certificate)


@cheat("two-leaders", "Has the signers promise one term to two coordinators, so that both could lead it.")
async def two_leaders(rogue: RogueLeader) -> None:
    term = rogue.term + 1
    await promised(rogue, term, leader=os.urandom(16))
    for signer in rogue.links:
        await rogue.ask(signer, pb.Promise(term=term, leader=os.urandom(16)), "second-promise")


@cheat("second-base", "Opens one term twice, from two beginnings, so that two histories could grow in it.")
async def second_base(rogue: RogueLeader) -> None:
    given = await promised(rogue, rogue.term + 1)
    quorum = rogue.electorate.witness_quorum
    await open_with(rogue, rogue.term, list(given.values())[:quorum], rogue.certificate, step="first-base")
    await open_with(rogue, rogue.term, list(given.values())[-quorum:], rogue.certificate, step="second-base")


@cheat("reopen-old-term", "Opens a term again that the signers left long ago, with the words they gave then.")
async def reopen_old_term(rogue: RogueLeader) -> None:
    base = rogue.certificate
    given = await promised(rogue, rogue.term + 1)
    old = rogue.term
    await promised(rogue, rogue.term + 1)
    await open_with(rogue, old, list(given.values())[: rogue.electorate.witness_quorum], base)


@cheat("lower-base", "Opens a term from an older state of the log than a signer is known to hold.")
async def lower_base(rogue: RogueLeader) -> None:
    """One signer is shown a newer certificate; the base leaves it out, though its statement names it."""
    before = held(rogue)
    await rogue.tick()
    ahead = min(rogue.links)
    await rogue.ask(ahead, pb.Certify(certificate=codec.encode(held(rogue))), "certify")
    given = await promised(rogue, rogue.term + 1)
    chosen = [given[ahead], *(given[name] for name in sorted(given) if name != ahead)]
    await open_with(rogue, rogue.term, chosen[: rogue.electorate.witness_quorum], before)


@cheat("unnamed-base", "Opens a term from a state of the log that none of the signers' words names.")
async def unnamed_base(rogue: RogueLeader) -> None:
    await rogue.tick()
    given = await promised(rogue, rogue.term + 1)
    await open_with(rogue, rogue.term, list(given.values())[: rogue.electorate.witness_quorum], held(rogue))


@cheat("absurd-term", "Jumps to an absurdly high term number, after which no honest coordinator could lead any more.")
async def absurd_term(rogue: RogueLeader) -> None:
    for signer in rogue.links:
        await rogue.ask(signer, pb.Promise(term=rogue.term + MAX_TERM_STEP + 1, leader=rogue.leader), "promise")
        await rogue.ask(signer, pb.Promise(term=2**64 - 1, leader=rogue.leader), "last-term")


@cheat("lead-on-in-an-old-term", "Goes on leading a term after the signers have changed to a new one.")
async def lead_on_in_an_old_term(rogue: RogueLeader) -> None:
    plan_index, old = len(rogue.entries) - 1, rogue.term
    await promised(rogue, old + 1)
    for signer in rogue.links:
        await rogue.ask(signer, pb.Commit(term=old, entry_indexes=[plan_index]), "commit")
        await rogue.ask(signer, pb.Promise(term=old, leader=rogue.leader), "promise-again")
    rogue.term = old
    await rogue.append([rogue.entry(Tick())])
    rogue.term = old + 1


@cheat("vote-before-opening", "Asks for votes in a term that no base was agreed for.")
async def vote_before_opening(rogue: RogueLeader) -> None:
    await promised(rogue, rogue.term + 1)
    await rogue.append([rogue.entry(Tick())])


@cheat("vote-in-a-future-term", "Asks for votes in a term that the signers have not heard of.")
async def vote_in_a_future_term(rogue: RogueLeader) -> None:
    rogue.term += 5
    await rogue.append([rogue.entry(Tick())])


# --- certificates -----------------------------------------------------------------------------------------------------


@cheat("old-certificate", "Shows a genuine certificate of a term that is over.")
async def old_certificate(rogue: RogueLeader) -> None:
    await rogue.tick()
    old = held(rogue)
    await promised(rogue, rogue.term + 1)
    for signer in rogue.links:
        await rogue.ask(signer, pb.Certify(certificate=codec.encode(old)), "certify")


def _certificate_cheat(name: str, text: str, change: Certified) -> None:
    """A cheat that shows every signer a genuine certificate, changed."""

    async def run(rogue: RogueLeader) -> None:
        await rogue.tick()
        false = change(rogue, held(rogue))
        for signer in rogue.links:
            await rogue.ask(signer, pb.Certify(certificate=codec.encode(false)), "certify")

    cheat(name, text)(run)


def _false_vote(genuine: Certificate, name: str, like: CertificateVote) -> CertificateVote:
    """A vote in somebody's name, signed with a key of the cheater's own."""
    body = codec.encode(vote_body(genuine.head, held_by(like)))
    return replace(like, signer=name, signature=SigningKey.generate(os.urandom).sign(pae("vote", body)))


def _raised(vote: CertificateVote, genuine: Certificate) -> CertificateVote:
    """The same vote, said to name the entry just below as certified: that would make the log final up to there."""
    head = genuine.head
    return replace(vote, held_term=head.term, held_size=head.size - 1, held_head=os.urandom(32))


_certificate_cheat(
    "too-few-votes",
    "Shows a certificate with fewer votes than must agree.",
    lambda _, genuine: replace(genuine, votes=genuine.votes[:-1]),
)
_certificate_cheat(
    "vote-twice",
    "Shows a certificate in which one signer's vote is counted twice.",
    lambda _, genuine: replace(genuine, votes=(genuine.votes[0],) * len(genuine.votes)),
)
_certificate_cheat(
    "strangers-vote",
    "Shows a certificate in which one of the votes is by somebody who is no signer.",
    lambda _, genuine: replace(genuine, votes=(*genuine.votes[:-1], _false_vote(genuine, STRANGER, genuine.votes[-1]))),
)
_certificate_cheat(
    "forged-vote",
    "Shows a certificate with a vote in a signer's name that the signer never gave.",
    lambda _, genuine: replace(
        genuine, votes=(*genuine.votes[:-1], _false_vote(genuine, genuine.votes[-1].signer, genuine.votes[-1]))
    ),
)
_certificate_cheat(
    "votes-for-another-size",
    "Puts genuine votes under another length of the log.",
    lambda _, genuine: replace(genuine, head=replace(genuine.head, size=genuine.head.size + 1)),
)
_certificate_cheat(
    "votes-of-another-term",
    "Puts genuine votes under a later term than they were given in.",
    lambda _, genuine: replace(genuine, head=replace(genuine.head, term=genuine.head.term + 1)),
)
_certificate_cheat(
    "false-digest",
    "Puts genuine votes under another result of the log than the signers computed.",
    lambda _, genuine: replace(genuine, head=replace(genuine.head, state_digest=os.urandom(32))),
)
_certificate_cheat(
    "another-log",
    "Shows a certificate as one of another log.",
    lambda _, genuine: replace(genuine, head=replace(genuine.head, log_id=os.urandom(32))),
)
_certificate_cheat(
    "altered-held",
    "Changes votes so that entries seem to be final that are not.",
    lambda _, genuine: replace(genuine, votes=tuple(_raised(vote, genuine) for vote in genuine.votes)),
)
_certificate_cheat(
    "votes-in-another-order",
    "Shows the votes of a certificate in another order, so that one state would have two certificates.",
    lambda _, genuine: replace(genuine, votes=genuine.votes[::-1]),
)


@cheat("replayed-votes", "Puts the votes for the last state of the log under the next one.")
async def replayed_votes(rogue: RogueLeader) -> None:
    await rogue.tick()
    before = held(rogue)
    answers = await rogue.append([rogue.entry(Tick())])
    vote = next(answer.vote for answer in answers.values() if answer.vote is not None)
    wanted = codec.decode(Vote, vote.body)
    head = replace(before.head, size=wanted.size, root=wanted.root, state_digest=wanted.state_digest)
    for signer in rogue.links:
        frame = pb.Certify(certificate=codec.encode(replace(before, head=head)))
        await rogue.ask(signer, frame, "certify")


# --- certificates without their entries -------------------------------------------------------------------------------


async def _certified_behind_back(rogue: RogueLeader) -> tuple[str, Certificate]:
    """Certify one more batch with everybody but the last signer; rogue's own copy stays as that signer's is."""
    *voters, last = rogue.links
    kept, size = rogue.certificate, len(rogue.entries)
    await rogue.append_honestly(Tick(), to=voters)
    newest = held(rogue)
    for voter in voters:
        await rogue.ask(voter, pb.Certify(certificate=codec.encode(newest)), "certify-to-voters")
    rogue.cut(size)
    rogue.certificate = kept
    return last, newest


@cheat(
    "withheld-entries", "Shows a genuine certificate and keeps back what it certifies, to have a signer stuck for ever."
)
async def withheld_entries(rogue: RogueLeader) -> None:
    victim, newest = await _certified_behind_back(rogue)
    rogue.served = lambda wanted: pb.Batches()
    try:
        await rogue.ask(victim, pb.Certify(certificate=codec.encode(newest)), "certify")
        given = await promised(rogue, rogue.term + 1)
        if codec.decode(NewTerm, given[victim].body).held_size >= newest.head.size:
            rogue.report.believed(victim, "it states that it holds a certificate whose entries it never saw")
        voter = min(rogue.links)
        frame = pb.OpenTerm(
            term=rogue.term,
            statements=[signed_pb(given[voter]), signed_pb(given[victim])],
            base_certificate=codec.encode(newest),
        )
        await rogue.ask(victim, frame, "open_term", is_last=lambda reply: reply.term_opened.size == newest.head.size)
        await rogue.append([rogue.entry(Tick())], to=[victim])
    finally:
        rogue.served = None


@cheat("junk-bodies", "Shows a genuine certificate and sends junk instead of what it certifies.")
async def junk_bodies(rogue: RogueLeader) -> None:
    victim, newest = await _certified_behind_back(rogue)
    first = len(rogue.entries)
    junk = [
        [types_pb2.LogBatch(first_index=first, entries=[os.urandom(60)])],
        [types_pb2.LogBatch(first_index=first, entries=[rogue.entry(Tick())])],
        [types_pb2.LogBatch(first_index=first + 7, entries=[rogue.entry(Tick())])],
        [types_pb2.LogBatch(first_index=first, entries=[rogue.entry(Tick())], certificate=os.urandom(40))],
        [types_pb2.LogBatch(first_index=first, entries=[bytes(65_536)])],
        [types_pb2.LogBatch(first_index=first, entries=[])],
        [types_pb2.LogBatch(first_index=first, entries=[bytes(60_000)] * 130)] * 2,
    ]
    asked = iter(range(1_000))
    rogue.served = lambda wanted: pb.Batches(batches=junk[next(asked) % len(junk)])
    try:
        for _ in range(3):
            await rogue.ask(victim, pb.Certify(certificate=codec.encode(newest)), "certify")
    finally:
        rogue.served = None
    rogue.report.say("served", junk=min(next(asked), len(junk)))
