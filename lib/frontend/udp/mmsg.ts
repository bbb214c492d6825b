import type { IpAddress } from "../../net/ip_address.ts";
import { readSockaddr, SOCKADDR_BYTES, sockaddrLength } from "../../net/sockaddr.ts";
import { addressOf, type Library, SOL_SOCKET } from "../../platform/libc.ts";

/**
 * Many datagrams with one system call, on Linux: recvmmsg(2) and sendmmsg(2) on a socket that Deno has opened and watches.
 *
 * This is the one file that hands memory to C. What keeps it safe: the buffers are made once, never resized, and held by
 * the object whose methods pass them on (one that had been collected would be written to all the same); each message has
 * a slot of fixed size, which the kernel is told; lengths that come back are cut to the slot; and calls do not block, so
 * that nothing is written behind JavaScript's back.
 */

/** Datagrams per call. */
export const BATCH = 64;
/** Octets of a datagram: a longer query arrives cut off and is malformed; a reply is no longer, by --max-udp-size. */
const SLOT = 4096;
/** Octets of a sender's address, and words. */
const NAME = SOCKADDR_BYTES;
const NAME_WORDS = NAME / 4;

/** struct mmsghdr on 64-bit Linux: msg_name, msg_namelen, msg_iov, msg_iovlen, msg_control…, msg_flags, msg_len. */
const HEADER = 64;
const NAME_POINTER = 0;
const NAME_LENGTH = 8;
const IOV_POINTER = 16;
const IOV_COUNT = 24;
const LENGTH = 56;

const MSG_DONTWAIT = 0x40;

/** Messages as the kernel wants them: one slot of octets and one of address each. */
class Slots {
  readonly octets = new Uint8Array(BATCH * SLOT);
  readonly names = new Uint8Array(BATCH * NAME);
  readonly nameWords = new Uint32Array(this.names.buffer);
  readonly headers = new Uint8Array(BATCH * HEADER);
  /** The same from the first message on, or the second. */
  readonly headersFrom = [this.headers, this.headers.subarray(HEADER)] as const;
  readonly words = new Uint32Array(this.headers.buffer);
  /** struct iovec: address and length, of which the lower half is enough. */
  readonly vectors = new BigUint64Array(BATCH * 2);
  readonly vectorWords = new Uint32Array(this.vectors.buffer);

  constructor(library: Library) {
    const view = new DataView(this.headers.buffer);
    const octets = addressOf(library, this.octets);
    const names = addressOf(library, this.names);
    const vectors = addressOf(library, this.vectors);
    for (let i = 0; i < BATCH; i++) {
      this.vectors[2 * i] = octets + BigInt(i * SLOT);
      this.vectors[2 * i + 1] = BigInt(SLOT);
      const at = i * HEADER;
      view.setBigUint64(at + NAME_POINTER, names + BigInt(i * NAME), true);
      view.setUint32(at + NAME_LENGTH, NAME, true);
      view.setBigUint64(at + IOV_POINTER, vectors + BigInt(i * 16), true);
      view.setBigUint64(at + IOV_COUNT, 1n, true);
    }
  }
}

/** Receives and sends on one socket, which must outlive it: a descriptor may be another's once it is closed. */
export class MmsgSocket {
  readonly #library: Library;
  readonly #fd: number;
  readonly #in: Slots;
  readonly #out: Slots;
  #count = 0;

  /** @param descriptor that of a UDP socket, see `findDescriptor` */
  constructor(library: Library, descriptor: number) {
    this.#library = library;
    this.#fd = descriptor;
    library.symbols.setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER, 4);
    this.#in = new Slots(library);
    this.#out = new Slots(library);
  }

  /** Makes a datagram that has come by itself, up to `SLOT` octets of it, the first of the batch. */
  put(datagram: Uint8Array, sender: Uint8Array): void {
    const { octets, names, words } = this.#in;
    octets.set(datagram.subarray(0, SLOT));
    names.set(sender);
    words[LENGTH / 4] = datagram.length;
  }

  /** Takes what waits at the socket, behind the one that was `put` there; how many there are, until the next call. */
  receive(put: 0 | 1 = 0): number {
    const { headersFrom, words } = this.#in;
    for (let i = put; i < BATCH; i++) words[(i * HEADER + NAME_LENGTH) / 4] = NAME;
    const count = this.#library.symbols.recvmmsg(this.#fd, headersFrom[put], BATCH - put, MSG_DONTWAIT, null);
    return put + Math.max(count, 0);
  }

  /** The buffer that the datagrams are in. */
  get received(): Uint8Array {
    return this.#in.octets;
  }

  /** Offset of a datagram there. */
  start(i: number): number {
    return i * SLOT;
  }

  /** Octets of a datagram. */
  length(i: number): number {
    return Math.min(this.#in.words[(i * HEADER + LENGTH) / 4]!, SLOT);
  }

  /** A datagram, in place. */
  datagram(i: number): Uint8Array {
    return this.#in.octets.subarray(i * SLOT, i * SLOT + this.length(i));
  }

  /** The sender's socket address, in place. */
  sender(i: number): Uint8Array {
    return this.#in.names.subarray(i * NAME, (i + 1) * NAME);
  }

  /** Reads the sender's IP address into `words`. */
  readClient(i: number, words: IpAddress): IpAddress {
    return readSockaddr(this.#in.names, i * NAME, words);
  }

  /** The buffer for replies. */
  get outgoing(): Uint8Array {
    return this.#out.octets;
  }

  /** Offset there of room for the next reply, of `SLOT` octets. */
  get nextStart(): number {
    return this.#count * SLOT;
  }

  /** Sends the reply that has been written to `nextStart` to the sender of a datagram, with the others of its turn. */
  reply(i: number, length: number): void {
    const to = this.#out.nameWords;
    const from = this.#in.nameWords;
    for (let word = 0; word < NAME_WORDS; word++) {
      to[this.#count * NAME_WORDS + word] = from[i * NAME_WORDS + word]!;
    }
    this.#queue(length);
  }

  /** Sends a reply of `SLOT` octets at most to an address that `sender` gave, with the others of its turn. */
  send(reply: Uint8Array, to: Uint8Array): void {
    this.#out.octets.set(reply, this.#count * SLOT);
    this.#out.names.set(to, this.#count * NAME);
    this.#queue(reply.length);
  }

  /** Hands over all replies to the kernel; one that it does not take is lost, as datagrams can be. */
  flush(): void {
    const { headers } = this.#out;
    const count = this.#count;
    this.#count = 0;
    for (let sent = 0; sent < count;) {
      const rest = sent === 0 ? headers : headers.subarray(sent * HEADER);
      const taken = this.#library.symbols.sendmmsg(this.#fd, rest, count - sent, MSG_DONTWAIT);
      sent += Math.max(taken, 1); // it stops at one that cannot be sent: the others may still go
    }
  }

  #queue(length: number): void {
    const { names, words, vectorWords } = this.#out;
    words[(this.#count * HEADER + NAME_LENGTH) / 4] = sockaddrLength(names, this.#count * NAME);
    vectorWords[4 * this.#count + 2] = length;
    if (++this.#count === BATCH) this.flush();
  }
}

const SO_RCVBUF = 8;
/**
 * 4 MiB, or as much of it as net.core.rmem_max allows. The usual 208 KiB are full with 277 small datagrams: in a flood
 * that is less than three milliseconds, and what comes while they are full is lost, whoever sent it.
 */
const RECEIVE_BUFFER = new Uint8Array(Uint32Array.of(4 << 20).buffer);
