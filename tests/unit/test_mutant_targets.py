"""No module of what decides on votes and shares drops out of `make mutants` unseen."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from types import CodeType
from typing import Any, Final, cast

# At the end: the fuzzers have a module `run` too.
sys.path.append(str(Path(__file__).parents[1] / "mutants"))

from equivalent import EQUIVALENT
from finding import ROOT, Function, edits_of, functions_of, names_of, noting_of, stale_verdicts, take_out, watch
from targets import LEFT_OUT, TARGETS

PLACES: Final = (
    "core/strongroom/crypto",
    "core/strongroom/chains",
    "core/strongroom/ledger",
    "core/strongroom/protocol",
    "signer/strongroom_signer",
)
SOURCE: Final = """
def check_all(one, two, kind):
    if one and two:
        raise ValueError
    if kind:
        yield "a problem"
    check_it(one)
    match kind:
        case 1 if two:
            yield Change(loosens=True)
    return [item for item in two if item]


def holds(one) -> bool:
    return one > 2
"""


def test_every_module_with_checks_is_mutated_or_left_out_with_a_reason() -> None:
    with_checks = {
        str(path.relative_to(ROOT))
        for place in PLACES
        for path in (ROOT / place).rglob("*.py")
        if any(edits_of(path.read_text()))
    }
    assert with_checks - TARGETS.keys() - LEFT_OUT.keys() == set()
    assert LEFT_OUT.keys() - with_checks == set()
    assert TARGETS.keys() & LEFT_OUT.keys() == set()


def test_every_target_has_checks_and_every_verdict_its_function() -> None:
    assert [path for path in TARGETS if not any(edits_of((ROOT / path).read_text()))] == []
    assert stale_verdicts() == set()


def test_what_is_said_to_be_unnoticeable_is_still_there() -> None:
    assert EQUIVALENT.keys() - {name for path in TARGETS for name in names_of(path)} == set()


def test_every_check_is_watched_where_tests_are_chosen_for_it() -> None:
    for path in TARGETS:
        told = {name for _, code in noting_of(path, "note") for name in _strings(code)}
        assert set(names_of(path)) - told == set()


def _strings(code: CodeType) -> Iterator[str]:
    for item in code.co_consts:
        if isinstance(item, str):
            yield item
        elif isinstance(item, CodeType):
            yield from _strings(item)


def test_each_kind_of_check_is_found() -> None:
    assert sorted(f"{name}: {edit.what}" for name, edit in edits_of(SOURCE)) == [
        "check_all: call check_it(one)",
        "check_all: case two",
        "check_all: filter item",
        "check_all: flag True",
        "check_all: guard one and two",
        "check_all: part and one",
        "check_all: part and two",
        "check_all: report kind",
        "holds: answer False for one > 2",
        "holds: answer True for one > 2",
    ]


def test_what_a_check_decides_is_told_wherever_the_function_does_anything_else_without_it() -> None:
    for name, edit in edits_of(SOURCE):
        noted: list[str] = []
        original = made(name, lambda _: None)
        without = made(name, partial(take_out, edit=edit))
        watched = made(name, partial(watch, edits=[(edit.what, edit)], note="note"), noted)
        silent = different = 0
        for arguments in INPUTS[name]:
            noted.clear()
            assert done(watched, arguments) == done(original, arguments)
            differs = done(without, arguments) != done(original, arguments)
            assert noted or not differs, edit.what
            silent += not noted
            different += differs
        assert silent, edit.what
        assert different, edit.what


INPUTS: Final = {
    "check_all": list(product((0, 1, 2), ((), (0,), (2, 0)), (0, 1))),
    "holds": [(1,), (3,)],
}


def made(name: str, change: Callable[[Function], None], noted: list[str] | None = None) -> Callable[..., Any]:
    """A function of the source, changed; `note` writes down the name when a check says what matters."""

    def note(name: str, value: object, when: bool) -> object:
        if noted is not None and bool(value) is when:
            noted.append(name)
        return value

    def check_it(value: int) -> None:
        if value == 1:
            raise KeyError

    tree = ast.parse(SOURCE)
    change(dict(functions_of(tree))[name])
    names: dict[str, Any] = {"note": note, "check_it": check_it, "Change": dict}
    exec(compile(ast.fix_missing_locations(tree), "source", "exec"), names)
    return cast(Callable[..., Any], names[name])


def done(function: Callable[..., Any], arguments: tuple[object, ...]) -> tuple[object, ...]:
    """What it yields and returns, or the error it ends with."""
    told: list[object] = []

    def run() -> Generator[object, None, object]:
        found = function(*arguments)
        return (yield from found) if isinstance(found, Generator) else found

    steps = run()
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            return (*told, end.value)
        except (ValueError, KeyError) as error:
            return (*told, type(error))
