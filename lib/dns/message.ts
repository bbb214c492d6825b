/**
 * A DNS message, read in place.
 *
 * The folder `dns/` is the wire format (RFC 1035 and its extensions). It imports nothing outside. Absent on purpose: I/O,
 * objects per record, and DataViews; they would cost more than the rest of a cache hit. `compose/` writes messages.
 */

import { Flag, HEADER_BYTES, HeaderField, opcodeOf, RCODE_MASK } from "./header.ts";
import { readUint16 } from "./bytes.ts";
import { Rcode, Type } from "./codes.ts";
import { Edns } from "./edns.ts";
import { FormatError } from "./format_error.ts";
import { MessageNames } from "./message_names.ts";
import { lowerCase, nameToString, skipPlainName } from "./name.ts";
import { RecordCursor } from "./records.ts";

/** The largest length that the two-byte prefix on TCP can express (RFC 1035 §4.2.2). */
export const MAX_MESSAGE_BYTES = 65_535;

/** A view of a message. Immutable: `bytes` must not change after `parse`. */
export class Message {
  readonly bytes: Uint8Array;
  /** Offset behind the question; `HEADER_BYTES` if there is no question. */
  readonly questionEnd: number;
  #scanned = false;
  #edns: Edns | undefined;
  #isSigned = false;
  #recordsEnd = 0;
  #recordsKept = 0;
  #pointersLeadToNames = true;

  private constructor(bytes: Uint8Array, questionEnd: number) {
    this.bytes = bytes;
    this.questionEnd = questionEnd;
  }

  /**
   * Checks the header and the question. The records are checked when they are read for the first time.
   * Throws `FormatError`, also for more than one question (RFC 9619 §4).
   */
  static parse(bytes: Uint8Array): Message {
    if (bytes.length < HEADER_BYTES) throw new FormatError("shorter than a header");
    const questions = readUint16(bytes, HeaderField.QUESTIONS);
    if (questions === 0) return new Message(bytes, HEADER_BYTES);
    if (questions > 1) throw new FormatError(`${questions} questions in one message`);
    const nameEnd = skipPlainName(bytes, HEADER_BYTES);
    if (nameEnd + 4 > bytes.length) throw new FormatError("the question runs past the end of the message");
    return new Message(bytes, nameEnd + 4);
  }

  /**
   * As `parse`, for bytes from a channel. Clears AD if the channel is unauthenticated, because an attacker may have set
   * it: AD counts on trusted channels only (RFC 4035 §4.9.3, RFC 6840 §5.8).
   */
  static receive(bytes: Uint8Array, isAuthenticated = true): Message {
    if (!isAuthenticated && bytes.length >= HEADER_BYTES) bytes[HeaderField.FLAGS + 1]! &= ~Flag.AD;
    return Message.parse(bytes);
  }

  /**
   * A message whose records were checked before. None of them is an OPT record. Skips all further checks.
   */
  static ofCheckedRecords(bytes: Uint8Array, questionEnd: number): Message {
    const message = new Message(bytes, questionEnd);
    message.#recordsKept = readUint16(bytes, HeaderField.ANSWERS) + readUint16(bytes, HeaderField.AUTHORITY) +
      readUint16(bytes, HeaderField.ADDITIONAL);
    message.#recordsEnd = bytes.length;
    message.#scanned = true;
    return message;
  }

  /** A query made here: the question, and an OPT record behind it if `hasOpt`. Its records are not checked again. */
  static ofOwnQuery(bytes: Uint8Array, questionEnd: number, hasOpt: boolean): Message {
    const message = new Message(bytes, questionEnd);
    message.#edns = hasOpt ? new Edns(bytes, questionEnd + 1, bytes.length) : undefined;
    message.#recordsEnd = questionEnd;
    message.#scanned = true;
    return message;
  }

  get id(): number {
    return readUint16(this.bytes, HeaderField.ID);
  }

  /** The flags field of the header: bits of `Flag`, opcode and RCODE. */
  get flags(): number {
    return readUint16(this.bytes, HeaderField.FLAGS);
  }

  get isResponse(): boolean {
    return (this.flags & Flag.QR) !== 0;
  }

  get opcode(): number {
    return opcodeOf(this.flags);
  }

  /** All twelve bits of the RCODE; the upper eight are in the OPT record (RFC 6891 §6.1.3). */
  get rcode(): number {
    return (this.edns?.extendedRcode ?? 0) << 4 | this.flags & RCODE_MASK;
  }

  /** Number of records in the answer section, according to the header. */
  get answerCount(): number {
    return readUint16(this.bytes, HeaderField.ANSWERS);
  }

  get hasQuestion(): boolean {
    return this.questionEnd > HEADER_BYTES;
  }

  /** QNAME as text; "." if there is no question. */
  get name(): string {
    return this.hasQuestion ? nameToString(this.bytes, HEADER_BYTES) : ".";
  }

  /** QTYPE; 0 if there is no question. */
  get type(): number {
    return this.hasQuestion ? readUint16(this.bytes, this.questionEnd - 4) : 0;
  }

  /** QCLASS; 0 if there is no question. */
  get class(): number {
    return this.hasQuestion ? readUint16(this.bytes, this.questionEnd - 2) : 0;
  }

  /** The OPT record, or undefined. Checks all records on the first call; throws `FormatError`. */
  get edns(): Edns | undefined {
    this.#scan();
    return this.#edns;
  }

  /** Offset behind the last record before the OPT record, or behind the last record. Throws `FormatError`. */
  get recordsEnd(): number {
    this.#scan();
    return this.#recordsEnd;
  }

  /** Number of additional records before `recordsEnd`. Throws `FormatError`. */
  get additionalKept(): number {
    this.#scan();
    return this.#recordsKept - readUint16(this.bytes, HeaderField.ANSWERS) -
      readUint16(this.bytes, HeaderField.AUTHORITY);
  }

  /** Whether the last record is a TSIG record, so that the message is signed (RFC 8945 §5.1). Throws `FormatError`. */
  get isSigned(): boolean {
    this.#scan();
    return this.#isSigned;
  }

  /** `MessageNames.pointersLeadToNames` of this message. Throws `FormatError`. */
  get pointersLeadToNames(): boolean {
    this.#scan();
    return this.#pointersLeadToNames;
  }

  /**
   * Whether this is a response to the query. It must repeat the question (RFC 7766 §7). An error response without
   * records may leave the question out. Throws `FormatError`.
   */
  answers(query: Message): boolean {
    if (!this.isResponse) return false;
    if (this.hasQuestion) return this.sameQuestion(query);
    const isError = this.rcode !== Rcode.NOERROR && this.rcode !== Rcode.NXDOMAIN;
    return isError && this.recordsEnd === this.questionEnd;
  }

  /** Whether QTYPE, QCLASS and QNAME are equal, ignoring the ASCII case of QNAME (RFC 7766 §7). */
  sameQuestion(other: Message): boolean {
    const end = this.questionEnd;
    if (end !== other.questionEnd) return false;
    const a = this.bytes;
    const b = other.bytes;
    for (let i = HEADER_BYTES; i < end - 4; i++) {
      if (a[i] !== b[i] && lowerCase(a[i]!) !== lowerCase(b[i]!)) return false;
    }
    for (let i = Math.max(end - 4, HEADER_BYTES); i < end; i++) {
      if (a[i] !== b[i]) return false;
    }
    return true;
  }

  #scan(): void {
    if (this.#scanned) return;
    const cursor = new RecordCursor(this.bytes, this.questionEnd);
    let kept = 0;
    let recordsEnd = this.questionEnd;
    let edns: Edns | undefined;
    let isSigned = false;
    let hasNames = false;
    while (cursor.next()) {
      isSigned = cursor.type === Type.TSIG;
      // An OPT record owned by the root has no names. Most queries contain no other record, and skip these checks.
      if (cursor.type !== Type.OPT || this.bytes[cursor.start] !== 0) {
        if (!hasNames) this.#beginNames();
        hasNames = true;
        messageNames.check(cursor.start);
        messageNames.checkData(cursor.type, cursor.data, cursor.end);
      }
      if (cursor.type === Type.OPT) {
        // RFC 6891 §6.1.1: at most one OPT record, in the additional section, owned by the root.
        if (edns) throw new FormatError("more than one OPT record");
        if (cursor.section !== "additional") {
          throw new FormatError("an OPT record outside the additional section");
        }
        if (cursor.fixed !== cursor.start + 1) {
          throw new FormatError("an OPT record whose owner is not the root");
        }
        edns = new Edns(this.bytes, cursor.fixed, cursor.end);
      } else if (!edns) {
        kept++;
        recordsEnd = cursor.end;
      }
    }
    this.#edns = edns;
    this.#isSigned = isSigned;
    this.#recordsKept = kept;
    this.#recordsEnd = recordsEnd;
    this.#pointersLeadToNames = !hasNames || messageNames.pointersLeadToNames;
    this.#scanned = true;
  }

  #beginNames(): void {
    messageNames.begin(this.bytes);
    if (this.hasQuestion) messageNames.check(HEADER_BYTES);
  }
}

/** Shared by all messages: the check of one message is synchronous. */
export const messageNames: MessageNames = new MessageNames();
