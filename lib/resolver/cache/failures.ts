/** The cache of failures (RFC 9520). */

import { Flag, HEADER_BYTES, HeaderField, RCODE_MASK } from "../../dns/header.ts";
import { writeUint16 } from "../../dns/bytes.ts";
import { ExtendedError } from "../../dns/codes.ts";
import { composeOptRecord, cutExtraText } from "../../dns/edns.ts";
import { Message } from "../../dns/message.ts";
import { composeExtendedError } from "../../dns/compose/reply.ts";
import type { UpstreamError } from "../../core/errors.ts";
import { hashQuestion, variantOf } from "../question_key.ts";

/** RFC 9520 §3.2: "MUST be cached for at least 1 second", "MUST NOT cache a resolution failure for longer than 5 minutes". */
const MIN_MS = 1000;
const MAX_MS = 300_000;
/** "The amount of storage used … MUST be bounded" (RFC 9520 §5). */
const MAX_BYTES = 4 << 20;
/** Memory of a failure in addition to its message's bytes: its objects, and its entry in the map. */
const OVERHEAD_BYTES = 320;

interface CachedFailure {
  /** The response for clients, with the question that failed. */
  readonly message: Message;
  readonly variant: number;
  /** How long the question is not asked again. Doubles with each further failure. */
  readonly durationMs: number;
  readonly untilMs: number;
}

/**
 * Questions that failed, and are not asked again for a while. They are separate from the store: a failure never evicts an answer,
 * and is looked up only if the store has no answer, fresh or stale.
 */
export class FailureCache {
  /** By hash of question and variant. Two questions with one hash replace each other, which costs one more query. */
  readonly #failed = new Map<number, CachedFailure>();

  #bytes = 0;

  /** Memory of all failures. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The response to a question that failed a short time ago. Undefined if it may be asked. */
  find(query: Message, nowMs: number): Message | undefined {
    if (this.#failed.size === 0) return undefined;
    const failed = this.#findEntry(query);
    return failed && nowMs < failed.untilMs ? failed.message : undefined;
  }

  /** Adds a question that failed with an error, or with a response such as SERVFAIL. */
  add(query: Message, failure: UpstreamError | Message, nowMs: number): void {
    const hash = hashQuestion(query, variantOf(query));
    const before = this.#findEntry(query);
    const isRepeated = before !== undefined && nowMs < before.untilMs + MAX_MS;
    const durationMs = isRepeated && isFailureOfQuestion(failure)
      ? Math.min(2 * before.durationMs, MAX_MS)
      : MIN_MS;
    this.#delete(hash); // so that the new one is last in the order of eviction
    const message = composeFailure(query, failure);
    this.#failed.set(hash, { message, variant: variantOf(query), durationMs, untilMs: nowMs + durationMs });
    this.#bytes += bytesOf(message);
    while (this.#bytes > MAX_BYTES) this.#delete(this.#failed.keys().next().value!);
  }

  /** Removes a question that was answered. */
  remove(query: Message): void {
    if (this.#failed.size > 0 && this.#findEntry(query)) this.#delete(hashQuestion(query, variantOf(query)));
  }

  clear(): void {
    this.#failed.clear();
    this.#bytes = 0;
  }

  #delete(hash: number): void {
    const failed = this.#failed.get(hash);
    if (!failed) return;
    this.#failed.delete(hash);
    this.#bytes -= bytesOf(failed.message);
  }

  #findEntry(query: Message): CachedFailure | undefined {
    const variant = variantOf(query);
    const failed = this.#failed.get(hashQuestion(query, variant));
    return failed?.variant === variant && failed.message.sameQuestion(query) ? failed : undefined;
  }
}

function bytesOf({ bytes }: Message): number {
  return OVERHEAD_BYTES + bytes.length;
}

/** Whether the failure belongs to the question. An unreachable upstream does not, and must not block a name after it is back. */
function isFailureOfQuestion(failure: UpstreamError | Message): boolean {
  return failure instanceof Message || failure.phase === "read";
}

/** The failure as a response, with "Cached Error" added to its extended errors (RFC 8914 §4.14). */
function composeFailure(query: Message, failure: UpstreamError | Message): Message {
  const isResponse = failure instanceof Message;
  const reasons = isResponse
    ? failure.edns?.extendedErrors() ?? []
    : [cutExtraText(composeExtendedError({ code: failure.extendedError, text: failure.message }))];
  const rcode = failure.rcode;
  const opt = composeOptRecord(rcode, [
    ...reasons,
    composeExtendedError({ code: ExtendedError.CACHED_ERROR, text: "" }),
  ]);
  const { questionEnd } = query;
  const bytes = new Uint8Array(questionEnd + opt.length);
  bytes.set(query.bytes.subarray(0, questionEnd));
  writeUint16(bytes, HeaderField.FLAGS, Flag.QR | Flag.RA | rcode & RCODE_MASK);
  bytes.fill(0, HeaderField.ANSWERS, HEADER_BYTES);
  writeUint16(bytes, HeaderField.ADDITIONAL, 1);
  bytes.set(opt, questionEnd);
  return Message.parse(bytes);
}
