/** An upstream as a table of the configuration file. It is converted to the text of the command line. */

import type { OptionValue } from "./command_line.ts";
import type { TomlValue } from "./toml_value.ts";
import { UsageError } from "../core/errors.ts";
import { formatHostPort } from "../net/host_port.ts";
import type { Schema } from "./option_types.ts";
import { OPTIONS } from "./options.ts";

/** Keys of the table. A `list` accepts one value or several. */
export const UPSTREAM_FIELDS = {
  host: field({ type: "string" }, "an IP address or a host name"),
  port: field({ type: "integer", minimum: 1, maximum: 65_535 }, "default 853"),
  "auth-name": field({ type: "string" }, "the name in its certificate; default: the host"),
  pins: { ...field({ type: "string" }, "sha256/BASE64 of public keys; one of them must match"), list: true },
  cert: field({ type: "string" }, "a PEM file with the client certificate"),
  key: field({ type: "string" }, "a PEM file with the key of the client certificate"),
  weight: field(
    { type: "integer", minimum: 1, maximum: 100 },
    "its share of queries, relative to other upstreams",
  ),
} as const;

type Field = keyof typeof UPSTREAM_FIELDS;

const PARAMETERS = [["pin", "pins"], ["cert", "cert"], ["key", "key"], ["weight", "weight"]] as const;

function field(schema: Schema, accepts: string) {
  return { schema, accepts, list: false };
}

/** Reads an upstream: a string as on the command line, or a table. */
export function readUpstream(value: TomlValue): OptionValue {
  if (!value.isTable) return value.scalar({ type: "string" }, `${OPTIONS.upstream.accepts}, or a table`);
  const fields = value.fields(Object.keys(UPSTREAM_FIELDS));
  function texts(name: Field): string[] {
    const { schema, accepts, list } = UPSTREAM_FIELDS[name];
    const field = fields.get(name);
    const values = field && list ? field.items() : field ? [field] : [];
    return values.map((each) => each.scalar(schema, accepts).text);
  }
  const { source } = value;
  const [host] = texts("host");
  if (host === undefined) throw new UsageError(`${source} has no host: ${UPSTREAM_FIELDS.host.accepts}`);
  const address = texts("port").map((port) => formatHostPort(host, Number(port)))[0] ?? host;
  const name = texts("auth-name").map((name) => `#${name}`).join("");
  const parameters = PARAMETERS.flatMap(([name, field]) => texts(field).map((text) => `${name}=${text}`));
  return { source, text: address + name + (parameters.length > 0 ? `?${parameters.join("&")}` : "") };
}
