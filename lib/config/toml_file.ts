/** Options of the configuration file, as text. An unknown key is a `UsageError`. */

import type { OptionValue } from "./command_line.ts";
import { TomlValue } from "./toml_value.ts";
import { UsageError } from "../core/errors.ts";
import type { ReadFile } from "../platform/read_file.ts";
import { isRepeatable, type Key, KEYS, type Name, OPTIONS, schemaOf } from "./options.ts";
import { parseToml, type Table, TomlError } from "./toml.ts";
import { readUpstream } from "./upstream_table.ts";

const BYTE_ORDER_MARK = "\ufeff";

/** Syntax of an entry in the table of routes. */
const ROUTE_SYNTAX = `"DOMAIN" = ["UPSTREAM"]`;

/** Reads the file. The result returns the values of an option. */
export function readConfigFile(path: string, read: ReadFile): (name: Name) => OptionValue[] {
  const values = new TomlValue(path, "", readToml(path, read)).fields(KEYS);
  const options = new Map<Name, OptionValue[]>(KEYS.map((key) => [key, readKey(key, values.get(key))]));
  return (name) => options.get(name) ?? [];
}

function readToml(path: string, read: ReadFile): Table {
  const text = read("--config", path);
  if (text.startsWith(BYTE_ORDER_MARK)) {
    throw new UsageError(`${path}:1: the file starts with a byte order mark; save it as UTF-8 without one`);
  }
  if (text.trim() === "") {
    throw new UsageError(
      `${path}:1: the file is empty and may be truncated; add options, or a comment if it is meant to be empty`,
    );
  }
  try {
    return parseToml(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    throw new UsageError(`${path}:${cause.line}: not valid TOML: ${cause.message}`, { cause });
  }
}

function readKey(key: Key, value: TomlValue | undefined): OptionValue[] {
  if (!value) return [];
  if (key === "upstream") return value.items().map(readUpstream);
  if (key === "route") return readRoutes(value);
  const read = (each: TomlValue) => each.scalar(schemaOf(key), OPTIONS[key].accepts);
  return isRepeatable(key) ? value.items().map(read) : [read(value)];
}

/** Converts the table of routes to texts as on the command line. */
function readRoutes(routes: TomlValue): OptionValue[] {
  return [...routes.entries(ROUTE_SYNTAX)].flatMap(([domain, upstreams]) => {
    // TOML reads a.b without quotes as the key b of the table a.
    if (upstreams.isTable && !upstreams.entries(ROUTE_SYNTAX).has("host")) {
      throw new UsageError(
        `${upstreams.source} has no host; write a domain with dots in quotes: ${ROUTE_SYNTAX}`,
      );
    }
    return upstreams.items().map(readUpstream)
      .map(({ source, text }) => ({ source, text: `${domain}=${text}` }));
  });
}
