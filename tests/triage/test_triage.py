"""The stage as a whole: from a trained model and its test results to a table and a few sentences."""

from __future__ import annotations

import csv
import io
import json
import random
import re

import numpy as np
import pytest
import torch
from planted_mistakes import CLASSES, SIZE, Brightest, Explainer, picture, trained_on, truth
from torch import Tensor

from xaitool import Subject, open_runtime
from xaitool.engine.explaining import Trained
from xaitool.engine.triage import triage
from xaitool.errors import ExplainError
from xaitool.triage import Triage
from xaitool.triage.decisions import DRAWS
from xaitool.triage.table import COLUMNS

# Pictures and their labels: mistakes that can be corrected, mistakes with a rival, wrong labels, and right ones.
CORRECTABLE = ({"q0": 3.0, "q2": 2.0}, 2)
RIVALLED = ({"q0": 3.0, "q1": 2.5, "q2": 2.0}, 2)
MISLABELLED = ({"q3": 4.0}, 1)
RIGHT = [({f"q{place}": 3.0}, place) for place in range(4)]


def planted(correctable: int = 12, rivalled: int = 8, mislabelled: int = 3, right: int = 400) -> Trained:
    """All of them, slightly noisy, in a mixed order; an id says what sort it is."""
    sorts = [("correctable", CORRECTABLE)] * correctable + [("rivalled", RIVALLED)] * rivalled
    sorts += [("mislabelled", MISLABELLED)] * mislabelled + [("right", RIGHT[i % 4]) for i in range(right)]
    random.Random(0).shuffle(sorts)
    source = torch.Generator().manual_seed(0)
    images = [picture(**spec) + 0.05 * torch.randn(3, SIZE, SIZE, generator=source) for _, (spec, _) in sorts]
    ids = [f'{name}/{place:03d},"x"' for place, (name, _) in enumerate(sorts)]
    return trained_on(Brightest(), images, [label for _, (_, label) in sorts], ids)


def done(trained: Trained, seed: int = 0) -> Triage:
    with open_runtime() as runtime:
        found = triage(trained, "truth", Explainer(truth), seed=seed, runtime=runtime)
    assert found is not None
    return found


def rows(found: Triage, trained: Trained) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(found.csv(trained.data.test_ids, CLASSES))))


@pytest.fixture(scope="module")
def trained() -> Trained:
    return planted()


@pytest.fixture(scope="module")
def found(trained: Trained) -> Triage:
    return done(trained)


def test_the_table_has_one_row_a_mistake_in_the_order_of_the_test_set(found: Triage, trained: Trained) -> None:
    table = rows(found, trained)
    assert tuple(table[0]) == COLUMNS
    wrong = [name for name in trained.data.test_ids if not name.startswith("right")]
    assert [row["id"] for row in table] == wrong
    assert len(table) == 23
    assert {row["true"] for row in table} == {"owl, barn", "dog"}  # commas and quotes come through
    assert {row["predicted"] for row in table} == {"cat", 'fox "red"'}


def test_each_mistake_rests_on_what_was_planted(found: Triage, trained: Trained) -> None:
    verdicts: dict[str, set[str]] = {}
    for row in rows(found, trained):
        sort = row["id"].split("/")[0]
        verdicts.setdefault(sort, set()).add(row["verdict"])
        if sort != "mislabelled":
            assert row["with_true_evidence_alone"] == "owl, barn"
            assert row["without_predicted_evidence"] == {"correctable": "owl, barn", "rivalled": "dog"}[sort]
    assert verdicts["correctable"] == {"corrected without it; right on its own evidence"}
    assert verdicts["rivalled"] == {"another mistake without it; right on its own evidence"}


def test_the_figures_in_the_table_are_those_of_the_evaluation(found: Triage, trained: Trained) -> None:
    evaluation = trained.evaluation
    for row, place in zip(rows(found, trained), found.rows.tolist(), strict=True):
        probabilities, label = evaluation.probabilities[place], int(evaluation.labels[place])
        assert float(row["confidence"]) == pytest.approx(float(probabilities.max()), abs=1e-6)
        assert float(row["true_probability"]) == pytest.approx(float(probabilities[label]), abs=1e-6)
        assert float(row["margin"]) == pytest.approx(float(probabilities.max() - probabilities[label]), abs=2e-6)
        assert 0 <= float(row["true_probability_without"]) <= 1
    places = found.most_confident_first()
    assert bool((found.confidence[places].diff() <= 0).all())


def test_mislabelled_images_are_suspected_as_a_guess(found: Triage, trained: Trained) -> None:
    table = rows(found, trained)
    suspected = {row["id"].split("/")[0]: row["likely_label_noise"] for row in table}
    assert suspected["mislabelled"] == 'a guess: fox "red"'
    assert 3 <= sum(bool(row["likely_label_noise"]) for row in table) <= 4  # 1% of 423 labels
    for row in table:
        assert bool(row["likely_label_noise"]) == bool(row["label_noise_score"])
        if row["id"].startswith("mislabelled"):
            assert float(row["label_noise_score"]) == pytest.approx(float(row["margin"]), abs=2e-6)
            assert float(row["label_noise_score"]) > 0.9
    assert found.trial is not None
    assert 0 < found.trial.found <= 0.5  # the three that are really wrong are as suspect, and only four may be


def test_each_row_says_what_chance_would_do(found: Triage, trained: Trained) -> None:
    table = rows(found, trained)
    for name, values in (
        ("corrected_by_chance", found.decisions.corrected_by_chance),
        ("right_by_chance", found.decisions.right_by_chance),
    ):
        shares = [float(row[name]) for row in table]
        assert shares == pytest.approx(values.tolist(), abs=1e-6)
        assert {round(DRAWS * share, 3) for share in shares} <= set(range(DRAWS + 1))
    assert any(float(row["corrected_by_chance"]) or float(row["right_by_chance"]) for row in table)


def test_groups_are_named_by_class_pair_and_stand_in_the_table(found: Triage, trained: Trained) -> None:
    sizes = {each.name.removesuffix(" (1)").removesuffix(" (2)"): 0 for each in found.groups.groups}
    for each in found.groups.groups:
        sizes[each.name.removesuffix(" (1)").removesuffix(" (2)")] += each.size
    assert sizes == {"owl, barn taken for cat": 20}
    for row in rows(found, trained):
        assert bool(row["group"]) == (not row["id"].startswith("mislabelled"))


def test_shares_are_compared_with_chance(found: Triage) -> None:
    decisions = found.decisions
    assert found.corrected.own.mean == pytest.approx(float(decisions.corrected.nanmean()))
    assert found.corrected.chance.mean == pytest.approx(float(decisions.corrected_by_chance.nanmean()))
    assert found.corrected.own.mean == pytest.approx(12 / 23)
    assert found.corrected.chance.mean < 0.2
    assert found.corrected.lead.low > 0
    assert found.corrected.lead.mean == pytest.approx(found.corrected.own.mean - found.corrected.chance.mean)


def test_the_summary_says_it_with_figures(found: Triage) -> None:
    summary = found.summary()
    assert summary.startswith("23 of 423 test images are misclassified.")
    assert "52.2% of the mistakes are corrected; with a random 20%" in summary
    assert summary.count("whether that is more than chance would do cannot be told from 23 mistakes.") == 2
    suspects = f"confident learning suspects {int(found.suspect.sum())}, but did not stand its own trial."
    assert f"No label is called wrong here: {suspects}" in summary
    assert "1% of all test labels were falsified at random, 10 times over: it found" in summary
    assert found.trial is not None
    assert f"and {found.trial.precision:.0%} of those that it suspected then were among them" in summary
    assert "{" not in summary


def test_an_explainer_that_knows_nothing_does_no_more_than_chance(trained: Trained) -> None:
    def noise(_subject: Subject, images: Tensor, _targets: Tensor) -> Tensor:
        return torch.rand(len(images), SIZE, SIZE)

    found = triage(trained, "noise", Explainer(noise))
    assert found is not None
    assert found.corrected.lead.low <= 0
    assert "more than chance would do (" not in found.summary()


def test_constant_maps_are_left_out_and_said_to_be(trained: Trained) -> None:
    def none(_subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        return torch.zeros(len(images), SIZE, SIZE)

    found = triage(trained, "none", Explainer(none))
    assert found is not None
    assert found.mapless == 23
    assert "none gives constant maps for them, so nothing follows from its maps." in found.summary()
    (row, *_) = rows(found, trained)
    assert row["verdict"] == "no map of the predicted class; no map of the true class"
    assert (row["without_predicted_evidence"], row["true_probability_alone"]) == ("", "")
    assert (row["corrected_by_chance"], row["right_by_chance"]) == ("", "")


def test_the_dictionary_is_json_and_agrees_with_the_table(found: Triage, trained: Trained) -> None:
    given = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert (given["misclassified"], given["tested"], given["explainer"]) == (23, 423, "truth")
    assert given["label_noise"]["is_a_guess"] is True
    assert given["label_noise"]["withheld"] is True  # the three that are really wrong count against it
    assert given["label_noise"]["suspect"] == sum(bool(row["likely_label_noise"]) for row in rows(found, trained))
    assert set(given["groups"][0]["examples"]) <= set(trained.data.test_ids)


def test_neither_another_run_nor_the_order_of_the_test_set_changes_a_row(found: Triage, trained: Trained) -> None:
    assert found.csv(trained.data.test_ids, CLASSES) == done(trained).csv(trained.data.test_ids, CLASSES)
    images, labels = zip(*trained.data.test, strict=True)
    mirrored = trained_on(trained.model.module, images[::-1], labels[::-1], trained.data.test_ids[::-1])
    again = done(mirrored)
    assert {row["id"]: row for row in rows(again, mirrored)} == {row["id"]: row for row in rows(found, trained)}
    assert again.groups.groups == found.groups.groups
    assert not torch.equal(done(trained, seed=1).decisions.right_by_chance, found.decisions.right_by_chance)


def test_a_model_without_mistakes_has_no_triage() -> None:
    explainer = Explainer(truth)
    assert triage(planted(0, 0, 0), "truth", explainer) is None
    assert explainer.asked == []


def test_one_mistake_is_enough() -> None:
    trained = planted(1, 0, 0, 8)
    found = done(trained)
    assert len(rows(found, trained)) == 1
    assert found.summary().startswith("1 of 9 test images is misclassified.")
    assert "There are too few alike mistakes for groups; it takes 10." in found.summary()


def test_many_mistakes_go_in_chunks() -> None:
    trained, explainer = planted(600, 0, 0, 40), Explainer(truth)
    found = triage(trained, "truth", explainer)
    assert found is not None
    assert len(rows(found, trained)) == 600
    assert found.corrected.own.mean == 1
    assert re.search(r"100.0% of the mistakes .*: more than chance would do \(\+.*, 600 mistakes\)", found.summary())
    assert max(explainer.asked) <= 64
    assert sum(explainer.asked) == 2 * 600


def test_the_module_and_the_random_state_are_left_as_they_were(trained: Trained) -> None:
    images, labels = zip(*trained.data.test, strict=True)
    module = Brightest()
    given = trained_on(module, images, labels, trained.data.test_ids)
    module.pool.eval()
    module.head.weight.requires_grad_(False)
    module.head.bias.grad = torch.ones(4)

    def rude(subject: Subject, images: Tensor, targets: Tensor) -> Tensor:
        raise ExplainError("no maps today")

    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    done(given)
    with pytest.raises(ExplainError, match="no maps today"):
        triage(given, "rude", Explainer(rude))
    assert [part.training for part in module.modules()] == [True, False, True, True]
    assert not module.head.weight.requires_grad
    assert torch.equal(module.head.bias.grad, torch.ones(4))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
