"""No order of requests gets a share too many out of a signer; without any one of the checks, some order does."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from release_machine import ReleaseMachine
from release_world import Broken
from strongroom.crypto.frost import SecretNonce
from strongroom.ledger.signed_messages import Commitments
from strongroom.model.ids import SignerName
from strongroom.protocol import electorates, voter
from strongroom.protocol.commitments import NonceSet, VerifiedCommitments
from strongroom.protocol.signed import decode_claimed
from strongroom_signer import money_path
from strongroom_signer.money_path import MoneyPath
from strongroom_signer.nonces import NonceBook
from strongroom_signer.store import Store, Writer

pytestmark = pytest.mark.slow

ALWAYS = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
MET = {
    "COMMITMENTS_INVALID",
    "LOCAL_FREEZE",
    "NONCE_FOR_ANOTHER_CONTEXT",
    "NONCE_UNKNOWN",
    "NOT_CERTIFIED",
    "TERM_STALE",
    "TOO_MANY_OPEN_NONCES",
}
"""What a short search must have met, beside shares."""
SELDOM = {
    "NONCE_STALE",
    "killed before the mark",
    "killed between mark and share",
    "killed once the share is made",
}
"""What a long one must have met as well."""


def run(examples: settings) -> Counter[str]:
    """Run the machine; what its signers answered."""
    ReleaseMachine.seen.clear()
    run_state_machine_as_test(ReleaseMachine, settings=examples)
    return ReleaseMachine.seen


def test_no_order_of_requests_gets_a_share_too_many() -> None:
    seen = run(ALWAYS)
    assert set(seen) >= MET
    assert seen["shares"] > 30


@pytest.mark.campaign
@pytest.mark.attack(
    line="coordinator",
    title="requests in any order: commitments used, foreign and altered, terms, restarts, power cuts, clocks",
    origin="nonce reuse (sBTC, sig-net): two messages under one nonce give the share",
)
def test_no_order_of_requests_gets_a_share_too_many_in_a_long_search() -> None:
    seen = run(settings(ALWAYS, max_examples=400, stateful_step_count=60, derandomize=False))
    assert set(seen) >= MET | SELDOM


# --- each check, taken out -------------------------------------------------------------------------------------------


def nothing(*_: Any, **__: Any) -> None:
    return None


def without_marks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MoneyPath, "_mark", nothing)


def marked_after_the_share(patch: pytest.MonkeyPatch) -> None:
    mark, sign = MoneyPath._mark, MoneyPath._sign

    def late(self: MoneyPath, item: Any) -> Any:
        released = sign(self, item)
        mark(self, [item])
        return released

    patch.setattr(MoneyPath, "_mark", nothing)
    patch.setattr(MoneyPath, "_sign", late)


def used_twice(patch: pytest.MonkeyPatch) -> None:
    """Without all that makes nonces sign once: kept in the book, the mark not in the way, not emptied, not wiped."""
    check, mark = MoneyPath._check, Writer.mark_nonce

    def kept(self: MoneyPath, *args: Any) -> Any:
        ready = check(self, *args)
        nonces, book = ready.nonces, self._nonces
        book._open[nonces.session] = nonces
        book._sets_of_plan[nonces.task.plan_hash] += 1
        book._total += len(nonces.task.digests)
        return ready

    def again(self: Writer, session: bytes, **parts: Any) -> None:
        with suppress(sqlite3.IntegrityError):
            mark(self, session, **parts)

    patch.setattr(MoneyPath, "_check", kept)
    patch.setattr(Store, "nonce_is_marked", lambda self, session: False)
    patch.setattr(Writer, "mark_nonce", again)
    patch.setattr(NonceSet, "take", lambda self: self._nonces)
    patch.setattr(NonceSet, "wipe", nothing)
    patch.setattr(SecretNonce, "take", lambda self: tuple(scalar.clone() for scalar in self._pair[0]))
    patch.setattr(SecretNonce, "wipe", nothing)


def of_any_age(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MoneyPath, "check_nonces_fresh", nothing)


def under_no_certificate(patch: pytest.MonkeyPatch) -> None:
    """A share names the certified size, and is verified before it leaves: so this signer lies there as well."""
    make = money_path.make_shares

    def claiming(chosen: Any, nonces: Any, *, certified_size: int, **parts: Any) -> Any:
        return make(chosen, nonces, certified_size=max(certified_size, chosen.task.entry_index + 1), **parts)

    patch.setattr(MoneyPath, "check_certified", nothing)
    patch.setattr(money_path, "make_shares", claiming)


def under_one_vote(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(voter, "verify_certificate", nothing)
    patch.setattr(electorates, "verify_certificate", nothing)


def of_unverified_commitments(patch: pytest.MonkeyPatch) -> None:
    def claimed(signed: Any, **_: Any) -> VerifiedCommitments:
        message = decode_claimed(Commitments, "commitments", signed)
        return VerifiedCommitments(signer=SignerName(message.signer), message=message, signed=signed)

    patch.setattr(money_path, "verify_commitments", claimed)


def in_any_number(patch: pytest.MonkeyPatch) -> None:
    make = NonceBook.make
    patch.setattr(NonceBook, "make", lambda self, task, new, **_: make(self, task, new, most_per_plan=1_000))


def across_links_and_terms(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(NonceBook, "drop_all", nothing)


def although_frozen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MoneyPath, "check_not_frozen_locally", nothing)


MUTANTS: list[Callable[[pytest.MonkeyPatch], None]] = [
    without_marks,
    marked_after_the_share,
    used_twice,
    of_any_age,
    under_no_certificate,
    under_one_vote,
    of_unverified_commitments,
    in_any_number,
    across_links_and_terms,
    although_frozen,
]


@pytest.mark.parametrize(
    "take_out",
    [
        # This one takes the search half a minute to find.
        pytest.param(one, id=one.__name__, marks=[pytest.mark.campaign] if one is under_one_vote else [])
        for one in MUTANTS
    ],
)
def test_a_signer_without_the_check_is_found(
    take_out: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    take_out(monkeypatch)
    with pytest.raises(Broken):
        run(settings(ALWAYS, max_examples=200, phases=[Phase.generate]))
