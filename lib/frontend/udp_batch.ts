import { lengthOf, portOf, SOCKET_ADDRESS, textOf } from "./socket_address.ts";

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
/** Octets of a sender's address. */
const NAME = SOCKET_ADDRESS;

/** struct mmsghdr on 64-bit Linux: msg_name, msg_namelen, msg_iov, msg_iovlen, msg_control…, msg_flags, msg_len. */
const HEADER = 64;
const NAME_POINTER = 0;
const NAME_LENGTH = 8;
const IOV_POINTER = 16;
const IOV_COUNT = 24;
const LENGTH = 56;

const MSG_DONTWAIT = 0x40;

const SYMBOLS = {
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

type Library = Deno.DynamicLibrary<typeof SYMBOLS>;

/** Messages as the kernel wants them: one slot of octets and one of address each. */
class Slots {
  readonly octets = new Uint8Array(BATCH * SLOT);
  readonly names = new Uint8Array(BATCH * NAME);
  readonly headers = new Uint8Array(BATCH * HEADER);
  readonly words = new Uint32Array(this.headers.buffer);
  /** struct iovec: address and length, of which the lower half is enough. */
  readonly vectors = new BigUint64Array(BATCH * 2);
  readonly vectorWords = new Uint32Array(this.vectors.buffer);

  constructor() {
    const view = new DataView(this.headers.buffer);
    const [octets, names, vectors] = [this.octets, this.names, this.vectors].map(addressOf) as [
      bigint,
      bigint,
      bigint,
    ];
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

export class UdpBatch implements Disposable {
  readonly #library: Library;
  readonly #fd: number;
  readonly #in = new Slots();
  readonly #out = new Slots();
  #outgoing = 0;

  private constructor(library: Library, fd: number) {
    this.#library = library;
    this.#fd = fd;
  }

  /** Throws `Deno.errors.NotCapable` without --allow-ffi, and an Error where this is not a 64-bit Linux. */
  static open(address: Deno.NetAddr): UdpBatch {
    if (Deno.build.os !== "linux" || !["x86_64", "aarch64"].includes(Deno.build.arch)) {
      throw new Error("batched UDP needs Linux on x86-64 or arm64");
    }
    const library = openLibrary();
    try {
      return new UdpBatch(library, findDescriptor(library, address));
    } catch (error) {
      library.close();
      throw error;
    }
  }

  /** Takes what waits at the socket and returns how many datagrams that were; they are there until the next call. */
  receive(): number {
    const { headers, words } = this.#in;
    for (let i = 0; i < BATCH; i++) words[(i * HEADER + NAME_LENGTH) / 4] = NAME;
    return Math.max(this.#library.symbols.recvmmsg(this.#fd, headers, BATCH, MSG_DONTWAIT, null), 0);
  }

  /** What all datagrams received stand in. */
  get received(): Uint8Array {
    return this.#in.octets;
  }

  /** Where in `received` a datagram starts. */
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

  /** What all replies are composed into. */
  get outgoing(): Uint8Array {
    return this.#out.octets;
  }

  /** Where in `outgoing` the next reply belongs, with room for `SLOT` octets. */
  get next(): number {
    return this.#outgoing * SLOT;
  }

  /** Sends what stands at `next` to the sender of a datagram of this batch, with the others of its turn. */
  replyTo(i: number, length: number): void {
    this.#address(this.#in.names, i * NAME);
    this.#queue(length);
  }

  /** Sends a reply of `SLOT` octets at most to an address that `sender` gave, with the others of its turn. */
  send(reply: Uint8Array, to: Uint8Array): void {
    this.#out.octets.set(reply, this.next);
    this.#address(to, 0);
    this.#queue(reply.length);
  }

  /** Hands over all replies to the kernel; one that it does not take is lost, as datagrams can be. */
  flush(): void {
    const { headers } = this.#out;
    const count = this.#outgoing;
    this.#outgoing = 0;
    for (let sent = 0; sent < count;) {
      const rest = sent === 0 ? headers : headers.subarray(sent * HEADER);
      const taken = this.#library.symbols.sendmmsg(this.#fd, rest, count - sent, MSG_DONTWAIT);
      sent += Math.max(taken, 1); // it stops at one that cannot be sent: the others may still go
    }
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }

  #address(source: Uint8Array, at: number): void {
    const { names, words } = this.#out;
    const to = this.#outgoing * NAME;
    for (let i = 0; i < NAME; i++) names[to + i] = source[at + i]!;
    words[(this.#outgoing * HEADER + NAME_LENGTH) / 4] = lengthOf(source, at);
  }

  #queue(length: number): void {
    this.#out.vectorWords[4 * this.#outgoing + 2] = length;
    if (++this.#outgoing === BATCH) this.flush();
  }
}

/** Where the C library is: Debian and its kin, Red Hat and its kin, others. A path, since permissions are for paths. */
export const LIBRARIES = [
  `/lib/${Deno.build.arch}-linux-gnu/libc.so.6`,
  "/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
];

function openLibrary(): Library {
  const path = LIBRARIES.find((each) => {
    try {
      return Deno.lstatSync(each);
    } catch {
      return false;
    }
  });
  if (path === undefined) throw new Error(`none of ${LIBRARIES.join(", ")} is there`);
  return Deno.dlopen(path, SYMBOLS);
}

function addressOf(buffer: Uint8Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
}

const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SOCK_DGRAM = 2;

/** Deno does not tell a socket's descriptor, but the process can look through those it has. */
function findDescriptor({ symbols }: Library, { hostname, port }: Deno.NetAddr): number {
  const value = new Uint8Array(NAME);
  const length = new Uint32Array(1);
  const lengthOctets = new Uint8Array(length.buffer);
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    const fd = Number(name);
    length[0] = 4;
    if (symbols.getsockopt(fd, SOL_SOCKET, SO_TYPE, value, lengthOctets) !== 0 || value[0] !== SOCK_DGRAM) {
      continue;
    }
    length[0] = NAME;
    if (symbols.getsockname(fd, value, lengthOctets) !== 0) continue;
    if (portOf(value) === port && textOf(value) === hostname) return fd;
  }
  throw new Error(`no descriptor is bound to ${hostname}:${port}`);
}
