import { Option } from "../dns/codes.ts";
import { FormatError } from "../dns/format_error.ts";
import { FrameReader } from "../dns/framing.ts";
import { Message } from "../dns/message.ts";
import { composeQuery, MAX_QUERY_FRAME } from "../dns/query.ts";
import { readUint16 } from "../dns/records.ts";
import { type Failure, type Phase, UpstreamError } from "../errors.ts";
import type { Channel, Dial } from "./channel.ts";
import { MessageIds } from "./message_ids.ts";
import { Outbox } from "./outbox.ts";

/** How often waiting queries are looked through, in ms: one timer a connection and not one a query. */
const SWEEP = 100;
/** IDs given up on stay reserved, since a late answer may still come; with this many the connection is worn out. */
const MAX_ABANDONED = 4096;

export interface ConnectionOptions {
  /** The upstream's label, for errors. */
  readonly upstream: string;
  /** How many queries may wait for an answer at once. */
  readonly maxInFlight: number;
  /** How many queries to send before closing; some servers close after a fixed number. */
  readonly budget: number;
  /** Close after this long without a query, in ms, unless the server says otherwise (RFC 7828 §3.2.2). */
  readonly idleTimeout: number;
  /** Give the connection up when its oldest query has seen no answer to any query for this long, in ms. */
  readonly silence: number;
  readonly now: () => number;
}

/** connecting → open → draining → closed; every state can go to closed at once. */
export type ConnectionState = "connecting" | "open" | "draining" | "closed";

interface Pending {
  readonly message: Message;
  readonly deadline: number;
  readonly resolve: (response: Message) => void;
  readonly reject: (error: UpstreamError) => void;
  sentAt: number;
}

/**
 * One pipelined connection: many queries out, answers in any order (RFC 7766 §6.2.1.1). Queries may be given to it while
 * it is still connecting. Whoever removes a pending query completes it.
 */
export class Connection implements Disposable {
  /** Settles when the connection has ended; undefined where it took no query along. */
  readonly closed: Promise<UpstreamError | undefined>;
  readonly #options: ConnectionOptions;
  readonly #abort = new AbortController();
  readonly #settleClosed: (error: UpstreamError | undefined) => void;
  readonly #ids = new MessageIds();
  readonly #outbox = new Outbox();
  readonly #frames = new FrameReader(64 * 1024);
  readonly #sent = new Map<number, Pending>();
  readonly #abandoned = new Set<number>();
  #unsent: Pending[] = [];
  #state: ConnectionState = "connecting";
  #phase: Phase = "connect";
  #channel: Channel | undefined;
  #writing = false;
  #sweeping = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #idleTimeout: number;
  #heardAt = 0;
  #sentCount = 0;
  #answered = 0;

  constructor(dial: Dial, options: ConnectionOptions) {
    this.#options = options;
    this.#idleTimeout = options.idleTimeout;
    const { promise, resolve } = Promise.withResolvers<UpstreamError | undefined>();
    this.closed = promise;
    this.#settleClosed = resolve;
    void this.#open(dial);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Queries without an answer yet. */
  get inFlight(): number {
    return this.#sent.size + this.#unsent.length;
  }

  /** How many queries it has answered. */
  get answered(): number {
    return this.#answered;
  }

  /** Sends the query and resolves with its answer; rejects with `UpstreamError`, at the deadline at the latest. */
  exchange(message: Message, deadline: number): Promise<Message> {
    return new Promise((resolve, reject) => {
      if (this.#state === "draining" || this.#state === "closed") {
        return reject(this.#error("closed", { sent: false }));
      }
      if (this.inFlight >= this.#options.maxInFlight) return reject(this.#error("overloaded"));
      this.#unsent.push({ message, deadline, resolve, reject, sentAt: 0 });
      if (this.#state === "open") this.#sendUnsent();
      this.#wake();
    });
  }

  /** Takes no more queries, finishes those that were sent, then closes. */
  drain(): void {
    if (this.#state === "connecting") return this.#end(undefined);
    if (this.#state !== "open") return;
    this.#state = "draining";
    this.#rejectUnsent(this.#error("closed", { sent: false }));
    this.#endIfDrained();
  }

  /** Fails what is under way, and closes now. */
  [Symbol.dispose](): void {
    this.#end(undefined);
  }

  async #open(dial: Dial): Promise<void> {
    try {
      const onPhase = (phase: Phase) => this.#phase = phase;
      const channel = await dial({ signal: this.#abort.signal, onPhase });
      if (this.#state === "closed") return channel.close();
      this.#channel = channel;
    } catch (error) {
      return this.#end(error instanceof UpstreamError ? error : this.#error("protocol", { cause: error }));
    }
    this.#phase = "read";
    this.#state = "open";
    this.#sendUnsent();
    this.#wake();
    await this.#read(this.#channel);
  }

  #sendUnsent(): void {
    const room = this.#options.budget - this.#sentCount;
    if (this.#unsent.length === 0 || room <= 0) return;
    const now = this.#options.now();
    for (const pending of this.#unsent.splice(0, room)) this.#send(pending, now);
    if (!this.#writing) {
      this.#writing = true;
      // A microtask later all queries of this turn have come together.
      queueMicrotask(() => void this.#write(this.#channel!));
    }
  }

  #send(pending: Pending, now: number): void {
    const id = this.#ids.draw(this);
    pending.sentAt = now;
    this.#sentCount++;
    this.#sent.set(id, pending);
    const into = this.#outbox.reserve(MAX_QUERY_FRAME);
    this.#outbox.length = composeQuery(pending.message, id, into, this.#outbox.length);
  }

  /** Whether a message ID is in use on this connection. */
  has(id: number): boolean {
    return this.#sent.has(id) || this.#abandoned.has(id);
  }

  async #write(channel: Channel): Promise<void> {
    try {
      while (this.#outbox.length > 0) {
        let rest = this.#outbox.take();
        while (rest.length > 0) rest = rest.subarray(await channel.write(rest));
      }
      this.#writing = false;
    } catch (error) {
      // What the peer said before it closed is still to be read: the reader ends the connection, unless it hangs.
      if (!(error instanceof Deno.errors.BrokenPipe)) this.#end(this.#error("closed", { cause: error }));
    }
  }

  async #read(channel: Channel): Promise<void> {
    try {
      for (;;) {
        const octets = await channel.read(this.#frames.space());
        if (octets === null) return this.#end(this.#error("closed"));
        this.#frames.advance(octets);
        for (let frame = this.#frames.take(); frame; frame = this.#frames.take()) this.#receive(frame);
      }
    } catch (error) {
      this.#end(this.#error(error instanceof FormatError ? "malformed" : "closed", { cause: error }));
    }
  }

  /** Throws `FormatError` if the frame cannot be told to belong to any query. */
  #receive(frame: Uint8Array): void {
    const response = Message.parse(frame);
    const pending = this.#sent.get(response.id);
    // Late or repeated answers, and IDs never used, are no answers to anything (RFC 7766 §7).
    if (!pending) return void this.#abandoned.delete(response.id);
    if (!response.isResponse || !answersQuestion(response, pending.message)) {
      return this.#end(this.#error("wrong answer"));
    }
    this.#sent.delete(response.id);
    this.#heardAt = this.#options.now();
    this.#answered++;
    this.#complete(pending, response);
    this.#endIfDrained();
  }

  #complete(pending: Pending, response: Message): void {
    try {
      const keepAlive = response.edns?.option(Option.TCP_KEEPALIVE);
      if (keepAlive) this.#keepAlive(keepAlive);
      pending.resolve(response);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      pending.reject(this.#error("malformed", { detail: error.message }));
    }
  }

  /** RFC 7828 §3.2.2: close a little before TIMEOUT is over, at once after outstanding answers if it is 0. */
  #keepAlive(option: Uint8Array): void {
    if (option.length !== 2) return;
    const timeout = readUint16(option, 0) * 100;
    if (timeout === 0) this.drain();
    else this.#idleTimeout = Math.max(timeout - Math.min(1000, timeout / 4), SWEEP);
  }

  #endIfDrained(): void {
    if (this.#sent.size > 0) return;
    if (this.#state === "draining") this.#end(undefined);
    else if (this.#sentCount >= this.#options.budget) this.drain();
  }

  #wake(): void {
    if (this.#sweeping || this.#state === "closed") return;
    clearTimeout(this.#timer);
    this.#sweeping = true;
    this.#timer = setTimeout(this.#sweep, SWEEP);
  }

  readonly #sweep = () => {
    this.#expire(this.#options.now());
    if (this.#state === "closed") return;
    this.#sweeping = this.inFlight > 0;
    if (this.#sweeping) this.#timer = setTimeout(this.#sweep, SWEEP);
    else if (this.#state === "open") this.#timer = setTimeout(() => this.drain(), this.#idleTimeout);
  };

  #expire(now: number): void {
    // Map keeps the order of insertion, so the first is the one that has waited longest.
    for (const [, oldest] of this.#sent) {
      if (now - Math.max(oldest.sentAt, this.#heardAt) < this.#options.silence) break;
      return this.#end(this.#error("silent"));
    }
    for (const [id, pending] of this.#sent) {
      if (pending.deadline > now) continue;
      this.#sent.delete(id);
      this.#abandoned.add(id);
      pending.reject(this.#error("timed out"));
    }
    if (this.#unsent.some(({ deadline }) => deadline <= now)) {
      const expired = this.#unsent.filter(({ deadline }) => deadline <= now);
      this.#unsent = this.#unsent.filter(({ deadline }) => deadline > now);
      for (const pending of expired) pending.reject(this.#error("timed out", { sent: false }));
    }
    if (this.#abandoned.size > MAX_ABANDONED) this.drain();
    else this.#endIfDrained();
  }

  #rejectUnsent(error: UpstreamError): void {
    for (const pending of this.#unsent.splice(0)) pending.reject(error);
  }

  #end(error: UpstreamError | undefined): void {
    if (this.#state === "closed") return;
    const neverOpened = this.#state === "connecting";
    this.#state = "closed";
    clearTimeout(this.#timer);
    this.#abort.abort();
    this.#channel?.close();

    const lost = this.#sent.size > 0 || neverOpened ? error : undefined;
    const reason = error ?? this.#error("closed");
    // A connection that has answered nothing has cost everyone an attempt, or they would try for ever.
    this.#rejectUnsent(this.#answered > 0 ? this.#error("closed", { sent: false }) : reason);
    for (const pending of this.#sent.values()) pending.reject(reason);
    this.#sent.clear();
    this.#settleClosed(lost);
  }

  #error(failure: Failure, facts: { sent?: boolean; detail?: string; cause?: unknown } = {}): UpstreamError {
    return new UpstreamError(failure, { upstream: this.#options.upstream, phase: this.#phase, ...facts });
  }
}

/** An answer repeats the question; a refusal may leave it out, and then has nothing but its RCODE (RFC 7766 §7). */
function answersQuestion(response: Message, query: Message): boolean {
  return response.hasQuestion ? response.sameQuestion(query) : response.recordsEnd === response.questionEnd;
}
