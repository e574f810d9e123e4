"""Test-time smoothing: an explainer's maps averaged over noisy and mirrored copies of an image.

Noise as in SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825), in pixel units; mirrored maps are mirrored back.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import torch
from torch import Tensor

from xaitool.contracts import Adjustable, Explainer, Sharing, Subject
from xaitool.engine.randomness import derive
from xaitool.recipe.schema import SmoothSettings


def smoothed(explainer: Explainer, settings: SmoothSettings, seed: int = 0) -> Smoothed:
    """The explainer, smoothed; it shares, and can be adjusted, as the one that is given can.

    Copy k of every image gets the same noise, which follows from the seed and from k: neither order nor batch size
    changes a map.
    """
    kind = SmoothedAdjustable if isinstance(explainer, Adjustable) else Smoothed
    return kind(explainer, settings, seed)


class Smoothed:
    """An explainer (:class:`xaitool.contracts.Sharing`) that asks another about copies of the images."""

    def __init__(self, explainer: Explainer, settings: SmoothSettings, seed: int) -> None:
        self.explainer = explainer
        self.settings = settings
        self.seed = seed
        self.class_specific = getattr(explainer, "class_specific", True)

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        """See :meth:`xaitool.contracts.Explainer.explain`."""
        return self._mean(subject, images, lambda copies: [self.explainer.explain(subject, copies, targets)])[0]

    def native_size(self, subject: Subject, images: Tensor) -> tuple[int, int]:
        """The grid of the explainer that is asked; what noise and mirroring add is no finer."""
        own: Callable[[Subject, Tensor], tuple[int, int]] | None = getattr(self.explainer, "native_size", None)
        return own(subject, images) if own else (images.shape[2], images.shape[3])

    def sharing(self, subject: Subject) -> Hashable:
        """See :class:`xaitool.contracts.Sharing`: with those that are smoothed alike, and share themselves."""
        key = self.explainer.sharing(subject) if isinstance(self.explainer, Sharing) else None
        return None if key is None else ("smooth", self.seed, self.settings.model_dump_json(), key)

    def explain_together(
        self, subject: Subject, images: Tensor, questions: Sequence[tuple[Smoothed, Tensor]]
    ) -> list[Tensor]:
        """See :class:`xaitool.contracts.Sharing`."""
        first, asked = self.explainer, [(each.explainer, targets) for each, targets in questions]
        if not isinstance(first, Sharing):
            return [each.explain(subject, images, targets) for each, targets in questions]
        return self._mean(subject, images, lambda copies: first.explain_together(subject, copies, asked))

    def _mean(self, subject: Subject, images: Tensor, ask: Callable[[Tensor], Sequence[Tensor]]) -> list[Tensor]:
        """The mean over all copies of each of the maps that `ask` gives for one."""
        totals: list[Tensor] = []
        count = 0
        for copies, mirrored in self._copies(subject, images):
            found = [maps.flip(2) if mirrored else maps for maps in ask(copies)]
            totals = [total + maps for total, maps in zip(totals, found, strict=True)] if count else found
            count += 1
        return [total / count for total in totals]

    def _copies(self, subject: Subject, images: Tensor) -> Iterator[tuple[Tensor, bool]]:
        """The images with noise, and whether they are mirrored."""
        flips, noise = self.settings.flips, self.settings.noise
        std = images.new_tensor(subject.std or [1.0]).view(-1, 1, 1)
        for number in range(self.settings.n if noise else 2):
            copies = images
            if noise:
                draw = torch.Generator().manual_seed(derive(self.seed, "smooth", number))
                copies = copies + noise / std * torch.randn(images.shape[1:], generator=draw).to(images)
            mirrored = flips and number % 2 == 1
            yield (copies.flip(3) if mirrored else copies), mirrored


class SmoothedAdjustable(Smoothed):
    """The same over an explainer that can look at several layers (:class:`xaitool.contracts.Adjustable`)."""

    explainer: Adjustable

    @property
    def automatic(self) -> bool:
        """Whether the layer is to be chosen."""
        return self.explainer.automatic

    def alternatives(self, subject: Subject) -> dict[str, Explainer]:
        """The explainer with each of the settings, smoothed."""
        found = self.explainer.alternatives(subject)
        return {name: smoothed(each, self.settings, self.seed) for name, each in found.items()}

    def current(self, subject: Subject) -> str:
        """The setting in use."""
        return self.explainer.current(subject)
