"""``xaitool explain``."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xaitool.cli.signals import Terminated, terminable
from xaitool.errors import XaitoolError

if TYPE_CHECKING:
    from xaitool.engine.progress import Display
    from xaitool.stream.explain import Outcome
    from xaitool.stream.source import Source


def _numbers(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a number a channel, as in 0.485,0.456,0.406") from error
    if odd := [number for number in numbers if not abs(number) < 1e6]:
        raise click.BadParameter(f"{odd[0]:g} in {text!r} is no number, or too large for one of a channel")
    if len(numbers) not in (0, 1, 3):
        raise click.BadParameter(f"{text!r} has {len(numbers)} numbers; give 3, or 1 for a model of grey images")
    return numbers


def _size(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"{text!r} is neither a number of pixels nor HEIGHTxWIDTH")
    return int(parts[0]), int(parts[-1])


@click.command()
@click.argument("run", required=False, type=click.Path(path_type=Path), metavar="[RUN]")
@click.option(
    "--images",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A folder, with all that is below it, or a file; may be repeated.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Where to write; begun there, go on."
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    help="An explainer, or a mapping as in a recipe: '{use: gradcam, layers: [layer3]}'; may be repeated. Left out: "
    "those of the run, or gradcam.",
)
@click.option(
    "--target",
    default="predicted",
    show_default=True,
    metavar="TARGET",
    help="The class to explain: predicted, runner_up, true (a file's folder is called after it), or a class by name.",
)
@click.option(
    "--model",
    metavar="NAME",
    help="A model in place of a RUN: resnet18, timm/resnet50, or a mapping as in a recipe: '{use: timm, name: …}'.",
)
@click.option(
    "--classes",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The names of the --model's classes, one a line, in the order of its outputs.",
)
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The --model's weights; left out: pretrained ones.",
)
@click.option("--random-weights", is_flag=True, help="Neither: the --model before training, to try things out.")
@click.option("--mean", callback=_numbers, metavar="R,G,B", help="Of the --model's images, for pixel values in [0, 1].")
@click.option("--std", callback=_numbers, metavar="R,G,B", help="Likewise. Left out: the model's own, or ImageNet's.")
@click.option(
    "--size",
    callback=_size,
    metavar="PIXELS",
    help="What the --model's images are scaled and cropped to, or HEIGHTxWIDTH. Left out: 224.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="What computes.",
)
@click.option("--allow-code", is_flag=True, help="Let the RUN's recipe or the --model name Python code to be executed.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but DIR at the end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead: what came of it, or its error.")
def explain(run: Path | None, out: Path, quiet: bool, as_json: bool, **options: Any) -> None:
    """Explain new images with a finished RUN's model, or with a --model that has no run.

    RUN is a run's folder, or one that holds runs, of which the newest finished one is taken. Pictures of any size and
    kind are prepared as its test images were; files that cannot be read are skipped, counted and listed.

    DIR gets folders of a thousand images each with overlays (PNG) and raw maps (.npy, H x W float32) beside them,
    predictions.csv, skipped.csv, and report.html. Memory does not grow with the number of images. Stopped, the same
    command goes on after the last folder that was done; another command is refused there.

    \b
    Examples:
        xaitool explain runs/quickstart --images photos --out explained
        xaitool explain runs/mine --images a.png --images b.png --method gradcam++ --target cat --out explained
        xaitool explain --model timm/resnet50 --classes imagenet.txt --images photos --out explained
    """  # noqa: D301 - click wants the backspace character itself
    _check(run, options)
    ending: dict[str, Any] = {"error": None, "exit_status": 0}
    told: dict[str, Any] = {}
    try:
        # What a plugin or its library prints is no part of the output.
        with terminable(), redirect_stdout(sys.stderr):
            outcome = _explain(run, out, quiet or as_json, options)
        told = outcome.as_dict()
    except BaseException as error:
        ending = _ending(error)
        raise
    finally:
        if as_json:
            click.echo(json.dumps({**told, **ending}, indent=2))
    if not as_json:
        click.echo(outcome.folder)


def _check(run: Path | None, options: dict[str, Any]) -> None:
    """Raise UsageError where options do not go together."""
    of_models = ("classes", "checkpoint", "random_weights", "mean", "std", "size")
    given = [f"--{name.replace('_', '-')}" for name in of_models if options[name]]
    if (run is None) == (options["model"] is None):
        raise click.UsageError("name either a RUN or a --model" + (", not both" if run else ""))
    if run and given:
        raise click.UsageError(f"{' and '.join(given)}: for a --model; a RUN knows them itself")
    if run is None and not options["classes"]:
        raise click.UsageError("--model takes --classes, a file with the names of its classes, one a line")
    if bool(options["mean"]) != bool(options["std"]) or len(options["mean"]) != len(options["std"]):
        raise click.UsageError("--mean and --std belong together, with as many numbers")
    if options["std"] and min(options["std"]) <= 0:
        raise click.UsageError("--std should be above 0")
    if options["checkpoint"] and options["random_weights"]:
        raise click.UsageError("--checkpoint and --random-weights: give one of them")


def _explain(run: Path | None, out: Path, quiet: bool, options: dict[str, Any]) -> Outcome:
    from xaitool.engine.progress import Display, Silent
    from xaitool.engine.runtime import open_runtime
    from xaitool.recipe.schema import RuntimeSettings
    from xaitool.stream.explain import explain_files

    display = Silent() if quiet else Display()
    with display.relaying(), open_runtime(RuntimeSettings(device=options["device"])) as runtime:
        source = _source(run, out, options, display)
        display.line(f"{source.title} on {runtime.describe()}: {', '.join(source.methods)}")
        for warning in source.warnings:
            display.warn(warning)
        for label, layer in source.layers.items():
            display.line(f"layer: {label} looks at {layer}")
        outcome = explain_files(
            source, options["images"], out, target=options["target"], runtime=runtime, display=display
        )
        if outcome.skipped:
            files = f"{outcome.skipped:,} file{'s' * (outcome.skipped != 1)}"
            display.warn(f"{files} could not be read; see {outcome.folder / 'skipped.csv'}")
        for label, count in outcome.empty.items():
            maps = f"{count:,} of {outcome.explained:,} maps {'are' if count != 1 else 'is'} empty"
            display.warn(f"{label}: {maps}: without any evidence for the class that is explained")
        display.line(f"explained: {outcome.explained:,} of {outcome.files:,} files; report: {outcome.page}")
    return outcome


def _source(run: Path | None, out: Path, options: dict[str, Any], display: Display) -> Source:
    from xaitool.report.locate import locate
    from xaitool.stream.listing import first_files
    from xaitool.stream.source import EXAMPLES, from_model, from_run, read_classes

    methods = [_parsed("--method", each) for each in options["methods"]]
    examples = first_files(options["images"], out, EXAMPLES)
    if run is None:
        return from_model(
            _parsed("--model", options["model"]),
            read_classes(options["classes"]),
            methods,
            examples=examples,
            **{name: options[name] for name in ("checkpoint", "random_weights", "mean", "std", "size", "allow_code")},
        )
    found = locate(run)
    if found.folder != run.expanduser():
        display.line(f"{run}: the newest finished run is {found.folder}")
    return from_run(found, methods, examples=examples, allow_code=options["allow_code"])


def _parsed(option: str, text: str) -> Any:
    """A name as it stands, or a mapping in YAML."""
    import os

    from xaitool.recipe.document import Reading

    if not text.lstrip().startswith("{"):
        return text
    return Reading(lambda _: f"{option} {text}", os.environ).document(text)


def _ending(error: BaseException) -> dict[str, Any]:
    match error:
        case XaitoolError():
            return {"error": str(error), "exit_status": error.exit_status}
        case KeyboardInterrupt():
            told = getattr(error, "__notes__", ["interrupted; the same command goes on"])
            return {"error": " ".join(told), "exit_status": 143 if isinstance(error, Terminated) else 130}
    return {"error": repr(error), "exit_status": 1}  # a defect, which keeps its traceback
