/** The configuration as it is in force, in TOML that can be used as a file. */
import type { OptionValue } from "./command_line.ts";
import { isRepeatable, type Key, KEYS, type Option, OPTIONS, schemaOf } from "./options.ts";

/** Where a column of comments begins. */
const COMMENTS = 40;

/** @param sources what was said of an option, and by whom; nothing where its default holds */
export function configText(sources: (key: Key) => readonly OptionValue[]): string {
  const routes = sources("route").map(({ text, source }) => {
    const at = text.indexOf("=");
    return { domain: text.slice(0, at), source, text: text.slice(at + 1) };
  });
  const tables = [...Map.groupBy(routes, ({ domain }) => domain)]
    .map(([domain, given]) => line(quoted(domain), list(given), given));
  const lines = KEYS.filter((key) => key !== "route").map((key) => keyLine(key, sources(key)));
  return [...lines, ...tables.length > 0 ? ["\n[route]\n", ...tables] : []].join("");
}

function keyLine(key: Key, given: readonly OptionValue[]): string {
  const { default: fallback }: Option<unknown> = OPTIONS[key];
  const said = given.length > 0 || fallback === undefined ? given : [{ source: "default", text: fallback }];
  const [first] = said;
  if (!first) return `# ${key} is not set\n`;
  return line(key, isRepeatable(key) ? list(said) : valueText(key, first.text), said);
}

function line(key: string, value: string, given: readonly OptionValue[]): string {
  const sources = [...new Set(given.map(({ source }) => source))].join(", ");
  return `${`${key} = ${value}`.padEnd(COMMENTS)} # ${sources}\n`;
}

function list(given: readonly OptionValue[]): string {
  return `[${given.map(({ text }) => quoted(text)).join(", ")}]`;
}

function valueText(key: Key, text: string): string {
  const types: readonly string[] = [schemaOf(key).type].flat();
  const isBare = types.includes("boolean") || types.includes("integer") && /^\d+$/.test(text);
  return isBare ? text : quoted(text);
}

/** A basic string of TOML is one of JSON, but that it has no DEL. */
function quoted(text: string): string {
  return JSON.stringify(text).replaceAll("\x7f", "\\u007f");
}
