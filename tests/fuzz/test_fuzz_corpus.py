"""The corpus of every fuzz target holds, and every function that parses bytes from outside has a target."""

from __future__ import annotations

import inspect
import subprocess
import sys
import threading
import time
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from entrances import OWN_BYTES, entrances
from fuzz_target import NASTY, name_of_seed
from fuzz_targets import TARGETS
from run import modules_of_targets, smaller

pytestmark = pytest.mark.slow

CORPUS = Path(__file__).parent / "corpus"
MAX_INPUT_BYTES = 16_384
MAX_CORPUS_BYTES = 1_000_000


def inputs(name: str) -> list[Path]:
    folder = CORPUS / name
    return sorted(folder.iterdir()) if folder.is_dir() else []


@lru_cache(maxsize=1)
def reached() -> dict[str, set[str]]:
    """Target -> the functions that its corpus enters, by replaying all of it once; a defect shows here as it is."""
    found = {}
    for name, target in TARGETS.items():
        target.run(b"")
        seen: set[Any] = set()

        def note(frame: FrameType, event: str, _: Any, seen: set[Any] = seen) -> None:
            if event == "call":
                seen.add(frame.f_code)

        sys.setprofile(note)
        threading.setprofile(note)
        try:
            for file in inputs(name):
                # Of the processor: what waits for its turn beside other programs is not slow.
                started = time.process_time()
                target.run(file.read_bytes())
                assert time.process_time() - started < target.max_seconds, f"{file} takes too long"
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
        found[name] = {f"{_module(code)}:{code.co_qualname.replace('.<locals>', '')}" for code in seen}
    return found


def _module(code: Any) -> str:
    module = inspect.getmodulename(code.co_filename) or ""
    for package in ("strongroom", "strongroom_signer", "strongroom_coordinator", "strongroom_client"):
        _, found, rest = code.co_filename.rpartition(f"/{package}/")
        if found:
            return ".".join([package, *Path(rest).with_suffix("").parts])
    return f"strongroom_regtest.{module}" if "/strongroom_regtest/" in code.co_filename else module


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_corpus_is_small_named_by_its_content_and_reaches_what_its_target_names(name: str) -> None:
    files = inputs(name)
    assert files, f"write seeds: python tests/fuzz/run.py --write-seeds {name}"
    assert sum(file.stat().st_size for file in files) < MAX_CORPUS_BYTES
    for file in files:
        data = file.read_bytes()
        assert file.name == name_of_seed(data)
        assert len(data) <= MAX_INPUT_BYTES
    for parser in TARGETS[name].parsers:
        assert parser in reached()[name], f"{name} never calls {parser}"


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(TARGETS) == set(modules_of_targets())


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_seeds_of_a_target_hold(name: str) -> None:
    """Most are in the corpus, which is replayed elsewhere; what holds a random key is not."""
    known = {file.name for file in inputs(name)}
    for seed in TARGETS[name].seeds():
        if name_of_seed(seed) not in known:
            TARGETS[name].run(seed)


@pytest.mark.parametrize("name", sorted(set(TARGETS) - {"lying_signer"}))
def test_what_libraries_fail_on_is_refused(name: str) -> None:
    for data in NASTY:
        TARGETS[name].run(data)
        TARGETS[name].run(b"\0" + data)


def test_every_entrance_of_bytes_is_reached_by_a_target_or_reads_its_own_bytes() -> None:
    found = set(entrances())
    everywhere = set().union(*reached().values())
    missing = sorted(found - everywhere - set(OWN_BYTES))
    assert not missing, "add a target that reaches these, or say whose bytes they are:\n" + "\n".join(missing)
    assert set(OWN_BYTES) <= found, "these parse nothing any more"


def test_every_parser_that_a_target_names_exists() -> None:
    for target in TARGETS.values():
        for parser in target.parsers:
            module, _, name = parser.partition(":")
            found: Any = import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
            assert callable(found)


def run_the_program(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(Path(__file__).parent / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_the_program_lists_its_targets_and_refuses_others() -> None:
    listed = run_the_program("--list", "card")
    assert listed.returncode == 0
    assert listed.stdout.split() == ["card", *TARGETS["card"].parsers]
    assert run_the_program("--seconds", "1", "nothing-of-this-name").returncode == 2


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is built for Linux on x86-64 only")
def test_the_program_fuzzes_a_target_and_says_what_it_found() -> None:
    done = run_the_program("--seconds", "1", "merkle_proof")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "merkle_proof" in done.stdout
    assert "0 of 1 targets with a defect" in done.stdout


def test_an_input_that_shows_a_defect_is_made_small() -> None:
    needle, hay = b"\xffdefect", bytes(range(200)) * 3
    assert smaller(hay + needle + hay, lambda data: needle in data) == needle


def test_any_other_error_than_a_refusal_shows_as_a_defect() -> None:
    """A target that swallowed what it must not would find nothing."""
    from fuzz_target import total  # noqa: PLC0415 - only here

    def broken(data: bytes) -> int:
        return data[5]

    with pytest.raises(IndexError):
        total(broken, b"")
