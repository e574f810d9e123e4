"""Finding plugins: one record a plugin, with its error if it is broken, and the catalog of what they offer.

pluggy's own ``load_setuptools_entrypoints`` passes over a second distribution whose entry point has a name that is
taken, and one entry point that fails to import keeps it from loading the others. Hence a loop of our own, which
registers every plugin as ``distribution/entry-point`` and calls it by itself, so that a component keeps its owner.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions
from importlib.util import find_spec
from pathlib import Path, PurePath
from traceback import walk_tb
from typing import Any

import pluggy

from xaitool import hookspecs, tracing
from xaitool.component import KINDS, Component, Kind
from xaitool.errors import ComponentError, PluginError, XaitoolError, of_a_worker
from xaitool.suggest import did_you_mean

GROUP = "xaitool"
DISABLED = "XAITOOL_PLUGINS_DISABLED"

log = logging.getLogger("xaitool")


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found.

    name: ``distribution/entry-point``. module: what the entry point names. error: why it cannot be used, if it cannot.
    warnings: what it should change (hooks that are to go). disabled: left out by ``XAITOOL_PLUGINS_DISABLED``, and not
    imported. hooks: the hooks it implements.
    """

    name: str
    distribution: str
    version: str
    module: str = ""
    error: str | None = None
    warnings: tuple[str, ...] = ()
    disabled: bool = False
    hooks: tuple[str, ...] = ()

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
        except (Exception, SystemExit) as error:
            raise of_a_worker(error) or self.failure(stage, error) from error

    def failure(self, stage: str, error: BaseException) -> PluginError:
        """What to raise where the plugin has raised `error` in a stage."""
        package = self.component.factory.partition(":")[0].partition(".")[0]
        return PluginError(f"plugin {self.plugin} failed in {stage}: {self.component.name}: {told(error, package)}")

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
        found = [offer for offer in offers if _full(name) in (offer.component.name, offer.full_name)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(offer.full_name for offer in found)
            raise ComponentError(f"'{name}' is offered more than once; write one of {names}")
        raise ComponentError(f"there is no {kind} '{name}' in any plugin" + _known(name, offers) + self.missing(name))

    def missing(self, name: str) -> str:
        """The plugins that might offer `name`, bare or full, if they were neither broken nor left out; for messages."""
        distribution = _full(name).partition("/")[0] if "/" in name else ""
        among = [plugin for plugin in self.plugins if distribution in ("", plugin.distribution)]
        broken = "".join(f"; plugin {plugin} is broken: {plugin.error}" for plugin in among if plugin.error)
        left_out = ", ".join(plugin.name for plugin in among if plugin.disabled)
        return broken + (f"; left out by {DISABLED}: {left_out}" if left_out else "")

    def observe(self, hook: str, **arguments: Any) -> Iterator[tuple[Plugin, BaseException]]:
        """Call a hook of every observer, each by itself; yields plugin and error for those that raised."""
        for plugin in self.plugins:
            if hook not in plugin.hooks:
                continue
            try:
                _call(self.manager, plugin.name, hook, **arguments)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - an observer must not end the run it observes
                yield plugin, error

    def gather(self, hook: str, **arguments: Any) -> Iterator[tuple[Plugin, list[Any], BaseException | None]]:
        """Call a hook of every plugin that has it, each by itself; yields what it gave, and the error where it raised.

        The hook returns an iterable; what came before an error counts.
        """
        for plugin in self.plugins:
            if hook not in plugin.hooks:
                continue
            given: list[Any] = []
            try:
                for result in _call(self.manager, plugin.name, hook, **arguments):
                    given.extend(result)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's error is its own
                yield plugin, given, error
            else:
                yield plugin, given, None


@cache
def catalog() -> Catalog:
    """The catalog of the plugins that are installed, made once a process."""
    disabled = os.environ.get(DISABLED, "").split(",")
    points, unreadable = _installed()
    found = collect(points, [name.strip() for name in disabled if name.strip()])
    return replace(found, plugins=(*found.plugins, *unreadable))


def _installed() -> tuple[list[EntryPoint], list[Plugin]]:
    """The plugins' entry points, and a broken plugin for each distribution whose entry points cannot be read.

    `importlib.metadata.entry_points` would raise for all distributions if one of them is malformed.
    """
    points: list[EntryPoint] = []
    unreadable: list[Plugin] = []
    seen: set[str] = set()
    for distribution in distributions():
        name, version = _folder(distribution)
        if name in seen:  # the first on the path is the one that is imported
            continue
        seen.add(name)
        try:
            if f"[{GROUP}]" in (distribution.read_text("entry_points.txt") or ""):
                points += distribution.entry_points.select(group=GROUP)
        except Exception as error:  # noqa: BLE001 - what a malformed file raises differs between versions of Python
            reason = f"its entry_points.txt cannot be read ({type(error).__name__}: {error}); install {name} again"
            unreadable.append(Plugin(f"{name}/entry_points.txt", name, version, error=reason))
    return points, unreadable


def collect(points: Iterable[EntryPoint], disabled: Collection[str] = (), specs: Any = hookspecs) -> Catalog:
    """Load each entry point by itself and collect what it offers.

    A plugin is taken as a whole: with one malformed component it is broken, and none of its components is offered.
    disabled: distributions, or ``distribution/entry-point``, to leave out; one that is not there is warned of.
    specs: the module of hook specs.
    """
    manager = pluggy.PluginManager("xaitool")
    manager.add_hookspecs(specs)
    tracing.start(manager)
    left_out = {_full(name) if "/" in name else canonical(name): name for name in disabled}
    plugins: list[Plugin] = []
    offers: list[Offer] = []
    for point in points:
        plugin = _found(point)
        if {plugin.distribution, plugin.name} & left_out.keys():
            plugin = replace(plugin, disabled=True, error=None)
        elif not plugin.error:
            plugin, made = _load(manager, point, plugin, offers)
            offers += made
        plugins.append(plugin)
    known = sorted({name for plugin in plugins for name in (plugin.distribution, plugin.name)})
    for name in left_out.keys() - set(known):
        log.warning("%s: there is no plugin '%s'%s", DISABLED, left_out[name], did_you_mean(name, known))
    return Catalog(tuple(plugins), tuple(offers), manager)


def canonical(distribution: str) -> str:
    """A distribution's name in the one spelling that installers compare: ``My_Plugin`` is ``my-plugin``."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _full(name: str) -> str:
    distribution, slash, rest = name.rpartition("/")
    return f"{canonical(distribution)}{slash}{rest}"


def _known(name: str, offers: Iterable[Offer]) -> str:
    names = [offer.component.name for offer in offers]
    hint = did_you_mean(name, [*names, *(offer.full_name for offer in offers)])
    return hint or (f" (there are {', '.join(names)})" if names else "")


def _found(point: EntryPoint) -> Plugin:
    if not point.dist:
        return Plugin(f"unknown/{point.name}", "unknown", "0", point.value)
    name, version = _folder(point.dist)
    error = None
    try:
        name, version = canonical(point.dist.name), point.dist.version
    except Exception:  # noqa: BLE001 - what a missing file raises differs between versions of Python
        error = f"its installation has no METADATA that can be read; install {name} again, or remove what is left of it"
    return Plugin(f"{name}/{point.name}", name, version, point.value, error)


def _folder(distribution: Distribution) -> tuple[str, str]:
    """Name and version as in ``name-version.dist-info``: they are known without reading any file in it."""
    path = getattr(distribution, "_path", None)  # there is no public way to it
    if path is None:
        return canonical(distribution.name), distribution.version
    name, _, version = PurePath(str(path)).stem.partition("-")
    return canonical(name), version or "0"


def _load(
    manager: pluggy.PluginManager, point: EntryPoint, plugin: Plugin, earlier: Iterable[Offer]
) -> tuple[Plugin, list[Offer]]:
    try:
        with redirect_stdout(sys.stderr):  # what a plugin prints is no part of a command's output
            module = point.load()
            _check_version(module)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                manager.register(module, name=plugin.name)
            hooks = _hooks(manager, plugin.name)
            plugin = replace(plugin, hooks=hooks, warnings=tuple(str(each.message) for each in caught))
            return plugin, _offers(manager, plugin, earlier)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a broken plugin is listed with its error, whatever that is
        if manager.has_plugin(plugin.name):
            manager.unregister(name=plugin.name)
        reason = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        return replace(plugin, error=reason, hooks=()), []


def _check_version(module: Any) -> None:
    version = getattr(module, "xaitool_api_version", hookspecs.API_VERSION)
    if version in hookspecs.SUPPORTED_API_VERSIONS:
        return
    newer = isinstance(version, int) and version > hookspecs.API_VERSION
    supported = ", ".join(map(str, hookspecs.SUPPORTED_API_VERSIONS))
    raise PluginError(
        f"it is written for version {version!r} of the hooks, and this xaitool has {supported}; "
        f"update {'xaitool' if newer else 'the plugin'}"
    )


def _hooks(manager: pluggy.PluginManager, name: str) -> tuple[str, ...]:
    """The hooks a plugin implements. Raises PluginError where there are none, or one that nobody would ever call."""
    plugin = manager.get_plugin(name)
    callers = manager.get_hookcallers(plugin) or []
    known = [hook for hook in vars(manager.hook) if getattr(manager.hook, hook).has_spec()]
    for caller in callers:
        if not caller.has_spec():
            raise PluginError(f"there is no hook '{caller.name}'{did_you_mean(caller.name, known)}")
    if not callers:
        raise PluginError("it has no hooks; is a function's @hookimpl missing?")
    return tuple(sorted(caller.name for caller in callers))


def _offers(manager: pluggy.PluginManager, plugin: Plugin, earlier: Iterable[Offer]) -> list[Offer]:
    taken = {(offer.kind, offer.full_name): offer for offer in earlier}
    offers: list[Offer] = []
    for kind in KINDS:
        for component in itertools.chain.from_iterable(_call(manager, plugin.name, f"xaitool_{kind}s")):
            if not isinstance(component, Component):
                raise PluginError(f"hook xaitool_{kind}s returned {component!r} where a Component is needed")
            _check_modules(component)
            offer = Offer(kind, component, plugin)
            first = taken.setdefault((kind, offer.full_name), offer)
            if first is not offer:
                raise PluginError(f"it offers the {kind} '{component.name}', which {first.plugin} offers already")
            offers.append(offer)
    return offers


def _check_modules(component: Component) -> None:
    """Raise PluginError where a top-level module is not installed; nothing is imported to find out."""
    for role, reference in (("config", component.config), ("factory", component.factory)):
        package = re.split("[.:]", reference, maxsplit=1)[0]
        if package not in sys.modules and find_spec(package) is None:
            raise PluginError(f"the {role} of '{component.name}' is in '{package}', and there is no such module")


def told(error: BaseException, package: str) -> str:
    """What an error says, its type, and the last line in a plugin's package that it came through."""
    frames = [
        (Path(frame.f_code.co_filename).name, line)
        for frame, line in walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == package
    ]
    said, kind = str(error), type(error).__name__
    place = f" in {frames[-1][0]}, line {frames[-1][1]}" if frames else ""
    return f"{said} ({kind}{place})" if said else f"{kind}{place}"


def _call(manager: pluggy.PluginManager, name: str, hook: str, **arguments: Any) -> list[Any]:
    """Call one hook of one plugin, and no other's."""
    others = [plugin for other, plugin in manager.list_name_plugin() if other != name]
    return list(manager.subset_hook_caller(hook, others)(**arguments))
