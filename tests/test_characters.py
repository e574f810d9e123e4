"""What names of others may do to a terminal: nothing."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from xaitool import Display
from xaitool.characters import harmless, printable
from xaitool.cli import main
from xaitool.engine.folder import RunFolder
from xaitool.engine.progress import ForScripts

# Sets a window's title, rings, goes back to the line's start, turns what follows round.
EVIL = "\x1b]0;owned\x07\r\x9b31m\u202ecat"
SPELT = r"\x1b]0;owned\x07\r\x9b31m\u202ecat"


def test_text_keeps_its_lines_and_its_own_characters() -> None:
    assert harmless(f"a\n\tb – 犬 é {EVIL}") == f"a\n\tb – 犬 é {SPELT}"


def test_a_name_is_on_one_line() -> None:
    assert printable("Icon\r\n\x1b") == r"Icon\r\n\x1b"
    assert printable(Path("b\udcff")) == r"b\xff"


def test_an_error_does_nothing_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text('recipe: 1\n"\\e]0;owned\\a": 1\n')
    with pytest.raises(SystemExit):
        main(["recipe", "check", str(tmp_path / "a.yaml")])
    with pytest.raises(SystemExit):
        main(["recipe", "check", "quickstart", "\x1b]0;owned\x07"])
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert told.count(r"\x1b]0;owned\x07") == 2


@pytest.mark.parametrize("display", ["Display", "Silent", "ForScripts"])
def test_a_warning_is_shown_once_although_nobody_has_set_up_logging(display: str) -> None:
    code = f"from xaitool.engine.progress import {display}; {display}().warn('look out')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("look out") == 1


def test_nor_does_a_warning_to_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    ForScripts().warn(EVIL)
    assert capsys.readouterr().err == f"warning: {SPELT}\n"


def test_nor_does_what_a_run_says_or_its_log(tmp_path: Path) -> None:
    seen = io.StringIO()
    display = Display(Console(file=seen, force_terminal=False))
    with RunFolder(tmp_path).logging(), display.relaying():
        display.line(EVIL)
        display.warn(EVIL)
        logging.getLogger("xaitool.plugin").info(EVIL)
        logging.getLogger("xaitool").info(EVIL)
    assert seen.getvalue().splitlines() == [SPELT, f"warning: {SPELT}", f"  {SPELT}"]
    log = (tmp_path / "run.log").read_text()
    assert log.count(SPELT) == 4
    assert "\x1b" not in log
