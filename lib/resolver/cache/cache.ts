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
import { type CachedAnswer, flush, flushNow, type FlushSelection, inspect } from "./inspection.ts";
import { NONE, type Ref } from "./store/index.ts";
import { entryTag, findAnswer, findNxdomainCut, ticks } from "./lookup.ts";
import { TimeoutQueue } from "./timeout_queue.ts";
import { DO } from "../question_key.ts";
import { CacheWriter, RECHECK } from "./writer.ts";
import type { Query, Resolver, Trace } from "../../core/resolver.ts";
import { RouteTable } from "../balance/route_table.ts";
import { Store, TICKS_PER_SECOND } from "./store/store.ts";
import { isBogus } from "../upstream_validation.ts";

/** How long a client waits for the upstream while there is stale data, in ms (RFC 8767 §5: "1.8 seconds"). */
const CLIENT_RESPONSE = 1800;
/** How long a failed attempt counts as recent, so that nobody has to wait for the next one (RFC 8767 §7), in ticks. */
const RECENT = 300 * TICKS_PER_SECOND;

export interface CacheOptions extends TtlLimits {
  readonly next: Resolver;
  /** For everything but failures. */
  readonly maxOctets: number;
  /** That of a cache before this one, with what it knows; a new one unless given. */
  readonly store?: Store | undefined;
  /** How long data may be used after its time, in ms; 0 if not at all. */
  readonly serveStale: number;
  /** Types for which resolvers before this one may decide otherwise than for a name's others; none unless given. */
  readonly bypassTypes?: ReadonlySet<number>;
  /** Domains with upstreams of their own: separate trees, whose names are not denied from above. */
  readonly routes?: readonly string[];
  /** Whether the addresses of an answer take turns in being the first; they do unless told. */
  readonly rotate?: boolean;
  readonly observe: Observe;
  readonly now: () => number;
}

/**
 * Answers at once what it knows, and makes one query of all that ask for what it does not. An entry is
 * fresh → due (the last tenth of its life: it is asked for again in the background, once) → stale (asked for while the
 * client waits a little, or in the background where that failed a moment ago) → gone.
 */
export class Cache implements Resolver, Disposable {
  /** The way from bytes to bytes past all resolvers, for entries that it has been allowed for. */
  readonly fastPath: CacheFastPath;
  /** Queries answered with stale data, with a cached failure, and by an upstream. */
  staleHits = 0;
  failureHits = 0;
  misses = 0;
  /** Entries that were asked for again before their end. */
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
    this.#timeouts = new TimeoutQueue(CLIENT_RESPONSE, now);
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

  /** Queries that were answered by another's. */
  get coalesced(): number {
    return this.#singleflight.coalesced;
  }

  resolve(query: Query): Message | Promise<Message> {
    const { message } = query;
    const tag = entryTag(message, this.#routes);
    const milliseconds = this.#options.now();
    const now = ticks(milliseconds);
    const ref = findAnswer(this.store, message, tag, now);
    if (ref !== NONE && now < this.store.entries.expiresAt(ref)) return this.#fresh(query, ref, now);
    const below = this.#below(query, tag, now);
    if (below) return below;
    if (this.#isServable(ref, now)) return this.#stale(query, ref, now);
    const other = this.#findOther(message, tag, now);
    const failure = this.#failures.find(message, milliseconds);
    if (failure) {
      if (other !== NONE && !isBogus(failure)) return this.#serveOther(query, other, now);
      this.failureHits++;
      query.trace.source = "cache";
      return failure;
    }
    this.misses++;
    return other === NONE ? this.#singleflight.resolve(query) : this.#answerOrOther(query);
  }

  /** All that is known of a name. Rejects with a `TypeError` where the name is none. */
  inspect(name: string): Promise<CachedAnswer[]> {
    return inspect(this.store, name, ticks(this.#options.now()));
  }

  /** Forgets answers, and all failures; returns how many answers. Rejects with a `TypeError` where the name is none. */
  flush(what: FlushSelection): Promise<number> {
    this.#failures.clear();
    return flush(this.store, what);
  }

  /** Likewise at once, for what must not be given out any more. */
  forget(what: FlushSelection): void {
    this.#failures.clear();
    flushNow(this.store, what);
  }

  /** Queries under way are answered, but what comes of them is not kept: they were asked under other conditions. */
  stopWriting(): void {
    this.#writer.isWriting = false;
  }

  [Symbol.dispose](): void {
    this.#timeouts[Symbol.dispose]();
  }

  #fresh(query: Query, ref: Ref, now: number): Message {
    const { entries } = this.store;
    this.#hits++;
    query.trace.source = "cache";
    entries.use(ref);
    const age = toSeconds(now - entries.storedAt(ref));
    const message = freshMessage(entries, ref, query.message, age, query.client.transport === "udp");
    const isDue = now >= entries.refreshAt(ref);
    if (!isDue) {
      this.fastPath.offer(message, ref);
    } else {
      this.prefetches++;
      this.#refresh(query, ref, entries.expiresAt(ref));
    }
    return message;
  }

  #below(query: Query, tag: number, now: number): Message | undefined {
    const { entries } = this.store;
    const ref = findNxdomainCut(this.store, query.message, tag, now, this.#routes.treeStart(query.message));
    if (ref === NONE) return undefined;
    const message = messageBelow(entries, ref, query.message, toSeconds(now - entries.storedAt(ref)));
    if (!message) return undefined;
    this.#hits++;
    query.trace.source = "cache";
    entries.use(ref);
    return message;
  }

  #isServable(ref: Ref, now: number): boolean {
    return ref !== NONE && now < this.store.entries.expiresAt(ref) + this.#staleTicks;
  }

  /** RFC 8767 §5: first the upstream is tried; where that is known to be in vain, the client need not wait for it. */
  #stale(query: Query, ref: Ref, now: number): Message | Promise<Message> {
    const { entries } = this.store;
    const refreshAt = entries.refreshAt(ref);
    const hasFailed = refreshAt > entries.expiresAt(ref);
    if (!hasFailed || now >= refreshAt + RECENT) return this.#answerOrStale(query);
    const message = this.#serveStale(query, ref);
    if (now >= refreshAt) this.#refresh(query, ref, now + RECHECK);
    return message;
  }

  /** The answer if it comes in time, else stale data. The upstream is waited for all the same, as others may ask. */
  #answerOrStale(query: Query): Promise<Message> {
    this.misses++;
    return this.#askOr(query, () => this.#staleInstead(query), (answer) => this.#timeouts.within(answer));
  }

  /**
   * The answer, or where there is only a failure what is known from asking with DO in place of without, or without in place
   * of with: an answer that cannot be validated is better than none.
   */
  #answerOrOther(query: Query): Promise<Message> {
    return this.#askOr(query, () => {
      const now = ticks(this.#options.now());
      const ref = this.#findOther(query.message, entryTag(query.message, this.#routes), now);
      return ref === NONE ? undefined : this.#serveOther(query, ref, now);
    }, (answer) => answer);
  }

  /** The answer if it comes within the time that `wait` gives it and is one, else what there is in its place. */
  async #askOr(
    query: Query,
    instead: () => Message | undefined,
    wait: (answer: Promise<Message>) => Promise<Message | undefined>,
  ): Promise<Message> {
    const own = withOwnBytes(query);
    const answer = this.#ask(own);
    try {
      const response = await wait(answer);
      if (response && (isAnswer(response) || isBogus(response))) return response;
      return instead() ?? response ?? await answer;
    } catch (error) {
      const other = error instanceof UpstreamError ? instead() : undefined;
      if (!other) throw error;
      return other;
    } finally {
      query.trace.upstream = own.trace.upstream;
      query.trace.attempts = own.trace.attempts;
    }
  }

  /** The entry, fresh or stale, for the question asked without DO where it has it, or with it where it has not; or NONE. */
  #findOther(message: Message, tag: number, now: number): Ref {
    const ref = findAnswer(this.store, message, tag ^ DO, now);
    return this.#isServable(ref, now) ? ref : NONE;
  }

  #serveOther(query: Query, ref: Ref, now: number): Message {
    const { entries } = this.store;
    const { message } = query;
    const isUdp = query.client.transport === "udp";
    let response: Message;
    if (now < entries.expiresAt(ref)) {
      this.#hits++;
      query.trace.source = "cache";
      entries.use(ref);
      response = freshMessage(entries, ref, message, toSeconds(now - entries.storedAt(ref)), isUdp);
    } else {
      response = this.#serveStale(query, ref);
    }
    return message.edns?.dnssecOk ? response : withoutProofs(message, response);
  }

  /** Undefined where the entry has gone meanwhile. Those who ask next need not wait. */
  #staleInstead(query: Query): Message | undefined {
    const { entries } = this.store;
    const now = ticks(this.#options.now());
    const ref = findAnswer(this.store, query.message, entryTag(query.message, this.#routes), now);
    if (!this.#isServable(ref, now)) return undefined;
    if (entries.refreshAt(ref) <= now) entries.refreshLater(ref, now + RECHECK);
    return this.#serveStale(query, ref);
  }

  #serveStale(query: Query, ref: Ref): Message {
    this.staleHits++;
    query.trace.source = "stale";
    this.store.entries.use(ref);
    return staleMessage(this.store.entries, ref, query.message, query.client.transport === "udp");
  }

  /** Asks the upstream on nobody's behalf, and not again before `nextAt`, in ticks. */
  #refresh(query: Query, ref: Ref, nextAt: number): void {
    this.store.entries.refreshLater(ref, nextAt);
    this.#ask(withOwnBytes(query)).catch((error) => {
      if (!(error instanceof UpstreamError)) this.#options.observe({ kind: "internal error", error });
    });
  }

  async #ask(query: Query): Promise<Message> {
    return await this.#singleflight.resolve(query);
  }
}

/**
 * The query as the upstream is asked where the cache has something to answer: good also when the client has its answer,
 * and so its buffer may be used again.
 */
function withOwnBytes({ message, client, deadline }: Query): Query {
  const trace: Trace = { source: "upstream", upstream: undefined, attempts: 0 };
  return { message: compactQuery(message), client, deadline, trace, hasFallback: true };
}

function toSeconds(ticks: number): number {
  return Math.floor(ticks / TICKS_PER_SECOND);
}
