/** Plain DNS, for the one purpose that has no other way: where an upstream is that was given by name (RFC 8310 §7.2). */
import { isIPv6 } from "node:net";
import { Flag } from "../../dns/header.ts";
import { writeUint16 } from "../../dns/bytes.ts";
import { FormatError } from "../../dns/format_error.ts";
import { FrameReader, LENGTH_PREFIX_BYTES } from "../../dns/framing.ts";
import { Message } from "../../dns/message.ts";
import type { HostPort } from "../../net/host_port.ts";

/** Longer than any answer over UDP to a query without EDNS (RFC 1035 §4.2.1), in octets. */
const MAX_PLAIN = 4096;

/** Asks one server: resolves with an answer to the query, or rejects by the deadline, in ms on the one clock. */
export type Exchange = (query: Message, deadline: number) => Promise<Message>;

/** Over UDP, and again over TCP where the answer does not fit (RFC 7766 §5). The server is an IP address. */
export function plainExchange(server: HostPort, now: () => number): Exchange {
  return async (query, deadline) => {
    const bytes = withRandomId(query);
    const answer = await overUdp(server, bytes, deadline - now());
    return (answer.flags & Flag.TC) === 0 ? answer : await overTcp(server, bytes, deadline - now());
  };
}

/** "Use an unpredictable query ID … utilizing the full range available" (RFC 5452 §9.2). */
function withRandomId({ bytes }: Message): Uint8Array {
  const copy = bytes.slice();
  crypto.getRandomValues(copy.subarray(0, 2));
  return copy;
}

/**
 * With a socket of its own for each query, whose port the kernel draws at random from its range for that (RFC 5452 §9.2).
 * What the wrong sender says, or what answers another question, is dropped: the right answer may follow (§9.1).
 */
async function overUdp(server: HostPort, query: Uint8Array, limit: number): Promise<Message> {
  const hostname = isIPv6(server.host) ? "::" : "0.0.0.0";
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  return await within(limit, () => socket.close(), async () => {
    await socket.send(query, { transport: "udp", hostname: server.host, port: server.port });
    const buffer = new Uint8Array(MAX_PLAIN);
    for (;;) {
      const [octets, from] = await socket.receive(buffer);
      const answer = isFrom(from as Deno.NetAddr, server) ? parseAnswer(octets, query) : undefined;
      if (answer) return answer;
    }
  });
}

async function overTcp({ host, port }: HostPort, query: Uint8Array, limit: number): Promise<Message> {
  const abort = new AbortController();
  return await within(limit, () => abort.abort(), async () => {
    const connection = await Deno.connect({ hostname: host, port, signal: abort.signal });
    abort.signal.addEventListener("abort", () => connection.close());
    const frame = new Uint8Array(LENGTH_PREFIX_BYTES + query.length);
    writeUint16(frame, 0, query.length);
    frame.set(query, LENGTH_PREFIX_BYTES);
    await connection.write(frame); // so few octets always fit
    const answer = parseAnswer(await readFrame(connection), query);
    if (answer) return answer;
    throw new Error("it answered another question");
  });
}

async function readFrame(connection: Deno.TcpConn): Promise<Uint8Array> {
  const frames = new FrameReader(4096);
  for (;;) {
    const message = frames.take();
    if (message) return message;
    const octets = await connection.read(frames.space());
    if (octets === null) throw new Error("it closed the connection without answering");
    frames.advance(octets);
  }
}

/** Ends what the body uses, once: when time is up, which makes it fail, or when it is done. */
async function within<T>(limit: number, end: () => void, body: () => Promise<T>): Promise<T> {
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    end();
  }, limit);
  try {
    return await body();
  } catch (cause) {
    throw isLate ? new Error("timed out", { cause }) : cause;
  } finally {
    clearTimeout(timer);
    if (!isLate) end();
  }
}

/** Port and address; IPv6 can be written in several ways, and `URL` knows one. */
function isFrom({ hostname, port }: Deno.NetAddr, server: HostPort): boolean {
  return port === server.port && canonical(hostname) === canonical(server.host);
}

function canonical(address: string): string {
  return isIPv6(address) ? new URL(`http://[${address}]`).hostname : address;
}

/** Undefined for what is no answer to this query: ID, QNAME, QTYPE and QCLASS (RFC 5452 §9.1). */
function parseAnswer(bytes: Uint8Array, query: Uint8Array): Message | undefined {
  const asked = Message.parse(query);
  try {
    const answer = Message.parse(bytes);
    return answer.isResponse && answer.id === asked.id && answer.sameQuestion(asked) ? answer : undefined;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
