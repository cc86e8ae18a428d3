// What the drivers for Node are made of; the same as checks.py, in JavaScript.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";

export const BASE_URL = process.env.GATEWAY_BASE_URL;
const UPSTREAM_URL = process.env.UPSTREAM_URL;

export const QUESTION = "I have had a headache since this morning, what helps?";
export const DRAFT =
  "Rest in a dark room, drink water, and take paracetamol if the headache bothers you.";
export const REVISED = `${DRAFT} See a doctor at once for warning signs such as a stiff neck.`;
export const TOOL = {
  type: "function",
  function: {
    name: "dose",
    description: "Looks up a dose",
    parameters: {
      type: "object",
      properties: { substance: { type: "string" } },
      required: ["substance"],
    },
  },
};
export const ADVICE = {
  type: "object",
  properties: { advice: { type: "string" }, urgent: { type: "boolean" } },
  required: ["advice", "urgent"],
  additionalProperties: false,
};

const checks = [];

/** Register a check; its name is its claim. */
export function check(name, run) {
  checks.push([name, run]);
}

/** Return a fresh key for a tag. */
export function key() {
  return randomBytes(4).toString("hex");
}

/** Return the question with a tag that the model server heeds. */
export function asking(what = "plain", of = key()) {
  return `${QUESTION} [${what} k=${of}]`;
}

/** Return what the model server saw of a key: calls, callers that left, the last body. */
export async function seen(of) {
  return (await fetch(`${UPSTREAM_URL}/seen/${of}`)).json();
}

/** Wait until the model server has seen one caller of that key leave. */
export async function left(of) {
  const ends = Date.now() + 3000;
  while ((await seen(of)).left !== 1) {
    assert.ok(Date.now() < ends, "the model server was left to work");
    await new Promise((resume) => setTimeout(resume, 20));
  }
}

/** Return the gateway's first model, as a user would look it up. */
export async function model() {
  return (await (await fetch(`${BASE_URL}/models`)).json()).data[0].id;
}

/** Return the error of that class which the call must raise. */
export async function raises(kind, call) {
  let got;
  try {
    got = await call();
  } catch (error) {
    if (error instanceof kind) return error;
    throw error;
  }
  assert.fail(`${kind.name} was not raised; got ${JSON.stringify(got)}`);
}

/** Run the checks; the last line is for the runner. Exit 1 if any failed. */
export async function main(name) {
  let failed = 0;
  for (const [claim, run] of checks) {
    const began = Date.now();
    try {
      await run();
      console.log(`ok     ${claim} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${claim}\n${error.stack}`);
    }
  }
  const installed = new URL(`node_modules/${name}/package.json`, import.meta.url);
  const { version } = JSON.parse(readFileSync(installed));
  console.log(JSON.stringify({ version, passed: checks.length - failed, failed }));
  process.exit(failed ? 1 : 0);
}
