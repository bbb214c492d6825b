import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";

/** Why a request is not answered, for the status line and the body. */
export interface AccessRefusal {
  readonly status: number;
  readonly reason: string;
}

/** Who may ask: the operator, and not a web page that the operator's browser happens to show. */
export class AccessControl {
  readonly #token: Uint8Array | undefined;
  readonly #hosts: ReadonlySet<string>;

  /**
   * Without a token everybody who can connect is the operator: for loopback only.
   *
   * @param hosts names, in small letters, under which a reverse proxy shows this server to its operator
   */
  constructor(token: string | undefined, hosts: readonly string[] = []) {
    this.#token = token === undefined ? undefined : digest(token);
    this.#hosts = new Set(hosts);
  }

  /** Undefined where nothing speaks against an answer. `isOpen`: to be told to those without the token, too. */
  refusal(request: Request, { isOpen = false } = {}): AccessRefusal | undefined {
    const isKnown = this.isOperator(request);
    if (!isKnown && !isOpen) {
      return {
        status: 401,
        reason: "the token is missing or wrong: Authorization: Bearer TOKEN, or as a password",
      };
    }
    // A page of a name that has been rebound to this address is of the same origin as we are, but has a name.
    const proved = this.#token && isKnown;
    const host = hostOf(request.headers.get("host") ?? "");
    if (!proved && !isAddress(host) && !this.#hosts.has(host)) {
      return { status: 421, reason: "ask by IP address, as localhost, or by a name that --admin-host lists" };
    }
    if (this.#isFromElsewhere(request)) return { status: 403, reason: "another site's page sent this" };
    return undefined;
  }

  /** By what browsers say of a request, which pages cannot change. To follow a link to the page itself is no harm. */
  #isFromElsewhere({ method, url, headers }: Request): boolean {
    const origin = headers.get("origin");
    if (origin !== null && !this.#isOwnOrigin(URL.parse(origin), new URL(url))) return true;
    const site = headers.get("sec-fetch-site") ?? "none";
    const isVisit = method === "GET" && headers.get("sec-fetch-mode") === "navigate";
    return site !== "none" && site !== "same-origin" && !isVisit;
  }

  /** A reverse proxy may put its own name into the Host header; the origin is what the browser knows. */
  #isOwnOrigin(origin: URL | null, { host }: URL): boolean {
    return origin?.host === host || this.#hosts.has(origin?.hostname ?? "");
  }

  /** Compares digests, which takes the same time whatever is wrong. */
  isOperator(request: Request): boolean {
    if (!this.#token) return true;
    return timingSafeEqual(digest(credential(request.headers.get("authorization") ?? "")), this.#token);
  }
}

/** The token of `Bearer TOKEN`, or the password of `Basic …`, which browsers ask for. */
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

/** A Host header without its port. */
function hostOf(header: string): string {
  return header.toLowerCase().replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

function isAddress(host: string): boolean {
  return host === "localhost" || isIP(host) !== 0;
}
