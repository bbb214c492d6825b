/** Answers questions from local data: configured records, hosts files and special-use names (RFC 6761). */

import { Flag, HEADER_BYTES, RCODE_MASK } from "../../dns/header.ts";
import { composeAliasQuery } from "../../dns/compose/alias.ts";
import { ExtendedError, Rcode, Type } from "../../dns/codes.ts";
import { compressOwners } from "../../dns/compose/compress.ts";
import { decompressName, decompressRecord } from "../../dns/compose/decompress.ts";
import { FormatError } from "../../dns/format_error.ts";
import { Message } from "../../dns/message.ts";
import { lowerCase } from "../../dns/name.ts";
import { RecordCursor } from "../../dns/records.ts";
import { composeExtendedError } from "../../dns/compose/reply.ts";
import {
  composePointer,
  composeRecord,
  composeResponse,
  composeSoa,
  composeSoaAbove,
  parentOffset,
  QUESTION_NAME,
} from "../../dns/compose/local_response.ts";
import { UpstreamError } from "../../core/errors.ts";
import type { LocalName, ZoneData } from "./zone_data.ts";
import type { Query, Resolver } from "../../core/resolver.ts";

/** TTL of records without one, and of their negative answers, in seconds. */
export const LOCAL_TTL = 300;
/** TTL of answers from empty zones and of denied special-use names, in seconds (RFC 6303 §3). */
const ZONE_TTL = 10_800;
/** Maximum length of a chain of aliases. The configuration has no loops, but may have long chains. */
const MAX_ALIASES = 16;

/** SOA and NS records at the apex of an empty zone (RFC 6303 §3). Their owner is the question's name. */
const APEX: ReadonlyMap<number, Uint8Array[]> = new Map([
  [Type.SOA, [composeSoa(QUESTION_NAME, ZONE_TTL)]],
  [Type.NS, [composeRecord(QUESTION_NAME, Type.NS, ZONE_TTL, QUESTION_NAME)]],
]);
/** "Forged Answer" (RFC 8914 §4.5): the public DNS may have another answer. */
const FORGED = [
  composeExtendedError({ code: ExtendedError.FORGED_ANSWER, text: "answered from local data" }),
];
const TOO_MANY_ALIASES = `more than ${MAX_ALIASES} local aliases in a row`;
const ALIAS_LOOP = "the alias leads back to itself through another server";

/** Answers names with local data, and passes all other queries to the next resolver. */
export class LocalData implements Resolver {
  /** Can be replaced at any time. */
  zoneData: ZoneData;
  readonly #next: Resolver;

  constructor(zoneData: ZoneData, next: Resolver) {
    this.zoneData = zoneData;
    this.#next = next;
  }

  resolve(query: Query): Message | Promise<Message> {
    return this.#resolve(query, MAX_ALIASES);
  }

  #resolve(query: Query, aliases: number): Message | Promise<Message> {
    const { message } = query;
    const found = this.zoneData.find(message);
    if (!found) return this.#next.resolve(query);
    const { name, zone, isEmpty } = found;
    // The parent zone has the DS records of an apex (RFC 4035 §3.1.4.1), and that zone is not local.
    const isApex = zone === undefined && name.below !== undefined && name.below !== "forwarded";
    if (message.type === Type.DS && isApex) return this.#next.resolve(query);
    // An alias for itself excepts its name from a wildcard: the upstream has its data.
    if (name.alias && asksFor(message, name.alias)) return this.#next.resolve(query);
    query.trace.source = "local";
    if (zone !== undefined && name.below !== "same") return deny(message, zone, name, isEmpty);
    const records = isApex && !name.alias ? new Map([...APEX, ...name.records]) : name.records;
    const { type } = message;
    const answers = type === Type.ANY ? [...records.values()].flat() : records.get(type) ?? [];
    return this.#answer(query, name, answers, aliases);
  }

  #answer(
    query: Query,
    name: LocalName,
    answers: readonly Uint8Array[],
    aliases: number,
  ): Message | Promise<Message> {
    const { message } = query;
    const extendedErrors = name.isPublic ? FORGED : [];
    const fields = { rcode: Rcode.NOERROR, authoritative: true, extendedErrors };
    if (answers.length > 0) return composeResponse(message, { ...fields, answers });
    if (name.alias) return this.#follow(query, name, name.alias, aliases);
    const zone = this.zoneData.zoneOf(message);
    const soa = zone === undefined
      ? composeSoaAbove(message, LOCAL_TTL)
      : composeSoa(composePointer(zone), LOCAL_TTL);
    return composeResponse(message, { ...fields, authority: [soa] });
  }

  /** Adds the records of the alias's target, because stub resolvers do not query for them (RFC 1034 §5.2.2). */
  #follow(query: Query, name: LocalName, target: Uint8Array, aliases: number): Message | Promise<Message> {
    if (aliases === 0) return fail(query.message, TOO_MANY_ALIASES);
    const response = this.#resolve(
      { ...query, message: composeAliasQuery(target, query.message) },
      aliases - 1,
    );
    if (response instanceof Message) return withAlias(query, name, response);
    return response.then((response) => withAlias(query, name, response));
  }
}

/** Composes NXDOMAIN or NODATA. If the zone's own name is "absent", the SOA record belongs to the parent zone. */
function deny(message: Message, zone: number, { below, isPublic }: LocalName, isEmpty: boolean): Message {
  const owner = below === "absent" ? parentOffset(message.bytes, zone) : zone;
  return composeResponse(message, {
    rcode: isEmpty || below === "empty" ? Rcode.NOERROR : Rcode.NXDOMAIN,
    authoritative: true,
    authority: [composeSoa(composePointer(owner), ZONE_TTL)],
    extendedErrors: isPublic ? FORGED : [],
  });
}

function fail(message: Message, text: string): Message {
  const extendedErrors = [composeExtendedError({ code: ExtendedError.OTHER, text })];
  return composeResponse(message, { rcode: Rcode.SERVFAIL, authoritative: false, extendedErrors });
}

/** Whether the question's name is this uncompressed one, ignoring case. */
function asksFor({ bytes, questionEnd }: Message, name: Uint8Array): boolean {
  if (questionEnd - 4 - HEADER_BYTES !== name.length) return false;
  return name.every((byte, i) => lowerCase(byte) === lowerCase(bytes[HEADER_BYTES + i]!));
}

/** Composes the CNAME record and the response for its target into one response. */
function withAlias({ message, trace }: Query, name: LocalName, response: Message): Message {
  const answers = [...name.records.get(Type.CNAME) ?? []];
  const authority: Uint8Array[] = [];
  const cursor = new RecordCursor(response.bytes, response.questionEnd);
  try {
    void response.edns; // checks all names of the message, once
    while (cursor.next() && cursor.section !== "additional") {
      const isAlias = cursor.type === Type.CNAME && cursor.section === "answer";
      if (isAlias && asksFor(message, decompressName(response.bytes, cursor.data))) {
        return fail(message, ALIAS_LOOP);
      }
      (cursor.section === "answer" ? answers : authority).push(decompressRecord(response.bytes, cursor));
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UpstreamError("malformed", { upstream: trace.upstream ?? "", phase: "read", cause: error });
  }
  compressOwners(message, [answers, authority]);
  return composeResponse(message, {
    rcode: response.rcode & RCODE_MASK,
    authoritative: true,
    truncated: (response.flags & Flag.TC) !== 0,
    answers,
    authority,
    extendedErrors: [...name.isPublic ? FORGED : [], ...response.edns?.extendedErrors() ?? []],
  });
}
