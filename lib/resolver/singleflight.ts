/** Singleflight: one upstream query for all equal questions that are in flight at the same time. */

import { Message } from "../dns/message.ts";
import type { Query, Resolver } from "../core/resolver.ts";
import { UpstreamError } from "../core/errors.ts";
import { hashQuestion, variantOf } from "./question_key.ts";
import { type Waiter, WaitingRoom } from "./waiting_room.ts";

/** One object for all overloads: in a flood, a stack trace per error would cost more than an answer. */
export const OVERLOADED = new UpstreamError("overloaded", {
  upstream: "all upstreams",
  phase: "read",
  sent: false,
});

/** Called once with the outcome of each question. */
export interface ResponseListener {
  /** Returns the response for all queries that wait for it. */
  answered(query: Message, response: Message): Message;
  failed(query: Message, error: unknown): void;
}

/** A question in flight that holds a slot of the waiting room. A class, so that each one costs one object and one promise. */
class WaitingQuestion implements InFlightQuestion, Waiter {
  readonly query: Query;
  readonly hash: number;
  readonly variant: number;
  readonly network: number;
  readonly since: number;
  readonly response: Promise<Message>;
  next: InFlightQuestion | undefined;
  older: Waiter | undefined;
  younger: Waiter | undefined;
  /** Whether it lost its slot to another query. Its queries have failed by then. */
  isGivenUp = false;
  readonly resolve: (response: Message) => void;
  readonly reject: (error: unknown) => void;
  readonly #remove: (inFlight: WaitingQuestion) => void;

  constructor(
    query: Query,
    { variant, hash, network, now }: { variant: number; hash: number; network: number; now: number },
    remove: (inFlight: WaitingQuestion) => void,
  ) {
    this.query = query;
    this.hash = hash;
    this.variant = variant;
    this.network = network;
    this.since = now;
    this.#remove = remove;
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    this.response = promise;
    this.resolve = resolve;
    this.reject = reject;
  }

  giveUp(): void {
    this.#remove(this);
    this.isGivenUp = true;
    this.reject(OVERLOADED);
  }
}

/** Sends the first of several equal questions. The others wait for its outcome and share it. */
export class Singleflight implements Resolver {
  /** Queries that got the response of another query with the same question. */
  coalesced = 0;
  readonly #next: Resolver;
  readonly #now: () => number;
  readonly #listener: ResponseListener;
  readonly #inFlight = new InFlightQuestions<WaitingQuestion>();
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
    const variant = variantOf(message);
    const hash = hashQuestion(message, variant);
    const inFlight = this.#inFlight.find(query, variant, hash);
    const network = this.#room.networkOf(client.address);
    const now = this.#now();
    // New queries are rejected before memory runs out. The cache still answers its entries.
    if (!this.#room.makeRoom(network, now)) throw OVERLOADED;
    if (inFlight && !inFlight.isGivenUp) return this.#join(inFlight, query, network, mayRetry);
    return this.#start(query, { variant, hash, network, now });
  }

  #start(
    query: Query,
    { variant, hash, network, now }: { variant: number; hash: number; network: number; now: number },
  ): Message | Promise<Message> {
    const outcome = this.#ask(query);
    if (outcome instanceof Message) return outcome;
    const inFlight = new WaitingQuestion(query, { variant, hash, network, now }, this.#remove);
    this.#inFlight.add(inFlight);
    this.#room.enter(inFlight);
    // The response to a question that was given up is still stored for later queries.
    outcome.then(
      (response) => {
        if (!inFlight.isGivenUp) this.#remove(inFlight);
        try {
          inFlight.resolve(this.#listener.answered(query.message, response));
        } catch (error) {
          inFlight.reject(error);
        }
      },
      (error) => {
        if (!inFlight.isGivenUp) this.#remove(inFlight);
        this.#listener.failed(query.message, error);
        inFlight.reject(error);
      },
    );
    return inFlight.response;
  }

  /** Asks the next resolver. Reports a synchronous outcome to the listener. */
  #ask(query: Query): Message | Promise<Message> {
    try {
      const outcome = this.#next.resolve(query);
      return outcome instanceof Message ? this.#listener.answered(query.message, outcome) : outcome;
    } catch (error) {
      this.#listener.failed(query.message, error);
      throw error;
    }
  }

  /** Removes a question, and frees its slot. */
  readonly #remove = (inFlight: WaitingQuestion): void => {
    this.#room.leave(inFlight);
    this.#inFlight.remove(inFlight);
  };

  #join(inFlight: InFlightQuestion, query: Query, network: number, mayRetry: boolean): Promise<Message> {
    this.coalesced++;
    this.#room.take(network);
    return inFlight.response.then(
      (response) => {
        this.#leave(inFlight, query, network);
        return response;
      },
      (error) => {
        this.#leave(inFlight, query, network);
        // The first query timed out. A later one still has time, but for one more try only.
        const isLate = error instanceof UpstreamError && error.failure === "timed out";
        const hasTime = query.deadline > inFlight.query.deadline && query.deadline > this.#now();
        if (!mayRetry || !isLate || !hasTime) throw error;
        return this.#resolve(query, false);
      },
    );
  }

  #leave(inFlight: InFlightQuestion, query: Query, network: number): void {
    this.#room.giveBack(network);
    query.trace.upstream = inFlight.query.trace.upstream;
  }
}

/** A question in flight. */
export interface InFlightQuestion {
  /** The first query, whose deadline applies. */
  readonly query: Query;
  /** Hash of question and variant. */
  readonly hash: number;
  readonly variant: number;
  /** The outcome for all queries. */
  response: Promise<Message>;
  /** Link of the table. */
  next: InFlightQuestion | undefined;
}

/** A power of two. With the maximum of questions in flight, eight share a bucket. */
const BUCKETS = 4096;

/** Questions in flight, by hash. Not a Map, whose backing store would keep removed entries alive until it is copied. */
export class InFlightQuestions<Each extends InFlightQuestion = InFlightQuestion> {
  readonly #buckets = new Array<Each | undefined>(BUCKETS).fill(undefined);

  /** The question in flight that equals the query's. Undefined if there is none. */
  find({ message }: Query, variant: number, hash: number): Each | undefined {
    for (
      let inFlight = this.#buckets[hash & BUCKETS - 1];
      inFlight;
      inFlight = inFlight.next as Each | undefined
    ) {
      const isSame = inFlight.hash === hash && inFlight.variant === variant &&
        inFlight.query.message.sameQuestion(message);
      if (isSame) return inFlight;
    }
    return undefined;
  }

  add(inFlight: Each): void {
    const bucket = inFlight.hash & BUCKETS - 1;
    inFlight.next = this.#buckets[bucket];
    this.#buckets[bucket] = inFlight;
  }

  remove(inFlight: Each): void {
    const bucket = inFlight.hash & BUCKETS - 1;
    let before: Each | undefined;
    let each = this.#buckets[bucket];
    while (each && each !== inFlight) [before, each] = [each, each.next as Each | undefined];
    if (before) before.next = inFlight.next;
    else this.#buckets[bucket] = inFlight.next as Each | undefined;
    inFlight.next = undefined; // a removed entry must not keep later ones alive
  }
}
