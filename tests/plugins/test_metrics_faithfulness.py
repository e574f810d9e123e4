"""Deletion, insertion, ABPC and ROAD against slow loops written from the definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn

from xaitool.contracts import Given, Subject
from xaitool.errors import MetricError
from xaitool_metrics.baselines import SIGMA, baseline_images, blurred
from xaitool_metrics.config import CurveConfig, ROADConfig
from xaitool_metrics.curves import area, curve, pixel_counts
from xaitool_metrics.faithfulness import ABPC, Deletion, Insertion
from xaitool_metrics.imputation import impute
from xaitool_metrics.ranks import relevance_ranks
from xaitool_metrics.road import ROAD

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
SIZE = 12
PIXELS = SIZE * SIZE


class Counted(nn.Module):
    """A small network that counts the images it is given."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * PIXELS, 4))
        self.images = 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return 5 * self.net(images)  # type: ignore[no-any-return]


class Brightness(nn.Module):
    """Class 0 with a probability that is the mean of the first channel."""

    def forward(self, images: Tensor) -> Tensor:
        share = images[:, 0].mean((1, 2))
        return torch.stack([share, 1 - share], 1).log()


def problem(number: int = 5) -> tuple[Subject, Tensor, Tensor, Tensor, Given]:
    source = torch.Generator().manual_seed(1)
    images = (torch.rand(number, 3, SIZE, SIZE, generator=source) - 0.4) / 0.25
    maps = torch.randn(number, SIZE, SIZE, generator=source)
    targets = torch.arange(number) % 4
    return Subject(Counted(), (), MEAN, STD), images, targets, maps, Given([f"image {i}" for i in range(number)], 3)


def naive(
    subject: Subject, image: Tensor, baseline: Tensor, target: int, order: NDArray[Any], steps: int
) -> tuple[list[float], list[float]]:
    """Fractions and probabilities, one image at a time: the baseline's pixels take the image's place in this order."""
    fractions, probabilities = [], []
    for step in range(steps + 1):
        count = round(step * PIXELS / steps)
        mixed = image.clone().view(3, -1)
        for pixel in order[:count]:
            mixed[:, pixel] = baseline.view(3, -1)[:, pixel]
        with torch.no_grad():
            logits = subject.module(mixed.view(1, 3, SIZE, SIZE))[0].double().numpy()
        powers = np.exp(logits - logits.max())
        fractions.append(count / PIXELS)
        probabilities.append(float(powers[target] / powers.sum()))
    return fractions, probabilities


def trapezia(fractions: list[float], values: list[float]) -> float:
    pairs = zip(zip(fractions, values, strict=True), zip(fractions[1:], values[1:], strict=True), strict=False)
    return sum((right - left) * (low + high) / 2 for (left, low), (right, high) in pairs)


def close(one: Any, other: Any, within: float = 1e-6) -> bool:
    return bool(np.allclose(np.asarray(one), np.asarray(other), rtol=0, atol=within))


@pytest.mark.parametrize("steps", [8, 32, 37])
@pytest.mark.parametrize("baseline", ["blur", "mean", "black", "noise"])
def test_deletion_insertion_and_abpc_are_those_of_a_slow_loop(baseline: Any, steps: int) -> None:
    subject, images, targets, maps, given = problem()
    config = CurveConfig(baseline=baseline, steps=steps, batch_size=7)
    found = {kind: kind(config).score(subject, images, targets, maps, given) for kind in (Deletion, Insertion, ABPC)}
    baselines = baseline_images(baseline, subject, images, given)
    for i, target in enumerate(targets.tolist()):
        order = np.argsort(-maps[i].flatten().numpy())
        fractions, morf = naive(subject, images[i], baselines[i], target, order, steps)
        _, lerf = naive(subject, images[i], baselines[i], target, order[::-1], steps)
        insertion = naive(subject, baselines[i], images[i], target, order, steps)[1]
        assert close(found[Deletion].curves["fraction"], fractions)
        assert close(found[Deletion].curves["deletion"][i], morf)
        assert close(found[Insertion].curves["insertion"][i], insertion)
        assert close(found[Deletion].values[i], trapezia(fractions, morf))
        assert close(found[Insertion].values[i], trapezia(fractions, insertion))
        assert close(found[ABPC].values[i], trapezia(fractions, lerf) - trapezia(fractions, morf))
    assert np.ptp(found[Deletion].values) > 0.05, "there is something to compare"


def test_a_probability_that_is_the_mean_brightness_has_the_curve_that_arithmetic_gives() -> None:
    """Four of 64 pixels are lit (1/16 of the light each is 1/64): deleted first, p falls to 0 with the fourth."""
    image = torch.zeros(1, 3, 8, 8)
    image[0, :, 0, :4] = 1
    subject = Subject(Brightness(), (), (0.0,) * 3, (1.0,) * 3)
    given, target = Given(["a"]), torch.tensor([0])
    config = CurveConfig(baseline="black", steps=64)
    deletion = Deletion(config).score(subject, image, target, image[:, 0], given)
    assert close(deletion.curves["deletion"][0][:6], [4 / 64, 3 / 64, 2 / 64, 1 / 64, 0, 0])
    assert close(deletion.values, [(2 + 3 + 2 + 1) / 64 / 64])
    insertion = Insertion(config).score(subject, image, target, image[:, 0], given)
    assert close(insertion.values, [(0.5 * 4 / 64) - (2 + 3 + 2 + 1) / 64 / 64 + 0.5 * 4 / 64])


def test_a_linear_model_in_rank_order_has_the_closed_form() -> None:
    """p is the sum of the pixels' contributions; the i-th largest, i from 0, is there for (i + 1/2)/n of deletion."""
    source = torch.Generator().manual_seed(5)
    image, weights = (torch.rand(SIZE, SIZE, generator=source) for _ in range(2))
    contributions = weights * image / PIXELS

    class Linear(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            total = (weights * images[:, 0] / PIXELS).sum((1, 2))
            return torch.stack([total, 1 - total], 1).log()

    subject, config = Subject(Linear(), (), (0.0,) * 3, (1.0,) * 3), CurveConfig(baseline="black", steps=PIXELS)
    ordered = contributions.flatten().double().sort(descending=True).values.numpy()
    places = (np.arange(PIXELS) + 0.5) / PIXELS
    images, target, given = image.expand(1, 3, -1, -1), torch.tensor([0]), Given(["a"])
    deletion, insertion, abpc = (
        kind(config).score(subject, images, target, contributions[None], given) for kind in (Deletion, Insertion, ABPC)
    )
    left = ordered.sum() - np.concatenate([[0], ordered.cumsum()])
    assert close(deletion.curves["deletion"][0], left, 1e-6)
    assert close(deletion.values, [(ordered * places).sum()], 1e-6)
    assert close(insertion.values, [(ordered * (1 - places)).sum()], 1e-6)
    assert close(abpc.values, [(ordered * (1 - 2 * places)).sum()], 1e-6)
    assert abpc.values[0] > 0.05


def test_the_three_metrics_share_their_curves() -> None:
    subject, images, targets, maps, given = problem()
    for kind in (Deletion, Insertion, ABPC):
        kind(CurveConfig()).score(subject, images, targets, maps, given)
    assert subject.module.images == 2 * 33 * len(images)
    ABPC(CurveConfig(baseline="mean")).score(subject, images, targets, maps, given)
    ABPC(CurveConfig(steps=16)).score(subject, images, targets, maps, given)
    assert subject.module.images == (4 * 33 + 2 * 17) * len(images)


def test_abpc_is_insertion_minus_deletion_and_turns_with_the_map() -> None:
    subject, images, targets, maps, given = problem()
    one, two, both = (
        kind(CurveConfig()).score(subject, images, targets, maps, given) for kind in (Insertion, Deletion, ABPC)
    )
    assert close(both.values, np.subtract(one.values, two.values))
    turned = ABPC(CurveConfig()).score(subject, images, targets, -maps, Given(given.ids, 3))
    assert close(turned.values, np.negative(both.values))


@pytest.mark.parametrize(
    "metric",
    [ABPC(CurveConfig(steps=8)), ROAD(ROADConfig(steps=8, noise=0))],
    ids=["abpc", "road"],
)
def test_maps_at_random_score_what_chance_says(metric: ABPC | ROAD) -> None:
    subject, images, targets, maps, given = problem(120)
    found = metric.score(subject, images, targets, maps, given)
    assert found.chance == [0.0] * 120
    spread = float(np.std(found.values) / np.sqrt(120))
    assert abs(float(np.mean(found.values))) < 3 * spread


def test_counts_are_whole_even_and_never_repeated() -> None:
    assert pixel_counts(1024, 32).tolist() == list(range(0, 1025, 32))
    assert pixel_counts(10, 32).tolist() == list(range(11))
    counts = pixel_counts(1000, 33)
    assert len(counts) == 34
    assert set(counts.diff().tolist()) == {30, 31}


def test_the_area_takes_uneven_steps_at_their_true_width() -> None:
    assert close(area(torch.tensor([0, 0.25, 1.0]), torch.tensor([[1.0, 0, 0], [0, 1, 1]])), [0.125, 0.875])


def test_tied_pixels_are_ranked_at_random_by_id_and_seed_alone() -> None:
    maps = torch.zeros(3, SIZE, SIZE)
    maps[:, 2, 3] = 1
    maps[:, 5, 5] = -0.0
    ranks = relevance_ranks(maps, Given(["a", "b", "a"], 3))
    assert (ranks.flatten(1).sort(1).values == torch.arange(PIXELS)).all(), "each rank once"
    assert (ranks[:, 2, 3] == 0).all()
    assert (ranks[0] == ranks[2]).all()
    assert (ranks[0] != ranks[1]).float().mean() > 0.9
    assert (relevance_ranks(maps[:1], Given(["a"], 4)) != ranks[:1]).float().mean() > 0.9
    correlation = np.corrcoef(ranks[0].flatten().numpy(), np.arange(PIXELS))[0, 1]
    assert abs(correlation) < 0.3, "not in reading order"


def test_baselines_are_set_in_pixel_space() -> None:
    subject, images, *_, given = problem()
    mean, std = (torch.tensor(each).view(-1, 1, 1) for each in (MEAN, STD))
    assert close(baseline_images("black", subject, images, given) * std + mean, 0)
    assert close(baseline_images("mean", subject, images, given) * std + mean, mean.expand_as(images))
    noise = baseline_images("noise", subject, images, given) * std + mean
    assert -1e-6 <= float(noise.min()) < 0.01
    assert 0.99 < float(noise.max()) <= 1 + 1e-6
    again = baseline_images("noise", subject, images[1:2], Given(given.ids[1:2], 3)) * std + mean
    assert close(again[0], noise[1])
    assert not close(noise[0], noise[1], 0.1)


def test_the_blur_is_scipys_gaussian_away_from_the_border_and_removes_the_object() -> None:
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    expected = gaussian_filter1d(gaussian_filter1d(image[0].double().numpy(), 2, axis=1, truncate=9), 2, 2, truncate=9)
    middle = slice(20, 44)
    assert close(blurred(image, 2.0)[0][:, middle, middle], expected[:, middle, middle], 1e-6)
    for wave in (torch.sin, torch.cos):
        stripes = blurred(wave(torch.arange(32) * (2 * torch.pi * 2 / 32)).expand(1, 1, 32, 32), SIGMA * 32)
        contrast = float(stripes.max() - stripes.min()) / 2
        assert contrast < 0.3, "what is light and dark twice across the image keeps less than 3/10 of its contrast"


def test_a_baseline_in_pixel_values_needs_the_normalisation() -> None:
    subject, images, targets, maps, given = problem()
    bare = Subject(subject.module)
    for metric in (Deletion(CurveConfig(baseline="black")), ROAD(ROADConfig())):
        with pytest.raises(MetricError, match="needs the mean and std of the normalisation"):
            metric.score(bare, images, targets, maps, given)
    Deletion(CurveConfig()).score(bare, images, targets, maps, given)


def test_images_with_channels_last_are_perturbed_in_that_format() -> None:
    formats = []

    class Watching(Counted):
        def forward(self, images: Tensor) -> Tensor:
            formats.append(images.is_contiguous(memory_format=torch.channels_last))
            return super().forward(images)

    _, images, targets, maps, given = problem()
    subject = Subject(Watching(), (), MEAN, STD)
    for baseline in ("blur", "noise"):
        metric = ABPC(CurveConfig(baseline=baseline))
        metric.score(subject, images.to(memory_format=torch.channels_last), targets, maps, given)
    assert len(formats) == 4
    assert all(formats)


# ROAD


def holes(number: int, size: int) -> Tensor:
    """Missing pixels of many shapes: a few, blobs, all but one."""
    source = torch.Generator().manual_seed(2)
    smooth = blurred(torch.randn(number, 1, size, size, generator=source), 2.0).flatten(1)
    ranks = smooth.argsort(1).argsort(1)
    counts = torch.linspace(0, size * size - 1, number).long()
    return (ranks < counts[:, None]).view(number, 1, size, size)


def dense(image: NDArray[Any], missing: NDArray[Any]) -> NDArray[Any]:
    """The equations pixel by pixel, solved by elimination in double precision."""
    size = len(missing)
    matrix, right = np.eye(size * size), image.reshape(3, -1).T.astype(float).copy()
    for y, x in np.argwhere(missing):
        row = y * size + x
        near = [(y + j, x + i) for j in (-1, 0, 1) for i in (-1, 0, 1) if i or j]
        near = [(a, b) for a, b in near if 0 <= a < size and 0 <= b < size]
        weights = np.array([2.0 if a == y or b == x else 1.0 for a, b in near])
        for (a, b), weight in zip(near, weights / weights.sum(), strict=True):
            matrix[row, a * size + b] -= weight
        right[row] = 0
    return np.asarray(np.linalg.solve(matrix, right).T.reshape(image.shape))


def test_imputed_images_solve_the_dense_system() -> None:
    images = torch.randn(9, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    missing = holes(9, 16)
    found = impute(images, missing)
    for image, hole, filled in zip(images, missing, found, strict=True):
        assert close(filled, dense(image.numpy(), hole[0].numpy()), 2e-4)
    assert (found == images).masked_fill(missing, True).all(), "known pixels stay"


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # of the library's
def test_imputed_images_are_those_of_pytorch_grad_cam_without_noise() -> None:
    images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    missing = holes(6, 16)
    found = impute(images, missing)
    for image, hole, filled in zip(images[1:], missing[1:], found[1:], strict=True):
        theirs = NoisyLinearImputer(noise=0)(image, (~hole[0]).float())
        assert close(filled, theirs, 2e-4)


def test_with_every_pixel_missing_the_mean_colour_is_left() -> None:
    assert impute(torch.ones(1, 3, 8, 8), torch.ones(1, 1, 8, 8, dtype=torch.bool)).abs().max() == 0


def test_an_image_is_imputed_alike_alone_and_in_company() -> None:
    images, missing = torch.randn(20, 3, 16, 16, generator=torch.Generator().manual_seed(3)), holes(20, 16)
    alone = torch.cat([impute(images[i : i + 1], missing[i : i + 1]) for i in range(20)])
    assert close(impute(images, missing), alone, 1e-6)


def test_road_without_noise_is_the_area_between_curves_of_dense_imputation() -> None:
    subject, images, targets, maps, given = problem(2)
    found = ROAD(ROADConfig(noise=0, steps=8, batch_size=5)).score(subject, images, targets, maps, given)
    for i, target in enumerate(targets.tolist()):
        order = np.argsort(-maps[i].flatten().numpy())
        areas, fractions = {}, [round(step * PIXELS / 8) / PIXELS for step in range(9)]
        for name, ranked in (("morf", order), ("lerf", order[::-1])):
            values = []
            for fraction in fractions:
                hole = np.zeros(PIXELS, bool)
                hole[ranked[: round(fraction * PIXELS)]] = True
                whole = np.zeros((3, SIZE, SIZE))
                filled = whole if hole.all() else dense(images[i].numpy(), hole.reshape(SIZE, SIZE))
                with torch.no_grad():
                    logits = subject.module(torch.from_numpy(filled)[None].float())
                values.append(float(logits.softmax(1)[0, target]))
            assert close(found.curves[name][i], values, 1e-3)
            areas[name] = trapezia(fractions, values)
        assert close(found.values[i], areas["lerf"] - areas["morf"], 1e-3)


def test_roads_noise_has_the_size_asked_for_in_pixel_values_and_falls_on_missing_pixels_alone() -> None:
    seen: list[Tensor] = []

    class Watching(Counted):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images.clone())
            return super().forward(images)

    _, images, targets, maps, given = problem(3)
    subject = Subject(Watching(), (), MEAN, STD)
    ROAD(ROADConfig(noise=0.1, steps=8)).score(subject, images, targets, maps, given)
    inputs = seen[0].view(3, 9, 3, SIZE, SIZE)
    assert close(inputs[:, 0], images)
    assert close(inputs[:, -1].std((0, 2, 3)) * torch.tensor(STD), [0.1] * 3, 0.015)
    half = inputs[:, 4] == images
    kept = (relevance_ranks(maps, given) >= PIXELS // 2)[:, None].expand_as(half)
    assert (half == kept).all()


def test_curves_kept_in_the_memo_are_those_computed_afresh() -> None:
    subject, images, targets, maps, given = problem()
    first = Deletion(CurveConfig()).score(subject, images, targets, maps, given)
    again = Deletion(CurveConfig()).score(subject, images, targets, maps, given)
    afresh = Deletion(CurveConfig()).score(subject, images, targets, maps, Given(given.ids, 3))
    assert first.values == again.values == afresh.values
    fractions, values = curve("deletion", CurveConfig(), subject, images, targets, maps, given)
    assert close(first.values, area(fractions, values), 1e-12)
