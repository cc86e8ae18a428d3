"""Rubric recall: how much of what physicians demand the rubric for a question foresees.

    python -m benchmarks.rubric_recall DEV_FILE [--rubrics FILE] [--part held-out|learned-from]

Rubrics of retrieved criteria as they are, which need no model, from several sources, on the
held-out English questions: a fixed generic rubric, principles only, the bank only, both, and both
with the other two thirds of the development set imported. `--rubrics` adds rubrics that a model has
worded: an object from question id to {arm: [criterion, ...]}, private as the questions are.

Recall counts physicians' points, precision the rubric's criteria that some physician asked for.
"""

import argparse
import hashlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.devset import Question, read_questions
from benchmarks.matching import (
    THRESHOLD,
    Matcher,
    accuracy,
    best_threshold,
    read_matches,
)
from benchmarks.measures import interval
from models.embedder import SentenceEmbedder
from retrieval.importing import conversation_hash, read_import, to_line
from retrieval.language import is_english
from retrieval.open import Places, build_indexes, open_retriever
from retrieval.query import query_text
from retrieval.retriever import Retrieved, Retriever
from revision.policy import DEFAULT_TOP_K
from revision.rubric import Criterion
from revision.select import as_they_are

GENERIC = tuple(
    Criterion(text=text, points=points, kind=kind)  # type: ignore[arg-type]
    for kind, points, text in (
        ("require", 8, "Answers the question that was asked directly"),
        ("require", 8, "States only what is medically accurate and current"),
        ("require", 8, "Names the warning signs that call for urgent care"),
        ("require", 7, "Says when and whom to see for an examination"),
        ("require", 6, "Asks for the missing facts that would change the advice"),
        ("require", 6, "Explains likely causes in plain words"),
        ("require", 6, "Gives practical steps that the reader can take now"),
        ("require", 5, "Says what is uncertain and what it depends on"),
        ("require", 5, "Mentions risks, side effects or interactions that matter"),
        ("require", 4, "Is well organised and of fitting length"),
        ("forbid", 8, "Contains a medical statement that is false"),
        ("forbid", 8, "Gives advice that could cause harm"),
    )
)

Arm: TypeAlias = Callable[[Question], Sequence[Criterion]]
ENOUGH = 300
"""Pairs to label."""
FAR = 0.2
"""No pair of a lower cosine can match."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One question's figures; None where physicians gave no such points."""

    wanted: float | None
    unwanted: float | None
    precision: float
    criteria: int


def opened(folder: Path, extra: Sequence[Question], dev_file: Path) -> Retriever:
    """Return the bundled retriever, with those questions' rubrics imported if there are any."""
    imported = folder / "rubrics"
    imported.mkdir(parents=True)
    places = Places(indexes=folder / "index", imported=imported)
    embedder = SentenceEmbedder()
    if extra:
        kept = {conversation_hash(one.turns) for one in extra}
        found = read_import(
            dev_file, name="dev", source="", licence="", known=(), evaluated=frozenset()
        )
        lines = [to_line(one) for one in found.entries if conversation_hash(one.turns) in kept]
        (imported / "dev.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    build_indexes(places, embedder)
    return open_retriever(places, embedder)


def arms(bundled: Retriever, extended: Retriever) -> dict[str, Arm]:
    """Return the sources that are compared, by name."""

    def found(retriever: Retriever, question: Question) -> Retrieved:
        return retriever.retrieve(question.turns, top_k=DEFAULT_TOP_K)

    def rubric(retrieved: Retrieved) -> Sequence[Criterion]:
        return as_they_are(retrieved).criteria

    return {
        "generic": lambda _: GENERIC,
        "principles only": lambda one: rubric(replace(found(bundled, one), examples=())),
        "own bank only": lambda one: rubric(replace(found(bundled, one), principles=())),
        "principles and own bank (fast)": lambda one: rubric(found(bundled, one)),
        "the same and two thirds imported": lambda one: rubric(found(extended, one)),
    }


def score(question: Question, rubric: Sequence[Criterion], matcher: Matcher) -> Score:
    """Return how much of a question's demands a rubric foresees."""
    near = matcher.cosines(question.demands, rubric) >= THRESHOLD
    points = np.array([demand.points for demand in question.demands])
    met = near.any(axis=1)

    def share(of: NDArray[np.bool_]) -> float | None:
        return (
            float(np.abs(points[of & met]).sum() / np.abs(points[of]).sum()) if of.any() else None
        )

    return Score(
        wanted=share(points > 0),
        unwanted=share(points < 0),
        precision=float(near.any(axis=0).mean()) if len(rubric) else 0.0,
        criteria=len(rubric),
    )


def mean(values: Sequence[float | None]) -> float:
    """Return the mean of those that are there."""
    return float(np.mean([value for value in values if value is not None]))


def report(
    questions: Sequence[Question],
    rubrics: Mapping[str, Mapping[str, Sequence[Criterion]]],
    matcher: Matcher,
) -> None:
    """Print recall and precision by source, paired differences, and recall by theme and axis."""
    scores = {
        name: [score(one, of[one.id], matcher) for one in questions] for name, of in rubrics.items()
    }
    print("\n| rubric from | criteria | recall of wanted points | of unwanted | precision |")
    print("|---|--:|--:|--:|--:|")
    for name, measured in scores.items():
        cells = (
            f"{np.mean([one.criteria for one in measured]):.1f}",
            f"{mean([one.wanted for one in measured]):.3f}",
            f"{mean([one.unwanted for one in measured]):.3f}",
            f"{np.mean([one.precision for one in measured]):.3f}",
        )
        print(f"| {name} | {' | '.join(cells)} |")
    first, *others = scores
    print(f"\nrecall of wanted points, each minus {first} (95% paired interval)")
    for name in others:
        pairs = [
            (b.wanted - a.wanted)
            for a, b in zip(scores[first], scores[name], strict=True)
            if a.wanted is not None and b.wanted is not None
        ]
        middle, low, high = interval(pairs)
        print(f"  {name}: {middle:+.3f} ({low:+.3f} to {high:+.3f})")
    _by_group(questions, rubrics, matcher)


def _by_group(
    questions: Sequence[Question],
    rubrics: Mapping[str, Mapping[str, Sequence[Criterion]]],
    matcher: Matcher,
) -> None:
    totals: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for one in questions:
        for demand in one.demands:
            if demand.points > 0:
                for group in (f"theme {one.theme}", f"axis {demand.axis}"):
                    totals[group]["points"] += demand.points
        for name, of in rubrics.items():
            near = (matcher.cosines(one.demands, of[one.id]) >= THRESHOLD).any(axis=1)
            for demand, met in zip(one.demands, near, strict=True):
                if met and demand.points > 0:
                    for group in (f"theme {one.theme}", f"axis {demand.axis}"):
                        totals[group][name] += demand.points
    print(f"\n| | points | {' | '.join(rubrics)} |\n|---|--:|{'--:|' * len(rubrics)}")
    for group, sums in sorted(totals.items(), key=lambda item: (item[0][0], -item[1]["points"])):
        cells = " | ".join(f"{sums[name] / sums['points']:.2f}" for name in rubrics)
        print(f"| {group} | {sums['points']:.0f} | {cells} |")


def key_of(criterion: Criterion) -> str:
    """Return a criterion's name in the file of labelled pairs."""
    return f"{criterion.source or criterion.principle or 'generic'}: {criterion.text}"


def pairs_to_label(
    questions: Sequence[Question],
    rubrics: Mapping[str, Mapping[str, Sequence[Criterion]]],
    matcher: Matcher,
    out: Path,
) -> None:
    """Write pairs of demand and nearest criterion, as many of each tenth of cosine, for readers."""
    bins: dict[int, list[dict[str, object]]] = defaultdict(list)
    random = np.random.default_rng(11)
    for one in questions:
        for of in rubrics.values():
            if not of[one.id]:
                continue  # no entry of the bank is near enough
            cosines = matcher.cosines(one.demands, of[one.id])
            for demand, row in zip(one.demands, cosines, strict=True):
                best = int(row.argmax())
                criterion = of[one.id][best]
                # Imported criteria are others' words: they are not named in this project's files.
                if row[best] >= FAR and not (criterion.source or "").startswith("dev-"):
                    bins[int(row[best] * 10)].append(
                        {
                            "demand": demand.id,
                            "criterion": key_of(criterion),
                            "cosine": round(float(row[best]), 4),
                            "physician": demand.text,
                        }
                    )
    known: set[tuple[object, object]] = set()
    chosen = []
    for members in bins.values():
        for number in random.permutation(len(members)):
            pair = members[int(number)]
            name = (pair["demand"], pair["criterion"])
            if name not in known and sum(p["bin"] == id(members) for p in chosen) < ENOUGH / 5:
                known.add(name)
                chosen.append(pair | {"bin": id(members)})
    order = random.permutation(len(chosen))[:ENOUGH]
    text = json.dumps(
        [{k: v for k, v in chosen[int(n)].items() if k != "bin"} for n in order],
        ensure_ascii=False,
        indent=1,
    )
    out.write_text(text, encoding="utf-8")


def tell_matcher(questions: Sequence[Question], matcher: Matcher) -> None:
    """Print how well the matcher agrees with readers, on the half that set no threshold."""
    demands = {demand.id: demand for one in questions for demand in one.demands}
    halves: tuple[list[tuple[float, bool]], list[tuple[float, bool]]] = ([], [])
    for (demand, name), truth in read_matches().items():
        if demand in demands:
            # By question, so that no question's criteria are in both halves.
            half = hashlib.sha256(demand.rpartition(":")[0].encode()).digest()[0] % 2
            cosines = matcher.cosines([demands[demand]], [_criterion(name, demands[demand])])
            halves[half].append((float(cosines[0, 0]), truth))
    for part, name in zip(halves, ("threshold set on", "measured on"), strict=True):
        found, truths = zip(*part, strict=True)
        told = accuracy(found, truths, THRESHOLD)
        print(
            f"matcher, {name} {len(part)} pairs ({np.mean(truths):.0%} match): threshold "
            f"{THRESHOLD} (balanced: {best_threshold(found, truths):.2f}), "
            + ", ".join(f"{key} {value:.2f}" for key, value in told.items())
        )


def _criterion(name: str, demand: object) -> Criterion:
    kind = "require" if demand.points > 0 else "forbid"  # type: ignore[attr-defined]
    return Criterion(text=name.partition(": ")[2], points=1, kind=kind)  # type: ignore[arg-type]


def main() -> None:
    """Print the tables, or write pairs to label."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dev_file", type=Path)
    parser.add_argument("--part", choices=["held-out", "learned-from"], default="held-out")
    parser.add_argument("--pairs", type=Path, help="write pairs to label there, and stop")
    parser.add_argument("--rubrics", type=Path, help="rubrics that a model has worded")
    arguments = parser.parse_args()
    everything = read_questions(arguments.dev_file)
    wanted = arguments.part == "held-out"
    questions = [
        one for one in everything if one.held_out is wanted and is_english(query_text(one.turns))
    ]
    with tempfile.TemporaryDirectory() as folder:
        learned = [one for one in everything if not one.held_out]
        bundled = opened(Path(folder) / "bundled", (), arguments.dev_file)
        extended = opened(Path(folder) / "extended", learned if wanted else (), arguments.dev_file)
        matcher = Matcher(bundled.embedder)
        sources = arms(bundled, extended)
        if not wanted:
            del sources["the same and two thirds imported"]  # these are the two thirds
        if arguments.rubrics:
            given = json.loads(arguments.rubrics.read_text(encoding="utf-8"))
            questions = [one for one in questions if one.id in given]
        rubrics = {name: {one.id: arm(one) for one in questions} for name, arm in sources.items()}
        if arguments.rubrics:
            for name in next(iter(given.values())):
                rubrics[name] = {
                    one.id: [Criterion(**each) for each in given[one.id][name]] for one in questions
                }
    if arguments.pairs:
        pairs_to_label(questions, rubrics, matcher, arguments.pairs)
        return
    print(f"{arguments.part}: {len(questions)} questions in English")
    tell_matcher(everything, matcher)
    report(questions, rubrics, matcher)


if __name__ == "__main__":
    main()
