"""Maps are averaged over noisy and mirrored copies, the same for every image, whatever explainer it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xaitool import Recipe
from xaitool.contracts import Adjustable, Explainer, Sharing, Subject
from xaitool.engine.randomness import derive
from xaitool.engine.smooth import smoothed
from xaitool.errors import RecipeError
from xaitool.recipe.json_schema import json_schema
from xaitool.recipe.schema import SmoothSettings

SUBJECT = Subject(nn.Identity(), ("one", "two"), (0.5,) * 3, (0.5, 0.25, 0.2))


class Plain:
    """Gives the first channel, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Tensor] = []

    def explain(self, _subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        self.asked.append(images)
        return images[:, 0] * targets[:, None, None]


class Together(Plain):
    def sharing(self, _subject: Subject) -> str:
        return "all"

    def explain_together(
        self, subject: Subject, images: Tensor, questions: Sequence[tuple[Any, Tensor]]
    ) -> list[Tensor]:
        return [self.explain(subject, images, targets) for _, targets in questions]


class Layered(Plain):
    automatic = True

    def alternatives(self, subject: Subject) -> dict[str, Explainer]:
        return {name: Plain() for name in subject.cam_layers}

    def current(self, _subject: Subject) -> str:
        return "two"

    def native_size(self, _subject: Subject, _images: Tensor) -> tuple[int, int]:
        return 2, 3


class Ramp(Plain):
    """Larger to the right, whatever the image shows."""

    def explain(self, _subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
        return torch.arange(images.shape[3]).float().expand(len(images), *images.shape[2:])


@pytest.fixture
def images() -> Tensor:
    return torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0))


TARGETS = torch.tensor([1, 2, 3, 1])


def test_what_does_not_care_for_sides_is_the_same_after_flips(images: Tensor) -> None:
    inner = Plain()
    maps = smoothed(inner, SmoothSettings(flips=True)).explain(SUBJECT, images, TARGETS)
    assert torch.equal(maps, Plain().explain(SUBJECT, images, TARGETS))
    assert [torch.equal(asked, images) for asked in inner.asked] == [True, False]
    assert torch.equal(inner.asked[1], images.flip(3))


def test_what_prefers_a_side_loses_it_to_flips(images: Tensor) -> None:
    maps = smoothed(Ramp(), SmoothSettings(flips=True)).explain(SUBJECT, images, TARGETS)
    assert torch.equal(maps, torch.full((4, 5, 6), 2.5))


def test_the_mean_is_over_noise_in_pixel_units_that_the_seed_gives(images: Tensor) -> None:
    inner = Plain()
    maps = smoothed(inner, SmoothSettings(noise=0.1, n=64), seed=7).explain(SUBJECT, images, TARGETS)
    assert len(inner.asked) == 64
    noise = torch.stack(inner.asked) - images
    first = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(derive(7, "smooth", 0)))
    assert torch.allclose(noise[0, 0], first * 0.1 / torch.tensor([0.5, 0.25, 0.2]).view(3, 1, 1), atol=1e-6)
    assert torch.allclose(noise[:, 0], noise[:, 3], atol=1e-6)  # the same for every image
    spread = noise[:, 0].std((0, 2, 3)) * torch.tensor([0.5, 0.25, 0.2])
    assert torch.allclose(spread, torch.full((3,), 0.1), rtol=0.05)
    right = (images + noise.mean(0))[:, 0] * TARGETS[:, None, None]
    assert torch.allclose(maps, right, atol=1e-5)


def test_half_of_noisy_copies_are_mirrored(images: Tensor) -> None:
    inner = Ramp()
    maps = smoothed(inner, SmoothSettings(noise=0.1, flips=True, n=4)).explain(SUBJECT, images, TARGETS)
    assert torch.equal(maps, torch.full((4, 5, 6), 2.5))


def test_neither_order_nor_company_changes_a_map(images: Tensor) -> None:
    explainer = smoothed(Plain(), SmoothSettings(noise=0.2, flips=True, n=3), seed=1)
    state = torch.get_rng_state()
    maps = explainer.explain(SUBJECT, images, TARGETS)
    assert torch.equal(maps[2:3], explainer.explain(SUBJECT, images[2:3], TARGETS[2:3]))
    other = smoothed(Plain(), SmoothSettings(noise=0.2, flips=True, n=3), seed=2).explain(SUBJECT, images, TARGETS)
    assert not torch.allclose(maps, other)
    assert torch.equal(state, torch.get_rng_state())


def test_it_shares_as_the_explainer_does(images: Tensor) -> None:
    settings = SmoothSettings(noise=0.1, n=2)
    one, two, loner = (smoothed(each, settings) for each in (Together(), Together(), Plain()))
    assert isinstance(one, Sharing)
    assert one.sharing(SUBJECT) == two.sharing(SUBJECT) is not None
    assert loner.sharing(SUBJECT) is None
    assert smoothed(Together(), SmoothSettings(flips=True)).sharing(SUBJECT) != one.sharing(SUBJECT)
    together = one.explain_together(SUBJECT, images, [(one, TARGETS), (two, TARGETS + 1)])
    for maps, targets in zip(together, (TARGETS, TARGETS + 1), strict=True):
        assert torch.equal(maps, one.explain(SUBJECT, images, targets))


def test_it_looks_at_layers_as_the_explainer_does(images: Tensor) -> None:
    assert not isinstance(smoothed(Plain(), SmoothSettings(flips=True)), Adjustable)
    explainer = smoothed(Layered(), SmoothSettings(flips=True))
    assert isinstance(explainer, Adjustable)
    assert (explainer.automatic, explainer.current(SUBJECT)) == (True, "two")
    assert explainer.native_size(SUBJECT, images) == (2, 3)
    assert smoothed(Plain(), SmoothSettings(flips=True)).native_size(SUBJECT, images) == (5, 6)
    assert list(explainer.alternatives(SUBJECT)) == ["one", "two"]


def recipe(smooth: str) -> Recipe:
    return Recipe.parse(
        f"""recipe: 1
name: smooth
dataset: shapes
model: {{use: timm, name: resnet10t}}
train: {{epochs: 1, scheduler: {{use: onecycle, max_lr: 0.1}}}}
explain:
  methods:
    - use: gradcam
      smooth: {smooth}
""",
        "r.yaml",
    )


def test_a_recipe_says_how_and_its_lock_file_too() -> None:
    found = recipe("{flips: true, noise: 0.1, n: 16}")
    assert found.explainers[0].smooth == SmoothSettings(flips=True, noise=0.1, n=16)
    assert Recipe.parse(found.to_yaml()).explainers == found.explainers
    assert recipe("null").explainers[0].smooth is None


@pytest.mark.parametrize(
    ("smooth", "message"),
    [
        ("{}", r"^r\.yaml:9:15: explain\.methods\.0\.smooth: smooths nothing: set flips: true, or noise above 0"),
        ("{flip: true}", r"r\.yaml:9:16: explain\.methods\.0\.smooth\.flip: unknown key; did you mean 'flips'\?"),
        ("{noise: 3}", r"r\.yaml:9:\d+: explain\.methods\.0\.smooth\.noise: should be less than or equal to 1"),
        ("{noise: 0.1, n: 1}", r"r\.yaml:9:\d+: explain\.methods\.0\.smooth\.n: should be greater than or equal to 2"),
    ],
)
def test_what_cannot_be_meant(smooth: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(smooth)


def test_editors_know_of_it() -> None:
    schema = json_schema()
    gradcam = next(each for each in schema["$defs"]["explainer"]["anyOf"] if "gradcam" in str(each.get("properties")))
    assert gradcam["properties"]["smooth"]["anyOf"][0] == {"$ref": "#/$defs/SmoothSettings"}
    assert set(schema["$defs"]["SmoothSettings"]["properties"]) == {"flips", "noise", "n"}
