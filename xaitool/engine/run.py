"""One run, told from recipe to report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from xaitool.contracts import DataBundle, Explainer, ModelBundle, Subject, Tuned
from xaitool.engine.data import load_data
from xaitool.engine.environment import environment
from xaitool.engine.evaluate import Evaluation, evaluate
from xaitool.engine.explain import Explained, check_targets, explain, gather, targets_of
from xaitool.engine.fit import Fitted, fit
from xaitool.engine.folder import RunFolder, filename
from xaitool.engine.journal import Journal
from xaitool.engine.model import build_explainers, build_model, subject_of, summary
from xaitool.engine.progress import Display, Silent, log
from xaitool.engine.randomness import derive, kept
from xaitool.engine.report import picture_lr_search, report
from xaitool.engine.runtime import Runtime, open_runtime
from xaitool.engine.seams import Seam
from xaitool.engine.select import Selection, select
from xaitool.engine.tune import tune
from xaitool.errors import TuningError
from xaitool.recipe.lock import locked
from xaitool.recipe.resolve import Recipe
from xaitool.results import Run


def run(
    recipe: Recipe,
    *,
    set: Mapping[str, Any] | Sequence[str] = (),
    out: str | Path = "runs",
    display: Display | None = None,
) -> Run:
    """Train, evaluate and explain as the recipe says; all that happens is in the folder of the run that is returned.

    set: changes to the recipe, as ``{"train.epochs": 1}`` or ``["train.epochs=1"]``. out: where run folders are made.
    The process is left as it was: random state, threads, working folder.
    Raises an XaitoolError that says what is wrong; before training where it can be known then.
    """
    recipe = recipe.with_set(set)
    display = display or Silent()
    with open_runtime(recipe.settings.runtime) as runtime, kept():
        folder = RunFolder.create(Path(out), recipe.settings.name)
        journal = Journal(folder, display, recipe.settings.name)
        with folder.logging(), journal.told():
            model = _story(recipe, folder, journal, runtime, display)
    return Run(folder.path, model)


def _story(recipe: Recipe, folder: RunFolder, journal: Journal, runtime: Runtime, display: Display) -> ModelBundle:
    settings, seed = recipe.settings, recipe.settings.seed
    display.line(f"run {folder} on {runtime.describe()}")
    _write_down(recipe, folder, runtime, display)

    with journal.stage("data") as record:
        data = load_data(recipe.dataset, seed)
        check_targets(settings.explain.targets, data.classes)
        record |= _about(data)
        display.line(
            f"data: {len(data.train):,} training and {len(data.test):,} test images in {len(data.classes)} classes"
        )

    with journal.stage("model") as record:
        model = build_model(recipe.model, data, seed)
        subject = subject_of(model, data)
        explainers = build_explainers(recipe.explainers, subject, data)
        about = summary(model)
        log.info("model\n%s", about)
        record |= {"parameters": sum(each.numel() for each in model.module.parameters()), "summary": about}
        display.line(f"model: {recipe.model.label}, {record['parameters']:,} parameters")

    size, eval_size = settings.train.batch_size, settings.train.eval_batch_size
    test = runtime.loader(data.test, eval_size, shuffle=False)

    scheduler = Seam(recipe.scheduler).scheduler(recipe.scheduler.build("tune"))
    with journal.stage("tune") as record, recipe.scheduler.offer.blamed("tune"):
        trial = runtime.loader(data.train, size, shuffle=True, seed=derive(seed, "tune"))
        tuned = _tune(recipe, model.module, scheduler, trial, folder, runtime, display)
        record |= {"max_lr": tuned.max_lr, "note": tuned.note}
        display.line(f"learning rate: {tuned.max_lr:.4g} ({tuned.note})")

    with journal.stage("fit") as record:
        batches = runtime.loader(data.train, size, shuffle=True, seed=derive(seed, "train"))

        def keep(fitted: Fitted, module: nn.Module) -> None:
            folder.write_lines("history.jsonl", [epoch.as_dict() for epoch in fitted.history])
            folder.write_weights("checkpoints/last.safetensors", module.state_dict())
            record["epochs"] = len(fitted.history)
            journal.update()

        fitted = fit(
            model.module,
            batches,
            settings.train,
            scheduler,
            tuned,
            test=test,
            seed=seed,
            runtime=runtime,
            display=display,
            on_epoch=keep,
        )
        folder.write_weights("model.safetensors", model.module.state_dict())

    with journal.stage("evaluate") as record:
        evaluation = evaluate(model.module, test, runtime=runtime, display=display)
        figures = evaluation.figures(data.classes)
        folder.write_json("metrics.json", figures)
        folder.write_text("predictions.csv", evaluation.table(data.test_ids, data.classes))
        record |= {"accuracy": figures["accuracy"], "misclassified": figures["misclassified"]}
        display.line(f"test accuracy: {evaluation.accuracy:.2%} ({figures['misclassified']:,} misclassified)")

    with journal.stage("explain") as record:
        selection = select(evaluation, settings.explain.select, seed)
        explained = _explain(recipe, subject, explainers, data, evaluation, selection, runtime, display)
        _keep_maps(explained, data, evaluation, folder)
        record |= {"images": len(explained.rows), "methods": list(explained.maps)}
        display.line(f"explained: {len(explained.rows)} images by {', '.join(explained.maps) or 'no method'}")

    with journal.stage("report"):
        page = report(recipe, folder, journal.state, runtime, data, tuned, fitted, evaluation, selection, explained)
        display.line(f"report: {page}" if page else f"pictures: {folder}/figures")
    return model


def _write_down(recipe: Recipe, folder: RunFolder, runtime: Runtime, display: Display) -> None:
    """The recipe as given and as resolved, and what it runs on; where it was locked with other versions, say so."""
    folder.write_text("recipe.yaml", recipe.source.text)
    folder.write_text("recipe.lock.yaml", recipe.to_yaml())
    folder.write_json("environment.json", environment(runtime))
    before = recipe.settings.locked
    if before:
        then, now = before.model_dump(), locked(recipe.components)
        versions = {**then["packages"], **then["distributions"], "python": then["python"]}
        current = {**now["packages"], **now["distributions"], "python": now["python"]}
        for name in sorted(versions):
            if versions[name] != current.get(name):
                display.warn(f"locked with {name} {versions[name]}, running with {current.get(name, 'none')}")


def _about(data: DataBundle) -> dict[str, Any]:
    return {
        "train": len(data.train),
        "test": len(data.test),
        "classes": list(data.classes),
        "mean": list(data.mean),
        "std": list(data.std),
        "fingerprint": data.fingerprint,
    }


def _tune(
    recipe: Recipe,
    module: nn.Module,
    scheduler: Any,
    batches: Any,
    folder: RunFolder,
    runtime: Runtime,
    display: Display,
) -> Tuned:
    """Tune, and keep the curve, also where the search failed: then the error says where the curve is."""
    settings = recipe.settings
    try:
        tuned = tune(scheduler, module, batches, settings.train, seed=settings.seed, runtime=runtime, display=display)
    except TuningError as error:
        folder.write_json("lr_finder.json", {"lrs": error.lrs, "losses": error.losses, "max_lr": None})
        picture = picture_lr_search(folder, error.lrs, error.losses, None, "no learning rate was found")
        raise TuningError(f"{error}; the curve is in {picture}", error.lrs, error.losses) from error
    tuned = Seam(recipe.scheduler).tuned(tuned)
    curve = {"lrs": list(tuned.lrs), "losses": list(tuned.losses)}
    folder.write_json("lr_finder.json", {**curve, "max_lr": tuned.max_lr, "note": tuned.note})
    return tuned


def _explain(
    recipe: Recipe,
    subject: Subject,
    explainers: dict[str, Explainer],
    data: DataBundle,
    evaluation: Evaluation,
    selection: Selection,
    runtime: Runtime,
    display: Display,
) -> Explained:
    """Every explainer's maps of the selected images, for every target."""
    settings = recipe.settings
    rows = selection.rows
    images = gather(data.test, rows)
    maps: dict[str, dict[str, Any]] = {}
    for component in recipe.explainers:
        seam, explainer = Seam(component), explainers[component.label]
        maps[component.label] = {}
        for target in settings.explain.targets:
            classes = targets_of(target, evaluation, rows, data.classes)
            with component.offer.blamed("explain"):
                found = explain(
                    explainer,
                    subject,
                    images,
                    classes,
                    seed=settings.seed,
                    label=f"{component.label} for {target}",
                    runtime=runtime,
                    display=display,
                )
            maps[component.label][target] = seam.maps(found, images).numpy()
    return Explained(rows, images, maps)


def _keep_maps(explained: Explained, data: DataBundle, evaluation: Evaluation, folder: RunFolder) -> None:
    """``explanations/images.csv`` names the rows of each ``explanations/<method>/<target>.npy``."""
    ids = [data.test_ids[row] for row in explained.rows.tolist()]
    chosen = Evaluation(evaluation.logits[explained.rows], evaluation.labels[explained.rows])
    folder.write_text("explanations/images.csv", chosen.table(ids, data.classes))
    for method, by_target in explained.maps.items():
        for target, maps in by_target.items():
            folder.write_array(f"explanations/{filename(method)}/{filename(target)}.npy", maps)
