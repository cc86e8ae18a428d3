"""Nobody listens to the world without keys by mistake, and only a named proxy is believed."""

import logging
import ssl
import subprocess
from pathlib import Path

import pytest

from server.exposure import check_protected, check_tls, tls_options, warn_of_plain_text
from server.settings import Settings, SettingsInvalid, load_settings
from tests.server.keyed import issue
from tests.server.services import certificate

OUTSIDE = ["0.0.0.0", "::", "::0", "10.0.0.5", "192.0.2.1", "example.org", "localhost.", "", "0"]  # noqa: S104
INSIDE = ["127.0.0.1", "127.8.9.1", "::1", "localhost"]


@pytest.mark.parametrize("host", OUTSIDE)
async def test_listening_beyond_loopback_takes_keys_or_a_word(tmp_path: Path, host: str):
    settings = Settings(host=host, data_dir=tmp_path)
    with pytest.raises(SettingsInvalid, match=r"keys add.*--unprotected"):
        await check_protected(settings)
    await check_protected(settings.model_copy(update={"unprotected": True}))
    await issue(tmp_path, "chat")
    await check_protected(settings)


@pytest.mark.parametrize("host", INSIDE)
async def test_loopback_takes_none_unless_a_proxy_brings_others(tmp_path: Path, host: str):
    await check_protected(Settings(host=host, data_dir=tmp_path))
    behind = Settings(host=host, data_dir=tmp_path, trusted_proxies="127.0.0.1")
    with pytest.raises(SettingsInvalid, match="through a proxy"):
        await check_protected(behind)
    await issue(tmp_path, "chat")
    await check_protected(behind)


@pytest.mark.parametrize(
    "value", ["*", "proxy.example", "10.0.0.5/8", "10.0.0.0/33", "127.0.0.1,*"]
)
def test_a_proxy_is_named_by_its_address(value: str):
    with pytest.raises(SettingsInvalid, match="trusted_proxies"):
        load_settings(trusted_proxies=value)


def test_a_certificate_is_used_with_its_key(tmp_path: Path):
    cert, key = certificate(tmp_path)
    settings = Settings(tls_cert=cert, tls_key=key)
    check_tls(settings)
    assert tls_options(settings)["ssl_certfile"] == cert
    assert tls_options(Settings()) == {}
    with pytest.raises(SettingsInvalid, match="go together"):
        load_settings(tls_cert=cert)


def test_what_is_wrong_with_a_certificate_is_told_before_anything_is_served(tmp_path: Path):
    cert, key = certificate(tmp_path)
    other = certificate(tmp_path / "other")[1]
    (tmp_path / "none.pem").write_text("")
    for wrong in (
        {"tls_cert": cert, "tls_key": other},
        {"tls_cert": tmp_path / "none.pem", "tls_key": key},
        {"tls_cert": tmp_path / "missing.pem", "tls_key": key},
        {"tls_cert": key, "tls_key": key},
    ):
        with pytest.raises(SettingsInvalid, match=r"tls_cert and tls_key cannot be used: ."):
            check_tls(Settings(**wrong))


def test_a_locked_key_takes_its_password_and_asks_nobody(tmp_path: Path):
    cert, key = certificate(tmp_path)
    locked = tmp_path / "locked.pem"
    command = ["openssl", "rsa", "-aes256", "-passout", "pass:word", "-in", key, "-out", locked]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    check_tls(Settings(tls_cert=cert, tls_key=locked, tls_key_password="word"))
    for password in (None, "other"):
        with pytest.raises(SettingsInvalid):
            check_tls(Settings(tls_cert=cert, tls_key=locked, tls_key_password=password))


def test_old_versions_of_tls_are_off():
    assert ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).minimum_version >= ssl.TLSVersion.TLSv1_2


def test_plain_text_beyond_this_machine_is_warned_of(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING, logger="clinalign")
    for quiet in (Settings(), Settings(host="10.0.0.1", trusted_proxies="10.0.0.2")):
        warn_of_plain_text(quiet)
    assert not caplog.messages
    warn_of_plain_text(Settings(host="10.0.0.1", unprotected=True))
    assert [line.partition(":")[0] for line in caplog.messages] == ["--unprotected", "no TLS"]
