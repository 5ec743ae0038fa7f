"""Cheats of a coordinator that has one signer's machine too: its vote key and its key share, to sign whatever it likes.

Each needs a deployment that survives one bad signer, for instance 3 of 5 with four witnesses, the bad signer's folder
beside the cheater's, and its name in a file named `stolen`. The daemon of that signer does not run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from cheat_report import NothingToCheatWith, cheat
from cheats_on_signing import task_at
from cheats_on_terms import held, open_with, promised
from rogue_leader import Answer, RogueLeader
from rogue_plans import acceptable_plan, as_inputs, fresh_coins, open_order, plan_for, words_of

from electorate_of import certificate_by, electorate
from strongroom.crypto.secret import SecretScalar
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.ledger.entry_messages import Plan
from strongroom.ledger.records import OrderRecord
from strongroom.ledger.signed_messages import Commitments, Vote
from strongroom.model.ids import BootId
from strongroom.protocol.certificates import (
    NO_CERTIFICATE,
    Held,
    held_of,
    sign_vote,
    verify_vote,
)
from strongroom.protocol.commitments import make_commitments
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody, sign_body
from strongroom.protocol.terms import sign_new_term
from strongroom_signer.enrolment import DATABASE_FILE
from strongroom_signer.keys import open_keys
from strongroom_signer.passphrase import read_passphrase
from strongroom_signer.shares import Shares
from strongroom_signer.store import Store

VAULT = "customer-hot"


class Mole:
    """A signer in the attacker's hands: its files, opened with its pass phrase."""

    def __init__(self, rogue: RogueLeader) -> None:
        if len(rogue.stolen) != 1:
            raise NothingToCheatWith("no signer was stolen")
        (self.name,) = rogue.stolen
        deployment = rogue.folder.parent
        folder = rogue.folder / f"signer-{self.name}"
        if not folder.exists():
            ignored = shutil.ignore_patterns("*.sock")
            shutil.copytree(deployment / "signers" / self.name, folder, ignore=ignored)
        store = Store.open(folder / DATABASE_FILE)
        self.keys = open_keys(folder, store, read_passphrase(deployment / "passphrase"))
        self._shares = Shares(store, self.keys.storage, random=os.urandom)
        self._rogue = rogue

    def vote(self, head: Head) -> SignedBody:
        """A vote for any head."""
        return sign_vote(self.keys.vote, head, held_of(self._rogue.certificate))

    def statement(self, term: int, stated: Held) -> SignedBody:
        """A statement that names whatever certificate it likes."""
        return sign_new_term(
            self.keys.vote,
            log_id=self._rogue.log_id,
            signer=self.name,
            term=term,
            leader=self._rogue.leader,
            boot_id=BootId(os.urandom(16)),
            held=stated,
        )

    def share(self, vault: str, epoch: int) -> SecretScalar:
        """Its share of one epoch."""
        share = self._shares.get(vault, epoch)
        if share is None:
            raise NothingToCheatWith(f"{self.name} holds no share of {vault}, epoch {epoch}")
        return share

    def commitments(self, plan: Plan, index: int) -> SignedBody:
        """Commitments of its own share, as an honest signer would make them."""
        vault = self._rogue.state.vault(plan.vault)
        if vault is None:
            raise NothingToCheatWith(f"the log has no vault {plan.vault}")
        return make_commitments(
            task_at(self._rogue, plan, index),
            signer=self.name,
            share=self.share(vault.name, vault.epoch),
            key=self.keys.vote,
            boot_id=BootId(os.urandom(16)),
            random=os.urandom,
        ).signed


@cache
def stolen_signer(rogue: RogueLeader) -> Mole:
    """The one signer whose keys the cheater has; its database opens once."""
    return Mole(rogue)


def _in_vault_order(rogue: RogueLeader, plan: Plan, given: Mapping[str, SignedBody]) -> list[SignedBody]:
    vault = rogue.state.vault(plan.vault)
    if vault is None:
        raise NothingToCheatWith(f"the log has no vault {plan.vault}")
    return [given[name] for name in vault.signers if name in given]


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
    return plan_for(rogue, record, as_inputs([fresh_coins(rogue, VAULT, coin + 1)[coin]]))


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
        chosen = _in_vault_order(rogue, plan, given)
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
        chosen = _in_vault_order(rogue, plan, {one: commitments[one], two: commitments[two], name: signed})
        await rogue.release(index, chosen, to=[one, two], certificate=rogue.certificate, step=step)


@cheat("mole-hides-payment", "With one signer's keys, has a signed payment forgotten by a new term, to order it anew.")
async def mole_hides_payment(rogue: RogueLeader) -> None:
    """Two honest shares and the bad signer's are a signature: whoever gave one states the certificate they stand on."""
    mole, plan, before = stolen_signer(rogue), acceptable_plan(rogue), held(rogue)
    index, commitments = await rogue.append_honestly(plan, commit=True)
    one, two = sorted(commitments)[:2]
    given = {one: commitments[one], two: commitments[two], mole.name: mole.commitments(plan, index)}
    chosen = _in_vault_order(rogue, plan, given)
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
    chosen = _in_vault_order(rogue, first, theirs)
    await rogue.release(size, chosen, to=names[:1], certificate=certificate, honest=True)
    said = await promised(rogue, rogue.term + 1)
    statements = [*(said[name] for name in names[1:]), mole.statement(rogue.term, NO_CERTIFICATE)]
    await open_with(rogue, rogue.term, statements, before, step="dropping-term")
    rogue.certificate = before
    index, commitments = await rogue.append_honestly(second, commit=True)
    paid = _in_vault_order(rogue, second, {name: commitments[name] for name in names[1:]})
    await rogue.release(index, paid, to=names[1:], certificate=rogue.certificate, honest=True)
    await rogue.release(size, chosen, to=names[:2], certificate=certificate, step="first-again")
    newest = rogue.certificate
    await rogue.release(size, chosen, to=names[:2], certificate=newest, step="under-the-new-certificate")
    await rogue.append([rogue.entry(_paying(rogue, record, 2))], step="third")
