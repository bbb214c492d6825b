/** The HTTP interface to the cache: inspect a name, flush names. */

import { rcodeName, typeName } from "../dns/codes.ts";
import type { CachedAnswer, FlushSelection } from "../resolver/cache/inspection.ts";

/** The operations of the cache that an operator may use. */
export interface CacheControl {
  /** Both methods reject with a `TypeError` for an invalid name. */
  inspect(name: string): Promise<CachedAnswer[]>;
  flush(selection: FlushSelection): Promise<number>;
}

/** `GET /api/cache?name=example.com`: the cached answers of a name. */
export async function inspectCache(cache: CacheControl, parameters: URLSearchParams): Promise<Response> {
  const name = parameters.get("name");
  if (!name) return badRequest("a name is required: ?name=example.com");
  return await respond(async () => ({ name, answers: (await cache.inspect(name)).map(describe) }));
}

/** `POST /api/cache/flush?name=example.com`, or `?suffix=…` for a name and all below it, or `?all`. */
export async function flushCache(cache: CacheControl, parameters: URLSearchParams): Promise<Response> {
  const selection = parseSelection(parameters);
  if (!selection) {
    return badRequest("a selection is required: ?name=example.com, ?suffix=example.com or ?all");
  }
  return await respond(async () => ({ flushed: await cache.flush(selection) }));
}

function parseSelection(parameters: URLSearchParams): FlushSelection | undefined {
  const [[key, value] = ["", ""], ...others] = [...parameters];
  if (others.length > 0) return undefined;
  if (key === "all") return "all";
  if (value === "") return undefined;
  return key === "name" ? { name: value } : key === "suffix" ? { suffix: value } : undefined;
}

function describe({ type, rcode, answers, secondsLeft }: CachedAnswer) {
  return { type: type === 0 ? "any" : typeName(type), rcode: rcodeName(rcode), answers, secondsLeft };
}

/** Turns a `TypeError` for an invalid name into status 400. */
async function respond(result: () => Promise<unknown>): Promise<Response> {
  try {
    return Response.json(await result());
  } catch (error) {
    if (error instanceof TypeError) return badRequest(error.message);
    throw error;
  }
}

function badRequest(reason: string): Response {
  return new Response(`${reason}\n`, { status: 400 });
}
