import { EdnsOption } from "../../dns/codes.ts";
import { recompose } from "../../dns/compose/compress.ts";
import { FormatError } from "../../dns/format_error.ts";
import { Message } from "../../dns/message.ts";
import { UpstreamError } from "../../core/errors.ts";
import { Cacheability, isAnswer, type TtlLimits } from "./cacheability.ts";
import type { ResponseListener } from "../singleflight.ts";
import type { FailureCache } from "./failures.ts";
import { NONE } from "./store/index.ts";
import { denialKey, entryTag, findAnswer, findExact, ticks } from "./lookup.ts";
import { DO, typeAndClass, wantsProofs } from "../question_key.ts";
import type { RouteTable } from "../balance/route_table.ts";
import { type Store, TICKS_PER_SECOND } from "./store/store.ts";
import { isBogus } from "../upstream_validation.ts";

/** How long an entry whose refresh has failed is left alone, in ticks (RFC 8767 §5: "no more frequently than … 30 seconds"). */
export const RECHECK = 30 * TICKS_PER_SECOND;

/** A response with more records is not composed anew for the case of its owners: it would take too long. */
const MAX_RESPELLED = 64;

export interface CacheWriterOptions extends TtlLimits {
  readonly store: Store;
  readonly failures: FailureCache;
  readonly routes: RouteTable;
  readonly now: () => number;
}

/** Keeps what comes back: answers in the store, failures in their own place. */
export class CacheWriter implements ResponseListener {
  /** Whether it does; it need not, for those who wait are answered all the same. */
  isWriting = true;
  readonly #options: CacheWriterOptions;
  readonly #cacheability: Cacheability;

  constructor(options: CacheWriterOptions) {
    this.#options = options;
    this.#cacheability = new Cacheability(options);
  }

  answered(query: Message, response: Message): Message {
    const tag = entryTag(query, this.#options.routes);
    const adopted = adopt(response, this.#cacheability, wantsProofs(tag));
    if (!this.isWriting) return adopted;
    if (isAnswer(adopted)) this.#keep(query, tag, adopted);
    else this.#fail(query, adopted);
    return adopted;
  }

  failed(query: Message, error: unknown): void {
    // To be overloaded is our own trouble, and may be over with the next answer.
    if (error instanceof UpstreamError && error.failure !== "overloaded") this.#fail(query, error);
  }

  /** What has just been answered is the truth: it takes the place of what was there, also where it cannot be kept. */
  #keep(query: Message, tag: number, response: Message): void {
    const { store, failures, now } = this.#options;
    const { lifetime, deniesName, isForBoth } = this.#cacheability;
    const [exact, denial] = [typeAndClass(query), denialKey(query)];
    failures.forget(query);
    if (lifetime === 0 || deniesName) this.#remove(query, tag, exact);
    if (lifetime === 0 || !deniesName) this.#remove(query, tag, denial);
    if (lifetime === 0) return;
    // What is found for a query without DO must be the younger one.
    if (isForBoth) this.#remove(query, tag & ~DO, deniesName ? denial : exact);
    store.put(response, { typeAndClass: deniesName ? denial : exact, tag }, this.#cacheability, ticks(now()));
  }

  #remove(query: Message, tag: number, key: number): void {
    const { store } = this.#options;
    const ref = findExact(store, query, tag, key);
    if (ref !== NONE) store.remove(ref);
  }

  /** RFC 8767 §4: other RCODEs leave what is there as it is; there is no hurry to ask again. */
  #fail(query: Message, failure: UpstreamError | Message): void {
    const { store, failures, routes, now } = this.#options;
    const tick = ticks(now());
    const tag = entryTag(query, routes);
    if (failure instanceof Message && isBogus(failure)) {
      for (const key of [typeAndClass(query), denialKey(query)]) this.#distrust(query, tag, key, tick);
    } else {
      const ref = findAnswer(store, query, tag, tick);
      if (ref !== NONE) store.entries.refreshLater(ref, tick + RECHECK);
    }
    failures.note(query, failure, now());
  }

  /** The name's data does not validate any more: what is known of it is good until its time is over, and not stale. */
  #distrust(query: Message, tag: number, key: number, tick: number): void {
    const { store } = this.#options;
    const ref = findExact(store, query, tag, key);
    if (ref === NONE) return;
    const expiresAt = store.entries.expiresAt(ref);
    if (tick >= expiresAt) store.remove(ref);
    else store.entries.refreshLater(ref, Math.min(tick + RECHECK, expiresAt));
  }
}

/** Where there is no cache: answers go to their clients within the limits all the same. */
export class Limiter implements ResponseListener {
  readonly #appraisal: Cacheability;

  constructor(limits: TtlLimits) {
    this.#appraisal = new Cacheability(limits);
  }

  answered(_: Message, response: Message): Message {
    return adopt(response, this.#appraisal, false);
  }

  failed(): void {}
}

/** The response as clients get it, and what is appraised. */
function adopt(response: Message, appraisal: Cacheability, wantsProofs: boolean): Message {
  appraisal.assess(response, wantsProofs);
  const isRespelled = appraisal.spellsOut && appraisal.count <= MAX_RESPELLED && isPlain(response);
  if (!isRespelled) return appraisal.adopt(response);
  try {
    const respelled = recompose(response, response, () => false);
    return appraisal.assess(respelled, wantsProofs).adopt(respelled);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return appraisal.assess(response, wantsProofs).adopt(response);
  }
}

/** Whether nothing of a response would be lost by composing it anew. */
function isPlain({ hasQuestion, rcode, edns, pointersLeadToNames }: Message): boolean {
  return hasQuestion && rcode <= 0xf && pointersLeadToNames &&
    edns?.option(EdnsOption.CLIENT_SUBNET) === undefined;
}
