"""The routes of the service over HTTP."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from pipeline import serving
from pipeline.core.errors import PipelineError
from pipeline.serving.guards import Guards, error_answer, is_allowed
from pipeline.serving.messages import (
    About,
    AddAnswer,
    CompareAnswer,
    Compared,
    CompareRequest,
    ErrorAnswer,
    FoundQuestion,
    Health,
    QuestionsRequest,
    RemoveAnswer,
    SearchAnswer,
    SearchRequest,
)
from pipeline.serving.options import is_loopback
from pipeline.serving.service import RefusedError, Service, Verdicts

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PAGE = Path(serving.__file__).parent / "page"
_PAGE_HEADERS = {
    # The page runs and shows nothing but its own files.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "What is asked for can't be had."},
    401: {"model": ErrorAnswer, "description": "The token is missing or wrong."},
    413: {"model": ErrorAnswer, "description": "More bytes or questions than one request may have."},
    422: {"model": ErrorAnswer, "description": "The body isn't what this path takes."},
    503: {"model": ErrorAnswer, "description": "Not now: too many requests, too much to do, or a disk that is full."},
}


def create_app(service: Service, host: str, token: str | None) -> FastAPI:
    """The service as an ASGI app, which starts and ends it.

    Args:
        host: that it listens on; on this machine's own, requests must call it by a name of this machine.
        token: that requests must bear; None where they need none.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.close()

    app = FastAPI(
        title="Duplicate questions",
        version="1",
        summary="Tells whether two questions ask the same, and finds the known questions that are most similar.",
        lifespan=lifespan,
        # Their pages load scripts of other sites.
        docs_url=None,
        redoc_url=None,
    )
    _add_routes(app, service)
    _add_page(app)
    paths = frozenset(path for route in app.routes if (path := getattr(route, "path", None)))
    hosts = frozenset({*_LOOPBACK, host}) if is_loopback(host) and not token else None
    app.add_middleware(Guards, service=service, token=token, paths=paths, hosts=hosts)

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> Response:
        if not request.headers.get("content-type", "").startswith("application/json"):
            return error_answer(422, "send JSON, with the header Content-Type: application/json")
        detail = error.errors()[0]
        if detail["type"] == "json_invalid":
            return error_answer(422, f"the body is no JSON: {detail['ctx']['error']}")
        where = ".".join(str(part) for part in detail["loc"] if part != "body")
        return error_answer(422, f"{where}: {detail['msg']}" if where else str(detail["msg"]))

    @app.exception_handler(HTTPException)
    async def no_json(request: Request, error: HTTPException) -> Response:
        if error.status_code == 400:
            # What the framework says of a body that it can't decode.
            return error_answer(422, "the body is no JSON in UTF-8")
        return await http_exception_handler(request, error)

    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> Response:
        return error_answer(400, error.message)

    @app.exception_handler(PipelineError)
    async def failed(request: Request, error: PipelineError) -> Response:
        return error_answer(503, str(error))

    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.post("/compare", responses=_ERRORS)
    async def compare(request: CompareRequest) -> CompareAnswer:
        """Tell whether the two questions of each pair ask the same."""
        if refusal := _too_many(service, len(request.pairs), "pairs"):
            return refusal
        verdicts = service.verdicts(request.precision, request.prior)
        cosine = await service.compare(request.pairs, verdicts)
        return CompareAnswer(**_decided_by(verdicts), results=[Compared(**one) for one in _decided(cosine, verdicts)])

    @app.post("/search", responses=_ERRORS)
    async def search(request: SearchRequest) -> SearchAnswer:
        """Find the known questions that are most similar to new ones."""
        if refusal := _too_many(service, len(request.questions), "questions"):
            return refusal
        verdicts = service.verdicts(None, request.prior)
        found = await service.search(request.questions, request.top, verdicts)
        results = [
            [
                FoundQuestion(question=question, **one)
                for question, one in zip(answer.questions, _decided(answer.cosine, verdicts), strict=True)
            ]
            for answer in found
        ]
        return SearchAnswer(**_decided_by(verdicts), results=results)

    @app.post("/add", responses=_ERRORS)
    async def add(request: QuestionsRequest) -> AddAnswer:
        """Know more questions. When this is answered they are on the disk, and are found."""
        if refusal := _too_many(service, len(request.questions), "questions"):
            return refusal
        added = await service.add(request.questions)
        return AddAnswer(added=added, already_known=len(request.questions) - added)

    @app.post("/remove", responses=_ERRORS)
    async def remove(request: QuestionsRequest) -> RemoveAnswer:
        """Forget questions, those of the corpus too. Adding one again brings it back."""
        if refusal := _too_many(service, len(request.questions), "questions"):
            return refusal
        removed = await service.remove(request.questions)
        return RemoveAnswer(removed=removed, unknown=len(request.questions) - removed)

    @app.get("/health", responses={503: {"model": Health, "description": "The service ends."}})
    async def health(request: Request, response: Response) -> Health:
        """Say how the service is, and which model and questions it has. The status is 503 while it ends."""
        answers = service.answers
        chosen, known = answers.classifier.chosen, answers.known
        status = "outdated" if service.trouble else "ok"
        if service.is_ending:
            # Whoever shares out requests sends none here any more.
            response.status_code, status = 503, "ending"
        about = About(
            trouble=service.trouble,
            model=chosen.info.version,
            said=chosen.said,
            decides=chosen.decision is not None,
            questions=len(known),
            corpus=answers.corpus,
            search=known.kind,
            recall=known.recall,
        )
        return Health(status=status, about=about if is_allowed(request.scope) else None)

    @app.get("/metrics", response_class=Response, responses={401: _ERRORS[401], 503: _ERRORS[503]})
    async def metrics() -> Response:
        """The figures of the service, for Prometheus."""
        return Response(service.figures(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_page(app: FastAPI) -> None:
    for path, name, kind in (
        ("/", "page.html", "text/html"),
        ("/page.css", "page.css", "text/css"),
        ("/page.js", "page.js", "text/javascript"),
    ):
        content = (_PAGE / name).read_bytes()

        def page(content: bytes = content, kind: str = kind) -> Response:
            return Response(content, media_type=f"{kind}; charset=utf-8", headers=_PAGE_HEADERS)

        app.add_route(path, _route(page), include_in_schema=False)


def _route(answer: Any) -> Any:
    async def route(request: Request) -> Response:
        return answer()

    return route


def _too_many(service: Service, count: int, of: str) -> Any:
    most = service.limits.max_batch
    if count <= most:
        return None
    return error_answer(413, f"a request has at most {most:,} {of}; this one has {count:,}: send them in parts")


def _decided_by(verdicts: Verdicts) -> dict[str, Any]:
    return {
        "model": verdicts.answers.classifier.chosen.info.version,
        "threshold": verdicts.threshold,
        "prior": verdicts.prior,
    }


def _decided(cosine: np.ndarray, verdicts: Verdicts) -> Sequence[dict[str, Any]]:
    """Cosine, probability and decision of each."""
    probability = verdicts.probability(cosine)
    if probability is None or verdicts.threshold is None:
        return [{"cosine": float(one), "probability": None, "same": None} for one in cosine]
    return [
        {"cosine": float(one), "probability": float(chance), "same": bool(one >= verdicts.threshold)}
        for one, chance in zip(cosine, probability, strict=True)
    ]
