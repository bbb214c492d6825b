import { AccessControl } from "../../lib/admin/access.ts";
import { assertEquals } from "../support/assert.ts";

const TOKEN = "correct-horse-battery";

/** Returns the status of the refusal, or 200. */
function status(guard: AccessControl, headers: Record<string, string>, method = "GET", options = {}): number {
  const host = headers.host ?? "127.0.0.1:9153";
  // The Headers guard of a new Request forbids a Host header.
  const request = new Request(`http://${host}/`, { method });
  const all = new Headers({ ...headers, host });
  Object.defineProperty(request, "headers", { value: all });
  return guard.refusal(request, options)?.status ?? 200;
}

Deno.test("AccessControl without a token admits requests by address, and refuses unknown host names", () => {
  const guard = new AccessControl(undefined);
  const cases: [string, number][] = [
    ["127.0.0.1:9153", 200],
    ["127.0.0.1", 200],
    ["[::1]:9153", 200],
    ["localhost:9153", 200],
    ["attacker.example:9153", 421],
    ["127.0.0.1.attacker.example", 421],
    ["localhost.attacker.example:9153", 421],
  ];
  for (const [host, expected] of cases) assertEquals(status(guard, { host }), expected, host);
});

Deno.test("AccessControl with a token admits only requests with it, under any host name", () => {
  const guard = new AccessControl(TOKEN);
  const cases: [string, number][] = [
    [`Bearer ${TOKEN}`, 200],
    [`bearer ${TOKEN}`, 200],
    [`Basic ${btoa(`anybody:${TOKEN}`)}`, 200],
    [`Basic ${btoa(`:${TOKEN}`)}`, 200],
    [`Basic ${btoa(TOKEN)}`, 200],
    ["", 401],
    [TOKEN, 401],
    [`Bearer ${TOKEN}x`, 401],
    [`Bearer ${TOKEN.slice(0, -1)}`, 401],
    ["Bearer ", 401],
    ["Basic !", 401],
    [`Basic ${btoa(`${TOKEN}:`)}`, 401],
  ];
  for (const [authorization, expected] of cases) {
    assertEquals(status(guard, { authorization, host: "dns.example.net" }), expected, authorization);
  }
});

Deno.test("AccessControl admits open paths without the token, but not under an unknown host name", () => {
  const guard = new AccessControl(TOKEN);
  assertEquals(status(guard, {}, "GET", { isOpen: true }), 200);
  assertEquals(status(guard, { host: "attacker.example" }, "GET", { isOpen: true }), 421);
});

Deno.test("AccessControl lets other sites link to the dashboard, and refuses their other requests", () => {
  const guard = new AccessControl(undefined);
  const host = "127.0.0.1:9153";
  const cases: [Record<string, string>, string, number][] = [
    [{ origin: `http://${host}`, "sec-fetch-site": "same-origin" }, "POST", 200],
    [{ origin: "http://attacker.example" }, "POST", 403],
    [{ origin: "http://127.0.0.1:80" }, "POST", 403],
    [{ origin: "null" }, "POST", 403],
    [{ "sec-fetch-site": "cross-site" }, "POST", 403],
    [{ "sec-fetch-site": "same-site" }, "GET", 403],
    [{ "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" }, "GET", 403],
    [{ "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" }, "GET", 200],
    [{ "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" }, "POST", 403],
    [{ "sec-fetch-site": "none", "sec-fetch-mode": "navigate" }, "GET", 200],
    [{}, "POST", 200],
  ];
  for (const [headers, method, expected] of cases) {
    assertEquals(status(guard, { ...headers, host }, method), expected, JSON.stringify([headers, method]));
  }
});

Deno.test("AccessControl accepts the name of a reverse proxy as Host and as origin", () => {
  const [host, origin] = ["dns.example.net", "https://dns.example.net"];
  const known = new AccessControl(undefined, [host]);
  assertEquals(status(known, { host: "DNS.example.net:443" }), 200);
  assertEquals(status(known, { host, origin }, "POST"), 200);
  assertEquals(status(known, { host: "127.0.0.1:9153", origin }, "POST"), 200, "nginx' default Host header");
  assertEquals(status(known, { host: "other.example.net" }), 421);
  assertEquals(status(known, { host, origin: "https://other.example.net" }, "POST"), 403);
  assertEquals(status(known, { host, origin: "null" }, "POST"), 403);
  assertEquals(status(new AccessControl(undefined), { host }), 421);
});
