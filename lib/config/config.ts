/** Composes the configuration from its sources. A value out of range is a `UsageError`; nothing is corrected silently. */

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
  /** Whether the upstreams are the default. */
  readonly upstreamsByDefault: boolean;
  readonly strategy: Value<"strategy">;
  /** One per domain. */
  readonly routes: readonly Route[];
  /** If empty, the system's resolver looks up the names of upstreams. */
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
  /** Number of threads. */
  readonly workers: number;
  /** In bytes; 0 turns the cache off. */
  readonly cacheSize: number;
  readonly minTtl: number;
  readonly maxTtl: number;
  /** 0 turns stale answers off. */
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
  /** In lower case. */
  readonly adminHosts: readonly string[];
  /** A path, or "-" for standard output. */
  readonly queryLog: string | undefined;
  /** In bytes. */
  readonly queryLogSize: number;
  readonly queryDetail: Value<"query-detail">;
}

/** Options with a default, which always have a value. */
type WithDefault = { [N in Name]: typeof OPTIONS[N]["default"] extends string ? N : never }[Name];

/** The values of an option from the first source that sets it; empty if the default applies. */
export type OptionSources = (name: Name) => OptionValue[];

/** Reads and composes a configuration in one step. */
export function parseConfig(
  args: string[],
  environment: Record<string, string>,
): Config | "help" | "version" {
  const sources = readSources(args, environment);
  return typeof sources === "string" ? sources : composeConfig(sources);
}

/**
 * Reads all sources. For each option, the command line overrides the environment, which overrides the file. Throws
 * `UsageError` for an unknown option, and for a file that cannot be read.
 */
export function readSources(
  args: string[],
  environment: Record<string, string>,
  read: ReadFile = readTextFile,
): OptionSources | "help" | "version" {
  const fromArguments = readArguments(args, environment);
  if (typeof fromArguments === "string") return fromArguments;
  const [path] = fromArguments("config").flatMap((each) => parseValue("config", each));
  if (path === undefined) return fromArguments;
  const inFile = readConfigFile(path, read);
  return (name) => {
    const values = fromArguments(name);
    return values.length > 0 ? values : inFile(name);
  };
}

/** Parses all values. Throws `UsageError` for an invalid value or a contradiction. */
export function composeConfig(sources: OptionSources): Config {
  function values<N extends Name>(name: N): Value<N>[] {
    const texts = sources(name);
    return (texts.length > 0 ? texts : defaultOf(name)).flatMap((each) => parseValue(name, each));
  }
  function value<N extends WithDefault>(name: N): Value<N> {
    return values(name)[0] as Value<N>;
  }
  function sourceOf(name: Name): string {
    return sources(name).at(-1)?.source ?? `--${name}`;
  }

  const config: Config = {
    upstreams: distinct(sourceOf("upstream"), values("upstream"), (each) => each.label),
    upstreamsByDefault: sources("upstream").length === 0,
    strategy: value("strategy"),
    routes: distinctRoutes(sourceOf("route"), mergeRoutes(values("route"))),
    bootstrap: distinct(sourceOf("bootstrap"), values("bootstrap"), labelOf),
    opportunistic: value("opportunistic") === "true",
    listen: distinct(
      sourceOf("listen"),
      values("listen"),
      (each) => formatHostPort(each.hostname, each.port),
    ),
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
    trustAnchorFiles: distinct(sourceOf("trust-anchor"), values("trust-anchor"), (path) => path),
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

/** The admin server shows queries of clients and can flush the cache, so other hosts need a token. */
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

function defaultOf(name: Name): OptionValue[] {
  const { default: text }: Option<unknown> = OPTIONS[name];
  return text === undefined ? [] : [{ source: `--${name}`, text }];
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

/** A duplicate is a mistake, which would fail later with a less clear error. */
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

/** An upstream of several routes shares its connections, so all its parameters must be equal. */
function refuseContradictions({ upstreams, routes, minTtl, maxTtl }: Config): void {
  if (minTtl > maxTtl) {
    throw new UsageError("--min-ttl is longer than --max-ttl; lower one or raise the other");
  }
  const all = [...upstreams, ...routes.flatMap((route) => route.upstreams)];
  for (const [label, same] of Map.groupBy(all, (each) => each.label)) {
    if (new Set(same.map((each) => JSON.stringify(each))).size === 1) continue;
    throw new UsageError(
      `${label} is given with different parameters; write the same parameters each time`,
    );
  }
}
