/** The effective configuration as TOML, which can be used as a configuration file. */

import type { OptionValue } from "./command_line.ts";
import { isRepeatable, type Key, KEYS, type Option, OPTIONS, schemaOf } from "./options.ts";

/** Column of the comments. */
const COMMENT_COLUMN = 40;

/** The text of a configuration: one line per option, with its source as a comment. */
export function configText(sources: (key: Key) => readonly OptionValue[]): string {
  const routes = sources("route").map(({ text, source }) => {
    const at = text.indexOf("=");
    return { domain: text.slice(0, at), source, text: text.slice(at + 1) };
  });
  const tables = [...Map.groupBy(routes, ({ domain }) => domain)]
    .map(([domain, values]) => line(quoted(domain), list(values), values));
  const lines = KEYS.filter((key) => key !== "route").map((key) => keyLine(key, sources(key)));
  return [...lines, ...tables.length > 0 ? ["\n[route]\n", ...tables] : []].join("");
}

function keyLine(key: Key, values: readonly OptionValue[]): string {
  const { default: text }: Option<unknown> = OPTIONS[key];
  const effective = values.length > 0 || text === undefined ? values : [{ source: "default", text }];
  const [first] = effective;
  if (!first) return `# ${key} is not set\n`;
  return line(key, isRepeatable(key) ? list(effective) : valueText(key, first.text), effective);
}

function line(key: string, value: string, values: readonly OptionValue[]): string {
  const sources = [...new Set(values.map(({ source }) => source))].join(", ");
  return `${`${key} = ${value}`.padEnd(COMMENT_COLUMN)} # ${sources}\n`;
}

function list(values: readonly OptionValue[]): string {
  return `[${values.map(({ text }) => quoted(text)).join(", ")}]`;
}

function valueText(key: Key, text: string): string {
  const types: readonly string[] = [schemaOf(key).type].flat();
  const isBare = types.includes("boolean") || types.includes("integer") && /^\d+$/.test(text);
  return isBare ? text : quoted(text);
}

/** A basic string of TOML. JSON differs only in DEL, which TOML must escape. */
function quoted(text: string): string {
  return JSON.stringify(text).replaceAll("\x7f", "\\u007f");
}
