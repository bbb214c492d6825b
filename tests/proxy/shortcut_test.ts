/** Answers of the fast path equal those of the resolvers, where these decide by the type. */
import { assertEquals } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { UdpClient } from "../support/clients/plain_client.ts";
import { addressed, answering, DotServer } from "../support/servers/dot_server.ts";
import { ONE_THREAD } from "../support/mode.ts";
import { query, read, soa, type Type } from "../support/packets/packets.ts";
import { OPEN } from "../support/fakes/policy.ts";
import { RunningProxy } from "../support/processes/running_proxy.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });
/** So many that most of them come in together. */
const BURST = 20;

/** The different answers to the same question asked many times at once. */
async function answersTo(client: UdpClient, name: string, type: Type): Promise<string[]> {
  const found = new Set<string>();
  await Promise.all(Array.from({ length: BURST }, (_, id) => client.send(query(name, type, { id }))));
  for (let i = 0; i < BURST; i++) {
    const { rcode, answers } = read(await client.receive());
    found.add([rcode, ...answers.map(({ text }) => text)].join(" "));
  }
  return [...found];
}

Deno.test("a denial that went through with one type answers others unless their names are local", async () => {
  const denied = addressed({ rcode: 3, authority: [soa(".")] });
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior: answering(denied) });
  await using proxy = new RunningProxy({
    upstreams: [server],
    caCerts: [AUTHORITY.pem],
    cacheSize: 1 << 20,
    policy: { ...OPEN, specialNames: "local", filterTypes: [28] },
    ...ONE_THREAD,
  });
  using client = new UdpClient(proxy.address);
  // The zone above is asked for the DS records of one that is ours (RFC 4035 §3.1.4.1), and knows no such name.
  for (let i = 0; i < 2; i++) assertEquals(await answersTo(client, "localhost", 43), ["3"]);
  assertEquals(await answersTo(client, "localhost", "A"), ["0 127.0.0.1"]);
  for (let i = 0; i < 2; i++) assertEquals(await answersTo(client, "no.example", "A"), ["3"]);
  assertEquals(await answersTo(client, "no.example", "AAAA"), ["3"], "a filter keeps NXDOMAIN (F5)");
});
