import type { Message } from "../../dns/message.ts";
import type { UpstreamError } from "../../core/errors.ts";
import { probeQuery } from "../../core/internal_query.ts";
import type { PendingQuery } from "./pending_queries.ts";

/**
 * Our own query for `. NS`, which every server can answer at once: whether it is answered says something about the
 * connection and the upstream, where a client's query may be slow or badly answered because of its name.
 */
export class Probe implements PendingQuery {
  readonly message: Message;
  readonly deadline: number;
  readonly trigger = undefined;
  sentAt = 0;
  slowAt: number;
  lateAt = Infinity;
  id = 0;
  older: PendingQuery | undefined;
  younger: PendingQuery | undefined;
  #onOutcome: ((error?: UpstreamError) => void) | undefined;

  /** @param onOutcome called once, with the reason if there is no answer until the deadline. Times are in ms. */
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

  /** Its outcome says nothing any more. */
  forget(): void {
    this.#onOutcome = undefined;
  }

  #finish(error?: UpstreamError): void {
    this.#onOutcome?.(error);
    this.#onOutcome = undefined;
  }
}
