"""Which files a result makes: their names, what is in them, and that a card copies no question of the data."""

import json
import re
from pathlib import Path

import pytest
from made_reports import a_training, before_and_after, made
from small_data import sample_pairs

from pipeline.core.files import OWNER_FILE, PROJECT_ROOT, add_to_folder
from pipeline.evaluation.decision import decision_from
from pipeline.evaluation.report import EvaluationReport
from pipeline.evaluation.results_csv import PAGE_FILE_NAME, read_results, results_file_name
from pipeline.models.decision import CALIBRATION_FILE_NAME
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.reporting.model_card import card_on_hub
from pipeline.reporting.rendering import markdown, page
from pipeline.reporting.result_files import card_files, result_files
from pipeline.reporting.sections import effective_settings
from pipeline.training.manifest import MANIFEST_NAME
from pipeline.training.recipe import Recipe

CARD = "some-model-ft/README.md"


@pytest.fixture(scope="module")
def reports() -> tuple[EvaluationReport, EvaluationReport]:
    return before_and_after()


@pytest.fixture(scope="module")
def training(reports: tuple[EvaluationReport, EvaluationReport]) -> FineTunedModel:
    assert reports[1].training is not None
    return reports[1].training


@pytest.fixture(scope="module")
def files(training: FineTunedModel, reports: tuple[EvaluationReport, EvaluationReport]) -> dict[str, bytes]:
    return result_files(training, *reports)


def questions_in(card: str) -> list[str]:
    """Questions of the data that a card copies."""
    pairs = sample_pairs().pairs
    return sorted({question for name in ("question1", "question2") for question in pairs[name] if question in card})


def test_the_readme_shows_every_file_of_a_run_folder(files: dict[str, bytes], training: FineTunedModel) -> None:
    text = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    tree = text.partition("/runs/sentence-transformers-ft-<UNIX_TIMESTAMP>/")[2].partition("```")[0]
    shown = {line.split()[0].rstrip("/") for line in tree.strip().splitlines()}
    model = "sentence-transformers--all-MiniLM-L6-v2-ft"
    made_later = {name.replace(training.model.name, model).rpartition("/")[2] for name in files}
    by_training = {"checkpoints/<step>", model, "eval", MANIFEST_NAME, OWNER_FILE}
    assert shown == made_later | by_training


def test_the_files_of_a_run_folder_bear_the_reference_systems_names(
    files: dict[str, bytes], reports: tuple[EvaluationReport, EvaluationReport], tmp_path: Path
) -> None:
    assert sorted(files) == [
        "binary_classification_evaluation_post_train_results.csv",
        "binary_classification_evaluation_post_train_results.json",
        "binary_classification_evaluation_pre_train_results.csv",
        "binary_classification_evaluation_pre_train_results.json",
        CALIBRATION_FILE_NAME,
        PAGE_FILE_NAME,
        CARD,
    ]
    add_to_folder(tmp_path, files)
    baseline, post = reports
    for report in reports:
        assert read_results(tmp_path / results_file_name(report.stage)) == [(-1, -1, report.oracle)]
        beside = json.loads((tmp_path / results_file_name(report.stage)).with_suffix(".json").read_text())
        assert (beside["eval_version"], beside["model"]["version"]) == (report.eval_version, report.model.version)
        # Rows of the data and the scores of each stay with the report.
        assert not beside.keys() & {"mistakes", "cosine_scores", "labels", "training", "baseline"}
        assert report.tasks is not None
        assert beside["tasks"]["mining_ap"] == report.tasks.mining_ap
        assert "resampled" not in beside["tasks"]
        assert beside["operating"]["cosine"]["f1_threshold"] == report.cosine.f1_threshold
        assert beside["oracle"]["cosine"]["accuracy_threshold"] == report.oracle["cosine"].accuracy_threshold
    assert (baseline.model.version, post.model.version) == ("m1", "m2")


def test_the_calibration_says_of_which_model_it_is(
    files: dict[str, bytes], reports: tuple[EvaluationReport, EvaluationReport]
) -> None:
    calibration = reports[1].calibration
    assert calibration is not None
    written = json.loads(files[CALIBRATION_FILE_NAME])
    assert (written["model"], written["slope"]) == ("m2", calibration.slope)


def test_a_model_with_a_decision_has_it_in_its_card_and_needs_no_file_of_its_probability(
    reports: tuple[EvaluationReport, EvaluationReport], training: FineTunedModel
) -> None:
    measured, data = made(0.1)
    decision = decision_from(measured.dev_scores, data.dev.labels, "m2", data.dev.data_version)
    with_decision = training.model_copy(update={"decision": decision})
    files = result_files(with_decision, *reports)
    assert CALIBRATION_FILE_NAME not in files
    card = files[CARD].decode()
    assert f"**{decision.threshold:.4f}**" in card
    assert f"{decision.calibration.slope:.4f} × cosine" in card
    assert "None: the model was trained without a dev split" in card_files(training)[CARD].decode()


def test_without_a_dev_split_there_is_no_calibration() -> None:
    baseline, post = before_and_after(dev_fraction=0)
    assert post.training is not None
    assert CALIBRATION_FILE_NAME not in result_files(post.training, baseline, post)


def test_a_card_names_the_data_and_holds_no_question_of_it(files: dict[str, bytes], training: FineTunedModel) -> None:
    for found in (card_files(training), files):
        card = found[CARD].decode()
        assert "bundled sample, seed 42" in card
        assert made(0.1)[1].train.data_version in card
        assert questions_in(card) == []


def test_the_first_card_has_the_results_on_the_dev_split_and_the_second_one_the_report_s(
    files: dict[str, bytes], training: FineTunedModel, reports: tuple[EvaluationReport, EvaluationReport]
) -> None:
    (first,) = card_files(training).values()
    assert "| 0.50 | 10 | 0.6100 |\n| 1.00 | 20 | 0.7200 |" in first.decode()
    card = files[CARD].decode()
    assert "0.6100" not in card
    assert str(reports[1].intervals["ap"]) in card
    assert re.search(rf"value: {reports[1].cosine.ap}", card)


def test_the_card_of_a_training_without_a_dev_split_says_that_nothing_is_measured() -> None:
    training = a_training("t1").model_copy(update={"dev_evaluations": []})
    assert "Not measured yet" in card_files(training)[CARD].decode()


def test_page_report_and_card_show_every_threshold(
    files: dict[str, bytes], reports: tuple[EvaluationReport, EvaluationReport]
) -> None:
    baseline, post = reports
    visible = {
        "page": re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<svg.*?</svg>|<style.*?</style>|<[^>]*>", " ", page(post, ()))),
        "report": re.sub(r"\]\([^)]*\)", "]", markdown(post)),
        "card": files[CARD].decode().split("---", 2)[2],
        "baseline": markdown(baseline),
    }
    for name, text in visible.items():
        assert "threshold of accuracy" in text
        for report in (baseline,) if name == "baseline" else reports:
            for metrics in report.operating.values():
                assert f"{metrics.accuracy_threshold:.4f}" in text, name
                assert f"{metrics.f1_threshold:.4f}" in text, name
    assert f"{post.cosine.accuracy_threshold:.4f} for accuracy" in visible["card"]


def test_card_and_page_leave_out_the_knobs_that_nothing_read(training: FineTunedModel) -> None:
    recipe = {**Recipe(loss="cosent").model_dump(), "a_knob_that_is_gone": 7}
    of_cosent = training.model_copy(update={"recipe": recipe})
    card = card_files(of_cosent)[CARD].decode()
    report = before_and_after()[1].model_copy(update={"training": of_cosent})
    for shown, text in (("| {} | {} |", card), ("{} {},", re.sub(r"\s+", " ", page(report, ())))):
        assert shown.format("scale", "20.0") in text
        assert shown.format("epochs", 1) in text
        assert shown.format("margin", 0.5) not in text
        assert "patience None" not in text
    assert "| a\\_knob\\_that\\_is\\_gone | 7 |" in card

    weighed = training.model_copy(update={"recipe": Recipe(loss_weights={"cosent": 0.0}).model_dump()})
    assert effective_settings(weighed).keys() >= {"margin", "group_size"}
    assert "scale" not in effective_settings(weighed)
    unknown = training.model_copy(update={"recipe": {"loss": "of_another_release", "margin": 1, "scale": 2}})
    assert effective_settings(unknown) == unknown.recipe
    without_dev = training.model_copy(update={"recipe": Recipe().model_dump(), "dev_evaluations": []})
    assert "keep" not in effective_settings(without_dev)


def test_the_example_in_a_card_loads_the_model_from_where_it_is(training: FineTunedModel) -> None:
    card = card_files(training)[CARD].decode()
    assert f"model = SentenceTransformer({training.model.location!r})" in card
    assert "model = SentenceTransformer('me/mine')" in card_on_hub(card, training.model, "me/mine")
    assert training.model.location not in card_on_hub(card, training.model, "me/mine")
    remote = training.model.model_copy(update={"location": "modal://a-volume/some-model-ft"})
    card = card_files(training.model_copy(update={"model": remote}))[CARD].decode()
    assert "model = SentenceTransformer('some-model-ft')  # the folder of this card" in card
