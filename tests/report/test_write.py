"""The report of a real run, made again from its folder: whole, safe, and the same each time."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xaitool import ReportSection, Run, hookimpl
from xaitool.errors import FolderError
from xaitool.judge.intervals import Interval
from xaitool.judge.judged import Judged
from xaitool.judge.shortcut import Effect, Finding, Pair
from xaitool.plugins import Catalog, Plugin, catalog
from xaitool.report import plugin_sections as sections_module
from xaitool.report import write as write_module
from xaitool.report.plugin_sections import safe
from xaitool.report.write import write_report

EVIL = """<script>alert(1)</script>"'&"""
TITLES = [
    "How good is the model?",
    "Where does it fail?",
    "What does it look at?",
    "Why is it wrong?",
    "Can the explanations be trusted?",
    "Data",
    "How to repeat this run",
]


@pytest.fixture
def copied(small_run: Run, tmp_path: Path) -> Run:
    """A copy of a finished run, to be changed."""
    shutil.copytree(small_run.folder, tmp_path / "run")
    return Run(tmp_path / "run")


def change(run: Run, name: str, how: Callable[[Any], Any]) -> Run:
    """Change what is in one of a run's JSON files; the run, read anew."""
    path = run.folder / name
    path.write_text(json.dumps(how(json.loads(path.read_text()))))
    return Run(run.folder)


def titles(page: str) -> list[str]:
    return re.findall(r"<h2[^>]*>(.*?)</h2>", page)


def test_made_again_it_is_the_same_to_the_byte(copied: Run) -> None:
    before = copied.report.read_bytes()
    figures = {path.name: path.read_bytes() for path in copied.folder.glob("figures/*.png")}
    copied.report.unlink()
    assert copied.write_report() == copied.folder / "report.html"
    assert copied.report.read_bytes() == before
    assert {path.name: path.read_bytes() for path in copied.folder.glob("figures/*.png")} == figures
    assert titles(before.decode()) == TITLES


def test_it_takes_neither_torch_nor_the_data_set(copied: Run) -> None:
    code = f"from xaitool import Run; Run({str(copied.folder)!r}).write_report(); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded & {"torch", "torchvision", "timm", "albumentations", "accelerate"} == set()


def test_what_was_judged_is_read_back_as_it_was_written(small_run: Run) -> None:
    judged = Judged.from_dict(small_run.verdicts, json.loads((small_run.folder / "judged/curves.json").read_text()))
    assert json.loads(json.dumps(judged.as_dict())) == small_run.verdicts
    assert judged.curves_as_dict() == json.loads((small_run.folder / "judged/curves.json").read_text())
    for label, judgement in judged.judgements.items():
        assert judgement.verdict.words() == small_run.verdicts[label]["words"]
        assert {measure.images for measure in judgement.measures} == {30}
    assert "Measured on 30 test images" in small_run.report.read_text()


def test_charts_are_kept_as_svg_on_demand(copied: Run) -> None:
    assert not list(copied.folder.glob("figures/*.svg"))
    lock = copied.folder / "recipe.lock.yaml"
    lock.write_text(lock.read_text().replace("svg: false", "svg: true"))
    Run(copied.folder).write_report()
    kept = {path.stem for path in copied.folder.glob("figures/*.svg")}
    assert {"training_curves", "lr_schedule", "reliability", "verdict_scores"} <= kept
    assert (copied.folder / "figures/reliability.svg").read_text().lstrip().startswith("<?xml")


def test_without_a_page_there_are_the_figures_all_the_same(copied: Run) -> None:
    copied.report.unlink()
    shutil.rmtree(copied.folder / "figures")
    assert write_report(copied, html=False) is None
    assert not (copied.folder / "report.html").exists()
    assert (copied.folder / "figures/confusion_matrix.png").is_file()


@pytest.mark.parametrize(
    ("gone", "stage", "missing"),
    [
        ("verdicts.json", "judge", "Can the explanations be trusted?"),
        ("triage.json", "triage", "Why is it wrong?"),
    ],
)
def test_what_was_not_asked_for_is_left_out(copied: Run, gone: str, stage: str, missing: str) -> None:
    (copied.folder / gone).unlink()
    run = change(copied, "run.json", lambda journal: without_stage(journal, stage))
    assert titles(run.write_report().read_text()) == [title for title in TITLES if title != missing]


def without_stage(journal: dict[str, Any], stage: str) -> dict[str, Any]:
    journal["stages"].pop(stage, None)
    journal["done"] = [each for each in journal["done"] if each != stage]
    return journal


def test_verdicts_that_were_made_and_are_gone_are_told(copied: Run) -> None:
    (copied.folder / "verdicts.json").unlink()
    with pytest.raises(FolderError, match=r"has no verdicts\.json, although its explainers were judged"):
        Run(copied.folder).write_report()


def test_without_maps_the_images_are_there(copied: Run) -> None:
    def without(journal: dict[str, Any]) -> dict[str, Any]:
        journal["stages"]["explain"] |= {"methods": [], "failed": {EVIL: f"it broke {EVIL}"}}
        return without_stage(journal, "judge")

    (copied.folder / "verdicts.json").unlink()
    page = change(copied, "run.json", without).write_report().read_text()
    assert "gave no maps: it broke" in page
    assert EVIL not in page
    assert len(shown(page)["items"]) == len(copied.explained)


def shown(page: str) -> Any:
    return json.loads(page.partition('id="gallery-data">')[2].partition("</script>")[0])


def test_without_explained_images_a_sentence_says_so(copied: Run) -> None:
    header = (copied.folder / "explanations/images.csv").read_text().splitlines()[0]
    (copied.folder / "explanations/images.csv").write_text(header + "\n")
    np.save(copied.folder / "explanations/images.npy", copied.images[:0])
    for path in copied.folder.glob("explanations/*/*.npy"):
        np.save(path, np.load(path)[:0])
    for path in copied.folder.glob("explanations/*/curves.json"):
        path.unlink()
    page = Run(copied.folder).write_report().read_text()
    assert titles(page) == TITLES
    assert 'class="strip"' not in page


def test_a_model_without_mistakes_has_none(copied: Run) -> None:
    def perfect(metrics: dict[str, Any]) -> dict[str, Any]:
        counts = np.diag(np.sum(metrics["confusion"], axis=1)).tolist()
        return metrics | {"confusion": counts, "misclassified": 0, "accuracy": 1.0}

    page = change(copied, "metrics.json", perfect).write_report().read_text()
    assert "100.00% of 120 test images are classified correctly." in page
    assert "There are no mistakes." in page


def test_many_classes_are_told_by_their_commonest_confusions(copied: Run) -> None:
    def many(metrics: dict[str, Any]) -> dict[str, Any]:
        one = metrics["per_class"]["star"]
        names = [*metrics["per_class"], *(f"class {index}" for index in range(40))]
        counts = np.zeros((43, 43), int)
        counts[:3, :3] = metrics["confusion"]
        counts[40, 41], counts[41, 40] = 77, 66
        per_class = {name: metrics["per_class"].get(name, one) for name in names}
        return metrics | {"confusion": counts.tolist(), "per_class": per_class}

    page = change(copied, "metrics.json", many).write_report().read_text()
    assert 'class="confusion"' not in page
    pairs = re.findall(r"<td>class \d+</td>\s*<td>class \d+</td>\s*<td class=\"number\"><span>(\d+)</span></td>", page)
    assert pairs == ["77", "66"], "none of them is explained, so they lead nowhere"


def test_a_search_that_was_not_made_is_not_drawn(copied: Run) -> None:
    picture = copied.folder / "figures/lr_finder.png"
    picture.unlink()
    change(copied, "lr_finder.json", lambda found: found | {"lrs": [], "losses": []}).write_report()
    assert not picture.exists()


@pytest.mark.parametrize("name", ["metrics.json", "history.jsonl", "explanations/images.npy", "lr_schedule.json"])
def test_a_file_that_is_missing_is_named(copied: Run, name: str) -> None:
    (copied.folder / name).unlink()
    before = copied.report.read_bytes()
    with pytest.raises(FolderError, match=rf"has no {re.escape(name)}; run\.json says how far the run got"):
        Run(copied.folder).write_report()
    assert copied.report.read_bytes() == before


@pytest.mark.parametrize("name", ["metrics.json", "explanations/images.npy", "explanations/gradcam/curves.json"])
def test_a_file_that_is_damaged_is_named(copied: Run, name: str) -> None:
    path = copied.folder / name
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(FolderError, match=rf"{re.escape(name)} is damaged: "):
        Run(copied.folder).write_report()


def test_a_folder_of_another_version_is_told_as_such(copied: Run) -> None:
    other = change(
        copied, "metrics.json", lambda metrics: {key: metrics[key] for key in metrics if key != "calibration"}
    )
    with pytest.raises(
        FolderError,
        match="another version of xaitool, or changed, or is being written: it lacks 'calibration'",
    ):
        other.write_report()


def test_a_loss_that_was_no_number_is_left_open(copied: Run) -> None:
    path = copied.folder / "history.jsonl"
    first, *others = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(each) + "\n" for each in (first | {"test_loss": None}, *others)))
    assert '<td class="number">–</td>' in Run(copied.folder).write_report().read_text()


def test_a_run_that_has_failed_says_so_at_its_head(copied: Run) -> None:
    other = change(copied, "run.json", lambda journal: journal | {"state": "failed", "error": "no more ink"})
    assert "<li>the run has failed: no more ink</li>" in other.write_report().read_text()


def test_the_whole_page_goes_by_mail(copied: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = len(copied.write_report().read_bytes())
    monkeypatch.setattr(write_module, "MOST", whole - 40_000)
    page = copied.write_report().read_bytes()
    assert len(page) <= whole - 40_000
    assert len(shown(page.decode())["items"]) > 0


SAME = Pair(0.9, 0.9)
NOTHING = Interval(0.0, -0.01, 0.01, 1300, 0.1)


def test_good_news_is_no_warning(copied: Run) -> None:
    (copied.folder / "shortcut.json").write_text(
        json.dumps(Finding("star", 1.0, Effect(SAME, SAME, SAME, SAME, NOTHING, NOTHING)).as_dict())
    )
    page = Run(copied.folder).write_report().read_text()
    news = page.partition('<ul class="good-news"')[2].partition("</ul>")[0]
    assert "the model does not use the planted shortcut to “star”" in news
    assert page.count("does not use the planted shortcut") == 1


def test_one_image_and_maps_that_are_no_numbers_are_shown(copied: Run) -> None:
    for path in copied.folder.glob("explanations/*/*.npy"):
        maps = np.load(path)
        maps[0], maps[1], maps[2] = np.nan, 0, np.inf
        np.save(path, maps)
    assert len(shown(Run(copied.folder).write_report().read_text())["items"]) == len(copied.explained)


def test_strings_from_data_recipe_and_plugins_are_escaped(copied: Run) -> None:
    word = "planted" + EVIL
    cell = '"' + word.replace('"', '""') + '"'
    for path in copied.folder.rglob("*"):
        if path.suffix == ".json":
            path.write_text(path.read_text().replace('"star"', json.dumps(word)))
        if path.suffix == ".csv":
            path.write_text(re.sub(r"(?<=,)star(?=[,\n])", cell, path.read_text()))
    change(copied, "environment.json", lambda found: found | {"command": [word], "device": word, "commit": word})
    page = Run(copied.folder).write_report().read_text()
    assert "planted<" not in page
    assert page.count("planted&lt;script&gt;") > 10
    assert word in {item["true"] for item in shown(page)["items"]}


class Adding:
    @hookimpl
    def xaitool_report_sections(self, run: Run) -> Any:
        yield ReportSection("Mine <b>", f"<p onclick='x()'>{run.metrics['images']} images</p><script>alert(1)</script>")
        raise KeyError("no more")


class Nonsense:
    @hookimpl
    def xaitool_report_sections(self) -> Any:
        return ["<p>just text</p>"]


def test_plugins_add_sections_and_one_that_fails_is_named(copied: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = catalog().manager
    plugins = [Plugin(f"{name}/main", name, "1.0", hooks=("xaitool_report_sections",)) for name in ("acme", "odd")]
    for plugin, each in zip(plugins, (Adding(), Nonsense()), strict=True):
        manager.register(each, plugin.name)
    monkeypatch.setattr(sections_module, "catalog", lambda: Catalog((*plugins,), (), manager))
    try:
        page = copied.write_report().read_text()
    finally:
        for plugin in plugins:
            manager.unregister(name=plugin.name)
    assert titles(page)[5:8] == ["Mine &lt;b&gt;", "From acme/main", "From odd/main"]
    assert "<p>120 images</p>" in page
    assert "could not add its section: KeyError: &#39;no more&#39;" in page
    assert "it gave a str where a ReportSection of texts is needed" in page


class Verbose:
    @hookimpl
    def xaitool_report_sections(self) -> Any:
        return [ReportSection("Short", "<p>short</p>"), ReportSection("Long", f"<p>{'x' * 5_000_000}</p>")]


def test_a_section_that_no_mail_would_carry_is_left_out_in_words(copied: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = catalog().manager
    plugin = Plugin("acme/main", "acme", "1.0", hooks=("xaitool_report_sections",))
    manager.register(Verbose(), plugin.name)
    monkeypatch.setattr(sections_module, "catalog", lambda: Catalog((plugin,), (), manager))
    try:
        page = copied.write_report().read_text()
    finally:
        manager.unregister(name=plugin.name)
    assert titles(page)[5:7] == ["Short", "Long"]
    assert "<p>short</p>" in page
    assert "The plugin main (acme 1.0) has written 5.0 MB here. That is left out" in page
    assert len(page) < 4_000_000
    assert len(shown(page)["items"]) == len(copied.explained)


@pytest.mark.parametrize(
    ("html", "cleaned"),
    [
        ("<p>text <b>bold</b></p>", "<p>text <b>bold</b></p>"),
        ("<p>a<script>alert(1)</script>b</p>", "<p>ab</p>"),
        ("<style>p {color: red}</style><p style='color: red' class='x' id='trust'>x</p>", "<p>x</p>"),
        ("<img src='data:image/png;base64,AAAA' alt='x' onerror='alert(1)'>",
            '<img src="data:image/png;base64,AAAA" alt="x">'),
        ("<img src='https://example.org/x.png' alt='x'>", '<img alt="x">'),
        ("<img src='data:text/html,x' alt='x'>", '<img alt="x">'),
        ("<a href='data:text/html,x'>x</a>", '<a rel="noopener noreferrer">x</a>'),
        ("<a href=' data:text/html,x'>x</a>", '<a rel="noopener noreferrer">x</a>'),
        ("<a href='DATA:text/html,x'>x</a>", '<a rel="noopener noreferrer">x</a>'),
        ("<a href='da\nta:text/html,x'>x</a>", '<a rel="noopener noreferrer">x</a>'),
        ("<img src='data:image/png;base64,AAAA'>", '<img src="data:image/png;base64,AAAA" alt="">'),
        ("<img title=' alt=' src='data:image/png;base64,AAAA'>",
            '<img title=" alt=" src="data:image/png;base64,AAAA" alt="">'),
        ("<img title='a > b' alt='x'>", '<img title="a &gt; b" alt="x">'),
        ("<a href='javascript:alert(1)'>x</a>", '<a rel="noopener noreferrer">x</a>'),
        ("<a href='https://example.org'>x</a>", '<a href="https://example.org" rel="noopener noreferrer">x</a>'),
        ("<form action='x'><input name='y'></form><iframe src='z'></iframe>", ""),
        ("<table><tr><td>1</td></tr></table>", "<table><tbody><tr><td>1</td></tr></tbody></table>"),
    ],
)  # fmt: skip
def test_what_a_plugin_writes_is_cleaned(html: str, cleaned: str) -> None:
    assert str(safe(html)) == cleaned
