import { isLeftOut } from "../support/left_out.ts";
import { ListenError, Listeners } from "../../lib/frontend/listeners.ts";
import { openLibrary } from "../../lib/platform/libc.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "../support/assert.ts";
import { askTcp, askUdp } from "../support/clients/plain_client.ts";
import { FakeResolver } from "../support/fakes/resolver.ts";
import { modeConfig } from "../support/mode.ts";
import { query, read } from "../support/packets/packets.ts";
import { answererFor, Events, withTicks } from "./fixture.ts";

/** Of 127/8, and no other test's: no other program takes a port of it meanwhile. */
const HOST = "127.0.53.1";
const LOOPBACK = { hostname: HOST, port: 0, required: true };
/** TEST-NET-3 of RFC 5737: no host has it. */
const FOREIGN = "203.0.113.1";
const library = openLibrary(modeConfig().udpBatch);

function listenersOn(
  addresses: ConstructorParameters<typeof Listeners>[0],
  events = new Events(),
): Listeners {
  return new Listeners(addresses, {
    answerer: answererFor({ resolver: new FakeResolver(), events }),
    observe: events.observe,
    maxClients: 10,
    maxClientsPerAddress: 10,
    library,
    limits: { idleTimeoutMs: 10_000, maxPipelined: 10, now: () => 0 },
  });
}

Deno.test("Listeners open the same free port for UDP and TCP, and reply over both (7766-1, 9210-1)", async () => {
  const events = new Events();
  using listeners = listenersOn([LOOPBACK], events);
  const [address, ...others] = listeners.addresses;
  assert(address && address.port > 0 && others.length === 0);
  for (const ask of [askUdp, askTcp]) {
    assertEquals(read(await ask(address, query("example.com"))).question?.name, "example.com");
  }
  const told = `${HOST}:${address.port}`;
  assertEquals(events.of("listening"), [
    { kind: "listening", transport: "udp", address: told },
    { kind: "listening", transport: "tcp", address: told },
  ]);
});

Deno.test("Listeners name the address, the reason and the remedy when a port is in use", () => {
  using taken = Deno.listen({ hostname: HOST, port: 0 });
  const { port } = taken.addr;
  const error = assertThrows(() => listenersOn([{ ...LOOPBACK, port }]), ListenError);
  assertEquals(
    error.message,
    `Cannot listen on ${HOST}:${port}: another program listens there. Find it with ` +
      `"ss -lnptu 'sport = :${port}'" and stop it, or choose another address with --listen`,
  );
  assert(error.cause instanceof Deno.errors.AddrInUse);
});

Deno.test("Listeners throw and close the TCP socket when only the UDP port is in use", async () => {
  const taken = Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 });
  using _ = { [Symbol.dispose]: () => taken.close() };
  const { port } = taken.addr as Deno.NetAddr;
  assertThrows(() => listenersOn([{ ...LOOPBACK, port }]), ListenError, `${HOST}:${port}`);
  await givenBack(port);
});

/** Resolves when TCP can be listened on again: a closed listener lets go of it in the next turn of the event loop. */
async function givenBack(port: number): Promise<void> {
  for (let turns = 1;; turns++) {
    try {
      return Deno.listen({ hostname: HOST, port }).close();
    } catch (error) {
      if (turns === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }
}

Deno.test("Listeners close the sockets of all addresses when one address fails", async () => {
  using taken = Deno.listen({ hostname: HOST, port: 0 });
  const events = new Events();
  const addresses = [LOOPBACK, { ...LOOPBACK, port: taken.addr.port }];
  assertThrows(() => listenersOn(addresses, events), ListenError);
  const port = Number(events.of("listening")[0]?.address.split(":")[1]);
  await givenBack(port);
  Deno.listenDatagram({ transport: "udp", hostname: HOST, port }).close();
});

Deno.test("Listeners skip a default address that the host lacks, with one event", async () => {
  const events = new Events();
  using listeners = listenersOn([{ hostname: FOREIGN, port: 5353, required: false }, LOOPBACK], events);
  const [address, ...others] = listeners.addresses;
  assertEquals([address?.hostname, others.length], [HOST, 0]);
  assertEquals(events.of("skipped"), [
    { kind: "skipped", address: `${FOREIGN}:5353`, reason: "this host does not have the address" },
  ]);
  assertEquals(read(await askUdp(address!, query("example.com"))).rcode, 0);
});

/** Runs with a host that has these addresses and no others. */
function withAddresses<T>(addresses: readonly string[], run: () => T): T {
  const { networkInterfaces } = Deno;
  Deno.networkInterfaces = () =>
    addresses.map((address) => ({
      ...{ family: "IPv4", name: "lo", address, netmask: "255.0.0.0", scopeid: null, cidr: `${address}/8` },
      mac: "00:00:00:00:00:00",
    }));
  try {
    return run();
  } finally {
    Deno.networkInterfaces = networkInterfaces;
  }
}

Deno.test("Listeners skip a wildcard's address whose port is in use, and open it when it is free", async () => {
  const events = new Events();
  const hosts = ["127.0.53.2", "127.0.53.3"];
  const taken = Deno.listen({ hostname: hosts[0]!, port: 0 });
  const { port } = taken.addr;
  const wildcard = { hostname: "0.0.0.0", port, required: true };
  const { made, tick } = withTicks(() => withAddresses(hosts, () => listenersOn([wildcard], events)));
  using listeners = made;
  const served = () => listeners.addresses.map(({ hostname }) => hostname).toSorted();
  assertEquals(served(), hosts.slice(1));
  for (let i = 0; i < 3; i++) withAddresses(hosts, tick);
  const reason = "another program listens there; retrying every 5 s";
  assertEquals(events.of("skipped"), [{ kind: "skipped", address: `${hosts[0]}:${port}`, reason }]);
  taken.close();
  for (let turns = 0; turns < 20 && served().length === 1; turns++) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    withAddresses(hosts, tick);
  }
  assertEquals(served(), hosts);
});

Deno.test("Listeners throw when another program has the port on all addresses, or on an explicit one", () => {
  using taken = Deno.listen({ hostname: "127.0.53.4", port: 0 });
  const { port } = taken.addr;
  const wildcard = { hostname: "0.0.0.0", port, required: true };
  for (const addresses of [[wildcard], [wildcard, { ...wildcard, hostname: "127.0.53.4" }]]) {
    const error = assertThrows(
      () =>
        withAddresses(
          ["127.0.53.4", ...addresses.length > 1 ? ["127.0.53.5"] : []],
          () => listenersOn(addresses),
        ),
      ListenError,
    );
    assertStringIncludes(error.message, `Cannot listen on 127.0.53.4:${port}: another program listens there`);
  }
});

Deno.test("Listeners throw when the host lacks a requested address", () => {
  const requested = { hostname: FOREIGN, port: 5353, required: true };
  assertThrows(
    () => listenersOn([requested]),
    ListenError,
    `Cannot listen on ${FOREIGN}:5353: this host does not have the address. Name one that it has: ` +
      '"ip -brief address" lists them',
  );
});

Deno.test("Listeners free their ports when they stop", async () => {
  const listeners = listenersOn([LOOPBACK]);
  const [address] = listeners.addresses;
  await listeners.stop();
  const { hostname, port } = address!;
  await givenBack(port);
  Deno.listenDatagram({ transport: "udp", hostname, port }).close();
  listeners[Symbol.dispose]();
});

/** A network namespace of its own, which ends with the child: no address of this host is changed. */
const canUnshare = Deno.build.os === "linux" && Deno.uid() === 0 &&
  new Deno.Command("unshare", { args: ["--net", "ip", "link"], stdout: "null", stderr: "null" }).outputSync()
    .success;

Deno.test({
  name: "Listeners reply from the queried address of a wildcard, and follow the host's addresses",
  ignore: isLeftOut(canUnshare),
  async fn() {
    const script = new URL("wildcard_child.ts", import.meta.url).pathname;
    const setUp =
      "ip link set lo up && ip address add 10.9.9.1/32 dev lo && ip address add fd99::1/128 dev lo nodad";
    const child = new Deno.Command("unshare", {
      args: [
        "--net",
        "sh",
        "-c",
        `${setUp} && exec "$0" "$@"`,
        Deno.execPath(),
        "run",
        "--allow-all",
        script,
      ],
    });
    const { stdout, stderr, success } = await child.output();
    const [out, complaint] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assert(success, complaint);
    assertEquals(JSON.parse(out!), {
      answered: {
        "127.0.0.1": ["udp 127.0.0.1", "tcp 127.0.0.1"],
        "10.9.9.1": ["udp 10.9.9.1", "tcp 10.9.9.1"],
        "::1": ["udp ::1", "tcp ::1"],
        "fd99::1": ["udp fd99::1", "tcp fd99::1"],
      },
      afterAdding: ["udp 10.9.9.2", "tcp 10.9.9.2"],
      afterRemoving: ["udp nobody", "tcp nobody"],
      stillThere: ["udp 10.9.9.2", "tcp 10.9.9.2"],
      skipped: [],
    });
  },
});

Deno.test({
  name: "Listeners reply on the right link when the client has only a link-local address (4007 §6)",
  ignore: isLeftOut(canUnshare),
  async fn() {
    const script = new URL("link_local_child.ts", import.meta.url).pathname;
    const child = new Deno.Command("unshare", {
      args: ["--net", Deno.execPath(), "run", "--allow-all", script],
    });
    const { stdout, stderr, success } = await child.output();
    const [out, complaint] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assert(success, complaint);
    assertEquals(JSON.parse(out!), [...Array(8).fill("udp"), "tcp"]);
  },
});
