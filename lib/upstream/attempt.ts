import type { Message } from "../dns/message.ts";
import { UpstreamError } from "../errors.ts";
import type { Asker } from "../resolver/candidate.ts";
import type { Query } from "../resolver/resolver.ts";
import { ednsRefusal } from "./edns_refusal.ts";
import type { Pending } from "./pending.ts";

/** "MUST NOT retry a given query … more than twice (i.e., three queries in total)" (RFC 9520 §3.1). */
const MAX_ATTEMPTS = 3;

/** What there is to be done when an attempt has failed. */
export type Again = (attempt: Attempt, error: UpstreamError) => void;

/** One query's way to its answer, over as many connections as it takes, with a single promise at the end of it. */
export class Attempt implements Pending {
  #failures = 0;
  sentAt = 0;
  slowAt = 0;
  lateAt = 0;
  id = 0;
  older: Pending | undefined;
  younger: Pending | undefined;
  readonly query: Query;
  /** Whoever asks several upstreams, as it is to be told anew at each attempt. */
  readonly asked: Asker | undefined;
  asker: Asker | undefined;
  readonly #resolve: (response: Message) => void;
  /** Ends it. */
  readonly giveUp: (error: unknown) => void;
  readonly #again: Again;

  constructor(
    query: Query,
    asker: Asker | undefined,
    { resolve, reject, again }: {
      resolve: (response: Message) => void;
      reject: (error: unknown) => void;
      again: Again;
    },
  ) {
    this.query = query;
    this.asked = this.asker = asker;
    this.#resolve = resolve;
    this.giveUp = reject;
    this.#again = again;
  }

  get message(): Message {
    return this.query.message;
  }

  get deadline(): number {
    return this.query.deadline;
  }

  resolve(response: Message): void {
    const detail = ednsRefusal(response);
    if (detail === undefined) return this.#resolve(response);
    const upstream = this.query.trace.upstream ?? "";
    this.giveUp(new UpstreamError("no EDNS", { upstream, phase: "read", detail }));
  }

  /** Whether another attempt may follow one that has failed like this. */
  mayFollow(error: UpstreamError, now: number): boolean {
    // Whoever asks several upstreams turns to another one himself.
    if (!error.again || this.asked && error.failure !== "closed") return false;
    if (error.sent) this.#failures++;
    return this.#failures < MAX_ATTEMPTS && now < this.deadline;
  }

  reject(error: UpstreamError): void {
    this.#again(this, error);
  }
}
