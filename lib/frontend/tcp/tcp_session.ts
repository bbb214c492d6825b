import { FrameReader } from "../../dns/framing.ts";
import type { Client } from "../../core/resolver.ts";
import type { Answerer, ReplySink } from "../answer/answerer.ts";
import type { EvictableConnection } from "./connection_limit.ts";
import type { LoopBudget } from "../loop_budget.ts";

export interface TcpClientLimits {
  /** Close after this long without a complete query, in ms (RFC 7766 §6.2.3). */
  readonly idleTimeout: number;
  /** Queries of one client that may be waiting, for an answer or for the client to read it, before no more are read. */
  readonly maxPipelined: number;
  readonly now: () => number;
}

export interface TcpSessionOptions extends TcpClientLimits {
  readonly answerer: Answerer;
  readonly turns: LoopBudget;
  /** With so many octets of answers that it has not read, a client is not read from. */
  readonly maxQueued: number;
}

/** What an idle client costs, in octets; a query seldom needs more. */
const READ_BUFFER = 512;
/** What a turn of replies begins with, in octets. */
const WRITE_BUFFER = 1024;
const NOTHING = new Uint8Array(0);
/** In ms: no answer takes so long, see --timeout. What has none by then has been lost by a defect, and keeps no place. */
const LONGEST_WAIT = 60_000;
/** How long the FIN of a client that has all its answers is waited for, in ms. */
const LINGER = 500;

/**
 * One client's TCP connection: pipelined queries are answered concurrently, in the order in which answers come
 * (RFC 7766 §6.2.1.1). A client that does not read its answers is not read from either.
 */
export class TcpSession implements ReplySink, EvictableConnection {
  /** Resolves when the connection has been closed. */
  readonly closed: Promise<void>;
  readonly #socket: Deno.TcpConn;
  readonly #client: Client;
  readonly #options: TcpSessionOptions;
  readonly #frames = new FrameReader(READ_BUFFER);
  readonly #settle: () => void;
  /** Replies, one behind the other, that are to be written next; how many they are, and their octets. */
  #gathered = NOTHING;
  #replies = 0;
  #length = 0;
  #resume: (() => void) | undefined;
  /** Queries read whose replies have not been written yet. */
  #pipelined = 0;
  /** Octets of replies that have not been written yet. */
  #queued = 0;
  #writing = false;
  /** No more queries come: the client said so, or we are stopping. */
  #ended = false;
  #isClosed = false;
  /** Its FIN has come: nothing is left to be read. */
  #clientEnded = false;
  #linger: ReturnType<typeof setTimeout> | undefined;
  /** When the last write began or went through, or the last complete query came while none was stuck. */
  #activeAt: number;
  #hasAsked = false;

  constructor(socket: Deno.TcpConn, client: Client, options: TcpSessionOptions) {
    this.#socket = socket;
    this.#client = client;
    this.#options = options;
    this.#activeAt = options.now();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#settle = resolve;
    void this.#read();
  }

  /** Reads no more, and closes when all that was asked has been answered. */
  finish(): Promise<void> {
    this.#ended = true;
    if (this.#pipelined === 0) this[Symbol.dispose]();
    return this.closed;
  }

  /** Closes if nothing complete has come, or a write has been stuck, for the idle timeout. */
  expire(now: number): void {
    if (this.idleFor(now) >= this.#options.idleTimeout) this[Symbol.dispose]();
  }

  idleFor(now: number): number {
    const idle = now - this.#activeAt;
    const waitsForUs = this.#pipelined > 0 && !this.#writing && idle < LONGEST_WAIT;
    return waitsForUs ? 0 : idle;
  }

  get isOfUse(): boolean {
    return this.#hasAsked && !this.#writing;
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#ended = true;
    this.#resume?.();
    clearTimeout(this.#linger);
    this.#socket.close();
    this.#settle();
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const octets = await this.#socket.read(this.#frames.space());
        if (octets === null) break;
        this.#options.turns.consume(1);
        if (!this.#ended) { // or else it has been read all the same: see #part
          this.#frames.advance(octets);
          for (let frame = this.#frames.take(); frame && !this.#ended; frame = this.#frames.take()) {
            if (this.#options.turns.isExhausted) await this.#options.turns.yieldToKernel();
            if (this.#isClosed) return;
            this.#take(frame);
            if (this.#isFull) await this.#room();
          }
        }
        if (this.#options.turns.isExhausted) await this.#options.turns.yieldToKernel();
      }
      this.#ended = true;
      this.#clientEnded = true;
      this.#closeIfDone();
    } catch {
      this[Symbol.dispose](); // reset by the client, or closed here
    }
  }

  get #isFull(): boolean {
    return this.#pipelined >= this.#options.maxPipelined || this.#queued >= this.#options.maxQueued;
  }

  #room(): Promise<void> {
    return new Promise((resolve) => this.#resume = resolve);
  }

  #take(frame: Uint8Array): void {
    this.#hasAsked = true;
    // Who asks and asks and does not read is as idle as who does nothing.
    if (!this.#writing) this.#activeAt = this.#options.now();
    this.#pipelined++;
    this.#options.turns.consume(1);
    this.#options.turns.spendBytes(frame.length);
    if (!this.#options.answerer.answer(frame, this.#client, this)) this.#options.turns.consumePending();
  }

  reply(frame: Uint8Array | undefined): void {
    if (this.#isClosed) return; // RFC 7766 §6.2.4: an answer goes nowhere but where its query came from
    if (!frame) return this.#written(1, 0);
    this.#gather(frame);
    this.#options.turns.spendBytes(frame.length);
    this.#queued += frame.length;
    if (this.#writing) return;
    this.#writing = true;
    this.#activeAt = this.#options.now(); // it has waited for us until now
    // A microtask later all replies of this turn have come together.
    queueMicrotask(() => void this.#write());
  }

  #gather(frame: Uint8Array): void {
    const length = this.#length + frame.length;
    if (length > this.#gathered.length) {
      const larger = new Uint8Array(Math.max(2 * length, WRITE_BUFFER));
      larger.set(this.#gathered.subarray(0, this.#length));
      this.#gathered = larger;
    }
    this.#gathered.set(frame, this.#length);
    this.#length = length;
    this.#replies++;
  }

  async #write(): Promise<void> {
    try {
      while (this.#replies > 0) {
        const [replies, gathered] = [this.#replies, this.#gathered.subarray(0, this.#length)];
        this.#replies = this.#length = 0;
        this.#gathered = NOTHING;
        for (let rest = gathered; rest.length > 0;) {
          rest = rest.subarray(await this.#socket.write(rest));
          this.#activeAt = this.#options.now();
        }
        this.#written(replies, gathered.length);
      }
      this.#writing = false;
      this.#closeIfDone();
    } catch {
      this[Symbol.dispose]();
    }
  }

  #written(replies: number, octets: number): void {
    this.#pipelined -= replies;
    this.#queued -= octets;
    if (this.#isFull) return;
    this.#resume?.();
    this.#resume = undefined;
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (!this.#ended || this.#pipelined > 0 || this.#writing) return;
    if (this.#clientEnded) this[Symbol.dispose]();
    else void this.#part();
  }

  /**
   * FIN, then the client's own is waited for. To close with octets unread would be a RST (RFC 2525 §2.17), which takes
   * along what is still on its way to the client.
   */
  async #part(): Promise<void> {
    if (this.#linger !== undefined) return;
    this.#linger = setTimeout(() => this[Symbol.dispose](), LINGER);
    try {
      await this.#socket.closeWrite();
    } catch {
      this[Symbol.dispose]();
    }
  }
}
