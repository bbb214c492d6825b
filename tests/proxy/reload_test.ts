/** Going over to another configuration while queries come and wait. */
import { ListenError } from "../../lib/frontend/listeners.ts";
import { UsageError } from "../../lib/core/errors.ts";
import { parseUpstream } from "../../lib/upstream/address.ts";
import { askEach, assertRight, names, question } from "../support/clients/query_client.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { askUdp, TcpClient, UdpClient } from "../support/clients/plain_client.ts";
import { DotServer, Hold } from "../support/servers/dot_server.ts";
import { ONE_THREAD } from "../support/mode.ts";
import { read } from "../support/packets/packets.ts";
import { OPEN } from "../support/fakes/policy.ts";
import { RunningProxy, written } from "../support/processes/running_proxy.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });
const TRUST = { caCerts: [AUTHORITY.pem], timeout: 1000 };

function route(domain: string, server: DotServer) {
  return { domain, upstreams: parseUpstream(written(server.address)) };
}

/** An address that the proxy may listen on. */
function freeAddress(hostname: string) {
  using listener = Deno.listen({ hostname, port: 0 });
  return { hostname, port: listener.addr.port, required: true };
}

Deno.test("an upstream that stays keeps its connection, and so do clients, while others come and go", async () => {
  await using stays = await DotServer.start({ certificate: CERTIFICATE });
  await using goes = await DotServer.start({ certificate: CERTIFICATE });
  await using comes = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({ upstreams: [stays], routes: [route("lan", goes)], ...TRUST });
  await using client = await TcpClient.connect(proxy.address);
  for (const name of ["a.test", "a.lan"]) {
    await client.send(question(name));
    assertRight([read((await client.receive())!)]);
  }
  await proxy.reconfigure({ upstreams: [comes], routes: [route("lan", stays)], strategy: "failover" });
  for (const name of ["b.test", "b.lan"]) {
    await client.send(question(name));
    assertRight([read((await client.receive())!)]);
  }
  assertEquals([stays, goes, comes].map(({ received }) => received), [2, 1, 1]);
  await goes.until(({ open }) => open === 0);
  assertEquals([stays.connections.length, stays.open], [1, 1]);
  assertEquals(
    proxy.proxy.upstreams.map(({ label }) => label),
    [comes, stays].map((each) => written(each.address)),
  );
});

Deno.test("queries that wait when the configuration changes are answered by whom they were sent to", async () => {
  const hold = new Hold();
  await using before = await DotServer.start({ certificate: CERTIFICATE, behavior: hold.behavior });
  await using after = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({ upstreams: [before], ...TRUST });
  using udp = new UdpClient(proxy.address);
  await udp.send(question("waits.test"));
  await before.until(({ received }) => received === 1);
  const another = freeAddress("127.0.0.2");
  await proxy.reconfigure({ upstreams: [after], listen: [another] });
  assertRight([read(await askUdp(another, question("new.test")))]);
  await hold.release();
  assertRight([read(await udp.receive())]);
  await before.until(({ open }) => open === 0);
});

Deno.test("an answer that was asked for without protection against rebinding is not kept for those with it", async () => {
  const hold = new Hold();
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior: hold.behavior });
  await using proxy = new RunningProxy({ upstreams: [server], cacheSize: 1 << 20, ...TRUST, ...ONE_THREAD });
  using udp = new UdpClient(proxy.address);
  await udp.send(question("private.test"));
  await server.until(({ received }) => received === 1);
  await proxy.reconfigure({ policy: { ...OPEN, rebindProtection: true } });
  await hold.release();
  assertEquals(read(await udp.receive()).answers.length, 1);
  await udp.send(question("private.test"));
  await server.until(({ received }) => received === 2);
  await hold.release();
  assertEquals(read(await udp.receive()).answers, []);
});

Deno.test("a listener that goes is closed, one that comes is open, and one that stays is the same", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  const [stays, goes, comes] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"].map(freeAddress) as [
    Deno.NetAddr & { required: true },
    Deno.NetAddr & { required: true },
    Deno.NetAddr & { required: true },
  ];
  await using proxy = new RunningProxy({ upstreams: [server], listen: [stays, goes], ...TRUST });
  await proxy.reconfigure({ listen: [stays, comes] });
  assertEquals(proxy.proxy.addresses.map(({ hostname }) => hostname), ["127.0.0.1", "127.0.0.3"]);
  assertRight(await askEach(stays, names(3)));
  assertRight(await askEach(comes, names(3)));
  await assertRejects(() => TcpClient.connect(goes));
});

Deno.test("a stopping proxy answers queries of a listener that a reload has removed", async () => {
  const hold = new Hold();
  await using server = await DotServer.start({ certificate: CERTIFICATE, behavior: hold.behavior });
  const listen = ["127.0.0.1", "127.0.0.2"].map(freeAddress);
  const goes = listen[1]!;
  await using proxy = new RunningProxy({ upstreams: [server], listen, ...TRUST });
  await using tcp = await TcpClient.connect(goes);
  await tcp.send(question("tcp.test"));
  const udp = askUdp(goes, question("udp.test"));
  await server.until(({ received }) => received === 2);
  await proxy.reconfigure({ listen: listen.slice(0, 1) });
  let hasStopped = false;
  const stopped = proxy.proxy.stop(5_000).then(() => hasStopped = true);
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(hasStopped, false);
  await hold.release();
  assertRight([read(await udp), read((await tcp.receive())!)]);
  await stopped;
});

Deno.test("limits are those of the new configuration", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST, ...ONE_THREAD });
  await using _old = await TcpClient.connect(proxy.address);
  await proxy.reconfigure({ maxTcpClients: 1 });
  await using refused = await TcpClient.connect(proxy.address);
  await refused.closed();
  await proxy.until(({ count }) => count.call(proxy, "connection rejected") === 1);
});

Deno.test("a configuration that cannot be applied changes nothing", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST, ...ONE_THREAD });
  assertRight(await askEach(proxy.address, ["a.test"]));
  using taken = Deno.listen({ hostname: "127.0.0.4", port: 0 });
  const listen = [freeAddress("127.0.0.3"), { ...taken.addr, required: true }];
  const other = "192.0.2.1:853";
  await assertRejects(
    () => proxy.reconfigure({ upstreams: [other], listen }),
    ListenError,
    "another program",
  );
  const noFile = `${other}?cert=/no/cert&key=/no/key`;
  await assertRejects(() => proxy.reconfigure({ upstreams: [noFile] }), UsageError, "cannot read");
  await assertRejects(() => TcpClient.connect(listen[0]!));
  assertRight(await askEach(proxy.address, ["b.test"]));
  assertEquals([server.connections.length, server.received], [1, 2]);
  assertEquals(proxy.proxy.upstreams.length, 1);
});

Deno.test("other authorities to trust mean other connections", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST });
  assertRight(await askEach(proxy.address, ["a.test"]));
  await proxy.reconfigure({ caCerts: [] });
  assertEquals(read(await askUdp(proxy.address, question("b.test"))).rcode, 2);
});

Deno.test("the cache stays, but for names that go elsewhere now, and for a cache of another size", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using other = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({ upstreams: [server], cacheSize: 1 << 20, ...TRUST, ...ONE_THREAD });
  const asked = ["a.test", "a.lan"];
  assertRight(await askEach(proxy.address, asked));
  await proxy.reconfigure({ strategy: "random", minTtl: 1000 });
  assertRight(await askEach(proxy.address, asked));
  assertEquals([server.received, other.received], [2, 0]);
  await proxy.reconfigure({ routes: [route("lan", other)] });
  assertRight(await askEach(proxy.address, asked));
  assertEquals([server.received, other.received], [2, 1]);
  await proxy.reconfigure({ routes: [] });
  assertRight(await askEach(proxy.address, asked));
  assertEquals([server.received, other.received], [3, 1]);
  await proxy.reconfigure({ cacheSize: 2 << 20 });
  assertRight(await askEach(proxy.address, asked));
  assertEquals([server.received, other.received], [5, 1]);
});

Deno.test("lists and hosts files are read again, though they are called the same", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using stack = new AsyncDisposableStack();
  const [path, hosts] = [await Deno.makeTempFile(), await Deno.makeTempFile()];
  for (const each of [path, hosts]) stack.defer(() => Deno.remove(each));
  const lists = [{ label: "ads", path, allows: false }];
  await using proxy = new RunningProxy({
    upstreams: [server],
    cacheSize: 1 << 20,
    policy: { ...OPEN, lists, hosts: [hosts] },
    ...TRUST,
    ...ONE_THREAD,
  });
  const tell = async (name: string) => {
    const { rcode, answers } = read(await askUdp(proxy.address, question(name)));
    return [rcode, ...answers.map(({ text }) => text)].join(" ");
  };
  assertRight(await askEach(proxy.address, ["ads.test", "nas.test"]));
  await Deno.writeTextFile(path, "ads.test\n");
  await Deno.writeTextFile(hosts, "192.0.2.1 nas.test\n");
  await proxy.reconfigure({});
  assertEquals([await tell("ads.test"), await tell("nas.test")], ["3", "0 192.0.2.1"]);
  await Deno.writeTextFile(path, "");
  await Deno.writeTextFile(hosts, "");
  await proxy.reconfigure({});
  assertRight(await askEach(proxy.address, ["ads.test", "nas.test"]));
  assertEquals(server.received, 2, "what the cache knew of them was not lost");
});

Deno.test("a stop while a new configuration is on its way ends both", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({ upstreams: [server], ...TRUST });
  const reconfigured = proxy.reconfigure({ listen: [freeAddress("127.0.0.5")] });
  await proxy.proxy.stop(1000);
  await reconfigured;
  await server.until(({ open }) => open === 0);
});
