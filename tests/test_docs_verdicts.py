"""docs/verdicts.md: the rules and the keys that it tells are those of the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from xaitool import Run
from xaitool.judge import intervals, judge, judgement, verdict
from xaitool.plugins import catalog
from xaitool.recipe.schema import Requirement

TEXT = (Path(__file__).parent.parent / "docs/verdicts.md").read_text()


def table(head: str) -> dict[str, str]:
    """The first two columns of the table whose first column is called `head`."""
    (found,) = re.findall(rf"^\| {head} \|.*\n\| -.*\n((?:\|.*\n)+)", TEXT, flags=re.M)
    rows = [line.strip("| ").split(" | ") for line in found.splitlines()]
    return {row[0].strip("`"): row[1] for row in rows}


def named(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


def test_every_metric_is_told_with_its_aspect() -> None:
    told = {metric: aspect for aspect, metrics in table("Aspect").items() for metric in named(metrics)}
    built = {
        offer.component.name: offer.build(offer.component.load_config()(), "a test").aspect
        for offer in catalog().of_kind("metric")
        if offer.plugin.distribution == "xaitool"
    }
    assert told == built


def test_every_control_is_told() -> None:
    names = (judgement.DEALT, judgement.SMOOTH, judgement.GAUSSIAN, judgement.EDGES, judgement.MEAN)
    assert tuple(table("Control")) == names
    assert f"dealt {judge.DEALS} times" in TEXT


@pytest.mark.parametrize(
    "rule",
    [
        f"{intervals.LEVEL:.0%} percentile bootstraps over the images, {intervals.RESAMPLES} resamples",
        f"the margin: {verdict.MARGIN:g} of the",
        f"fewer than {verdict.FEWEST} images",
        f"below {verdict.SAME_MAP:g} with its whole interval",
        f"at least {verdict.SAME_MAP:g} with its whole interval",
        f"fewer than {verdict.LEAST_COVERAGE:g} of the images",
        f"on at least {verdict.FEWEST} images",
    ],
)
def test_every_figure_of_the_rules_is_right(rule: str) -> None:
    assert rule in " ".join(TEXT.split())


def test_every_word_of_a_verdict_is_told() -> None:
    words = {*get_args(verdict.Faithfulness), *get_args(verdict.Model), *get_args(verdict.Object), "not judged"}
    assert set(table("Words")) == words
    assert named(TEXT.partition("## Requirements")[2].partition("##")[0]) == {
        "explain.require",
        *get_args(Requirement),
    } - {"explain.require"}


def test_every_key_is_told(small_run: Run) -> None:
    told = table("Key")
    record: dict[str, Any] = json.loads((small_run.folder / "verdicts.json").read_text())["gradcam++"]
    assert list(told) == list(record)
    figures = {"mean", "low", "high", "n"}
    assert named(told["coverage"]) == set(record["coverage"])
    assert named(told["scores"]) == set(record["scores"][0])
    assert named(told["controls"]) == set(record["controls"][0])
    assert set(record["controls"][0]["difference"]) == figures
    assert set(record["object_controls"][0]) == set(record["controls"][0])
    assert named(told["layers"]) == set(record["layers"])


def test_the_files_beside_it_are_there(small_run: Run) -> None:
    files = re.findall(r"`((?:judged|explanations)/[\w./]+)`", TEXT)
    assert len(files) == 5
    for name in files:
        assert (small_run.folder / name.replace("METHOD", "gradcam")).is_file()
    curves = json.loads((small_run.folder / "judged/curves.json").read_text())["gradcam"]
    assert set(curves) == {"metrics", "controls"}
    assert "scores" in json.loads((small_run.folder / "explanations/gradcam/curves.json").read_text())
