"""The HTTP service: a model's answers as JSON, described by OpenAPI at /openapi.json. Everything it needs is local."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from importlib import resources
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as HTTPProblem
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from whyrec import __version__
from whyrec.checkpoint import about, load
from whyrec.errors import BadInput, InvalidSetting, ProfilingRefused, UnknownId, WhyrecError
from whyrec.judgements import explainer_called
from whyrec.pseudonyms import pseudonyms_of
from whyrec.record_store import open_records
from whyrec.request_limits import Bodies, Checked, host_check, key_check, rate_check
from whyrec.request_metrics import Counted, Metrics
from whyrec.service import Service
from whyrec.service_schemas import (
    ExplainAnswer,
    ExplainBody,
    FoundItems,
    FoundUsers,
    ModelAnswer,
    OptOutAnswer,
    OptOutBody,
    ParametersAnswer,
    ParametersBody,
    Problem,
    RecommendAnswer,
    RecommendBody,
    SimilarAnswer,
    SimilarBody,
    State,
    VerifyBody,
    WhatIfAnswer,
    WhatIfBody,
)
from whyrec.service_settings import ServiceSettings

STATUS: dict[type[WhyrecError], int] = {UnknownId: 404, InvalidSetting: 422, BadInput: 422, ProfilingRefused: 403}
"""What else a user can cause is a conflict with the model that is served: 409."""

PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "Not a request this service understands"},
    401: {"model": Problem, "description": "No key"},
    403: {"model": Problem, "description": "The user objected to profiling"},
    404: {"model": Problem, "description": "An unknown user, item, record or path"},
    408: {"model": Problem, "description": "The request arrived too slowly"},
    409: {"model": Problem, "description": "Not a question for this model"},
    413: {"model": Problem, "description": "The request is too large"},
    422: {"model": Problem, "description": "A field or value that cannot be taken"},
    429: {"model": Problem, "description": "Too many requests"},
    503: {"model": Problem, "description": "It took too long"},
}

PAGE_POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
"""What the explorer may do: ask this service. Drawings become PNG by way of a data address."""

api = APIRouter(responses=PROBLEMS)
Search = Annotated[str, Query(max_length=200, description="Part of a title or an id.")]
Limit = Annotated[int, Query(ge=1, le=100)]


def create(settings: ServiceSettings | None = None) -> FastAPI:
    """The application; its settings come from the environment where none are given, as they do for workers."""
    settings = settings or ServiceSettings()
    metrics = Metrics()
    app = FastAPI(
        title="whyrec",
        version=__version__,
        description="Recommend, explain every recommendation, and find out whether the explanation is true.",
        lifespan=partial(_alive, settings),
        docs_url=None,  # its page would be fetched from elsewhere
        redoc_url=None,
        middleware=_middleware(settings, metrics),
    )
    app.state.settings, app.state.metrics = settings, metrics
    app.include_router(api)
    app.mount("/web", StaticFiles(packages=[("whyrec", "web")]), name="web")
    app.add_exception_handler(WhyrecError, _mendable)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPProblem, _by_status)
    app.add_exception_handler(TimeoutError, _too_long)
    app.add_exception_handler(Exception, _a_bug)
    return app


def prepare(settings: ServiceSettings) -> None:
    """Find out what is wrong before workers start, and make what they share: records and their secret."""
    about(settings.folder)
    open_records(settings.store).close()
    pseudonyms_of(settings.secret)
    for method in settings.judged:
        explainer_called(method)


@api.post("/recommend", response_model=RecommendAnswer)
async def recommend(request: Request, body: RecommendBody) -> Any:
    """A list for each user, or for somebody new."""
    return await _answered(request, Service.recommend, body)


@api.post("/explain", response_model=ExplainAnswer)
async def explain(request: Request, body: ExplainBody) -> Any:
    """Why these items: every unit's relevance, the account that adds up, reasons that were checked."""
    return await _answered(request, Service.explain, body)


@api.post("/what-if", response_model=WhatIfAnswer)
async def what_if(request: Request, body: WhatIfBody) -> Any:
    """The list as it is, and as it would be without some past items, or with others."""
    return await _answered(request, Service.what_if, body)


@api.post("/verify", response_model=dict[str, Any])
async def verify(request: Request, body: VerifyBody) -> Any:
    """Whether explanations are true: a report card. With the values as they come, the one that verdicts rest on."""
    return await _answered(request, Service.verify, body)


@api.post("/similar", response_model=SimilarAnswer)
async def similar(request: Request, body: SimilarBody) -> Any:
    """Items like an item."""
    return await _answered(request, Service.similar, body)


@api.post("/main-parameters", response_model=ParametersAnswer)
async def main_parameters(request: Request, body: ParametersBody) -> Any:
    """What recommendations rest on: shares of 100 % with intervals."""
    return await _answered(request, Service.main_parameters, body)


@api.post("/opt-out", response_model=OptOutAnswer)
async def opt_out(request: Request, body: OptOutBody) -> Any:
    """Note that a user objects to profiling, or no longer does; heeded from the next request on."""
    return await _answered(request, Service.opt_out, body)


@api.get("/records/{record}", response_model=dict[str, Any])
async def record(request: Request, record: str) -> Any:
    """One record, as it was kept."""
    return await _answered(request, Service.record, record)


@api.get("/model", response_model=ModelAnswer)
async def model(request: Request) -> Any:
    """What is served: the model, methods and their verdicts, languages."""
    return await _answered(request, Service.about)


@api.get("/items", response_model=FoundItems)
async def items(request: Request, search: Search = "", limit: Limit = 20) -> Any:
    """Items by a part of their title or id."""
    return await _answered(request, Service.items, search, limit)


@api.get("/users", response_model=FoundUsers)
async def users(request: Request, search: Search = "", limit: Limit = 20) -> Any:
    """Users by a part of their id or title."""
    return await _answered(request, Service.users, search, limit)


@api.get("/health")
async def health() -> State:
    """Whether the process is alive."""
    return State(status="ok")


@api.get("/ready", response_model=State)
async def ready(request: Request) -> Any:
    """Whether the model is loaded and records can be read."""
    return await _answered(request, Service.ready)


@api.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Counts and times for Prometheus."""
    return Response(request.app.state.metrics.page(), media_type="text/plain; version=0.0.4")


@api.get("/", include_in_schema=False)
async def front_page() -> Response:
    """The explorer: the first page of `web/`."""
    page = (resources.files("whyrec") / "web" / "index.html").read_bytes()
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": PAGE_POLICY})


async def _answered(request: Request, method: Callable[..., Any], *values: Any) -> Any:
    """What the service answers, in a thread of its own, as long as somebody waits for it."""
    state = request.app.state
    seconds = state.settings.seconds
    until = time.monotonic() + seconds
    work = partial(method, state.service, *values, **({"until": until} if method in RECORDED else {}))
    async with asyncio.timeout(seconds):
        return await asyncio.get_running_loop().run_in_executor(state.threads, work)


RECORDED = (Service.recommend, Service.explain, Service.what_if)
"""Answers that leave a record, unless nobody waits for them any more."""


@asynccontextmanager
async def _alive(settings: ServiceSettings, app: FastAPI) -> AsyncIterator[None]:
    """From the loaded model to the closed records."""
    with open_records(settings.store) as store:
        service = Service(
            load(settings.folder), store, pseudonyms_of(settings.secret), retention_days=settings.retention_days
        )
        service.warm_up()
        app.state.service = service
        app.state.threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="answer")
        judging = threading.Thread(target=_judge, args=(service, settings.judged), daemon=True)
        judging.start()
        try:
            yield
        finally:
            app.state.threads.shutdown(wait=True, cancel_futures=True)
            judging.join()


def _judge(service: Service, methods: tuple[str, ...]) -> None:
    for method in methods:
        service.judgements.judge_quietly(method)


def _middleware(settings: ServiceSettings, metrics: Metrics) -> list[Middleware]:
    """From the outside in."""
    found = [Middleware(Counted, metrics=metrics)]
    if "*" not in settings.hosts:
        found.append(Middleware(Checked, check=host_check(settings.hosts)))
    if settings.cors:
        origins = list(settings.cors)
        found.append(Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"]))
    if settings.keys is not None:
        found.append(Middleware(Checked, check=key_check(settings.keys)))
    if settings.rate:
        found.append(Middleware(Checked, check=rate_check(settings.rate)))
    return [*found, Middleware(Bodies, most=settings.max_body, seconds=settings.seconds)]


def _problem(status: int, error: str, detail: str) -> JSONResponse:
    return JSONResponse({"error": error, "detail": " ".join(detail.split())}, status_code=status)


async def _mendable(_request: Request, problem: Exception) -> Response:
    status = next((code for kind, code in STATUS.items() if isinstance(problem, kind)), 409)
    return _problem(status, type(problem).__name__, str(problem))


async def _malformed(_request: Request, problem: Exception) -> Response:
    """The first field that is wrong, and where it stands; never what it held."""
    found = problem.errors()[0] if isinstance(problem, RequestValidationError) else {"loc": (), "msg": ""}
    where = ".".join(map(str, found["loc"]))
    return _problem(422, "Malformed", f"{where}: {found['msg']}; see /openapi.json for what can be sent")


async def _by_status(_request: Request, problem: Exception) -> Response:
    status = problem.status_code if isinstance(problem, HTTPException | HTTPProblem) else 400
    response = _problem(status, "Refused", f"{getattr(problem, 'detail', '')}; see /openapi.json for what can be asked")
    response.headers.update(getattr(problem, "headers", None) or {})
    return response


async def _too_long(request: Request, _problem_met: Exception) -> Response:
    seconds = request.app.state.settings.seconds
    return _problem(503, "TooLong", f"no answer within {seconds:g} s; ask for less at once, or raise --seconds")


async def _a_bug(_request: Request, _problem_met: Exception) -> Response:
    return _problem(500, "Bug", "something went wrong that should not; the service's log says what")
