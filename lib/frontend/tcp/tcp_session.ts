/**
 * One client's TCP connection. Pipelined queries are answered concurrently; replies leave in the order in which they
 * are ready (RFC 7766 §6.2.1.1). The session stops reading from a client that does not read its replies.
 */

import { FrameReader } from "../../dns/framing.ts";
import type { Client } from "../../core/resolver.ts";
import type { Answerer, ReplySink } from "../answer/answerer.ts";
import type { EvictableConnection } from "./connection_limit.ts";
import type { LoopBudget } from "../loop_budget.ts";

export interface TcpClientLimits {
  /** Close after this time without a complete query (RFC 7766 §6.2.3). */
  readonly idleTimeoutMs: number;
  /** Maximum of queries of one client whose replies have not been written. At the maximum no more are read. */
  readonly maxPipelined: number;
  readonly now: () => number;
}

export interface TcpSessionOptions extends TcpClientLimits {
  readonly answerer: Answerer;
  readonly loopBudget: LoopBudget;
  /** With this many bytes of replies unread by the client, no more queries are read. */
  readonly maxUnreadBytes: number;
}

/** Size of the buffer that each idle client costs. A query is seldom longer. */
const READ_BUFFER_BYTES = 512;
/** Initial size of the buffer that gathers replies. */
const WRITE_BUFFER_BYTES = 1024;
const NO_BYTES = new Uint8Array(0);
/** No reply takes this long (see `--timeout`). After it, a query without a reply no longer keeps its session open. */
const MAX_WAIT_MS = 60_000;
/** Time to wait for the client's FIN after its last reply. */
const LINGER_MS = 500;

export class TcpSession implements ReplySink, EvictableConnection {
  /** Resolves when the connection has been closed. */
  readonly closed: Promise<void>;
  readonly #socket: Deno.TcpConn;
  readonly #client: Client;
  readonly #options: TcpSessionOptions;
  readonly #frames = new FrameReader(READ_BUFFER_BYTES);
  readonly #resolveClosed: () => void;
  /** Replies for the next write, one after the other, with their number and total length. */
  #gathered = NO_BYTES;
  #gatheredReplies = 0;
  #gatheredLength = 0;
  /** Continues `#read`, which waits until the session is no longer full. */
  #resumeReading: (() => void) | undefined;
  /** Queries that were read and whose replies have not been written. */
  #pipelined = 0;
  /** Bytes of replies that have not been written. */
  #unwrittenBytes = 0;
  #isWriting = false;
  /** No more queries are accepted: the client sent a FIN, or the front end stops. */
  #isFinishing = false;
  #isClosed = false;
  /** The client sent a FIN: there is nothing left to read. */
  #hasClientFinished = false;
  #lingerTimer: ReturnType<typeof setTimeout> | undefined;
  /** When the last write started or progressed, or the last complete query arrived while no write was stuck. */
  #activeAt: number;
  #hasAsked = false;

  /** Takes over the socket. `start` begins to read. */
  constructor(socket: Deno.TcpConn, client: Client, options: TcpSessionOptions) {
    this.#socket = socket;
    this.#client = client;
    this.#options = options;
    this.#activeAt = options.now();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#resolveClosed = resolve;
  }

  start(): void {
    void this.#read();
  }

  /** Accepts no more queries, and closes when all replies have been written. */
  finish(): Promise<void> {
    this.#isFinishing = true;
    if (this.#pipelined === 0) this[Symbol.dispose]();
    return this.closed;
  }

  /** Closes if no query was completed, or a write was stuck, for the idle timeout. */
  expire(now: number): void {
    if (this.idleMs(now) >= this.#options.idleTimeoutMs) this[Symbol.dispose]();
  }

  idleMs(now: number): number {
    const idleMs = now - this.#activeAt;
    const waitsForReply = this.#pipelined > 0 && !this.#isWriting && idleMs < MAX_WAIT_MS;
    return waitsForReply ? 0 : idleMs;
  }

  get isUseful(): boolean {
    return this.#hasAsked && !this.#isWriting;
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isFinishing = true;
    this.#resumeReading?.();
    clearTimeout(this.#lingerTimer);
    this.#socket.close();
    this.#resolveClosed();
  }

  async #read(): Promise<void> {
    const { loopBudget } = this.#options;
    try {
      for (;;) {
        const length = await this.#socket.read(this.#frames.space());
        if (length === null) break;
        loopBudget.consume(1);
        if (!this.#isFinishing) { // otherwise the bytes are only drained: see #closeGracefully
          this.#frames.advance(length);
          for (let frame = this.#frames.take(); frame && !this.#isFinishing; frame = this.#frames.take()) {
            if (loopBudget.isExhausted) await loopBudget.yieldToKernel();
            if (this.#isClosed) return;
            this.#answer(frame);
            if (this.#isFull) await this.#waitForRoom();
          }
        }
        if (loopBudget.isExhausted) await loopBudget.yieldToKernel();
      }
      this.#isFinishing = true;
      this.#hasClientFinished = true;
      this.#closeIfDone();
    } catch {
      this[Symbol.dispose](); // reset by the client, or closed here
    }
  }

  get #isFull(): boolean {
    const { maxPipelined, maxUnreadBytes } = this.#options;
    return this.#pipelined >= maxPipelined || this.#unwrittenBytes >= maxUnreadBytes;
  }

  #waitForRoom(): Promise<void> {
    return new Promise((resolve) => this.#resumeReading = resolve);
  }

  #answer(frame: Uint8Array): void {
    const { answerer, loopBudget, now } = this.#options;
    this.#hasAsked = true;
    // A client that sends queries and never reads replies counts as idle.
    if (!this.#isWriting) this.#activeAt = now();
    this.#pipelined++;
    loopBudget.consume(1);
    loopBudget.consumeBytes(frame.length);
    if (!answerer.answer(frame, this.#client, this)) loopBudget.consumePending();
  }

  reply(frame: Uint8Array | undefined): void {
    if (this.#isClosed) return; // RFC 7766 §6.2.4: a reply goes only to the connection of its query
    if (!frame) return this.#finishReplies(1, 0);
    this.#gather(frame);
    this.#options.loopBudget.consumeBytes(frame.length);
    this.#unwrittenBytes += frame.length;
    if (this.#isWriting) return;
    this.#isWriting = true;
    this.#activeAt = this.#options.now(); // until now the client waited for us
    // One microtask later, all replies of this turn have been gathered.
    queueMicrotask(() => void this.#write());
  }

  #gather(frame: Uint8Array): void {
    const length = this.#gatheredLength + frame.length;
    if (length > this.#gathered.length) {
      const larger = new Uint8Array(Math.max(2 * length, WRITE_BUFFER_BYTES));
      larger.set(this.#gathered.subarray(0, this.#gatheredLength));
      this.#gathered = larger;
    }
    this.#gathered.set(frame, this.#gatheredLength);
    this.#gatheredLength = length;
    this.#gatheredReplies++;
  }

  async #write(): Promise<void> {
    try {
      while (this.#gatheredReplies > 0) {
        const replies = this.#gatheredReplies;
        const bytes = this.#gathered.subarray(0, this.#gatheredLength);
        this.#gatheredReplies = this.#gatheredLength = 0;
        this.#gathered = NO_BYTES;
        for (let rest = bytes; rest.length > 0;) {
          rest = rest.subarray(await this.#socket.write(rest));
          this.#activeAt = this.#options.now();
        }
        this.#finishReplies(replies, bytes.length);
      }
      this.#isWriting = false;
      this.#closeIfDone();
    } catch {
      this[Symbol.dispose]();
    }
  }

  #finishReplies(replies: number, bytes: number): void {
    this.#pipelined -= replies;
    this.#unwrittenBytes -= bytes;
    if (this.#isFull) return;
    this.#resumeReading?.();
    this.#resumeReading = undefined;
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (!this.#isFinishing || this.#pipelined > 0 || this.#isWriting) return;
    if (this.#hasClientFinished) this[Symbol.dispose]();
    else void this.#closeGracefully();
  }

  /**
   * Sends a FIN and waits for that of the client. Closing a socket with unread bytes sends a RST (RFC 2525 §2.17), which
   * discards replies that are still on their way to the client.
   */
  async #closeGracefully(): Promise<void> {
    if (this.#lingerTimer !== undefined) return;
    this.#lingerTimer = setTimeout(() => this[Symbol.dispose](), LINGER_MS);
    try {
      await this.#socket.closeWrite();
    } catch {
      this[Symbol.dispose]();
    }
  }
}
