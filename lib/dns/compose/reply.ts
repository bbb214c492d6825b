/** Replies to clients: from a response, for an error, or for a message without a readable question. */

import { Flag, HEADER_BYTES, HeaderField, OPCODE_MASK, RCODE_MASK } from "../header.ts";
import { joinBytes, readUint16, writeUint16 } from "../bytes.ts";
import { EdnsOption, Rcode, Type } from "../codes.ts";
import { DNSSEC_OK, type Edns, EXTENDED_ERROR_BYTES, findOpt, OPT_BYTES, writeOpt } from "../edns.ts";
import { LENGTH_PREFIX_BYTES } from "../framing.ts";
import { MAX_MESSAGE_BYTES, type Message } from "../message.ts";
import { equalNames } from "../name.ts";
import { RecordCursor, type Section } from "../records.ts";

/** Properties of the client's transport and of this side. */
export interface ReplyOptions {
  readonly transport: "udp" | "tcp";
  /** The largest UDP message that this side sends and accepts, in bytes (RFC 9715 §3). */
  readonly udpSize: number;
  /** Idle timeout of TCP connections in units of 100 ms, for clients that send the option (RFC 7828 §3.3.2). */
  readonly keepAlive: number;
}

/** An extended error to compose (RFC 8914 §2). */
export interface ExtendedErrorText {
  readonly code: number;
  readonly text: string;
}

/** The buffer of all replies. A reply is valid until the next one is composed. */
const scratch = new Uint8Array(LENGTH_PREFIX_BYTES + MAX_MESSAGE_BYTES);
const utf8 = new TextEncoder();

/**
 * The reply with the records of a response, and with the ID, question and EDNS of the query. Too long a reply is truncated
 * at the boundary of an RRset. Returns a frame in `scratch`; throws `FormatError` if the response is malformed.
 */
export function composeReply(query: Message, response: Message, options: ReplyOptions): Uint8Array {
  const edns = query.edns;
  const rcode = response.rcode;
  const flags = replyFlags(query.flags, edns?.dnssecOk ?? false, response.flags);
  let end = startReply(query, flags, rcode);
  const limit = LENGTH_PREFIX_BYTES + sizeLimit(edns, options) - (edns ? OPT_BYTES : 0);
  const fits = end + response.recordsEnd - response.questionEnd <= limit;
  end += fits ? copyRecords(response, end) : truncateRecords(response, end, limit, !edns);
  if (edns) {
    const option = composeOptions(edns, response.edns?.extendedErrors() ?? [], options);
    // RFC 8914 §3: extended errors are left out first when space is short. The same holds for our other options.
    end = composeOpt(end, edns, rcode, options, end + option.length <= limit ? option : NO_OPTIONS);
  }
  return finish(end);
}

/** A reply without records: an RCODE and, for clients with EDNS, the reason. Returns a frame in `scratch`. */
export function composeError(
  query: Message,
  rcode: number,
  options: ReplyOptions,
  reason?: ExtendedErrorText,
): Uint8Array {
  const edns = query.edns;
  const flags = Flag.QR | Flag.RA | query.flags & (Flag.RD | Flag.CD);
  let end = startReply(query, flags, rcode);
  if (edns) {
    const roomBytes = sizeLimit(edns, options) + LENGTH_PREFIX_BYTES - end - OPT_BYTES;
    const option = composeOptions(edns, reason ? [composeExtendedError(reason)] : [], options);
    end = composeOpt(end, edns, rcode, options, option.length <= roomBytes ? option : NO_OPTIONS);
  }
  return finish(end);
}

/**
 * A reply to a message without a readable question, with its ID, opcode and RD. An OPT record is answered by one
 * (RFC 6891 §6.1.1: responders "MUST include" it). Not longer than the message. Returns a frame in `scratch`.
 */
export function composeHeaderError(bytes: Uint8Array, rcode: number, udpSize: number): Uint8Array {
  scratch.fill(0, 0, LENGTH_PREFIX_BYTES + HEADER_BYTES);
  scratch.set(bytes.subarray(0, HeaderField.FLAGS), LENGTH_PREFIX_BYTES);
  const opcodeAndRd = readUint16(bytes, HeaderField.FLAGS) & (OPCODE_MASK | Flag.RD);
  writeUint16(scratch, LENGTH_PREFIX_BYTES + HeaderField.FLAGS, Flag.QR | opcodeAndRd | rcode);
  const opt = findOpt(bytes);
  if (opt === undefined) return finish(LENGTH_PREFIX_BYTES + HEADER_BYTES);
  writeUint16(scratch, LENGTH_PREFIX_BYTES + HeaderField.ADDITIONAL, 1);
  writeOpt(
    scratch,
    LENGTH_PREFIX_BYTES + HEADER_BYTES,
    udpSize,
    (readUint16(bytes, opt + 6) & DNSSEC_OK) !== 0,
  );
  return finish(LENGTH_PREFIX_BYTES + HEADER_BYTES + OPT_BYTES);
}

/** The maximum length of the reply: at least 512 (RFC 6891 §6.2.3), and 512 without EDNS (RFC 1035 §4.2.1). */
function sizeLimit(edns: Edns | undefined, options: ReplyOptions): number {
  if (options.transport === "tcp") return MAX_MESSAGE_BYTES;
  return Math.max(512, Math.min(edns?.udpSize ?? 512, options.udpSize));
}

/**
 * The flags of a reply, without the RCODE. RD and CD are those of the query. AD needs AD or DO in the query
 * (RFC 6840 §5.8). RA describes this server and is always set (RFC 1035 §4.1.1).
 *
 * @param asked flags of the query
 * @param answered flags of the response
 */
export function replyFlags(asked: number, dnssecOk: boolean, answered: number): number {
  const wantsAd = (asked & Flag.AD) !== 0 || dnssecOk;
  const kept = Flag.QR | Flag.AA | Flag.TC | Flag.Z | (wantsAd ? Flag.AD : 0);
  return answered & kept | Flag.RA | asked & (Flag.RD | Flag.CD);
}

function startReply(query: Message, flags: number, rcode: number): number {
  scratch.set(query.bytes.subarray(0, query.questionEnd), LENGTH_PREFIX_BYTES);
  // Without an OPT record the header has room for an RCODE up to 15 (RFC 6891 §6.1.3).
  const shown = query.edns || rcode <= RCODE_MASK ? rcode & RCODE_MASK : Rcode.SERVFAIL;
  writeUint16(scratch, LENGTH_PREFIX_BYTES + HeaderField.FLAGS, flags | shown);
  writeUint16(scratch, LENGTH_PREFIX_BYTES + HeaderField.QUESTIONS, query.hasQuestion ? 1 : 0);
  scratch.fill(0, LENGTH_PREFIX_BYTES + HeaderField.ANSWERS, LENGTH_PREFIX_BYTES + HEADER_BYTES);
  return LENGTH_PREFIX_BYTES + query.questionEnd;
}

/** Copies the records before the OPT record. Records behind it are additional and optional. */
function copyRecords(response: Message, at: number): number {
  const { bytes, questionEnd, recordsEnd } = response;
  scratch.set(bytes.subarray(questionEnd, recordsEnd), at);
  scratch.set(
    bytes.subarray(HeaderField.ANSWERS, HeaderField.ADDITIONAL),
    LENGTH_PREFIX_BYTES + HeaderField.ANSWERS,
  );
  writeUint16(scratch, LENGTH_PREFIX_BYTES + HeaderField.ADDITIONAL, response.additionalKept);
  return recordsEnd - questionEnd;
}

/**
 * Copies as many complete RRsets as fit. Sets TC only if the answer or authority section lost one (RFC 2181 §9).
 *
 * @param leavesAddresses whether a part of an RRset of addresses may stay. RFC 2181 §9 permits it, and a stub resolver
 * with neither EDNS nor TCP cannot get more
 */
function truncateRecords(response: Message, at: number, limit: number, leavesAddresses: boolean): number {
  const { bytes, questionEnd, recordsEnd } = response;
  const cursor = new RecordCursor(bytes, questionEnd);
  const counts = { answer: 0, authority: 0, additional: 0 };
  const room = limit - at;
  let kept = 0;
  let rrset = { ...counts };
  let owner = -1;
  let type = -1;
  let section: Section = "answer";
  while (cursor.next() && cursor.start < recordsEnd) {
    const sameRrset = cursor.type === type && cursor.section === section &&
      equalNames(bytes, cursor.start, owner);
    if (!sameRrset) {
      kept = cursor.start - questionEnd;
      rrset = { ...counts };
      owner = cursor.start;
      type = cursor.type;
      section = cursor.section;
    }
    if (cursor.end - questionEnd > room) {
      if (cursor.section !== "additional" || isReferral(response)) {
        scratch[LENGTH_PREFIX_BYTES + HeaderField.FLAGS]! |= Flag.TC >> 8;
      }
      if (leavesAddresses && cursor.section === "answer" && (type === Type.A || type === Type.AAAA)) {
        kept = cursor.start - questionEnd;
        rrset = counts;
      }
      break;
    }
    counts[cursor.section]++;
  }
  scratch.set(bytes.subarray(questionEnd, questionEnd + kept), at);
  writeUint16(scratch, LENGTH_PREFIX_BYTES + HeaderField.ANSWERS, rrset.answer);
  writeUint16(scratch, LENGTH_PREFIX_BYTES + HeaderField.AUTHORITY, rrset.authority);
  writeUint16(scratch, LENGTH_PREFIX_BYTES + HeaderField.ADDITIONAL, rrset.additional);
  return kept;
}

/** Whether the response is a delegation, which must have all its glue or TC (RFC 9471 §3). */
function isReferral(response: Message): boolean {
  const cursor = new RecordCursor(response.bytes, response.questionEnd);
  return cursor.next() && cursor.section === "authority" && cursor.type === Type.NS;
}

const NO_OPTIONS = new Uint8Array(0);

function composeOptions(edns: Edns, extendedErrors: Uint8Array[], options: ReplyOptions): Uint8Array {
  // RFC 7828 §3.3.1: servers "MUST ignore" the option in UDP queries.
  const keepAlive = options.transport === "tcp" && edns.option(EdnsOption.TCP_KEEPALIVE) !== undefined;
  if (!keepAlive && extendedErrors.length === 0) return NO_OPTIONS;
  const parts = [...extendedErrors];
  if (keepAlive) {
    parts.push(
      Uint8Array.of(0, EdnsOption.TCP_KEEPALIVE, 0, 2, options.keepAlive >> 8, options.keepAlive & 0xff),
    );
  }
  return joinBytes(parts);
}

/** The extended error as an EDNS option with its header. */
export function composeExtendedError({ code, text }: ExtendedErrorText): Uint8Array {
  const extraText = utf8.encode(text);
  const option = new Uint8Array(EXTENDED_ERROR_BYTES + extraText.length);
  writeUint16(option, 0, EdnsOption.EXTENDED_ERROR);
  writeUint16(option, 2, 2 + extraText.length);
  writeUint16(option, 4, code);
  option.set(extraText, EXTENDED_ERROR_BYTES);
  return option;
}

/** Writes the OPT record of a reply to a query with one (RFC 6891 §6.1.1). DO is copied from the query (RFC 3225 §3). */
function composeOpt(
  at: number,
  edns: Edns,
  rcode: number,
  { udpSize }: ReplyOptions,
  option: Uint8Array,
): number {
  writeOpt(scratch, at, udpSize, edns.dnssecOk);
  scratch[at + 5] = rcode >> 4;
  writeUint16(scratch, at + 9, option.length);
  scratch.set(option, at + OPT_BYTES);
  writeUint16(
    scratch,
    LENGTH_PREFIX_BYTES + HeaderField.ADDITIONAL,
    readUint16(scratch, LENGTH_PREFIX_BYTES + HeaderField.ADDITIONAL) + 1,
  );
  return at + OPT_BYTES + option.length;
}

function finish(end: number): Uint8Array {
  writeUint16(scratch, 0, end - LENGTH_PREFIX_BYTES);
  return scratch.subarray(0, end);
}
