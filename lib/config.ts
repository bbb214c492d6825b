/**
 * Arguments and environment → Config. Nothing is corrected in silence: what is out of range, there twice, or unknown
 * is a `UsageError`.
 */
// @ts-types="./std.d.ts"
import { parseArgs } from "@std/cli/parse-args";
// @ts-types="./std.d.ts"
import { closestString } from "@std/text/closest-string";
import { UsageError } from "./errors.ts";
import { formatHostPort } from "./host_port.ts";
import {
  isRepeatable,
  type ListenAddress,
  type Name,
  NAMES,
  type Option,
  OPTIONS,
  PREFIX,
  type Value,
  variable,
} from "./options.ts";
import type { BootstrapAddress, UpstreamAddress } from "./upstream/address.ts";
import { mergeRoutes, type Route } from "./upstream/route.ts";

export { UsageError } from "./errors.ts";
export { helpText, type ListenAddress, optionTable } from "./options.ts";

/** Durations are in milliseconds. */
export interface Config {
  readonly upstreams: readonly UpstreamAddress[];
  /** Nobody chose the upstreams: worth a word in the start-up line. */
  readonly upstreamsByDefault: boolean;
  readonly strategy: Value<"strategy">;
  /** One for each domain. */
  readonly routes: readonly Route[];
  /** None: the system looks up the names of upstreams. */
  readonly bootstrap: readonly BootstrapAddress[];
  readonly opportunistic: boolean;
  readonly listen: readonly ListenAddress[];
  readonly ca: string | undefined;
  readonly logLevel: Value<"log-level">;
  readonly logFormat: Value<"log-format">;
  readonly timeout: number;
  readonly maxUdpSize: number;
  readonly tcpIdleTimeout: number;
  readonly maxTcpClients: number;
  readonly maxTcpClientsPerAddress: number;
  readonly maxInFlight: number;
  readonly admin: Value<"admin"> | undefined;
  readonly adminTokenFile: string | undefined;
  /** A path, or "-" for standard output. */
  readonly queryLog: string | undefined;
  /** In octets. */
  readonly queryLogSize: number;
  readonly queryDetail: Value<"query-detail">;
}

/** Options without a default. */
type Optional = "ca" | "route" | "bootstrap" | "admin" | "admin-token-file" | "query-log";

/** A text and who gave it, so that an error can name both. */
interface Given {
  readonly source: string;
  readonly text: string;
}

/** Option by option, the command line wins over the environment, and that over the defaults. */
export function parseConfig(
  args: string[],
  environment: Record<string, string>,
): Config | "help" | "version" {
  const line = parseLine(args);
  if (line.help) return "help";
  if (line.version) return "version";
  refuseUnknownVariables(environment);

  function given(name: Name): Given[] {
    const fromLine = line[name].map((text) => ({ source: `--${name}`, text: text || aloneOf(name) }));
    return single(name, fromLine.length > 0 ? fromLine : fromEnvironment(name, environment));
  }
  function values<N extends Name>(name: N): Value<N>[] {
    const texts = given(name);
    return (texts.length > 0 ? texts : byDefault(name)).flatMap((each) => parseValue(name, each));
  }
  function value<N extends Exclude<Name, Optional>>(name: N): Value<N> {
    return values(name)[0] as Value<N>; // all others have a default
  }

  const config: Config = {
    upstreams: distinct("upstream", values("upstream"), (each) => each.label),
    upstreamsByDefault: given("upstream").length === 0,
    strategy: value("strategy"),
    routes: distinctRoutes(mergeRoutes(values("route"))),
    bootstrap: distinct("bootstrap", values("bootstrap"), labelOf),
    opportunistic: value("opportunistic") === "true",
    listen: distinct("listen", values("listen"), (each) => formatHostPort(each.hostname, each.port)),
    ca: values("ca")[0],
    logLevel: value("log-level"),
    logFormat: value("log-format"),
    timeout: value("timeout"),
    maxUdpSize: value("max-udp-size"),
    tcpIdleTimeout: value("tcp-idle-timeout"),
    maxTcpClients: value("max-tcp-clients"),
    maxTcpClientsPerAddress: value("max-tcp-clients-per-address"),
    maxInFlight: value("max-in-flight"),
    ...admin(values("admin")[0], values("admin-token-file")[0]),
    queryLog: values("query-log")[0],
    queryLogSize: value("query-log-size"),
    queryDetail: value("query-detail"),
  };
  refuseContradictions(config);
  return config;
}

/** What is served there tells who asks for what, and empties the cache: not to everybody who can connect. */
function admin(
  admin: Value<"admin"> | undefined,
  adminTokenFile: string | undefined,
): Pick<Config, "admin" | "adminTokenFile"> {
  if (admin && !adminTokenFile && !/^127\.|^::1$/.test(admin.hostname)) {
    const address = formatHostPort(admin.hostname, admin.port);
    throw new UsageError(
      `--admin: other hosts can reach ${address}; protect it with --admin-token-file FILE, or use localhost`,
    );
  }
  return { admin, adminTokenFile };
}

function parseLine(args: string[]) {
  // parseArgs takes `--no-upstream=x` for `--upstream=x`.
  const negated = args.find((arg) => arg.startsWith("--no-"));
  if (negated !== undefined) refuseOption(negated);
  const line = parseArgs(args, {
    string: NAMES,
    collect: NAMES,
    boolean: ["help", "version"],
    alias: { h: "help" },
    unknown: (arg, key) => key === undefined ? refuseArgument(arg) : refuseOption(arg),
  });
  if (line._.length > 0) refuseArgument(String(line._[0])); // what follows `--`
  return line;
}

function refuseArgument(arg: string): never {
  const remedy = arg === ""
    ? "is a variable unset that the command line uses?"
    : `every value follows its option, as in --upstream ${arg}`;
  throw new UsageError(`Unexpected argument "${arg}": ${remedy}`);
}

function refuseOption(arg: string): never {
  const [option = ""] = arg.split("=");
  const known = [...NAMES, "help", "version"].map((name) => `--${name}`);
  throw new UsageError(
    `Unknown option ${option}; did you mean ${closestString(option, known)}? --help lists them all`,
  );
}

function refuseUnknownVariables(environment: Record<string, string>): void {
  const known = NAMES.map(variable);
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || known.includes(name) || isServiceLink(name, value)) continue;
    throw new UsageError(`Unknown environment variable ${name}; did you mean ${closestString(name, known)}?`);
  }
}

/**
 * Kubernetes tells every pod of the services in its namespace, and one called `dot-proxy` comes as
 * `DOT_PROXY_SERVICE_HOST`, `DOT_PROXY_PORT=udp://10.0.0.1:53`, `DOT_PROXY_PORT_53_UDP_ADDR` and their like.
 */
function isServiceLink(name: string, value: string): boolean {
  return /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name) ||
    name.endsWith("_PORT") && /^(tcp|udp|sctp):\/\//.test(value);
}

function fromEnvironment(name: Name, environment: Record<string, string>): Given[] {
  const source = variable(name);
  const text = environment[source];
  if (text === undefined) return [];
  const texts = isRepeatable(name) ? text.split(",").map((each) => each.trim()) : [text];
  return texts.map((text) => ({ source, text }));
}

function byDefault(name: Name): Given[] {
  const { fallback }: Option<unknown> = OPTIONS[name];
  return fallback === undefined ? [] : [{ source: `--${name}`, text: fallback }];
}

function aloneOf(name: Name): string {
  const { alone = "" }: Option<unknown> = OPTIONS[name];
  return alone;
}

function single(name: Name, given: Given[]): Given[] {
  if (given.length > 1 && !isRepeatable(name)) {
    throw new UsageError(`--${name} is given ${given.length} times; keep one of them`);
  }
  return given;
}

function parseValue<N extends Name>(name: N, { source, text }: Given): Value<N>[] {
  const { placeholder, parse }: Option<unknown> = OPTIONS[name];
  if (text === "") {
    throw new UsageError(`${source} needs a value; write ${source}=${placeholder} or leave it out`);
  }
  try {
    return parse(text) as Value<N>[];
  } catch (cause) {
    throw new UsageError(`${source}: ${(cause as TypeError).message}`, { cause });
  }
}

/** A server asked twice or an address bound twice is a slip of the pen, and would fail later and less clearly. */
function distinct<T>(name: Name, values: T[], label: (value: T) => string): T[] {
  const labels = values.map(label);
  const twice = labels.find((each, index) => labels.indexOf(each) !== index);
  if (twice !== undefined) throw new UsageError(`--${name} names ${twice} twice; keep one of them`);
  return values;
}

function distinctRoutes(routes: Route[]): Route[] {
  for (const { domain, upstreams } of routes) {
    distinct("route", [...upstreams], (each) => `${each.label} for ${domain}`);
  }
  return routes;
}

function labelOf(bootstrap: BootstrapAddress): string {
  return bootstrap.kind === "tls" ? bootstrap.upstream.label : formatHostPort(bootstrap.host, bootstrap.port);
}

/** One upstream in several routes is one connection, so that all must say the same of it. */
function refuseContradictions({ upstreams, routes }: Config): void {
  const all = [...upstreams, ...routes.flatMap((route) => route.upstreams)];
  for (const [label, same] of Map.groupBy(all, (each) => each.label)) {
    if (new Set(same.map((each) => JSON.stringify(each))).size === 1) continue;
    throw new UsageError(
      `${label} is given twice, and not with the same parameters; write the same each time`,
    );
  }
}
