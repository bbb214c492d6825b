/** Records of the configuration: `NAME [TTL] TYPE DATA`, as in zone files (RFC 1035 §5.1). */

import { isIPv4, isIPv6 } from "node:net";
import { IpAddress } from "../../net/ip_address.ts";
import { Type } from "../../dns/codes.ts";
import { parseName } from "../../dns/name.ts";
import { LOCAL_TTL } from "./local_data.ts";
import type { LocalRecord } from "./zone_data.ts";
import { addressBytes } from "./reverse_name.ts";

/** Seven days, as RFC 8767 §4 recommends. In seconds. */
const MAX_TTL = 604_800;

/** Parses the words after the type into a record's data; undefined if they do not fit the type. */
type ParseData = (words: readonly string[], text: string) => Uint8Array | undefined;

const TYPES: Readonly<
  Record<string, { readonly type: number; readonly form: string; readonly parse: ParseData }>
> = {
  A: { type: Type.A, form: "an IPv4 address", parse: (words) => address(words, isIPv4) },
  AAAA: { type: Type.AAAA, form: "an IPv6 address", parse: (words) => address(words, isIPv6) },
  CNAME: { type: Type.CNAME, form: "a name", parse: (words) => withName(words, 0) },
  PTR: { type: Type.PTR, form: "a name", parse: (words) => withName(words, 0) },
  MX: { type: Type.MX, form: "PREFERENCE NAME", parse: (words) => withName(words, 1) },
  SRV: { type: Type.SRV, form: "PRIORITY WEIGHT PORT NAME", parse: (words) => withName(words, 3) },
  TXT: { type: Type.TXT, form: 'text, or several in "quotes"', parse: (_, text) => characterStrings(text) },
};

/** A word, which ends before a blank without a backslash. */
const WORD = /(?:\\[^]|[^\s\\])+/g;

/** Throws a `TypeError` that names the fault and the right form. */
export function parseRecord(text: string): LocalRecord {
  const [, name = "", seconds, word = "", rest = ""] =
    /^\s*((?:\\[^]|[^\s\\])+)\s+(?:(\d+)\s+)?([A-Za-z]+)\s+((?:\\[^]|[^\\])*?)\s*$/s.exec(text) ?? [];
  const kind = TYPES[word.toUpperCase()];
  if (!kind) {
    const types = Object.keys(TYPES).join(", ");
    throw new TypeError(`"${text}" is not a record; write 'NAME TYPE DATA', with one of the types ${types}`);
  }
  const ttl = seconds === undefined ? LOCAL_TTL : Number(seconds);
  if (ttl > MAX_TTL) throw new TypeError(`"${text}" has a TTL of more than ${MAX_TTL} seconds`);
  const data = kind.parse(rest.match(WORD) ?? [], rest);
  if (!data) {
    throw new TypeError(`"${text}" has no data for its type: ${word.toUpperCase()} takes ${kind.form}`);
  }
  return { name: parseOwner(name), type: kind.type, ttl, data };
}

function parseOwner(text: string): Uint8Array {
  const name = parseName(text);
  if (name.length === 1) throw new TypeError("the root cannot have local records; write a name");
  return name;
}

function address(words: readonly string[], isRight: (text: string) => boolean): Uint8Array | undefined {
  const [word = "", ...others] = words;
  if (others.length > 0 || !isRight(word) || word.includes("%")) return undefined;
  const bytes = addressBytes(new IpAddress().read(word));
  if (bytes.length === 4 && isIPv6(word)) {
    return Uint8Array.from([...Array(10).fill(0), 0xff, 0xff, ...bytes]); // ::ffff:192.0.2.1
  }
  return bytes;
}

/** The data of a number of 16-bit integers, followed by a name. */
function withName(words: readonly string[], integers: number): Uint8Array | undefined {
  if (words.length !== integers + 1 || words.at(-1) === "") return undefined;
  const values = words.slice(0, -1);
  if (!values.every((word) => /^\d{1,5}$/.test(word) && Number(word) <= 0xffff)) return undefined;
  const bytes = values.map(Number).flatMap((value) => [value >> 8, value & 0xff]);
  return Uint8Array.of(...bytes, ...parseName(words.at(-1)!));
}

/** The bytes of a text in presentation format: `\X` is X itself, and `\DDD` the byte with this number (RFC 1035 §5.1). */
function unescaped(text: string): Uint8Array | undefined {
  const bytes: number[] = [];
  for (const [, decimal, character] of text.matchAll(/\\(\d{3})|\\?([^])/gu)) {
    if (decimal === undefined) bytes.push(...new TextEncoder().encode(character));
    else bytes.push(Number(decimal));
  }
  const isValid = /^(?:\\\d{3}|\\\D|[^\\])*$/su.test(text) && bytes.every((byte) => byte <= 255);
  return isValid ? Uint8Array.from(bytes) : undefined;
}

/** Quoted texts, and words between blanks. */
const STRINGS = /^(?:"(?:[^"\\]|\\[^])*"(?:\s+|(?=")|$)|(?:[^"\s\\]|\\[^])+(?:\s+|$))*$/;
const STRING = /"((?:[^"\\]|\\[^])*)"|((?:[^"\s\\]|\\[^])+)/g;

/**
 * The character-strings of a TXT record: each quoted text, and each word between them. A text without any quotes is one
 * string (RFC 1035 §3.3.14). Strings longer than 255 bytes are divided.
 */
function characterStrings(text: string): Uint8Array | undefined {
  if (text === "" || !STRINGS.test(text)) return undefined;
  const hasQuotes = text.replace(/\\[^]/g, "").includes('"');
  const texts = hasQuotes ? [...text.matchAll(STRING)].map(([, quoted, word]) => quoted ?? word!) : [text];
  const strings = texts.map(unescaped);
  if (!strings.every((each) => each !== undefined)) return undefined;
  const parts = strings.flatMap((each) => each.length === 0 ? [each] : chunks(each));
  const length = parts.reduce((sum, part) => sum + 1 + part.length, 0);
  return length > 0xffff ? undefined : Uint8Array.from(parts.flatMap((part) => [part.length, ...part]));
}

function chunks(bytes: Uint8Array): Uint8Array[] {
  return Array.from(
    { length: Math.ceil(bytes.length / 255) },
    (_, i) => bytes.subarray(255 * i, 255 * (i + 1)),
  );
}
