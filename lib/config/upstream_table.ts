/** An upstream as a table of the configuration file: the same as its text, field by field. */
import type { OptionValue } from "./command_line.ts";
import type { TomlValue } from "./toml_value.ts";
import { UsageError } from "../core/errors.ts";
import { formatHostPort } from "../net/host_port.ts";
import type { Schema } from "./option_types.ts";
import { OPTIONS } from "./options.ts";

/** `list`: one value or several. */
export const UPSTREAM_FIELDS = {
  host: field({ type: "string" }, "an IP address or a host name"),
  port: field({ type: "integer", minimum: 1, maximum: 65_535 }, "853 unless given"),
  "auth-name": field({ type: "string" }, "the name that its certificate must have; the host unless given"),
  pins: { ...field({ type: "string" }, "sha256/BASE64 of keys, one of which it must have"), list: true },
  cert: field({ type: "string" }, "a PEM file: our own certificate for it"),
  key: field({ type: "string" }, "a PEM file: the key of that certificate"),
  weight: field({ type: "integer", minimum: 1, maximum: 100 }, "its share in relation to others"),
} as const;

type Field = keyof typeof UPSTREAM_FIELDS;

const PARAMETERS = [["pin", "pins"], ["cert", "cert"], ["key", "key"], ["weight", "weight"]] as const;

function field(schema: Schema, accepts: string) {
  return { schema, accepts, list: false };
}

/** A text as on the command line, or a table. */
export function readUpstream(place: TomlValue): OptionValue {
  if (!place.isTable) return place.given({ type: "string" }, `${OPTIONS.upstream.accepts}, or a table`);
  const fields = place.fields(Object.keys(UPSTREAM_FIELDS));
  function texts(name: Field): string[] {
    const { schema, accepts, list } = UPSTREAM_FIELDS[name];
    const field = fields.get(name);
    const places = field && list ? field.items() : field ? [field] : [];
    return places.map((each) => each.given(schema, accepts).text);
  }
  const { source } = place;
  const [host] = texts("host");
  if (host === undefined) throw new UsageError(`${source} has no host: ${UPSTREAM_FIELDS.host.accepts}`);
  const address = texts("port").map((port) => formatHostPort(host, Number(port)))[0] ?? host;
  const name = texts("auth-name").map((name) => `#${name}`).join("");
  const parameters = PARAMETERS.flatMap(([name, field]) => texts(field).map((text) => `${name}=${text}`));
  return { source, text: address + name + (parameters.length > 0 ? `?${parameters.join("&")}` : "") };
}
