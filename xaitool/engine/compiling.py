"""torch.compile, for the steps of a training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from xaitool.errors import TrainingError


def compiled(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """A module's forward pass (N×C×H×W to logits), compiled when it is first called; the module itself stays as it is.

    Raises TrainingError then where it cannot be compiled.
    """
    # Imported here: it takes seconds.
    from torch._dynamo.exc import TorchDynamoException

    forward = torch.compile(module)

    def called(images: Tensor) -> Tensor:
        try:
            return forward(images)  # type: ignore[no-any-return]
        except TorchDynamoException as error:
            reason = " ".join(str(error).split("\n\n")[0].split())
            raise TrainingError(
                f"torch.compile cannot compile this network here ({reason}); leave train.compile out"
            ) from error

    return called
