/**
 * Access to the admin server: only the operator may use it, and not a web page that the operator's browser shows. Guards
 * against missing tokens, DNS rebinding and cross-site requests.
 */

import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";

/** Reason to refuse a request, for the status line and the body. */
export interface AccessRefusal {
  readonly status: number;
  readonly reason: string;
}

export class AccessControl {
  readonly #token: Uint8Array | undefined;
  readonly #hosts: ReadonlySet<string>;

  /**
   * Without a token every client that can connect is the operator, so a token is required beyond loopback.
   *
   * @param hosts names, in small letters, under which a reverse proxy serves this server
   */
  constructor(token: string | undefined, hosts: readonly string[] = []) {
    this.#token = token === undefined ? undefined : digest(token);
    this.#hosts = new Set(hosts);
  }

  /** Returns the reason to refuse a request, if there is one. `isOpen`: the path needs no token. */
  refusal(request: Request, { isOpen = false } = {}): AccessRefusal | undefined {
    const isOperator = this.isOperator(request);
    if (!isOperator && !isOpen) {
      return {
        status: 401,
        reason: "the token is missing or wrong: Authorization: Bearer TOKEN, or as a password",
      };
    }
    // DNS rebinding: the page's own name resolves to this address, so its requests are same-origin, but carry that name.
    const isAuthenticated = this.#token && isOperator;
    const host = hostOf(request.headers.get("host") ?? "");
    if (!isAuthenticated && !isAddress(host) && !this.#hosts.has(host)) {
      return { status: 421, reason: "use an IP address, localhost, or a name listed with --admin-host" };
    }
    if (this.#isCrossSite(request)) return { status: 403, reason: "cross-site requests are not allowed" };
    return undefined;
  }

  /** Reads headers that pages cannot set. Following a link to the dashboard is harmless and allowed. */
  #isCrossSite({ method, url, headers }: Request): boolean {
    const origin = headers.get("origin");
    if (origin !== null && !this.#isOwnOrigin(URL.parse(origin), new URL(url))) return true;
    const site = headers.get("sec-fetch-site") ?? "none";
    const isVisit = method === "GET" && headers.get("sec-fetch-mode") === "navigate";
    return site !== "none" && site !== "same-origin" && !isVisit;
  }

  /** A reverse proxy may replace the Host header, so the origin may also be one of the listed hosts. */
  #isOwnOrigin(origin: URL | null, { host }: URL): boolean {
    return origin?.host === host || this.#hosts.has(origin?.hostname ?? "");
  }

  /** Compares digests in constant time. */
  isOperator(request: Request): boolean {
    if (!this.#token) return true;
    return timingSafeEqual(digest(credential(request.headers.get("authorization") ?? "")), this.#token);
  }
}

/** Returns the token of `Bearer TOKEN`, or the password of `Basic …`, for which browsers prompt. */
function credential(authorization: string): string {
  const [scheme = "", value = ""] = authorization.split(" ", 2);
  if (scheme.toLowerCase() === "bearer") return value;
  if (scheme.toLowerCase() !== "basic") return "";
  try {
    return atob(value).replace(/^[^:]*:/, "");
  } catch {
    return "";
  }
}

function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

/** Returns the host of a Host header, without port and brackets. */
function hostOf(header: string): string {
  return header.toLowerCase().replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

function isAddress(host: string): boolean {
  return host === "localhost" || isIP(host) !== 0;
}
