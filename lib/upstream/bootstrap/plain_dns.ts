/** Plain DNS over UDP and TCP. Only for the addresses of upstreams, which need no secrecy (RFC 8310 §7.2). */

import { isIPv6 } from "node:net";
import { Flag } from "../../dns/header.ts";
import { writeUint16 } from "../../dns/bytes.ts";
import { FormatError } from "../../dns/format_error.ts";
import { FrameReader, LENGTH_PREFIX_BYTES } from "../../dns/framing.ts";
import { Message } from "../../dns/message.ts";
import type { HostPort } from "../../net/host_port.ts";

/** More than any response over UDP to a query without EDNS (RFC 1035 §4.2.1). */
const MAX_RESPONSE_BYTES = 4096;

/** Sends a query to one server. Resolves with the response, or rejects at the deadline, in ms of the monotonic clock. */
export type Exchange = (query: Message, deadline: number) => Promise<Message>;

/** Exchanges over UDP, and over TCP if the response is truncated (RFC 7766 §5). The server's host is an IP address. */
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
 * Each query has its own socket, whose port the kernel chooses at random (RFC 5452 §9.2). Datagrams of other senders, or to
 * other questions, are ignored, because the right response may follow (§9.1).
 */
async function overUdp(server: HostPort, query: Uint8Array, limit: number): Promise<Message> {
  const hostname = isIPv6(server.host) ? "::" : "0.0.0.0";
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  return await within(limit, () => socket.close(), async () => {
    await socket.send(query, { transport: "udp", hostname: server.host, port: server.port });
    const buffer = new Uint8Array(MAX_RESPONSE_BYTES);
    for (;;) {
      const [bytes, from] = await socket.receive(buffer);
      const answer = isFrom(from as Deno.NetAddr, server) ? parseAnswer(bytes, query) : undefined;
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
    await connection.write(frame); // one write is enough for so few bytes
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
    const count = await connection.read(frames.space());
    if (count === null) throw new Error("it closed the connection without answering");
    frames.advance(count);
  }
}

/** Runs the body, and calls `end` once: at the time limit, which makes the body fail, or when it has settled. */
async function within<T>(limitMs: number, end: () => void, body: () => Promise<T>): Promise<T> {
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    end();
  }, limitMs);
  try {
    return await body();
  } catch (cause) {
    throw isLate ? new Error("timed out", { cause }) : cause;
  } finally {
    clearTimeout(timer);
    if (!isLate) end();
  }
}

/** Compares port and address. `URL` normalizes the several notations of IPv6. */
function isFrom({ hostname, port }: Deno.NetAddr, server: HostPort): boolean {
  return port === server.port && canonical(hostname) === canonical(server.host);
}

function canonical(address: string): string {
  return isIPv6(address) ? new URL(`http://[${address}]`).hostname : address;
}

/** The response, if its ID, QNAME, QTYPE and QCLASS are those of the query (RFC 5452 §9.1). */
function parseAnswer(bytes: Uint8Array, query: Uint8Array): Message | undefined {
  const sent = Message.parse(query);
  try {
    const answer = Message.parse(bytes);
    return answer.isResponse && answer.id === sent.id && answer.sameQuestion(sent) ? answer : undefined;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
