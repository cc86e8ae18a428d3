"""GuideLLM, the load generator, over chat completions."""

from checks import DRAFT, QUESTION, REVISED, check, key, main, model, seen
from guidellm_runs import benchmark, texts, totals

MODEL = model()
HEALTH = {"/health": "healthz"}


@check
def a_streamed_run_of_the_first_model_completes_every_request():
    report = benchmark(count=6, api_routes=HEALTH)
    assert totals(report) == {"successful": 6, "errored": 0, "incomplete": 0, "total": 6}
    assert texts(report) == {REVISED}
    first = report["requests"]["successful"][0]
    assert first["time_to_first_token_ms"] > 0
    # The usage it reads is the gateway's: every hidden call, not the visible answer alone.
    assert first["prompt_tokens"] > 10 * len(QUESTION.split())
    assert first["output_tokens"] > 2 * len(REVISED.split())


@check
def a_run_without_streams_completes_too_and_costs_the_same():
    spent, tag = set(), key()
    for stream in (True, False):
        report = benchmark(count=3, of=tag, api_routes=HEALTH, stream=stream)
        assert (totals(report)["successful"], texts(report)) == (3, {REVISED})
        spent |= {
            (one["prompt_tokens"], one["output_tokens"]) for one in report["requests"]["successful"]
        }
    assert len(spent) == 1, spent


@check
def concurrent_requests_are_all_answered():
    profile = {"kind": "concurrent", "streams": [4]}
    report = benchmark(count=12, api_routes=HEALTH, profile=profile, model=f"{MODEL}-draft")
    assert (totals(report)["successful"], texts(report)) == (12, {DRAFT})


@check
def the_extension_is_sent_in_the_extras_and_a_fixed_length_is_taken():
    tag = key()
    extras = {"body": {"revision": {"mode": "draft"}}}
    report = benchmark(count=1, of=tag, api_routes=HEALTH, extras=extras, length=50)
    assert texts(report) == {DRAFT}
    body = seen(tag)["body"]
    assert (body["ignore_eos"], body["max_completion_tokens"]) == (True, 50)


@check
def refusals_are_counted_as_errors():
    report = benchmark(count=2, what="refused", api_routes=HEALTH)
    assert (totals(report)["successful"], totals(report)["errored"]) == (0, 2)


if __name__ == "__main__":
    main("guidellm")
