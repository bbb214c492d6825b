/** A query of our own that shows whether a server answers at all. */

import type { Message } from "../../dns/message.ts";
import type { UpstreamError } from "../../core/errors.ts";
import { probeQuery } from "../../core/internal_query.ts";
import type { PendingQuery } from "./pending_queries.ts";

/**
 * A query for `. NS`, which each server can answer at once. Its outcome is evidence about the connection and the server,
 * whereas a client's query may be slow or badly answered because of its name.
 */
export class Probe implements PendingQuery {
  readonly message: Message;
  readonly deadline: number;
  readonly trigger = undefined;
  readonly lateAt = Infinity;
  slowAt: number;
  sentAt = 0;
  #onOutcome: ((error?: UpstreamError) => void) | undefined;

  /** @param onOutcome called once, with the error if there is no answer before the deadline */
  constructor(
    { deadline, slowAt }: { readonly deadline: number; readonly slowAt: number },
    onOutcome: (error?: UpstreamError) => void,
  ) {
    this.message = probeQuery(deadline).message;
    this.deadline = deadline;
    this.slowAt = slowAt;
    this.#onOutcome = onOutcome;
  }

  resolve(): void {
    this.#finish();
  }

  reject(error: UpstreamError): void {
    this.#finish(error);
  }

  /** Ignores the outcome from now on. */
  forget(): void {
    this.#onOutcome = undefined;
  }

  #finish(error?: UpstreamError): void {
    this.#onOutcome?.(error);
    this.#onOutcome = undefined;
  }
}
