import { rcodeName, typeName } from "../dns/codes.ts";
import type { CachedAnswer, FlushSelection } from "../resolver/cache/inspection.ts";

/** The cache, as far as the operator may look into it and take out of it. */
export interface CacheControl {
  /** Both reject with a `TypeError` where the name is none. */
  inspect(name: string): Promise<CachedAnswer[]>;
  flush(what: FlushSelection): Promise<number>;
}

/** `GET /api/cache?name=example.com`: what is known of a name. */
export async function look(cache: CacheControl, parameters: URLSearchParams): Promise<Response> {
  const name = parameters.get("name");
  if (!name) return wrong("say which name: ?name=example.com");
  return await orWrong(async () => ({ name, answers: (await cache.inspect(name)).map(described) }));
}

/** `POST /api/cache/flush?name=example.com`, or `?suffix=…` for it and all below, or `?all`: forgets. */
export async function flushCache(cache: CacheControl, parameters: URLSearchParams): Promise<Response> {
  const what = chosen(parameters);
  if (!what) return wrong("say what to forget: ?name=example.com, ?suffix=example.com or ?all");
  return await orWrong(async () => ({ flushed: await cache.flush(what) }));
}

function chosen(parameters: URLSearchParams): FlushSelection | undefined {
  const [[key, value] = ["", ""], ...others] = [...parameters];
  if (others.length > 0) return undefined;
  if (key === "all") return "all";
  if (value === "") return undefined;
  return key === "name" ? { name: value } : key === "suffix" ? { suffix: value } : undefined;
}

function described({ type, rcode, answers, secondsLeft }: CachedAnswer) {
  return { type: type === 0 ? "any" : typeName(type), rcode: rcodeName(rcode), answers, secondsLeft };
}

async function orWrong(result: () => Promise<unknown>): Promise<Response> {
  try {
    return Response.json(await result());
  } catch (error) {
    if (error instanceof TypeError) return wrong(error.message);
    throw error;
  }
}

function wrong(reason: string): Response {
  return new Response(`${reason}\n`, { status: 400 });
}
