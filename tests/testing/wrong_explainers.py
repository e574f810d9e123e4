"""Explainers that break their contract on purpose, most of them in one way only.

What is wrong stands in the name of the class; each is its own factory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from right_explainers import Config as Config
from right_explainers import InputTimesGradient
from torch import Tensor, nn

from xaitool.borrow import borrowed
from xaitool.contracts import Subject
from xaitool.errors import ExplainError


class GivesDoubles(InputTimesGradient):
    def explain(self, *given: Any) -> Tensor:
        return super().explain(*given).double()


class TurnsMapsOver(InputTimesGradient):
    def explain(self, *given: Any) -> Tensor:
        return super().explain(*given).mT


class HasNoExplain:
    def __init__(self, _config: Config) -> None: ...


class DividesByZero(InputTimesGradient):
    def maps(self, *given: Any) -> Tensor:
        maps = super().maps(*given)
        return maps / maps.abs().amax((1, 2), keepdim=True)


class ScalesByTheBatch(InputTimesGradient):
    def explain(self, *given: Any) -> Tensor:
        maps = super().explain(*given)
        return maps / maps.abs().max().clamp(min=1e-6)


class StaysInTrainingMode(InputTimesGradient):
    def maps(self, module: nn.Module, *given: Any) -> Tensor:
        return super().maps(module.train(), *given)


class MixesInItsBatchSize(InputTimesGradient):
    def maps(self, *given: Any) -> Tensor:
        return super().maps(*given) * (1 + self.config.batch_size)


class DropsTheRest(InputTimesGradient):
    """Scales by what it is called with where that is no multiple of four: singles are right, and a batch of six."""

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        maps = super().explain(subject, images, targets)
        return maps * (2 if len(images) == 3 else 1)


class CountsItsCalls(InputTimesGradient):
    calls = 0

    def explain(self, *given: Any) -> Tensor:
        self.calls += 1
        return super().explain(*given) * self.calls


class LeavesEvalMode(InputTimesGradient):
    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        maps = super().explain(subject, images, targets)
        subject.module.eval()
        return maps


class LeavesAHook(InputTimesGradient):
    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        maps = super().explain(subject, images, targets)
        subject.module.get_submodule("stage1").register_forward_hook(lambda *_: None)
        return maps


class LeavesItFrozen(InputTimesGradient):
    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        maps = super().explain(subject, images, targets)
        subject.module.requires_grad_(False)
        return maps


class LeavesGradients(InputTimesGradient):
    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        maps = super().explain(subject, images, targets)
        for parameter in subject.module.parameters():
            parameter.grad = torch.zeros_like(parameter)
        return maps


class LearnsStatistics(InputTimesGradient):
    def maps(self, module: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        maps = super().maps(module, images, targets)
        with torch.no_grad():
            module.train()(torch.cat([images, images]).detach())
        return maps


class ChangesTheImages(InputTimesGradient):
    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        maps = super().explain(subject, images, targets)
        images += 1e-7 + images.abs() * 1e-6
        return maps


class SeedsNumpy(InputTimesGradient):
    def explain(self, *given: Any) -> Tensor:
        np.random.seed(3)
        return super().explain(*given)


class TidiesUpOnlyIfAllGoesWell(InputTimesGradient):
    def maps(self, module: nn.Module, *given: Any) -> Tensor:
        hook = module.get_submodule("stage2").register_forward_hook(lambda *_: None)
        maps = super().maps(module, *given)
        hook.remove()
        return maps


class NeedsGradMode(InputTimesGradient):
    def maps(self, *given: Any) -> Tensor:
        with torch.set_grad_enabled(self.outside):
            return super().maps(*given)

    def explain(self, *given: Any) -> Tensor:
        self.outside = torch.is_grad_enabled()
        return super().explain(*given)


class NeedsTrainableWeights(InputTimesGradient):
    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        maps = super().explain(subject, images, targets)
        return maps * (1 + sum(parameter.requires_grad for parameter in subject.module.parameters()))


class TakesAnyTarget(InputTimesGradient):
    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        targets = torch.cat([targets, targets])[: len(images)]
        return super().explain(subject, images, targets.clamp(0, 3))


class RaisesSomethingElse(InputTimesGradient):
    def explain(self, *given: Any) -> Tensor:
        try:
            return super().explain(*given)
        except ExplainError as error:
            raise IndexError(*error.args) from error


class IsFinerThanTheImage(InputTimesGradient):
    def native_size(self, _subject: Subject, images: Tensor) -> tuple[int, int]:
        return 4 * images.shape[2], 4 * images.shape[3]


class KeepsTensors(InputTimesGradient):
    def explain(self, *given: Any) -> Tensor:
        self.kept: list[Tensor] = [*getattr(self, "kept", []), super().explain(*given)]
        return self.kept[-1]


class KeepsArrays(InputTimesGradient):
    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.kept: list[Any] = []

    def explain(self, *given: Any) -> Tensor:
        maps = super().explain(*given)
        self.kept.append(maps.numpy().copy())
        return maps


class RemembersEveryImage(InputTimesGradient):
    """A memo without an end."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.memo: dict[bytes, Tensor] = {}

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        self.memo[images.numpy().tobytes()] = maps = super().explain(subject, images, targets)
        return maps


class KeepsEverySecondMap(InputTimesGradient):
    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.calls, self.kept = 0, []

    def explain(self, *given: Any) -> Tensor:
        maps = super().explain(*given)
        self.calls += 1
        if self.calls % 2:
            self.kept.append(maps)
        return maps


class KeepsAGrowingLog(InputTimesGradient):
    """One tensor, and ever larger."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.log = torch.zeros(0)

    def explain(self, *given: Any) -> Tensor:
        maps = super().explain(*given)
        self.log = torch.cat([self.log, maps.flatten()])
        return maps


class IgnoresTheTarget(InputTimesGradient):
    def maps(self, module: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        super().maps(module, images, targets)
        return super().maps(module, images, module(images).argmax(1))


class SaysItIgnoresTheTarget(InputTimesGradient):
    class_specific = False


class AnswersOneQuestion(InputTimesGradient):
    """... and gives everybody the answer."""

    def sharing(self, _subject: Subject) -> str:
        return "all"

    def explain_together(self, subject: Subject, images: Tensor, questions: Any) -> list[Tensor]:
        return [self.explain(subject, images, questions[0][1])] * len(questions)


class FindsEdges(InputTimesGradient):
    """Looks at the image and the number of the class, and not at the weights."""

    def maps(self, module: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        super().maps(module, images, targets)
        grey = images.detach().mean(1)
        edges = (grey - grey.roll(1, 1)).abs() + (grey - grey.roll(1, 2)).abs()
        edges[:, 0], edges[:, :, 0] = 0, 0
        return edges.roll(0) * (1 + targets[:, None, None])


class LooksAtTheCentre(InputTimesGradient):
    def maps(self, *given: Any) -> Tensor:
        maps = super().maps(*given)
        down, across = (torch.arange(side) - side // 2 for side in maps.shape[1:])
        centred = torch.exp(-(down[:, None] ** 2 + across**2) / 30)
        return maps + 100 * maps.abs().amax((1, 2), keepdim=True) * centred


class AveragesNothing(InputTimesGradient):
    """Activations of ``stage1`` weighted by nothing: no Grad-CAM."""

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad(), borrowed(subject.module) as module:
            return module.eval().get_submodule("stage1")(images).mean(1)
