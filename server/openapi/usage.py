"""What an answer has cost in tokens."""

from server.openapi.form import Count, Form


class PromptDetails(Form):
    """Of the prompts' tokens, those that the model server had in its cache."""

    cached_tokens: Count


class CompletionDetails(Form):
    """Of the completions' tokens, those of reasoning."""

    reasoning_tokens: Count


class Usage(Form):
    """The tokens of all calls behind an answer, hidden ones too."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails
