/** The whole proxy with `--dnssec validate`, before an upstream that does not validate. */
import { parseUpstream } from "../../lib/upstream/address.ts";
import { askTcp, askUdp } from "../support/clients/plain_client.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { type Behavior, DotServer } from "../support/servers/dot_server.ts";
import { ONE_THREAD } from "../support/mode.ts";
import { query, type QueryFields, read } from "../support/packets/packets.ts";
import { RunningProxy, written } from "../support/processes/running_proxy.ts";
import { startSignedTree } from "../resolver/dnssec/signed_tree.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });
const [NOERROR, SERVFAIL] = [0, 2];
const CACHED_ERROR = 13;

Deno.test("validation in the whole proxy", async (t) => {
  await using tree = await startSignedTree("p256", "unsigned", "changeddata", "expired", "future", "nsec3");
  /** Sets AD in whatever comes, as an upstream that lies. */
  const relay: Behavior = (connection) => async (asked) => {
    const answer = await askTcp({ hostname: "127.0.0.1", port: tree.resolverPort }, asked);
    answer[3] = answer[3]! | 0x20;
    connection.send(answer);
  };
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior: relay });
  const options = { upstreams: [server], caCerts: [AUTHORITY.pem], cacheSize: 2 ** 20, ...ONE_THREAD };
  const validating = { ...options, dnssec: "validate", trustAnchors: [tree.anchor] } as const;
  const ask = async (proxy: RunningProxy, name: string, fields: QueryFields = {}) =>
    read(await askUdp(proxy.address, query(name, "A", fields)));
  const codes = ({ edns }: ReturnType<typeof read>) =>
    edns?.options.filter(({ code }) => code === 15).map(({ value }) => value[0]! << 8 | value[1]!) ?? [];

  await t.step("AD is for clients that ask for it, first and out of the cache", async () => {
    await using proxy = new RunningProxy(validating);
    for (const _ of ["first", "cached"]) {
      assertEquals((await ask(proxy, "www.p256")).flags.ad, false);
      assertEquals((await ask(proxy, "www.p256", { ad: true })).flags.ad, true);
      const signed = await ask(proxy, "www.p256", { edns: { do: true } });
      assertEquals([signed.flags.ad, signed.answers.map(({ type }) => type)], [true, [1, 46]]);
      assertEquals((await ask(proxy, "www.unsigned", { ad: true })).flags.ad, false);
    }
    assertEquals((await ask(proxy, "www.p256", { edns: {} })).answers.map(({ type }) => type), [1]);
  });

  await t.step("a bogus answer is SERVFAIL with its reason, and is remembered as a failure", async () => {
    await using proxy = new RunningProxy(validating);
    const first = await ask(proxy, "www.changeddata", { edns: {} });
    assertEquals([first.rcode, codes(first)], [SERVFAIL, [6]]);
    const { received } = server;
    const second = await ask(proxy, "www.changeddata", { edns: {} });
    assertEquals([second.rcode, codes(second), server.received], [SERVFAIL, [6, CACHED_ERROR], received]);
    const event = proxy.events.find((each) => each.kind === "validated" && each.status === "bogus");
    assert(
      event?.kind === "validated" && event.reason?.startsWith("www.changeddata. A: the signature by key"),
    );
  });

  await t.step("clients with CD get what came, and nothing of it reaches others", async () => {
    await using proxy = new RunningProxy(validating);
    const unchecked = await ask(proxy, "www.changeddata", { cd: true, ad: true });
    assertEquals([unchecked.rcode, unchecked.flags.ad, unchecked.answers.length], [NOERROR, false, 1]);
    assertEquals((await ask(proxy, "www.changeddata")).rcode, SERVFAIL);
  });

  await t.step("names under a route are not validated", async () => {
    const routes = [{ domain: "expired", upstreams: parseUpstream(written(server.address)) }];
    await using proxy = new RunningProxy({ ...validating, routes });
    const routed = await ask(proxy, "www.expired", { ad: true });
    assertEquals([routed.rcode, routed.flags.ad], [NOERROR, false]);
    assertEquals((await ask(proxy, "www.future")).rcode, SERVFAIL);
  });

  await t.step("an anchor at a route's domain turns validation on there", async () => {
    const routes = [{ domain: "p256", upstreams: parseUpstream(written(server.address)) }];
    const key = read(
      await askTcp({ hostname: "127.0.0.1", port: tree.resolverPort }, query("p256", 48)),
    ).answers[0]!.rdata;
    const anchor = `p256. IN DNSKEY 257 3 13 ${key.subarray(4).toBase64()}`;
    await using proxy = new RunningProxy({ ...validating, trustAnchors: [tree.anchor, anchor], routes });
    assertEquals((await ask(proxy, "www.p256", { ad: true })).flags.ad, true);
    const wrong = `p256. IN DS 1 13 2 ${"00".repeat(32)}`;
    await using broken = new RunningProxy({ ...validating, trustAnchors: [tree.anchor, wrong], routes });
    assertEquals((await ask(broken, "www.p256")).rcode, SERVFAIL);
  });

  await t.step("a change to --dnssec drops what was cached before it", async () => {
    await using proxy = new RunningProxy(options);
    const passed = await ask(proxy, "www.changeddata", { ad: true });
    assertEquals([passed.rcode, passed.flags.ad], [NOERROR, true]); // the upstream's word
    await proxy.reconfigure({ dnssec: "validate", trustAnchors: [tree.anchor] });
    assertEquals((await ask(proxy, "www.changeddata")).rcode, SERVFAIL);
    await proxy.reconfigure({ insecureDomains: ["changeddata"] });
    assertEquals((await ask(proxy, "www.changeddata")).rcode, NOERROR);
  });

  await t.step("without validation a query is one query", async () => {
    await using proxy = new RunningProxy(options);
    const { received } = server;
    await ask(proxy, "www.nsec3");
    assertEquals(server.received - received, 1);
    assertEquals(proxy.count("validated"), 0);
  });

  await t.step("an upstream without keys is a failure, not an answer", async () => {
    const failing: Behavior = (connection) => {
      const pass = relay(connection);
      return (asked) => {
        if (read(asked).question!.type !== 48) return pass(asked);
        const refused = asked.slice();
        refused.set([0x81, 0x82], 2);
        connection.send(refused);
      };
    };
    await using other = await DotServer.start({ certificate: CERTIFICATE, behavior: failing });
    await using proxy = new RunningProxy({ ...validating, upstreams: [other] });
    const answer = await ask(proxy, "www.p256", { edns: {} });
    assertEquals([answer.rcode, codes(answer)], [SERVFAIL, [5]]);
  });
});
