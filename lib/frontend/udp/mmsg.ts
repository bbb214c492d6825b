/**
 * Many datagrams per system call, on Linux: recvmmsg(2) and sendmmsg(2) on a socket that Deno has opened and polls.
 *
 * This is the only file that passes memory to C. Its safety rests on five rules:
 * - The buffers are allocated once and never resized.
 * - The object whose methods pass the buffers to C references them. C would write to a collected buffer as well.
 * - Each message has a slot of fixed size, and the kernel knows the size.
 * - Lengths from the kernel are cut to the slot; slot numbers and lengths from callers are asserted.
 * - Calls do not block, so C writes nothing after a call has returned.
 */

import { assert } from "../../core/assert.ts";
import type { IpAddress } from "../../net/ip_address.ts";
import { readSockaddr, SOCKADDR_BYTES, sockaddrLength } from "../../net/sockaddr.ts";
import { addressOf, type Library, SOL_SOCKET } from "../../platform/libc.ts";

/** Datagrams per call. */
export const BATCH = 64;
/**
 * Bytes per datagram. A longer query is cut off and therefore malformed. Replies are never longer, because of the
 * maximum of `--max-udp-size`.
 */
const SLOT = 4096;
/** Size of a socket address, in bytes and in words. */
const NAME = SOCKADDR_BYTES;
const NAME_WORDS = NAME / 4;

/** struct mmsghdr on 64-bit Linux: msg_name, msg_namelen, msg_iov, msg_iovlen, msg_control…, msg_flags, msg_len. */
const MMSGHDR = 64;
const NAME_POINTER = 0;
const NAME_LENGTH = 8;
const IOV_POINTER = 16;
const IOV_COUNT = 24;
const LENGTH = 56;

const MSG_DONTWAIT = 0x40;
const SO_RCVBUF = 8;
/**
 * 4 MiB, or as much as net.core.rmem_max allows. The usual 208 KiB hold 277 small datagrams, which a flood sends in less
 * than three milliseconds. Datagrams that arrive at a full buffer are lost, also those of other clients.
 */
const RECEIVE_BUFFER = new Uint8Array(Uint32Array.of(4 << 20).buffer);

/** Messages in the kernel's layout: each has one slot for its bytes and one for its address. */
class Slots {
  readonly bytes = new Uint8Array(BATCH * SLOT);
  readonly names = new Uint8Array(BATCH * NAME);
  readonly nameWords = new Uint32Array(this.names.buffer);
  readonly headers = new Uint8Array(BATCH * MMSGHDR);
  /** The headers from the first message on, and from the second message on. */
  readonly headersFrom = [this.headers, this.headers.subarray(MMSGHDR)] as const;
  readonly words = new Uint32Array(this.headers.buffer);
  /** struct iovec: address and length. The lower half of a length is enough. */
  readonly vectors = new BigUint64Array(BATCH * 2);
  readonly vectorWords = new Uint32Array(this.vectors.buffer);

  constructor(library: Library) {
    const view = new DataView(this.headers.buffer);
    const bytes = addressOf(library, this.bytes);
    const names = addressOf(library, this.names);
    const vectors = addressOf(library, this.vectors);
    for (let i = 0; i < BATCH; i++) {
      this.vectors[2 * i] = bytes + BigInt(i * SLOT);
      this.vectors[2 * i + 1] = BigInt(SLOT);
      const at = i * MMSGHDR;
      view.setBigUint64(at + NAME_POINTER, names + BigInt(i * NAME), true);
      view.setUint32(at + NAME_LENGTH, NAME, true);
      view.setBigUint64(at + IOV_POINTER, vectors + BigInt(i * 16), true);
      view.setBigUint64(at + IOV_COUNT, 1n, true);
    }
  }
}

/** Receives and sends on one socket, which must outlive it: a closed descriptor may be reused for another socket. */
export class MmsgSocket {
  readonly #library: Library;
  readonly #descriptor: number;
  readonly #in: Slots;
  readonly #out: Slots;
  /** Datagrams of the current batch. */
  #received = 0;
  /** Replies that wait for `flush`; always fewer than `BATCH`. */
  #queued = 0;

  /** @param descriptor of a UDP socket, see `findDescriptor` */
  constructor(library: Library, descriptor: number) {
    this.#library = library;
    this.#descriptor = descriptor;
    library.symbols.setsockopt(this.#descriptor, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER, 4);
    this.#in = new Slots(library);
    this.#out = new Slots(library);
  }

  /** Makes a datagram that Deno received the first of the next batch, up to `SLOT` bytes of it. */
  put(datagram: Uint8Array, sender: Uint8Array): void {
    assert(sender.length === NAME, "a socket address fills its slot");
    const { bytes, names, words } = this.#in;
    bytes.set(datagram.subarray(0, SLOT));
    names.set(sender);
    words[LENGTH / 4] = datagram.length;
  }

  /**
   * Receives a batch, which stays valid until the next call, and returns the number of its datagrams.
   *
   * @param put 1 to keep the datagram of `put` as the first
   */
  receive(put: 0 | 1 = 0): number {
    const { headersFrom, words } = this.#in;
    for (let i = put; i < BATCH; i++) words[(i * MMSGHDR + NAME_LENGTH) / 4] = NAME;
    const { recvmmsg } = this.#library.symbols;
    const count = recvmmsg(this.#descriptor, headersFrom[put], BATCH - put, MSG_DONTWAIT, null);
    return this.#received = put + Math.max(count, 0);
  }

  /** The buffer with all datagrams of the batch. */
  get incoming(): Uint8Array {
    return this.#in.bytes;
  }

  /** Offset of a datagram in `incoming`. */
  start(i: number): number {
    return i * SLOT;
  }

  /** Length of a datagram, in bytes. */
  length(i: number): number {
    assert(i < this.#received, "the datagram is in the batch");
    return Math.min(this.#in.words[(i * MMSGHDR + LENGTH) / 4]!, SLOT);
  }

  /** A view of a datagram in place. */
  datagram(i: number): Uint8Array {
    return this.#in.bytes.subarray(i * SLOT, i * SLOT + this.length(i));
  }

  /** A view of the sender's socket address in place. */
  sender(i: number): Uint8Array {
    assert(i < this.#received, "the sender is in the batch");
    return this.#in.names.subarray(i * NAME, (i + 1) * NAME);
  }

  /** Reads the sender's IP address into `into`. */
  readClient(i: number, into: IpAddress): IpAddress {
    return readSockaddr(this.#in.names, i * NAME, into);
  }

  /** The buffer for replies. */
  get outgoing(): Uint8Array {
    return this.#out.bytes;
  }

  /** Offset in `outgoing` of the free slot for the next reply. */
  get nextStart(): number {
    return this.#queued * SLOT;
  }

  /** Queues the reply that was written at `nextStart`, for the sender of a datagram. */
  reply(i: number, length: number): void {
    assert(i < this.#received, "the reply is for a datagram of the batch");
    const to = this.#out.nameWords;
    const from = this.#in.nameWords;
    for (let word = 0; word < NAME_WORDS; word++) {
      to[this.#queued * NAME_WORDS + word] = from[i * NAME_WORDS + word]!;
    }
    this.#queue(length);
  }

  /** Queues a reply for an address that `sender` returned. */
  send(reply: Uint8Array, to: Uint8Array): void {
    assert(reply.length <= SLOT && to.length === NAME, "a reply and its address fit into their slots");
    this.#out.bytes.set(reply, this.#queued * SLOT);
    this.#out.names.set(to, this.#queued * NAME);
    this.#queue(reply.length);
  }

  /** Passes all queued replies to the kernel. A reply that the kernel rejects is lost, as datagrams can be. */
  flush(): void {
    const { headers } = this.#out;
    const count = this.#queued;
    this.#queued = 0;
    for (let sent = 0; sent < count;) {
      const rest = sent === 0 ? headers : headers.subarray(sent * MMSGHDR);
      const taken = this.#library.symbols.sendmmsg(this.#descriptor, rest, count - sent, MSG_DONTWAIT);
      sent += Math.max(taken, 1); // sendmmsg stops at a message that it cannot send; skip that one
    }
  }

  #queue(length: number): void {
    assert(length <= SLOT, "a reply fits into its slot");
    const { names, words, vectorWords } = this.#out;
    words[(this.#queued * MMSGHDR + NAME_LENGTH) / 4] = sockaddrLength(names, this.#queued * NAME);
    vectorWords[4 * this.#queued + 2] = length;
    if (++this.#queued === BATCH) this.flush();
  }
}
