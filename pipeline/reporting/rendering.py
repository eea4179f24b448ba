"""Render a report as a self-contained HTML page without scripts, or as Markdown."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.core.foreign_text import for_markdown, for_terminal
from pipeline.core.tables import markdown_lines
from pipeline.evaluation.report import EvaluationReport
from pipeline.reporting.plots import Picture
from pipeline.reporting.sections import Section, results, sections, title
from pipeline.reporting.verdict import verdict


def page(report: EvaluationReport, pictures: Sequence[Picture]) -> str:
    """Return the page, with the pictures embedded."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja").render(
        title=title(report),
        verdict=verdict(report),
        report=report,
        sections=list(sections(report)),
        pictures={picture.name: picture for picture in pictures},
        data_uri=_data_uri,
    )


def _visible(value: object) -> object:
    """Replace invisible characters in foreign text. The template's own markup is no plain `str`, and stays as it is."""
    return for_terminal(value) if type(value) is str else value


def _data_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def markdown(report: EvaluationReport, pictures: Sequence[Picture] = ()) -> str:
    """Return the report in GitHub's Markdown, with `pictures` embedded as data URIs."""
    return _joined(report, sections(report), pictures, verdict(report))


def results_markdown(report: EvaluationReport) -> str:
    """Return the figures alone, without rows of the data or pictures: safe to publish."""
    return _joined(report, results(report), ())


def _joined(
    report: EvaluationReport, parts: Iterable[Section], pictures: Sequence[Picture], first: str | None = None
) -> str:
    # `first` contains no foreign text, so it needs no escaping.
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
