"""Finds the single checks of the signer's rule and of the rules engine, and takes each out in turn.

A check is found in the source, so a new one is taken out too without anybody listing it:

- *guard*: `if ...:` whose block ends with `raise`, `return` or `continue`;
- *report*: `if ...:` whose block only yields or collects (`append`, `add`, `extend`);
- *case*: the condition after a `case ... if`;
- *part*: one operand of an `and` or `or` in one of these, in what a function returns, or in a comprehension's filter;
- *filter*: a comprehension's filter that is one condition;
- *answer*: what a function that tells `bool` returns and that is no `and` or `or`: once always true, once always false;
- *flag*: what is said to loosen a charter, or not to (`loosens=`), turned round;
- *call*: a statement that only calls a function named `check_*`, `require_*`, `verify_*` (or with `_` before);
- *verdict*: a function that tells problems, made to tell none (`VERDICTS`).

A mutant keeps evaluating what it takes out, so that only the decision is gone and no name goes missing.
"""

from __future__ import annotations
import __future__

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Final

from targets import TARGETS, VERDICTS

ROOT: Final = Path(__file__).parents[2]

_CHECKING: Final = ("check_", "require_", "verify_", "_check_", "_require_", "_verify_")
_COLLECTING: Final = ("append", "add", "extend")


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
    for function, what, edit in _named(source, module):
        code = _changed(path, source, function, partial(take_out, edit=edit))
        yield Mutant(module, function, what, edit.line, code)


def names_of(path: str) -> Iterator[str]:
    """The names of every mutant of one source file, without making them."""
    module = TARGETS[path]
    for function, what, _ in _named((ROOT / path).read_text(), module):
        yield f"{module}:{function}: {what}"


def _named(source: str, module: str) -> Iterator[tuple[str, str, _Edit]]:
    for function, node in functions_of(ast.parse(source)):
        told: Counter[str] = Counter()
        for edit in _edits(node, VERDICTS.get((module, function))):
            told[edit.what] += 1
            again = f" ({told[edit.what]})" if told[edit.what] > 1 else ""
            yield function, edit.what + again, edit


def noting_of(path: str, note: str) -> Iterator[tuple[str, CodeType]]:
    """Every function of one source file that has checks, changed to tell a built-in `note` what each check says.

    `note(name, value, when)` gets a mutant's name, what the check said, and what it must say for the mutant to do
    anything else; it returns the value. A test in which it never says that cannot notice the mutant.
    """
    source, module = (ROOT / path).read_text(), TARGETS[path]
    found: dict[str, list[tuple[str, _Edit]]] = {}
    for function, what, edit in _named(source, module):
        found.setdefault(function, []).append((f"{module}:{function}: {what}", edit))
    for function, edits in found.items():
        yield function, _changed(path, source, function, partial(watch, edits=edits, note=note))


def _changed(path: str, source: str, function: str, change: Callable[[Function], None]) -> CodeType:
    tree = ast.parse(source)
    change(dict(functions_of(tree))[function])
    # The rest of the module plays no part in the function's code.
    tree.body = [node for node in tree.body if getattr(node, "name", "") == function.partition(".")[0]]
    flags = __future__.annotations.compiler_flag
    return _code_of(compile(ast.fix_missing_locations(tree), str(ROOT / path), "exec", flags=flags), function)


def functions_of(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Functions of a module and methods of its classes; what stands inside them belongs to them."""
    for node in tree.body:
        if isinstance(node, Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, Function):
                    yield f"{node.name}.{item.name}", item


def edits_of(source: str) -> Iterator[tuple[str, _Edit]]:
    """Every place of a source text where a check can be taken out, with the function's name; verdicts left out."""
    for name, function in functions_of(ast.parse(source)):
        for edit in _edits(function, None):
            yield name, edit


def stale_verdicts() -> set[str]:
    """Names in `VERDICTS` that no target has."""
    known = {
        (module, name)
        for path, module in TARGETS.items()
        for name, _ in functions_of(ast.parse((ROOT / path).read_text()))
    }
    return {f"{module}:{name}" for module, name in set(VERDICTS) - known}


def _edits(function: Function, verdict: str | None) -> Iterator[_Edit]:
    if verdict is not None:
        yield _Edit(f"verdict {verdict}", function.lineno, 0, verdict=verdict)
    deciding, answers = _deciding(function), _answers(function)
    for place, node in enumerate(ast.walk(function)):
        if isinstance(node, ast.BoolOp) and id(node) in deciding:
            joined = "and" if isinstance(node.op, ast.And) else "or"
            for operand, value in enumerate(node.values):
                yield _Edit(f"part {joined} {ast.unparse(value)}", node.lineno, place, operand)
        elif isinstance(node, ast.Return) and id(node) in answers and node.value is not None:
            for always in (True, False):
                yield _Edit(f"answer {always} for {ast.unparse(node.value)}", node.lineno, place, int(always))
        elif isinstance(node, ast.comprehension):
            for operand, value in enumerate(node.ifs):
                if not isinstance(value, ast.BoolOp):
                    yield _Edit(f"filter {ast.unparse(value)}", value.lineno, place, operand)
        else:
            yield from (_Edit(what, line, place) for what, line in _single(node))


def _single(node: ast.AST) -> Iterator[tuple[str, int]]:
    """What is taken out as a whole: its kind with its source, and its line."""
    match node:
        case ast.If() if _leaves(node):
            yield f"guard {ast.unparse(node.test)}", node.lineno
        case ast.If() if _reports(node):
            yield f"report {ast.unparse(node.test)}", node.lineno
        case ast.match_case(guard=ast.expr() as guard):
            yield f"case {ast.unparse(guard)}", guard.lineno
        case ast.keyword(arg="loosens", value=value):
            yield f"flag {ast.unparse(value)}", value.lineno
        case ast.Expr(value=ast.Call(func=func) as call):
            if ast.unparse(func).rpartition(".")[2].startswith(_CHECKING):
                yield f"call {ast.unparse(call)}", node.lineno


def _leaves(node: ast.If) -> bool:
    return isinstance(node.body[-1], ast.Raise | ast.Return | ast.Continue)


def _reports(node: ast.If) -> bool:
    return all(isinstance(item, ast.Expr) and _tells(item.value) for item in node.body)


def _tells(value: ast.expr) -> bool:
    if isinstance(value, ast.Yield | ast.YieldFrom):
        return True
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in _COLLECTING


def _answers(function: Function) -> set[int]:
    """What a function that tells `bool` returns that is no constant, and no `and` or `or` (these lose their parts)."""
    if not isinstance(function.returns, ast.Name) or function.returns.id != "bool":
        return set()
    inside = [inner for inner in ast.walk(function) if isinstance(inner, Function) and inner is not function]
    foreign = {id(node) for inner in inside for node in ast.walk(inner)}
    return {
        id(node)
        for node in ast.walk(function)
        if isinstance(node, ast.Return)
        and id(node) not in foreign
        and not isinstance(node.value, ast.Constant | ast.BoolOp)
    }


def _deciding(function: Function) -> set[int]:
    """The `and`s and `or`s that decide: those of guards, of reports, of cases, of answers, and of filters."""
    answers = _answers(function)
    found: set[int] = set()
    for node in ast.walk(function):
        places: list[ast.expr] = []
        if isinstance(node, ast.If) and (_leaves(node) or _reports(node)):
            places = [node.test]
        elif isinstance(node, ast.match_case) and node.guard is not None:
            places = [node.guard]
        elif isinstance(node, ast.Return) and (isinstance(node.value, ast.BoolOp) or id(node) in answers):
            places = [] if node.value is None else [node.value]
        elif isinstance(node, ast.comprehension):
            places = node.ifs
        for place in places:
            found |= {id(inner) for inner in ast.walk(place) if isinstance(inner, ast.BoolOp)}
    return found


def take_out(function: Function, edit: _Edit) -> None:
    if edit.verdict:
        _put_first(function, [ast.Return(ast.parse(edit.verdict, mode="eval").body)])
        return
    node = list(ast.walk(function))[edit.place]
    match node:
        case ast.If():
            node.test = _always(node.test, False)
        case ast.match_case(guard=ast.expr() as guard):
            node.guard = _always(guard, True)
        case ast.BoolOp():
            node.values[edit.operand] = _always(node.values[edit.operand], isinstance(node.op, ast.And))
        case ast.comprehension():
            node.ifs[edit.operand] = _always(node.ifs[edit.operand], True)
        case ast.Return(value=ast.expr() as value):
            node.value = _always(value, bool(edit.operand))
        case ast.keyword():
            node.value = ast.UnaryOp(ast.Not(), node.value)
        case ast.Expr():
            node.value = ast.BoolOp(ast.And(), [ast.Constant(False), node.value])


def watch(function: Function, edits: list[tuple[str, _Edit]], note: str) -> None:
    """Have every check say what it says, where `take_out` would take it out."""
    nodes = list(ast.walk(function))
    for name, edit in edits:
        told = partial(_told, note, name)
        if edit.verdict:
            _put_first(function, [ast.Expr(told(ast.Constant(True), True))])
        else:
            _watch_one(nodes[edit.place], edit, told)


def _watch_one(node: ast.AST, edit: _Edit, told: Callable[[ast.expr, bool], ast.expr]) -> None:
    match node:
        case ast.If():
            node.test = told(node.test, True)
        case ast.match_case(guard=ast.expr() as guard):
            node.guard = told(guard, False)
        case ast.BoolOp():
            node.values[edit.operand] = told(node.values[edit.operand], not isinstance(node.op, ast.And))
        case ast.comprehension():
            node.ifs[edit.operand] = told(node.ifs[edit.operand], False)
        case ast.Return(value=ast.expr() as value):
            node.value = told(value, not edit.operand)
        case ast.keyword(value=value) | ast.Expr(value=value):
            # Without the check it is another one in any case.
            both = ast.Tuple([told(ast.Constant(True), True), value], ast.Load())
            node.value = ast.Subscript(both, ast.Constant(1), ast.Load())


def _told(note: str, name: str, value: ast.expr, when: bool) -> ast.expr:
    return ast.Call(ast.Name(note, ast.Load()), [ast.Constant(name), value, ast.Constant(when)], [])


def _always(value: ast.expr, forced: bool) -> ast.expr:
    """The value, which is still asked, and then what was forced."""
    return ast.BoolOp(ast.Or() if forced else ast.And(), [value, ast.Constant(forced)])


def _put_first(function: Function, statements: list[ast.stmt]) -> None:
    # The rest stays behind it, so that a function with free names or `yield` keeps its shape.
    function.body.insert(0, ast.If(ast.Constant(True), statements, []))


def _code_of(module: CodeType, function: str) -> CodeType:
    code = module
    for name in function.split("."):
        code = next(item for item in code.co_consts if isinstance(item, CodeType) and item.co_name == name)
    return code
