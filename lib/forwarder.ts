import type { Config } from "./config.ts";
import type { Observe } from "./observe/event.ts";
import type { UpstreamStatus } from "./observe/status.ts";
import { Policy } from "./policy.ts";
import { Cache } from "./resolver/cache.ts";
import { CacheFile } from "./resolver/cache_file.ts";
import { Coalescer } from "./resolver/coalesce.ts";
import { Dispatcher } from "./resolver/dispatcher.ts";
import { probeQuery } from "./resolver/probe.ts";
import type { Resolver } from "./resolver/resolver.ts";
import { Router } from "./resolver/router.ts";
import { strategy } from "./resolver/strategy.ts";
import type { UpstreamAddress } from "./upstream/address.ts";
import { Upstreams } from "./upstreams.ts";

export interface ForwarderOptions {
  readonly config: Config;
  /** PEM certificates trusted beside the built-in roots. */
  readonly caCerts: readonly string[];
  readonly observe: Observe;
  readonly now: () => number;
}

/** The shared chain of resolvers that every front end feeds. */
export class Forwarder implements Disposable {
  readonly resolver: Resolver;
  readonly policy: Policy;
  /** Undefined where it is turned off. */
  readonly cache: Cache | undefined;
  readonly #cacheFile: CacheFile | undefined;
  readonly #options: ForwarderOptions;
  readonly #upstreams: Upstreams;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#upstreams = new Upstreams(options);
    const { upstreams, routes } = options.config;
    this.policy = this.#makePolicy();
    const otherwise = this.policy.behind(this.#choose(upstreams));
    const router = routes.length === 0
      ? otherwise
      : new Router(new Map(routes.map((route) => [route.domain, this.#choose(route.upstreams)])), otherwise);
    this.cache = this.#remember(router);
    this.#cacheFile = this.cache && this.#openCacheFile(this.cache);
    this.resolver = this.policy.before(this.cache ?? new Coalescer(router, options.now));
  }

  /** Saves what is to outlast the process. */
  async save(): Promise<void> {
    await this.#cacheFile?.save();
  }

  get upstreams(): UpstreamStatus[] {
    return this.#upstreams.all.map(({ status }) => status);
  }

  /** Asks every upstream, past all that may know the answer already; whether one answers in so many ms. */
  async probe(timeout: number): Promise<boolean> {
    const deadline = this.#options.now() + timeout;
    const answers = this.#upstreams.all.map((each) => each.resolve(probeQuery(deadline)));
    return await Promise.any(answers).then(() => true, () => false);
  }

  [Symbol.dispose](): void {
    this.policy[Symbol.dispose]();
    this.#cacheFile?.[Symbol.dispose]();
    this.cache?.[Symbol.dispose]();
    this.#upstreams[Symbol.dispose]();
  }

  #makePolicy(): Policy {
    const { config, observe } = this.#options;
    const routes = config.routes.map(({ domain }) => domain);
    return new Policy({ config: config.policy, routes, observe });
  }

  #remember(next: Resolver): Cache | undefined {
    const { config, observe, now } = this.#options;
    const { cacheSize: maxOctets, serveStale } = config;
    if (maxOctets === 0) return undefined;
    const limits = { minTtl: config.minTtl / 1000, maxTtl: config.maxTtl / 1000 };
    return new Cache({ next, maxOctets, ...limits, serveStale, observe, now });
  }

  #openCacheFile({ store }: Cache): CacheFile | undefined {
    const { config: { stateDir, serveStale, routes }, observe, now } = this.#options;
    if (stateDir === undefined) return undefined;
    const file = new CacheFile({
      directory: stateDir,
      store,
      routes: JSON.stringify(
        routes.map(({ domain, upstreams }) => [domain, upstreams.map(({ label }) => label)]),
      ),
      serveStale,
      observe,
      now,
      wallClock: Date.now,
    });
    void file.load(); // in the background: nobody waits for it
    return file;
  }

  #choose(addresses: readonly UpstreamAddress[]): Resolver {
    const { config, now } = this.#options;
    const candidates = addresses.map((address) => this.#upstreams.at(address));
    if (candidates.length === 1) return candidates[0]!;
    return new Dispatcher({ candidates, strategy: strategy(config.strategy, now), now });
  }
}
