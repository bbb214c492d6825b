import type { Upstream } from "./upstream/upstream.ts";

/** What one configuration has in common with the next: an upstream ends when the last one that uses it lets it go. */
export class UpstreamPool {
  readonly #leases = new Map<string, { readonly upstream: Upstream; users: number }>();

  /** @param key all that matters to the upstream: where it is, and how it is asked */
  take(key: string, create: () => Upstream): Upstream {
    const lease = this.#leases.get(key) ?? { upstream: create(), users: 0 };
    lease.users++;
    this.#leases.set(key, lease);
    return lease.upstream;
  }

  release(key: string): void {
    const lease = this.#leases.get(key);
    if (!lease || --lease.users > 0) return;
    this.#leases.delete(key);
    lease.upstream[Symbol.dispose]();
  }
}
