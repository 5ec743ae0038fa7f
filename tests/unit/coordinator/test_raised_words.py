"""A frame of words that a signer raises: how much of it is read."""

from __future__ import annotations

from strongroom.api.signer.v1 import signer_link_service_pb2 as pb
from strongroom_coordinator.raised import MAX_MALFORMED, MAX_WORDS, _bodies


def frame_of(word: pb.Raised, count: int) -> pb.Raised:
    return pb.Raised.FromString(word.SerializeToString() * count)


def test_nothing_is_read_behind_many_malformed_words() -> None:
    bodies, problems = _bodies(frame_of(pb.Raised(freezes=[{}]), 50_000))
    assert not bodies
    assert len(problems) == MAX_MALFORMED


def test_a_malformed_word_does_not_hold_back_the_others() -> None:
    word = {"body": b"a word", "signature": bytes(64)}
    bodies, problems = _bodies(pb.Raised(freezes=[{}, word], endorsements=[word]))
    assert (len(bodies), len(problems)) == (2, 1)


def test_more_words_than_an_inbox_holds_are_left_out() -> None:
    word = pb.Raised(endorsements=[{"body": b"a word", "signature": bytes(64)}])
    bodies, problems = _bodies(frame_of(word, MAX_WORDS + 5))
    assert (len(bodies), len(problems)) == (MAX_WORDS, 0)
