"""Fields that are refused whatever they hold, each with what to do instead.

Fields that reach into the engine are refused for safety: a chat template or a grammar from
outside is code, or as good as, and a reply of another shape cannot be read. Engines get new ones
with every release, so what nobody here knows goes up only if it is too plain to do harm
(docs/adr/0032). Fields of OpenAI's
API that this gateway cannot honour are refused too: what is dropped in silence is taken for done.
"""

from collections.abc import Mapping
from typing import Any

from server.errors import InvalidRequest

ENGINE = frozenset(
    {
        "adapter_id",
        "adapters",
        "add_generation_prompt",
        "add_special_tokens",
        "allowed_token_ids",
        "api_base",
        "api_key",
        "api_version",
        "audio_data",
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
        "custom_llm_provider",
        "custom_logit_processor",
        "custom_params",
        "data_parallel_rank",
        "documents",
        "ebnf",
        "ec_transfer_params",
        "echo",
        "extra_key",
        "fallbacks",
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
        "image_data",
        "input_embeds",
        "input_ids",
        "json_schema",
        "kv_transfer_params",
        "logits_processors",
        "logprob_token_ids",
        "lora",
        "lora_name",
        "lora_path",
        "lora_request",
        "max_logprobs",
        "media_io_kwargs",
        "mm_processor_kwargs",
        "mock_response",
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
        "repetition_detection",
        "request_id",
        "response_fields",
        "return_hidden_states",
        "return_mm_kwargs",
        "return_progress",
        "return_prompt_text",
        "return_routed_experts",
        "return_token_ids",
        "return_token_offsets",
        "return_tokens",
        "return_tokens_as_token_ids",
        "rid",
        "routed_experts_prompt_start",
        "samplers",
        "session_id",
        "session_params",
        "stop_regex",
        "stream_interval",
        "structural_tag",
        "structured_outputs",
        "timings_per_token",
        "tokenizer",
        "truncate_prompt_tokens",
        "truncation_side",
        "use_beam_search",
        "video_data",
        "vllm_xargs",
        "watermarking",
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


MEDIA = frozenset(
    {
        "audio",
        "audio_embeds",
        "audio_url",
        "documents",
        "file",
        "file_data",
        "file_id",
        "file_url",
        "image",
        "image_embeds",
        "image_pil",
        "image_url",
        "images",
        "input_audio",
        "input_image",
        "prompt_embeds",
        "url",
        "video",
        "video_url",
    }
)
"""Fields inside a turn, a part or a tool in which engines look for media, some to fetch them."""

LISTS = frozenset({"bad_words", "stop_token_ids"})
LONGEST_LIST = 1024
LONGEST_WORD = 256
"""Of a field that we do not know: characters."""

_PLAIN: Mapping[str, Any] = {
    "anyOf": [
        {"type": ["boolean", "number", "null"]},
        {"type": "string", "maxLength": LONGEST_WORD},
    ]
}


def check_unknown(fields: Mapping[str, object]) -> None:
    """Check the fields that nobody here knows: only plain values go up.

    What reaches into an engine (a grammar, a template, an adapter, vectors, an address to fetch)
    comes as an object, an array, a long text or a URL. A switch or a number does not.

    Raises:
        InvalidRequest: one is none; its name is the client's own and is not told.

    """
    for name, value in fields.items():
        if name in LISTS and isinstance(value, list):
            if len(value) > LONGEST_LIST or not all(map(_is_plain, value)):
                raise InvalidRequest(
                    f"{name} must have at most {LONGEST_LIST} items, each a number or a word",
                    param=name,
                    code="invalid_value",
                )
        elif not _is_plain(value):
            raise InvalidRequest(
                "a field that is not known here holds more than a number, true, false or a short "
                "text, and only such values are passed on; leave it out",
                code="unsupported_parameter",
            )


def check_inside(fields: Mapping[str, object], place: str) -> None:
    """Check the fields of a turn, a part or a tool beside those that we know.

    Raises:
        InvalidRequest: an engine would look for media there.

    """
    for name in sorted(MEDIA.intersection(fields)):
        if fields[name] is not None:
            raise InvalidRequest(
                f"{place}.{name} is not accepted: only text can be reviewed, and nothing is "
                "fetched; leave it out",
                param=f"{place}.{name}",
                code="unsupported_parameter",
            )


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_WORD and "://" not in value and value[:5].lower() != "data:"
    return value is None or isinstance(value, bool | int | float)


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
    schema["patternProperties"] = {
        f"^({'|'.join(sorted(ENGINE))})$": {"type": "null"},
        f"^({'|'.join(sorted(LISTS))})$": {"type": ["array", "null"], "maxItems": LONGEST_LIST},
    }
    schema["additionalProperties"] = _PLAIN
    for name, said in INSTEAD.items():
        schema["properties"][name] = refusal_words(said)


def refusal_words(said: str) -> dict[str, Any]:
    """Return the schema of a field that must be null, with what is told of it."""
    told = said.removeprefix("is ")
    return {"type": "null", "description": f"{told[0].upper()}{told[1:]}."}
