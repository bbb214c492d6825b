/**
 * One TCP and TLS connection to an upstream: it sends queries, matches responses to them by ID and question, and ends
 * when the server or a deadline says so. `Upstream` decides what a failure proves and where a query goes next.
 */

import { readUint16 } from "../../dns/bytes.ts";
import { FormatError } from "../../dns/format_error.ts";
import { FrameSplitter } from "../../dns/framing.ts";
import { Message } from "../../dns/message.ts";
import { type ClientSubnet, composeQuery, MAX_QUERY_FRAME_BYTES } from "../../dns/compose/upstream_query.ts";
import { type Failure, type FailureFacts, type Phase, UpstreamError } from "../../core/errors.ts";
import { type Channel, ChannelError, type Dial } from "./channel.ts";
import { AnswerQuality } from "./answer_quality.ts";
import { ednsRefusal } from "./retried_query.ts";
import type { Latency } from "../health/latency.ts";
import { Liveness } from "./liveness.ts";
import { WriteBuffer } from "./write_buffer.ts";
import { PendingQueries, type PendingQuery } from "./pending_queries.ts";
import { Probe } from "./probe.ts";
import { TickTimer } from "./tick_timer.ts";

/** With this many abandoned IDs, a connection is replaced. */
const MAX_ABANDONED = 4096;
/** A connection on trial sends no client's query before its probe was answered, or before this time is over. */
const TRIAL_HOLD_MS = 250;

export interface ConnectionOptions {
  /** The upstream's label, for errors. */
  readonly upstream: string;
  /** Maximum number of queries over this connection. Some servers close after a fixed number. */
  readonly maxQueries: number;
  readonly clientSubnet?: ClientSubnet | undefined;
  /** Maximum number of sent queries without an answer. Others wait to be sent. */
  readonly maxConcurrent: number;
  /** Whether it begins with a probe and holds other queries back until the first answer. */
  readonly onTrial: boolean;
  /** `onIdle` is called after this time without queries. The server's keep-alive option overrides it. */
  readonly idleTimeoutMs: number;
  /** A probe fails after this time. */
  readonly probeTimeoutMs: number;
  /** Measured latency of the upstream. */
  readonly latency: Latency;
  readonly now: () => number;
  /** Called for each useful answer, also a late one. Both values are in ms. */
  readonly onAnswer: (latency: number, now: number) => void;
  /** Called when queries and a probe are unanswered. Only another connection can show whether this one is dead. */
  readonly onDoubt: (connection: Connection) => void;
  /** Called with the outcome of each probe; without an error if it was answered. */
  readonly onProbed: (connection: Connection, error?: UpstreamError) => void;
  /** Called when the idle time is over. The callee drains the connection, now or after its successor is open. */
  readonly onIdle: (connection: Connection) => void;
  /** Called with the idle time that the server allows (RFC 7828), minus a margin. */
  readonly onKeepAlive: (idleTimeoutMs: number) => void;
}

export type ConnectionState = "connecting" | "on trial" | "open" | "draining" | "closed";

/** Why a connection has ended. */
export interface CloseReason {
  /** Undefined if no query was lost. */
  readonly error?: UpstreamError;
  /** Idle time until the server closed the connection. Undefined if the server did not close it, or it was not idle. */
  readonly idleMs?: number;
}

/**
 * One pipelined connection: answers arrive in any order (RFC 7766 §6.2.1.1). It takes queries already while it connects.
 *
 *     connecting ──▶ open ─────── drain ──────▶ draining ──▶ closed
 *         │           ▲                           ▲
 *         ▼           │ answer                    │
 *     on trial ───────┴─────── probe fails ───────┘          every state can also change to closed
 *
 * `Liveness` is independent of this state: a connection that is draining or presumed dead may still answer.
 */
export class Connection implements Disposable {
  /** Resolves when the connection has ended. */
  readonly closed: Promise<CloseReason>;
  readonly #closeReason = Promise.withResolvers<CloseReason>();
  readonly #timer: TickTimer;
  readonly #options: ConnectionOptions;
  readonly #abort = new AbortController();
  readonly #pending = new PendingQueries((failure, facts) => this.#error(failure, facts));
  readonly #writeBuffer = new WriteBuffer();
  readonly #frames = new FrameSplitter();
  readonly #quality = new AnswerQuality();
  #state: ConnectionState = "connecting";
  #phase: Phase = "connect";
  #channel: Channel | undefined;
  #openedAt = 0;
  #usedAt = 0;
  #receivedAt = 0;
  #sentCount = 0;
  /** The pending probe. */
  #probe: Probe | undefined;
  readonly #liveness: Liveness;
  /** The upstream's fault because of which the connection is draining. */
  #fault: UpstreamError | undefined;

  constructor(dial: Dial, options: ConnectionOptions) {
    this.#options = options;
    this.#liveness = new Liveness(options.latency);
    this.#timer = new TickTimer({
      sweep: () => this.#sweep(),
      onIdle: () => this.#isOpen && options.onIdle(this),
      idleTimeoutMs: options.idleTimeoutMs,
    });
    this.closed = this.#closeReason.promise;
    void this.#open(dial);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Number of clients' queries without an answer. */
  get inFlight(): number {
    return this.#pending.size - (this.#probe ? 1 : 0);
  }

  /** See `PendingQueries.evictOldest`. */
  evictOldest(mayGo: (pending: PendingQuery) => boolean, error: UpstreamError): boolean {
    return this.#pending.evictOldest(mayGo, error);
  }

  /** Number of useful answers. */
  get answered(): number {
    return this.#quality.answered;
  }

  /** The connection drains after this time without queries. */
  get idleTimeoutMs(): number {
    return this.#timer.idleTimeoutMs;
  }

  get takesQueries(): boolean {
    return this.#state === "connecting" || this.#isOpen;
  }

  /** Whether it sends one query at a time. */
  get isIsolated(): boolean {
    return this.#options.maxConcurrent === 1;
  }

  /** Whether it was opened to test whether the upstream answers. */
  get isTrial(): boolean {
    return this.#options.onTrial;
  }

  /** Whether it has sent `maxQueries`. Further queries wait until it closes, and are then sent over another. */
  get isExhausted(): boolean {
    return this.#sentCount >= this.#options.maxQueries;
  }

  /** Whether a query is slow and no answer has arrived since. New queries had better take another connection. */
  get isStalled(): boolean {
    return this.#pending.isStalled;
  }

  /** Whether a probe is unanswered, too. */
  get isDoubted(): boolean {
    return this.#liveness.isDoubted;
  }

  /** Sends the query. Its trigger is called after `slowAfter` ms, and again when half of the query's time is over. */
  send(pending: PendingQuery, now = this.#options.now(), slowAfter = Infinity): void {
    if (this.#state === "draining" || this.#state === "closed") {
      return pending.reject(this.#error("closed", { sent: false }));
    }
    pending.lateAt = now + (pending.deadline - now) / 2;
    pending.slowAt = Math.min(now + slowAfter, pending.lateAt);
    if (this.#maySend(now)) this.#write(pending, now);
    else this.#pending.add(pending);
    this.#timer.wake();
  }

  /** Sends a probe unless one is pending. `onProbed` gets the outcome. */
  probe(): void {
    if (this.#probe || !this.#isOpen) return;
    const now = this.#options.now();
    const times = {
      deadline: now + this.#options.probeTimeoutMs,
      slowAt: now + this.#liveness.probePatienceMs,
    };
    this.#probe = new Probe(times, (error) => this.#onProbed(error));
    this.#write(this.#probe, now);
    this.#timer.wake();
  }

  /** Takes no more queries, waits for the answers to those that were sent, then closes. */
  drain(fault?: UpstreamError): void {
    if (this.#state === "connecting") return this[Symbol.dispose]();
    if (!this.#isOpen) return;
    this.#state = "draining";
    this.#fault = fault;
    this.#pending.rejectUnsent(this.#error("closed", { sent: false }));
    this.#endIfDrained();
  }

  /**
   * Called when another connection was answered while this one was silent. Drains, because answers may still arrive.
   * Returns the pending queries, the oldest first, for the caller to send over the other connection as well.
   */
  presumeDead(): PendingQuery[] {
    this.#liveness.presumeDead();
    const unanswered = [...this.#pending.unanswered()].filter((pending) => pending !== this.#probe);
    this.drain(this.#error("silent"));
    return unanswered;
  }

  /** Closes at once. Pending queries are rejected as if the server had closed the connection. */
  [Symbol.dispose](): void {
    this.#phase = "read";
    this.#probe?.forget();
    this.#end(this.#error("closed"));
  }

  get #isOpen(): boolean {
    return this.#state === "open" || this.#state === "on trial";
  }

  async #open(dial: Dial): Promise<void> {
    try {
      const onPhase = (phase: Phase) => this.#phase = phase;
      const channel = await dial({ signal: this.#abort.signal, onPhase });
      if (this.#state === "closed") return channel.close();
      this.#channel = channel;
    } catch (error) {
      return this.#end(error as UpstreamError);
    }
    this.#phase = "read";
    this.#openedAt = this.#usedAt = this.#options.now();
    this.#state = this.#options.onTrial ? "on trial" : "open";
    if (this.#state === "on trial") this.probe();
    this.#sendUnsent();
    this.#timer.wake();
    this.#channel.start({ received: this.#received, ended: this.#ended });
  }

  #maySend(now: number): boolean {
    if (!this.#isOpen || this.isExhausted || this.#pending.sent >= this.#options.maxConcurrent) return false;
    return this.#state !== "on trial" || now - this.#openedAt >= TRIAL_HOLD_MS;
  }

  #sendUnsent(): void {
    const now = this.#options.now();
    while (this.#pending.hasUnsent && this.#maySend(now)) this.#write(this.#pending.takeUnsent(), now);
  }

  #write(pending: PendingQuery, now: number): void {
    const id = this.#pending.markSent(pending, now);
    const into = this.#writeBuffer.reserve(MAX_QUERY_FRAME_BYTES);
    const { clientSubnet } = this.#options;
    this.#writeBuffer.length = composeQuery(
      pending.message,
      id,
      into,
      this.#writeBuffer.length,
      clientSubnet,
    );
    this.#usedAt = now;
    this.#sentCount++;
    this.#writeBuffer.flush(this.#channel!);
  }

  readonly #received = (bytes: Uint8Array): void => {
    this.#receivedAt = this.#options.now();
    this.#frames.push(bytes, this.#receive);
  };

  readonly #ended = (cause?: Error): void => {
    const isIdle = this.#isOpen && this.inFlight === 0;
    const error = cause instanceof ChannelError
      ? this.#error(cause.failure, { cause, detail: cause.message })
      : this.#error("closed", { cause });
    this.#end(error, isIdle ? this.#options.now() - this.#usedAt : undefined);
  };

  readonly #receive = (frame: Uint8Array): void => {
    if (this.#state === "closed") return;
    const id = frame.length < 2 ? -1 : readUint16(frame, 0);
    const pending = this.#pending.find(id);
    try {
      const response = Message.receive(frame, this.#channel?.isAuthenticated);
      if (!pending) return this.#receiveUnmatched(id);
      const keepAlive = response.edns?.keepAliveMs;
      if (!response.answers(pending.message)) return this.#receiveBad(id, this.#error("wrong answer"));
      const detail = ednsRefusal(response);
      if (detail !== undefined) return this.#receiveBad(id, this.#error("no EDNS", { detail }));
      this.#complete(id, pending, response);
      if (keepAlive !== undefined) this.#applyKeepAlive(keepAlive);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      if (!pending && this.#pending.receiveLate(id, this.#receivedAt) !== undefined) return;
      this.#receiveBad(id, this.#error("malformed", { detail: error.message }));
    }
    this.#endIfDrained();
  };

  #complete(id: number, pending: PendingQuery, response: Message): void {
    const now = this.#usedAt = this.#receivedAt;
    this.#pending.remove(id, now);
    this.#quality.answered++;
    pending.resolve(response); // before anything that may throw
    this.#noteUseful(now - pending.sentAt);
  }

  #noteUseful(latency: number): void {
    this.#quality.noteUseful();
    this.#liveness.noteAnswer();
    if (this.#state === "on trial") this.#state = "open";
    if (this.#pending.hasUnsent) this.#sendUnsent();
    this.#options.onAnswer(latency, this.#receivedAt);
  }

  /** A late answer proves that the upstream is alive, and is a sample of its latency. Other messages prove nothing. */
  #receiveUnmatched(id: number): void {
    const sentAt = this.#pending.receiveLate(id, this.#receivedAt);
    if (sentAt !== undefined) this.#noteUseful(this.#receivedAt - sentAt);
    // A repeated answer, or an ID that was never used (RFC 7766 §7).
    else this.#countUnsolicited();
  }

  /** The bound keeps a hostile upstream from taking all of this thread's time. */
  #countUnsolicited(): void {
    if (this.#quality.noteUnsolicited()) this.#end(this.#fault = this.#error("unsolicited"));
  }

  /**
   * A bad answer fails its own query only. A connection with useful answers before goes on, and is probed now and then. One
   * without any drains: new queries take another connection, and those that were sent may still be answered.
   */
  #receiveBad(id: number, error: UpstreamError): void {
    const pending = this.#pending.find(id);
    const verdict = this.#quality.noteBad();
    const isUnsolicited = this.#pending.sent === 0;
    if (pending) {
      this.#pending.remove(id, this.#receivedAt);
      pending.reject(error);
    } else if (this.#quality.noteUnreadable(this.#pending.sent)) {
      this.#pending.rejectSent(error);
    }
    if (verdict === "useless") this.drain(error);
    else if (verdict === "worth a probe") this.probe();
    if (isUnsolicited) this.#countUnsolicited();
    this.#sendUnsent();
  }

  #onProbed(error?: UpstreamError): void {
    this.#probe = undefined;
    if (error && this.#isOpen && this.#pending.isStalled) this.drain(this.#error("silent"));
    this.#options.onProbed(this, error);
  }

  /** RFC 7828 §3.2.2: close shortly before the time is over; if it is 0, as soon as all answers have arrived. */
  #applyKeepAlive(timeoutMs: number): void {
    if (timeoutMs === 0) this.drain();
    else this.#options.onKeepAlive(this.#timer.idleTimeoutMs = timeoutMs - Math.min(1000, timeoutMs / 4));
  }

  #endIfDrained(): void {
    if (this.#pending.sent > (this.#probe ? 1 : 0)) return;
    if (this.#state !== "draining") return this.isExhausted ? this.drain() : undefined;
    this.#probe?.forget();
    this.#end(this.#fault);
  }

  /** Called at each tick. Returns whether queries are still pending. */
  #sweep(): boolean {
    const now = this.#options.now();
    this.#pending.sweep(now, this.#options.latency.slowAfterMs);
    if (!this.#pending.isStalled) this.#liveness.noteAnswer();
    else if (this.#state !== "on trial") this.#reactToSilence(now);
    if (this.#pending.hasUnsent) this.#sendUnsent();
    if (this.#pending.abandoned > MAX_ABANDONED) this.drain();
    this.#endIfDrained();
    return this.#pending.size > 0;
  }

  #reactToSilence(now: number): void {
    const reaction = this.#liveness.noteSilence(now, this.#pending.sent);
    if (reaction === "probe") this.probe();
    else if (reaction === "doubt") this.#options.onDoubt(this);
  }

  #end(error?: UpstreamError, idleMs?: number): void {
    if (this.#state === "closed") return;
    const hasFailed = this.inFlight > 0 || this.#state === "connecting" || error === this.#fault;
    this.#state = "closed";
    this.#timer.stop();
    this.#abort.abort();
    this.#channel?.close();
    // Before the queries are rejected: `Upstream` removes this connection first, and then sends them over another.
    this.#closeReason.resolve({ ...hasFailed && error && { error }, ...idleMs !== undefined && { idleMs } });
    const reason = error ?? this.#error("closed");
    // Unsent queries lose no attempt, unless the connection has answered nothing: otherwise they would be sent again and
    // again. On an isolated connection only the sent query loses one.
    const isFree = this.answered > 0 || this.isIsolated && this.#pending.sent > 0;
    this.#pending.rejectUnsent(isFree ? this.#error("closed", { sent: false }) : reason);
    this.#pending.rejectSent(reason);
    this.#probe = undefined;
  }

  #error(failure: Failure, facts: Partial<FailureFacts> = {}): UpstreamError {
    return new UpstreamError(failure, { upstream: this.#options.upstream, phase: this.#phase, ...facts });
  }
}
