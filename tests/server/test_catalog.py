import asyncio

import pytest

from models.errors import ModelError, ModelUnavailable
from models.wire import ModelCard
from server.catalog import FRESH_S, Catalog
from server.errors import UnknownModel


class Upstream:
    """A list of models that a test changes; None while the server is down. Also the clock."""

    def __init__(self, *names: str) -> None:
        self.names: tuple[str, ...] | None = names
        self.asked = 0
        self.now = 50.0
        self.answers = asyncio.Event()
        self.answers.set()

    async def __call__(self) -> tuple[ModelCard, ...]:
        self.asked += 1
        await self.answers.wait()
        if self.names is None:
            raise ModelUnavailable("the model server cannot be reached")
        return tuple(ModelCard(id=name, max_model_len=4096) for name in self.names)

    def catalog(self, only: str | None = None) -> Catalog:
        return Catalog(self, only=only, clock=lambda: self.now)


@pytest.mark.parametrize(
    ("names", "asked_for", "model", "mode"),
    [
        (("m",), "m", "m", "standard"),
        (("m",), "m-fast", "m", "fast"),
        (("m",), "m-thorough", "m", "thorough"),
        (("m",), "m-draft", "m", "draft"),
        (("m", "m-draft"), "m-draft", "m-draft", "standard"),
        (("m-draft", "m"), "m-draft", "m-draft", "standard"),
        (("m-draft",), "m-draft", "m-draft", "standard"),
        (("m-draft",), "m-draft-draft", "m-draft", "draft"),
        (("m", "m-fast"), "m-fast-fast", "m-fast", "fast"),
        (("org/m",), "org/m-thorough", "org/m", "thorough"),
    ],
)
async def test_an_exact_id_beats_a_reading_as_suffix(
    names: tuple[str, ...], asked_for: str, model: str, mode: str
):
    choice = await Upstream(*names).catalog().resolve(asked_for)
    assert (choice.model, choice.mode) == (model, mode)


@pytest.mark.parametrize(
    "asked_for", ["", "other", "-fast", "m-", "m-FAST", "m-fast-fast", "M", "m-standard", " m"]
)
async def test_an_id_that_means_nothing_is_unknown(asked_for: str):
    with pytest.raises(UnknownModel):
        await Upstream("m").catalog().resolve(asked_for)


async def test_the_list_shows_every_id_once_and_each_resolves_to_what_it_shows():
    catalog = Upstream("m", "m-draft").catalog()
    listed = await catalog.listed()
    assert [one.id for one in listed] == [
        "m",
        "m-fast",
        "m-thorough",
        "m-draft",
        "m-draft-fast",
        "m-draft-thorough",
        "m-draft-draft",
    ]
    for one in listed:
        assert await catalog.resolve(one.id) == one.choice
        assert one.context == 4096


async def test_the_upstream_is_asked_again_only_when_the_list_is_old():
    upstream = Upstream("m")
    catalog = upstream.catalog()
    await catalog.cards()
    upstream.names = ("new",)
    upstream.now += FRESH_S - 1
    with pytest.raises(UnknownModel):
        await catalog.resolve("new")
    assert upstream.asked == 1
    upstream.now += 2
    assert (await catalog.resolve("new")).model == "new"
    assert upstream.asked == 2
    with pytest.raises(UnknownModel):
        await catalog.resolve("m")


async def test_nobody_waits_for_a_model_that_was_there_a_while_ago():
    upstream = Upstream("m")
    catalog = upstream.catalog()
    await catalog.cards()
    upstream.answers.clear()
    upstream.now += FRESH_S + 1
    async with asyncio.timeout(1):
        assert (await catalog.resolve("m-fast")).mode == "fast"
    unknown = asyncio.create_task(catalog.resolve("new"))
    await asyncio.sleep(0)
    upstream.names = ("m", "new")
    upstream.answers.set()
    assert (await unknown).model == "new"
    assert upstream.asked == 2, "one request for the list at a time"


async def test_many_that_wait_for_the_first_list_ask_once():
    upstream = Upstream("m")
    catalog = upstream.catalog()
    choices = await asyncio.gather(*(catalog.resolve("m") for _ in range(9)), catalog.check())
    assert choices[0] == choices[8]
    assert upstream.asked == 1


async def test_one_that_leaves_does_not_take_the_list_from_the_others():
    upstream = Upstream("m")
    upstream.answers.clear()
    catalog = upstream.catalog()
    leaving, staying = (asyncio.create_task(catalog.resolve("m")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    upstream.answers.set()
    assert (await staying).model == "m"


async def test_an_upstream_that_goes_down_keeps_the_list_it_had():
    upstream = Upstream("m")
    catalog = upstream.catalog()
    await catalog.cards()
    upstream.names = None
    upstream.now += FRESH_S + 1
    assert (await catalog.resolve("m-fast")).model == "m"
    await asyncio.sleep(0)  # so that the upstream is asked
    assert (await catalog.resolve("m")).model == "m"
    assert await catalog.listed()
    assert upstream.asked == 2, "a server that is down is not asked for every request"


async def test_an_upstream_that_was_never_there_is_an_error_until_it_comes():
    upstream = Upstream("m")
    names, upstream.names = upstream.names, None
    catalog = upstream.catalog()
    for _ in range(2):
        with pytest.raises(ModelError):
            await catalog.resolve("m")
    upstream.names = names
    assert (await catalog.resolve("m")).model == "m"


async def test_the_configured_model_is_the_only_one():
    catalog = Upstream("a", "b").catalog(only="b")
    assert [one.id for one in await catalog.cards()] == ["b"]
    with pytest.raises(UnknownModel):
        await catalog.resolve("a")


async def test_a_configured_model_that_is_not_there_is_told():
    with pytest.raises(ModelUnavailable, match="configured"):
        await Upstream("a").catalog(only="b").check()


async def test_a_check_asks_even_when_the_list_is_fresh():
    upstream = Upstream("m")
    catalog = upstream.catalog()
    await catalog.cards()
    upstream.names = None
    with pytest.raises(ModelUnavailable):
        await catalog.check()
    assert (await catalog.resolve("m")).model == "m"
