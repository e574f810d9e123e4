"""Files that appear whole, and in the folder that they are meant for."""

from __future__ import annotations

from pathlib import Path

import pytest

from xaitool.errors import FolderError
from xaitool.files import parsed, write_within
from xaitool.report.drawing import Drawing


def test_no_link_leads_what_is_written_out_of_a_folder(tmp_path: Path) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir(), elsewhere.mkdir()
    (run / "figures").symlink_to(elsewhere)
    with pytest.raises(FolderError, match=r"figures is a link that leads out of"):
        write_within(run, "figures/a.png", b"")
    with pytest.raises(FolderError, match=r"figures is a link that leads out of"):
        Drawing(run / "figures")._write("a", "png", b"")
    assert list(elsewhere.iterdir()) == []


def test_links_that_lead_to_each_other_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "figures").symlink_to("figures")
    with pytest.raises(FolderError, match="is a link that leads out of"):
        write_within(tmp_path, "figures/a.png", b"")


def test_a_folder_may_be_a_link_itself_and_have_links_within(tmp_path: Path) -> None:
    (tmp_path / "run/kept").mkdir(parents=True)
    (tmp_path / "run/figures").symlink_to("kept")
    (tmp_path / "link").symlink_to("run")
    assert write_within(tmp_path / "link", "figures/deeper/a.txt", b"here").read_bytes() == b"here"
    assert (tmp_path / "run/kept/deeper/a.txt").read_bytes() == b"here"


def test_json_that_is_nested_too_deeply_is_none() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parsed("[" * 100_000)
    assert parsed(b'{"a": [1]}') == {"a": [1]}
