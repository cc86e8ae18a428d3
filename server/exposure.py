"""How the gateway may be reached: never from outside without keys unless that was said in words.

A proxy that is trusted brings others' requests to a gateway on loopback too, so it counts as
outside. Only what uvicorn reads of a proxy is believed, `X-Forwarded-For` and `X-Forwarded-Proto`:
the header `Forwarded` is not read, since most proxies pass on the one that a client invents.
"""

import logging
import ssl
from pathlib import Path
from typing import TypedDict

from server.keys.open import open_store
from server.settings import Settings, SettingsInvalid

log = logging.getLogger("clinalign")


class TlsOptions(TypedDict, total=False):
    """Uvicorn's options for TLS."""

    ssl_certfile: Path
    ssl_keyfile: Path
    ssl_keyfile_password: str | None


async def check_protected(settings: Settings) -> None:
    """Check that whoever can reach the gateway needs a key.

    Raises:
        SettingsInvalid: anybody could ask.
        KeyStoreError: it cannot be told whether there are keys.

    """
    if settings.unprotected or not settings.is_reachable:
        return
    store = open_store(settings)
    try:
        if not await store.read():
            how = "through a proxy" if settings.is_local else "from outside"
            raise SettingsInvalid(
                f"{settings.host} can be reached {how}, and there are no API keys: make one with "
                "`clinalign-serve keys add`, or let everybody in with --unprotected"
            )
    finally:
        await store.close()


def check_tls(settings: Settings) -> None:
    """Check that the certificate and its key can be used, before anything is served.

    Raises:
        SettingsInvalid: they cannot.

    """
    options = tls_options(settings)
    if not options:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            options["ssl_certfile"],
            options["ssl_keyfile"],
            options["ssl_keyfile_password"] or "",  # or OpenSSL asks the terminal for one
        )
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        what = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise SettingsInvalid(f"settings tls_cert and tls_key cannot be used: {what}") from None


def tls_options(settings: Settings) -> TlsOptions:
    """Return what uvicorn needs to serve TLS; nothing where the settings name no certificate."""
    if settings.tls_cert is None or settings.tls_key is None:
        return {}
    password = settings.tls_key_password
    return {
        "ssl_certfile": settings.tls_cert,
        "ssl_keyfile": settings.tls_key,
        "ssl_keyfile_password": password.get_secret_value() if password else None,
    }


def warn_of_plain_text(settings: Settings) -> None:
    """Tell who listens beyond this machine that everybody on the way can read along."""
    if settings.unprotected and settings.is_reachable:
        log.warning("--unprotected: whoever reaches this port can ask")
    if not settings.is_local and settings.tls_cert is None and not settings.trusted_proxies:
        log.warning(
            "no TLS: keys and conversations can be read on the way; "
            "see --tls-cert, or --trusted-proxy for a proxy that has it"
        )
