"""Which layers of a model have a spatial grid: found by running it, whatever its architecture.

A convolutional network's layers give N×C×h×w, some transformers' N×h×w×C, others' N×T×C tokens, some of which (class,
registers, distillation) stand before those that form the grid. Here one pass forward and one backward over two images
tells which layer gives what, and which of them the class scores depend on place by place: behind a pooling, or where
only the class token is read on, a grid is no use.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from xaitool.borrow import borrowed
from xaitool.errors import ExplainError
from xaitool.grid import Grid, grid_of, prefix_tokens
from xaitool.suggest import did_you_mean

# A module with more resolutions than this inside is a whole network, not a stage of one.
_RESOLUTIONS_OF_A_STAGE = 2


@dataclass(frozen=True)
class Layer:
    """A layer of a model, by its name in ``module.named_modules()``, and the grid that its output has."""

    name: str
    grid: Grid

    def __str__(self) -> str:
        return f"{self.name} ({self.grid})"


def find_layers(module: nn.Module, images: Tensor) -> tuple[Layer, ...]:
    """The layers that have a spatial grid, last first: of each resolution the last that the class scores depend on.

    images: N×C×H×W float32, N at least 1, as the module takes them; real ones, of which the first two are used. A layer
    inside a stage that ends at another resolution gives way to one that is not. Where there is one resolution only, as
    in most transformers, the same layer three, two and one quarters of the way up follow. Empty where no layer has a
    grid larger than 1×1. The module is run in eval mode, once, or again on noise where images that are the same
    everywhere show nothing; it comes back as it was, also where it fails, and what it raises itself is raised on.
    """
    found = _found(module, images[:2])
    if not found and not _varies(images[:2]):
        noise = torch.randn(images[:2].shape, generator=torch.Generator().manual_seed(0))
        found = _found(module, noise.to(images))
    return found


def _found(module: nn.Module, images: Tensor) -> tuple[Layer, ...]:
    ran = _run(module, images)
    looked_at = [each for each in _streams(ran) if each.depends and ran.name_of(each)]
    found: dict[tuple[int, int], _Pass] = {}
    for each in looked_at:
        known = found.get(each.grid.size)
        if known is None or ran.transitions(each) <= ran.transitions(known):
            found[each.grid.size] = each
    last_first = sorted(found.values(), key=lambda each: each.when, reverse=True)
    if len(last_first) == 1:
        last_first += _earlier_blocks(looked_at, last_first[0])
    return tuple(Layer(ran.name_of(each), each.grid) for each in last_first)


def grids_of(module: nn.Module, images: Tensor, names: Iterable[str]) -> tuple[Layer, ...]:
    """The layers of these names and their grids, in this order; those without a grid are left out.

    images: as for :func:`find_layers`. The module is run once in eval mode and comes back as it was.
    """
    found: dict[str, Grid] = {}
    prefix = prefix_tokens(module)
    names = list(names)

    def note(name: str, _layer: nn.Module, _inputs: Any, output: Any) -> None:
        grid = grid_of(output, images.shape[2:], prefix)
        if name in names and grid:
            found[name] = grid

    with borrowed(module), _hooked(module, note), torch.no_grad():
        module.eval()(images[:2].clone())
    return tuple(Layer(name, found[name]) for name in names if name in found)


def named_layers(module: nn.Module, names: Iterable[str], suggested: Iterable[str] = ()) -> dict[str, nn.Module]:
    """Modules by name. Raises ExplainError for an unknown one, with the nearest or else with those suggested."""
    modules = dict(module.named_modules())
    chosen = {}
    for name in names:
        if name not in modules or not name:
            usual = f"; the model suggests {', '.join(suggested)}" if suggested else ""
            raise ExplainError(f"the model has no layer '{name}'{did_you_mean(name, modules) or usual}")
        chosen[name] = modules[name]
    return chosen


def coarse_words(used: Layer, layers: Iterable[Layer]) -> str | None:
    """What to say of a layer whose grid is less than 4×4, and which of the others are finer; None where it is not."""
    if not used.grid.coarse:
        return None
    finer = [each for each in layers if min(each.grid.size) > min(used.grid.size)]
    instead = (
        f"; finer are {', '.join(map(str, finer))}: choose with layers: [{finer[0].name}]"
        if finer
        else "; no layer of this model has a finer one: give it larger images"
    )
    return f"{used.name} has a grid of {used.grid} only, which points at little more than a corner{instead}"


@dataclass
class _Pass:
    """A layer's output in the one forward pass."""

    names: list[str]  # of the modules that gave this very tensor, from the innermost
    grid: Grid
    output: Tensor
    when: int
    version: int
    channels: int
    depends: bool = True


@dataclass
class _Ran:
    """What the forward pass showed: the outputs that have a grid, the grid by module's name, how often each ran."""

    passes: list[_Pass] = field(default_factory=list)
    grids: dict[str, Grid] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)

    def transitions(self, each: _Pass) -> int:
        """How many of the modules around a layer, up to its stage, end at another resolution."""
        around = [name for name in _parents(each.names[0]) if name in self.grids and self.no_more_than_a_stage(name)]
        return sum(self.grids[name].size != each.grid.size for name in around)

    def name_of(self, each: _Pass) -> str:
        """The outermost module that gave the tensor, ran once, and is no more than a stage; empty where none ran once.

        One that runs several times gives several outputs, and its name does not tell which.
        """
        once = [name for name in each.names if self.times[name] == 1]
        stages = [name for name in once if self.no_more_than_a_stage(name)]
        return (stages[-1:] or once[:1] or [""])[0]

    def no_more_than_a_stage(self, name: str) -> bool:
        inside = {grid.size for other, grid in self.grids.items() if other.startswith(f"{name}.")}
        return len(inside) <= _RESOLUTIONS_OF_A_STAGE


def _run(module: nn.Module, images: Tensor) -> _Ran:
    ran = _Ran()
    prefix = prefix_tokens(module)
    fed: list[Tensor] = []  # what the last layer with weights was given: the features that the classes are read from

    def note(name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        if next(layer.parameters(recurse=False), None) is not None and inputs and isinstance(inputs[0], Tensor):
            fed[:] = inputs[:1]
        ran.times[name] += 1
        last = ran.passes[-1] if ran.passes else None
        if last and output is last.output and output._version == last.version:
            if last.names[-1].startswith(f"{name}."):
                last.names.append(name)
                ran.grids[name] = last.grid
            return
        grid = grid_of(output, images.shape[2:], prefix) if _of_the_batch(output, len(images)) else None
        # What an adaptive pooling gives has the grid that was asked for, whatever it is given.
        if grid and not isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            ran.grids[name] = grid
            ran.passes.append(_Pass([name], grid, output, len(ran.passes), output._version, grid.view(output).shape[1]))

    with torch.inference_mode(False), borrowed(module), _hooked(module, note), torch.enable_grad():
        module.eval()
        given = images.detach().clone().requires_grad_()
        logits = module(given.clone())  # not the leaf, which a first layer may not change in place
        _mark_dependence(ran.passes, logits, fed)
    return ran


@contextmanager
def _hooked(module: nn.Module, note: Any) -> Iterator[None]:
    handles = [
        part.register_forward_hook(lambda layer, inputs, output, name=name: note(name, layer, inputs, output))
        for name, part in module.named_modules()
        if name
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _mark_dependence(passes: list[_Pass], logits: Any, fed: list[Tensor]) -> None:
    """Note of which layers' grids the class scores depend on, and let go of the outputs."""
    known = [each for each in passes if each.output.requires_grad]
    scores = [logits.max(1).values.sum()] if isinstance(logits, Tensor) and logits.ndim == 2 else []
    if fed:
        # A head of zeros, as some are before training, hides what it depends on; what it is given does not.
        draw = torch.Generator().manual_seed(0)
        scores.append((fed[0] * torch.randn(fed[0].shape, generator=draw).to(fed[0])).sum())
    for score in scores:
        if not (known and score.requires_grad):
            continue
        gradients = torch.autograd.grad(score, [each.output for each in known], retain_graph=True, allow_unused=True)
        reached = [
            each is not None and bool(passed.grid.view(each).any())
            for passed, each in zip(known, gradients, strict=True)
        ]
        if any(reached):
            for passed, depends in zip(known, reached, strict=True):
                passed.depends = depends
            break
    for passed in passes:
        passed.depends = passed.depends and _varies(passed.grid.view(passed.output.detach()))
        del passed.output


def _varies(grid: Tensor) -> bool:
    """Whether anything differs from place to place: what was blown up from 1×1 does not."""
    return bool((grid != grid[:, :, :1, :1]).any())


def _streams(ran: _Ran) -> list[_Pass]:
    """Leave out what only looks like a grid, or is none that the next block sees: the inner works of an attention.

    Its T×T weights; queries, keys and values beside each other, wider than the tokens around them; and tokens with
    their two axes exchanged, as mixers do, where that makes a grid finer than the patches.
    """

    def weights_of_tokens(each: _Pass) -> bool:
        around = ran.grids.get(each.names[0].rpartition(".")[0])
        tokens = around.prefix + around.cells if around and around.layout == "tokens" else None
        return each.grid.layout == "NCHW" and each.grid.size == (tokens, tokens)

    kept = [each for each in ran.passes if not weights_of_tokens(each)]
    finest = max((each.grid.cells for each in kept if each.grid.layout != "tokens"), default=None)
    kept = [each for each in kept if finest is None or each.grid.cells <= finest]
    widths = Counter((each.grid, each.channels) for each in kept)
    usual = {grid: width for (grid, width), _ in reversed(widths.most_common())}  # of several, the commonest is last
    return [each for each in kept if each.grid.layout == "NCHW" or each.channels == usual[each.grid]]


def _earlier_blocks(passes: list[_Pass], last: _Pass) -> list[_Pass]:
    """The last layer's like in earlier blocks, at 3/4, 2/4 and 1/4 of the depth; last first."""

    def place(each: _Pass) -> str:
        return re.sub("[0-9]+", "#", each.names[0], count=1)

    numbered = [each for each in passes if each.when <= last.when and "#" in place(each)]
    alike = [each for each in numbered if place(each) == place(numbered[-1])]
    places = {len(alike) * quarters // 4 - 1 for quarters in (1, 2, 3)} - {-1}
    return [alike[place] for place in sorted(places, reverse=True)]


def _of_the_batch(output: Any, images: int) -> bool:
    """Whether an output has one entry an image: not windows, nor something all images share."""
    return isinstance(output, Tensor) and not output.is_inference() and output.ndim > 0 and len(output) == images


def _parents(name: str) -> Iterator[str]:
    """``a.b.c`` -> ``a.b``, ``a``."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name
