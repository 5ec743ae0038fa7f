"""Cheats with the log itself: two histories, false certificates, old terms, a log time that stands still, silence."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

from cheat_report import NothingToCheatWith, cheat
from rogue_leader import Answer, RogueLeader
from rogue_plans import acceptable_plan, as_inputs, fresh_coins, open_order, plan_for

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate, CertificateVote, Head
from strongroom.ledger.entry_messages import Tick
from strongroom.ledger.signed_messages import Vote
from strongroom.protocol.signed import SignedBody

TEN_MINUTES_MS = 600_000


async def _split(rogue: RogueLeader) -> tuple[int, dict[str, Answer]]:
    """Show every signer a plan of its own at the same place of the log."""
    index = len(rogue.entries)
    shown: dict[str, Answer] = {}
    for number, signer in enumerate(rogue.links):
        entry = rogue.entry(acceptable_plan(rogue, extra=number))
        shown.update(await rogue.append([entry], to=[signer], commit_for=[index]))
        rogue.report.say("shown", signer=signer, voted=shown[signer].vote is not None)
    return index, shown


def forged_certificate(votes: dict[str, SignedBody], quorum: int) -> Certificate:
    """A certificate for the first signer's head, with the others' signatures under it as if they had voted for it."""
    names = sorted(votes)[:quorum]
    first = codec.decode(Vote, votes[names[0]].body)
    head = Head(
        log_id=first.log_id,
        term=first.term,
        size=first.size,
        root=first.root,
        state_digest=first.state_digest,
    )
    said = [
        CertificateVote(
            signer=name,
            held_term=first.held_term,
            held_size=first.held_size,
            held_head=first.held_head,
            signature=votes[name].signature,
        )
        for name in names
    ]
    return Certificate(head=head, votes=tuple(said))


@cheat("split-history", "Shows each signer another history, to have an order paid once in each of them.")
async def split_history(rogue: RogueLeader) -> None:
    await rogue.log_words()
    index, shown = await _split(rogue)
    given = {name: answer.commitments[index] for name, answer in shown.items() if index in answer.commitments}
    for signer, own in given.items():
        others = [item for name, item in sorted(given.items()) if name != signer]
        await rogue.release(index, [own, others[0]], to=[signer])
    votes = {name: answer.vote for name, answer in shown.items() if answer.vote is not None}
    false = forged_certificate(votes, rogue.electorate.witness_quorum)
    for signer in given:
        await rogue.release(index, list(given.values())[:2], to=[signer], certificate=false, step="forged-certificate")


@cheat("split-heads", "Shows each signer another history and then stops, to leave the log stuck for ever.")
async def split_heads(rogue: RogueLeader) -> None:
    """No cheat that a signer could refuse: each votes for what it saw. An honest coordinator must heal it."""
    await rogue.log_words()
    await _split(rogue)


@cheat("second-batch", "Asks every signer for a second vote at the same place of the log, for another batch.")
async def second_batch(rogue: RogueLeader) -> None:
    first = len(rogue.entries)
    await rogue.append([rogue.entry(Tick())])
    await rogue.append([rogue.entry(Tick())], first_index=first, step="second-vote")


@cheat("stale-certificate", "Asks for signatures under a certificate from before the signers changed to a new term.")
async def stale_certificate(rogue: RogueLeader) -> None:
    index, commitments = await rogue.append_honestly(acceptable_plan(rogue), commit=True)
    old = rogue.certificate
    if old is None:
        raise NothingToCheatWith("there is no certificate")
    names = sorted(commitments)[:2]
    for signer in rogue.links:
        await rogue.ask(signer, pb.Certify(certificate=codec.encode(old)), "certify")
    await rogue.lead()
    await rogue.append_honestly(Tick())
    chosen = [commitments[name] for name in names]
    await rogue.release(index, chosen, to=names, certificate=old)
    await rogue.release(index, chosen, to=names, certificate=rogue.certificate, step="release-again")


@cheat("uncertified-plan", "Asks for signatures on a plan that the signers saw, but that no majority voted for.")
async def uncertified_plan(rogue: RogueLeader) -> None:
    index = len(rogue.entries)
    answers = await rogue.append([rogue.entry(acceptable_plan(rogue))], commit_for=[index])
    given = [answer.commitments[index] for _, answer in sorted(answers.items()) if index in answer.commitments]
    await rogue.release(index, given[:2])


@cheat("frozen-log-time", "Keeps the log's clock standing still, so that waiting times and limits never run.")
async def frozen_log_time(rogue: RogueLeader) -> None:
    await rogue.append([rogue.entry(Tick(), time_ms=rogue.state.time_ms)])


@cheat("log-time-ahead", "Puts the log's clock ten minutes ahead, so that a waiting time seems to be over.")
async def log_time_ahead(rogue: RogueLeader) -> None:
    await rogue.append([rogue.entry(Tick(), time_ms=rogue.state.time_ms + TEN_MINUTES_MS)])


@cheat("log-time-back", "Stamps an entry before the last one, so that an expired order seems to be valid.")
async def log_time_back(rogue: RogueLeader) -> None:
    await rogue.append([rogue.entry(Tick(), time_ms=rogue.state.time_ms - 1_000)])


@cheat("withhold-freeze", "Keeps a freeze to itself and asks for signatures on a payment of the frozen vault.")
async def withhold_freeze(rogue: RogueLeader) -> None:
    """Needs a freeze at the operator sockets of n - t + 1 signers."""
    index, commitments = await rogue.append_honestly(acceptable_plan(rogue), commit=True)
    more = await rogue.commit(index, to=[name for name in rogue.links if name not in commitments])
    given = {**commitments, **more}
    await rogue.release(index, given.values() or _none(), certificate=rogue.certificate)


def _none() -> list[SignedBody]:
    """A signed body that nobody signed, where nobody gave one: a frame must hold at least one."""
    return [SignedBody(body=b"\x00", signature=bytes(64))]


@cheat("oversized-batch", "Sends more entries in one batch than the rules allow, to fill the signers' disks.")
async def oversized_batch(rogue: RogueLeader) -> None:
    entry = rogue.entry(Tick())
    await rogue.append([entry] * 4_097)


@cheat("heavy-batch", "Sends more bytes in one batch than the rules allow, to fill the signers' disks.")
async def heavy_batch(rogue: RogueLeader) -> None:
    await rogue.append([os.urandom(60_000)] * 145)


@cheat("heavy-entry", "Sends one entry that is larger than any may be.")
async def heavy_entry(rogue: RogueLeader) -> None:
    await rogue.append([os.urandom(65_536)])


@cheat("junk-entry", "Has the signers vote for random bytes, to spoil the log for whoever reads it later.")
async def junk_entry(rogue: RogueLeader) -> None:
    await rogue.append([os.urandom(200)])


@cheat("half-an-entry", "Has the signers vote for an entry that breaks off in the middle.")
async def half_an_entry(rogue: RogueLeader) -> None:
    await rogue.append([rogue.entry(Tick())[:-3]])


@cheat("two-times", "Puts two times into one batch, one for each thing that is to be judged.")
async def two_times(rogue: RogueLeader) -> None:
    now = max(time.time_ns() // 1_000_000, rogue.state.time_ms)
    await rogue.append([rogue.entry(Tick(), time_ms=now), rogue.entry(Tick(), time_ms=now + 1)])


# --- one message in several encodings, as another build might write or read it ----------------------------------------


def _field(number: int, payload: bytes) -> bytes:
    """A length-prefixed field."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def _encoding_cheat(name: str, text: str, encode: Callable[[bytes, int], bytes]) -> None:
    """A cheat that logs an honest entry in another encoding, made of its salt and time."""

    async def run(rogue: RogueLeader) -> None:
        now = max(time.time_ns() // 1_000_000, rogue.state.time_ms)
        await rogue.append([encode(os.urandom(16), now)])

    cheat(name, text)(run)


_TICK = _field(16, b"")

_encoding_cheat(
    "unknown-field",
    "Writes something into an entry that only another version would read.",
    lambda salt, now: _field(1, salt) + b"\x10" + _varint(now) + _TICK + _field(31, b"later"),
)
_encoding_cheat(
    "long-number",
    "Writes a number with more digits than it needs, which some programs read and others do not.",
    lambda salt, now: _field(1, salt) + b"\x10" + _varint(now)[:-1] + bytes([_varint(now)[-1] | 0x80, 0]) + _TICK,
)
_encoding_cheat(
    "fields-in-another-order",
    "Writes the parts of an entry in another order.",
    lambda salt, now: b"\x10" + _varint(now) + _field(1, salt) + _TICK,
)
_encoding_cheat(
    "field-twice",
    "Writes one part of an entry twice, of which some programs take the first and others the last.",
    lambda salt, now: _field(1, salt) + b"\x10" + _varint(now - 1) + b"\x10" + _varint(now) + _TICK,
)
_encoding_cheat(
    "two-bodies",
    "Writes two meanings into one entry, of which some programs take the first and others the last.",
    lambda salt, now: _field(1, salt) + b"\x10" + _varint(now) + _field(13, _field(1, bytes(70))) + _TICK,
)


@cheat("explicit-default", "Writes out a zero that is left out as a rule, which some programs keep and others drop.")
async def explicit_default(rogue: RogueLeader) -> None:
    plan = acceptable_plan(rogue)
    coin = plan.inputs[0]
    numbers = enumerate((coin.vout, coin.amount_sat, coin.branch, coin.index), start=2)
    explicit = _field(1, coin.txid) + b"".join(_varint(number << 3) + _varint(value) for number, value in numbers)
    usual = codec.encode(coin)
    if explicit == usual:
        raise NothingToCheatWith("this coin has no zero that could be written out")
    honest = rogue.entry(plan)
    body = codec.encode(plan)
    await rogue.append(
        [honest.replace(_field(15, body), _field(15, body.replace(_field(3, usual), _field(3, explicit))))]
    )


# --- places in the log ------------------------------------------------------------------------------------------------


@cheat("gap", "Appends beyond a gap, so that what lies between could be filled in later.")
async def gap(rogue: RogueLeader) -> None:
    first, root = len(rogue.entries) + 5, os.urandom(32)
    for signer in rogue.links:
        frame = pb.Append(term=rogue.term, first_index=first, entries=[rogue.entry(Tick())], size=first + 1, root=root)
        await rogue.ask(signer, frame, "append")


@cheat("rewrite", "Writes another entry in the place of one that the signers have certified.")
async def rewrite(rogue: RogueLeader) -> None:
    await rogue.tick()
    await rogue.tick()
    await rogue.append([rogue.entry(Tick())] * 2, first_index=len(rogue.entries) - 2)


@cheat("shorter-log", "Has the signers drop an entry that they voted for, and vote for a shorter log in the same term.")
async def shorter_log(rogue: RogueLeader) -> None:
    first = len(rogue.entries)
    entry = rogue.entry(Tick())
    await rogue.append([entry, entry])
    await rogue.append([entry], first_index=first, step="shorter")


@cheat("false-size", "States another length of the log than the batch gives.")
async def false_size(rogue: RogueLeader) -> None:
    first = len(rogue.entries)
    for signer in rogue.links:
        frame = pb.Append(
            term=rogue.term, first_index=first, entries=[rogue.entry(Tick())], size=first + 2, root=os.urandom(32)
        )
        await rogue.ask(signer, frame, "append")


@cheat("false-root", "Tells the signers another fingerprint of the log than its entries give.")
async def false_root(rogue: RogueLeader) -> None:
    first = len(rogue.entries)
    entry = rogue.entry(Tick())
    for signer in rogue.links:
        frame = pb.Append(
            term=rogue.term,
            first_index=first,
            entries=[entry],
            size=first + 1,
            root=os.urandom(32),
            certificate=b"" if rogue.certificate is None else codec.encode(rogue.certificate),
        )
        await rogue.ask(signer, frame, "append")


@cheat("own-statements", "Opens a term with statements that the signers made for somebody else's term.")
async def own_statements(rogue: RogueLeader) -> None:
    """Replays the statements of the term before for a new one."""
    promised = {}
    for signer in rogue.links:
        reply = await rogue.ask(signer, pb.Promise(term=rogue.term + 1, leader=rogue.leader), "promise")
        if reply is None:
            raise NothingToCheatWith("a signer made no statement")
        promised[signer] = reply.promised.statement
    base = b"" if rogue.certificate is None else codec.encode(rogue.certificate)
    statements = list(promised.values())[: rogue.electorate.witness_quorum]
    for signer in rogue.links:
        frame = pb.OpenTerm(term=rogue.term + 2, statements=statements, base_certificate=base)
        await rogue.ask(signer, frame, "open_term")


@cheat("hide-history", "Opens a term as if the log were empty, to have history written anew.")
async def hide_history(rogue: RogueLeader) -> None:
    term = rogue.term + 1
    promised = {}
    for signer in rogue.links:
        reply = await rogue.ask(signer, pb.Promise(term=term, leader=rogue.leader), "promise")
        if reply is None:
            raise NothingToCheatWith("a signer made no statement")
        promised[signer] = reply.promised.statement
    statements = list(promised.values())[: rogue.electorate.witness_quorum]
    for signer in rogue.links:
        await rogue.ask(signer, pb.OpenTerm(term=term, statements=statements, base_certificate=b""), "open_term")


@cheat("alter-certificate", "Takes a genuine certificate and puts another fingerprint of the log under its signatures.")
async def alter_certificate(rogue: RogueLeader) -> None:
    await rogue.append_honestly(Tick())
    genuine = rogue.certificate
    if genuine is None:
        raise NothingToCheatWith("there is no certificate")
    altered = replace(genuine, head=replace(genuine.head, root=os.urandom(32), size=genuine.head.size + 1))
    for signer in rogue.links:
        await rogue.ask(signer, pb.Certify(certificate=codec.encode(altered)), "certify")


@cheat("withhold-rejection", "Keeps a rejection to itself and asks for signatures on the rejected order.")
async def withhold_rejection(rogue: RogueLeader) -> None:
    """Needs the rejection handed in at the signers, and the order's last approval in the words given here."""
    await rogue.log_words()
    record, action = open_order(rogue)
    plan = plan_for(rogue, record, as_inputs(fresh_coins(rogue, action.vault)))
    index, commitments = await rogue.append_honestly(plan, commit=True)
    await rogue.release(index, commitments.values() or _none(), certificate=rogue.certificate)
