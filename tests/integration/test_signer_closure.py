"""The signer needs its own few dependencies and nothing of the other roles."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

WORDS = ("--words-fd", "1")
"""The words go into the pipe that the command's standard output is here."""

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root in {names!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked here", name=name)
        return None

sys.meta_path.insert(0, Blocked())
from strongroom_signer.main import main
"""

OTHERS = (
    "alembic",
    "click",
    "google.rpc",
    "grpc_health",
    "grpc_reflection",
    "grpc_status",
    "httpx",
    "pbk",
    "rich",
    "sqlalchemy",
    "strongroom_client",
    "strongroom_coordinator",
    "strongroom_regtest",
)


def test_signer_runs_where_nothing_of_the_other_roles_can_be_imported(tmp_path: Path) -> None:
    phrase = tmp_path / "phrase"
    phrase.write_text("correct horse battery\n")
    program = BLOCKED.format(names=OTHERS)
    for arguments in (
        ["--help"],
        ["init", "--name", "s1", "--data", str(tmp_path / "s1"), "--passphrase-file", str(phrase), *WORDS],
    ):
        code = program + f"sys.argv[1:] = {arguments!r}\nmain()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "s1" / "card.json").is_file()


def test_every_module_of_the_signer_is_imported_without_the_other_roles() -> None:
    modules = sorted(path.stem for path in (ROOT / "signer" / "strongroom_signer").glob("[a-z]*.py"))
    imports = "\n".join(f"import strongroom_signer.{name}" for name in modules)
    code = BLOCKED.format(names=OTHERS) + imports
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(modules) > 20


def test_base_dependencies_are_the_signers_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {re.split(r"[<>=]", line)[0] for line in project["dependencies"]}
    lock = (ROOT / "requirements" / "signer.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    assert wanted <= locked
    assert len(locked) <= len(wanted) + 4, "what the base dependencies bring along themselves stays small"


def test_what_builds_the_package_is_locked_with_hashes() -> None:
    """Of a build that pip isolates it would fetch this without any."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (backend,) = project["build-system"]["requires"]
    assert project["dependency-groups"]["build"] == [backend]
    lock = (ROOT / "requirements" / "build.lock").read_text(encoding="utf-8")
    assert re.search(rf"^{re.escape(backend)} \\\n +--hash=sha256:[0-9a-f]{{64}}", lock, re.MULTILINE)


@pytest.mark.slow
def test_signer_installs_and_starts_from_its_base_dependencies_alone(tmp_path: Path) -> None:
    """A virtual environment of its own, with `requirements/signer.lock` and the project, and nothing else."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements" / "signer.lock")], check=True)
    wheel = tmp_path / "wheel"
    # The wheel is built outside, so that the build's own needs do not come into the environment.
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(wheel)]
    subprocess.run([*build, str(ROOT)], check=True)
    subprocess.run([*pip, "--no-deps", str(next(wheel.glob("strongroom-*.whl")))], check=True)
    phrase = tmp_path / "phrase"
    phrase.write_text("correct horse battery\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = str(home / "bin" / "strongroom-signer")
    for arguments in (
        ["--help"],
        ["init", "--name", "s1", "--data", str(tmp_path / "s1"), "--passphrase-file", str(phrase), *WORDS],
    ):
        subprocess.run([command, *arguments], check=True, cwd=tmp_path, env=environment, capture_output=True)
    absent = "import importlib.util as u; assert not [n for n in ('click', 'sqlalchemy', 'httpx') if u.find_spec(n)]"
    subprocess.run([str(python), "-c", absent], check=True, cwd=tmp_path, env=environment)
    for other in ("strongroom", "strongroom-coordinator", "strongroom-regtest"):
        refused = subprocess.run(
            [str(home / "bin" / other), "--help"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"{other}: MISSING_PACKAGES: this machine has no ")
        assert len(refused.stderr.splitlines()) == 1
