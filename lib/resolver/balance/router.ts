import { Flag, HEADER_BYTES } from "../../dns/header.ts";
import { readUint16 } from "../../dns/bytes.ts";
import { composeAliasQuery } from "../../dns/compose/alias.ts";
import { Class, ExtendedError, Rcode, Type } from "../../dns/codes.ts";
import { compressOwners } from "../../dns/compose/compress.ts";
import { decompressName, decompressRecord } from "../../dns/compose/decompress.ts";
import { FormatError } from "../../dns/format_error.ts";
import type { Message } from "../../dns/message.ts";
import { equalNames, skipName } from "../../dns/name.ts";
import { RecordCursor } from "../../dns/records.ts";
import { composeExtendedError } from "../../dns/compose/reply.ts";
import { composeResponse } from "../../dns/compose/local_response.ts";
import { UpstreamError } from "../../core/errors.ts";
import type { Query, Resolver } from "../../core/resolver.ts";
import { RouteTable } from "./route_table.ts";

/** Aliases from one tree into another that are followed for one query: a circle ends there. */
const MAX_CROSSINGS = 8;

const TOO_MANY_CROSSINGS = [composeExtendedError({
  code: ExtendedError.OTHER,
  text: "aliases lead from route to route without an end",
})];

/** An alias that leads into another tree. */
interface Crossing {
  /** The records of the answer up to it, with its signatures, spelled out. */
  readonly answers: Uint8Array[];
  /** The question that is left. */
  readonly message: Message;
}

/**
 * Names under some domains go to upstreams of their own; the longest domain that fits decides, also for the targets of
 * aliases: what an upstream answers for a name of another tree is left out, and that tree is asked.
 */
export class Router implements Resolver {
  readonly #table: RouteTable;
  readonly #routes: readonly Resolver[];
  readonly #otherwise: Resolver;

  /** @param routes by domain: lower case, without the final dot */
  constructor(routes: ReadonlyMap<string, Resolver>, otherwise: Resolver) {
    this.#table = new RouteTable([...routes.keys()]);
    this.#routes = [...routes.values()];
    this.#otherwise = otherwise;
  }

  resolve(query: Query): Message | Promise<Message> {
    return this.#resolve(query, MAX_CROSSINGS);
  }

  #resolve(query: Query, crossings: number): Message | Promise<Message> {
    const route = this.#table.find(query.message);
    const response = (this.#routes[route] ?? this.#otherwise).resolve(query);
    if (response instanceof Promise) {
      return response.then((response) => this.#follow(query, route, response, crossings));
    }
    return this.#follow(query, route, response, crossings);
  }

  #follow(query: Query, route: number, response: Message, crossings: number): Message | Promise<Message> {
    const crossing = wellFormed(query, () => this.#findCrossing(query, route, response));
    if (!crossing) return response;
    if (crossings === 0) {
      const extendedErrors = TOO_MANY_CROSSINGS;
      return composeResponse(query.message, { rcode: Rcode.SERVFAIL, authoritative: false, extendedErrors });
    }
    const { message } = crossing;
    const rest = this.#resolve({ ...query, message }, crossings - 1);
    const whole = (rest: Message) => wellFormed(query, () => join(query.message, response, crossing, rest));
    return rest instanceof Promise ? rest.then(whole) : whole(rest);
  }

  /** The first alias on the way from the question's name that leads into another tree. */
  #findCrossing(query: Query, route: number, response: Message): Crossing | undefined {
    const { bytes, questionEnd, type, rcode } = response;
    if (readUint16(bytes, 6) === 0 || !response.hasQuestion) return undefined;
    if (type === Type.CNAME || type === Type.ANY || readUint16(bytes, questionEnd - 2) !== Class.IN) {
      return undefined;
    }
    if (rcode !== Rcode.NOERROR && rcode !== Rcode.NXDOMAIN) return undefined;
    const cursor = new RecordCursor(bytes, questionEnd);
    let owner = HEADER_BYTES;
    while (cursor.next() && cursor.section === "answer") {
      if (cursor.type !== Type.CNAME || !equalNames(bytes, cursor.start, owner)) continue;
      skipName(bytes, cursor.data); // or it may have no end
      const message = composeAliasQuery(decompressName(bytes, cursor.data), query.message);
      if (this.#table.find(message) !== route) {
        return { answers: recordsUpTo(response, cursor.start), message };
      }
      owner = cursor.data;
    }
    return undefined;
  }
}

/** What the callback returns; a `FormatError` of it becomes the failure of the upstream. */
function wellFormed<T>({ trace }: Query, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UpstreamError("malformed", { upstream: trace.upstream ?? "", phase: "read", cause: error });
  }
}

/** The records of the answer up to the one at `last`, and its signatures behind it, spelled out. */
function recordsUpTo({ bytes, questionEnd }: Message, last: number): Uint8Array[] {
  const records: Uint8Array[] = [];
  const cursor = new RecordCursor(bytes, questionEnd);
  while (cursor.next() && cursor.section === "answer") {
    const isSignature = cursor.type === Type.RRSIG && equalNames(bytes, cursor.start, last);
    if (cursor.start > last && !isSignature) break;
    records.push(decompressRecord(bytes, cursor));
  }
  return records;
}

/** The answer up to an alias, and what another tree has of the alias's target. */
function join(query: Message, response: Message, { answers }: Crossing, rest: Message): Message {
  const kept = { answer: answers, authority: [] as Uint8Array[] };
  const cursor = new RecordCursor(rest.bytes, rest.questionEnd);
  while (cursor.next() && cursor.section !== "additional") {
    kept[cursor.section].push(decompressRecord(rest.bytes, cursor));
  }
  compressOwners(query, [kept.answer, kept.authority]);
  return composeResponse(query, {
    rcode: rest.rcode,
    authoritative: false,
    authenticated: (response.flags & rest.flags & Flag.AD) !== 0,
    truncated: (rest.flags & Flag.TC) !== 0,
    answers: kept.answer,
    authority: kept.authority,
    extendedErrors: [...response.edns?.extendedErrors() ?? [], ...rest.edns?.extendedErrors() ?? []],
  });
}
