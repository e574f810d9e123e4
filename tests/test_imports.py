"""What may import what, and when."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import xaitool

PACKAGE = Path(xaitool.__file__).parent
HEAVY = {"torch", "torchvision", "timm", "albumentations", "pytorch_grad_cam", "accelerate", "matplotlib"}


def modules_after(code: str) -> set[str]:
    program = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "code",
    [
        "import xaitool",
        "import xaitool; dir(xaitool); xaitool.__version__; xaitool.Component; xaitool.hookimpl",
        "from xaitool.cli import cli; cli.main(['--help'], standalone_mode=False)",
        "from xaitool.cli import cli; cli.main(['run', '--help'], standalone_mode=False)",
        "from xaitool.cli import cli; cli.main(['explain', '--help'], standalone_mode=False)",
        "from xaitool.cli import cli; cli.main(['recipe', 'show', 'quickstart'], standalone_mode=False)",
        "from xaitool.cli import cli; cli.main(['recipe', 'list'], standalone_mode=False)",
        "from xaitool.cli import cli; cli.main(['recipe', 'schema'], standalone_mode=False)",
        "from xaitool.plugins import catalog; assert len(catalog().offers) >= 8",
    ],
)
def test_light_things_stay_light(code: str) -> None:
    assert modules_after(code) & HEAVY == set()


def test_a_run_begins_without_what_only_its_end_needs() -> None:
    assert "sklearn" not in modules_after("import xaitool.engine.run")


def test_checking_a_recipe_imports_only_what_checks_its_options() -> None:
    check = "from xaitool.cli import cli; cli.main(['recipe', 'check', 'quickstart', '--set', 'dataset.augment=[]'])"
    assert modules_after(f"try:\n    {check}\nexcept SystemExit: pass") & HEAVY == set()


def test_the_core_knows_no_plugin_by_name() -> None:
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names.append(node.module)
            found += [f"{path.name}: {name}" for name in names if name.startswith("xaitool_")]
    assert found == []


def test_the_public_names_are_there() -> None:
    assert [name for name in xaitool.__all__ if not hasattr(xaitool, name)] == []
    assert sorted(xaitool.__all__) == sorted(xaitool._HOMES)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        xaitool.nothing  # noqa: B018


def test_no_public_name_is_a_module_of_the_package() -> None:
    """Importing such a module would put it in the place of the function of its name."""
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert sorted(modules & set(xaitool.__all__)) == []
