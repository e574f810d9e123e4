"""Two runs side by side, on one page.

From Python::

    from xaitool import Run
    from xaitool.report.compare import write_comparison

    write_comparison(Run("runs/first/…"), Run("runs/second/…"), "comparison.html")
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from xaitool.accuracy import Accuracy, with_bounds
from xaitool.counting import counted
from xaitool.files import write_told
from xaitool.judge.verdict import FEWEST
from xaitool.masking import masked_command
from xaitool.percent import percent
from xaitool.report.compare_drift import drift_section
from xaitool.report.compare_images import images_section
from xaitool.report.compare_pair import Pair, fingerprint, points
from xaitool.report.compare_predictions import counts_of, predictions_section
from xaitool.report.compare_settings import settings_section, versions_of
from xaitool.report.compare_training import training_section
from xaitool.report.compare_verdicts import verdicts_section
from xaitool.report.head import created
from xaitool.report.locate import tested
from xaitool.report.model import ReportData, Section, Table
from xaitool.report.provenance import recipe_shown
from xaitool.report.readable import readable
from xaitool.report.render import GALLERY, MOST, render
from xaitool.report.sprites import BUDGET

if TYPE_CHECKING:
    from xaitool.results import Run


def write_comparison(run_a: Run, run_b: Run, path: str | Path) -> Path:
    """Write the comparison of two runs as one HTML file that needs nothing else: its path.

    Nothing is written into the runs' folders, and neither torch nor data set nor models are needed. Raises FolderError
    where a run did not come to its test results, a file of its is missing or damaged, or the page cannot be written.
    """
    with readable(run_a, run_b):
        page = _page(tested(run_a), tested(run_b))
    return write_told(Path(path), page)


def _page(run_a: Run, run_b: Run) -> bytes:
    report = compare(run_a, run_b)
    content = render(report).encode(errors="replace")
    if (excess := len(content) - MOST) > 0:
        takes = sum(len(section.html.encode(errors="replace")) for section in report.sections)
        content = render(compare(run_a, run_b, takes - excess - GALLERY)).encode(errors="replace")
    return content


def compare(run_a: Run, run_b: Run, budget: int = BUDGET) -> ReportData:
    """Two runs, A and B, side by side. budget: bytes of the page for its gallery.

    What needs the same test images (images, maps, paired intervals) is left out where they are not the same, and the
    page says so. Raises FolderError where a run did not come to its test results.
    """
    pair = Pair(run_a, run_b)
    return ReportData(
        name=_title(pair),
        created=" and ".join(dict.fromkeys(created(run) for _, run in pair)),
        sentence=sentence(pair),
        warnings=_warnings(pair),
        facts=_facts(pair),
        sections=[
            _runs(pair),
            settings_section(pair),
            training_section(pair),
            predictions_section(pair),
            images_section(pair, budget),
            verdicts_section(pair),
            drift_section(pair),
            _provenance(pair),
        ],
        footer=" · ".join(f"{name}: data fingerprint {fingerprint(run)[:16]}" for name, run in pair),
    )


def sentence(pair: Pair) -> str:
    """Which is better, by how much, and whether that may be chance."""
    (first, one), (second, other) = sorted(pair, key=lambda each: -each[1].accuracy)
    if pair.apart:
        return (
            f"{first} gets {percent(one.accuracy)} of its {_images(one)} right, {second} {percent(other.accuracy)} of "
            f"its {other.metrics['images']:,}."
        )
    images, lead = _images(pair.a), counts_of(pair).lead
    sign = 1 if first == "B" else -1
    low, high = sorted((sign * lead.low, sign * lead.high))
    few = lead.n < FEWEST
    told = f", on too few images to tell more (it takes {FEWEST})" if few else f" [{points(low)}, {points(high)}]"
    if not lead.mean:
        return f"Both get {percent(one.accuracy)} of {images} right: difference 0 points{told}."
    by_chance = ", which other test images might turn round" if low <= 0 and not few else ""
    return (
        f"{first} gets {percent(one.accuracy)} of {images} right, {second} {percent(other.accuracy)}: a lead of "
        f"{points(abs(lead.mean), signed=False)} points{told}{by_chance}."
    )


def _images(run: Run) -> str:
    return counted(run.metrics["images"], "test image")


def _title(pair: Pair) -> str:
    a, b = (run.settings["name"] for _, run in pair)
    return f"{a}, two runs compared" if a == b else f"{a} compared with {b}"


def _warnings(pair: Pair) -> list[str]:
    found = [pair.apart[0].lower() + pair.apart[1:].removesuffix(".")] if pair.apart else []
    if not pair.apart and fingerprint(pair.a) != fingerprint(pair.b):
        found.append("the training data are not the same: their fingerprints differ, though the test images look alike")
    for name, run in pair:
        if run.journal["state"] != "finished":
            found.append(f"run {name} is not finished ({run.journal['state']}); what it has is compared")
        if not Accuracy.of(run.metrics).beats_chance:
            found.append(f"run {name} is not clearly better than {Accuracy.of(run.metrics).guess()}")
    return found


def _facts(pair: Pair) -> list[tuple[str, str]]:
    accuracies = [
        (f"Test accuracy of {name} (95% interval)", with_bounds(Accuracy.of(run.metrics).share, 2))
        for name, run in pair
    ]
    if pair.apart:
        return accuracies
    counts = counts_of(pair)
    return [
        *accuracies,
        ("Both right", f"{counts.both:,}"),
        ("Only A right", f"{counts.only_a:,}"),
        ("Only B right", f"{counts.only_b:,}"),
        ("Both wrong", f"{counts.neither:,}"),
    ]


def _runs(pair: Pair) -> Section:
    rows = [
        ("Name", *(run.settings["name"] for _, run in pair)),
        ("Began", *(created(run) for _, run in pair)),
        ("Folder", *(folder(run) for _, run in pair)),
    ]
    text = (
        "Square brackets above: 95% interval of the lead in points, a paired bootstrap over the test images. It says "
        "what other test images might change, not what another seed of the training might."
    )
    bounded = not pair.apart and pair.a.metrics["images"] >= FEWEST
    return Section("The runs", text if bounded else "", table=Table(("What", "A", "B"), rows))


def _provenance(pair: Pair) -> Section:
    rows = [
        ("Folder", *(folder(run) for _, run in pair)),
        ("Command", *(shlex.join(masked_command(run.environment["command"])) for _, run in pair)),
        ("Commit", *(run.environment["commit"] or "none" for _, run in pair)),
        ("Seed", *(str(run.settings["seed"]) for _, run in pair)),
        ("Data fingerprint", *(fingerprint(run)[:16] for _, run in pair)),
        ("Device", *(run.environment["device"] for _, run in pair)),
        ("Platform", *(run.environment["platform"] for _, run in pair)),
    ]
    a, b = (versions_of(run) for _, run in pair)
    rows += [(name, a.get(name, "–"), b.get(name, "–")) for name in dict.fromkeys([*a, *b])]
    parts = [Section(f"Recipe of {name}", preformatted=recipe_shown(run), folded=True) for name, run in pair]
    return Section("Where both come from", table=Table(("What", "A", "B"), rows), parts=parts, name="provenance")


def folder(run: Run) -> str:
    """The last two names of a run's path: its recipe's and its time's."""
    return "/".join(run.folder.absolute().parts[-2:])
