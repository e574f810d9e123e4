"""Finding plugins: one record a plugin, with its error if it is broken, and the catalog of what they offer.

pluggy's own ``load_setuptools_entrypoints`` passes over a second distribution whose entry point has a name that is
taken, and one entry point that fails to import keeps it from loading the others. Hence a loop of our own, which
registers every plugin as ``distribution/entry-point`` and calls it by itself, so that a component keeps its owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from xaitool import hookspecs
from xaitool.component import KINDS, Component, Kind
from xaitool.errors import ComponentError, PluginError, XaitoolError
from xaitool.suggest import did_you_mean

GROUP = "xaitool"


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found. name: ``distribution/entry-point``; error: why it cannot be used, if it cannot."""

    name: str
    distribution: str
    version: str
    error: str | None = None

    def __str__(self) -> str:
        return f"{self.name.partition('/')[2]} ({self.distribution} {self.version})"


@dataclass(frozen=True)
class Offer:
    """A component and the plugin it comes from."""

    kind: Kind
    component: Component
    plugin: Plugin

    @property
    def full_name(self) -> str:
        """``distribution/name``: unambiguous, and what a lock file holds."""
        return f"{self.plugin.distribution}/{self.component.name}"

    @contextmanager
    def blamed(self, stage: str) -> Iterator[None]:
        """Report whatever the plugin raises in here, except errors meant for the user, as the plugin's failure."""
        try:
            yield
        except XaitoolError:
            raise
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise PluginError(f"plugin {self.plugin} failed in {stage}: {self.component.name}: {reason}") from error

    def build(self, config: Any, stage: str, **given: Any) -> Any:
        """Call the component's factory."""
        with self.blamed(stage):
            return self.component.load_factory()(config, **given)


@dataclass(frozen=True)
class Catalog:
    """All that the plugins offer, and the pluggy manager through which observers are called."""

    plugins: tuple[Plugin, ...]
    offers: tuple[Offer, ...]
    manager: pluggy.PluginManager = field(repr=False)

    def of_kind(self, kind: Kind) -> tuple[Offer, ...]:
        """The offers of one kind, by full name."""
        return tuple(sorted((o for o in self.offers if o.kind == kind), key=lambda offer: offer.full_name))

    def find(self, kind: Kind, name: str) -> Offer:
        """The offer that a recipe means by `name`, bare or full.

        Raises ComponentError where there is none (with a suggestion), or a bare name is offered more than once.
        """
        offers = self.of_kind(kind)
        found = [offer for offer in offers if name in (offer.component.name, offer.full_name)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(offer.full_name for offer in found)
            raise ComponentError(f"'{name}' is offered more than once; write one of {names}")
        raise ComponentError(f"there is no {kind} '{name}' in any plugin" + self._ways_out(name, offers))

    def _ways_out(self, name: str, offers: Iterable[Offer]) -> str:
        names = [offer.component.name for offer in offers]
        hint = did_you_mean(name, [*names, *(offer.full_name for offer in offers)])
        hint = hint or (f" (there are {', '.join(names)})" if names else "")
        broken = "".join(f"; plugin {plugin} is broken: {plugin.error}" for plugin in self.plugins if plugin.error)
        return hint + broken

    def observe(self, run: Any, stage: str, record: Mapping[str, Any]) -> Iterator[tuple[str, Exception]]:
        """Tell every observer, each by itself; yields (plugin, error) for those that raised."""
        for plugin, _ in self.manager.list_name_plugin():
            try:
                _call(self.manager, plugin, "xaitool_stage_finished", run=run, stage=stage, record=record)
            except Exception as error:  # noqa: BLE001 - an observer must not end the run it observes
                yield plugin, error


@cache
def catalog() -> Catalog:
    """The catalog of the plugins that are installed, made once a process."""
    return collect(entry_points(group=GROUP))


def collect(points: Iterable[EntryPoint]) -> Catalog:
    """Load each entry point by itself and collect what it offers."""
    manager = pluggy.PluginManager("xaitool")
    manager.add_hookspecs(hookspecs)
    plugins: list[Plugin] = []
    offers: list[Offer] = []
    for point in points:
        plugin, found = _load(manager, point)
        plugins.append(plugin)
        offers += found
    return Catalog(tuple(plugins), tuple(offers), manager)


def _load(manager: pluggy.PluginManager, point: EntryPoint) -> tuple[Plugin, list[Offer]]:
    distribution, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "0")
    name = f"{distribution}/{point.name}"
    plugin = Plugin(name, distribution, version)
    try:
        manager.register(point.load(), name=name)
        return plugin, _offers(manager, plugin)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a broken plugin is listed with its error, whatever that is
        if manager.has_plugin(name):
            manager.unregister(name=name)
        return Plugin(name, distribution, version, error=f"{type(error).__name__}: {error}"), []


def _offers(manager: pluggy.PluginManager, plugin: Plugin) -> list[Offer]:
    offers = []
    for kind in KINDS:
        for component in _call(manager, plugin.name, f"xaitool_{kind}s"):
            if not isinstance(component, Component):
                raise PluginError(f"hook xaitool_{kind}s returned {component!r} where a Component is needed")
            offers.append(Offer(kind, component, plugin))
    return offers


def _call(manager: pluggy.PluginManager, name: str, hook: str, **arguments: Any) -> list[Any]:
    """Call one hook of one plugin; the items that it returned."""
    others = [plugin for other, plugin in manager.list_name_plugin() if other != name]
    results = manager.subset_hook_caller(hook, others)(**arguments)
    return [item for result in results for item in result]
