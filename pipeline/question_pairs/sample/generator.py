"""Makes the bundled sample: seeded duplicate-question pairs, so that a fresh clone runs without a network.

The wordings come from `intents.txt`. There a *family* is one topic, each of its paragraphs is one
*meaning* and the lines of a paragraph are wordings of that meaning. Two questions are duplicates exactly when
they come from the same paragraph with the same slot values, so a label never depends on how words look.
All pairs of a family hang together, and no text is in two families: a split that keeps questions apart keeps
whole families, and so whole templates, on one side.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.question_pairs.questions import question_key

INTENTS = Path(__file__).with_name("intents.txt").read_text(encoding="utf-8")
TARGET_PAIRS = 4000
SMALLEST_FAMILY, LARGEST_FAMILY = 10, 36
DUPLICATE_RATE = 0.395
COLUMNS = ("pair_id", "question1_id", "question2_id", "question1", "question2", "is_duplicate")

# How a partner is made. The weights are set so that word overlap says little about the label: some duplicates
# are nearly identical and some reworded, and so are some of the non-duplicates.
_DUPLICATE_KINDS = {"near": 0.38, "reword": 0.62}
_DIFFERENT_KINDS = {"value": 0.36, "value_reword": 0.24, "contrast": 0.30, "contrast_value": 0.10}
_REUSE_QUESTION = 0.12  # Share of pairs that join two questions which are there already, as in real forums.
_ALIAS = 0.30  # Share of slot values written in one of their other spellings (NYC, thirty).
_CONTRACT = 0.35
_PUNCTUATION_ONLY = 0.05  # Chance of keeping a pair whose questions differ in case and punctuation only.
_MAX_TRIES = 4000

_CONTRACTIONS = (
    ("What is ", "What's "),
    ("what is ", "what's "),
    ("I am ", "I'm "),
    (" do not ", " don't "),
    (" does not ", " doesn't "),
    (" did not ", " didn't "),
    (" is not ", " isn't "),
    (" cannot ", " can't "),
    ("I would ", "I'd "),
    ("I have been ", "I've been "),
)
_SLOT_LINE = re.compile(r"^(?P<first>[a-z]+)(?: (?P<order>[>~]) (?P<second>[a-z]+))?: (?P<fillers>.+)$")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{([a-z]+)\}")
_SLOT_AND_ARTICLE = re.compile(r"(\b[Aa] )?\{([a-z]+)\}")
_VOWEL_SOUND = re.compile(r"(?!uni|use|usu|eu|[Oo]ne|US\b|UK\b)[aeiouAEIOU]|8|11\b|18\b")


@dataclass(frozen=True)
class Slot:
    """One slot, or an ordered (`>`) or unordered (`~`) pair that takes different values from one list.

    `fillers[i]` holds the spellings of value i, the usual one first.
    """

    names: tuple[str, ...]
    ordered: bool
    fillers: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Family:
    """A topic: `meanings[m]` are the wordings of meaning m, which all use the same slots."""

    name: str
    slots: tuple[Slot, ...]
    meanings: tuple[tuple[str, ...], ...]


Values = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Question:
    """A filled wording. `key` says what is asked: equal keys, and only those, are duplicates."""

    text: str
    meaning: int
    wording: int
    values: Values
    key: tuple[int, Values] = field(compare=False)


@dataclass(frozen=True)
class Pair:
    """Two questions of one family and whether they ask the same thing."""

    question1: str
    question2: str
    is_duplicate: bool
    family: str


def bundled_sample(seed: int = 42) -> pd.DataFrame:
    """Return about 4,000 labelled question pairs, the same ones for the same seed in every process.

    Columns: pair_id (int64, the row number), question1_id and question2_id (int64, distinct texts numbered in
    order of first appearance, question1 before question2), question1 and question2 (str), is_duplicate (bool:
    both ask the same thing). Rows are shuffled.
    """
    pairs = _shuffled_pairs(seed)
    ids: dict[str, int] = {}
    for pair in pairs:
        ids.setdefault(pair.question1, len(ids))
        ids.setdefault(pair.question2, len(ids))
    frame = pd.DataFrame(
        {
            "pair_id": np.arange(len(pairs), dtype=np.int64),
            "question1_id": np.array([ids[pair.question1] for pair in pairs], dtype=np.int64),
            "question2_id": np.array([ids[pair.question2] for pair in pairs], dtype=np.int64),
            "question1": [pair.question1 for pair in pairs],
            "question2": [pair.question2 for pair in pairs],
            "is_duplicate": np.array([pair.is_duplicate for pair in pairs], dtype=np.bool_),
        }
    )
    return frame[list(COLUMNS)]


def sample_families(seed: int = 42) -> pd.Series:
    """Return the family name of each row of `bundled_sample(seed)`, in row order; meant for tests."""
    return pd.Series([pair.family for pair in _shuffled_pairs(seed)], name="family")


@cache
def intent_families() -> tuple[Family, ...]:
    """Parse the intents into families, in file order; a ValueError names the family that breaks a rule."""
    families = tuple(_parse_family(block) for block in re.split(r"(?m)^# ", INTENTS)[1:])
    names = [family.name for family in families]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"intent families named twice: {', '.join(repeated)}")
    return families


def _parse_family(block: str) -> Family:
    head, *paragraphs = [part.strip() for part in re.split(r"\n\s*\n", block.strip())]
    name, *lines = head.split("\n")
    slots: list[Slot] = []
    while lines and (match := _SLOT_LINE.match(lines[0])):
        values = match["fillers"].split("|")
        fillers = tuple(tuple(form.strip() for form in value.split("=")) for value in values)
        names = (match["first"], match["second"]) if match["second"] else (match["first"],)
        slots.append(Slot(names, match["order"] != "~", fillers))
        lines.pop(0)
    meanings = (tuple(lines), *(tuple(paragraph.split("\n")) for paragraph in paragraphs))
    family = Family(name.strip(), tuple(slots), meanings)
    _check_family(family)
    return family


def _check_family(family: Family) -> None:
    if len(family.meanings) < 2 or any(len(set(wordings)) < 2 for wordings in family.meanings):
        raise ValueError(f"family {family.name} needs two or more meanings of two or more wordings each")
    known = {name for slot in family.slots for name in slot.names}
    for wordings in family.meanings:
        used = {frozenset(_SLOT.findall(wording)) for wording in wordings}
        if len(used) != 1 or not used.pop() <= known:
            raise ValueError(f"family {family.name}: unlike or unknown slots in the paragraph of {wordings[0]!r}")


def _shuffled_pairs(seed: int) -> list[Pair]:
    families = intent_families()
    pairs: list[Pair] = []
    owner: dict[str, str] = {}
    for family, size in zip(families, _family_sizes(len(families), seed), strict=True):
        grown = _grow_family(family, size, _stream(seed, family.name))
        for text in {text: None for pair in grown for text in (pair.question1, pair.question2)}:
            if owner.setdefault(question_key(text), family.name) != family.name:
                raise ValueError(f"{text!r} is in two families: {owner[question_key(text)]} and {family.name}")
        pairs.extend(grown)
    _stream(seed, "rows").shuffle(pairs)
    return pairs


def _stream(seed: int, purpose: str) -> random.Random:
    # `random` digests a text seed with SHA-512, so the stream is the same in every process. A stream per
    # family keeps a change in one family from changing the texts of all others.
    return random.Random(f"{seed}/{purpose}")  # noqa: S311 - data for practice, nothing secret


def _family_sizes(count: int, seed: int) -> list[int]:
    """Spread sizes evenly between small and large, so that a split by family can fill its sides closely."""
    spread = np.linspace(SMALLEST_FAMILY, LARGEST_FAMILY, count)
    sizes = [int(size) for size in np.rint(spread * TARGET_PAIRS / spread.sum())]
    sizes = [min(max(size, SMALLEST_FAMILY), LARGEST_FAMILY) for size in sizes]
    _stream(seed, "sizes").shuffle(sizes)
    return sizes


def _grow_family(family: Family, size: int, rng: random.Random) -> list[Pair]:
    """Grow `size` pairs from one first question; each pair touches an earlier one, so all are connected."""
    duplicates = int(size * DUPLICATE_RATE + rng.random())
    labels = [True] * duplicates + [False] * (size - duplicates)
    rng.shuffle(labels)
    texts: dict[str, Question] = {}
    used: set[frozenset[str]] = set()
    pairs: list[Pair] = []
    meaning = rng.randrange(len(family.meanings))
    wording = rng.randrange(len(family.meanings[meaning]))
    first = _ask(family, meaning, wording, _draw_values(family, rng), rng)
    texts[question_key(first.text)] = first
    for label in labels:
        for anchor, candidate in _candidates(family, label, texts, rng):
            partner = texts.get(question_key(candidate.text), candidate)
            edge = frozenset((question_key(anchor.text), question_key(partner.text)))
            if len(edge) < 2 or edge in used or (anchor.key == partner.key) != label:
                continue
            if _bare(anchor.text) == _bare(partner.text) and rng.random() > _PUNCTUATION_ONLY:
                continue
            break
        else:
            raise ValueError(f"family {family.name} has too few wordings or fillers for {size} pairs")
        used.add(edge)
        texts.setdefault(question_key(partner.text), partner)
        one, two = (anchor, partner) if rng.random() < 0.5 else (partner, anchor)
        pairs.append(Pair(one.text, two.text, label, family.name))
    return pairs


def _candidates(
    family: Family, label: bool, texts: dict[str, Question], rng: random.Random
) -> Iterator[tuple[Question, Question]]:
    """Yield (a question that is there, a possible partner) until the tries are spent."""
    weights = _DUPLICATE_KINDS if label else _DIFFERENT_KINDS
    there = list(texts.values())
    reuse = rng.random() < _REUSE_QUESTION
    kind = rng.choices(list(weights), list(weights.values()))[0]
    for attempt in range(_MAX_TRIES):
        if attempt % 20 == 19:  # This kind may be impossible or used up in this family.
            reuse = False
            kind = rng.choices(list(weights), list(weights.values()))[0]
        anchor = rng.choice(there)
        yield anchor, rng.choice(there) if reuse else _partner(family, anchor, kind, rng)


def _partner(family: Family, anchor: Question, kind: str, rng: random.Random) -> Question:
    meaning, wording, values = anchor.meaning, anchor.wording, dict(anchor.values)
    if kind.startswith("contrast"):
        meaning = rng.choice([m for m in range(len(family.meanings)) if m != anchor.meaning] or [meaning])
    wordings = range(len(family.meanings[meaning]))
    if meaning != anchor.meaning:
        wording = rng.choice(wordings)
    elif kind in ("reword", "value_reword"):
        wording = rng.choice([w for w in wordings if w != wording] or [wording])
    if "value" in kind:
        _change_one_slot(family, meaning, values, rng)
    return _ask(family, meaning, wording, values, rng)


def _draw_values(family: Family, rng: random.Random) -> dict[str, int]:
    values: dict[str, int] = {}
    for slot in family.slots:
        values.update(zip(slot.names, rng.sample(range(len(slot.fillers)), len(slot.names)), strict=True))
    return values


def _change_one_slot(family: Family, meaning: int, values: dict[str, int], rng: random.Random) -> None:
    used = set(_SLOT.findall(family.meanings[meaning][0]))
    slots = [slot for slot in family.slots if used.intersection(slot.names)]
    if not slots:
        return
    slot = rng.choice(slots)
    if len(slot.names) == 2 and slot.ordered and rng.random() < 0.5:
        first, second = slot.names
        values[first], values[second] = values[second], values[first]
        return
    name = rng.choice(slot.names)
    taken = {values[other] for other in slot.names}
    free = [value for value in range(len(slot.fillers)) if value not in taken]
    if free:
        values[name] = rng.choice(free)


def _ask(family: Family, meaning: int, wording: int, values: dict[str, int], rng: random.Random) -> Question:
    """Fill one wording: pick its choices, its slot spellings and small typing habits by chance."""
    template = family.meanings[meaning][wording]
    shown = dict(values)
    for slot in family.slots:
        if not slot.ordered and rng.random() < 0.5:  # "A and B" may as well be written "B and A".
            first, second = slot.names
            shown[first], shown[second] = shown[second], shown[first]
    spellings = {name: _spelling(slot.fillers[shown[name]], rng) for slot in family.slots for name in slot.names}
    text = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), template)
    text = _SLOT_AND_ARTICLE.sub(lambda match: _with_article(match[1] or "", spellings[match[2]]), text)
    text = " ".join(text.split())
    text = _habits(text[0].upper() + text[1:], rng)
    used = set(_SLOT.findall(template))
    key = tuple(pair for slot in family.slots for pair in _slot_key(slot, values) if pair[0] in used)
    return Question(text, meaning, wording, tuple(sorted(values.items())), (meaning, key))


def _slot_key(slot: Slot, values: dict[str, int]) -> Iterator[tuple[str, int]]:
    chosen = [values[name] for name in slot.names]
    return zip(slot.names, chosen if slot.ordered else sorted(chosen), strict=True)


def _with_article(article: str, filler: str) -> str:
    return (article.rstrip() + "n " if article and _VOWEL_SOUND.match(filler) else article) + filler


def _spelling(forms: tuple[str, ...], rng: random.Random) -> str:
    return rng.choice(forms[1:]) if len(forms) > 1 and rng.random() < _ALIAS else forms[0]


def _habits(text: str, rng: random.Random) -> str:
    for full, short in _CONTRACTIONS:
        if full in text and rng.random() < _CONTRACT:
            text = text.replace(full, short)
    habit = rng.random()
    if habit < 0.06:
        return text.rstrip("?")
    if habit < 0.08 and text.endswith("?"):
        return text + "?"
    if habit < 0.13 and text[1:2].islower():
        return text[0].lower() + text[1:]
    return text


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
