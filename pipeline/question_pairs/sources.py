"""Reads question pairs from a file, a folder, a URL, the Hugging Face hub or the bundled sample into the one schema."""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.errors import InputError
from pipeline.core.foreign_text import without_credentials
from pipeline.question_pairs.audit import (
    BEYOND_FRACTION,
    BLANK,
    CONTRADICTORY,
    MIRRORED,
    QUESTION_IDS,
    REPEATED,
    Audit,
    blank,
    excerpts,
    repetitions,
    unsound_ids,
)
from pipeline.question_pairs.corrections import corrected
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.questions import DistinctQuestions
from pipeline.question_pairs.reading.files import DataFile, Deadline, bytes_sha256, find_files
from pipeline.question_pairs.reading.forms import UNKNOWN_LABEL, FormPairs
from pipeline.question_pairs.reading.hub_dataset import dataset_commit, fetch_dataset
from pipeline.question_pairs.reading.labels import LabelWords
from pipeline.question_pairs.reading.pair_files import read_pair_files
from pipeline.question_pairs.schema import PAIR_SCHEMA, DataOrigin, PairTable, ids_by_text, table_version

SAMPLE = Path(__file__).with_name("sample.csv")
"""4,002 generated pairs like Quora's, about 178 topics that have no question in common. Two questions are duplicates if
they were made of wordings of one meaning with the same values filled in, so labels don't depend on how words look."""

_ROUNDING = 1e-9
_WITH_LABELS = "give the meanings of your words in `labels`, "
_LONGEST_REASONS = 80
"""Characters of a message after which further reasons are counted together."""


@dataclass(frozen=True)
class AuditedPairs:
    """Question pairs, and what became of each row of their source."""

    table: PairTable
    audit: Audit


def load_pairs(source: PairSource) -> PairTable:
    """Read the pairs of a source without their audit."""
    return load_audited(source).table


def load_audited(source: PairSource) -> AuditedPairs:
    """Read the pairs of a source. Rows keep their order, and missing texts become empty strings.

    Question ids come from the source when every row has them; otherwise distinct texts are numbered in order of
    first appearance. Pairs without an id get their row number, which counts rejected rows.

    The data version is the hash of the kept rows, so the same rows have the same version in any form. The commit of a
    hub dataset is in the origin.

    Raises:
        PipelineError: when the source is missing, unreachable, unreadable or empty, lacks a column, has more broken
            rows than `max_rejected_share`, or contradictory pairs with `contradictory_pairs: fail`; and as `corrected`.
    """
    deadline = Deadline(source.max_seconds)
    if source.source == "bundled_sample":
        origin = DataOrigin(source="bundled sample, seed 42", synthetic=True)
        name, files = "the bundled sample", [DataFile("the bundled sample", SAMPLE)]
    elif source.source == "hub":
        dataset = fetch_dataset(
            source.hub_id, source.hub_config, source.hub_revision, source.hub_split, source.max_bytes
        )
        origin = DataOrigin(source=source.hub_id, synthetic=False, revision=dataset.commit)
        name, files = f"hub dataset {source.hub_id!r}", dataset.files
    else:
        name = str(source.path)
        files = find_files(name, deadline)
        name = without_credentials(name)
        origin = DataOrigin(source=name.rstrip("/").rpartition("/")[2] or name, synthetic=False)
    # The sample is read as it is stored, whatever the settings say of other files.
    parts, audit = _read(files, name, PairSource() if source.source == "bundled_sample" else source, deadline)
    if origin.revision:
        audit = replace(audit, facts={**audit.facts, "commit": origin.revision})
    pairs, ids = _joined(parts)
    pairs, audit = _reviewed(pairs, audit, source, deadline)
    return _curated(pairs, ids, _missing_ids(parts), origin, audit, source)


def _reviewed(pairs: pa.Table, audit: Audit, source: PairSource, deadline: Deadline) -> tuple[pa.Table, Audit]:
    """Correct the labels, if there are corrections."""
    return corrected(pairs, audit, source, deadline) if source.corrections else (pairs, audit)


def _read(
    files: Sequence[DataFile], name: str, source: PairSource, deadline: Deadline
) -> tuple[list[FormPairs], Audit]:
    """Read the pairs of each file without rejected rows, and the audit so far."""
    found = read_pair_files(files, name, source, deadline)
    parts, words = found.parts, LabelWords.of(source.labels)
    shown = files[0].name if len(files) == 1 else name
    facts: dict[str, str | int] = {"form": found.form, "files": len(files)}
    if labels := words.described(_labels(parts)):
        facts["labels"] = labels
    audit = _account(parts, facts)
    rejected = sum(audit.rejected.values())
    if rejected > source.max_rejected_share * audit.read:
        raise InputError(
            f"{shown}: {rejected:,} of {audit.read:,} rows are broken: {(reasons := _reasons(audit))}; correct them, "
            f"{_WITH_LABELS if UNKNOWN_LABEL in reasons else ''}or raise `max_rejected_share`, now "
            f"{source.max_rejected_share:g}",
            path=shown,
            rejected=dict(audit.rejected),
            read=audit.read,
        )
    if not audit.kept:
        raise InputError(f"{shown} has a header but no question pairs: name another file", path=shown)
    return parts, audit


def _reasons(audit: Audit) -> str:
    """Why rows were rejected: the most frequent reason first, with an example."""
    (first, most), *others = sorted(audit.rejected.items(), key=lambda reason: -reason[1])
    shown = f"{most:,} with {first} ({audit.examples[first][0]})"
    for at, (reason, count) in enumerate(others):
        if len(shown) > _LONGEST_REASONS:
            return f"{shown}, {sum(count for _, count in others[at:]):,} for other reasons"
        shown += f", {count:,} with {reason}"
    return shown


def _labels(parts: Sequence[FormPairs]) -> dict[str, int]:
    """Number of pairs with each label, in all files."""
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.labels)
    return dict(counts)


def _account(parts: Sequence[FormPairs], facts: Mapping[str, str | int]) -> Audit:
    rejected: dict[str, int] = {}
    examples: dict[str, tuple[str, ...]] = {}
    for part in parts:
        for reason, count in part.rejected.items():
            rejected[reason] = rejected.get(reason, 0) + count
            examples.setdefault(reason, part.examples[reason])
    return Audit(sum(part.read for part in parts), rejected, examples=examples, facts=facts)


def _joined(parts: Sequence[FormPairs]) -> tuple[pa.Table, dict[str, pa.Array]]:
    """Join the parts to one table with consecutive row numbers, and keep the ids that every row has."""
    offsets = np.cumsum([0] + [part.read for part in parts[:-1]])
    rows = [pc.add(part.pairs["row"], int(offset)) for part, offset in zip(parts, offsets, strict=True)]
    joined = pa.concat_tables(part.pairs for part in parts).drop_columns("row")
    whole = {name for name in parts[0].ids if all(name in part.ids for part in parts)}
    ids = {name: pa.concat_arrays([part.ids[name] for part in parts]) for name in whole}
    return joined.append_column("row", [chunk for row in rows for chunk in row.chunks]).combine_chunks(), ids


def _missing_ids(parts: Sequence[FormPairs]) -> dict[str, str]:
    """For each id that can't be used the reason: a file lacks it, or has a row without a number."""
    reasons: dict[str, str] = {}
    for part in {name for some in parts for name in (*some.ids, *some.no_ids)}:
        lacking = next((some for some in parts if part not in some.ids), None)
        if lacking is not None:
            reasons[part] = lacking.no_ids.get(part, "some of the files have none")
    return reasons


def _curated(
    pairs: pa.Table,
    ids: Mapping[str, pa.Array],
    no_ids: Mapping[str, str],
    origin: DataOrigin,
    audit: Audit,
    source: PairSource,
) -> AuditedPairs:
    """Take the requested fraction, find repeated and contradictory pairs, drop those that the settings drop, and number
    pairs and questions where the source has no usable ids."""
    # Rounded up, but not by the noise of binary fractions: 0.07 of 100 pairs are 7.
    used = math.ceil(source.fraction * len(pairs) - _ROUNDING)
    beyond = {BEYOND_FRACTION: len(pairs) - used} if source.fraction < 1 else {}
    pairs, ids = pairs.slice(0, used), {name: column.slice(0, used) for name, column in ids.items()}
    index = DistinctQuestions.of_texts(*(pairs[name].to_numpy() for name in ("question1", "question2")))
    twice = repetitions(index.first_question, index.second_question, np.asarray(pairs["is_duplicate"]))
    found = {
        CONTRADICTORY: twice.contradictory,
        REPEATED: twice.repeated,
        MIRRORED: twice.mirrored,
        BLANK: blank(pairs["question1"]) | blank(pairs["question2"]),
    }
    is_duplicate, rows = np.asarray(pairs["is_duplicate"]), np.asarray(pairs["row"])
    unsound = unsound_ids(ids, index, is_duplicate, rows)
    ids = {name: column for name, column in ids.items() if name not in unsound}
    has_ids = all(name in ids for name in QUESTION_IDS)
    lengths = [int(pc.max(pc.utf8_length(pairs[name])).as_py()) for name in ("question1", "question2")]
    examples = {kind: excerpts(flags, pairs) for kind, flags in found.items() if flags.any()}
    is_kept, dropped_by_kind = _kept(found, examples, origin, source)
    if has_ids:
        first, second = ids["question1_id"], ids["question2_id"]
    else:
        first, second = map(pa.array, ids_by_text(pairs["question1"], pairs["question2"]))
    columns = {
        "pair_id": ids.get("pair_id", pairs["row"]),
        "question1_id": first,
        "question2_id": second,
        **{name: pairs[name] for name in ("question1", "question2", "is_duplicate")},
    }
    table = pa.table(columns, schema=PAIR_SCHEMA)
    if dropped_by_kind:
        table = table.filter(is_kept)
    facts: dict[str, str | int] = {
        **_told_ids(has_ids, {**no_ids, **unsound}),
        "longest question (characters)": max(lengths),
    }
    return AuditedPairs(
        PairTable(table.to_pandas(), origin.model_copy(update={"dataset_version": table_version(table)})),
        replace(
            audit,
            dropped={**beyond, **dropped_by_kind},
            found={kind: int(flags.sum()) for kind, flags in found.items()},
            examples={**audit.examples, **examples},
            facts={**audit.facts, **facts},
        ),
    )


def _told_ids(has_ids: bool, reasons: Mapping[str, str]) -> dict[str, str]:
    """Where the ids come from, and why those of the source weren't used."""
    why = next((reasons[name] for name in QUESTION_IDS if name in reasons), None)
    told = {"question ids": "of the source" if has_ids else f"by text, as {why}" if why else "by text"}
    return told | ({"pair ids": f"by row, as {reasons['pair_id']}"} if "pair_id" in reasons else {})


def _kept(
    found: Mapping[str, np.ndarray], examples: Mapping[str, tuple[str, ...]], origin: DataOrigin, source: PairSource
) -> tuple[np.ndarray, dict[str, int]]:
    """Which pairs the settings keep, and the number that they drop by reason. A pair is dropped for one reason only."""
    if source.contradictory_pairs == "fail" and CONTRADICTORY in examples:
        raise InputError(
            f"{origin.source}: {int(found[CONTRADICTORY].sum()):,} rows have the same two questions as another row and "
            f"the other label (the first: {examples[CONTRADICTORY][0]}): correct them, or set `contradictory_pairs` "
            "to keep or drop",
            path=origin.source,
            rows=int(found[CONTRADICTORY].sum()),
        )
    settings = {
        CONTRADICTORY: source.contradictory_pairs,
        REPEATED: source.repeated_pairs,
        MIRRORED: source.mirrored_pairs,
    }
    is_kept = np.ones(len(found[BLANK]), dtype=bool)
    dropped: dict[str, int] = {}
    for kind, setting in settings.items():
        if setting == "drop" and (count := int((found[kind] & is_kept).sum())):
            dropped[kind] = count
            is_kept &= ~found[kind]
    if not is_kept.any():
        raise InputError(
            f"{origin.source}: the settings drop all {len(is_kept):,} pairs: keep some kind",
            path=origin.source,
            dropped=dropped,
        )
    return is_kept, dropped


def source_fingerprint(source: PairSource, seconds: float) -> str | None:
    """Identify the current state of a source without reading its pairs.

    Returns:
        The commit of a hub dataset, or a hash of the names and bytes of files, which covers corrections too. None for
        the bundled sample without corrections, which never changes.

    Args:
        seconds: the time for a source behind a URL, if its `max_seconds` isn't shorter.

    Raises:
        PipelineError: when the source is missing, unreachable, too slow, or larger than its `max_bytes`.
    """
    deadline = Deadline(min(seconds, source.max_seconds))
    if source.source == "bundled_sample":
        of_pairs = None
    elif source.source == "hub":
        of_pairs = dataset_commit(source.hub_id, source.hub_revision)
    else:
        of_pairs = _files_sha256(str(source.path), "path", source.max_bytes, deadline)
    if not source.corrections:
        return of_pairs
    of_corrections = _files_sha256(source.corrections, "corrections", source.max_bytes, deadline)
    return hashlib.sha256(f"{of_pairs}\0{of_corrections}".encode()).hexdigest()


def _files_sha256(location: str, setting: str, limit: int, deadline: Deadline) -> str:
    digest = hashlib.sha256()
    for file in find_files(location, deadline, setting):
        digest.update(f"{file.name}\0{bytes_sha256(file, limit, deadline)}\0".encode())
    return digest.hexdigest()
