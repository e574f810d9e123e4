"""The stages that explain: choose layers, make maps, judge them. An explainer that fails loses no other its work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from xaitool.contracts import Adjustable, DataBundle, Explainer, Metric, ModelBundle, Subject
from xaitool.engine.blame import blamed
from xaitool.engine.evaluate import Evaluation
from xaitool.engine.explain import Explained, explain, gather, targets_of
from xaitool.engine.finished import Finished, keep_choices
from xaitool.engine.folder import RunFolder
from xaitool.engine.guard import Guard
from xaitool.engine.journal import Journal
from xaitool.engine.judge import image_curves, make_judge
from xaitool.engine.model import subject_of
from xaitool.engine.pictures import pixels
from xaitool.engine.progress import Display, log
from xaitool.engine.randomness import derive
from xaitool.engine.runtime import Runtime
from xaitool.engine.seams import Seam
from xaitool.engine.select import Selection
from xaitool.engine.shortcut import measure_shortcut
from xaitool.engine.together import explain_group, groups
from xaitool.engine.triage import triage
from xaitool.errors import ContractError, FolderError, PluginError, ProcessError, XaitoolError
from xaitool.files import filename
from xaitool.findings import listed
from xaitool.judge.choice import Choice
from xaitool.judge.choose import choose
from xaitool.judge.judge import SETS_OF_MAPS, Judge
from xaitool.judge.judged import Judged
from xaitool.judge.shortcut import Finding
from xaitool.recipe.resolve import Recipe, Resolved
from xaitool.triage.result import Triage

Explainers = dict[str, Explainer]


@dataclass(frozen=True)
class Trained:
    """A trained model, its data and test results, and the test images that were selected."""

    model: ModelBundle
    data: DataBundle
    evaluation: Evaluation
    selection: Selection

    @property
    def subject(self) -> Subject:
        """The model as explainers see it."""
        return subject_of(self.model, self.data)


class Explaining:
    """One method a stage, called in this order by :mod:`xaitool.engine.run`; values pass through the caller."""

    def __init__(
        self,
        recipe: Recipe,
        folder: RunFolder,
        journal: Journal,
        runtime: Runtime,
        display: Display,
        trained: Trained,
        metrics: dict[str, Metric],
        finished: Finished,
    ) -> None:
        self.recipe = recipe
        self.seed = recipe.settings.seed
        self.folder = folder
        self.journal = journal
        self.runtime = runtime
        self.display = display
        self.trained = trained
        self.metrics = metrics
        self.finished = finished
        self.guard = Guard(trained.model.module)
        # What went wrong: by stage, and by the explainer's label.
        self.failures: dict[str, dict[str, str]] = {}

    def choose(self, explainers: Explainers) -> tuple[Explainers, dict[str, Choice]]:
        """For every explainer that could look at several layers: how faithful each of them is, and the one to use."""
        if self.finished.choices is not None:
            return self.finished.chosen(explainers, self.trained.subject), self.finished.choices
        several = {label: each for label, each in explainers.items() if isinstance(each, Adjustable)}
        faithful = any(metric.aspect == "faithfulness" for metric in self.metrics.values())
        rows = self.trained.selection.apart
        if not (several and faithful and len(rows) > 1):
            return explainers, self._told(self._unchosen(several))
        chosen, choices = dict(explainers), {}
        with self.journal.stage("choose") as record:
            layers = sum(len(each.alternatives(self.trained.subject)) for each in several.values())
            with self._judge(rows, "choose", layers) as judge:
                for component in self.recipe.explainers:
                    if component.label in several:
                        with self._excused(component, "choose"):
                            chosen[component.label], choices[component.label] = choose(judge, several[component.label])
            keep_choices(self.folder, choices)
            record |= {"images": len(rows), "layers": {label: each.used for label, each in choices.items()}}
            record |= self._failed("choose")
        return chosen, self._told(choices)

    def _unchosen(self, several: Mapping[str, Adjustable]) -> dict[str, Choice]:
        """Of explainers whose layer was to be chosen, and that look at their usual one, as there are too few images."""
        metric = next((name for name, each in self.metrics.items() if each.aspect == "faithfulness"), "")
        subject, found = self.trained.subject, {}
        for component in self.recipe.explainers:
            explainer = several.get(component.label)
            if explainer and explainer.automatic:
                with self._excused(component, "choose"):
                    used = explainer.current(subject)
                    found[component.label] = Choice(metric, {}, used, automatic=False, too_few=True)
        return found

    def _told(self, choices: dict[str, Choice]) -> dict[str, Choice]:
        for label, choice in choices.items():
            if words := choice.words():
                self.display.line(f"layer: {label} {words}")
        return choices

    def explain(self, explainers: Explainers) -> Explained:
        """Every explainer's maps of the selected images, for every target.

        ``explanations/images.csv`` names the rows of each ``explanations/<method>/<target>.npy``.
        """
        data, evaluation, rows = self.trained.data, self.trained.evaluation, self.trained.selection.rows
        if self.finished.maps is not None:
            return Explained(rows, gather(data.test, rows), self.finished.maps)
        with self.journal.stage("explain") as record:
            explained = Explained(rows, gather(data.test, rows), {})
            ids = [data.test_ids[row] for row in rows.tolist()]
            chosen = Evaluation(evaluation.logits[rows], evaluation.labels[rows])
            self.folder.write_text("explanations/images.csv", chosen.table(ids, data.classes))
            self.folder.write_array("explanations/images.npy", pixels(data, explained.images))
            shared = self._shared(explainers, explained)
            for component in self.recipe.explainers:
                label = component.label
                with self._excused(component, "explain"):
                    explained.maps[label] = self._maps(component, explainers[label], explained, shared.get(label, {}))
            explained.failed.update(self.failures.get("explain", {}))
            for label in explained.failed:  # maps of an explainer that has left the model changed are none
                explained.maps.pop(label, None)
            record |= {"images": len(ids), "methods": list(explained.maps), "failed": explained.failed}
        self.display.line(f"explained: {len(ids)} images by {', '.join(explained.maps) or 'no method'}")
        return explained

    def judge(self, explainers: Explainers, choices: dict[str, Choice], explained: Explained) -> Judged:
        """Whether each explainer that gave maps can be trusted: ``verdicts.json``."""
        if self.finished.judged is not None:
            return self.finished.judged
        judged = Judged(choices=choices)
        rows = self.trained.selection.judged
        if not self.metrics or len(rows) < 2 or not explained.maps:
            return judged
        with self.journal.stage("judge") as record:
            with self._judge(rows, "judge", SETS_OF_MAPS * len(explained.maps)) as judge:
                for component in self.recipe.explainers:
                    label = component.label
                    if label in explained.maps:
                        with self._excused(component, "judge"):
                            judged.judgements[label] = judge.judge(label, explainers[label])
            judged.failed.update(self.failures.get("judge", {}))
            self._keep(judged, rows)
            verdicts = {label: each.verdict.words() for label, each in judged.judgements.items()}
            record |= {"images": len(rows), "verdicts": verdicts, "failed": judged.failed}
        count = len(judged.judgements)
        self.display.line(f"judged: {count} explainer{'s' * (count != 1)} on {len(rows)} images")
        return judged

    def curves(self, explained: Explained) -> None:
        """What the metric that decides sees in single images: ``explanations/<method>/curves.json``."""
        settings = self.recipe.settings.explain.judge
        rows = explained.rows[: settings.curves if settings.images else 0]
        metric = next((name for name, each in self.metrics.items() if each.aspect == "faithfulness"), None)
        maps = {label: each["predicted"] for label, each in explained.maps.items() if "predicted" in each}
        if metric is None or not len(rows) or not maps or "curves" in self.finished:
            return
        trained, total = self.trained, len(maps) * len(rows)
        with self.journal.stage("curves") as record, self.display.bar("curves of single images", total) as bar:
            for component in self.recipe.explainers:
                if component.label in maps:
                    with self._excused(component, "curves"):
                        found = image_curves(
                            metric,
                            self.metrics[metric],
                            trained.subject,
                            trained.data,
                            trained.evaluation,
                            rows,
                            torch.from_numpy(maps[component.label][: len(rows)]),
                            seed=derive(self.seed, "curves"),
                            runtime=self.runtime,
                        )
                        if found:
                            self.folder.write_json(f"explanations/{filename(component.label)}/curves.json", found)
                    bar(len(rows))
            record |= self._failed("curves")

    def shortcut(self, explainers: Explainers, explained: Explained) -> Finding | None:
        """Where the data have a planted shortcut: whether the model uses it, and whether the explainers show it."""
        if self.trained.data.shortcut is None or "shortcut" in self.finished:
            return None
        with self.journal.stage("shortcut") as record, blamed(self.recipe, "shortcut"):
            finding = measure_shortcut(
                self.trained,
                {label: explainers[label] for label in explained.maps},
                self.recipe.settings,
                seed=self.seed,
                runtime=self.runtime,
                display=self.display,
            )
            self.folder.write_json("shortcut.json", finding.as_dict())
            record |= {"cheats": finding.cheats, "sentence": finding.sentence()}
        self.display.line(f"shortcut: {finding.sentence()}")
        return finding

    def triage(self, explainers: Explainers, explained: Explained) -> Triage | None:
        """Every misclassified test image, by the first method that gave maps: ``triage.csv`` and ``triage.json``."""
        first = next((each for each in self.recipe.explainers if each.label in explained.maps), None)
        if first is None or not self.recipe.settings.explain.triage or "triage" in self.finished:
            return None
        found = None
        with self.journal.stage("triage") as record:
            with self._excused(first, "triage"):
                found = triage(
                    self.trained,
                    first.label,
                    explainers[first.label],
                    seed=self.seed,
                    runtime=self.runtime,
                    display=self.display,
                )
            if found:
                data = self.trained.data
                self.folder.write_text("triage.csv", found.csv(data.test_ids, data.classes))
                self.folder.write_json("triage.json", found.as_dict())
                record |= {"mistakes": len(found.rows), "groups": len(found.groups.groups)}
            record |= self._failed("triage")
        if found:
            self.display.line(f"triage: {len(found.rows):,} mistakes in triage.csv")
        return found

    def _failed(self, stage: str) -> dict[str, Any]:
        """What a stage's record has of what went wrong in it."""
        return {"failed": dict(self.failures[stage])} if stage in self.failures else {}

    def _keep(self, judged: Judged, rows: Tensor) -> None:
        """Verdicts and curves, and the judged images with their maps: another run's can be compared with them."""
        data, evaluation = self.trained.data, self.trained.evaluation
        self.folder.write_json("verdicts.json", judged.as_dict())
        self.folder.write_json("judged/curves.json", judged.curves_as_dict())
        images = Evaluation(evaluation.logits[rows], evaluation.labels[rows])
        ids = [data.test_ids[row] for row in rows.tolist()]
        self.folder.write_text("judged/images.csv", images.table(ids, data.classes))
        self.folder.write_array("judged/images.npy", pixels(data, gather(data.test, rows)))
        for label, judgement in judged.judgements.items():
            self.folder.write_array(f"judged/{filename(label)}.npy", judgement.maps)

    def _targets(self, explained: Explained) -> dict[str, Tensor]:
        """The classes (N int64) that are explained, by target."""
        evaluation, classes = self.trained.evaluation, self.trained.data.classes
        names = self.recipe.settings.explain.targets
        return {name: targets_of(name, evaluation, explained.rows, classes) for name in names}

    def _shared(self, explainers: Explainers, explained: Explained) -> dict[str, dict[str, Tensor]]:
        """Maps by label and target of all explainers that share their work, where it goes well.

        Where it does not, or leaves the model or torch changed, none of them: each is then asked by itself, and is
        itself to blame for what it does.
        """
        found: dict[str, dict[str, Tensor]] = {}
        targets, subject = self._targets(explained), self.trained.subject
        offers = {component.label: component.offer for component in self.recipe.explainers}
        for group in groups(explainers, subject):
            if len(group) * len(targets) == 1:
                continue
            try:
                with offers[next(iter(group))].blamed("explain"), blamed(self.recipe, "explain"):
                    maps = explain_group(
                        group,
                        subject,
                        explained.images,
                        targets,
                        seed=self.seed,
                        runtime=self.runtime,
                        display=self.display,
                    )
                if changes := self._outcome()[0]:
                    raise ContractError(f"leaves the model or torch changed ({', '.join(changes)})")
                found |= maps
            except ProcessError:
                raise
            except XaitoolError:
                self.guard.restore()
                log.exception("%s: explained one by one, as together it failed", " and ".join(group))
        return found

    def _maps(
        self, component: Resolved, explainer: Explainer, explained: Explained, shared: dict[str, Tensor]
    ) -> dict[str, Any]:
        """One explainer's maps by target, as far as they are not there yet; each written down."""
        label, seam, maps = component.label, Seam(component), {}
        for target, classes in self._targets(explained).items():
            found = shared.get(target)
            if found is None:
                found = explain(
                    explainer,
                    self.trained.subject,
                    explained.images,
                    classes,
                    seed=self.seed,
                    label=f"{label} for {target}",
                    runtime=self.runtime,
                    display=self.display,
                )
            maps[target] = seam.maps(found, explained.images).numpy()
            self.folder.write_array(f"explanations/{filename(label)}/{filename(target)}.npy", maps[target])
        return maps

    @contextmanager
    def _judge(self, rows: Any, purpose: str, sets: int) -> Iterator[Judge]:
        """A judge over some test images that moves a progress bar; sets: how many sets of maps it will score."""
        trained = self.trained
        with self.display.bar(f"{purpose}: scoring maps", sets * len(rows)) as bar:
            yield make_judge(
                trained.subject,
                trained.data,
                trained.evaluation,
                rows,
                self.metrics,
                seed=derive(self.seed, purpose),
                runtime=self.runtime,
                tick=bar,
            )

    @contextmanager
    def _excused(self, component: Resolved, stage: str) -> Iterator[None]:
        """Note what goes wrong with one explainer in here, tell it, and go on with the model as it was."""
        label, offer = component.label, component.offer
        error: XaitoolError | None = None
        try:
            # What no other plugin is to blame for, the explainer is.
            with offer.blamed(stage), blamed(self.recipe, stage, running=offer):
                yield
        except (ProcessError, FolderError):  # without the others, or without room, nothing of what follows can be done
            raise
        except XaitoolError as raised:
            error = raised
        changes, elsewhere = self._outcome(error)
        if error is None and changes:
            error = ContractError(
                f"plugin {offer.plugin} broke its contract in {stage}: {label}: leaves the model or torch changed "
                f"({', '.join(changes)}); it was put back"
            )
        error = error or elsewhere
        if error is not None:
            self.guard.restore()
            log.error("%s failed in %s", label, stage, exc_info=error)
            message = str(error)
            if not isinstance(error, PluginError):  # which names neither
                message = f"{label} (plugin {offer.plugin}) failed in {stage}: {message}"
            if message not in (known for stage in self.failures.values() for known in stage.values()):
                self.display.warn(message)
            self.failures.setdefault(stage, {})[label] = message

    def _outcome(self, error: XaitoolError | None = None) -> tuple[list[str], XaitoolError | None]:
        """What has been left changed in the model, and what went wrong, in this process or in another."""
        here = (self.guard.changes() if error is None else [], None if error is None else str(error))
        every = self.runtime.processes.everyones(here)
        told = next((message for _, message in every if message is not None), None)
        changes = list(dict.fromkeys(chain.from_iterable(changes for changes, _ in every)))
        return changes, None if told is None else PluginError(told)

    def told_failures(self) -> list[str]:
        """Every failure once, in the order in which they happened; the same one in several stages names them all."""
        stages: dict[str, list[str]] = {}
        for stage, messages in self.failures.items():
            for message in dict.fromkeys(messages.values()):
                stages.setdefault(message.replace(f" in {stage}: ", " in \0: ", 1), []).append(stage)
        return [message.replace("\0", listed(where)) for message, where in stages.items()]
