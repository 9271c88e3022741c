// Compiled beside the types that openapi-typescript has written, and run. Prints a line of JSON for each answer.

import createClient from "openapi-fetch";

import type { components, paths } from "./bridge";

type Schemas = components["schemas"];
type Unprocessable = Schemas["FieldProblem"] | Schemas["RuleProblem"] | Schemas["MismatchProblem"];

declare const process: { argv: string[] };
const [url, key, callee] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url, headers: { authorization: `Bearer ${key}` } });

/** The types tell the problems apart by their type. */
function particular(problem: Unprocessable): string {
  switch (problem.type) {
    case "urn:pstn-bridge:problem:invalid":
      return problem.field;
    case "urn:pstn-bridge:problem:dial-rule":
      return problem.rule satisfies "premium" | (string & {});
    case "urn:pstn-bridge:problem:idempotency-mismatch":
      return "";
    default:
      return problem satisfies never;
  }
}

function tell(status: number, data: Schemas["Call"] | undefined, error: Schemas["Problem"] | undefined): void {
  const more = status === 422 ? { particular: particular(error as Unprocessable) } : {};
  console.log(JSON.stringify({ status, type: error?.type, state: data?.state, ...more }));
}

async function place(idempotencyKey: string, body: Schemas["NewCall"]): Promise<Schemas["Call"] | undefined> {
  const header = { "Idempotency-Key": idempotencyKey };
  const { data, error, response } = await client.POST("/api/v1/calls", { params: { header }, body });
  tell(response.status, data, error);
  return data;
}

const call = await place("ts-one", { to: callee, room: "sales" });
await place("ts-one", { to: callee, room: "support" });
await place("ts-two", { to: "+19005550100", room: "sales" });
await place("ts-three", { to: callee, room: "not a name" });

const path = { id: call?.id ?? "" };
const { error, response } = await client.POST("/api/v1/calls/{id}/transfer", {
  params: { path },
  body: { to: "+19005550100" },
});
tell(response.status, undefined, error);

// @ts-expect-error a call has to go somewhere
export const nowhere: Schemas["NewCall"] = { room: "sales" };
// @ts-expect-error there is no such rule
export const rule: Schemas["RuleProblem"]["rule"] = "made-up";
