"""Fields that are refused whatever they hold, each with what to do instead.

Fields that reach into the engine are refused for safety: a chat template or a grammar from
outside is code, or as good as, and a reply of another shape cannot be read. Fields of OpenAI's
API that this gateway cannot honour are refused too: what is dropped in silence is taken for done.
"""

from collections.abc import Mapping
from typing import Any

from server.errors import InvalidRequest

ENGINE = frozenset(
    {
        "add_generation_prompt",
        "allowed_token_ids",
        "api_base",
        "base_url",
        "best_of",
        "bootstrap_host",
        "bootstrap_port",
        "bootstrap_room",
        "cache_prompt",
        "cache_salt",
        "chat_format",
        "chat_template",
        "chat_template_kwargs",
        "continue_final_message",
        "custom_logit_processor",
        "custom_params",
        "data_parallel_rank",
        "documents",
        "ebnf",
        "echo",
        "generation_prompt",
        "grammar",
        "grammar_lazy",
        "grammar_triggers",
        "guided_choice",
        "guided_decoding_backend",
        "guided_grammar",
        "guided_json",
        "guided_regex",
        "guided_whitespace_pattern",
        "id_slot",
        "json_schema",
        "kv_transfer_params",
        "logits_processors",
        "lora",
        "lora_path",
        "lora_request",
        "media_io_kwargs",
        "mm_processor_kwargs",
        "n_discard",
        "n_keep",
        "n_predict",
        "n_probs",
        "parse_tool_calls",
        "post_sampling_probs",
        "preserved_tokens",
        "priority",
        "prompt",
        "prompt_embeds",
        "prompt_logprobs",
        "prompt_token_ids",
        "regex",
        "request_id",
        "response_fields",
        "return_hidden_states",
        "return_progress",
        "return_token_ids",
        "return_tokens",
        "return_tokens_as_token_ids",
        "rid",
        "samplers",
        "session_params",
        "structural_tag",
        "structured_outputs",
        "timings_per_token",
        "truncate_prompt_tokens",
        "use_beam_search",
        "vllm_xargs",
    }
)
"""Never taken from a client; null, which some SDKs send for "not given", is as good as absent."""

INSTEAD: Mapping[str, str] = {
    "functions": "is not supported; describe the functions in tools",
    "function_call": "is not supported; use tools and tool_choice",
    "prediction": "is not supported; leave it out",
    "audio": "is not supported: answers are text; leave it out",
    "web_search_options": "is not supported: nothing is looked up on the web; leave it out",
}
"""OpenAI's own fields; null is as good as absent."""


def without_refused(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of a body without those that say nothing.

    Raises:
        InvalidRequest: one is refused.

    """
    for name in sorted(ENGINE.intersection(fields)):
        if fields[name] is not None:
            raise _refusal(name, "is not accepted from clients; leave it out")
    for name, said in INSTEAD.items():
        if fields.get(name) is not None:
            raise _refusal(name, said)
    empty = ENGINE | INSTEAD.keys()
    return {name: value for name, value in fields.items() if name not in empty}


def _refusal(name: str, said: str) -> InvalidRequest:
    return InvalidRequest(f"{name} {said}", param=name, code="unsupported_parameter")


def describe(schema: dict[str, Any]) -> None:
    """Add to a body's schema what is refused of it."""
    schema["patternProperties"] = {f"^({'|'.join(sorted(ENGINE))})$": {"type": "null"}}
    for name, said in INSTEAD.items():
        schema["properties"][name] = refusal_words(said)


def refusal_words(said: str) -> dict[str, Any]:
    """Return the schema of a field that must be null, with what is told of it."""
    told = said.removeprefix("is ")
    return {"type": "null", "description": f"{told[0].upper()}{told[1:]}."}
