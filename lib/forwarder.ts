import type { Config } from "./config.ts";
import type { Observe } from "./observe/event.ts";
import type { UpstreamStatus } from "./observe/status.ts";
import { Dispatcher } from "./resolver/dispatcher.ts";
import { probeQuery } from "./resolver/probe.ts";
import type { Resolver } from "./resolver/resolver.ts";
import { Router } from "./resolver/router.ts";
import { strategy } from "./resolver/strategy.ts";
import type { UpstreamAddress } from "./upstream/address.ts";
import { dialer } from "./upstream/dial.ts";
import { systemLookup } from "./upstream/lookup.ts";
import { Upstream } from "./upstream/upstream.ts";

/** For TCP and TLS together, in ms; longer than a query may take, so that a slow handshake is of use to later ones. */
const DIAL_TIMEOUT = 5000;
/** An idle connection is closed after this long, in ms, where the server does not say how long it keeps one. */
const IDLE_TIMEOUT = 30_000;
/** In ms; short enough for a second try before a stub resolver gives up, long enough for a name slow to resolve. */
const SILENCE = 1500;

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
  /** By label: what two routes have in common is one upstream, with one connection. */
  readonly #upstreams = new Map<string, Upstream>();

  constructor(options: ForwarderOptions) {
    this.#options = options;
    const { upstreams, routes } = options.config;
    const otherwise = this.#choose(upstreams);
    this.resolver = routes.length === 0
      ? otherwise
      : new Router(new Map(routes.map((route) => [route.domain, this.#choose(route.upstreams)])), otherwise);
  }

  get upstreams(): UpstreamStatus[] {
    return [...this.#upstreams.values()].map(({ status }) => status);
  }

  /** Asks every upstream, past all that may know the answer already; whether one answers in so many ms. */
  async probe(timeout: number): Promise<boolean> {
    const deadline = this.#options.now() + timeout;
    const answers = [...this.#upstreams.values()].map((each) => each.resolve(probeQuery(deadline)));
    return await Promise.any(answers).then(() => true, () => false);
  }

  [Symbol.dispose](): void {
    for (const upstream of this.#upstreams.values()) upstream[Symbol.dispose]();
  }

  #choose(addresses: readonly UpstreamAddress[]): Resolver {
    const { config, now } = this.#options;
    const candidates = addresses.map((address) => this.#upstream(address));
    if (candidates.length === 1) return candidates[0]!;
    return new Dispatcher({ candidates, strategy: strategy(config.strategy, now), now });
  }

  #upstream(address: UpstreamAddress): Upstream {
    const known = this.#upstreams.get(address.label);
    if (known) return known;
    const { config, caCerts, observe, now } = this.#options;
    const upstream = new Upstream({
      label: address.label,
      weight: address.weight,
      dial: dialer(address, {
        caCerts,
        timeout: DIAL_TIMEOUT,
        lookup: systemLookup,
        profile: config.opportunistic ? "opportunistic" : "strict",
        onUnauthenticated: (error) => observe({ kind: "unauthenticated", upstream: address.label, error }),
      }),
      maxInFlight: config.maxInFlight,
      idleTimeout: IDLE_TIMEOUT,
      silence: SILENCE,
      observe,
      now,
    });
    this.#upstreams.set(address.label, upstream);
    return upstream;
  }
}
