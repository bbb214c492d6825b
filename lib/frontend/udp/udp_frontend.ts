/** One UDP socket: receives datagrams, and sends the replies from the address that received the query. */

import { LENGTH_PREFIX_BYTES } from "../../dns/framing.ts";
import { MAX_MESSAGE_BYTES } from "../../dns/message.ts";
import type { Observe } from "../../core/event.ts";
import type { Client } from "../../core/resolver.ts";
import type { Answerer } from "../answer/answerer.ts";
import { BatchFrontend } from "./batch_frontend.ts";
import { isLinkLocal, OwnLink } from "./own_link.ts";
import { listenUdp, type Sharing } from "../../platform/reuse_port.ts";
import type { LoopBudget } from "../loop_budget.ts";
import { MmsgSocket } from "./mmsg.ts";
import type { Library } from "../../platform/libc.ts";

/** Concurrent receives, so that a burst is received in one turn of the event loop. With batches, one is enough. */
const RECEIVERS = 4;
/** Wait before the next receive after an error of the socket. */
const ERROR_PAUSE_MS = 10;

export interface FrontendOptions {
  readonly hostname: string;
  readonly port: number;
  /** Default: "alone". */
  readonly sharing?: Sharing;
  readonly answerer: Answerer;
  readonly loopBudget: LoopBudget;
  readonly observe: Observe;
}

export interface UdpFrontendOptions extends FrontendOptions {
  /** Receives and sends datagrams in batches; undefined to use Deno's calls, one datagram at a time. */
  readonly library: Library | undefined;
}

export class UdpFrontend {
  readonly address: Deno.NetAddr;
  readonly #socket: Deno.DatagramConn;
  readonly #answerer: Answerer;
  readonly #loopBudget: LoopBudget;
  readonly #observe: Observe;
  readonly #ownLink: OwnLink;
  readonly #batches: BatchFrontend | undefined;
  readonly #idle = Promise.withResolvers<void>();
  /** Queries outside batches that wait for a response. */
  #pending = 0;
  #isStopping = false;
  #isClosed = false;

  /** Throws the errors of `Deno.listenDatagram`. */
  constructor({ answerer, loopBudget, observe, library, ...port }: UdpFrontendOptions) {
    const { socket, address, descriptor } = listenUdp(port, library);
    this.#socket = socket;
    this.address = address;
    this.#ownLink = new OwnLink(address.hostname);
    this.#answerer = answerer;
    this.#loopBudget = loopBudget;
    this.#observe = observe;
    try {
      if (library && descriptor !== undefined) {
        const batch = new MmsgSocket(library, descriptor);
        const onIdle = () => this.#resolveIfIdle();
        this.#batches = new BatchFrontend(batch, answerer, loopBudget, this.#ownLink, onIdle);
      }
    } catch (error) {
      socket.close();
      throw error;
    }
    for (let i = 0; i < (this.#batches ? 1 : RECEIVERS); i++) void this.#receive();
  }

  /** Receives no more queries, replies to the pending ones, then closes. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#resolveIfIdle();
    await this.#idle.promise;
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#isStopping = true;
    this.#idle.resolve();
    if (this.#isClosed) return;
    this.#batches?.close();
    this.#isClosed = true; // from here on the descriptor may be that of another socket
    this.#socket.close();
  }

  async #receive(): Promise<void> {
    const buffer = new Uint8Array(MAX_MESSAGE_BYTES);
    while (!this.#isStopping) {
      try {
        const [datagram, from] = await this.#socket.receive(buffer);
        if (this.#isStopping) return;
        if (this.#batches) this.#batches.take(datagram, from as Deno.NetAddr);
        else this.#answer(datagram, from as Deno.NetAddr);
        if (this.#loopBudget.isExhausted) await this.#loopBudget.yieldToKernel();
      } catch (error) {
        if (this.#isStopping) return;
        this.#report(error);
        await new Promise((resolve) => setTimeout(resolve, ERROR_PAUSE_MS));
      }
    }
  }

  #answer(datagram: Uint8Array, from: Deno.NetAddr): void {
    const client: Client = { transport: "udp", address: from.hostname, port: from.port };
    let isPending = false;
    const reply = (frame: Uint8Array | undefined) => {
      if (frame && !this.#isClosed) this.#send(frame.slice(LENGTH_PREFIX_BYTES), from);
      if (isPending) this.#finishPending();
    };
    isPending = !this.#answerer.answer(datagram, client, { reply });
    this.#loopBudget.consume(1);
    this.#loopBudget.consumeBytes(datagram.length);
    if (!isPending) return;
    this.#loopBudget.consumePending();
    this.#pending++;
  }

  #finishPending(): void {
    this.#pending--;
    this.#resolveIfIdle();
  }

  #resolveIfIdle(): void {
    const pending = this.#pending + (this.#batches?.pending ?? 0);
    if (pending === 0 && this.#isStopping) this.#idle.resolve();
  }

  #send(reply: Uint8Array, from: Deno.NetAddr): void {
    const link = isLinkLocal(from.hostname) ? this.#ownLink.find() : undefined;
    const to = link ? { ...from, hostname: `${from.hostname}%${link.name}` } : from;
    this.#socket.send(reply, to).catch((error) => this.#report(error));
  }

  #report(error: unknown): void {
    if (this.#isStopping) return;
    const { hostname } = this.address;
    this.#observe({ kind: "socket error", transport: "udp", address: hostname, error });
  }
}
