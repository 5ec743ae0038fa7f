"""Cheats with orders and with what people said of them: forged, replayed, borrowed, too late, by the wrong person."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from hashlib import sha256

from cheat_report import NothingToCheatWith, cheat
from rogue_leader import RogueLeader
from rogue_people import (
    COIN,
    DAY_MS,
    HOT,
    drafted,
    field,
    head_seen,
    more,
    ordered,
    payee,
    pays,
    people_of,
    raw_entry,
    said,
    withdrawal,
    word_of,
)
from rogue_plans import forced, now_ms

from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger import codec
from strongroom.ledger.charter import decode_charter, encode_charter, log_id_of
from strongroom.ledger.entry_messages import Endorse, Genesis, OrderEntry, SignerFreeze
from strongroom.ledger.order_messages import Freeze, Scope, Withdraw
from strongroom.ledger.signed_messages import FreezeStatement, Signed, Verb
from strongroom.protocol.signed import sign_body
from strongroom_client.orders import DraftedOrder, Seen

SOON_MS = 6_000
"""Time enough to log what is to run out, also on a machine that is busy."""
UNKNOWN_ENTRY = 100
"""Number of a body that no rule set has yet: the log of a later version could hold charter amendments there."""


async def _approved_by(rogue: RogueLeader, order: DraftedOrder, *words: Signed) -> None:
    """Log an order that alice initiated with these words for its approvals, and a plan that pays it."""
    entry = ordered(rogue, order, approved=())
    await forced(rogue, replace(entry, endorsements=(*entry.endorsements, *words)), pays(rogue, order))


def _bob(rogue: RogueLeader, order: DraftedOrder) -> Signed:
    return said(rogue, Verb.APPROVE, order.hash, "bob")


# --- forged and borrowed words


@cheat("stranger-key", "Approves in an officer's name with a key of its own making.")
async def stranger_key(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    with SigningKey.generate(os.urandom) as key:
        body = replace(word_of(rogue, Verb.APPROVE, order.hash, "carol"), key=key.public)
        forged = sign_body("endorsement", body, key).stored()
    await _approved_by(rogue, order, _bob(rogue, order), forged)


@cheat(
    "forged-signature", "Approves in an officer's name and under the officer's key, with a signature of its own making."
)
async def forged_signature(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    body = word_of(rogue, Verb.APPROVE, order.hash, "carol")
    with SigningKey.generate(os.urandom) as key:
        forged = sign_body("endorsement", body, key).stored()
    await _approved_by(rogue, order, _bob(rogue, order), forged)


@cheat("swap-verb", "Turns an officer's rejection into an approval, keeping the signature.")
async def swap_verb(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    rejection = word_of(rogue, Verb.REJECT, order.hash, "carol")
    signature = people_of(rogue).key("carol").sign_endorsement(rejection).signature
    swapped = Signed(body=codec.encode(replace(rejection, verb=Verb.APPROVE)), signature=signature)
    await _approved_by(rogue, order, _bob(rogue, order), swapped)


@cheat("extend-expiry", "Gives an approval that has run out a later date, keeping the signature.")
async def extend_expiry(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    old = word_of(rogue, Verb.APPROVE, order.hash, "carol", expires_in_ms=-1_000)
    signature = people_of(rogue).key("carol").sign_endorsement(old).signature
    renewed = Signed(body=codec.encode(replace(old, expires_ms=now_ms() + DAY_MS)), signature=signature)
    await _approved_by(rogue, order, _bob(rogue, order), renewed)


@cheat("alter-seen-head", "Puts another state of the log into an approval than its author saw, keeping the signature.")
async def alter_seen_head(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    size = rogue.replica.size - 1
    root = rogue.replica.root_at(size)
    if root is None:
        raise NothingToCheatWith("the log is too short")
    word = word_of(rogue, Verb.APPROVE, order.hash, "carol")
    signature = people_of(rogue).key("carol").sign_endorsement(word).signature
    altered = Signed(body=codec.encode(replace(word, head_size=size, head_root=root)), signature=signature)
    await _approved_by(rogue, order, _bob(rogue, order), altered)


@cheat("borrowed-key", "Counts one officer's signature as another officer's approval.")
async def borrowed_key(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    body = word_of(rogue, Verb.APPROVE, order.hash, "carol", key_of="bob")
    key = people_of(rogue).key("bob")
    signature = key.sign_endorsement(replace(body, person="bob")).signature
    await _approved_by(rogue, order, _bob(rogue, order), Signed(body=codec.encode(body), signature=signature))


@cheat("other-kind-signature", "Uses an administrator's adoption of the charter as the signature under an approval.")
async def other_kind_signature(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    adoption = people_of(rogue).key("carol").sign_adoption(rogue.log_id)
    body = codec.encode(word_of(rogue, Verb.APPROVE, order.hash, "carol"))
    await _approved_by(rogue, order, _bob(rogue, order), Signed(body=body, signature=adoption.signature))


# --- words from elsewhere, and words that no longer count


@cheat("clone-approval", "Uses approvals from a copy of the deployment that has the same people and keys.")
async def clone_approval(rogue: RogueLeader) -> None:
    """The copy differs in the charter's salt alone, which gives it another log id."""
    clone = encode_charter(replace(rogue.genesis.charter, salt=os.urandom(32)))
    order = withdrawal(rogue)
    word = said(rogue, Verb.APPROVE, order.hash, "carol", log_id=log_id_of(clone))
    await _approved_by(rogue, order, _bob(rogue, order), word)


@cheat("other-history", "Uses approvals that people gave to a log which was started anew since.")
async def other_history(rogue: RogueLeader) -> None:
    """The same charter, hence the same log id: only the head that its author saw says which history was meant."""
    order = withdrawal(rogue)
    seen = Seen(size=head_seen(rogue).size, root=os.urandom(32))
    await _approved_by(rogue, order, _bob(rogue, order), said(rogue, Verb.APPROVE, order.hash, "carol", seen=seen))


@cheat("later-history", "Uses approvals whose author saw a log longer than this one, from which the end was cut off.")
async def later_history(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    seen = Seen(size=head_seen(rogue).size + 100, root=os.urandom(32))
    await _approved_by(rogue, order, _bob(rogue, order), said(rogue, Verb.APPROVE, order.hash, "carol", seen=seen))


@cheat("expired-approval", "Uses an approval whose own time has run out.")
async def expired_approval(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    word = said(rogue, Verb.APPROVE, order.hash, "carol", expires_in_ms=-1_000)
    await _approved_by(rogue, order, _bob(rogue, order), word)


@cheat("endless-approval", "Uses an approval that is to count for a year.")
async def endless_approval(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    word = said(rogue, Verb.APPROVE, order.hash, "carol", expires_in_ms=365 * DAY_MS)
    await _approved_by(rogue, order, _bob(rogue, order), word)


@cheat("wait-it-out", "Waits until orders and approvals have run out, and pays all the same.")
async def wait_it_out(rogue: RogueLeader) -> None:
    """Three attacks that share one wait: an expired order, one approved after it expired, and an expired approval."""
    for name in ("alice", "bob", "carol"):
        people_of(rogue).key(name)  # Opening a key takes a while, in which nothing may run out.
    order, late = (withdrawal(rogue, expires_in_ms=SOON_MS) for _ in range(2))
    waiting = withdrawal(rogue)
    entry = ordered(rogue, waiting, approved=("bob",))
    word = said(rogue, Verb.APPROVE, waiting.hash, "carol", expires_in_ms=SOON_MS)
    await rogue.append_honestly(
        ordered(rogue, order),
        ordered(rogue, late, approved=("bob",)),
        replace(entry, endorsements=(*entry.endorsements, word)),
    )
    await asyncio.sleep(SOON_MS / 1000 + 0.1)
    await forced(rogue, pays(rogue, order), step="expired-order")
    await forced(rogue, more(rogue, Verb.APPROVE, late, "carol"), pays(rogue, late), step="late-word")
    await forced(rogue, pays(rogue, waiting), step="approval-ran-out")


@cheat("endless-order", "Logs an order that is to be payable for a year.")
async def endless_order(rogue: RogueLeader) -> None:
    order = withdrawal(rogue, expires_in_ms=365 * DAY_MS)
    await forced(rogue, ordered(rogue, order), pays(rogue, order))


@cheat("rejected-order", "Pays an order that has all its approvals, and that an officer rejected.")
async def rejected_order(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    rejection = more(rogue, Verb.REJECT, order, "carol")
    await forced(rogue, ordered(rogue, order), rejection, pays(rogue, order))


@cheat("approve-after-reject", "Has a rejected order approved again by the very officer who rejected it.")
async def approve_after_reject(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    words = [more(rogue, verb, order, "carol") for verb in (Verb.REJECT, Verb.APPROVE)]
    await forced(rogue, ordered(rogue, order, approved=("bob",)), *words, pays(rogue, order))


@cheat("approval-of-another", "Moves an officer's approval of one order to another one.")
async def approval_of_another(rogue: RogueLeader) -> None:
    small, large = withdrawal(rogue, amount=10_000), withdrawal(rogue, amount=COIN)
    await _approved_by(rogue, large, _bob(rogue, large), said(rogue, Verb.APPROVE, small.hash, "carol"))


@cheat("same-id", "Logs another order under the id of one that people know.")
async def same_id(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    other = drafted(
        rogue,
        Withdraw(vault=HOT, asset=REGTEST.asset_id, amount=COIN, destination=payee(), max_fee=100_000),
        id=order.order.id,
    )
    await forced(rogue, ordered(rogue, order), ordered(rogue, other), pays(rogue, other))


# --- the wrong people


@cheat("one-person-twice", "Counts two approvals by one officer as two officers' approvals.")
async def one_person_twice(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    later = said(rogue, Verb.APPROVE, order.hash, "bob", expires_in_ms=2 * DAY_MS)
    await _approved_by(rogue, order, _bob(rogue, order), later)


@cheat("initiator-approves", "Counts the person who asked for a payment as one of its approvers.")
async def initiator_approves(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await _approved_by(rogue, order, _bob(rogue, order), said(rogue, Verb.APPROVE, order.hash, "alice"))


@cheat("machine-approves", "Counts the approval of a customer's server, which no rule names as an approver.")
async def machine_approves(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await _approved_by(rogue, order, _bob(rogue, order), said(rogue, Verb.APPROVE, order.hash, "shop"))


@cheat("two-initiators", "Has an order initiated by two people, so that either could count as an approver of it.")
async def two_initiators(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await _approved_by(rogue, order, said(rogue, Verb.INITIATE, order.hash, "bob"), _bob(rogue, order))


@cheat("nobody-asked", "Pays an order that two officers approved and that nobody asked for.")
async def nobody_asked(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    entry = ordered(rogue, order)
    await forced(rogue, replace(entry, endorsements=entry.endorsements[1:]), pays(rogue, order))


# --- freezes


@cheat("frozen-by-officer", "Pays from a vault that an officer froze.")
async def frozen_by_officer(rogue: RogueLeader) -> None:
    freeze = drafted(rogue, Freeze(scope=Scope.VAULT, vault=HOT, why="the payee looks wrong"))
    order = withdrawal(rogue)
    await forced(rogue, ordered(rogue, order), ordered(rogue, freeze, by="carol", approved=()), pays(rogue, order))


@cheat("forged-operator-freeze", "Freezes everything in an operator's name, to stop the business.")
async def forged_operator_freeze(rogue: RogueLeader) -> None:
    signer = sorted(rogue.electorate.vote_keys)[0]
    statement = FreezeStatement(
        log_id=rogue.log_id, signer=signer, id=os.urandom(16), scope=Scope.ALL, vault="", why="to stop the business"
    )
    with SigningKey.generate(os.urandom) as key:
        await forced(rogue, SignerFreeze(statement=sign_body("freeze", statement, key).stored()))


# --- the charter


def _loosened(rogue: RogueLeader) -> Genesis:
    """A charter under which one person pays any amount at once, with the adoptions of the real one."""
    charter = decode_charter(rogue.genesis.genesis.charter)
    rule = charter.rules[0]
    alone = replace(
        rule, approvals=(replace(rule.approvals[0], count=1),), maximum=(replace(rule.maximum[0], amount=1_000 * COIN),)
    )
    return Genesis(
        charter=encode_charter(replace(charter, rules=(alone,), version=charter.version + 1)),
        adoptions=rogue.genesis.genesis.adoptions,
    )


@cheat("loosen-and-spend", "Puts looser rules into the log together with a payment that only they allow.")
async def loosen_and_spend(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await forced(rogue, _loosened(rogue), ordered(rogue, order, approved=("bob",)), pays(rogue, order))


@cheat("second-genesis", "Logs the genuine first entry once more, to have everything begin anew.")
async def second_genesis(rogue: RogueLeader) -> None:
    await forced(rogue, rogue.genesis.genesis)


@cheat("unknown-amendment", "Logs a kind of entry that these rules do not have, as an amendment of the charter.")
async def unknown_amendment(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    now = max(now_ms(), rogue.state.time_ms)
    amendment = raw_entry(UNKNOWN_ENTRY, field(1, _loosened(rogue).charter), now)
    entries = rogue.entries_of([ordered(rogue, order, approved=("bob",)), pays(rogue, order)], time_ms=now)
    await forced(rogue, amendment, *entries)


@cheat(
    "unknown-order-kind", "Has all officers sign a kind of order that these rules do not have, to amend the charter."
)
async def unknown_order_kind(rogue: RogueLeader) -> None:
    data = (
        field(1, rogue.log_id)
        + field(2, os.urandom(16))
        + field(3, now_ms() + DAY_MS)
        + field(UNKNOWN_ENTRY, field(1, _loosened(rogue).charter))
    )
    digest = sha256(data).digest()
    words = [said(rogue, Verb.INITIATE, digest, "alice")]
    words += [said(rogue, Verb.APPROVE, digest, name) for name in ("bob", "carol")]
    await forced(rogue, OrderEntry(order=data, endorsements=tuple(words)))


@cheat("replayed-approval", "Logs an officer's approval a second time, word for word, where a second one is missing.")
async def replayed_approval(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    entry = ordered(rogue, order, approved=("bob",))
    await forced(rogue, entry, Endorse(endorsement=entry.endorsements[1]), pays(rogue, order))
    await rogue.append_honestly(entry)
    await forced(rogue, Endorse(endorsement=entry.endorsements[1]), pays(rogue, order), step="in-a-later-batch")
