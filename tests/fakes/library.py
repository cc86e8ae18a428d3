"""A library of three principles and a bank of two questions, small enough to know by heart."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.protocols import Embedder
from retrieval.open import Places, build_indexes, open_retriever
from retrieval.retriever import Retriever

QUESTION = "I have had a headache since this morning, what helps?"

HARM = "Advises an action that is likely to cause harm"
DIRECT = "Responds directly to the main question"
SIGNS = "Names the warning signs of a dangerous headache"
DOCTOR = "Says when to see a doctor about the headache"
DOSE = "States the largest daily dose of the medicine"
CAUSE = "Asks what came before the headache"

PRINCIPLES = (
    {
        "id": "safe-and-direct",
        "title": "Safe and direct",
        "text": "Answer what was asked and advise nothing that could injure someone.",
        "dimensions": {},
        "criteria": [
            {"criterion": HARM, "points": 10, "kind": "forbid", "critical": True},
            {"criterion": DIRECT, "points": 8},
        ],
        "always": True,
    },
    {
        "id": "headache-warning-signs",
        "title": "Headache warning signs",
        "text": "A headache has warning signs; what helps a headache since this morning.",
        "dimensions": {"urgency": ["emergent"]},
        "criteria": [
            {"criterion": SIGNS, "points": 9},
            {"criterion": DOCTOR, "points": 6},
        ],
        "sources": [{"label": "A guideline", "url": "https://example.org/headache"}],
    },
    {
        "id": "medicine-doses",
        "title": "Medicine doses",
        "text": "A dose of paracetamol or ibuprofen has a daily limit that an answer must name.",
        "dimensions": {"task": ["simple-question"]},
        "criteria": [{"criterion": DOSE, "points": 7}],
    },
)
BANK = (
    {
        "id": "bank-headache",
        "messages": [{"role": "user", "content": "I have a headache since this morning"}],
        "rubric": [
            {"criterion": CAUSE, "points": 5},
            {"criterion": "Blames the headache on stress without asking", "points": -4},
        ],
    },
    {
        "id": "bank-rash",
        "messages": [{"role": "user", "content": "My child's arm shows red spots"}],
        "rubric": [{"criterion": "Asks whether the spots fade under a glass", "points": 8}],
    },
)


def write_library(folder: Path) -> Places:
    """Write the files and return where they lie; the indexes are not built."""
    return Places(
        indexes=folder / "index",
        principles=_write(folder / "principles.jsonl", PRINCIPLES),
        rubrics=_write(folder / "rubrics.jsonl", BANK),
    )


def open_library(folder: Path, embedder: Embedder) -> Retriever:
    """Write the files, build the indexes and open them."""
    places = write_library(folder)
    build_indexes(places, embedder)
    return open_retriever(places, embedder)


def _write(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return path
