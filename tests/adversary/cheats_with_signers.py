"""Cheats of a coordinator that has one signer's machine too: its vote key and its key share, to sign whatever it likes.

Each needs a deployment that survives one bad signer, for instance 3 of 5 with four witnesses, the bad signer's folder
beside the cheater's, and its name in a file named `stolen`. The daemon of that signer does not run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace

from cheat_report import NothingToCheatWith, cheat
from cheats_on_terms import held, open_with, promised
from rogue_leader import PATIENCE_S, Answer, RogueLeader
from rogue_people import HOT, ordered, payee_of, pays, withdrawal
from rogue_plans import acceptable_plan, as_inputs, fresh_coins, open_order, plan_for, words_of
from rogue_shares import finished, in_vault_order
from stolen_signers import Mole, stolen_signer

from electorate_of import certificate_by, electorate
from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.entry_messages import Plan, Tick
from strongroom.ledger.records import OrderRecord
from strongroom.ledger.signed_messages import Commitments, Vote
from strongroom.protocol.certificates import NO_CERTIFICATE, held_of, verify_certificate, verify_vote
from strongroom.protocol.leader import VoteCollection
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody, sign_body
from strongroom_coordinator.link_frames import signed_pb


def _given(answers: Mapping[str, Answer], index: int) -> dict[str, SignedBody]:
    return {name: answer.commitments[index] for name, answer in answers.items() if index in answer.commitments}


def _head_of(answers: Mapping[str, Answer]) -> Head:
    vote = codec.decode(Vote, next(answer.vote.body for answer in answers.values() if answer.vote is not None))
    return Head(log_id=vote.log_id, term=vote.term, size=vote.size, root=vote.root, state_digest=vote.state_digest)


def _certified(rogue: RogueLeader, answers: Mapping[str, Answer], mole: Mole, *, quorum: int) -> Certificate:
    """A certificate of the votes that were given, and the bad signer's."""
    said = {name: answer.vote for name, answer in answers.items() if answer.vote is not None}
    said[mole.name] = mole.vote(_head_of(answers))
    votes = [
        verify_vote(name, vote, log_id=rogue.log_id, electorate=electorate(rogue.electorate.vote_keys))
        for name, vote in said.items()
    ]
    return certificate_by(votes, quorum)


async def _approved_order(rogue: RogueLeader) -> OrderRecord:
    """An order with every approval and no plan."""
    record, _ = open_order(rogue)
    if len(words_of(rogue, record.hash)) < 3:
        await rogue.log_words()
    # What is final is no more dropped by a term.
    for _ in range(3):
        await rogue.tick()
    return open_order(rogue)[0]


def _paying(rogue: RogueLeader, record: OrderRecord, coin: int) -> Plan:
    """The order, paid from the vault's coin of this number."""
    return plan_for(rogue, record, as_inputs([fresh_coins(rogue, HOT, coin + 1)[coin]]))


@cheat(
    "mole-splits-history",
    "With one signer's keys, shows the others two histories that pay one order twice.",
)
async def mole_splits_history(rogue: RogueLeader) -> None:
    mole = stolen_signer(rogue)
    record = await _approved_order(rogue)
    index, names = len(rogue.entries), list(rogue.links)
    halves = (names[:2], names[2:])
    for coin, half in enumerate(halves):
        plan = _paying(rogue, record, coin)
        answers = await rogue.append([rogue.entry(plan)], to=half, commit_for=[index])
        given = _given(answers, index) | {mole.name: mole.commitments(plan, index)}
        chosen = in_vault_order(rogue, plan, given)
        few = _certified(rogue, answers, mole, quorum=len(half) + 1)
        absent = next(name for name in names if name not in half)
        made_up = replace(few.votes[0], signer=absent, signature=mole.vote(few.head).signature)
        forged = replace(few, votes=tuple(sorted((*few.votes, made_up), key=lambda vote: vote.signer)))
        await rogue.release(index, chosen, to=half, certificate=few, step="too-few")
        await rogue.release(index, chosen, to=half, certificate=forged, step="forged")
        await rogue.release(index, chosen, to=half)


@cheat("mole-two-bases", "With one signer's keys, opens one term twice, from two states that it claims to hold.")
async def mole_two_bases(rogue: RogueLeader) -> None:
    mole = stolen_signer(rogue)
    given = await promised(rogue, rogue.term + 1)
    honest = list(given.values())[: rogue.electorate.witness_quorum - 1]
    first = [*honest, mole.statement(rogue.term, NO_CERTIFICATE)]
    second = [*honest, mole.statement(rogue.term, held_of(rogue.certificate))]
    await open_with(rogue, rogue.term, first, rogue.certificate, step="first-base")
    await open_with(rogue, rogue.term, second, rogue.certificate, step="second-base")


@cheat("mole-claims-a-base", "With one signer's keys, opens a term from a state that only the signer claims to hold.")
async def mole_claims_a_base(rogue: RogueLeader) -> None:
    mole, genuine = stolen_signer(rogue), held(rogue)
    head = replace(genuine.head, size=genuine.head.size + 1, root=os.urandom(32))
    claimed = replace(genuine, head=head)
    given = await promised(rogue, rogue.term + 1)
    honest = list(given.values())[: rogue.electorate.witness_quorum - 1]
    await open_with(rogue, rogue.term, [*honest, mole.statement(rogue.term, held_of(claimed))], claimed)


@cheat("mole-breaks-commitments", "With one signer's keys, gives one-time numbers that are none, genuinely signed.")
async def mole_breaks_commitments(rogue: RogueLeader) -> None:
    mole, plan = stolen_signer(rogue), acceptable_plan(rogue)
    index, commitments = await rogue.append_honestly(plan, commit=True)
    one, two, three = sorted(commitments)[:3]
    genuine = codec.decode(Commitments, mole.commitments(plan, index).body, max_size=MAX_BODY_BYTES)
    broken = replace(genuine, nonces=tuple(bytes(66) for _ in genuine.nonces))
    others = codec.decode(Commitments, commitments[three].body, max_size=MAX_BODY_BYTES)
    tries = {
        "no-points": (mole.name, sign_body("commitments", broken, mole.keys.vote)),
        "in-anothers-name": (three, sign_body("commitments", others, mole.keys.vote)),
        "of-another-term": (
            mole.name,
            sign_body("commitments", replace(genuine, term=rogue.term - 1), mole.keys.vote),
        ),
    }
    for step, (name, signed) in tries.items():
        chosen = in_vault_order(rogue, plan, {one: commitments[one], two: commitments[two], name: signed})
        await rogue.release(index, chosen, to=[one, two], certificate=rogue.certificate, step=step)


@cheat("mole-hides-payment", "With one signer's keys, has a signed payment forgotten by a new term, to order it anew.")
async def mole_hides_payment(rogue: RogueLeader) -> None:
    """Two honest shares and the bad signer's are a signature: whoever gave one states the certificate they stand on."""
    mole, plan, before = stolen_signer(rogue), acceptable_plan(rogue), held(rogue)
    index, commitments = await rogue.append_honestly(plan, commit=True)
    one, two = sorted(commitments)[:2]
    given = {one: commitments[one], two: commitments[two], mole.name: mole.commitments(plan, index)}
    chosen = in_vault_order(rogue, plan, given)
    await rogue.release(index, chosen, to=[one, two], certificate=rogue.certificate, honest=True)
    said = await promised(rogue, rogue.term + 1)
    lie = mole.statement(rogue.term, held_of(before))
    for left_out, step in ((one, "without-one"), (two, "without-the-other")):
        statements = [*(statement for name, statement in said.items() if name != left_out), lie]
        await open_with(rogue, rogue.term, statements, before, step=step)


@cheat("mole-pays-twice", "With one signer's keys, collects shares of two payments of one order, in two terms.")
async def mole_pays_twice(rogue: RogueLeader) -> None:
    """One honest share of the first payment is out when a term drops it; the second may be paid, the first never."""
    mole = stolen_signer(rogue)
    record = await _approved_order(rogue)
    before, size, names = held(rogue), len(rogue.entries), list(rogue.links)
    first, second = _paying(rogue, record, 0), _paying(rogue, record, 1)
    answers = await rogue.append([rogue.entry(first)], to=names[:3], commit_for=[size])
    certificate = _certified(rogue, answers, mole, quorum=rogue.electorate.witness_quorum)
    given = _given(answers, size)
    theirs = {names[0]: given[names[0]], names[1]: given[names[1]], mole.name: mole.commitments(first, size)}
    chosen = in_vault_order(rogue, first, theirs)
    await rogue.release(size, chosen, to=names[:1], certificate=certificate, honest=True)
    said = await promised(rogue, rogue.term + 1)
    statements = [*(said[name] for name in names[1:]), mole.statement(rogue.term, NO_CERTIFICATE)]
    await open_with(rogue, rogue.term, statements, before, step="dropping-term")
    rogue.certificate = before
    index, commitments = await rogue.append_honestly(second, commit=True)
    paid = in_vault_order(rogue, second, {name: commitments[name] for name in names[1:]})
    await rogue.release(index, paid, to=names[1:], certificate=rogue.certificate, honest=True)
    await rogue.release(size, chosen, to=names[:2], certificate=certificate, step="first-again")
    newest = rogue.certificate
    await rogue.release(size, chosen, to=names[:2], certificate=newest, step="under-the-new-certificate")
    await rogue.append([rogue.entry(_paying(rogue, record, 2))], step="third")


@cheat(
    "mole-pays-on-both-histories",
    "With one of three signers' keys, shows the two others two histories, and has one order paid on each.",
)
async def mole_pays_on_both_histories(rogue: RogueLeader) -> None:
    """Beyond what 2-of-3 with two witnesses survives: each honest signer is right in the history that it was shown."""
    mole, order = stolen_signer(rogue), withdrawal(rogue)
    await rogue.append_honestly(ordered(rogue, order))
    index, before = len(rogue.entries), held(rogue)
    for name, coin in zip(rogue.links, as_inputs(fresh_coins(rogue, HOT, len(rogue.links))), strict=True):
        rogue.certificate = before
        plan = pays(rogue, order, inputs=[coin])
        answers = await rogue.append([rogue.entry(plan)], to=[name], commit_for=[index])
        certificate = _certified(rogue, answers, mole, quorum=rogue.electorate.witness_quorum)
        raw = await finished(rogue, plan, index, _given(answers, index), certificate, stolen=[mole])
        rogue.report.say("finished", signer=name, raw=raw.hex(), payee=payee_of(order))


# --- a signer whose disk was restored while a vote of it was kept back


def _tell_votes(rogue: RogueLeader, which: str, answers: Mapping[str, Answer]) -> None:
    """Say who voted for a head, stolen keys included, and whether that makes a certificate; nobody is shown it."""
    head = _head_of(answers)
    votes = VoteCollection(head=head, electorate=rogue.electorate.electorate, certified=lambda held: True)
    for name, answer in answers.items():
        if answer.vote is not None:
            votes = votes.add(name, answer.vote)
    for mole in rogue.accomplices(rogue):
        votes = votes.add(mole.name, mole.vote(head))
    place, certificate = [head.term, head.size], votes.certificate()
    if certificate is not None:
        verify_certificate(certificate, log_id=rogue.log_id, electorate=rogue.electorate.electorate)
    rogue.report.say(
        "voted",
        which=which,
        root=head.root.hex(),
        place=place,
        by=sorted(votes.votes),
        certified=certificate is not None,
    )


async def _adopted(rogue: RogueLeader, name: str, opening: pb.OpenTerm) -> None:
    """Have one signer state for the term that is open, and adopt it."""
    frame = pb.Promise(term=rogue.term, leader=rogue.leader)
    size = len(rogue.entries)
    if await rogue.ask(name, frame, "promise") is None or (
        await rogue.ask(name, opening, "open_term", is_last=lambda reply: reply.term_opened.size == size) is None
    ):
        raise NothingToCheatWith(f"{name} does not adopt the term")


@cheat("ask-who-forgot", "Keeps a signer's vote to itself, and asks it for another once its disk is an old copy.")
async def ask_who_forgot(rogue: RogueLeader) -> None:
    """The signer's own words must not come back to it: neither its first statement nor its first vote.

    The first history is shown to as many others as a certificate takes beside the forgetful and the stolen votes.
    """
    forgetful, *others = sorted(rogue.links, reverse=True)
    moles = rogue.accomplices(rogue)
    given = await promised(rogue, rogue.term + 1)
    statements = [given[name] for name in others] + [
        mole.statement(rogue.term, held_of(rogue.certificate)) for mole in moles
    ]
    opening = pb.OpenTerm(
        term=rogue.term,
        statements=[signed_pb(statement) for statement in statements],
        base_certificate=codec.encode(held(rogue)),
    )
    for name in rogue.links:
        await rogue.ask(name, opening, "open_term")
    enough = rogue.electorate.witness_quorum - 1 - len(moles)
    first, second = others[:enough], others[enough:]
    kept = await rogue.append([rogue.entry(Tick())], to=[forgetful, *first])
    before = rogue.links[forgetful]
    await rogue.pause(f"restore {forgetful}")
    async with asyncio.timeout(PATIENCE_S):
        while rogue.links.get(forgetful, before) is before:  # noqa: ASYNC110 - nothing tells of a changed link
            await asyncio.sleep(0.02)
    await _adopted(rogue, forgetful, opening)
    again = await rogue.append([rogue.entry(Tick())], to=[forgetful, *second])
    _tell_votes(rogue, "first", kept)
    _tell_votes(rogue, "second", again)
