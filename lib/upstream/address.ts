/** Where an upstream is and what its certificate must name: `[tls://]HOST[:PORT][#AUTHNAME]` or a preset. */
import { isIP, isIPv6 } from "node:net";

export interface UpstreamAddress {
  /** An IP literal without brackets, or a host name. */
  readonly host: string;
  readonly port: number;
  /** What the certificate must name, in its subjectAltName only (RFC 8310 §8.1). */
  readonly authName: string;
  /** For messages: `1.1.1.1:853#cloudflare-dns.com`, `[::1]:853`. */
  readonly label: string;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** RFC 7858 §3.1. */
const DOT_PORT = 853;

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
  if (preset) return preset.hosts.map((host) => address(host, DOT_PORT, preset.authName));

  const [place = "", ...names] = withoutScheme(text).split("#");
  const { host, port } = parseHostPort(place, DOT_PORT);
  if (names.length > 1) throw new TypeError(`"${text}" has more than one "#"; write HOST[:PORT][#AUTHNAME]`);
  // RFC 7858 §3.1 lets the two ends agree on another port than 853, but on any save 53.
  if (port === 0 || port === 53) {
    throw new TypeError(
      `"${text}" has the port ${port}, which DNS over TLS cannot use (RFC 7858 §3.1); leave it out for 853`,
    );
  }
  return [address(host, port, names[0] === undefined ? host : hostName(names[0], "the name after #"))];
}

/** `HOST`, `HOST:PORT`, `[IPV6]`, `[IPV6]:PORT`, or a bare IPv6 literal that cannot be read as one with a port. */
export function parseHostPort(text: string, defaultPort: number): HostPort {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed) {
    const [, host = "", port] = bracketed;
    if (!isIPv6(host)) throw new TypeError(`"${text}" has no IPv6 address in its brackets`);
    return { host: withoutZone(host), port: parsePort(port, text, defaultPort) };
  }
  if (isIPv6(text)) return { host: withoutZone(unambiguous(text)), port: defaultPort };

  const [host = "", port, ...rest] = text.split(":");
  if (rest.length > 0) {
    throw new TypeError(`"${text}" is not an IPv6 address; with a port, write [ADDRESS]:PORT`);
  }
  return { host: hostName(host, "HOST"), port: parsePort(port, text, defaultPort) };
}

/** `HOST:PORT`, the host in brackets if it is an IPv6 literal. */
export function formatHostPort(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

function address(host: string, port: number, authName: string): UpstreamAddress {
  const place = formatHostPort(host, port);
  return { host, port, authName, label: authName === host ? place : `${place}#${authName}` };
}

function withoutScheme(text: string): string {
  const scheme = /^([^:/[]*):\/\//.exec(text)?.[1];
  if (scheme === undefined) return text;
  if (scheme !== "tls") {
    throw new TypeError(`"${text}": only DNS over TLS is spoken; write tls://HOST or HOST, not ${scheme}://`);
  }
  return text.slice("tls://".length);
}

/** `2001:db8::1:853` is an address, and so is `2001:db8::1`: whoever wrote it may have meant a port. */
function unambiguous(text: string): string {
  const [, host = "", port = ""] = /^(.*):(\d+)$/.exec(text) ?? [];
  if (isIPv6(host) && Number(port) <= 65535) {
    throw new TypeError(`"${text}" can be read in two ways; write [${text}] or [${host}]:${port}`);
  }
  return text;
}

function withoutZone(host: string): string {
  if (host.includes("%")) {
    throw new TypeError(`"${host}" has a zone, which Deno cannot bind or dial; use an address without "%"`);
  }
  return host;
}

function parsePort(text: string | undefined, whole: string, defaultPort: number): number {
  if (text === undefined) return defaultPort;
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65535) {
    throw new TypeError(`"${whole}" has the port "${text}"; a port is a number up to 65535`);
  }
  return Number(text);
}

/** RFC 1123 §2.1. The last label is not a number, else `1.1.1.256` would pass for a name. */
const HOST_NAME =
  /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*(?!\d+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;

function hostName(text: string, what: string): string {
  if (text === "") throw new TypeError(`${what} is empty; write an IP address or a host name`);
  // RFC 6066 §3: a server name is written "without a trailing dot", and so are the names in certificates.
  const name = text.replace(/\.$/, "");
  if ((isIP(name) === 0 || name.includes("%")) && !HOST_NAME.test(name)) {
    throw new TypeError(`"${text}" is neither an IP address nor a host name`);
  }
  return name;
}
