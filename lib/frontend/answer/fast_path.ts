import { Flag, HEADER_BYTES } from "../../dns/header.ts";
import { IpAddress } from "../../net/ip_address.ts";
import type { Observe } from "../../core/event.ts";
import type { CacheFastPath } from "../../resolver/cache/fast_path.ts";
import type { Admission, Verdict } from "./admission.ts";
import type { MmsgSocket } from "../udp/mmsg.ts";

export interface UdpFastPathOptions {
  readonly cache: CacheFastPath;
  readonly admission?: Admission | undefined;
  /** In octets: the largest UDP message that is sent, and said to be taken. */
  readonly udpSize: number;
  readonly observe: Observe;
  readonly now: () => number;
}

/**
 * What has become of a datagram: it has its reply; or it has the long way to go, and its client has been admitted or not
 * been looked at; or it is not to be answered.
 */
export type Outcome = "replied" | "admitted" | "unread" | Exclude<Verdict, "answer">;

/** Replies from buffer to buffer within a batch of datagrams; what they have come to is told in one event for all. */
export class UdpFastPath {
  readonly #options: UdpFastPathOptions;
  readonly #client = new IpAddress();
  /** Since `begin`, by RCODE. */
  readonly #replies = new Uint32Array(16);
  #now = 0;

  constructor(options: UdpFastPathOptions) {
    this.#options = options;
  }

  /** To be called before the datagrams of a batch. */
  begin(): void {
    this.#now = this.#options.now();
  }

  reply(batch: MmsgSocket, i: number): Outcome {
    const { cache, admission, udpSize } = this.#options;
    const { received, outgoing } = batch;
    const start = batch.start(i);
    const length = batch.length(i);
    // What is no query has no client that could be told anything.
    if (length < HEADER_BYTES || (received[start + 2]! & Flag.QR >> 8) !== 0) return "unread";
    if (admission) {
      const verdict = admission.admitFrom(batch.readClient(i, this.#client), "udp", this.#now);
      if (verdict !== "answer") return verdict;
    }
    const end = start + length;
    const replyLength = cache.tryAnswer(received, start, end, this.#now, outgoing, batch.nextStart, udpSize);
    if (replyLength === 0) return "admitted";
    this.#replies[cache.rcode]!++;
    batch.reply(i, replyLength);
    return "replied";
  }

  /** To be called behind them. */
  end(): void {
    const { observe, now } = this.#options;
    for (let rcode = 0; rcode < this.#replies.length; rcode++) {
      const count = this.#replies[rcode]!;
      if (count === 0) continue;
      this.#replies[rcode] = 0;
      observe({ kind: "hits", transport: "udp", rcode, count, milliseconds: now() - this.#now });
    }
  }
}
