"""docs/data.md and docs/models.md: the recipes in them are right, and so are the commands."""

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
from xaitool_torchvision.config import AnySize, OneSize

DOCS = Path(__file__).parent.parent / "docs"
DATA, MODELS = (DOCS / "data.md").read_text(), (DOCS / "models.md").read_text()


def fenced(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


SECTIONS = [*fenced(DATA, "yaml"), *fenced(MODELS, "yaml")]


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
