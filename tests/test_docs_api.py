"""docs/api.md: its examples run one after the other, and print what they say; its notebook runs too."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import nbclient
import nbformat
import pytest

import xaitool

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "api.md").read_text()


def test_each_example_runs_and_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.M | re.S)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for number, block in enumerate(blocks):
            exec(compile(block, f"docs/api.md, example {number}", "exec"), scope)
    said = re.findall(r"print\(.*\)  # (.*)$", TEXT, flags=re.M)
    literal = [line for line in said if "each method's" not in line]
    assert len(literal) == 4
    for line in literal:
        assert line.split(": this model")[0] in printed.getvalue()
    assert (tmp_path / "evidence.png").stat().st_size > 1000
    assert len(list((tmp_path / "explained").glob("*.npy"))) == 4


def test_what_the_page_names_is_there() -> None:
    named = re.findall(r"`\.(\w+)", TEXT)
    public = set(dir(xaitool.Explanation)) | set(xaitool.Explanation.__dataclass_fields__)
    assert len(named) > 12
    assert sorted(set(named) - public - {"npy", "ipynb"}) == []


@pytest.mark.parametrize("notebook", [path.name for path in DOCS.glob("*.ipynb")])
def test_each_notebook_runs(notebook: str, tmp_path: Path) -> None:
    book = nbformat.read(DOCS / notebook, as_version=4)
    assert len((DOCS / notebook).read_bytes()) < 300_000
    done = nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("text/html" in output.get("data", {}) for output in shown)
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert [path.name for path in DOCS.glob("*.ipynb")]
