"""The stages of a run: each does its work, keeps the outcome in the run's folder, and tells it in a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from xaitool import figures
from xaitool.contracts import DataBundle, Explainer, Metric, ModelBundle, Scheduler, Tuned
from xaitool.engine.blame import blamed
from xaitool.engine.checkpoint import Checkpoints, sha256
from xaitool.engine.data import check_pixels, eval_batch_size, load_data
from xaitool.engine.environment import environment
from xaitool.engine.evaluate import Evaluation, evaluate
from xaitool.engine.explain import check_targets
from xaitool.engine.explaining import Explaining, Trained
from xaitool.engine.finished import Finished, keep_evaluation
from xaitool.engine.fit import fit
from xaitool.engine.fitted import Fitted
from xaitool.engine.folder import RunFolder
from xaitool.engine.journal import Journal
from xaitool.engine.judge import build_metrics, check_automatic
from xaitool.engine.launched import left_alone
from xaitool.engine.loading import order_of
from xaitool.engine.looking import coarse_grids
from xaitool.engine.model import build_explainers, build_model, cam_grids, some_images, subject_of, summary
from xaitool.engine.placed import placed
from xaitool.engine.progress import Display, log
from xaitool.engine.randomness import derive
from xaitool.engine.runtime import Runtime
from xaitool.engine.samples import draw_samples
from xaitool.engine.seams import Seam
from xaitool.engine.select import check_ids, select, shortage
from xaitool.engine.tune import tune
from xaitool.errors import FolderError, PluginError, TrainingError, TuningError
from xaitool.judge.judged import Judged
from xaitool.recipe.lock import differences
from xaitool.recipe.resolve import Recipe, Resolved
from xaitool.recipe.schema import TrainSettings
from xaitool.report.write import write_report
from xaitool.results import Run


class Stages:
    """One method a stage, called in this order by :mod:`xaitool.engine.run`; values pass through the caller."""

    def __init__(
        self,
        recipe: Recipe,
        folder: RunFolder,
        journal: Journal,
        runtime: Runtime,
        display: Display,
        finished: Finished,
    ) -> None:
        self.recipe = recipe
        self.settings = recipe.settings
        self.seed = recipe.settings.seed
        self.folder = folder
        self.journal = journal
        self.runtime = runtime
        self.display = display
        self.finished = finished

    def begin(self) -> None:
        """Say where, and keep what the run was begun on."""
        if not self.runtime.processes.main:
            return
        self.display.line(f"run {self.folder} on {self.runtime.describe()}")
        if words := left_alone():
            self.display.warn(words)
        if self.journal.state["resumed"]:
            self._begin_again()
        else:
            self.folder.write_json("environment.json", environment(self.runtime))
        if self.settings.locked and not self.journal.state["resumed"]:  # where it is, that has been told
            for difference in differences(self.settings.locked, self.recipe.components):
                self.display.warn(difference)
        for plugin in {component.offer.plugin for component in self.recipe.components}:
            for warning in plugin.warnings:
                self.display.warn(f"plugin {plugin}: {warning}")

    def _begin_again(self) -> None:
        if done := [stage for stage in self.finished.stages if stage not in ("data", "model")]:
            self.display.line(f"done before: {', '.join(done)}")
        here = environment(self.runtime)
        try:
            device = Run(self.folder.path).environment["device"]
        except FolderError:  # it was killed before that was written
            self.folder.write_json("environment.json", here)
        else:
            if device != here["device"]:
                self.display.warn(
                    f"the run was begun on {device}, and this is {here['device']}: the end may differ in the last bits"
                )

    def load_data(self) -> DataBundle:
        """The data set, and whether its classes are those that the recipe speaks of."""
        with self.journal.stage("data") as record, self.runtime.processes.first_here():
            with placed(self.recipe.source, "dataset"):
                data = load_data(self.recipe.dataset, self.seed)
            with placed(self.recipe.source, "explain", "targets"):
                check_targets(self.settings.explain.targets, data.classes)
            with placed(self.recipe.source, "explain", "select", "ids"):
                check_ids(self.settings.explain.select, data.test_ids)
            if self.settings.train:
                with placed(self.recipe.source, "runtime", "augment"):
                    self.runtime.half_done(data.train)
            known = self.journal.fingerprint
            if known not in (None, data.fingerprint):
                raise FolderError(
                    f"dataset {self.recipe.dataset.label}: the data are not those that the run was begun with "
                    f"(fingerprint {known[:16]}, now {data.fingerprint[:16]}); put those back, or begin a new run"
                )
            if data.skipped:
                skipped = [{"name": name, "reason": reason} for name, reason in data.skipped]
                self.folder.write_json("skipped.json", skipped)
            record |= {
                "train": len(data.train),
                "test": len(data.test),
                "skipped": len(data.skipped),
                "notes": list(data.notes),
                "classes": list(data.classes),
                "mean": list(data.mean),
                "std": list(data.std),
                "size": list(data.test[0][0].shape),
                "fingerprint": data.fingerprint,
            }
        for note in data.notes:
            self.display.warn(f"dataset {self.recipe.dataset.label}: {note}")
        if data.skipped:
            self.display.warn(_skipped(self.recipe.dataset.label, data.skipped))
        images = f"{len(data.train):,} training and {len(data.test):,} test images"
        self.display.line(f"data: {images} in {len(data.classes)} classes")
        return data

    def build_model(self, data: DataBundle) -> tuple[ModelBundle, dict[str, Explainer], dict[str, Metric]]:
        """The model, the explainers that were tried on it, and what they will be judged by."""
        with self.journal.stage("model") as record, self.runtime.processes.first_here():
            with placed(self.recipe.source, "model"):
                model = build_model(self.recipe.model, data, self.seed)
            layers = cam_grids(model, data)
            explainers = build_explainers(self.recipe, subject_of(model, data), data, self.display.warn)
            metrics = build_metrics(self.recipe.metrics, self.settings.explain, data)
            check_automatic(explainers, metrics, self.settings.explain)
            about = summary(model)
            log.info("model\n%s", about)
            record |= {
                "parameters": sum(each.numel() for each in model.module.parameters()),
                "cam_layers": list(model.cam_layers),
                "weights": model.weights,
                "cam_grids": {layer.name: list(layer.grid.size) for layer in layers},
                "summary": about,
            }
        self.display.line(f"model: {self.recipe.model.label}, {record['parameters']:,} parameters")
        for words in coarse_grids(explainers, subject_of(model, data), some_images(data), layers):
            self.display.warn(words)
        return model, explainers, metrics

    def as_it_is(self, model: ModelBundle) -> None:
        """No training: keep the weights that the model came with, so that the run's folder is enough later on."""
        model.module.eval()
        self.folder.write_weights("model.safetensors", model.module.state_dict())
        if model.weights:
            self.display.line(f"no training; weights: {model.weights}")
        else:
            self.display.warn(
                "the recipe has no training and its model no checkpoint: what follows is about random weights"
            )

    def tune(
        self, model: ModelBundle, data: DataBundle, settings: TrainSettings, component: Resolved
    ) -> tuple[Scheduler, Tuned]:
        """The scheduler and its rate; where the search failed, the error says where its curve is."""
        seam = Seam(component)
        if self.finished.tuned:
            return seam.scheduler(component.build("tune")), self.finished.tuned
        with self.journal.stage("tune") as record:
            scheduler = seam.scheduler(component.build("tune"))
            batches = self.runtime.loader(
                data.train,
                settings.batch_size,
                shuffle=True,
                seed=derive(self.seed, "tune"),
                keep_workers=False,
                pieces=settings.pieces,
            )
            try:
                with component.offer.blamed("tune"):
                    tuned = tune(
                        scheduler,
                        model.module,
                        batches,
                        settings,
                        seed=self.seed,
                        runtime=self.runtime,
                        display=self.display,
                    )
            except TuningError as error:
                self.folder.write_json("lr_finder.json", {"lrs": error.lrs, "losses": error.losses, "max_lr": None})
                drawn = figures.lr_curve(error.lrs, error.losses, None, "no learning rate was found")
                picture = self.folder.write_figure("lr_finder", drawn)
                order, last = order_of(batches), len(error.losses)  # the batch that the search ended with
                if order is not None and last < order.batches:
                    check_pixels(batches, order.rows(last))
                raise TuningError(f"{error}; the curve is in {picture}", error.lrs, error.losses) from error
            seam.tuned(tuned)
            curve = {"lrs": list(tuned.lrs), "losses": list(tuned.losses)}
            self.folder.write_json("lr_finder.json", {**curve, "max_lr": tuned.max_lr, "note": tuned.note})
            record |= {"max_lr": tuned.max_lr, "note": tuned.note}
        self.display.line(f"learning rate: {tuned.max_lr:.4g} ({tuned.note})")
        return scheduler, tuned

    def fit(
        self, model: ModelBundle, data: DataBundle, settings: TrainSettings, scheduler: Scheduler, tuned: Tuned
    ) -> None:
        """Train; after each epoch its figures are kept, and a checkpoint until the end."""
        if self.finished.weights is not None:
            self.runtime.place(model.module).load_state_dict(self.finished.weights)
            model.module.eval()
            return
        self._tell_pieces(settings)
        checkpoints = Checkpoints(self.folder, settings.checkpoint_minutes, self.display.warn)
        with self.journal.stage("fit") as record:

            def keep(fitted: Fitted, _module: nn.Module) -> None:
                self.folder.write_lines("history.jsonl", [epoch.as_dict() for epoch in fitted.history])
                record["epochs"] = len(fitted.history)
                self.journal.epoch(fitted.history[-1].as_dict())

            batches = self.runtime.loader(
                data.train,
                settings.batch_size,
                shuffle=True,
                seed=derive(self.seed, "train"),
                pieces=settings.pieces,
            )
            with blamed(self.recipe, "fit"):
                fitted = fit(
                    model.module,
                    batches,
                    settings,
                    scheduler,
                    tuned,
                    test=self._test_batches(data),
                    seed=self.seed,
                    runtime=self.runtime,
                    display=self.display,
                    on_epoch=keep,
                    ids=data.train_ids,
                    checkpoints=checkpoints,
                )
            self.folder.write_json("lr_schedule.json", {"lrs": fitted.lrs})
            model.module.eval()
            weights = self.folder.write_weights("model.safetensors", model.module.state_dict())
            record["epochs"] = len(fitted.history)
            if self.runtime.processes.main:
                record["sha256"] = sha256(weights)
        checkpoints.clear()

    def evaluate(self, model: ModelBundle, data: DataBundle) -> Evaluation:
        """The trained model on the test images: ``metrics.json`` and ``predictions.csv``."""
        if self.finished.evaluation:
            return self.finished.evaluation
        with self.journal.stage("evaluate") as record:
            with blamed(self.recipe, "evaluate"):
                batches = self._test_batches(data)
                evaluation = evaluate(model.module, batches, runtime=self.runtime, display=self.display)
            if evaluation.broken:
                check_pixels(batches, evaluation.broken)
                told = "the trained model gives" if self.settings.train else "with its weights the model gives"
                way_out = "use a lower learning rate" if self.settings.train else "its checkpoint may be damaged"
                raise TrainingError(f"{told} logits that are no numbers; {way_out}")
            figures = evaluation.figures(data.classes)
            self.folder.write_json("metrics.json", figures)
            self.folder.write_text("predictions.csv", evaluation.table(data.test_ids, data.classes))
            keep_evaluation(self.folder, evaluation)
            record |= {"accuracy": figures["accuracy"], "misclassified": figures["misclassified"]}
        self.display.line(f"test accuracy: {evaluation.accuracy:.2%} ({figures['misclassified']:,} misclassified)")
        return evaluation

    def explaining(
        self, model: ModelBundle, data: DataBundle, evaluation: Evaluation, metrics: dict[str, Metric]
    ) -> Explaining:
        """The stages that explain, on the test images that are selected here."""
        explain = self.settings.explain
        selection = select(evaluation, explain.select, self.seed, explain.judge.images, data.test_ids)
        if few := shortage(selection, len(data.test_ids), explain.judge.images):
            self.display.line(few)
        trained = Trained(model, data, evaluation, selection)
        return Explaining(
            self.recipe, self.folder, self.journal, self.runtime, self.display, trained, metrics, self.finished
        )

    def report(self, data: DataBundle) -> None:
        """The pictures and the page, from what the stages before have left in the folder; and the outcome in short."""
        with self.journal.stage("report"):
            if not self.runtime.processes.main:
                return
            draw_samples(self.folder, data, self.seed)
            page = write_report(Run(self.folder.path), html=self.settings.report.html)
        self.display.line(f"report: {page}" if page else f"pictures: {self.folder}/figures")

    def end(self, judged: Judged, failures: Sequence[str]) -> None:
        """Everything is done that could be; a run that lacks something it was asked for has failed all the same."""
        self.journal.over()
        if not self.runtime.processes.main:  # which says so
            return
        if failures:
            raise PluginError(f"{'; '.join(failures)}; all the rest is done, and in {self.folder}")
        judged.check(self.settings.explain, [each.label for each in self.recipe.explainers])

    def _tell_pieces(self, settings: TrainSettings) -> None:
        """Where processes load images of each other's, so that each is augmented as it would be by one process."""
        count = self.runtime.processes.count
        if settings.pieces % count:
            self.display.line(
                f"each of {count} processes loads more of a batch than its own share; "
                f"with train.pieces a multiple of {count} it would not"
            )

    def _test_batches(self, data: DataBundle) -> Any:
        size = eval_batch_size(self.settings, data)
        return self.runtime.loader(data.test, size, shuffle=False, keep_workers=False)


def _skipped(label: str, skipped: Sequence[tuple[str, str]]) -> str:
    """What could not be used, in one sentence: how many files, and the first of them."""
    name, reason = skipped[0]
    count = f"{len(skipped):,} files were" if len(skipped) > 1 else "1 file was"
    return f"dataset {label}: {count} left out, and listed in skipped.json; {name}: {reason}"
