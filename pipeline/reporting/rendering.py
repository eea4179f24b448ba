"""How a report looks: the same sections as Markdown (Dagster, model card) and as a page of HTML to send."""

from collections.abc import Iterator

from pipeline.evaluation.report import EvaluationReport
from pipeline.evaluation.results_csv import results_file_name
from pipeline.reporting.markdown import markdown, results_markdown
from pipeline.reporting.page import page
from pipeline.reporting.plots import pictures

__all__ = ["PAGE_FILE_NAME", "markdown", "page", "pictures", "report_files", "results_markdown"]

PAGE_FILE_NAME = "report.html"


def report_files(report: EvaluationReport) -> Iterator[tuple[str, bytes]]:
    """What is stored beside a report's JSON: (name, content) of the CSV, the page and each picture as SVG and PNG."""
    yield results_file_name(report.stage), report.to_csv().encode()
    drawn = pictures(report)
    yield PAGE_FILE_NAME, page(report, drawn).encode()
    for picture in drawn:
        yield f"pictures/{picture.name}.svg", picture.svg.encode()
        yield f"pictures/{picture.name}.png", picture.png
