import { Message } from "../../../lib/dns/message.ts";
import type { Query, Resolver } from "../../../lib/core/resolver.ts";
import { type Decoded, query, type QueryFields, read, type Type } from "../packets/packets.ts";

export interface Asking extends QueryFields {
  readonly transport?: "udp" | "tcp";
}

/** A query as front ends make it, from a client with EDNS. */
export function asked(name: string, type: Type = "A", { transport = "udp", ...fields }: Asking = {}): Query {
  return {
    message: Message.parse(query(name, type, { edns: {}, ...fields })),
    client: { transport, address: "192.0.2.7", port: 5000 },
    deadline: 5000,
    trace: { source: "upstream", upstream: undefined, attempts: 0 },
  };
}

/** A resolver's answer, and the source in its trace. */
export async function resolved(
  resolver: Resolver,
  query: Query,
): Promise<Decoded & { readonly source: string }> {
  const { bytes } = await resolver.resolve(query);
  return { ...read(bytes), source: query.trace.source };
}

/** RCODE and records of an answer, in short: `0 10.0.0.1`. */
export async function told(
  resolver: Resolver,
  name: string,
  type: Type = "A",
  fields: Asking = {},
): Promise<string> {
  const { rcode, answers } = await resolved(resolver, asked(name, type, fields));
  return [rcode, ...answers.map(({ text }) => text)].join(" ");
}
