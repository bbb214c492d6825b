import { Message } from "../dns/message.ts";
import type { Query, Resolver } from "../core/resolver.ts";
import { UpstreamError } from "../core/errors.ts";
import { hashQuestion, variantOf } from "./question_key.ts";
import { type Waiter, WaitingRoom } from "./waiting_room.ts";

/** One for all: in a flood, to note where each one was made would cost more than to answer it. */
export const OVERLOADED = new UpstreamError("overloaded", {
  upstream: "all upstreams",
  phase: "read",
  sent: false,
});

/** Told what each question has come to, once for all who asked it. */
export interface ResponseListener {
  /** Returns the response that they get: this one, or what is made of it. */
  answered(query: Message, response: Message): Message;
  failed(query: Message, error: unknown): void;
}

/** A question that is being asked, and waits in the room. */
interface WaitingFlight extends InFlightQuestion, Waiter {
  /** Whether another query has its place now: those who ask have been told so. */
  isGivenUp: boolean;
}

/** Makes one query of all that ask the same while it is under way; what becomes of it becomes of all. */
export class Singleflight implements Resolver {
  /** Queries that were answered by another's. */
  coalesced = 0;
  readonly #next: Resolver;
  readonly #now: () => number;
  readonly #listener: ResponseListener;
  readonly #inFlight = new InFlightQuestions<WaitingFlight>();
  readonly #room = new WaitingRoom();

  constructor(next: Resolver, now: () => number, listener: ResponseListener) {
    this.#next = next;
    this.#now = now;
    this.#listener = listener;
  }

  resolve(query: Query): Message | Promise<Message> {
    return this.#resolve(query, true);
  }

  #resolve(query: Query, mayRetry: boolean): Message | Promise<Message> {
    const { message, client } = query;
    const tag = variantOf(message);
    const hash = hashQuestion(message, tag);
    const flight = this.#inFlight.find(query, tag, hash);
    const network = this.#room.networkOf(client.address);
    const now = this.#now();
    // New ones are turned away before memory suffers; what is known here is still answered.
    if (!this.#room.makeRoom(network, now)) throw OVERLOADED;
    if (flight && !flight.isGivenUp) return this.#join(flight, query, network, mayRetry);
    return this.#start(query, { tag, hash, network, now });
  }

  #start(
    query: Query,
    { tag, hash, network, now }: { tag: number; hash: number; network: number; now: number },
  ): Message | Promise<Message> {
    const outcome = this.#ask(query);
    if (outcome instanceof Message) return outcome;
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    const flight: WaitingFlight = {
      ...{ query, hash, tag, network, since: now, response: promise, isGivenUp: false },
      ...{ next: undefined, older: undefined, younger: undefined },
      giveUp: () => {
        this.#finish(flight);
        flight.isGivenUp = true;
        reject(OVERLOADED);
      },
    };
    this.#inFlight.add(flight);
    this.#room.enter(flight);
    // What comes of a question that was given up is still of use to the next one who asks.
    outcome.then(
      (response) => {
        if (!flight.isGivenUp) this.#finish(flight);
        return this.#listener.answered(query.message, response);
      },
      (error) => {
        if (!flight.isGivenUp) this.#finish(flight);
        this.#listener.failed(query.message, error);
        throw error;
      },
    ).then(resolve, reject);
    return promise;
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

  #finish(flight: WaitingFlight): void {
    this.#room.leave(flight);
    this.#inFlight.remove(flight);
  }

  #join(flight: InFlightQuestion, query: Query, network: number, mayRetry: boolean): Promise<Message> {
    this.coalesced++;
    this.#room.take(network);
    return flight.response.then(
      (response) => {
        this.#leave(flight, query, network);
        return response;
      },
      (error) => {
        this.#leave(flight, query, network);
        // Time was up for the one who began; whoever came later has some left, but not for a third try.
        const isLate = error instanceof UpstreamError && error.failure === "timed out";
        const hasTime = query.deadline > flight.query.deadline && query.deadline > this.#now();
        if (!mayRetry || !isLate || !hasTime) throw error;
        return this.#resolve(query, false);
      },
    );
  }

  #leave(flight: InFlightQuestion, query: Query, network: number): void {
    this.#room.giveBack(network);
    query.trace.upstream = flight.query.trace.upstream;
  }
}

/** A question that is being asked. */
export interface InFlightQuestion {
  /** Whose deadline the exchange has. */
  readonly query: Query;
  /** Of question and tag. */
  readonly hash: number;
  readonly tag: number;
  /** What becomes of it, for all who ask. */
  response: Promise<Message>;
  /** The table's. */
  next: InFlightQuestion | undefined;
}

/** A power of two. With as many questions under way as there may be, a few share one. */
const BUCKETS = 4096;

/**
 * Questions that are being asked, by hash. Not a Map, for the reason that `InFlight` has: what comes and goes all the
 * time would live on in the copies that a Map makes of itself.
 */
export class InFlightQuestions<Each extends InFlightQuestion = InFlightQuestion> {
  readonly #buckets = new Array<Each | undefined>(BUCKETS).fill(undefined);

  /** The one that asks the same. */
  find({ message }: Query, tag: number, hash: number): Each | undefined {
    for (let flight = this.#buckets[hash & BUCKETS - 1]; flight; flight = flight.next as Each | undefined) {
      const isSame = flight.hash === hash && flight.tag === tag && flight.query.message.sameQuestion(message);
      if (isSame) return flight;
    }
    return undefined;
  }

  add(flight: Each): void {
    const bucket = flight.hash & BUCKETS - 1;
    flight.next = this.#buckets[bucket];
    this.#buckets[bucket] = flight;
  }

  remove(flight: Each): void {
    const bucket = flight.hash & BUCKETS - 1;
    let before: Each | undefined;
    let each = this.#buckets[bucket];
    while (each && each !== flight) [before, each] = [each, each.next as Each | undefined];
    if (before) before.next = flight.next;
    else this.#buckets[bucket] = flight.next as Each | undefined;
    flight.next = undefined; // or what is gone would hold what comes
  }
}
