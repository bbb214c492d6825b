import type { Observe } from "../core/event.ts";
import type { Exposition } from "../observe/prometheus.ts";
import { type CacheControl, flushCache, look } from "./cache_api.ts";
import type { AccessControl, AccessRefusal } from "./access.ts";
import type { ReadinessCheck } from "./readiness.ts";
import { HttpServer } from "./http_server.ts";
import type { EventStream } from "./live_stream.ts";
import { PAGE, PAGE_POLICY } from "./dashboard/page.ts";
import type { StatusReport } from "./status_report.ts";

export interface AdminOptions {
  readonly hostname: string;
  readonly port: number;
  readonly guard: AccessControl;
  readonly metrics: Exposition;
  readonly health: ReadinessCheck;
  readonly live: EventStream;
  readonly report: () => StatusReport;
  /** Brings up to date what all of these are made of. */
  readonly refresh: () => Promise<void>;
  /** Undefined where there is no cache. */
  readonly cacheControl: () => CacheControl | undefined;
  readonly maxConnections: number;
  readonly observe: Observe;
}

type Route = (request: Request, url: URL, address: string) => Response | Promise<Response>;

/** For all that is no page: nothing in it is to be run, shown in a frame or kept. */
const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** What may be known without the token: whether it lives and is ready, for whoever starts and stops it. */
const OPEN = new Set(["/healthz", "/readyz"]);

/** HTTP for the operator: metrics, health, status, the cache and the dashboard. */
export class AdminServer {
  readonly address: Deno.NetAddr;
  readonly #options: AdminOptions;
  readonly #server: HttpServer;
  #cacheWork: Promise<unknown> = Promise.resolve();
  /** By method and path. */
  readonly #routes: ReadonlyMap<string, Route> = new Map<string, Route>([
    ["GET /", () => this.#page()],
    ["GET /metrics", () => this.#metrics()],
    ["GET /healthz", () => Response.json({ alive: true })],
    ["GET /readyz", (request) => this.#ready(request)],
    ["GET /api/status", () => this.#status()],
    ["GET /api/events", (_request, _url, address) => this.#events(address)],
    ["GET /api/cache", (_, url) => this.#withCache((cache) => look(cache, url.searchParams))],
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
    this.#options.live[Symbol.dispose]();
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
    const refusal = this.#options.guard.refusal(request, { isOpen: OPEN.has(pathname) });
    if (refusal) return refuse(refusal);
    const method = request.method === "HEAD" ? "GET" : request.method;
    const route = this.#routes.get(`${method} ${pathname}`);
    if (route) return route(request, url, address);
    const allowed = ["GET", "POST"].filter((each) => this.#routes.has(`${each} ${pathname}`));
    if (allowed.length === 0) return refuse({ status: 404, reason: "there is nothing here" });
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
    const { report, refresh } = this.#options;
    await refresh();
    return Response.json(report());
  }

  /** The reasons name upstreams, which strangers need not know. */
  async #ready(request: Request): Promise<Response> {
    await this.#options.refresh();
    const { ready, reasons } = await this.#options.health.readiness();
    const isOperator = this.#options.guard.isOperator(request);
    return Response.json(isOperator ? { ready, reasons } : { ready }, { status: ready ? 200 : 503 });
  }

  /** One after the other: each walks over the whole cache, a slice at a time. */
  #withCache(use: (cache: CacheControl) => Promise<Response>): Promise<Response> {
    const result = this.#cacheWork.then(() => {
      const cache = this.#options.cacheControl();
      return cache ? use(cache) : refuse({ status: 404, reason: "there is no cache" });
    });
    this.#cacheWork = result.catch(() => {});
    return result;
  }

  async #events(address: string): Promise<Response> {
    const { live, refresh } = this.#options;
    await refresh();
    // A reverse proxy is not to gather events before it passes them on (nginx, "X-Accel-Buffering").
    const headers = { "content-type": "text/event-stream", "x-accel-buffering": "no" };
    return new Response(live.stream(address), { headers });
  }
}

function refuse({ status, reason }: AccessRefusal, headers: Record<string, string> = {}): Response {
  const challenge = status === 401 ? { "www-authenticate": 'Basic realm="dot-proxy", charset="UTF-8"' } : {};
  return new Response(`${reason}\n`, { status, headers: { ...challenge, ...headers } });
}
