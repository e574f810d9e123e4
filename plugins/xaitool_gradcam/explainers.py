"""Grad-CAM and Grad-CAM++: pytorch-grad-cam's own weights and maps, from one cheap pass over the model.

The library as documented runs a backward pass through the whole network with every parameter's gradient, at 4 to 5
times the cost of a forward pass. Here nothing before the target layer requires a gradient, and no parameter does, so
that the graph starts at the target layer's output. The maps are the library's, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus
from torch import Tensor, nn

from xaitool.borrow import borrowed
from xaitool.contracts import Subject
from xaitool.errors import ExplainError
from xaitool.suggest import did_you_mean
from xaitool_gradcam.config import Config


def build_gradcam(config: Config) -> CAM:
    """Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391)."""
    return CAM(config, GradCAM)


def build_gradcam_plus_plus(config: Config) -> CAM:
    """Grad-CAM++ (Chattopadhyay et al. 2018, arXiv:1710.11063)."""
    return CAM(config, GradCAMPlusPlus)


class CAM:
    """An explainer (:class:`xaitool.contracts.Explainer`) over one of pytorch-grad-cam's gradient methods.

    Maps are in [0, 1], each scaled by its own extremes and interpolated bilinearly to the image's size, as the library
    gives them; all zero where no pixel speaks for the target.
    """

    def __init__(self, config: Config, method: type[Any]) -> None:
        self.config = config
        self.method = method
        self.automatic = config.layers == "auto"

    def alternatives(self, subject: Subject) -> dict[str, CAM]:
        """See :class:`xaitool.contracts.Adjustable`: the same method on each of the model's layers."""
        return {
            name: CAM(self.config.model_copy(update={"layers": (name,)}), self.method) for name in subject.cam_layers
        }

    def current(self, subject: Subject) -> str:
        """The layers looked at, joined by ``+``."""
        return "+".join(self._layers(subject))

    def native_size(self, subject: Subject, images: Tensor) -> tuple[int, int]:
        """Height and width of the finest layer's output, which the maps are scaled up from."""
        sizes: list[tuple[int, int]] = []

        def note(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            sizes.append((output.shape[2], output.shape[3]))

        with ExitStack() as stack, borrowed(subject.module), torch.no_grad():
            for layer in self._layers(subject).values():
                stack.callback(layer.register_forward_hook(note).remove)
            subject.module.eval()(images[:1])
        return max(sizes)

    def _layers(self, subject: Subject) -> dict[str, nn.Module]:
        names = self.config.layers
        return find_layers(subject, None if names == "auto" else names)

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        """See :meth:`xaitool.contracts.Explainer.explain`."""
        if targets.shape != (len(images),):
            raise ExplainError(
                f"{len(images)} images need one target each, but the targets have shape {tuple(targets.shape)}"
            )
        layers = self._layers(subject)
        if not len(images):
            return images.new_zeros(0, *images.shape[2:])
        size = self.config.batch_size
        _check_precision(subject.module)
        with (
            torch.inference_mode(False),
            torch.autocast(images.device.type, enabled=False),  # the library computes the maps in numpy, in float32
            borrowed(subject.module),
            torch.enable_grad(),
        ):
            subject.module.eval().requires_grad_(False)
            maps = [
                # Copies: an inference tensor cannot take part in a graph, nor should the caller's graph go on in ours.
                self._maps(subject.module, layers, some.detach().clone(), classes.clone())
                for some, classes in zip(images.split(size), targets.split(size), strict=True)
            ]
        return torch.cat(maps)

    def _maps(self, module: nn.Module, layers: dict[str, nn.Module], images: Tensor, targets: Tensor) -> Tensor:
        with ExitStack() as stack:
            passes = {name: stack.enter_context(_graph_starts_at(name, layer)) for name, layer in layers.items()}
            cam = self.method(module, list(layers.values()))
            stack.callback(cam.activations_and_grads.release)
            for layer in layers.values():
                stack.enter_context(_safe_from_in_place_operations(layer))

            logits = cam.activations_and_grads(images)
            _check_each_ran_once(passes)
            _check_targets(targets, logits)
            if logits.requires_grad:
                logits.gather(1, targets.to(logits.device, torch.int64)[:, None]).sum().backward()
            _check_gradients_reached(passes)
            # The library wants target objects here only for methods that run the model again.
            maps = cam.aggregate_multi_layers(cam.compute_cam_per_layer(images, [], False))
        return torch.from_numpy(maps).to(images.device)


def find_layers(subject: Subject, names: Sequence[str] | None) -> dict[str, nn.Module]:
    """The target layers by name: those asked for, or the last of the model's own. Raises ExplainError."""
    if names is None:
        if not subject.cam_layers:
            raise ExplainError("the model names no layer for CAM methods; name one with 'layers'")
        names = subject.cam_layers[-1:]
    modules = dict(subject.module.named_modules())
    for name in names:
        if name not in modules:
            usual = f"; the model suggests {', '.join(subject.cam_layers)}" if subject.cam_layers else ""
            raise ExplainError(f"the model has no layer '{name}'{did_you_mean(name, modules) or usual}")
    return {name: modules[name] for name in names}


@dataclass
class _Passes:
    """How often a layer ran, and how often a gradient came back to its output."""

    forward: int = 0
    backward: int = 0


@contextmanager
def _graph_starts_at(name: str, layer: nn.Module) -> Iterator[_Passes]:
    """Cut the graph at the layer's output: what the library's hooks see requires grad, what came before does not."""
    passes = _Passes()

    def note(_gradient: Tensor) -> None:
        passes.backward += 1

    def cut(_module: nn.Module, _inputs: Any, output: Any) -> Tensor:
        passes.forward += 1
        _check_spatial(name, output)
        if not output.requires_grad:  # else an earlier target layer has started the graph
            # Not the leaf itself, whose .grad would keep the gradient a second time.
            output = output.detach().requires_grad_().view_as(output)
        output.register_hook(note)
        return output  # type: ignore[no-any-return]

    handle = layer.register_forward_hook(cut)
    try:
        yield passes
    finally:
        handle.remove()


@contextmanager
def _safe_from_in_place_operations(layer: nn.Module) -> Iterator[None]:
    """Hand the network a copy: an in-place ReLU after the layer would overwrite the activations that were saved."""
    handle = layer.register_forward_hook(lambda _module, _inputs, output: output.clone())
    try:
        yield
    finally:
        handle.remove()


def _check_spatial(name: str, output: Any) -> None:
    if not isinstance(output, Tensor) or output.ndim != 4:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ExplainError(f"layer '{name}' gives {shape}, not N x channels x height x width; choose another layer")
    if output.shape[2] * output.shape[3] == 1:
        raise ExplainError(f"layer '{name}' gives maps of 1 x 1, which point nowhere; choose an earlier layer")


def _check_precision(module: nn.Module) -> None:
    kinds = {str(each.dtype) for each in module.parameters() if each.is_floating_point()} - {"torch.float32"}
    if kinds:
        raise ExplainError(
            f"the model has parameters in {', '.join(sorted(kinds))}; CAM methods need float32: .float()"
        )


def _check_each_ran_once(passes: dict[str, _Passes]) -> None:
    for name, times in passes.items():
        if times.forward != 1:
            raise ExplainError(
                f"layer '{name}' ran {times.forward} times in one forward pass; choose a layer that runs once"
            )


def _check_gradients_reached(passes: dict[str, _Passes]) -> None:
    for name, times in passes.items():
        if not times.backward:
            raise ExplainError(
                f"no gradient comes back to layer '{name}' from the class scores; choose a layer they depend on"
            )


def _check_targets(targets: Tensor, logits: Tensor) -> None:
    classes = logits.shape[1]
    if int(targets.min()) < 0 or int(targets.max()) >= classes:
        raise ExplainError(
            f"targets lie in {int(targets.min())}..{int(targets.max())}, the model's classes in 0..{classes - 1}"
        )
