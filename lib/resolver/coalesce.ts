import { Message } from "../dns/message.ts";
import { UpstreamError } from "../errors.ts";
import { type Flight, Flights } from "./flights.ts";
import { hashQuestion, tagOf } from "./question_key.ts";
import type { Query, Resolver } from "./resolver.ts";

/**
 * Queries that may wait for upstreams, from all clients together. Each takes two to three kilobytes, and no upstream's own
 * limit sees those that wait for another's answer: without this one, a flood of questions would be kept in memory.
 */
export const MAX_WAITING = 16_384;

/** One for all: in a flood, to note where each one was made would cost more than to answer it. */
export const OVERLOADED = new UpstreamError("overloaded", {
  upstream: "all upstreams",
  phase: "read",
  sent: false,
});

/** Told what each question has come to, once for all who asked it. */
export interface Listener {
  /** Returns the response that they get: this one, or what is made of it. */
  answered(query: Message, response: Message): Message;
  failed(query: Message, error: unknown): void;
}

/** Makes one query of all that ask the same while it is under way; what becomes of it becomes of all. */
export class Coalescer implements Resolver {
  /** Queries that were answered by another's. */
  joined = 0;
  #waiting = 0;
  readonly #next: Resolver;
  readonly #now: () => number;
  readonly #listener: Listener;
  readonly #flights = new Flights();

  constructor(next: Resolver, now: () => number, listener: Listener) {
    this.#next = next;
    this.#now = now;
    this.#listener = listener;
  }

  resolve(query: Query): Message | Promise<Message> {
    return this.#resolve(query, true);
  }

  #resolve(query: Query, mayRetry: boolean): Message | Promise<Message> {
    const { message } = query;
    const tag = tagOf(message);
    const hash = hashQuestion(message, tag);
    const flight = this.#flights.find(query, tag, hash);
    // New ones are turned away before memory suffers; what is known here is still answered.
    if (this.#waiting >= MAX_WAITING) throw OVERLOADED;
    return flight ? this.#join(flight, query, mayRetry) : this.#lead(query, tag, hash);
  }

  #lead(query: Query, tag: number, hash: number): Message | Promise<Message> {
    const outcome = this.#ask(query);
    if (outcome instanceof Message) return outcome;
    this.#waiting++;
    const flight: Flight = { query, hash, tag, response: outcome, next: undefined };
    this.#flights.add(flight);
    return flight.response = outcome.then(
      (response) => {
        this.#land(flight);
        return this.#listener.answered(query.message, response);
      },
      (error) => {
        this.#land(flight);
        this.#listener.failed(query.message, error);
        throw error;
      },
    );
  }

  /** What comes at once is told of here. */
  #ask(query: Query): Message | Promise<Message> {
    try {
      const outcome = this.#next.resolve(query);
      return outcome instanceof Message ? this.#listener.answered(query.message, outcome) : outcome;
    } catch (error) {
      this.#listener.failed(query.message, error);
      throw error;
    }
  }

  #land(flight: Flight): void {
    this.#waiting--;
    this.#flights.remove(flight);
  }

  #join(flight: Flight, query: Query, mayRetry: boolean): Promise<Message> {
    this.joined++;
    this.#waiting++;
    return flight.response.then(
      (response) => {
        this.#leave(flight, query);
        return response;
      },
      (error) => {
        this.#leave(flight, query);
        // Time was up for the one who began; whoever came later has some left, but not for a third try.
        const isLate = error instanceof UpstreamError && error.failure === "timed out";
        const hasTime = query.deadline > flight.query.deadline && query.deadline > this.#now();
        if (!mayRetry || !isLate || !hasTime) throw error;
        return this.#resolve(query, false);
      },
    );
  }

  #leave(flight: Flight, query: Query): void {
    this.#waiting--;
    query.trace.upstream = flight.query.trace.upstream;
  }
}
