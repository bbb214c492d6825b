/** The one table of options. */
import { boolean, duration, integer, type Kind, oneOf, orZero, type Schema, size } from "./option_kinds.ts";
import { OPERATION_OPTIONS } from "./operation_options.ts";
import { parseListen } from "../own_address.ts";
import { POLICY_OPTIONS } from "./policy_options.ts";
import { parseBootstrap, parseUpstream } from "../upstream/address.ts";
import { parseRoute } from "../upstream/route.ts";

export interface Option<Value> extends Kind<Value> {
  readonly placeholder: string;
  /** As the user would write it. */
  readonly fallback: string | undefined;
  readonly repeatable?: true;
  /** What the option means on a command line where it stands alone; none: it needs a value. */
  readonly alone?: string;
  /** Whether a reload leaves it as it is. */
  readonly restart?: true;
  readonly meaning: string;
}

export const OPTIONS = {
  config: {
    placeholder: "FILE",
    accepts: "a file in TOML",
    parse: (text: string) => [text],
    fallback: undefined,
    meaning: "Says whatever the command line and the environment do not.",
  },
  upstream: {
    placeholder: "UPSTREAM",
    accepts: "[tls://]HOST[:PORT][#AUTHNAME][?PARAMETERS], cloudflare, google, quad9",
    parse: parseUpstream,
    fallback: "cloudflare",
    repeatable: true,
    meaning: "DNS-over-TLS server to forward to; its certificate must name AUTHNAME, or else HOST.",
  },
  strategy: {
    placeholder: "STRATEGY",
    ...oneOf("fastest", "failover", "round-robin", "random", "race", "sharded"),
    fallback: "fastest",
    meaning: "How one of several upstreams is chosen for a query.",
  },
  route: {
    placeholder: "DOMAIN=UPSTREAM",
    accepts: "a domain, =, and an upstream as above; once for each upstream of the domain",
    parse: parseRoute,
    fallback: undefined,
    repeatable: true,
    meaning: "Upstreams of their own for the names under a domain; the longest domain that fits decides.",
  },
  bootstrap: {
    placeholder: "ADDR[:PORT]",
    accepts: "an IP address, port 53 unless given, or tls://ADDR[:PORT][#AUTHNAME]",
    parse: parseBootstrap,
    fallback: undefined,
    repeatable: true,
    meaning: "DNS server that alone looks up the names of upstreams, in place of the system's.",
  },
  opportunistic: {
    placeholder: "BOOLEAN",
    ...boolean,
    fallback: "false",
    alone: "true",
    meaning: "Use upstreams that cannot prove who they are, rather than none (RFC 8310); pins still hold.",
  },
  listen: {
    placeholder: "ADDR[:PORT]",
    accepts: "an IP address or localhost; port 53 unless given",
    parse: parseListen,
    fallback: "localhost",
    repeatable: true,
    meaning: "Where to answer, over UDP and TCP. localhost is each of 127.0.0.1 and ::1 that the host has.",
  },
  ca: {
    placeholder: "FILE",
    accepts: "a file of PEM certificates",
    parse: (text: string) => [text],
    fallback: undefined,
    meaning: "Certificates to trust beside the public roots that Deno carries.",
  },
  timeout: {
    placeholder: "DURATION",
    ...duration("500ms", "30s"),
    fallback: "4s",
    meaning: "The longest a client waits for an answer, SERVFAIL included; stub resolvers give up after 5s.",
  },
  "max-udp-size": {
    placeholder: "OCTETS",
    ...integer(512, 4096),
    // RFC 9715 §3 wants at most 1400 octets; 1232 is what fits the least IPv6 MTU of 1280.
    fallback: "1232",
    meaning: "Octets of the largest UDP answer; a client asks again over TCP for what is larger.",
  },
  "tcp-idle-timeout": {
    placeholder: "DURATION",
    ...duration("1s", "10m"),
    fallback: "10s", // RFC 9210 §4.2
    meaning: "How long a client's TCP connection may stay without a complete query.",
  },
  "max-tcp-clients": {
    placeholder: "NUMBER",
    // Each is a file descriptor, and RFC 9210 §4.2 wants the limit below the system's: the unit allows 65536.
    ...integer(1, 50_000),
    // RFC 9210 §4.2 starts from 150 for a public server; behind us are clients that reuse their connections.
    fallback: "1000",
    meaning:
      "TCP connections from all clients together; fewer where the limit of file descriptors leaves no more.",
  },
  "max-tcp-clients-per-address": {
    placeholder: "NUMBER",
    ...integer(1, 50_000),
    // RFC 9210 §4.2 starts from 25; many pods or hosts behind one translated address look like one client.
    fallback: "100",
    meaning: "TCP connections from one client (IPv4 address or IPv6 /56).",
  },
  "udp-batch": {
    placeholder: "MODE",
    ...oneOf("auto", "on", "off"),
    fallback: "auto",
    restart: true,
    meaning: "Many datagrams with one system call: on Linux, with --allow-ffi for the C library, by auto.",
  },
  workers: {
    placeholder: "NUMBER",
    // More threads than that have their time for each other; what is divided among them has to last for all.
    ...integer(1, 64),
    fallback: "1",
    restart: true,
    meaning:
      "Threads that answer, each with a cache and upstream connections of its own; more than one for each core are of no use.",
  },
  "max-in-flight": {
    placeholder: "NUMBER",
    // Half of the 65,536 IDs of a connection: one that is free and random is always found at once.
    ...integer(1, 32_768),
    fallback: "4096",
    meaning: "Queries that wait for one upstream at a time, from all clients together.",
  },
  "client-subnet": {
    placeholder: "WHAT",
    ...oneOf("none", "zero"),
    // Measured: with it, a stock Unbound that has its subnet module leaves out EDE and AD, and caches less.
    fallback: "none",
    meaning:
      "EDNS client subnet in queries: none, or zero, which asks the upstream not to pass on this network's (RFC 7871).",
  },
  "cache-size": {
    placeholder: "SIZE",
    ...orZero(size("1MiB", "4GiB")),
    fallback: "64MiB",
    meaning: "Memory for answers, all told; 0 turns the cache off.",
  },
  "min-ttl": {
    placeholder: "DURATION",
    ...orZero(duration("1s", "1h")),
    fallback: "0",
    meaning: "Keep answers for at least this long, but those with a TTL of 0 and those that say no.",
  },
  "max-ttl": {
    placeholder: "DURATION",
    // RFC 8767 §4: a TTL of more than seven days is not to be believed.
    ...duration("1s", "7d"),
    fallback: "1d",
    meaning: "Keep answers for this long at most; those that say no for three hours at most.",
  },
  "serve-stale": {
    placeholder: "DURATION",
    ...orZero(duration("1m", "7d")),
    fallback: "1d", // RFC 8767 §5: "between 1 and 3 days"
    meaning:
      "How long after its end an answer may be used while the upstreams cannot be reached; 0 for never.",
  },
  "rrset-order": {
    placeholder: "ORDER",
    ...oneOf("rotate", "fixed"),
    fallback: "rotate",
    meaning: "Order of the addresses in a cached answer: a different one first each time, or as they came.",
  },
  "state-dir": {
    placeholder: "DIRECTORY",
    accepts: "a directory, made if it is not there",
    parse: (text: string) => [text],
    fallback: undefined,
    restart: true,
    meaning: "Where to save the cache, every ten minutes and at the end, for the next start.",
  },
  ...POLICY_OPTIONS,
  ...OPERATION_OPTIONS,
} as const satisfies Record<string, Option<unknown>>;

export type Name = keyof typeof OPTIONS;
export type Value<N extends Name> = ReturnType<typeof OPTIONS[N]["parse"]>[number];

export const NAMES = Object.keys(OPTIONS) as Name[];

/** The options that a file can say. */
export type Key = Exclude<Name, "config">;

export const KEYS = NAMES.filter((name): name is Key => name !== "config");

/** What every environment variable of ours begins with. */
export const PREFIX = "DOT_PROXY_";

export function variable(name: Name): string {
  return PREFIX + name.toUpperCase().replaceAll("-", "_");
}

export function isRepeatable(name: Name): boolean {
  const { repeatable }: Option<unknown> = OPTIONS[name];
  return repeatable === true;
}

/** Whether a reload leaves it as it is. */
export function needsRestart(name: Name): boolean {
  const { restart }: Option<unknown> = OPTIONS[name];
  return restart === true;
}

/** What a value is in a file. */
export function schemaOf(name: Name): Schema {
  const { schema = { type: "string" } }: Option<unknown> = OPTIONS[name];
  return schema;
}
