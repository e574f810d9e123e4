"""A model under guard, and torch: whatever a plugin leaves changed in them is found, told, and put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# What all that is computed in this process depends on, in words: how it is read, and how it is made.
_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "whether torch computes gradients": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's threads": (torch.get_num_threads, torch.set_num_threads),
    "whether torch is deterministic": (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
}

# What hangs on a module, each a dictionary: its hooks, and the parts it is made of.
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_PARTS = ("_modules", "_parameters", "_buffers")


class Guard:
    """Remembers a module's parts, weights, buffers, modes, hooks and gradients, and torch's settings; takes a copy of
    the weights to do so.

    It holds on to the things themselves and not to their names, so that it also sees and undoes a part that was added,
    taken away or exchanged.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.modes = [(part, part.training) for part in module.modules()]
        self.parts = [(part, _dicts(part, _PARTS)) for part in module.modules()]
        self.hooks = [(part, _dicts(part, _HOOKS)) for part in module.modules()]
        self.values = [(value, value.detach().clone()) for value in [*module.parameters(), *module.buffers()]]
        self.gradients = [(each, each.requires_grad, each.grad) for each in module.parameters()]
        self.settings = _settings()

    def changes(self) -> list[str]:
        """What is not as it was, in words; empty where all is."""
        compared = {
            "its parts": any(not _same(_dicts(part, _PARTS), before) for part, before in self.parts),
            "its weights": any(not _equal(value, before.to(value.device)) for value, before in self.values),
            "train or eval mode": any(part.training != before for part, before in self.modes),
            "hooks": any(not _same(_dicts(part, _HOOKS), before) for part, before in self.hooks),
            "requires_grad or .grad": any(
                each.requires_grad != needed or each.grad is not gradient for each, needed, gradient in self.gradients
            ),
        }
        return [what for what, changed in compared.items() if changed] + self._changed_settings()

    def restore(self) -> None:
        """Put everything back."""
        for part, before in [*self.parts, *self.hooks]:
            for kind, entries in before.items():
                kept = getattr(part, kind)
                kept.clear()
                kept.update(entries)
        for part, training in self.modes:
            part.training = training
        for value, copy in self.values:
            value.data.copy_(copy)
        for each, needed, gradient in self.gradients:
            each.requires_grad_(needed)
            each.grad = gradient
        for what in self._changed_settings():  # setting one to what it is may have side effects too
            _SETTINGS[what][1](self.settings[what])

    def _changed_settings(self) -> list[str]:
        return [what for what, value in _settings().items() if value != self.settings[what]]


def _settings() -> dict[str, Any]:
    return {what: read() for what, (read, _) in _SETTINGS.items()}


def _equal(now: Tensor, before: Tensor) -> bool:
    """Whether all values are the same; one that is no number stays the same by staying none."""
    if now.equal(before):
        return True
    return now.shape == before.shape and bool(((now == before) | (now.isnan() & before.isnan())).all())


def _dicts(part: nn.Module, kinds: tuple[str, ...]) -> dict[str, dict[Any, Any]]:
    return {kind: dict(getattr(part, kind)) for kind in kinds}


def _same(now: dict[str, dict[Any, Any]], before: dict[str, dict[Any, Any]]) -> bool:
    """Whether the same things hang there under the same names; tensors have no equality of their own."""
    return all(
        now[kind].keys() == entries.keys() and all(now[kind][name] is thing for name, thing in entries.items())
        for kind, entries in before.items()
    )
