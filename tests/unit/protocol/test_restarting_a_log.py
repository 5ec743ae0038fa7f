"""Making a restart, judging its file, and what a voter's state begins with in a log that was founded anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import charter_builder as builder
import protocol_world as toy
from electorate_of import always
from ledger_world import World
from restart_world import RestartWorld, approval
from strongroom.ledger import codec
from strongroom.ledger.certificate_messages import Certificate
from strongroom.ledger.charter_changes import changes
from strongroom.ledger.entry_messages import Restart, Tick
from strongroom.ledger.founding import restart_log_id, statement_hash, statement_of
from strongroom.ledger.reasons import Refused
from strongroom.ledger.signed_messages import Signed
from strongroom.model.ids import LogId
from strongroom.protocol import voter
from strongroom.protocol.certificates import held_of
from strongroom.protocol.electorates import Electorates
from strongroom.protocol.restart import (
    RestartLosesCertificate,
    draft_restart,
    judge_restart,
    require_complete,
    require_nothing_lost,
    with_approval,
)
from strongroom.protocol.terms import sign_new_term
from strongroom.protocol.voter_state import Adopted, Alarmed, OpenedTerm, SizeNotRising, VoterState, initial_state
from strongroom.wire.restart_file import (
    FIRST_LINE,
    MAX_FILE_BYTES,
    RestartFileInvalid,
    decode_restart_file,
    encode_restart_file,
    is_restart_file,
)


@pytest.fixture
def world() -> RestartWorld:
    return RestartWorld()


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.reason


# --- drafting and approving ------------------------------------------------------------------------------------------


def test_a_draft_and_approvals_make_the_restart_that_is_pinned(world: RestartWorld) -> None:
    certificate, charter = world.certificate(("s1", "s2")), world.new_charter()
    restart = draft_restart(world.state, certificate, charter, now_ms=world.world.time_ms)
    for person in ("bob", "alice"):
        restart = with_approval(world.state, restart, approval(restart, person))
    assert restart == world.restart(charter, certificate=certificate)
    founding, log_id = require_complete(world.state, restart)
    assert log_id == restart_log_id(restart) == founding.log_id
    world.found(restart)


def test_a_draft_needs_a_certified_head(world: RestartWorld) -> None:
    charter, now_ms = world.new_charter(), world.world.time_ms
    assert refusal(lambda: draft_restart(world.state, None, charter, now_ms=now_ms)) == "RESTART_CERTIFICATE"
    early = world.certificate(("s1", "s2"))
    world.world.log(Tick())
    assert refusal(lambda: draft_restart(world.state, early, charter, now_ms=now_ms)) == "RESTART_HEAD"


def test_a_draft_right_behind_a_founding_needs_none(world: RestartWorld) -> None:
    world.found(world.restart())
    charter = world.new_charter(key="newer")
    restart = draft_restart(world.state, None, charter, now_ms=world.world.time_ms)
    assert statement_of(restart).head.term == 0
    for person in ("alice", "bob"):
        restart = with_approval(world.state, restart, approval(restart, person))
    world.found(restart)


def test_a_draft_needs_a_charter_that_can_follow(world: RestartWorld) -> None:
    certificate, now_ms = world.certificate(("s1", "s2")), world.world.time_ms
    wrong = world.new_charter(officers="admins")
    assert refusal(lambda: draft_restart(world.state, certificate, wrong, now_ms=now_ms)) == "RESTART_CHARTER"


def test_no_approval_is_added_to_a_restart_that_is_complete(world: RestartWorld) -> None:
    restart = world.restart()
    assert refusal(lambda: with_approval(world.state, restart, approval(restart, "carol"))) == "RESTART_APPROVALS"


def test_nobody_is_added_twice_or_without_a_good_signature(world: RestartWorld) -> None:
    restart = world.restart(approvers=("alice",))
    assert refusal(lambda: with_approval(world.state, restart, approval(restart, "alice"))) == "RESTART_APPROVALS"
    assert refusal(lambda: with_approval(world.state, restart, approval(restart, "dave"))) == "RESTART_APPROVALS"
    forged = replace(approval(restart, "bob"), signature=bytes(64))
    assert refusal(lambda: with_approval(world.state, restart, forged)) == "BAD_SIGNATURE"


# --- judging a file --------------------------------------------------------------------------------------------------


def test_a_file_says_what_stays_what_changes_and_who_is_missing(world: RestartWorld) -> None:
    charter = world.new_charter()
    restart = world.restart(charter, approvers=("bob",))
    founding = judge_restart(world.state, restart)
    assert (founding.approved, founding.missing, founding.may_approve) == (("bob",), 1, ("alice", "carol"))
    assert (founding.head, founding.charter, founding.log_id) == (world.head(), charter, None)
    assert founding.changes == changes(world.state.charter, charter)
    assert founding.statement == statement_hash(restart)
    assert refusal(lambda: require_complete(world.state, restart)) == "RESTART_APPROVALS"


def test_a_file_with_too_many_approvals_does_not_hold(world: RestartWorld) -> None:
    restart = world.restart(approvers=("alice", "bob", "carol"))
    assert refusal(lambda: judge_restart(world.state, restart)) == "RESTART_APPROVALS"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda w: w.restart(voters=("s1",), approvers=("alice",)), "RESTART_CERTIFICATE"),
        (lambda w: w.restart(w.new_charter(loosening_delay_ms=3_600_000), approvers=("alice",)), "RESTART_CHARTER"),
        (lambda w: w.restart(statement=w.statement(made_ms=1), approvers=("alice",)), "ENTRY_TIME_FELL"),
        (lambda w: w.restart(approvers=("dave",)), "RESTART_APPROVALS"),
    ],
    ids=["certificate", "charter", "time", "approver"],
)
def test_a_file_is_judged_before_it_is_complete(
    world: RestartWorld, wrong: Callable[[RestartWorld], Restart], reason: str
) -> None:
    assert refusal(lambda: judge_restart(world.state, wrong(world))) == reason


# --- the file --------------------------------------------------------------------------------------------------------


def test_a_file_is_read_as_it_was_written(world: RestartWorld) -> None:
    for restart in (world.restart(), world.restart(approvers=())):
        data = encode_restart_file(restart)
        assert is_restart_file(data)
        assert decode_restart_file(data) == restart


def test_what_is_no_restart_file_is_refused(world: RestartWorld) -> None:
    data = encode_restart_file(world.restart())
    charter_alone = codec.encode(world.new_charter())
    for wrong in (
        b"",
        data[:-1],
        data + b"\0",
        data[1:],
        FIRST_LINE,
        charter_alone,
        data.replace(b"restart v1", b"restart v2", 1),
        FIRST_LINE + codec.encode(Restart(statement=b"x", approvals=())),
        FIRST_LINE + bytes(MAX_FILE_BYTES),
    ):
        with pytest.raises(RestartFileInvalid):
            decode_restart_file(wrong)


def test_a_file_larger_than_an_entry_is_neither_written_nor_read(world: RestartWorld) -> None:
    restart = world.restart()
    large = replace(restart, approvals=(Signed(body=bytes(4_096), signature=bytes(64)),) * 16)
    with pytest.raises(RestartFileInvalid):
        encode_restart_file(large)
    with pytest.raises(RestartFileInvalid, match="more than"):
        decode_restart_file(FIRST_LINE + codec.encode(large))


# --- nothing is forgotten --------------------------------------------------------------------------------------------


def held(world: RestartWorld, certificate: Certificate | None, **parts: object) -> VoterState:
    begun = initial_state(LogId(world.world.log_id), "s1", builder.signing_key("s1 vote").public)
    return replace(begun, held=certificate, **parts)  # type: ignore[arg-type]


def certificate_of(world: RestartWorld, term: int, size: int) -> Certificate:
    world.term = term
    return world.certificate(("s1", "s2"), head=replace(world.head(), term=term, size=size))


@pytest.mark.parametrize(("term", "size"), [(1, 2), (2, 1), (2, 2)])
def test_a_signer_does_not_forget_a_higher_certificate(world: RestartWorld, term: int, size: int) -> None:
    restart = world.restart()
    with pytest.raises(RestartLosesCertificate) as caught:
        require_nothing_lost(restart, held(world, certificate_of(world, term, size)), final_size=0)
    assert caught.value.facts == {"term": str(term), "size": str(size)}


def test_a_signer_does_not_forget_the_base_that_it_accepted(world: RestartWorld) -> None:
    restart = world.restart()
    opened = OpenedTerm(statements_hash=bytes(32), base=certificate_of(world, 2, 3), electorates=(bytes(32),))
    with pytest.raises(RestartLosesCertificate):
        require_nothing_lost(restart, held(world, None, opened=opened), final_size=0)


def test_a_signer_does_not_forget_what_is_final(world: RestartWorld) -> None:
    restart = world.restart()
    with pytest.raises(RestartLosesCertificate) as caught:
        require_nothing_lost(restart, held(world, None), final_size=2)
    assert caught.value.facts == {"size": "2"}


def test_a_signer_does_not_take_another_head_of_the_same_rank(world: RestartWorld) -> None:
    restart = world.restart()
    other = world.certificate(("s1", "s2"), head=replace(world.head(), root=bytes(32)))
    with pytest.raises(RestartLosesCertificate):
        require_nothing_lost(restart, held(world, other), final_size=0)


def test_a_signer_gives_up_what_a_higher_certificate_took_the_place_of(world: RestartWorld) -> None:
    world.term = 3
    restart = world.restart()
    for known in (None, world.certificate(("s1", "s2")), certificate_of(world, 2, 9)):
        require_nothing_lost(restart, held(world, known), final_size=1)
    world.term = 3
    opened = OpenedTerm(statements_hash=bytes(32), base=None, electorates=(bytes(32),))
    require_nothing_lost(restart, held(world, None, opened=opened), final_size=1)


def test_right_behind_a_founding_nothing_may_be_held(world: RestartWorld) -> None:
    world.found(world.restart())
    head = replace(world.head(), term=0)
    again = world.restart(statement=world.statement(world.new_charter(key="newer"), head=head))
    require_nothing_lost(again, held(world, None), final_size=world.state.size)
    with pytest.raises(RestartLosesCertificate):
        require_nothing_lost(again, held(world, certificate_of(world, 1, 3)), final_size=world.state.size)


# --- voting in the log that begins -----------------------------------------------------------------------------------

FOUNDED = 4
VOTERS = always(toy.VOTE_KEYS, 2)


def founded() -> tuple[VoterState, toy.ToyLog]:
    log = toy.ToyLog(batches=(b"1", b"2", b"3", b"founding"), final_size=FOUNDED)
    return initial_state(toy.LOG_ID, "s1", toy.KEYS["s1"].public, founded_size=FOUNDED), log


def opened_without_base() -> tuple[VoterState, toy.ToyLog]:
    state, log = founded()
    state, own = voter.promise(state, toy.KEYS["s1"], term=1, leader=toy.LEADER, boot_id=toy.BOOT)
    other = sign_new_term(
        toy.KEYS["s2"],
        log_id=toy.LOG_ID,
        signer="s2",
        term=1,
        leader=toy.LEADER,
        boot_id=toy.BOOT,
        held=held_of(None),
    )
    state, _ = voter.open_term(
        state, term=1, leader=toy.LEADER, statements=[own, other], base_certificate=None, electorates=VOTERS
    )
    return state, log


def test_a_term_without_a_certificate_begins_at_the_founding(world: RestartWorld) -> None:
    state, log = opened_without_base()
    assert state.base_size == FOUNDED
    state, outcome = voter.adopt(state, log, electorates=VOTERS)
    assert outcome == Adopted(truncate_to=None)
    state, outcome = voter.adopt(
        opened_without_base()[0], replace(log, batches=(*log.batches, b"5")), electorates=VOTERS
    )
    assert outcome == Adopted(truncate_to=FOUNDED)


def test_no_vote_reaches_below_the_founding() -> None:
    state, log = opened_without_base()
    state, _ = voter.adopt(state, log, electorates=VOTERS)
    head = toy.head_at(log.batches, 1)
    with pytest.raises(SizeNotRising):
        voter.vote(state, toy.KEYS["s1"], head, log)


def test_a_log_on_its_genesis_that_holds_nothing_begins_at_nothing() -> None:
    assert initial_state(toy.LOG_ID, "s1", toy.KEYS["s1"].public).base_size == 0


def test_what_was_final_by_more_than_the_base_still_stops_a_signer() -> None:
    state, log = opened_without_base()
    longer = replace(log, batches=(*log.batches, b"5"), final_size=FOUNDED + 1)
    _, outcome = voter.adopt(state, longer, electorates=VOTERS)
    assert isinstance(outcome, Alarmed)


def test_up_to_the_founding_there_is_one_electorate(world: RestartWorld) -> None:
    world.found(world.restart())
    known = Electorates.of(world.state, final_size=0)
    assert known.final_size == world.state.founded_size
    assert known.possible(0) == (known.own(0),)
    assert known.own(0).has("s2", builder.signing_key("s2-new vote").public)
    assert not known.own(0).has("s2", builder.signing_key("s2 vote").public)


def test_a_log_on_its_genesis_is_final_as_far_as_it_is_said_to_be() -> None:
    world = World.started()
    assert Electorates.of(world.state, final_size=0).final_size == 0
