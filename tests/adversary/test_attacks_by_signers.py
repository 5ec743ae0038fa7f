"""One holder of three lies in every way it can: payments go on, it is named where that is provable, nobody else is.

The bound: a payment is signed within `SIGNED_WITHIN_S` of its last approval, whatever the liar does; on an idle machine
it takes a tenth of a second. The liar is a whole signer whose answers are changed on the way out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lying_site import HONEST, LIAR, LyingSite, lying_site
from strongroom_coordinator import catch_up

pytestmark = pytest.mark.slow

ROAST = "ROAST 2022: one bad signer stops FROST until a human removes it"
SHARES = ROAST
NONCES = (
    "Drijvers and others 2019: nonces chosen after those of others; on paper: commitments that nobody can sign under"
)
VOTES = "on paper: one liar among those whose votes make the log"
TERMS = "on paper: a term opened over statements of one liar"
FETCHED = "on paper: a coordinator that lost its database rebuilds from a liar"
FRAMES = "on paper: a signer that breaks the rules of its stream"
WORDS = "on paper: words in the name of another signer or a person"
LEADS_TRIED = 20
DEALT = "ChillDKG: split views, rogue keys and raised thresholds in key generation"


@dataclass(frozen=True)
class Told:
    """One lie, the line that the coordinator logs about the liar ("" where it is harmless), and where it comes from."""

    lie: str
    event: str
    title: str
    origin: str
    quick: bool = False

    def param(self) -> Any:
        marks = [pytest.mark.attack(line="holders", title=self.title, origin=self.origin)]
        return pytest.param(self, id=self.lie, marks=marks if self.quick else [*marks, pytest.mark.campaign])


def every(*cases: Told) -> Any:
    return pytest.mark.parametrize("told", [case.param() for case in cases])


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[LyingSite]:
    async with lying_site(tmp_path) as site:
        yield site


def check(site: LyingSite, told: Told) -> None:
    """What holds after every lie."""
    assert site.told > 0, f"{told.lie} was never told"
    site.check_paid_once()
    site.check_standing()
    site.check_nobody_else_named()
    if told.event:
        assert told.event in {line["event"] for line in site.lines_about(LIAR)}


# --- while payments are signed ----------------------------------------------------------------------------------------


@every(
    Told("share-wrong", "share.wrong", "a share with a wrong value", SHARES, quick=True),
    Told("share-random", "share.wrong", "a random number for a share", SHARES),
    Told("share-zero", "share.wrong", "zero for a share", SHARES),
    Told("share-overflow", "share.wrong", "a share written as a number above the group order", SHARES),
    Told("share-negated", "share.wrong", "the right share with the wrong sign", SHARES),
    Told("share-of-another-payment", "share.wrong", "the share of an earlier payment under this one's context", SHARES),
    Told("next-commitments-reused", "share.wrong", "used nonces offered again for the retry", NONCES),
    Told("share-too-many", "signing.left_out", "more shares than inputs", SHARES),
    Told(
        "share-replayed", "signing.left_out", "signed shares of an earlier payment, word for word", SHARES, quick=True
    ),
    Told("share-in-another-name", "signing.left_out", "a wrong share in another signer's name", WORDS, quick=True),
    Told("share-of-another-set", "signing.left_out", "shares for another set of signers than asked", SHARES),
    Told(
        "share-of-other-commitments",
        "signing.left_out",
        "wrong shares bound to other commitments, so as to blame",
        SHARES,
    ),
    Told("share-uncertified", "signing.left_out", "shares said to be given under no certificate", SHARES),
    Told("share-badly-signed", "signing.left_out", "shares signed with a stranger's key", SHARES),
    Told("share-junk", "signing.left_out", "junk for signed shares", SHARES),
    Told(
        "share-of-another-place",
        "signing.answer_incomplete",
        "shares for a place in the log that nobody asked about",
        SHARES,
    ),
    Told("share-withheld", "signing.answer_incomplete", "an answer without the share that was asked for", SHARES),
    Told("refusal-false", "signing.refused", "good payments refused with a false reason", VOTES, quick=True),
    Told("refusal-in-another-name", "signing.refused", "good payments refused in another signer's name", WORDS),
    Told("next-commitments-junk", "signing.left_out", "junk for the next commitments beside a right share", NONCES),
)
async def test_lies_about_shares(site: LyingSite, told: Told) -> None:
    # Something to replay first: the liar is honest until it has signed once.
    site.lie = ""
    for _ in range(3):
        await site.pay_one()
    site.lie = told.lie
    await site.pay_until_told(told.event)
    check(site, told)


@every(
    Told(
        "commitments-no-points", "signing.left_out", "commitments that are no points of the curve", NONCES, quick=True
    ),
    Told("commitments-infinity", "signing.left_out", "commitments to the point at infinity", NONCES),
    Told("commitments-too-many", "signing.left_out", "more commitments than inputs", NONCES),
    Told("commitments-for-another-plan", "signing.left_out", "commitments for another payment", NONCES),
    Told("commitments-of-another-epoch", "signing.left_out", "commitments of another epoch of shares", NONCES),
    Told("commitments-in-another-name", "signing.left_out", "commitments in another signer's name", WORDS),
    Told("commitments-replayed", "signing.left_out", "commitments of an earlier payment, replayed", NONCES, quick=True),
    Told("commitments-of-another-signer", "signing.left_out", "another signer's own commitments, copied", NONCES),
    Told("commitments-badly-signed", "signing.left_out", "commitments signed with a stranger's key", NONCES),
    Told("commitments-known-nonce", "signing.refused", "commitments to a nonce that everybody knows", NONCES),
    Told("commitments-copied-points", "signing.refused", "the very nonces of another signer, signed as own", NONCES),
    Told(
        "commitments-equivocated",
        "signing.refused",
        "other commitments shown than made, then no share",
        NONCES,
        quick=True,
    ),
    Told(
        "commitments-withheld",
        "signing.answer_incomplete",
        "a vote without the commitments that were asked for",
        NONCES,
    ),
)
async def test_lies_about_commitments(site: LyingSite, told: Told) -> None:
    for _ in range(3):
        await site.pay_one()
    site.lie = told.lie
    await site.pay_until_told(told.event)
    check(site, told)


# --- while batches are voted on ---------------------------------------------------------------------------------------


@every(
    Told("vote-other-root", "vote.other_head", "a vote for another history", VOTES, quick=True),
    Told("vote-other-digest", "vote.other_head", "a vote for another result of replaying the log", VOTES),
    Told("vote-double", "vote.other_head", "votes for two histories at one size", VOTES),
    Told("vote-another-size", "vote.missing", "a vote for a log of absurd length", VOTES),
    Told("vote-another-term", "vote.missing", "a vote in a term that nobody opened", VOTES),
    Told("vote-wrong-key", "vote.missing", "a vote signed with a stranger's key", VOTES),
    Told("vote-replayed", "vote.missing", "the vote for an earlier batch, replayed", VOTES, quick=True),
    Told("vote-false-certificate", "vote.missing", "a vote that names a certificate which does not exist", VOTES),
    Told("vote-made-up-certificate", "vote.false_claim", "a vote that names a certificate which nobody made", VOTES),
    Told("vote-junk", "vote.missing", "junk for a vote, and for a cosignature", VOTES),
    Told("batch-refused-falsely", "batch.refused", "good batches refused with a false reason", VOTES, quick=True),
    Told("batch-refused-in-another-name", "vote.missing", "good batches refused in another signer's name", WORDS),
    Told("batch-refused-unsigned", "vote.missing", "good batches refused under a stranger's key", VOTES),
    Told("frame-out-of-order", "link.misbehaviour", "frames out of order", FRAMES),
    Told("frame-answers-the-future", "link.misbehaviour", "an answer to a question that was never asked", FRAMES),
    Told("frame-of-another-kind", "link.misbehaviour", "an answer of another kind than the question", FRAMES),
    Told("frame-empty", "link.misbehaviour", "a frame that holds nothing", FRAMES),
    Told("frame-twice", "", "every answer sent twice", FRAMES),
    Told("frame-huge", "", "an answer larger than any frame may be", FRAMES),
    Told("frame-large", "vote.missing", "answers as large as frames may be", FRAMES),
    Told("fetch-flood", "link.misbehaviour", "the whole log asked for a thousand times at once", FRAMES, quick=True),
    Told("fail-vote", "vote.missing", "a failure whose reason would forge lines in a log", FRAMES),
    Told("fail-release", "signing.request_failed", "a failure in place of shares", FRAMES),
    Told("late-vote", "", "votes that come three seconds late", ROAST),
    Told("late-release", "", "shares that come three seconds late", ROAST),
    Told("hang-up-vote", "", "a hang-up at every batch", ROAST),
    Told("hang-up-release", "", "a hang-up whenever a share is due", ROAST),
    Told("silent-certify", "", "certificates that are never acknowledged", VOTES),
)
async def test_lies_about_batches(site: LyingSite, told: Told) -> None:
    await site.pay_one()
    site.lie = told.lie
    await site.pay_until_told(told.event)
    check(site, told)


# --- when a term is opened --------------------------------------------------------------------------------------------


@every(
    Told(
        "newterm-forged-certificate",
        "term.statement_missing",
        "a forged certificate of a billion entries for a base",
        TERMS,
        quick=True,
    ),
    Told("newterm-unshown-certificate", "term.statement_missing", "a certificate that is stated and not shown", TERMS),
    Told("newterm-another-term", "term.statement_missing", "a statement for another term", TERMS),
    Told("newterm-in-another-name", "term.statement_missing", "a statement in another signer's name", WORDS),
    Told("newterm-junk", "term.statement_missing", "junk for a statement", TERMS),
    Told("newterm-forgets", "", "a statement that holds nothing, so that the log would begin anew", TERMS),
    Told("newterm-for-everyone", "", "statements for every leader who asks", TERMS),
    Told("term-opened-falsely", "", "a base that is said to be adopted and is not", TERMS),
    Told("term-opened-absurdly", "", "a base said to be adopted at an absurd size", TERMS),
    Told("silent-promise", "", "silence when a term is asked for", TERMS),
    Told("silent-open-term", "", "silence when a term is opened", TERMS),
    Told("fail-promise", "term.statement_missing", "a failure when a term is asked for", TERMS),
)
async def test_lies_about_terms(site: LyingSite, told: Told) -> None:
    await site.pay_one()
    size = site.side.ledger.certified_size
    site.lie = told.lie
    for _ in range(LEADS_TRIED):
        # Two honest statements open a term as well: the liar may come too late to lie.
        await site.lead_anew()
        await site.pay_one()
        if site.told and site.said(told.event):
            break
    assert site.side.ledger.certified_size > size
    check(site, told)


@every(
    Told(
        "fetched-altered", "catch_up.failed", "an altered log for a coordinator that lost its own", FETCHED, quick=True
    ),
    Told(
        "fetched-salt-altered",
        "catch_up.failed",
        "another log that replays well, for a coordinator that lost its own",
        FETCHED,
    ),
    Told("fetched-shortened", "catch_up.failed", "batches with their last entries missing", FETCHED),
    Told("fetched-nothing", "catch_up.failed", "no entries, though it holds them", FETCHED),
    Told("fetched-misplaced", "catch_up.failed", "batches that begin at another place", FETCHED),
    Told("fetched-forged-certificate", "catch_up.failed", "the right log under a forged certificate", FETCHED),
    Told("fetched-endless", "catch_up.failed", "fifteen megabytes of junk for every batch", FETCHED),
    Told("hang-up-fetch", "catch_up.failed", "a hang-up whenever a batch is fetched", FETCHED),
    Told("silent-fetch", "catch_up.failed", "silence whenever a batch is fetched", FETCHED),
)
async def test_lies_to_a_coordinator_that_lost_its_database(
    site: LyingSite, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Silence takes as long as the coordinator's patience.
    monkeypatch.setattr(catch_up, "FETCH_TIMEOUT_S", 2.0)
    await site.pay_one()
    before = site.side.ledger.replica
    known = {size: before.root_at(size) for size in before.batch_borders() if size <= site.side.ledger.certified_size}
    site.lie = told.lie
    await site.lead_anew_with_the_liars_log()
    await site.pay_one()
    assert {size: site.side.ledger.replica.root_at(size) for size in known} == known
    check(site, told)


# --- what it says unasked ---------------------------------------------------------------------------------------------


@every(
    Told("hello-another-name", "link.refused", "a greeting under another signer's name", WORDS, quick=True),
    Told("hello-another-log", "link.refused", "a greeting for another log", FRAMES),
    Told("hello-junk", "link.refused", "a greeting with fields of no sensible length", FRAMES),
    Told("hello-absurd-term", "", "a greeting from the highest term that can be written", TERMS),
    Told("hello-forged-certificate", "", "a greeting with a forged certificate", TERMS),
    Told(
        "freeze-in-another-name",
        "raised.refused",
        "a freeze in the name of another signer's operator",
        WORDS,
        quick=True,
    ),
    Told("words-forged", "raised.refused", "a rejection in a person's name, signed by a signer", WORDS),
    Told("words-flood", "", "a flood of words of which none is true", WORDS),
)
async def test_lies_said_unasked(site: LyingSite, told: Told) -> None:
    site.lie = told.lie
    await site.dial_anew()
    await site.until(lambda: site.told > 0)
    for _ in range(3):
        await site.pay_one()
    if told.event:
        await site.until(lambda: any(line["event"] == told.event for line in site.lines_about(LIAR)))
    assert site.side.sequencer.replica.state().freezes() == ()
    check(site, told)


# --- while a key is generated -----------------------------------------------------------------------------------------


@every(
    Told("keygen-more-commitments", LIAR, "a longer polynomial, to raise the threshold", DEALT, quick=True),
    Told("keygen-fewer-commitments", LIAR, "a shorter polynomial, to lower the threshold", DEALT),
    Told("keygen-junk", LIAR, "junk dealt in a key generation", DEALT),
    Told("keygen-wrong-share", "", "a share for one other that does not fit what was committed to", DEALT),
    Told("keygen-rogue-key", "", "a key of its choice that it cannot prove to know", DEALT),
    Told("keygen-no-key", "", "the point at infinity for a key", DEALT),
    Told("keygen-refused-transcript", LIAR, "another transcript signed than everybody saw", DEALT),
    Told("keygen-complaint", LIAR, "a false complaint about the shares it was dealt", DEALT),
    Told("keygen-false-statement", LIAR, "a vault statement under a stranger's key", DEALT),
    Told("keygen-other-vault", LIAR, "a statement that another key came of it", DEALT),
    Told("trial-no-nonce", LIAR, "the point at infinity in a trial signature", DEALT),
    Told("trial-junk-nonce", LIAR, "a trial nonce that is no point", DEALT),
    Told("trial-other-nonce", LIAR, "another trial nonce shown than made", DEALT),
    Told("trial-wrong-share", LIAR, "a wrong share of the trial signature", DEALT),
    Told("trial-junk-share", LIAR, "a trial share that is no number below the order", DEALT),
    Told("hang-up-keygen-round2", "", "a hang-up in the middle of a key generation", DEALT),
    Told("fail-keygen-finish", LIAR, "a failure at the end of a key generation", DEALT),
)
async def test_lies_in_a_key_generation(site: LyingSite, told: Told) -> None:
    """No key comes of it while it lies, payments go on, and the vault is born when it is honest again."""
    site.lie = told.lie
    creation = site.world.creation("customer-2", (*HONEST, LIAR), 2)
    await site.submit(creation, "carol", "alice", "bob")
    await site.until(lambda: _failed(site))
    await site.pay_one()
    assert site.side.sequencer.replica.state().vault("customer-2") is None
    if told.event:
        assert all(str(line["message"]).startswith(f"{LIAR}:") for line in _failed(site))
    site.lie = ""
    await site.until(lambda: site.side.sequencer.replica.state().vault("customer-2") is not None, 60)
    site.check_paid_once()
    site.check_standing()


def _failed(site: LyingSite) -> list[Any]:
    return [line for line in site.log if line["event"] == "keygen.failed"]
