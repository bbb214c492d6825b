/**
 * Failures of DNSSEC validation, as seen from behind the validator: neither another upstream's answer nor stale data may
 * take their place, or whoever tampers with data would have it given out as good.
 */
import { Flag } from "../dns/header.ts";
import { readUint16, writeUint16 } from "../dns/bytes.ts";
import { ExtendedError, Rcode } from "../dns/codes.ts";
import { Message } from "../dns/message.ts";
import { composeExtendedError } from "../dns/compose/reply.ts";
import { composeResponse } from "../dns/compose/local_response.ts";
import { UpstreamError } from "../core/errors.ts";
import { isAnswer } from "./cache/cacheability.ts";
import type { Query, Resolver } from "../core/resolver.ts";

/**
 * How long the question is asked for with CD set, in ms, at most half of the time that is left: the upstream has just
 * fetched the data that it does not accept, and answers out of its cache.
 */
const CHECK_TIMEOUT = 500;

const REASON = composeExtendedError({
  code: ExtendedError.DNSSEC_BOGUS,
  text: "the upstream has an answer, but only with checking disabled",
});

/** Whether a response is one that another upstream might answer better. */
export function isPoor({ rcode }: Message): boolean {
  return rcode === Rcode.SERVFAIL || rcode === Rcode.REFUSED;
}

/** Whether a failure is explained as one of validation: "DNSSEC Bogus" and its kind (RFC 8914 §4.7 to §4.13). */
export function isBogus(response: Message): boolean {
  if (isAnswer(response)) return false;
  const codes = response.edns?.extendedErrors().map((option) => readUint16(option, 4)) ?? [];
  return codes.some((code) => code >= ExtendedError.DNSSEC_BOGUS && code <= ExtendedError.NSEC_MISSING);
}

/** Whether a failure may be one of validation without an explanation, as BIND never gives one and Unbound not unasked. */
export function mayBeBogus({ flags }: Message, response: Message): boolean {
  return isPoor(response) && (flags & Flag.CD) === 0 && !isBogus(response);
}

/**
 * Asks the upstream that has failed a query once more with CD set (RFC 4035 §3.2.2). An answer means that validation was
 * what failed, and the failure comes back with that as its reason; otherwise it comes back as it is.
 */
export async function explain(
  query: Query,
  failure: Message,
  upstream: Resolver,
  now: number,
): Promise<Message> {
  const deadline = now + Math.min((query.deadline - now) / 2, CHECK_TIMEOUT);
  try {
    const unchecked = { ...query, message: withCheckingDisabled(query.message), deadline };
    return isAnswer(await upstream.resolve(unchecked)) ? asBogus(query.message, failure) : failure;
  } catch (error) {
    if (error instanceof UpstreamError) return failure;
    throw error;
  }
}

function withCheckingDisabled({ bytes, flags }: Message): Message {
  const copy = bytes.slice();
  writeUint16(copy, 2, flags | Flag.CD);
  return Message.parse(copy);
}

function asBogus(query: Message, { rcode, edns }: Message): Message {
  const extendedErrors = [REASON, ...edns?.extendedErrors() ?? []];
  return composeResponse(query, { rcode, authoritative: false, extendedErrors });
}
