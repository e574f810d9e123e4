"""What a conformance check is: a name, the kind of component it is for, and a function that raises CheckError."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from xaitool.component import Kind
from xaitool.testing.specimen import Specimen


class CheckError(AssertionError):
    """A component does not do what its contract promises; the message has the figures."""


@dataclass(frozen=True)
class Check:
    """One check. kind: which components it is for, None for all; run: raises CheckError."""

    name: str
    kind: Kind | None
    run: Callable[[Specimen], None]

    @property
    def summary(self) -> str:
        """What it checks, in a line."""
        return (inspect.getdoc(self.run) or "").partition("\n")[0]


_CHECKS: dict[tuple[Kind | None, str], Check] = {}


def check(name: str, kind: Kind | None = None) -> Callable[[Callable[[Specimen], None]], Callable[[Specimen], None]]:
    """Register a function as the check `name` for components of a kind (None: of every kind)."""

    def register(run: Callable[[Specimen], None]) -> Callable[[Specimen], None]:
        if (kind, name) in _CHECKS:
            raise ValueError(f"there is a check {name!r} for {kind or 'every kind'} already")
        _CHECKS[kind, name] = Check(name, kind, run)
        return run

    return register


def registered() -> tuple[Check, ...]:
    """Every check there is: those for every kind first."""
    from xaitool.testing import any_kind, datasets, explainers, metrics, models, schedulers  # noqa: F401 - they register

    return tuple(_CHECKS.values())


def checks_for(kind: Kind) -> tuple[Check, ...]:
    """The checks for components of a kind, those for every kind first."""
    return tuple(each for each in registered() if each.kind in (None, kind))


def expect(condition: object, message: str) -> None:
    """Raise CheckError with `message` unless `condition` holds."""
    if not condition:
        raise CheckError(message)


@contextmanager
def expect_error(kind: type[Exception], when: str) -> Iterator[None]:
    """Raise CheckError unless the block raises `kind`, and nothing else."""
    try:
        yield
    except kind:
        return
    except Exception as error:
        raise CheckError(f"{when}: raises {type(error).__name__} ({error}) instead of {kind.__name__}") from error
    raise CheckError(f"{when}: raises nothing; it should raise {kind.__name__}")
