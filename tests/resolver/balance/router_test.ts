import { Message } from "../../../lib/dns/message.ts";
import { Router } from "../../../lib/resolver/balance/router.ts";
import { assertEquals } from "../../support/assert.ts";
import { asking } from "../../support/fakes/candidate.ts";
import { FakeResolver } from "../../support/fakes/resolver.ts";
import { hex } from "../../support/packets/packets.ts";

const OTHERWISE = "otherwise";

/** Which route each name takes. */
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

Deno.test("the longest domain that fits decides, label by label", () => {
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

Deno.test("the letters' case makes no difference", () => {
  assertEquals(routes(["corp.example"], ["WWW.Corp.EXAMPLE"]), { "WWW.Corp.EXAMPLE": "corp.example" });
});

Deno.test("the root as a domain takes what no other does, the root itself included", () => {
  assertEquals(routes(["", "test"], [".", "com", "name.test"]), { ".": "", "com": "", "name.test": "test" });
});

Deno.test("without routes, and for the root without one of its own, it is the upstreams for all", () => {
  assertEquals(routes([], ["name.test"]), { "name.test": OTHERWISE });
  assertEquals(routes(["test"], ["."]), { ".": OTHERWISE });
});

Deno.test("a dot within a label does not end it", () => {
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
