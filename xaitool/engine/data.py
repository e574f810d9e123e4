"""Data: load a recipe's data set and check it at the seam."""

from __future__ import annotations

from xaitool.contracts import DataBundle
from xaitool.engine.randomness import derive, kept, seed_all
from xaitool.engine.seams import Seam
from xaitool.recipe.resolve import Resolved


def load_data(component: Resolved, seed: int) -> DataBundle:
    """Build the data set. Raises DataUnavailableError where there is none to be had, ContractError, PluginError."""
    with kept():
        seed_all(derive(seed, "data"))
        return Seam(component).data(component.build("data", seed=seed))
