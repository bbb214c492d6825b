import { FormatError } from "../dns/format_error.ts";
import { FrameSplitter } from "../dns/framing.ts";
import { Message } from "../dns/message.ts";
import { type ClientSubnet, composeQuery, MAX_QUERY_FRAME } from "../dns/query.ts";
import { readUint16 } from "../dns/records.ts";
import { type Failure, type FailureFacts, type Phase, UpstreamError } from "../errors.ts";
import { type Channel, ChannelError, type Dial } from "./channel.ts";
import { Outbox } from "./outbox.ts";
import { type Pending, PendingQueries } from "./pending.ts";
import { SweepTimer } from "./sweep_timer.ts";

/** With this many queries given up, a connection is worn out. */
const MAX_ABANDONED = 4096;

export interface ConnectionOptions {
  /** The upstream's label, for errors. */
  readonly upstream: string;
  /** How many queries to send before closing; some servers close after a fixed number. */
  readonly budget: number;
  readonly clientSubnet?: ClientSubnet | undefined;
  /** After this long without a query, in ms, `onIdle` is called, unless the server says otherwise. */
  readonly idleTimeout: number;
  /** Give the connection up when its oldest query has seen no answer to any query for this long, in ms. */
  readonly silence: number;
  readonly now: () => number;
  /** Told of each answer how long it took, in ms. */
  readonly onAnswer: (latency: number) => void;
  /** It is time to close; whoever wants a successor opens that first, then drains this one. */
  readonly onIdle: (connection: Connection) => void;
  /** By the server's own words a connection may be idle for this long, in ms; the margin is taken off. */
  readonly onKeepAlive: (idleTimeout: number) => void;
}

/** connecting → open → draining → closed; every state can go to closed at once. */
export type ConnectionState = "connecting" | "open" | "draining" | "closed";

/** How a connection came to its end. */
export interface Ending {
  /** Undefined where no query was lost. */
  readonly error?: UpstreamError;
  /** How long the connection had been idle when the server closed it, in ms; undefined if it was not the server. */
  readonly idle?: number;
}

/** One pipelined connection: answers come in any order (RFC 7766 §6.2.1.1). It takes queries while it connects. */
export class Connection implements Disposable {
  /** Resolves when the connection has ended. */
  readonly closed: Promise<Ending>;
  readonly #ending = Promise.withResolvers<Ending>();
  readonly #timer: SweepTimer;
  readonly #options: ConnectionOptions;
  readonly #abort = new AbortController();
  readonly #pending = new PendingQueries((failure, facts) => this.#error(failure, facts));
  readonly #outbox = new Outbox();
  readonly #frames = new FrameSplitter();
  #state: ConnectionState = "connecting";
  #phase: Phase = "connect";
  #channel: Channel | undefined;
  #usedAt = 0;
  #heardAt = 0;
  #sentCount = 0;
  #answered = 0;

  constructor(dial: Dial, options: ConnectionOptions) {
    this.#options = options;
    this.#timer = new SweepTimer({
      sweep: () => this.#sweep(),
      onIdle: () => this.#state === "open" && options.onIdle(this),
      idleTimeout: options.idleTimeout,
    });
    this.closed = this.#ending.promise;
    void this.#open(dial);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Queries without an answer yet. */
  get inFlight(): number {
    return this.#pending.size;
  }

  /** How many queries it has answered. */
  get answered(): number {
    return this.#answered;
  }

  /** How long it may be without queries, in ms. */
  get idleTimeout(): number {
    return this.#timer.idleTimeout;
  }

  /** Whether it has sent as many queries as it may: what it is given now waits for its end, and then goes elsewhere. */
  get isSpent(): boolean {
    return this.#sentCount >= this.#options.budget;
  }

  /** Whether its queries wait while it says nothing: others had better go elsewhere. */
  get stalled(): boolean {
    return this.#pending.stalled;
  }

  /**
   * Sends the query, which is told its answer, or that there is none, at its deadline at the latest. If it takes more than
   * `slowAfter` ms from `now` on, its asker is told, and again when half of its time is over.
   */
  send(pending: Pending, now = this.#options.now(), slowAfter = Infinity): void {
    if (this.#state === "draining" || this.#state === "closed") {
      return pending.reject(this.#error("closed", { sent: false }));
    }
    pending.lateAt = now + (pending.deadline - now) / 2;
    pending.slowAt = Math.min(now + slowAfter, pending.lateAt);
    if (this.#state === "open" && !this.isSpent) this.#write(pending, now);
    else this.#pending.add(pending);
    this.#timer.wake();
  }

  /** Takes no more queries, finishes those that were sent, then closes. */
  drain(): void {
    if (this.#state === "connecting") return this[Symbol.dispose]();
    if (this.#state !== "open") return;
    this.#state = "draining";
    this.#pending.rejectUnsent(this.#error("closed", { sent: false }));
    this.#endIfDrained();
  }

  /** Closes now; what is under way is rejected as if the server had closed it, also where it was not open yet. */
  [Symbol.dispose](): void {
    this.#phase = "read";
    this.#end(this.#error("closed"));
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
    this.#state = "open";
    this.#usedAt = this.#options.now();
    this.#sendUnsent();
    this.#timer.wake();
    this.#channel.start({ received: this.#received, ended: this.#ended });
  }

  #sendUnsent(): void {
    const now = this.#options.now();
    while (!this.isSpent && this.#pending.hasUnsent) this.#write(this.#pending.takeUnsent(), now);
  }

  #write(pending: Pending, now: number): void {
    const id = this.#pending.markSent(pending, now);
    const into = this.#outbox.reserve(MAX_QUERY_FRAME);
    const { clientSubnet } = this.#options;
    this.#outbox.length = composeQuery(pending.message, id, into, this.#outbox.length, clientSubnet);
    this.#usedAt = now;
    this.#sentCount++;
    this.#outbox.flush(this.#channel!);
  }

  readonly #received = (octets: Uint8Array): void => {
    this.#heardAt = this.#options.now();
    this.#frames.push(octets, this.#receive);
  };

  readonly #ended = (cause?: Error): void => {
    const isIdle = this.#state === "open" && this.inFlight === 0;
    const error = cause instanceof ChannelError
      ? this.#error(cause.failure, { cause, detail: cause.message })
      : this.#error("closed", { cause });
    this.#end(error, isIdle ? this.#options.now() - this.#usedAt : undefined);
  };

  readonly #receive = (frame: Uint8Array): void => {
    if (this.#state === "closed") return;
    const id = frame.length < 2 ? -1 : readUint16(frame, 0);
    const pending = this.#pending.peek(id);
    try {
      const response = Message.parse(frame);
      // Late or repeated answers, and IDs never used, are no answers to anything (RFC 7766 §7).
      if (!pending) return this.#pending.late(id);
      const keepAlive = response.edns?.keepAlive;
      if (!response.answers(pending.message)) return this.#distrust(id, this.#error("wrong answer"));
      this.#complete(pending, response);
      if (keepAlive !== undefined) this.#heedKeepAlive(keepAlive);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#distrust(id, this.#error("malformed", { detail: error.message }));
    }
    this.#endIfDrained();
  };

  /** One bad answer: its query goes to another connection, and so does all that comes; what was sent may finish here. */
  #distrust(id: number, error: UpstreamError): void {
    if (!this.#pending.has(id)) return this.#end(error);
    const pending = this.#pending.peek(id);
    if (pending) this.#pending.abandon(pending, error);
    this.drain();
  }

  #complete(pending: Pending, response: Message): void {
    const now = this.#usedAt = this.#heardAt;
    this.#pending.answered(pending, now);
    this.#answered++;
    pending.resolve(response); // first, for nobody else completes it any more
    this.#options.onAnswer(now - pending.sentAt);
  }

  /** RFC 7828 §3.2.2: close a little before the time is over, at once after outstanding answers if it is 0. */
  #heedKeepAlive(timeout: number): void {
    if (timeout === 0) this.drain();
    else this.#options.onKeepAlive(this.#timer.idleTimeout = timeout - Math.min(1000, timeout / 4));
  }

  #endIfDrained(): void {
    if (this.#pending.sent > 0) return;
    if (this.#state === "draining") this.#end();
    else if (this.isSpent) this.drain();
  }

  /** Returns whether queries still wait. */
  #sweep(): boolean {
    const silence = this.#pending.lookThrough(this.#options.now());
    if (silence >= this.#options.silence) this.#end(this.#error("silent"));
    if (this.#pending.abandoned > MAX_ABANDONED) this.drain();
    this.#endIfDrained();
    return this.inFlight > 0;
  }

  #end(error?: UpstreamError, idle?: number): void {
    if (this.#state === "closed") return;
    const lost = this.inFlight > 0 || this.#state === "connecting";
    this.#state = "closed";
    this.#timer.stop();
    this.#abort.abort();
    this.#channel?.close();

    // First, so that whoever opens connections knows before the queries ask for the next one.
    this.#ending.resolve({ ...lost && error && { error }, ...idle !== undefined && { idle } });
    const reason = error ?? this.#error("closed");
    // A connection that has answered nothing has cost everyone an attempt, or they would try for ever.
    this.#pending.rejectUnsent(this.#answered > 0 ? this.#error("closed", { sent: false }) : reason);
    this.#pending.rejectSent(reason);
  }

  #error(failure: Failure, facts: Partial<FailureFacts> = {}): UpstreamError {
    return new UpstreamError(failure, { upstream: this.#options.upstream, phase: this.#phase, ...facts });
  }
}
