import { Message } from "../../../lib/dns/message.ts";
import { Router } from "../../../lib/resolver/balance/router.ts";
import { assertEquals } from "../../support/assert.ts";
import { asking } from "../../support/fakes/candidate.ts";
import { FakeResolver } from "../../support/fakes/resolver.ts";
import { hex } from "../../support/packets/packets.ts";

const OTHERWISE = "otherwise";

/** The route of each name. */
function routes(domains: readonly string[], names: readonly string[]): Record<string, string> {
  const resolvers = new Map([...domains, OTHERWISE].map((domain) => [domain, new FakeResolver()]));
  const otherwise = resolvers.get(OTHERWISE)!;
  const router = new Router(new Map(domains.map((domain) => [domain, resolvers.get(domain)!])), otherwise);
  return Object.fromEntries(names.map((name) => {
    const query = asking(name);
    void router.resolve(query);
    const [taken, ...others] = [...resolvers].filter(([, { asked }]) => asked.includes(query));
    assertEquals(others, []);
    return [name, taken![0]];
  }));
}

Deno.test("RouteTable finds the longest domain, label by label", () => {
  assertEquals(
    routes(["corp.example", "lab.corp.example", "example"], [
      "corp.example",
      "www.corp.example",
      "lab.corp.example",
      "a.b.lab.corp.example",
      "notcorp.example",
      "example",
      "corp.example.org",
    ]),
    {
      "corp.example": "corp.example",
      "www.corp.example": "corp.example",
      "lab.corp.example": "lab.corp.example",
      "a.b.lab.corp.example": "lab.corp.example",
      "notcorp.example": "example",
      "example": "example",
      "corp.example.org": OTHERWISE,
    },
  );
});

Deno.test("RouteTable ignores case", () => {
  assertEquals(routes(["corp.example"], ["WWW.Corp.EXAMPLE"]), { "WWW.Corp.EXAMPLE": "corp.example" });
});

Deno.test("a route of the root takes all names without a longer route, and the root itself", () => {
  assertEquals(routes(["", "test"], [".", "com", "name.test"]), { ".": "", "com": "", "name.test": "test" });
});

Deno.test("RouteTable finds no route without routes, and none for the root without a route of its own", () => {
  assertEquals(routes([], ["name.test"]), { "name.test": OTHERWISE });
  assertEquals(routes(["test"], ["."]), { ".": OTHERWISE });
});

Deno.test("a dot within a label does not end the label", () => {
  const answered: string[] = [];
  const resolver = (name: string) => ({ resolve: () => (answered.push(name), new Promise<never>(() => {})) });
  const router = new Router(new Map([["example.com", resolver("route")]]), resolver("otherwise"));
  const message = Message.parse(hex(`
    12 34 01 00 00 01 00 00 00 00 00 00 # one question
    0b 77 77 77 2e 65 78 61 6d 70 6c 65 # one label: "www.example"
    03 63 6f 6d 00 00 01 00 01          # "com", A, IN
  `));
  void router.resolve({ ...asking("any"), message });
  assertEquals(answered, ["otherwise"]);
});
