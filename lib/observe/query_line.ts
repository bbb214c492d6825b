import { rcodeName } from "../dns/codes.ts";
import { typeName } from "../dns/type_names.ts";
import { clientText, type Detail, nameText } from "./detail.ts";
import type { Answered } from "./event.ts";

export type QueryFormat = "text" | "json";

/** One answer as one line. No octet of a name can begin a new one: `Message.name` escapes all that is no plain letter. */
export function queryLine(event: Answered, time: Date, format: QueryFormat, detail: Detail): string {
  const { query, rcode, milliseconds, error } = event;
  const { client, message, trace } = query;
  const facts = {
    time: time.toISOString(),
    client: clientText(query, detail),
    transport: client.transport,
    name: nameText(query, detail),
    type: typeName(message.type),
    rcode: rcodeName(rcode),
    source: trace.source,
    milliseconds: Number(milliseconds.toFixed(2)),
    attempts: trace.attempts,
    upstream: trace.upstream ?? "-",
  };
  const { list } = trace;
  if (format === "json") {
    return JSON.stringify({ ...facts, ...list && { list }, ...error && { error: error.message } }) + "\n";
  }
  const why = error ? ` ${error.phase}: ${error.failure}` : list ? ` list: ${list}` : "";
  return Object.values(facts).join(" ") + why + "\n";
}
