"""The clinical dimensions and the values each can take.

They are HealthBench's physician-agreed categories (Arora et al. 2025, MIT licence), grouped as
ClinAlign groups its principles: urgency, uncertainty, expertise, task type, and the setting.
"""

from collections.abc import Mapping
from types import MappingProxyType

DIMENSIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "urgency": ("emergent", "conditionally-emergent", "non-emergent"),
        "uncertainty": ("none", "irreducible", "reducible", "enough-context", "not-enough-context"),
        "expertise": ("professional", "layperson"),
        "task": (
            "simple-question",
            "detailed-question",
            "data-task-enough-info",
            "data-task-not-enough-info",
            "documents",
        ),
        "setting": ("context-clear", "context-unclear", "context-irrelevant"),
    }
)

# head -> (dimension, labels).  "no-documents" is the only label that is not a dimension value.
HEADS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "urgency": ("urgency", DIMENSIONS["urgency"]),
        "uncertainty": ("uncertainty", DIMENSIONS["uncertainty"][:3]),
        "context": ("uncertainty", DIMENSIONS["uncertainty"][3:]),
        "expertise": ("expertise", DIMENSIONS["expertise"]),
        "question": ("task", DIMENSIONS["task"][:2]),
        "data-info": ("task", DIMENSIONS["task"][2:4]),
        "data-task": ("task", ("documents", "no-documents")),
        "setting": ("setting", DIMENSIONS["setting"]),
    }
)
