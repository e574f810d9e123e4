"""One forward pass, seen at some layers: what they gave, and gradients of any scores with respect to it.

Nothing before the first of the layers requires a gradient, and no parameter does, so that the graph starts at that
layer's output: all that is asked of the pass afterwards costs what lies behind it, and not another forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from xaitool.errors import ExplainError
from xaitool.grid import Grid, grid_of, prefix_tokens


class Forward:
    """The pass over N images.

    images: N×C×H×W. logits: N×classes. grids: by layer. outputs: by layer, as the layer gave them, in the graph.
    """

    def __init__(self, module: nn.Module, images: Tensor) -> None:
        self.module = module
        self.images = images
        self.logits = images  # until it has run
        self.grids: dict[str, Grid] = {}
        self.outputs: dict[str, Tensor] = {}

    def activations(self, name: str) -> Tensor:
        """What a layer gave, N×C×h×w."""
        return self.grids[name].view(self.outputs[name].detach())

    def gradients(self, scores: Tensor, *, again: bool = False) -> dict[str, Tensor]:
        """Of scores (N), with respect to what each layer gave, shaped as that. again: to be differentiated once more.

        Raises ExplainError for a layer that no gradient comes back to.
        """
        if not scores.requires_grad:
            self._nothing_comes_back(next(iter(self.outputs)))
        found = torch.autograd.grad(
            scores.sum(), list(self.outputs.values()), retain_graph=True, create_graph=again, allow_unused=True
        )
        for name, gradient in zip(self.outputs, found, strict=True):
            if gradient is None:
                self._nothing_comes_back(name)
        return dict(zip(self.outputs, found, strict=True))

    def _nothing_comes_back(self, name: str) -> None:
        raise ExplainError(
            f"no gradient comes back to layer '{name}' from the class scores; choose a layer they depend on"
        )


@contextmanager
def forward(
    module: nn.Module, layers: Mapping[str, nn.Module], images: Tensor, *, graph: bool = True, twice: bool = False
) -> Iterator[Forward]:
    """Run the module, borrowed and in eval mode, and see what the layers give.

    graph: keep one, for gradients; twice: which are to be differentiated again, as the fused attentions cannot be.
    Raises ExplainError for a layer that is not to be looked at.
    """
    seen = Forward(module, images)
    prefix = prefix_tokens(module)
    times = dict.fromkeys(layers, 0)

    def note(name: str, output: Any) -> Any:
        times[name] += 1
        seen.grids[name] = _grid(name, output, images, prefix)
        if graph and not output.requires_grad:  # else an earlier layer has started the graph
            # Not the leaf itself: what comes next may be done in place.
            output = output.detach().requires_grad_().view_as(output)
        seen.outputs[name] = output
        return output.clone()  # an in-place ReLU that comes next would overwrite what was seen

    with ExitStack() as stack:
        for name, layer in layers.items():
            hook = layer.register_forward_hook(lambda _layer, _inputs, output, name=name: note(name, output))
            stack.callback(hook.remove)
        if twice:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        with torch.set_grad_enabled(graph):
            seen.logits = module(images)
    for name, count in times.items():
        if count != 1:
            raise ExplainError(f"layer '{name}' ran {count} times in one forward pass; choose a layer that runs once")
    # In the order asked for, whatever the order in which they ran.
    seen.outputs = {name: seen.outputs[name] for name in layers}
    yield seen


def check_targets(targets: Tensor, classes: int) -> None:
    """Raise ExplainError for a target that is no class."""
    if int(targets.min()) < 0 or int(targets.max()) >= classes:
        raise ExplainError(
            f"targets lie in {int(targets.min())}..{int(targets.max())}, the model's classes in 0..{classes - 1}"
        )


def check_precision(module: nn.Module) -> None:
    """Raise ExplainError for a model that does not compute in float32."""
    kinds = {str(each.dtype) for each in module.parameters() if each.is_floating_point()} - {"torch.float32"}
    if kinds:
        raise ExplainError(
            f"the model has parameters in {', '.join(sorted(kinds))}; CAM methods need float32: .float()"
        )


def _grid(name: str, output: Any, images: Tensor, prefix: int | None) -> Grid:
    grid = grid_of(output, images.shape[2:], prefix)
    if grid and len(output) == len(images):
        return grid
    if not isinstance(output, Tensor):
        raise ExplainError(f"layer '{name}' gives {type(output).__name__}, no tensor; choose another layer")
    if output.ndim == 4 and output.shape[2] * output.shape[3] == 1:
        raise ExplainError(f"layer '{name}' gives maps of 1 x 1, which point nowhere; choose an earlier layer")
    height, width = images.shape[2:]
    raise ExplainError(
        f"layer '{name}' gives {tuple(output.shape)}, which holds no grid of the proportions of images of "
        f"{height} x {width} for each of {len(images)}; choose another layer"
    )
