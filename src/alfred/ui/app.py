"""The dashboard's server: routes over the pages, the runs' own reports, and the jobs.

It has no login, so it listens on loopback; it answers only to its own host name, so that no page of the web can read
it through a name that points here, and takes orders only from its own pages (the Origin header).
"""

import tomllib
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alfred.core.errors import AlfredError, ConfigError
from alfred.core.home import Home
from alfred.experiments.comparison import compare_runs
from alfred.experiments.explaining import FOLDER as EXPLAINED
from alfred.experiments.study import Study
from alfred.report import write_report
from alfred.report.compare import comparison_sheet
from alfred.report.explanation import FILE as EXPLANATION
from alfred.report.page import FILE
from alfred.report.sheet import Sheet
from alfred.report.shell import fill
from alfred.ui.jobs import STUDY, Jobs
from alfred.ui.pages import lake_sheet, recommendations_sheet, run_table, runs_of, trials_sheet

LARGEST_FORM = 1_000_000
FOREIGN = {"Content-Security-Policy": "sandbox allow-scripts allow-popups allow-downloads; frame-ancestors 'none'"}
"""A run's folder may come from someone else, and so may the script of its report: as a page of nowhere it can neither
read the dashboard nor give it orders."""
GUARD = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin"}
_TEMPLATES = Path(__file__).parent / "templates"


def make_app(jobs: Jobs, hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")) -> Starlette:
    """The dashboard of the jobs' home, as an ASGI application that answers to the names in `hosts`."""
    pages = _Pages(jobs.home, jobs)
    routes = [
        Route("/", pages.runs),
        Route("/runs/{name}", pages.whole),
        Route(f"/runs/{{name}}/{FILE}", pages.report),
        Route(f"/runs/{{name}}/{EXPLAINED}/{{analyst}}/{EXPLANATION}", pages.explanation),
        Route("/compare", pages.compare),
        Route("/lake", pages.lake),
        Route("/trials", pages.trials),
        Route("/trials/{family:path}", pages.trials),
        Route("/recommendations", pages.recommendations),
        Route("/new", pages.new),
        Route("/jobs", pages.start, methods=["POST"]),
        Route("/jobs/{name}", pages.job),
        Route("/jobs/{name}/state", pages.state),
        Route("/jobs/{name}/stop", pages.stop, methods=["POST"]),
    ]
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=[*hosts], www_redirect=False),
            Middleware(_Guarded),
        ],
        exception_handlers={AlfredError: pages.refused, HTTPException: pages.no_page},
    )


class _Guarded:
    """Adds to every answer that no other page may frame it, so that nobody's click is led onto a button of ours."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(GUARD)
            await send(message)

        await self._app(scope, receive, guarded)


class _Pages:
    def __init__(self, home: Home, jobs: Jobs) -> None:
        self._home = home
        self._jobs = jobs

    async def runs(self, _: Request) -> Response:
        table, unreadable = await run_in_threadpool(run_table, self._home)
        values = {"table": table, "unreadable": unreadable, "jobs": self._recent_jobs()}
        return _page("runs.html.jinja", "/", values)

    async def whole(self, request: Request) -> Response:
        folder = self._run(request.path_params["name"])
        return RedirectResponse(f"/runs/{quote(folder.name)}/{FILE}")

    async def explanation(self, request: Request) -> Response:
        folder, analyst = self._run(request.path_params["name"]), request.path_params["analyst"]
        found = {path.parent.name: path for path in folder.glob(f"{EXPLAINED}/*/{EXPLANATION}")}
        if analyst not in found:
            raise ConfigError(f"{analyst!r} of {folder.name} was not explained; `alfred explain` does that.")
        return await run_in_threadpool(_framed, folder, found[analyst])

    async def report(self, request: Request) -> Response:
        folder = self._run(request.path_params["name"])
        if not (folder / FILE).is_file():
            await run_in_threadpool(write_report, folder)
        return await run_in_threadpool(_framed, folder, folder / FILE)

    async def compare(self, request: Request) -> Response:
        folders = [self._run(name) for name in request.query_params.getlist("run")]
        found = await run_in_threadpool(compare_runs, folders)
        return _sheet("/", comparison_sheet(found))

    async def lake(self, _: Request) -> Response:
        return _sheet("/lake", await run_in_threadpool(lake_sheet, self._home))

    async def trials(self, request: Request) -> Response:
        family = request.path_params.get("family", "")
        return _sheet("/trials", await run_in_threadpool(trials_sheet, self._home, family))

    async def recommendations(self, _: Request) -> Response:
        return _sheet("/recommendations", await run_in_threadpool(recommendations_sheet, self._home))

    async def new(self, request: Request) -> Response:
        shipped = _studies()
        chosen = request.query_params.get("study", "demo")
        if chosen not in shipped:
            raise ConfigError(f"there is no study {chosen!r}; there are {', '.join(shipped)}.")
        return _form(chosen, shipped[chosen])

    async def start(self, request: Request) -> Response:
        self._own(request)
        text = (await _posted(request)).get("study", [""])[0].replace("\r\n", "\n")
        try:
            _check_study(text)
            job = self._jobs.start(text)
        except AlfredError as error:  # with what was written, so that it can be put right
            return _form("", text, str(error))
        return RedirectResponse(f"/jobs/{job.name}", status_code=303)

    async def job(self, request: Request) -> Response:
        job = self._jobs.find(request.path_params["name"])
        text = (self._jobs.root / job.name / STUDY).read_text(encoding="utf-8")
        mine = job.name in self._jobs.processes
        return _page("job.html.jinja", "/new", {"job": job, "text": text, "mine": mine})

    async def state(self, request: Request) -> Response:
        job = self._jobs.find(request.path_params["name"])
        return JSONResponse(asdict(job), headers={"Cache-Control": "no-store"})

    async def stop(self, request: Request) -> Response:
        self._own(request)
        name = request.path_params["name"]
        self._jobs.stop(name)
        return RedirectResponse(f"/jobs/{name}", status_code=303)

    async def refused(self, request: Request, error: Exception) -> Response:
        if request.url.path.endswith("/state"):
            return PlainTextResponse(str(error), status_code=404)
        status = 400 if request.method == "POST" else 404
        return _page("refused.html.jinja", "", {"error": str(error)}, status)

    async def no_page(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        return _page("refused.html.jinja", "", {"error": f"there is no page {request.url.path} here."}, status)

    def _own(self, request: Request) -> None:
        """Orders come from the dashboard's own pages alone; a browser says where a form was."""
        origin = request.headers.get("origin")
        if origin is not None and origin != f"{request.url.scheme}://{request.headers.get('host')}":
            raise ConfigError(f"orders from {origin} are not taken; use the dashboard's own pages.")

    def _run(self, name: str) -> Path:
        found = {folder.name: folder for folder in runs_of(self._home)}
        if name not in found:
            raise ConfigError(f"there is no run {name!r} in this home.")
        return found[name]

    def _recent_jobs(self) -> list[Any]:
        return [self._jobs.find(name) for name in self._jobs.names()[:5]]


def _page(template: str, at: str, values: dict[str, Any], status: int = 200) -> HTMLResponse:
    return HTMLResponse(fill(template, (), {"at": at, **values}, _TEMPLATES), status, {"Cache-Control": "no-store"})


def _form(chosen: str, text: str, error: str = "") -> HTMLResponse:
    """The page on which a run is started; again with its text where that was refused."""
    values = {"studies": list(_studies()), "chosen": chosen, "text": text, "error": error}
    return _page("new.html.jinja", "/new", values, 400 if error else 200)


def _framed(folder: Path, path: Path) -> HTMLResponse:
    """A page of a run's folder, unless it is a link to somewhere else; its brand leads back to the dashboard."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{path.name} of {folder.name} is a link out of the run's folder; it is not shown.")
    text = path.read_text(encoding="utf-8").replace('class="brand" href="#verdict"', 'class="brand" href="/"', 1)
    return HTMLResponse(text, headers=FOREIGN)


def _sheet(at: str, sheet: Sheet) -> HTMLResponse:
    plots = [plot for part in sheet.parts for plot in part.plots]
    return HTMLResponse(fill("site_sheet.html.jinja", plots, {"at": at, "sheet": sheet}, _TEMPLATES))


async def _posted(request: Request) -> dict[str, list[str]]:
    """The fields of a form; one that is too large for a study is not read to its end."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_FORM:
            raise ConfigError(f"a study of more than {LARGEST_FORM:,} bytes is not taken.")
    return parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)


def _studies() -> dict[str, str]:
    """The studies that come with the program, by name."""
    folder = files("alfred.experiments") / "studies"
    return {name: (folder / f"{name}.toml").read_text(encoding="utf-8") for name in ("demo", "synthetic", "grid")}


def _check_study(text: str) -> None:
    """Refuse at once what cannot be run."""
    try:
        form = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the study cannot be read as TOML: {error}.") from error
    Study.parse(form, "the study")
