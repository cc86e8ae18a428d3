"""GuideLLM with what it does unasked, and over the endpoints beside chat completions."""

from checks import REVISED, check, main
from guidellm_runs import benchmark, texts, totals

HEALTH = {"/health": "healthz"}


@check
def its_own_check_of_health_is_answered():
    assert totals(benchmark(count=1))["successful"] == 1


@check
def responses_are_answered_whole_and_streamed():
    for stream in (True, False):
        report = benchmark(
            count=2, api_routes=HEALTH, request_format="/v1/responses", stream=stream
        )
        assert (totals(report)["successful"], texts(report)) == (2, {REVISED})


@check
def legacy_completions_are_passed_through():
    report = benchmark(count=2, api_routes=HEALTH, request_format="/v1/completions")
    assert (totals(report)["successful"], texts(report)) == (2, {" and rest"})


if __name__ == "__main__":
    main("guidellm")
