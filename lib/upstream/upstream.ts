import type { Message } from "../dns/message.ts";
import type { ClientSubnet } from "../dns/query.ts";
import { UpstreamError } from "../errors.ts";
import type { Observe } from "../observe/event.ts";
import type { UpstreamStatus } from "../observe/status.ts";
import type { Asker, Candidate } from "../resolver/candidate.ts";
import type { Query, Resolver } from "../resolver/resolver.ts";
import { Attempt } from "./attempt.ts";
import type { Channel, Dial, DialOptions } from "./channel.ts";
import { Company } from "./company.ts";
import { Connection, type Ending } from "./connection.ts";
import { Health } from "./health.ts";
import { LearnedLimits } from "./learned_limits.ts";
import { leastBusy } from "./least_busy.ts";
import { Reachability } from "./reachability.ts";
import { Renewals } from "./renewals.ts";

/** With this many connections in a row that answered nothing, the upstream counts as away. */
const MAX_BARREN = 3;
/** What a handshake is taken to cost until one has been seen, in ms. */
const FIRST_HANDSHAKE = 50;

export interface UpstreamOptions {
  readonly label: string;
  readonly weight: number;
  readonly dial: Dial;
  readonly clientSubnet?: ClientSubnet;
  /** How many queries may wait for an answer at once. */
  readonly maxInFlight: number;
  /** How long to keep a connection without queries, in ms, while the server's own limit is not known. */
  readonly idleTimeout: number;
  /** How long a connection may leave its queries without any answer, in ms. */
  readonly silence: number;
  readonly observe: Observe;
  readonly now: () => number;
}

/**
 * One DNS-over-TLS server, reached over one connection that is opened when a query wants it. A close with queries in
 * flight is normal life: they are sent again on a new connection (RFC 7766 §6.2.4), within their deadlines.
 */
export class Upstream implements Resolver, Candidate, Disposable {
  readonly label: string;
  readonly weight: number;
  askedAt = 0;
  readonly #options: UpstreamOptions;
  readonly #health = new Health();
  readonly #limits = new LearnedLimits();
  readonly #connections = new Set<Connection>();
  /** One for all: in a flood, to note where each one was made would cost more than to answer it. */
  readonly #overloaded: UpstreamError;
  #handshake = FIRST_HANDSHAKE;
  readonly #reachability: Reachability;
  #certificateExpires: number | undefined;
  /** An idle connection that is closed as soon as its successor is open. */
  #retiring: Connection | undefined;
  #disposed = false;
  #barren = 0;
  readonly #renewals = new Renewals();
  readonly #company = new Company();

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
    if (this.#reachability.isRuledOut) return false;
    return this.#health.isDue(this.#options.now()) && !this.#best()?.stalled;
  }

  get expectedLatency(): number {
    return this.#health.latency + (this.#best()?.state === "open" ? 0 : this.#handshake);
  }

  resolve(query: Query, asker?: Asker): Promise<Message> {
    query.trace.upstream = this.label;
    const now = this.askedAt = this.#options.now();
    this.#renewals.asked(now);
    return new Promise((resolve, reject) => {
      this.#send(new Attempt(query, asker, { resolve, reject, again: this.#again }), now);
    });
  }

  #send(attempt: Attempt, now: number): void {
    try {
      const connection = this.#connection();
      attempt.query.trace.attempts++;
      attempt.asker = attempt.asked;
      connection.send(attempt, now, this.#health.slowAfter);
    } catch (error) {
      if (error instanceof UpstreamError) this.#again(attempt, error);
      else attempt.giveUp(error);
    }
  }

  /** Whoever loses its queries says first that it has ended, hence a microtask later. */
  readonly #again = (attempt: Attempt, error: UpstreamError): void => {
    queueMicrotask(() => {
      const now = this.#options.now();
      if (attempt.mayFollow(error, now)) this.#send(attempt, now);
      else attempt.giveUp(error);
    });
  };

  /** Forgets what no longer holds when this host has slept or has other addresses: connections and grudges. */
  reset(): void {
    this.#health.reached();
    this.#reachability.forget();
    for (const connection of this.#connections) connection[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const connection of this.#connections) connection[Symbol.dispose]();
  }

  get status(): UpstreamStatus {
    const { state, lastError } = this.#reachability;
    return {
      label: this.label,
      state,
      lastError: lastError?.message,
      latency: this.#health.latency || undefined,
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

  /** The connection to use; throws the reason if there is none and the upstream is better left alone for now. */
  #connection(): Connection {
    const best = this.#best();
    if (!best) return this.#connect();
    if (this.#inFlight >= this.#options.maxInFlight) throw this.#overloaded;
    const wantsCompany = this.#company.isWanted(best, this.#connections, this.#options.now);
    return wantsCompany && this.#tryToConnect() ? this.#best()! : best;
  }

  #best(): Connection | undefined {
    return leastBusy(this.#connections);
  }

  #connect(): Connection {
    const now = this.#options.now();
    if (this.#disposed) throw new UpstreamError("closed", { upstream: this.label, phase: "connect" });
    const { lastError, isRuledOut } = this.#reachability;
    if (lastError && (isRuledOut || !this.#health.isDueAsLastResort(now))) throw lastError;
    const connection = new Connection((options) => this.#dial(options), {
      upstream: this.label,
      budget: this.#limits.budget(now),
      clientSubnet: this.#options.clientSubnet,
      idleTimeout: this.#limits.idleTimeout(this.#options.idleTimeout),
      silence: this.#options.silence,
      now: this.#options.now,
      onAnswer: (latency) => this.#answered(latency),
      onIdle: (idle) => this.#onIdle(idle),
      onKeepAlive: (timeout) => this.#limits.toldIdle(timeout),
    });
    this.#connections.add(connection);
    void connection.closed.then((ending) => this.#closed(connection, ending));
    return connection;
  }

  #answered(milliseconds: number): void {
    this.#health.answered(milliseconds);
    this.#options.observe({ kind: "exchanged", upstream: this.label, milliseconds });
  }

  async #dial(options: DialOptions): Promise<Channel> {
    const start = this.#options.now();
    try {
      const channel = await this.#options.dial(options);
      this.#certificateExpires = channel.certificateExpires;
      const milliseconds = this.#handshake = this.#options.now() - start;
      this.#options.observe({ kind: "connection opened", upstream: this.label, milliseconds });
      if (this.#barren < MAX_BARREN) this.#reached();
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
    if (!this.#renew(connection.idleTimeout)) return connection.drain();
    this.#retiring = connection;
  }

  #renew(idleTimeout: number): boolean {
    const isShort = idleTimeout < this.#options.idleTimeout;
    return isShort && this.#connections.size <= 1 && this.#renewals.allow(idleTimeout) &&
      this.#tryToConnect();
  }

  /** Where no query depends on it, a reason not to connect is no error. */
  #tryToConnect(): boolean {
    try {
      return this.#connect() !== undefined;
    } catch {
      return false;
    }
  }

  #closed(connection: Connection, { error, idle }: Ending): void {
    this.#connections.delete(connection);
    const { observe, now } = this.#options;
    const { answered } = connection;
    observe({ kind: "connection closed", upstream: this.label, answered, ...error && { error } });
    if (idle !== undefined) this.#limits.closedIdle(idle);
    if (answered > 0) {
      this.#barren = 0;
      this.#reached();
      if (error) this.#limits.cutAfter(answered, now());
    } else if (error?.phase === "read" && ++this.#barren >= MAX_BARREN) {
      this.#away(error, now());
    }
  }

  #reached(): void {
    this.#health.reached();
    this.#reachability.reached();
  }

  /** A connection that answers is better proof than one that cannot be had in addition, but for a wrong pin. */
  #unreached(error: UpstreamError, since: number): void {
    // A stalled one comes behind the one that is being given up.
    const isReached = this.#best()?.state === "open" && !this.#retiring;
    if (isReached && error.failure !== "pin mismatch") this.#company.failed(this.#options.now());
    else this.#away(error, since);
  }

  #away(error: UpstreamError, since: number): void {
    this.#health.failed(since);
    this.#reachability.away(error);
  }
}
