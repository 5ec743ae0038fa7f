"""When a branch that is still being fetched may take the place of the own entries, and what is held then."""

from __future__ import annotations

from dataclasses import replace

import pytest

import protocol_world as world
from electorate_of import always
from strongroom.ledger.certificate_messages import Certificate, Head
from strongroom.protocol import voter
from strongroom.protocol.certificates import BadCertificate, held_of, sign_vote
from strongroom.protocol.voter_state import Alarm, VoterState, VoterStopped, initial_state

VOTERS = always(world.VOTE_KEYS, 2)
FINAL = (b"final",)
OWN = (*FINAL, b"own", b"own tail")
BRANCH = (*FINAL, b"theirs", b"on the way", b"target")
LOG = world.ToyLog(batches=BRANCH, final_size=1)
TARGET = world.head_at(BRANCH, 5)


def certified(term: int, size: int = 3, batches: tuple[bytes, ...] = BRANCH) -> Certificate:
    return world.certificate(world.head_at(batches, term, size), ("s2", "s3"))


def signer(*, held: Certificate | None = None, voted: int = 0, adopted: bool = False) -> VoterState:
    """s1 in term 5, which voted for its own tail in a term before."""
    state = replace(initial_state(world.LOG_ID, "s1", world.VOTE_KEYS["s1"]), term=5, held=held, adopted=adopted)
    if not voted:
        return state
    vote = sign_vote(world.KEYS["s1"], world.head_at(OWN, voted), held_of(held))
    return replace(state, last_vote=vote.stored())


def after(
    state: VoterState, certificate: Certificate, *, keep: int = 1, log: world.ToyLog = LOG, target: Head = TARGET
) -> VoterState | None:
    return voter.on_branch(state, certificate, target, log, keep=keep, electorates=VOTERS)


@pytest.mark.parametrize("adopted", [False, True])
@pytest.mark.parametrize("voted", [0, 3, 4])
def test_a_tail_beyond_what_is_held_gives_way_and_what_is_held_stays(voted: int, adopted: bool) -> None:
    for held in (None, certified(2, 1)):
        state = signer(held=held, voted=voted, adopted=adopted)
        assert after(state, certified(4)) is state


def test_a_certificate_of_a_term_before_the_last_vote_moves_nothing() -> None:
    """Somebody may hold a certificate of the later term for what this signer voted for."""
    assert after(signer(voted=4), certified(3)) is None


def test_a_certificate_of_a_term_after_that_of_the_target_moves_nothing() -> None:
    target = world.head_at(BRANCH, 3)
    assert after(signer(), certified(3), target=target) is not None
    assert after(signer(), certified(4), target=target) is None


def test_of_what_is_held_and_the_branch_lacks_only_a_later_terms_certificate_takes_the_place() -> None:
    state = signer(held=certified(3, 2, OWN))
    later = certified(4)
    assert after(state, later) == replace(state, held=later)
    assert after(state, certified(3)) is None
    assert after(state, certified(2)) is None
    assert after(replace(state, adopted=True), later) is None


def test_what_is_held_stays_where_the_branch_has_it_too() -> None:
    for adopted in (False, True):
        state = signer(held=certified(3, 2), adopted=adopted)
        assert after(state, certified(4)) is state
        assert after(state, certified(3)) is state


def test_what_is_held_of_entries_that_are_kept_stays_whatever_can_still_be_read_of_them() -> None:
    state = signer(held=certified(3, 1))
    assert after(state, certified(3), log=replace(LOG, final_size=2), keep=2) is state


def test_a_certificate_of_another_root_or_another_state_moves_nothing() -> None:
    assert after(signer(), certified(4, 3, OWN)) is None
    other = world.certificate(replace(world.head_at(BRANCH, 4, 3), state_digest=bytes(32)), ("s2", "s3"))
    assert after(signer(), other) is None
    assert after(signer(held=certified(3, 2, OWN)), certified(4), log=replace(LOG, lying_digest=True)) is None


def test_one_vote_is_no_certificate() -> None:
    with pytest.raises(BadCertificate):
        after(signer(), world.certificate(world.head_at(BRANCH, 4, 3), ("s2",)))


def test_a_signer_that_stopped_gives_nothing_up() -> None:
    with pytest.raises(VoterStopped):
        after(replace(signer(), alarm=Alarm.CERTIFICATES_CONFLICT.name), certified(4))
