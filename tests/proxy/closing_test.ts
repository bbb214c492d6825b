import { askEach, assertFailed, assertRight, names, question } from "../support/clients/query_client.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { TcpClient } from "../support/clients/plain_client.ts";
import {
  answering,
  type Behavior,
  delayed,
  DotServer,
  endingAfter,
  endingInsteadOfAnswering,
  endingWhenIdle,
  endingWithinFrame,
  resettingWithinFrame,
} from "../support/servers/dot_server.ts";
import { inTurn, once } from "../support/servers/scripts.ts";
import { read } from "../support/packets/packets.ts";
import { RunningProxy } from "../support/processes/running_proxy.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });

/** A server that behaves like this, and the proxy in front of it. */
function proxied(
  name: string,
  behavior: Behavior,
  body: (proxy: RunningProxy, server: DotServer) => Promise<void>,
): void {
  Deno.test(name, async () => {
    await using server = await DotServer.start({ certificate: CERTIFICATE, behavior });
    await using proxy = new RunningProxy({ upstreams: [server], caCerts: [AUTHORITY.pem] });
    await body(proxy, server);
  });
}

for (const how of ["end", "cut", "reset"] as const) {
  for (const count of [1, 3, 10]) {
    proxied(
      `a server that closes after every ${count} answers (${how}) answers everything (7858-6, 7766-6)`,
      endingAfter(count, how),
      async (proxy, server) => {
        assertRight(await askEach(proxy.address, names(60)));
        for (const name of names(60)) {
          assert(server.receivedFor(name) <= 3, `${name} was sent ${server.receivedFor(name)} times`);
        }
      },
    );
  }
}

const ENDS = [
  ["half-closes instead of answering", endingInsteadOfAnswering],
  ["ends within a frame", once(endingWithinFrame())],
  ["resets within a frame", once(resettingWithinFrame())],
] as const;

for (const [what, behavior] of ENDS) {
  proxied(
    `a server that ${what} is asked again on a new connection, and no client notices (7858-6, 7766-6)`,
    inTurn(behavior, answering()),
    async (proxy, server) => {
      assertRight(await askEach(proxy.address, names(100)));
      assertEquals([server.handshakes, proxy.states], [2, ["up"]]);
    },
  );
}

proxied(
  "an idle connection that the server closes is opened again by the next query (7858-6)",
  endingWhenIdle(50),
  async (proxy, server) => {
    for (const handshakes of [1, 2, 3]) {
      assertRight(await askEach(proxy.address, names(5)));
      await server.until(({ open }) => open === 0);
      await proxy.until((proxy) => proxy.count("connection closed") === handshakes);
      assertEquals([server.handshakes, server.received], [handshakes, 5 * handshakes]);
    }
    assertEquals(proxy.states, ["up"]);
    for (const event of proxy.events) assert(event.kind !== "connection closed" || !event.error);
  },
);

proxied(
  "a query that the server answers with a close is sent three times at most (9520-1)",
  endingInsteadOfAnswering,
  async (proxy, server) => {
    await askEach(proxy.address, names(10));
    for (const name of names(10)) assert(server.receivedFor(name) <= 3, name);
    // Two for all, some for a query alone, and one to find out whether it is the upstream's fault.
    assert(server.handshakes <= 10, `${server.handshakes} handshakes`);
  },
);

proxied(
  "a client that half-closes behind its queries is answered in full (7766-3)",
  delayed(50),
  async (proxy) => {
    await using client = await TcpClient.connect(proxy.address);
    await client.send(...names(20).map(question));
    client.closeWrite();
    const answers = [];
    for (let message = await client.receive(); message; message = await client.receive()) {
      answers.push(
        read(message),
      );
    }
    assertRight(answers);
    assertEquals(answers.map(({ id }) => id).toSorted((a, b) => a - b), Array.from(names(20).keys()));
  },
);

proxied(
  "a query is sent three times at most though each connection answers something (9520-1)",
  inTurn(...[1, 2, 3, 4, 5, 6].map((count) => endingAfter(count))),
  async (proxy, server) => {
    const answers = await askEach(proxy.address, names(50));
    const failed = answers.filter(({ rcode }) => rcode !== 0);
    assertFailed(failed, 23, /: read: it closed the connection/);
    assertRight(answers.filter(({ rcode }) => rcode === 0));
    for (const { question } of failed) assertEquals(server.receivedFor(question!.name), 3);
    assert(failed.length <= 50 - 1 - 2 - 3, `${failed.length} failed`);
  },
);
