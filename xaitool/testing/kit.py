"""The conformance tests of a distribution's plugins: for pytest, and for ``xaitool plugins check``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from xaitool.errors import ComponentError, DataUnavailableError, PluginError
from xaitool.plugins import Plugin, canonical, catalog
from xaitool.suggest import did_you_mean
from xaitool.testing.any_kind import imports_lightly
from xaitool.testing.checks import checks_for
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

    options: what a component is tried with instead of its `example`, by ``kind/name``. input_size: (C, H, W) of the
    images that models are built for.
    Raises ComponentError for a distribution without plugins or options for a component that is not there; PluginError
    for a plugin that cannot be loaded.
    """
    plugins = list(_plugins_of(distribution))
    options = dict(options or {})
    found = []
    for plugin in plugins:
        found.append(
            Case(f"plugin/{plugin.name.partition('/')[2]}:imports-lightly", _LIGHT, partial(imports_lightly, plugin))
        )
        for offer in catalog().offers:
            if offer.plugin == plugin:
                name = f"{offer.kind}/{offer.component.name}"
                specimen = Specimen(offer, options.pop(name, offer.component.example), input_size)
                found += [
                    Case(f"{name}:{check.name}", check.summary, partial(check.run, specimen))
                    for check in checks_for(offer.kind)
                ]
    if options:
        raise ComponentError(f"options for {', '.join(options)}, which {distribution} does not offer")
    return found


_LIGHT = (imports_lightly.__doc__ or "").strip()


def _plugins_of(distribution: str) -> Iterator[Plugin]:
    there = catalog().plugins
    found = [plugin for plugin in there if plugin.distribution == canonical(distribution)]
    if not found:
        hint = did_you_mean(canonical(distribution), sorted({plugin.distribution for plugin in there}))
        raise ComponentError(f"no installed distribution '{distribution}' has a plugin for xaitool{hint}")
    for plugin in found:
        if plugin.error or plugin.disabled:
            raise PluginError(
                f"plugin {plugin} cannot be checked: {plugin.error or 'it is left out by the environment'}"
            )
        yield plugin


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
    Raises ComponentError for an expected failure that no case has the name of, and as :func:`cases` does.
    """
    import pytest

    found = cases(distribution, options=options, input_size=input_size)
    expected = dict(expected_failures or {})
    names = [case.name for case in found]
    for name in expected:
        if name not in names:
            raise ComponentError(
                f"there is no check '{name}' whose failure could be expected{did_you_mean(name, names)}"
            )

    def marks(case: Case) -> list[Any]:
        reason = expected.get(case.name)
        return [pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError)] if reason else []

    @pytest.mark.parametrize("case", [pytest.param(case, id=case.name, marks=marks(case)) for case in found])
    def test(case: Case) -> None:
        try:
            case.run()
        except DataUnavailableError as error:
            pytest.skip(str(error))

    return test
