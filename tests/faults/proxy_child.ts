/** The whole proxy in a process of its own, configured as from the command line. */
import { parseConfig } from "../../lib/config/config.ts";
import type { Event } from "../../lib/core/event.ts";
import { Proxy } from "../../lib/proxy.ts";
import { serveLines } from "../support/processes/line_child.ts";
import { MODE_ENVIRONMENT } from "../support/mode.ts";

export type ProxyRequest =
  | { readonly do: "start"; readonly args: readonly string[]; readonly ca: string }
  | { readonly do: "look" }
  /** Stops like on SIGTERM. Returns the time in ms until the pending queries were answered. */
  | { readonly do: "stop" };

export interface Look {
  readonly port: number;
  /** Bytes of the heap after a garbage collection. */
  readonly heap: number;
  readonly rss: number;
  readonly descriptors: number;
  /** Changes of the upstreams' states, in order. */
  readonly states: readonly string[];
  readonly stopped: number | undefined;
}

/** Number of state changes to keep. */
const KEPT = 100;

/** The least of several looks: sockets take more than one collection, with turns of the event loop in between. */
async function heapInUse(): Promise<number> {
  const { gc } = globalThis as unknown as { gc: () => void };
  let least = Infinity;
  for (let looks = 0; looks < 5; looks++) {
    gc();
    least = Math.min(least, Deno.memoryUsage().heapUsed);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return least;
}

if (import.meta.main) {
  let proxy: Proxy;
  let stopped: number | undefined;
  const states: string[] = [];
  const observe = (event: Event) => {
    if (event.kind === "internal error") throw event.error;
    if (event.kind !== "upstream") return;
    states.push(`${event.upstream} ${event.state} ${event.error?.message ?? ""}`);
    if (states.length > KEPT) states.shift();
  };
  await serveLines<ProxyRequest>(async (request) => {
    if (request.do === "start") {
      const config = parseConfig([...request.args], MODE_ENVIRONMENT);
      if (typeof config === "string") throw new Error(`The arguments ask for ${config}`);
      const listen = [{ hostname: "127.0.0.1", port: 0, required: true }];
      proxy = new Proxy({ config: { ...config, listen }, caCerts: [request.ca], observe });
    } else if (request.do === "stop") {
      const start = performance.now();
      await proxy.stop(4_500);
      stopped = performance.now() - start;
    }
    const heap = request.do === "look" ? await heapInUse() : 0;
    return {
      port: proxy.addresses[0]!.port,
      heap,
      rss: Deno.memoryUsage().rss,
      descriptors: [...Deno.readDirSync("/proc/self/fd")].length,
      states,
      stopped,
    } satisfies Look;
  });
  Deno.exit();
}
