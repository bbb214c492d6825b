/** Short refusals over UDP, for clients that may not ask or ask too often. */

import { Flag, HEADER_BYTES, HeaderField, OPCODE_MASK } from "../header.ts";
import { writeUint16 } from "../bytes.ts";
import { LENGTH_PREFIX_BYTES } from "../framing.ts";
import type { Message } from "../message.ts";
import { EXTENDED_ERROR_BYTES, OPT_BYTES, writeOpt } from "../edns.ts";
import { composeExtendedError, type ExtendedErrorText } from "./reply.ts";

/** The contents of a refusal. */
export interface ShortRefusal {
  readonly rcode: number;
  /** TC: the client may repeat the query over TCP. */
  readonly truncated: boolean;
  readonly reason: ExtendedErrorText | undefined;
  /** The largest UDP message this side accepts, in bytes. */
  readonly udpSize: number;
}

/**
 * A reply with only an RCODE and a reason, of at most `limit` bytes. Over UDP the limit is the length of the query, so
 * that forged queries gain no amplification. The reply without a reason always fits, because the query has a question
 * and an OPT record as well. If space is short, the reason's text goes first, then the reason (RFC 8914 §3).
 */
export function composeRefusal(query: Message, refusal: ShortRefusal, limit: number): Uint8Array {
  const { bytes, questionEnd, edns } = query;
  const option = edns ? fittingReason(refusal.reason, limit - questionEnd - OPT_BYTES) : NO_OPTION;
  const end = LENGTH_PREFIX_BYTES + questionEnd;
  const frame = new Uint8Array(edns ? end + OPT_BYTES + option.length : end);
  writeUint16(frame, 0, frame.length - LENGTH_PREFIX_BYTES);
  frame.set(bytes.subarray(0, questionEnd), LENGTH_PREFIX_BYTES);
  const flags = Flag.QR | Flag.RA | query.flags & (OPCODE_MASK | Flag.RD | Flag.CD) |
    (refusal.truncated ? Flag.TC : 0);
  writeUint16(frame, LENGTH_PREFIX_BYTES + HeaderField.FLAGS, flags | refusal.rcode);
  frame.fill(0, LENGTH_PREFIX_BYTES + HeaderField.ANSWERS, LENGTH_PREFIX_BYTES + HEADER_BYTES);
  if (!edns) return frame;
  writeUint16(frame, LENGTH_PREFIX_BYTES + HeaderField.ADDITIONAL, 1);
  writeOpt(frame, end, refusal.udpSize, edns.dnssecOk);
  writeUint16(frame, end + 9, option.length);
  frame.set(option, end + OPT_BYTES);
  return frame;
}

const NO_OPTION = new Uint8Array(0);

function fittingReason(reason: ExtendedErrorText | undefined, room: number): Uint8Array {
  if (!reason || room < EXTENDED_ERROR_BYTES) return NO_OPTION;
  const option = room < EXTENDED_ERROR_BYTES + reason.text.length ? undefined : composeExtendedError(reason);
  if (option && option.length <= room) return option;
  return composeExtendedError({ code: reason.code, text: "" });
}
