"""``xaitool plugins new``: a plugin that works, written wholly or not at all."""

from __future__ import annotations

import importlib
import os
import stat
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path

import pytest
import torch
import yaml

from xaitool.cli import main
from xaitool.component import KINDS, Kind
from xaitool.contracts import Given, Subject
from xaitool.errors import XaitoolError
from xaitool.plugins import Offer, collect
from xaitool.scaffold.write import write
from xaitool.testing.any_kind import imports_lightly
from xaitool.testing.checks import checks_for
from xaitool.testing.specimen import Specimen

MODULES = {
    "dataset": "data.py",
    "model": "models.py",
    "scheduler": "schedules.py",
    "explainer": "explainers.py",
    "metric": "metrics.py",
}


def loaded(folder: Path, package: str) -> Offer:
    """The one component of a plugin's folder, found as if it were installed."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{package}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = "".join(f"{name} = {module}\n" for name, module in project["entry-points"]["xaitool"].items())
    (info / "entry_points.txt").write_text(f"[xaitool]\n{points}")
    entries: list[EntryPoint] = list(PathDistribution(info).entry_points)
    found = collect(entries)
    assert [plugin.error for plugin in found.plugins] == [None]
    (offer,) = found.offers
    return offer


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offer]:
    """The component of a new plugin of each kind."""
    folder = write(f"Try-it.{request.param}", request.param, tmp_path)
    package = f"try_it_{request.param}"
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    yield loaded(folder, package)
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


@pytest.mark.parametrize("kind", KINDS)
def test_the_folder_is_a_whole_package(kind: Kind, tmp_path: Path) -> None:
    folder = write("my-thing", kind, tmp_path)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == sorted(
        [
            "README.md",
            "my_thing/__init__.py",
            "my_thing/config.py",
            f"my_thing/{MODULES[kind]}",
            "pyproject.toml",
            "tests/test_conformance.py",
        ]
    )
    for path in folder.rglob("*.py"):
        compile(path.read_text(), str(path), "exec")
    for path in folder.rglob("*.*"):
        assert path.is_dir() or ("{{" not in path.read_text() and path.read_text().endswith("\n"))
    assert (folder / "tests/test_conformance.py").read_text() == (
        'from xaitool.testing import conformance\n\ntest_conformance = conformance("my-thing")\n'
    )
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "my-thing"
    assert project["entry-points"] == {"xaitool": {"my_thing": "my_thing"}}
    assert MODULES[kind] in (folder / "README.md").read_text()
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~mask
    assert list(tmp_path.iterdir()) == [folder]


def test_its_component_passes_every_check(made: Offer) -> None:
    assert made.component.name == f"Try-it.{made.kind}"
    assert made.component.summary
    imports_lightly(made.plugin)
    checks = checks_for(made.kind)
    assert len(checks) > 8
    for check in checks:
        check.run(Specimen(made, made.component.example))


@pytest.mark.parametrize("made", ["explainer"], indirect=True)
def test_the_explainer_is_input_times_gradient(made: Offer) -> None:
    linear = torch.nn.Linear(2 * 3 * 3, 2)
    subject = Subject(torch.nn.Sequential(torch.nn.Flatten(), linear))
    images = torch.randn(5, 2, 3, 3)
    targets = torch.tensor([0, 1, 1, 0, 1])
    config = made.component.load_config()(positive=False, batch_size=2)
    maps = made.build(config, "test").explain(subject, images, targets)
    # For a linear model the map adds up to the logit, less the bias.
    logits = subject.module(images).gather(1, targets[:, None])[:, 0] - linear.bias[targets]
    torch.testing.assert_close(maps.sum(dim=(1, 2)), logits.detach())
    assert (maps < 0).any()
    positive = made.build(made.component.load_config()(), "test").explain(subject, images, targets)
    assert torch.equal(positive, maps.clamp(min=0))


@pytest.mark.parametrize("made", ["metric"], indirect=True)
def test_the_metric_is_the_mass_on_the_object(made: Offer) -> None:
    maps = torch.zeros(4, 4, 4)
    maps[0, 0, 0], maps[0, 3, 3], maps[0, 1, 0] = 3.0, 1.0, -5.0  # three quarters on the object
    maps[1] = 2.0
    maps[2, 0, 0] = -1.0
    maps[3, 1, 1] = 1.0  # beside it
    mask = torch.zeros(4, 4, 4, dtype=torch.bool)
    mask[:, 0, 0] = True
    call = (Subject(torch.nn.Flatten()), torch.zeros(4, 3, 4, 4), torch.zeros(4, dtype=torch.int64), maps)
    given = Given(ids=list("abcd"), mask=mask)
    scores = made.build(made.component.load_config()(), "test").score(*call, given)
    assert (scores.values[0], scores.values[3]) == (0.75, 0.0)
    assert list(scores.status) == ["ok", "constant map", "no positive mass", "ok"]
    assert scores.chance == [1 / 16] * 4
    grown = made.build(made.component.load_config()(margin=1), "test").score(*call, given)
    assert (grown.values[3], grown.chance[3]) == (1.0, 4 / 16)


@pytest.mark.parametrize("made", ["scheduler"], indirect=True)
def test_the_schedule_is_a_trapezoid(made: Offer) -> None:
    schedule = made.build(made.component.load_config()(max_lr=1.0, warmup=0.2, decay=0.4), "test")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=7.0)
    stepper = schedule.build(optimizer, 10, schedule.tune(None))
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        stepper.step()
    assert rates == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1, 4 / 5, 3 / 5, 2 / 5, 1 / 5])


@pytest.mark.parametrize("made", ["model"], indirect=True)
@pytest.mark.parametrize(
    ("size", "layers"), [(32, ("stages.0", "stages.1", "stages.2")), (2, ("stages.0",)), (3, ("stages.0", "stages.1"))]
)
def test_the_models_cam_layers_are_larger_than_a_point(made: Offer, size: int, layers: tuple[str, ...]) -> None:
    bundle = made.build(made.component.load_config()(), "test", num_classes=3, input_size=(1, size, size))
    assert bundle.cam_layers == layers
    assert bundle.module(torch.zeros(2, 1, size, size)).shape == (2, 3)


@pytest.mark.parametrize("made", ["dataset"], indirect=True)
def test_the_data_sets_masks_show_where_the_stripes_are(made: Offer) -> None:
    bundle = made.build(made.component.load_config()(train=20, test=20, augment=["HorizontalFlip"]), "test", seed=3)
    for index in range(20):
        image, label = bundle.test[index]
        mask = bundle.test_masks[index]
        # Pixels change from row to row, or from column to column, on the object only.
        steps = image.diff(dim=1 if label == 0 else 2).abs().mean(0)
        across = mask[1:] & mask[:-1] if label == 0 else mask[:, 1:] & mask[:, :-1]
        assert steps[across].mean() > 2 * steps[~across].mean()
    other = made.build(made.component.load_config()(train=20, test=20), "test", seed=4)
    assert other.fingerprint != bundle.fingerprint


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torch", "there is a module 'torch' already"),
        ("json", "there is a module 'json' already"),
        ("tests", "there is a module 'tests' already"),
        ("grad-cam", "a distribution 'grad-cam' is installed already"),
        ("gradcam", "offers the explainer 'gradcam' already"),
        ("2d-maps", "'2d-maps' cannot be imported"),
        ("class", "'class' cannot be imported"),
        ("../up", "no name for a distribution"),
        ("my thing", "no name for a distribution"),
        ("-thing-", "no name for a distribution"),
        ("größe", "no name for a distribution"),
        ("a" * 300, "cannot be written: File name too long"),
    ],
)
def test_a_name_that_cannot_be_used_is_told_in_words(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(XaitoolError) as caught:
        write(name, "explainer", tmp_path)
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "my-thing").mkdir()
    with pytest.raises(SystemExit) as end:
        main(["plugins", "new", "my-thing", "--kind", "model", "--out", str(tmp_path)])
    assert end.value.code == 2
    assert "my-thing is there already" in capsys.readouterr().err
    assert list(tmp_path.rglob("*")) == [tmp_path / "my-thing"]


def test_nothing_is_left_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(XaitoolError, match="my-thing cannot be written: No space left on device"):
        write("my-thing", "model", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_says_what_comes_next(kind: Kind, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["plugins", "new", "my-thing", "--kind", kind, "--out", str(tmp_path / "deeper")])
    folder = tmp_path / "deeper/my-thing"
    text = capsys.readouterr().out
    for line in (f"pip install -e {folder}", "xaitool plugins show my-thing", f"pytest {folder}"):
        assert f"    {line}\n" in text
    recipe = text.partition("In a recipe:\n\n")[2]
    assert recipe.strip() in (folder / "README.md").read_text()
    assert "my-thing" in str(yaml.safe_load(recipe))


def test_the_kind_must_be_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["plugins", "new", "my-thing", "--out", str(tmp_path)])
    assert end.value.code == 2
    assert "--kind" in capsys.readouterr().err
