"""Training: against a loop written by hand, and the optimizer, average and loss against their definitions."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import xaitool
from xaitool import TrainSettings, Tuned
from xaitool.engine.optimize import WeightAverage, make_loss, make_optimizer, parameter_groups
from xaitool.errors import TrainingError
from xaitool.recipe.schema import AdamWSettings, EMASettings, SGDSettings


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def loader(n: int = 24, batch: int = 8) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(n, 3, 8, 8, generator=generator), torch.randint(0, 3, (n,), generator=generator)
    return DataLoader(TensorDataset(images, labels), batch_size=batch)


def settings(**changes: Any) -> TrainSettings:
    return TrainSettings(**{"epochs": 2, "batch_size": 8, "scheduler": {"use": "onecycle"}, **changes})


class Constant:
    """A schedule that stays where it is."""

    tune_steps = 0

    def tune(self, probe: Any) -> Tuned:
        return Tuned(0.1)

    def build(self, optimizer: Any, total_steps: int, tuned: Tuned) -> Any:
        for group in optimizer.param_groups:
            group["lr"] = tuned.max_lr
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)


@pytest.mark.parametrize(
    "optimizer",
    [{"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}, {"name": "adamw", "weight_decay": 0.1}],
)
def test_the_same_as_a_loop_by_hand(optimizer: dict[str, Any]) -> None:
    ours, theirs = net(), net()
    scheduler = xaitool.build("scheduler", "onecycle", max_lr=0.1)
    with xaitool.open_runtime(xaitool.RuntimeSettings(device="cpu")) as runtime:
        fitted = xaitool.fit(
            ours,
            loader(),
            settings(optimizer=optimizer, label_smoothing=0.1, clip_grad_norm=0.5),
            scheduler,
            Tuned(0.1),
            runtime=runtime,
        )

    theirs = theirs.to(memory_format=torch.channels_last).train()
    decayed = [p for p in theirs.parameters() if p.ndim > 1]
    spared = [p for p in theirs.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": optimizer["weight_decay"]},
        {"params": spared, "weight_decay": 0.0},
    ]
    by_hand: torch.optim.Optimizer
    if optimizer["name"] == "sgd":
        by_hand = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    else:
        by_hand = torch.optim.AdamW(groups, lr=0.1)
    cycle = scheduler.build(by_hand, 6, Tuned(0.1))
    lrs = []
    for epoch in range(2):
        for images, labels in loader():
            images = images.to(memory_format=torch.channels_last)
            lrs.append(by_hand.param_groups[0]["lr"])
            F.cross_entropy(theirs(images), labels, label_smoothing=0.1).backward()
            nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
            by_hand.step()
            by_hand.zero_grad()
            if len(lrs) < 6:
                cycle.step()
        assert fitted.history[epoch].epoch == epoch + 1

    assert fitted.lrs == lrs
    for mine, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.equal(mine, other)


def test_history_counts_what_was_seen() -> None:
    fitted = xaitool.fit(net(), loader(), settings(), Constant(), Tuned(1e-12), test=loader())
    first, last = fitted.history
    module = net().train()
    losses, right = [], 0
    for images, labels in loader():  # a rate of nearly zero: the module does not move, but for its running averages
        logits = module(images)
        losses.append(F.cross_entropy(logits, labels, reduction="sum").item())
        right += int((logits.argmax(1) == labels).sum())
    assert first.train_loss == pytest.approx(sum(losses) / 24, rel=1e-5)
    assert first.train_accuracy == right / 24
    assert last.test_accuracy is not None
    assert last.images_per_second > 0


def test_the_average_is_what_is_kept_and_tested() -> None:
    kept: list[nn.Module] = []
    module = net()
    fitted = xaitool.fit(
        module,
        loader(),
        settings(ema={"decay": 0.9}),
        Constant(),
        Tuned(0.1),
        test=loader(),
        on_epoch=lambda _fitted, average: kept.append(copy.deepcopy(average)),
    )
    for mine, average in zip(module.state_dict().values(), kept[-1].state_dict().values(), strict=True):
        assert torch.equal(mine, average)
    assert fitted.history[-1].test_accuracy == xaitool.evaluate(module, loader()).accuracy


def test_weight_average_by_its_definition() -> None:
    module = nn.BatchNorm1d(2)
    average = WeightAverage(module, EMASettings(decay=0.5))
    expected, weights = module.weight.detach().clone(), torch.Generator().manual_seed(0)
    for update in range(1, 30):
        with torch.no_grad():
            module.weight.copy_(torch.randn(2, generator=weights))
            module.num_batches_tracked += 1
        average.update()
        decay = min(0.5, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * module.weight.detach()
    assert torch.allclose(average.module.weight, expected, atol=1e-6)
    assert int(average.module.num_batches_tracked) == 29
    assert not average.module.training
    assert module.training


def test_norms_and_biases_are_not_decayed() -> None:
    module = net()
    decayed, spared = parameter_groups(module, 0.1, decay_all=False)
    assert [p.ndim for p in decayed["params"]] == [4, 2]
    assert {p.ndim for p in spared["params"]} == {1}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    (everything,) = parameter_groups(module, 0.1, decay_all=True)
    assert len(everything["params"]) == 6


def test_frozen_parameters_are_left_out() -> None:
    module = net()
    module[0].requires_grad_(False)
    before = module[0].weight.detach().clone()
    xaitool.fit(module, loader(), settings(optimizer={"name": "sgd", "weight_decay": 0.5}), Constant(), Tuned(0.1))
    assert torch.equal(module[0].weight, before)
    assert not module[0].weight.requires_grad
    assert module[5].weight.grad is None


def test_optimizers_take_their_settings() -> None:
    sgd = make_optimizer(net(), SGDSettings(momentum=0.8, nesterov=True))
    assert (sgd.defaults["momentum"], sgd.defaults["nesterov"]) == (0.8, True)
    assert make_optimizer(net(), AdamWSettings(name="adamw", betas=(0.8, 0.9))).defaults["betas"] == (0.8, 0.9)


def test_the_loss_is_computed_in_float32() -> None:
    logits = torch.tensor([[1000.0, 0.0]], dtype=torch.bfloat16)
    assert make_loss(0.0)(logits, torch.tensor([0])).dtype == torch.float32


def test_the_random_state_stays() -> None:
    module, batches = net(), DataLoader(loader().dataset, 8, shuffle=True)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    xaitool.fit(module, batches, settings(), Constant(), Tuned(0.1))
    assert torch.equal(torch.get_rng_state(), before)


def test_no_batches_is_an_error() -> None:
    with pytest.raises(TrainingError, match="at least one batch"):
        xaitool.fit(net(), [], settings(), Constant(), Tuned(0.1))
    with pytest.raises(TrainingError, match="knows its length"):
        xaitool.fit(net(), (batch for batch in loader()), settings(), Constant(), Tuned(0.1))


def test_tune_works_on_a_copy_and_repeats_itself() -> None:
    module = net().eval()
    before = copy.deepcopy(module.state_dict())
    scheduler = xaitool.build("scheduler", "lr_finder_onecycle", num_iter=20, start_lr=0.01, end_lr=10)
    first = xaitool.tune(scheduler, module, loader(240), settings(), seed=1)
    again = xaitool.tune(scheduler, module, loader(240), settings(), seed=1)
    assert first == again
    assert not module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize(("channels", "form"), [(8, torch.contiguous_format), (16, torch.channels_last)])
def test_channels_last_but_where_torch_writes_beyond_its_memory(channels: int, form: torch.memory_format) -> None:
    """A strided 1 × 1 convolution of few channels: its backward pass ended the process."""
    module = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.Conv2d(channels, 16, 1, stride=2))
    with xaitool.open_runtime(xaitool.RuntimeSettings(device="cpu")) as runtime:
        found = runtime.place(module)(runtime.to_device(torch.randn(2, 3, 64, 64)))
    formats = (torch.contiguous_format, torch.channels_last)
    assert [each for each in formats if found.is_contiguous(memory_format=each)] == [form]


@pytest.mark.cuda
def test_bf16_on_cuda_trains_and_evaluates_in_float32() -> None:
    module = net()
    with xaitool.open_runtime() as runtime:
        assert runtime.precision == "bf16"
        fitted = xaitool.fit(module, loader(), settings(ema={"decay": 0.9}), Constant(), Tuned(0.1), runtime=runtime)
        assert len(fitted.history) == 2
        assert next(module.parameters()).is_cuda
        evaluation = xaitool.evaluate(module, loader(), runtime=runtime)
        assert evaluation.logits.dtype == torch.float32


def test_gradients_that_the_module_comes_with_are_not_used() -> None:
    fresh, used = net(), net()
    used[5].weight.grad = torch.full_like(used[5].weight, 100.0)
    for module in (fresh, used):
        xaitool.fit(module, loader(), settings(), Constant(), Tuned(0.1))
    assert torch.equal(fresh[5].weight, used[5].weight)


def test_modes_are_put_back_and_frozen_norms_stay_frozen() -> None:
    asleep = net().eval()
    xaitool.fit(asleep, loader(), settings(), Constant(), Tuned(0.1))
    assert not any(part.training for part in asleep.modules())
    assert int(asleep[1].num_batches_tracked) == 6  # it did train

    frozen = net().train()
    frozen[1].eval()
    xaitool.fit(frozen, loader(), settings(), Constant(), Tuned(0.1))
    assert [part.training for part in frozen] == [True, False, True, True, True, True]
    assert int(frozen[1].num_batches_tracked) == 0


def test_tied_weights_are_averaged_once() -> None:
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    second.weight = first.weight
    tied = nn.Sequential(first, second)
    average = WeightAverage(tied, EMASettings(decay=0.5))
    expected = first.weight.detach().clone()
    with torch.no_grad():
        first.weight.add_(1)
    average.update()
    decay = min(0.5, 2 / 11)
    assert torch.allclose(average.module[0].weight, expected + (1 - decay))


class Counting(nn.BatchNorm1d):
    """Puts another tensor in a buffer's place, as some modules do, and keeps something that is no tensor."""

    seen = 0

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.seen += 1
        self.running_mean = self.running_mean + 1
        return values

    def get_extra_state(self) -> dict[str, int]:
        return {"seen": self.seen}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.seen = state["seen"]


def test_what_a_module_puts_in_the_place_of_a_buffer_and_what_is_no_tensor_are_taken_in() -> None:
    module = Counting(2)
    average = WeightAverage(module, EMASettings(decay=0.5))
    module(torch.ones(1, 2))
    average.update()
    assert average.module.running_mean.tolist() == pytest.approx([1 - 2 / 11] * 2)
    assert average.module.seen == module.seen == 1


def test_the_environment_of_accelerate_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, launched = net(), net()
    xaitool.fit(plain, loader(), settings(), Constant(), Tuned(0.1))
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    xaitool.fit(launched, loader(), settings(), Constant(), Tuned(0.1))
    assert torch.equal(plain[5].weight, launched[5].weight)


def test_stages_work_beside_the_users_own_accelerator() -> None:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    try:
        theirs = Accelerator(mixed_precision="bf16", cpu=True)
        with xaitool.open_runtime() as runtime:
            assert runtime.precision == "bf16"
        assert theirs.mixed_precision == "bf16"
        assert AcceleratorState._shared_state
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def compiling(monkeypatch: pytest.MonkeyPatch, backend: Any) -> list[nn.Module]:
    """torch.compile without its compiler, which takes a minute; gives the modules that it is called for."""
    asked = []
    compile = torch.compile

    def without(module: nn.Module) -> Any:
        asked.append(module)
        return compile(module, backend=backend)

    monkeypatch.setattr(torch, "compile", without)
    return asked


def test_a_compiled_network_learns_the_same_and_comes_back_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = compiling(monkeypatch, "eager")
    plain, module = net(), net()
    xaitool.fit(plain, loader(), settings(), Constant(), Tuned(0.1))
    assert not asked
    xaitool.fit(module, loader(), settings(compile=True), Constant(), Tuned(0.1))
    assert asked == [module]
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in module.state_dict().items())
    assert type(module) is nn.Sequential


def test_a_network_that_cannot_be_compiled_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise OSError("no compiler")

    compiling(monkeypatch, broken)
    with pytest.raises(TrainingError, match=r"torch\.compile cannot compile .*no compiler.*; leave train\.compile out"):
        xaitool.fit(net(), loader(), settings(compile=True), Constant(), Tuned(0.1))
