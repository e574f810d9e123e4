"""What a guard takes for a change of a model."""

from __future__ import annotations

import torch
from torch import nn

from xaitool.engine.guard import Guard


def test_a_buffer_that_is_no_number_is_no_change() -> None:
    module = nn.BatchNorm2d(3)
    module.register_buffer("unused", torch.tensor([1.0, torch.nan, torch.inf]))
    module.register_buffer("none", torch.empty(0))
    guard = Guard(module)
    assert guard.changes() == []
    for there in (2.0, torch.inf, torch.nan):
        module.unused[0] = there
        assert guard.changes() == ["its weights"]
        guard.restore()
        assert guard.changes() == []
    module.unused[1] = 0.0
    assert guard.changes() == ["its weights"]
