"""The method: draft, rubric, critique, revise, re-check, stop."""
