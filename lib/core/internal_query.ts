import { Message } from "../dns/message.ts";
import type { Query } from "./resolver.ts";

/** `. NS` with RD: every server knows it, and it tells nothing about anybody. */
const ROOT_SERVERS = Message.parse(Uint8Array.of(0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1));

/** A query of our own, to see whether there is an answer. */
export function probeQuery(deadline: number): Query {
  return internalQuery(ROOT_SERVERS, deadline);
}

/** A query that no client has asked. */
export function internalQuery(message: Message, deadline: number): Query {
  return {
    message,
    client: { transport: "tcp", address: "127.0.0.1", port: 0 },
    deadline,
    trace: { source: "upstream", upstream: undefined, attempts: 0 },
  };
}
