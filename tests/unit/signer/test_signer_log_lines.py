"""The signer's log: nobody who makes it say the same again and again fills the disk."""

from __future__ import annotations

import io
import json

from strongroom_signer.logs import LINES_A_MINUTE, open_log


def test_an_event_without_end_is_muted_for_the_rest_of_its_minute() -> None:
    now, stream = [0.0], io.StringIO()
    log = open_log(stream=stream, monotonic=lambda: now[0])
    for number in range(5 * LINES_A_MINUTE):
        log.warning("share.refused", entry=number)
    log.warning("request.refused", request="Release")
    now[0] = 60.0
    log.warning("share.refused", entry=-1)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines[LINES_A_MINUTE:]] == ["request.refused", "share.refused"]
    assert [line["entry"] for line in lines[:LINES_A_MINUTE]] == list(range(LINES_A_MINUTE))
    assert [index for index, line in enumerate(lines) if "muted_s" in line] == [LINES_A_MINUTE - 1]


def test_a_flood_of_one_refusal_does_not_hide_another() -> None:
    stream = io.StringIO()
    log = open_log(stream=stream, monotonic=lambda: 0.0)
    for _ in range(2 * LINES_A_MINUTE):
        log.warning("request.refused", reason="FRAME_MALFORMED")
    log.warning("request.refused", reason="TERM_STALE")
    reasons = [json.loads(line)["reason"] for line in stream.getvalue().splitlines()]
    assert reasons == ["FRAME_MALFORMED"] * LINES_A_MINUTE + ["TERM_STALE"]


def test_debug_lines_are_all_written() -> None:
    stream = io.StringIO()
    log = open_log(stream=stream, level="debug", monotonic=lambda: 0.0)
    for _ in range(LINES_A_MINUTE + 50):
        log.debug("request.answered")
    assert len(stream.getvalue().splitlines()) == LINES_A_MINUTE + 50
