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
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from pipeline import serving
from pipeline.core.errors import PipelineError
from pipeline.serving.guards import BearerToken, Guards, body_too_large, error_answer, unauthorized
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
from pipeline.serving.service import Criterion, RefusedError, Service

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_PAGE = Path(serving.__file__).parent / "page"
_PAGE_HEADERS = {
    # The page loads nothing but its own files.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "The model can't decide by this precision or prior."},
    401: {"model": ErrorAnswer, "description": "The token is missing or wrong."},
    413: {"model": ErrorAnswer, "description": "More bytes or questions than one request may have."},
    422: {"model": ErrorAnswer, "description": "The body is invalid for this path."},
    503: {"model": ErrorAnswer, "description": "Busy, too slow, or the disk is full: try again later."},
}


def create_app(service: Service, host: str, token: str | None) -> FastAPI:
    """Create the ASGI app, which starts and stops the service.

    Args:
        host: that it listens on. On a loopback address without a token, requests must name this machine as their host:
            the page of another site, whose name resolves to this machine, can't send any.
        token: that requests must send; None where they need none.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.close()

    app = FastAPI(
        title="Duplicate questions",
        version="1",
        summary="Decides whether two questions are duplicates, and finds the most similar known questions.",
        lifespan=lifespan,
        # Their pages load scripts of other sites.
        docs_url=None,
        redoc_url=None,
    )
    _add_routes(app, service)
    _add_page(app)
    paths = frozenset(path for route in app.routes if (path := getattr(route, "path", None)))
    # The last one added is the outermost.
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=service.limits.max_body_bytes)
    app.add_middleware(AuthenticationMiddleware, backend=BearerToken(token), on_error=unauthorized)
    if is_loopback(host) and not token:
        name = f"[{host}]" if ":" in host else host
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*_LOOPBACK, name], www_redirect=False)
    app.add_middleware(Guards, service=service, paths=paths)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        if not request.headers.get("content-type", "").startswith("application/json"):
            return error_answer(422, "send JSON, with the header Content-Type: application/json")
        detail = error.errors()[0]
        if detail["type"] == "json_invalid":
            return error_answer(422, f"the body is not JSON: {detail['ctx']['error']}")
        where = ".".join(str(part) for part in detail["loc"] if part != "body")
        return error_answer(422, f"{where}: {detail['msg']}" if where else str(detail["msg"]))

    @app.exception_handler(HTTPException)
    async def unreadable(request: Request, error: HTTPException) -> Response:
        if error.status_code == 400:
            # FastAPI's answer to a body that it can't decode.
            return error_answer(422, "the body is not JSON in UTF-8")
        if error.status_code == 413:
            return body_too_large(service.limits.max_body_bytes)
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
        """Decide whether the two questions of each pair are duplicates."""
        if refusal := _too_many(service, len(request.pairs), "pairs"):
            return refusal
        criterion = service.criterion(request.precision, request.prior)
        cosine = await service.compare(request.pairs, criterion)
        return CompareAnswer(**_decided_by(criterion), results=[Compared(**one) for one in _decided(cosine, criterion)])

    @app.post("/search", responses=_ERRORS)
    async def search(request: SearchRequest) -> SearchAnswer:
        """Find the known questions that are most similar to each question."""
        if refusal := _too_many(service, len(request.questions), "questions"):
            return refusal
        criterion = service.criterion(None, request.prior)
        found = await service.search(request.questions, request.top, criterion)
        results = [
            [
                FoundQuestion(question=question, **one)
                for question, one in zip(answer.questions, _decided(answer.cosine, criterion), strict=True)
            ]
            for answer in found
        ]
        return SearchAnswer(**_decided_by(criterion), results=results)

    @app.post("/add", responses=_ERRORS)
    async def add(request: QuestionsRequest) -> AddAnswer:
        """Add known questions. When this is answered they are on the disk, and searches find them."""
        if refusal := _too_many(service, len(request.questions), "questions"):
            return refusal
        added = await service.add(request.questions)
        return AddAnswer(added=added, already_known=len(request.questions) - added)

    @app.post("/remove", responses=_ERRORS)
    async def remove(request: QuestionsRequest) -> RemoveAnswer:
        """Remove known questions, including those of the corpus. Adding one again brings it back."""
        if refusal := _too_many(service, len(request.questions), "questions"):
            return refusal
        removed = await service.remove(request.questions)
        return RemoveAnswer(removed=removed, unknown=len(request.questions) - removed)

    @app.get("/health", responses={503: {"model": Health, "description": "The service is stopping."}})
    async def health(request: Request, response: Response) -> Health:
        """Report the state of the service, its model and its questions. The status is 503 while it stops."""
        snapshot = service.snapshot
        chosen, known = snapshot.classifier.chosen, snapshot.known
        status = "outdated" if service.problem else "ok"
        if service.is_ending:
            # Load balancers send no more requests here.
            response.status_code, status = 503, "ending"
        about = About(
            problem=service.problem,
            model=chosen.info.version,
            description=chosen.said,
            has_decision=chosen.decision is not None,
            known_questions=len(known),
            corpus=snapshot.corpus,
            search=known.kind,
            recall=known.recall,
            trouble=service.problem,
            said=chosen.said,
            decides=chosen.decision is not None,
            questions=len(known),
        )
        return Health(status=status, about=about if "token" in request.auth.scopes else None)

    @app.get("/metrics", response_class=Response, responses={401: _ERRORS[401], 503: _ERRORS[503]})
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        return Response(service.metrics_text(), media_type="text/plain; version=0.0.4; charset=utf-8")


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


def _decided_by(criterion: Criterion) -> dict[str, Any]:
    return {
        "model": criterion.snapshot.classifier.chosen.info.version,
        "threshold": criterion.threshold,
        "prior": criterion.prior,
    }


def _decided(cosine: np.ndarray, criterion: Criterion) -> Sequence[dict[str, Any]]:
    """Cosine, probability and decision of each pair."""
    probability = criterion.probability(cosine)
    if probability is None or criterion.threshold is None:
        return [{"cosine": float(one), "probability": None, "same": None} for one in cosine]
    return [
        {"cosine": float(one), "probability": float(chance), "same": bool(one >= criterion.threshold)}
        for one, chance in zip(cosine, probability, strict=True)
    ]
