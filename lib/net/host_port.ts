/** A host and a port as people write them: `HOST:PORT`, with IPv6 literals in brackets. */
import { isIP, isIPv6 } from "node:net";

export interface HostPort {
  /** An IP literal without brackets, or a host name. */
  readonly host: string;
  readonly port: number;
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
  return { host: parseHost(host, "HOST"), port: parsePort(port, text, defaultPort) };
}

/** `HOST:PORT`, the host in brackets if it is an IPv6 literal. */
export function formatHostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** RFC 1123 §2.1. The last label is not a number, else `1.1.1.256` would pass for a name. */
const HOST_NAME =
  /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*(?!\d+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;

/** An IP literal or a host name, without the final dot; `what` it is goes into the error. */
export function parseHost(text: string, what: string): string {
  if (text === "") throw new TypeError(`${what} is empty; write an IP address or a host name`);
  // RFC 6066 §3: a server name is written "without a trailing dot", and so are the names in certificates.
  const name = text.replace(/\.$/, "");
  if ((isIP(name) === 0 || name.includes("%")) && !HOST_NAME.test(name)) {
    throw new TypeError(`"${text}" is neither an IP address nor a host name`);
  }
  return name;
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
