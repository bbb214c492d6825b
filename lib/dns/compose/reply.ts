import { Flag, HEADER_BYTES, HeaderField, OPCODE_MASK, RCODE_MASK } from "../header.ts";
import { joinBytes, readUint16, writeUint16 } from "../bytes.ts";
import { EdnsOption, Rcode, Type } from "../codes.ts";
import { DNSSEC_OK, type Edns, findOpt, OPT_BYTES, writeOpt } from "../edns.ts";
import { LENGTH_PREFIX_BYTES } from "../framing.ts";
import { MAX_MESSAGE_BYTES, type Message } from "../message.ts";
import { equalNames } from "../name.ts";
import { RecordCursor, type Section } from "../records.ts";

/** How one client is to be answered, on top of what its query says. */
export interface ReplyOptions {
  readonly transport: "udp" | "tcp";
  /** The largest UDP message this side sends and says it takes, in octets (RFC 9715 §3). */
  readonly udpSize: number;
  /** How long an idle TCP connection is kept, in units of 100 ms, told to clients that ask (RFC 7828 §3.3.2). */
  readonly keepAlive: number;
}

/** An extended error of our own making (RFC 8914 §2). */
export interface ExtendedErrorText {
  readonly code: number;
  readonly text: string;
}

/** All replies are composed here, and good until the next one is: whoever keeps one copies it. */
const scratch = new Uint8Array(LENGTH_PREFIX_BYTES + MAX_MESSAGE_BYTES);
const utf8 = new TextEncoder();

/**
 * The upstream's response made the client's own: its ID, question and EDNS, the AD bit only where it was asked for, cut
 * at the boundary of an RRset where it is too long. Returns a frame, see `scratch`; throws `FormatError` if the response is malformed.
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
    // RFC 8914 §3: extended errors are the first to go when space is short; so are all our options.
    end = composeOpt(end, edns, rcode, options, end + option.length <= limit ? option : NO_OPTIONS);
  }
  return finish(end);
}

/** A reply without records: an RCODE and, for clients that speak EDNS, the reason. Returns a frame, see `scratch`. */
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
    const room = sizeLimit(edns, options) + LENGTH_PREFIX_BYTES - end - OPT_BYTES;
    const option = composeOptions(edns, reason ? [composeExtendedError(reason)] : [], options);
    end = composeOpt(end, edns, rcode, options, option.length <= room ? option : NO_OPTIONS);
  }
  return finish(end);
}

/**
 * A reply to a query that cannot be read as a question: its ID, opcode and an RCODE, and an OPT record if the query has
 * one (RFC 6891 §6.1.1: responders "MUST include" it). Never longer than the query. Returns a frame, see `scratch`.
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

/** RFC 6891 §6.2.3: less than 512 means 512. RFC 1035 §4.2.1: so does no OPT at all. */
function sizeLimit(edns: Edns | undefined, options: ReplyOptions): number {
  if (options.transport === "tcp") return MAX_MESSAGE_BYTES;
  return Math.max(512, Math.min(edns?.udpSize ?? 512, options.udpSize));
}

/**
 * The header's second word without the RCODE: RD and CD are the client's, AD only for those who asked by AD or DO
 * (RFC 6840 §5.8). RA is about this server, whoever has answered (RFC 1035 §4.1.1).
 */
export function replyFlags(asked: number, dnssecOk: boolean, answered: number): number {
  const wantsAd = (asked & Flag.AD) !== 0 || dnssecOk;
  const kept = Flag.QR | Flag.AA | Flag.TC | Flag.Z | (wantsAd ? Flag.AD : 0);
  return answered & kept | Flag.RA | asked & (Flag.RD | Flag.CD);
}

function startReply(query: Message, flags: number, rcode: number): number {
  scratch.set(query.bytes.subarray(0, query.questionEnd), LENGTH_PREFIX_BYTES);
  // Fifteen is the highest RCODE that fits a header alone (RFC 6891 §6.1.3).
  const shown = query.edns || rcode <= RCODE_MASK ? rcode & RCODE_MASK : Rcode.SERVFAIL;
  writeUint16(scratch, LENGTH_PREFIX_BYTES + HeaderField.FLAGS, flags | shown);
  writeUint16(scratch, LENGTH_PREFIX_BYTES + HeaderField.QUESTIONS, query.hasQuestion ? 1 : 0);
  scratch.fill(0, LENGTH_PREFIX_BYTES + HeaderField.ANSWERS, LENGTH_PREFIX_BYTES + HEADER_BYTES);
  return LENGTH_PREFIX_BYTES + query.questionEnd;
}

/** All records but the OPT record and what stands behind it, which is additional data at most. */
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
 * As many whole RRsets as fit. TC is set only if answer or authority lost one (RFC 2181 §9).
 *
 * @param leavesAddresses whether the addresses that fit stay in the answer, where not all of them do: RFC 2181 §9 lets
 * them, and a stub resolver that has neither EDNS nor TCP has nothing else to go by
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

/** A delegation without all its glue is truncated too (RFC 9471 §3). */
function isReferral(response: Message): boolean {
  const cursor = new RecordCursor(response.bytes, response.questionEnd);
  return cursor.next() && cursor.section === "authority" && cursor.type === Type.NS;
}

const NO_OPTIONS = new Uint8Array(0);

function composeOptions(edns: Edns, extendedErrors: Uint8Array[], options: ReplyOptions): Uint8Array {
  // RFC 7828 §3.3.1: "MUST ignore" it in UDP queries.
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

/** The option, header included. */
export function composeExtendedError({ code, text }: ExtendedErrorText): Uint8Array {
  const extraText = utf8.encode(text);
  const option = new Uint8Array(6 + extraText.length);
  writeUint16(option, 0, EdnsOption.EXTENDED_ERROR);
  writeUint16(option, 2, 2 + extraText.length);
  writeUint16(option, 4, code);
  option.set(extraText, 6);
  return option;
}

/** Our OPT record, since the query had one (RFC 6891 §6.1.1); DO is copied from the query (RFC 3225 §3). */
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
