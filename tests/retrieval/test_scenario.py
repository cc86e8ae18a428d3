import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from retrieval import classifier
from retrieval.classifier import (
    DIMENSION,
    EMBEDDER,
    EMERGENT_FLOOR,
    ScenarioClassifier,
    raise_emergent,
)
from retrieval.dimensions import DIMENSIONS, HEADS
from retrieval.errors import ScenarioFileInvalid
from retrieval.query import query_text
from retrieval.red_flags import red_flag
from retrieval.scenario import EMERGENT_THRESHOLD, Scenario

SHIPPED = Path(classifier.__file__).parent / "data" / "scenario.json"


def content() -> dict:
    return {
        "format": 1,
        "embedder": EMBEDDER,
        "dimension": DIMENSION,
        "heads": [
            {
                "name": name,
                "dimension": dimension,
                "labels": list(labels),
                "weights": [[0.0] * DIMENSION for _ in labels],
                "bias": [0.0] * len(labels),
                "trained_on": 0,
                "macro_f1_cv": 0.0,
            }
            for name, (dimension, labels) in HEADS.items()
        ],
    }


def head(data: dict, name: str) -> dict:
    return next(entry for entry in data["heads"] if entry["name"] == name)


def load(tmp_path: Path, data: object) -> ScenarioClassifier:
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return ScenarioClassifier.load(path)


def embedding(seed: int = 0) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class TestQueryText:
    def test_last_user_turn_comes_first_then_earlier_ones(self):
        turns = [("user", "I have asthma."), ("assistant", "Noted."), ("user", "May I run?")]
        assert query_text(turns) == "May I run?\nI have asthma."

    def test_only_user_turns_count(self):
        turns = [("system", "Be kind."), ("user", "Hello"), ("assistant", "Hi")]
        assert query_text(turns) == "Hello"

    def test_no_user_turn_is_empty(self):
        assert query_text([]) == ""
        assert query_text([("assistant", "Hi"), ("user", "  ")]) == ""

    def test_long_history_keeps_the_last_turn_and_the_tail_of_the_history(self):
        turns = [("user", f"turn {number} " + "x" * 500) for number in range(50)]
        text = query_text([*turns, ("user", "And at night?")])
        assert text.startswith("And at night?\n")
        assert len(text) <= len("And at night?\n") + 300

    def test_very_long_last_turn_keeps_head_and_tail(self):
        text = query_text([("user", "before"), ("user", "HEAD " + "x" * 50_000 + " TAIL")])
        assert text.startswith("HEAD")
        assert " TAIL\nbefore" in text
        assert len(text) <= 1001


class TestRedFlags:
    @pytest.mark.parametrize(
        "text",
        [
            "My dad has crushing chest pain and is sweating",
            "I can\u2019t breathe properly since an hour",
            "She is UNCONSCIOUS on the kitchen floor",
            "he took a whole bottle of paracetamol",
            "I feel suicidal tonight",
            "I worry that they might hurt themselves",
            "her face is drooping and her speech is slurred",
            "My 3-week-old has a fever of 38.6",
            "my throat is closing up after eating nuts",
            "the cut won't stop bleeding",
            "chest\npain for twenty minutes",
            # what looks like a negation and is none
            "No fever, chest pain since noon",
            "no idea if this is a stroke or having a stroke",
            "I don't know whether this chest pain is serious",
            "No relief from the chest pain",
            "No fever\nChest pain",
            "no nausea but chest pain",
            "not sleeping because of chest pain",
            "he denies nausea but has chest pain",
            "He denies nausea. Chest pain since noon.",
            "no chest pain at rest, but he fainted today",
        ],
    )
    def test_alarming_sentence_is_flagged(self, text: str):
        assert red_flag(text) is not None

    @pytest.mark.parametrize(
        "text",
        [
            "I have no chest pain",
            "There is no chest pain or shortness of breath",
            "cough without any difficulty breathing",
            "I am not suicidal",
            "She doesn't have chest pain",
            "Patient denies fever, chest pain, dyspnea, or loss of consciousness.",
            "How much water should I drink in summer?",
            "My chest of drawers pains me",
            "anapest and seizures2go",
            "",
        ],
    )
    def test_harmless_or_negated_sentence_is_not(self, text: str):
        assert red_flag(text) is None

    @pytest.mark.parametrize(
        "text",
        [
            "chest " * 40_000,
            "a" * 300_000,
            "chest " + "a" * 300_000,
            "no chest pain " * 20_000,
            "bleeding a b c " * 20_000,
            " \n-'" * 70_000,
        ],
    )
    def test_hostile_text_takes_linear_time(self, text: str):
        start = time.perf_counter()
        red_flag(text)
        assert time.perf_counter() - start < 5


class TestRaiseEmergent:
    def test_it_lifts_to_the_floor_and_keeps_the_ratio_of_the_rest(self):
        raised = raise_emergent(np.array([0.1, 0.3, 0.6]))
        assert raised == pytest.approx([EMERGENT_FLOOR, 0.5 / 3, 1 / 3])

    def test_it_never_lowers(self):
        assert raise_emergent(np.array([0.9, 0.1, 0.0])) == pytest.approx([0.9, 0.1, 0.0])
        assert raise_emergent(np.array([1.0, 0.0, 0.0])) == pytest.approx([1.0, 0.0, 0.0])

    def test_the_floor_is_above_the_threshold(self):
        assert EMERGENT_FLOOR > EMERGENT_THRESHOLD


class TestScenario:
    def test_unknown_is_even_shares_without_labels_or_emergency(self):
        unknown = Scenario.unknown()
        assert unknown.probability("urgency", "emergent") == pytest.approx(1 / 3)
        assert unknown.probability("expertise", "layperson") == 0.5
        assert unknown.probability("task", "data-task-enough-info") == 0.25
        assert unknown.as_labels() == {dimension: [] for dimension in DIMENSIONS}
        assert not unknown.emergent

    def test_unknown_names_raise(self):
        with pytest.raises(KeyError):
            Scenario.unknown().probability("urgency", "fine")

    def test_data_task_values_weigh_nothing_without_data(self, tmp_path: Path):
        data = content()
        head(data, "data-task")["bias"] = [-9.0, 9.0]
        head(data, "data-info")["bias"] = [9.0, -9.0]
        head(data, "question")["bias"] = [2.0, 0.0]
        found = load(tmp_path, data).classify(embedding(), "")
        assert found.probability("task", "data-task-enough-info") < 1e-6
        assert found.as_labels()["task"] == ["simple-question"]
        assert found.top("task") == "simple-question"

    def test_data_task_with_enough_info(self, tmp_path: Path):
        data = content()
        head(data, "data-task")["bias"] = [9.0, -9.0]
        head(data, "data-info")["bias"] = [1.0, -1.0]
        found = load(tmp_path, data).classify(embedding(), "")
        assert found.as_labels()["task"] == ["data-task-enough-info", "documents"]

    def test_labels_of_one_dimension_come_from_each_of_its_heads(self, tmp_path: Path):
        data = content()
        head(data, "uncertainty")["bias"] = [0.0, 0.0, 3.0]
        head(data, "context")["bias"] = [0.0, 1.0]
        found = load(tmp_path, data).classify(embedding(), "")
        assert found.as_labels()["uncertainty"] == ["reducible", "not-enough-context"]
        assert found.top("uncertainty") == "reducible"

    def test_emergent_follows_the_threshold(self, tmp_path: Path):
        data = content()
        others = np.log((1 - EMERGENT_THRESHOLD) / 2 / EMERGENT_THRESHOLD)
        for shift, expected in ((-0.01, True), (0.01, False)):
            head(data, "urgency")["bias"] = [0.0, others + shift, others + shift]
            assert load(tmp_path, data).classify(embedding(), "").emergent is expected


class TestClassifier:
    def test_weights_decide(self, tmp_path: Path):
        data = content()
        vector = embedding()
        head(data, "setting")["weights"][1] = (5 * vector).tolist()
        classifier = load(tmp_path, data)
        assert classifier.classify(vector, "").top("setting") == "context-unclear"
        expected = np.exp(5) / (np.exp(5) + 2)
        found = classifier.classify(vector, "").probability("setting", "context-unclear")
        assert found == pytest.approx(expected, abs=1e-5)

    @pytest.mark.parametrize("shape", [(383,), (1, DIMENSION), (0,)])
    def test_embedding_of_another_shape_is_refused(self, tmp_path: Path, shape: tuple[int, ...]):
        with pytest.raises(ValueError, match="384"):
            load(tmp_path, content()).classify(np.zeros(shape, dtype=np.float32), "")

    def test_embedding_that_is_not_finite_is_refused(self, tmp_path: Path):
        with pytest.raises(ValueError, match="finite"):
            load(tmp_path, content()).classify(np.full(DIMENSION, np.nan, dtype=np.float32), "")


class TestShippedWeights:
    def test_they_load_and_name_their_embedder(self):
        data = json.loads(SHIPPED.read_text(encoding="utf-8"))
        assert data["embedder"] == EMBEDDER
        assert data["dimension"] == DIMENSION
        assert [entry["name"] for entry in data["heads"]] == list(HEADS)
        ScenarioClassifier.load(SHIPPED)

    @pytest.mark.parametrize("text", ["hello", "he stopped breathing"])
    def test_each_head_sums_to_one(self, text: str):
        classifier = ScenarioClassifier.load(SHIPPED)
        for seed in range(20):
            found = classifier.classify(embedding(seed), text)
            assert {key: tuple(value) for key, value in found.values.items()} == DIMENSIONS
            for name, (dimension, labels) in HEADS.items():
                if name == "data-task":  # its other label is no dimension value
                    continue
                total = sum(found.probability(dimension, label) for label in labels)
                wanted = found.probability("task", "documents") if name == "data-info" else 1.0
                assert total == pytest.approx(wanted)

    def test_red_flag_surfaces_whatever_the_embedding_says(self):
        classifier = ScenarioClassifier.load(SHIPPED)
        for seed in range(20):
            before = classifier.classify(embedding(seed), "I have no chest pain")
            after = classifier.classify(embedding(seed), "I have chest pain")
            assert after.emergent
            assert after.probability("urgency", "emergent") == pytest.approx(
                max(EMERGENT_FLOOR, before.probability("urgency", "emergent"))
            )

    def test_weights_are_rounded(self):
        data = json.loads(SHIPPED.read_text(encoding="utf-8"))
        for entry in data["heads"]:
            weights = np.array(entry["weights"])
            assert np.array_equal(weights, weights.round(4))


def _drop_head(data: dict) -> None:
    del data["heads"][3]


def _set(name: str, key: str, value: object) -> Callable[[dict], None]:
    return lambda data: head(data, name).update({key: value})


class TestInvalidFiles:
    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda data: data.update(format=2), "format is 2, expected 1"),
            (lambda data: data.update(embedder="other"), "embedder is 'other'"),
            (lambda data: data.update(dimension=768), "dimension is 768, expected 384"),
            (lambda data: data.update(heads=None), "heads is not a list"),
            (lambda data: data["heads"].append(data["heads"][0]), "given twice"),
            (lambda data: data["heads"].append("x"), "unknown or given twice"),
            (_drop_head, "missing heads: expertise"),
            (_set("urgency", "labels", ["a", "b", "c"]), "'urgency' has another dimension"),
            (_set("urgency", "weights", [[0.0]]), r"'urgency': weights .* \(3, 384\)"),
            (_set("urgency", "weights", [[0.0], [0.0, 1.0], []]), "'urgency': weights"),
            (_set("setting", "bias", [0.0, float("nan"), 0.0]), "'setting': bias"),
            (_set("setting", "bias", ["0", "0", "0"]), "'setting': bias"),
            (_set("setting", "bias", None), "'setting': bias"),
            (_set("setting", "bias", [10**400, 0, 0]), "'setting': bias"),
        ],
    )
    def test_damage_is_named(self, tmp_path: Path, damage: Callable[[dict], None], message: str):
        data = content()
        damage(data)
        with pytest.raises(ScenarioFileInvalid, match=message) as caught:
            load(tmp_path, data)
        assert "\n" not in str(caught.value)
        assert "scenario.json" in str(caught.value)

    @pytest.mark.parametrize(
        "raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000], ids=["empty", "cut", "binary", "deep"]
    )
    def test_what_is_no_json_is_named(self, tmp_path: Path, raw: bytes):
        path = tmp_path / "scenario.json"
        path.write_bytes(raw)
        with pytest.raises(ScenarioFileInvalid, match="is not JSON"):
            ScenarioClassifier.load(path)

    def test_another_top_level_is_named(self, tmp_path: Path):
        with pytest.raises(ScenarioFileInvalid, match="not an object"):
            load(tmp_path, [])

    def test_missing_file_is_named(self, tmp_path: Path):
        with pytest.raises(ScenarioFileInvalid, match="cannot be read"):
            ScenarioClassifier.load(tmp_path / "none.json")
