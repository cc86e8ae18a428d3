"""What physicians demand: principles, rubric bank, scenario, and the search over them."""
