from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import sse
from models.errors import MalformedReply

STREAM = (
    ': waiting\n\ndata: {"a": "é"}\n\nevent: x\ndata: one\ndata: two\n\ndata:bare\n\n'
    "data: [DONE]\n\n"
).encode()
FRAMES = [
    b": waiting\n\n",
    'data: {"a": "é"}\n\n'.encode(),
    b"event: x\ndata: one\ndata: two\n\n",
    b"data:bare\n\n",
    b"data: [DONE]\n\n",
]
CUTS = st.lists(st.integers(min_value=0, max_value=200), max_size=40)


def split(stream: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in pairwise(places)]


async def frames_of(pieces: Sequence[bytes]) -> list[bytes]:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return [frame async for frame in sse.frames(body())]


@given(cuts=CUTS)
async def test_any_split_of_the_bytes_gives_the_same_frames(cuts: list[int]):
    assert await frames_of(split(STREAM, cuts)) == FRAMES


@given(cuts=CUTS)
async def test_any_split_of_a_stream_with_crlf_gives_the_same_frames(cuts: list[int]):
    assert await frames_of(split(STREAM.replace(b"\n", b"\r\n"), cuts)) == FRAMES


@pytest.mark.parametrize(
    "pieces",
    [
        (b"data: a\r", b"\n\r\ndata: [DONE]\r\n\r\n"),
        (b"data: a\r\n", b"\r\ndata: [DONE]\r\n\r\n"),
        (b"data: a\r\n\r", b"\ndata: [DONE]\r\n\r\n"),
        (b"data: a\r\n\r\ndata: [DONE]\r", b"\n\r", b"\n"),
    ],
)
async def test_a_line_end_that_straddles_two_reads_is_one_line_end(pieces: tuple[bytes, ...]):
    data = [sse.data_of(frame) for frame in await frames_of(pieces)]
    assert data == [b"a", sse.DONE]


async def test_a_last_frame_without_its_blank_line_is_still_a_frame():
    assert await frames_of([b"data: a\n\ndata: b"]) == [b"data: a\n\n", b"data: b\n\n"]


@pytest.mark.parametrize("pieces", [(), (b"",), (b"\n",), (b" ", b"\n")])
async def test_a_stream_of_nothing_has_no_frames(pieces: tuple[bytes, ...]):
    assert await frames_of(pieces) == []


async def test_an_endless_frame_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sse, "MAX_FRAME", 100)
    with pytest.raises(MalformedReply):
        await frames_of([b"x" * 60, b"x" * 60])


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (b"data: a\n\n", b"a"),
        (b"data:a\n\n", b"a"),
        (b"data:  a\n\n", b" a"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b": data: a\n\n", b""),
        (b"event: data\nid: 1\n\n", b""),
        (b"data:\n\n", b""),
        (b"database: a\n\n", b""),
    ],
)
def test_the_data_of_a_frame_is_its_data_lines(frame: bytes, data: bytes):
    assert sse.data_of(frame) == data
