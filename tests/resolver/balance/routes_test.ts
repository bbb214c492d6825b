/** Routes are separate trees for the cache, too: a denial in one does not affect another (8020, 4035). */
import { Router } from "../../../lib/resolver/balance/router.ts";
import { assertEquals } from "../../support/assert.ts";
import { FakeResolver, type Respond } from "../../support/fakes/resolver.ts";
import {
  a,
  cname,
  record,
  type ResourceRecord,
  type ResponseFields,
  soa,
} from "../../support/packets/packets.ts";
import { type AskOptions, CacheFixture, failing, responding } from "../cache/cache_fixture.ts";

const DENIED = { rcode: 3, ad: true, authority: [soa("", { minimum: 3_600, ttl: 3_600 })] };
const deny = responding(DENIED);
const address = responding(({ message }) => ({ answers: [a(message.name, "10.0.0.9")] }));

/** A cache before these routes, and the route of each query. */
class Routes implements Disposable {
  readonly fixture: CacheFixture;
  readonly asked: string[] = [];

  constructor(routes: Readonly<Record<string, Respond>>, otherwise: Respond = deny) {
    const resolvers = new Map(
      Object.entries(routes).map(([domain, respond]) => [domain, this.#resolver(domain, respond)]),
    );
    const router = new Router(resolvers, this.#resolver("default", otherwise));
    this.fixture = new CacheFixture((query) => router.resolve(query), { routes: Object.keys(routes) });
  }

  /** The RCODE, and the route or source of the answer. */
  async ask(name: string, options: AskOptions = {}): Promise<string> {
    const before = this.asked.length;
    const { message, source } = await this.fixture.ask(name, options);
    return `${message.rcode} ${this.asked[before] ?? source}`;
  }

  #resolver(domain: string, respond: Respond): FakeResolver {
    return new FakeResolver((query) => {
      this.asked.push(domain);
      return respond(query);
    });
  }

  [Symbol.dispose](): void {
    this.fixture[Symbol.dispose]();
  }
}

for (const type of ["A", "DS", "NS"] as const) {
  Deno.test(`a validated denial of a name above a route (${type}) does not apply to names of the route`, async () => {
    using routes = new Routes({ "home.lan": address });
    assertEquals(await routes.ask("lan", { type }), "3 default");
    for (const name of ["home.lan", "nas.home.lan", "a.b.HOME.lan"]) {
      assertEquals(await routes.ask(name), "0 home.lan");
    }
    assertEquals(await routes.ask("other.lan"), "3 cache", "a name of the denying tree");
  });
}

Deno.test("a validated denial within a route applies below it, but not to a route below", async () => {
  using routes = new Routes({ "corp.example": deny, "lab.x.corp.example": address }, address);
  assertEquals(await routes.ask("x.corp.example"), "3 corp.example");
  assertEquals(await routes.ask("y.x.corp.example"), "3 cache");
  assertEquals(await routes.ask("lab.x.corp.example"), "0 lab.x.corp.example");
  assertEquals(await routes.ask("www.lab.x.corp.example"), "0 lab.x.corp.example");
});

Deno.test("a denial of a route's own domain applies to all of the route", async () => {
  using routes = new Routes({ "corp.example": deny }, address);
  assertEquals(await routes.ask("corp.example"), "3 corp.example");
  assertEquals(await routes.ask("a.corp.example"), "3 cache");
});

Deno.test("DS queries for a route's domain go to the tree above, all others to the route (4035 §3.1.4.1)", async () => {
  using routes = new Routes({ "ins.example": address, "sub.ins.example": address }, address);
  assertEquals(await routes.ask("ins.example", { type: "DS" }), "0 default");
  assertEquals(await routes.ask("INS.example", { type: 48 }), "0 ins.example");
  assertEquals(await routes.ask("sub.ins.example", { type: "DS" }), "0 ins.example");
  assertEquals(await routes.ask("www.ins.example", { type: "DS" }), "0 ins.example");
  assertEquals(await routes.ask("example", { type: "DS" }), "0 default");
});

Deno.test("NXDOMAIN for DS from the parent denies no routed name, and NXDOMAIN from the route denies no DS", async () => {
  using routes = new Routes({ "home.lan": address });
  assertEquals(await routes.ask("home.lan", { type: "DS" }), "3 default");
  assertEquals(await routes.ask("home.lan"), "0 home.lan");
  assertEquals(await routes.ask("nas.home.lan"), "0 home.lan");
  assertEquals(await routes.ask("home.lan", { type: "DS" }), "3 cache");
  using denying = new Routes({ "home.lan": deny }, address);
  assertEquals(await denying.ask("home.lan"), "3 home.lan");
  assertEquals(await denying.ask("home.lan", { type: "DS" }), "0 default");
});

/** Answers names with these records, and all other names with NXDOMAIN. */
function zone(
  records: Readonly<Record<string, readonly ResourceRecord[]>>,
  fields: ResponseFields = {},
): Respond {
  return responding(({ message }) => {
    const answers = records[message.name.slice(0, -1)];
    return answers ? { ...fields, answers } : { ...DENIED, ...fields };
  });
}

const OUTSIDE = zone({
  "www.example": [a("www.example", "192.0.2.1")],
  "in.example": [cname("in.example", "db.corp.example")],
  "leak.example": [cname("leak.example", "db.corp.example"), a("db.corp.example", "203.0.113.6")],
  "there.example": [cname("there.example", "back.corp.example")],
  "loop.example": [cname("loop.example", "loop.corp.example")],
});
const INSIDE = zone({
  "db.corp.example": [a("db.corp.example", "10.0.0.9")],
  "out.corp.example": [cname("out.corp.example", "www.example")],
  "own.corp.example": [cname("own.corp.example", "db.corp.example"), a("db.corp.example", "10.0.0.9")],
  "back.corp.example": [cname("back.corp.example", "www.example")],
  "loop.corp.example": [cname("loop.corp.example", "loop.example")],
  "gone.corp.example": [cname("gone.corp.example", "gone.example")],
}, { aa: true, ra: false });

const CHAINS: Readonly<Record<string, readonly string[]>> = {
  "own.corp.example": ["db.corp.example", "10.0.0.9"],
  "out.corp.example": ["www.example", "192.0.2.1"],
  "in.example": ["db.corp.example", "10.0.0.9"],
  "leak.example": ["db.corp.example", "10.0.0.9"],
  "there.example": ["back.corp.example", "www.example", "192.0.2.1"],
};

for (const [name, texts] of Object.entries(CHAINS)) {
  Deno.test(`${name} is followed into the tree of its target, whose answer alone counts (1034 §5.2.2)`, async () => {
    using routes = new Routes({ "corp.example": INSIDE }, OUTSIDE);
    for (const source of ["upstream", "cache"]) {
      const { message, ...outcome } = await routes.fixture.ask(name);
      assertEquals([outcome.source, message.rcode, message.flags.aa], [source, 0, false]);
      assertEquals(message.answers.map(({ text }) => text.replace(/\.$/, "")), texts);
      assertEquals(message.answers[0]?.name, name);
    }
  });
}

Deno.test("an alias for an unknown name of another tree is denied by that tree", async () => {
  using routes = new Routes({ "corp.example": INSIDE }, OUTSIDE);
  const { message } = await routes.fixture.ask("gone.corp.example");
  assertEquals([message.rcode, message.answers.length, message.authority[0]?.type], [3, 1, 6]);
  assertEquals(routes.asked, ["corp.example", "default"]);
});

Deno.test("the answer to a CNAME query is not followed", async () => {
  using routes = new Routes({ "corp.example": INSIDE }, OUTSIDE);
  await routes.fixture.ask("out.corp.example", { type: "CNAME" });
  assertEquals(routes.asked, ["corp.example"]);
});

Deno.test("a loop of aliases between routes ends in SERVFAIL", async () => {
  using routes = new Routes({ "corp.example": INSIDE }, OUTSIDE);
  const { message, reasons } = await routes.fixture.ask("loop.example");
  assertEquals([message.rcode, message.answers.length, reasons, routes.asked.length], [2, 8, [0], 9]);
});

Deno.test("a followed answer has AD only if all parts have it, and keeps the signatures", async () => {
  const signature = record("out.corp.example", "RRSIG", Uint8Array.of(0, 5, ...new Array(16).fill(0), 0, 1));
  const inside = (ad: boolean) =>
    zone({ "out.corp.example": [cname("out.corp.example", "www.example"), signature] }, { ad });
  for (const ad of [true, false]) {
    const outside = zone({ "www.example": [a("www.example", "192.0.2.1")] }, { ad: true });
    using routes = new Routes({ "corp.example": inside(ad) }, outside);
    const { message } = await routes.fixture.ask("out.corp.example", { edns: { do: true } });
    assertEquals([message.flags.ad, ...message.answers.map(({ type }) => type)], [ad, 5, 46, 1]);
  }
});

Deno.test("the query fails with the failure of the target's tree", async () => {
  using routes = new Routes({ "corp.example": failing("refused", "connect") }, OUTSIDE);
  assertEquals(await routes.fixture.tell("in.example"), "error: refused");
});
