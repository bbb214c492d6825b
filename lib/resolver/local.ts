import { Class, ExtendedError, Rcode, Type } from "../dns/codes.ts";
import { DNSSEC_OK } from "../dns/edns.ts";
import { expandRecord } from "../dns/expand.ts";
import { FormatError } from "../dns/format_error.ts";
import { HEADER, Message } from "../dns/message.ts";
import { composeOptRecord } from "../dns/opt.ts";
import { readUint16, RecordCursor, writeUint16 } from "../dns/records.ts";
import { composeReason } from "../dns/reply.ts";
import { composeResponse, composeSoa, QUESTION_NAME, questionSuffix } from "../dns/response.ts";
import { UpstreamError } from "../errors.ts";
import type { LocalName, LocalNames } from "./local_names.ts";
import type { Query, Resolver } from "./resolver.ts";

/** How long a "no" about a name in a hosts file or the configuration holds, in seconds: as long as what is there. */
export const LOCAL_TTL = 300;
/** How long the denial of a name without a place in the public DNS holds, in seconds (RFC 6303 §3). */
const ZONE_TTL = 10_800;
/** Aliases of aliases that are followed: a loop ends there. */
const MAX_ALIASES = 8;

const NODATA_SOA = composeSoa(QUESTION_NAME, LOCAL_TTL);
/** "Forged Answer" (RFC 8914 §4.5): the name has another answer elsewhere. */
const FORGED = [composeReason({ code: ExtendedError.FORGED_ANSWER, text: "answered from local data" })];

/** Answers for names that are known here: special ones (RFC 6761), those of hosts files and of the configuration. */
export class Local implements Resolver {
  /** May be exchanged at any time. */
  names: LocalNames;
  readonly #next: Resolver;

  constructor(names: LocalNames, next: Resolver) {
    this.names = names;
    this.#next = next;
  }

  resolve(query: Query): Message | Promise<Message> {
    return this.#resolve(query, MAX_ALIASES);
  }

  #resolve(query: Query, aliases: number): Message | Promise<Message> {
    const found = this.names.find(query.message);
    if (!found || readUint16(query.message.bytes, query.message.questionEnd - 2) !== Class.IN) {
      return this.#next.resolve(query);
    }
    const { name, zone, isEmpty } = found;
    // The zone above has the DS records of one that begins here (RFC 4035 §3.1.4.1), and that zone is not here.
    if (query.message.type === Type.DS && name.below !== undefined && zone === undefined) {
      return this.#next.resolve(query);
    }
    query.trace.source = "local";
    if (zone !== undefined && name.below !== "same") {
      return deny(query.message, zone, isEmpty || name.below === "empty");
    }
    return this.#answer(query, name, aliases);
  }

  #answer(query: Query, name: LocalName, aliases: number): Message | Promise<Message> {
    const { message } = query;
    const { type } = message;
    const answers = type === Type.ANY ? [...name.records.values()].flat() : name.records.get(type);
    const extendedErrors = name.isPublic ? FORGED : [];
    const fields = { rcode: Rcode.NOERROR, authoritative: true, extendedErrors };
    if (answers && answers.length > 0) return composeResponse(message, { ...fields, answers });
    if (name.alias) return this.#follow(query, name, name.alias, aliases);
    return composeResponse(message, { ...fields, authority: [NODATA_SOA] });
  }

  /** What the alias's target has is part of the answer: stub resolvers do not ask for it (RFC 1034 §5.2.2). */
  #follow(query: Query, name: LocalName, target: Uint8Array, aliases: number): Message | Promise<Message> {
    if (aliases === 0) return withAlias(query, name, undefined);
    const response = this.#resolve({ ...query, message: questionFor(target, query.message) }, aliases - 1);
    if (response instanceof Message) return withAlias(query, name, response);
    return response.then((response) => withAlias(query, name, response));
  }
}

function deny(message: Message, zone: number, isEmpty: boolean): Message {
  return composeResponse(message, {
    rcode: isEmpty ? Rcode.NOERROR : Rcode.NXDOMAIN,
    authoritative: true,
    authority: [composeSoa(questionSuffix(zone), ZONE_TTL)],
  });
}

/** A query like the one that was asked, for another name. */
function questionFor(name: Uint8Array, { bytes, questionEnd, edns }: Message): Message {
  const opt = edns ? composeOptRecord(0, []) : new Uint8Array(0);
  if (edns?.dnssecOk) writeUint16(opt, 7, DNSSEC_OK);
  const end = HEADER + name.length + 4;
  const question = new Uint8Array(end + opt.length);
  question.set(bytes.subarray(0, 4));
  question[5] = 1;
  question[11] = edns ? 1 : 0;
  question.set(name, HEADER);
  question.set(bytes.subarray(questionEnd - 4, questionEnd), end - 4);
  question.set(opt, end);
  return Message.parse(question);
}

/** The CNAME record, and what is known of its target. */
function withAlias({ message, trace }: Query, name: LocalName, response: Message | undefined): Message {
  const answers = [...name.records.get(Type.CNAME) ?? []];
  const authority: Uint8Array[] = [];
  const extendedErrors = name.isPublic ? [...FORGED] : [];
  if (response) {
    const cursor = new RecordCursor(response.bytes, response.questionEnd);
    try {
      while (cursor.next() && cursor.section !== "additional") {
        (cursor.section === "answer" ? answers : authority).push(expandRecord(response.bytes, cursor));
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      throw new UpstreamError("malformed", { upstream: trace.upstream ?? "", phase: "read", cause: error });
    }
    extendedErrors.push(...response.edns?.extendedErrors() ?? []);
  }
  const rcode = (response?.rcode ?? 0) & 0xf;
  return composeResponse(message, { rcode, authoritative: true, answers, authority, extendedErrors });
}
