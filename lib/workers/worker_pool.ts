/**
 * The proxy on several threads. This folder runs one proxy per thread and passes messages between the threads. It may import
 * proxy.ts and everything below it. It knows nothing of DNS messages.
 */

import type { CacheControl } from "../admin/cache_api.ts";
import { settlesWithin } from "../async/deadline.ts";
import type { Event, Observe } from "../core/event.ts";
import type { CacheStatus, UpstreamStatus } from "../core/status.ts";
import type { ListenAddress } from "../frontend/listeners.ts";
import type { ThreadStatus } from "../observe/thread_totals.ts";
import { withinDescriptors } from "../platform/descriptors.ts";
import { Proxy, type ProxyInputs } from "../proxy.ts";
import { restore } from "./event_codec.ts";
import { mergeAnswers, mergeCaches, mergeUpstreams, UpstreamStates } from "./merge_status.ts";
import type { CallName, Calls, WorkerStatus } from "./rpc.ts";
import { AtomicSharedCount, type SharedCounts, sharedCounts } from "./shared_count.ts";
import { threadConfig } from "./thread_config.ts";
import { WorkerHandle } from "./worker_handle.ts";

export interface WorkerPoolOptions extends ProxyInputs {
  readonly observe: Observe;
  /** Receives the events of workers. Workers count these events themselves (`refreshStats`). */
  readonly relay: Observe;
  /** Whether `observe` and `relay` need one event per query. */
  readonly needsPerQueryEvents: () => boolean;
  /** URL of the module that the workers run. It must call `runWorker`. */
  readonly module: string;
  /** Heartbeats of the watchdog, if there is one. */
  readonly beats?: SharedCounts | undefined;
  /** Limit of file descriptors of the process, if known. */
  readonly descriptors?: number | undefined;
}

/** Time that workers get beyond the limit of a stop. */
const STOP_GRACE_MS = 200;
/** Time to wait for the state of a worker. After that, its previous state counts. */
const STATS_TIMEOUT_MS = 500;

/**
 * One proxy in this thread, and one in each of `--workers` minus 1 workers on the same ports. This thread listens at once,
 * the workers when they are ready.
 */
export class WorkerPool implements Disposable {
  /** Resolves when each worker listens, or has reported why it cannot. */
  readonly started: Promise<void>;
  readonly #options: WorkerPoolOptions;
  readonly #proxy: Proxy;
  readonly #workers: readonly WorkerHandle[];
  /** Latest state of each worker. */
  readonly #stats = new Map<WorkerHandle, WorkerStatus>();
  readonly #states = new UpstreamStates();
  readonly #clients: SharedCounts;

  /** Throws the errors of the `Proxy` constructor. */
  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    const { config, needsPerQueryEvents } = options;
    this.#clients = sharedCounts(config.workers);
    this.#proxy = new Proxy({
      ...this.#inputs(options, 1),
      observe: config.workers > 1 ? (event) => this.#report(event, 1) : options.observe,
      needsPerQueryEvents,
      ...(config.workers > 1
        ? { sharing: "first", sharedCount: new AtomicSharedCount(this.#clients, 1) }
        : {}),
      onMove: () => void this.#callEach("listen", this.#listen),
    });
    this.#workers = Array.from({ length: config.workers - 1 }, (_, i) => this.#startWorker(i + 2));
    this.started = this.#startProxies();
  }

  /** Whether there are no workers. */
  get isAlone(): boolean {
    return this.#workers.length === 0;
  }

  /** Whether UDP uses batches, which threads need to share a port. */
  get hasBatches(): boolean {
    return this.#proxy.hasBatches;
  }

  /** Addresses that listen, over both UDP and TCP. */
  get addresses(): Deno.NetAddr[] {
    return this.#proxy.addresses;
  }

  /** Upstreams of all threads; of workers as of the last `refreshStats`. */
  get upstreams(): UpstreamStatus[] {
    if (this.isAlone) return this.#proxy.upstreams;
    const all = [this.#proxy.upstreams, ...this.#latestStats.map(({ upstreams }) => upstreams)];
    return mergeUpstreams(all, (label) => this.#states.of(label));
  }

  /** Caches of all threads; of workers as of the last `refreshStats`. Undefined without a cache. */
  get cache(): CacheStatus | undefined {
    return mergeCaches([this.#proxy, ...this.#latestStats].flatMap(({ cache }) => cache ?? []));
  }

  get cacheControl(): CacheControl | undefined {
    const own = this.#proxy.cacheControl;
    if (!own || this.isAlone) return own;
    return {
      inspect: async (name) => {
        const found = await own.inspect(name);
        return mergeAnswers([found, ...await this.#callEach("inspect", name)]);
      },
      flush: async (selection) => {
        const count = await own.flush(selection);
        return (await this.#callEach("flush", selection)).reduce((sum, each) => sum + each, count);
      },
    };
  }

  /** Fetches the state of all workers. A worker that is too busy keeps its previous state. */
  async refreshStats(): Promise<readonly ThreadStatus[]> {
    const refreshed = this.#each(async (worker) => void this.#stats.set(worker, await worker.call("stats")));
    await settlesWithin(refreshed, STATS_TIMEOUT_MS);
    return this.#latestStats;
  }

  /** Sends the current `needsPerQueryEvents` to all workers. */
  updatePerQueryEvents(): void {
    void this.#callEach("setPerQueryEvents", this.#options.needsPerQueryEvents());
  }

  /** See `Proxy.reconfigure`. A worker that fails reports an event. `workers` must not change. */
  async reconfigure(inputs: ProxyInputs): Promise<void> {
    await this.#proxy.reconfigure(this.#inputs(inputs, 1));
    this.#states.retain(this.#proxy.upstreams.map(({ label }) => label));
    await this.#each((worker, thread) => worker.call("reconfigure", this.#inputs(inputs, thread)));
  }

  /** Sends an internal query. Resolves with whether an upstream answered it. */
  probe(): Promise<boolean> {
    return this.#proxy.probe();
  }

  /** Accepts no more queries, answers those under way, then closes; at the latest after `limitMs`. */
  async stop(limitMs: number): Promise<void> {
    const workersStopped = settlesWithin(this.#callEach("stop", limitMs), limitMs + STOP_GRACE_MS);
    await Promise.all([this.#proxy.stop(limitMs), workersStopped]);
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#proxy[Symbol.dispose]();
    this.#workers.forEach((worker, i) => {
      worker[Symbol.dispose]();
      this.#stopHeartbeat(i + 2);
    });
  }

  /** The watchdog ignores a thread without a heartbeat. */
  #stopHeartbeat(thread: number): void {
    const { beats } = this.#options;
    if (beats) Atomics.store(beats, thread - 1, 0);
  }

  #startWorker(thread: number): WorkerHandle {
    return new WorkerHandle({
      module: this.#options.module,
      name: `thread ${thread}`,
      onEvents: (events) => events.forEach((event) => this.#report(restore(event), thread)),
      onEnd: (reason) => {
        this.#stopHeartbeat(thread);
        this.#report({ kind: "thread", thread, state: "down", reason }, thread);
      },
    });
  }

  async #startProxies(): Promise<void> {
    const perQuery = this.#options.needsPerQueryEvents();
    await this.#each((worker, thread) =>
      worker.call("start", {
        inputs: this.#inputs(this.#options, thread),
        thread,
        perQuery,
        clients: this.#clients,
        beats: this.#options.beats,
      })
    );
  }

  /** Passes an event on. Changes of upstreams are reported once for all threads. */
  #report(event: Event, thread: number): void {
    const { observe, relay } = this.#options;
    if (event.kind === "upstream" && !this.#states.record(event)) return;
    if (event.kind === "exchanged") {
      const change = this.#states.recordAnswer(event.upstream);
      if (change) relay(change);
    }
    if (thread === 1) observe(event);
    else relay(event);
  }

  get #latestStats(): WorkerStatus[] {
    return [...this.#stats.values()];
  }

  /** Inputs of one thread's proxy. Workers listen on the addresses of the first thread. */
  #inputs({ config, caCerts }: ProxyInputs, thread: number): ProxyInputs {
    const share = threadConfig(withinDescriptors(config, this.#options.descriptors), thread);
    if (thread === 1) return { config: share, caCerts };
    const udpBatch = this.#proxy.hasBatches ? share.udpBatch : "off";
    return { config: { ...share, udpBatch, listen: this.#listen }, caCerts };
  }

  get #listen(): ListenAddress[] {
    return this.addresses.map(({ hostname, port }) => ({ hostname, port, required: false }));
  }

  /** Calls each worker. Resolves with the results of those that succeeded. */
  async #callEach<N extends CallName>(
    name: N,
    ...argument: Parameters<Calls[N]>
  ): Promise<ReturnType<Calls[N]>[]> {
    const results: ReturnType<Calls[N]>[] = [];
    await this.#each(async (worker) => void results.push(await worker.call(name, ...argument)));
    return results;
  }

  /** Applies a task to each running worker. Reports a failure as an event. Never rejects. */
  async #each(task: (worker: WorkerHandle, thread: number) => Promise<unknown>): Promise<void> {
    await Promise.all(this.#workers.map(async (worker, i) => {
      const thread = i + 2;
      try {
        if (!worker.hasEnded) await task(worker, thread);
      } catch (error) {
        const { message: reason } = error as Error;
        if (!worker.hasEnded) this.#report({ kind: "thread", thread, state: "down", reason }, thread);
      }
    }));
  }
}
