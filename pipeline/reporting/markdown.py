"""A report as Markdown: with its pictures for Dagster's UI, without for a model card."""

import base64
from collections.abc import Iterable, Iterator, Sequence

from pipeline.core.foreign_text import for_markdown
from pipeline.core.tables import markdown_lines
from pipeline.evaluation.report import EvaluationReport
from pipeline.reporting.plots import Picture
from pipeline.reporting.sections import Section, results, sections, title
from pipeline.reporting.verdict import verdict


def markdown(report: EvaluationReport, pictures: Sequence[Picture] = ()) -> str:
    """The report in GitHub's Markdown; `pictures` stand in it as data, so that the text is all there is."""
    return _joined(report, sections(report), pictures, verdict(report))


def results_markdown(report: EvaluationReport) -> str:
    """The figures alone, for a page that is published: no row of the data, no picture."""
    return _joined(report, results(report), ())


def _joined(
    report: EvaluationReport, parts: Iterable[Section], pictures: Sequence[Picture], first: str | None = None
) -> str:
    """`first` is a sentence of this project alone, so it needs no backslashes."""
    drawn = {picture.name: picture for picture in pictures}
    lines = [f"**{for_markdown(title(report))}**", ""]
    if first:
        lines += [first, ""]
    for section in parts:
        lines += _section(section, drawn)
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Section, drawn: dict[str, Picture]) -> Iterator[str]:
    yield from (f"### {for_markdown(section.title)}", "")
    for sentence in section.sentences:
        yield from (for_markdown(sentence), "")
    for table in section.tables:
        if len(section.tables) > 1:
            yield from (f"**{for_markdown(table.caption)}**", "")
        yield from (*markdown_lines(table), "")
    for sentence in section.notes:
        yield from (for_markdown(sentence), "")
    for name in section.pictures:
        if picture := drawn.get(name):
            yield f"![{for_markdown(picture.alt)}](data:image/png;base64,{base64.b64encode(picture.png).decode()})"
            yield ""
