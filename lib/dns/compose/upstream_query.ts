import { Flag, HEADER_BYTES, HeaderField } from "../header.ts";
import { writeUint16 } from "../bytes.ts";
import { EdnsOption, Type } from "../codes.ts";
import { DNSSEC_OK, OPT_BYTES, writeOpt } from "../edns.ts";
import { LENGTH_PREFIX_BYTES } from "../framing.ts";
import { Message } from "../message.ts";

/** Queries are padded to a multiple of this, in octets (RFC 8467 §4.1). */
const BLOCK = 128;

/**
 * What every query says about itself, up to the length of its padding: our own OPT record, since EDNS is hop by hop
 * (RFC 6891 §6.1.1: OPT "MUST NOT be … forwarded"), and so no option of a client leaves this machine.
 */
function composeOpt(...options: readonly number[]): Uint8Array {
  return Uint8Array.of(
    ...[0, 0, Type.OPT, 1232 >> 8, 1232 & 0xff, 0, 0, 0, 0, 0, 0], // root, type, payload size, TTL, length
    ...options,
    // "How long may I stay?": no TIMEOUT from a client (RFC 7828 §3.2.1).
    ...[0, EdnsOption.TCP_KEEPALIVE, 0, 0],
    // Padding is the last option (RFC 8467 §3); its length follows.
    ...[0, EdnsOption.PADDING, 0, 0],
  );
}

/** Whether queries ask the upstream not to add its client's subnet for other servers to see (RFC 7871 §7.1.2). */
export type ClientSubnet = "none" | "zero";

const OPTS: Readonly<Record<ClientSubnet, Uint8Array>> = {
  none: composeOpt(),
  // SOURCE PREFIX-LENGTH 0.
  zero: composeOpt(0, EdnsOption.CLIENT_SUBNET, 0, 4, 0, 1, 0, 0),
};
const OPT_FLAGS = 7;
const OPT_LENGTH = 9;

/** The longest frame `composeQuery` makes, in octets: the longest question is 12 + 255 + 4. */
export const MAX_QUERY_FRAME_BYTES = LENGTH_PREFIX_BYTES + 3 * BLOCK;

/**
 * Writes the query for the upstream at `into[at]`, which has `MAX_QUERY_FRAME` octets of room: length prefix, header
 * with `id`, the client's question as it stands, our OPT record, padding. Returns the offset behind it.
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
  const padding = -(questionEnd + template.length) & (BLOCK - 1);
  const end = start + questionEnd + template.length + padding;

  writeUint16(into, at, end - start);
  writeUint16(into, start + HeaderField.ID, id);
  // AD asks for the verdict on validation (RFC 6840 §5.7): what a client gets to see of it is decided in the reply.
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
 * A copy of a client's query with what its answer depends on and no more, 302 bytes at most: header, question and, where
 * there is one, an OPT record without options but an empty TCP keep-alive. For as long as the answer is waited for.
 */
export function compactQuery({ bytes, questionEnd, edns }: Message): Message {
  const keepsAlive = edns?.option(EdnsOption.TCP_KEEPALIVE) !== undefined;
  const opt = edns ? OPT_BYTES + (keepsAlive ? OPTION_HEADER : 0) : 0;
  const copy = new Uint8Array(questionEnd + opt);
  for (let i = 0; i < HeaderField.ANSWERS; i++) copy[i] = bytes[i]!;
  for (let i = HEADER_BYTES; i < questionEnd; i++) copy[i] = bytes[i]!;
  if (edns) {
    writeUint16(copy, HeaderField.ADDITIONAL, 1);
    writeOpt(copy, questionEnd, edns.udpSize, edns.dnssecOk);
    if (keepsAlive) {
      writeUint16(copy, questionEnd + OPT_LENGTH, OPTION_HEADER);
      writeUint16(copy, questionEnd + OPT_BYTES, EdnsOption.TCP_KEEPALIVE);
    }
  }
  return Message.parse(copy);
}

/** OPTION-CODE and OPTION-LENGTH, in bytes (RFC 6891 §6.1.2). */
const OPTION_HEADER = 4;
const QUESTION_AND_OPT_COUNTS = Uint8Array.of(0, 1, 0, 0, 0, 0, 0, 1);
