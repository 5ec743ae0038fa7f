"""The reference of errors is complete and up to date, and every reason is fit to be one."""

from __future__ import annotations

import re
from pathlib import Path

import grpc

import error_reference
from strongroom.model.errors import Kind, StrongroomError

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"

SHARED = {
    # The same fact, met at two places: by the ledger and by a signer or a client.
    "ADOPTION_INVALID",
    "BAD_CONFIG",
    "BAD_SIGNATURE",
    "FROZEN",
    "REJECTED",
}


def all_classes() -> list[type[StrongroomError]]:
    error_reference.load_all()
    return list(dict.fromkeys(error_reference.classes()))


def test_the_reference_is_what_the_code_says() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == error_reference.render(), (
        "run: python tests/support/error_reference.py > docs/reference/errors.md"
    )


def test_every_class_has_a_stable_reason_of_its_own() -> None:
    by_reason: dict[str, set[str]] = {}
    for error in all_classes():
        assert re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+|[A-Z]{4,}", error.reason), error
        assert isinstance(error.kind, Kind)
        assert error.__doc__
        by_reason.setdefault(error.reason, set()).add(f"{error.__module__}.{error.__name__}")
    twice = {reason: names for reason, names in by_reason.items() if len(names) > 1 and reason not in SHARED}
    assert not twice
    assert by_reason.keys() >= SHARED


def test_where_the_text_of_a_kind_says_nothing_to_do_a_reason_says_it_itself() -> None:
    """The SDK's classes stand for whole kinds; what the coordinator said is beside them."""
    silent = {Kind.UNAUTHENTICATED, Kind.NOT_FOUND, Kind.ALREADY_EXISTS}
    mute = [error.reason for error in all_classes() if error.kind in silent and not vars(error).get("remedy")]
    assert sorted(mute) == ["REMOTE_ALREADY_EXISTS", "REMOTE_NOT_FOUND"]


def test_kinds_are_grpc_status_codes() -> None:

    assert {kind.name for kind in Kind} <= {code.name for code in grpc.StatusCode}
