import { LENGTH_PREFIX_BYTES } from "../../dns/framing.ts";
import type { Client } from "../../core/resolver.ts";
import type { Answerer, ReplySink } from "../answer/answerer.ts";
import { BumpBuffer } from "./bump_buffer.ts";
import { isLinkLocal, type OwnLink } from "./own_link.ts";
import type { Outcome } from "../answer/fast_path.ts";
import { composeSockaddr, sockaddrIpv4, sockaddrPort, sockaddrText } from "../../net/sockaddr.ts";
import type { LoopBudget } from "../loop_budget.ts";
import { BATCH, type MmsgSocket } from "./mmsg.ts";

/** IPv4 clients whose address is known as text already. */
const MAX_KNOWN = 4096;

/** What comes to one UDP socket many datagrams at a time, and the replies to it. */
export class BatchFrontend {
  readonly #batch: MmsgSocket;
  readonly #answerer: Answerer;
  readonly #loopBudget: LoopBudget;
  readonly #ownLink: OwnLink;
  readonly #onIdle: () => void;
  readonly #copies = new BumpBuffer();
  readonly #known = new Map<number, string>();
  /** Queries that wait for their replies. */
  #waiting = 0;
  #flushing = false;
  #closed = false;

  /** @param onIdle called when no query waits any more */
  constructor(
    batch: MmsgSocket,
    answerer: Answerer,
    loopBudget: LoopBudget,
    ownLink: OwnLink,
    onIdle: () => void,
  ) {
    this.#batch = batch;
    this.#ownLink = ownLink;
    this.#answerer = answerer;
    this.#loopBudget = loopBudget;
    this.#onIdle = onIdle;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** From now on nothing uses the socket. */
  close(): void {
    this.#closed = true;
  }

  /** The datagram that woke us, and as much of what has come in beside it as there is room for in this turn. */
  take(datagram: Uint8Array, { hostname, port }: Deno.NetAddr): void {
    const scope = isLinkLocal(hostname) ? this.#ownLink.find()?.index : undefined;
    this.#batch.put(datagram, composeSockaddr(hostname, port, scope));
    let count = this.#batch.receive(1);
    this.#answerAll(count);
    while (count === BATCH && !this.#loopBudget.isExhausted) {
      count = this.#batch.receive();
      this.#answerAll(count);
    }
  }

  #answerAll(count: number): void {
    const batch = this.#batch;
    const { fastPath: quick } = this.#answerer;
    this.#loopBudget.consume(count);
    quick?.begin();
    try {
      for (let i = 0; i < count; i++) {
        const outcome = quick ? quick.reply(batch, i) : "unread";
        if (outcome !== "replied") this.#answer(i, outcome);
      }
    } finally {
      batch.flush();
      quick?.end();
    }
  }

  /** A reply to one of a batch that is still there, or to somebody who has waited. */
  reply(frame: Uint8Array | undefined, asker: DatagramReplySink): void {
    if (frame && !this.#closed) this.#send(frame.subarray(LENGTH_PREFIX_BYTES), asker);
    if (asker.waits && --this.#waiting === 0) this.#onIdle();
  }

  #answer(i: number, outcome: Exclude<Outcome, "replied">): void {
    const batch = this.#batch;
    const sender = batch.sender(i);
    const client: Client = { transport: "udp", address: this.#addressOf(sender), port: sockaddrPort(sender) };
    const asker = new DatagramReplySink(this, sender);
    if (outcome !== "admitted" && outcome !== "unread") {
      return this.#answerer.deny(batch.datagram(i), client, { verdict: outcome, asker });
    }
    const datagram = batch.datagram(i);
    this.#loopBudget.consumeBytes(datagram.length);
    if (this.#answerer.answer(datagram, client, asker, outcome === "admitted")) return;
    // The next batch overwrites this one.
    asker.to = this.#copies.copy(sender, 0, sender.length);
    this.#await(asker);
  }

  #await(asker: DatagramReplySink): void {
    asker.waits = true;
    this.#waiting++;
    this.#loopBudget.consumePending();
  }

  /** Replies that come together go together. */
  #send(reply: Uint8Array, { to, waits }: DatagramReplySink): void {
    this.#batch.send(reply, to);
    if (!waits || this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      if (!this.#closed) this.#batch.flush();
    });
  }

  #addressOf(sender: Uint8Array): string {
    const key = sockaddrIpv4(sender);
    if (key === undefined) return sockaddrText(sender);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size === MAX_KNOWN) this.#known.clear();
    const text = sockaddrText(sender);
    this.#known.set(key, text);
    return text;
  }
}

/** The way back to the sender of a datagram. */
class DatagramReplySink implements ReplySink {
  /** His socket address; where he waits, a copy. */
  to: Uint8Array;
  waits = false;
  readonly #batches: BatchFrontend;

  constructor(batches: BatchFrontend, to: Uint8Array) {
    this.#batches = batches;
    this.to = to;
  }

  reply(frame: Uint8Array | undefined): void {
    this.#batches.reply(frame, this);
  }
}
