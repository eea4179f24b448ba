"""Checks that the same pairs are the same data in every form, format and packing, and that none is mistaken."""

import bz2
import csv
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from effort import exhaustive, tries
from pydantic import ValidationError
from upath import UPath

from pipeline.core.errors import PipelineError
from pipeline.orchestration.asset_values import write_value
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.question_pairs.schema import PairTable
from pipeline.question_pairs.sources import load_audited, load_pairs
from pipeline.question_pairs.splits import split_pairs

QUESTIONS = [
    ("How do I swim?", "How can one learn to swim?", 1),
    ("How do I swim?", "Is NA a word?", 0),
    ("2017-01-01", "null", 0),
    ("", "Was heißt 世界? 🌍", 1),
    ("  blanks stay  ", 'What is the "best" way, if any?', 0),
]
FRAME = pd.DataFrame(QUESTIONS, columns=["question1", "question2", "is_duplicate"])
# Numbered by first appearance, as ids are given where a form has none.
RELEASE = FRAME.assign(id=range(5), qid1=[0, 0, 3, 5, 7], qid2=[1, 2, 4, 6, 8])
COLUMNS = ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]


def nested_rows() -> list[dict[str, Any]]:
    return [
        {"questions": {"id": [row.qid1, row.qid2], "text": [row.question1, row.question2]},
         "is_duplicate": bool(row.is_duplicate)}
        for row in RELEASE.itertuples()
    ]  # fmt: skip


def glue(path: Path) -> None:
    lines = ["\t".join(COLUMNS), *("\t".join(map(str, row)) for row in RELEASE[COLUMNS].itertuples(index=False))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def glue_of_the_hub(path: Path) -> None:
    rows = [f"{row.question1}\t{row.question2}\t{row.is_duplicate}\t{row.id}" for row in RELEASE.itertuples()]
    path.write_text("\n".join(["question1\tquestion2\tlabel\tidx", *rows]) + "\n", encoding="utf-8")


def arrow(path: Path, stream: bool) -> None:
    table = pa.Table.from_pandas(RELEASE[COLUMNS], preserve_index=False)
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


def sentence_pairs(path: Path) -> None:
    names = {"question1": "sentence1", "question2": "sentence2", "is_duplicate": "label"}
    FRAME.rename(columns=names).to_parquet(path, index=False)


def json_lines(path: Path, rows: Sequence[Mapping[Any, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


FORMS: dict[str, Callable[[Path], object]] = {
    "original": lambda path: RELEASE[COLUMNS].to_csv(path, sep="\t", index=False),
    "original-all-quoted": lambda path: RELEASE[COLUMNS].to_csv(path, sep="\t", index=False, quoting=csv.QUOTE_ALL),
    "kaggle": lambda path: RELEASE[COLUMNS].to_csv(path, index=False, quoting=csv.QUOTE_ALL),
    "semicolons": lambda path: RELEASE[COLUMNS].to_csv(path, index=False, sep=";"),
    "glue": glue,
    "glue-of-the-hub": glue_of_the_hub,
    "sentence-pairs": sentence_pairs,
    "nested-parquet": lambda path: pq.write_table(pa.Table.from_pylist(nested_rows()), path),
    "nested-list-of-structs": lambda path: pq.write_table(
        pa.Table.from_pylist(
            [
                {
                    "questions": [
                        {"id": row.qid1, "text": row.question1},
                        {"id": row.qid2, "text": row.question2},
                    ],
                    "is_duplicate": row.is_duplicate,
                }
                for row in RELEASE.itertuples()
            ]
        ),
        path,
    ),
    "nested-json": lambda path: json_lines(path, nested_rows()),
    "parquet": lambda path: RELEASE.to_parquet(path, index=False),
    "parquet-of-categories": lambda path: RELEASE.astype({"question1": "category"}).to_parquet(path, index=False),
    "arrow-file": lambda path: arrow(path, stream=False),
    "arrow-stream": lambda path: arrow(path, stream=True),
    "feather": lambda path: pyarrow.feather.write_feather(RELEASE, str(path), compression="lz4"),
    "json-lines": lambda path: json_lines(path, RELEASE.to_dict("records")),
    "json-lines-of-texts": lambda path: json_lines(path, RELEASE.astype(str).to_dict("records")),
}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip-of-two-members": lambda data: gzip.compress(data[:40]) + gzip.compress(data[40:]),
    "zstd": lambda data: bytes(pa.compress(data, "zstd")),
    "bzip2": bz2.compress,
}


def load(path: Path | str, **settings: Any) -> pd.DataFrame:
    return load_pairs(PairSource(source="file", path=str(path), **settings)).pairs


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("expected") / "pairs.parquet"
    RELEASE.to_parquet(path)
    return load_pairs(PairSource(source="file", path=str(path))).data_version


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("form", FORMS)
def test_the_same_pairs_have_the_same_version_in_every_form(
    tmp_path: Path, expected: str, form: str, packing: str
) -> None:
    path = tmp_path / "pairs"
    FORMS[form](path)
    path.write_bytes(PACKINGS[packing](path.read_bytes()))
    table = load_pairs(PairSource(source="file", path=str(path)))
    assert list(zip(table.pairs["question1"], table.pairs["question2"], table.labels, strict=True)) == QUESTIONS
    assert table.data_version == table.origin.dataset_version == expected


@pytest.mark.parametrize("form", ["kaggle", "glue", "json-lines"])
def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path, expected: str, form: str) -> None:
    path = tmp_path / "pairs"
    FORMS[form](path)
    path.write_bytes("\ufeff".encode() + path.read_bytes())
    assert load_pairs(PairSource(source="file", path=str(path))).data_version == expected


def test_an_arrow_stream_that_is_cut_between_batches_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs"
    arrow(path, stream=True)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(PipelineError, match="the Arrow stream has no end mark"):
        load(path)


def test_quoted_newlines_and_tabs_are_a_part_of_the_text(tmp_path: Path) -> None:
    rows = FRAME.assign(question1=["a\nb\tc", "a\r\nb", "\n", 'x""y', "last,one"])
    for separator in ("\t", ","):
        path = tmp_path / "pairs"
        rows.to_csv(path, index=False, sep=separator, lineterminator="\n")
        assert load(path)["question1"].tolist() == rows["question1"].tolist()


def test_quotes_of_a_file_without_quoting_are_letters(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_text('question1\tquestion2\tis_duplicate\n"Why" is "it so?\tIt is "so"\t0\n"All"\t"b\t1\n')
    pairs = load_audited(PairSource(source="file", path=str(path)))
    assert pairs.table.pairs["question1"].tolist() == ['"Why" is "it so?', '"All"']
    assert pairs.table.pairs["question2"].tolist() == ['It is "so"', '"b']
    assert pairs.audit.facts["form"] == "question pairs in TSV without quoting"


@pytest.mark.parametrize("field", ['5" tall, or 6"', 'say "why" now', 'the "x"-ray'])
def test_a_quote_within_an_open_csv_field_is_a_letter(tmp_path: Path, field: str) -> None:
    path = tmp_path / "pairs.csv"
    text = field.replace(",", ";")
    path.write_text(f'question1,question2,is_duplicate\n{text} x,b,1\n"c,d",e,0\n')
    assert load(path)["question1"].tolist() == [f"{text} x", "c,d"]


@pytest.mark.parametrize(
    "body",
    [
        'x,y,0\n"open,b,1\nc,d,0\n',
        '"open,b,1\nc,"d",0\n',
        'a,"b" c,1\n',
        'a,b"",1\n',
        'a,"b,1',
        'a,b,"1\n',
        '"a "quoted" word",b,1\n',
    ],
)
def test_a_stray_quote_is_refused_with_its_line_and_swallows_no_row(tmp_path: Path, body: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(f"question1,question2,is_duplicate\n{body}")
    with pytest.raises(PipelineError, match=r"a quote in line \d is opened and not closed"):
        load(path)


def test_a_stray_quote_in_a_quoted_tsv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text('"question1"\t"question2"\t"is_duplicate"\n"a\t"b"\t"1"\n')
    with pytest.raises(PipelineError, match="a quote in line 2"):
        load(path)


@pytest.mark.parametrize("broken", [{"id": [8], "text": ["x"]}, {"id": [], "text": []}, None])
def test_nested_rows_without_two_questions_are_rejected_and_the_others_keep_their_ids(
    tmp_path: Path, broken: dict[str, Any] | None
) -> None:
    path = tmp_path / "pairs.parquet"
    rows = [*nested_rows()[:3], {"questions": broken, "is_duplicate": True}, nested_rows()[3]]
    pq.write_table(pa.Table.from_pylist(rows), path)
    pairs = load_audited(PairSource(source="file", path=str(path), max_rejected_share=0.2))
    assert pairs.audit.rejected == {"not two questions": 1}
    assert pairs.audit.facts["question ids"] == "of the source"
    assert pairs.table.pairs["pair_id"].tolist() == [0, 1, 2, 4]
    assert pairs.table.pairs["question2_id"].tolist() == [1, 2, 4, 6]


def test_anchor_and_positive_are_duplicates(tmp_path: Path) -> None:
    path = tmp_path / "pair.parquet"
    pd.DataFrame({"anchor": ["a", "b"], "positive": ["c", "d"]}).to_parquet(path)
    pairs = load(path)
    assert pairs[["question1", "question2"]].to_numpy().tolist() == [["a", "c"], ["b", "d"]]
    assert pairs["is_duplicate"].tolist() == [True, True]


def test_a_triplet_gives_two_pairs(tmp_path: Path) -> None:
    path = tmp_path / "triplet.jsonl"
    json_lines(
        path, [{"anchor": "a", "positive": "b", "negative": "c"}, {"anchor": "d", "positive": "e", "negative": "a"}]
    )
    pairs = load_audited(PairSource(source="file", path=str(path)))
    rows = pairs.table.pairs[["pair_id", "question1", "question2", "is_duplicate"]].to_numpy().tolist()
    assert rows == [[0, "a", "b", True], [1, "a", "c", False], [2, "d", "e", True], [3, "d", "a", False]]
    assert pairs.table.pairs["question2_id"].tolist() == [1, 2, 4, 0]
    assert pairs.audit.read == pairs.audit.kept == 4


def test_own_column_names_are_mapped(tmp_path: Path, expected: str) -> None:
    names = {"question1": "first", "question2": "second", "is_duplicate": "same", "qid1": "a", "qid2": "b"}
    path = tmp_path / "own.csv"
    RELEASE.rename(columns=names).to_csv(path, index=False)
    mapping = {"question1": "first", "question2": "second", "is_duplicate": "same", "question1_id": "a"}
    source = PairSource(source="file", path=str(path), columns={**mapping, "question2_id": "b"})
    assert load_pairs(source).data_version == expected
    with pytest.raises(PipelineError, match="lacks the column question1, question2, is_duplicate; it has: first"):
        load(path)
    with pytest.raises(PipelineError, match="lacks the column third; it has: first"):
        load(path, columns={**mapping, "question2": "third"})


def test_a_mapping_of_an_unknown_part_is_refused() -> None:
    with pytest.raises(ValidationError, match="names the part 'question', but the parts are: pair_id"):
        PairSource(source="file", path="x", columns={"question": "q"})


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("question1,question2,question1,is_duplicate\na,b,c,1\n")
    with pytest.raises(PipelineError, match="has the column question1 2 times"):
        load(path)


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    for name, rows in (("b/0.parquet", FRAME[3:]), ("a/1.parquet", FRAME[2:3]), ("a/0.parquet", FRAME[:2])):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        rows.to_parquet(tmp_path / name)
    for name in ("README.md", "dataset_info.json", ".hidden.csv", "_SUCCESS", ".git/x.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("no pairs")
    pairs = load_audited(PairSource(source="file", path=str(tmp_path)))
    assert (
        list(zip(pairs.table.pairs["question1"], pairs.table.pairs["question2"], pairs.table.labels, strict=True))
        == QUESTIONS
    )
    assert pairs.table.pairs["pair_id"].tolist() == [0, 1, 2, 3, 4]
    assert pairs.table.origin.source == tmp_path.name
    assert pairs.audit.facts["files"] == 3


@pytest.mark.parametrize("other", ["kaggle", "sentence-pairs"])
def test_a_folder_of_mixed_files_is_refused(tmp_path: Path, other: str) -> None:
    FORMS["parquet"](tmp_path / "a.parquet")
    FORMS[other](tmp_path / ("b.csv" if other == "kaggle" else "b.parquet"))
    with pytest.raises(PipelineError, match=r"mixes files: .*a\.parquet holds question pairs in Parquet"):
        load(tmp_path)


def test_a_saved_dataset_is_read(tmp_path: Path, expected: str) -> None:
    import datasets

    datasets.Dataset.from_pandas(RELEASE, preserve_index=False).save_to_disk(str(tmp_path / "saved"), num_shards=2)
    assert load_pairs(PairSource(source="file", path=str(tmp_path / "saved"))).data_version == expected


def test_a_url_is_read_and_its_credentials_are_not_shown(expected: str) -> None:
    UPath("memory://bucket/pairs.tsv").write_bytes(RELEASE[COLUMNS].to_csv(sep="\t", index=False).encode())
    table = load_pairs(PairSource(source="file", path="memory://bucket/pairs.tsv"))
    assert table.data_version == expected
    assert table.origin.source == "pairs.tsv"
    urls = ("memory://secret@bucket/none.tsv", "nosuch://secret@bucket/none.tsv?token=secret")
    for url in (*urls, "http://secret@127.0.0.1:9/bucket/none.tsv?token=secret"):
        with pytest.raises(PipelineError) as caught:
            load(url)
        assert "secret" not in str(caught.value)
        assert "bucket/none.tsv" in str(caught.value)


LONG = {
    "100,000 characters": "word " * 20_000,
    "100,000 emoji": "😀" * 100_000,
    "emoji": "👩‍👩‍👧‍👦 why?",
    "right to left": "ما هو الحل الأفضل؟ \u200fשלום",
    "only whitespace": " \t \u00a0 ",
    "only punctuation": "?!… —",
}


@pytest.mark.parametrize("form", ["kaggle", "parquet", "json"])
def test_texts_of_every_kind_and_length_are_kept(tmp_path: Path, form: str) -> None:
    texts = list(LONG.values())
    rows = pd.DataFrame({"question1": texts, "question2": texts[::-1], "is_duplicate": [0, 1, 0, 1, 0, 1]})
    path = tmp_path / "pairs"
    match form:
        case "kaggle":
            rows.to_csv(path, index=False)
        case "parquet":
            rows.to_parquet(path)
        case _:
            json_lines(path, rows.to_dict("records"))
    pairs = load_audited(PairSource(source="file", path=str(path)))
    assert pairs.table.pairs["question1"].tolist() == texts
    assert pairs.table.pairs["question2"].tolist() == texts[::-1]
    assert pairs.audit.facts["longest question (characters)"] == 100_000
    # Of the twelve questions two are blank; they stand in two pairs.
    assert pairs.audit.found["with a blank question"] == 2
    write_value(tmp_path, pairs.table)
    (stored,) = tmp_path.glob("*.parquet")
    back = PairTable.from_arrow(pq.read_table(stored))
    assert back.data_version == pairs.table.data_version
    for strategy in ("reference", "question_disjoint"):
        plan = SplitPlan.model_validate({"strategy": strategy, "eval_fraction": 0.33, "dev_fraction": 0.5})
        sides = split_pairs(back, plan)
        rows = pd.concat([sides.train.pairs, sides.dev.pairs, sides.eval.pairs]).sort_values("pair_id")
        assert rows["question1"].tolist() == texts


@exhaustive
@pytest.mark.slow
def test_a_release_like_quoras_is_the_same_data_in_every_form(tmp_path: Path) -> None:
    """A release of a tenth of the size, or, in `make prove`, of the whole size."""
    from quora_like import PAIRS, WRITERS, quora_like

    rows = tries(PAIRS // 10, PAIRS)
    table = quora_like(rows)
    versions = set()
    for write in WRITERS.values():
        write(table, tmp_path / "pairs")
        pairs = load_audited(PairSource(source="file", path=str(tmp_path / "pairs")))
        assert pairs.audit.read == pairs.audit.kept == rows
        versions.add(pairs.table.data_version)
    assert len(versions) == 1
    assert pairs.table.positive_rate == pytest.approx(0.369, abs=0.005)


def test_real_pairs_are_the_same_data_in_every_format(tmp_path: Path, real_pairs_path: Path) -> None:
    def version(name: str) -> str:
        return load_pairs(PairSource(source="file", path=str(tmp_path / name))).data_version

    pairs = load_pairs(PairSource(source="file", path=str(real_pairs_path))).pairs
    rows = pairs[["pair_id", "question1", "question2", "is_duplicate"]]
    rows.to_parquet(tmp_path / "parquet")
    rows.to_csv(tmp_path / "csv", index=False)
    rows.to_csv(tmp_path / "all-quoted.tsv", index=False, sep="\t", quoting=csv.QUOTE_ALL)
    rows.to_json(tmp_path / "jsonl", orient="records", lines=True)
    assert {version(name) for name in ("csv", "all-quoted.tsv", "jsonl")} == {version("parquet")}

    # GLUE's form holds no line's end within a text.
    flat = rows.assign(
        **{name: rows[name].str.replace(r"[\r\n]", " ", regex=True) for name in ("question1", "question2")}
    )
    flat.to_parquet(tmp_path / "flat")
    lines = ["\t".join(map(str, row)) for row in [tuple(flat.columns), *flat.itertuples(index=False)]]
    (tmp_path / "glue.tsv").write_text("\n".join(lines), encoding="utf-8")
    assert version("glue.tsv") == version("flat")
