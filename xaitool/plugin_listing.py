"""What ``xaitool plugins list`` shows, as data, and finding a component whose kind nobody has said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xaitool.component import KINDS, Kind
from xaitool.errors import ComponentError
from xaitool.plugins import DISABLED, Catalog, Offer, Plugin, canonical
from xaitool.suggest import did_you_mean


@dataclass(frozen=True)
class Row:
    """A component, or a plugin that offers none: because it is broken or disabled, or because it only observes.

    kind: the component's; ``"observer"`` for a plugin that only observes, ``""`` for one of which nothing is known.
    name: what a recipe calls the component (its full name where the bare one is offered twice), or the entry point's.
    full_name: ``distribution/name``. reason: why it is broken or disabled. entry_point: ``distribution/entry-point``.
    module: what the entry point names. warnings: what the plugin should change.
    """

    kind: str
    name: str
    full_name: str
    distribution: str
    version: str
    summary: str
    state: Literal["ok", "broken", "disabled"]
    reason: str
    entry_point: str
    module: str
    warnings: tuple[str, ...]


def rows(catalog: Catalog) -> list[Row]:
    """Every component, by kind and name, and then every plugin that offers none."""
    offers = [offer for kind in KINDS for offer in catalog.of_kind(kind)]
    components = [_component(catalog, offer) for offer in offers]
    components.sort(key=lambda row: (KINDS.index(row.kind), row.name.lower(), row.full_name))
    busy = {offer.plugin.name for offer in offers}
    others = [_plugin(plugin) for plugin in catalog.plugins if plugin.name not in busy]
    # Observers before those of which nothing is known.
    return components + sorted(others, key=lambda row: (not row.kind, row.full_name))


def recipe_name(catalog: Catalog, offer: Offer) -> str:
    """What a recipe calls a component: its bare name, or its full name where several are offered under the bare one."""
    alike = [other for other in catalog.of_kind(offer.kind) if other.component.name == offer.component.name]
    return offer.component.name if len(alike) == 1 else offer.full_name


def find(catalog: Catalog, name: str, kind: Kind | None = None) -> Offer:
    """The component of this name, bare or full, of the given kind or else of any.

    Raises ComponentError where there is none (with a suggestion from all kinds), or more than one.
    """
    if kind:
        return catalog.find(kind, name)
    kinds = [kind for kind in KINDS if any(_is_called(offer, name) for offer in catalog.of_kind(kind))]
    if len(kinds) == 1:
        return catalog.find(kinds[0], name)
    if kinds:
        raise ComponentError(f"'{name}' is offered as {' and as '.join(kinds)}; add --kind {kinds[0]}, say")
    known = [word for offer in catalog.offers for word in (offer.component.name, offer.full_name)]
    hint = did_you_mean(name, known) or "; `xaitool plugins list` shows what there is"
    raise ComponentError(f"there is no component '{name}' in any plugin{hint}{catalog.missing(name)}")


def _is_called(offer: Offer, name: str) -> bool:
    distribution, slash, bare = name.rpartition("/")
    return bare == offer.component.name and (not slash or canonical(distribution) == offer.plugin.distribution)


def _component(catalog: Catalog, offer: Offer) -> Row:
    return Row(
        kind=offer.kind,
        name=recipe_name(catalog, offer),
        full_name=offer.full_name,
        distribution=offer.plugin.distribution,
        version=offer.plugin.version,
        summary=offer.component.summary,
        state="ok",
        reason="",
        entry_point=offer.plugin.name,
        module=offer.plugin.module,
        warnings=offer.plugin.warnings,
    )


def _plugin(plugin: Plugin) -> Row:
    observed = [hook.removeprefix("xaitool_") for hook in plugin.hooks if hook[len("xaitool_") : -1] not in KINDS]
    return Row(
        kind="observer" if observed else "",
        name=plugin.name.partition("/")[2],
        full_name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        summary=f"observes {', '.join(observed)}" if observed else "offers nothing" if plugin.hooks else "",
        state="broken" if plugin.error else "disabled" if plugin.disabled else "ok",
        reason=plugin.error or (f"left out by {DISABLED}" if plugin.disabled else ""),
        entry_point=plugin.name,
        module=plugin.module,
        warnings=plugin.warnings,
    )
