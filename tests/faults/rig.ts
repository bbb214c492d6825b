/** Upstreams, a proxy before them and clients that ask at a steady pace; servers and proxy in processes of their own. */
import { assert, assertEquals } from "../support/assert.ts";
import { LineChild } from "../support/processes/line_child.ts";
import { Load, type Report } from "../support/clients/load.ts";
import type { Look, ProxyRequest } from "./proxy_child.ts";
import { CA, type Server } from "./server.ts";

/** Every name is asked for once, so that a cache would only grow. */
const NO_CACHE = ["--cache-size=0"];
/** The least delay after which a slow query is sent to another upstream, in ms. */
const HEDGE_DELAY = 50;
/** How long the time without a fault is with which the time with one is compared, in ms. */
const HEALTHY = 1_500;
/** With a healthy p99 above this, in ms, the machine is too busy for a verdict: the servers take 10 ms. */
const CALM = 50;
/** Another program's burst can spoil a percentile on a small machine, but not that of so many attempts. */
const ATTEMPTS = 4;
const ATTEMPTS_IN_NOISE = 2;

export interface Fault {
  readonly begin: (server: Server) => Promise<unknown>;
  readonly end?: (server: Server) => Promise<unknown>;
  /** In ms. */
  readonly lasts?: number;
}

export class Rig implements AsyncDisposable {
  readonly servers: readonly Server[];
  readonly load: Load;
  readonly #proxy: LineChild<ProxyRequest>;
  readonly #stack: AsyncDisposableStack;

  private constructor(servers: readonly Server[], parts: {
    load: Load;
    proxy: LineChild<ProxyRequest>;
    stack: AsyncDisposableStack;
  }) {
    this.servers = servers;
    this.load = parts.load;
    this.#proxy = parts.proxy;
    this.#stack = parts.stack;
  }

  /** 500 queries per second through a proxy before these servers, which it owns, from now on. */
  static async start(servers: readonly Server[], ...args: string[]): Promise<Rig> {
    await using stack = new AsyncDisposableStack();
    for (const server of servers) stack.use(server);
    const proxy = stack.use(
      new LineChild<ProxyRequest>(new URL("proxy_child.ts", import.meta.url), { v8Flags: "--expose-gc" }),
    );
    const upstreams = servers.map(({ host, port }) => `--upstream=${host}:${port}`);
    const { port } = await proxy.ask<Look>({
      do: "start",
      args: [...upstreams, ...NO_CACHE, ...args],
      ca: CA,
    });
    const load = stack.use(new Load({ hostname: "127.0.0.1", port }));
    const rig = new Rig(servers, { load, proxy, stack: stack.move() });
    await rig.#warmUp();
    return rig;
  }

  look(): Promise<Look> {
    return this.#proxy.ask<Look>({ do: "look" });
  }

  /** Stops the proxy as SIGTERM does; resolves with how long that took, in ms. */
  async stop(): Promise<number> {
    return (await this.#proxy.ask<Look>({ do: "stop" })).stopped!;
  }

  /**
   * While the fault lasts, of which the upstream that has the traffic suffers, no client sees a failure, and "the p99
   * during the fault stays under 2 × the healthy p99 + the hedge delay". Counts only what was measured in calm, before
   * and after: noise can make that look worse than it is, but hardly better.
   */
  async assertUnnoticed({ begin, end, lasts = 4_000 }: Fault): Promise<void> {
    for (let attempt = 1;; attempt++) {
      const healthy = await this.load.during(HEALTHY);
      const victim = await this.#busiest();
      const faulty = await this.load.during(async () => {
        await Promise.all([begin(victim), sleep(lasts)]);
      });
      await end?.(victim);
      const after = await this.load.during(500);
      const told = `${summary("healthy", healthy)}; ${summary("faulty", faulty)}`;
      console.log(told);
      const isCalm = [healthy, after].every((each) => each.p99 < CALM);
      const isLast = !end || attempt === ATTEMPTS;
      if (isCalm) assertEquals([healthy.faults, faulty.faults], [{}, {}], told);
      if (isCalm && faulty.p99 < 2 * healthy.p99 + HEDGE_DELAY) return;
      if (isCalm) assert(!isLast, `${told}; ${faulty.seconds}`);
      else if (isLast || attempt === ATTEMPTS_IN_NOISE) {
        return console.log("This machine is too busy to say what clients would notice");
      }
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack[Symbol.asyncDispose]();
  }

  /** Warms up: code that runs for the first time is slow, which is not the subject of the measurement. */
  async #warmUp(): Promise<void> {
    for (const server of this.servers) {
      await server.goAway();
      await sleep(400);
      await server.comeBack();
      await sleep(100);
    }
  }

  /** The upstream that has most of the traffic. */
  async #busiest(): Promise<Server> {
    const before = await this.#received();
    await sleep(100);
    const after = await this.#received();
    const gained = after.map((count, i) => count - before[i]!);
    return this.servers[gained.indexOf(Math.max(...gained))]!;
  }

  async #received(): Promise<number[]> {
    const counts = await Promise.all(this.servers.map((server) => server.ask({ do: "count" })));
    return counts.map(({ received }) => received);
  }
}

export function summary(when: string, { sent, p50, p99, longest }: Report): string {
  return `${when}: ${sent} sent, p50 ${p50}, p99 ${p99}, longest ${longest} ms`;
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
