"""A first charter from the cards of people and signers, for an administrator to edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.ledger.charter import (
    RULE_SET,
    AnyDestination,
    Asset,
    AssetAmount,
    Charter,
    Fees,
    Group,
    Limit,
    LogQuotas,
    Quorum,
    Rule,
)
from strongroom.ledger.charter_check import default_witness_quorum
from strongroom.ledger.charter_source import charter_to_toml
from strongroom.ledger.codec import NotCanonical
from strongroom.model.errors import Kind, StrongroomError
from strongroom.wire.cards import Card, Role

__all__ = ["CardsIncomplete", "charter_template"]

_HOUR_MS: Final = 3_600_000
_COIN: Final = 100_000_000
_HEADER: Final = """\
# The charter of {organisation}, a first proposal made from {count} cards. Edit it: rules, amounts, groups and
# quorums are yours to decide. Compare every key below with its owner on another channel before anyone adopts this.
#
# strongroom charter check FILE               says what is wrong and what the numbers mean
# strongroom charter build FILE --out BIN     writes the canonical charter that is adopted

"""


class CardsIncomplete(StrongroomError):
    """The cards given do not make a charter: too few people or signers, or a name twice."""

    reason = "CARDS_INCOMPLETE"
    kind = Kind.INVALID_ARGUMENT
    remedy = "give the card of every person and signer, each once"


def charter_template(organisation: str, cards: Sequence[Card], *, threshold: int | None = None) -> str:
    """Write the source of a first charter.

    Args:
        organisation: `[a-z0-9-]{1,40}`.
        cards: Of at least two people and one signer.
        threshold: The largest threshold of any vault to come, for the default witness quorum; a majority if None.

    Raises:
        CardsIncomplete: the cards or the threshold do not make a charter.
    """
    people = [card.as_person() for card in cards if card.role is not Role.SIGNER]
    signers = [card.as_signer() for card in cards if card.role is Role.SIGNER]
    humans = tuple(person.name for person in people if not person.machine)
    machines = tuple(person.name for person in people if person.machine)
    names = [person.name for person in people], [signer.name for signer in signers]
    if any(len(set(listed)) < len(listed) for listed in names):
        raise CardsIncomplete("two cards have one name: give each card once")
    if len(humans) < 2 or not signers:
        raise CardsIncomplete(f"{len(humans)} people and {len(signers)} signers: give cards of 2 people and 1 signer")
    t = threshold or len(signers) // 2 + 1
    if not 1 <= t <= len(signers):
        raise CardsIncomplete(f"a threshold of {t} does not fit {len(signers)} signers")
    groups = [Group(name="treasury", members=humans), Group(name="admins", members=humans)]
    if machines:
        groups.append(Group(name="integrations", members=machines))
    # Who initiates does not count: two people alone can give one approval unless a machine initiates.
    approvals = min(2, len(humans) if machines else len(humans) - 1)
    orders = Quorum(group="admins", count=min(2, len(humans) - (0 if machines else 1)))
    try:
        charter = Charter(
            salt=bytes(32),
            version=1,
            rule_set=RULE_SET,
            organisation=organisation,
            witness_quorum=default_witness_quorum(len(signers), t),
            people=tuple(people),
            groups=tuple(groups),
            signers=tuple(signers),
            assets=(Asset(symbol="BTC", id=REGTEST.asset_id, decimals=8),),
            rules=(_rule(approvals, machines=bool(machines)),),
            denies=(),
            admin=Quorum(group="admins", count=2),
            vault_creation=orders,
            unfreeze=orders,
            officers="treasury",
            freeze_lapse_ms=24 * _HOUR_MS,
            loosening_delay_ms=48 * _HOUR_MS,
            fees=Fees(per_vbyte=200, per_plan=1_000_000, window_ms=24 * _HOUR_MS, per_vault=10_000_000),
            log=LogQuotas(coordinator_bytes_per_day=1_000_000_000, person_bytes_per_day=10_000_000),
        )
    except NotCanonical as error:
        raise CardsIncomplete(f"these cards do not make a charter: {error.message}") from error
    return _HEADER.format(organisation=organisation, count=len(cards)) + charter_to_toml(charter)


def _rule(approvals: int, *, machines: bool) -> Rule:
    return Rule(
        name="daily withdrawals",
        vaults=("*",),
        to=AnyDestination(),
        maximum=(AssetAmount(asset=REGTEST.asset_id, amount=5 * _COIN // 2),),
        limits=(Limit(window_ms=24 * _HOUR_MS, amounts=(AssetAmount(asset=REGTEST.asset_id, amount=40 * _COIN),)),),
        initiated=("group:integrations", "group:treasury") if machines else ("group:treasury",),
        approvals=(Quorum(group="treasury", count=approvals),),
        delay_ms=0,
    )
