"""The conformance tests of a distribution's plugins: for pytest, and for ``xaitool plugins check``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from xaitool.errors import ComponentError, DataUnavailableError
from xaitool.plugins import DISABLED, Plugin, canonical, catalog
from xaitool.suggest import did_you_mean
from xaitool.testing.any_kind import imports_lightly
from xaitool.testing.checks import CheckError, checks_for, expect
from xaitool.testing.specimen import INPUT_SIZE, Specimen

Options = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Case:
    """One check of one component (``explainer/gradcam:finite``), or of a plugin as a whole.

    run: raises CheckError where the check fails, DataUnavailableError where it cannot be tried on this machine.
    """

    name: str
    summary: str
    run: Callable[[], None]


def cases(
    distribution: str, *, options: Options | None = None, input_size: tuple[int, int, int] = INPUT_SIZE
) -> list[Case]:
    """Every check of every component that an installed distribution's plugins offer.

    A plugin that cannot be loaded has one check, ``plugin/NAME:loads``, which fails with the reason.
    options: what a component is tried with instead of its `example`, by ``kind/name``. input_size: (C, H, W) of the
    images that models are built for.
    Raises ComponentError for a distribution without plugins or options for a component that is not there.
    """
    options = dict(options or {})
    found = []
    for plugin in _plugins_of(distribution):
        name = f"plugin/{plugin.name.partition('/')[2]}"
        check, run = ("loads", loads) if plugin.error or plugin.disabled else ("imports-lightly", imports_lightly)
        found.append(_case(f"{name}:{check}", (run.__doc__ or "").strip(), partial(run, plugin)))
        for offer in catalog().offers:
            if offer.plugin == plugin:
                name = f"{offer.kind}/{offer.component.name}"
                given = options.pop(name, None)
                specimen = Specimen(offer, offer.component.example if given is None else given, input_size)
                if given is not None:
                    _try_options(name, specimen)
                found += [
                    _case(f"{name}:{check.name}", check.summary, partial(check.run, specimen))
                    for check in checks_for(offer.kind)
                ]
    if options:
        raise ComponentError(f"options for {', '.join(options)}, which {distribution} does not offer")
    return found


def _try_options(name: str, specimen: Specimen) -> None:
    """Options that somebody gave have to be right, whichever checks are run with them. Raises ComponentError."""
    with specimen.offer.blamed("checking its options"):
        try:
            specimen.config()
        except CheckError as error:
            raise ComponentError(f"{name}: {error}") from error


def loads(plugin: Plugin) -> None:
    """The plugin is loaded, and not left out by the environment."""
    expect(not plugin.disabled, f"it is left out by {DISABLED}")
    expect(not plugin.error, f"it cannot be loaded: {plugin.error}")


def _case(name: str, summary: str, run: Callable[[], None]) -> Case:
    return Case(name, summary, partial(_told, run))


def _told(run: Callable[[], None]) -> None:
    """Run a check; whatever a plugin raises meanwhile is the check's failure, so that it can be expected like any."""
    try:
        run()
    except (CheckError, DataUnavailableError):
        raise
    except (Exception, SystemExit) as error:
        raise CheckError(f"{type(error).__name__}: {error}") from error


def _plugins_of(distribution: str) -> list[Plugin]:
    there = catalog().plugins
    found = [plugin for plugin in there if plugin.distribution == canonical(distribution)]
    if not found:
        hint = did_you_mean(canonical(distribution), sorted({plugin.distribution for plugin in there}))
        raise ComponentError(f"no installed distribution '{distribution}' has a plugin for xaitool{hint}")
    return found


def conformance(
    distribution: str,
    *,
    expected_failures: Mapping[str, str] | None = None,
    options: Options | None = None,
    input_size: tuple[int, int, int] = INPUT_SIZE,
) -> Callable[..., None]:
    """A pytest test with one case for each component and check of an installed distribution.

        from xaitool.testing import conformance

        test_my_plugin = conformance("my-distribution")

    expected_failures: case -> why it fails, ``{"explainer/x:batch-invariant": "it draws at random"}``. Strict: a case
        that passes nevertheless fails the test.
    options, input_size: see :func:`cases`.
    Raises ComponentError for an expected failure that no case has the name of or that has no reason, and as
    :func:`cases` does.
    """
    import pytest

    found = cases(distribution, options=options, input_size=input_size)
    expected = dict(expected_failures or {})
    names = [case.name for case in found]
    for name, reason in expected.items():
        if not reason.strip():
            raise ComponentError(f"the expected failure of '{name}' needs a reason")
        if name not in names:
            raise ComponentError(
                f"there is no check '{name}' whose failure could be expected{did_you_mean(name, names)}"
            )

    def marks(case: Case) -> list[Any]:
        if case.name not in expected:
            return []
        return [pytest.mark.xfail(reason=expected[case.name], strict=True, raises=CheckError)]

    @pytest.mark.parametrize("case", [pytest.param(case, id=case.name, marks=marks(case)) for case in found])
    def test(case: Case) -> None:
        try:
            case.run()
        except DataUnavailableError as error:
            pytest.skip(str(error))

    return test
