/**
 * The fast path of UDP: cache hits go from the buffer of received datagrams to the buffer of replies, without an object
 * per query. `resolver/cache/fast_path.ts` decides which queries it may answer, and writes the replies.
 */

import { Flag, HEADER_BYTES, HeaderField } from "../../dns/header.ts";
import { IpAddress } from "../../net/ip_address.ts";
import type { Observe } from "../../core/event.ts";
import type { CacheFastPath } from "../../resolver/cache/fast_path.ts";
import type { Admission, Verdict } from "./admission.ts";

/** Received datagrams by number, and a buffer for their replies, as `MmsgSocket` has them. */
export interface DatagramBatch {
  /** The buffer with all datagrams. */
  readonly incoming: Uint8Array;
  /** Offset of a datagram in `incoming`, and its length in bytes. */
  start(i: number): number;
  length(i: number): number;
  /** Reads the sender's IP address into `into`. */
  readClient(i: number, into: IpAddress): IpAddress;
  readonly outgoing: Uint8Array;
  /** Offset in `outgoing` where the next reply is written. */
  readonly nextStart: number;
  /** Queues the reply that was written at `nextStart`, for the sender of a datagram. */
  reply(i: number, length: number): void;
}

export interface UdpFastPathOptions {
  readonly cache: CacheFastPath;
  readonly admission?: Admission | undefined;
  /** The largest UDP message that is sent, and announced as accepted, in bytes. */
  readonly udpSize: number;
  readonly observe: Observe;
  readonly now: () => number;
}

/**
 * Why the fast path leaves a datagram to `Answerer`: its client is admitted, or was not checked, or is denied with this
 * verdict.
 */
export type Declined = "admitted" | "unchecked" | Exclude<Verdict, "answer">;

export class UdpFastPath {
  readonly #options: UdpFastPathOptions;
  readonly #client = new IpAddress();
  /** Replies of the current batch by RCODE. */
  readonly #replies = new Uint32Array(16);

  constructor(options: UdpFastPathOptions) {
    this.#options = options;
  }

  /**
   * Queues the replies that the cache has, and reports them in one event per RCODE.
   *
   * @param count number of datagrams in the batch
   * @param decline called in order for each datagram without such a reply
   */
  answerBatch(batch: DatagramBatch, count: number, decline: (i: number, reason: Declined) => void): void {
    const now = this.#options.now();
    try {
      for (let i = 0; i < count; i++) {
        const declined = this.#answer(batch, i, now);
        if (declined !== undefined) decline(i, declined);
      }
    } finally {
      this.#reportHits(now);
    }
  }

  /** Returns undefined if it queued a reply. */
  #answer(batch: DatagramBatch, i: number, now: number): Declined | undefined {
    const { cache, admission, udpSize } = this.#options;
    const { incoming, outgoing } = batch;
    const start = batch.start(i);
    const length = batch.length(i);
    // A datagram that is no query gets no reply, so its sender is not checked.
    if (length < HEADER_BYTES || (incoming[start + HeaderField.FLAGS]! & Flag.QR >> 8) !== 0) {
      return "unchecked";
    }
    if (admission) {
      const verdict = admission.admitFrom(batch.readClient(i, this.#client), "udp", now);
      if (verdict !== "answer") return verdict;
    }
    const end = start + length;
    const replyLength = cache.tryAnswer(incoming, start, end, now, outgoing, batch.nextStart, udpSize);
    if (replyLength === 0) return "admitted";
    this.#replies[cache.rcode]!++;
    batch.reply(i, replyLength);
    return undefined;
  }

  #reportHits(start: number): void {
    const { observe, now } = this.#options;
    for (let rcode = 0; rcode < this.#replies.length; rcode++) {
      const count = this.#replies[rcode]!;
      if (count === 0) continue;
      this.#replies[rcode] = 0;
      observe({ kind: "hits", transport: "udp", rcode, count, milliseconds: now() - start });
    }
  }
}
