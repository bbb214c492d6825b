/**
 * The functions of the C library in use, and the search for descriptors of Deno's sockets. Deno itself offers neither batches
 * of datagrams nor SO_REUSEPORT for UDP. This folder offers functions of the platform that Deno lacks. It may import net/,
 * core/ and async/, and knows nothing of DNS.
 */

import { UsageError } from "../core/errors.ts";
import { SOCKADDR_BYTES, sockaddrPort, sockaddrText } from "../net/sockaddr.ts";

const SYMBOLS = {
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  memcpy: { parameters: ["buffer", "buffer", "usize"], result: "usize" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

export type Library = Deno.DynamicLibrary<typeof SYMBOLS>;

/** Whether to use batches of datagrams; `auto` if the C library can be loaded. */
export type BatchMode = "auto" | "on" | "off";

/** Paths of the C library: Debian, Red Hat, others. They are absolute, because permissions apply to paths. */
export const LIBRARIES = [
  `/lib/${Deno.build.arch}-linux-gnu/libc.so.6`,
  "/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
];

/** Loads the C library. Returns undefined if it cannot be loaded and the mode is not `on`; throws `UsageError` if it is. */
export function openLibrary(mode: BatchMode): Library | undefined {
  if (mode === "off") return undefined;
  const reasons: string[] = [];
  if (Deno.build.os !== "linux" || !["x86_64", "aarch64"].includes(Deno.build.arch)) {
    reasons.push("this is not Linux on x86-64 or arm64");
  } else {
    for (const path of LIBRARIES) {
      try {
        return Deno.dlopen(path, SYMBOLS);
      } catch (error) {
        reasons.push((error as Error).message);
      }
    }
  }
  if (mode === "auto") return undefined;
  throw new UsageError(
    `--udp-batch on: ${reasons[0]}; use auto, or permit it with --allow-ffi=${LIBRARIES[0]}`,
  );
}

/** The address of a buffer: memcpy(3) returns its destination. `Deno.UnsafePointer` would need permission for all native code. */
export function addressOf(
  { symbols }: Library,
  buffer: Uint8Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>,
): bigint {
  return BigInt(symbols.memcpy(buffer as Uint8Array<ArrayBuffer>, buffer as Uint8Array<ArrayBuffer>, 0n));
}

export const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SOCK_DGRAM = 2;

/** Bound of the search. The kernel assigns the lowest free descriptor, and sockets are opened early. */
const MAX_DESCRIPTOR = 65_536;

/**
 * The descriptor of the UDP socket that is bound to this address. Throws an `Error` if there is none. Deno exposes neither
 * descriptors nor /proc, so the search tries each number.
 */
export function findDescriptor({ symbols }: Library, { hostname, port }: Deno.NetAddr): number {
  const value = new Uint8Array(SOCKADDR_BYTES);
  const length = new Uint32Array(1);
  const lengthBytes = new Uint8Array(length.buffer);
  for (let fd = 0; fd < MAX_DESCRIPTOR; fd++) {
    length[0] = 4;
    if (symbols.getsockopt(fd, SOL_SOCKET, SO_TYPE, value, lengthBytes) !== 0) continue;
    if (value[0] !== SOCK_DGRAM) continue;
    length[0] = SOCKADDR_BYTES;
    if (symbols.getsockname(fd, value, lengthBytes) !== 0) continue;
    if (sockaddrPort(value) === port && sockaddrText(value) === hostname) return fd;
  }
  throw new Error(`no descriptor is bound to ${hostname}:${port}`);
}
