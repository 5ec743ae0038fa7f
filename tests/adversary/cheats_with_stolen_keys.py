"""Cheats with people's keys in the thief's hands: one person's, a server's, or those of a whole approval quorum."""

from __future__ import annotations

from cheat_report import cheat
from rogue_leader import RogueLeader
from rogue_people import COIN, HOT, drafted, ordered, pays, withdrawal
from rogue_plans import forced

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger.order_messages import CancelWithdraw, CreateVault, CustodyClass, Freeze, Scheme, Scope, Unfreeze

# --- with the stolen key of one person


@cheat("stolen-key-alone", "Asks for a payment with one officer's stolen key, and pays it without any approval.")
async def stolen_key_alone(rogue: RogueLeader) -> None:
    order = withdrawal(rogue, amount=COIN)
    await forced(rogue, ordered(rogue, order, by="bob", approved=()), pays(rogue, order))


@cheat("stolen-key-approves", "Approves an officer's order with one stolen key where two approvals are needed.")
async def stolen_key_approves(rogue: RogueLeader) -> None:
    order = withdrawal(rogue, amount=COIN)
    await forced(rogue, ordered(rogue, order, approved=("bob",)), pays(rogue, order))


@cheat("stolen-key-own-approval", "Asks for a payment with one stolen key, and approves it with the same key.")
async def stolen_key_own_approval(rogue: RogueLeader) -> None:
    order = withdrawal(rogue, amount=COIN)
    await forced(rogue, ordered(rogue, order, by="bob", approved=("bob",)), pays(rogue, order))


@cheat("stolen-server-key", "Asks for a payment with a server's stolen key, and approves it with the same key.")
async def stolen_server_key(rogue: RogueLeader) -> None:
    order = withdrawal(rogue, amount=COIN)
    await forced(rogue, ordered(rogue, order, by="shop", approved=("shop",)), pays(rogue, order))


@cheat("stolen-server-cancels", "Cancels an officer's payment with a server's stolen key.")
async def stolen_server_cancels(rogue: RogueLeader) -> None:
    order = withdrawal(rogue)
    cancel = drafted(rogue, CancelWithdraw(order_hash=order.hash, max_fee=1_000))
    await forced(rogue, ordered(rogue, order), ordered(rogue, cancel, by="shop", approved=()))


@cheat("stolen-server-freezes", "Freezes everything with a server's stolen key, which is no officer's.")
async def stolen_server_freezes(rogue: RogueLeader) -> None:
    freeze = drafted(rogue, Freeze(scope=Scope.ALL, vault="", why="to stop the business"))
    await forced(rogue, ordered(rogue, freeze, by="shop", approved=()))


@cheat("stolen-key-lifts-freeze", "Lifts a freeze with one stolen key, and pays in the same breath.")
async def stolen_key_lifts_freeze(rogue: RogueLeader) -> None:
    freeze = drafted(rogue, Freeze(scope=Scope.VAULT, vault=HOT, why="the payee looks wrong"))
    lift = drafted(rogue, Unfreeze(freeze=freeze.hash))
    order = withdrawal(rogue)
    await forced(
        rogue,
        ordered(rogue, order),
        ordered(rogue, freeze, by="carol", approved=()),
        ordered(rogue, lift, by="alice", approved=("bob",)),
        pays(rogue, order),
    )


@cheat("stolen-key-vault", "Orders a vault with one stolen key, and has the signers make its key.")
async def stolen_key_vault(rogue: RogueLeader) -> None:
    names = tuple(sorted(rogue.electorate.vote_keys))
    action = CreateVault(
        name="customer-mine",
        custody_class=CustodyClass.CUSTOMER,
        chain=REGTEST.caip2,
        scheme=Scheme.FROST_SECP256K1_BIP340,
        signers=names,
        threshold=2,
    )
    order = drafted(rogue, action)
    await rogue.append_honestly(ordered(rogue, order, by="alice", approved=("bob",)))
    # The order is final at the signers once they hold a certificate whose votes name one of this very term.
    for _ in range(3):
        await rogue.tick()
    for signer in rogue.links:
        reply = await rogue.ask(signer, pb.KeygenRound1(order_hash=order.hash, attempt=1), "keygen")
        if reply is not None:
            rogue.report.released += 1
