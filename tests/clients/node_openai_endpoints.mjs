// OpenAI's client for Node: the endpoints beside chat completions.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { ADVICE, BASE_URL, REVISED, asking, check, main, model, raises } from "./checks.mjs";

const MODEL = await model();
const client = new OpenAI({ baseURL: BASE_URL, apiKey: "any" });

check("a response is answered with its text and its review", async () => {
  const got = await client.responses.create({ model: MODEL, input: asking() });
  assert.deepEqual([got.object, got.status, got.output_text], ["response", "completed", REVISED]);
  assert.equal(got.revision.status, "revised");
  assert.equal(got.usage.total_tokens, got.usage.input_tokens + got.usage.output_tokens);
});

check("a response stream says what the whole response says", async () => {
  const input = asking();
  const whole = await client.responses.create({ model: MODEL, input });
  const stream = client.responses.stream({ model: MODEL, input });
  const kinds = [];
  stream.on("event", (event) => kinds.push(event.type));
  const final = await stream.finalResponse();
  assert.equal(final.output_text, whole.output_text);
  assert.deepEqual(final.usage, whole.usage);
  assert.equal(kinds[0], "response.created");
  assert.equal(kinds.at(-1), "response.completed");
});

check("a response can be JSON of a schema", async () => {
  const format = { type: "json_schema", name: "advice", strict: true, schema: ADVICE };
  const got = await client.responses.create({ model: MODEL, input: asking(), text: { format } });
  assert.equal(JSON.parse(got.output_text).advice, REVISED);
});

check("a response for an unknown model is not found", async () => {
  const error = await raises(OpenAI.NotFoundError, () =>
    client.responses.create({ model: "other", input: asking() }),
  );
  assert.equal(error.code, "model_not_found");
});

check("legacy completions are passed through, whole and streamed", async () => {
  const asked = { model: MODEL, prompt: "Rest", max_tokens: 5 };
  const whole = await client.completions.create(asked);
  assert.equal(whole.choices[0].text, " and rest");
  let text = "";
  for await (const one of await client.completions.create({ ...asked, stream: true })) {
    text += one.choices[0]?.text ?? "";
  }
  assert.equal(text, whole.choices[0].text);
});

check("embeddings are passed through", async () => {
  const got = await client.embeddings.create({ model: MODEL, input: ["rest", "water"] });
  assert.deepEqual(got.data.map((one) => one.index), [0, 1]);
  assert.equal(got.data[0].embedding.length, 8);
  const encoding_format = "float";
  const plain = await client.embeddings.create({ model: MODEL, input: "rest", encoding_format });
  assert.deepEqual(plain.data[0].embedding, got.data[0].embedding);
});

await main("openai");
