"""Which operations of a model each of captum's methods can handle, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from captum.attr._utils.lrp_rules import EpsilonRule, GammaRule
from torch import nn
from xaitool.errors import ExplainError

from xaitool_captum.parts import MaxPool, Step, flows

# Names are those of torch's functions, without the underscores of operators and of forms that work in place.
MOVES = frozenset({"cat", "chunk", "clone", "contiguous", "dropout", "expand", "flatten", "getitem", "movedim"}) | {
    *("permute", "reshape", "split", "squeeze", "stack", "swapaxes", "to", "transpose", "unbind", "unflatten"),
    *("unsqueeze", "view", "view_as"),
}
PRODUCTS = frozenset({"mul", "div", "true_divide"})
CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d"})
POOLS = frozenset({"adaptive_avg_pool2d", "avg_pool2d", "interpolate", "mean", "sum"})
LINEAR = POOLS | PRODUCTS | CONVOLUTIONS | {"add", "batch_norm", "linear", "neg", "pad", "rsub", "sub"}


@dataclass(frozen=True)
class Rules:
    """What a method of captum can do with the operations of a model, by name.

    modules: those that it handles in a module of torch's. steps: those that it handles in any module (LRP's linear
    ones). free: those that need no handling. gamma: of LRP's gamma rule, for convolutions.
    """

    method: str
    modules: Mapping[str, type[nn.Module]]
    free: frozenset[str]
    steps: frozenset[str] = field(default=frozenset())
    gamma: float = 0

    def part(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> nn.Module:
        """The module for a call that needs one."""
        if name in self.modules:
            part = self.modules[name](*args[1:], **kwargs)
            vars(part).update(inplace=False)
            return part
        if name == "batch_norm" and self.gamma:
            # A neuron may be active behind it that was negative before: relevance is then divided by next to nothing.
            raise ExplainError(
                f"{self.method} is unstable with the gamma rule before batch normalisation, which the model uses; "
                "set gamma: 0, or fold the batch norms into the convolutions"
            )
        if name in CONVOLUTIONS and len(args) > 1:
            return Step(GammaRule(self.gamma), weight=args[1].clone())
        return Step(EpsilonRule())

    def check(self, name: str, args: Sequence[Any]) -> None:
        """Raise ExplainError for an operation that the method has no rule for."""
        if name not in {*self.modules, *self.steps, *self.free}:
            raise ExplainError(
                f"{self.method} has no rule for '{name}', which the model uses; it knows linear layers and "
                f"{', '.join(sorted(self.modules))}. Choose integrated_gradients, gradient_shap or occlusion instead"
            )
        if name in PRODUCTS and any(flows(value) for value in args[1:]):
            raise ExplainError(
                f"{self.method} has no rule for '{name}' of two parts of the network with each other, which the model "
                "uses (attention or gating, for example). Choose integrated_gradients, gradient_shap or occlusion"
            )


DEEPLIFT = Rules(
    "captum's DeepLIFT",
    modules={
        "elu": nn.ELU,
        "leaky_relu": nn.LeakyReLU,
        "max_pool2d": MaxPool,
        "relu": nn.ReLU,
        "sigmoid": nn.Sigmoid,
        "softplus": nn.Softplus,
        "tanh": nn.Tanh,
    },
    free=MOVES | LINEAR,
)
GUIDED_BACKPROP = Rules("guided backpropagation", modules={"relu": nn.ReLU}, free=MOVES | LINEAR | {"max_pool2d"})


def lrp_rules(gamma: float) -> Rules:
    """The gamma rule in convolutions, the epsilon rule (1e-9) in other linear layers and max pooling."""
    modules = {"relu": nn.ReLU, "tanh": nn.Tanh}
    return Rules("captum's LRP", modules, free=MOVES, steps=LINEAR | {"max_pool2d"}, gamma=gamma)
