import { type NetworkChange, NetworkWatch } from "../../lib/platform/network_watch.ts";
import { assertEquals } from "../support/assert.ts";
import { FakeTime } from "../support/fakes/time.ts";

/** A watch over a machine that the test puts to sleep and moves. */
class Fixture implements Disposable {
  readonly time = new FakeTime();
  readonly changes: NetworkChange[] = [];
  readonly troubles: unknown[] = [];
  listAddresses = () => this.addresses;
  addresses = ["eth0/192.0.2.1", "eth0/2001:db8::1"];
  /** How far the wall clock is ahead of the monotonic one, in ms. */
  ahead = 1_700_000_000_000;
  readonly watch = new NetworkWatch({
    onChange: (reason) => this.changes.push(reason),
    onTrouble: (error) => this.troubles.push(error),
    monotonic: this.time.now,
    wall: () => this.time.now() + this.ahead,
    addresses: () => this.listAddresses(),
  });

  [Symbol.dispose](): void {
    this.watch[Symbol.dispose]();
    this.time[Symbol.dispose]();
  }
}

Deno.test("NetworkWatch reports nothing while nothing changes, with one timer", async () => {
  using fixture = new Fixture();
  await fixture.time.pass(60_000);
  assertEquals([fixture.changes, fixture.time.waiting], [[], 1]);
});

Deno.test("a machine that has slept is noticed within 2 s, once", async () => {
  using fixture = new Fixture();
  await fixture.time.pass(10_000);
  fixture.ahead += 30_000;
  await fixture.time.pass(2_000);
  assertEquals(fixture.changes, ["clock jumped"]);
  await fixture.time.pass(60_000);
  assertEquals(fixture.changes, ["clock jumped"]);
});

Deno.test("a clock that is set back has jumped, too; one that is adjusted has not", async () => {
  using fixture = new Fixture();
  for (let i = 0; i < 100; i++) {
    fixture.ahead += 50;
    await fixture.time.pass(2_000);
  }
  assertEquals(fixture.changes, []);
  fixture.ahead -= 5_000;
  await fixture.time.pass(2_000);
  assertEquals(fixture.changes, ["clock jumped"]);
});

Deno.test("addresses that come or go are a change, their order is none", async () => {
  using fixture = new Fixture();
  fixture.addresses = fixture.addresses.toReversed();
  await fixture.time.pass(2_000);
  assertEquals(fixture.changes, []);
  fixture.addresses = ["wlan0/198.51.100.7"];
  await fixture.time.pass(2_000);
  assertEquals(fixture.changes, ["addresses changed"]);
  fixture.addresses = [];
  await fixture.time.pass(4_000);
  assertEquals(fixture.changes, ["addresses changed", "addresses changed"]);
});

Deno.test("to wake up elsewhere is one change", async () => {
  using fixture = new Fixture();
  fixture.ahead += 30_000;
  fixture.addresses = ["wlan0/198.51.100.7"];
  await fixture.time.pass(4_000);
  assertEquals(fixture.changes, ["clock jumped"]);
});

Deno.test("a watch that is disposed of, if only by who is called back, looks no more", async () => {
  using fixture = new Fixture();
  fixture.watch[Symbol.dispose]();
  assertEquals(fixture.time.waiting, 0);
  const own: { watch?: NetworkWatch } = {};
  own.watch = new NetworkWatch({
    onTrouble: () => {},
    onChange: () => own.watch?.[Symbol.dispose](),
    monotonic: fixture.time.now,
    wall: () => fixture.ahead++ * 10_000,
    addresses: () => [],
  });
  await fixture.time.pass(2_000);
  assertEquals(fixture.time.waiting, 0);
});

Deno.test("this machine itself can be watched, and one that does nothing does not change", async () => {
  const changes: NetworkChange[] = [];
  using time = new FakeTime();
  using _ = new NetworkWatch({ onChange: (reason) => changes.push(reason), onTrouble: () => {} });
  await time.pass(4_000);
  assertEquals(changes, []);
});

Deno.test("addresses that cannot be listed count as unchanged and are reported once, until they can be again", async () => {
  using fixture = new Fixture();
  const error = new Error("Too many open files (os error 24)");
  for (let outage = 1; outage <= 2; outage++) {
    fixture.listAddresses = () => {
      throw error;
    };
    await fixture.time.pass(60_000);
    assertEquals([fixture.changes, fixture.troubles.length], [[], outage]);
    fixture.listAddresses = () => fixture.addresses;
    await fixture.time.pass(2_000);
  }
  fixture.addresses = ["eth0/192.0.2.2"];
  await fixture.time.pass(2_000);
  assertEquals(fixture.changes, ["addresses changed"]);
});

Deno.test("a host that cannot list its addresses at the start is watched from when it can", async () => {
  const time = new FakeTime();
  using _time = time;
  const [changes, troubles]: [unknown[], unknown[]] = [[], []];
  let addresses: string[] | undefined;
  using _watch = new NetworkWatch({
    onChange: (reason) => changes.push(reason),
    onTrouble: (error) => troubles.push(error),
    monotonic: time.now,
    wall: time.now,
    addresses: () => {
      if (!addresses) throw new Error("no AF_NETLINK");
      return addresses;
    },
  });
  await time.pass(10_000);
  addresses = ["eth0/192.0.2.1"];
  await time.pass(10_000);
  assertEquals([changes, troubles.length], [[], 1]);
  addresses = ["eth0/192.0.2.2"];
  await time.pass(2_000);
  assertEquals(changes, ["addresses changed"]);
});
