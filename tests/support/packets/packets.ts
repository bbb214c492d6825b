/**
 * DNS messages for tests. Imports nothing of lib/: octets made by the code under test would prove its errors right.
 */
import { concat } from "./frames.ts";
import { composeName, readName } from "./names.ts";

export { type Decoded, read } from "./packet_reader.ts";

export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  DS: 43,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  SVCB: 64,
  HTTPS: 65,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

export type Type = keyof typeof TYPE | number;

export interface ResourceRecord {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  readonly rdata: Uint8Array;
}

export interface EdnsOption {
  readonly code: number;
  readonly value: Uint8Array;
}

export interface EdnsFields {
  /** The UDP payload size; default 1232. */
  readonly size?: number;
  readonly version?: number;
  readonly do?: boolean;
  readonly options?: readonly EdnsOption[];
}

export interface QueryFields {
  readonly id?: number;
  readonly opcode?: number;
  /** Recursion desired; set by default, as a stub resolver does. */
  readonly rd?: boolean;
  readonly ad?: boolean;
  readonly cd?: boolean;
  readonly class?: number;
  readonly edns?: EdnsFields;
}

export interface ResponseFields {
  /** Default: the query's. */
  readonly id?: number;
  /** Up to 4095; the upper eight bits need EDNS (RFC 6891 §6.1.3). */
  readonly rcode?: number;
  readonly aa?: boolean;
  readonly tc?: boolean;
  /** Recursion available; set by default. */
  readonly ra?: boolean;
  readonly ad?: boolean;
  readonly answers?: readonly ResourceRecord[];
  readonly authority?: readonly ResourceRecord[];
  readonly additional?: readonly ResourceRecord[];
  /** Default: the query's; `false` leaves the section empty. */
  readonly question?: false | { readonly name: string; readonly type: Type };
  /** Default: present when the query has it (RFC 6891 §6.1.1); `false` leaves it out. */
  readonly edns?: false | EdnsFields;
}

/** Octets from hexadecimal text; white space, and comments from `#` to the end of the line, are skipped. */
export function hex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(text.replace(/#.*$/gm, "").replace(/\s+/g, ""));
}

/** A query with one question. */
export function query(name: string, type: Type = "A", fields: QueryFields = {}): Uint8Array<ArrayBuffer> {
  const { id = 0x1234, opcode = 0, rd = true, ad = false, cd = false, edns } = fields;
  const flags = opcode << 11 | bit(rd, 8) | bit(ad, 5) | bit(cd, 4);
  return concat(
    u16(id, flags, 1, 0, 0, edns ? 1 : 0),
    composeName(name),
    u16(typeNumber(type), fields.class ?? 1),
    edns ? opt(edns, 0) : new Uint8Array(0),
  );
}

/** A response to `asked`. By default it repeats the ID, opcode, RD, CD and question. */
export function response(asked: Uint8Array, fields: ResponseFields = {}): Uint8Array<ArrayBuffer> {
  const { rcode = 0, aa = false, tc = false, ra = true, ad = false } = fields;
  const { answers = [], authority = [], additional = [] } = fields;
  const view = new DataView(asked.buffer, asked.byteOffset, asked.byteLength);
  const question = questionOctets(asked, fields.question);
  const edns = fields.edns ?? (hasOpt(asked) && {});
  if (rcode > 15 && !edns) throw new RangeError(`RCODE ${rcode} needs EDNS`);
  const flags = 0x8000 | view.getUint16(2) & 0x7910 | bit(aa, 10) | bit(tc, 9) | bit(ra, 7) | bit(ad, 5) |
    rcode & 15;
  const counts = [answers.length, authority.length, additional.length + (edns ? 1 : 0)];
  return concat(
    u16(fields.id ?? view.getUint16(0), flags, question.length > 0 ? 1 : 0, ...counts),
    question,
    ...[...answers, ...authority, ...additional].map((record) => recordOctets(record, question)),
    edns ? opt(edns, rcode >> 4) : new Uint8Array(0),
  );
}

/** RDATA and the record around it. */
export function a(name: string, address: string, ttl = 300): ResourceRecord {
  return record(name, "A", Uint8Array.from(address.split("."), Number), ttl);
}

export function aaaa(name: string, address: string, ttl = 300): ResourceRecord {
  const [head = "", tail = ""] = address.split("::").map((part) => part);
  const left = head.split(":").filter(Boolean);
  const right = tail.split(":").filter(Boolean);
  const zeros = Array<string>(8 - left.length - right.length).fill("0");
  return record(name, "AAAA", u16(...[...left, ...zeros, ...right].map((group) => parseInt(group, 16))), ttl);
}

export function cname(name: string, target: string, ttl = 300): ResourceRecord {
  return record(name, "CNAME", composeName(target), ttl);
}

/** One character-string of at most 255 octets for each of `strings` (RFC 1035 §3.3.14). */
export function txt(name: string, strings: readonly string[], ttl = 300): ResourceRecord {
  const parts = strings.map((string) => new TextEncoder().encode(string));
  return record(name, "TXT", concat(...parts.flatMap((part) => [Uint8Array.of(part.length), part])), ttl);
}

/** A start of authority; `minimum` bounds negative caching (RFC 2308 §5). */
export function soa(name: string, { minimum = 300, serial = 1, ttl = 300 } = {}): ResourceRecord {
  const numbers = [serial, 7200, 900, 1209600, minimum].flatMap((number) => [number >>> 16, number & 0xffff]);
  const names = ["ns.example", "hostmaster.example"].map(composeName);
  return record(name, "SOA", concat(...names, u16(...numbers)), ttl);
}

/** A record of any type with RDATA as given. */
export function record(name: string, type: Type, rdata: Uint8Array, ttl = 300): ResourceRecord {
  return { name, type: typeNumber(type), class: 1, ttl, rdata };
}

/** EDNS(0) padding of `length` zero octets (RFC 7830 §3). */
export function padding(length: number): EdnsOption {
  return { code: 12, value: new Uint8Array(length) };
}

/** edns-tcp-keepalive, its timeout in units of 100 ms; a client sends it without one (RFC 7828 §3.1). */
export function keepAlive(timeout?: number): EdnsOption {
  return { code: 11, value: timeout === undefined ? new Uint8Array(0) : u16(timeout) };
}

function questionOctets(asked: Uint8Array, question: ResponseFields["question"]): Uint8Array {
  if (question === false) return new Uint8Array(0);
  if (question) return concat(composeName(question.name), u16(typeNumber(question.type), 1));
  return asked.subarray(12, readName(asked, 12).end + 4);
}

/** The query must be one of ours: OPT, if there, is the first record after the one question. */
function hasOpt(asked: Uint8Array): boolean {
  const view = new DataView(asked.buffer, asked.byteOffset, asked.byteLength);
  return view.getUint16(10) > 0 && view.getUint16(readName(asked, 12).end + 5) === TYPE.OPT;
}

/** An owner equal to the question's name becomes a pointer to it, as every server does (RFC 1035 §4.1.4). */
function recordOctets(record: ResourceRecord, question: Uint8Array): Uint8Array {
  const owner = composeName(record.name);
  const same = question.length > 4 && question.subarray(0, -4).toHex() === owner.toHex();
  const { type, class: classNumber, ttl, rdata } = record;
  return concat(
    same ? u16(0xc00c) : owner,
    u16(type, classNumber, ttl >>> 16, ttl & 0xffff, rdata.length),
    rdata,
  );
}

/** The OPT record (RFC 6891 §6.1.2); `upper` is the upper eight bits of the RCODE. */
function opt(
  { size = 1232, version = 0, do: dnssecOk = false, options = [] }: EdnsFields,
  upper: number,
): Uint8Array {
  const rdata = concat(...options.flatMap(({ code, value }) => [u16(code, value.length), value]));
  return concat(
    Uint8Array.of(0),
    u16(TYPE.OPT, size, upper << 8 | version, bit(dnssecOk, 15), rdata.length),
    rdata,
  );
}

function typeNumber(type: Type): number {
  return typeof type === "number" ? type : TYPE[type];
}

function bit(value: boolean, position: number): number {
  return value ? 1 << position : 0;
}

function u16(...values: number[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(values.flatMap((value) => [value >> 8 & 0xff, value & 0xff]));
}
