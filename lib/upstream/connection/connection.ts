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

/** With this many queries given up, a connection is worn out. */
const MAX_ABANDONED = 4096;
/** A connection on trial keeps its queries back for this long, in ms: a server that answers at all has done so by then. */
const TRIAL_HOLD = 250;
export interface ConnectionOptions {
  /** The upstream's label, for errors. */
  readonly upstream: string;
  /** How many queries to send before closing; some servers close after a fixed number. */
  readonly maxQueries: number;
  readonly clientSubnet?: ClientSubnet | undefined;
  /** How many queries may wait for an answer at once; others wait to be sent. */
  readonly maxConcurrent: number;
  /** Whether it begins with a probe and keeps its queries back until there is a sign of life. */
  readonly onTrial: boolean;
  /** After this long without a query, in ms, `onIdle` is called, unless the server says otherwise. */
  readonly idleTimeoutMs: number;
  /** How long the answer to a probe is waited for, in ms. */
  readonly probeTimeoutMs: number;
  /** Of the upstream. */
  readonly latency: Latency;
  readonly now: () => number;
  /** Called with each answer that a client can be given, late ones included: how long it took, and when it came, in ms. */
  readonly onAnswer: (latency: number, now: number) => void;
  /** Its queries wait, and a probe has brought no sign of life. Another connection can find out whether it is dead. */
  readonly onDoubt: (connection: Connection) => void;
  /** The outcome of a probe: an answer, or the reason why there is none. */
  readonly onProbed: (connection: Connection, error?: UpstreamError) => void;
  /** It is time to close; whoever wants a successor opens that first, then drains this one. */
  readonly onIdle: (connection: Connection) => void;
  /** By the server's own words a connection may be idle for this long, in ms; the margin is taken off. */
  readonly onKeepAlive: (idleTimeout: number) => void;
}

export type ConnectionState = "connecting" | "on trial" | "open" | "draining" | "closed";

/** How a connection came to its end. */
export interface CloseReason {
  /** Undefined where no query was lost. */
  readonly error?: UpstreamError;
  /** How long the connection had been idle when the server closed it, in ms; undefined if it was not the server. */
  readonly idleMs?: number;
}

/**
 * One pipelined connection: answers come in any order (RFC 7766 §6.2.1.1). It takes queries while it connects.
 *
 *     connecting ──▶ open ─────── drain ──────▶ draining ──▶ closed
 *         │           ▲                           ▲
 *         ▼           │ answer                    │
 *     on trial ───────┴─────── probe fails ───────┘          every state can go to closed at once
 *
 * Whether it is alive is another matter (`Liveness`): also one that is draining, or presumed dead, may still answer.
 */
export class Connection implements Disposable {
  /** Resolves when the connection has ended. */
  readonly closed: Promise<CloseReason>;
  readonly #ending = Promise.withResolvers<CloseReason>();
  readonly #timer: TickTimer;
  readonly #options: ConnectionOptions;
  readonly #abort = new AbortController();
  readonly #pending = new PendingQueries((failure, facts) => this.#error(failure, facts));
  readonly #outbox = new WriteBuffer();
  readonly #frames = new FrameSplitter();
  readonly #conduct = new AnswerQuality();
  #state: ConnectionState = "connecting";
  #phase: Phase = "connect";
  #channel: Channel | undefined;
  #openedAt = 0;
  #usedAt = 0;
  #receivedAt = 0;
  #sentCount = 0;
  /** Our own query that waits for its answer. */
  #probe: Probe | undefined;
  readonly #liveness: Liveness;
  /** Why it is draining, where the upstream is to blame. */
  #fault: UpstreamError | undefined;

  constructor(dial: Dial, options: ConnectionOptions) {
    this.#options = options;
    this.#liveness = new Liveness(options.latency);
    this.#timer = new TickTimer({
      sweep: () => this.#sweep(),
      onIdle: () => this.#isOpen && options.onIdle(this),
      idleTimeoutMs: options.idleTimeoutMs,
    });
    this.closed = this.#ending.promise;
    void this.#open(dial);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Clients' queries without an answer yet. */
  get inFlight(): number {
    return this.#pending.size - (this.#probe ? 1 : 0);
  }

  /** See `PendingQueries.giveUpEldest`. */
  evictOldest(mayGo: (pending: PendingQuery) => boolean, error: UpstreamError): boolean {
    return this.#pending.evictOldest(mayGo, error);
  }

  /** How many queries it has answered, with answers that are of use. */
  get answered(): number {
    return this.#conduct.answered;
  }

  /** How long it may be without queries, in ms. */
  get idleTimeoutMs(): number {
    return this.#timer.idleTimeoutMs;
  }

  get takesQueries(): boolean {
    return this.#state === "connecting" || this.#isOpen;
  }

  /** Whether it was opened for one query at a time. */
  get isIsolated(): boolean {
    return this.#options.maxConcurrent === 1;
  }

  /** Whether it was opened to find out whether the upstream answers. */
  get isTrial(): boolean {
    return this.#options.onTrial;
  }

  /** Whether it has sent as many queries as it may: what it is given now waits for its end, and then goes elsewhere. */
  get isExhausted(): boolean {
    return this.#sentCount >= this.#options.maxQueries;
  }

  /** Whether its queries wait while it says nothing: others had better go elsewhere. */
  get isStalled(): boolean {
    return this.#pending.isStalled;
  }

  /** Whether it has left a probe, too, without a sign of life. */
  get isDoubted(): boolean {
    return this.#liveness.isDoubted;
  }

  /** Sends the query. Its trigger is told after `slowAfter` ms from `now` on, and again when half of its time is over. */
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

  /** Asks whether it is of any use, unless that is being asked already; `onProbed` gets the outcome. */
  probe(): void {
    if (this.#probe || !this.#isOpen) return;
    const now = this.#options.now();
    const times = {
      deadline: now + this.#options.probeTimeoutMs,
      slowAt: now + this.#liveness.probePatienceMs,
    };
    this.#probe = new Probe(times, (error) => this.#probed(error));
    this.#write(this.#probe, now);
    this.#timer.wake();
  }

  /** Takes no more queries, finishes those that were sent, then closes. */
  drain(fault?: UpstreamError): void {
    if (this.#state === "connecting") return this[Symbol.dispose]();
    if (!this.#isOpen) return;
    this.#state = "draining";
    this.#fault = fault;
    this.#pending.rejectUnsent(this.#error("closed", { sent: false }));
    this.#endIfDrained();
  }

  /**
   * Another connection has shown that this one is dead: it drains, for it may still answer. The queries that were sent and
   * wait, the oldest first, which are to be sent elsewhere as well.
   */
  presumeDead(): PendingQuery[] {
    this.#liveness.presumeDead();
    const waiting = [...this.#pending.unanswered()].filter((pending) => pending !== this.#probe);
    this.drain(this.#error("silent"));
    return waiting;
  }

  /** Closes now; what is under way is rejected as if the server had closed it, also where it was not open yet. */
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
    return this.#state !== "on trial" || now - this.#openedAt >= TRIAL_HOLD;
  }

  #sendUnsent(): void {
    const now = this.#options.now();
    while (this.#pending.hasUnsent && this.#maySend(now)) this.#write(this.#pending.takeUnsent(), now);
  }

  #write(pending: PendingQuery, now: number): void {
    const id = this.#pending.markSent(pending, now);
    const into = this.#outbox.reserve(MAX_QUERY_FRAME_BYTES);
    const { clientSubnet } = this.#options;
    this.#outbox.length = composeQuery(pending.message, id, into, this.#outbox.length, clientSubnet);
    this.#usedAt = now;
    this.#sentCount++;
    this.#outbox.flush(this.#channel!);
  }

  readonly #received = (octets: Uint8Array): void => {
    this.#receivedAt = this.#options.now();
    this.#frames.push(octets, this.#receive);
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
      if (!pending) return this.#receiveUnawaited(id);
      const keepAlive = response.edns?.keepAliveMs;
      if (!response.answers(pending.message)) return this.#receiveBad(pending, this.#error("wrong answer"));
      const detail = ednsRefusal(response);
      if (detail !== undefined) return this.#receiveBad(pending, this.#error("no EDNS", { detail }));
      this.#complete(pending, response);
      if (keepAlive !== undefined) this.#heedKeepAlive(keepAlive);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      if (!pending && this.#pending.receiveLate(id, this.#receivedAt) !== undefined) return;
      this.#receiveBad(pending, this.#error("malformed", { detail: error.message }));
    }
    this.#endIfDrained();
  };

  #complete(pending: PendingQuery, response: Message): void {
    const now = this.#usedAt = this.#receivedAt;
    this.#pending.remove(pending, now);
    this.#conduct.answered++;
    pending.resolve(response); // first, for nobody else completes it any more
    this.#proveUseful(now - pending.sentAt);
  }

  #proveUseful(latency: number): void {
    this.#conduct.noteUseful();
    this.#liveness.noteAnswer();
    if (this.#state === "on trial") this.#state = "open";
    if (this.#pending.hasUnsent) this.#sendUnsent();
    this.#options.onAnswer(latency, this.#receivedAt);
  }

  /** A late answer shows that the upstream is there, and how slow; any other message nobody waits for shows nothing. */
  #receiveUnawaited(id: number): void {
    const sentAt = this.#pending.receiveLate(id, this.#receivedAt);
    if (sentAt !== undefined) this.#proveUseful(this.#receivedAt - sentAt);
    // Repeated answers, and IDs never used, are no answers to anything (RFC 7766 §7).
    else this.#countUnsolicited();
  }

  /** Without a bound, a hostile upstream could take all of this thread's time. */
  #countUnsolicited(): void {
    if (this.#conduct.noteUnsolicited()) this.#end(this.#fault = this.#error("unsolicited"));
  }

  /**
   * A bad answer is its own query's failure. The connection goes on if it has been of use, and is asked now and then
   * whether it still is; if it has not, all that comes goes elsewhere, and the queries that were sent may finish here.
   */
  #receiveBad(pending: PendingQuery | undefined, error: UpstreamError): void {
    const verdict = this.#conduct.noteBad();
    const isUnsolicited = this.#pending.sent === 0;
    if (pending) {
      this.#pending.remove(pending, this.#receivedAt);
      pending.reject(error);
    } else if (this.#conduct.noteUnreadable(this.#pending.sent)) {
      this.#pending.rejectSent(error);
    }
    if (verdict === "useless") this.drain(error);
    else if (verdict === "worth a probe") this.probe();
    if (isUnsolicited) this.#countUnsolicited();
    this.#sendUnsent();
  }

  #probed(error?: UpstreamError): void {
    this.#probe = undefined;
    if (error && this.#isOpen && this.#pending.isStalled) this.drain(this.#error("silent"));
    this.#options.onProbed(this, error);
  }

  /** RFC 7828 §3.2.2: close a little before the time is over, at once after outstanding answers if it is 0. */
  #heedKeepAlive(timeout: number): void {
    if (timeout === 0) this.drain();
    else this.#options.onKeepAlive(this.#timer.idleTimeoutMs = timeout - Math.min(1000, timeout / 4));
  }

  #endIfDrained(): void {
    if (this.#pending.sent > (this.#probe ? 1 : 0)) return;
    if (this.#state !== "draining") return this.isExhausted ? this.drain() : undefined;
    this.#probe?.forget();
    this.#end(this.#fault);
  }

  /** Returns whether queries still wait. */
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

  #end(error?: UpstreamError, idle?: number): void {
    if (this.#state === "closed") return;
    const tells = this.inFlight > 0 || this.#state === "connecting" || error === this.#fault;
    this.#state = "closed";
    this.#timer.stop();
    this.#abort.abort();
    this.#channel?.close();
    // First, so that whoever opens connections knows before the queries ask for the next one.
    this.#ending.resolve({ ...tells && error && { error }, ...idle !== undefined && { idleMs: idle } });
    const reason = error ?? this.#error("closed");
    // A connection that has answered nothing has cost everyone an attempt, or they would try for ever; an isolated one has
    // cost its one query an attempt.
    const isFree = this.answered > 0 || this.isIsolated && this.#pending.sent > 0;
    this.#pending.rejectUnsent(isFree ? this.#error("closed", { sent: false }) : reason);
    this.#pending.rejectSent(reason);
    this.#probe = undefined;
  }

  #error(failure: Failure, facts: Partial<FailureFacts> = {}): UpstreamError {
    return new UpstreamError(failure, { upstream: this.#options.upstream, phase: this.#phase, ...facts });
  }
}
