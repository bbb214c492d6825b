/**
 * One DNS-over-TLS server: which connection takes a query, when a failed query is sent again, and what the failures
 * prove about the server. `pool_policy.ts` decides about connections, `connection/` speaks DNS over them, `dial/` opens
 * them, `health/` keeps what is learned about the server, `bootstrap/` looks up its address.
 *
 * The folder may import `dns/`, `core/`, `net/`, `async/` and `platform/`. Deliberately absent: knowledge of clients,
 * caches and other upstreams. The balancer decides which upstream gets a query.
 */

import { ClientShares, JOSTLE_AFTER_MS } from "../core/client_shares.ts";
import type { Message } from "../dns/message.ts";
import type { ClientSubnet } from "../dns/compose/upstream_query.ts";
import { UpstreamError } from "../core/errors.ts";
import type { Observe } from "../core/event.ts";
import type { UpstreamStatus } from "../core/status.ts";
import type { Candidate, HedgeTrigger } from "../core/candidate.ts";
import type { Query } from "../core/resolver.ts";
import { RetriedQuery } from "./connection/retried_query.ts";
import type { Channel, Dial, DialOptions } from "./connection/channel.ts";
import { type CloseReason, Connection, type ConnectionOptions } from "./connection/connection.ts";
import { Latency } from "./health/latency.ts";
import { LearnedLimits } from "./health/learned_limits.ts";
import type { PendingQuery } from "./connection/pending_queries.ts";
import { pick, PoolPolicy } from "./pool_policy.ts";
import { Reachability } from "./health/reachability.ts";

/** Expected duration of a handshake before the first was measured. */
const FIRST_HANDSHAKE_MS = 50;
/** Maximum number of isolated connections. */
const MAX_ISOLATED = 4;
/** With this many queries on the least busy isolated connection, another one is opened. */
const ISOLATED_QUEUE = 4;
/** With this many, and no further connection allowed, a query goes to an ordinary connection. */
const MAX_ISOLATED_QUEUE = 32;
/** An isolated connection is closed after this time without queries. */
const ISOLATED_IDLE_TIMEOUT_MS = 1000;
/** After this many connections in a row that were closed because of unsolicited messages, the upstream backs off. */
const MAX_FLOODS = 2;

/** The queries that one error ended together. */
interface Loss {
  readonly error: UpstreamError;
  readonly oldest: RetriedQuery;
  count: number;
}

export interface UpstreamOptions {
  readonly label: string;
  readonly weight: number;
  readonly dial: Dial;
  readonly clientSubnet?: ClientSubnet;
  /** Maximum number of queries that wait for an answer at the same time. */
  readonly maxInFlight: number;
  /** A connection is closed after this time without queries, while the server's own limit is unknown. */
  readonly idleTimeoutMs: number;
  /** A probe fails after this time. */
  readonly probeTimeoutMs: number;
  readonly observe: Observe;
  readonly now: () => number;
}

/**
 * One DNS-over-TLS server. A connection is opened when a query needs one. Servers may close a connection at any time, so
 * queries that were in flight on it are sent again on another (RFC 7766 §6.2.4), within their deadlines.
 *
 * The failure of one name is no evidence against the server. A probe, which is a query of our own for `. NS`, decides
 * whether the server answers:
 *
 *     a connection is doubted: its queries           a query failed for good, and no useful
 *     and its probe are unanswered                   answer to any query arrived since it began
 *                    │                                         │
 *                    └────────────────────┬────────────────────┘
 *                                         ▼
 *                          is another connection open? ── yes ──▶ probe there ── answered ──┐
 *                                         │ no                        │ failed              │
 *                                         ▼                           │                     │
 *            trial: another connection, which begins with a probe ◀───┘                     │
 *                  │ failed                            │ answered                           │
 *                  ▼                                   ▼                                    ▼
 *     the upstream backs off (`Reachability`);    the upstream is up; doubted connections are presumed
 *     meanwhile each connection is a trial        dead, their queries are also sent over this connection
 */
export class Upstream implements Candidate, Disposable {
  readonly label: string;
  readonly weight: number;
  lastQueryAt = 0;
  readonly #options: UpstreamOptions;
  readonly #latency = new Latency();
  readonly #limits = new LearnedLimits();
  readonly #connections = new Set<Connection>();
  /** Created once: under overload, a stack trace per error would cost more than a query. */
  readonly #overloaded: UpstreamError;
  #handshakeMs = FIRST_HANDSHAKE_MS;
  readonly #reachability: Reachability;
  readonly #policy = new PoolPolicy();
  readonly #shares = new ClientShares();
  #certificateExpires: number | undefined;
  /** An idle connection that is closed as soon as its successor is open. */
  #retiring: Connection | undefined;
  /** Time of the last useful answer. */
  #usefulAt = -Infinity;
  #lastLoss: Loss | undefined;
  #floodsInARow = 0;
  #disposed = false;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    this.label = options.label;
    this.weight = options.weight;
    const { label: upstream, observe } = options;
    this.#overloaded = new UpstreamError("overloaded", { upstream, phase: "read", sent: false });
    this.#reachability = new Reachability((state, error) =>
      observe({ kind: "upstream", upstream, state, ...error && { error } })
    );
  }

  get usable(): boolean {
    if (!this.#reachability.isDue(this.#options.now())) return false;
    return !this.#best()?.isStalled;
  }

  get expectedLatencyMs(): number {
    return this.#latency.smoothedMs + (this.#best()?.state === "open" ? 0 : this.#handshakeMs);
  }

  resolve(query: Query): Promise<Message> {
    return this.#exchange(query);
  }

  exchange(query: Query, trigger: HedgeTrigger): Promise<Message> {
    return this.#exchange(query, trigger);
  }

  #exchange(query: Query, trigger?: HedgeTrigger): Promise<Message> {
    query.trace.upstream = this.label;
    const now = this.lastQueryAt = this.#options.now();
    this.#policy.noteQuery(now);
    const network = this.#shares.networkOf(query.client.address);
    this.#shares.add(network);
    return new Promise((resolve, reject) => {
      let isCounted = true; // a copy of the query may be answered after the query itself
      const release = () => {
        if (isCounted) this.#shares.remove(network);
        isCounted = false;
      };
      const retried = new RetriedQuery(query, trigger, {
        startedAt: now,
        network,
        resolve: (response) => {
          release();
          resolve(response);
        },
        reject: (error) => {
          release();
          reject(error);
        },
        retry: this.#retry,
      });
      this.#send(retried, now);
    });
  }

  #send(retried: RetriedQuery, now: number): void {
    try {
      const connection = retried.isSuspect ? this.#isolated(retried, now) : this.#connection(retried, now);
      retried.beginAttempt();
      connection.send(retried, now, this.#latency.slowAfterMs);
    } catch (error) {
      retried.fail(error);
    }
  }

  /** Acts a microtask later, after `#onClosed` has removed the connection that lost the query. */
  readonly #retry = (retried: RetriedQuery, error: UpstreamError): void => {
    if (this.#lastLoss?.error !== error) this.#lastLoss = { error, oldest: retried, count: 0 };
    const loss = this.#lastLoss;
    loss.count++;
    queueMicrotask(() => {
      const now = this.#options.now();
      const mayRetry = retried.noteFailure(error, now);
      retried.isSuspect = mayRetry && this.#isSuspect(retried, loss, now);
      // Without a useful answer since the query began, the server itself may have failed. A probe shows which it is.
      const isDoubtful = error.sent && error.phase === "read" && this.#usefulAt <= retried.startedAt;
      if (isDoubtful && (!mayRetry || retried.isSuspect)) this.#doubt(now);
      if (mayRetry) this.#send(retried, now);
      else retried.fail(error);
    });
  };

  /** Tries an upstream with a wrong pin once more. Called at a reload, before which the server may have been repaired. */
  retryPins(): void {
    if (this.#reachability.isRuledOut) this.reset();
  }

  /**
   * Whether the server may close connections because of this query. Either two of them closed with the query in flight,
   * or it was the oldest of several unanswered queries and the server usually answers quickly.
   */
  #isSuspect(retried: RetriedQuery, { error, oldest, count }: Loss, now: number): boolean {
    if (error.failure !== "closed" || this.#limits.maxQueries(now) < Infinity) return false;
    return retried.isLastAttempt || retried === oldest && count > 1 && this.#latency.isLearned;
  }

  /** Closes all connections and ends all waits. Called when this host has slept or its addresses have changed. */
  reset(): void {
    this.#reachability.reset();
    for (const connection of this.#connections) connection[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const connection of this.#connections) connection[Symbol.dispose]();
  }

  get status(): UpstreamStatus {
    const { state, lastError, isRuledOut } = this.#reachability;
    return {
      label: this.label,
      state,
      lastError: lastError?.message,
      isRuledOut,
      latencyMs: this.#latency.smoothedMs || undefined,
      inFlight: this.#inFlight,
      connections: this.#connections.size,
      certificateExpires: this.#certificateExpires,
    };
  }

  get #inFlight(): number {
    let inFlight = 0;
    for (const each of this.#connections) inFlight += each.inFlight;
    return inFlight;
  }

  /**
   * Evicts an old query so that a new one can wait: one that has waited for long, or one of a network whose clients hold
   * more than half of `maxInFlight`, if the new query's network does not. Throws "overloaded" if there is none.
   */
  #evict({ network }: RetriedQuery, now: number): void {
    const half = this.#options.maxInFlight / 2;
    const isModest = this.#shares.countOf(network) <= half;
    const isEvictable = (pending: PendingQuery) =>
      pending instanceof RetriedQuery &&
      (pending.sentAt <= now - JOSTLE_AFTER_MS || isModest && this.#shares.countOf(pending.network) > half);
    for (const connection of this.#connections) {
      if (connection.evictOldest(isEvictable, this.#overloaded)) return;
    }
    throw this.#overloaded;
  }

  /** The connection for a query; opens one if needed. Throws the last error while the upstream backs off. */
  #connection(retried: RetriedQuery, now: number): Connection {
    const best = this.#best();
    if (!best) return this.#connect(now);
    if (this.#inFlight >= this.#options.maxInFlight) this.#evict(retried, now);
    if (best.isDoubted) this.#startTrial(now);
    else if (!this.#policy.shouldGrow(best, this.#connections, this.#options.now)) return best;
    else this.#tryToConnect(now);
    return this.#best() ?? best;
  }

  /**
   * An isolated connection sends one query at a time. It takes queries because of which the server may close the
   * connection. If many queries are lost together, the cause is not one of them, so most take ordinary connections.
   */
  #isolated(retried: RetriedQuery, now: number): Connection {
    const isolated = [...this.#connections].filter((each) => each.isIsolated && each.takesQueries)
      .sort((a, b) => a.inFlight - b.inFlight);
    const [best] = isolated;
    if (best && (best.inFlight < ISOLATED_QUEUE || isolated.length === MAX_ISOLATED)) {
      return best.inFlight < MAX_ISOLATED_QUEUE ? best : this.#connection(retried, now);
    }
    return this.#connect(now, { maxConcurrent: 1, idleTimeoutMs: ISOLATED_IDLE_TIMEOUT_MS });
  }

  #best(): Connection | undefined {
    return pick(this.#connections);
  }

  #connect(now: number, fields: Partial<ConnectionOptions> = {}): Connection {
    if (this.#disposed) throw new UpstreamError("closed", { upstream: this.label, phase: "connect" });
    const { lastError } = this.#reachability;
    if (lastError && !this.#reachability.isDueAsLastResort(now)) throw lastError;
    this.#reachability.noteAttempt(now);
    const connection = new Connection((options) => this.#dial(options), {
      upstream: this.label,
      maxQueries: this.#limits.maxQueries(now),
      clientSubnet: this.#options.clientSubnet,
      maxConcurrent: Infinity,
      onTrial: lastError !== undefined,
      idleTimeoutMs: this.#limits.idleTimeoutMs(this.#options.idleTimeoutMs),
      probeTimeoutMs: this.#options.probeTimeoutMs,
      latency: this.#latency,
      now: this.#options.now,
      onAnswer: (latency, now) => this.#noteAnswer(latency, now),
      onDoubt: () => this.#doubt(this.#options.now()),
      onProbed: (connection, error) => this.#onProbed(connection, error),
      onIdle: (connection) => this.#onIdle(connection),
      onKeepAlive: (timeout) => this.#limits.noteKeepAlive(timeout),
      ...fields,
    });
    this.#connections.add(connection);
    void connection.closed.then((reason) => this.#onClosed(connection, reason));
    return connection;
  }

  #noteAnswer(milliseconds: number, now: number): void {
    this.#usefulAt = now;
    this.#latency.add(milliseconds);
    this.#reachability.noteUsefulAnswer();
    this.#options.observe({ kind: "exchanged", upstream: this.label, milliseconds });
  }

  /** Sends a probe over a connection that is not stalled, or over a new one. */
  #doubt(now: number): void {
    const best = this.#best();
    if (best?.state === "open" && !best.isStalled) best.probe();
    else this.#startTrial(now);
  }

  /** Opens another connection that begins with a probe, unless one is connecting or none may be opened. */
  #startTrial(now: number): void {
    if (this.#policy.hasRoom(this.#connections)) this.#tryToConnect(now, { onTrial: true });
  }

  #onProbed(connection: Connection, error?: UpstreamError): void {
    const now = this.#options.now();
    if (!error) return this.#moveFromDoubted(now);
    const isUseless = connection.isTrial && connection.answered === 0;
    if (isUseless) this.#reachability.noteFailure(silentIfTimedOut(error), now);
    else this.#startTrial(now);
  }

  /** Called when a probe was answered: connections with an unanswered probe are dead. */
  #moveFromDoubted(now: number): void {
    for (const each of this.#connections) {
      if (!each.isDoubted) continue;
      const copies = each.presumeDead().map((pending) => (pending as RetriedQuery).copy(now));
      const [first] = copies;
      // The server may have stopped answering at the oldest query, because of it.
      if (first) first.isSuspect = true;
      for (const copy of copies) if (copy) this.#send(copy, now);
    }
  }

  async #dial(options: DialOptions): Promise<Channel> {
    const start = this.#options.now();
    try {
      const channel = await this.#options.dial(options);
      this.#certificateExpires = channel.certificateExpires;
      const milliseconds = this.#handshakeMs = this.#options.now() - start;
      this.#options.observe({ kind: "connection opened", upstream: this.label, milliseconds });
      return channel;
    } catch (error) {
      if (error instanceof UpstreamError && !options.signal.aborted) this.#onDialFailed(error, start);
      throw error;
    } finally {
      this.#retiring?.drain();
      this.#retiring = undefined;
    }
  }

  /** Drains an idle connection. If a successor is worth its handshake, it is open before the old connection closes. */
  #onIdle(connection: Connection): void {
    if (connection.isIsolated || !this.#preconnect(connection.idleTimeoutMs)) return connection.drain();
    this.#retiring = connection;
  }

  /** Opens a successor, if the server closes idle connections early and queries are frequent. */
  #preconnect(idleTimeoutMs: number): boolean {
    const isShort = idleTimeoutMs < this.#options.idleTimeoutMs;
    return isShort && this.#connections.size <= 1 && this.#policy.preconnect(idleTimeoutMs) &&
      this.#tryToConnect(this.#options.now());
  }

  /** For connections on which no query depends: a reason not to connect is no error. */
  #tryToConnect(now: number, fields?: Partial<ConnectionOptions>): boolean {
    try {
      return this.#connect(now, fields) !== undefined;
    } catch {
      return false;
    }
  }

  #onClosed(connection: Connection, { error, idleMs }: CloseReason): void {
    this.#connections.delete(connection);
    const { observe, now } = this.#options;
    const { answered } = connection;
    observe({ kind: "connection closed", upstream: this.label, answered, ...error && { error } });
    if (idleMs !== undefined) this.#limits.noteClosedIdle(idleMs);
    const isOrdinary = !connection.isIsolated && !connection.isTrial;
    if (answered > 0 && error?.failure === "closed" && isOrdinary) {
      this.#limits.noteClosedWithQueries(answered, this.#lastLoss?.oldest, now());
    }
    this.#floodsInARow = error?.failure === "unsolicited" ? this.#floodsInARow + 1 : 0;
    if (error && this.#floodsInARow >= MAX_FLOODS) this.#reachability.noteFailure(error, now());
  }

  /** While another connection answers, a failed dial is no outage. A wrong pin always is (RFC 7858 §4.2). */
  #onDialFailed(error: UpstreamError, since: number): void {
    const best = this.#best();
    // A stalled connection, or one that is about to close, is no evidence.
    const isReached = best?.state === "open" && !best.isStalled && !this.#retiring;
    if (isReached && error.failure !== "pin mismatch") this.#policy.noteFailure(this.#options.now());
    else this.#reachability.noteFailure(error, since);
  }
}

/** A probe that timed out was sent on an open connection, so the server is silent and the network works. */
function silentIfTimedOut(error: UpstreamError): UpstreamError {
  const { failure, upstream, phase } = error;
  return failure === "timed out" ? new UpstreamError("silent", { upstream, phase }) : error;
}
