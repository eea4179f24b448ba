"""Recognises the form of a table of question pairs by its columns, and converts all forms to one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.errors import InputError, excerpt, listing
from pipeline.question_pairs.reading.labels import PLAIN_WORDS, LabelWords, label_keys
from pipeline.question_pairs.reading.table_file import LabelColumn, Limits, RawRows, TableFile

_IDS = {
    "pair_id": ("pair_id", "id", "idx"),
    "question1_id": ("question1_id", "qid1"),
    "question2_id": ("question2_id", "qid2"),
}
_LABELS = ("is_duplicate", "label")
_TEXTS = (("question1", "question2"), ("sentence1", "sentence2"))

MISSING_LABEL = "missing label"
UNKNOWN_LABEL = "unknown label"
NUL_BYTE = "NUL byte in a question"
NOT_TWO_QUESTIONS = "not two questions"
MALFORMED = "another number of fields than the header"

_ALL_DUPLICATES = "anchor and positive"

_EXAMPLES = 3
_WORDS_OF_A_TEXT = 4


@dataclass(frozen=True)
class FormPairs:
    """The pairs of one file in the common form, without rejected rows.

    Attributes:
        form: its name, such as `question pairs`.
        pairs: question1 and question2 (large_string, no nulls), is_duplicate (bool) and row (int64: the pair's
            number in the file, counting rejected rows but not malformed ones).
        ids: those of pair_id, question1_id and question2_id that every row has, as int64.
        read: number of pairs in the file, including rejected ones.
        rejected: number of rejected pairs by reason.
        examples: for each reason, excerpts of the first rows with their numbers.
        no_ids: for each id of the file that can't be used, the reason.
        labels: number of pairs with each label, in lower case and without outer blanks.
    """

    form: str
    pairs: pa.Table
    ids: Mapping[str, pa.Array]
    read: int
    rejected: Mapping[str, int]
    examples: Mapping[str, tuple[str, ...]]
    no_ids: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Columns:
    """The columns of a file by their parts.

    Attributes:
        form: its name, such as `question pairs`.
        parts: the file's column for each part, such as question1, label or anchor.
    """

    form: str
    parts: Mapping[str, str]


def read_pairs(
    file: TableFile, name: str, mapping: Mapping[str, str], limits: Limits, words: LabelWords | None = None
) -> FormPairs:
    """Read the pairs of a file in any known form.

    Args:
        name: of the file, for messages.
        mapping: the file's column for each of `PAIR_COLUMNS` that has another name there.
        limits: beyond which the file is refused.
        words: the meanings of labels, by default the known ones.

    Raises:
        InputError: when a column is missing, occurs twice, or holds neither texts nor lists of them, or when two
            columns for the same part contradict each other.
        NotReadableError: as of `TableFile.read`.
    """
    words = words or LabelWords()
    columns = _recognise(file, name, mapping)
    rivals = _rivals(columns, file.columns, mapping)
    if columns.form == _ALL_DUPLICATES and (label := _first(_LABELS, file.columns)):
        rivals["label"] = label
    wanted = dict.fromkeys([*columns.parts.values(), *rivals.values()])
    label_column = LabelColumn(columns.parts["label"], words) if "label" in columns.parts else None
    raw = file.read(wanted, limits, label_column)
    table = {part: raw.table.column(column) for part, column in columns.parts.items()}
    for part, rival in rivals.items():
        if part in table:
            _check_rival(part, (columns.parts[part], table[part]), (rival, raw.table.column(rival)), words, name)
        else:
            _check_all_duplicates(rival, raw.table.column(rival), words, name)
    if "questions" in table:
        table = _unnested(table, name)
    elif "anchor" in table:
        table = _from_triplets(table, name)
    return _checked(columns.form, table, raw, 2 if "negative" in columns.parts else 1, words, name)


def _recognise(file: TableFile, name: str, mapping: Mapping[str, str]) -> _Columns:
    columns = _columns(file.columns, mapping)
    if any(column not in file.columns for column in columns.parts.values()):
        # Rows of JSON need not have the same columns.
        columns = _columns(file.all_columns(), mapping)
    found = file.columns
    if missing := [column for column in columns.parts.values() if column not in found]:
        if file.format not in _FORMATS_WITH_NAMES and not set(found) & _KNOWN and _is_a_row(found):
            raise InputError(
                f"{name} has no header: its first line, {excerpt(', '.join(found))}, is already a row; add a line "
                f"above it that names the columns, such as {', '.join(columns.parts.values())}",
                path=name,
                columns=found,
            )
        raise InputError(
            f"{name} lacks the column {', '.join(missing)}; it has: {listing(found)}; if yours have other names, give "
            "them in `columns`",
            path=name,
            missing=missing,
            columns=found,
        )
    if twice := [column for column in columns.parts.values() if found.count(column) > 1]:
        raise InputError(
            f"{name} has the column {twice[0]} {found.count(twice[0])} times: rename all but one",
            path=name,
            column=twice[0],
        )
    return columns


def _columns(found: Sequence[str], mapping: Mapping[str, str]) -> _Columns:
    """The form that fits these columns best, even if some that it needs are missing."""
    ids = {part: mapping.get(part) or _first(aliases, found) for part, aliases in _IDS.items()}
    optional = {part: column for part, column in ids.items() if column is not None}
    label = mapping.get("is_duplicate") or _first(_LABELS, found) or _LABELS[0]
    texts = next((pair for pair in _TEXTS if set(pair) <= set(found)), _TEXTS[0])
    form = {"question1": "question pairs", "sentence1": "sentence pairs"}[texts[0]]
    parts: dict[str, str] = {
        "question1": mapping.get("question1", texts[0]),
        "question2": mapping.get("question2", texts[1]),
        "label": label,
        **optional,
    }
    if not {"question1", "question2"} & set(mapping) and not set(texts) <= set(found):
        if "questions" in found:
            form, parts = "nested questions", {"questions": "questions", "label": label}
        elif {"anchor", "positive"} <= set(found) and "is_duplicate" not in mapping:
            form, parts = _ALL_DUPLICATES, {"anchor": "anchor", "positive": "positive"}
            if "negative" in found:
                form, parts = "triplets", {**parts, "negative": "negative"}
    return _Columns(form, parts)


def _rivals(columns: _Columns, found: Sequence[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """For each part another column that could hold it too, unless the settings name one."""
    others: dict[str, tuple[str, ...]] = {"label": _LABELS}
    if "question1" in columns.parts:
        others |= dict(zip(("question1", "question2"), zip(*_TEXTS, strict=True), strict=True))
    named = {*mapping, *(("label",) if "is_duplicate" in mapping else ())}
    rivals = {
        part: name
        for part, names in others.items()
        if part in columns.parts and part not in named and columns.parts[part] in names
        for name in names
        if name != columns.parts[part] and found.count(name) == 1
    }
    # A single text of the other form is no form.
    return rivals if {"question1", "question2"} <= set(rivals) else {p: r for p, r in rivals.items() if p == "label"}


def _check_rival(
    part: str,
    chosen: tuple[str, pa.ChunkedArray],
    other: tuple[str, pa.ChunkedArray],
    words: LabelWords,
    name: str,
) -> None:
    """Refuse two columns for the same part if they differ in a row."""
    if any(pa.types.is_nested(column.type) for _, column in (chosen, other)):
        return
    first, second = (_texts(column, part, name) for _, column in (chosen, other))
    if part == "label":
        (first, bad), (second, other_bad) = (_label(label_keys(texts), words) for texts in (first, second))
        is_known = ~(bad[MISSING_LABEL] | bad[UNKNOWN_LABEL] | other_bad[MISSING_LABEL] | other_bad[UNKNOWN_LABEL])
    else:
        is_known = _numpy(pc.and_(pc.not_equal(first, ""), pc.not_equal(second, "")))
    rows = np.flatnonzero(is_known & _numpy(pc.not_equal(first, second)))
    if not len(rows):
        return
    key = "is_duplicate" if part == "label" else part
    values = " and ".join(excerpt(str(column[int(rows[0])].as_py())) for _, column in (chosen, other))
    raise InputError(
        f"{name}: the columns {chosen[0]} and {other[0]} contradict each other in {len(rows):,} rows (data row "
        f"{rows[0] + 1:,}: {values}): choose one, such as by `columns`: {{{key}: {chosen[0]}}}",
        path=name,
        columns=(chosen[0], other[0]),
        rows=len(rows),
        row=int(rows[0]) + 1,
    )


def _check_all_duplicates(column: str, values: pa.ChunkedArray, words: LabelWords, name: str) -> None:
    """Refuse a file of anchors and positives with a label by which some aren't duplicates."""
    if pa.types.is_nested(values.type):
        return
    is_true, bad = _label(label_keys(_texts(values, "label", name)), words)
    rows = np.flatnonzero(~_numpy(is_true) & ~bad[MISSING_LABEL] & ~bad[UNKNOWN_LABEL])
    if len(rows):
        raise InputError(
            f"{name}: positives are duplicates, but {column} says otherwise in {len(rows):,} rows (data row "
            f"{rows[0] + 1:,}): set `columns` to {{question1: anchor, question2: positive, is_duplicate: {column}}}",
            path=name,
            column=column,
            rows=len(rows),
            row=int(rows[0]) + 1,
        )


_FORMATS_WITH_NAMES = ("Parquet", "Arrow", "JSON lines")
_KNOWN = {
    *(name for names in _IDS.values() for name in names),
    *(name for names in (*_TEXTS, _LABELS) for name in names),
    *("questions", "anchor", "positive", "negative"),
}


def _is_a_row(fields: Sequence[str]) -> bool:
    """Whether these look like the fields of a row rather than names of columns."""
    is_label = any(field.strip().lower() in PLAIN_WORDS for field in fields)
    is_text = any(field.rstrip().endswith("?") or len(field.split()) >= _WORDS_OF_A_TEXT for field in fields)
    return len(fields) > 1 and (is_label or is_text)


def _first(names: Iterable[str], found: Sequence[str]) -> str | None:
    return next((name for name in names if name in found), None)


def _unnested(table: Mapping[str, pa.ChunkedArray], name: str) -> dict[str, pa.Array]:
    """Read the hub's form: `questions` holds two texts (and their ids), as a struct of lists or a list of structs.

    The result has one more column, the flag `is_pair`: whether there are two.
    """
    questions = table["questions"].combine_chunks()
    kind = questions.type
    if pa.types.is_struct(kind) and kind.get_field_index("text") >= 0:
        lists = {part: pc.struct_field(questions, part) for part in ("text", "id") if kind.get_field_index(part) >= 0}
        if not all(_is_list(values.type) for values in lists.values()):
            raise _not_text("questions", kind, name)
        is_pair = _has_two(lists["text"])
        if "id" in lists and not _has_two(lists["id"])[is_pair].all():
            del lists["id"]
        first = {part: _element(values, is_pair, 0) for part, values in lists.items()}
        second = {part: _element(values, is_pair, 1) for part, values in lists.items()}
    elif _is_list(kind) and pa.types.is_struct(kind.value_type) and kind.value_type.get_field_index("text") >= 0:
        is_pair = _has_two(questions)
        both = [_element(questions, is_pair, at) for at in (0, 1)]
        parts = [part for part in ("text", "id") if kind.value_type.get_field_index(part) >= 0]
        first, second = ({part: pc.struct_field(values, part) for part in parts} for values in both)
    else:
        raise _not_text("questions", kind, name)
    unnested = {"question1": first["text"], "question2": second["text"], "label": table["label"]}
    if "id" in first:
        unnested |= {"question1_id": first["id"], "question2_id": second["id"]}
    return {**unnested, "is_pair": is_pair}


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _has_two(lists: pa.Array) -> np.ndarray:
    return _numpy(pc.fill_null(pc.equal(pc.list_value_length(lists), 2), False))


def _element(lists: pa.Array, is_pair: np.ndarray, at: int) -> pa.Array:
    """The element of each list that is a pair, null elsewhere."""
    elements = pc.list_element(lists.filter(is_pair), at) if is_pair.any() else pa.nulls(0, lists.type.value_type)
    return elements.take(pa.array(np.cumsum(is_pair) - 1, mask=~is_pair))


def _from_triplets(table: Mapping[str, pa.ChunkedArray], name: str) -> dict[str, pa.ChunkedArray]:
    """Make duplicates of anchors and positives, and other pairs of anchors and negatives."""
    anchor, positive = (_texts(table[part], part, name) for part in ("anchor", "positive"))
    if "negative" not in table:
        return {"question1": anchor, "question2": positive, "label": pa.array(np.ones(len(anchor), dtype=bool))}
    negative = _texts(table["negative"], "negative", name)
    n = len(anchor)
    order = np.arange(2 * n).reshape(2, n).T.ravel()  # 0, n, 1, n + 1, …
    return {
        "question1": anchor.take(np.repeat(np.arange(n), 2)),
        "question2": pa.concat_arrays([positive, negative]).take(order),
        "label": pa.array(np.tile([True, False], n)),
    }


def _checked(
    form: str, table: Mapping[str, pa.Array], raw: RawRows, pairs_per_row: int, words: LabelWords, name: str
) -> FormPairs:
    """Keep the rows that are pairs, and count the others by reason."""
    first, second = (_texts(table[part], part, name) for part in ("question1", "question2"))
    keys = label_keys(_texts(table["label"], "label", name))
    label, defects = _label(keys, words)
    defects[NUL_BYTE] = _numpy(pc.or_(_has_nul(first), _has_nul(second)))
    if "is_pair" in table:
        defects = {NOT_TWO_QUESTIONS: ~table["is_pair"], **defects}
    rejected: dict[str, int] = {}
    examples: dict[str, tuple[str, ...]] = {}
    if raw.malformed:
        rejected[MALFORMED] = raw.malformed * pairs_per_row
        examples[MALFORMED] = raw.examples
    is_good = np.ones(len(first), dtype=bool)
    for reason, is_defect in defects.items():
        rows = np.flatnonzero(is_good & is_defect)
        if len(rows):
            rejected[reason] = len(rows)
            shown = table["label"] if reason == UNKNOWN_LABEL else first
            examples[reason] = tuple(_example(int(row), shown) for row in rows[:_EXAMPLES])
            is_good &= ~is_defect
    pairs = {"question1": first, "question2": second, "is_duplicate": label, "row": pa.array(np.arange(len(first)))}
    ids = {part: table[part] for part in _IDS if part in table}
    if not is_good.all():
        pairs, ids = ({part: column.filter(is_good) for part, column in some.items()} for some in (pairs, ids))
        keys = keys.filter(is_good)
    numbers = {part: _integers(column) for part, column in ids.items()}
    whole = {part: column for part, column in numbers.items() if column is not None}
    file_name = name.rpartition("/")[2]
    no_ids = {part: f"not every row of {file_name} has a whole number" for part in numbers if part not in whole}
    read = len(first) + raw.malformed * pairs_per_row
    labels = {count["values"]: count["counts"] for count in pc.value_counts(keys).to_pylist()}
    return FormPairs(form, pa.table(pairs), whole, read, rejected, examples, no_ids, labels)


def _example(row: int, column: pa.Array) -> str:
    return f"data row {row + 1:,}: {excerpt(str(column[row].as_py()))}"


def _texts(column: pa.ChunkedArray | pa.Array, part: str, name: str) -> pa.Array:
    """The column as texts without nulls: a missing text becomes an empty one."""
    kind = column.type
    if pa.types.is_nested(kind) or pa.types.is_temporal(kind):
        raise _not_text(part, kind, name)
    try:
        texts = column if pa.types.is_large_string(kind) else pc.cast(column, pa.large_string())
    except pa.ArrowException as error:
        raise _not_text(part, kind, name) from error
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    return pc.fill_null(whole, "") if whole.null_count else whole


def _not_text(part: str, kind: pa.DataType, name: str) -> InputError:
    return InputError(
        f"can't read question pairs from {name}: the column {part} holds {kind}, not texts",
        path=name,
        column=part,
        type=str(kind),
    )


def _has_nul(texts: pa.Array) -> pa.Array:
    return pc.greater_equal(pc.find_substring(texts, "\0"), 0)


def _label(keys: pa.Array, words: LabelWords) -> tuple[pa.Array, dict[str, np.ndarray]]:
    """The labels as booleans (false where there is none), and the rows that have none or an unknown one.

    Args:
        keys: as `label_keys` makes them.
    """
    true, false = (pa.array(sorted(of), pa.large_string()) for of in (words.duplicate, words.other))
    is_true, is_missing = pc.is_in(keys, true), pc.equal(keys, "")
    is_known = pc.or_(pc.or_(is_true, pc.is_in(keys, false)), is_missing)
    return is_true, {MISSING_LABEL: _numpy(is_missing), UNKNOWN_LABEL: ~_numpy(is_known)}


def _numpy(flags: pa.Array) -> np.ndarray:
    return flags.to_numpy(zero_copy_only=False)


def _integers(column: pa.ChunkedArray | pa.Array) -> pa.Array | None:
    """The column as int64, or None unless every row has a whole number."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if column.null_count or pa.types.is_nested(column.type) or pa.types.is_boolean(column.type):
        return None
    for kind in (pa.int64(), pa.float64()):
        try:
            # A whole number may be written as 5.0; a safe cast refuses any other fraction.
            return pc.cast(pc.cast(column, kind), pa.int64())
        except pa.ArrowException:
            continue
    return None
