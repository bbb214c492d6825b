/** The head of an HTTP/1.1 request, parsed strictly (RFC 9112): a malformed head is refused. */

/** Maximum size of a request line and its header fields. Browsers send the cookies of all ports of a host. */
export const MAX_HEAD_BYTES = 16_384;

/** Reason to refuse a head, for the status line and the body. */
export class HeadError extends Error {
  override readonly name = "HeadError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** `request-line`: method, target and version (RFC 9112 §3). */
const REQUEST_LINE = /^([A-Z]{1,20}) (\S+) HTTP\/1\.([01])$/;
/** `field-line`, without white space before the colon (RFC 9112 §5.1) and without control characters. */
const FIELD = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*$/;
/** A name or IPv4 address, or an IPv6 address in brackets, and a port (RFC 3986 §3.2). */
const HOST = /^([\w.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$/i;

/** Returns the offset behind the head's empty line; undefined while the head is incomplete. */
export function endOfHead(bytes: Uint8Array, from: number): number | undefined {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at - 1] === LF || bytes[at - 1] === CR && bytes[at - 2] === LF) return at + 1;
  }
  return undefined;
}

const [CR, LF] = [0x0d, 0x0a];

/**
 * Throws `HeadError`.
 *
 * @param localAuthority host and port for HTTP/1.0 requests without a Host header
 */
export function parseHead(bytes: Uint8Array, localAuthority: string): Request {
  const [first = "", ...lines] = latin1.decode(bytes).trimEnd().split(/\r?\n/);
  const [, method, target, minor] = REQUEST_LINE.exec(first) ?? [];
  if (method === undefined || target === undefined) {
    throw new HeadError(400, "this is not an HTTP/1.1 request");
  }
  const headers = parseFields(lines);
  const host = headers.get("host") ?? (minor === "0" ? localAuthority : "");
  if (!HOST.test(host)) throw new HeadError(400, "the Host header must be one host, with or without a port");
  const url = URL.parse(target.startsWith("/") ? `http://${host}${target}` : target);
  if (!url || url.protocol !== "http:") throw new HeadError(400, "the target must be a path");
  try {
    headers.set("host", host);
    return new Request(url, { method, headers });
  } catch {
    throw new HeadError(501, `the method ${method} is not supported`); // CONNECT, TRACE
  }
}

function parseFields(lines: readonly string[]): Headers {
  const headers = new Headers();
  for (const line of lines) {
    const [, name, value] = FIELD.exec(line) ?? [];
    if (name === undefined || value === undefined) throw new HeadError(400, "a header field is malformed");
    // RFC 9112 §3.2: 400 "to any request message that contains more than one Host header field".
    if (name.toLowerCase() === "host" && headers.has("host")) {
      throw new HeadError(400, "the request has two Host headers");
    }
    headers.append(name, value);
  }
  return headers;
}

const latin1 = new TextDecoder("latin1");
