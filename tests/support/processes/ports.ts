/** Free ports of the loopback address. */
import { PortTaken } from "./child.ts";

const HOST = "127.0.0.1";
/** A port can be lost between picking and binding it: other test files pick at the same time. */
const ATTEMPTS = 8;

/** A port of an address that is free for UDP and TCP both, found by binding port 0. */
export function freePort(hostname = HOST): number {
  for (let attempt = 0; attempt < 100; attempt++) {
    using listener = Deno.listen({ hostname, port: 0 });
    const { port } = listener.addr;
    try {
      Deno.listenDatagram({ transport: "udp", hostname, port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error("No port is free for both UDP and TCP");
}

/** Starts a program on free ports, and again on others if another program took one. */
export async function onFreePorts<T>(start: () => Promise<T>): Promise<T> {
  for (let attempt = 1;; attempt++) {
    try {
      return await start();
    } catch (error) {
      if (!(error instanceof PortTaken) || attempt === ATTEMPTS) throw error;
    }
  }
}
