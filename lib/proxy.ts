import type { CacheControl } from "./admin/cache_api.ts";
import type { Config } from "./config.ts";
import { Forwarder } from "./forwarder.ts";
import { Answerer } from "./frontend/answer.ts";
import { Listeners } from "./frontend/listeners.ts";
import { type Library, openLibrary } from "./frontend/udp_batch.ts";
import type { Observe } from "./observe/event.ts";
import type { CacheStatus, UpstreamStatus } from "./observe/status.ts";

/** Queries of one TCP client that may wait at once; a client with more is not read from until some are answered. */
const MAX_PIPELINED = 256;

/** In ms; who asks whether we are ready does not wait for long. */
const PROBE_TIMEOUT = 2000;

/** The end of the time to stop in, in ms, kept for telling clients that no answer will come. */
const LAST_WORDS = 200;

export interface ProxyOptions {
  readonly config: Config;
  /** PEM certificates trusted beside the built-in roots. */
  readonly caCerts: readonly string[];
  readonly observe: Observe;
}

/** The only composition: front ends, one forwarder, upstreams. It listens as soon as it is made. */
export class Proxy implements Disposable {
  readonly #forwarder: Forwarder;
  readonly #listeners: Listeners;
  readonly #library: Library | undefined;
  #disposed = false;

  /** Throws `ListenError`, or a `UsageError` for what cannot be had here. */
  constructor({ config, caCerts, observe }: ProxyOptions) {
    const now = () => performance.now();
    const idleTimeout = config.tcpIdleTimeout;
    this.#library = openLibrary(config.udpBatch);
    this.#forwarder = new Forwarder({ config, caCerts, observe, now });
    const answerer = new Answerer({
      admission: this.#forwarder.policy.admission,
      resolver: this.#forwarder.resolver,
      timeout: config.timeout,
      udpSize: config.maxUdpSize,
      keepAlive: Math.floor(idleTimeout / 100),
      observe,
      now,
    });
    this.#listeners = new Listeners(config.listen, {
      answerer,
      observe,
      library: this.#library,
      maxClients: config.maxTcpClients,
      maxClientsPerAddress: config.maxTcpClientsPerAddress,
      limits: { idleTimeout, maxPipelined: MAX_PIPELINED, now },
    });
  }

  /** Makes all but sockets. Throws `UsageError` for what cannot be used, as a proxy would at its start. */
  static check({ config, caCerts }: Omit<ProxyOptions, "observe">): void {
    const withoutState = { ...config, stateDir: undefined };
    const now = () => performance.now();
    new Forwarder({ config: withoutState, caCerts, observe: () => {}, now })[Symbol.dispose]();
  }

  /** Where it listens, over UDP and TCP alike. */
  get addresses(): Deno.NetAddr[] {
    return this.#listeners.addresses;
  }

  get upstreams(): UpstreamStatus[] {
    return this.#forwarder.upstreams;
  }

  /** Undefined where there is no cache. */
  get cache(): CacheStatus | undefined {
    return this.#forwarder.cache?.status;
  }

  get cacheControl(): CacheControl | undefined {
    return this.#forwarder.cache;
  }

  /** Whether an upstream answers a query of our own. */
  probe(): Promise<boolean> {
    return this.#forwarder.probe(PROBE_TIMEOUT);
  }

  /** Reads block lists and hosts files again; nobody has to wait for it. */
  reloadLists(): Promise<void> {
    return this.#forwarder.policy.reload();
  }

  /** Takes no more queries, answers those it has, then closes; after `limit` ms it closes all the same. */
  async stop(limit: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    // Who still waits then is told SERVFAIL, which needs the front ends a little longer.
    const timers = [
      setTimeout(() => this.#forwarder[Symbol.dispose](), limit - LAST_WORDS),
      setTimeout(() => this[Symbol.dispose](), limit),
      setTimeout(resolve, limit),
    ];
    await this.#listeners.stop();
    await Promise.race([this.#forwarder.save(), late]);
    timers.forEach(clearTimeout);
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#forwarder[Symbol.dispose]();
    this.#listeners[Symbol.dispose]();
    this.#library?.close();
  }
}
