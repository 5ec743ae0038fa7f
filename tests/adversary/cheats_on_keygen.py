"""Cheats with key generation: views that differ, keys and lengths that were exchanged, and a vault that nobody made."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cheat_report import NothingToCheatWith, cheat
from rogue_leader import RogueLeader
from rogue_plans import withdrawals

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.crypto import chilldkg, frost
from strongroom.crypto.chilldkg_messages import CoordinatorMessage1
from strongroom.crypto.curve import GENERATOR, Point
from strongroom.crypto.secret import SecretScalar
from strongroom.ledger import codec
from strongroom.ledger.charter import decode_charter
from strongroom.ledger.entry_messages import MAX_RECOVERY_BYTES, Entry, Tick, Trial, Vault, VaultSignature
from strongroom.ledger.order_messages import CreateVault
from strongroom.ledger.records import OrderRecord, OrderState
from strongroom.ledger.state import decode_order
from strongroom.model.ids import OrderHash
from strongroom.protocol.keygen import KeygenTerms, MadeKey, trial_session
from strongroom.protocol.trials import covering_sets
from strongroom_signer.frames import MAX_ALL_RECOVERY

ORDERED, UNAPPROVED, BORN = "customer-cold", "customer-warm", "customer-slow"
"""Vaults that the tests order: one with its approvals, one whose last approval only the cheater has, and one with its
approvals that is born while one signer does not see it."""


def wanted_vault(rogue: RogueLeader, name: str) -> tuple[OrderRecord, CreateVault]:
    """The open order for a vault."""
    for record in rogue.state.open_orders():
        action = decode_order(record.order).action
        if isinstance(action, CreateVault) and action.name == name and record.state is OrderState.OPEN:
            return record, action
    raise NothingToCheatWith(f"nobody ordered a vault {name} that waits for its key")


@dataclass(frozen=True)
class Attempt:
    """An attempt that every signer has begun."""

    terms: KeygenTerms
    firsts: Mapping[str, bytes]

    def dealt(self, **other: bytes) -> tuple[chilldkg.CoordinatorState, bytes]:
        """The honest message for all, or one made of other first messages of some."""
        firsts = {**self.firsts, **other}
        return chilldkg.coordinator_step1([firsts[name] for name in self.terms.signers], self.terms.params)

    def parsed(self) -> CoordinatorMessage1:
        """The honest message for all, to be changed."""
        return CoordinatorMessage1.decode(self.dealt()[1], self.terms.params)

    def place(self) -> dict[str, bytes | int]:
        return {"order_hash": self.terms.order_hash, "attempt": self.terms.attempt}


async def begun(rogue: RogueLeader, name: str = ORDERED) -> Attempt:
    """Open an attempt at the ordered key, as an honest coordinator would."""
    # The order is final at the signers once they hold a certificate whose votes name one of this very term.
    for _ in range(3):
        await rogue.tick()
    record, wanted = wanted_vault(rogue, name)
    rogue.attempt += 1
    hosts = {signer.name: signer.host_key for signer in decode_charter(rogue.genesis.genesis.charter).signers}
    terms = KeygenTerms(
        log_id=rogue.log_id,
        order_hash=OrderHash(record.hash),
        attempt=rogue.attempt,
        signers=wanted.signers,
        host_keys=tuple(hosts[signer] for signer in wanted.signers),
        threshold=wanted.threshold,
    )
    firsts = {}
    for signer in wanted.signers:
        reply = await rogue.ask(signer, pb.KeygenRound1(order_hash=record.hash, attempt=terms.attempt), "keygen")
        if reply is None:
            raise NothingToCheatWith(f"{signer} began no key generation")
        firsts[signer] = reply.keygen_round1.message
    return Attempt(terms=terms, firsts=firsts)


async def second_round(
    rogue: RogueLeader, attempt: Attempt, messages: Mapping[str, bytes], *, step: str = "round2", honest: bool = True
) -> dict[str, bytes]:
    """Send each signer its message; signatures over the transcript. Who complains signs nothing."""
    given = {}
    for signer, message in messages.items():
        reply = await rogue.ask(signer, pb.KeygenRound2(**attempt.place(), message=message), step)
        if reply is None:
            continue
        if reply.WhichOneof("body") != "keygen_round2":
            rogue.report.say("complained", signer=signer, step=step)
            continue
        given[signer] = reply.keygen_round2.message
        if not honest:
            rogue.report.believed(signer, "it signed a transcript that was tampered with")
    return given


async def finished(rogue: RogueLeader, attempt: Attempt, certificate: bytes, *, step: str = "finish") -> None:
    """Show every signer a certificate that does not hold."""
    for signer in attempt.terms.signers:
        if await rogue.ask(signer, pb.KeygenFinish(**attempt.place(), message=certificate), step) is not None:
            rogue.report.believed(signer, "it stated that it holds a share of a key that was not agreed on")


# --- beginning --------------------------------------------------------------------------------------------------------


async def _ask_everyone(rogue: RogueLeader, order_hash: bytes, attempt: int, step: str) -> None:
    for signer in rogue.links:
        if await rogue.ask(signer, pb.KeygenRound1(order_hash=order_hash, attempt=attempt), step) is not None:
            rogue.report.believed(signer, "it began a key generation")


@cheat("no-order-keygen", "Starts a key generation that nobody ordered.")
async def no_order_keygen(rogue: RogueLeader) -> None:
    await _ask_everyone(rogue, os.urandom(32), 1, "keygen")


@cheat("payments-order-keygen", "Starts a key generation with the order of a payment.")
async def payments_order_keygen(rogue: RogueLeader) -> None:
    await _ask_everyone(rogue, withdrawals(rogue)[0][0].hash, 1, "keygen")


@cheat("unapproved-keygen", "Starts a key generation that was ordered and not approved.")
async def unapproved_keygen(rogue: RogueLeader) -> None:
    for _ in range(3):
        await rogue.tick()
    await _ask_everyone(rogue, wanted_vault(rogue, UNAPPROVED)[0].hash, 1, "keygen")


@cheat("unsettled-keygen", "Starts a key generation for an approval that the log may still lose.")
async def unsettled_keygen(rogue: RogueLeader) -> None:
    """Needs the last approval in the words given here."""
    await rogue.log_words()
    await _ask_everyone(rogue, wanted_vault(rogue, UNAPPROVED)[0].hash, 1, "keygen")


@cheat("attempt-again", "Has the signers begin one attempt twice, or go back to an earlier one.")
async def attempt_again(rogue: RogueLeader) -> None:
    attempt = await begun(rogue)
    for number, step in ((attempt.terms.attempt, "same"), (attempt.terms.attempt - 1, "earlier"), (0, "none")):
        await _ask_everyone(rogue, attempt.terms.order_hash, number, step)


@cheat("another-session", "Sends the messages of one key generation into another.")
async def another_session(rogue: RogueLeader) -> None:
    attempt = await begun(rogue)
    message = attempt.dealt()[1]
    other_attempt = replace(attempt, terms=replace(attempt.terms, attempt=attempt.terms.attempt + 1))
    other_order = replace(attempt, terms=replace(attempt.terms, order_hash=OrderHash(os.urandom(32))))
    for other, step in ((other_attempt, "other-attempt"), (other_order, "other-order")):
        await second_round(rogue, other, dict.fromkeys(attempt.terms.signers, message), step=step, honest=False)


# --- the message for all ----------------------------------------------------------------------------------------------


@cheat("split-views", "Shows the signers different messages, so that each of them generates another key.")
async def split_views(rogue: RogueLeader) -> None:
    """Each view holds together; only the certificate shows that they differ."""
    earlier = await begun(rogue)
    attempt = await begun(rogue)
    *others, last = attempt.terms.signers
    honest, split = attempt.dealt()[1], attempt.dealt(**{last: earlier.firsts[last]})[1]
    victim = others[-1]
    given = await second_round(
        rogue, attempt, {name: split if name == victim else honest for name in attempt.terms.signers}
    )
    if len(given) < len(attempt.terms.signers):
        raise NothingToCheatWith("the views do not hold together")
    await finished(rogue, attempt, b"".join(given[name] for name in attempt.terms.signers))


def _message_cheat(name: str, text: str, change: Callable[[Attempt], bytes]) -> None:
    """A cheat that sends every signer one message that does not hold, and then tries to finish all the same."""

    async def run(rogue: RogueLeader) -> None:
        attempt = await begun(rogue)
        message = change(attempt)
        *others, last = attempt.terms.signers
        await second_round(rogue, attempt, dict.fromkeys(others, message), honest=False)
        # The last one is whose part was tampered with, where a part was.
        await second_round(rogue, attempt, {last: message}, step="round2-last", honest=False)
        await finished(rogue, attempt, os.urandom(64 * len(attempt.terms.signers)))

    cheat(name, text)(run)


def _changed(attempt: Attempt, **parts: Sequence[object]) -> bytes:
    return replace(attempt.parsed(), **{key: tuple(value) for key, value in parts.items()}).encode()  # type: ignore[arg-type] - by name


def _rogue_key(attempt: Attempt) -> bytes:
    """The last commitment cancels the others, so that the sum is a key of the cheater's own."""
    message = attempt.parsed()
    *others, _ = message.constant_terms
    own = Point.public_of(SecretScalar.generate(os.urandom))
    cancelling = Point.sum([own, *(-point for point in others)])
    return replace(message, constant_terms=(*others, cancelling)).encode()


def _own_participant(attempt: Attempt) -> bytes:
    """The last participant's part dealt by the cheater, with a host key of its own in the place of that one's."""
    host_key = SecretScalar.generate(os.urandom)
    params = replace(attempt.terms.params, hostpubkeys=(*attempt.terms.host_keys[:-1], host_key.public()))
    _, first = chilldkg.participant_step1(host_key, params, os.urandom(32))
    return attempt.dealt(**{attempt.terms.signers[-1]: first})[1]


def _twice(attempt: Attempt) -> bytes:
    names = attempt.terms.signers
    return attempt.dealt(**{names[-1]: attempt.firsts[names[0]]})[1]


def _without_last(attempt: Attempt) -> bytes:
    message = attempt.parsed()
    parts = ("constant_terms", "pops", "pubnonces", "encrypted_shares")
    return _changed(attempt, **{part: getattr(message, part)[:-1] for part in parts})


def _with_other_shares(attempt: Attempt) -> bytes:
    shares = attempt.parsed().encrypted_shares
    return _changed(attempt, encrypted_shares=[share ^ 1 for share in shares])


_message_cheat(
    "raise-threshold",
    "Smuggles one more term into a key generation, so that the coins could never be spent.",
    lambda attempt: _changed(attempt, other_terms=[*attempt.parsed().other_terms, GENERATOR]),
)
_message_cheat(
    "lower-threshold",
    "Takes a term out of a key generation, so that one signer alone could spend the coins.",
    lambda attempt: _changed(attempt, other_terms=attempt.parsed().other_terms[:-1]),
)
_message_cheat("rogue-key", "Exchanges one part of a key so that the cheater alone knows the whole.", _rogue_key)
_message_cheat("substituted-host-key", "Takes part in a key generation in a signer's place.", _own_participant)
_message_cheat("participant-twice", "Counts one signer's part of a key twice and leaves another's out.", _twice)
_message_cheat("missing-participant", "Leaves one signer's part out of a key generation.", _without_last)
_message_cheat(
    "swapped-proofs",
    "Exchanges the proofs by which two signers show that they know their part.",
    lambda attempt: _changed(attempt, pops=attempt.parsed().pops[::-1]),
)
_message_cheat("wrong-shares", "Changes the encrypted shares on their way.", _with_other_shares)
_message_cheat(
    "junk-round", "Sends random bytes of the right length.", lambda attempt: os.urandom(len(attempt.dealt()[1]))
)


@cheat("replayed-round", "Sends the signers the messages of an earlier attempt at the same key.")
async def replayed_round(rogue: RogueLeader) -> None:
    earlier = await begun(rogue)
    attempt = await begun(rogue)
    message = earlier.dealt()[1]
    await second_round(rogue, attempt, dict.fromkeys(attempt.terms.signers, message), honest=False)


@cheat("finish-first", "Asks for statements and trial signatures of a key that is not agreed on yet.")
async def finish_first(rogue: RogueLeader) -> None:
    attempt = await begun(rogue)
    await finished(rogue, attempt, os.urandom(64 * len(attempt.terms.signers)))
    for signer in attempt.terms.signers[:2]:
        frame = pb.TrialCommit(**attempt.place(), signers=(0, 1))
        if await rogue.ask(signer, frame, "trial") is not None:
            rogue.report.believed(signer, "it tried a key that does not exist")


@cheat("false-transcript", "Certifies a key with signatures that the signers gave for another, or did not give.")
async def false_transcript(rogue: RogueLeader) -> None:
    attempt, message = await _agreed(rogue)
    earlier = await second_round(rogue, attempt, dict.fromkeys(attempt.terms.signers, message))
    attempt, message = await _agreed(rogue)
    given = await second_round(rogue, attempt, dict.fromkeys(attempt.terms.signers, message))
    ordered = [given[name] for name in attempt.terms.signers]
    await finished(rogue, attempt, b"".join(earlier[name] for name in attempt.terms.signers), step="replayed")
    await finished(rogue, attempt, b"".join([*ordered[:-1], os.urandom(64)]), step="forged")
    await finished(rogue, attempt, b"".join([*ordered[:-1], ordered[0]]), step="twice")
    await finished(rogue, attempt, b"".join(ordered[:-1]), step="missing")


async def _agreed(rogue: RogueLeader) -> tuple[Attempt, bytes]:
    attempt = await begun(rogue)
    return attempt, attempt.dealt()[1]


# --- an honest key, and what can be forged of it ----------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """A key that the signers hold shares of, before it is logged."""

    attempt: Attempt
    key: MadeKey
    statements: tuple[VaultSignature, ...]


async def made_honestly(rogue: RogueLeader, name: str = ORDERED) -> Made:
    """Generate a key as an honest coordinator would, up to the trials."""
    attempt = await begun(rogue, name)
    dealt, message = attempt.dealt()
    names = attempt.terms.signers
    given = await second_round(rogue, attempt, dict.fromkeys(names, message))
    certificate, output, data = chilldkg.coordinator_finalize(dealt, [given[name] for name in names])
    key = MadeKey.of(output, attempt.terms.params, data)
    rogue.recovery.append(key.recovery)
    statements = []
    for signer in names:
        reply = await rogue.ask(signer, pb.KeygenFinish(**attempt.place(), message=certificate), "keygen")
        if reply is None:
            raise NothingToCheatWith(f"{signer} finished no key generation")
        statements.append(VaultSignature(signer=signer, signature=reply.keygen_finish.statement_signature))
    return Made(attempt=attempt, key=key, statements=tuple(statements))


async def trial_nonce(rogue: RogueLeader, made: Made, subset: tuple[int, ...], identifier: int, step: str) -> bytes:
    """A signer's nonce for one trial; empty when it refuses."""
    frame = pb.TrialCommit(**made.attempt.place(), signers=subset)
    reply = await rogue.ask(made.attempt.terms.signers[identifier], frame, step)
    return b"" if reply is None else reply.trial_commit.nonce


async def trial_share(
    rogue: RogueLeader, made: Made, subset: tuple[int, ...], nonces: Sequence[bytes], identifier: int, step: str
) -> bytes:
    """A signer's share of one trial; empty when it refuses."""
    frame = pb.TrialSign(**made.attempt.place(), signers=subset, nonces=nonces)
    reply = await rogue.ask(made.attempt.terms.signers[identifier], frame, step)
    return b"" if reply is None else reply.trial_sign.share


async def tried(rogue: RogueLeader, made: Made) -> tuple[Trial, ...]:
    """The honest trial signatures."""
    terms, trials = made.attempt.terms, []
    for subset in covering_sets(range(len(terms.signers)), terms.threshold):
        nonces = [await trial_nonce(rogue, made, subset, item, "keygen") for item in subset]
        shares = [await trial_share(rogue, made, subset, nonces, item, "keygen") for item in subset]
        session = trial_session(terms, made.key, subset, nonces)
        trials.append(Trial(signers=subset, signature=frost.aggregate(shares, session)))
    return tuple(trials)


@cheat("misused-trials", "Misuses the one signature that is given without a payment: twice, for others, with others.")
async def misused_trials(rogue: RogueLeader) -> None:
    made = await made_honestly(rogue)
    subset, other = (0, 1), (0, 2)
    for item in other:
        if await trial_nonce(rogue, made, other, item, "other-subset"):
            rogue.report.believed(str(item), "it made a nonce for a subset that tries nothing")
    await trial_nonce(rogue, made, subset, 2, "not-in-subset")
    nonces = [await trial_nonce(rogue, made, subset, item, "keygen") for item in subset]
    await trial_share(rogue, made, subset, nonces, 0, "keygen")
    for step, wanted, given in (
        ("twice", subset, nonces),
        ("uncommitted", other, nonces),
        ("exchanged", subset, [nonces[1], nonces[0]]),
    ):
        for item in (0,) if step != "exchanged" else (1,):
            if await trial_share(rogue, made, wanted, given, item, step):
                rogue.report.believed(str(item), f"it gave a trial share: {step}")
    # A nonce that met a list without itself is gone: it does not come back for the right one.
    if await trial_share(rogue, made, subset, nonces, 1, "after-exchanged"):
        rogue.report.believed("1", "it gave a trial share under a nonce that was used")


def _of_the_cheaters_own(rogue: RogueLeader, made: Made) -> MadeKey:
    """A key that the cheater generated alone, all three parts in its hands."""
    terms = made.attempt.terms
    keys = [SecretScalar.generate(os.urandom) for _ in terms.signers]
    params = chilldkg.SessionParams(hostpubkeys=tuple(key.public() for key in keys), t=terms.threshold)
    first = [chilldkg.participant_step1(key, params, os.urandom(32)) for key in keys]
    dealt, message = chilldkg.coordinator_step1([sent for _, sent in first], params)
    second = [
        chilldkg.participant_step2(key, state, message, os.urandom(32))[1]
        for key, (state, _) in zip(keys, first, strict=True)
    ]
    _, output, data = chilldkg.coordinator_finalize(dealt, second)
    key = MadeKey.of(output, params, data)
    rogue.recovery.append(key.recovery)
    return key


def _logged_vault(rogue: RogueLeader) -> Vault:
    """A vault's entry of the log."""
    for data in rogue.entries:
        body = codec.decode(Entry, data).body
        if isinstance(body, Vault):
            return body
    raise NothingToCheatWith("the log holds no vault")


async def _entry_of(rogue: RogueLeader, made: Made) -> Vault:
    """The entry with which an honest coordinator logs a key."""
    return Vault(
        order_hash=made.attempt.terms.order_hash,
        key=made.key.key,
        recovery_hash=made.key.recovery_hash,
        statements=made.statements,
        trials=await tried(rogue, made),
    )


@cheat("forged-vault", "Logs a vault whose key is another than the signers made, or that they did not all confirm.")
async def forged_vault(rogue: RogueLeader) -> None:
    earlier = await made_honestly(rogue)
    made = await made_honestly(rogue)
    genuine = await _entry_of(rogue, made)
    first, *_, last = genuine.statements
    other, own = _logged_vault(rogue), _of_the_cheaters_own(rogue, made)
    forged = {
        "cheaters-key": replace(genuine, key=own.key, recovery_hash=own.recovery_hash),
        "cheaters-shares": replace(genuine, recovery_hash=own.recovery_hash),
        "another-vaults-key": replace(genuine, key=other.key, recovery_hash=other.recovery_hash),
        "earlier-key": replace(genuine, key=earlier.key.key, recovery_hash=earlier.key.recovery_hash),
        "junk-key": replace(genuine, key=replace(genuine.key, commitments=(os.urandom(33), os.urandom(33)))),
        "statement-missing": replace(genuine, statements=genuine.statements[:-1]),
        "statement-twice": replace(genuine, statements=(*genuine.statements[:-1], first)),
        "statement-of-another-order": replace(genuine, statements=(*genuine.statements[:-1], other.statements[-1])),
        "statement-forged": replace(
            genuine, statements=(*genuine.statements[:-1], replace(last, signature=os.urandom(64)))
        ),
        "trial-missing": replace(genuine, trials=genuine.trials[:-1]),
        "trial-twice": replace(genuine, trials=(genuine.trials[0],) * 2),
        "trial-forged": replace(
            genuine, trials=tuple(replace(one, signature=os.urandom(64)) for one in genuine.trials)
        ),
        "trial-of-another-vault": replace(genuine, trials=other.trials),
        "payments-order": replace(genuine, order_hash=withdrawals(rogue)[0][0].hash),
        "unknown-order": replace(genuine, order_hash=os.urandom(32)),
    }
    for step, vault in forged.items():
        await rogue.append([rogue.entry(vault)], step=step)


# --- the recovery data beside an honest key ---------------------------------------------------------------------------


def _unfit(genuine: bytes, others: Sequence[bytes]) -> dict[str, list[bytes]]:
    """What is sent in the place of a vault's recovery data, each within the bounds of a frame."""
    return {
        "withheld": [],
        "another-vaults": list(others),
        "random": [os.urandom(len(genuine))],
        "cut-off": [genuine[:-1]],
        "prolonged": [genuine + b"\x00"],
        "largest": [os.urandom(MAX_RECOVERY_BYTES) for _ in range(MAX_ALL_RECOVERY // MAX_RECOVERY_BYTES)],
    }


async def _say_kept(rogue: RogueLeader, born: bytes, lies: Mapping[str, Sequence[bytes]]) -> None:
    """Ask every signer for the data of the vault that was born, and for whatever was sent in its place."""
    others = {hashlib.sha256(data).digest() for data in rogue.recovery}
    sent = {hashlib.sha256(given[-1]).digest() for given in lies.values() if given}
    for signer in rogue.links:
        reply = await rogue.ask(signer, pb.FetchRecovery(hashes=sorted({born} | sent - others)), "kept")
        found = [] if reply is None else reply.recovery_data.recovery_data
        rogue.report.say("kept", signer=signer, hashes=[hashlib.sha256(data).hexdigest() for data in found])


@cheat("vault-without-recovery", "Logs an honest key without the data from which words on paper would give it back.")
async def vault_without_recovery(rogue: RogueLeader) -> None:
    """The data lies beside the log: the entry names only its hash, so that nothing is wrong with the entry."""
    others = list(rogue.recovery)
    earlier = await made_honestly(rogue)
    made = await made_honestly(rogue)
    genuine, index = await _entry_of(rogue, made), len(rogue.entries)
    lies = {**_unfit(made.key.recovery, [*others, earlier.key.recovery]), **_oversized(made.key.recovery)}
    for step, sent in lies.items():
        rogue.recovery = sent
        await rogue.append([rogue.entry(genuine)], step=step)
    # The entry is not in anybody's log, and the next one takes its place.
    rogue.recovery = others
    await rogue.tick()
    if len(rogue.entries) != index + 1:
        raise NothingToCheatWith("the entry was logged after all")
    await _say_kept(rogue, made.key.recovery_hash, lies)


def _oversized(genuine: bytes) -> dict[str, list[bytes]]:
    """The right data, buried in more than a frame may hold, or beside a piece of more than a piece may have."""
    piece = bytes(MAX_RECOVERY_BYTES)
    return {
        "too-long": [genuine, piece + b"\x00"],
        "too-many": [genuine, *[piece] * (MAX_ALL_RECOVERY // MAX_RECOVERY_BYTES + 1)],
        "empty-piece": [genuine, b""],
    }


@cheat(
    "lies-to-who-catches-up", "Shows one signer a vault that it missed, and gives it anything but its recovery data."
)
async def lies_to_who_catches_up(rogue: RogueLeader) -> None:
    """Two signers hold the data and vote; the third gets every entry, and may not go on without the data."""
    *two, third = sorted(rogue.links)
    others = list(rogue.recovery)
    made = await made_honestly(rogue, BORN)
    await rogue.append_honestly(await _entry_of(rogue, made), to=two)
    certificate = rogue.certificate
    rogue.recovery = others
    lies = {**_unfit(made.key.recovery, others), **_oversized(made.key.recovery)}
    entries = [rogue.entry(Tick())]
    try:
        for step, given in lies.items():
            rogue.served_recovery, rogue.certificate = given, certificate
            await rogue.append(entries, to=[third], step=step)
            # Without the certificate nothing tells it to fetch: it knows by itself what it lacks.
            rogue.certificate = None
            await rogue.append(entries, to=[third], step=f"{step}-vote")
    finally:
        rogue.served_recovery, rogue.certificate = None, certificate
    rogue.report.say("born", hash=made.key.recovery_hash.hex(), behind=third)
    await _say_kept(rogue, made.key.recovery_hash, lies)
