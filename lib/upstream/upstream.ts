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

/** What a handshake is taken to cost until one has been seen, in ms. */
const FIRST_HANDSHAKE = 50;
/** How many connections there are for one query at a time, how many queries are better than another one, and how many wait. */
const MAX_ISOLATED = 4;
const ISOLATED_QUEUE = 4;
const MAX_ISOLATED_QUEUE = 32;
/** How long a connection for one query at a time is kept without any, in ms. */
const ISOLATED_IDLE_TIMEOUT = 1000;
/** After so many connections in a row that had to be closed because of unsolicited messages, the upstream is away. */
const MAX_FLOODS = 2;

/** Queries that one error has lost together. */
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
  /** How many queries may wait for an answer at once. */
  readonly maxInFlight: number;
  /** How long to keep a connection without queries, in ms, while the server's own limit is not known. */
  readonly idleTimeoutMs: number;
  /** How long the answer to a query of our own is waited for, in ms. */
  readonly probeTimeoutMs: number;
  readonly observe: Observe;
  readonly now: () => number;
}

/**
 * One DNS-over-TLS server, reached over a connection that is opened when a query wants it. A close with queries in flight
 * is normal life: they are sent again on a new connection (RFC 7766 §6.2.4), within their deadlines.
 *
 * One name's trouble stays its own. Doubts are settled by our own query for `. NS`, never by how a name is answered:
 *
 *     a connection is doubted: its queries wait,     a query has failed for good, and no useful
 *     and so does the probe on it                    answer to any query has come meanwhile
 *                    │                                         │
 *                    └────────────────────┬────────────────────┘
 *                                         ▼
 *                          is another connection open? ── yes ──▶ probe there ── answered ──┐
 *                                         │ no                        │ failed              │
 *                                         ▼                           │                     │
 *            trial: another connection, which begins with a probe ◀───┘                     │
 *                  │ failed                            │ answered                           │
 *                  ▼                                   ▼                                    ▼
 *     the upstream backs off (`Reachability`);    the upstream is up; doubted connections are dead, and
 *     meanwhile each connection is a trial        their queries are sent over this connection as well
 */
export class Upstream implements Candidate, Disposable {
  readonly label: string;
  readonly weight: number;
  lastQueryAt = 0;
  readonly #options: UpstreamOptions;
  readonly #latency = new Latency();
  readonly #limits = new LearnedLimits();
  readonly #connections = new Set<Connection>();
  /** One for all: in a flood, to note where each one was made would cost more than to answer it. */
  readonly #overloaded: UpstreamError;
  #handshake = FIRST_HANDSHAKE;
  readonly #reachability: Reachability;
  readonly #policy = new PoolPolicy();
  readonly #shares = new ClientShares();
  #certificateExpires: number | undefined;
  /** An idle connection that is closed as soon as its successor is open. */
  #retiring: Connection | undefined;
  /** When the last useful answer came. */
  #usefulAt = -Infinity;
  /** The queries that were lost last. */
  #loss: Loss | undefined;
  #floods = 0;
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
    return this.#latency.smoothedMs + (this.#best()?.state === "open" ? 0 : this.#handshake);
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
      let isHeld = true; // copies of the attempt can be answered, too
      const free = () => {
        if (isHeld) this.#shares.remove(network);
        isHeld = false;
      };
      const attempt = new RetriedQuery(query, trigger, {
        begunAt: now,
        network,
        resolve: (response) => {
          free();
          resolve(response);
        },
        reject: (error) => {
          free();
          reject(error);
        },
        again: this.#again,
      });
      this.#send(attempt, now);
    });
  }

  #send(attempt: RetriedQuery, now: number): void {
    try {
      const connection = attempt.isSuspect ? this.#isolated(attempt, now) : this.#connection(attempt, now);
      attempt.query.trace.attempts++;
      attempt.trigger = attempt.hedge;
      connection.send(attempt, now, this.#latency.slowAfterMs);
    } catch (error) {
      attempt.fail(error);
    }
  }

  /** A connection that loses its queries reports its end first, hence a microtask later. */
  readonly #again = (attempt: RetriedQuery, error: UpstreamError): void => {
    if (this.#loss?.error !== error) this.#loss = { error, oldest: attempt, count: 0 };
    const loss = this.#loss;
    loss.count++;
    queueMicrotask(() => {
      const now = this.#options.now();
      const mayFollow = attempt.noteFailure(error, now);
      attempt.isSuspect = mayFollow && this.#isSuspect(attempt, loss, now);
      // With nothing useful meanwhile, it may be the upstream and not this query: the sooner that is known the better.
      const isDoubtful = error.sent && error.phase === "read" && this.#usefulAt <= attempt.startedAt;
      if (isDoubtful && (!mayFollow || attempt.isSuspect)) this.#doubt(now);
      if (mayFollow) this.#send(attempt, now);
      else attempt.fail(error);
    });
  };

  /** Lets a wrong pin be looked at once more: the operator has reloaded, and may have had the server changed. */
  retryPins(): void {
    if (this.#reachability.isRuledOut) this.reset();
  }

  /**
   * Whether a query may be why the server closes the connections that it is sent on: it was on two of them; or it is the
   * oldest of several on a connection that answered quickly before, and so the first that was not answered.
   */
  #isSuspect(attempt: RetriedQuery, { error, oldest, count }: Loss, now: number): boolean {
    if (error.failure !== "closed" || this.#limits.maxQueries(now) < Infinity) return false;
    return attempt.isLastAttempt || attempt === oldest && count > 1 && this.#latency.isLearned;
  }

  /** Forgets what no longer holds when this host has slept or has other addresses: connections and grudges. */
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
   * Gives up a query so that another one can wait, the eldest of the first connection that has such: one that has waited
   * long, or that is of a network whose clients hold more than half of the places, where the newcomer's do not. Throws where
   * there is none.
   */
  #makeRoom({ network }: RetriedQuery, now: number): void {
    const half = this.#options.maxInFlight / 2;
    const isModest = this.#shares.countOf(network) <= half;
    const mayGo = (pending: PendingQuery) =>
      pending instanceof RetriedQuery &&
      (pending.sentAt <= now - JOSTLE_AFTER_MS || isModest && this.#shares.countOf(pending.network) > half);
    for (const connection of this.#connections) {
      if (connection.evictOldest(mayGo, this.#overloaded)) return;
    }
    throw this.#overloaded;
  }

  /** The connection to use. Throws the reason if there is none and the upstream is better left alone for now. */
  #connection(attempt: RetriedQuery, now: number): Connection {
    const best = this.#best();
    if (!best) return this.#connect(now);
    if (this.#inFlight >= this.#options.maxInFlight) this.#makeRoom(attempt, now);
    if (best.isDoubted) this.#startTrial(now);
    else if (!this.#policy.shouldGrow(best, this.#connections, this.#options.now)) return best;
    else this.#tryToConnect(now);
    return this.#best() ?? best;
  }

  /**
   * A connection for queries that may be what ends the connections they are sent on: one query at a time. Where many are
   * lost together it is not one of them that is to blame, and one at a time would take too long.
   */
  #isolated(attempt: RetriedQuery, now: number): Connection {
    const isolated = [...this.#connections].filter((each) => each.isIsolated && each.takesQueries)
      .sort((a, b) => a.inFlight - b.inFlight);
    const [best] = isolated;
    if (best && (best.inFlight < ISOLATED_QUEUE || isolated.length === MAX_ISOLATED)) {
      return best.inFlight < MAX_ISOLATED_QUEUE ? best : this.#connection(attempt, now);
    }
    return this.#connect(now, { maxConcurrent: 1, idleTimeoutMs: ISOLATED_IDLE_TIMEOUT });
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
      onAnswer: (latency, now) => this.#answered(latency, now),
      onDoubt: () => this.#doubt(this.#options.now()),
      onProbed: (connection, error) => this.#probed(connection, error),
      onIdle: (idle) => this.#onIdle(idle),
      onKeepAlive: (timeout) => this.#limits.noteKeepAlive(timeout),
      ...fields,
    });
    this.#connections.add(connection);
    void connection.closed.then((ending) => this.#closed(connection, ending));
    return connection;
  }

  #answered(milliseconds: number, now: number): void {
    this.#usefulAt = now;
    this.#latency.add(milliseconds);
    this.#reachability.noteUsefulAnswer();
    this.#options.observe({ kind: "exchanged", upstream: this.label, milliseconds });
  }

  /** Asks whether the upstream is of any use, over a connection that is not in doubt. */
  #doubt(now: number): void {
    const best = this.#best();
    if (best?.state === "open" && !best.isStalled) best.probe();
    else this.#startTrial(now);
  }

  /** Opens another connection that begins with a probe, unless one is on its way, or must not be opened now. */
  #startTrial(now: number): void {
    if (this.#policy.hasRoom(this.#connections)) this.#tryToConnect(now, { onTrial: true });
  }

  #probed(connection: Connection, error?: UpstreamError): void {
    const now = this.#options.now();
    if (!error) return this.#moveFromDoubted(now);
    if (connection.isTrial && connection.answered === 0) {
      this.#reachability.noteFailure(asUnanswered(error), now);
    } else this.#startTrial(now);
  }

  /** A probe was answered, so that connections that leave theirs without an answer are dead. */
  #moveFromDoubted(now: number): void {
    for (const each of this.#connections) {
      if (!each.isDoubted) continue;
      const copies = each.presumeDead().map((pending) => (pending as RetriedQuery).copy(now));
      const [first] = copies;
      // All that came after it waits behind it: it may be the cause.
      if (first) first.isSuspect = true;
      for (const copy of copies) if (copy) this.#send(copy, now);
    }
  }

  async #dial(options: DialOptions): Promise<Channel> {
    const start = this.#options.now();
    try {
      const channel = await this.#options.dial(options);
      this.#certificateExpires = channel.certificateExpires;
      const milliseconds = this.#handshake = this.#options.now() - start;
      this.#options.observe({ kind: "connection opened", upstream: this.label, milliseconds });
      return channel;
    } catch (error) {
      if (error instanceof UpstreamError && !options.signal.aborted) this.#unreached(error, start);
      throw error;
    } finally {
      this.#retiring?.drain();
      this.#retiring = undefined;
    }
  }

  /** Make before break: a successor is open before this one is closed, if one is worth it. */
  #onIdle(connection: Connection): void {
    if (connection.isIsolated || !this.#renew(connection.idleTimeoutMs)) return connection.drain();
    this.#retiring = connection;
  }

  #renew(idleTimeout: number): boolean {
    const isShort = idleTimeout < this.#options.idleTimeoutMs;
    return isShort && this.#connections.size <= 1 && this.#policy.mayPreconnect(idleTimeout) &&
      this.#tryToConnect(this.#options.now());
  }

  /** Where no query depends on it, a reason not to connect is no error. */
  #tryToConnect(now: number, fields?: Partial<ConnectionOptions>): boolean {
    try {
      return this.#connect(now, fields) !== undefined;
    } catch {
      return false;
    }
  }

  #closed(connection: Connection, { error, idleMs: idle }: CloseReason): void {
    this.#connections.delete(connection);
    const { observe, now } = this.#options;
    const { answered } = connection;
    observe({ kind: "connection closed", upstream: this.label, answered, ...error && { error } });
    if (idle !== undefined) this.#limits.noteClosedIdle(idle);
    const isOrdinary = !connection.isIsolated && !connection.isTrial;
    if (answered > 0 && error?.failure === "closed" && isOrdinary) {
      this.#limits.noteClosedWithQueries(answered, this.#loss?.oldest, now());
    }
    this.#floods = error?.failure === "unsolicited" ? this.#floods + 1 : 0;
    if (error && this.#floods >= MAX_FLOODS) this.#reachability.noteFailure(error, now());
  }

  /** A connection that answers is better proof than one that cannot be had in addition, but for a wrong pin. */
  #unreached(error: UpstreamError, since: number): void {
    const best = this.#best();
    // A stalled one comes behind the one that is being given up.
    const isReached = best?.state === "open" && !best.isStalled && !this.#retiring;
    if (isReached && error.failure !== "pin mismatch") this.#policy.noteFailure(this.#options.now());
    else this.#reachability.noteFailure(error, since);
  }
}

/** A probe that has timed out has waited for nothing on an open connection. */
function asUnanswered(error: UpstreamError): UpstreamError {
  const { failure, upstream, phase } = error;
  return failure === "timed out" ? new UpstreamError("silent", { upstream, phase }) : error;
}
