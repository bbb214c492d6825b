/** What the configuration file says of each option, as text; what is unknown there is a `UsageError`. */
import type { OptionValue } from "./command_line.ts";
import { TomlValue } from "./toml_value.ts";
import { UsageError } from "../core/errors.ts";
import type { ReadFile } from "../platform/read_file.ts";
import { isRepeatable, type Key, KEYS, type Name, OPTIONS, schemaOf } from "./options.ts";
import { parseToml, type Table, TomlError } from "./toml.ts";
import { readUpstream } from "./upstream_table.ts";

const BYTE_ORDER_MARK = "\ufeff";

/** Of what is in the table of routes. */
const SYNTAX = `"DOMAIN" = ["UPSTREAM"]`;

export function readConfigFile(path: string, read: ReadFile): (name: Name) => OptionValue[] {
  const places = new TomlValue(path, "", readToml(path, read)).fields(KEYS);
  const given = new Map<Name, OptionValue[]>(KEYS.map((key) => [key, readKey(key, places.get(key))]));
  return (name) => given.get(name) ?? [];
}

function readToml(path: string, read: ReadFile): Table {
  const text = read("--config", path);
  if (text.startsWith(BYTE_ORDER_MARK)) {
    throw new UsageError(`${path}:1: it starts with a byte order mark; save it as UTF-8 without one`);
  }
  if (text.trim() === "") {
    throw new UsageError(
      `${path}:1: it is empty, and so may be cut off; write the options into it, or none by a comment`,
    );
  }
  try {
    return parseToml(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    throw new UsageError(`${path}:${cause.line}: this is not TOML: ${cause.message}`, { cause });
  }
}

function readKey(key: Key, place: TomlValue | undefined): OptionValue[] {
  if (!place) return [];
  if (key === "upstream") return place.items().map(readUpstream);
  if (key === "route") return readRoutes(place);
  const read = (each: TomlValue) => each.given(schemaOf(key), OPTIONS[key].accepts);
  return isRepeatable(key) ? place.items().map(read) : [read(place)];
}

/** A table of domains, where the command line has a text with both. */
function readRoutes(routes: TomlValue): OptionValue[] {
  return [...routes.entries(SYNTAX)].flatMap(([domain, upstreams]) => {
    // TOML takes a.b without quotes for the key b of the table a.
    if (upstreams.isTable && !upstreams.entries(SYNTAX).has("host")) {
      throw new UsageError(`${upstreams.source} has no host; a domain with dots stands in quotes: ${SYNTAX}`);
    }
    return upstreams.items().map(readUpstream)
      .map(({ source, text }) => ({ source, text: `${domain}=${text}` }));
  });
}
