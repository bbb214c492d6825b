/** Arguments and environment → Config. Nothing is corrected in silence: what is out of range is a `UsageError`. */
import { type OptionValue, readArguments } from "./command_line.ts";
import { readConfigFile } from "./toml_file.ts";
import { UsageError } from "../core/errors.ts";
import type { ListenAddress } from "../frontend/listeners.ts";
import { formatHostPort } from "../net/host_port.ts";
import { type ReadFile, readTextFile } from "../platform/read_file.ts";
import { type Name, type Option, OPTIONS, type Value } from "./options.ts";
import { composePolicy, type PolicyConfig } from "./policy_config.ts";
import { type BootstrapAddress, mergeRoutes, type Route, type UpstreamAddress } from "../upstream/address.ts";

export { UsageError } from "../core/errors.ts";
export { helpText, optionTable } from "./help.ts";

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
  readonly clientSubnet: Value<"client-subnet">;
  readonly udpBatch: Value<"udp-batch">;
  /** Threads that answer. */
  readonly workers: number;
  /** In octets; 0 for no cache. */
  readonly cacheSize: number;
  readonly minTtl: number;
  readonly maxTtl: number;
  /** 0 for never. */
  readonly serveStale: number;
  readonly rrsetOrder: Value<"rrset-order">;
  readonly dnssec: Value<"dnssec">;
  /** Paths. */
  readonly trustAnchorFiles: readonly string[];
  /** Texts of those files; see `readFiles`. */
  readonly trustAnchors: readonly string[];
  readonly insecureDomains: readonly string[];
  readonly stateDir: string | undefined;
  readonly policy: PolicyConfig;
  readonly admin: Value<"admin"> | undefined;
  readonly adminTokenFile: string | undefined;
  /** In small letters. */
  readonly adminHosts: readonly string[];
  /** A path, or "-" for standard output. */
  readonly queryLog: string | undefined;
  /** In octets. */
  readonly queryLogSize: number;
  readonly queryDetail: Value<"query-detail">;
}

/** Options that have a default, and so always a value. */
type WithDefault = { [N in Name]: typeof OPTIONS[N]["default"] extends string ? N : never }[Name];

/** What was said of an option, by whoever comes first; nothing where its default holds. */
export type OptionSources = (name: Name) => OptionValue[];

/** What the sources say, understood. */
export function parseConfig(
  args: string[],
  environment: Record<string, string>,
): Config | "help" | "version" {
  const sources = readSources(args, environment);
  return typeof sources === "string" ? sources : composeConfig(sources);
}

/**
 * Option by option, the command line wins over the environment, that over the file, and that over the defaults. Throws
 * `UsageError` for what is unknown, and for a file that cannot be read.
 */
export function readSources(
  args: string[],
  environment: Record<string, string>,
  read: ReadFile = readTextFile,
): OptionSources | "help" | "version" {
  const given = readArguments(args, environment);
  if (typeof given === "string") return given;
  const [path] = given("config").flatMap((each) => parseValue("config", each));
  if (path === undefined) return given;
  const inFile = readConfigFile(path, read);
  return (name) => {
    const said = given(name);
    return said.length > 0 ? said : inFile(name);
  };
}

/** Throws `UsageError` for what cannot be meant. */
export function composeConfig(given: OptionSources): Config {
  function values<N extends Name>(name: N): Value<N>[] {
    const texts = given(name);
    return (texts.length > 0 ? texts : byDefault(name)).flatMap((each) => parseValue(name, each));
  }
  function value<N extends WithDefault>(name: N): Value<N> {
    return values(name)[0] as Value<N>; // all others have a default
  }
  function said(name: Name): string {
    return given(name).at(-1)?.source ?? `--${name}`;
  }

  const config: Config = {
    upstreams: distinct(said("upstream"), values("upstream"), (each) => each.label),
    upstreamsByDefault: given("upstream").length === 0,
    strategy: value("strategy"),
    routes: distinctRoutes(said("route"), mergeRoutes(values("route"))),
    bootstrap: distinct(said("bootstrap"), values("bootstrap"), labelOf),
    opportunistic: value("opportunistic") === "true",
    listen: distinct(said("listen"), values("listen"), (each) => formatHostPort(each.hostname, each.port)),
    ca: values("ca")[0],
    logLevel: value("log-level"),
    logFormat: value("log-format"),
    timeout: value("timeout"),
    maxUdpSize: value("max-udp-size"),
    tcpIdleTimeout: value("tcp-idle-timeout"),
    maxTcpClients: value("max-tcp-clients"),
    maxTcpClientsPerAddress: value("max-tcp-clients-per-address"),
    maxInFlight: value("max-in-flight"),
    clientSubnet: value("client-subnet"),
    udpBatch: value("udp-batch"),
    workers: value("workers"),
    cacheSize: value("cache-size"),
    minTtl: value("min-ttl"),
    maxTtl: value("max-ttl"),
    serveStale: value("serve-stale"),
    rrsetOrder: value("rrset-order"),
    dnssec: value("dnssec"),
    trustAnchorFiles: distinct(said("trust-anchor"), values("trust-anchor"), (path) => path),
    trustAnchors: [],
    insecureDomains: values("insecure-domain"),
    stateDir: values("state-dir")[0],
    policy: composePolicy(values),
    ...admin(values("admin")[0], values("admin-token-file")[0]),
    adminHosts: values("admin-host"),
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

function byDefault(name: Name): OptionValue[] {
  const { default: fallback }: Option<unknown> = OPTIONS[name];
  return fallback === undefined ? [] : [{ source: `--${name}`, text: fallback }];
}

function parseValue<N extends Name>(name: N, { source, text }: OptionValue): Value<N>[] {
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
function distinct<T>(source: string, values: T[], label: (value: T) => string): T[] {
  const labels = values.map(label);
  const twice = labels.find((each, index) => labels.indexOf(each) !== index);
  if (twice !== undefined) throw new UsageError(`${source} names ${twice} twice; keep one of them`);
  return values;
}

function distinctRoutes(source: string, routes: Route[]): Route[] {
  for (const { domain, upstreams } of routes) {
    distinct(source, [...upstreams], (each) => `${each.label} for ${domain}`);
  }
  return routes;
}

function labelOf(bootstrap: BootstrapAddress): string {
  return bootstrap.kind === "tls" ? bootstrap.upstream.label : formatHostPort(bootstrap.host, bootstrap.port);
}

/** One upstream in several routes is one connection, so that all must say the same of it. */
function refuseContradictions({ upstreams, routes, minTtl, maxTtl }: Config): void {
  if (minTtl > maxTtl) throw new UsageError("--min-ttl is longer than --max-ttl; no TTL can be both");
  const all = [...upstreams, ...routes.flatMap((route) => route.upstreams)];
  for (const [label, same] of Map.groupBy(all, (each) => each.label)) {
    if (new Set(same.map((each) => JSON.stringify(each))).size === 1) continue;
    throw new UsageError(
      `${label} is given twice, and not with the same parameters; write the same each time`,
    );
  }
}
