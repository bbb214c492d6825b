import { Message } from "../dns/message.ts";
import { UpstreamError } from "../errors.ts";
import { hashQuestion, tagOf } from "./question_key.ts";
import type { Query, Resolver } from "./resolver.ts";

/**
 * Queries that may wait for the answer to another's, from all clients together. Each takes some kilobytes, and the upstream's
 * own limit does not see them: without this one, a flood of questions for one slow name would be kept in memory.
 */
const MAX_WAITING = 16_384;

/** A question that is being asked. */
interface Flight {
  /** Whose deadline the exchange has. */
  readonly query: Query;
  readonly tag: number;
  readonly response: Promise<Message>;
}

/** Makes one query of all that ask the same while it is under way; what becomes of it becomes of all. */
export class Coalescer implements Resolver {
  /** Queries that were answered by another's. */
  joined = 0;
  #waiting = 0;
  readonly #next: Resolver;
  readonly #now: () => number;
  /** By hash of question and tag. A question whose hash another one has just now goes its own way. */
  readonly #flights = new Map<number, Flight>();

  constructor(next: Resolver, now: () => number) {
    this.#next = next;
    this.#now = now;
  }

  resolve(query: Query): Message | Promise<Message> {
    return this.#resolve(query, true);
  }

  #resolve(query: Query, mayRetry: boolean): Message | Promise<Message> {
    const { message } = query;
    const tag = tagOf(message);
    const hash = hashQuestion(message, tag);
    const flight = this.#flights.get(hash);
    if (!flight) return this.#lead(query, tag, hash);
    const isSame = flight.tag === tag && flight.query.message.sameQuestion(message);
    return isSame ? this.#join(flight, query, mayRetry) : this.#next.resolve(query);
  }

  #lead(query: Query, tag: number, hash: number): Message | Promise<Message> {
    const outcome = this.#next.resolve(query);
    if (outcome instanceof Message) return outcome;
    const response = outcome.finally(() => this.#flights.delete(hash));
    this.#flights.set(hash, { query, tag, response });
    return response;
  }

  async #join(flight: Flight, query: Query, mayRetry: boolean): Promise<Message> {
    if (this.#waiting >= MAX_WAITING) {
      const upstream = flight.query.trace.upstream ?? "upstream";
      throw new UpstreamError("overloaded", { upstream, phase: "read", sent: false });
    }
    this.joined++;
    this.#waiting++;
    try {
      return await flight.response;
    } catch (error) {
      // Time was up for the one who began; whoever came later has some left, but not for a third try.
      const isLate = error instanceof UpstreamError && error.failure === "timed out";
      const hasTime = query.deadline > flight.query.deadline && query.deadline > this.#now();
      if (!mayRetry || !isLate || !hasTime) throw error;
    } finally {
      this.#waiting--;
      query.trace.upstream = flight.query.trace.upstream;
    }
    return await this.#resolve(query, false);
  }
}
