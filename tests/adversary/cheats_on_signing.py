"""Cheats with signing: nonces used twice, exchanged and forged commitments, sets and places that are none."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from cheat_report import NothingToCheatWith, cheat
from cheats_on_history import forged_certificate
from rogue_leader import RogueLeader
from rogue_people import ordered, pays, withdrawal
from rogue_plans import acceptable_plan
from rogue_shares import finished, task_at

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.crypto.curve import GENERATOR
from strongroom.crypto.ed25519 import SigningKey
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Entry, Plan, Tick
from strongroom.ledger.signed_messages import Commitments, Vote
from strongroom.model.ids import SignerName
from strongroom.protocol.release import ShareEvidence, evidence_holds
from strongroom.protocol.signed import MAX_BODY_BYTES, SignedBody, sign_body
from strongroom.protocol.signing_task import SigningTask
from strongroom_coordinator.link_frames import signed_pb

MANY = 300
PAYMENTS, SMALL_SAT = 256, 20_000
"""As many sessions at once as the known forgeries ask for; one payment each, of so much."""

Choose = Callable[[RogueLeader, Mapping[str, SignedBody], str, str], list[SignedBody]]
"""Of everybody's commitments, the victim and its partner: the list that the victim is shown."""


async def _certified(rogue: RogueLeader) -> tuple[int, dict[str, SignedBody]]:
    """An acceptable plan under a certificate, with everybody's commitments."""
    index, commitments = await rogue.append_honestly(acceptable_plan(rogue), commit=True)
    if len(commitments) < 2:
        raise NothingToCheatWith("too few signers committed")
    return index, commitments


def _altered(signed: SignedBody, change: Callable[[Commitments], Commitments]) -> SignedBody:
    """Other commitments under the same signature."""
    message = codec.decode(Commitments, signed.body, max_size=MAX_BODY_BYTES)
    return SignedBody(body=codec.encode(change(message)), signature=signed.signature)


@cheat("replay-release", "Asks twice for signatures under the same one-time numbers, which would give the key away.")
async def replay_release(rogue: RogueLeader) -> None:
    index, commitments = await _certified(rogue)
    pairs = sorted(commitments.items())
    for first, second in zip(pairs, pairs[1:] + pairs[:1], strict=True):
        await _replay(rogue, index, dict(sorted([first, second])), victim=first[0])


async def _replay(rogue: RogueLeader, index: int, chosen: dict[str, SignedBody], *, victim: str) -> None:
    await rogue.release(index, chosen.values(), to=[victim], certificate=rogue.certificate, honest=True)
    await rogue.release(index, chosen.values(), to=[victim], step="release-again")


@cheat("other-set", "Asks again under used one-time numbers, with another partner, which would give the key away.")
async def other_set(rogue: RogueLeader) -> None:
    index, commitments = await _certified(rogue)
    names = sorted(commitments)
    victim, partner, other = names[0], names[1], names[-1]
    first = [commitments[victim], commitments[partner]]
    await rogue.release(index, first, to=[victim], certificate=rogue.certificate, honest=True)
    await rogue.release(index, [commitments[victim], commitments[other]], to=[victim], step="release-again")


@cheat("swapped-commitments", "Exchanges a signer's one-time numbers for its own before the others see them.")
async def swapped_commitments(rogue: RogueLeader) -> None:
    index, commitments = await _certified(rogue)
    names = sorted(commitments)
    point = GENERATOR.serialise()

    def own(message: Commitments) -> Commitments:
        return replace(message, nonces=tuple(point + point for _ in message.nonces))

    for position, victim in enumerate(names):
        partner = names[(position + 1) % len(names)]
        chosen = {victim: commitments[victim], partner: _altered(commitments[partner], own)}
        ordered = [chosen[name] for name in sorted(chosen)]
        await rogue.release(index, ordered, to=[victim], certificate=rogue.certificate)


@cheat("left-out", "Asks a signer to sign in a set that does not hold the signer's own one-time numbers.")
async def left_out(rogue: RogueLeader) -> None:
    index, commitments = await _certified(rogue)
    for victim in sorted(commitments):
        others = [item for name, item in sorted(commitments.items()) if name != victim]
        await rogue.release(index, others[:2], to=[victim], certificate=rogue.certificate)


@cheat("reordered-set", "Lists the partners of a signature in another order than the vault's.")
async def reordered_set(rogue: RogueLeader) -> None:
    index, commitments = await _certified(rogue)
    names = sorted(commitments)
    await rogue.release(
        index, [commitments[names[1]], commitments[names[0]]], to=names[:2], certificate=rogue.certificate
    )


@cheat("other-epoch", "Asks for signatures with a generation of key shares that is not the current one.")
async def other_epoch(rogue: RogueLeader) -> None:
    index, commitments = await _certified(rogue)

    def next_epoch(message: Commitments) -> Commitments:
        return replace(message, vault_epoch=message.vault_epoch + 1)

    chosen = [_altered(commitments[name], next_epoch) for name in sorted(commitments)[:2]]
    await rogue.release(index, chosen, to=sorted(commitments)[:2], certificate=rogue.certificate)


@cheat("other-plan", "Uses one-time numbers that were made for one payment to have another one signed.")
async def other_plan(rogue: RogueLeader) -> None:
    _, commitments = await _certified(rogue)
    other, _ = await rogue.append_honestly(acceptable_plan(rogue, extra=1), commit=True)
    chosen = [commitments[name] for name in sorted(commitments)[:2]]
    await rogue.release(other, chosen, to=sorted(commitments)[:2], certificate=rogue.certificate)


@cheat("many-sessions", "Opens hundreds of signing sessions at once, as known forgeries of joint signatures need.")
async def many_sessions(rogue: RogueLeader) -> None:
    index, _ = await _certified(rogue)
    for signer in rogue.links:
        reply = await rogue.ask(signer, pb.Commit(term=rogue.term, entry_indexes=[index] * MANY), "commit")
        if reply is None:
            raise NothingToCheatWith(f"{signer} answered nothing")
        given = rogue.commitments_in(signer, reply.committed.results)
        if len(given) > 1:
            rogue.report.believed(signer, f"it opened {len(given)} further sessions")


@cheat(
    "many-payments", "Opens a session for each of 256 payments at once, and pairs each with the numbers of another one."
)
async def many_payments(rogue: RogueLeader) -> None:
    """A forgery from parallel sessions chooses each session's partners after it saw the nonces of all the others."""
    orders = [withdrawal(rogue, amount=SMALL_SAT) for _ in range(PAYMENTS)]
    await rogue.append_honestly(*(ordered(rogue, order) for order in orders))
    plans = [pays(rogue, order) for order in orders]
    last, _ = await rogue.append_honestly(*plans)
    indexes = range(last + 1 - PAYMENTS, last + 1)
    names = sorted(rogue.links)[:2]
    given: dict[str, dict[int, SignedBody]] = {}
    for signer in names:
        reply = await rogue.ask(signer, pb.Commit(term=rogue.term, entry_indexes=indexes), "commit")
        given[signer] = {} if reply is None else rogue.commitments_in(signer, reply.committed.results)
        if given[signer].keys() != set(indexes):
            raise NothingToCheatWith(f"{signer} opened {len(given[signer])} of {PAYMENTS} sessions")
    for victim, partner in (names, names[::-1]):
        others = dict(zip(indexes, [*indexes[1:], indexes[0]], strict=True))
        sets = {
            index: _in_order({victim: given[victim][index], partner: given[partner][others[index]]}, victim, partner)
            for index in indexes
        }
        await rogue.release_many(sets, to=[victim], certificate=rogue.certificate)
    # None of it was used up: the right partners are answered, and their shares are a signature.
    genuine = {signer: given[signer][last] for signer in names}
    if rogue.certificate is not None:
        await finished(rogue, plans[-1], last, genuine, rogue.certificate)
        rogue.report.say("finished", index=last)


# --- the signer set ---------------------------------------------------------------------------------------------------


def _set_cheat(name: str, text: str, choose: Choose) -> None:
    """A cheat that asks every signer for a share in a set that is no set of the vault's threshold."""

    async def run(rogue: RogueLeader) -> None:
        index, commitments = await _certified(rogue)
        names = sorted(commitments)
        for position, victim in enumerate(names):
            partner = names[(position + 1) % len(names)]
            chosen = choose(rogue, commitments, victim, partner)
            await rogue.release(index, chosen, to=[victim], certificate=rogue.certificate)

    cheat(name, text)(run)


def _in_order(commitments: Mapping[str, SignedBody], *names: str) -> list[SignedBody]:
    return [commitments[name] for name in sorted(names)]


def _false(rogue: RogueLeader, genuine: SignedBody, name: str) -> SignedBody:
    """The same commitments in somebody's name, signed with a key of the cheater's own."""
    message = codec.decode(Commitments, genuine.body, max_size=MAX_BODY_BYTES)
    return sign_body("commitments", replace(message, signer=name), SigningKey.generate(os.urandom))


_set_cheat(
    "twice-in-the-set",
    "Lists one signer twice in a signature, so that it would sign with itself.",
    lambda rogue, given, victim, partner: [given[victim], given[victim]],
)
_set_cheat(
    "alone",
    "Asks one signer to sign alone, without the partner that the vault asks for.",
    lambda rogue, given, victim, partner: [given[victim]],
)
_set_cheat(
    "too-many",
    "Asks more signers to sign together than the vault asks for.",
    lambda rogue, given, victim, partner: _in_order(given, *given),
)
_set_cheat(
    "strangers-commitments",
    "Puts a stranger into the set of those who sign.",
    lambda rogue, given, victim, partner: [given[victim], _false(rogue, given[partner], "zz-stranger")],
)
_set_cheat(
    "forged-commitments",
    "Makes up a partner's one-time numbers in the partner's name.",
    lambda rogue, given, victim, partner: [
        given[victim] if name == victim else _false(rogue, given[partner], partner)
        for name in sorted((victim, partner))
    ],
)
_set_cheat(
    "junk-commitments",
    "Puts junk in the place of a partner's one-time numbers.",
    lambda rogue, given, victim, partner: [given[victim], SignedBody(body=os.urandom(40), signature=bytes(64))],
)
_set_cheat(
    "nobodys-points",
    "Exchanges a partner's one-time numbers for some that no secret belongs to.",
    lambda rogue, given, victim, partner: [
        given[victim] if name == victim else _altered(given[partner], _without_points)
        for name in sorted((victim, partner))
    ],
)


def _without_points(message: Commitments) -> Commitments:
    return replace(message, nonces=tuple(bytes(66) for _ in message.nonces))


@cheat("partners-other-payment", "Pairs a signer's one-time numbers with a partner's for another payment.")
async def partners_other_payment(rogue: RogueLeader) -> None:
    _, earlier = await _certified(rogue)
    other, commitments = await rogue.append_honestly(acceptable_plan(rogue, extra=1), commit=True)
    names = sorted(commitments)
    for position, victim in enumerate(names):
        partner = names[(position + 1) % len(names)]
        pair = {victim: commitments[victim], partner: earlier[partner]}
        await rogue.release(other, _in_order(pair, *pair), to=[victim], certificate=rogue.certificate)


@cheat(
    "equivocate", "Shows two signers different lists for one signature, to have an honest one blamed for the failure."
)
async def equivocate(rogue: RogueLeader) -> None:
    """Both give a share of an approved payment: each is right under what its sender saw, and proves nothing else."""
    index, first = await _certified(rogue)
    one, two = sorted(first)[:2]
    again = await rogue.commit(index, to=[one])
    lists = {one: [first[one], first[two]], two: [again[one], first[two]]}
    shares = {}
    for signer, chosen in lists.items():
        given = await rogue.release(index, chosen, to=[signer], certificate=rogue.certificate, honest=True)
        shares[signer] = given[signer]
    task = _task(rogue, index)
    for signer, share in shares.items():
        for accuser, chosen in lists.items():
            evidence = ShareEvidence(signer=SignerName(signer), shares=share, commitments=tuple(chosen))
            if evidence_holds(evidence, task=task, vote_keys=rogue.electorate.vote_keys):
                rogue.report.believed(signer, f"it is blamed by the list that {accuser} saw")
    # What each of them has left is used up: nothing more comes of either list.
    for signer, chosen in lists.items():
        await rogue.release(index, chosen, to=[signer], step="release-again")


def _task(rogue: RogueLeader, index: int) -> SigningTask:
    """What the signers sign for the plan at this index of the cheater's own copy of the log."""
    plan = codec.decode(Entry, rogue.entries[index]).body
    if not isinstance(plan, Plan):
        raise NothingToCheatWith("there is no plan there")
    return task_at(rogue, plan, index)


@cheat("outvote", "Shows one signer that all others came to another result, to have it sign what it did not compute.")
async def outvote(rogue: RogueLeader) -> None:
    """Needs a quorum of signers of another build, and the last approval of an order."""
    await rogue.log_words()
    index = len(rogue.entries)
    answers = await rogue.append([rogue.entry(acceptable_plan(rogue))], commit_for=[index])
    votes = {name: answer.vote for name, answer in answers.items() if answer.vote is not None}
    digests = {name: codec.decode(Vote, vote.body).state_digest for name, vote in votes.items()}
    victim = next(name for name, digest in digests.items() if list(digests.values()).count(digest) == 1)
    rogue.report.say("alone", signer=victim)
    others = {name: vote for name, vote in votes.items() if name != victim}
    certificate = forged_certificate(others, rogue.electorate.witness_quorum)
    partner = min(others)
    chosen = _in_order({name: answers[name].commitments[index] for name in (victim, partner)}, victim, partner)
    await rogue.release(index, chosen, to=[victim], certificate=certificate)
    await rogue.release(index, chosen, to=[victim], step="release-again")
    await rogue.append([rogue.entry(Tick())], to=[victim], step="vote")


# --- which plan -------------------------------------------------------------------------------------------------------


@cheat("no-plan", "Asks for a signature for an entry of the log that is no payment.")
async def no_plan(rogue: RogueLeader) -> None:
    index, commitments = await _certified(rogue)
    await rogue.tick()
    names = sorted(commitments)[:2]
    chosen = [commitments[name] for name in names]
    await rogue.release(0, chosen, to=names, certificate=rogue.certificate, step="genesis")
    await rogue.release(index + 1, chosen, to=names, step="tick")
    await rogue.release(index + 1_000, chosen, to=names, step="beyond-the-log")
    await rogue.commit(0, step="commit-genesis")
    await rogue.commit(index + 1_000, step="commit-beyond-the-log")


@cheat("one-plan-twice", "Asks for two signatures of one payment in one breath, before the first can be written down.")
async def one_plan_twice(rogue: RogueLeader) -> None:
    index, commitments = await _certified(rogue)
    chosen = pb.SigningSet(
        entry_index=index, commitments=[signed_pb(item) for item in _in_order(commitments, *sorted(commitments)[:2])]
    )
    certificate = codec.encode(rogue.certificate)
    for signer in sorted(commitments)[:2]:
        await rogue.ask(signer, pb.Release(certificate=certificate, sets=[chosen, chosen]), "release")


@cheat("plan-again", "Logs a payment a second time at another place, to have it signed at both.")
async def plan_again(rogue: RogueLeader) -> None:
    plan = acceptable_plan(rogue)
    await rogue.append_honestly(plan)
    await rogue.append([rogue.entry(plan)])


@cheat(
    "dropped-plan", "Has a payment dropped from the log and logged again elsewhere, and uses the numbers made before."
)
async def dropped_plan(rogue: RogueLeader) -> None:
    plan = acceptable_plan(rogue)
    dropped_at = len(rogue.entries)
    answers = await rogue.append([rogue.entry(plan)], commit_for=[dropped_at])
    before = {name: answer.commitments[dropped_at] for name, answer in answers.items()}
    await rogue.lead()
    await rogue.tick()
    index, _ = await rogue.append_honestly(plan, commit=True)
    names = sorted(before)[:2]
    chosen = [before[name] for name in names]
    await rogue.release(index, chosen, to=names, certificate=rogue.certificate)
    await rogue.release(dropped_at, chosen, to=names, step="where-it-was")


@cheat("nonces-of-an-earlier-boot", "Uses one-time numbers that a signer made before it was restarted.")
async def nonces_of_an_earlier_boot(rogue: RogueLeader) -> None:
    """Needs somebody who restarts the signers when it waits."""
    index, commitments = await _certified(rogue)
    names = sorted(commitments)[:2]
    await rogue.pause("the signers are to be restarted", reconnecting=True)
    await rogue.release(index, [commitments[name] for name in names], to=names, certificate=rogue.certificate)


@cheat("stale-nonces", "Uses one-time numbers that are older than half a minute, as a copied machine would.")
async def stale_nonces(rogue: RogueLeader) -> None:
    """Needs somebody who moves the signers' clocks on when it waits."""
    index, commitments = await _certified(rogue)
    names = sorted(commitments)[:2]
    await rogue.pause("the signers' clocks are to be moved on by 31 seconds")
    await rogue.release(index, [commitments[name] for name in names], to=names, certificate=rogue.certificate)
