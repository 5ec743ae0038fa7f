"""The recovery kit turned against its owners: by who carries the files, holders, people, and old copies."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import charter_builder as builder
import strongroom_client.cli.recovery_kit as commands
from charter_builder import RECOVERY, host_secret
from fake_treasury import CertifiedWorld
from kit_office import KitOffice
from kit_world import VAULT, Kit, changed
from ledger_world import World, sign
from refusals import refusal_of
from strongroom.crypto.errors import NonceAlreadyUsed
from strongroom.crypto.seed_words import words_of
from strongroom.ledger import codec
from strongroom.ledger.charter import Group
from strongroom.ledger.entry_messages import Epoch, Tick, Vault, VaultSignature
from strongroom.ledger.key_material import key_hash
from strongroom.ledger.reasons import Refused
from strongroom.ledger.signed_messages import VaultStatement, Verb
from strongroom.protocol.backup import ShareNotRecovered
from strongroom.protocol.certificates import held_of
from strongroom.protocol.recovery_kit_files import read_plan_file, write_plan_file
from strongroom.protocol.recovery_kit_order import SweepOrderRefused, judge_sweep
from strongroom.protocol.recovery_kit_plan import SweepPlanRefused, check_plan
from strongroom.protocol.recovery_kit_records import SweepCommitments, SweepPlan, SweepShares
from strongroom.protocol.recovery_kit_rounds import NotThisHolder, SweepLiar, SweepSetMismatch, combine, holder_share
from strongroom.protocol.recovery_kit_words import COMMITMENTS, SHARES, BadWord, sign_word
from strongroom.protocol.signed import SignedBody

COURIER = "Bybit 2025: what signers saw was not what they signed; here whoever carries the files is in the middle"
OWN_LOG = "on paper: a genuine vault shown in a log of the attacker's own, under administrators of the attacker's own"
SWAPPED = "on paper: nonces swapped on the way, to learn a share or to blame an honest holder"
NONCES = "PlayStation 3 2010 and wallets since: two signatures under one nonce give the key"
CHEATS = "GG18 and GG20 implementations 2023: a cheat that nobody can name"
ROGUE = "Drijvers et al. 2019: nonces chosen after the others' were seen"
OLD = "on paper: holders are shown an old log, in which other people administer and other shares are in force"
UNREADABLE = "on paper: a lie that is stored makes what honest people rely on unreadable for ever"
BUYERS = "on paper: sheets of words are bought one by one, over years"
EMERGENCY = "on paper: an emergency power that passes every brake is the best one to steal"
LEFTOVERS = "cold-boot and disk forensics: what a tool wrote stays on the machine that ran it once"


def attack(line: str, title: str, origin: str) -> Any:
    return pytest.mark.attack(line=line, title=f"recovery kit: {title}", origin=origin)


@pytest.fixture(scope="module")
def kit() -> Kit:
    return Kit.started()


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KitOffice:
    monkeypatch.setattr(commands, "harden", lambda: None)
    opened = KitOffice.opened(tmp_path)
    opened.ordered()
    return opened


# --- whoever carries the files ---------------------------------------------------------------------------------------


def pays_elsewhere(plan: SweepPlan) -> SweepPlan:
    return replace(plan, destination=RECOVERY)


def burns_coins(plan: SweepPlan) -> SweepPlan:
    return replace(plan, amount_sat=plan.amount_sat - 50_000)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(
            pays_elsewhere, "the order names", marks=attack("coordinator", "a plan that pays another address", COURIER)
        ),
        pytest.param(burns_coins, "a fee of", marks=attack("coordinator", "a plan that burns coins as a fee", COURIER)),
    ],
)
def test_a_plan_that_was_changed_on_the_way_is_not_signed(
    office: KitOffice, change: Callable[[SweepPlan], SweepPlan], why: str
) -> None:
    file = office.root / "plan.json"
    file.write_bytes(write_plan_file(changed(read_plan_file(file.read_bytes()), change)))
    assert why in office.sign("s1", code=4).stderr
    assert not list((office.root / "exchange").iterdir())


@attack("coordinator", "a plan shown with another transaction beside it", COURIER)
def test_a_plan_file_cannot_show_one_transaction_and_sign_another(office: KitOffice) -> None:
    file = office.root / "plan.json"
    opened = read_plan_file(file.read_bytes())
    other = json.loads(write_plan_file(changed(opened, burns_coins)))
    file.write_text(json.dumps({**json.loads(file.read_bytes()), "psbt": other["psbt"]}))
    assert "psbt: is not that of the plan" in office.sign("s1", code=1).stderr


@attack("coordinator", "an order whose address was changed after its approval", COURIER)
def test_an_approval_is_of_the_exact_order(kit: Kit) -> None:
    approvals = kit.approvals(kit.order())
    with pytest.raises(SweepOrderRefused, match="of another order"):
        judge_sweep(kit.world.state, kit.order(destination=RECOVERY), approvals, now_ms=kit.world.time_ms)


@attack("coordinator", "commitments swapped, replayed or made up on the way", SWAPPED)
def test_swapped_commitments_give_no_share_and_blame_nobody(kit: Kit) -> None:
    opened = kit.plan()
    earlier, _ = kit.signed(opened)
    forged = SignedBody(body=earlier["s3"].body, signature=bytes(64))
    for other, error in ((forged, BadWord), (earlier["s1"], BadWord)):
        with kit.holder(opened, "s1") as holder, pytest.raises(error):
            holder.shares({"s1": holder.commitments, "s3": other}, aux32=bytes(32))
    with kit.holder(opened, "s1") as holder, pytest.raises(SweepSetMismatch):
        holder.shares(earlier, aux32=bytes(32))
    # A true word of an earlier attempt passes for one holder: what it signs then fits nobody's share.
    with kit.holder(opened, "s1") as first, kit.holder(opened, "s3") as third:
        tricked = first.shares({"s1": first.commitments, "s3": earlier["s3"]}, aux32=bytes(32))
        words = {"s1": first.commitments, "s3": third.commitments}
        with pytest.raises(SweepSetMismatch, match="s1 made its shares over other commitments of s3"):
            combine(opened, words, {"s1": tricked, "s3": third.shares(words, aux32=bytes(32))})


@attack("coordinator", "an old exported log shown to the holders", OLD)
def test_an_old_log_is_told_by_the_compared_head_and_by_the_approvals(office: KitOffice) -> None:
    old = office.export(name="old")
    office.world.log(Tick())
    office.export()
    assert "it is an old one" in office.sign("s1", code=4, log=str(old)).stderr
    # Even where nobody compared a newer head: an administrator saw a longer log than the holder is shown.
    head = f"{json.loads(office.run('describe', '--log', str(old), '--json').stdout)['certified_head']}"
    office.order(name="order-2.json")
    office.approve("alice", name="order-2.json")
    done = office.sign("s1", code=4, log=str(old), head=head, order=office.path("order-2.json"))
    assert "newest exported log" in done.stderr


def of_the_couriers_own() -> World:
    """A log of the same organisation and names; of the signers' keys only the public host keys are the real ones."""
    signers = (
        replace(builder.signer(f"courier-{name}"), name=name, host_key=host_secret(name).public())
        for name in ("s1", "s2", "s3")
    )
    world = World(charter=builder.charter(signers=tuple(signers), salt=bytes(32)), label="courier")
    world.log(world.genesis())
    return world


def shown_in(world: World, order: bytes, made: Vault | Epoch) -> Vault:
    """The entry that shows this key as the vault which an order of this log asks for."""

    def stated(name: str) -> VaultSignature:
        said = VaultStatement(
            log_id=world.log_id,
            order_hash=order,
            recovery_hash=made.recovery_hash,
            key_hash=key_hash(made.key),
            signer=name,
        )
        return VaultSignature(signer=name, signature=sign("vault", said, f"courier-{name} vote").signature)

    statements = tuple(map(stated, ("s1", "s2", "s3")))
    return Vault(
        order_hash=order,
        key=made.key,
        recovery_hash=made.recovery_hash,
        statements=statements,
        trials=made.trials,
    )


@attack("coordinator", "a log of somebody's own with the real vault in it", OWN_LOG)
def test_no_log_but_its_own_can_show_a_vault() -> None:
    """All that an export gives away is copied; the trials, which take t shares, name the log they were made for."""
    real, forged = World.started(), of_the_couriers_own()
    first = real.vault_entry(real.submit(real.creation(VAULT), "carol", "alice", "bob"))
    real.log(first)
    second = real.epoch_entry(real.refreshing(VAULT), VAULT)
    real.log(second)
    order = forged.submit(forged.creation(VAULT), "carol", "alice", "bob")
    for made in (first, second):
        assert refusal_of(forged, shown_in(forged, order, made)) == "BAD_SIGNATURE"
    # Nothing but the trials stands in the way of it, and only holders can make them.
    trials = real.generated[VAULT].tried(forged.log_id, order)
    forged.log(replace(shown_in(forged, order, first), trials=trials))


# --- holders ---------------------------------------------------------------------------------------------------------


@attack("holders", "a holder that gives a wrong share", CHEATS)
def test_a_wrong_share_is_named_by_its_holder_s_own_signature(kit: Kit) -> None:
    opened = kit.plan()
    commitments, shares = kit.signed(opened)
    good = codec.decode(SweepShares, shares["s3"].body)
    lie = replace(good, shares=(good.shares[0], bytes(31) + b"\1"))
    with pytest.raises(SweepLiar) as caught:
        combine(opened, commitments, {**shares, "s3": sign_word(SHARES, lie, host_secret("s3"), bytes(32))})
    assert caught.value.culprits == {"s3"}


@attack("holders", "a holder that commits to what cancels the others' nonces", ROGUE)
def test_a_nonce_chosen_against_the_others_gives_its_author_nothing(kit: Kit) -> None:
    opened = kit.plan()
    with kit.holder(opened, "s1") as holder, kit.holder(opened, "s3") as liar:
        honest = codec.decode(SweepCommitments, holder.commitments.body)
        negated = tuple(_negated(nonce[:33]) + _negated(nonce[33:]) for nonce in honest.nonces)
        lie = replace(codec.decode(SweepCommitments, liar.commitments.body), nonces=negated)
        words = {"s1": holder.commitments, "s3": sign_word(COMMITMENTS, lie, host_secret("s3"), bytes(32))}
        share = holder.shares(words, aux32=bytes(32))
        with pytest.raises(NonceAlreadyUsed):
            holder.shares(words, aux32=bytes(32))
        with pytest.raises((SweepLiar, SweepSetMismatch)):
            combine(opened, words, {"s1": share, "s3": liar_shares(kit, opened, words)})


def _negated(point: bytes) -> bytes:
    return bytes([point[0] ^ 1]) + point[1:]


def liar_shares(kit: Kit, opened: Any, words: dict[str, SignedBody]) -> SignedBody:
    """Any shares, over the very commitments: the liar does not know the nonces behind its own."""
    word = codec.decode(SweepCommitments, words["s3"].body)
    honest = kit.signed(opened)[1]["s3"]
    hashes = tuple(sha256(words[name].body).digest() for name in opened.names)
    made = replace(codec.decode(SweepShares, honest.body), session=word.session, commitments_hashes=hashes)
    return sign_word(SHARES, made, host_secret("s3"), bytes(32))


@attack("holders", "a holder shows each of the others other commitments, so that one of them looks guilty", CHEATS)
def test_two_sets_of_commitments_are_told_as_those_of_their_author() -> None:
    world = World.started(witness_quorum=3)
    world.make_vault(VAULT, threshold=3)
    kit = Kit(world)
    opened = kit.plan(signers=("s1", "s2", "s3"))
    first, second, shown, other = (kit.holder(opened, name) for name in ("s1", "s2", "s3", "s3"))
    to_first = {"s1": first.commitments, "s2": second.commitments, "s3": shown.commitments}
    to_second = {**to_first, "s3": other.commitments}
    words = {
        "s1": first.shares(to_first, aux32=bytes(32)),
        "s2": second.shares(to_second, aux32=bytes(32)),
        "s3": other.shares(to_second, aux32=bytes(32)),
    }
    shown.wipe()
    for beside in (to_first, to_second):
        with pytest.raises(SweepSetMismatch) as caught:
            combine(opened, beside, words)
        assert caught.value.facts["whose"] == "s3"


@attack("holders", "a signer's vote names a certificate that never was, and makes the log unreadable", UNREADABLE)
def test_one_lying_vote_makes_no_export_unreadable(office: KitOffice) -> None:
    world = office.world
    assert isinstance(world, CertifiedWorld)
    held = held_of(world.newest)
    size = world.log(Tick()).size
    head = world.certificates[size].head
    honest = world.certify(head, held, ("s1", "s3"))
    lying = world.certify(head, replace(held, head_hash=bytes(32)), ("s1", "s3"))
    world.certificates[size] = replace(honest, votes=(honest.votes[0], lying.votes[1]))
    world.settle(Tick())
    office.export()
    told = json.loads(office.run("describe", "--log", str(office.log), "--json").stdout)
    claim = {"signer": "s3", "votes": 1, "size": size, "claimed_size": size - 1}
    assert (told["certified_head"], told["false_claims"]) == (office.head, [claim])
    assert "the vote of s3" in office.run("describe", "--log", str(office.log)).stdout
    done = office.sign("s1", code=4, timeout="1s")
    assert "did not come in time" in done.stderr
    assert (office.root / "exchange" / "s1.commitments").exists()


@attack("holders", "words of an epoch that is over", BUYERS)
def test_old_words_sign_nothing_once_new_shares_are_in_force() -> None:
    kit = Kit.started()
    before = kit.vault, kit.recovery
    stale = holder_share(before[0], "s1", host_secret("s1"), before[1])
    judged = kit.judged()
    opened = kit.plan(judged)
    kit.refreshed()
    with pytest.raises(ShareNotRecovered, match="not the one that the log names"):
        holder_share(kit.vault, "s1", host_secret("s1"), before[1])
    now = kit.judged()
    with pytest.raises(SweepPlanRefused, match="of epoch 1"):
        check_plan(
            changed(opened, lambda plan: replace(plan, order_hash=now.hash)), kit.vault, now, log_id=kit.world.log_id
        )
    with pytest.raises(NotThisHolder, match="another public share for s1"):
        kit.holder(kit.plan(now), "s1", share=stale)


# --- people ----------------------------------------------------------------------------------------------------------


@attack("person", "one administrator sweeps a vault", EMERGENCY)
def test_one_administrator_is_not_enough(office: KitOffice) -> None:
    office.order(name="alone.json")
    office.approve("alice", name="alone.json")
    assert "alice approves twice" in office.approve("alice", name="alone.json", code=4).stderr
    done = office.sign("s1", code=4, order=office.path("alone.json"))
    assert "1 more of the administrators must approve" in done.stderr


@attack("person", "an administrator approves after having been removed", OLD)
def test_a_removed_administrator_counts_no_more() -> None:
    kit = Kit.started()
    charter = kit.world.state.charter
    groups = tuple(
        Group(name=group.name, members=tuple(name for name in group.members if name != "bob" or group.name != "admins"))
        for group in charter.groups
    )
    kit.world.amend("alice", "carol", groups=groups)
    kit.world.later(charter.loosening_delay_ms)
    kit.world.log(Tick())
    order = kit.order()
    said = kit.approvals(order, "alice", "bob")
    with pytest.raises(SweepOrderRefused, match="bob is not of group admins"):
        judge_sweep(kit.world.state, order, said, now_ms=kit.world.time_ms)


@attack("approval-quorum", "everybody who approves payments sweeps a vault", EMERGENCY)
def test_those_who_approve_payments_do_not_sweep(kit: Kit) -> None:
    order = kit.order()
    with pytest.raises(SweepOrderRefused, match="dave is not of group admins"):
        judge_sweep(
            kit.world.state,
            order,
            [kit.world.endorsement("dave", Verb.APPROVE, order)],
            now_ms=kit.world.time_ms,
        )


@attack("admin-quorum", "an order for the kit logged while the log goes on, past every delay", EMERGENCY)
def test_a_log_that_goes_on_takes_no_sweep(kit: Kit) -> None:
    with pytest.raises(Refused) as caught:
        kit.world.log(kit.world.order_entry(kit.order(), "carol", "alice", "bob"))
    assert caught.value.reason == "ORDER_NEVER_LOGGED"


# --- machines --------------------------------------------------------------------------------------------------------


@attack("machine", "a holder made to sign twice with the same nonces", NONCES)
def test_no_nonce_signs_two_plans(kit: Kit) -> None:
    opened = kit.plan()
    with kit.holder(opened, "s1") as holder, kit.holder(opened, "s3") as other, kit.holder(opened, "s3") as again:
        holder.shares({"s1": holder.commitments, "s3": other.commitments}, aux32=bytes(32))
        with pytest.raises(NonceAlreadyUsed):
            holder.shares({"s1": holder.commitments, "s3": again.commitments}, aux32=bytes(32))


@attack("machine", "what a machine keeps after it signed once", LEFTOVERS)
def test_nothing_secret_is_left_on_the_machine(office: KitOffice) -> None:
    opened = read_plan_file((office.root / "plan.json").read_bytes())
    with office.kit.holder(opened, "s3") as other:
        folder = office.root / "exchange"
        signed = {"body": other.commitments.body.hex(), "signature": other.commitments.signature.hex()}
        content = {"kind": "strongroom-sweep-commitments", "v": 1, **signed}
        (folder / "s3.commitments").write_text(json.dumps(content))
        shown = office.sign("s1").output
    with holder_share(office.kit.vault, "s1", host_secret("s1"), office.kit.recovery) as share:
        secrets = [host_secret("s1").expose(), share.expose()]
    words = words_of(builder.host_secret("s1"))
    for text in (shown.encode(), *(path.read_bytes() for path in office.root.rglob("*") if path.is_file())):
        assert not [one for one in secrets if one in text or one.hex().encode() in text]
        assert not [word for word in words if f" {word} ".encode() in text]
    assert opened.plan.vault == VAULT
