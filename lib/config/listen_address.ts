/** Listen addresses as users write them. */

import { isIP } from "node:net";
import type { ListenAddress } from "../frontend/listeners.ts";
import { parseHostPort } from "../net/host_port.ts";

/** Parses a listen address. localhost is not looked up, because the system's hosts file may lack one of its addresses. */
export function parseListen(text: string): ListenAddress[] {
  const { host, port } = parseHostPort(text, 53);
  if (host === "localhost") {
    return ["127.0.0.1", "::1"].map((hostname) => ({ hostname, port, required: false }));
  }
  if (isIP(host) === 0) {
    throw new TypeError(`"${text}" is not an address of this host; write an IP address or localhost`);
  }
  return [{ hostname: host, port, required: true }];
}

/** Parses the address of the admin server. */
export function parseAdmin(text: string): { hostname: string; port: number }[] {
  const { host, port } = parseHostPort(text, 9153);
  if (host !== "localhost" && isIP(host) === 0) {
    throw new TypeError(`"${text}" is not an address of this host; write an IP address or localhost`);
  }
  return [{ hostname: host === "localhost" ? "127.0.0.1" : host, port }];
}
