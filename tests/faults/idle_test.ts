/**
 * Upstreams that close idle connections soon, as some public ones do after 2 s. The gate takes a smaller scale; for the
 * whole: `DOT_PROXY_IDLE_QUERIES=200 deno test --allow-all tests/faults/idle_test.ts`, about ten minutes.
 */
import { askEach, assertRight } from "../support/clients/query_client.ts";
import { assert } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { type DotConnection, DotServer, endingWhenIdle } from "../support/servers/dot_server.ts";
import { ONE_THREAD } from "../support/mode.ts";
import { RunningProxy } from "../support/processes/running_proxy.ts";

const WHOLE = Deno.env.get("DOT_PROXY_IDLE_QUERIES");
const QUERIES = Number(WHOLE ?? "25");
/** In ms: when the server closes, and the least and the longest time between two queries. */
const [IDLE, LEAST, LONGEST] = WHOLE ? [2_000, 1_000, 5_000] : [600, 300, 1_500];
/** Where two closes have been alike, the limit is known. */
const LESSONS = 2;

Deno.test("a server's idle limit is learned: no query fails, and soon each finds a connection open", async () => {
  const authority = await Authority.create();
  const certificate = await authority.issue({ addresses: ["127.0.0.1"] });
  await using server = await DotServer.start({ certificate, behavior: endingWhenIdle(IDLE) });
  await using proxy = new RunningProxy({ upstreams: [server], caCerts: [authority.pem], ...ONE_THREAD });
  const lessons = () => server.connections.filter(({ ending }) => ending === "server end").length;
  let isTaught = false;
  let taught = 0;
  let waited = 0;
  for (let i = 0; i < QUERIES || taught < QUERIES / 2; i++) {
    assert(i < 2 * QUERIES, `after ${i} queries the server has closed ${lessons()} connections only`);
    const open = server.connections.filter(isOpen).map((connection) =>
      [connection, connection.received] as const
    );
    assertRight(await askEach(proxy.address, [`name${i}.example.com`]));
    const foundOne = open.some(([connection, before]) => connection.received > before);
    if (isTaught) taught++;
    if (isTaught && !foundOne) waited++;
    isTaught ||= lessons() >= LESSONS; // But this one could not help it: the last lesson has closed its connection.
    await sleep(LEAST + Math.random() * (LONGEST - LEAST));
  }
  console.log(`${taught} queries after ${lessons()} lessons, ${waited} of which waited for a handshake`);
  // A busy machine can make the proxy late for once, and the server close first; a query can meet a renewal half way.
  const late = lessons() - LESSONS;
  assert(
    late <= 2 && waited <= late + 1,
    `${late} closes that could have been avoided, ${waited} queries waited`,
  );
});

function isOpen({ version, ending }: DotConnection): boolean {
  return version !== undefined && ending === undefined;
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
