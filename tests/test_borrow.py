"""A borrowed model comes back as it was, whatever happened to it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
import torch
from torch import nn

from xaitool.borrow import borrowed


@pytest.fixture
def module() -> nn.Module:
    """Mixed modes, some of it frozen, some gradients there."""
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.Dropout(), nn.Flatten()))
    module.append(nn.Linear(2, 3))
    module[1].eval()
    module[2][0].eval()
    module[0].weight.requires_grad_(False)
    module[3].bias.requires_grad_(False)
    module[3].bias.grad = torch.ones(3)
    module[3].weight.grad = torch.ones(3, 2)
    return module


class Mishap(Exception):
    """Raised on purpose."""


def modes(module: nn.Module) -> list[bool]:
    return [part.training for part in module.modules()]


def needs(module: nn.Module) -> list[bool]:
    return [parameter.requires_grad for parameter in module.parameters()]


def grads(module: nn.Module) -> list[torch.Tensor | None]:
    return [parameter.grad for parameter in module.parameters()]


def train(module: nn.Module) -> None:
    module.train()


def evaluate(module: nn.Module) -> None:
    module.eval()


def freeze(module: nn.Module) -> None:
    module.requires_grad_(False)


def thaw(module: nn.Module) -> None:
    module.requires_grad_(True)


def backward(module: nn.Module) -> None:
    module.eval().requires_grad_(True)(torch.ones(4, 1, 3, 3)).sum().backward()


def draw(_module: nn.Module) -> None:
    torch.rand(3)


def seed(_module: nn.Module) -> None:
    torch.manual_seed(5)


def fail(module: nn.Module) -> None:
    module.train().requires_grad_(False)
    torch.rand(3)
    raise Mishap


DOINGS = [train, evaluate, freeze, thaw, backward, draw, seed, fail]


@pytest.mark.parametrize("do", DOINGS, ids=lambda do: do.__name__)
def test_everything_comes_back(module: nn.Module, do: Callable[[nn.Module], None]) -> None:
    before = modes(module), needs(module), grads(module), torch.get_rng_state()
    values = [None if grad is None else grad.clone() for grad in before[2]]
    with suppress(Mishap), borrowed(module):
        do(module)
    assert modes(module) == before[0]
    assert needs(module) == before[1]
    assert torch.equal(torch.get_rng_state(), before[3])
    assert len(set(modes(module))) == len(set(needs(module))) == 2, "the model has some of each"
    for grad, same, value in zip(grads(module), before[2], values, strict=True):
        assert grad is same, "the same tensor, not a copy"
        assert (grad is None) == (value is None)
        assert grad is None or value is None or torch.equal(grad, value), "and nothing was added to it"


def test_the_very_module_is_lent_without_gradients(module: nn.Module) -> None:
    with borrowed(module) as lent:
        assert lent is module
        assert grads(module) == [None] * 6


def test_modes_and_requires_grad_are_the_owners_to_begin_with(module: nn.Module) -> None:
    before = modes(module), needs(module)
    with borrowed(module):
        assert (modes(module), needs(module)) == before


def test_the_random_state_goes_on_from_the_owners(module: nn.Module) -> None:
    torch.manual_seed(1)
    first = torch.rand(3)
    torch.manual_seed(1)
    with borrowed(module):
        assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.rand(3), first)


def test_the_error_inside_is_the_error_outside(module: nn.Module) -> None:
    with pytest.raises(Mishap), borrowed(module):
        fail(module)


def test_loans_can_be_nested(module: nn.Module) -> None:
    before = modes(module), needs(module), grads(module)
    with borrowed(module):
        module.eval().requires_grad_(False)
        with borrowed(module):
            backward(module)
            module.train()
        assert not any(modes(module))
        assert not any(needs(module))
        assert grads(module) == [None] * 6
    assert (modes(module), needs(module)) == before[:2]
    assert all(grad is same for grad, same in zip(grads(module), before[2], strict=True))


def test_a_module_without_parameters_can_be_lent() -> None:
    module = nn.Dropout()
    with borrowed(module):
        module.eval()
    assert module.training


def test_shared_parameters_come_back_once_and_for_all() -> None:
    first = nn.Linear(2, 2)
    module = nn.Sequential(first, nn.ReLU(), first)
    first.weight.grad = grad = torch.ones(2, 2)
    with borrowed(module):
        module(torch.ones(1, 2)).sum().backward()
    assert first.weight.grad is grad
    assert first.bias.grad is None


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_lends_where_gradients_are_switched_off(module: nn.Module, mode: Callable[[], torch.no_grad]) -> None:
    before = modes(module), needs(module), grads(module)
    with mode(), borrowed(module):
        module.eval().requires_grad_(False)
    assert (modes(module), needs(module)) == before[:2]
    assert all(grad is same for grad, same in zip(grads(module), before[2], strict=True))
