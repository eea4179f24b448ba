"""`review` writes what people fill in, and what they filled in corrects the labels."""

import csv
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from made_reports import FINE_TUNED, quick_report

from pipeline.command_line.cli import cli
from pipeline.core.errors import PipelineError
from pipeline.core.store import VersionStore
from pipeline.duplicates.stored import REVIEW_TABLE, MinedDuplicates, as_parquet, hashes, write_files
from pipeline.orchestration.asset_values import store_value
from pipeline.orchestration.steps import MINED
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.sources import AuditedPairs, load_audited, load_pairs
from pipeline.reporting import result_files

REPORT = "post_train_eval_report"


def review(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["review", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def corrected(path: Path) -> AuditedPairs:
    return load_audited(PairSource(corrections=str(path)))


@pytest.fixture
def mined(pipeline_home: Path) -> pd.DataFrame:
    """The likely wrong labels that the job `mine` has left: the first 150 pairs of the sample."""
    pairs = load_pairs(PairSource()).pairs.head(150)
    columns = ["pair_id", "question1", "question2", "is_duplicate"]
    table = pa.Table.from_pandas(pairs[columns].assign(side="train", probability_of_label=0.1), preserve_index=False)
    files = {REVIEW_TABLE: as_parquet(table)}
    value = MinedDuplicates(
        corpus_version="c",
        model_version="m",
        floor=0.5,
        threshold=0.7,
        candidates=1,
        pairs=1,
        prior=None,
        duplicate_ratio=0.5,
        clusters=1,
        removable=1,
        engine="exact",
        recall=None,
        sha256=hashes(files),
    )
    store = VersionStore(str(pipeline_home))
    write_files(store, MINED, value.data_version, files)
    store_value(store, MINED, value, "0123abcd")
    return pairs


def test_what_is_filled_in_corrects_labels_and_the_rest_waits(mined: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "reviewed.csv"
    assert f"150 pairs in {path}: whose labels are likely wrong" in review("--out", str(path))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["question1", "question2", "labelled", "is_duplicate"]
    assert [row["labelled"] for row in rows] == [str(int(label)) for label in mined["is_duplicate"]]
    assert {row["is_duplicate"] for row in rows} == {""}
    assert corrected(path).table.data_version == load_audited(PairSource()).table.data_version
    for row in (rows[3], rows[140]):
        row["is_duplicate"] = "no" if row["labelled"] == "1" else "yes"
    rows[5]["is_duplicate"] = rows[5]["labelled"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    read = corrected(path)
    changed = read.table.pairs["is_duplicate"].to_numpy() != load_pairs(PairSource()).pairs["is_duplicate"].to_numpy()
    assert list(changed.nonzero()[0]) == [3, 140]
    assert read.audit.corrections == {"that confirm the label": 1, "that match no pair": 0, "without a label": 147}


def test_json_lines_may_be_filled_in_far_behind_the_first_row(mined: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "reviewed.jsonl"
    review("--out", str(path))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[140]["is_duplicate"] = 1 - rows[140]["labelled"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert sum(corrected(path).audit.corrected.values()) == 1


def test_the_worst_mistakes_of_a_report_can_be_reviewed(
    pipeline_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Drawing takes seconds, and has tests of its own.
    monkeypatch.setattr(result_files, "pictures", lambda report: [])
    report = quick_report(FINE_TUNED)
    store_value(VersionStore(str(pipeline_home)), REPORT, report, "0123abcd")
    path = tmp_path / "reviewed.parquet"
    said = review("--out", str(path), "--mistakes", "--top", "20")
    assert f"20 pairs in {path}: the worst mistakes of some-model-ft" in said
    table = pd.read_parquet(path)
    assert table["pair_id"].tolist() == [mistake.pair_id for mistake in report.mistakes[:20]]
    assert table["cosine"].tolist() == [mistake.score for mistake in report.mistakes[:20]]
    table["is_duplicate"] = 1 - table["labelled"]
    table.to_parquet(path)
    assert corrected(path).audit.corrections["that match no pair"] == 0
    assert sum(corrected(path).audit.corrected.values()) >= 20


def refusal(*arguments: str) -> str:
    with pytest.raises(PipelineError) as caught:
        CliRunner().invoke(cli, ["review", *arguments], catch_exceptions=False)
    return str(caught.value)


def test_what_cant_be_written_is_refused_with_the_way_out(pipeline_home: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "reviewed.csv")
    assert "launch the job `mine`" in refusal("--out", out)
    assert "no model was evaluated yet" in refusal("--out", out, "--mistakes")
    assert "end it in .csv" in refusal("--out", str(tmp_path / "reviewed.xlsx"))


def test_reviews_are_not_overwritten(mined: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "reviewed.csv"
    path.write_text("hours of work")
    assert "exists and may contain reviews" in refusal("--out", str(path))
    assert path.read_text() == "hours of work"
