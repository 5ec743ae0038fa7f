"""The places where a program writes and then acts, by name; and how a launcher ends its own process at one of them.

Each point names a function of the program and nothing in it: launchers wrap the function from outside, so that the
programs have no switch for tests. A point has two sides. Before: nothing was written or sent yet. After: it was, and
nothing that follows from it was done. The process ends as by a power cut, by SIGKILL.

`sites` are the write sites that a point stands for, as `crash_sites.py` finds them in the source: a test fails when
one of them has no point, or a point has no such site.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

BEFORE, AFTER = "before", "after"
Side = str


def always(*_: Any, **__: Any) -> bool:
    """Every call is meant."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashPoint:
    """One place: what is written or sent there, what follows, and the function whose two ends are its sides."""

    name: str
    """For people: what has just happened on the side "after"."""
    daemon: str
    writes: str
    """What becomes durable, or leaves the process."""
    then: str
    """What it does next."""
    function: str
    """`module:Class.function`, looked up where the caller looks it up."""
    when: Callable[..., bool] = always
    """Which calls are meant, by their arguments."""
    inside: str = ""
    """A function that `function` calls when it is meant; "before" is then its call, inside the open transaction."""
    sites: tuple[str, ...] = ()


class _Countdown:
    """Ends the process at the k-th passage."""

    def __init__(self, passage: int) -> None:
        self._left = passage

    def passed(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def arm(point: CrashPoint, side: Side, *, passage: int = 1) -> None:
    """Make this process end at the k-th passage of one side of a point."""
    countdown = _Countdown(passage)
    if not point.inside:
        _wrap(point.function, _ends_on(side, countdown, point.when))
        return
    if side == BEFORE:
        _wrap(point.inside, _ends_on(BEFORE, countdown, point.when))
        return
    meant: list[bool] = []
    _wrap(point.inside, lambda call: _noting(call, point.when, meant))
    _wrap(point.function, lambda call: _ending_if(call, meant, countdown))


def _ends_on(side: Side, countdown: _Countdown, when: Callable[..., bool]) -> Callable[[Any], Any]:
    def around(call: Any) -> Any:
        if inspect.iscoroutinefunction(call):

            @functools.wraps(call)
            async def wrapped_async(*args: Any, **kwargs: Any) -> Any:
                is_meant = when(*args, **kwargs)
                if is_meant and side == BEFORE:
                    countdown.passed()
                result = await call(*args, **kwargs)
                if is_meant and side == AFTER:
                    countdown.passed()
                return result

            return wrapped_async

        @functools.wraps(call)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            is_meant = when(*args, **kwargs)
            if is_meant and side == BEFORE:
                countdown.passed()
            result = call(*args, **kwargs)
            if is_meant and side == AFTER:
                countdown.passed()
            return result

        return wrapped

    return around


def _noting(call: Any, when: Callable[..., bool], meant: list[bool]) -> Any:
    @functools.wraps(call)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if when(*args, **kwargs):
            meant.append(True)
        return call(*args, **kwargs)

    return wrapped


def _ending_if(call: Any, meant: list[bool], countdown: _Countdown) -> Any:
    @functools.wraps(call)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        meant.clear()
        result = call(*args, **kwargs)
        if meant:
            countdown.passed()
        return result

    return wrapped


def _wrap(path: str, around: Callable[[Any], Any]) -> None:
    owner, name = located(path)
    # A function of a class is read from the class itself, so that a class method stays one.
    plain = inspect.getattr_static(owner, name)
    if isinstance(plain, classmethod):
        setattr(owner, name, classmethod(around(plain.__func__)))
    else:
        setattr(owner, name, around(plain))


def located(path: str) -> tuple[Any, str]:
    """The module or class that holds a function, and the function's name.

    Raises:
        AttributeError: there is no such function.
    """
    module, _, qualified = path.partition(":")
    *classes, name = qualified.split(".")
    owner: Any = importlib.import_module(module)
    for one in classes:
        owner = getattr(owner, one)
    getattr(owner, name)
    return owner, name


def add_options(parser: Any) -> None:
    """The options of every launcher."""
    parser.add_argument("--crash", metavar="POINT", help="end this process at this point")
    parser.add_argument("--side", choices=(BEFORE, AFTER), default=AFTER)
    parser.add_argument("--passage", type=int, default=1, help="at the k-th passage")
    parser.add_argument("--record", metavar="FILE", help="keep every frame of the link that counts")


def points() -> dict[str, CrashPoint]:
    """Every point by its name."""
    # Imported late: the tables use what stands above.
    import crash_points_commands as commands  # noqa: PLC0415
    import crash_points_coordinator as coordinator  # noqa: PLC0415
    import crash_points_signer as signer  # noqa: PLC0415

    signers = (signer.SIGNER, signer.SIGNER_RETIREMENT, signer.SIGNER_ERASURE, signer.SIGNER_REINSTATED)
    coordinators = (coordinator.COORDINATOR, coordinator.EVIDENCE, coordinator.REINSTATED)
    tables = (*signers, *coordinators, commands.COMMANDS)
    found = [point for table in tables for point in table]
    by_name: Final = {point.name: point for point in found}
    if len(by_name) != len(found):
        raise ValueError("two points have one name")
    return by_name


def arm_by_options(options: Any) -> None:
    """Arm what the options of a launcher name."""
    if options.crash:
        arm(points()[options.crash], options.side, passage=options.passage)
