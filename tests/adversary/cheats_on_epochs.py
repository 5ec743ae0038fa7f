"""Cheats with the end of new shares: views that differ, misused trials, forged entries, shares of an earlier epoch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cheat_report import cheat
from cheats_on_redistribution import HOT, OTHER, Dealt, dealt, final, shown
from rogue_leader import RogueLeader
from rogue_people import ordered, pays, withdrawal
from rogue_plans import as_inputs, fresh_coins, withdrawals

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.crypto import frost
from strongroom.crypto import redistribution as crypto
from strongroom.crypto.curve import GENERATOR
from strongroom.ledger.entry_messages import Epoch, Trial, VaultSignature
from strongroom.protocol.keygen import MadeKey, trial_session
from strongroom.protocol.redistribution import Stated, made_of, open_dealing
from strongroom.protocol.signed import SignedBody
from strongroom_coordinator.link_frames import signed_of

Subset = tuple[int, ...]


@dataclass(frozen=True)
class Made:
    """New shares that all holders have in memory, before they are logged."""

    attempt: Dealt
    key: MadeKey
    stated: Mapping[str, Stated]

    @property
    def statements(self) -> tuple[VaultSignature, ...]:
        return tuple(
            VaultSignature(signer=name, signature=self.stated[name].signature) for name in self.attempt.terms.signers
        )


def made_from(rogue: RogueLeader, attempt: Dealt, dealings: Sequence[SignedBody]) -> MadeKey:
    """What dealings add up to."""
    opened = dict(open_dealing(attempt.terms, one, rogue.electorate.vote_keys) for one in dealings)
    return made_of(attempt.terms, crypto.combine(attempt.terms.params, opened))


async def made_honestly(rogue: RogueLeader, vault: str = HOT) -> Made:
    """Deal and hand on as an honest coordinator would, up to the statements."""
    attempt = await dealt(rogue, vault)
    stated = await shown(rogue, attempt, attempt.all(), "receiving", honest=True)
    key = made_from(rogue, attempt, attempt.all())
    rogue.recovery.append(key.recovery)
    return Made(attempt=attempt, key=key, stated=stated)


async def trial_nonce(rogue: RogueLeader, attempt: Dealt, subset: Subset, identifier: int, step: str) -> bytes:
    """A signer's nonce for one trial; empty when it refuses."""
    frame = pb.EpochTrialCommit(**attempt.place(), signers=subset)
    reply = await rogue.ask(attempt.terms.signers[identifier], frame, step)
    return b"" if reply is None else reply.trial_commit.nonce


async def trial_share(
    rogue: RogueLeader, attempt: Dealt, subset: Subset, nonces: Sequence[bytes], identifier: int, step: str
) -> bytes:
    """A signer's share of one trial; empty when it refuses."""
    frame = pb.EpochTrialSign(**attempt.place(), signers=subset, nonces=nonces)
    reply = await rogue.ask(attempt.terms.signers[identifier], frame, step)
    return b"" if reply is None else reply.trial_sign.share


async def tried(rogue: RogueLeader, made: Made) -> tuple[Trial, ...]:
    """The honest trial signatures."""
    trials = []
    for subset in made.attempt.terms.subsets:
        nonces = [await trial_nonce(rogue, made.attempt, subset, item, "trying") for item in subset]
        shares = [await trial_share(rogue, made.attempt, subset, nonces, item, "trying") for item in subset]
        session = trial_session(made.attempt.terms, made.key, subset, nonces)
        trials.append(Trial(signers=subset, signature=frost.aggregate(shares, session)))
    return tuple(trials)


async def epoch_of(rogue: RogueLeader, made: Made) -> Epoch:
    """The genuine entry."""
    return Epoch(
        order_hash=made.attempt.terms.order_hash,
        vault=made.attempt.terms.vault,
        key=made.key.key,
        recovery_hash=made.key.recovery_hash,
        statements=made.statements,
        trials=await tried(rogue, made),
    )


# --- views and trials -------------------------------------------------------------------------------------------------


@cheat("split-dealings", "Shows each holder other dealings, so that their new shares belong to different keys.")
async def split_dealings(rogue: RogueLeader) -> None:
    """Every view holds together, and is stated in good faith: the entry must not pass."""
    genuine = await made_honestly(rogue)
    epoch, again = await epoch_of(rogue, genuine), await dealt(rogue)
    one, two, three = again.terms.signers
    first, second, third = again.all()
    # Every dealing of a dealer that is asked again is another one, and each of them is good.
    anew = await rogue.ask(one, pb.Deal(**again.place()), "dealing")
    other = first if anew is None else signed_of(anew.dealt.dealing)
    views = {
        "left-out": {one: [first, second], two: [second, third], three: again.all()},
        "dealt-twice": {one: again.all(), two: [other, second, third], three: again.all()},
    }
    for step, view in views.items():
        stated: dict[str, Stated] = {}
        for name, dealings in view.items():
            stated |= await shown(rogue, again, dealings, step, to=[name], honest=True)
        split = Made(attempt=again, key=made_from(rogue, again, view[one]), stated=stated)
        rogue.recovery.append(split.key.recovery)
        mixed = replace(epoch, key=split.key.key, recovery_hash=split.key.recovery_hash, statements=split.statements)
        await rogue.append([rogue.entry(mixed)], step=step)


@cheat("misused-epoch-trials", "Misuses the signature by which new shares are tried: twice, for others, with others.")
async def misused_epoch_trials(rogue: RogueLeader) -> None:
    attempt = await dealt(rogue)
    next_one = replace(attempt, terms=replace(attempt.terms, attempt=attempt.terms.attempt + 1))
    subset, other = (0, 1), (0, 2)
    await trial_nonce(rogue, attempt, subset, 0, "not-received")
    await shown(rogue, attempt, attempt.all(), "receiving", honest=True)
    await trial_nonce(rogue, next_one, subset, 0, "another-attempt")
    for item in other:
        if await trial_nonce(rogue, attempt, other, item, "other-subset"):
            rogue.report.believed(str(item), "it made a nonce for a subset that tries nothing")
    await trial_nonce(rogue, attempt, subset, 2, "not-in-subset")
    nonces = [await trial_nonce(rogue, attempt, subset, item, "trying") for item in subset]
    await trial_share(rogue, attempt, subset, nonces, 0, "trying")
    for step, wanted, given, item in (
        ("twice", subset, nonces, 0),
        ("uncommitted", other, nonces, 0),
        ("exchanged", subset, [nonces[1], nonces[0]], 1),
        # A nonce that met a list without itself is gone: it does not come back for the right one.
        ("after-exchanged", subset, nonces, 1),
    ):
        if await trial_share(rogue, attempt, wanted, given, item, step):
            rogue.report.believed(str(item), f"it gave a trial share: {step}")
    nonces = [await trial_nonce(rogue, attempt, subset, item, "trying") for item in subset]
    await shown(rogue, attempt, attempt.all()[:2], "receiving", honest=True)
    for item in subset:
        if await trial_share(rogue, attempt, subset, nonces, item, "of-another-share"):
            rogue.report.believed(str(item), "it tried a share under the nonce of another")


# --- the entry --------------------------------------------------------------------------------------------------------


@cheat("forged-epoch", "Logs new shares of another key, for others, or that not all holders confirmed and tried.")
async def forged_epoch(rogue: RogueLeader) -> None:
    earlier, other = await made_honestly(rogue), await made_honestly(rogue, OTHER)
    made = await made_honestly(rogue)
    genuine, others_entry = await epoch_of(rogue, made), await epoch_of(rogue, other)
    key, (first, *_, last) = genuine.key, genuine.statements
    own = GENERATOR.serialise()
    forged = {
        "another-key": replace(genuine, key=replace(key, commitments=(own, *key.commitments[1:]))),
        "another-vaults-key": replace(genuine, key=others_entry.key, recovery_hash=others_entry.recovery_hash),
        "another-chain-code": replace(genuine, key=replace(key, chain_code=os.urandom(32))),
        "other-shares": replace(genuine, key=replace(key, commitments=(*key.commitments[:-1], own))),
        "other-host-keys": replace(genuine, key=replace(key, host_keys=(*key.host_keys[:-1], own))),
        "holder-left-out": replace(genuine, key=replace(key, host_keys=key.host_keys[:-1])),
        "lower-threshold": replace(genuine, key=replace(key, threshold=1, commitments=key.commitments[:1])),
        "recovery-hash": replace(genuine, recovery_hash=others_entry.recovery_hash),
        "earlier-shares": replace(genuine, key=earlier.key.key, recovery_hash=earlier.key.recovery_hash),
        "statement-missing": replace(genuine, statements=genuine.statements[:-1]),
        "statement-twice": replace(genuine, statements=(*genuine.statements[:-1], first)),
        "statement-replayed": replace(genuine, statements=(*genuine.statements[:-1], earlier.statements[-1])),
        "statement-of-another-vault": replace(genuine, statements=(*genuine.statements[:-1], other.statements[-1])),
        "statement-forged": replace(
            genuine, statements=(*genuine.statements[:-1], replace(last, signature=os.urandom(64)))
        ),
        "trial-missing": replace(genuine, trials=genuine.trials[:-1]),
        "trial-twice": replace(genuine, trials=(genuine.trials[0],) * 2),
        "trial-forged": replace(
            genuine, trials=tuple(replace(one, signature=os.urandom(64)) for one in genuine.trials)
        ),
        "trial-of-another-vault": replace(genuine, trials=others_entry.trials),
        "wrong-vault": replace(genuine, vault=OTHER),
        "payments-order": replace(genuine, order_hash=withdrawals(rogue)[0][0].hash),
        "unknown-order": replace(genuine, order_hash=os.urandom(32)),
    }
    for step, entry in forged.items():
        await rogue.append([rogue.entry(entry)], step=step)


@cheat(
    "withheld-recovery", "Logs new shares and withholds what a holder needs to get its own back, or sends another's."
)
async def withheld_recovery(rogue: RogueLeader) -> None:
    made = await made_honestly(rogue)
    epoch, data = await epoch_of(rogue, made), made.key.recovery
    kept = [one for one in rogue.recovery if one != data]
    for step, given in (("withheld", []), ("garbled", [data[:-1] + bytes([data[-1] ^ 1])]), ("another", kept)):
        rogue.recovery = list(given)
        await rogue.append([rogue.entry(epoch)], step=step)
    rogue.recovery = [*kept, data]


# --- the epoch before -------------------------------------------------------------------------------------------------


@cheat(
    "earlier-epoch", "Asks for signatures by shares of the epoch before, once the next has begun, and begins it twice."
)
async def earlier_epoch(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await rogue.append_honestly(ordered(rogue, order))
    made = await made_honestly(rogue)
    epoch = await epoch_of(rogue, made)
    index, commitments = await rogue.append_honestly(
        pays(rogue, order, inputs=as_inputs(fresh_coins(rogue, HOT))), commit=True
    )
    pair = sorted(commitments)[:2]
    chosen = [commitments[name] for name in pair]
    await rogue.append_honestly(epoch)
    await rogue.release(index, chosen, to=pair, certificate=rogue.certificate, step="begun")
    await rogue.commit(index, step="begun-commit")
    await final(rogue)
    await rogue.release(index, chosen, to=pair, certificate=rogue.certificate, step="final")
    await rogue.append([rogue.entry(epoch)], step="again")
    for signer in rogue.links:
        if await rogue.ask(signer, pb.Deal(**made.attempt.place()), "deal-again") is not None:
            rogue.report.believed(signer, "it dealt a share for an epoch that has begun")
    await shown(rogue, made.attempt, made.attempt.all(), "receive-again")
    for item in (0, 1):
        await trial_nonce(rogue, made.attempt, (0, 1), item, "try-again")
