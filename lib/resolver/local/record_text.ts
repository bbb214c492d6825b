/** Records as an operator writes them: `NAME [TTL] TYPE DATA`, as in zone files (RFC 1035 §5.1). */
import { isIPv4, isIPv6 } from "node:net";
import { IpAddress } from "../../net/ip_address.ts";
import { Type } from "../../dns/codes.ts";
import { parseName } from "../../dns/name.ts";
import { LOCAL_TTL } from "./local_data.ts";
import type { LocalRecord } from "./zone_data.ts";
import { addressOctets } from "./reverse_name.ts";

/** RFC 8767 §4: more than seven days is not believed. */
const MAX_TTL = 604_800;

/** Makes a record's data of the words behind the type; undefined where they are not what the type takes. */
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
  TXT: { type: Type.TXT, form: 'text, or several in "quotes"', parse: (_, text) => strings(text) },
};

/** Up to a blank that has no backslash before it. */
const WORD = /(?:\\[^]|[^\s\\])+/g;

/** Throws a `TypeError` that says what is wrong and what to write. */
export function parseRecord(text: string): LocalRecord {
  const [, name = "", seconds, word = "", rest = ""] =
    /^\s*((?:\\[^]|[^\s\\])+)\s+(?:(\d+)\s+)?([A-Za-z]+)\s+((?:\\[^]|[^\\])*?)\s*$/s.exec(text) ?? [];
  const kind = TYPES[word.toUpperCase()];
  if (!kind) {
    const types = Object.keys(TYPES).join(", ");
    throw new TypeError(`"${text}" is no record; write 'NAME TYPE DATA', with one of the types ${types}`);
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
  if (name.length === 1) throw new TypeError("the root is nobody's to answer for; write a name");
  return name;
}

function address(words: readonly string[], isRight: (text: string) => boolean): Uint8Array | undefined {
  const [word = "", ...others] = words;
  if (others.length > 0 || !isRight(word) || word.includes("%")) return undefined;
  const octets = addressOctets(new IpAddress().read(word));
  if (octets.length === 4 && isIPv6(word)) {
    return Uint8Array.from([...Array(10).fill(0), 0xff, 0xff, ...octets]); // ::ffff:192.0.2.1
  }
  return octets;
}

/** So many numbers of 16 bits, and a name. */
function withName(words: readonly string[], numbers: number): Uint8Array | undefined {
  if (words.length !== numbers + 1 || words.at(-1) === "") return undefined;
  const values = words.slice(0, -1);
  if (!values.every((word) => /^\d{1,5}$/.test(word) && Number(word) <= 0xffff)) return undefined;
  const octets = values.map(Number).flatMap((value) => [value >> 8, value & 0xff]);
  return Uint8Array.of(...octets, ...parseName(words.at(-1)!));
}

/** Octets of a text in presentation format: `\X` is X itself, and `\DDD` the octet of this number (RFC 1035 §5.1). */
function unescaped(text: string): Uint8Array | undefined {
  const octets: number[] = [];
  for (const [, decimal, character] of text.matchAll(/\\(\d{3})|\\?([^])/gu)) {
    if (decimal === undefined) octets.push(...new TextEncoder().encode(character));
    else octets.push(Number(decimal));
  }
  const isSound = /^(?:\\\d{3}|\\\D|[^\\])*$/su.test(text) && octets.every((octet) => octet <= 255);
  return isSound ? Uint8Array.from(octets) : undefined;
}

/** Texts in quotes, and words with blanks around them. */
const STRINGS = /^(?:"(?:[^"\\]|\\[^])*"(?:\s+|(?=")|$)|(?:[^"\s\\]|\\[^])+(?:\s+|$))*$/;
const STRING = /"((?:[^"\\]|\\[^])*)"|((?:[^"\s\\]|\\[^])+)/g;

/**
 * The character-strings of a TXT record: each text in quotes, and each word between them; without quotes, all of it in one
 * (RFC 1035 §3.3.14). Longer ones than 255 octets are divided.
 */
function strings(text: string): Uint8Array | undefined {
  if (text === "" || !STRINGS.test(text)) return undefined;
  const hasQuotes = text.replace(/\\[^]/g, "").includes('"');
  const texts = hasQuotes ? [...text.matchAll(STRING)].map(([, quoted, word]) => quoted ?? word!) : [text];
  const octets = texts.map(unescaped);
  if (!octets.every((each) => each !== undefined)) return undefined;
  const parts = octets.flatMap((each) => each.length === 0 ? [each] : chunks(each));
  const length = parts.reduce((sum, part) => sum + 1 + part.length, 0);
  return length > 0xffff ? undefined : Uint8Array.from(parts.flatMap((part) => [part.length, ...part]));
}

function chunks(octets: Uint8Array): Uint8Array[] {
  return Array.from(
    { length: Math.ceil(octets.length / 255) },
    (_, i) => octets.subarray(255 * i, 255 * (i + 1)),
  );
}
