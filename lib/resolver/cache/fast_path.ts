/**
 * The fast path: from the bytes of a query to the bytes of its reply, past all resolvers and without an object. It takes
 * plain queries (`QueryView`) whose answer is a fresh entry of the store, and leaves all others to the resolvers.
 *
 * The resolvers before the cache may block or change an answer. So an entry is open to the fast path only after its answer
 * has once come through them unmodified, under the current policy. The store numbers policies: its `generation`. An entry
 * holds the generation in which it was last opened, and zero when it is new.
 *
 *     put, prefetch ──▶ closed (0) ──noteUnmodified()──▶ open (= the store's) ──invalidate()──▶ closed (< the store's)
 *                           ▲                                │                                      │     ▲
 *                           └────── rewritten, moved in ─────┘              open ◀─noteUnmodified()─┘     │
 *                                   from a snapshot
 *
 * 1. `Cache` calls `offer` with each fresh answer that it returns at once.
 * 2. `Answerer` calls `noteUnmodified` with each response that it sent at once. If it is the offered object, no resolver has
 *    replaced it, and its entry becomes open.
 * 3. `Forwarder` calls `invalidate` when the policy changes: after a reload, and when a list of names or addresses is read
 *    again. That ends the generation, and closes all entries at once.
 * 4. An entry that is due for a prefetch, stale, or too long for the client is open, but not taken: `Cache` handles it.
 *
 * A denial (NXDOMAIN) is stored once for all types of its name. The types in `bypassTypes` are those that a resolver before
 * the cache treats differently from others, such as DS. Their queries never open a denial, and never take one.
 *
 * A hit here and a hit through `Cache` write the same bytes. Both rotate addresses in `Entries`, so one sequence serves both,
 * and both return the extended errors that are stored with the entry (RFC 8914 §3).
 */

import { readUint16, writeUint16 } from "../../dns/bytes.ts";
import { replyFlags } from "../../dns/compose/reply.ts";
import { OPT_BYTES, writeOpt } from "../../dns/edns.ts";
import { HEADER_BYTES, HeaderField, RCODE_MASK } from "../../dns/header.ts";
import type { Message } from "../../dns/message.ts";
import { QueryView } from "../../dns/query_view.ts";
import { NONE, type Ref } from "./store/index.ts";
import { denialKeyOf, ticks } from "./lookup.ts";
import { makeVariant } from "../question_key.ts";
import { type Store, TICKS_PER_SECOND } from "./store/store.ts";

/** The limit of UDP that all clients accept, in bytes (RFC 1035 §4.2.1). */
const MIN_UDP_SIZE = 512;

/** Answers queries from the store, buffer to buffer. See the protocol above. */
export class CacheFastPath {
  /** Queries answered here. */
  hits = 0;
  /** RCODE of the last reply that `tryAnswer` wrote. */
  rcode = 0;
  readonly #store: Store;
  readonly #bypassTypes: ReadonlySet<number>;
  readonly #query = new QueryView();
  /** The last answer that the cache offered, and its entry. */
  #offered: Message | undefined;
  #offeredRef: Ref = NONE;

  constructor(store: Store, bypassTypes: ReadonlySet<number> = new Set()) {
    this.#store = store;
    this.#bypassTypes = bypassTypes;
  }

  /** Called by `Cache` with a fresh answer, before it returns it, and the entry that the answer was made of. */
  offer(response: Message, ref: Ref): void {
    this.#offered = this.#bypassTypes.has(response.type) ? undefined : response;
    this.#offeredRef = ref;
  }

  /** Called by `Answerer` with each response that it sent at once. Opens the entry if this is the answer last offered. */
  noteUnmodified(response: Message): void {
    if (response === this.#offered) {
      this.#store.entries.setGeneration(this.#offeredRef, this.#store.generation);
    }
  }

  /** Called when the policy has changed. Closes all entries. */
  invalidate(): void {
    this.#store.nextGeneration();
  }

  /**
   * Answers the query in `bytes`, from `start` to `end`. Writes the reply to `into`, from `at` on, and returns its length in
   * bytes. Returns 0, and writes nothing, if the query must take the way through the resolvers.
   *
   * @param udpSize the largest reply that is sent, in bytes
   */
  tryAnswer(
    bytes: Uint8Array,
    start: number,
    end: number,
    nowMs: number,
    into: Uint8Array,
    at: number,
    udpSize: number,
  ): number {
    const query = this.#query;
    if (!query.read(bytes, start, end)) return 0;
    const nowTicks = ticks(nowMs);
    const ref = this.#findFresh(bytes, nowTicks);
    if (ref === NONE) return 0;
    const { entries, generation } = this.#store;
    if (nowTicks >= entries.refreshAt(ref) || entries.generation(ref) !== generation) return 0;
    const errorsLength = query.hasOpt ? entries.extendedErrorsLength(ref) : 0;
    const length = query.questionEnd - start + entries.recordsLength(ref) +
      (query.hasOpt ? OPT_BYTES + errorsLength : 0);
    if (length > Math.min(query.udpSize, Math.max(udpSize, MIN_UDP_SIZE))) return 0;

    const ageSeconds = Math.floor((nowTicks - entries.storedAt(ref)) / TICKS_PER_SECOND);
    const recordsEnd = this.#writeAnswer(bytes, ref, ageSeconds, into, at);
    if (query.hasOpt) this.#writeOpt(ref, errorsLength, into, at, recordsEnd, udpSize);
    entries.use(ref);
    this.hits++;
    return length;
  }

  /** The entry that `findAnswer` finds first: the one of the type, or else the denial of the name. NONE if neither is fresh. */
  #findFresh(bytes: Uint8Array, nowTicks: number): Ref {
    const { start, nameEnd, flags, dnssecOk } = this.#query;
    const store = this.#store;
    const variant = makeVariant(flags, dnssecOk);
    const typeAndClass = this.#query.typeAndClass(bytes);
    const exact = store.find(bytes, start + HEADER_BYTES, nameEnd, typeAndClass, variant);
    if (exact !== NONE && nowTicks < store.entries.expiresAt(exact)) return exact;
    // The entry of a bypassed type is never open, so only the denial needs the check.
    if (this.#bypassTypes.has(typeAndClass >>> 16)) return NONE;
    const denial = store.find(bytes, start + HEADER_BYTES, nameEnd, denialKeyOf(typeAndClass), variant);
    return denial !== NONE && nowTicks < store.entries.expiresAt(denial) ? denial : NONE;
  }

  /** Writes header, question and records, and returns the offset behind them. */
  #writeAnswer(bytes: Uint8Array, ref: Ref, ageSeconds: number, into: Uint8Array, at: number): number {
    const { start, questionEnd, flags, dnssecOk } = this.#query;
    const { entries } = this.#store;
    const length = questionEnd - start;
    for (let i = 0; i < length; i++) into[at + i] = bytes[start + i]!;
    entries.copyHeader(ref, into, at);
    const responseFlags = entries.flags(ref);
    this.rcode = responseFlags & RCODE_MASK;
    writeUint16(into, at + HeaderField.FLAGS, replyFlags(flags, dnssecOk, responseFlags) | this.rcode);
    return entries.copyRecords(ref, into, at + length, ageSeconds);
  }

  /** Writes our OPT record with the entry's extended errors, and counts it in the header at `at`. */
  #writeOpt(
    ref: Ref,
    errorsLength: number,
    into: Uint8Array,
    at: number,
    recordsEnd: number,
    udpSize: number,
  ): void {
    writeOpt(into, recordsEnd, udpSize, this.#query.dnssecOk);
    const additional = at + HeaderField.ADDITIONAL;
    writeUint16(into, additional, readUint16(into, additional) + 1);
    if (errorsLength === 0) return;
    const options = recordsEnd + OPT_BYTES;
    writeUint16(into, options - 2, errorsLength);
    this.#store.entries.copyExtendedErrors(ref, into, options);
  }
}
