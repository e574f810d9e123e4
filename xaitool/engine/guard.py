"""A model under guard: whatever a plugin leaves changed in it is found, told, and put back."""

from __future__ import annotations

from torch import Tensor, nn

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Guard:
    """Remembers a module's weights, buffers, modes, hooks and gradients; takes a copy of the weights to do so."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.values = {name: value.detach().clone() for name, value in _tensors(module).items()}
        self.modes = {name: part.training for name, part in module.named_modules()}
        self.hooks = {name: [dict(getattr(part, kind)) for kind in _HOOKS] for name, part in module.named_modules()}
        self.gradients = {name: (each.requires_grad, each.grad) for name, each in module.named_parameters()}

    def changes(self) -> list[str]:
        """What is not as it was, in words; empty where all is."""
        return [what for what, changed in self._compared().items() if changed]

    def restore(self) -> None:
        """Put everything back."""
        for name, value in _tensors(self.module).items():
            value.data.copy_(self.values[name])
        for name, part in self.module.named_modules():
            part.training = self.modes[name]
            for kind, hooks in zip(_HOOKS, self.hooks[name], strict=True):
                kept = getattr(part, kind)
                kept.clear()
                kept.update(hooks)
        for name, each in self.module.named_parameters():
            requires_grad, gradient = self.gradients[name]
            each.requires_grad_(requires_grad)
            each.grad = gradient

    def _compared(self) -> dict[str, bool]:
        module, values = self.module, _tensors(self.module)
        parts = dict(module.named_modules())
        return {
            "its weights": any(not value.equal(self.values[name].to(value.device)) for name, value in values.items()),
            "train or eval mode": any(part.training != self.modes[name] for name, part in parts.items()),
            "hooks": any(
                [dict(getattr(part, kind)) for kind in _HOOKS] != self.hooks[name] for name, part in parts.items()
            ),
            "requires_grad or .grad": any(
                each.requires_grad != self.gradients[name][0] or each.grad is not self.gradients[name][1]
                for name, each in module.named_parameters()
            ),
        }


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name; the devices may change, the names may not."""
    return dict([*module.named_parameters(), *module.named_buffers()])
