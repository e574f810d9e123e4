"""Where to compute and how precisely: a thin layer over Hugging Face Accelerate."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.data_loader import DataLoaderShard, prepare_data_loader
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import DataLoaderConfiguration, GradientAccumulationPlugin
from torch import Tensor, nn
from torch.utils.data import DataLoader

from xaitool.contracts import HalfDone, Images
from xaitool.counting import counted
from xaitool.engine.loading import Fetched, auto_workers, make_loader
from xaitool.engine.processes import ALONE, Processes
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

    @property
    def processes(self) -> Processes:
        """Those that share the work."""

    def alone(self) -> Placement:
        """The same, for work that is this process's own."""


@dataclass(frozen=True)
class InPlace:
    """A placement that leaves the model where its owner has it, in the memory format that it has; images follow."""

    device: torch.device
    processes: Processes = ALONE

    def alone(self) -> InPlace:
        """Itself: no other process has a part in it."""
        return self

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
    """Device, precision, loaders and processes, for all stages of a run.

    Training runs in `precision` (``"no"`` is Accelerate's word for float32), everything else in float32.
    augments: the device puts training images through the last of their transforms, whole batches at once. timeout:
    seconds that one of the processes that load data may take for a batch; 0: any time.
    """

    accelerator: Accelerator
    workers: int
    augments: bool = False
    timeout: float = 0
    processes: Processes = ALONE

    @property
    def device(self) -> torch.device:
        """The device that computes."""
        device = torch.device(self.accelerator.device)
        # Of several processes Accelerate numbers the CPU, and what is moved to it is then copied.
        return torch.device("cpu") if device.type == "cpu" else device

    @property
    def precision(self) -> str:
        """fp32 or bf16."""
        return "bf16" if self.accelerator.mixed_precision == "bf16" else "fp32"

    def describe(self) -> str:
        """``NVIDIA H200, bf16`` or ``CPU (x86_64, 2 threads), fp32``, and how many processes, where there are more."""
        match self.device.type:
            case "cuda":
                name = torch.cuda.get_device_name(self.device)
            case "cpu":
                name = f"CPU ({platform.machine()}, {counted(torch.get_num_threads(), 'thread')})"
            case other:
                name = other.upper()
        processes = "" if self.processes.alone else f", {self.processes.count} processes"
        return f"{name}, {self.precision}{processes}"

    def alone(self) -> Runtime:
        """The same, for work that is this process's own."""
        return replace(self, processes=ALONE)

    def place(self, module: nn.Module) -> nn.Module:
        """Move a module to the device, convolutions' weights in the memory format that the device likes best.

        Images of any format are computed on in that of the weights.
        """
        module.to(self.device)
        return module.to(memory_format=torch.channels_last) if self._channels_last_is_right(module) else module

    def to_device(self, images: Tensor) -> Tensor:
        """Move images (N×C×H×W) to the device."""
        form = torch.contiguous_format
        return images.to(self.device, non_blocking=self.device.type == "cuda", memory_format=form)

    def _channels_last_is_right(self, module: nn.Module) -> bool:
        if self.device.type == "cpu":
            return not any(map(_writes_beyond_its_memory, module.modules()))
        return self.device.type == "cuda"

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of training."""
        return self.accelerator.autocast()  # type: ignore[no-any-return]  # Accelerate has no annotations

    def loader(
        self,
        images: Images,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        keep_workers: bool = True,
        pieces: int = 1,
    ) -> Any:
        """A loader over a data set, prepared by Accelerate; of several processes each has one over its own part.

        keep_workers: between epochs, until the runtime ends; otherwise they end with each iteration.
        Raises DeviceError where the device is to augment, and these images cannot be left to it.
        """
        half_done = self.half_done(images) if shuffle else None
        loader = make_loader(
            half_done or images,
            batch_size,
            shuffle=shuffle,
            seed=seed,
            workers=self.workers,
            keep_workers=keep_workers,
            pin_memory=self.device.type == "cuda",
            timeout=self.timeout,
            processes=self.processes,
            pieces=pieces,
        )
        prepared = self.prepare(loader)
        if half_done:
            return Fetched(prepared, self.device, half_done.finish)
        return Fetched(prepared, self.device) if self.workers else prepared

    def half_done(self, images: Images) -> HalfDone | None:
        """Training images as the device takes them, where it is to augment. Raises DeviceError where they cannot be."""
        if not self.augments:
            return None
        on_device = getattr(images, "on_device", None)
        try:
            if on_device is None:
                raise ValueError("the data set has no form of its images for that")
            return on_device()  # type: ignore[no-any-return]
        except ValueError as error:
            raise DeviceError(
                f"runtime.augment: the device cannot do it: {error}; leave it out, or change the pipeline"
            ) from error

    def prepare(self, loader: Iterable[Any]) -> Any:
        """Let Accelerate place a loader's batches; anything that is no DataLoader is left alone."""
        # Accelerate would wrap its own loaders once more, and start a second set of workers for them.
        if isinstance(loader, DataLoader) and not isinstance(loader, DataLoaderShard):
            if self.processes.alone:
                return self.accelerator.prepare_data_loader(loader, device_placement=True)
            # Each process's loader is over its own part; Accelerate would give it a part of that.
            return prepare_data_loader(loader, self.device, 1, 0, put_on_device=True, non_blocking=True)
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
def open_runtime(settings: RuntimeSettings | None = None, processes: Processes = ALONE) -> Iterator[Runtime]:
    """A runtime for a recipe's settings. Raises DeviceError where the device or the precision is not there.

    Accelerate keeps its state in the process; where it had none before it has none after.
    """
    settings = settings or RuntimeSettings()
    _check_device(settings)
    if not processes.alone:
        settings = _for_several(settings, processes)
    ours = not PartialState._shared_state
    fallback = os.environ.get(_MPS_FALLBACK)
    try:
        runtime = _start(settings, ours, processes)
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


def _start(settings: RuntimeSettings, ours: bool, processes: Processes) -> Runtime:
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
    automatic_workers = auto_workers(accelerator.device.type, processes.local_count)
    workers = automatic_workers if settings.workers == "auto" else settings.workers
    augments = settings.augment == "device"
    return Runtime(accelerator, workers, augments, settings.timeout, processes)


def _check_device(settings: RuntimeSettings) -> None:
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(settings.device, True):
        raise DeviceError(
            f"runtime.device asks for {settings.device}, but this PyTorch sees none; use device: auto or cpu"
        )


def _for_several(settings: RuntimeSettings, processes: Processes) -> RuntimeSettings:
    """The settings where several processes compute together: each on a GPU of its own, or all on the CPU."""
    if settings.device == "mps":
        raise DeviceError("several processes compute on CUDA or on the CPU, not on mps; use device: auto or cpu")
    if settings.device == "cpu" or not torch.cuda.is_available():
        return settings.model_copy(update={"device": "cpu"})
    if processes.local_count > torch.cuda.device_count():
        raise DeviceError(
            f"{processes.local_count} processes were started on a machine with {torch.cuda.device_count()} GPUs; start "
            "one for each GPU, or use device: cpu"
        )
    return settings


def _bf16_pays(device: str) -> bool:
    """On GPUs that have it. On CPUs autocast to bf16 is many times slower than float32 unless they have AMX."""
    return device in ("auto", "cuda") and torch.cuda.is_available() and torch.cuda.is_bf16_supported()


def _writes_beyond_its_memory(part: nn.Module) -> bool:
    """Whether torch's backward pass does, on CPUs with channels last: seen in torch 2.15 from 56 × 56 pixels on."""
    if not isinstance(part, nn.Conv2d):
        return False
    return part.kernel_size == (1, 1) and part.stride != (1, 1) and part.in_channels < 16
