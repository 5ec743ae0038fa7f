"""Cheats of a coordinator that has one signer's machine too: its vote key and its key share, to sign whatever it likes.

Each needs a deployment that survives one bad signer, for instance 3 of 5 with four witnesses, the bad signer's folder
beside the cheater's, and its name in a file named `stolen`. The daemon of that signer does not run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from cheat_report import cheat
from cheats_on_terms import held, open_with, promised
from rogue_leader import Answer, RogueLeader
from rogue_people import HOT, ordered, payee_of, pays, withdrawal
from rogue_plans import acceptable_plan, as_inputs, fresh_coins, open_order, plan_for, words_of
from rogue_shares import finished, in_vault_order
from stolen_signers import Mole, stolen_signer

from electorate_of import certificate_by, electorate
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.entry_messages import Plan
from strongroom.ledger.records import OrderRecord
from strongroom.ledger.signed_messages import Commitments, Vote
from strongroom.protocol.certificates import NO_CERTIFICATE, held_of, verify_vote
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody, sign_body


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
