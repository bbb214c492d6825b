/**
 * Sockets of several threads on one address and port (SO_REUSEPORT, socket(7)): the kernel gives each client, by a hash of
 * the addresses and ports of both sides, to one of them.
 */
import { SOCKADDR_BYTES, sockaddrPort, withPort } from "../net/sockaddr.ts";
import { findDescriptor, type Library } from "./libc.ts";

/**
 * Whether a port is one's own, or the first socket of several is opened, or one more. The first must find nobody: with
 * SO_REUSEPORT another program of the same user could share the port without either noticing.
 */
export type Sharing = "alone" | "first" | "further";

export interface Port {
  readonly hostname: string;
  readonly port: number;
  /** "alone" unless told. */
  readonly sharing?: Sharing;
}

/** A UDP socket; its descriptor is known where it has been looked for. */
export interface OpenUdp {
  readonly socket: Deno.DatagramConn;
  readonly address: Deno.NetAddr;
  readonly descriptor: number | undefined;
}

/** Throws what `Deno.listen` throws. */
export function listenTcp(
  { hostname, port, sharing = "alone", tcpBacklog }: Port & { readonly tcpBacklog: number },
): Deno.TcpListener {
  if (sharing === "first" && port !== 0) Deno.listen({ hostname, port }).close();
  return Deno.listen({ hostname, port, tcpBacklog, reusePort: sharing !== "alone" });
}

/** Throws what `Deno.listenDatagram` throws. Without the library the port has to be one's own. */
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
 * `Deno.listenDatagram` cannot set SO_REUSEPORT, and after its bind(2) it is too late. But a port that was left to the
 * kernel to choose is not locked to the socket: connect(2) to AF_UNSPEC, which dissolves an association, gives it back,
 * and the socket, which Deno watches all the same, can be bound once more (Linux: `__udp_disconnect`, SOCK_BINDPORT_LOCK).
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

/** getsockname(2): what the socket is bound to. */
function nameOf({ symbols }: Library, descriptor: number): Uint8Array<ArrayBuffer> {
  const name = new Uint8Array(SOCKADDR_BYTES);
  const length = new Uint8Array(Uint32Array.of(SOCKADDR_BYTES).buffer);
  if (symbols.getsockname(descriptor, name, length) !== 0) throw new Error("the socket has no name");
  return name;
}
