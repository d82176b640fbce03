"""The worker port: health and metrics of a process that serves no pages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from django.core.handlers.wsgi import WSGIRequest
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, HttpResponseServerError

from hostmaster.core.health import views as health
from hostmaster.core.metrics import views as metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

logger = logging.getLogger(__name__)

VIEWS: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/health": health.health,
    "/health/live": health.live,
    "/health/ready": health.ready,
    "/metrics": metrics.metrics,
}


def serve_internal(port: int, host: str = "0.0.0.0") -> InternalServer:  # noqa: S104 probes and scrapers come from other hosts; a firewall or NetworkPolicy bounds them
    """Start serving in a thread of its own. `port` 0 takes any free one: see `server_port`.

    Raises `OSError` when the port is taken.
    """
    server = InternalServer((host, port), _RequestHandler)
    server.set_app(application)
    threading.Thread(target=server.serve_forever, name="worker-port", daemon=True).start()
    return server


class InternalServer(ThreadingMixIn, WSGIServer):
    """One short thread a request; `shutdown()` ends it and frees the port."""

    daemon_threads = True

    def server_bind(self) -> None:
        # HTTPServer's own asks the resolver for a host name, which may take many seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that hung up or said nothing in time; failures of ours are logged below.
        logger.debug("%s left early", client_address, exc_info=True)

    def shutdown(self) -> None:
        super().shutdown()
        self.server_close()


class InternalRequest(WSGIRequest):
    is_internal = True


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The four pages and nothing else: no middleware, no session, any Host (probes use an IP)."""
    request = InternalRequest(environ)
    try:
        response = VIEWS.get(request.path, _not_found)(request)
    except Exception:
        logger.exception("%s failed on the worker port", request.path)
        response = HttpResponseServerError("Failed; see the log.\n", content_type="text/plain")
    finally:
        connections.close_all()  # the thread ends, its connections would stay
    body = response.content
    response["Content-Length"] = str(len(body))
    status = f"{response.status_code} {HTTPStatus(response.status_code).phrase}"
    start_response(status, list(response.items()))
    return [] if request.method == "HEAD" else [body]


def _not_found(request: HttpRequest) -> HttpResponse:
    return HttpResponseNotFound("Not found.\n", content_type="text/plain")


class _RequestHandler(WSGIRequestHandler):
    timeout = 10  # a client that sends nothing is dropped

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)
