// OpenAI's client for Node: chat completions.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import {
  ADVICE,
  BASE_URL,
  DRAFT,
  REVISED,
  TOOL,
  asking,
  check,
  key,
  left,
  main,
  model,
  raises,
  seen,
} from "./checks.mjs";

const MODEL = await model();
const READINGS = [MODEL, `${MODEL}-fast`, `${MODEL}-thorough`, `${MODEL}-draft`];
const client = new OpenAI({ baseURL: BASE_URL, apiKey: "any" });

function asks(what, of, fields = {}) {
  return { model: MODEL, messages: [{ role: "user", content: asking(what, of) }], ...fields };
}

async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

function textOf(chunks) {
  return chunks.map((one) => one.choices[0]?.delta.content ?? "").join("");
}

check("the models are listed and found", async () => {
  const listed = [];
  for await (const one of client.models.list()) listed.push(one.id);
  assert.deepEqual(listed, READINGS);
  assert.equal((await client.models.retrieve(READINGS[1])).id, READINGS[1]);
});

check("a whole answer carries the review", async () => {
  for (const name of READINGS) {
    const got = await client.chat.completions.create({ ...asks(), model: name });
    const isDraft = name.endsWith("-draft");
    assert.equal(got.choices[0].finish_reason, "stop");
    assert.ok(got.choices[0].message.content.startsWith(isDraft ? DRAFT : REVISED));
    assert.equal(got.revision.status, isDraft ? "off" : "revised");
  }
});

check("a stream says what the whole answer says and ends once", async () => {
  for (const name of READINGS) {
    const asked = { ...asks("plain", key()), model: name };
    const whole = await client.chat.completions.create(asked);
    const options = { stream: true, stream_options: { include_usage: true } };
    const chunks = await all(await client.chat.completions.create({ ...asked, ...options }));
    assert.equal(textOf(chunks), whole.choices[0].message.content);
    const finished = chunks.filter((one) => one.choices[0]?.finish_reason);
    assert.deepEqual(finished.map((one) => one.choices[0].finish_reason), ["stop"]);
    assert.equal(finished[0].revision.status, whole.revision.status);
    assert.equal(chunks[0].choices[0].delta.role, "assistant");
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.deepEqual(chunks.at(-1).usage, whole.usage);
    assert.ok(chunks.slice(0, -1).every((one) => one.usage == null));
    assert.equal(new Set(chunks.map((one) => one.id)).size, 1);
  }
});

check("usage comes in a stream only when asked for", async () => {
  for (const name of READINGS) {
    const asked = { ...asks(), model: name, stream: true };
    const chunks = await all(await client.chat.completions.create(asked));
    assert.ok(chunks.every((one) => one.usage == null && one.choices.length === 1));
  }
});

check("the extension is heeded and answered", async () => {
  const revision = { mode: "fast", max_rounds: 0, include: ["trace"] };
  const got = await client.chat.completions.create({ ...asks(), revision });
  assert.deepEqual([got.revision.mode, got.revision.rounds], ["fast", 0]);
  assert.equal(got.revision.trace.draft, DRAFT);
});

check("the headers are there with the response", async () => {
  const { data, response, request_id } = await client.chat.completions
    .create(asks())
    .withResponse();
  assert.equal(response.headers.get("x-revision-id"), data.revision.id);
  assert.equal(response.headers.get("x-revision-status"), data.revision.status);
  assert.equal(response.headers.get("x-request-id"), request_id);
  assert.equal(data._request_id, request_id);
});

check("the stream helper puts the answer together", async () => {
  for (const name of READINGS) {
    const stream = client.chat.completions.stream({ ...asks(), model: name });
    const final = await stream.finalChatCompletion();
    assert.ok(final.choices[0].message.content.startsWith(DRAFT));
    assert.equal(final.choices[0].finish_reason, "stop");
  }
});

check("the parse helper gives an object", async () => {
  const json_schema = { name: "advice", strict: true, schema: ADVICE };
  const response_format = { type: "json_schema", json_schema };
  const got = await client.chat.completions.create(asks("plain", key(), { response_format }));
  assert.deepEqual(JSON.parse(got.choices[0].message.content), { advice: REVISED, urgent: false });
  const parsing = zodResponseFormat(z.object({ advice: z.string(), urgent: z.boolean() }), "advice");
  const parsed = await client.chat.completions.parse(
    asks("plain", key(), { response_format: parsing }),
  );
  assert.equal(parsed.choices[0].message.parsed.advice, REVISED);
});

check("tool calls are relayed and their results answered", async () => {
  for (const name of READINGS) {
    const asked = { ...asks("plain", key(), { tools: [TOOL] }), model: name };
    const { choices } = await client.chat.completions.create(asked);
    const [call] = choices[0].message.tool_calls;
    assert.equal(choices[0].finish_reason, "tool_calls");
    assert.deepEqual(JSON.parse(call.function.arguments), { substance: "x" });
    const final = await client.chat.completions.stream(asked).finalChatCompletion();
    assert.equal(final.choices[0].finish_reason, "tool_calls");
    assert.equal(final.choices[0].message.tool_calls[0].id, call.id);
    assert.equal(final.choices[0].message.tool_calls[0].function.name, "dose");
  }
});

check("the tool runner calls the function and gets an answer", async () => {
  const given = [];
  const runnable = {
    type: "function",
    function: {
      ...TOOL.function,
      parse: JSON.parse,
      function: (wanted) => {
        given.push(wanted);
        return "none known";
      },
    },
  };
  const runner = client.chat.completions.runTools(asks("plain", key(), { tools: [runnable] }));
  assert.ok((await runner.finalContent()).startsWith(DRAFT));
  assert.deepEqual(given, [{ substance: "x" }]);
});

check("a request that is wrong is a bad request and not repeated", async () => {
  const wrong = [
    [asks("plain", key(), { temperature: 9 }), "temperature"],
    [asks("plain", key(), { n: 2 }), "n"],
    [asks("plain", key(), { revision: { top_k: 99 } }), "revision.top_k"],
  ];
  for (const [asked, param] of wrong) {
    const error = await raises(OpenAI.BadRequestError, () =>
      client.chat.completions.create(asked),
    );
    assert.deepEqual([error.status, error.param], [400, param]);
    assert.ok(error.requestID);
  }
  const tag = key();
  const error = await raises(OpenAI.BadRequestError, () =>
    client.chat.completions.create(asks("refused", tag)),
  );
  assert.equal(error.code, "upstream_rejected");
  assert.equal((await seen(tag)).calls, 1);
});

check("an unknown model is not found", async () => {
  for (const stream of [false, true]) {
    const error = await raises(OpenAI.NotFoundError, () =>
      client.chat.completions.create({ ...asks(), stream, model: "other" }),
    );
    assert.equal(error.code, "model_not_found");
  }
});

check("an overloaded model server is asked again after the pause it is given", async () => {
  const tag = key();
  const got = await client.chat.completions.create(asks("overloaded 2", tag));
  assert.equal(got.choices[0].message.content, REVISED);
  assert.equal((await seen(tag)).calls, 3);
});

check("without retries an overloaded model server is an internal server error", async () => {
  const error = await raises(OpenAI.InternalServerError, () =>
    client.chat.completions.create(asks("overloaded 9"), { maxRetries: 0 }),
  );
  assert.deepEqual([error.status, error.code], [503, "upstream_unavailable"]);
});

check("the client's timeout ends the call all the way down", async () => {
  const tag = key();
  await raises(OpenAI.APIConnectionTimeoutError, () =>
    client.chat.completions.create(asks("slow 5", tag), { timeout: 400, maxRetries: 0 }),
  );
  await left(tag);
});

check("an aborted call and an aborted stream end the call all the way down", async () => {
  const tag = key();
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 400);
  await raises(OpenAI.APIUserAbortError, () =>
    client.chat.completions.create(asks("slow 9", tag), { signal: controller.signal }),
  );
  await left(tag);
  for (const [name, what] of [[MODEL, "slow 9"], [`${MODEL}-draft`, "paced 0.3"]]) {
    const streamed = key();
    const asked = { ...asks(what, streamed), model: name, stream: true };
    const stream = await client.chat.completions.create(asked);
    for await (const chunk of stream) {
      assert.equal(chunk.choices[0].delta.role, "assistant");
      break;
    }
    await left(streamed);
  }
});

check("an error inside a stream is raised", async () => {
  for (const asked of [asks("late-refused"), { ...asks("cut"), model: `${MODEL}-draft` }]) {
    const stream = await client.chat.completions.create({ ...asked, stream: true });
    await raises(OpenAI.APIError, () => all(stream));
  }
});

await main("openai");
