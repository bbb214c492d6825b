/**
 * Failures of an upstream's DNSSEC validation. Neither another upstream's answer nor stale data may replace them: data that an
 * attacker changed would reach the client as good.
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
 * Limit of the query with CD set, which also takes half of the remaining time at most. The upstream has just fetched the data, so
 * it answers from its cache.
 */
const CHECK_TIMEOUT_MS = 500;

const REASON = composeExtendedError({
  code: ExtendedError.DNSSEC_BOGUS,
  text: "the upstream has an answer, but only with checking disabled",
});

/** Whether another upstream may have a better response. */
export function isPoor({ rcode }: Message): boolean {
  return rcode === Rcode.SERVFAIL || rcode === Rcode.REFUSED;
}

/** Whether a response reports a failed validation: "DNSSEC Bogus" or a related extended error (RFC 8914 §4.7 to §4.13). */
export function isBogus(response: Message): boolean {
  if (isAnswer(response)) return false;
  const codes = response.edns?.extendedErrors().map((option) => readUint16(option, 4)) ?? [];
  return codes.some((code) => code >= ExtendedError.DNSSEC_BOGUS && code <= ExtendedError.NSEC_MISSING);
}

/** Whether a failure may be one of validation. BIND never adds an extended error, Unbound only if it is configured. */
export function mayBeBogus({ flags }: Message, response: Message): boolean {
  return isPoor(response) && (flags & Flag.CD) === 0 && !isBogus(response);
}

/**
 * Asks the upstream again with CD set (RFC 4035 §3.2.2). If it answers now, its validation had failed: resolves to the failure
 * with that extended error. Otherwise resolves to the failure as it is.
 */
export async function explain(
  query: Query,
  failure: Message,
  upstream: Resolver,
  now: number,
): Promise<Message> {
  const deadline = now + Math.min((query.deadline - now) / 2, CHECK_TIMEOUT_MS);
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
