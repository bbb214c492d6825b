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

/** Receives outstanding at once, so that a burst is taken in one turn of the event loop; a batch does that by itself. */
const RECEIVERS = 4;

export interface FrontendOptions {
  readonly hostname: string;
  readonly port: number;
  /** "alone" unless told. */
  readonly sharing?: Sharing;
  readonly answerer: Answerer;
  readonly loopBudget: LoopBudget;
  readonly observe: Observe;
}

export interface UdpFrontendOptions extends FrontendOptions {
  /** What hands over many datagrams at a time; undefined where they go one by one. */
  readonly library: Library | undefined;
}

/** One UDP socket: datagrams in, answers out, from the address that was asked. */
export class UdpFrontend {
  readonly address: Deno.NetAddr;
  readonly #socket: Deno.DatagramConn;
  readonly #answerer: Answerer;
  readonly #loopBudget: LoopBudget;
  readonly #observe: Observe;
  readonly #ownLink: OwnLink;
  readonly #batches: BatchFrontend | undefined;
  readonly #idle = Promise.withResolvers<void>();
  #waiting = 0;
  #stopping = false;
  #closed = false;

  /** Throws what `Deno.listenDatagram` throws. */
  constructor({ answerer, loopBudget, observe, library, ...place }: UdpFrontendOptions) {
    const { socket, address, descriptor } = listenUdp(place, library);
    this.#socket = socket;
    this.address = address;
    this.#ownLink = new OwnLink(address.hostname);
    this.#answerer = answerer;
    this.#loopBudget = loopBudget;
    this.#observe = observe;
    try {
      if (library && descriptor !== undefined) {
        const batch = new MmsgSocket(library, descriptor);
        this.#batches = new BatchFrontend(
          batch,
          answerer,
          loopBudget,
          this.#ownLink,
          () => this.#resolveIfIdle(),
        );
      }
    } catch (error) {
      socket.close();
      throw error;
    }
    for (let i = 0; i < (this.#batches ? 1 : RECEIVERS); i++) void this.#receive();
  }

  /** Answers what has been asked, then closes. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#resolveIfIdle();
    await this.#idle.promise;
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#stopping = true;
    this.#idle.resolve();
    if (this.#closed) return;
    this.#batches?.close();
    this.#closed = true; // and its descriptor may be another's: nothing may use it any more
    this.#socket.close();
  }

  async #receive(): Promise<void> {
    const buffer = new Uint8Array(MAX_MESSAGE_BYTES);
    while (!this.#stopping) {
      try {
        const [datagram, from] = await this.#socket.receive(buffer);
        if (this.#stopping) return;
        if (this.#batches) this.#batches.take(datagram, from as Deno.NetAddr);
        else this.#take(datagram, from as Deno.NetAddr);
        if (this.#loopBudget.isExhausted) await this.#loopBudget.yieldToKernel();
      } catch (error) {
        if (this.#stopping) return;
        this.#trouble(error);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }

  #take(datagram: Uint8Array, from: Deno.NetAddr): void {
    const client: Client = { transport: "udp", address: from.hostname, port: from.port };
    let waits = false;
    const reply = (frame: Uint8Array | undefined) => {
      if (frame && !this.#closed) this.#send(frame.slice(LENGTH_PREFIX_BYTES), from);
      if (waits) this.#settle();
    };
    waits = !this.#answerer.answer(datagram, client, { reply });
    this.#loopBudget.consume(1);
    this.#loopBudget.consumeBytes(datagram.length);
    if (!waits) return;
    this.#loopBudget.consumePending();
    this.#waiting++;
  }

  #settle(): void {
    this.#waiting--;
    this.#resolveIfIdle();
  }

  #resolveIfIdle(): void {
    const waiting = this.#waiting + (this.#batches?.waiting ?? 0);
    if (waiting === 0 && this.#stopping) this.#idle.resolve();
  }

  #send(reply: Uint8Array, from: Deno.NetAddr): void {
    const link = isLinkLocal(from.hostname) ? this.#ownLink.find() : undefined;
    const to = link ? { ...from, hostname: `${from.hostname}%${link.name}` } : from;
    this.#socket.send(reply, to).catch((error) => this.#trouble(error));
  }

  #trouble(error: unknown): void {
    if (this.#stopping) return;
    const { hostname } = this.address;
    this.#observe({ kind: "socket error", transport: "udp", address: hostname, error });
  }
}
