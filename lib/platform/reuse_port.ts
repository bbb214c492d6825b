/**
 * Sockets of several threads on one address and port (SO_REUSEPORT, socket(7)). The kernel assigns each client to one of them
 * by a hash of both addresses and ports.
 */

import { SOCKADDR_BYTES, sockaddrPort, withPort } from "../net/sockaddr.ts";
import { findDescriptor, type Library } from "./libc.ts";

/**
 * The role of a socket on its port: the only one, the first of several, or a further one. The first must find the port free:
 * with SO_REUSEPORT, another program of the same user could share it unnoticed.
 */
export type Sharing = "alone" | "first" | "further";

export interface Port {
  readonly hostname: string;
  readonly port: number;
  /** Default: "alone". */
  readonly sharing?: Sharing;
}

/** A UDP socket. Its descriptor is undefined without the C library. */
export interface OpenUdp {
  readonly socket: Deno.DatagramConn;
  readonly address: Deno.NetAddr;
  readonly descriptor: number | undefined;
}

/** Opens a TCP listener. Throws the errors of `Deno.listen`. */
export function listenTcp(
  { hostname, port, sharing = "alone", tcpBacklog }: Port & { readonly tcpBacklog: number },
): Deno.TcpListener {
  if (sharing === "first" && port !== 0) Deno.listen({ hostname, port }).close();
  return Deno.listen({ hostname, port, tcpBacklog, reusePort: sharing !== "alone" });
}

/** Opens a UDP socket. Throws the errors of `Deno.listenDatagram`. Without the library, the port cannot be shared. */
export function listenUdp(
  { hostname, port, sharing = "alone" }: Port,
  library: Library | undefined,
): OpenUdp {
  if (library && sharing !== "alone") return listenShared(library, { hostname, port, sharing });
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port });
  const address = socket.addr as Deno.NetAddr;
  try {
    return { socket, address, descriptor: library && findDescriptor(library, address) };
  } catch (error) {
    socket.close();
    throw error;
  }
}

const SOL_SOCKET = 1;
const SO_REUSEPORT = 15;
const ON = new Uint8Array(Uint32Array.of(1).buffer);
/** A socket address of the family AF_UNSPEC. */
const NO_ADDRESS = new Uint8Array(16);

/**
 * `Deno.listenDatagram` cannot set SO_REUSEPORT before its bind(2). But a port that the kernel has chosen is not locked to the
 * socket. connect(2) to AF_UNSPEC releases it, and the socket can be bound again (Linux: `__udp_disconnect`,
 * SOCK_BINDPORT_LOCK). Deno continues to poll the socket.
 */
function listenShared(library: Library, { hostname, port, sharing }: Port): OpenUdp {
  if (sharing === "first" && port !== 0) {
    Deno.listenDatagram({ transport: "udp", hostname, port }).close();
  }
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  try {
    const descriptor = findDescriptor(library, socket.addr as Deno.NetAddr);
    const { setsockopt, connect, bind } = library.symbols;
    const own = nameOf(library, descriptor);
    const wanted = withPort(own, port === 0 ? sockaddrPort(own) : port);
    const failed = setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, ON, ON.length) ||
      connect(descriptor, NO_ADDRESS, NO_ADDRESS.length) ||
      bind(descriptor, wanted, wanted.length);
    if (failed || sockaddrPort(nameOf(library, descriptor)) !== sockaddrPort(wanted)) {
      throw new Deno.errors.AddrInUse(`port ${sockaddrPort(wanted)} cannot be shared`);
    }
    return { socket, address: { transport: "udp", hostname, port: sockaddrPort(wanted) }, descriptor };
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** getsockname(2): the address of the socket. */
function nameOf({ symbols }: Library, descriptor: number): Uint8Array<ArrayBuffer> {
  const name = new Uint8Array(SOCKADDR_BYTES);
  const length = new Uint8Array(Uint32Array.of(SOCKADDR_BYTES).buffer);
  if (symbols.getsockname(descriptor, name, length) !== 0) throw new Error("the socket has no name");
  return name;
}
