import { askEach, assertRight, names } from "../support/clients/query_client.ts";
import { assertEquals } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import {
  byteByByte,
  coalesced,
  delayed,
  DotServer,
  duplicated,
  reversed,
  shuffled,
} from "../support/servers/dot_server.ts";
import { ONE_THREAD } from "../support/mode.ts";
import { RunningProxy } from "../support/processes/running_proxy.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });

const DELIVERIES = [
  [
    "1,000 answers in reverse order on one connection reach whoever asked (7858-5, 7766-7)",
    1000,
    reversed(1000),
  ],
  [
    "1,000 answers in random order on one connection reach whoever asked (7858-5, 7766-7)",
    1000,
    shuffled(1000, 1),
  ],
  ["1,000 answers in one write reach whoever asked", 1000, coalesced(1000)],
  ["answers split at every octet are put together (7858-4)", 20, byteByByte()],
  ["a repeated answer is given to nobody", 100, duplicated()],
  ["answers that take their time wait for none of their kind (7766-3)", 100, delayed(100)],
] as const;

for (const [name, count, behavior] of DELIVERIES) {
  Deno.test(name, async () => {
    await using server = await DotServer.start({ certificate: CERTIFICATE, behavior });
    await using proxy = new RunningProxy({ upstreams: [server], caCerts: [AUTHORITY.pem], ...ONE_THREAD });
    assertRight(await askEach(proxy.address, names(count)));
    assertEquals([server.handshakes, server.received], [1, count]);
  });
}
