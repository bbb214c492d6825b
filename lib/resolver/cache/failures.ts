import { Flag } from "../../dns/header.ts";
import { writeUint16 } from "../../dns/bytes.ts";
import { ExtendedError } from "../../dns/codes.ts";
import { composeOptRecord, cutExtraText } from "../../dns/edns.ts";
import { Message } from "../../dns/message.ts";
import { composeExtendedError } from "../../dns/compose/reply.ts";
import type { UpstreamError } from "../../core/errors.ts";
import { hashQuestion, variantOf } from "../question_key.ts";

/** RFC 9520 §3.2: "MUST be cached for at least 1 second", "MUST NOT cache a resolution failure for longer than 5 minutes". */
const LEAST = 1000;
const MOST = 300_000;
/** "The amount of storage used … MUST be bounded" (RFC 9520 §5). In bytes. */
const MAX_BYTES = 4 << 20;
/** What a failure takes beside its message: its objects, and its place in the table. In bytes. */
const OVERHEAD = 320;

interface Failed {
  /** What clients are told; its question is the one that failed. */
  readonly message: Message;
  readonly tag: number;
  /** For how long, in ms; doubled at each further failure. */
  readonly duration: number;
  readonly until: number;
}

/**
 * Questions that could not be answered, and are not asked again for a while. Kept apart from data: a failure neither
 * pushes an answer out nor is looked for where there is one, stale ones included.
 */
export class FailureCache {
  /** By hash of question and tag. Of two questions with the same hash the later one is kept: nothing is lost by that. */
  readonly #failed = new Map<number, Failed>();

  #bytes = 0;

  /** What the failures take, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What to tell a client whose question failed a moment ago. */
  find(query: Message, now: number): Message | undefined {
    if (this.#failed.size === 0) return undefined;
    const failed = this.#about(query);
    return failed && now < failed.until ? failed.message : undefined;
  }

  /** Notes that the question failed, by an error or by a response such as SERVFAIL. */
  note(query: Message, failure: UpstreamError | Message, now: number): void {
    const hash = hashQuestion(query, variantOf(query));
    const before = this.#about(query);
    const isRepeated = before !== undefined && now < before.until + MOST;
    const duration = isRepeated && isAboutTheName(failure) ? Math.min(2 * before.duration, MOST) : LEAST;
    this.#delete(hash); // so that it counts as the latest
    const message = composeFailure(query, failure);
    this.#failed.set(hash, { message, tag: variantOf(query), duration, until: now + duration });
    this.#bytes += bytesOf(message);
    while (this.#bytes > MAX_BYTES) this.#delete(this.#failed.keys().next().value!);
  }

  /** The question has been answered. */
  forget(query: Message): void {
    if (this.#failed.size > 0 && this.#about(query)) this.#delete(hashQuestion(query, variantOf(query)));
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

  #about(query: Message): Failed | undefined {
    const tag = variantOf(query);
    const failed = this.#failed.get(hashQuestion(query, tag));
    return failed?.tag === tag && failed.message.sameQuestion(query) ? failed : undefined;
  }
}

function bytesOf({ bytes }: Message): number {
  return OVERHEAD + bytes.length;
}

/** An upstream out of reach has its own pauses, and must not cost a name more than one second when it is back. */
function isAboutTheName(failure: UpstreamError | Message): boolean {
  return failure instanceof Message || failure.phase === "read";
}

/** The failure as it was told, with "Cached Error" beside the reasons (RFC 8914 §4.14). */
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
  writeUint16(bytes, 2, Flag.QR | Flag.RA | rcode & 0xf);
  bytes.fill(0, 6, 12);
  writeUint16(bytes, 10, 1);
  bytes.set(opt, questionEnd);
  return Message.parse(bytes);
}
