import { Rcode } from "../dns/codes.ts";
import type { Message } from "../dns/message.ts";

/**
 * The words by which an upstream says that it does not take EDNS as we speak it; undefined where it does not say so.
 *
 * That is a failure and no answer: EDNS is hop by hop (RFC 6891 §6.1.1), and no client can do anything about what another
 * hop thinks of our OPT record. The query is not sent again without EDNS, which RFC 6891 §6.2.2 allows ("MAY"): it would
 * have no padding (RFC 7830), and so show by its length what was asked for, and no DO ("if DNSSEC … is required, no
 * fallback should be performed").
 */
export function ednsRefusal(response: Message): string | undefined {
  const { rcode } = response;
  // RFC 6891 §6.1.3: it does not know version 0, "the lowest implemented level".
  if (rcode === Rcode.BADVERS) return "BADVERS";
  // RFC 6891 §7: who knows no EDNS says FORMERR "and MUST NOT include an OPT record"; with one, it is about the question.
  if (rcode === Rcode.FORMERR && !response.edns) return "FORMERR without an OPT record";
  return undefined;
}
