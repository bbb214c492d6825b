import { boolean, duration, integer, type Kind, oneOf, orZero, type Schema, size } from "./option_types.ts";
import { parseAdmin, parseListen } from "./listen_address.ts";
import type { Rate } from "../frontend/answer/rate_limit.ts";
import { typeCode } from "../dns/codes.ts";
import { parseName } from "../dns/name.ts";
import { type Network, parseNetwork, PRIVATE_NETWORKS } from "../net/ip_network.ts";
import { parseRecord } from "../resolver/local/record_text.ts";
import { parseBootstrap, parseRoute, parseUpstream } from "../upstream/address.ts";

/** The one table of options. */

export interface Option<Value> extends Kind<Value> {
  readonly placeholder: string;
  /** As the user would write it. */
  readonly default: string | undefined;
  readonly repeatable?: true;
  /** What the option means on a command line where it stands alone; none: it needs a value. */
  readonly valueIfBare?: string;
  /** Whether a reload leaves it as it is. */
  readonly restart?: true;
  readonly description: string;
}

const NETWORK = "NETWORK";

const networks = {
  accepts:
    "a network (192.0.2.0/24, 2001:db8::/32) or address; private for loopback, private and link-local networks; any",
  parse: parseNetworks,
};

const file = { accepts: "a file", parse: (text: string) => [text] };

export const OPTIONS = {
  config: {
    placeholder: "FILE",
    accepts: "a file in TOML",
    parse: (text: string) => [text],
    default: undefined,
    description: "Says whatever the command line and the environment do not.",
  },
  upstream: {
    placeholder: "UPSTREAM",
    accepts: "[tls://]HOST[:PORT][#AUTHNAME][?PARAMETERS], cloudflare, google, quad9",
    parse: parseUpstream,
    default: "cloudflare",
    repeatable: true,
    description: "DNS-over-TLS server to forward to; its certificate must name AUTHNAME, or else HOST.",
  },
  strategy: {
    placeholder: "STRATEGY",
    ...oneOf("fastest", "failover", "round-robin", "random", "race", "sharded"),
    default: "fastest",
    description: "How one of several upstreams is chosen for a query.",
  },
  route: {
    placeholder: "DOMAIN=UPSTREAM",
    accepts: "a domain, =, and an upstream as above; once for each upstream of the domain",
    parse: parseRoute,
    default: undefined,
    repeatable: true,
    description: "Upstreams of their own for the names under a domain; the longest domain that fits decides.",
  },
  bootstrap: {
    placeholder: "ADDR[:PORT]",
    accepts: "an IP address, port 53 unless given, or tls://ADDR[:PORT][#AUTHNAME]",
    parse: parseBootstrap,
    default: undefined,
    repeatable: true,
    description: "DNS server that alone looks up the names of upstreams, in place of the system's.",
  },
  opportunistic: {
    placeholder: "BOOLEAN",
    ...boolean,
    default: "false",
    valueIfBare: "true",
    description:
      "Use upstreams that cannot prove who they are, rather than none (RFC 8310); pins still hold.",
  },
  listen: {
    placeholder: "ADDR[:PORT]",
    accepts: "an IP address or localhost; port 53 unless given",
    parse: parseListen,
    default: "localhost",
    repeatable: true,
    description:
      "Where to answer, over UDP and TCP. localhost is each of 127.0.0.1 and ::1 that the host has.",
  },
  ca: {
    placeholder: "FILE",
    accepts: "a file of PEM certificates",
    parse: (text: string) => [text],
    default: undefined,
    description: "Certificates to trust beside the public roots that Deno carries.",
  },
  timeout: {
    placeholder: "DURATION",
    ...duration("500ms", "30s"),
    default: "4s",
    description:
      "The longest a client waits for an answer, SERVFAIL included; stub resolvers give up after 5s.",
  },
  "max-udp-size": {
    placeholder: "OCTETS",
    ...integer(512, 4096),
    // RFC 9715 §3 wants at most 1400 octets; 1232 is what fits the least IPv6 MTU of 1280.
    default: "1232",
    description: "Octets of the largest UDP answer; a client asks again over TCP for what is larger.",
  },
  "tcp-idle-timeout": {
    placeholder: "DURATION",
    ...duration("1s", "10m"),
    default: "10s", // RFC 9210 §4.2
    description: "How long a client's TCP connection may stay without a complete query.",
  },
  "max-tcp-clients": {
    placeholder: "NUMBER",
    // Each is a file descriptor, and RFC 9210 §4.2 wants the limit below the system's: the unit allows 65536.
    ...integer(1, 50_000),
    // RFC 9210 §4.2 starts from 150 for a public server; behind us are clients that reuse their connections.
    default: "1000",
    description:
      "TCP connections from all clients together; fewer where the limit of file descriptors leaves no more.",
  },
  "max-tcp-clients-per-address": {
    placeholder: "NUMBER",
    ...integer(1, 50_000),
    // RFC 9210 §4.2 starts from 25; many pods or hosts behind one translated address look like one client.
    default: "100",
    description: "TCP connections from one client (IPv4 address or IPv6 /56).",
  },
  "udp-batch": {
    placeholder: "MODE",
    ...oneOf("auto", "on", "off"),
    default: "auto",
    restart: true,
    description:
      "Many datagrams with one system call: on Linux, with --allow-ffi for the C library, by auto.",
  },
  workers: {
    placeholder: "NUMBER",
    // More threads than that have their time for each other; what is divided among them has to last for all.
    ...integer(1, 64),
    default: "1",
    restart: true,
    description:
      "Threads that answer, each with a cache and upstream connections of its own; more than one for each core are of no use.",
  },
  "max-in-flight": {
    placeholder: "NUMBER",
    // Half of the 65,536 IDs of a connection: one that is free and random is always found at once.
    ...integer(1, 32_768),
    default: "4096",
    description: "Queries that wait for one upstream at a time, from all clients together.",
  },
  "client-subnet": {
    placeholder: "WHAT",
    ...oneOf("none", "zero"),
    // Measured: with it, a stock Unbound that has its subnet module leaves out EDE and AD, and caches less.
    default: "none",
    description:
      "EDNS client subnet in queries: none, or zero, which asks the upstream not to pass on this network's (RFC 7871).",
  },
  "cache-size": {
    placeholder: "SIZE",
    ...orZero(size("1MiB", "4GiB")),
    default: "64MiB",
    description: "Memory for answers, all told; 0 turns the cache off.",
  },
  "min-ttl": {
    placeholder: "DURATION",
    ...orZero(duration("1s", "1h")),
    default: "0",
    description: "Keep answers for at least this long, but those with a TTL of 0 and those that say no.",
  },
  "max-ttl": {
    placeholder: "DURATION",
    // RFC 8767 §4: a TTL of more than seven days is not to be believed.
    ...duration("1s", "7d"),
    default: "1d",
    description: "Keep answers for this long at most; those that say no for three hours at most.",
  },
  "serve-stale": {
    placeholder: "DURATION",
    ...orZero(duration("1m", "7d")),
    default: "1d", // RFC 8767 §5: "between 1 and 3 days"
    description:
      "How long after its end an answer may be used while the upstreams cannot be reached; 0 for never.",
  },
  "rrset-order": {
    placeholder: "ORDER",
    ...oneOf("rotate", "fixed"),
    default: "rotate",
    description:
      "Order of the addresses in a cached answer: a different one first each time, or as they came.",
  },
  dnssec: {
    placeholder: "MODE",
    ...oneOf("pass", "validate"),
    default: "pass",
    description:
      "Pass DNSSEC records on and trust the upstream's AD bit, or validate every answer here (docs/dnssec.md).",
  },
  "trust-anchor": {
    placeholder: "FILE",
    accepts: "a file of DS or DNSKEY records as in zone files",
    parse: (text: string) => [text],
    default: undefined,
    repeatable: true,
    description: "Keys that DNSSEC validation begins with; those of the root replace the built-in ones.",
  },
  "insecure-domain": {
    placeholder: "DOMAIN",
    accepts: "a domain",
    parse: parseDomain,
    default: undefined,
    repeatable: true,
    description: "A domain whose names are not validated, nor those below it (RFC 7646).",
  },
  "state-dir": {
    placeholder: "DIRECTORY",
    accepts: "a directory, made if it is not there",
    parse: (text: string) => [text],
    default: undefined,
    restart: true,
    description: "Where to save the cache, every ten minutes and at the end, for the next start.",
  },
  allow: {
    placeholder: NETWORK,
    ...networks,
    default: "private",
    repeatable: true,
    description:
      "Clients that may ask. Of the networks of --allow and --deny that a client is in, the longest decides.",
  },
  deny: {
    placeholder: NETWORK,
    ...networks,
    default: undefined,
    repeatable: true,
    description: "Clients that may not ask.",
  },
  "deny-answer": {
    placeholder: "ANSWER",
    ...oneOf("refused", "silence"),
    default: "refused",
    description: "What clients get that may not ask.",
  },
  "rate-limit": {
    placeholder: "RATE/s[:BURST]",
    accepts: "queries per second, and how many more at once (as many unless given), as in 500/s:1000",
    parse: parseRate,
    default: undefined,
    description:
      "The most that one client (IPv4 address or IPv6 /56) may ask; beyond it, it is told to come by TCP, then nothing.",
  },
  "rate-limit-exempt": {
    placeholder: NETWORK,
    ...networks,
    default: undefined,
    repeatable: true,
    description: "Clients that --rate-limit does not concern.",
  },
  hosts: {
    placeholder: "FILE",
    ...file,
    default: undefined,
    repeatable: true,
    description:
      "Names and addresses to answer here, both ways, in the format of /etc/hosts; read again when it changes.",
  },
  record: {
    placeholder: "RECORD",
    accepts: "'NAME [TTL] TYPE DATA' with A, AAAA, CNAME, PTR, MX, SRV or TXT; *.NAME for all names below",
    parse: (text: string) => [parseRecord(text)],
    default: undefined,
    repeatable: true,
    description: "A record to answer here.",
  },
  "special-names": {
    placeholder: "WHERE",
    ...oneOf("local", "forward"),
    default: "local",
    description:
      "Where names without a place in the public DNS are answered, unless a --route has them: localhost, test, private addresses.",
  },
  "canary-names": {
    placeholder: "ANSWER",
    ...oneOf("nxdomain", "forward"),
    default: "nxdomain",
    description:
      "Answer for names by which browsers and systems ask whether to keep to this resolver: nxdomain for yes, unless a --record or --route has them.",
  },
  block: {
    placeholder: "[LABEL=]FILE",
    accepts: "a list: hosts format, domains, or ||domain^ rules",
    parse: parseList,
    default: undefined,
    repeatable: true,
    description: "Names not to resolve; read again when it changes. LABEL is what clients are told of it.",
  },
  unblock: {
    placeholder: "[LABEL=]FILE",
    accepts: "a list likewise",
    parse: parseList,
    default: undefined,
    repeatable: true,
    description: "Names to resolve whatever --block says.",
  },
  "block-answer": {
    placeholder: "ANSWER",
    ...oneOf("nxdomain", "null", "refused"),
    default: "nxdomain",
    description:
      "What is said of blocked names: that they do not exist, that they are at 0.0.0.0 and ::, or nothing.",
  },
  "rebind-protection": {
    placeholder: "BOOLEAN",
    ...boolean,
    default: "false",
    valueIfBare: "true",
    description: "Empty answers with private addresses, but those of --route and --rebind-allow.",
  },
  "rebind-allow": {
    placeholder: "DOMAIN",
    accepts: "a domain",
    parse: parseDomain,
    default: undefined,
    repeatable: true,
    description: "A domain whose names may have private addresses.",
  },
  "filter-type": {
    placeholder: "TYPE",
    accepts: "a record type, as in AAAA or TYPE65, or several with commas between",
    parse: parseTypes,
    default: undefined,
    repeatable: true,
    description:
      "Records to give out of no name but local ones: AAAA where IPv6 does not work. Hints of HTTPS and SVCB records go with their addresses.",
  },
  "filter-signed": {
    placeholder: "BOOLEAN",
    ...boolean,
    default: "false",
    valueIfBare: "true",
    description:
      "Filter signed answers for clients that ask for signatures, too; those that check them get no answer then.",
  },
  "log-level": {
    placeholder: "LEVEL",
    ...oneOf("debug", "info", "warning", "error"),
    default: "info",
    description: "The least severe messages to log.",
  },
  "log-format": {
    placeholder: "FORMAT",
    ...oneOf("text", "json"),
    default: "text",
    restart: true,
    description: "Lines for people, or one JSON object a line.",
  },
  admin: {
    placeholder: "ADDR[:PORT]",
    accepts: "an IP address or localhost; port 9153 unless given",
    parse: parseAdmin,
    default: undefined,
    restart: true,
    description: "Where to serve metrics, health, status and the dashboard, over HTTP.",
  },
  "admin-token-file": {
    placeholder: "FILE",
    accepts: "a file",
    parse: (text: string) => [text],
    default: undefined,
    restart: true,
    description: "Holds the token that --admin asks for: needed where other hosts can reach it.",
  },
  "admin-host": {
    placeholder: "NAME",
    accepts: "a host name without a port",
    parse: parseHostName,
    default: undefined,
    repeatable: true,
    restart: true,
    description:
      "Name under which a reverse proxy shows --admin to its users; else it is found by address only.",
  },
  "query-log": {
    placeholder: "FILE",
    accepts: "a file, or - for standard output",
    parse: (text: string) => [text],
    default: undefined,
    restart: true,
    description: "Where to write a line for each answer, in the form of --log-format.",
  },
  "query-log-size": {
    placeholder: "SIZE",
    ...size("1MB", "10GB"),
    default: "100MB",
    restart: true,
    description: "When to put the query log's file aside and begin another; four old ones are kept.",
  },
  "query-detail": {
    placeholder: "DETAIL",
    ...oneOf("full", "masked", "none"),
    default: "full",
    restart: true,
    description:
      "What query log and dashboard tell of clients and names: all; clients cut to /24 and /56; neither.",
  },
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

function parseNetworks(text: string): Network[] {
  if (text === "private") return [...PRIVATE_NETWORKS];
  return (text === "any" ? ["0.0.0.0/0", "::/0"] : [text]).map(parseNetwork);
}

function parseRate(text: string): Rate[] {
  const [, rate, burst = rate] = /^(\d{1,7})\/s(?::(\d{1,7}))?$/.exec(text) ?? [];
  const [perSecond, most] = [Number(rate), Number(burst)];
  if (perSecond >= 1 && most >= 1) return [{ perSecond, burst: most }];
  throw new TypeError(`"${text}" is no rate; write RATE/s or RATE/s:BURST, as in 500/s:1000`);
}

export interface ListOption {
  readonly label: string;
  readonly path: string;
}

function parseList(text: string): ListOption[] {
  const [, label, path = text] = /^([^=/]+)=(.+)$/s.exec(text) ?? [];
  return [{ label: label ?? path.replace(/^.*\//s, ""), path }];
}

function parseDomain(text: string): string[] {
  parseName(text);
  return [text];
}

function parseTypes(text: string): number[] {
  return text.split(",").map((name) => {
    const code = typeCode(name.trim());
    if (code === undefined) {
      throw new TypeError(`"${name}" is no record type; write its name, or TYPE and its number`);
    }
    return code;
  });
}

function parseHostName(text: string): string[] {
  if (/^[a-z0-9-]+(\.[a-z0-9-]+)*$/i.test(text)) return [text.toLowerCase()];
  throw new TypeError(
    `"${text}" is not a host name; write it as in dns.example.net, without scheme, port or path`,
  );
}
