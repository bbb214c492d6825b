import type { Config } from "./config.ts";
import type { Observe } from "./observe/event.ts";
import { Failover } from "./resolver/failover.ts";
import type { Resolver } from "./resolver/resolver.ts";
import { dialer } from "./upstream/dial.ts";
import { Upstream } from "./upstream/upstream.ts";

/** For TCP and TLS together, in ms; longer than a query may take, so that a slow handshake is of use to later ones. */
const DIAL_TIMEOUT = 5000;
/** An idle connection is closed after this long, in ms, where the server does not say how long it keeps one. */
const IDLE_TIMEOUT = 30_000;
/** In ms: half of what a stub resolver waits, so that there is time for a second try. */
const SILENCE = 2000;

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
  readonly #upstreams: readonly Upstream[];

  constructor({ config, caCerts, observe, now }: ForwarderOptions) {
    this.#upstreams = config.upstreams.map((address) =>
      new Upstream({
        upstream: address.label,
        dial: dialer(address, { caCerts, timeout: DIAL_TIMEOUT }),
        maxInFlight: config.maxInFlight,
        idleTimeout: IDLE_TIMEOUT,
        silence: SILENCE,
        observe,
        now,
      })
    );
    const [only, ...others] = this.#upstreams;
    this.resolver = only && others.length === 0 ? only : new Failover(this.#upstreams, now);
  }

  [Symbol.dispose](): void {
    for (const upstream of this.#upstreams) upstream[Symbol.dispose]();
  }
}
