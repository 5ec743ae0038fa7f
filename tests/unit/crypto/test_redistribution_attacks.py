"""Dishonest dealers, swapped parts and malformed data in share redistribution: refused, and by whom it can be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import slow_redistribution as slow
from redistribution_groups import Step, crafted, number, scalar, sharing, step
from strongroom.crypto import redistribution, secret
from strongroom.crypto.chilldkg_errors import (
    DuplicateHostPubkeyError,
    HostSeckeyError,
    RandomnessError,
    RecoveryDataError,
    ThresholdOrCountError,
)
from strongroom.crypto.chilldkg_params import SessionParams
from strongroom.crypto.errors import InvalidInput
from strongroom.crypto.redistribution import Dealing, Transcript
from strongroom.crypto.redistribution_errors import (
    CommitmentsCancelError,
    FaultyDealingsError,
    RedistributionInputError,
    TooFewDealersError,
)

RAISING = "Trail of Bits 2024 (wsts #87 and others): a longer commitment vector raises the threshold"
VERIFIABLE = "verifiable secret redistribution (Wong, Wang, Wing 2002): a dealer shares something else than its share"
FORGIVE = "forget-and-forgive (Aumasson, Shlomovits 2020): some receivers get bad shares and others drop old ones"
ROGUE_KEY = "rogue key: the last mover cancels the others' contributions"
REPLAY = "CVE-2022-47930: proofs of one session replayed in another"
IDENTITY = "missing checks of points: the identity as a commitment or an encryption key"

THREE_OF_FIVE = step(sharing(2, 3, "attacked"), 3, 5, "attacked")
DEALERS = (0, 2)


def faults_of(this: Step, receiver: int, dealings: dict[int, Dealing]) -> list[tuple[int, bool]]:
    """Who is named by a receiver, and whether everybody sees it."""
    with pytest.raises(FaultyDealingsError) as caught:
        this.receive(receiver, dealings)
    return [(fault.dealer, fault.is_public) for fault in caught.value.faults]


def polynomial(this: Step, dealer: int, *, degree: int | None = None) -> list[int]:
    """What an honest dealer might draw."""
    others = (degree if degree is not None else this.threshold - 1) + 1
    return [this.before.shares[dealer], *(number("drawn", dealer, power) for power in range(1, others))]


@pytest.mark.parametrize(
    "degree",
    [
        pytest.param(
            3,
            marks=pytest.mark.attack(
                line="holders", title="a dealing with one coefficient more, raising the threshold", origin=RAISING
            ),
        ),
        pytest.param(
            1,
            marks=pytest.mark.attack(
                line="holders", title="a dealing with one coefficient less, lowering the threshold", origin=RAISING
            ),
        ),
    ],
)
def test_a_dealing_of_another_degree_is_refused_by_everybody(degree: int) -> None:
    this = THREE_OF_FIVE
    dealings = this.dealings(DEALERS) | {2: crafted(this, 2, polynomial(this, 2, degree=degree))}
    assert faults_of(this, 4, dealings) == [(2, True)]
    assert [fault.dealer for fault in redistribution.public_faults(this.params, dealings)] == [2]
    with pytest.raises(FaultyDealingsError):
        redistribution.combine(this.params, dealings)


@pytest.mark.attack(line="holders", title="a dealer shares another secret than its share", origin=VERIFIABLE)
def test_a_dealer_cannot_deal_another_secret_than_its_share() -> None:
    """Its constant term is its public share, whatever it says: the shares of any other polynomial do not fit."""
    this = THREE_OF_FIVE
    wrong = polynomial(this, 0)
    wrong[0] = (wrong[0] + 1) % slow.N
    dealings = this.dealings(DEALERS) | {0: crafted(this, 0, wrong)}
    for receiver in range(5):
        assert faults_of(this, receiver, dealings) == [(0, False)]


@pytest.mark.attack(line="holders", title="a dealer gives one receiver alone a wrong share", origin=FORGIVE)
def test_a_wrong_share_to_one_receiver_is_named_by_that_one() -> None:
    this = THREE_OF_FIVE
    dealings = this.dealings(range(3))
    spoilt = list(dealings[1].encrypted_shares)
    spoilt[3] = bytes(31) + b"\x05"
    dealings[1] = replace(dealings[1], encrypted_shares=tuple(spoilt))
    assert faults_of(this, 3, dealings) == [(1, False)]
    this.receive(0, dealings)
    left = {dealer: dealing for dealer, dealing in dealings.items() if dealer != 1}
    assert slow.at_zero(this.after(left).shares) == this.before.secret


@pytest.mark.attack(line="holders", title="several dealers at once are wrong", origin=FORGIVE)
def test_all_bad_dealings_are_named_at_once() -> None:
    this = step(sharing(2, 4, "many"), 2, 2, "many")
    dealings = this.dealings(range(4))
    dealings[3] = replace(dealings[3], pubnonce=bytes(33))
    dealings[0] = replace(dealings[0], encrypted_shares=dealings[1].encrypted_shares)
    assert faults_of(this, 1, dealings) == [(0, False), (3, True)]


@pytest.mark.attack(
    line="holders", title="a dealer's commitments cancel the other dealers' after it saw them", origin=ROGUE_KEY
)
def test_a_rogue_dealer_that_cancels_the_others_commitments_holds_no_share_that_fits() -> None:
    this = THREE_OF_FIVE
    honest = this.deal(0)
    weights = [
        slow.at_zero({0: 1, 2: 0}),
        slow.at_zero({0: 0, 2: 1}),
    ]
    factor = -weights[0] * pow(weights[1], -1, slow.N) % slow.N
    cancelling = tuple(slow.encode(slow.times(factor, slow.decode(item))) for item in honest.commitments)
    rogue = replace(crafted(this, 2, polynomial(this, 2)), commitments=cancelling)
    dealings = {0: honest, 2: rogue}
    assert redistribution.public_faults(this.params, dealings) == ()
    with pytest.raises(CommitmentsCancelError):
        redistribution.combine(this.params, dealings)
    for receiver in range(5):
        assert faults_of(this, receiver, dealings) == [(2, False)]


@pytest.mark.attack(
    line="holders", title="all dealers together deal polynomials that add up to a lower degree", origin=ROGUE_KEY
)
def test_dealers_who_work_together_cannot_lower_the_threshold_unseen() -> None:
    """Every single dealing is well formed and every share fits; the sum is still refused."""
    this = THREE_OF_FIVE
    first, second = polynomial(this, 0), polynomial(this, 2)
    second[2] = -slow.at_zero({0: 1, 2: 0}) * first[2] * pow(slow.at_zero({0: 0, 2: 1}), -1, slow.N) % slow.N
    dealings = {0: crafted(this, 0, first, secnonce=5), 2: crafted(this, 2, second, secnonce=6)}
    with pytest.raises(CommitmentsCancelError):
        this.receive(0, dealings)


def test_dealers_who_give_a_receiver_the_share_zero_are_refused() -> None:
    this = step(sharing(2, 2, "zero"), 2, 2, "zero")
    values = [this.before.shares[dealer] for dealer in (0, 1)]
    alone = [crafted(this, dealer, [value, -value % slow.N], secnonce=9) for dealer, value in enumerate(values)]
    assert faults_of(this, 0, dict(enumerate(alone))) == [(0, False), (1, False)]
    # Neither deals zero, and their sum is: the key's polynomial would vanish at the first receiver.
    slope = 1234
    weights = [slow.at_zero({0: 1, 1: 0}), slow.at_zero({0: 0, 1: 1})]
    other = (-this.before.secret - weights[0] * slope) * pow(weights[1], -1, slow.N) % slow.N
    together = {0: crafted(this, 0, [values[0], slope]), 1: crafted(this, 1, [values[1], other])}
    with pytest.raises(CommitmentsCancelError, match="infinity"):
        this.receive(1, together)


@pytest.mark.parametrize("where", ["commitment", "pubnonce"])
@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(
            bytes(33),
            id="identity",
            marks=pytest.mark.attack(line="holders", title="the identity point in a dealing", origin=IDENTITY),
        ),
        pytest.param(b"\x02" + b"\xff" * 32, id="off-curve"),
        pytest.param(b"\x04" + bytes(32), id="prefix"),
        pytest.param(b"\x02" * 32, id="short"),
    ],
)
def test_what_is_no_point_is_refused_by_everybody(where: str, encoded: bytes) -> None:
    this = THREE_OF_FIVE
    good = this.deal(2)
    bad = (
        replace(good, pubnonce=encoded)
        if where == "pubnonce"
        else replace(good, commitments=(good.commitments[0], encoded))
    )
    assert faults_of(this, 1, {0: this.deal(0), 2: bad}) == [(2, True)]


@pytest.mark.parametrize(
    "change",
    [
        lambda shares: shares[:-1],
        lambda shares: (*shares, shares[0]),
        lambda shares: (*shares[:-1], slow.N.to_bytes(32, "big")),
        lambda shares: (*shares[:-1], bytes(31)),
        lambda shares: (*shares[:-1], bytes(33)),
    ],
)
def test_encrypted_shares_of_another_number_or_size_are_refused_by_everybody(
    change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]],
) -> None:
    this = THREE_OF_FIVE
    good = this.deal(2)
    bad = replace(good, encrypted_shares=change(good.encrypted_shares))
    assert faults_of(this, 1, {0: this.deal(0), 2: bad}) == [(2, True)]


@pytest.mark.attack(line="holders", title="one dealer's dealing sent again under another's name", origin=REPLAY)
def test_a_dealing_serves_for_its_own_dealer_only() -> None:
    this = THREE_OF_FIVE
    copied = this.deal(0)
    assert faults_of(this, 1, {0: copied, 2: copied}) == [(2, False)]


@pytest.mark.attack(line="holders", title="a dealing of one redistribution replayed in another", origin=REPLAY)
def test_a_dealing_is_bound_to_its_redistribution() -> None:
    this = THREE_OF_FIVE
    other = replace(this, context=bytes(32))
    assert faults_of(other, 1, {0: this.deal(0), 2: other.deal(2)}) == [(0, False)]


@pytest.mark.attack(
    line="coordinator",
    title="host keys of two new holders swapped between dealers and receivers",
    origin="ChillDKG: host keys are compared through the params hash",
)
def test_a_dealing_to_swapped_host_keys_fits_nobody() -> None:
    this = THREE_OF_FIVE
    swapped = replace(this, host_secrets=(this.host_secrets[1], this.host_secrets[0], *this.host_secrets[2:]))
    dealings = swapped.dealings(DEALERS)
    assert faults_of(this, 0, dealings) == [(0, False), (2, False)]
    assert faults_of(this, 1, dealings) == [(0, False), (2, False)]


@pytest.mark.attack(
    line="coordinator",
    title="dealings combined by fewer dealers than the threshold",
    origin="on paper: a reshare that does not count its dealers",
)
def test_fewer_dealings_than_the_threshold_are_refused() -> None:
    this = THREE_OF_FIVE
    for dealings in ({}, this.dealings((1,))):
        with pytest.raises(TooFewDealersError):
            this.receive(0, dealings)
        with pytest.raises(TooFewDealersError):
            redistribution.combine(this.params, dealings)


@pytest.mark.parametrize("dealer", [-1, 3, 2**40])
def test_a_dealer_that_is_no_old_holder_is_refused(dealer: int) -> None:
    this = THREE_OF_FIVE
    with pytest.raises(RedistributionInputError):
        this.receive(0, this.dealings(DEALERS) | {dealer: this.deal(1)})
    with pytest.raises(RedistributionInputError):
        redistribution.deal(scalar(5), this.params, dealer, b"r" * 32)


@pytest.mark.attack(
    line="coordinator",
    title="old public shares that belong to another key",
    origin="near/mpc: newcomers must get the old public shares authenticated, or the coordinator picks the key",
)
def test_old_public_shares_of_another_key_are_refused() -> None:
    this = THREE_OF_FIVE
    params = replace(this.params, group_key=sharing(2, 3, "another").group_key)
    with scalar(this.host_secrets[0]) as host_key, pytest.raises(RedistributionInputError, match="group key"):
        redistribution.receive(host_key, params, this.dealings(DEALERS))


def test_a_dealer_deals_its_own_share_with_good_randomness_only() -> None:
    this = THREE_OF_FIVE
    own = scalar(this.before.shares[0])
    with pytest.raises(RedistributionInputError):
        redistribution.deal(own, this.params, 1, b"r" * 32)
    with pytest.raises(RandomnessError):
        redistribution.deal(own, this.params, 0, bytes(32))
    for length in (0, 31, 33):
        with pytest.raises(InvalidInput, match="32 bytes"):
            redistribution.deal(own, this.params, 0, b"r" * length)
    assert this.deal(0, "once") != this.deal(0, "twice")
    assert own.public() == this.before.public_shares[0]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"context": bytes(31)}, RedistributionInputError),
        ({"threshold_before": 0}, RedistributionInputError),
        ({"threshold_before": 4}, RedistributionInputError),
        ({"receivers": SessionParams(THREE_OF_FIVE.host_keys, 0)}, ThresholdOrCountError),
        ({"receivers": SessionParams(THREE_OF_FIVE.host_keys, 6)}, ThresholdOrCountError),
        ({"receivers": SessionParams(THREE_OF_FIVE.host_keys[:1] * 2, 1)}, DuplicateHostPubkeyError),
    ],
)
def test_parameters_out_of_range_are_refused_at_every_step(change: dict[str, Any], expected: type[Exception]) -> None:
    this = THREE_OF_FIVE
    params = replace(this.params, **change)
    dealings = this.dealings(DEALERS)
    with pytest.raises(expected):
        redistribution.deal(scalar(this.before.shares[0]), params, 0, b"r" * 32)
    for step_of in (redistribution.public_faults, redistribution.combine):
        with pytest.raises(expected):
            step_of(params, dealings)
    with scalar(this.host_secrets[0]) as host_key, pytest.raises(expected):
        redistribution.receive(host_key, params, dealings)


def test_who_is_no_new_holder_gets_nothing() -> None:
    this = THREE_OF_FIVE
    dealings = this.dealings(DEALERS)
    transcript = redistribution.combine(this.params, dealings)
    with scalar(5) as stranger:
        with pytest.raises(HostSeckeyError):
            redistribution.receive(stranger, this.params, dealings)
        with pytest.raises(HostSeckeyError):
            redistribution.recover(stranger, transcript)


TRANSCRIPT = redistribution.combine(THREE_OF_FIVE.params, THREE_OF_FIVE.dealings(DEALERS))
OTHER_KEY = sharing(1, 1, "other").group_key


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"context": bytes(32)}, id="context"),
        pytest.param({"dealers": (0, 1)}, id="dealers"),
        pytest.param({"dealers": (2, 0)}, id="dealers-order"),
        pytest.param({"dealers": (2, 2)}, id="dealers-twice"),
        pytest.param({"dealers": (0,)}, id="dealers-few"),
        pytest.param({"dealers": ()}, id="dealers-none"),
        pytest.param({"dealers": (0, 2**32)}, id="dealers-large"),
        pytest.param({"dealers": (-1, 2)}, id="dealers-negative"),
        pytest.param({"pubnonces": TRANSCRIPT.pubnonces[::-1]}, id="nonces-swapped"),
        pytest.param({"pubnonces": TRANSCRIPT.pubnonces[:1]}, id="nonces-few"),
        pytest.param({"pubnonces": (bytes(33), TRANSCRIPT.pubnonces[1])}, id="nonces-identity"),
        pytest.param({"commitments": (OTHER_KEY, *TRANSCRIPT.commitments[1:])}, id="another-key"),
        pytest.param({"commitments": TRANSCRIPT.commitments[:2]}, id="commitments-few"),
        pytest.param({"commitments": (*TRANSCRIPT.commitments, OTHER_KEY)}, id="commitments-many"),
        pytest.param({"commitments": (*TRANSCRIPT.commitments[:2], bytes(33))}, id="commitments-identity"),
        pytest.param({"encrypted_shares": TRANSCRIPT.encrypted_shares[::-1]}, id="shares-swapped"),
        pytest.param({"encrypted_shares": TRANSCRIPT.encrypted_shares[:4]}, id="shares-few"),
        pytest.param({"encrypted_shares": (*TRANSCRIPT.encrypted_shares[:4], b"\xff" * 32)}, id="shares-large"),
        pytest.param({"receivers": SessionParams(THREE_OF_FIVE.host_keys[::-1], 3)}, id="receivers-swapped"),
        pytest.param({"receivers": SessionParams(THREE_OF_FIVE.host_keys, 6)}, id="receivers-threshold"),
        pytest.param({"receivers": SessionParams(THREE_OF_FIVE.host_keys, 2)}, id="receivers-lower-threshold"),
    ],
)
@pytest.mark.attack(
    line="coordinator",
    title="recovery data of an epoch altered in one place",
    origin="ChillDKG: recovery data comes from whoever has it, and must be checked",
)
def test_an_altered_transcript_gives_no_share(change: dict[str, Any]) -> None:
    altered: Transcript = replace(TRANSCRIPT, **change)
    with scalar(THREE_OF_FIVE.host_secrets[0]) as host_key, pytest.raises(RecoveryDataError):
        redistribution.recover(host_key, altered)


def test_a_transcript_that_gives_some_holder_no_public_share_is_refused() -> None:
    negated = slow.encode(slow.times(slow.N - 1, slow.decode(OTHER_KEY)))
    receivers = SessionParams(THREE_OF_FIVE.host_keys, 2)
    with pytest.raises(RecoveryDataError, match="no public share"):
        redistribution.public_shares(replace(TRANSCRIPT, receivers=receivers, commitments=(OTHER_KEY, negated)))


def live_slots() -> int:
    arena = secret._SCALARS
    return sum(16_384 // 32 for _ in arena._chunks) - len(arena._free)


def test_every_secret_of_a_redistribution_is_wiped_also_when_it_fails() -> None:
    this = THREE_OF_FIVE
    share, host_key = scalar(this.before.shares[0]), scalar(this.host_secrets[0])
    dealings = this.dealings(DEALERS)
    bad = dealings | {2: crafted(this, 2, [1, 2, 3])}
    before = live_slots()
    redistribution.deal(share, this.params, 0, b"r" * 32)
    assert live_slots() == before
    _, new_share = redistribution.receive(host_key, this.params, dealings)
    assert live_slots() == before + 1
    new_share.wipe()
    with pytest.raises(FaultyDealingsError):
        redistribution.receive(host_key, this.params, bad)
    with pytest.raises(RecoveryDataError):
        redistribution.recover(host_key, replace(TRANSCRIPT, context=bytes(32)))
    assert live_slots() == before
