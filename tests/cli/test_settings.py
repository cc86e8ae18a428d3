"""The settings: environment, file, flags, in rising order of strength; faults named."""

from pathlib import Path

import pytest

from server.settings import Settings, SettingsInvalid, load_settings

URL = "http://127.0.0.1:8001/v1"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch, tmp_path):
    import os

    for name in [name for name in os.environ if name.upper().startswith("CLINALIGN_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def config(tmp_path: Path):
    def write(content: str | bytes) -> Path:
        path = tmp_path / "settings.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_without_anything_the_demo_serves_on_loopback_only():
    read = load_settings()
    assert (read.host, read.port, read.unprotected) == ("127.0.0.1", 8000, False)
    assert read.is_demo
    assert read.on_degraded == "mark"


ENVIRONMENT, FILE, FLAG = 1111, 2222, 3333


@pytest.mark.parametrize(
    ("environment", "file", "flag", "port"),
    [
        (False, False, False, 8000),
        (True, False, False, ENVIRONMENT),
        (False, True, False, FILE),
        (True, True, False, FILE),
        (True, False, True, FLAG),
        (False, True, True, FLAG),
        (True, True, True, FLAG),
    ],
)
def test_a_flag_beats_the_file_and_the_file_the_environment(
    monkeypatch, config, environment, file, flag, port
):
    if environment:
        monkeypatch.setenv("CLINALIGN_PORT", str(ENVIRONMENT))
    path = config(f"port: {FILE}\n") if file else None
    assert load_settings(path, port=FLAG if flag else None).port == port


def test_each_setting_comes_from_its_own_strongest_source(monkeypatch, config):
    monkeypatch.setenv("CLINALIGN_ON_DEGRADED", "notice")
    monkeypatch.setenv("CLINALIGN_HOST", "127.0.0.2")
    read = load_settings(config("host: 127.0.0.3\nping_s: 5\n"), port=9000)
    assert (read.on_degraded, read.host, read.ping_s, read.port) == (
        "notice",
        "127.0.0.3",
        5.0,
        9000,
    )


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [({"port": 0}, 0), ({"port": None}, 8000)],
)
def test_a_flag_of_zero_was_given_and_none_was_not(flags, wanted):
    assert load_settings(None, **flags).port == wanted


@pytest.mark.parametrize(
    ("value", "urls"),
    [
        (URL, (URL,)),
        (f"{URL}, http://b/v1 ,", (URL, "http://b/v1")),
        ("", ()),
    ],
)
def test_several_upstreams_are_one_variable_with_commas(monkeypatch, value, urls):
    monkeypatch.setenv("CLINALIGN_UPSTREAM", value)
    assert load_settings().upstream == urls


def test_several_upstreams_are_a_list_in_the_file(config):
    assert load_settings(config(f"upstream: [{URL}, 'http://b/v1']")).upstream == (
        URL,
        "http://b/v1",
    )


def test_an_upstream_flag_replaces_those_of_the_file(config):
    assert load_settings(config(f"upstream: [{URL}]"), upstream=["http://b/v1"]).upstream == (
        "http://b/v1",
    )


@pytest.mark.parametrize(("flags", "demo"), [({}, True), ({"upstream": [URL]}, False)])
def test_the_demo_engine_answers_where_no_upstream_is_named(flags, demo):
    assert load_settings(None, **flags).is_demo is demo


@pytest.mark.parametrize("content", ["", "\n", "# nothing\n", "---\n", "{}"])
def test_an_empty_file_sets_nothing(config, content):
    assert load_settings(config(content)).port == Settings.model_fields["port"].default


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("nonsense: 1", "nonsense"),
        ("prot: 9000", "prot"),
        ("port: abc", "port"),
        ("port: 70000", "port"),
        ("port: -1", "port"),
        ("upstream: ftp://a", "upstream"),
        ("upstream: [ftp://a]", "upstream"),
        ("judge_upstream: a:8001", "judge_upstream"),
        ("engine: vllm", "engine"),
        ("on_degraded: maybe", "on_degraded"),
        ("deadline_ms: 99", "deadline_ms"),
        ("deadline_ms: 600001", "deadline_ms"),
        ("judgements_at_once: 0", "judgements_at_once"),
        ("call_timeout_s: .nan", "call_timeout_s"),
        ("ping_s: .inf", "ping_s"),
        ("unprotected: perhaps", "unprotected"),
        (f"upstream: [{URL}]\nengine: demo", "engine"),
        (f"judge_upstream: {URL}", "judge_model"),
        ("judge_model: m", "judge_upstream"),
    ],
)
def test_a_wrong_setting_of_the_file_is_named(config, content, named):
    with pytest.raises(SettingsInvalid, match=rf"\b{named}\b"):
        load_settings(config(content))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("PORT", ""),
        ("UPSTREAM", "127.0.0.1:8001"),
        ("ENGINE", "vllm"),
        ("DEADLINE_MS", "1.5"),
        ("UNPROTECTED", "perhaps"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch, name, value):
    monkeypatch.setenv(f"CLINALIGN_{name}", value)
    with pytest.raises(SettingsInvalid, match=rf"\b{name.lower()}\b"):
        load_settings()


def test_a_variable_that_is_no_json_is_named(monkeypatch):
    monkeypatch.setenv("CLINALIGN_UPSTREAM_OPTIONS", "{broken")
    with pytest.raises(SettingsInvalid, match="upstream_options"):
        load_settings()


@pytest.mark.parametrize("key", ["upstream_api_key", "judge_api_key"])
def test_a_key_is_in_no_message_and_in_no_representation(monkeypatch, key):
    monkeypatch.setenv(f"CLINALIGN_{key.upper()}", "sk-canary")
    read = load_settings()
    assert getattr(read, key).get_secret_value() == "sk-canary"
    assert "sk-canary" not in repr(read)
    monkeypatch.setenv("CLINALIGN_PORT", "abc")
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert "sk-canary" not in str(caught.value)


def test_a_wrong_key_of_the_file_is_not_repeated(config):
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(config("upstream_api_key: [sk-canary]"))
    assert "upstream_api_key" in str(caught.value)
    assert "sk-canary" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    ["a: [1", "- a\n- b", "just words", b"\xff\xfe", "a: !!python/object/apply:os.getcwd []"],
)
def test_a_file_that_is_no_yaml_mapping_is_told(config, content):
    with pytest.raises(SettingsInvalid, match="configuration"):
        load_settings(config(content))


@pytest.mark.parametrize("content", ["42", "3.5", "true", "2026-01-01", "1: 2", "true: 2", "~: 2"])
def test_a_file_of_another_shape_is_told(config, content):
    with pytest.raises(SettingsInvalid):
        load_settings(config(content))


def test_broken_yaml_is_told_with_its_file_and_line(config):
    with pytest.raises(SettingsInvalid, match=r"settings\.yaml.*line 3"):
        load_settings(config("port: 1\n\n  host: [broken"))


@pytest.mark.parametrize("path", ["none.yaml", "."])
def test_a_file_that_is_not_there_is_told(path):
    with pytest.raises(SettingsInvalid, match="does not exist"):
        load_settings(Path(path))


def test_settings_do_not_change():
    from pydantic import ValidationError

    with pytest.raises(ValidationError, match="frozen"):
        load_settings().port = 1


def test_a_dotenv_file_is_not_read(tmp_path):
    (tmp_path / ".env").write_text("CLINALIGN_PORT=4444\n")
    assert load_settings().port == Settings.model_fields["port"].default


@pytest.mark.parametrize("name", ["ALOWED_HOSTS", "MINIMUM-MODE", "minimum_mod", "X"])
def test_a_variable_that_is_no_setting_is_told_with_the_nearest(monkeypatch, name):
    monkeypatch.setenv(f"CLINALIGN_{name}", "canary")
    with pytest.raises(SettingsInvalid, match=rf"CLINALIGN_{name} is no setting.*CLINALIGN_") as it:
        load_settings()
    assert "canary" not in str(it.value)


@pytest.mark.parametrize(
    "name",
    ["GW_SERVICE_HOST", "GW_SERVICE_PORT_HTTP", "GW_PORT_80_TCP_ADDR", "BASE_URL", "API_KEY"],
)
def test_variables_that_a_cluster_or_a_client_has_are_no_mistake(monkeypatch, name):
    monkeypatch.setenv(f"CLINALIGN_{name}", "10.0.0.1")
    assert load_settings().port == Settings.model_fields["port"].default


def test_a_variable_in_small_letters_is_the_setting(monkeypatch):
    monkeypatch.setenv("clinalign_port", "9000")
    assert load_settings().port == 9000
