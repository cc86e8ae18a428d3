"""LangChain's classes for the endpoints beside chat completions."""

from checks import ARGUMENTS, BASE_URL, REVISED, asking, check, main, model
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings

MODEL = model()
AT = {"base_url": BASE_URL, "api_key": "any", "model": MODEL}


@tool
def dose(substance: str) -> str:
    """Look up a dose."""
    return f"none known of {substance}"


@check
def chat_over_responses_answers_whole_and_streamed():
    chat = ChatOpenAI(**AT, use_responses_api=True)
    question = asking()
    whole = chat.invoke(question)
    assert whole.text == REVISED
    assert "".join(one.text for one in chat.stream(question)) == REVISED
    assert whole.usage_metadata["total_tokens"] > 0


@check
def chat_over_responses_calls_tools():
    got = ChatOpenAI(**AT, use_responses_api=True).bind_tools([dose]).invoke(asking())
    assert [(one["name"], one["args"]) for one in got.tool_calls] == [("dose", ARGUMENTS)]


@check
def legacy_completions_are_passed_through():
    plain = OpenAI(**AT, max_tokens=5)
    assert plain.invoke("Rest") == " and rest"
    assert "".join(plain.stream("Rest")) == " and rest"


@check
def embeddings_are_passed_through():
    # Without the tokenizer's download: the texts go as they are.
    embeddings = OpenAIEmbeddings(**AT, check_embedding_ctx_length=False)
    assert [len(one) for one in embeddings.embed_documents(["rest", "water"])] == [8, 8]
    assert len(embeddings.embed_query("rest")) == 8


if __name__ == "__main__":
    main("langchain-openai")
