"""docs/plugins.md: its tutorial works as it stands, and what it says of hooks and checks is what there is."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from xaitool import contracts, hookspecs, tracing
from xaitool.cli.plugins_check import check
from xaitool.component import KINDS, Component
from xaitool.engine.seams import Seam
from xaitool.errors import ContractError
from xaitool.plugins import DISABLED, Offer, Plugin
from xaitool.testing import conformance
from xaitool.testing.any_kind import imports_lightly
from xaitool.testing.checks import registered

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs/plugins.md").read_text()

# Commands that other tests stand for.
ELSEWHERE = {
    "pip install -e .",  # the fixture below does what it does, without a network
    "pytest",  # test_its_three_line_test_passes
    "xaitool run mine.yaml",  # test_a_recipe_runs_with_it, shortened
    "xaitool plugins check acme-saliency",  # the checks are those of test_its_three_line_test_passes
}
# A training of seconds.
SHORT = {
    "dataset.train": 160,
    "dataset.test": 64,
    "train.epochs": 1,
    "train.scheduler": "{use: onecycle, max_lr: 0.05}",
    "explain.judge.images": 0,
}
GRUMPY = """
from xaitool import hookimpl

@hookimpl
def xaitool_stage_finished(stage):
    if stage == "data":
        raise OSError("no ink left")
"""


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.M | re.S)


def files() -> dict[str, str]:
    """The files of the tutorial: blocks below a line with a path."""
    return dict(re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```", TEXT, flags=re.M | re.S))


def tables() -> dict[str, list[list[str]]]:
    """Rows of each table below its head, by the head's cells."""
    found: dict[str, list[list[str]]] = {}
    for table in re.findall(r"(?:^\|.*\|\n)+", TEXT, flags=re.M):
        head, _, *rows = ([cell.strip() for cell in line.strip("| \n").split(" | ")] for line in table.splitlines())
        found[" | ".join(head)] = rows
    return found


def words(line: str) -> str:
    """Without the padding of columns."""
    return " ".join(line.split())


def distribution(site: Path, name: str, version: str, points: dict[str, str]) -> None:
    """Make a distribution known, as installing it would."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = "".join(f"{point} = {module}\n" for point, module in points.items())
    (info / "entry_points.txt").write_text(f"[xaitool]\n{lines}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tutorial's folder after its last step, installed; beside it a plugin that is broken and one that fails."""
    folder = tmp_path_factory.mktemp("page") / "acme-saliency"
    for path, text in files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    (points,) = [tomllib.loads(block)["project"]["entry-points"]["xaitool"] for block in fenced("toml")[1:]]
    assert project["entry-points"]["xaitool"].items() <= points.items()
    distribution(folder, project["name"], project["version"], points)
    distribution(folder, "acme-typo", "1.0", {"typo": "acme_typo"})
    (folder / "acme_typo.py").write_text("import captun")
    distribution(folder, "acme-grumpy", "1.0", {"grumpy": "acme_grumpy"})
    (folder / "acme_grumpy.py").write_text(GRUMPY)
    return folder


def shell(command: str, site: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        command, shell=True, cwd=site, env={**os.environ, **environment}, capture_output=True, text=True
    )


def succeed(command: str, site: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = shell(command, site, **environment)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def recipe(folder: Path) -> Path:
    """mine.yaml, as the tutorial makes it."""
    (shown,) = fenced("yaml")
    succeed("xaitool recipe show quickstart > mine.yaml", folder)
    data = yaml.safe_load((folder / "mine.yaml").read_text())
    data["explain"] |= yaml.safe_load(shown)["explain"]
    (folder / "mine.yaml").write_text(yaml.safe_dump(data))
    return folder / "mine.yaml"


def test_the_tutorial_has_a_whole_package() -> None:
    assert list(files()) == [
        "pyproject.toml",
        "acme_saliency/__init__.py",
        "acme_saliency/config.py",
        "acme_saliency/explainers.py",
        "tests/test_conformance.py",
        "acme_saliency/diary.py",
    ]
    assert len(files()["tests/test_conformance.py"].splitlines()) == 3
    assert fenced("python").count(files()["tests/test_conformance.py"]) == 2


@pytest.fixture(scope="module")
def tested(folder: Path) -> str:
    """What pytest says of the tutorial's test, and of two cases of the test with every argument."""
    (shown,) = [block for block in fenced("python") if "expected_failures" in block]
    (folder / "arguments").mkdir()
    (folder / "arguments/test_arguments.py").write_text(shown)
    case = "arguments/test_arguments.py::test_conformance[explainer/gradient_size:{}]"
    chosen = " ".join(f"'{case.format(name)}'" for name in ("config", "batch-invariant"))
    return shell(f"{sys.executable} -m pytest -p no:cacheprovider -v tests {chosen}", folder).stdout


def test_its_three_line_test_passes(tested: str) -> None:
    passed = re.findall(r"^tests/\S+\[(\S+):([\w-]+)\] PASSED", tested, flags=re.M)
    expected = [check.name for check in registered() if check.kind in (None, "explainer")]
    assert [name for case, name in passed if case == "explainer/gradient_size"] == expected, tested
    assert [case for case, name in passed if name == "imports-lightly"] == ["plugin/saliency", "plugin/diary"]
    assert len(passed) == len(re.findall(r"^tests/\S+\[", tested, flags=re.M))


def test_its_arguments_are_taken_and_expected_failures_are_strict(tested: str) -> None:
    states = re.findall(r"^arguments/\S+:([\w-]+)\] (\w+)", tested, flags=re.M)
    assert states == [("config", "PASSED"), ("batch-invariant", "FAILED")], tested
    assert "[XPASS(strict)] it draws at random" in tested


def test_each_command_succeeds(folder: Path, recipe: Path, tmp_path: Path) -> None:
    ran = []
    for command in (line for block in fenced("sh") for line in block.splitlines()):
        if command in ELSEWHERE or command == "xaitool recipe show quickstart > mine.yaml":  # the recipe is there
            continue
        succeed(f"{command} --out {tmp_path}" if "plugins new" in command else command, folder)
        ran.append(command)
    assert len(ran) == 5
    assert (tmp_path / "my-saliency/tests/test_conformance.py").is_file()


def test_the_explainer_is_listed_and_described_as_shown(folder: Path) -> None:
    listed = [words(line) for line in succeed("xaitool plugins list", folder).stdout.splitlines()]
    line, described, *_ = fenced("text")
    assert words(line) in listed
    assert "observer diary acme-saliency 0.1.0 ok observes stage_finished" in listed
    (broken,) = [block for block in fenced("text") if "broken:" in block]
    assert words(broken) in listed
    told = succeed("xaitool plugins show gradient_size", folder).stdout
    assert list(map(words, told.strip().splitlines())) == list(map(words, described.strip().splitlines()))


def test_a_wrong_option_is_told_as_shown(folder: Path, recipe: Path) -> None:
    (shown,) = [block.strip() for block in fenced("text") if block.startswith("explain.methods")]
    (folder / "wrong.yaml").write_text(recipe.read_text().replace("width: 3", "width: 4"))
    done = shell("xaitool recipe check wrong.yaml --set dataset.augment=[]", folder)  # Albumentations takes seconds
    assert done.returncode == 2
    assert re.search(rf"wrong\.yaml:\d+:\d+: {re.escape(shown)}$", done.stderr, flags=re.M), done.stderr


def test_a_recipe_runs_with_it(folder: Path, recipe: Path) -> None:
    short = " ".join(f"--set '{key}={value}'" for key, value in SHORT.items())
    done = succeed(f"xaitool run mine.yaml {short} --out runs", folder)
    (run,) = folder.glob("runs/*/*")
    assert list(run.glob("explanations/gradient_size/predicted.npy"))
    assert "acme-saliency/gradient_size" in (run / "recipe.lock.yaml").read_text()
    stages = json.loads((run / "run.json").read_text())["stages"]
    (named,) = re.findall(r"The stages are ([^;]+);", TEXT)
    assert set(stages) <= set(re.findall(r"\w+", named))
    # The observers: the diary of the page, and one that fails.
    diary = [line.partition(":")[0] for line in (run / "diary.txt").read_text().splitlines()]
    assert diary == list(stages)
    (shown,) = re.findall(r"^observer .*$", TEXT, flags=re.M)
    assert shown.replace("diary (acme-saliency 0.1.0)", "grumpy (acme-grumpy 1.0)") in done.stderr


def test_the_environment_variables_do_what_is_said(folder: Path) -> None:
    (trace, _), (disabled, _) = tables()["Variable | What it does"]
    assert trace == f"`{tracing.VARIABLE}=1`"
    name, _, value = disabled.strip("`").partition("=")
    assert name == DISABLED
    done = succeed("xaitool plugins list", folder, **{tracing.VARIABLE: "1", name: value})
    assert "trace: acme-typo" not in done.stderr
    assert "trace: xaitool/shapes: xaitool_datasets() -> " in done.stderr
    left_out = [words(line) for line in done.stdout.splitlines() if "left out" in line]
    assert sorted(line.split()[1] for line in left_out) == ["diary", "saliency", "tensorboard"]
    assert set(re.findall(r"XAITOOL_\w+", TEXT)) == {tracing.VARIABLE, DISABLED}


def specs() -> dict[str, Any]:
    """Every hook there is, by its name and arguments."""
    found = {name: each for name, each in vars(hookspecs).items() if hasattr(each, "xaitool_spec")}
    return {f"{name}({', '.join(inspect.signature(each).parameters)})": each for name, each in found.items()}


def test_every_hook_is_documented_with_its_arguments() -> None:
    offering = dict(tables()["Hook | What each component's factory is called with, and returns"])
    observing = dict(tables()["Hook | When it is called"])
    adding = dict(tables()["Hook | What it returns"])
    assert [hook.strip("`") for hook in (*offering, *observing, *adding)] == list(specs())
    for hook, factory in offering.items():
        assert f"`{factory}`" in (inspect.getdoc(specs()[hook.strip("`")]) or "")
    for hook, when in observing.items():
        arguments = re.findall(r"\w+", hook.partition("(")[2])
        assert [name for name in arguments if name not in ("run", "stage") and f"`{name}`" not in when] == []


def test_no_hook_is_documented_that_does_not_exist() -> None:
    names = {hook.partition("(")[0] for hook in specs()}
    without_folders = re.sub(r"plugins/\w+", "", TEXT)
    assert set(re.findall(r"\bxaitool_\w+", without_folders)) - {"xaitool_api_version"} == names


def test_the_version_of_the_hooks_is_right() -> None:
    (shown,) = [block for block in fenced("python") if "xaitool_api_version" in block]
    assert shown == f"xaitool_api_version = {hookspecs.API_VERSION}\n"


def test_the_fields_of_a_component_and_of_each_record_are_right() -> None:
    documented = [name.strip("`") for name, _ in tables()["Field | Meaning"]]
    assert documented == [field.name for field in dataclasses.fields(Component)]
    records = {name.strip("`"): re.findall(r"`(\w+)`", fields) for name, fields in tables()["Record | Fields"]}
    assert set(records) == {name for name, each in vars(contracts).items() if dataclasses.is_dataclass(each)}
    for name, fields in records.items():
        assert fields == [field.name for field in dataclasses.fields(getattr(contracts, name))], name


def test_every_kind_and_its_methods_are_right() -> None:
    kinds = {kind.strip("`"): what for kind, what in tables()["Kind | Its factory returns"]}
    assert tuple(kinds) == KINDS
    for kind in KINDS:
        assert f"`{kind}`" in TEXT.partition("## Reference")[0].partition("### The short way")[2]
    metric, scheduler, adjustable = contracts.Metric, contracts.Scheduler, contracts.Adjustable
    for method in (scheduler.tune, scheduler.build, contracts.Explainer.explain, metric.score):
        assert f"`{called(method)}`" in kinds[method.__qualname__.partition(".")[0].lower()]
    for name in (*scheduler.__annotations__, *metric.__annotations__):
        assert f"`{name}`" in kinds["scheduler"] + kinds["metric"]
    section = TEXT.partition("### Explainers")[2].partition("### Observers")[0]
    said = set(re.findall(r"`(\w+\([\w, ]*\))`", section))
    assert said == {"native_size(subject, images)", called(adjustable.alternatives), called(adjustable.current)}
    assert "``native_size(subject, images) -> (h, w)``" in (contracts.Explainer.explain.__doc__ or "")
    assert all(f"`{name}`" in section for name in adjustable.__annotations__)


def called(method: Any) -> str:
    """A method's name and arguments, as in ``explain(subject, images, targets)``."""
    return f"{method.__name__}({', '.join(list(inspect.signature(method).parameters)[1:])})"


def test_a_plugins_failures_are_told_as_shown() -> None:
    plugin = Plugin("acme-saliency/saliency", "acme-saliency", "0.1.0")
    offer = Offer("explainer", Component("gradient_size", config="nowhere:Config", factory="nowhere:build"), plugin)
    (block,) = [block for block in fenced("text") if " failed in explain" in block]
    raised, broken = block.splitlines()
    assert str(offer.failure("explain", RuntimeError("tensors must have the same size"))) == raised
    with pytest.raises(ContractError) as caught:
        Seam(SimpleNamespace(offer=offer)).require(False, "gives maps with NaN or infinite values")  # type: ignore[arg-type]
    assert str(caught.value) == broken


def test_the_signature_of_conformance_is_right() -> None:
    shown = []
    for name, parameter in inspect.signature(conformance).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        shown.append(name if parameter.default is parameter.empty else f"{name}={parameter.default!r}")
    assert f"`conformance({', '.join(shown)})`" in TEXT


def test_every_option_of_plugins_check_is_shown() -> None:
    options = [option for parameter in check.params for option in parameter.opts if option.startswith("--")]
    assert len(options) == 3
    section = TEXT.partition("## The conformance kit")[2]
    assert [option for option in options if f"{option} " not in section] == []


def test_every_check_is_in_the_table() -> None:
    light = ["plugin", "`imports-lightly`", (imports_lightly.__doc__ or "").strip()]
    checks = [[check.kind or "every kind", f"`{check.name}`", check.summary] for check in registered()]
    assert tables()["For | Check | What it checks"] == [light, *checks]


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    headings = re.findall(r"^#+ (.*)$", TEXT, flags=re.M)
    anchors = {"#" + re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert [link for link in links if link.startswith("#") and link not in anchors] == []
    assert [link for link in links if not link.startswith("#") and not (ROOT / "docs" / link).exists()] == []
