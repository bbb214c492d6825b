/**
 * Parses the addresses of upstreams, routes and bootstrap servers. An upstream is a preset, or
 * `[tls://]HOST[:PORT][#AUTHNAME][?pin=sha256/BASE64&cert=FILE&key=FILE&weight=N]`.
 */

import { isIP } from "node:net";
import { formatHostPort, type HostPort, parseHost, parseHostPort } from "../net/host_port.ts";
import { parsePin } from "./pins.ts";

export interface UpstreamAddress {
  /** An IP literal without brackets, or a host name. */
  readonly host: string;
  readonly port: number;
  /** The name that the certificate's subjectAltName must contain (RFC 8310 §8.1). */
  readonly authName: string;
  /** Whether that name was given explicitly. If so, it is required beside a pin (RFC 8310 §6.4). */
  readonly hasAuthName: boolean;
  /** Base64 of SHA-256 over keys, one of which must be in the chain (RFC 7858 §4.2). Without pins any key is accepted. */
  readonly pins: readonly string[];
  readonly clientCertificate: CertificateFiles | undefined;
  /** Its share of the queries in weighted strategies, in proportion to the weights of the others. */
  readonly weight: number;
  /** The upstream's identity, also in messages: `1.1.1.1:853#cloudflare-dns.com`, `[::1]:853`. */
  readonly label: string;
}

/** Paths of PEM files. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
  /** Their contents, once they were read. */
  readonly pem?: ClientCertificate;
}

/** PEM texts for a server that requests a client certificate (RFC 8446 §4.4.2), our own certificate first. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/** A server that looks up the names of upstreams, over DNS over TLS or plain DNS. */
export type BootstrapAddress =
  | { readonly kind: "tls"; readonly upstream: UpstreamAddress }
  | { readonly kind: "plain"; readonly host: string; readonly port: number };

/** RFC 7858 §3.1. */
const DOT_PORT = 853;
const MAX_WEIGHT = 100;
const SYNTAX = "HOST[:PORT][#AUTHNAME][?pin=…&cert=…&key=…&weight=…]";

/** The addresses and authentication names that the services publish. */
const PRESETS: ReadonlyMap<string, { readonly authName: string; readonly hosts: readonly string[] }> =
  new Map([
    ["cloudflare", {
      authName: "cloudflare-dns.com",
      hosts: ["1.1.1.1", "1.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1001"],
    }],
    ["google", {
      authName: "dns.google",
      hosts: ["8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"],
    }],
    ["quad9", {
      authName: "dns.quad9.net",
      hosts: ["9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9"],
    }],
  ]);

/** One upstream, or all of a preset. Throws a `TypeError` that names the value, the reason and the remedy. */
export function parseUpstream(text: string): UpstreamAddress[] {
  const preset = PRESETS.get(text);
  if (!preset) return [parseAddress(text)];
  const { authName } = preset;
  return preset.hosts.map((host) => ({
    ...location({ host, port: DOT_PORT }, authName),
    ...parseParameters(undefined, text),
  }));
}

/** `ADDR[:PORT]` for plain DNS, or `tls://` and an upstream at an IP address. Throws like `parseUpstream`. */
export function parseBootstrap(text: string): BootstrapAddress[] {
  const [bootstrap, host]: [BootstrapAddress, string] = text.startsWith("tls://")
    ? tlsBootstrap(parseAddress(text))
    : plainBootstrap(parseHostPort(text, 53));
  if (isIP(host) > 0) return [bootstrap];
  throw new TypeError(
    `"${text}" would have to be looked up itself; write ADDR[:PORT] or tls://ADDR#AUTHNAME`,
  );
}

function tlsBootstrap(upstream: UpstreamAddress): [BootstrapAddress, string] {
  return [{ kind: "tls", upstream }, upstream.host];
}

function plainBootstrap({ host, port }: HostPort): [BootstrapAddress, string] {
  return [{ kind: "plain", host, port }, host];
}

function parseAddress(text: string): UpstreamAddress {
  const [, written = "", parameters] = /^([^?]*)(?:\?(.*))?$/s.exec(text) ?? [];
  const [hostPort = "", ...names] = withoutScheme(written).split("#");
  if (names.length > 1) throw new TypeError(`"${text}" has more than one "#"; write ${SYNTAX}`);
  const { host, port } = parseHostPort(hostPort, DOT_PORT);
  // RFC 7858 §3.1 allows any port by agreement, except 53.
  if (port === 0 || port === 53) {
    throw new TypeError(
      `"${text}" has the port ${port}, which DNS over TLS cannot use (RFC 7858 §3.1); leave it out for 853`,
    );
  }
  const name = names[0] === undefined ? undefined : parseHost(names[0], "the name after #");
  return { ...location({ host, port }, name), ...parseParameters(parameters, text) };
}

function location({ host, port }: HostPort, name: string | undefined) {
  const written = formatHostPort(host, port);
  const label = name === undefined || name === host ? written : `${written}#${name}`;
  return { host, port, authName: name ?? host, hasAuthName: name !== undefined, label };
}

/** The parameters after `?`. They are not percent-decoded, so a path cannot contain `&`. */
function parseParameters(text: string | undefined, whole: string) {
  const given = new Map<string, string[]>();
  for (const pair of text?.split("&") ?? []) {
    const [, name = "", value] = /^(pin|cert|key|weight)=(.+)$/s.exec(pair) ?? [];
    if (value === undefined) throw new TypeError(`"${whole}" has "${pair}" after the "?"; write ${SYNTAX}`);
    given.set(name, [...given.get(name) ?? [], value]);
  }
  function single(name: string): string | undefined {
    const values = given.get(name) ?? [];
    if (values.length > 1) throw new TypeError(`"${whole}" has more than one ${name}=; keep one of them`);
    return values[0];
  }
  return {
    pins: given.get("pin")?.map(parsePin) ?? [],
    clientCertificate: certificateFiles(single("cert"), single("key"), whole),
    weight: parseWeight(single("weight") ?? "1", whole),
  };
}

function certificateFiles(
  certificate: string | undefined,
  key: string | undefined,
  whole: string,
): CertificateFiles | undefined {
  if (certificate !== undefined && key !== undefined) return { certificate, key };
  if (certificate === key) return undefined;
  throw new TypeError(`"${whole}" has only one of cert= and key=; a client certificate needs both`);
}

function parseWeight(text: string, whole: string): number {
  const weight = Number(text);
  if (/^\d{1,3}$/.test(text) && weight >= 1 && weight <= MAX_WEIGHT) return weight;
  throw new TypeError(`"${whole}" has the weight "${text}"; a weight is a number from 1 to ${MAX_WEIGHT}`);
}

function withoutScheme(text: string): string {
  const scheme = /^([^:/[]*):\/\//.exec(text)?.[1];
  if (scheme === undefined) return text;
  if (scheme !== "tls") {
    throw new TypeError(
      `"${text}": only DNS over TLS is supported; write tls://HOST or HOST, not ${scheme}://`,
    );
  }
  return text.slice("tls://".length);
}

/** The upstreams for one domain and all names below it. */
export interface Route {
  /** In lower case, without the final dot. */
  readonly domain: string;
  readonly upstreams: readonly UpstreamAddress[];
}

/** Unlike a host name, a domain may have labels such as `_tcp`, or only digits as in `10.in-addr.arpa`. */
const DOMAIN = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;

/**
 * `DOMAIN=UPSTREAM`, with one upstream or a preset. A further route for the same domain adds upstreams. There is no separator
 * between upstreams, because environment variables already separate routes with a comma.
 */
export function parseRoute(text: string): Route[] {
  const [, written, upstream] = /^([^=?]*)=(.*)$/s.exec(text) ?? [];
  if (written === undefined || upstream === undefined) {
    throw new TypeError(`"${text}" has no domain; write DOMAIN=UPSTREAM for each of its upstreams`);
  }
  const domain = written.toLowerCase().replace(/\.$/, "");
  if (!DOMAIN.test(domain)) throw new TypeError(`"${written}" in "${text}" is not a domain`);
  return [{ domain, upstreams: parseUpstream(upstream) }];
}

/** Merges the routes of each domain into one, with their upstreams in order. */
export function mergeRoutes(routes: readonly Route[]): Route[] {
  return [...Map.groupBy(routes, ({ domain }) => domain)].map(([domain, same]) => ({
    domain,
    upstreams: same.flatMap(({ upstreams }) => upstreams),
  }));
}
