import { Flag, HEADER_BYTES, HeaderField, OPCODE_MASK } from "../header.ts";
import { writeUint16 } from "../bytes.ts";
import { LENGTH_PREFIX_BYTES } from "../framing.ts";
import type { Message } from "../message.ts";
import { OPT_BYTES, writeOpt } from "../edns.ts";
import { composeExtendedError, type ExtendedErrorText } from "./reply.ts";

/** What a client that is not to be answered is told instead. */
export interface ShortRefusal {
  readonly rcode: number;
  /** Whether to say "ask over TCP". */
  readonly truncated: boolean;
  readonly reason: ExtendedErrorText | undefined;
  /** The size of UDP messages that is told, in octets. */
  readonly udpSize: number;
}

/** Octets of a reason that is a code only: the option's header and INFO-CODE (RFC 8914 §2). */
export const BARE_EXTENDED_ERROR_BYTES = 6;

/**
 * A reply with nothing but an RCODE and its reason, in at most `limit` octets. Over UDP that is what the query has: who
 * forges its source gains nothing by us. The bare reply always fits, for the query has a question and an OPT record, too;
 * what is left out otherwise is the reason (RFC 8914 §3), first its text.
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
  if (!reason || room < BARE_EXTENDED_ERROR_BYTES) return NO_OPTION;
  const option = room < BARE_EXTENDED_ERROR_BYTES + reason.text.length
    ? undefined
    : composeExtendedError(reason);
  if (option && option.length <= room) return option;
  return composeExtendedError({ code: reason.code, text: "" });
}
