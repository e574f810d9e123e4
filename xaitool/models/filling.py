"""A model filled with the weights of a checkpoint: all of them, or an error that says which do not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from xaitool.errors import CheckpointError
from xaitool.models.checkpoint import read_state

# What wrappers put before the names: data parallelism, torch.compile, Lightning and others.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
# Counts batches; older checkpoints lack it, and nothing that is evaluated depends on it.
_BY_THE_WAY = "num_batches_tracked"
_TOLD = 4  # names told of each kind


def fill(module: nn.Module, path: str | Path, num_classes: int) -> None:
    """Load a checkpoint's weights into the module, which is left alone where they do not fit.

    Raises CheckpointError, with the names that are missing, unexpected or of another shape.
    """
    file = Path(path).expanduser()
    own = module.state_dict()
    state = _unwrapped(read_state(file), own)
    given = {name: state[name] for name in own if name in state}
    shared = {tensor.data_ptr() for name, tensor in own.items() if name in given and tensor.numel()}
    missing = [
        name
        for name, tensor in own.items()
        if name not in given and not name.endswith(_BY_THE_WAY) and tensor.data_ptr() not in shared
    ]
    unexpected = [name for name in state if name not in own and not name.endswith(_BY_THE_WAY)]
    shapes = {name: (tuple(each.shape), tuple(own[name].shape)) for name, each in given.items()}
    misfits = {name: pair for name, pair in shapes.items() if pair[0] != pair[1]}
    if missing or unexpected or misfits:
        raise CheckpointError(_mismatch(file, missing, unexpected, misfits, num_classes, len(own)))
    broken = [name for name, each in given.items() if each.is_floating_point() and not each.isfinite().all()]
    if broken:
        raise CheckpointError(f"{file}: {len(broken)} weights are NaN or infinite: {_some(broken)}")
    with torch.no_grad():
        module.load_state_dict(given, strict=False)


def _unwrapped(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state without a wrapper's prefix before its names, where the model's own have none such."""
    while state:
        prefix = next((each for each in _PREFIXES if all(name.startswith(each) for name in state)), None)
        if prefix is None or any(name in own for name in state):
            return state
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _mismatch(
    file: Path,
    missing: Sequence[str],
    unexpected: Sequence[str],
    misfits: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]],
    num_classes: int,
    count: int,
) -> str:
    told = [f"{file} does not fit the model:"]
    if missing:
        told.append(f"{len(missing)} of the model's {count} weights are missing: {_some(missing)}")
    if unexpected:
        told.append(f"{len(unexpected)} are not the model's: {_some(unexpected)}")
    if misfits:
        shapes = [f"{name} is {_times(theirs)}, the model's {_times(ours)}" for name, (theirs, ours) in misfits.items()]
        told.append(f"{len(misfits)} have another shape: {_some(shapes, '; ')}")
    classes = {theirs[0] for theirs, _ in misfits.values() if theirs}
    head_alone = misfits and all(
        theirs[1:] == ours[1:] and ours[:1] == (num_classes,) for theirs, ours in misfits.values()
    )
    if head_alone and len(classes) == 1 and not missing and not unexpected:
        told.append(
            f"Only the head differs: the checkpoint is for {classes.pop()} classes, the data set has {num_classes}. "
            "Give the data set that it was trained on, with all of its classes"
        )
    elif len(missing) > count // 2:
        told.append("Is it a checkpoint of another architecture?")
    return "\n  ".join(told)


def _some(names: Sequence[str], joint: str = ", ") -> str:
    more = f"{joint}and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return joint.join(names[:_TOLD]) + more


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a number"
