/** Answers of a DoT server to one query. behaviors.ts decides how they are delivered. */
import type { DotConnection } from "../servers/dot_connection.ts";
import { readName } from "./names.ts";
import { a, aaaa, type ResourceRecord, response, type ResponseFields, TYPE } from "./packets.ts";

/** The message to send, or nothing for silence. */
export type Answer = (
  query: Uint8Array,
  connection: DotConnection,
) => Uint8Array | undefined | Promise<Uint8Array | undefined>;

/** The IPv4 address that `addressed` answers for a name. It identifies the right answer. */
export function addressOf(name: string): string {
  const hash = hashOf(name);
  return `10.${hash >>> 16 & 0xff}.${hash >>> 8 & 0xff}.${hash & 0xff}`;
}

/** As `addressOf`, for AAAA. */
export function address6Of(name: string): string {
  const hash = hashOf(name);
  return `fd00::${(hash >>> 16 | 0x1000).toString(16)}:${(hash & 0xffff | 0x1000).toString(16)}`;
}

/** NOERROR, with the name's address for A and AAAA and without records for other types, changed by `fields`. */
export function addressed(fields: ResponseFields = {}): Answer {
  return (query) => response(query, { answers: fields.rcode ? [] : addressRecords(query), ...fields });
}

/** SERVFAIL without records. */
export const servfail: Answer = addressed({ rcode: 2 });

/** An answer to the right question under an ID that is not the query's. */
export function wrongId(answer: Answer = addressed()): Answer {
  return altered(answer, (bytes) => bytes[0]! ^= 0x55);
}

/** An answer with the right ID to another question of the same length. */
export function wrongQuestion(answer: Answer = addressed()): Answer {
  return altered(answer, (bytes) => bytes[13]! ^= 0x01);
}

/** Right in all but the question, which is missing. */
export const withoutQuestion: Answer = addressed({ question: false });

/** Forty octets that are no DNS message: the header promises thousands of records. */
export const garbage: Answer = () => new Uint8Array(40).fill(0xfe);

/** A frame of length zero. */
export const empty: Answer = () => new Uint8Array(0);

function altered(answer: Answer, alter: (bytes: Uint8Array) => void): Answer {
  return async (query, connection) => {
    const bytes = await answer(query, connection);
    if (bytes) alter(bytes);
    return bytes;
  };
}

function addressRecords(query: Uint8Array): ResourceRecord[] {
  const { name, end } = readName(query, 12);
  const type = query[end]! << 8 | query[end + 1]!;
  if (type === TYPE.A) return [a(name, addressOf(name))];
  if (type === TYPE.AAAA) return [aaaa(name, address6Of(name))];
  return [];
}

/** FNV-1a. The case of letters makes no difference (RFC 4343). */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const character of name.toLowerCase()) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  return hash >>> 0;
}
