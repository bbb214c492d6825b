/** Parses and formats `HOST:PORT`, with IPv6 literals in brackets. */

import { isIP, isIPv6 } from "node:net";

export interface HostPort {
  /** An IP literal without brackets, or a host name. */
  readonly host: string;
  readonly port: number;
}

/**
 * Parses `HOST`, `HOST:PORT`, `[IPV6]`, `[IPV6]:PORT`, or an IPv6 literal that cannot be mistaken for one with a port.
 * Throws a `TypeError` with the remedy.
 */
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

/** A host name (RFC 1123 §2.1). The last label must not be a number, so that `1.1.1.256` is not a name. */
const HOST_NAME =
  /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*(?!\d+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;

/** An IP literal or a host name, without the final dot. Throws a `TypeError`, which calls an empty text `subject`. */
export function parseHost(text: string, subject: string): string {
  if (text === "") throw new TypeError(`${subject} is empty; write an IP address or a host name`);
  // RFC 6066 §3: server names are sent "without a trailing dot". Names in certificates have none either.
  const name = text.replace(/\.$/, "");
  if ((isIP(name) === 0 || name.includes("%")) && !HOST_NAME.test(name)) {
    throw new TypeError(`"${text}" is neither an IP address nor a host name`);
  }
  return name;
}

/** Rejects `2001:db8::1:853`, which may be an address, or `2001:db8::1` with a port. */
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
