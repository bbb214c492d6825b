/** Stores responses: answers in the store, failures in the failure cache. Without a cache, `Limiter` only limits TTLs. */

import { EdnsOption } from "../../dns/codes.ts";
import { recompose } from "../../dns/compose/compress.ts";
import { FormatError } from "../../dns/format_error.ts";
import { Message } from "../../dns/message.ts";
import { UpstreamError } from "../../core/errors.ts";
import { Cacheability, isAnswer, type TtlLimits } from "./cacheability.ts";
import type { ResponseListener } from "../singleflight.ts";
import type { FailureCache } from "./failures.ts";
import { NONE } from "./store/index.ts";
import { denialKey, entryVariant, findAnswer, findExact, ticks } from "./lookup.ts";
import { DO, typeAndClass, wantsProofs } from "../question_key.ts";
import type { RouteTable } from "../balance/route_table.ts";
import { type Store, TICKS_PER_SECOND } from "./store/store.ts";
import { isBogus } from "../upstream_validation.ts";

/** After a failed refresh, the next one waits this long (RFC 8767 §5: "no more frequently than … 30 seconds"). */
export const RECHECK_TICKS = 30 * TICKS_PER_SECOND;

/** A response with more records keeps the case of its owners, because composing it again would take too long. */
const MAX_RESPELLED = 64;

export interface CacheWriterOptions extends TtlLimits {
  readonly store: Store;
  readonly failures: FailureCache;
  readonly routes: RouteTable;
  readonly now: () => number;
}

/** Stores each response once, for all queries that waited for it. */
export class CacheWriter implements ResponseListener {
  /** False after the policy has changed. Responses still reach the queries that wait for them. */
  isWriting = true;
  readonly #options: CacheWriterOptions;
  readonly #cacheability: Cacheability;

  constructor(options: CacheWriterOptions) {
    this.#options = options;
    this.#cacheability = new Cacheability(options);
  }

  /** Stores the response, and returns it as clients get it. */
  answered(query: Message, response: Message): Message {
    const variant = entryVariant(query, this.#options.routes);
    const normalized = normalize(response, this.#cacheability, wantsProofs(variant));
    if (!this.isWriting) return normalized;
    if (isAnswer(normalized)) this.#store(query, variant, normalized);
    else this.#fail(query, normalized);
    return normalized;
  }

  /** Caches the failure. */
  failed(query: Message, error: unknown): void {
    // An overload is this process's own state, and may end with the next answer.
    if (error instanceof UpstreamError && error.failure !== "overloaded") this.#fail(query, error);
  }

  /** Replaces the entries of the question. If the new answer may not be cached, they are removed all the same. */
  #store(query: Message, variant: number, response: Message): void {
    const { store, failures, now } = this.#options;
    const { lifetimeSeconds, deniesName, isForBoth } = this.#cacheability;
    const [exact, denial] = [typeAndClass(query), denialKey(query)];
    failures.remove(query);
    if (lifetimeSeconds === 0 || deniesName) this.#remove(query, variant, exact);
    if (lifetimeSeconds === 0 || !deniesName) this.#remove(query, variant, denial);
    if (lifetimeSeconds === 0) return;
    // A query without DO must find the newer answer, not an older entry of its own.
    if (isForBoth) this.#remove(query, variant & ~DO, deniesName ? denial : exact);
    store.put(
      response,
      { typeAndClass: deniesName ? denial : exact, variant },
      this.#cacheability,
      ticks(now()),
    );
  }

  #remove(query: Message, variant: number, key: number): void {
    const { store } = this.#options;
    const ref = findExact(store, query, variant, key);
    if (ref !== NONE) store.remove(ref);
  }

  /** A failure leaves the entries as they are, and postpones the next refresh (RFC 8767 §4). */
  #fail(query: Message, failure: UpstreamError | Message): void {
    const { store, failures, routes, now } = this.#options;
    const nowTicks = ticks(now());
    const variant = entryVariant(query, routes);
    if (failure instanceof Message && isBogus(failure)) {
      for (const key of [typeAndClass(query), denialKey(query)]) {
        this.#expireUnvalidated(query, variant, key, nowTicks);
      }
    } else {
      const ref = findAnswer(store, query, variant, nowTicks);
      if (ref !== NONE) store.entries.refreshLater(ref, nowTicks + RECHECK_TICKS);
    }
    failures.add(query, failure, now());
  }

  /** The name's data does not validate any more. Its entry may be used while it is fresh, but never as stale data. */
  #expireUnvalidated(query: Message, variant: number, key: number, nowTicks: number): void {
    const { store } = this.#options;
    const ref = findExact(store, query, variant, key);
    if (ref === NONE) return;
    const expiresAt = store.entries.expiresAt(ref);
    if (nowTicks >= expiresAt) store.remove(ref);
    else store.entries.refreshLater(ref, Math.min(nowTicks + RECHECK_TICKS, expiresAt));
  }
}

/** Takes the writer's place when the cache is off: limits TTLs, and stores nothing. */
export class Limiter implements ResponseListener {
  readonly #cacheability: Cacheability;

  constructor(limits: TtlLimits) {
    this.#cacheability = new Cacheability(limits);
  }

  answered(_: Message, response: Message): Message {
    return normalize(response, this.#cacheability, false);
  }

  failed(): void {}
}

/** The response as clients get it. Afterwards `assessment` describes it. */
function normalize(response: Message, assessment: Cacheability, wantsProofs: boolean): Message {
  assessment.assess(response, wantsProofs);
  const isRespelled = assessment.spellsOut && assessment.count <= MAX_RESPELLED && isRecomposable(response);
  if (!isRespelled) return assessment.normalize(response);
  try {
    const respelled = recompose(response, response, () => false);
    return assessment.assess(respelled, wantsProofs).normalize(respelled);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return assessment.assess(response, wantsProofs).normalize(response);
  }
}

/** Whether composing a response again would lose nothing. */
function isRecomposable({ hasQuestion, rcode, edns, pointersLeadToNames }: Message): boolean {
  return hasQuestion && rcode <= 0xf && pointersLeadToNames &&
    edns?.option(EdnsOption.CLIENT_SUBNET) === undefined;
}
