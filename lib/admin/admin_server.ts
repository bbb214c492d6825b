/**
 * The admin server: HTTP for the operator with metrics, health, status, the cache and the dashboard. This folder reads the
 * proxy through `observe/` and `core/` only. It reaches a resolver through `CacheControl` alone.
 */

import type { Observe } from "../core/event.ts";
import type { Exposition } from "../observe/prometheus.ts";
import { type CacheControl, flushCache, inspectCache } from "./cache_api.ts";
import type { AccessControl, AccessRefusal } from "./access.ts";
import type { ReadinessCheck } from "./readiness.ts";
import { HttpServer } from "./http_server.ts";
import type { EventStream } from "./live_stream.ts";
import { PAGE, PAGE_POLICY } from "./dashboard/page.ts";
import type { StatusReport } from "./status_report.ts";

export interface AdminOptions {
  readonly hostname: string;
  readonly port: number;
  readonly accessControl: AccessControl;
  readonly metrics: Exposition;
  readonly readinessCheck: ReadinessCheck;
  readonly eventStream: EventStream;
  readonly statusReport: () => StatusReport;
  /** Updates the sources of metrics and reports. */
  readonly refresh: () => Promise<void>;
  /** Returns undefined without a cache. */
  readonly cacheControl: () => CacheControl | undefined;
  readonly maxConnections: number;
  readonly observe: Observe;
}

type Route = (request: Request, url: URL, address: string) => Response | Promise<Response>;

/** Headers of every response: browsers must not run, frame or store it. The page overrides the policy. */
const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** Paths without a token, for the health checks of supervisors. */
const OPEN_PATHS = new Set(["/healthz", "/readyz"]);

export class AdminServer {
  readonly address: Deno.NetAddr;
  readonly #options: AdminOptions;
  readonly #server: HttpServer;
  /** The last cache request; the next one starts after it. */
  #cacheWork: Promise<unknown> = Promise.resolve();
  /** Handlers by method and path. */
  readonly #routes: ReadonlyMap<string, Route> = new Map<string, Route>([
    ["GET /", () => this.#page()],
    ["GET /metrics", () => this.#metrics()],
    ["GET /healthz", () => Response.json({ alive: true })],
    ["GET /readyz", (request) => this.#readiness(request)],
    ["GET /api/status", () => this.#status()],
    ["GET /api/events", (_request, _url, address) => this.#events(address)],
    ["GET /api/cache", (_, url) => this.#withCache((cache) => inspectCache(cache, url.searchParams))],
    ["POST /api/cache/flush", (_, url) => this.#withCache((cache) => flushCache(cache, url.searchParams))],
  ]);

  /** Throws what `Deno.listen` throws. */
  constructor(options: AdminOptions) {
    this.#options = options;
    const { hostname, port, maxConnections, observe } = options;
    const handler = (request: Request, address: string) => this.#answer(request, address);
    this.#server = new HttpServer({ hostname, port, handler, maxConnections, observe });
    this.address = this.#server.address;
  }

  async stop(): Promise<void> {
    this.#options.eventStream[Symbol.dispose]();
    await this.#server.stop();
  }

  async #answer(request: Request, address: string): Promise<Response> {
    const response = await this.#route(request, address);
    for (const [name, value] of Object.entries(HEADERS)) {
      if (!response.headers.has(name)) response.headers.set(name, value);
    }
    return response;
  }

  #route(request: Request, address: string): Response | Promise<Response> {
    const url = new URL(request.url);
    const { pathname } = url;
    const refusal = this.#options.accessControl.refusal(request, { isOpen: OPEN_PATHS.has(pathname) });
    if (refusal) return refuse(refusal);
    const method = request.method === "HEAD" ? "GET" : request.method;
    const route = this.#routes.get(`${method} ${pathname}`);
    if (route) return route(request, url, address);
    const allowed = ["GET", "POST"].filter((each) => this.#routes.has(`${each} ${pathname}`));
    if (allowed.length === 0) return refuse({ status: 404, reason: "no such path" });
    return refuse({ status: 405, reason: `use ${allowed.join()}` }, { allow: allowed.join() });
  }

  #page(): Response {
    const headers = { "content-type": "text/html; charset=utf-8", "content-security-policy": PAGE_POLICY };
    return new Response(PAGE, { headers });
  }

  async #metrics(): Promise<Response> {
    const { metrics, refresh } = this.#options;
    await refresh();
    return new Response(await metrics.text(), { headers: { "content-type": metrics.contentType } });
  }

  async #status(): Promise<Response> {
    const { statusReport, refresh } = this.#options;
    await refresh();
    return Response.json(statusReport());
  }

  /** Reasons name upstreams, so only the operator gets them. */
  async #readiness(request: Request): Promise<Response> {
    await this.#options.refresh();
    const { ready, reasons } = await this.#options.readinessCheck.readiness();
    const isOperator = this.#options.accessControl.isOperator(request);
    return Response.json(isOperator ? { ready, reasons } : { ready }, { status: ready ? 200 : 503 });
  }

  /** Runs one cache request at a time, because each visits the whole cache in slices. */
  #withCache(use: (cache: CacheControl) => Promise<Response>): Promise<Response> {
    const result = this.#cacheWork.then(() => {
      const cache = this.#options.cacheControl();
      return cache ? use(cache) : refuse({ status: 404, reason: "the cache is off" });
    });
    this.#cacheWork = result.catch(() => {});
    return result;
  }

  async #events(address: string): Promise<Response> {
    const { eventStream, refresh } = this.#options;
    await refresh();
    // nginx must not buffer the events.
    const headers = { "content-type": "text/event-stream", "x-accel-buffering": "no" };
    return new Response(eventStream.open(address), { headers });
  }
}

function refuse({ status, reason }: AccessRefusal, headers: Record<string, string> = {}): Response {
  const challenge = status === 401 ? { "www-authenticate": 'Basic realm="dot-proxy", charset="UTF-8"' } : {};
  return new Response(`${reason}\n`, { status, headers: { ...challenge, ...headers } });
}
