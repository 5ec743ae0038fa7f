"""A complete small charter for tests, with every part replaceable. Its public keys are deterministic and real."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from strongroom.chains.bitcoin.networks import REGTEST
from strongroom.crypto.ed25519 import SigningKey
from strongroom.crypto.secret import SecretBytes, SecretScalar
from strongroom.ledger.charter import (
    AddressBook,
    AnyDestination,
    Asset,
    AssetAmount,
    BreakGlassRules,
    Charter,
    CharterSigner,
    Destinations,
    Fees,
    Group,
    Limit,
    LogQuotas,
    Person,
    PersonKey,
    Quorum,
    RecoveryAddress,
    Rule,
)
from strongroom.ledger.signed_messages import KeyType

BTC = REGTEST.asset_id
COIN = 100_000_000
HOUR_MS = 3_600_000
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
"""A regtest address: P2WPKH of the key that BIP-173 uses."""


RECOVERY = "bcrt1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesyga46z"
"""A regtest address of the taproot output script that BIP-350 uses."""


def seed(label: str) -> bytes:
    return hashlib.sha256(b"test key " + label.encode()).digest()


def signing_key(label: str) -> SigningKey:
    """The Ed25519 key of a label: for a person the name, for a signer "<name> vote" or "<name> witness"."""
    return SigningKey(SecretBytes(seed(label)))


def host_secret(signer: str) -> SecretScalar:
    return SecretScalar.from_bytes(seed(f"{signer} host"))


def person(name: str, *, machine: bool = False) -> Person:
    key = PersonKey(type=KeyType.ED25519, public=signing_key(name).public)
    return Person(name=name, keys=(key,), machine=machine)


def signer(name: str) -> CharterSigner:
    return CharterSigner(
        name=name,
        host_key=host_secret(name).public(),
        vote_key=signing_key(f"{name} vote").public,
        witness_key=signing_key(f"{name} witness").public,
    )


def rule(**parts: Any) -> Rule:
    """Two of group treasury approve up to 2.5 BTC, 40 BTC a day, from any customer vault to anywhere."""
    defaults: dict[str, Any] = {
        "name": "daily customer withdrawals",
        "vaults": ("customer-*",),
        "to": AnyDestination(),
        "maximum": (AssetAmount(asset=BTC, amount=5 * COIN // 2),),
        "limits": (Limit(window_ms=24 * HOUR_MS, amounts=(AssetAmount(asset=BTC, amount=40 * COIN),)),),
        "initiated": ("group:integrations", "group:treasury"),
        "approvals": (Quorum(group="treasury", count=2),),
        "delay_ms": 0,
    }
    return Rule(**{**defaults, **parts})


def book_rule(**parts: Any) -> Rule:
    """One of group treasury approves a payment to the address book from any customer vault."""
    defaults: dict[str, Any] = {
        "name": "known destinations",
        "to": AddressBook(),
        "approvals": (Quorum(group="treasury", count=1),),
    }
    return rule(**{**defaults, **parts})


def break_glass(**parts: Any) -> BreakGlassRules:
    """Three of treasury, one hour to object, six hours for the customers' vaults."""
    defaults: dict[str, Any] = {
        "quorum": Quorum(group="treasury", count=3),
        "delay_ms": HOUR_MS,
        "box_ms": 6 * HOUR_MS,
        "addresses": (RecoveryAddress(vault="customer-*", address=RECOVERY),),
    }
    return BreakGlassRules(**{**defaults, **parts})


def recovery_parts(**parts: Any) -> dict[str, Any]:
    """Parts of a charter with an address book that two of admins add to, and with break-glass."""
    defaults: dict[str, Any] = {
        "rules": (book_rule(),),
        "destinations": Quorum(group="admins", count=2),
        "destination_cooling_ms": 24 * HOUR_MS,
        "break_glass": break_glass(),
    }
    return {**defaults, **parts}


def paying_only(*addresses: str) -> Destinations:
    return Destinations(addresses=addresses)


def charter(**parts: Any) -> Charter:
    """alice, bob, carol and dave are in treasury; alice, bob and carol administer; shop is a machine that initiates."""
    defaults: dict[str, Any] = {
        "salt": bytes(range(32)),
        "version": 1,
        "rule_set": 1,
        "organisation": "acme",
        "witness_quorum": 2,
        "people": (person("alice"), person("bob"), person("carol"), person("dave"), person("shop", machine=True)),
        "groups": (
            Group(name="treasury", members=("alice", "bob", "carol", "dave")),
            Group(name="integrations", members=("shop",)),
            Group(name="admins", members=("alice", "bob", "carol")),
        ),
        "signers": (signer("s1"), signer("s2"), signer("s3")),
        "assets": (Asset(symbol="BTC", id=BTC, decimals=8),),
        "rules": (rule(),),
        "denies": (),
        "admin": Quorum(group="admins", count=2),
        "vault_creation": Quorum(group="admins", count=2),
        "unfreeze": Quorum(group="admins", count=2),
        "officers": "treasury",
        "freeze_lapse_ms": 24 * HOUR_MS,
        "loosening_delay_ms": 48 * HOUR_MS,
        "fees": Fees(per_vbyte=200, per_plan=1_000_000, window_ms=24 * HOUR_MS, per_vault=10_000_000),
        "log": LogQuotas(coordinator_bytes_per_day=1_000_000_000, person_bytes_per_day=10_000_000),
    }
    return Charter(**{**defaults, **parts})


def with_rules(*rules: Rule) -> Charter:
    return replace(charter(), rules=rules)
