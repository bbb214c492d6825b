import type { ListenAddress } from "../frontend/listeners.ts";

/** How long to wait for an answer, in ms; one lost datagram is asked for again. */
const PATIENCE = 1000;
const TRIES = 2;
/** A header whose opcode is STATUS (2), which every listener answers itself: nobody upstream is asked. */
const STATUS_QUERY = Uint8Array.of(0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0);

/** Whether a proxy answers on the first address that can be asked from here: for a container's HEALTHCHECK. */
export async function isHealthy(listen: readonly ListenAddress[]): Promise<boolean> {
  for (let tries = 0; tries < TRIES; tries++) if (await answers(listen[0]!)) return true;
  return false;
}

async function answers({ hostname, port }: ListenAddress): Promise<boolean> {
  const address = LOOPBACK[hostname] ?? hostname;
  const own = address.includes(":") ? "::" : "0.0.0.0";
  const socket = Deno.listenDatagram({ transport: "udp", hostname: own, port: 0 });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    socket.close();
  }, PATIENCE);
  try {
    const query = STATUS_QUERY.slice();
    crypto.getRandomValues(query.subarray(0, 2));
    await socket.send(query, { transport: "udp", hostname: address, port });
    const [reply] = await socket.receive(new Uint8Array(512));
    return reply[0] === query[0] && reply[1] === query[1] && (reply[2]! & 0x80) !== 0;
  } catch {
    return false; // its time was over
  } finally {
    clearTimeout(timer);
    if (!late) socket.close();
  }
}

/** Who listens on all addresses also listens on these. */
const LOOPBACK: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };
