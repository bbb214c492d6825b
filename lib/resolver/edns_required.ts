import { Rcode } from "../dns/codes.ts";
import type { Message } from "../dns/message.ts";
import { UpstreamError } from "../errors.ts";
import type { Query, Resolver } from "./resolver.ts";

/**
 * Makes a failure of a response that is about our OPT record: EDNS is hop by hop (RFC 6891 §6.1.1), and no client can do
 * anything about what another hop thinks of ours.
 *
 * The query is not sent again without EDNS, which RFC 6891 §6.2.2 allows ("MAY"): it would have no padding (RFC 7830), and
 * so show by its length what was asked for, and no DO ("if DNSSEC … is required, no fallback should be performed").
 */
export class EdnsRequired implements Resolver {
  readonly #next: Resolver;

  constructor(next: Resolver) {
    this.#next = next;
  }

  resolve(query: Query): Message | Promise<Message> {
    const response = this.#next.resolve(query);
    if (response instanceof Promise) return response.then((response) => accept(query, response));
    return accept(query, response);
  }
}

function accept({ trace }: Query, response: Message): Message {
  const detail = ednsRefusal(response);
  if (detail === undefined) return response;
  throw new UpstreamError("no EDNS", { upstream: trace.upstream ?? "upstream", phase: "read", detail });
}

/** The words by which an upstream says that it does not take EDNS as we speak it; undefined where it does not say so. */
export function ednsRefusal(response: Message): string | undefined {
  const { rcode } = response;
  // RFC 6891 §6.1.3: it does not know version 0, "the lowest implemented level".
  if (rcode === Rcode.BADVERS) return "BADVERS";
  // RFC 6891 §7: who knows no EDNS says FORMERR "and MUST NOT include an OPT record"; with one, it is about the question.
  if (rcode === Rcode.FORMERR && !response.edns) return "FORMERR without an OPT record";
  return undefined;
}
