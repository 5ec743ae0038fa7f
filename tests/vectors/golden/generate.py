"""Write the golden log of rule set 1: every kind of entry, refusals with their codes, heads and state digests.

    python tests/vectors/golden/generate.py            # writes rule-set-1.json beside this file

Keys, randomness and times are fixed, so the file is the same in every run. Once a release carries rule set 1, its
golden log never changes again: every later release replays it to the same digests.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "support"))

import charter_builder as builder  # noqa: E402
from handover_world import HandoverWorld, signer  # noqa: E402
from ledger_world import DAY_MS, Body, Coin, World  # noqa: E402
from restart_world import RestartWorld  # noqa: E402
from strongroom.ledger import codec  # noqa: E402
from strongroom.ledger.charter import log_id_of  # noqa: E402
from strongroom.ledger.entry_messages import Entry, OrderEntry, Plan, Tick  # noqa: E402
from strongroom.ledger.order_messages import Freeze, RefreshShares, ReinstateSigner, Scope, Unfreeze  # noqa: E402
from strongroom.ledger.reasons import Refused  # noqa: E402
from strongroom.ledger.replica import Batch, Replica  # noqa: E402
from strongroom.ledger.signed_messages import Verb  # noqa: E402
from strongroom.ledger.state import decode_order  # noqa: E402

FILE = HERE / "rule-set-1.json"
VAULT = "customer-1"
MINUTE_MS = 60_000


class Recorder:
    """Logs into a world and writes down what happened."""

    def __init__(self) -> None:
        # Rules as they were, and one for the address book; with the quorums that it and break-glass ask for.
        rules = (builder.rule(), builder.book_rule())
        charter = builder.charter(**builder.recovery_parts(rules=rules))
        self.world = World(label="golden log", charter=charter)
        self.refused: list[dict[str, Any]] = []

    def refuse(self, body: Body) -> None:
        """Write down an entry that is refused at this place."""
        self.refuse_entry(self.world.entry(body), self.world.replica)

    def refuse_entry(self, entry: bytes, replica: Replica) -> None:
        """The same for an entry that was made elsewhere, by a replica of the same log."""
        size = replica.size
        try:
            replica.preview(Batch(first_index=size, entries=(entry,)))
        except Refused as refusal:
            self.refused.append({"at_size": size, "code": refusal.reason, "kind": kind_of(entry), "entry": entry.hex()})
            return
        raise RuntimeError(f"{kind_of(entry)} at {size} was not refused")

    def document(self) -> dict[str, Any]:
        world = self.world
        return {
            "description": "The golden log of rule set 1. Replaying the batches in order gives each root and state "
            "digest; each refused entry is refused with its code at its place. The log was founded anew: it begins as "
            "that of genesis_id and ends as that of log_id, which is the pinned one.",
            "rule_set": world.state.charter.rule_set,
            "genesis_id": log_id_of(world.charter_bytes).hex(),
            "log_id": world.log_id.hex(),
            "batches": [
                {
                    "first_index": preview.batch.first_index,
                    "time_ms": preview.time_ms,
                    "kinds": [kind_of(entry) for entry in preview.batch.entries],
                    "entries": [entry.hex() for entry in preview.batch.entries],
                    "root": preview.root.hex(),
                    "state_digest": preview.state_digest.hex(),
                }
                for preview in world.previews
            ],
            "refused": self.refused,
        }


def kind_of(entry: bytes) -> str:
    """Name an entry's body, of an order its action too, of a plan its purpose."""
    body = codec.decode(Entry, entry).body
    name = type(body).__name__
    if isinstance(body, OrderEntry):
        return f"{name}({type(decode_order(body.order).action).__name__})"
    if isinstance(body, Plan) and body.bumps:
        return f"{name}(bump)"
    return name


def record() -> dict[str, Any]:
    """Return the whole golden log."""
    recorder = Recorder()
    world = recorder.world
    recorder.refuse(Tick())
    recorder.refuse(world.genesis("alice"))
    world.log(world.genesis())
    recorder.refuse(world.genesis())
    _vaults(recorder)
    _payments(recorder)
    _cancellation(recorder)
    _freezes(recorder)
    _reinstatement(recorder)
    _address_book(recorder)
    _break_glass(recorder)
    _amendments(recorder)
    _epochs(recorder)
    _handover(recorder)
    _restart(recorder)
    return recorder.document()


def _vaults(recorder: Recorder) -> None:
    world = recorder.world
    for name, signers, threshold in ((VAULT, ("s1", "s2", "s3"), 2), ("customer-2", ("s3", "s1"), 1)):
        world.later(MINUTE_MS)
        order_hash = world.submit(world.creation(name, signers, threshold), "carol", "alice")
        recorder.refuse(world.vault_entry(order_hash))
        world.approve(order_hash, "bob")
        world.log(world.vault_entry(order_hash), Tick())
    recorder.refuse(world.order_entry(world.order(world.creation(VAULT)), "carol"))


def _epochs(recorder: Recorder) -> None:
    """New shares for the same holders, then for fewer of them."""
    world = recorder.world
    world.later(MINUTE_MS)
    order_hash = world.submit(RefreshShares(vaults=(VAULT,), absent=()), "alice", "bob")
    world.approve(order_hash, "carol")
    entry = world.epoch_entry(order_hash, VAULT)
    world.log(entry)
    recorder.refuse(entry)
    order_hash = world.resharing(("s3", "s1"), 2, vault=VAULT)
    recorder.refuse(world.epoch_entry(order_hash, VAULT))
    world.later(world.state.charter.loosening_delay_ms)
    world.log(world.epoch_entry(order_hash, VAULT), Tick())


def _payments(recorder: Recorder) -> None:
    world = recorder.world
    world.later(MINUTE_MS)
    first, second = (world.submit(world.withdrawal(VAULT, amount), "shop") for amount in (100_000, 250_000))
    recorder.refuse(world.plan([first], [world.coin(500_000)]))
    recorder.refuse(world.endorse("shop", Verb.APPROVE, first))
    coin, other = world.coin(500_000, index=3), world.coin(20_000, branch=1, index=9)
    world.later(MINUTE_MS)
    approvals = [world.endorse(person, Verb.APPROVE, order) for order in (first, second) for person in ("alice", "bob")]
    world.log(*approvals, plan := world.plan([first, second], [coin, other], fee_sat=2_001, change_index=5))
    recorder.refuse(approvals[0])
    recorder.refuse(plan)
    recorder.refuse(world.plan([first], [world.coin(500_000)]))
    world.later(MINUTE_MS)
    name = next(iter(world.state.plans_of(first))).hash
    recorder.refuse(world.plan([first, second], [world.coin(500_000)], fee_sat=3_000, bumps=name))
    world.log(world.plan([first, second], [coin, other], fee_sat=5_000, change_index=6, bumps=name))
    rejected = world.pay(VAULT, 70_000)
    world.reject(rejected, "dave")
    recorder.refuse(world.plan([rejected], [world.coin(100_000)]))


def _cancellation(recorder: Recorder) -> None:
    world = recorder.world
    world.later(MINUTE_MS)
    waiting = world.pay(VAULT, 30_000)
    world.cancel(waiting, "carol")
    gone, stays, coin = world.pay(VAULT, 40_000), world.pay(VAULT, 45_000), world.coin(200_000)
    world.log_plan([gone, stays], [coin])
    cancel = world.cancel(gone)
    recorder.refuse(world.plan([gone], [coin], fee_sat=2_000))
    recorder.refuse(world.plan([cancel], [world.coin(200_000)], fee_sat=2_000))
    between = world.planned([cancel], [coin], fee_sat=3_000, change_index=7)
    world.log_plan([stays], [Coin(between.txid, 0, 197_000, branch=1, index=7)])


def _freezes(recorder: Recorder) -> None:
    world = recorder.world
    world.later(MINUTE_MS)
    order = world.pay(VAULT, 60_000)
    recorder.refuse(world.order_entry(world.order(Freeze(scope=Scope.VAULT, vault="nowhere", why="typo")), "dave"))
    frozen = world.freeze("dave", vault=VAULT, why="unknown destination")
    world.log(world.signer_freeze("s2", why="drill"))
    recorder.refuse(world.plan([order], [world.coin(100_000)]))
    world.approve(frozen, "alice", "bob")
    world.later(24 * 60 * MINUTE_MS)
    world.log(Tick())
    lifting = world.submit(Unfreeze(freeze=frozen), "dave", "alice")
    world.approve(lifting, "carol")
    world.log(world.plan([order], [world.coin(100_000)]))


def _reinstatement(recorder: Recorder) -> None:
    world = recorder.world
    world.later(MINUTE_MS)
    recorder.refuse(world.order_entry(world.order(ReinstateSigner(signer="s9", evidence_hash=bytes(32))), "dave"))
    order = world.submit(ReinstateSigner(signer="s2", evidence_hash=bytes(range(32))), "dave", "alice")
    world.approve(order, "carol")


def _address_book(recorder: Recorder) -> None:
    world = recorder.world
    world.later(MINUTE_MS)
    listed = world.submit(world.addition(builder.RECOVERY), "dave", "alice")
    paying = world.submit(world.withdrawal(VAULT, 30_000, destination=builder.RECOVERY), "shop", "carol")
    world.approve(listed, "bob")
    recorder.refuse(world.order_entry(world.order(world.addition(builder.RECOVERY)), "dave"))
    recorder.refuse(world.order_entry(world.order(world.addition("bcrt1qwrong")), "dave"))
    recorder.refuse(world.plan([paying], [world.coin(100_000)]))
    world.later(24 * 60 * MINUTE_MS)
    world.log(world.plan([paying], [world.coin(100_000)]))
    late = world.submit(world.withdrawal(VAULT, 31_000, destination=builder.RECOVERY), "shop", "carol")
    world.remove_destination(builder.RECOVERY, "dave")
    recorder.refuse(world.plan([late], [world.coin(100_000)]))
    recorder.refuse(world.order_entry(world.order(world.removal(builder.RECOVERY)), "dave"))


def _break_glass(recorder: Recorder) -> None:
    world = recorder.world
    world.later(MINUTE_MS)
    frozen = world.freeze("dave", why="an attack")
    recorder.refuse(world.order_entry(world.order(world.recovery(destination=builder.ADDRESS)), "dave"))
    order = world.submit(world.recovery(), "dave", "alice", "bob")
    recorder.refuse(world.sweep(order, [world.coin(500_000)]))
    world.approve(order, "carol")
    recorder.refuse(world.sweep(order, [world.coin(500_000)]))
    world.later(60 * MINUTE_MS)
    recorder.refuse(world.plan([order], [world.coin(500_000)]))
    world.log(world.sweep(order, [world.coin(500_000), world.coin(20_000, branch=1)]))
    world.log(world.sweep(order, [world.coin(70_000)], fee_sat=2_000))
    world.later(6 * 60 * MINUTE_MS)
    recorder.refuse(world.sweep(order, [world.coin(80_000)]))
    lifting = world.submit(Unfreeze(freeze=frozen), "dave", "alice")
    world.approve(lifting, "carol")


def _amendments(recorder: Recorder) -> None:
    world = recorder.world
    world.later(MINUTE_MS)
    now = world.state.charter
    recorder.refuse(world.order_entry(world.order(world.amendment(version=9)), "dave"))
    recorder.refuse(world.order_entry(world.order(world.amendment()), "dave"))
    recorder.refuse(world.order_entry(world.order(world.amendment(witness_quorum=3)), "dave"))
    stale = world.submit(world.amendment(officers="admins"), "carol", "alice")
    waiting = world.submit(world.withdrawal(VAULT, 25_000), "shop", "alice", "dave")
    people = tuple(person for person in now.people if person.name != "dave")
    groups = tuple(
        replace(group, members=tuple(name for name in group.members if name != "dave")) for group in now.groups
    )
    world.amend("alice", "carol", initiator="bob", people=people, groups=groups, break_glass=None)
    recorder.refuse(world.plan([waiting], [world.coin(100_000)]))
    recorder.refuse(world.endorse("bob", Verb.APPROVE, stale))
    world.approve(waiting, "bob")
    world.log(world.plan([waiting], [world.coin(100_000)]))
    cancelled = world.amend("bob", "carol", initiator="alice", fees=replace(now.fees, per_plan=2_000_000))
    world.reject(cancelled, "alice")
    world.amend("bob", "carol", initiator="alice", fees=replace(now.fees, per_plan=3_000_000))
    world.later(now.loosening_delay_ms - 1)
    world.log(Tick())
    world.later(1)
    world.log(Tick(), Tick())
    lapsing = (
        world.amend("bob", "carol", initiator="alice", fees=replace(now.fees, per_plan=most))
        for most in (4_000_000, 5_000_000)
    )
    recorder.refuse(world.endorse("alice", Verb.APPROVE, next(lapsing)))
    next(lapsing)
    world.later(now.loosening_delay_ms)
    world.log(Tick())


def _handover(recorder: Recorder) -> None:
    """s3 is replaced by a new machine, and a fourth signer comes."""
    handing = HandoverWorld(recorder.world)
    voters = ("s1", "s2", "s3:s3-2", "s4")
    people = ("alice", "bob", "carol")
    old = handing.state.charter.signers
    charter = handing.next_charter(*old[:2], signer("s3", "s3-2"), signer("s4"), quorum=3)
    recorder.refuse(handing.first(voters))
    handing.want(charter, people=people)
    recorder.world.later(DAY_MS)
    recorder.world.log(Tick())
    handing.want(charter, people=people)
    recorder.refuse(handing.first(("s1", "s2", "s3")))
    recorder.world.log(handing.first(voters))
    recorder.refuse(handing.first(voters))
    recorder.world.log(handing.second(voters))


def _restart(recorder: Recorder) -> None:
    """Two signers lose their vote states, are recovered from words, and the administrators found the log anew."""
    world = recorder.world
    world.later(MINUTE_MS)
    planned, waiting = (
        world.submit(world.withdrawal(VAULT, amount), "shop", "alice", "bob") for amount in (22_000, 23_000)
    )
    coin = world.coin(100_000)
    world.log_plan([planned], [coin])
    founded = RestartWorld(world)
    voters = ("s1", "s2", "s3:s3-2")
    charter = founded.new_charter(lost=("s1", "s2"))
    world.later(MINUTE_MS)
    restart = founded.restart(charter, voters=voters)
    for wrong in (
        founded.restart(replace(charter, officers="admins"), voters=voters),
        founded.restart(charter, voters=voters, approvers=("alice",)),
    ):
        recorder.refuse_entry(founded.founding(wrong).entries[0], founded.pinned(restart))
    founded.found(restart)
    recorder.refuse(world.plan([waiting], [world.coin(100_000)]))
    recorder.refuse(world.plan([planned], [coin], fee_sat=2_000))
    lifting = world.submit(Unfreeze(freeze=world.log_id), "alice", "bob")
    world.approve(lifting, "carol")
    recorder.refuse(world.plan([waiting], [world.coin(100_000)]))
    bumped = next(iter(world.state.plans_of(planned))).hash
    world.log(world.plan([planned], [coin], fee_sat=2_000, bumps=bumped))


def text() -> str:
    """Return the file's content."""
    return json.dumps(record(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"wrote {FILE}\n")
