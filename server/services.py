"""What lives as long as the application: model clients, principles, metrics.

`open_services` is the one place where settings become objects; tests hand in their own.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from models import embedded
from models.embedded import EmbeddedEngine
from models.embedder import SentenceEmbedder
from models.messages import NOTHING
from models.openai_chat import OpenAIChatModel
from models.openai_http import OpenAIServer
from models.protocols import ChatModel, Embedder
from retrieval import bank, principles
from retrieval.open import Places, open_retriever, require_indexes, signature
from retrieval.retriever import Retriever
from server.admission import Admission
from server.catalog import Catalog
from server.judges import Judges
from server.keys.open import open_ring
from server.keys.ring import Ring
from server.metrics import Metrics
from server.rates.counts import open_counts
from server.rates.rates import Rates
from server.repeats import Repeats
from server.settings import DEMO_ANSWER_TOKENS, Settings
from server.shelf import Shelf
from server.tenant import cache_salt

DEMO_JUDGEMENTS_AT_ONCE = 1
"""The embedded engine caches prefixes by slot; only judgements in a row share one."""

DEMO_CALLS_AT_ONCE = 2
"""It works on two calls at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The application's parts. `judge` is None where the writer judges its own answers."""

    settings: Settings
    upstream: OpenAIServer
    catalog: Catalog
    shelf: Shelf
    metrics: Metrics
    judge: ChatModel | None
    judgements_at_once: int
    answer_max_tokens: int | None
    admission: Admission = field(default_factory=Admission)
    repeats: Repeats = field(default_factory=Repeats)
    judges: Judges = field(default_factory=Judges)
    ring: Ring = field(default_factory=Ring)
    rates: Rates = field(default_factory=Rates)

    def writer(self, model: str) -> OpenAIChatModel:
        """Return the upstream's model of that name."""
        return OpenAIChatModel(
            server=self.upstream, name=model, options=self.settings.upstream_options or NOTHING
        )

    def cache_salt(self, tenant: str) -> str:
        """Return what keeps the tenant's prompts apart in an engine's cache; empty if nothing may.

        All gateways in front of one engine come to the same, so that they share what is cached.
        """
        if self.settings.cache_salt == "off":
            return ""
        key = self.settings.upstream_api_key
        return cache_salt(tenant, key.get_secret_value() if key else "")

    def judge_of(self, model: str) -> ChatModel:
        """Return what judges that model's answers: the judge of its own, or the model itself."""
        settings = self.settings
        return self.judge or OpenAIChatModel(
            server=self.upstream,
            name=model,
            options={**settings.upstream_options, **settings.judge_options},
        )


@asynccontextmanager
async def open_services(settings: Settings, metrics: Metrics) -> AsyncIterator[Services]:
    """Open everything and close it again.

    Raises:
        ModelUnavailable: the embedded engine does not start. An upstream that is down is no
            reason not to start: it may come up.
        KeyStoreError: the keys cannot be read.

    """
    async with AsyncExitStack() as stack:
        ring = await stack.enter_async_context(open_ring(settings))
        if settings.is_demo:
            engine = await stack.enter_async_context(EmbeddedEngine())
            upstream = OpenAIServer([engine.url], api_key=engine.api_key)
        else:
            key = settings.upstream_api_key
            upstream = OpenAIServer(
                settings.upstream,
                api_key=key.get_secret_value() if key else None,
                timeout_s=settings.call_timeout_s,
                silence_s=settings.replica_silence_s,
            )
        await stack.enter_async_context(upstream)
        only = embedded.MODEL_NAME if settings.is_demo else settings.upstream_model
        yield Services(
            settings=settings,
            upstream=upstream,
            catalog=Catalog(upstream.models, only=only),
            shelf=open_shelf(settings),
            metrics=metrics,
            judge=await open_judge(settings, stack),
            judgements_at_once=(
                DEMO_JUDGEMENTS_AT_ONCE if settings.is_demo else settings.judgements_at_once
            ),
            answer_max_tokens=settings.answer_max_tokens
            or (DEMO_ANSWER_TOKENS if settings.is_demo else None),
            admission=open_admission(settings),
            ring=ring,
            rates=await stack.enter_async_context(open_rates(settings)),
        )


def open_admission(settings: Settings) -> Admission:
    """Return the admission that the settings want."""
    return Admission(
        calls_at_once=DEMO_CALLS_AT_ONCE if settings.is_demo else settings.calls_at_once,
        queue_length=settings.queue_length,
        queue_s=settings.queue_s,
    )


@asynccontextmanager
async def open_rates(settings: Settings) -> AsyncIterator[Rates]:
    """Open the counters of keys' use that the settings name."""
    url = settings.limits_url
    async with open_counts(url.get_secret_value() if url else None) as counts:
        yield Rates(counts)


def places(settings: Settings) -> Places:
    """Return where the libraries and indexes lie."""
    return Places(
        indexes=settings.index_dir,
        principles=settings.principles or built_library(settings) or principles.DEFAULT_FILE,
        rubrics=settings.rubrics or bank.DEFAULT_FILE,
        imported=settings.imported_dir,
    )


def built_library(settings: Settings) -> Path | None:
    """Return the copy of a library that `principles build FILE` has put into use, if any."""
    copy = settings.index_dir / "principles.jsonl"
    return copy if copy.is_file() else None


def open_library(settings: Settings, embedder: Callable[[], Embedder] | None = None) -> Retriever:
    """Load the embedder, unless one is given, and open the indexes; takes seconds, and blocks.

    Raises:
        RetrievalError, EmbedderError: with what mends it.

    """
    where = places(settings)
    require_indexes(where)  # before the seconds that an embedder takes to load
    return open_retriever(
        where,
        embedder() if embedder else SentenceEmbedder(settings.embedder),
        multilingual=settings.multilingual_embedder,
    )


def open_shelf(settings: Settings) -> Shelf:
    """Return the shelf of the settings' library; its embedder is loaded once."""
    embedder = cache(lambda: SentenceEmbedder(settings.embedder))
    return Shelf(
        lambda: open_library(settings, embedder),
        signature=lambda: signature(places(settings)),
    )


async def open_judge(settings: Settings, stack: AsyncExitStack) -> ChatModel | None:
    """Return the judge of its own that the settings name, if any."""
    if settings.judge_upstream is None or settings.judge_model is None:
        return None
    key = settings.judge_api_key
    server = await stack.enter_async_context(
        OpenAIServer(
            [settings.judge_upstream],
            api_key=key.get_secret_value() if key else None,
            timeout_s=settings.call_timeout_s,
        )
    )
    return OpenAIChatModel(server=server, name=settings.judge_model, options=settings.judge_options)
