import { Flag } from "../codes.ts";
import { LENGTH_PREFIX } from "../framing.ts";
import { HEADER, type Message } from "../message.ts";
import { OPT_FIXED, writeOpt } from "../edns.ts";
import { writeUint16 } from "../records.ts";
import { composeReason, type ExtendedErrorText } from "./reply.ts";

/** What a client that is not to be answered is told instead. */
export interface ShortRefusal {
  readonly rcode: number;
  /** Whether to say "ask over TCP". */
  readonly truncated: boolean;
  readonly reason: ExtendedErrorText | undefined;
  /** The size of UDP messages that is told, in octets. */
  readonly udpSize: number;
}

/** Its place in the header's second word. */
const OPCODE = 0x7800;
/** Octets of a reason that is a code only: the option's header and INFO-CODE (RFC 8914 §2). */
export const BARE_REASON = 6;

/**
 * A reply with nothing but an RCODE and its reason, in at most `limit` octets. Over UDP that is what the query has: who
 * forges its source gains nothing by us. The bare reply always fits, for the query has a question and an OPT record, too;
 * what is left out otherwise is the reason (RFC 8914 §3), first its text.
 */
export function composeRefusal(query: Message, refusal: ShortRefusal, limit: number): Uint8Array {
  const { bytes, questionEnd, edns } = query;
  const option = edns ? fittingReason(refusal.reason, limit - questionEnd - OPT_FIXED) : NO_OPTION;
  const end = LENGTH_PREFIX + questionEnd;
  const frame = new Uint8Array(edns ? end + OPT_FIXED + option.length : end);
  writeUint16(frame, 0, frame.length - LENGTH_PREFIX);
  frame.set(bytes.subarray(0, questionEnd), LENGTH_PREFIX);
  const flags = Flag.QR | Flag.RA | query.flags & (OPCODE | Flag.RD | Flag.CD) |
    (refusal.truncated ? Flag.TC : 0);
  writeUint16(frame, LENGTH_PREFIX + 2, flags | refusal.rcode);
  frame.fill(0, LENGTH_PREFIX + 6, LENGTH_PREFIX + HEADER);
  if (!edns) return frame;
  frame[LENGTH_PREFIX + 11] = 1;
  writeOpt(frame, end, refusal.udpSize, edns.dnssecOk);
  writeUint16(frame, end + 9, option.length);
  frame.set(option, end + OPT_FIXED);
  return frame;
}

const NO_OPTION = new Uint8Array(0);

function fittingReason(reason: ExtendedErrorText | undefined, room: number): Uint8Array {
  if (!reason || room < BARE_REASON) return NO_OPTION;
  const option = room < BARE_REASON + reason.text.length ? undefined : composeReason(reason);
  if (option && option.length <= room) return option;
  return composeReason({ code: reason.code, text: "" });
}
