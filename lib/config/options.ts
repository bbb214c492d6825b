/**
 * The one table of options. It generates parsing, `--help`, the JSON Schema and docs/options.md. Names, defaults, ranges and
 * descriptions exist here only. This folder may import net/, platform/ and the parsers of option values. It does no I/O except
 * to read the files that options name.
 */

import { boolean, duration, integer, type Kind, oneOf, orZero, type Schema, size } from "./option_types.ts";
import { parseAdmin, parseListen } from "./listen_address.ts";
import type { Rate } from "../frontend/answer/rate_limit.ts";
import { typeCode } from "../dns/codes.ts";
import { parseName } from "../dns/name.ts";
import { type Network, parseNetwork, PRIVATE_NETWORKS } from "../net/ip_network.ts";
import { parseRecord } from "../resolver/local/record_text.ts";
import { parseBootstrap, parseRoute, parseUpstream } from "../upstream/address.ts";

/** One option: its name is the key in `OPTIONS`. */
export interface Option<Value> extends Kind<Value> {
  readonly placeholder: string;
  /** As a user would write it. */
  readonly default: string | undefined;
  readonly repeatable?: true;
  /** Value of the option without a value on the command line; undefined if it needs one. */
  readonly valueIfBare?: string;
  /** Whether a change needs a restart. */
  readonly restart?: true;
  readonly description: string;
}

const NETWORK = "NETWORK";

const networks = {
  accepts:
    "a network (192.0.2.0/24, 2001:db8::/32), an address, private (loopback, private and link-local networks), or any",
  parse: parseNetworks,
};

const file = { accepts: "a file", parse: (text: string) => [text] };

export const OPTIONS = {
  config: {
    placeholder: "FILE",
    accepts: "a TOML file",
    parse: (text: string) => [text],
    default: undefined,
    description: "Read options from this TOML file; the command line and the environment override it.",
  },
  upstream: {
    placeholder: "UPSTREAM",
    accepts: "[tls://]HOST[:PORT][#AUTHNAME][?PARAMETERS], cloudflare, google, quad9",
    parse: parseUpstream,
    default: "cloudflare",
    repeatable: true,
    description:
      "DNS-over-TLS server to forward to; its certificate must be valid for AUTHNAME, or without it for HOST.",
  },
  strategy: {
    placeholder: "STRATEGY",
    ...oneOf("fastest", "failover", "round-robin", "random", "race", "sharded"),
    default: "fastest",
    description: "How to select the upstream for a query.",
  },
  route: {
    placeholder: "DOMAIN=UPSTREAM",
    accepts: "DOMAIN=UPSTREAM, repeated for each upstream of the domain",
    parse: parseRoute,
    default: undefined,
    repeatable: true,
    description: "Forward names in this domain to other upstreams; the longest matching domain applies.",
  },
  bootstrap: {
    placeholder: "ADDR[:PORT]",
    accepts: "an IP address (default port 53), or tls://ADDR[:PORT][#AUTHNAME]",
    parse: parseBootstrap,
    default: undefined,
    repeatable: true,
    description:
      "DNS server that looks up the host names of upstreams; without one, the system's resolver does.",
  },
  opportunistic: {
    placeholder: "BOOLEAN",
    ...boolean,
    default: "false",
    valueIfBare: "true",
    description: "Use upstreams whose certificate cannot be verified (RFC 8310); pins still apply.",
  },
  listen: {
    placeholder: "ADDR[:PORT]",
    accepts: "an IP address or localhost (default port 53)",
    parse: parseListen,
    default: "localhost",
    repeatable: true,
    description:
      "Address to answer on, over UDP and TCP; localhost means 127.0.0.1 and ::1, where available.",
  },
  ca: {
    placeholder: "FILE",
    accepts: "a file of PEM certificates",
    parse: (text: string) => [text],
    default: undefined,
    description: "Certificates to trust in addition to the public roots of Deno.",
  },
  timeout: {
    placeholder: "DURATION",
    ...duration("500ms", "30s"),
    default: "4s",
    description:
      "Maximum time until a client gets a response, SERVFAIL included; stub resolvers give up after 5s.",
  },
  "max-udp-size": {
    placeholder: "BYTES",
    ...integer(512, 4096),
    // RFC 9715 §3 recommends at most 1400 bytes; 1232 fit the minimum IPv6 MTU of 1280.
    default: "1232",
    description: "Maximum size of a UDP response in bytes; clients repeat larger queries over TCP.",
  },
  "tcp-idle-timeout": {
    placeholder: "DURATION",
    ...duration("1s", "10m"),
    default: "10s", // RFC 9210 §4.2
    description: "Close a client's TCP connection after this time without a complete query.",
  },
  "max-tcp-clients": {
    placeholder: "NUMBER",
    // Each uses a file descriptor. RFC 9210 §4.2 wants a limit below that of the system; the unit allows 65536.
    ...integer(1, 50_000),
    // RFC 9210 §4.2 suggests 150 for a public server. Clients of a forwarder keep their connections open.
    default: "1000",
    description:
      "Maximum of TCP connections from all clients; lower if the limit of file descriptors requires it.",
  },
  "max-tcp-clients-per-address": {
    placeholder: "NUMBER",
    ...integer(1, 50_000),
    // RFC 9210 §4.2 suggests 25. Many pods or hosts behind one translated address look like one client.
    default: "100",
    description: "Maximum of TCP connections from one client (IPv4 address or IPv6 /56).",
  },
  "udp-batch": {
    placeholder: "MODE",
    ...oneOf("auto", "on", "off"),
    default: "auto",
    restart: true,
    description:
      "Send and receive many datagrams per system call; auto does so on Linux if --allow-ffi permits the C library.",
  },
  workers: {
    placeholder: "NUMBER",
    // With more threads, the overhead exceeds the gain, and the divided cache becomes too small.
    ...integer(1, 64),
    default: "1",
    restart: true,
    description:
      "Threads that answer queries, at most one per core; each has its own cache and upstream connections.",
  },
  "max-in-flight": {
    placeholder: "NUMBER",
    // Half of the 65,536 IDs of a connection, so that a random free ID is found quickly.
    ...integer(1, 32_768),
    default: "4096",
    description: "Maximum of queries that wait for one upstream, from all clients.",
  },
  "client-subnet": {
    placeholder: "MODE",
    ...oneOf("none", "zero"),
    // Measured: with zero, Unbound with its subnet module omits EDE and AD, and caches less.
    default: "none",
    description:
      "EDNS client subnet in queries: none, or zero to forbid the upstream to pass on the client's network (RFC 7871).",
  },
  "cache-size": {
    placeholder: "SIZE",
    ...orZero(size("1MiB", "4GiB")),
    default: "64MiB",
    description: "Memory for cached answers; 0 turns the cache off.",
  },
  "min-ttl": {
    placeholder: "DURATION",
    ...orZero(duration("1s", "1h")),
    default: "0",
    description: "Minimum time to cache an answer; not for negative answers or a TTL of 0.",
  },
  "max-ttl": {
    placeholder: "DURATION",
    // RFC 8767 §4: a TTL above seven days is not plausible.
    ...duration("1s", "7d"),
    default: "1d",
    description: "Maximum time to cache an answer; for negative answers at most three hours.",
  },
  "serve-stale": {
    placeholder: "DURATION",
    ...orZero(duration("1m", "7d")),
    default: "1d", // RFC 8767 §5: "between 1 and 3 days"
    description:
      "How long after expiry to serve a cached answer while no upstream can be reached; 0 turns this off.",
  },
  "rrset-order": {
    placeholder: "ORDER",
    ...oneOf("rotate", "fixed"),
    default: "rotate",
    description: "Order of addresses in cached answers: rotate with each response, or fixed as received.",
  },
  dnssec: {
    placeholder: "MODE",
    ...oneOf("pass", "validate"),
    default: "pass",
    description:
      "Pass on DNSSEC records and the AD bit of the upstream, or validate every answer (validate) (docs/dnssec.md).",
  },
  "trust-anchor": {
    placeholder: "FILE",
    accepts: "a file of DS or DNSKEY records as in zone files",
    parse: (text: string) => [text],
    default: undefined,
    repeatable: true,
    description: "Trust anchors of DNSSEC validation; those of the root zone replace the built-in ones.",
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
    accepts: "a directory, created if missing",
    parse: (text: string) => [text],
    default: undefined,
    restart: true,
    description:
      "Save the cache in this directory every ten minutes and at the end, and load it at the next start.",
  },
  allow: {
    placeholder: NETWORK,
    ...networks,
    default: "private",
    repeatable: true,
    description:
      "Clients that may send queries; of all matching networks in --allow and --deny, the most specific applies.",
  },
  deny: {
    placeholder: NETWORK,
    ...networks,
    default: undefined,
    repeatable: true,
    description: "Clients that may not send queries.",
  },
  "deny-answer": {
    placeholder: "ANSWER",
    ...oneOf("refused", "silence"),
    default: "refused",
    description: "Response to clients that are not allowed: REFUSED, or none.",
  },
  "rate-limit": {
    placeholder: "RATE/s[:BURST]",
    accepts: "queries per second and size of a burst (default: the rate), as in 500/s:1000",
    parse: parseRate,
    default: undefined,
    description:
      "Queries per second from one client (IPv4 address or IPv6 /56); queries above it get a truncated response, then none.",
  },
  "rate-limit-exempt": {
    placeholder: NETWORK,
    ...networks,
    default: undefined,
    repeatable: true,
    description: "Clients without a rate limit.",
  },
  hosts: {
    placeholder: "FILE",
    ...file,
    default: undefined,
    repeatable: true,
    description:
      "Answer names and addresses, forward and reverse, from a file like /etc/hosts; reloaded when it changes.",
  },
  record: {
    placeholder: "RECORD",
    accepts: "'NAME [TTL] TYPE DATA' of type A, AAAA, CNAME, PTR, MX, SRV or TXT; *.NAME for all subdomains",
    parse: (text: string) => [parseRecord(text)],
    default: undefined,
    repeatable: true,
    description: "Answer with this record.",
  },
  "special-names": {
    placeholder: "WHERE",
    ...oneOf("local", "forward"),
    default: "local",
    description:
      "Answer special-use names (localhost, test, private reverse zones) locally, or forward them; a --route always applies.",
  },
  "canary-names": {
    placeholder: "ANSWER",
    ...oneOf("nxdomain", "forward"),
    default: "nxdomain",
    description:
      "Answer canary names of browsers and systems with NXDOMAIN, so that they keep using this resolver; a --record or --route overrides.",
  },
  block: {
    placeholder: "[LABEL=]FILE",
    accepts: "a list in hosts format, of domains, or of ||domain^ rules",
    parse: parseList,
    default: undefined,
    repeatable: true,
    description: "Block the names in this list; reloaded when it changes. Blocked responses mention LABEL.",
  },
  unblock: {
    placeholder: "[LABEL=]FILE",
    accepts: "a list as for --block",
    parse: parseList,
    default: undefined,
    repeatable: true,
    description: "Never block the names in this list.",
  },
  "block-answer": {
    placeholder: "ANSWER",
    ...oneOf("nxdomain", "null", "refused"),
    default: "nxdomain",
    description: "Response for a blocked name: NXDOMAIN, 0.0.0.0 and :: (null), or REFUSED.",
  },
  "rebind-protection": {
    placeholder: "BOOLEAN",
    ...boolean,
    default: "false",
    valueIfBare: "true",
    description: "Remove answers with private addresses, except from a --route or for --rebind-allow.",
  },
  "rebind-allow": {
    placeholder: "DOMAIN",
    accepts: "a domain",
    parse: parseDomain,
    default: undefined,
    repeatable: true,
    description: "Domain whose names may have private addresses.",
  },
  "filter-type": {
    placeholder: "TYPE",
    accepts: "record types separated by commas, as in AAAA,TYPE65",
    parse: parseTypes,
    default: undefined,
    repeatable: true,
    description:
      "Answer NODATA for this record type, such as AAAA on networks without IPv6; also removes its hints from HTTPS and SVCB. Local data is not filtered.",
  },
  "filter-signed": {
    placeholder: "BOOLEAN",
    ...boolean,
    default: "false",
    valueIfBare: "true",
    description: "Filter types in signed answers, too; clients that validate DNSSEC then reject them.",
  },
  "log-level": {
    placeholder: "LEVEL",
    ...oneOf("debug", "info", "warning", "error"),
    default: "info",
    description: "Minimum severity of log messages.",
  },
  "log-format": {
    placeholder: "FORMAT",
    ...oneOf("text", "json"),
    default: "text",
    restart: true,
    description: "Log lines as text, or as one JSON object per line.",
  },
  admin: {
    placeholder: "ADDR[:PORT]",
    accepts: "an IP address or localhost (default port 9153)",
    parse: parseAdmin,
    default: undefined,
    restart: true,
    description: "Serve metrics, health, status and the dashboard on this address, over HTTP.",
  },
  "admin-token-file": {
    placeholder: "FILE",
    accepts: "a file",
    parse: (text: string) => [text],
    default: undefined,
    restart: true,
    description: "File with the token that --admin requires; mandatory if other hosts can reach it.",
  },
  "admin-host": {
    placeholder: "NAME",
    accepts: "a host name without a port",
    parse: parseHostName,
    default: undefined,
    repeatable: true,
    restart: true,
    description: "Host name under which a reverse proxy publishes --admin; other names are rejected.",
  },
  "query-log": {
    placeholder: "FILE",
    accepts: "a file, or - for standard output",
    parse: (text: string) => [text],
    default: undefined,
    restart: true,
    description: "Write one line per response to this file, in the format of --log-format.",
  },
  "query-log-size": {
    placeholder: "SIZE",
    ...size("1MB", "10GB"),
    default: "100MB",
    restart: true,
    description: "Size at which the query log file is rotated; four old files are kept.",
  },
  "query-detail": {
    placeholder: "DETAIL",
    ...oneOf("full", "masked", "none"),
    default: "full",
    restart: true,
    description:
      "Client and name in the query log and dashboard: full, masked (clients as /24 or /56 networks), or none of both.",
  },
} as const satisfies Record<string, Option<unknown>>;

export type Name = keyof typeof OPTIONS;
export type Value<N extends Name> = ReturnType<typeof OPTIONS[N]["parse"]>[number];

export const NAMES = Object.keys(OPTIONS) as Name[];

/** Options that the configuration file can set. */
export type Key = Exclude<Name, "config">;

export const KEYS = NAMES.filter((name): name is Key => name !== "config");

/** Prefix of all environment variables. */
export const PREFIX = "DOT_PROXY_";

/** Name of the environment variable of an option. */
export function variable(name: Name): string {
  return PREFIX + name.toUpperCase().replaceAll("-", "_");
}

export function isRepeatable(name: Name): boolean {
  const { repeatable }: Option<unknown> = OPTIONS[name];
  return repeatable === true;
}

/** Whether a change of the option needs a restart. */
export function needsRestart(name: Name): boolean {
  const { restart }: Option<unknown> = OPTIONS[name];
  return restart === true;
}

/** Schema of one value in the configuration file. */
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
  const [perSecond, maxBurst] = [Number(rate), Number(burst)];
  if (perSecond >= 1 && maxBurst >= 1) return [{ perSecond, burst: maxBurst }];
  throw new TypeError(`"${text}" is not a rate; write RATE/s or RATE/s:BURST, as in 500/s:1000`);
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
      throw new TypeError(`"${name}" is not a record type; write its name, or TYPE and its number`);
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
