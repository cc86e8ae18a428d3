"""The settings: environment, then a YAML file, then flags, in rising order of strength.

Read once, when a command starts; nothing else in the project looks at the environment.
"""

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import platformdirs
import yaml
from pydantic import (
    Field,
    JsonValue,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    YamlConfigSettingsSource,
)

from revision.policy import Mode
from server.version import PACKAGE

MEGABYTE = 1024 * 1024
DEMO_ANSWER_TOKENS = 256
STORES: Mapping[str, tuple[str, ...]] = {
    "keys_database": ("postgresql", "postgres"),
    "limits_url": ("redis", "rediss", "valkey", "valkeys"),
}
PREFIX = "CLINALIGN_"
_BY_CLUSTER = re.compile(r"_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)\Z")
"""What Kubernetes adds to the environment for a service whose name begins like our prefix."""

_OF_CLIENTS = frozenset({f"{PREFIX}BASE_URL", f"{PREFIX}API_KEY"})
"""How clients name where this gateway is; docs/clients.md has them."""

_LINKABLE = re.compile(r"[^\s<>\"?#\\]+\Z")


class SettingsInvalid(Exception):  # noqa: N818  # named after the state
    """A setting has a value that cannot be; the message names it and its source."""


class Settings(BaseSettings):
    """Every setting, its default, and what it means."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    unprotected: bool = False
    """Listen beyond loopback without API keys: anyone who reaches the port can ask."""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    tls_cert: Path | None = None
    """A certificate with its chain, in PEM."""
    tls_key: Path | None = None
    tls_key_password: SecretStr | None = None

    keys_file: Path | None = None
    """API keys; without it, `keys.json` in the data folder."""
    keys_database: SecretStr | None = None
    """API keys in PostgreSQL instead, such as postgresql://user@host/name."""
    limits_url: SecretStr | None = None
    """Redis or Valkey that counts keys' use for several gateways, such as redis://host:6379/0."""
    """Listen beyond loopback although anyone who reaches the port can then ask."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Names in `Host` under which this gateway is asked. On loopback its own are known; beyond,
    any is taken unless some are named here."""
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins of web pages that may ask and read, such as https://clinic.example; * means any."""

    upstream: Annotated[tuple[str, ...], NoDecode] = ()
    """Base URLs of the model server's replicas, such as http://10.0.0.5:8001/v1."""
    upstream_model: str | None = None
    """The model to use; without it, all that the model server offers."""
    upstream_api_key: SecretStr | None = None
    upstream_options: dict[str, JsonValue] = Field(default_factory=dict)
    """Fields added to every call, such as a chat template's switch that turns thinking off."""
    engine: Literal["demo"] | None = None
    """The embedded engine; the default where no upstream is named."""
    judge_upstream: str | None = None
    judge_model: str | None = None
    judge_api_key: SecretStr | None = None
    judge_options: dict[str, JsonValue] = Field(default_factory=dict)
    """Fields added to the judge's calls, also where the upstream judges its own answers."""
    failed_judge: Literal["tell", "unreviewed"] = "tell"
    """What follows where a judge fails, or was not yet asked, questions with known verdicts."""
    judgements_at_once: Annotated[int, Field(ge=1, le=256)] = 16
    call_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 300.0
    replica_silence_s: Annotated[float, Field(gt=0, le=3600)] = 20.0
    """One of several replicas with open calls is doubted after so long without a byte of any."""

    cache_salt: Literal["auto", "off"] = "auto"
    """Keep tenants apart in vLLM's prefix cache, so that none can time another's prompts."""

    calls_at_once: Annotated[int, Field(ge=1, le=65_536)] = 128
    """Calls to the model server in flight at most, about what its replicas batch together."""
    queue_length: Annotated[int, Field(ge=0, le=65_536)] = 128
    """New requests that may wait; the fuller the queue, the less review a new one gets."""
    queue_s: Annotated[float, Field(gt=0, le=600)] = 10.0

    data_dir: Path = Field(default_factory=lambda: platformdirs.user_data_path(PACKAGE))
    principles: Path | None = None
    """A principle library; without it, the last one built, or the bundled one."""
    rubrics: Path | None = None
    embedder: Path | None = None
    """A sentence-transformers folder; the bundled English model without it."""
    multilingual_embedder: bool = False
    """The embedder knows the users' languages: questions are not restated in English for it."""

    deadline_ms: Annotated[int, Field(ge=100, le=600_000)] = 120_000
    answer_max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Length of an answer whose request does not say; without it, the model server's own limit."""
    on_degraded: Literal["mark", "notice", "error"] = "mark"

    side_requests: Literal["header_and_prompts", "header", "off"] = "header_and_prompts"
    """What tells a chat frontend's side request (a title, tags), which takes one plain call."""
    minimum_mode: Mode = "draft"
    """Nothing gets less review than this, whatever a request says; side requests neither."""

    shutdown_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """How long requests that run may go on after SIGTERM."""
    public_url: str | None = None
    """Where users' browsers reach this gateway, such as https://clinic.example; for links to it."""

    max_body_bytes: Annotated[int, Field(ge=1024)] = 2 * MEGABYTE
    receive_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """How long a request may take to arrive whole."""
    send_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """How long a client may take no byte of what waits for it."""
    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    ping_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    """Longest silence of a stream."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator(
        "upstream", "trusted_proxies", "allowed_hosts", "allowed_origins", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        """Read several values from one variable, separated by commas."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("upstream", "judge_upstream")
    @classmethod
    def _http(cls, value: tuple[str, ...] | str | None) -> tuple[str, ...] | str | None:
        for url in (value,) if isinstance(value, str) else value or ():
            if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
                raise ValueError("must be a URL such as http://127.0.0.1:8001/v1")
        if isinstance(value, str):
            return _with_version(value)
        return value if value is None else tuple(_with_version(url) for url in value)

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in value:
            try:
                ipaddress.ip_network(proxy)
            except ValueError:
                raise ValueError("must be addresses or networks, such as 10.0.0.0/24") from None
        return value

    @field_validator("keys_database", "limits_url")
    @classmethod
    def _store(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        kinds = STORES[info.field_name or ""]
        if value is not None and urlsplit(value.get_secret_value()).scheme not in kinds:
            raise ValueError(
                f"must be a URL that begins with {' or '.join(f'{k}://' for k in kinds)}"
            )
        return value

    @field_validator("public_url")
    @classmethod
    def _linkable(cls, value: str | None) -> str | None:
        """Return the URL without `/v1`, which clients' base URLs have and links add."""
        if value is None:
            return None
        parts = urlsplit(value)
        sound = parts.scheme in {"http", "https"} and parts.hostname and _LINKABLE.match(value)
        if not sound or parts.username is not None:
            raise ValueError("must be a URL such as https://clinic.example, without a query")
        return value.rstrip("/").removesuffix("/v1")

    @property
    def is_demo(self) -> bool:
        """Whether the embedded engine answers."""
        return self.engine == "demo" or not self.upstream

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the gateway."""
        return is_loopback(self.host)

    @property
    def is_reachable(self) -> bool:
        """Whether others can ask: from beyond this machine, or through a proxy on it."""
        return not self.is_local or bool(self.trusted_proxies)

    @property
    def imported_dir(self) -> Path:
        """Where imported banks lie."""
        return self.data_dir / "rubrics"

    @property
    def index_dir(self) -> Path:
        """Where the indexes lie."""
        return self.data_dir / "index"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # files of the environment
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # are not read
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, strongest first."""
        file = YamlConfigSettingsSource(settings_cls)
        return (init_settings, file, env_settings)


def is_loopback(host: str) -> bool:
    """Say whether an address to listen on is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _with_version(url: str) -> str:
    """Return the base URL with `/v1`, which is easily left out."""
    bare = url.rstrip("/")
    return bare if urlsplit(bare).path else f"{bare}/v1"


def load_settings(config: Path | None = None, **flags: object) -> Settings:
    """Read the settings; flags that are None were not given.

    Raises:
        SettingsInvalid: naming the setting at fault.

    """
    given = {name: value for name, value in flags.items() if value not in (None, (), [])}
    if config is not None and not config.is_file():
        raise SettingsInvalid(f"the configuration file does not exist: {config}")

    _check_file(config)
    _check_environment()

    class FromFile(Settings):
        model_config = SettingsConfigDict(yaml_file=config, yaml_file_encoding="utf-8")

    try:
        read = FromFile(**given)  # type: ignore[arg-type]  # flags are checked by the model
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SettingsInvalid(f"setting {name}: {first['msg']}") from None
    except SettingsError as error:
        # Its first line names the field and the source, not the value.
        raise SettingsInvalid(str(error).splitlines()[0]) from None
    if read.upstream and read.engine == "demo":
        raise SettingsInvalid("settings upstream and engine exclude each other: name one")
    if bool(read.judge_upstream) != bool(read.judge_model):
        raise SettingsInvalid("settings judge_upstream and judge_model go together")
    if bool(read.tls_cert) != bool(read.tls_key):
        raise SettingsInvalid("settings tls_cert and tls_key go together")
    if read.keys_file and read.keys_database:
        raise SettingsInvalid("settings keys_file and keys_database exclude each other: name one")
    return read


def _check_environment() -> None:
    """Check that each variable with our prefix is a setting, as the file's names must be.

    A mistyped one would leave its setting at the default without a word.

    Raises:
        SettingsInvalid: naming the nearest setting.

    """
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    for name in os.environ:
        ours = name.upper().startswith(PREFIX) and name.upper() not in _OF_CLIENTS
        if not ours or name.upper() in known or _BY_CLUSTER.search(name):
            continue
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0)
        raise SettingsInvalid(
            f"the environment variable {name} is no setting; unset it, or did you mean {near[0]}?"
        )


def _check_file(config: Path | None) -> None:
    """Check that the file is YAML of settings by name, before anything else reads it.

    Raises:
        SettingsInvalid: naming the file, and the line where there is one.

    """
    if config is None:
        return
    try:
        content: object = yaml.safe_load(config.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = error.problem or "not YAML"
        raise SettingsInvalid(f"the configuration {config}{line}: {problem}") from None
    except (yaml.YAMLError, ValueError, OSError) as error:
        kind = type(error).__name__
        raise SettingsInvalid(f"the configuration {config} cannot be read ({kind})") from None
    names = content if isinstance(content, dict) else None if content is not None else {}
    if names is None or not all(isinstance(name, str) for name in names):
        raise SettingsInvalid(f"the configuration {config} must be settings by name")
