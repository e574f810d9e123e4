"""Counting, choosing and explaining, each on numbers small enough to check by hand."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import xaitool
from xaitool import Evaluation, RuntimeSettings, Subject
from xaitool.engine.explain import check_targets, targets_of
from xaitool.engine.select import select
from xaitool.errors import ExplainError
from xaitool.files import filename
from xaitool.recipe.schema import SelectSettings

CLASSES = ("cat", "dog", "owl")
# Predicted: cat, cat, owl, dog, owl. True: cat, dog, owl, dog, cat.
LOGITS = torch.tensor([[2.0, 1, 0], [3, 2, 1], [0, 1, 5], [0, 4, 1], [1, 0, 2]])
LABELS = torch.tensor([0, 1, 2, 1, 0])


@pytest.fixture
def evaluation() -> Evaluation:
    return Evaluation(LOGITS, LABELS)


def test_figures(evaluation: Evaluation) -> None:
    figures = evaluation.figures(CLASSES)
    assert figures["accuracy"] == 3 / 5
    assert figures["misclassified"] == 2
    assert figures["confusion"] == [[1, 0, 1], [1, 1, 0], [0, 0, 1]]
    sure = evaluation.confidence.tolist()
    cat, owl = figures["per_class"]["cat"], figures["per_class"]["owl"]
    assert cat.pop("confidence") == pytest.approx((sure[0] + sure[1]) / 2)  # the images that are named so
    assert owl.pop("confidence") == pytest.approx((sure[2] + sure[4]) / 2)
    assert cat == {"recall": 1 / 2, "precision": 1 / 2, "images": 2, "predicted": 2}
    assert owl == {"recall": 1, "precision": 1 / 2, "images": 1, "predicted": 2}
    by_hand = [-row[label] + math.log(sum(math.exp(x) for x in row)) for row, label in zip(LOGITS, LABELS, strict=True)]
    assert figures["loss"] == pytest.approx(float(sum(by_hand)) / 5)


def test_a_class_that_is_never_predicted_or_not_there() -> None:
    figures = Evaluation(torch.tensor([[1.0, 0, 0]]), torch.tensor([0])).figures(CLASSES)
    nothing = {"recall": 0, "precision": 0, "images": 0, "predicted": 0, "confidence": 0}
    assert figures["per_class"]["dog"] == nothing


def test_no_file_is_kept_open_for_each_batch_of_a_worker() -> None:
    opened: list[int] = []

    class Images:
        def __len__(self) -> int:
            return 200

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            return torch.zeros(3, 2, 2), index % 3

    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    net.register_forward_pre_hook(lambda *_: opened.append(len(list(Path("/dev/fd").iterdir()))))
    with xaitool.open_runtime(RuntimeSettings(device="cpu", workers=1)) as runtime:
        found = xaitool.evaluate(net, runtime.loader(Images(), 2, shuffle=False), runtime=runtime)
    assert found.labels.tolist() == [index % 3 for index in range(200)]
    assert max(opened) < min(opened) + 50  # of 100 batches


def test_table(evaluation: Evaluation) -> None:
    rows = list(csv.DictReader(io.StringIO(evaluation.table(["a", 'b,"', "c", "d", "e"], CLASSES))))
    assert rows[1]["id"] == 'b,"'
    assert [row["predicted"] for row in rows] == ["cat", "cat", "owl", "dog", "owl"]
    assert [row["correct"] for row in rows] == ["1", "0", "1", "1", "0"]
    assert [row["runner_up"] for row in rows] == ["dog", "dog", "dog", "owl", "cat"]
    assert float(rows[0]["confidence"]) == pytest.approx(math.exp(2) / (math.exp(2) + math.exp(1) + 1), abs=1e-6)
    assert float(rows[1]["true_probability"]) == pytest.approx(
        math.exp(2) / (math.exp(3) + math.exp(2) + math.exp(1)), abs=1e-6
    )


def test_a_module_comes_back_in_its_mode() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 3))
    module[1].eval()
    module[2].weight.requires_grad_(False)
    module.train()
    module[1].eval()
    data = DataLoader(TensorDataset(torch.randn(5, 3, 2, 2), LABELS), batch_size=2)
    found = xaitool.evaluate(module, data)
    assert [part.training for part in module.modules()] == [True, True, False, True]
    assert not module[2].weight.requires_grad
    assert torch.equal(found.logits, xaitool.evaluate(module, data).logits)  # no dropout
    assert found.logits.shape == (5, 3)
    assert torch.equal(found.labels, LABELS)


def test_selection_is_drawn_by_seed(evaluation: Evaluation) -> None:
    chosen = select(evaluation, SelectSettings(misclassified=5, correct=2), seed=0)
    assert sorted(chosen.misclassified.tolist()) == [1, 4]  # all there are
    assert len(chosen.correct) == 2
    assert set(chosen.correct.tolist()) < {0, 2, 3}
    assert chosen.rows.tolist() == [*chosen.misclassified.tolist(), *chosen.correct.tolist()]
    draws = {tuple(select(evaluation, SelectSettings(correct=2), seed).correct.tolist()) for seed in range(20)}
    assert len(draws) == 6  # every ordered pair of three turns up


def test_targets(evaluation: Evaluation) -> None:
    rows = torch.tensor([4, 1])
    assert targets_of("predicted", evaluation, rows, CLASSES).tolist() == [2, 0]
    assert targets_of("true", evaluation, rows, CLASSES).tolist() == [0, 1]
    assert targets_of("runner_up", evaluation, rows, CLASSES).tolist() == [0, 1]
    assert targets_of("owl", evaluation, rows, CLASSES).tolist() == [2, 2]
    check_targets(["predicted", "true", "runner_up", "owl"], CLASSES)
    with pytest.raises(ExplainError, match="'ovl' is neither a target nor a class; did you mean 'owl'"):
        check_targets(["ovl"], CLASSES)


class Brightness:
    """An explainer that finds bright pixels, whatever the model."""

    def explain(self, subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        return images.sum(1) + targets[:, None, None]


def test_explain_goes_in_chunks_and_keeps_the_order() -> None:
    images, targets = torch.randn(150, 3, 2, 2), torch.arange(150) % 3
    maps = xaitool.explain_with(Brightness(), Subject(nn.Linear(1, 1)), images, targets)
    assert torch.allclose(maps, images.sum(1) + targets[:, None, None])
    assert xaitool.explain_with(Brightness(), Subject(nn.Linear(1, 1)), images[:0], targets[:0]).shape == (0, 2, 2)
    with pytest.raises(ExplainError, match="150 images need as many targets, but there are 149"):
        xaitool.explain_with(Brightness(), Subject(nn.Linear(1, 1)), images, targets[1:])


def test_a_module_with_gradients_can_be_moved() -> None:
    """Placing changes what a gradient must look like; here it is the type, on a GPU it would be the device."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    module[1].weight.grad = torch.ones_like(module[1].weight)

    with xaitool.open_runtime(xaitool.RuntimeSettings(device="cpu")) as runtime:
        place = type(runtime).place
        try:
            type(runtime).place = lambda _self, given: given.double()  # type: ignore[method-assign]
            images = TensorDataset(torch.randn(5, 3, 2, 2, dtype=torch.float64), LABELS)
            xaitool.evaluate(module, DataLoader(images, batch_size=5), runtime=runtime)
        finally:
            type(runtime).place = place  # type: ignore[method-assign]
    assert module[1].weight.grad.dtype == torch.float64


def test_nothing_to_evaluate_on() -> None:
    with pytest.raises(xaitool.XaitoolError, match="gave no batch"):
        xaitool.evaluate(nn.Linear(1, 1), [])


def test_a_loader_without_a_length() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    batches = ((torch.randn(2, 3, 2, 2), torch.tensor([0, 1])) for _ in range(3))
    assert len(xaitool.evaluate(module, batches).labels) == 6


def test_targets_whose_files_would_be_the_same_are_refused() -> None:
    for targets in (["cat", "cat"], ["cat", "Cat"]):
        with pytest.raises(ExplainError, match="is there twice, or differs from another only in case"):
            check_targets(targets, ("cat", "Cat", "dog"))
    check_targets(["a/b", "a_b"], ("a/b", "a_b"))


def test_names_become_file_names_that_stay_apart() -> None:
    names = ["a/b", "a_b", "a b", "..", ".", "", "x" * 300, "gradcam++", "Übergröße", "../../etc/passwd"]
    names += ["猫" * 90, "猫" * 90 + "犬", "é" * 41, "a" + "😀" * 60]
    files = [filename(name) for name in names]
    assert len(set(files)) == len(names)
    assert files[1] == "a_b"
    assert files[7] == "gradcam++"
    assert all(file and "/" not in file and not file.startswith(".") and len(file.encode()) < 100 for file in files)
