/** A library between MmsgSocket and libc that checks all arguments before a system call. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Library } from "../../../lib/platform/libc.ts";
import { assert, assertEquals } from "../../support/assert.ts";

/** Octets of a datagram and of an address that there is room for, and datagrams per call. */
export const SLOT = 4096;
export const NAME = 32;
export const BATCH = 64;

/** struct mmsghdr on 64-bit Linux. */
const HEADER = { size: 64, name: 0, nameLength: 8, iov: 16, iovCount: 24, control: 32, controlLength: 40 };

/** Memory whose address the kernel gets; whether it is still there is for its owner to see to, and not for us. */
interface Region {
  readonly address: bigint;
  readonly length: bigint;
  readonly buffer: WeakRef<ArrayBuffer>;
}

interface Span {
  readonly start: bigint;
  readonly end: bigint;
}

/** A library that throws where messages lead out of the buffers that were made for them. */
export class WatchedLibrary {
  /** Messages that were looked at. */
  checked = 0;
  /** Stands in for the kernel where datagrams are received. */
  says: ((headers: DataView) => number) | undefined;
  readonly library: Library;
  #regions: Region[] = [];

  constructor({ symbols, close }: Library) {
    this.library = {
      close,
      symbols: {
        ...symbols,
        memcpy: (to, from, bytes) => {
          const address = BigInt(symbols.memcpy(to, from, bytes));
          const { buffer, byteLength } = to as Uint8Array<ArrayBuffer>;
          this.#note({ address, length: BigInt(byteLength), buffer: new WeakRef(buffer) });
          return address;
        },
        recvmmsg: (fd, headers, count, flags, timeout) => {
          this.#check(headers as Uint8Array, count, (length) => length === NAME);
          const bytes = headers as Uint8Array;
          if (this.says) return this.says(new DataView(bytes.buffer, bytes.byteOffset));
          return symbols.recvmmsg(fd, headers, count, flags, timeout);
        },
        sendmmsg: (fd, headers, count, flags) => {
          this.#check(headers as Uint8Array, count, (length) => length <= NAME);
          return symbols.sendmmsg(fd, headers, count, flags);
        },
      },
    };
  }

  /** Replaces regions at the same addresses. */
  #note(region: Region): void {
    this.#regions = this.#regions.filter((each) =>
      each.address + each.length <= region.address || region.address + region.length <= each.address
    );
    this.#regions.push(region);
  }

  #check(headers: Uint8Array, count: number, isNameLength: (length: number) => boolean): void {
    assert(count <= BATCH && count * HEADER.size <= headers.byteLength, `${count} messages`);
    const view = new DataView(headers.buffer, headers.byteOffset);
    const [bytes, names]: [Span[], Span[]] = [[], []];
    for (let i = 0; i < count; i++, this.checked++) {
      const at = i * HEADER.size;
      const nameLength = view.getUint32(at + HEADER.nameLength, true);
      assert(isNameLength(nameLength), `an address of ${nameLength} bytes`);
      const name = view.getBigUint64(at + HEADER.name, true);
      this.#around(name, BigInt(nameLength));
      names.push({ start: name, end: name + BigInt(nameLength) });
      bytes.push(this.#vector(view.getBigUint64(at + HEADER.iov, true)));
      assertEquals(view.getBigUint64(at + HEADER.iovCount, true), 1n);
      const control = [HEADER.control, HEADER.controlLength].map((field) =>
        view.getBigUint64(at + field, true)
      );
      assertEquals(control, [0n, 0n]);
    }
    assertDisjoint(bytes);
    assertDisjoint(names);
  }

  /** The memory that a struct iovec points to. */
  #vector(address: bigint): Span {
    const region = this.#around(address, 16n);
    const words = new BigUint64Array(region.buffer.deref()!);
    const at = Number((address - region.address) / 8n);
    const [start, length] = [words[at]!, words[at + 1]!];
    assert(length <= BigInt(SLOT), `a message of ${length} bytes`);
    this.#around(start, length);
    return { start, end: start + length };
  }

  /** The memory that all of this is in; it must not have been collected. */
  #around(start: bigint, length: bigint): Region {
    const region = this.#regions.find((each) =>
      start >= each.address && start + length <= each.address + each.length
    );
    assert(region, "a message leads out of all buffers");
    assert(region.buffer.deref(), "a buffer that the kernel writes to or reads has been collected");
    return region;
  }
}

function assertDisjoint(spans: readonly Span[]): void {
  const sorted = spans.toSorted((one, other) => Number(one.start - other.start));
  sorted.forEach(({ start }, i) =>
    assert(i === 0 || sorted[i - 1]!.end <= start, "two messages share memory")
  );
}

/** Collects garbage; unreferenced objects are gone after the next turn of the event loop. */
export const collectGarbage: () => void = (() => {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
})();

/** Memory of the sizes that MmsgSocket uses, with bytes that must not change: where collected buffers have been. */
export class Bystanders {
  readonly #arrays = [BATCH * SLOT, BATCH * NAME, BATCH * HEADER.size, BATCH * 16]
    .flatMap((size) => [size, size, size]).map((size) => new Uint8Array(size).fill(0x5a));

  assertUntouched(): void {
    for (const array of this.#arrays) assertFilled(array, 0x5a, "memory of others");
  }
}

export function assertFilled(bytes: Uint8Array, value: number, what: string): void {
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] !== value) throw new Error(`${what}: byte ${at} of ${bytes.length} is touched`);
  }
}

/** Octets that are the same for the same seed, and different for another. */
export function bytesFor(seed: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = Math.imul(seed, 0x9e3779b1) | 1;
  for (let i = 0; i < length; i++) {
    state = Math.imul(state, 0x01000193) ^ i;
    bytes[i] = state >>> 15;
  }
  return bytes;
}
