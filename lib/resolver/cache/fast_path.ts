import { HEADER_BYTES } from "../../dns/header.ts";
import { readUint16, writeUint16 } from "../../dns/bytes.ts";
import { OPT_BYTES, writeOpt } from "../../dns/edns.ts";
import { QueryView } from "../../dns/query_view.ts";
import { replyFlags } from "../../dns/compose/reply.ts";
import type { Cache } from "./cache.ts";
import { NONE, type Ref } from "./store/index.ts";
import { denialKeyOf, ticks } from "./lookup.ts";
import { makeVariant } from "../question_key.ts";
import { type Store, TICKS_PER_SECOND } from "./store/store.ts";

/**
 * From the octets of a query to those of its reply, past all resolvers and without an object, where that comes to the
 * same: for plain queries, and entries that are fresh and have been seen to pass the resolvers as they are.
 */
export class CacheFastPath {
  readonly #cache: Cache;
  readonly #store: Store;
  readonly #query = new QueryView();
  #ref: Ref = NONE;
  #now = 0;

  constructor(cache: Cache) {
    this.#cache = cache;
    this.#store = cache.store;
  }

  /**
   * Whether the query that stands there can be answered in this way; `compose` is for it then.
   *
   * @param now in ms
   * @param udpSize the largest reply that is sent, in octets
   */
  find(bytes: Uint8Array, start: number, end: number, now: number, udpSize: number): boolean {
    const query = this.#query;
    if (!query.read(bytes, start, end)) return false;
    this.#now = ticks(now);
    const typeAndClass = query.typeAndClass(bytes);
    if (this.#cache.bypassesFastPath(typeAndClass >>> 16)) return false;
    const tag = makeVariant(query.flags, query.dnssecOk);
    // As `findAnswer`: what is known of the type, then whether the name is known not to exist.
    this.#ref = this.#findFresh(bytes, typeAndClass, tag);
    if (this.#ref === NONE) this.#ref = this.#findFresh(bytes, denialKeyOf(typeAndClass), tag);
    if (this.#ref === NONE) return false;
    const { entries, generation: epoch } = this.#store;
    const isDue = this.#now >= entries.refreshAt(this.#ref);
    if (isDue || entries.generation(this.#ref) !== epoch) return false;
    const length = query.questionEnd - start + entries.recordsLength(this.#ref) +
      (query.hasOpt ? OPT_BYTES + entries.extendedErrorsLength(this.#ref) : 0);
    return length <= Math.min(query.udpSize, Math.max(udpSize, 512));
  }

  /** The RCODE of what was found. */
  get rcode(): number {
    return this.#store.entries.flags(this.#ref) & 0xf;
  }

  /** Writes the reply to what was found and returns the offset behind it. */
  compose(bytes: Uint8Array, into: Uint8Array, at: number, udpSize: number): number {
    const { start, questionEnd, flags, hasOpt, dnssecOk } = this.#query;
    const { entries } = this.#store;
    const ref = this.#ref;
    const length = questionEnd - start;
    for (let i = 0; i < length; i++) into[at + i] = bytes[start + i]!;
    entries.copyHeader(ref, into, at);
    writeUint16(into, at + 2, replyFlags(flags, dnssecOk, entries.flags(ref)) | entries.flags(ref) & 0xf);
    const age = Math.floor((this.#now - entries.storedAt(ref)) / TICKS_PER_SECOND);
    const end = entries.copyRecords(ref, into, at + length, age);
    entries.use(ref);
    this.#cache.hits++;
    if (!hasOpt) return end;
    writeOpt(into, end, udpSize, dnssecOk);
    writeUint16(into, at + 10, readUint16(into, at + 10) + 1);
    const options = end + OPT_BYTES;
    const errors = entries.extendedErrorsLength(ref);
    if (errors === 0) return options;
    writeUint16(into, options - 2, errors);
    return entries.copyExtendedErrors(ref, into, options);
  }

  #findFresh(bytes: Uint8Array, typeAndClass: number, tag: number): Ref {
    const { start, nameEnd } = this.#query;
    const ref = this.#store.find(bytes, start + HEADER_BYTES, nameEnd, typeAndClass, tag);
    return ref !== NONE && this.#now < this.#store.entries.expiresAt(ref) ? ref : NONE;
  }
}
