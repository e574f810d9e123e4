"""docs/data.md, docs/models.md and docs/training.md: the recipes in them are right, and so are the commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from xaitool import Recipe, build
from xaitool.cli import main
from xaitool.models.checkpoint import _KEYS
from xaitool.models.filling import _PREFIXES
from xaitool.plugins import catalog
from xaitool.recipe.schema import SGDSettings, TrainSettings
from xaitool_onecycle.config import CosineConfig, LRFinderOneCycleConfig, OneCycleConfig
from xaitool_torchvision.config import AnySize, OneSize

DOCS = Path(__file__).parent.parent / "docs"
DATA, MODELS, TRAINING = ((DOCS / name).read_text() for name in ("data.md", "models.md", "training.md"))


def fenced(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


SECTIONS = [*fenced(DATA, "yaml"), *fenced(MODELS, "yaml"), *fenced(TRAINING, "yaml")]


@pytest.mark.parametrize("section", SECTIONS)
def test_each_recipe_is_right(section: str) -> None:
    whole = {"recipe": 1, "name": "a", "dataset": "shapes", "model": "resnet18"}
    assert Recipe.parse(yaml.safe_dump({**whole, **yaml.safe_load(section)}), allow_code=True)


def test_the_photographs_that_are_made_are_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = fenced(DATA, "python")
    exec(compile(code, "docs/data.md", "exec"), {})
    bundle = build("dataset", "image_folder", given={"seed": 1}, root="photographs")
    assert (bundle.classes, len(bundle.train), len(bundle.test)) == (("heart", "star"), 80, 20)
    main(["recipe", "check", "image_folder", "--set", "dataset.root=photographs"])


def test_the_command_with_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (model,) = [each for each in SECTIONS if "use: python" in each]
    Path("mine.yaml").write_text(f"recipe: 1\nname: mine\ndataset: shapes\n{model}")
    assert "xaitool run mine.yaml --allow-code" in MODELS
    main(["recipe", "check", "mine.yaml", "--allow-code"])
    with pytest.raises(SystemExit) as ended:
        main(["recipe", "check", "mine.yaml"])
    assert ended.value.code == 2


def test_every_name_is_told() -> None:
    assert {name for name in (*get_args(OneSize), *get_args(AnySize)) if f"`{name}`" not in DATA} == set()
    assert {name for name in (*_KEYS, *_PREFIXES) if f"`{name}`" not in MODELS} == set()


def test_every_key_of_training_is_told_with_its_default() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", TRAINING.partition("## All keys")[2], flags=re.M))
    written = {"–": None, "none": None, "`{name: sgd}`": SGDSettings()}
    told = {key: written[text] if text in written else yaml.safe_load(text) for key, text in table.items()}
    fields = TrainSettings.model_fields.items()
    assert told == {name: None if field.is_required() else field.get_default() for name, field in fields}
    schedulers = set(re.findall(r"^\| `(\w+)` \|", TRAINING.partition("## The optimizer")[0], flags=re.M))
    assert schedulers == {offer.component.name for offer in catalog().of_kind("scheduler")}
    keys = {"start_lr", "end_lr", "num_iter", "factor", "max_lr", "pct_start", "div_factor", "final_div_factor"}
    assert keys < LRFinderOneCycleConfig.model_fields.keys() | OneCycleConfig.model_fields.keys()
    assert {"warmup", "final_factor"} < CosineConfig.model_fields.keys()
    assert all(f"`{key}`" in TRAINING for key in keys | {"warmup", "final_factor"})
