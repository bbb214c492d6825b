/** Queries of the program itself, without a client. */

import { Message } from "../dns/message.ts";
import type { Query } from "./resolver.ts";

/** `. NS` with RD: every server can answer it, and it reveals nothing about clients. */
const ROOT_SERVERS = Message.parse(Uint8Array.of(0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1));

/** A query that tests whether an upstream answers. */
export function probeQuery(deadline: number): Query {
  return internalQuery(ROOT_SERVERS, deadline);
}

/** A query with this message, in the name of this machine. */
export function internalQuery(message: Message, deadline: number): Query {
  return {
    message,
    client: { transport: "tcp", address: "127.0.0.1", port: 0 },
    deadline,
    trace: { source: "upstream", upstream: undefined, attempts: 0 },
  };
}
