/**
 * The cache: a resolver that answers from the store, and sends one query upstream for all that ask the same. This folder may
 * import `dns/`, `core/`, `async/`, and `platform/` for its file. It has no sockets, and knows no option of the command line.
 *
 *     fast_path.ts   hits from bytes to bytes        cacheability.ts   what may be cached, and how long
 *     cache.ts       all other queries               writer.ts         stores responses and failures
 *     lookup.ts      which entry answers             failures.ts       cached failures
 *     message.ts     messages made of entries        inspection.ts     list and flush entries of a name
 *     store/         the entries in memory           snapshot_file.ts  the entries on disk
 *
 * The life of an entry:
 *
 *     fresh ──last tenth of its lifetime──▶ due ──lifetime over──▶ stale ──serveStale over──▶ evicted or overwritten
 *                                          one prefetch           ask upstream, answer stale data after a timeout or failure
 */

import type { Message } from "../../dns/message.ts";
import { compactQuery } from "../../dns/compose/upstream_query.ts";
import { UpstreamError } from "../../core/errors.ts";
import type { Observe } from "../../core/event.ts";
import type { CacheStatus } from "../../core/status.ts";
import { isAnswer, type TtlLimits } from "./cacheability.ts";
import { freshMessage, messageBelow, staleMessage, withoutProofs } from "./message.ts";
import { Singleflight } from "../singleflight.ts";
import { FailureCache } from "./failures.ts";
import { CacheFastPath } from "./fast_path.ts";
import { type CachedAnswer, flush, type FlushSelection, flushStoreNow, inspect } from "./inspection.ts";
import { NONE, type Ref } from "./store/index.ts";
import { entryVariant, findAnswer, findNxdomainCut, ticks } from "./lookup.ts";
import { TimeoutQueue } from "./timeout_queue.ts";
import { DO } from "../question_key.ts";
import { CacheWriter, RECHECK_TICKS } from "./writer.ts";
import type { Query, Resolver, Trace } from "../../core/resolver.ts";
import { RouteTable } from "../balance/route_table.ts";
import { Store, TICKS_PER_SECOND } from "./store/store.ts";
import { isBogus } from "../upstream_validation.ts";

/** A client waits this long for the upstream before it gets stale data (RFC 8767 §5: "1.8 seconds"). */
const CLIENT_RESPONSE_MS = 1800;
/** After a failed refresh, clients get stale data at once for this long (RFC 8767 §7). */
const RECENT_FAILURE_TICKS = 300 * TICKS_PER_SECOND;

export interface CacheOptions extends TtlLimits {
  readonly next: Resolver;
  /** Bound of the store. Failures have a bound of their own. */
  readonly maxOctets: number;
  /** The store of a previous cache, with its entries. Default: a new store. */
  readonly store?: Store | undefined;
  /** How long stale data may be used, in ms; 0 for never. */
  readonly serveStale: number;
  /** Types that never take the fast path: see `CacheFastPath`. Default: none. */
  readonly bypassTypes?: ReadonlySet<number>;
  /** Domains with their own upstreams. A denial of a name above such a domain does not deny the names below it. */
  readonly routes?: readonly string[];
  /** Whether the addresses of an answer rotate from one reply to the next. Default: true. */
  readonly rotate?: boolean;
  readonly observe: Observe;
  readonly now: () => number;
}

/** Answers at once if it has a fresh entry, and else asks the next resolver. See the life of an entry above. */
export class Cache implements Resolver, Disposable {
  /** Answers queries from this cache's store without `resolve`. */
  readonly fastPath: CacheFastPath;
  /** Queries answered with stale data, with a cached failure, and by an upstream. */
  staleHits = 0;
  failureHits = 0;
  misses = 0;
  /** Entries that were refreshed while still fresh. */
  prefetches = 0;
  readonly store: Store;
  readonly #failures = new FailureCache();
  readonly #writer: CacheWriter;
  readonly #singleflight: Singleflight;
  readonly #timeouts: TimeoutQueue;
  readonly #routes: RouteTable;
  readonly #staleTicks: number;
  readonly #options: CacheOptions;
  /** Queries answered here with fresh data. */
  #hits = 0;

  constructor(options: CacheOptions) {
    const { now, maxOctets, store = new Store(maxOctets), serveStale } = options;
    this.#options = options;
    this.store = store;
    this.fastPath = new CacheFastPath(store, options.bypassTypes);
    store.entries.rotate = options.rotate ?? true;
    const routes = this.#routes = new RouteTable(options.routes ?? []);
    this.#writer = new CacheWriter({ ...options, routes, store, failures: this.#failures });
    this.#singleflight = new Singleflight(options.next, now, this.#writer);
    this.#timeouts = new TimeoutQueue(CLIENT_RESPONSE_MS, now);
    this.#staleTicks = ticks(serveStale);
  }

  /** Queries answered with fresh data, on the fast path and here. */
  get hits(): number {
    return this.#hits + this.fastPath.hits;
  }

  get status(): CacheStatus {
    const { size: entries, bytes, evictions } = this.store;
    return { entries, bytes, maxBytes: this.#options.maxOctets, evictions };
  }

  /** Queries that got the response of another query with the same question. */
  get coalesced(): number {
    return this.#singleflight.coalesced;
  }

  resolve(query: Query): Message | Promise<Message> {
    const { message } = query;
    const variant = entryVariant(message, this.#routes);
    const nowMs = this.#options.now();
    const nowTicks = ticks(nowMs);
    const ref = findAnswer(this.store, message, variant, nowTicks);
    if (ref !== NONE && nowTicks < this.store.entries.expiresAt(ref)) {
      return this.#fresh(query, ref, nowTicks);
    }
    const below = this.#findBelow(query, variant, nowTicks);
    if (below) return below;
    if (this.#isServable(ref, nowTicks)) return this.#stale(query, ref, nowTicks);
    const other = this.#findOther(message, variant, nowTicks);
    const failure = this.#failures.find(message, nowMs);
    if (failure) {
      if (other !== NONE && !isBogus(failure)) return this.#serveOther(query, other, nowTicks);
      this.failureHits++;
      query.trace.source = "cache";
      return failure;
    }
    this.misses++;
    return other === NONE ? this.#singleflight.resolve(query) : this.#answerOrOther(query);
  }

  /** The entries of a name. Rejects with a `TypeError` if the name is invalid. */
  inspect(name: string): Promise<CachedAnswer[]> {
    return inspect(this.store, name, ticks(this.#options.now()));
  }

  /** Removes the selected entries and all failures; resolves to the number of entries. Rejects with a `TypeError` if the name is invalid. */
  flush(what: FlushSelection): Promise<number> {
    this.#failures.clear();
    return flush(this.store, what);
  }

  /** The same, but synchronously: for entries that no client may get any more. */
  flushNow(what: FlushSelection): void {
    this.#failures.clear();
    flushStoreNow(this.store, what);
  }

  /** Queries in flight are answered, but their responses are not stored, because the policy has changed since. */
  stopWriting(): void {
    this.#writer.isWriting = false;
  }

  [Symbol.dispose](): void {
    this.#timeouts[Symbol.dispose]();
  }

  #fresh(query: Query, ref: Ref, nowTicks: number): Message {
    const { entries } = this.store;
    this.#hits++;
    query.trace.source = "cache";
    entries.use(ref);
    const age = toSeconds(nowTicks - entries.storedAt(ref));
    const message = freshMessage(entries, ref, query.message, age, query.client.transport === "udp");
    const isDue = nowTicks >= entries.refreshAt(ref);
    if (!isDue) {
      this.fastPath.offer(message, ref);
    } else {
      this.prefetches++;
      this.#refresh(query, ref, entries.expiresAt(ref));
    }
    return message;
  }

  #findBelow(query: Query, variant: number, nowTicks: number): Message | undefined {
    const { entries } = this.store;
    const ref = findNxdomainCut(
      this.store,
      query.message,
      variant,
      nowTicks,
      this.#routes.treeStart(query.message),
    );
    if (ref === NONE) return undefined;
    const message = messageBelow(entries, ref, query.message, toSeconds(nowTicks - entries.storedAt(ref)));
    if (!message) return undefined;
    this.#hits++;
    query.trace.source = "cache";
    entries.use(ref);
    return message;
  }

  #isServable(ref: Ref, nowTicks: number): boolean {
    return ref !== NONE && nowTicks < this.store.entries.expiresAt(ref) + this.#staleTicks;
  }

  /** Tries the upstream before stale data (RFC 8767 §5), except shortly after a failed refresh. */
  #stale(query: Query, ref: Ref, nowTicks: number): Message | Promise<Message> {
    const { entries } = this.store;
    const refreshAt = entries.refreshAt(ref);
    const hasFailed = refreshAt > entries.expiresAt(ref);
    if (!hasFailed || nowTicks >= refreshAt + RECENT_FAILURE_TICKS) return this.#answerOrStale(query);
    const message = this.#serveStale(query, ref);
    if (nowTicks >= refreshAt) this.#refresh(query, ref, nowTicks + RECHECK_TICKS);
    return message;
  }

  /** The upstream's answer, or stale data if it is late or fails. A late answer is still stored. */
  #answerOrStale(query: Query): Promise<Message> {
    this.misses++;
    return this.#askOr(query, () => this.#staleFallback(query), (answer) => this.#timeouts.within(answer));
  }

  /**
   * The upstream's answer, or if it fails the entry of the other variant: the one with DO for a query without it, and the
   * reverse. An answer that the client cannot validate is better than none.
   */
  #answerOrOther(query: Query): Promise<Message> {
    return this.#askOr(query, () => {
      const nowTicks = ticks(this.#options.now());
      const ref = this.#findOther(query.message, entryVariant(query.message, this.#routes), nowTicks);
      return ref === NONE ? undefined : this.#serveOther(query, ref, nowTicks);
    }, (answer) => answer);
  }

  /** The upstream's answer if `wait` resolves to one, or else the fallback. A failure if there is no fallback. */
  async #askOr(
    query: Query,
    fallback: () => Message | undefined,
    wait: (answer: Promise<Message>) => Promise<Message | undefined>,
  ): Promise<Message> {
    const own = withOwnBytes(query);
    const answer = this.#ask(own);
    try {
      const response = await wait(answer);
      if (response && (isAnswer(response) || isBogus(response))) return response;
      return fallback() ?? response ?? await answer;
    } catch (error) {
      const other = error instanceof UpstreamError ? fallback() : undefined;
      if (!other) throw error;
      return other;
    } finally {
      query.trace.upstream = own.trace.upstream;
      query.trace.attempts = own.trace.attempts;
    }
  }

  /** The usable entry, fresh or stale, of the same question with the other value of DO. NONE if there is none. */
  #findOther(message: Message, variant: number, nowTicks: number): Ref {
    const ref = findAnswer(this.store, message, variant ^ DO, nowTicks);
    return this.#isServable(ref, nowTicks) ? ref : NONE;
  }

  #serveOther(query: Query, ref: Ref, nowTicks: number): Message {
    const { entries } = this.store;
    const { message } = query;
    const isUdp = query.client.transport === "udp";
    let response: Message;
    if (nowTicks < entries.expiresAt(ref)) {
      this.#hits++;
      query.trace.source = "cache";
      entries.use(ref);
      response = freshMessage(entries, ref, message, toSeconds(nowTicks - entries.storedAt(ref)), isUdp);
    } else {
      response = this.#serveStale(query, ref);
    }
    return message.edns?.dnssecOk ? response : withoutProofs(message, response);
  }

  /** Stale data; undefined if the entry is gone by now. Postpones the next refresh, so that the next clients need not wait. */
  #staleFallback(query: Query): Message | undefined {
    const { entries } = this.store;
    const nowTicks = ticks(this.#options.now());
    const ref = findAnswer(this.store, query.message, entryVariant(query.message, this.#routes), nowTicks);
    if (!this.#isServable(ref, nowTicks)) return undefined;
    if (entries.refreshAt(ref) <= nowTicks) entries.refreshLater(ref, nowTicks + RECHECK_TICKS);
    return this.#serveStale(query, ref);
  }

  #serveStale(query: Query, ref: Ref): Message {
    this.staleHits++;
    query.trace.source = "stale";
    this.store.entries.use(ref);
    return staleMessage(this.store.entries, ref, query.message, query.client.transport === "udp");
  }

  /** Asks the upstream in the background, and not again before `nextAtTicks`. */
  #refresh(query: Query, ref: Ref, nextAtTicks: number): void {
    this.store.entries.refreshLater(ref, nextAtTicks);
    this.#ask(withOwnBytes(query)).catch((error) => {
      if (!(error instanceof UpstreamError)) this.#options.observe({ kind: "internal error", error });
    });
  }

  async #ask(query: Query): Promise<Message> {
    return await this.#singleflight.resolve(query);
  }
}

/** A query for the upstream that may outlast the client's, whose buffer is used again once the client has its answer. */
function withOwnBytes({ message, client, deadline }: Query): Query {
  const trace: Trace = { source: "upstream", upstream: undefined, attempts: 0 };
  return { message: compactQuery(message), client, deadline, trace, hasFallback: true };
}

function toSeconds(ticks: number): number {
  return Math.floor(ticks / TICKS_PER_SECOND);
}
