/** Mutations of messages. Imports nothing of lib/. */
import { concat } from "./frames.ts";
import { hex } from "./packets.ts";

/** One change to a message; `at` and `value` are taken modulo their range. */
export type Mutation = (bytes: Uint8Array, at: number, value: number) => Uint8Array;

/** @param golden messages of which pieces are appended */
export function mutationsWith(golden: readonly Uint8Array[]): Record<string, Mutation> {
  return {
    flipBit: (bytes, at, value) => put(bytes, at, [(bytes[at % bytes.length] ?? 0) ^ 1 << value % 8]),
    setOctet: (bytes, at, value) => put(bytes, at, [value & 0xff]),
    truncate: (bytes, at) => bytes.slice(0, at % (bytes.length + 1)),
    insert: (bytes, at, value) => splice(bytes, at, 0, Uint8Array.of(value)),
    remove: (bytes, at, value) => splice(bytes, at, 1 + value % 12, new Uint8Array(0)),
    repeat: (bytes, at, value) =>
      splice(bytes, at, 0, bytes.slice(at % bytes.length, at % bytes.length + value % 64)),
    point: (bytes, at, value) => put(bytes, at, [0xc0 | value >> 8 & (value & 1 ? 0x3f : 0), value & 0xff]),
    pointNear: (bytes, at, value) => put(bytes, at, [0xc0 | at >> 8 & 0x3f, at - value % 16 & 0xff]),
    lieAboutCounts: (bytes, at, value) =>
      put(bytes, 4 + 2 * (at % 4), [value & 1 ? value >> 8 : 0, value & 3]),
    makeOpt: (bytes, at) => splice(bytes, at, 0, hex("00 0029 04d0 00 00 8000 0004 000b 0000")),
    append: (bytes, at, value) => concat(bytes, golden[at % golden.length]!.subarray(12 + value % 20)),
  };
}

function put(bytes: Uint8Array, at: number, octets: number[]): Uint8Array {
  const changed = bytes.slice();
  octets.forEach((octet, i) => changed[(at + i) % bytes.length] = octet);
  return changed;
}

function splice(bytes: Uint8Array, at: number, remove: number, insert: Uint8Array): Uint8Array {
  const start = at % (bytes.length + 1);
  return concat(bytes.subarray(0, start), insert, bytes.subarray(start + remove));
}

/** Random numbers of a seed, from 0 to 0xffff each (xorshift32). */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 8 & 0xffff;
  };
}
