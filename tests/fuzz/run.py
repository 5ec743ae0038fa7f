"""Fuzz the parsers of bytes from outside, guided by coverage.

    python tests/fuzz/run.py                         every target, 30 seconds each
    python tests/fuzz/run.py --seconds 600 card      one target, ten minutes
    python tests/fuzz/run.py --list                  the targets, and what each reaches
    python tests/fuzz/run.py --write-seeds           make the corpus of targets that have none

Inputs that reach new code stay in build/fuzz. An input that shows a defect is made small and saved in the target's
corpus, tests/fuzz/corpus/<target>, where the tests replay it; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
CORPUS: Final = HERE / "corpus"
WORK: Final = ROOT / "build" / "fuzz"
PACKAGES: Final = [
    "strongroom",
    "strongroom_signer",
    "strongroom_coordinator",
    "strongroom_client",
    "strongroom_regtest",
]
MEMORY_MB: Final = 2_048
SMALLER_TRIES: Final = 2_000

sys.path[:0] = [str(HERE), str(HERE.parent / "support")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What fuzzing one target gave."""

    name: str
    runs: int
    coverage: int
    kept: int
    seconds: float
    crash: Path | None
    trouble: str

    @property
    def line(self) -> str:
        verdict = "ok"
        if self.trouble:
            verdict = self.trouble
        if self.crash is not None:
            verdict = f"DEFECT, see {self.crash.relative_to(ROOT)}"
        rate = self.runs / self.seconds if self.seconds else 0
        figures = f"{self.runs:>9} inputs {rate:>7.0f}/s {self.coverage:>6} edges {self.kept:>5} kept"
        return f"{self.name:22} {figures}  {verdict}"


def say(*parts: object) -> None:
    """Print a line of progress at once."""
    sys.stdout.write("\n    ".join(map(str, parts)) + "\n")
    sys.stdout.flush()


def modules_of_targets() -> dict[str, str]:
    """Target -> the module that registers it, read from the sources: a worker must import them instrumented."""
    found = {}
    for file in sorted(HERE.glob("fuzz_*.py")):
        for node in ast.parse(file.read_text()).body:
            marks = [item for item in getattr(node, "decorator_list", []) if isinstance(item, ast.Call)]
            if isinstance(node, ast.FunctionDef) and any(getattr(item.func, "id", "") == "target" for item in marks):
                found[node.name] = file.stem
    return found


def worker(name: str, module: str, options: list[str]) -> None:
    """Fuzz in this process; libFuzzer ends it."""
    import atheris  # noqa: PLC0415 - only this process needs it, and not every machine has it

    with atheris.instrument_imports(include=PACKAGES):
        __import__(module)
    from fuzz_target import TARGETS  # noqa: PLC0415 - as above

    chosen = TARGETS[name]
    chosen.run(b"")  # makes what the target stands on before the clock of the single inputs runs
    bounds = [f"-max_len={chosen.max_bytes}", f"-timeout={chosen.max_seconds}"]
    atheris.Setup([sys.argv[0], *bounds, *options], chosen.run)
    atheris.Fuzz()


def fuzz(name: str, module: str, seconds: int) -> Result:
    """Run a worker for so long."""
    work, corpus = WORK / name, CORPUS / name
    work.mkdir(parents=True, exist_ok=True)
    corpus.mkdir(parents=True, exist_ok=True)
    before = sum(1 for _ in work.iterdir())
    artifact = WORK / f"{name}.found"
    artifact.unlink(missing_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-exact_artifact_path={artifact}",
        "-print_final_stats=1",
        "-verbosity=1",
        str(work),
        str(corpus),
    ]
    command = [sys.executable, str(HERE / "run.py"), "--worker", name, module, *options]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, cwd=ROOT)
    crash = save(name, module, artifact.read_bytes()) if artifact.exists() else None
    (WORK / f"{name}.log").write_text(done.stdout + done.stderr)
    return Result(
        name=name,
        runs=_last_number(r"stat::number_of_executed_units:\s+(\d+)", done.stderr),
        coverage=_last_number(r"cov: (\d+)", done.stderr),
        kept=sum(1 for _ in work.iterdir()) - before,
        seconds=time.monotonic() - started,
        crash=crash,
        trouble="" if done.returncode == 0 or crash else f"ended with {done.returncode}: {_last_line(done.stderr)}",
    )


def _last_number(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")[:200]


def save(name: str, module: str, data: bytes) -> Path:
    """Make an input that shows a defect small, and put it into the corpus."""
    from fuzz_target import name_of_seed  # noqa: PLC0415 - the parent imports no target before it needs one

    fault = fault_of(name, module, data)
    small = data if not fault else smaller(data, lambda tried: fault_of(name, module, tried) == fault)
    path = CORPUS / name / name_of_seed(small)
    path.write_bytes(small)
    return path


def fault_of(name: str, module: str, data: bytes) -> str:
    """What an input makes the target raise: the exception's type; empty for nothing. A hang counts as none here."""
    __import__(module)
    from fuzz_target import TARGETS  # noqa: PLC0415 - registered by the import above

    try:
        TARGETS[name].run(data)
    except Exception as error:
        # Whatever it is, it is the defect that is looked for.
        return type(error).__name__
    return ""


def smaller(data: bytes, still: Callable[[bytes], bool]) -> bytes:
    """Cut pieces out as long as the same fault shows, from large pieces to single bytes."""
    size, tries = len(data) // 2, 0
    while size and tries < SMALLER_TRIES:
        at = 0
        while at < len(data) and tries < SMALLER_TRIES:
            tried = data[:at] + data[at + size :]
            tries += 1
            if still(tried):
                data = tried
            else:
                at += size
        size //= 2
    return data


def write_seeds(names: list[str]) -> None:
    """Write the seeds of targets whose corpus is empty."""
    import fuzz_targets  # noqa: PLC0415 - imports every target
    from fuzz_target import name_of_seed  # noqa: PLC0415 - as above

    for name in names:
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            continue
        for seed in fuzz_targets.TARGETS[name].seeds():
            (folder / name_of_seed(seed)).write_bytes(seed)
        say(f"{name:22} {sum(1 for _ in folder.iterdir())} seeds")


def run_all(names: list[str], seconds: int) -> int:
    """Fuzz target after target; 1 if one of them showed a defect or could not run."""
    modules = modules_of_targets()
    try:
        import atheris  # noqa: F401, PLC0415 - asked for here to say plainly that it is missing
    except ImportError:
        say("atheris is not installed: it is built for Linux on x86-64 only. `pytest tests/fuzz` replays the corpus.")
        return 2
    say(f"{len(names)} targets, {seconds} s each; about {len(names) * (seconds + 4) // 60 + 1} minutes")
    results = []
    for number, name in enumerate(names, 1):
        results.append(fuzz(name, modules[name], seconds))
        say(f"[{number}/{len(names)}] {results[-1].line}")
    wrong = [item for item in results if item.crash or item.trouble]
    say(f"{sum(item.runs for item in results)} inputs, {len(wrong)} of {len(results)} targets with a defect")
    return 1 if wrong else 0


def main() -> int:
    """Read the command line."""
    modules = modules_of_targets()
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], sys.argv[3], sys.argv[4:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="by default all")
    parser.add_argument("--seconds", type=int, default=30, help="for each target (default 30)")
    parser.add_argument("--list", action="store_true", help="list the targets and end")
    parser.add_argument("--write-seeds", action="store_true", help="write seeds for targets without a corpus and end")
    options = parser.parse_args()
    unknown = sorted(set(options.targets) - set(modules))
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}; see --list")
    names = options.targets or sorted(modules)
    os.environ.setdefault("PYTHONHASHSEED", "0")
    if options.write_seeds:
        write_seeds(names)
        return 0
    if options.list:
        import fuzz_targets  # noqa: PLC0415 - imports every target

        for name in names:
            say(name, *fuzz_targets.TARGETS[name].parsers)
        return 0
    try:
        return run_all(names, options.seconds)
    except KeyboardInterrupt:
        say("interrupted: what was found so far is kept in build/fuzz; no verdict on the rest")
        return 130


if __name__ == "__main__":
    sys.exit(main())
