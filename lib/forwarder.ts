import type { Config } from "./config.ts";
import type { Observe } from "./observe/event.ts";
import type { UpstreamStatus } from "./observe/status.ts";
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
  readonly #options: ForwarderOptions;
  readonly #upstreams: Upstreams;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#upstreams = new Upstreams(options);
    const { upstreams, routes } = options.config;
    const otherwise = this.#choose(upstreams);
    this.resolver = routes.length === 0
      ? otherwise
      : new Router(new Map(routes.map((route) => [route.domain, this.#choose(route.upstreams)])), otherwise);
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
    this.#upstreams[Symbol.dispose]();
  }

  #choose(addresses: readonly UpstreamAddress[]): Resolver {
    const { config, now } = this.#options;
    const candidates = addresses.map((address) => this.#upstreams.at(address));
    if (candidates.length === 1) return candidates[0]!;
    return new Dispatcher({ candidates, strategy: strategy(config.strategy, now), now });
  }
}
