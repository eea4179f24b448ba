"""A report as one page of HTML that needs nothing else: styles and pictures are in it, and there is no script."""

import base64
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.core.foreign_text import for_terminal
from pipeline.evaluation.report import EvaluationReport
from pipeline.reporting.plots import Picture
from pipeline.reporting.sections import sections, title
from pipeline.reporting.verdict import verdict


def page(report: EvaluationReport, pictures: Sequence[Picture]) -> str:
    """The page's text, with `pictures` in it."""
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
    """A foreign text without signs that can't be seen; what the template itself holds stays as it is."""
    return for_terminal(value) if type(value) is str else value


def _data_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
