/** Names that take the short way from the cache, and a policy that has another answer to them from now on. */
import type { PolicyConfig } from "../lib/config/policy_config.ts";
import { parseRecord } from "../lib/resolver/record_text.ts";
import { assertEquals } from "./support/assert.ts";
import { Authority } from "./support/certificates.ts";
import { UdpClient } from "./support/client.ts";
import { addressed, answering, DotServer } from "./support/dot_server.ts";
import { query, read } from "./support/packets.ts";
import { OPEN } from "./support/policy.ts";
import { RunningProxy } from "./support/running_proxy.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });
/** At once, so that most of them are taken out of a batch. */
const QUERIES = 100;

/** RCODE and first answer of each of many queries at once, without repetition. */
async function tell({ address }: RunningProxy, name: string): Promise<string[]> {
  using client = new UdpClient(address);
  for (let id = 0; id < QUERIES; id++) await client.send(query(name, "A", { id }));
  const told = new Set<string>();
  for (let i = 0; i < QUERIES; i++) {
    const { rcode, answers } = read(await client.receive());
    told.add(`${rcode} ${answers[0]?.text ?? "nothing"}`);
  }
  return [...told];
}

const list = Deno.makeTempFileSync();
Deno.writeTextFileSync(list, "blocked.example\n");
globalThis.addEventListener("unload", () => Deno.removeSync(list));

const CHANGES: [what: string, name: string, changes: Partial<PolicyConfig>, told: string][] = [
  ["is on a list", "blocked.example", { lists: [{ path: list, label: "ads", allows: false }] }, "3 nothing"],
  ["has a record", "a.example", { records: [parseRecord("a.example A 10.0.0.7")] }, "0 10.0.0.7"],
  ["is of a filtered type", "a.example", { filterTypes: [1] }, "0 nothing"],
];

for (const [what, name, changes, expected] of CHANGES) {
  Deno.test(`a name that the cache answers by the short way and ${what} after a reload is answered so at once`, async () => {
    await using server = await DotServer.start({
      certificate: CERTIFICATE,
      behaviour: answering(addressed()),
    });
    await using proxy = new RunningProxy({
      upstreams: [{ address: server.address }],
      caCerts: [AUTHORITY.pem],
      cacheSize: 1 << 20,
    });
    const before = await tell(proxy, name);
    assertEquals(before.length, 1);
    assertEquals(await tell(proxy, name), before);
    await proxy.reconfigure({ policy: { ...OPEN, ...changes } });
    assertEquals(await tell(proxy, name), [expected]);
    await proxy.reconfigure({ policy: OPEN });
    assertEquals(await tell(proxy, name), before);
    assertEquals(server.queries.length, 1);
  });
}
