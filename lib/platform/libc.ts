/**
 * The C library's functions in use, and the descriptors of sockets that Deno has opened. Deno offers neither batches of datagrams nor
 * SO_REUSEPORT for UDP.
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

/** Whether datagrams are handed over many at a time: `auto` where that can be had. */
export type BatchMode = "auto" | "on" | "off";

/** Where the C library is: Debian and its kin, Red Hat and its kin, others. A path, since permissions are for paths. */
export const LIBRARIES = [
  `/lib/${Deno.build.arch}-linux-gnu/libc.so.6`,
  "/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
];

/** The C library's part that is used here; undefined where it cannot be had and need not be. Throws a `UsageError`. */
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
    `--udp-batch on: ${reasons[0]}; choose auto, or allow it with --allow-ffi=${LIBRARIES[0]}`,
  );
}

/** memcpy(3) returns where it copied to; Deno's own way to learn an address wants all of C allowed. */
export function addressOf(
  { symbols }: Library,
  buffer: Uint8Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>,
): bigint {
  return BigInt(symbols.memcpy(buffer as Uint8Array<ArrayBuffer>, buffer as Uint8Array<ArrayBuffer>, 0n));
}

export const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SOCK_DGRAM = 2;

/** Descriptors are given out lowest first, and sockets are opened at the start or when an address comes along. */
const MAX_DESCRIPTOR = 65_536;

/**
 * That of the UDP socket that is bound to this address; throws an Error if there is none. Deno does not tell it, and
 * guards /proc; so each number is asked whether it is the one.
 */
export function findDescriptor({ symbols }: Library, { hostname, port }: Deno.NetAddr): number {
  const value = new Uint8Array(SOCKADDR_BYTES);
  const length = new Uint32Array(1);
  const lengthOctets = new Uint8Array(length.buffer);
  for (let fd = 0; fd < MAX_DESCRIPTOR; fd++) {
    length[0] = 4;
    if (symbols.getsockopt(fd, SOL_SOCKET, SO_TYPE, value, lengthOctets) !== 0) continue;
    if (value[0] !== SOCK_DGRAM) continue;
    length[0] = SOCKADDR_BYTES;
    if (symbols.getsockname(fd, value, lengthOctets) !== 0) continue;
    if (sockaddrPort(value) === port && sockaddrText(value) === hostname) return fd;
  }
  throw new Error(`no descriptor is bound to ${hostname}:${port}`);
}
