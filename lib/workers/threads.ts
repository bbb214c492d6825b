import type { CacheControl } from "../admin/cache_api.ts";
import type { ListenAddress } from "../frontend/listeners.ts";
import type { Event, Observe } from "../observe/event.ts";
import type { CacheStatus, UpstreamStatus } from "../observe/status.ts";
import { Proxy, type ProxyInputs } from "../proxy.ts";
import type { Argument, CallName } from "./calls.ts";
import { restore } from "./flat_event.ts";
import { shareOf } from "./share.ts";
import { WorkerThread } from "./worker_thread.ts";

export interface ThreadsOptions extends ProxyInputs {
  readonly observe: Observe;
  /** Whether `observe` wants to know of each answer. */
  readonly wantsEach: () => boolean;
  /** The module that the workers run, as a URL: it has to call `serveAsWorker`. */
  readonly module: string;
}

/** How much later than they are told to, in ms, workers may stop. */
const GRACE = 200;

/**
 * The proxy, on as many threads as `--workers` says: one here, and each of the others in a worker that listens on the same
 * ports. It listens as soon as it is made; the workers come in when they are ready.
 */
export class Threads implements Disposable {
  /** Resolves when each worker listens, or has told of why it cannot. */
  readonly started: Promise<void>;
  readonly #options: ThreadsOptions;
  readonly #proxy: Proxy;
  readonly #workers: readonly WorkerThread[];

  /** Throws what a `Proxy` throws. */
  constructor(options: ThreadsOptions) {
    this.#options = options;
    const { config, observe, wantsEach } = options;
    this.#proxy = new Proxy({
      ...this.#inputs(options, 1),
      observe,
      wantsEach,
      sharing: config.workers > 1 ? "first" : "alone",
      onMove: () => void this.#tellAll("listen", this.#listen),
    });
    this.#workers = Array.from({ length: config.workers - 1 }, (_, i) => this.#start(i + 2));
    this.started = this.#begin();
  }

  /** Where it listens, over UDP and TCP alike. */
  get addresses(): Deno.NetAddr[] {
    return this.#proxy.addresses;
  }

  get upstreams(): UpstreamStatus[] {
    return this.#proxy.upstreams;
  }

  /** Undefined where there is no cache. */
  get cache(): CacheStatus | undefined {
    return this.#proxy.cache;
  }

  get cacheControl(): CacheControl | undefined {
    return this.#proxy.cacheControl;
  }

  /** As `Proxy` does it; a worker that cannot says so in an event. `workers` has to stay as it is, too. */
  async reconfigure(inputs: ProxyInputs): Promise<void> {
    await this.#proxy.reconfigure(this.#inputs(inputs, 1));
    await this.#each((worker, thread) => worker.call("configure", this.#inputs(inputs, thread)));
  }

  /** Whether an upstream answers a query of our own. */
  probe(): Promise<boolean> {
    return this.#proxy.probe();
  }

  /** Takes no more queries, answers those it has, then closes; after `limit` ms it closes all the same. */
  async stop(limit: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, limit + GRACE);
    await Promise.all([this.#proxy.stop(limit), Promise.race([this.#tellAll("stop", limit), late])]);
    clearTimeout(timer);
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#proxy[Symbol.dispose]();
    for (const worker of this.#workers) worker[Symbol.dispose]();
  }

  #start(thread: number): WorkerThread {
    return new WorkerThread({
      module: this.#options.module,
      name: `thread ${thread}`,
      onEvents: (events) => events.forEach((event) => this.#options.observe(restore(event))),
      onEnd: (reason) => this.#down(thread, reason),
    });
  }

  async #begin(): Promise<void> {
    const wantsEach = this.#options.wantsEach();
    await this.#each((worker, thread) =>
      worker.call("begin", { inputs: this.#inputs(this.#options, thread), thread, wantsEach })
    );
  }

  /** What a thread is made of: the workers listen where the first one does. */
  #inputs({ config, caCerts }: ProxyInputs, thread: number): ProxyInputs {
    const share = shareOf(config, thread);
    if (thread === 1) return { config: share, caCerts };
    const udpBatch = this.#proxy.hasBatches ? share.udpBatch : "off";
    return { config: { ...share, udpBatch, listen: this.#listen }, caCerts };
  }

  get #listen(): ListenAddress[] {
    return this.addresses.map(({ hostname, port }) => ({ hostname, port, required: false }));
  }

  #tellAll<N extends CallName>(name: N, argument: Argument<N>): Promise<void> {
    return this.#each((worker) => worker.call(name, argument));
  }

  /** Does something with each worker; resolves when that is done, or has been told of as trouble. */
  async #each(what: (worker: WorkerThread, thread: number) => Promise<unknown>): Promise<void> {
    await Promise.all(this.#workers.map(async (worker, i) => {
      try {
        await what(worker, i + 2);
      } catch (error) {
        this.#down(i + 2, (error as Error).message);
      }
    }));
  }

  #down(thread: number, reason: string): void {
    const event: Event = { kind: "thread", thread, state: "down", reason };
    this.#options.observe(event);
  }
}
