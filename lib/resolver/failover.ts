import type { Message } from "../dns/message.ts";
import { UpstreamError } from "../errors.ts";
import type { Query, Resolver } from "./resolver.ts";

/** Asks one after the other until one answers; the last one's error is the error. */
export class Failover implements Resolver {
  readonly #resolvers: readonly Resolver[];
  readonly #now: () => number;

  constructor(resolvers: readonly Resolver[], now: () => number) {
    this.#resolvers = resolvers;
    this.#now = now;
  }

  async resolve(query: Query): Promise<Message> {
    const last = this.#resolvers.length - 1;
    for (let i = 0; i < last; i++) {
      try {
        return await this.#resolvers[i]!.resolve({ ...query, deadline: this.#halfOf(query.deadline) });
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error;
      }
    }
    return await this.#resolvers[last]!.resolve(query);
  }

  /** Each attempt may use half of the time that is left, so that the next one has some too. */
  #halfOf(deadline: number): number {
    const now = this.#now();
    return now + (deadline - now) / 2;
  }
}
