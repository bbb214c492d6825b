/** The command `healthcheck`: a container's HEALTHCHECK. */

import { composeConfig } from "../config/config.ts";
import type { ListenAddress } from "../frontend/listeners.ts";
import { formatHostPort } from "../net/host_port.ts";
import { CommandError, EXIT, readOptions } from "./command.ts";

/** Time to wait for a response. A lost datagram is sent again. */
const TIMEOUT_MS = 1000;
const TRIES = 2;
/** A header with the opcode STATUS (2). Every listener answers it without an upstream. */
const STATUS_QUERY = Uint8Array.of(0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0);

/** Queries the proxy that runs with the same options. Throws `CommandError` if it does not respond. */
export async function healthcheck(args: string[], version: string): Promise<number> {
  const sources = await readOptions(args, version);
  if (!sources) return EXIT.ok;
  const { listen: [first] } = composeConfig(sources);
  if (await isHealthy(first!)) return EXIT.ok;
  throw new CommandError(
    `no response from ${
      formatHostPort(first!.hostname, first!.port)
    }; is the proxy running with the same --listen?`,
  );
}

/** Whether a proxy responds on this address. */
export async function isHealthy(listen: ListenAddress): Promise<boolean> {
  for (let tries = 0; tries < TRIES; tries++) if (await responds(listen)) return true;
  return false;
}

async function responds({ hostname, port }: ListenAddress): Promise<boolean> {
  const address = LOOPBACK[hostname] ?? hostname;
  const local = address.includes(":") ? "::" : "0.0.0.0";
  const socket = Deno.listenDatagram({ transport: "udp", hostname: local, port: 0 });
  let isClosed = false;
  const timer = setTimeout(() => {
    isClosed = true;
    socket.close(); // Makes `receive` reject.
  }, TIMEOUT_MS);
  try {
    const query = STATUS_QUERY.slice();
    crypto.getRandomValues(query.subarray(0, 2));
    await socket.send(query, { transport: "udp", hostname: address, port });
    const [reply] = await socket.receive(new Uint8Array(512));
    return reply[0] === query[0] && reply[1] === query[1] && (reply[2]! & 0x80) !== 0;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
    if (!isClosed) socket.close();
  }
}

/** A listener on all addresses also listens on these. */
const LOOPBACK: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };
