/** Receives many datagrams at a time on one UDP socket, and sends their replies in batches. */

import { LENGTH_PREFIX_BYTES } from "../../dns/framing.ts";
import type { Client } from "../../core/resolver.ts";
import type { Answerer, ReplySink } from "../answer/answerer.ts";
import { BumpBuffer } from "./bump_buffer.ts";
import { isLinkLocal, type OwnLink } from "./own_link.ts";
import type { Declined } from "../answer/fast_path.ts";
import { composeSockaddr, sockaddrIpv4, sockaddrPort, sockaddrText } from "../../net/sockaddr.ts";
import type { LoopBudget } from "../loop_budget.ts";
import { BATCH, type MmsgSocket } from "./mmsg.ts";

/** Maximum of IPv4 addresses whose text is remembered. */
const MAX_ADDRESS_TEXTS = 4096;

export class BatchFrontend {
  readonly #socket: MmsgSocket;
  readonly #answerer: Answerer;
  readonly #loopBudget: LoopBudget;
  readonly #ownLink: OwnLink;
  readonly #onIdle: () => void;
  readonly #senderCopies = new BumpBuffer();
  readonly #addressTexts = new Map<number, string>();
  /** Queries that wait for a response. */
  #pending = 0;
  #isFlushScheduled = false;
  #isClosed = false;

  /** @param onIdle called when the last pending query has its reply */
  constructor(
    socket: MmsgSocket,
    answerer: Answerer,
    loopBudget: LoopBudget,
    ownLink: OwnLink,
    onIdle: () => void,
  ) {
    this.#socket = socket;
    this.#ownLink = ownLink;
    this.#answerer = answerer;
    this.#loopBudget = loopBudget;
    this.#onIdle = onIdle;
  }

  get pending(): number {
    return this.#pending;
  }

  /** Stops all use of the socket. */
  close(): void {
    this.#isClosed = true;
  }

  /** Answers the datagram that Deno received, and as many others at the socket as the loop budget allows. */
  take(datagram: Uint8Array, { hostname, port }: Deno.NetAddr): void {
    const scope = isLinkLocal(hostname) ? this.#ownLink.find()?.index : undefined;
    this.#socket.put(datagram, composeSockaddr(hostname, port, scope));
    let count = this.#socket.receive(1);
    this.#answerAll(count);
    while (count === BATCH && !this.#loopBudget.isExhausted) {
      count = this.#socket.receive();
      this.#answerAll(count);
    }
  }

  #answerAll(count: number): void {
    const { fastPath } = this.#answerer;
    this.#loopBudget.consume(count);
    try {
      if (fastPath) fastPath.answerBatch(this.#socket, count, this.#answer);
      else for (let i = 0; i < count; i++) this.#answer(i, "unchecked");
    } finally {
      this.#socket.flush();
    }
  }

  /** Sends the reply to a datagram of the current batch, or to a pending query. */
  reply(frame: Uint8Array | undefined, sink: DatagramReplySink): void {
    if (frame && !this.#isClosed) this.#send(frame.subarray(LENGTH_PREFIX_BYTES), sink);
    if (sink.isPending && --this.#pending === 0) this.#onIdle();
  }

  readonly #answer = (i: number, reason: Declined): void => {
    const sender = this.#socket.sender(i);
    const client: Client = { transport: "udp", address: this.#addressOf(sender), port: sockaddrPort(sender) };
    const sink = new DatagramReplySink(this, sender);
    const datagram = this.#socket.datagram(i);
    if (reason !== "admitted" && reason !== "unchecked") {
      return this.#answerer.deny(datagram, client, { verdict: reason, sink });
    }
    this.#loopBudget.consumeBytes(datagram.length);
    if (this.#answerer.answer(datagram, client, sink, reason === "admitted")) return;
    sink.isPending = true;
    // The next batch overwrites this one.
    sink.to = this.#senderCopies.copy(sender, 0, sender.length);
    this.#pending++;
    this.#loopBudget.consumePending();
  };

  /** Replies of one turn to pending queries are sent together. */
  #send(reply: Uint8Array, { to, isPending }: DatagramReplySink): void {
    this.#socket.send(reply, to);
    if (!isPending || this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    queueMicrotask(() => {
      this.#isFlushScheduled = false;
      if (!this.#isClosed) this.#socket.flush();
    });
  }

  #addressOf(sender: Uint8Array): string {
    const key = sockaddrIpv4(sender);
    if (key === undefined) return sockaddrText(sender);
    const remembered = this.#addressTexts.get(key);
    if (remembered !== undefined) return remembered;
    if (this.#addressTexts.size === MAX_ADDRESS_TEXTS) this.#addressTexts.clear();
    const text = sockaddrText(sender);
    this.#addressTexts.set(key, text);
    return text;
  }
}

/** Replies to the sender of one datagram. */
class DatagramReplySink implements ReplySink {
  /** The sender's socket address: in the batch, or a copy if the query is pending. */
  to: Uint8Array;
  isPending = false;
  readonly #frontend: BatchFrontend;

  constructor(frontend: BatchFrontend, to: Uint8Array) {
    this.#frontend = frontend;
    this.to = to;
  }

  reply(frame: Uint8Array | undefined): void {
    this.#frontend.reply(frame, this);
  }
}
