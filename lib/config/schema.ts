/** JSON Schema of the configuration file, for editors. The table of options generates it. */

import { isRepeatable, type Key, KEYS, type Option, OPTIONS, schemaOf } from "./options.ts";
import { UPSTREAM_FIELDS } from "./upstream_table.ts";

/** Draft 7, which editors of TOML support. */
export function jsonSchema(): string {
  const schema = {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Configuration of dot-proxy",
    type: "object",
    properties: Object.fromEntries(KEYS.map((key) => [key, property(key)])),
    additionalProperties: false,
    definitions: { upstream: { anyOf: [{ type: "string" }, upstreamTable()] } },
  };
  return JSON.stringify(schema, null, 2) + "\n";
}

function property(key: Key): object {
  const { accepts, default: text, description }: Option<unknown> = OPTIONS[key];
  return { description: `${description} Accepts ${accepts}. Default: ${text ?? "none"}.`, ...valueOf(key) };
}

function valueOf(key: Key): object {
  const upstream = { $ref: "#/definitions/upstream" };
  if (key === "route") return { type: "object", additionalProperties: oneOrMore(upstream) };
  const value = key === "upstream" ? upstream : schemaOf(key);
  return isRepeatable(key) ? oneOrMore(value) : value;
}

function oneOrMore(value: object): object {
  return { anyOf: [value, { type: "array", items: value, minItems: 1 }] };
}

function upstreamTable(): object {
  const fields = Object.entries(UPSTREAM_FIELDS).map(([name, { schema, accepts, list }]) =>
    [name, { description: accepts, ...list ? oneOrMore(schema) : schema }] as const
  );
  return {
    type: "object",
    properties: Object.fromEntries(fields),
    required: ["host"],
    additionalProperties: false,
  };
}
