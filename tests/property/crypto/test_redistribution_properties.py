"""Whatever the holders before and after, the key stays, every quorum signs, and no mixture of epochs gives anything."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import slow_redistribution as slow
from frost_groups import fixed_bytes
from redistribution_groups import Sharing, Step, scalar, sharing, signed_with, step
from strongroom.crypto import bip340, redistribution
from strongroom.crypto.redistribution import Dealing


@dataclass(frozen=True)
class Shape:
    t: int
    n: int
    new_t: int
    new_n: int
    dealers: tuple[int, ...]


@st.composite
def shapes(draw: st.DrawFn, most: int = 5) -> Shape:
    n = draw(st.integers(1, most))
    t = draw(st.integers(1, n))
    new_n = draw(st.integers(1, most))
    new_t = draw(st.integers(1, new_n))
    dealers = draw(st.sets(st.integers(0, n - 1), min_size=t))
    return Shape(t, n, new_t, new_n, tuple(sorted(dealers)))


def one_step(shape: Shape, label: object) -> tuple[Step, dict[int, Dealing], Sharing]:
    this = step(sharing(shape.t, shape.n, label), shape.new_t, shape.new_n, label)
    dealings = this.dealings(shape.dealers, label)
    return this, dealings, this.after(dealings)


@given(shapes(), st.integers())
@settings(max_examples=30, deadline=None)
def test_every_quorum_of_the_new_holders_gives_the_same_key_and_signs(shape: Shape, label: int) -> None:
    _, _, after = one_step(shape, label)
    for part in slow.subsets(after.shares, shape.new_t):
        assert slow.at_zero(part) == after.secret
    for ids in list(combinations(range(shape.new_n), shape.new_t))[:4]:
        message = fixed_bytes("message", label, ids)
        assert bip340.verify(after.group_key[1:], message, signed_with(after, ids, message))


@given(shapes(most=4), st.integers())
@settings(max_examples=10, deadline=None)
def test_dealings_and_shares_are_those_of_a_slow_implementation_in_plain_integers(shape: Shape, label: int) -> None:
    this, dealings, after = one_step(shape, label)
    expected = {
        dealer: slow.deal(
            this.before.shares[dealer],
            dealer,
            fixed_bytes("random", dealer, label),
            host_keys=this.host_keys,
            threshold=shape.new_t,
            context=this.context,
        )
        for dealer in shape.dealers
    }
    for dealer, dealing in dealings.items():
        assert dealing.commitments == expected[dealer].commitments
        assert dealing.pubnonce == expected[dealer].pubnonce
        assert dealing.encrypted_shares == expected[dealer].encrypted_shares
    for receiver, share in after.shares.items():
        columns = {dealer: (made.pubnonce, made.encrypted_shares[receiver]) for dealer, made in expected.items()}
        assert share == slow.received(this.host_secrets[receiver], receiver, columns, context=this.context)
        values = {dealer: slow.evaluate(made.coefficients, receiver) for dealer, made in expected.items()}
        assert share == slow.at_zero(values)
        assert after.public_shares[receiver] == slow.encode(slow.times(share))


@given(shapes(), st.integers())
@settings(max_examples=25, deadline=None)
def test_a_host_key_and_the_transcript_give_the_share_back(shape: Shape, label: int) -> None:
    this, dealings, after = one_step(shape, label)
    transcript = redistribution.combine(this.params, dealings)
    assert transcript.commitments[0] == this.before.group_key
    for receiver, secret in enumerate(this.host_secrets):
        with scalar(secret) as host_key, redistribution.recover(host_key, transcript) as share:
            assert share == scalar(after.shares[receiver])


@given(shapes(), st.integers())
@settings(max_examples=25, deadline=None)
def test_any_set_of_enough_dealings_serves_and_nobody_deals_again(shape: Shape, label: int) -> None:
    this = step(sharing(shape.t, shape.n, label), shape.new_t, shape.new_n, label)
    all_of_them = this.dealings(range(shape.n), label)
    for chosen in list(combinations(range(shape.n), shape.t))[:5]:
        after = this.after({dealer: all_of_them[dealer] for dealer in chosen})
        assert slow.at_zero(dict(list(after.shares.items())[: shape.new_t])) == this.before.secret


@pytest.mark.attack(
    line="holders",
    title="shares of several epochs mixed, t-1 of each",
    origin="proactive sharing (Herzberg et al. 1995): a mobile thief takes a few shares in every epoch",
)
@given(st.integers(2, 4), st.integers(0, 2), st.integers())
@settings(max_examples=20, deadline=None)
def test_shares_of_different_epochs_do_not_mix(t: int, spare: int, label: int) -> None:
    """A thief has t - 1 shares of every epoch, at most two epochs are tried together, and no mixture is the key."""
    n = t + spare
    epochs = [sharing(t, n, label)]
    for number in range(2):
        this = step(epochs[-1], t, n, label, number)
        epochs.append(this.after(this.dealings(range(t), label, number)))
    for older, newer in combinations(epochs, 2):
        for taken in range(1, t):
            mixed = {holder: older.shares[holder] for holder in range(taken)}
            mixed |= {holder: newer.shares[holder] for holder in range(taken, t)}
            assert slow.at_zero(mixed) != older.secret
    for epoch in epochs:
        assert all(slow.at_zero(part) != epoch.secret for part in slow.subsets(epoch.shares, t - 1))


@pytest.mark.attack(
    line="holders",
    title="all that t-1 old holders and t'-1 new holders know put together",
    origin="share redistribution (Desmedt, Jajodia 1997): thieves on both sides of the step",
)
@given(st.integers(2, 3), st.integers(2, 3), st.integers())
@settings(max_examples=15, deadline=None)
def test_what_one_too_few_of_both_sides_know_fits_every_key(t: int, new_t: int, label: int) -> None:
    """Another key explains everything that the thieves saw: so nothing of what they know tells the key.

    They see t - 1 old shares, and from every honest dealer t' - 1 values of its polynomial, beside commitments, which
    only a discrete logarithm could open.
    """
    this = step(sharing(t, t, label), new_t, new_t, label)
    after = this.after(this.dealings(range(t), label))
    corrupted_old, honest = range(t - 1), t - 1
    other_key = (this.before.secret + 1) % slow.N
    # The one old share that nobody stole takes up the difference ...
    known = {holder: this.before.shares[holder] for holder in corrupted_old}
    weight = (slow.at_zero({**known, honest: 1}) - slow.at_zero({**known, honest: 0})) % slow.N
    other_share = (this.before.shares[honest] + pow(weight, -1, slow.N)) % slow.N
    assert slow.at_zero({**known, honest: other_share}) == other_key
    # ... and its dealing may have shared that one just as well: a polynomial of degree t' - 1 has room for it.
    seen = {receiver: after.shares[receiver] for receiver in range(new_t - 1)}
    completing = [slow.at_zero({**seen, new_t - 1: value}) for value in (0, 1)]
    slope = (completing[1] - completing[0]) % slow.N
    last = (other_key - completing[0]) * pow(slope, -1, slow.N) % slow.N
    assert slow.at_zero({**seen, new_t - 1: last}) == other_key
    assert last != after.shares[new_t - 1]


def test_fifteen_of_twenty_one_are_refreshed_by_all_and_by_fifteen() -> None:
    before = sharing(15, 21, "large")
    this = step(before, 15, 21, "large")
    dealings = this.dealings(range(21))
    for chosen in (range(21), range(6, 21)):
        some = {dealer: dealings[dealer] for dealer in chosen}
        shares = {receiver: this.receive(receiver, some)[1] for receiver in range(3, 18)}
        assert slow.at_zero(shares) == before.secret
