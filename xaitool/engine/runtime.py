"""Where to compute and how precisely: a thin layer over Hugging Face Accelerate."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.data_loader import DataLoaderShard
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import DataLoaderConfiguration, GradientAccumulationPlugin
from torch import Tensor, nn
from torch.utils.data import DataLoader

from xaitool.contracts import Images
from xaitool.engine.loading import auto_workers, make_loader
from xaitool.errors import DeviceError
from xaitool.recipe.schema import RuntimeSettings

# Accelerate sets this on Apple's GPUs and leaves it behind.
_MPS_FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"


class Placement(Protocol):
    """Where a model computes, and how it and its images come there."""

    @property
    def device(self) -> torch.device:
        """The device that computes."""

    def place(self, module: nn.Module, /) -> nn.Module:
        """The module, there."""

    def to_device(self, images: Tensor, /) -> Tensor:
        """Images (N×C×H×W), there."""


@dataclass(frozen=True)
class InPlace:
    """A placement that leaves the model where its owner has it, in the memory format that it has; images follow."""

    device: torch.device

    @classmethod
    def of(cls, module: nn.Module) -> InPlace:
        """Where the module's first parameter or buffer is; the CPU where it has none."""
        first = next((each for each in (*module.parameters(), *module.buffers())), None)
        return cls(torch.device("cpu") if first is None else first.device)

    def place(self, module: nn.Module) -> nn.Module:
        """The module, untouched."""
        return module

    def to_device(self, images: Tensor) -> Tensor:
        """Images (N×C×H×W) on the model's device."""
        return images.to(self.device)


@dataclass(frozen=True)
class Runtime:
    """Device, precision and loaders, for all stages of a run.

    Training runs in `precision` (``"no"`` is Accelerate's word for float32), everything else in float32.
    """

    accelerator: Accelerator
    workers: int

    @property
    def device(self) -> torch.device:
        """The device that computes."""
        return torch.device(self.accelerator.device)

    @property
    def precision(self) -> str:
        """fp32 or bf16."""
        return "bf16" if self.accelerator.mixed_precision == "bf16" else "fp32"

    @property
    def _channels_last(self) -> bool:
        return self.device.type in ("cpu", "cuda")

    def describe(self) -> str:
        """``NVIDIA H200, bf16`` or ``CPU (x86_64, 2 threads), fp32``."""
        match self.device.type:
            case "cuda":
                name = torch.cuda.get_device_name(self.device)
            case "cpu":
                name = f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"
            case other:
                name = other.upper()
        return f"{name}, {self.precision}"

    def place(self, module: nn.Module) -> nn.Module:
        """Move a module to the device, convolutions' weights in the memory format that the device likes best."""
        module.to(self.device)
        return module.to(memory_format=torch.channels_last) if self._channels_last else module

    def to_device(self, images: Tensor) -> Tensor:
        """Move images (N×C×H×W) to the device, in the memory format of :meth:`place`."""
        form = torch.channels_last if self._channels_last else torch.preserve_format
        return images.to(self.device, non_blocking=self.device.type == "cuda", memory_format=form)

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of training."""
        return self.accelerator.autocast()  # type: ignore[no-any-return]  # Accelerate has no annotations

    def loader(
        self, images: Images, batch_size: int, *, shuffle: bool, seed: int = 0, keep_workers: bool = True
    ) -> DataLoader[Any]:
        """A loader over a data set, prepared by Accelerate.

        keep_workers: between epochs, until the runtime ends; otherwise they end with each iteration.
        """
        loader = make_loader(
            images,
            batch_size,
            shuffle=shuffle,
            seed=seed,
            workers=self.workers,
            keep_workers=keep_workers,
            pin_memory=self.device.type == "cuda",
        )
        return self.prepare(loader)  # type: ignore[no-any-return]

    def prepare(self, loader: Iterable[Any]) -> Any:
        """Let Accelerate place a loader's batches; anything that is no DataLoader is left alone."""
        # Accelerate would wrap its own loaders once more, and start a second set of workers for them.
        if isinstance(loader, DataLoader) and not isinstance(loader, DataLoaderShard):
            return self.accelerator.prepare_data_loader(loader, device_placement=True)
        return loader

    @contextmanager
    def fast(self) -> Iterator[None]:
        """Let cuDNN try out its algorithms, which pays where all batches have one size."""
        before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = self.device.type == "cuda"
        try:
            yield
        finally:
            torch.backends.cudnn.benchmark = before


@contextmanager
def open_runtime(settings: RuntimeSettings | None = None) -> Iterator[Runtime]:
    """A runtime for a recipe's settings. Raises DeviceError where the device or the precision is not there.

    Accelerate keeps its state in the process; where it had none before it has none after.
    """
    settings = settings or RuntimeSettings()
    _check_device(settings)
    ours = not PartialState._shared_state
    fallback = os.environ.get(_MPS_FALLBACK)
    try:
        runtime = _start(settings, ours)
        yield runtime
        runtime.accelerator.free_memory()
    finally:
        if ours:
            AcceleratorState._reset_state(reset_partial_state=True)
            GradientState._reset_state()
        if fallback is None:
            os.environ.pop(_MPS_FALLBACK, None)


def using(runtime: Runtime | None) -> AbstractContextManager[Runtime]:
    """The runtime given, or one for just this stage."""
    return nullcontext(runtime) if runtime else open_runtime()


def _start(settings: RuntimeSettings, ours: bool) -> Runtime:
    """ours: the process does not use Accelerate yet; where it does, `auto` means what it uses."""
    automatic = ("bf16" if _bf16_pays(settings.device) else "no") if ours else None
    mixed = {"fp32": "no", "bf16": "bf16", "auto": automatic}[settings.precision]
    try:
        accelerator = Accelerator(
            cpu=settings.device == "cpu",
            mixed_precision=mixed,
            # Given here, or Accelerate takes the number of steps from the environment and divides every gradient by it.
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
            dataloader_config=DataLoaderConfiguration(non_blocking=True),
        )
    except ValueError as error:
        raise DeviceError(f"precision {settings.precision} is not to be had here: {error}") from error
    if settings.device not in ("auto", accelerator.device.type):
        raise DeviceError(
            f"runtime.device asks for {settings.device}, but Accelerate already runs on {accelerator.device} here"
        )
    workers = auto_workers(accelerator.device.type) if settings.workers == "auto" else settings.workers
    return Runtime(accelerator, workers)


def _check_device(settings: RuntimeSettings) -> None:
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(settings.device, True):
        raise DeviceError(
            f"runtime.device asks for {settings.device}, but this PyTorch sees none; use device: auto or cpu"
        )


def _bf16_pays(device: str) -> bool:
    """On GPUs that have it. On CPUs autocast to bf16 is many times slower than float32 unless they have AMX."""
    return device in ("auto", "cuda") and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
