"""`charter check`: what a charter must not contain although it is canonical, and what its numbers mean.

A charter with an error must not be adopted, enrolled, replayed as a genesis or come into force by an amendment. The
ledger itself asks for the errors alone: what is only advice, and compares every part with every other, is no rule that
all must agree on, and no work that an order may make for them. Every finding says where, what, and what
to do. The facts are the arithmetic of the witness quorum: n signers, w the quorum, t a vault's threshold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from strongroom.crypto import ed25519
from strongroom.crypto.curve import Point
from strongroom.crypto.errors import InvalidPoint
from strongroom.ledger.charter import MAX_CHARTER_BYTES, RULE_SET, Charter, encode_charter
from strongroom.ledger.charter_check_bounds import check_log_quotas, check_spans
from strongroom.ledger.charter_check_recovery import (
    check_address_book,
    check_break_glass,
    check_break_glass_quorum,
    check_unfreeze_delay,
)
from strongroom.ledger.charter_check_rules import (
    MAX_GLOBS,
    check_deny,
    check_idle_denies,
    check_quorum,
    check_rule,
    check_shadowed_rules,
    count_of_globs,
    network_of,
)
from strongroom.ledger.charter_findings import Finding, Level, Report, error, warning
from strongroom.ledger.rules import officers_of, quorum_members
from strongroom.model.quantities import MAX_DECIMALS

__all__ = [
    "DEFAULT_NETWORKS",
    "Finding",
    "Level",
    "Report",
    "check_charter",
    "default_witness_quorum",
    "first_error",
    "single_history_quorum",
]

DEFAULT_NETWORKS: Final = ("regtest",)
"""Networks whose coins may be entrusted to this version."""


def default_witness_quorum(n: int, t: int) -> int:
    """Return the default witness quorum for n signers and the largest threshold t of any vault.

    A majority; enough that t-1 signers cannot hide a history from the holders; as many as sign; and, if one signer can
    be spared, enough that a history stays single with t-1 bad signers beside a bad coordinator.
    """
    return max(n // 2 + 1, n - t + 1, t, min(n - 1, single_history_quorum(n, t)))


def single_history_quorum(n: int, t: int) -> int:
    """Return the witness quorum with which t-1 bad signers beside a bad coordinator cannot show two histories.

    Two quorums of w share at least 2w - n of n signers, which must be t or more.
    """
    return -(-(n + t) // 2)


def check_charter(charter: Charter, *, networks_allowed: Sequence[str] = DEFAULT_NETWORKS) -> Report:
    """Look for everything a charter must not contain, and compute what its numbers mean.

    Args:
        charter: A canonical charter.
        networks_allowed: Names of the networks whose assets it may list.
    """
    findings = [*_requirements(charter, networks_allowed)]
    # With too many globs to compare each with each, that is what is told.
    if count_of_globs(charter) <= MAX_GLOBS:
        findings += [*check_shadowed_rules(charter), *check_idle_denies(charter), *check_break_glass_quorum(charter)]
    return Report(findings=tuple(findings), facts=_facts(charter))


def first_error(charter: Charter) -> Finding | None:
    """Return a finding that forbids the charter; None if nothing does.

    The work is bounded by the size of a charter, not by its square.
    """
    found = (one for one in _requirements(charter, DEFAULT_NETWORKS) if one.level is Level.ERROR)
    return next(found, None)


def _requirements(charter: Charter, networks_allowed: Sequence[str]) -> Iterator[Finding]:
    """Every error, and the advice that costs next to nothing beside it."""
    for part in (
        _general(charter),
        _witness_quorum(charter),
        _names(charter),
        _keys(charter),
        _groups(charter),
        _assets(charter, networks_allowed),
        _quorums(charter),
        (finding for rule in charter.rules for finding in check_rule(rule, charter)),
        (finding for deny in charter.denies for finding in check_deny(deny, charter)),
        check_address_book(charter),
        check_break_glass(charter),
        check_unfreeze_delay(charter),
        check_spans(charter),
        check_log_quotas(charter),
        _settings(charter),
    ):
        yield from part


def _general(charter: Charter) -> Iterator[Finding]:
    if charter.version == 0:
        yield error("version", "is 0", "write version = 1, and one more in each amendment")
    if charter.rule_set != RULE_SET:
        yield error("rule_set", f"{charter.rule_set} is not known here", f"write rule_set = {RULE_SET}")
    size = len(encode_charter(charter))
    if size > MAX_CHARTER_BYTES:
        yield error(
            "charter", f"is {size} bytes, more than {MAX_CHARTER_BYTES}", "shorten lists of addresses and names"
        )
    globs = count_of_globs(charter)
    if globs > MAX_GLOBS:
        what = f"names vaults by {globs} globs, more than {MAX_GLOBS}"
        yield error("charter", what, "let one glob stand for several vaults")


def _witness_quorum(charter: Charter) -> Iterator[Finding]:
    n, w = len(charter.signers), charter.witness_quorum
    least = n // 2 + 1
    if not least <= w <= n:
        do = f"choose {least} to {n}; the default for threshold t is in the facts"
        yield error("witness_quorum", f"{w} of {n} signers: two quorums must share a signer and be possible", do)
    elif w == n > 1:
        do = "choose less unless every halt is acceptable: one lost signer stops the log and needs a restart by hand"
        yield warning("witness_quorum", f"is all {n} signers, so none may be down", do)


def _names(charter: Charter) -> Iterator[Finding]:
    named: dict[str, Iterable[str]] = {
        "person": (person.name for person in charter.people),
        "group": (group.name for group in charter.groups),
        "signer": (signer.name for signer in charter.signers),
        "asset": (asset.symbol for asset in charter.assets),
        "asset id": (asset.id for asset in charter.assets),
        "rule": (rule.name for rule in charter.rules),
        "deny": (deny.name for deny in charter.denies),
    }
    for kind, names in named.items():
        for name, count in Counter(names).items():
            if count > 1:
                yield error(f"{kind} {name}", f"stands there {count} times", "give each its own name")


def _keys(charter: Charter) -> Iterator[Finding]:
    """One key belongs to one owner and one use, over people and signers alike."""
    owners: dict[bytes, list[str]] = {}
    for person in charter.people:
        for key in person.keys:
            where = f"person {person.name}"
            owners.setdefault(key.public, []).append(where)
            if not ed25519.is_public_key(key.public):
                yield error(where, f"{key.public.hex()} is not an Ed25519 key", "take the key from the person's card")
    for signer in charter.signers:
        where = f"signer {signer.name}"
        for use, public in (("vote", signer.vote_key), ("witness", signer.witness_key)):
            owners.setdefault(public, []).append(f"{where} ({use} key)")
            if not ed25519.is_public_key(public):
                yield error(where, f"its {use} key is not an Ed25519 key", "take the key from the signer's card")
        # By x coordinate: a secret and its negation are one secret.
        owners.setdefault(signer.host_key[1:], []).append(f"{where} (host key)")
        try:
            Point.parse(signer.host_key)
        except InvalidPoint:
            yield error(where, "its host key is not a point of secp256k1", "take the key from the signer's card")
    for public, users in owners.items():
        if len(users) > 1:
            yield error(", ".join(users), f"share the key {public.hex()}", "give every owner and every use its own key")


def _groups(charter: Charter) -> Iterator[Finding]:
    people = {person.name for person in charter.people}
    for group in charter.groups:
        where = f"group {group.name}"
        for name in dict.fromkeys(group.members):
            if name not in people:
                yield error(where, f"{name} is not a person of the charter", "add the person or take the name out")
        if len(set(group.members)) < len(group.members):
            yield error(where, "names someone twice", "name each member once")


def _assets(charter: Charter, networks_allowed: Sequence[str]) -> Iterator[Finding]:
    for asset in charter.assets:
        where = f"asset {asset.symbol}"
        network = network_of(asset.id)
        if network is None or asset.id != network.asset_id:
            yield error(where, f"{asset.id} is not known to this version", "list only coins of known Bitcoin networks")
        elif network.name not in networks_allowed:
            what = f"is of {network.name}, which is refused until a release freezes rule set 1"
            yield error(where, what, f"use {' or '.join(networks_allowed)}")
        elif asset.decimals != 8:
            yield error(where, f"has {asset.decimals} decimals, and a bitcoin has 8", "write decimals = 8")
        if asset.decimals > MAX_DECIMALS:
            yield error(where, f"has more than {MAX_DECIMALS} decimals", "correct the decimals")


def _quorums(charter: Charter) -> Iterator[Finding]:
    quorums = (("admin", charter.admin), ("vault_creation", charter.vault_creation), ("unfreeze", charter.unfreeze))
    people = {person.name for person in charter.people}
    for use, quorum in quorums:
        where = f"quorums.{use}"
        members = quorum_members(charter, quorum)
        # An order is initiated by someone, who does not count; the adoption of a charter is not an order.
        spare = 1 if use != "admin" and members >= people else 0
        yield from check_quorum(where, quorum, len(members) - spare, charter)
        if quorum.count == 1:
            yield warning(where, "is one person, who alone is then this power", "ask for at least two")
    if not any(group.name == charter.officers for group in charter.groups):
        yield error("freeze.officers", f"{charter.officers} is not a group", "name a group of the charter")
    elif not officers_of(charter):
        yield error("freeze.officers", f"group {charter.officers} has no people", "name a group with people in it")


def _settings(charter: Charter) -> Iterator[Finding]:
    fees = charter.fees
    positive = {
        "fees.per_vbyte": fees.per_vbyte,
        "fees.per_plan": fees.per_plan,
        "fees.window": fees.window_ms,
        "fees.per_vault": fees.per_vault,
        "freeze.lapse": charter.freeze_lapse_ms,
        "amendments.loosening_delay": charter.loosening_delay_ms,
    }
    for where, value in positive.items():
        if value == 0:
            yield error(where, "is 0, so nothing could ever be paid, written or stopped by it", "write more than 0")
    if 0 < fees.per_vault < fees.per_plan:
        yield warning("fees.per_vault", "is below per_plan", "raise it, or lower what one transaction may cost")


def _facts(charter: Charter) -> dict[str, str]:
    n, w = len(charter.signers), charter.witness_quorum
    facts = {
        "signers (n)": str(n),
        "witness quorum (w)": str(w),
        "signers that may be down": str(max(0, n - w)),
    }
    for t in range(1, n + 1):
        bad = t + w - n - 1
        if t > w:
            facts[f"threshold {t}"] = f"refused: the witness quorum is below {t}"
        else:
            facts[f"threshold {t}: bad signers survived beside a bad coordinator"] = (
                str(bad) if bad >= 0 else "none: the coordinator alone can pay against the rules"
            )
        facts[f"threshold {t}: default witness quorum"] = str(default_witness_quorum(n, t))
        facts[f"threshold {t}: witness quorum for one history beside {t - 1} bad signers"] = str(
            single_history_quorum(n, t)
        )
    return facts
