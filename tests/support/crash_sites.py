"""Finds in the source every place where a daemon, or the client, writes durably or lets something leave its process.

A site is `role.module:Function kind`, for instance `signer.voting:Voting.append commit`. What counts as a write is
named here by the call it is made with; a call of another name that writes is a mistake of this list, so that it names
the primitives under all others too: a file cannot be written without one of `open`, `os.open`, `write_text`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
ROLES: Final = {
    "signer": ROOT / "signer" / "strongroom_signer",
    "coordinator": ROOT / "coordinator" / "strongroom_coordinator",
    "client": ROOT / "client" / "strongroom_client",
}

_BY_ROLE: Final = {
    "signer": {
        # The database.
        "commit": "commit",
        "one_commit": "one_commit",
        "create": "create",
        "execute": "execute",
        "executescript": "execute",
        "executemany": "execute",
        # The link.
        "_send": "send",
        "_write": "send",
        "write": "send",
        # What the operator is answered, and told.
        "abort": "abort",
    },
    "coordinator": {
        # The database.
        "run": "run",
        "run_sync": "run_sync",
        "put_nowait": "put_nowait",
        "enqueue": "enqueue",
        "upgrade": "upgrade",
        "migrate": "migrate",
        "begin": "begin",
        # Signers, the node, clients.
        "post": "post",
        "tell": "tell",
        "request": "request",
        "_enqueue": "send",
        "broadcast": "broadcast",
        "submit": "submit",
        "submit_many": "submit_many",
    },
    "client": {
        "replace_file": "replace_file",
        "save_profile": "save_profile",
        "remember": "remember",
        "write_new": "write_new",
    },
}
_EVERYWHERE: Final = {
    "write_private": "write_private",
    "write_text": "write_text",
    "write_bytes": "write_bytes",
    "mkdir": "mkdir",
    "unlink": "unlink",
    "rename": "rename",
    "replace": "replace",
    "link": "link",
    "chmod": "chmod",
    "touch": "touch",
    "open": "open",
}
_RECEIVERS: Final = {
    # Only calls of these on such a thing write; `replace` of a text or a dataclass does not.
    "run": ("storage",),
    "create": ("Store",),
    "link": ("os",),
    "execute": ("_db", "store"),
    "executescript": ("_db",),
    "executemany": ("_db",),
    "commit": ("store", "self"),
    "write": ("_call",),
    "request": ("link",),
    "begin": ("engine",),
    "submit": ("sequencer", "submissions"),
    "submit_many": ("sequencer", "submissions"),
    "put_nowait": ("_writes",),
    "abort": ("context",),
    "broadcast": ("node",),
}


def sites(role: str) -> set[str]:
    """Every write site of one role's package."""
    folder = ROLES[role]
    found = set()
    for file in sorted(folder.rglob("*.py")):
        if "demo" in file.parts or "migrations" in file.parts:
            continue
        module = ".".join(file.relative_to(folder).with_suffix("").parts)
        for name, kind in _calls(role, ast.parse(file.read_text(encoding="utf-8"))):
            found.add(f"{role}.{module}:{name} {kind}")
    return found


def _calls(role: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Function and kind of each call that writes."""
    kinds = {**_EVERYWHERE, **_BY_ROLE[role]}

    def visit(node: ast.AST, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        for child in ast.iter_child_nodes(node):
            inner = path
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                # A function within a function writes on behalf of the one around it.
                inner = path if _is_function(path, tree) else (*path, child.name)
            if isinstance(child, ast.Call) and (kind := _kind_of(child, kinds)) is not None:
                yield ".".join(inner) or "module", kind
            yield from visit(child, inner)

    yield from visit(tree, ())


def _is_function(path: tuple[str, ...], tree: ast.Module) -> bool:
    node: ast.AST = tree
    for name in path:
        node = next(
            child
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and child.name == name
        )
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _kind_of(call: ast.Call, kinds: dict[str, str]) -> str | None:
    function = call.func
    if isinstance(function, ast.Name):
        kind = kinds.get(function.id)
        return None if function.id in ("replace", *_RECEIVERS) else kind
    if not isinstance(function, ast.Attribute):
        return None
    kind = kinds.get(function.attr)
    if kind is None:
        return None
    receiver = ast.unparse(function.value)
    if function.attr == "replace":
        # A path is replaced by a path, or one of two by `os`; a text by two texts.
        return kind if receiver == "os" or (len(call.args) == 1 and not call.keywords) else None
    if function.attr == "open" and (_opens_for_reading(call) or receiver.rsplit(".", 1)[-1][:1].isupper()):
        # What a class opens, such as a database, is no file of its own.
        return None
    wanted = _RECEIVERS.get(function.attr)
    if wanted is None or any(word in receiver.rsplit(".", 1)[-1] for word in wanted):
        return kind
    return None


def _opens_for_reading(call: ast.Call) -> bool:
    """Whether a file is opened only to be read: `path.open()`, or `path.open("rb")`."""
    if not call.args:
        return True
    mode = call.args[0]
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and not set(mode.value) & set("wax+")
