import { readName } from "./names.ts";
import type { EdnsOption, ResourceRecord } from "./packets.ts";

export interface DecodedRecord extends ResourceRecord {
  /** RDATA in presentation form, names followed through compression; hexadecimal for types not known here. */
  readonly text: string;
}

/** A whole message as plain values, to be compared in tests. */
export interface Decoded {
  readonly id: number;
  readonly opcode: number;
  /** With EDNS's upper eight bits (RFC 6891 §6.1.3). */
  readonly rcode: number;
  readonly flags: {
    readonly qr: boolean;
    readonly aa: boolean;
    readonly tc: boolean;
    readonly rd: boolean;
    readonly ra: boolean;
    readonly z: boolean;
    readonly ad: boolean;
    readonly cd: boolean;
  };
  readonly question: { readonly name: string; readonly type: number; readonly class: number } | undefined;
  readonly answers: readonly DecodedRecord[];
  readonly authority: readonly DecodedRecord[];
  /** Without OPT, which is `edns`. */
  readonly additional: readonly DecodedRecord[];
  readonly edns: {
    readonly size: number;
    readonly version: number;
    readonly do: boolean;
    readonly options: readonly EdnsOption[];
  } | undefined;
}

const OPT = 41;

/** Decodes all of `bytes`, and throws unless every octet of it is accounted for. */
export function read(bytes: Uint8Array): Decoded {
  const cursor = new Cursor(bytes);
  const [id, flags] = [cursor.u16(), cursor.u16()];
  const counts = {
    question: cursor.u16(),
    answers: cursor.u16(),
    authority: cursor.u16(),
    additional: cursor.u16(),
  };
  if (counts.question > 1) throw new RangeError(`A message asks one question, not ${counts.question}`);
  const question = counts.question === 1
    ? { name: cursor.name(), type: cursor.u16(), class: cursor.u16() }
    : undefined;
  const answers = records(cursor, counts.answers);
  const authority = records(cursor, counts.authority);
  const additional = records(cursor, counts.additional);
  cursor.finish();
  const opts = [...answers, ...authority, ...additional].filter(({ type }) => type === OPT);
  const [opt] = opts;
  if (opts.length > 1 || opt && (!additional.includes(opt) || opt.name !== ".")) {
    throw new RangeError(
      "OPT must be there once at most, at the root, in the additional section (RFC 6891 §6.1.1)",
    );
  }
  return {
    id,
    opcode: flags >> 11 & 15,
    rcode: (opt ? opt.ttl >>> 24 << 4 : 0) | flags & 15,
    flags: flagsOf(flags),
    question,
    answers,
    authority,
    additional: additional.filter((record) => record !== opt),
    edns: opt && ednsOf(opt),
  };
}

function flagsOf(flags: number): Decoded["flags"] {
  const has = (position: number) => (flags >> position & 1) === 1;
  return { qr: has(15), aa: has(10), tc: has(9), rd: has(8), ra: has(7), z: has(6), ad: has(5), cd: has(4) };
}

function ednsOf({ class: size, ttl, rdata }: ResourceRecord): Decoded["edns"] {
  const cursor = new Cursor(rdata);
  const options: EdnsOption[] = [];
  while (!cursor.done) {
    const code = cursor.u16();
    options.push({ code, value: cursor.take(cursor.u16()) });
  }
  return { size, version: ttl >>> 16 & 0xff, do: (ttl >>> 15 & 1) === 1, options };
}

function records(cursor: Cursor, count: number): DecodedRecord[] {
  return Array.from({ length: count }, () => {
    const [name, type, classNumber, ttl] = [cursor.name(), cursor.u16(), cursor.u16(), cursor.u32()];
    const length = cursor.u16();
    const start = cursor.at;
    const rdata = cursor.take(length);
    return {
      name,
      type,
      class: classNumber,
      ttl,
      rdata,
      text: presentation(type, cursor.upTo(start, length)),
    };
  });
}

/** The cursor runs over the RDATA only, but can follow names into the message before it. */
function presentation(type: number, cursor: Cursor): string {
  const text = READERS[type]?.(cursor) ?? cursor.rest().toHex();
  cursor.finish();
  return text;
}

const READERS: Record<number, (cursor: Cursor) => string> = {
  1: (cursor) => cursor.take(4).join("."),
  2: (cursor) => cursor.name(),
  5: (cursor) => cursor.name(),
  6: (cursor) => [cursor.name(), cursor.name(), ...Array.from({ length: 5 }, () => cursor.u32())].join(" "),
  12: (cursor) => cursor.name(),
  15: (cursor) => `${cursor.u16()} ${cursor.name()}`,
  16: (cursor) => strings(cursor).map((string) => JSON.stringify(string)).join(" "),
  28: (cursor) => address6(Array.from({ length: 8 }, () => cursor.u16())),
};

function strings(cursor: Cursor): string[] {
  const found: string[] = [];
  while (!cursor.done) found.push(new TextDecoder().decode(cursor.take(cursor.u8())));
  return found;
}

/** The form of RFC 5952, for which the URL parser already has the rules. */
function address6(groups: number[]): string {
  const spelled = groups.map((group) => group.toString(16)).join(":");
  return new URL(`http://[${spelled}]`).hostname.slice(1, -1);
}

class Cursor {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  get done(): boolean {
    return this.at === this.#bytes.length;
  }

  /** A cursor for `length` octets from `start` on. Octets before it stay in reach of names, those after it do not. */
  upTo(start: number, length: number): Cursor {
    return new Cursor(this.#bytes.subarray(0, start + length), start);
  }

  take(length: number): Uint8Array {
    if (this.at + length > this.#bytes.length) {
      throw new RangeError(`The message ends ${length} octets too early`);
    }
    this.at += length;
    return this.#bytes.slice(this.at - length, this.at);
  }

  u8(): number {
    return this.take(1)[0]!;
  }

  u16(): number {
    return this.u8() << 8 | this.u8();
  }

  u32(): number {
    return this.u16() * 65536 + this.u16();
  }

  name(): string {
    const { name, end } = readName(this.#bytes, this.at);
    this.at = end;
    return name;
  }

  rest(): Uint8Array {
    return this.take(this.#bytes.length - this.at);
  }

  finish(): void {
    if (!this.done) throw new RangeError(`${this.#bytes.length - this.at} octets are left over`);
  }
}
