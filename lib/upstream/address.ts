/**
 * Where an upstream is and how it proves who it is: a preset, or
 * `[tls://]HOST[:PORT][#AUTHNAME][?pin=sha256/BASE64&cert=FILE&key=FILE&weight=N]`.
 */
import { isIP } from "node:net";
import { formatHostPort, type HostPort, parseHost, parseHostPort } from "../net/host_port.ts";
import { parsePin } from "./pins.ts";

export interface UpstreamAddress {
  /** An IP literal without brackets, or a host name. */
  readonly host: string;
  readonly port: number;
  /** What the certificate must name, in its subjectAltName only (RFC 8310 §8.1). */
  readonly authName: string;
  /** Whether somebody wrote that name, and not only a host: then it is asked for beside a pin (RFC 8310 §6.4). */
  readonly hasAuthName: boolean;
  /** Base64 of SHA-256 over keys, one of which must be in the validated chain (RFC 7858 §4.2); none: any will do. */
  readonly pins: readonly string[];
  readonly clientCertificate: CertificateFiles | undefined;
  /** Its share of the queries in relation to others, where they are shared out. */
  readonly weight: number;
  /** For messages, and as the upstream's identity: `1.1.1.1:853#cloudflare-dns.com`, `[::1]:853`. */
  readonly label: string;
}

/** Paths of PEM files. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
  /** What they hold, once they have been read. */
  readonly pem?: ClientCertificate;
}

/** PEM: what we show to a server that asks for it (RFC 8446 §4.4.2), our own certificate first. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/** What to look up the names of upstreams with: a DNS-over-TLS server, or plain DNS. */
export type BootstrapAddress =
  | { readonly kind: "tls"; readonly upstream: UpstreamAddress }
  | { readonly kind: "plain"; readonly host: string; readonly port: number };

/** RFC 7858 §3.1. */
const DOT_PORT = 853;
const MAX_WEIGHT = 100;
const SYNTAX = "HOST[:PORT][#AUTHNAME][?pin=…&cert=…&key=…&weight=…]";

/** The addresses and authentication names that the operators publish. */
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

/** One address, or all of a preset's. Throws a `TypeError` that names the value, the reason and the remedy. */
export function parseUpstream(text: string): UpstreamAddress[] {
  const preset = PRESETS.get(text);
  if (!preset) return [parseAddress(text)];
  const { authName } = preset;
  return preset.hosts.map((host) => ({
    ...place({ host, port: DOT_PORT }, authName),
    ...parseParameters(undefined, text),
  }));
}

/** `ADDR[:PORT]` for plain DNS, or `tls://` and an upstream at an IP address. Throws a `TypeError` likewise. */
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
  // RFC 7858 §3.1 lets the two ends agree on another port than 853, but on any save 53.
  if (port === 0 || port === 53) {
    throw new TypeError(
      `"${text}" has the port ${port}, which DNS over TLS cannot use (RFC 7858 §3.1); leave it out for 853`,
    );
  }
  const name = names[0] === undefined ? undefined : parseHost(names[0], "the name after #");
  return { ...place({ host, port }, name), ...parseParameters(parameters, text) };
}

function place({ host, port }: HostPort, name: string | undefined) {
  const written = formatHostPort(host, port);
  const label = name === undefined || name === host ? written : `${written}#${name}`;
  return { host, port, authName: name ?? host, hasAuthName: name !== undefined, label };
}

/** What follows `?`. Nothing is decoded: base64 and paths mean what they say, a path just cannot have an `&`. */
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
    throw new TypeError(`"${text}": only DNS over TLS is spoken; write tls://HOST or HOST, not ${scheme}://`);
  }
  return text.slice("tls://".length);
}

/** The names under a domain go to upstreams of their own. */
export interface Route {
  /** In lower case, without the final dot. */
  readonly domain: string;
  readonly upstreams: readonly UpstreamAddress[];
}

/** Names that are looked up have labels which host names do not: `_tcp`, `10.in-addr.arpa`. */
const DOMAIN = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;

/**
 * `DOMAIN=UPSTREAM`: one upstream, or a preset; the same domain again adds to it. So there is no separator, which would
 * be a second one beside the comma of the environment.
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

/** One route for each domain, with all of its upstreams, in order. */
export function mergeRoutes(routes: readonly Route[]): Route[] {
  return [...Map.groupBy(routes, ({ domain }) => domain)].map(([domain, same]) => ({
    domain,
    upstreams: same.flatMap(({ upstreams }) => upstreams),
  }));
}
