"""Cheats with limits: windows, maxima, delays, prohibitions, log time, and one operator's own maximum.

They need the charter of `strict_deployment`: vault `petty` has a small tier with a limit over 24 hours, vault `savings`
that and a large one with a delay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cheat_report import NothingToCheatWith, cheat
from rogue_leader import RogueLeader
from rogue_people import AMOUNT, DAY_MS, claimed, drafted, more, ordered, pays, withdrawal
from rogue_plans import FEE_SAT, forced, now_ms

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger import codec
from strongroom.ledger.entry_messages import Plan, Tick
from strongroom.ledger.order_messages import Freeze, Scope
from strongroom.ledger.plans import plan_hash
from strongroom.ledger.signed_messages import Verb
from strongroom.protocol.signed import SignedBody
from strongroom_client.orders import DraftedOrder

PETTY, SAVINGS = "petty", "savings"
SMALL_SAT = 300_000
"""Most of one order in the small tier."""
WINDOW_SAT = 1_000_000
"""Most of the small tier in 24 hours."""
LARGE_SAT = 200_000_000
HOUR_MS = 3_600_000
UNLISTED = "bip122:000000000019d6689c085ae165831e93/slip44:0"


def _small(rogue: RogueLeader, amount: int = SMALL_SAT) -> DraftedOrder:
    return withdrawal(rogue, vault=PETTY, amount=amount)


def _room(rogue: RogueLeader) -> int:
    """What the small tier's window still allows."""
    now = max(now_ms(), rogue.state.time_ms)
    return WINDOW_SAT - rogue.state.window_total((PETTY, SAVINGS), REGTEST.asset_id, now - DAY_MS, now)


async def _fill(rogue: RogueLeader, *, to: Sequence[str] | None = None) -> None:
    """Use the window up with genuine orders, one batch for each."""
    while room := _room(rogue):
        order = _small(rogue, min(room, SMALL_SAT))
        await rogue.append_honestly(ordered(rogue, order), pays(rogue, order), to=to)


# --- windows


@cheat("split-in-plan", "Splits what a limit forbids into many small orders that one transaction pays.")
async def split_in_plan(rogue: RogueLeader) -> None:
    orders = [_small(rogue) for _ in range(4)]
    await forced(rogue, *(ordered(rogue, order) for order in orders), pays(rogue, *orders))


@cheat("split-in-batch", "Splits what a limit forbids into many small orders, each paid by itself, all at one moment.")
async def split_in_batch(rogue: RogueLeader) -> None:
    orders = [_small(rogue) for _ in range(4)]
    await forced(rogue, *(ordered(rogue, order) for order in orders), *(pays(rogue, order) for order in orders))


@cheat("split-over-batches", "Splits what a limit forbids into many small orders, one after another.")
async def split_over_batches(rogue: RogueLeader) -> None:
    await _fill(rogue)
    order = _small(rogue, 10_000)
    await forced(rogue, ordered(rogue, order), pays(rogue, order))


@cheat("split-over-terms", "Uses a limit up, begins to lead anew, and uses it up once more.")
async def split_over_terms(rogue: RogueLeader) -> None:
    await _fill(rogue)
    await rogue.tick()
    await rogue.lead()
    order = _small(rogue, 10_000)
    await forced(rogue, ordered(rogue, order), pays(rogue, order))


@cheat("alternate-signers", "Has one pair of signers pay up to the limit, and then asks another pair for more.")
async def alternate_signers(rogue: RogueLeader) -> None:
    names = sorted(rogue.links)
    room = _room(rogue)
    if room <= 0:
        raise NothingToCheatWith("the window is used up already")
    order = _small(rogue, min(room, SMALL_SAT))
    index, commitments = await rogue.append_honestly(ordered(rogue, order), pays(rogue, order), commit=True)
    pair = names[:2]
    chosen = [commitments[name] for name in pair]
    await rogue.release(index, chosen, to=pair, certificate=rogue.certificate, honest=True)
    await _fill(rogue)
    further = _small(rogue, 10_000)
    await forced(rogue, ordered(rogue, further), pays(rogue, further), to=names[1:])


@cheat("alternate-histories", "Uses a limit up in one history with two signers, and again in another with the third.")
async def alternate_histories(rogue: RogueLeader) -> None:
    """The second history lacks the first payment; only one signer can be shown it as if it were new."""
    names = sorted(rogue.links)
    first, second = _small(rogue, 10_000), _small(rogue, 10_000)
    at, before = len(rogue.entries), rogue.certificate
    entries = rogue.entries_of([ordered(rogue, second), pays(rogue, second)])
    await rogue.append_honestly(ordered(rogue, first), pays(rogue, first), to=names[:2])
    rogue.cut(at)
    rogue.certificate = before
    answers = await rogue.append(entries, to=names[1:], commit_for=[at + 1], step="second-history")
    own = answers[names[2]].commitments[at + 1]
    await rogue.release(at + 1, [own, own], to=[names[2]])


@cheat("withhold-entries", "Hides payments that use a limit up from one signer, and asks that one for more.")
async def withhold_entries(rogue: RogueLeader) -> None:
    names = sorted(rogue.links)
    order = _small(rogue, 10_000)
    index, _ = await rogue.append_honestly(ordered(rogue, order), pays(rogue, order), to=names[:2])
    rogue.served = lambda _wanted: pb.Batches()
    try:
        further = _small(rogue, 10_000)
        entries = rogue.entries_of([ordered(rogue, further), pays(rogue, further)])
        await rogue.append(entries, to=[names[2]], commit_for=[index + 2])
    finally:
        rogue.served = None


@cheat("jump-window", "Uses a limit up, and puts the log's clock a day ahead to have it anew.")
async def jump_window(rogue: RogueLeader) -> None:
    await _fill(rogue)
    order = _small(rogue, 10_000)
    await forced(rogue, ordered(rogue, order), pays(rogue, order), time_ms=now_ms() + DAY_MS + HOUR_MS)


@cheat("turn-window-back", "Uses a limit up, and stamps a payment before that, where the limit was not used yet.")
async def turn_window_back(rogue: RogueLeader) -> None:
    await _fill(rogue)
    order = _small(rogue, 10_000)
    await forced(rogue, ordered(rogue, order), pays(rogue, order), time_ms=rogue.state.time_ms - 50_000)


# --- delays


def _large(rogue: RogueLeader, **options: Any) -> DraftedOrder:
    return withdrawal(rogue, vault=SAVINGS, amount=LARGE_SAT, **options)


BOARD = ("bob", "carol", "dave")


@cheat("too-early", "Pays a large order at once, though people are to have an hour to object to it.")
async def too_early(rogue: RogueLeader) -> None:
    order = _large(rogue)
    await forced(rogue, ordered(rogue, order, approved=BOARD), pays(rogue, order))


@cheat("jump-delay", "Puts the log's clock ahead by the hour that people have to object to a large order.")
async def jump_delay(rogue: RogueLeader) -> None:
    order = _large(rogue)
    await rogue.append_honestly(ordered(rogue, order, approved=BOARD))
    await forced(rogue, pays(rogue, order), time_ms=now_ms() + HOUR_MS + 1_000)


@cheat("creep-delay", "Puts the log's clock ahead as far as signers let it pass, to shorten the time to object.")
async def creep_delay(rogue: RogueLeader) -> None:
    order = _large(rogue)
    await rogue.append_honestly(ordered(rogue, order, approved=BOARD))
    await forced(rogue, pays(rogue, order), time_ms=now_ms() + 50_000)


@cheat("backdate-approval", "Logs the last approval of a large order under an earlier time: the hour seems over.")
async def backdate_approval(rogue: RogueLeader) -> None:
    order = _large(rogue)
    await rogue.append_honestly(ordered(rogue, order, approved=BOARD[:2]))
    last = more(rogue, Verb.APPROVE, order, BOARD[2])
    await forced(rogue, last, pays(rogue, order), time_ms=now_ms() - HOUR_MS)


# --- maxima, destinations, vaults: with few approvals, and with all of them


@cheat("board-twice", "Counts one person, who sits in two groups, for both of them.")
async def board_twice(rogue: RogueLeader) -> None:
    order = _large(rogue)
    await forced(rogue, ordered(rogue, order, approved=("bob", "carol")), pays(rogue, order))


@cheat("wrong-group", "Counts a board member's approval where the treasury is to approve.")
async def wrong_group(rogue: RogueLeader) -> None:
    order = _small(rogue)
    entry = ordered(rogue, order, approved=("bob",))
    await forced(rogue, entry, more(rogue, Verb.APPROVE, order, "dave"), pays(rogue, order))


@cheat("small-tier-for-large", "Pays a large order under the rule for small ones, with fewer approvals.")
async def small_tier_for_large(rogue: RogueLeader) -> None:
    order = _large(rogue)
    await forced(rogue, ordered(rogue, order, approved=("bob", "carol")), pays(rogue, order))


async def _everybody_signs(rogue: RogueLeader, order: DraftedOrder) -> None:
    await forced(rogue, ordered(rogue, order, approved=BOARD), pays(rogue, order))


@cheat("quorum-over-maximum", "Has everybody sign an order above what any rule allows for one.")
async def quorum_over_maximum(rogue: RogueLeader) -> None:
    await _everybody_signs(rogue, withdrawal(rogue, vault=SAVINGS, amount=600_000_000))


@cheat("quorum-over-window", "Has everybody sign more small orders than the limit of a day allows.")
async def quorum_over_window(rogue: RogueLeader) -> None:
    orders = [_small(rogue) for _ in range(4)]
    entries = [ordered(rogue, order, approved=("bob", "carol")) for order in orders]
    await forced(rogue, *entries, *(pays(rogue, order) for order in orders))


@cheat("quorum-denied", "Has everybody sign a payment to an address that the charter forbids.")
async def quorum_denied(rogue: RogueLeader) -> None:
    charter = rogue.genesis.charter
    denied = next(iter(getattr(charter.denies[0].to, "addresses", ())))
    order = withdrawal(rogue, amount=1_000_000, destination=denied)
    await forced(rogue, ordered(rogue, order, approved=("bob", "carol")), pays(rogue, order))


@cheat("quorum-other-vault", "Has everybody sign a payment from a vault that no rule lets them pay from.")
async def quorum_other_vault(rogue: RogueLeader) -> None:
    await _everybody_signs(rogue, withdrawal(rogue, vault="reserve", amount=SMALL_SAT))


@cheat("quorum-skips-delay", "Has everybody sign a large order, and pays it without the hour of waiting.")
async def quorum_skips_delay(rogue: RogueLeader) -> None:
    await _everybody_signs(rogue, _large(rogue))


@cheat("quorum-unlisted-asset", "Has everybody sign a payment of an asset that the charter does not list.")
async def quorum_unlisted_asset(rogue: RogueLeader) -> None:
    await _everybody_signs(rogue, withdrawal(rogue, asset=UNLISTED))


@cheat("quorum-absurd-fee", "Has everybody sign an order whose fee may be any amount, and gives a coin to the miners.")
async def quorum_absurd_fee(rogue: RogueLeader) -> None:
    order = withdrawal(rogue, max_fee=10_000_000_000)
    await forced(rogue, ordered(rogue, order), pays(rogue, order, fee_sat=100_000_000))


@cheat("pay-from-other-vault", "Pays an order of one vault with the coins of another.")
async def pay_from_other_vault(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    await forced(rogue, ordered(rogue, order), pays(rogue, order, vault="reserve"))


@cheat("orders-of-two-vaults", "Pays orders of two vaults in one transaction with the coins of one.")
async def orders_of_two_vaults(rogue: RogueLeader) -> None:
    orders = [withdrawal(rogue), _small(rogue, 10_000)]
    await forced(rogue, *(ordered(rogue, order) for order in orders), pays(rogue, *orders))


@cheat("freeze-another", "Logs a freeze of everything for one vault only, and pays from the others.")
async def freeze_another(rogue: RogueLeader) -> None:
    freeze = drafted(rogue, Freeze(scope=Scope.ALL, vault="reserve", why="the coordinator looks hostile"))
    order = withdrawal(rogue)
    await forced(rogue, ordered(rogue, order), ordered(rogue, freeze, by="carol", approved=()), pays(rogue, order))


# --- the coordinator's bytes of a day

COINS_OF_A_LARGE_PLAN = 1_350
"""Coins that only the cheater knows of, so many that one plan takes nearly as many bytes as an entry may have."""


def _bytes_left(rogue: RogueLeader, time_ms: int) -> int:
    """What the coordinator may still write in the log's day of this time."""
    record = rogue.state.quota("")
    used = record.used_bytes if record is not None and record.day == time_ms // DAY_MS else 0
    return rogue.state.charter.log.coordinator_bytes_per_day - used


def _ever_higher_fees(rogue: RogueLeader, order: DraftedOrder) -> Iterator[Plan]:
    """A large plan, and without end the same with one satoshi more of fee."""
    coins = [claimed(AMOUNT) for _ in range(COINS_OF_A_LARGE_PLAN)]
    fee_sat = FEE_SAT
    plan = pays(rogue, order, inputs=coins, fee_sat=fee_sat)
    while True:
        yield plan
        fee_sat += 1
        plan = pays(rogue, order, inputs=coins, fee_sat=fee_sat, bumps=plan_hash(codec.encode(plan)))


@cheat("fill-the-day", "Writes as much into the log in one day as it may, and then more, to fill the signers' disks.")
async def fill_the_day(rogue: RogueLeader) -> None:
    """With one approved order: a large plan of it, bumped as often as there is room, and ticks for the rest."""
    day = max(now_ms(), rogue.state.time_ms) // DAY_MS

    def at_ms() -> int:
        """Now, and never the next day, so that all of it is of one day of log time; signers let a minute pass."""
        return min(max(now_ms(), rogue.state.time_ms), (day + 1) * DAY_MS - 1)

    bumped, further = withdrawal(rogue), withdrawal(rogue)
    await rogue.append_honestly(ordered(rogue, bumped), time_ms=at_ms())
    plans = _ever_higher_fees(rogue, bumped)
    while len(rogue.entry(plan := next(plans))) <= _bytes_left(rogue, at_ms()):
        await rogue.append_honestly(plan, time_ms=at_ms())
    tick_bytes = len(rogue.entry(Tick(), time_ms=at_ms()))
    await rogue.append_honestly(*[Tick()] * (_bytes_left(rogue, at_ms()) // tick_bytes), time_ms=at_ms())
    rogue.report.say("filled", left=_bytes_left(rogue, at_ms()), tick=tick_bytes, day=day)
    await forced(rogue, Tick(), time_ms=at_ms(), step="tick")
    await forced(rogue, plan, time_ms=at_ms(), step="bump")
    await forced(rogue, ordered(rogue, further), pays(rogue, further), time_ms=at_ms(), step="plan")
    # What people say counts for them, and a rejection for nobody: these batches are certified, or the cheat ends here.
    await rogue.append_honestly(ordered(rogue, further, approved=("bob",)), time_ms=at_ms())
    await rogue.append_honestly(more(rogue, Verb.APPROVE, further, "carol"), time_ms=at_ms())
    await rogue.append_honestly(more(rogue, Verb.REJECT, bumped, "carol"), time_ms=at_ms())


# --- one operator's own maximum


async def _signed(rogue: RogueLeader, amount: int, pair: Sequence[str]) -> None:
    """Have an order that passes every rule signed by a pair of signers, if they will."""
    order = withdrawal(rogue, amount=amount)
    index, commitments = await rogue.append_honestly(ordered(rogue, order), pays(rogue, order), commit=True)
    chosen: list[SignedBody] = [commitments[name] for name in pair if name in commitments]
    if len(chosen) == len(pair):
        await rogue.release(index, chosen, to=pair, certificate=rogue.certificate, honest=True)


@cheat("over-local-maximum", "Has an approved order signed that is above what two operators let their signers pay.")
async def over_local_maximum(rogue: RogueLeader) -> None:
    await _signed(rogue, 70_000_000, sorted(rogue.links)[1:])


@cheat("split-over-holders", "Gets around an operator's maximum for a day by asking other pairs of signers in turn.")
async def split_over_holders(rogue: RogueLeader) -> None:
    """Each operator's maximum bounds what that operator's signer helps to pay, whoever its partners are."""
    north, south, west = sorted(rogue.links)
    for pair in ((north, west), (south, west), (north, west), (south, west)):
        await _signed(rogue, 60_000_000, pair)


# --- a freeze that only signers know


@cheat("withhold-handed-freeze", "Keeps an officer's freeze to itself, and asks for signatures on such a payment.")
async def withhold_handed_freeze(rogue: RogueLeader) -> None:
    """Needs the freeze handed in at the operator sockets of n - t + 1 signers."""
    order = withdrawal(rogue, amount=10_000)
    index, commitments = await rogue.append_honestly(ordered(rogue, order), pays(rogue, order), commit=True)
    given = [commitments[name] for name in sorted(commitments)]
    await rogue.release(index, [*given, *given][:2], certificate=rogue.certificate)


@cheat("lag-then-jump", "Lets the log's clock stay behind, uses a limit up, and jumps over its whole window.")
async def lag_then_jump(rogue: RogueLeader) -> None:
    """For signers whose clocks are ahead of the cheater's: its honest entries are as far behind as they let pass."""
    await _fill(rogue)
    order = _small(rogue, 10_000)
    both = ordered(rogue, order), pays(rogue, order)
    await forced(rogue, *both, time_ms=now_ms() + 100_000, step="within-tolerance")
    await forced(rogue, *both, time_ms=now_ms() + DAY_MS)
