"""What the page says where there is nothing to show: one clear line."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from tao_airflow.flywheel_page import data
from tao_airflow.flywheel_page.access import flywheel_of
from tao_airflow.flywheel_page.rendering import page
from tao_airflow.run_files import DAG_PREFIX
from tao_ops.errors import DataError, TaoError

_FORBIDDEN = "You may not read this DAG. Who administers Airflow can give you that right."


def add_handlers(app: FastAPI) -> None:
    """Answer errors with pages."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(TaoError, _not_there)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.UNAUTHORIZED:
        return page(request, "sign_in.html", 401, back=_path(request))
    message = _FORBIDDEN if error.status_code == HTTPStatus.FORBIDDEN else str(error.detail)
    return _error(request, error.status_code, message)


def _not_understood(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return _error(request, 400, f"The address is not understood: {first['loc'][-1]}: {first['msg']}.")


def _not_there(request: Request, error: Exception) -> Response:
    """Of a flywheel that has not turned yet every view says so: that is no error."""
    flywheel = flywheel_of(request.path_params.get("dag_id", ""))
    assert isinstance(error, TaoError)
    if isinstance(error, DataError) and flywheel in data.flywheels() and not data.turned(flywheel):
        shown = {"title": flywheel, "message": f"No turn yet: trigger the DAG {DAG_PREFIX}{flywheel}, or wait for it."}
        return page(request, "error.html", 200, **shown)
    return _error(request, 503 if error.retryable else 404, str(error))


def _path(request: Request) -> str:
    """Where the browser is, on this server."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _error(request: Request, status: int, message: str) -> HTMLResponse:
    return page(request, "error.html", status, title=HTTPStatus(status).phrase, message=message)
