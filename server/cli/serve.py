"""`clinalign-serve serve`: the gateway."""

import asyncio
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from server.app import create_app
from server.cli.options import Config, Engine, JudgeModel, JudgeUpstream, UpstreamModel, Upstreams
from server.connection import connections
from server.exposure import check_protected, check_tls, tls_options, warn_of_plain_text
from server.log import configure
from server.settings import Settings, load_settings
from server.stopping import Drained

KEEP_ALIVE_S = 75


def serve(
    upstream: Upstreams = None,
    upstream_model: UpstreamModel = None,
    engine: Engine = None,
    judge_upstream: JudgeUpstream = None,
    judge_model: JudgeModel = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    unprotected: Annotated[
        bool, typer.Option("--unprotected", help="Listen beyond loopback without API keys.")
    ] = False,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", help="Serve HTTPS with this certificate, in PEM.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", help="The certificate's key.")
    ] = None,
    trusted_proxies: Annotated[
        list[str] | None,
        typer.Option(
            "--trusted-proxy",
            help="Address or network of a proxy whose X-Forwarded-For and -Proto are believed; "
            "may come again.",
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Serve the OpenAI-compatible API."""
    settings = load_settings(
        config,
        upstream=upstream,
        upstream_model=upstream_model,
        engine=engine,
        judge_upstream=judge_upstream,
        judge_model=judge_model,
        host=host,
        port=port,
        unprotected=unprotected or None,
        tls_cert=tls_cert,
        tls_key=tls_key,
        trusted_proxies=trusted_proxies,
    )
    check_tls(settings)
    asyncio.run(check_protected(settings))
    configure(settings.log_level)
    with _listen(settings) as listener:
        warn_of_plain_text(settings)
        app = create_app(settings)
        server = Drained(
            uvicorn.Config(
                app,
                # On h11: httptools drops the body of a request that offers an upgrade, as Java's
                # own client does with every request (uvicorn's issue 2722).
                http=connections(
                    receive_s=settings.receive_s,
                    send_s=settings.send_s,
                    most=settings.connections,
                ),
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                # Uvicorn by itself believes whatever comes from this machine.
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=list(settings.trusted_proxies),
                **tls_options(settings),
            ),
            admission=lambda: app.services.admission if app.services else None,
            grace_s=settings.shutdown_s,
        )
        # uvicorn drains, then raises the signal again; an orderly end is no failure.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(server.forced)))
        server.run(sockets=[listener])
        if not server.started:
            raise OSError("the server did not start; see the lines above")


def _listen(settings: Settings) -> socket.socket:
    """Bind before anything heavy is loaded, so that a taken port is told at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        place = f"{settings.host}:{settings.port}"
        raise OSError(f"cannot listen on {place}: {error.strerror or error}") from None
    return listener
