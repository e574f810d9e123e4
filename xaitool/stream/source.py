"""What explains: a finished run's model, or one by name, with its methods and what is done to pictures before."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from xaitool.api import methods
from xaitool.building import component as find
from xaitool.contracts import Adjustable, Explainer, ModelBundle, Subject
from xaitool.data.decode import decode
from xaitool.data.options import PictureOptions, fitted
from xaitool.data.preprocess import Preprocess
from xaitool.data.transforms import Step
from xaitool.engine.looking import coarse_grids, layers_in_use
from xaitool.engine.randomness import derive, kept, seed_all
from xaitool.engine.seams import Seam
from xaitool.errors import ComponentError, ExplainError, FolderError, ImageError, XaitoolError
from xaitool.layers import find_layers, grids_of
from xaitool.models.checkpoint import weights_file
from xaitool.recipe.resolve import Recipe, Resolved
from xaitool.recipe.trust import NOT_ALLOWED
from xaitool.results import Run

# What networks for photographs are trained with, torchvision's all and most of timm's.
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
USUAL_SIZE = (224, 224)
# Files that are tried, for two that can be read.
EXAMPLES = 16

_OF_IMAGENET = 1000  # classes, of torchvision's pretrained weights

_UNTRAINED = "the model's weights are drawn at random: this is what a model that has learnt nothing looks at"

Methods = Sequence[methods.Method]


@dataclass(frozen=True)
class Source:
    """A model and how it is to be explained.

    title: what to call it. methods, explainers: by label. identity: all of it that the outcome follows from (JSON
    types). layers: what each method that looks at a layer looks at, and its grid: ``layer4 (7x7)``. verdicts: what a
    run has found out about its methods, in short, by label. warnings: what to know before anything is believed.
    """

    title: str
    subject: Subject
    classes: tuple[str, ...]
    preprocess: Preprocess
    methods: Mapping[str, Resolved]
    explainers: Mapping[str, Explainer]
    identity: Mapping[str, Any]
    layers: Mapping[str, str]
    verdicts: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def from_run(run: Run, wanted: Methods, *, examples: Sequence[Path] = (), allow_code: bool = False) -> Source:
    """A finished run's model, pictures prepared as its test images were.

    wanted: methods; one that the run's recipe has a label for comes with its options, and with the layer that the run
    chose; none: the recipe's own. examples: files among the images, to look for layers with. allow_code: whether the
    recipe may name Python code to be executed. Raises FolderError, PluginError or RecipeError where the model cannot be
    built again.
    """
    recipe = Recipe.load(run.folder / "recipe.lock.yaml", _nothing_fetched(run), allow_code=allow_code)
    data = run.journal["stages"]["data"]
    classes, size = tuple(data["classes"]), _size_of(run, data)
    bundle = _built(recipe.model, len(classes), size, recipe.settings.seed)
    weights = run.folder / "model.safetensors"
    try:
        bundle.module.load_state_dict(run.weights())
    except (RuntimeError, SafetensorError) as error:
        raise FolderError(f"{weights} does not fit the model of its recipe: {error}") from error
    preprocess = Preprocess(tuple(data["mean"]), tuple(data["std"]), size[1:], _steps(recipe.dataset.config))
    own = {each.label: each for each in recipe.explainers}
    chosen = _of_the_run(wanted, own)
    images = _images(examples, preprocess, size)
    subject = _subject(bundle, preprocess, images)
    explainers, warnings = {}, []
    for label, each in chosen.items():
        of_the_run = run if own.get(label) is each else None
        explainers[label], warning = _with_layer(each, subject, of_the_run, recipe.settings.seed)
        warnings += [warning] * bool(warning)
    identity = {"run": str(run.folder.resolve()), "weights": digest(weights)}
    verdicts = {label: record["words"] for label, record in run.verdicts.items() if own.get(label) is chosen.get(label)}
    name = f"{run.settings['name']} ({run.folder.name})"
    found = _source(name, subject, images, classes, preprocess, chosen, explainers, identity, verdicts)
    return replace(found, warnings=(*warnings, *found.warnings))


def from_model(
    model: str | Mapping[str, Any],
    classes: Sequence[str],
    wanted: Methods,
    *,
    checkpoint: Path | None = None,
    random_weights: bool = False,
    mean: tuple[float, ...] = (),
    std: tuple[float, ...] = (),
    size: tuple[int, int] | None = None,
    examples: Sequence[Path] = (),
    allow_code: bool = False,
) -> Source:
    """A model by name (``resnet18``, ``timm/resnet50``) or as a recipe has it; without a checkpoint, pretrained.

    Where they are not given, mean and std are what the model itself says, or else ImageNet's, and the size is 224×224.
    examples: files among the images, to look for layers with. allow_code: whether the model may be Python code to be
    executed. Raises ComponentError, XaitoolError or PluginError.
    """
    resolved = _model(model, checkpoint, random_weights, allow_code)
    _check_head(resolved, {}, len(classes))
    channels = len(mean) or 3
    bundle = _built(resolved, len(classes), (channels, *(size or USUAL_SIZE)), 0)
    told = getattr(bundle.module, "pretrained_cfg", None)
    told = told if isinstance(told, Mapping) else {}
    _check_head(resolved, told, len(classes))
    if not mean:
        mean, std = (tuple(told.get(key) or usual) for key, usual in zip(("mean", "std"), IMAGENET, strict=True))
    preprocess = Preprocess(mean, std, size or USUAL_SIZE)
    images = _images(examples, preprocess, bundle.input_size)
    subject = _subject(bundle, preprocess, images)
    chosen = methods.components(list(wanted) or "gradcam")
    explainers = {label: _with_layer(each, subject, None, 0)[0] for label, each in chosen.items()}
    weights = getattr(resolved.config, "checkpoint", None)
    content = digest(weights_file(Path(weights).expanduser())) if weights else None
    identity = {"model": resolved.as_recipe(), "checkpoint": content}
    title = getattr(resolved.config, "name", None) or resolved.label
    found = _source(title, subject, images, tuple(classes), preprocess, chosen, explainers, identity, {})
    return found if bundle.weights else replace(found, warnings=(_UNTRAINED, *found.warnings))


def read_classes(path: Path) -> tuple[str, ...]:
    """Class names from a file, one a line, in the order of the model's outputs. Raises FolderError, ExplainError."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()  # some editors begin a file with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise FolderError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    names = tuple(line.strip() for line in lines if line.strip())
    if len(names) < 2:
        raise ExplainError(f"{path} should have a class on each line, two at least; it has {len(names)}")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ExplainError(f"{path} has a class more than once: {', '.join(repeated[:5])}")
    return names


def digest(path: Path) -> str:
    """A file's SHA-256. Raises FolderError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FolderError(f"cannot read {path}: {error.strerror or error}") from error


def _source(
    title: str,
    subject: Subject,
    images: Tensor,
    classes: tuple[str, ...],
    preprocess: Preprocess,
    chosen: Mapping[str, Resolved],
    explainers: Mapping[str, Explainer],
    identity: Mapping[str, Any],
    verdicts: Mapping[str, str],
) -> Source:
    subject.module.eval()
    used = {label: _layers(explainers[label], subject) for label in chosen}
    identity = {
        **identity,
        "classes": list(classes),
        "methods": {label: {**each.as_recipe(), "layers in use": used[label]} for label, each in chosen.items()},
        "mean": list(preprocess.mean),
        "std": list(preprocess.std),
        "size": list(preprocess.size or ()),
        "transforms": list(preprocess.steps),
    }
    layers = layers_in_use(explainers, subject, images)
    coarse = coarse_grids(explainers, subject, images, grids_of(subject.module, images, subject.cam_layers))
    return Source(
        title, subject, classes, preprocess, chosen, explainers, identity, layers, verdicts, warnings=tuple(coarse)
    )


def _layers(explainer: Explainer, subject: Subject) -> str | None:
    return explainer.current(subject) if isinstance(explainer, Adjustable) else None


def _nothing_fetched(run: Run) -> dict[str, Any]:
    """Changes to a run's recipe: its weights are there, others are not to be fetched or read first."""
    model = run.settings["model"]
    off = {"pretrained": False, "weights": None, "checkpoint": None}
    return {f"model.{key}": nothing for key, nothing in off.items() if model.get(key)}


def _images(examples: Sequence[Path], preprocess: Preprocess, size: tuple[int, int, int]) -> Tensor:
    """Two images to run the model on: those of the files that can be read, or else noise of this size."""
    found: list[Tensor] = []
    for file in examples:
        try:
            found.append(preprocess(decode(file)))
        except (ImageError, ValueError):  # to be told when its turn has come
            continue
        if len(found) == 2:
            break
    return torch.stack(found) if found else torch.randn(2, *size, generator=torch.Generator().manual_seed(0))


def _subject(bundle: ModelBundle, preprocess: Preprocess, images: Tensor) -> Subject:
    """The model as explainers see it. Where it names no layers for CAM methods, they are found by running it."""
    layers = bundle.cam_layers or tuple(each.name for each in reversed(find_layers(bundle.module, images)))
    return Subject(bundle.module, layers, preprocess.mean, preprocess.std)


def _steps(options: Any) -> tuple[Step, ...]:
    """The transforms that a data set with these options applies to its test images."""
    first = fitted(options.size, options.fit) if isinstance(options, PictureOptions) else []
    return (*first, *getattr(options, "test_transform", ()))


def _size_of(run: Run, data: Mapping[str, Any]) -> tuple[int, int, int]:
    """Channels, height and width of a run's images: written down, or those of the images that it explained."""
    if "size" in data:
        channels, height, width = data["size"]
        return channels, height, width
    try:
        height, width = run.images.shape[1:3]
    except FolderError as error:
        raise FolderError(f"{run.folder} does not say how large its images are; run its recipe again") from error
    return len(data["mean"]), height, width


def _built(component: Resolved, classes: int, size: tuple[int, int, int], seed: int) -> ModelBundle:
    with kept():
        seed_all(derive(seed, "model"))
        return Seam(component).model(component.build("model", num_classes=classes, input_size=size), classes)


def _of_the_run(wanted: Methods, own: Mapping[str, Resolved]) -> dict[str, Resolved]:
    """The methods that are wanted, where the recipe has one of that label as the recipe has it."""
    if not wanted:
        return dict(own) or methods.components("gradcam")
    chosen: dict[str, Resolved] = {}
    for each in wanted:
        known = own.get(each) if isinstance(each, str) else None
        found = {known.label: known} if known else methods.components(each)
        if chosen.keys() & found.keys():
            raise ExplainError(f"method '{next(iter(found))}' is there twice; tell them apart with 'as'")
        chosen |= found
    return chosen


def _with_layer(component: Resolved, subject: Subject, run: Run | None, seed: int) -> tuple[Explainer, str]:
    """The explainer, and what to warn of; one that is to choose its layer gets the one that its run looked at.

    A run that could not choose, having too few images for it, looked at the usual layer.
    """
    explainer = methods.built(component, seed)
    if not (isinstance(explainer, Adjustable) and explainer.automatic):
        return explainer, ""
    label = component.label
    choice = (run.verdicts.get(label) or {}).get("layers") if run else None
    used = choice["used"] if choice else explainer.current(subject) if run else None
    chosen = explainer.alternatives(subject).get(used) if used else None
    if chosen is None:
        raise ExplainError(
            f"{label}: layers: auto is what a run chooses by measuring; name the layer here, as in "
            f"--method '{{use: {component.offer.component.name}, layers: [NAME]}}'"
        )
    if choice and choice["automatic"]:
        return chosen, ""
    why = ", having too few test images for it" if choice else ""
    return chosen, f"{label}: the run chose no layer by measuring{why}; {used} is looked at, as it was there"


def _model(model: str | Mapping[str, Any], checkpoint: Path | None, random_weights: bool, allow_code: bool) -> Resolved:
    """The component and its options: ``USE``, ``USE/NAME`` or a mapping."""
    if isinstance(model, str):
        try:
            find("model", model, {})
            options: dict[str, Any] = {"use": model}
        except ComponentError as error:
            use, slash, name = model.partition("/")
            if not slash:
                raise
            try:
                find("model", use, {"name": name})
            except ComponentError as other:
                raise (error if "there is no model" in str(other) else other) from error
            options = {"use": use, "name": name}
    else:
        options = dict(model)
    use = options.pop("use", None)
    if not isinstance(use, str):
        raise ComponentError(f"the model {model!r} should have 'use', as in a recipe")
    fields = find("model", use, options).config.__class__.model_fields
    if checkpoint:
        if "checkpoint" not in fields:
            raise ComponentError(f"model '{use}' takes no checkpoint")
        options["checkpoint"] = str(checkpoint.resolve())
    elif not random_weights and not options.get("checkpoint"):
        usual = {"pretrained": True, "weights": "DEFAULT"}  # as timm calls it, and as torchvision does
        options = {**{key: each for key, each in usual.items() if key in fields}, **options}
    return find("model", use, options, refusal="" if allow_code else NOT_ALLOWED)


def _check_head(resolved: Resolved, told: Mapping[str, Any], classes: int) -> None:
    """Raise XaitoolError where pretrained weights are of other classes: the last layer would be random."""
    known = told.get("num_classes") or (_OF_IMAGENET if getattr(resolved.config, "weights", None) else None)
    pretrained = getattr(resolved.config, "pretrained", False) or getattr(resolved.config, "weights", None)
    if pretrained and isinstance(known, int) and known != classes:
        raise XaitoolError(
            f"the pretrained weights of this model tell {known:,} classes apart, and --classes names {classes:,}; give "
            "the file of its classes, or the --checkpoint of a model that was trained on yours"
        )
