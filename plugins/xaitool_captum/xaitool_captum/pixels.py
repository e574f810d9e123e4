"""The model as a function of pixel values, and the baselines among them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur
from xaitool.contracts import Subject
from xaitool.errors import ExplainError

from xaitool_captum.config import Baseline


class PixelModel(nn.Module):
    """The subject's module behind its own normalisation: pixel values in [0, 1] in, logits out.

    A value of zero is black here. In the module's own units it would be the mean colour. Where the subject has no mean
    and std, its images are taken to be pixel values.
    """

    def __init__(self, subject: Subject, like: Tensor) -> None:
        super().__init__()
        self.module = subject.module
        self.known_mean = bool(subject.mean)
        self.mean = like.new_tensor(subject.mean or (0.0,)).view(-1, 1, 1)
        self.std = like.new_tensor(subject.std or (1.0,)).view(-1, 1, 1)
        self.training = False

    def forward(self, pixels: Tensor) -> Tensor:
        """N×C×H×W pixel values in, N×classes logits out."""
        logits: Tensor = self.module((pixels - self.mean) / self.std)
        return logits

    def pixels(self, images: Tensor) -> Tensor:
        """What a person sees: normalised images back to pixel values, as new tensors outside any graph."""
        return images.detach() * self.std + self.mean

    def baseline(self, kind: Baseline, pixels: Tensor) -> Tensor:
        """The baseline for each of N×C×H×W images. Raises ExplainError for a mean colour that nobody knows."""
        match kind:
            case "black":
                return torch.zeros_like(pixels)
            case "white":
                return torch.ones_like(pixels)
            case "mean":
                if not self.known_mean:
                    raise ExplainError("the mean colour of the data is not known; choose another 'baseline' than mean")
                return self.mean.expand_as(pixels).clone()
            case "blur":
                return blurred(pixels.detach())


def blurred(pixels: Tensor) -> Tensor:
    """Images under a Gaussian whose standard deviation is a tenth of the shorter side."""
    sigma = min(pixels.shape[-2:]) / 10
    result: Tensor = gaussian_blur(pixels, kernel_size=2 * int(3 * sigma) + 1, sigma=sigma)
    return result
