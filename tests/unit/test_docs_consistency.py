"""The documentation names only what exists: links, files, reasons, options, events, numbers."""

from __future__ import annotations

import importlib
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

import cli_reference
import error_reference
from docs_text import ROOT, anchors, blocks, inline, links, markdown_files, prose
from strongroom.chains.bitcoin import policy
from strongroom.crypto import sealed
from strongroom.ledger.handlers import orders as handlers
from strongroom.model.errors import StrongroomError
from strongroom.protocol import keygen, redistribution_coordinator, signing
from strongroom.protocol.voter_state import Alarm
from strongroom_client import audit_chain, orders
from strongroom_client.errors import RemoteError
from strongroom_coordinator import standing
from strongroom_coordinator.rpc import requests
from strongroom_coordinator.tracker import addresses, tracker
from strongroom_regtest.methods import METHODS
from strongroom_signer import alarms, inbox, nonces
from strongroom_signer.alarms import CLOCK_DRIFT, DiskLow
from strongroom_signer.refusals import ShareRefused

FILES = markdown_files()
PROGRAMS = ("strongroom", "strongroom-signer", "strongroom-coordinator", "strongroom-regtest")
OUTSIDE = re.compile(r"(?:https?|mailto):")


def named(files: list[Path]) -> list[Any]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in files]


# --- links and files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", named(FILES))
def test_every_relative_link_leads_somewhere(file: Path) -> None:
    dead = []
    for link in links(file):
        if OUTSIDE.match(link):
            continue
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        if not target.exists() or not target.is_relative_to(ROOT):
            dead.append(link)
        elif anchor and anchor not in anchors(target):
            dead.append(link)
    assert not dead


TOP = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
NOT_THERE = {
    # The decision that says which folders of the design there are not.
    "core/strongroom/reserves",
}


def looks_like_a_path(text: str) -> bool:
    """A name in backticks that reads as a file or folder of the repository."""
    if not re.fullmatch(r"[\w.-]+(?:/[\w.*-]+)+/?", text):
        return False
    return text.split("/", maxsplit=1)[0] in TOP


@pytest.mark.parametrize("file", named(FILES))
def test_every_repository_path_in_backticks_exists(file: Path) -> None:
    missing = [
        text
        for text in inline(file)
        if looks_like_a_path(text) and text not in NOT_THERE and not list(ROOT.glob(text.rstrip("/")))
    ]
    assert not missing


MODULE = re.compile(r"strongroom(?:_\w+)?(?:\.\w+)+")


@pytest.mark.parametrize("file", named(FILES))
def test_every_module_in_backticks_exists(file: Path) -> None:
    missing = []
    for text in inline(file):
        match = MODULE.match(text)
        if match is None or text.startswith("strongroom.api."):
            continue
        *parts, last = match.group().split(".")
        if len(parts) == 1 and last in dir(importlib.import_module(parts[0])):
            continue
        roots = [ROOT / name for name in ("core", "client", "coordinator", "signer", "deploy/regtest")]
        candidates = [root.joinpath(*parts) for root in roots]
        if not any(
            (path / last).is_dir()
            or (path / f"{last}.py").exists()
            or (path.with_suffix(".py").exists() and re.search(rf"\b{last}\b", path.with_suffix(".py").read_text()))
            for path in candidates
        ):
            missing.append(text)
    assert not missing


SOURCES = [ROOT / name for name in ("core", "client", "coordinator", "signer", "deploy", "tests")]


@pytest.mark.parametrize("file", named(FILES))
def test_every_python_file_in_backticks_exists(file: Path) -> None:
    files = [text for text in inline(file) if re.fullmatch(r"[\w/*]+\.py", text) and not looks_like_a_path(text)]
    assert not [text for text in files if not any(next(source.rglob(text), None) for source in SOURCES)]


def test_the_coordinators_readme_lists_modules_that_exist() -> None:
    text = (ROOT / "coordinator/README.md").read_text()
    table = text.split("## Reading order")[1].split("\n## ")[0]
    modules = [
        name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)/?`", row)
    ]
    package = ROOT / "coordinator/strongroom_coordinator"
    assert len(modules) > 15
    assert not [name for name in modules if not (package / f"{name}.py").exists() and not (package / name).is_dir()]


# --- reasons ---------------------------------------------------------------------------------------------------------


def known_reasons() -> set[str]:
    error_reference.load_all()
    reasons = {error.reason for error in error_reference.classes(StrongroomError)}
    return reasons | {kind.name for kind in error_reference.Kind}


NOT_REASONS = {
    # Names in capitals that are no reason: placeholders of commands, environment, protocols, alarms' own names.
    "STRONGROOM_PROFILE",
    "OP_RETURN",
    "FREEZE_ID",
    "UPPER_SNAKE",
    "NOT_SERVING",
}


def test_every_reason_named_in_a_document_exists() -> None:
    known = known_reasons()
    alarms = {alarm.name for alarm in Alarm}
    unknown = {
        f"{file.relative_to(ROOT)}: {text}"
        for file in FILES
        for text in inline(file)
        if re.fullmatch(r"[A-Z]+(?:_[A-Z]+)+", text) and text not in known | alarms | NOT_REASONS
    }
    assert not unknown


def test_the_operators_guide_explains_every_refusal_and_every_alarm() -> None:
    guide = set(inline(ROOT / "docs" / "operators.md"))
    refusals = {error.reason for error in error_reference.classes(ShareRefused)}
    assert refusals
    assert not (refusals | {alarm.name for alarm in Alarm} | {CLOCK_DRIFT, DiskLow.reason}) - guide


def test_the_warnings_in_the_guide_for_approvers_are_those_of_the_screen() -> None:
    guide = (ROOT / "docs/treasury.md").read_text().split("Warnings you will meet:")[1].split("\n## ")[0]
    told = [" ".join(text.split()).rstrip(".") for text in re.findall(r"\*\*(.+?)\*\*", guide, re.DOTALL)]
    screens = ("display.py", "cli/other_payments.py")
    screen = "".join((ROOT / "client/strongroom_client" / path).read_text() for path in screens)
    assert len(told) > 5
    assert not [text for text in told if text not in screen]


def test_the_guide_for_integrators_says_what_to_do_about_every_error_class() -> None:
    guide = set(inline(ROOT / "docs/integrators.md"))
    assert not {error.__name__ for error in RemoteError.__subclasses__()} - guide


def test_the_regtest_nodes_readme_lists_its_methods() -> None:
    listed = (ROOT / "deploy/regtest/README.md").read_text().split("## Methods\n")[1].split("Names, parameters")[0]
    assert set(re.findall(r"`([a-z]+)`", listed)) == {*METHODS, "stop"}


DAY_MS = 24 * 3_600_000


def thousands(number: int) -> str:
    return f"{number:,}"


@pytest.mark.parametrize(
    ("file", "phrase"),
    [
        ("docs/protocol/signing.md", f"kept for {signing.COMMITMENTS_LIFETIME_MS // 1000} s."),
        ("docs/protocol/signing.md", f"{signing.HEDGE_MS} ms while nothing is known"),
        ("docs/protocol/signing.md", f"between {standing.HEDGE_LEAST_MS} ms and {standing.HEDGE_MOST_MS // 1000} s,"),
        ("docs/protocol/signing.md", f"waited for up to {signing.BUSY_MS // 1000} s, or"),
        ("docs/protocol/signing.md", f"at most {standing.BUSY_MOST_MS // 1000} s:"),
        ("docs/protocol/signing.md", f"unless it left {signing.MAX_DEPARTURES} times"),
        ("docs/protocol/signing.md", "up to 5 minutes" if standing.PROBATION_MOST_S == 300 else "up to another time"),
        ("docs/protocol/signing.md", f"{nonces.MAX_AGE_MS // 1000} s of life"),
        ("docs/protocol/keygen.md", f"{keygen.SILENCE_MS // 1000} s of silence"),
        ("docs/protocol/redistribution.md", f"nobody asks for it for {keygen.SILENCE_MS // 1000} s"),
        ("docs/protocol/redistribution.md", f"is asked again after {redistribution_coordinator.RETRY_MS // 1000} s"),
        ("docs/threat-model.md", f"the nonce is at most {nonces.MAX_AGE_MS // 1000} seconds old"),
        ("docs/threat-model.md", f"within {thousands(policy.CHANGE_INDEX_GAP)} of the highest index used"),
        ("docs/threat-model.md", f"within {alarms.MAX_BATCH_SKEW_MS // 1000} seconds"),
        ("docs/operators.md", f"by more than {alarms.MAX_DRIFT_MS // 1000} s against"),
        ("docs/operators.md", "for ten minutes" if inbox.GRACE_MS == 600_000 else "for another time"),
        ("docs/operators.md", "by more than a minute" if alarms.MAX_BATCH_SKEW_MS == 60_000 else "by another time"),
        ("docs/treasury.md", "counts for six days" if orders.ENDORSEMENT_LIFE_MS == 6 * DAY_MS else "another time"),
        ("docs/integrators.md", f"at most {handlers.MAX_ORDER_LIFE_MS // DAY_MS} days ahead"),
        ("docs/integrators.md", f"takes up to {requests.MAX_BULK} at once"),
        ("docs/integrators.md", f"watches {thousands(addresses.GAP)} beyond the highest"),
        ("docs/integrators.md", f"more than {thousands(tracker.MAX_INDEX_JUMP)}"),
        ("docs/auditors.md", f"({thousands(audit_chain.DEFAULT_GAP)})"),
        ("signer/README.md", f"argon2id, {sealed.SIGNER.memory_kib // 1024} MiB"),
    ],
)
def test_numbers_in_documents_are_the_codes(file: str, phrase: str) -> None:
    assert phrase in " ".join((ROOT / file).read_text().split())


EVENT = re.compile(r"[a-z][a-z_]*\.[a-z][a-z_]*")
FILE_ENDINGS = ("toml", "pem", "bin", "sealed", "db", "json", "key", "md", "py", "lock", "cookie", "port", "sock")


def test_every_log_event_named_for_operators_is_logged() -> None:
    code = "".join(path.read_text() for role in ("signer", "coordinator") for path in (ROOT / role).rglob("*.py"))
    named_events = {
        text
        for file in ("docs/operators.md", "coordinator/README.md")
        for text in inline(ROOT / file)
        if EVENT.fullmatch(text) and not text.endswith(FILE_ENDINGS) and not text.startswith("strongroom")
    }
    charter = tomllib.loads((ROOT / "docs/examples/charter.example.toml").read_text())
    keys = {f"{table}.{key}" for table, content in charter.items() if isinstance(content, dict) for key in content}
    assert len(named_events) > 10
    assert not {event for event in named_events - keys if f'"{event}"' not in code}


# --- commands and options --------------------------------------------------------------------------------------------


def options_of() -> dict[str, set[str]]:
    """Every command of every program, and what its help shows as options."""
    return {name: set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", page)) for name, page in cli_reference.pages()}


def commands_in(text: str) -> list[list[str]]:
    """The commands of our programs in a shell text or in backticks, as words."""
    text = re.sub(r"\\\n\s*", " ", text)
    found = []
    for line in text.splitlines():
        for match in re.finditer(rf"(?<![\w./-])(?:{'|'.join(sorted(PROGRAMS, reverse=True))}) [^|;&)#>]*", line):
            try:
                found.append(shlex.split(match.group()))
            except ValueError:
                found.append(match.group().split())
    return found


def problem_of(words: list[str], options: dict[str, set[str]]) -> str:
    """What is wrong with a command as a document writes it; empty when nothing is."""
    name = words[0]
    rest = words[1:]
    while rest and f"{name} {rest[0]}" in options:
        name = f"{name} {rest.pop(0)}"
    is_group = any(other.startswith(f"{name} ") for other in options)
    if is_group and rest and re.fullmatch(r"[a-z][a-z-]*", rest[0]):
        return f"{' '.join(words)}: no command {rest[0]}"
    for word in rest:
        option = word.strip("[]").partition("=")[0]
        if re.fullmatch(r"--?[a-z][a-z-]*", option) and option not in options[name]:
            return f"{' '.join(words)}: no option {option} of {name}"
    return ""


@pytest.mark.parametrize("file", named([path for path in FILES if path.name != "cli.md"]))
def test_every_command_and_option_in_a_document_exists(file: Path) -> None:
    options = options_of()
    shell = [block.text for block in blocks(file) if block.language in ("sh", "console", "text", "ini", "")]
    pieces = [*shell, *(text for text in re.findall(r"`([^`]+)`", prose(file)))]
    problems = [problem for text in pieces for words in commands_in(text) if (problem := problem_of(words, options))]
    assert not problems


def test_the_check_of_options_notices_what_does_not_exist() -> None:
    options = options_of()
    assert problem_of(shlex.split("strongroom withdraw approve 9f --nope"), options)
    assert problem_of(shlex.split("strongroom withdraw bless 9f"), options)
    assert problem_of(shlex.split("strongroom-signer resume"), options)
    assert not problem_of(shlex.split("strongroom withdraw approve 9f --yes"), options)


def test_every_command_but_those_that_tell_a_story_takes_json() -> None:
    leaves = {
        name: set_of for name, set_of in options_of().items() if name.startswith(("strongroom ", "strongroom-signer "))
    }
    groups = {" ".join(name.split()[:-1]) for name in leaves}
    without = {name for name, options in leaves.items() if "--json" not in options} - groups
    assert without == {"strongroom demo", "strongroom completion"}


def test_the_reference_of_commands_is_what_the_programs_say() -> None:
    reference = ROOT / "docs" / "reference" / "cli.md"
    assert reference.read_text() == cli_reference.render(), (
        "run: python tests/support/cli_reference.py > docs/reference/cli.md"
    )


def test_make_targets_named_in_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = [block.text for file in FILES for block in blocks(file) if block.language == "sh"]
    texts += [text for file in FILES for text in inline(file)]
    named_targets = {target for text in texts for target in re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)}
    assert named_targets
    assert named_targets <= targets


# --- the readers' way in ---------------------------------------------------------------------------------------------

ABSOLUTE = re.compile(r"(?<![\w.:/~$}>)*-])/([a-z]+)/", re.IGNORECASE)
ON_EVERY_MACHINE = {"var", "opt", "etc"}


@pytest.mark.parametrize("file", named(FILES))
def test_no_document_names_a_path_of_one_machine(file: Path) -> None:
    assert set(ABSOLUTE.findall(file.read_text())) <= ON_EVERY_MACHINE


def reachable(start: Path) -> set[Path]:
    """Documents that a reader can come to by links."""
    seen: set[Path] = set()
    waiting = [start]
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        for link in links(file):
            if OUTSIDE.match(link):
                continue
            target = (file.parent / link.partition("#")[0]).resolve()
            # A folder, or its README, is an index of the folder: the hosting page lists what is in it.
            folder = target if target.is_dir() else target.parent if target.name == "README.md" else None
            if folder is not None and folder != ROOT:
                waiting += sorted(folder.glob("*.md"))
            if target.suffix == ".md" and target.exists():
                waiting.append(target)
    return seen


def test_every_document_is_reached_from_the_readme() -> None:
    lost = set(FILES) - reachable(ROOT / "README.md")
    assert not {str(path.relative_to(ROOT)) for path in lost}


def test_every_guide_is_linked_in_the_readme_itself() -> None:
    linked = {
        (ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md") if not OUTSIDE.match(link)
    }
    assert not {path.name for path in (ROOT / "docs").glob("*.md") if path.resolve() not in linked}
