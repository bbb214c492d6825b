/** Queries to upstreams: with our own OPT record, padded. Nothing but the question and some flags comes from the client. */

import { Flag, HEADER_BYTES, HeaderField } from "../header.ts";
import { writeUint16 } from "../bytes.ts";
import { EdnsOption, Type } from "../codes.ts";
import { DNSSEC_OK, OPT_BYTES, OPTION_HEADER_BYTES, writeOpt } from "../edns.ts";
import { LENGTH_PREFIX_BYTES } from "../framing.ts";
import { Message } from "../message.ts";

/** Queries are padded to a multiple of this length (RFC 8467 §4.1). */
const BLOCK_BYTES = 128;

/**
 * The OPT record of every query, up to the length of the padding. EDNS is hop by hop (RFC 6891 §6.1.1: OPT "MUST NOT be
 * … forwarded"), so no option of a client is sent.
 */
function composeOpt(...options: readonly number[]): Uint8Array {
  return Uint8Array.of(
    ...[0, 0, Type.OPT, 1232 >> 8, 1232 & 0xff, 0, 0, 0, 0, 0, 0], // root, type, payload size, TTL, length
    ...options,
    // Asks for the idle timeout; the option of a client has no TIMEOUT (RFC 7828 §3.2.1).
    ...[0, EdnsOption.TCP_KEEPALIVE, 0, 0],
    // Padding is the last option (RFC 8467 §3). `composeQuery` writes its length.
    ...[0, EdnsOption.PADDING, 0, 0],
  );
}

/** `zero`: queries ask the upstream not to forward the client's subnet to other servers (RFC 7871 §7.1.2). */
export type ClientSubnet = "none" | "zero";

const OPTS: Readonly<Record<ClientSubnet, Uint8Array>> = {
  none: composeOpt(),
  // SOURCE PREFIX-LENGTH 0.
  zero: composeOpt(0, EdnsOption.CLIENT_SUBNET, 0, 4, 0, 1, 0, 0),
};
/** Offsets within an OPT record. */
const OPT_FLAGS = 7;
const OPT_LENGTH = 9;

/** The longest frame of `composeQuery`: header and longest question have 12 + 255 + 4 bytes. */
export const MAX_QUERY_FRAME_BYTES = LENGTH_PREFIX_BYTES + 3 * BLOCK_BYTES;

/**
 * Writes the query to the upstream: length prefix, header with `id`, the client's question, our OPT record, padding.
 * Returns the offset behind it. Precondition: `into` has `MAX_QUERY_FRAME_BYTES` of room at `at`.
 */
export function composeQuery(
  query: Message,
  id: number,
  into: Uint8Array,
  at: number,
  clientSubnet: ClientSubnet = "none",
): number {
  const template = OPTS[clientSubnet];
  const { bytes, questionEnd } = query;
  const start = at + LENGTH_PREFIX_BYTES;
  const padding = -(questionEnd + template.length) & (BLOCK_BYTES - 1);
  const end = start + questionEnd + template.length + padding;

  writeUint16(into, at, end - start);
  writeUint16(into, start + HeaderField.ID, id);
  // AD requests the result of validation (RFC 6840 §5.7). `replyFlags` decides whether the client gets it.
  writeUint16(into, start + HeaderField.FLAGS, query.flags & (Flag.RD | Flag.CD | Flag.Z) | Flag.AD);
  into.set(QUESTION_AND_OPT_COUNTS, start + HeaderField.QUESTIONS);
  for (let i = HEADER_BYTES; i < questionEnd; i++) into[start + i] = bytes[i]!;

  const opt = start + questionEnd;
  into.set(template, opt);
  if (query.edns?.dnssecOk) writeUint16(into, opt + OPT_FLAGS, DNSSEC_OK);
  writeUint16(into, opt + OPT_LENGTH, template.length - OPT_BYTES + padding);
  writeUint16(into, opt + template.length - 2, padding);
  into.fill(0, opt + template.length, end);
  return end;
}

/**
 * A copy of a client's query without the parts that its reply does not depend on, at most 302 bytes. It keeps the header,
 * the question, and the OPT record with an empty TCP keep-alive option. Waiting queries keep this copy.
 */
export function compactQuery({ bytes, questionEnd, edns }: Message): Message {
  const keepsAlive = edns?.option(EdnsOption.TCP_KEEPALIVE) !== undefined;
  const opt = edns ? OPT_BYTES + (keepsAlive ? OPTION_HEADER_BYTES : 0) : 0;
  const copy = new Uint8Array(questionEnd + opt); // its own: in a shared buffer, one slow query would keep many alive
  for (let i = 0; i < HeaderField.ANSWERS; i++) copy[i] = bytes[i]!;
  for (let i = HEADER_BYTES; i < questionEnd; i++) copy[i] = bytes[i]!;
  if (edns) {
    writeUint16(copy, HeaderField.ADDITIONAL, 1);
    writeOpt(copy, questionEnd, edns.udpSize, edns.dnssecOk);
    if (keepsAlive) {
      writeUint16(copy, questionEnd + OPT_LENGTH, OPTION_HEADER_BYTES);
      writeUint16(copy, questionEnd + OPT_BYTES, EdnsOption.TCP_KEEPALIVE);
    }
  }
  return Message.ofOwnQuery(copy, questionEnd, edns !== undefined);
}

const QUESTION_AND_OPT_COUNTS = Uint8Array.of(0, 1, 0, 0, 0, 0, 0, 1);
