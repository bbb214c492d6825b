/** Upstreams to choose among whose state and answers are in the test's hands. */
import { Message } from "../../../lib/dns/message.ts";
import { type Failure, UpstreamError } from "../../../lib/core/errors.ts";
import type { Candidate, HedgeTrigger } from "../../../lib/core/candidate.ts";
import type { Query } from "../../../lib/core/resolver.ts";
import { query, response, type ResponseFields } from "../packets/packets.ts";

/** A query for the address of `name`, from a client that waits until `deadline`. */
export function asking(name: string, deadline = Infinity): Query {
  return {
    message: Message.parse(query(name, "A", { edns: {} })),
    client: { transport: "udp", address: "127.0.0.1", port: 1 },
    deadline,
    trace: { source: "upstream", upstream: undefined, attempts: 0 },
  };
}

/** One query that the candidate was asked. */
export class Attempt {
  readonly query: Query;
  readonly trigger: HedgeTrigger | undefined;
  readonly #label: string;
  readonly #outcome: PromiseWithResolvers<Message>;

  constructor(query: Query, facts: { trigger: HedgeTrigger | undefined; label: string }) {
    this.query = query;
    this.trigger = facts.trigger;
    this.#label = facts.label;
    this.#outcome = Promise.withResolvers<Message>();
  }

  get promise(): Promise<Message> {
    return this.#outcome.promise;
  }

  answer(fields: ResponseFields = {}): void {
    this.#outcome.resolve(Message.parse(response(this.query.message.bytes, fields)));
  }

  fail(failure: Failure = "timed out"): void {
    this.failWith(new UpstreamError(failure, { upstream: this.#label, phase: "read" }));
  }

  failWith(error: unknown): void {
    this.#outcome.reject(error);
  }
}

export class FakeCandidate implements Candidate {
  readonly label: string;
  weight = 1;
  usable = true;
  expectedLatencyMs = 10;
  lastQueryAt = 0;
  readonly attempts: Attempt[] = [];

  constructor(
    label: string,
    fields: Partial<Pick<Candidate, "weight" | "usable" | "expectedLatencyMs">> = {},
  ) {
    this.label = label;
    Object.assign(this, fields);
  }

  /** The latest attempt. */
  get attempt(): Attempt {
    return this.attempts.at(-1)!;
  }

  resolve(query: Query): Promise<Message> {
    return this.#attempt(query);
  }

  exchange(query: Query, trigger: HedgeTrigger): Promise<Message> {
    return this.#attempt(query, trigger);
  }

  #attempt(query: Query, trigger?: HedgeTrigger): Promise<Message> {
    const attempt = new Attempt(query, { trigger, label: this.label });
    this.attempts.push(attempt);
    return attempt.promise;
  }
}

/** Candidates labelled "a", "b", "c" and so on. */
export function candidates(count: number): FakeCandidate[] {
  return Array.from({ length: count }, (_, i) => new FakeCandidate(String.fromCharCode(97 + i)));
}
