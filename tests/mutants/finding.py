"""Finds the single checks of the signer's rule and of the rules engine, and takes each out in turn.

A check is found in the source, so a new one is taken out too without anybody listing it:

- *guard*: `if ...:` whose block ends with `raise`, `return` or `continue`;
- *part*: one operand of an `and` or `or` in such a guard, in what a function returns, or in a comprehension's filter;
- *call*: a statement that only calls a function named `check_*`, `require_*`, `verify_*` (or with `_` before);
- *verdict*: a function of the rules engine that tells problems, made to tell none.

A mutant keeps evaluating what it takes out, so that only the decision is gone and no name goes missing.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Final

ROOT: Final = Path(__file__).parents[2]

TARGETS: Final = {
    # Points 1 to 5 of the signer's rule, its votes and what was handed in.
    "signer/strongroom_signer/money_path.py": "strongroom_signer.money_path",
    "signer/strongroom_signer/nonces.py": "strongroom_signer.nonces",
    "signer/strongroom_signer/voting.py": "strongroom_signer.voting",
    "signer/strongroom_signer/alarms.py": "strongroom_signer.alarms",
    "core/strongroom/protocol/commitments.py": "strongroom.protocol.commitments",
    "core/strongroom/protocol/release.py": "strongroom.protocol.release",
    "core/strongroom/protocol/signed.py": "strongroom.protocol.signed",
    # Votes, terms, certificates.
    "core/strongroom/protocol/voter.py": "strongroom.protocol.voter",
    "core/strongroom/protocol/terms.py": "strongroom.protocol.terms",
    "core/strongroom/protocol/certificates.py": "strongroom.protocol.certificates",
    # New shares.
    "core/strongroom/crypto/redistribution.py": "strongroom.crypto.redistribution",
    "core/strongroom/crypto/redistribution_messages.py": "strongroom.crypto.redistribution_messages",
    "core/strongroom/protocol/redistribution.py": "strongroom.protocol.redistribution",
    "core/strongroom/protocol/redistribution_terms.py": "strongroom.protocol.redistribution_terms",
    "core/strongroom/protocol/redistribution_orders.py": "strongroom.protocol.redistribution_orders",
    "core/strongroom/protocol/redistribution_coordinator.py": "strongroom.protocol.redistribution_coordinator",
    "core/strongroom/protocol/redistribution_snapshot.py": "strongroom.protocol.redistribution_snapshot",
    "core/strongroom/protocol/trials.py": "strongroom.protocol.trials",
    "core/strongroom/ledger/key_changes.py": "strongroom.ledger.key_changes",
    "core/strongroom/ledger/handlers/resharing.py": "strongroom.ledger.handlers.resharing",
    "core/strongroom/ledger/handlers/epochs.py": "strongroom.ledger.handlers.epochs",
    "core/strongroom/ledger/handlers/holder_proofs.py": "strongroom.ledger.handlers.holder_proofs",
    "signer/strongroom_signer/redistribution.py": "strongroom_signer.redistribution",
    "signer/strongroom_signer/recovery.py": "strongroom_signer.recovery",
    "signer/strongroom_signer/sealing.py": "strongroom_signer.sealing",
    # Witness sets that change.
    "core/strongroom/ledger/handlers/witnesses.py": "strongroom.ledger.handlers.witnesses",
    # The recovery kit.
    "core/strongroom/protocol/recovery_kit_files.py": "strongroom.protocol.recovery_kit_files",
    "core/strongroom/protocol/recovery_kit_order.py": "strongroom.protocol.recovery_kit_order",
    "core/strongroom/protocol/recovery_kit_plan.py": "strongroom.protocol.recovery_kit_plan",
    "core/strongroom/protocol/recovery_kit_rounds.py": "strongroom.protocol.recovery_kit_rounds",
    "core/strongroom/protocol/recovery_kit_words.py": "strongroom.protocol.recovery_kit_words",
    # The rules engine, the conflict rule, and what apply checks.
    "core/strongroom/ledger/rules.py": "strongroom.ledger.rules",
    "core/strongroom/ledger/judge.py": "strongroom.ledger.judge",
    "core/strongroom/ledger/matching.py": "strongroom.ledger.matching",
    "core/strongroom/ledger/conflict.py": "strongroom.ledger.conflict",
    "core/strongroom/ledger/apply.py": "strongroom.ledger.apply",
    "core/strongroom/ledger/plans.py": "strongroom.ledger.plans",
    "core/strongroom/ledger/handlers/planning.py": "strongroom.ledger.handlers.planning",
    "core/strongroom/ledger/handlers/orders.py": "strongroom.ledger.handlers.orders",
    "core/strongroom/ledger/handlers/actions.py": "strongroom.ledger.handlers.actions",
    "core/strongroom/ledger/handlers/vaults.py": "strongroom.ledger.handlers.vaults",
    "core/strongroom/ledger/handlers/freezing.py": "strongroom.ledger.handlers.freezing",
    "core/strongroom/ledger/handlers/acts.py": "strongroom.ledger.handlers.acts",
    "core/strongroom/ledger/handlers/amending.py": "strongroom.ledger.handlers.amending",
    "core/strongroom/ledger/vault_fit.py": "strongroom.ledger.vault_fit",
    "core/strongroom/ledger/charter_changes_parts.py": "strongroom.ledger.charter_changes_parts",
    "core/strongroom/ledger/charter_changes.py": "strongroom.ledger.charter_changes",
    "core/strongroom/ledger/charter_changes_rules.py": "strongroom.ledger.charter_changes_rules",
    "core/strongroom/ledger/handlers/genesis.py": "strongroom.ledger.handlers.genesis",
    # Founding a log anew.
    "core/strongroom/ledger/handlers/restarting.py": "strongroom.ledger.handlers.restarting",
    "core/strongroom/ledger/founding.py": "strongroom.ledger.founding",
    "core/strongroom/protocol/restart.py": "strongroom.protocol.restart",
    "core/strongroom/wire/restart_file.py": "strongroom.wire.restart_file",
    "signer/strongroom_signer/restarting.py": "strongroom_signer.restarting",
    "signer/strongroom_signer/kept_words.py": "strongroom_signer.kept_words",
    # The address book and break-glass.
    "core/strongroom/ledger/break_glass.py": "strongroom.ledger.break_glass",
    "core/strongroom/ledger/handlers/breaking.py": "strongroom.ledger.handlers.breaking",
    "core/strongroom/ledger/handlers/destinations.py": "strongroom.ledger.handlers.destinations",
    "core/strongroom/chains/bitcoin/message_signature.py": "strongroom.chains.bitcoin.message_signature",
}
"""Source file and module of what is mutated."""

VERDICTS: Final = {
    ("strongroom.ledger.rules", "_over_maximum"): "[]",
    ("strongroom.ledger.rules", "_initiator_problem"): "[]",
    ("strongroom.ledger.rules", "_over_limits"): "[]",
    ("strongroom.ledger.rules", "_approvals_missing"): "[]",
    ("strongroom.ledger.rules", "_wait_ms"): "0",
    ("strongroom.ledger.rules", "_mismatches"): "('', '', '')",
    ("strongroom.ledger.rules", "_prohibits"): "False",
    ("strongroom.ledger.rules", "_cooling_ms"): "0",
    ("strongroom.ledger.rules", "_is_removed"): "False",
    ("strongroom.ledger.judge", "_frozen"): "None",
    ("strongroom.ledger.judge", "_ended"): "None",
    ("strongroom.ledger.judge", "rejected_by"): "None",
    ("strongroom.ledger.conflict", "NewPlan.first_not_excluded"): "None",
    ("strongroom.ledger.conflict", "NewPlan.excludes"): "True",
    ("strongroom.protocol.certificates", "_problem_of"): "''",
    ("strongroom.protocol.voter", "inspect_certificate"): "None",
    ("strongroom_signer.nonces", "NonceBook.is_fresh"): "True",
}
"""Functions that give a verdict, and the verdict that finds nothing wrong."""

_CHECKING: Final = ("check_", "require_", "verify_", "_check_", "_require_", "_verify_")


Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Mutant:
    """One check taken out.

    Attributes:
        module: Importable name of the module.
        function: Qualified name inside the module.
        what: Kind of the check and its source; names the mutant until the check itself changes.
        line: Where it stands.
        code: The function without the check.
    """

    module: str
    function: str
    what: str
    line: int
    code: CodeType

    @property
    def name(self) -> str:
        """Stable while module, function and check keep their text."""
        return f"{self.module}:{self.function}: {self.what}"


@dataclass(frozen=True)
class _Edit:
    """Where in a function a check is taken out: the node's place in the walk of the function, and the operand."""

    what: str
    line: int
    place: int
    operand: int = -1
    verdict: str = ""


def mutants_of(path: str) -> Iterator[Mutant]:
    """Every mutant of one source file, in the order of the source."""
    source, module = (ROOT / path).read_text(), TARGETS[path]
    for function, node in _functions(ast.parse(source)):
        told: Counter[str] = Counter()
        for edit in _edits(node, VERDICTS.get((module, function))):
            tree = ast.parse(source)
            _take_out(dict(_functions(tree))[function], edit)
            code = _code_of(compile(ast.fix_missing_locations(tree), str(ROOT / path), "exec"), function)
            told[edit.what] += 1
            again = f" ({told[edit.what]})" if told[edit.what] > 1 else ""
            yield Mutant(module, function, edit.what + again, edit.line, code)


def _functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Functions of a module and methods of its classes; what stands inside them belongs to them."""
    for node in tree.body:
        if isinstance(node, Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, Function):
                    yield f"{node.name}.{item.name}", item


def _edits(function: Function, verdict: str | None) -> Iterator[_Edit]:
    if verdict is not None:
        yield _Edit(f"verdict {verdict}", function.lineno, 0, verdict=verdict)
    deciding = _deciding(function)
    for place, node in enumerate(ast.walk(function)):
        if isinstance(node, ast.If) and _leaves(node):
            yield _Edit(f"guard {ast.unparse(node.test)}", node.lineno, place)
        elif isinstance(node, ast.BoolOp) and id(node) in deciding:
            for operand, value in enumerate(node.values):
                joined = "and" if isinstance(node.op, ast.And) else "or"
                yield _Edit(f"part {joined} {ast.unparse(value)}", node.lineno, place, operand)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = ast.unparse(node.value.func).rpartition(".")[2]
            if called.startswith(_CHECKING):
                yield _Edit(f"call {ast.unparse(node.value)}", node.lineno, place)


def _leaves(node: ast.If) -> bool:
    return isinstance(node.body[-1], ast.Raise | ast.Return | ast.Continue)


def _deciding(function: Function) -> set[int]:
    """The `and`s and `or`s that decide: those of guards, of returned values, and of filters."""
    found: set[int] = set()
    for node in ast.walk(function):
        places: list[ast.expr] = []
        if isinstance(node, ast.If) and _leaves(node):
            places = [node.test]
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.BoolOp):
            places = [node.value]
        elif isinstance(node, ast.comprehension):
            places = node.ifs
        for place in places:
            found |= {id(inner) for inner in ast.walk(place) if isinstance(inner, ast.BoolOp)}
    return found


def _take_out(function: Function, edit: _Edit) -> None:
    if edit.verdict:
        value = ast.parse(edit.verdict, mode="eval").body
        # The rest stays behind it, so that a function with free names or `yield` keeps its shape.
        function.body.insert(0, ast.If(ast.Constant(True), [ast.Return(value)], []))
        return
    node = list(ast.walk(function))[edit.place]
    if isinstance(node, ast.If):
        node.test = ast.BoolOp(ast.And(), [node.test, ast.Constant(False)])
    elif isinstance(node, ast.BoolOp):
        neutral = isinstance(node.op, ast.And)
        join: ast.boolop = ast.Or() if neutral else ast.And()
        node.values[edit.operand] = ast.BoolOp(join, [node.values[edit.operand], ast.Constant(neutral)])
    elif isinstance(node, ast.Expr):
        node.value = ast.BoolOp(ast.And(), [ast.Constant(False), node.value])


def _code_of(module: CodeType, function: str) -> CodeType:
    code = module
    for name in function.split("."):
        code = next(item for item in code.co_consts if isinstance(item, CodeType) and item.co_name == name)
    return code
