/**
 * The router sends each query to the upstreams of its domain, and follows aliases from one routed domain into another.
 *
 *     query ─▶ RouteTable.find ─▶ route ─▶ response ─▶ findCrossing ─ none ─▶ response
 *                   ▲                                       │ alias into another tree
 *                   └────────── query for the target ◀──────┘   then: records up to the alias + rest
 */

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

/** Maximum number of aliases between trees that are followed for one query. It ends loops. */
const MAX_CROSSINGS = 8;

const TOO_MANY_CROSSINGS = [composeExtendedError({
  code: ExtendedError.OTHER,
  text: "too many aliases from one route to another",
})];

/** An alias that leads into another tree. */
interface Crossing {
  /** The uncompressed answer records up to the alias, including its signatures. */
  readonly answers: Uint8Array[];
  /** The query for the alias's target. */
  readonly message: Message;
}

/**
 * Sends a query to the upstreams of the longest routed domain that contains its name. An alias's target is routed, too: if
 * it belongs to another tree, the upstream's records for it are replaced by those of that tree.
 */
export class Router implements Resolver {
  readonly #table: RouteTable;
  readonly #routes: readonly Resolver[];
  readonly #default: Resolver;

  /** @param routes by domain, in lower case and without the final dot; @param byDefault for all other names */
  constructor(routes: ReadonlyMap<string, Resolver>, byDefault: Resolver) {
    this.#table = new RouteTable([...routes.keys()]);
    this.#routes = [...routes.values()];
    this.#default = byDefault;
  }

  resolve(query: Query): Message | Promise<Message> {
    return this.#resolve(query, MAX_CROSSINGS);
  }

  #resolve(query: Query, crossings: number): Message | Promise<Message> {
    const route = this.#table.find(query.message);
    const response = (this.#routes[route] ?? this.#default).resolve(query);
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

  /** Follows the aliases from the question's name to the first one whose target is in another tree. */
  #findCrossing(query: Query, route: number, response: Message): Crossing | undefined {
    const { bytes, questionEnd, type, rcode } = response;
    if (response.answerCount === 0 || !response.hasQuestion) return undefined;
    if (type === Type.CNAME || type === Type.ANY || readUint16(bytes, questionEnd - 2) !== Class.IN) {
      return undefined;
    }
    if (rcode !== Rcode.NOERROR && rcode !== Rcode.NXDOMAIN) return undefined;
    const cursor = new RecordCursor(bytes, questionEnd);
    let owner = HEADER_BYTES;
    while (cursor.next() && cursor.section === "answer") {
      if (cursor.type !== Type.CNAME || !equalNames(bytes, cursor.start, owner)) continue;
      skipName(bytes, cursor.data); // throws if the name has no end
      const message = composeAliasQuery(decompressName(bytes, cursor.data), query.message);
      if (this.#table.find(message) !== route) {
        return { answers: recordsUpTo(response, cursor.start), message };
      }
      owner = cursor.data;
    }
    return undefined;
  }
}

/** Calls `read`, and turns a `FormatError` into a failure of the upstream. */
function wellFormed<T>({ trace }: Query, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UpstreamError("malformed", { upstream: trace.upstream ?? "", phase: "read", cause: error });
  }
}

/** The uncompressed answer records up to the one at offset `last`, and its signatures after it. */
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

/** Composes one response from the records up to the alias and the other tree's response for its target. */
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
