"""A model as captum's hooks need it: every operation they change a module of its own, that runs once a pass.

DeepLIFT, guided backpropagation and LRP hook modules. So captum is wrong, often silently, about whatever a forward
method does without one (``F.relu``, ``x + shortcut``), about a module that runs twice, and about operations in place.
Here the operations are taken from the calls that the model makes, whoever makes them. captum sees a list of fresh
modules, one a call; the model itself is never hooked, and nothing is left on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from xaitool.errors import ExplainError

from xaitool_captum.parts import Step, flows
from xaitool_captum.rules import Rules


class Unrolled(nn.Module):
    """The model (pixels in, logits out) with a module for each call that the rules want one for.

    It is recorded on the images given, N×C×H×W; every later pass must make the same calls. Raises ExplainError for an
    operation without a rule.
    """

    def __init__(self, model: nn.Module, rules: Rules, pixels: Tensor) -> None:
        super().__init__()
        self.parts = nn.ModuleList()
        self.training = False
        self._model = (model,)  # in a tuple, so that captum finds none of its modules
        self._rules = rules
        self._names: list[str] = []
        self._recording = True
        with torch.enable_grad():
            logits = self(pixels.clone().requires_grad_())
        self._recording = False
        self._check_same(logits, model(pixels))

    def forward(self, pixels: Tensor) -> Tensor:
        """N×C×H×W pixel values in, N×classes logits out."""
        turns = count()

        def call(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
            name = function.__name__.strip("_")
            if not any(map(flows, args)) or name not in {*self._rules.modules, *self._rules.steps}:
                output = function(*args, **kwargs)
                if flows(output) or (isinstance(output, tuple | list) and any(map(flows, output))):
                    self._rules.check(name, args)
                return output
            self._rules.check(name, args)
            return _apply(self._part(next(turns), name, args, kwargs), name, function, args, kwargs)

        with _Calls(call):
            logits: Tensor = self._model[0](pixels)
        return logits

    def _part(self, turn: int, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> nn.Module:
        if self._recording:
            self._names.append(name)
            self.parts.append(self._rules.part(name, args, kwargs).eval())
        elif self._names[turn : turn + 1] != [name]:
            raise ExplainError(f"the model does not run the same layers on every image, as {self._rules.method} needs")
        return self.parts[turn]

    def _check_same(self, logits: Tensor, expected: Tensor) -> None:
        if not torch.allclose(logits, expected, rtol=1e-3, atol=1e-4, equal_nan=True):
            raise ExplainError(
                f"{self._rules.method} cannot follow this model: it depends on a layer's input being changed in place. "
                "Use what the layer returns instead"
            )


class _Calls(TorchFunctionMode):
    """Hand every call of a torch function to `handle`."""

    def __init__(self, handle: Callable[[Callable[..., Any], Sequence[Any], dict[str, Any]], Any]) -> None:
        super().__init__()
        self.handle = handle

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.handle(func, args, kwargs or {})


def _apply(
    part: nn.Module, name: str, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Tensor:
    if isinstance(part, Step):
        in_place = function.__name__ == f"{name}_"
        part.bind(getattr(Tensor, name) if in_place else function, args, kwargs)
    # captum hooks what goes in: a copy, which no other layer has hooked and none changes in place.
    output: Tensor = part(*(value.clone() for value in args if flows(value)))
    return output
