import { Message } from "../lib/dns/message.ts";
import { FileWatch } from "../lib/platform/file_watch.ts";
import type { Event } from "../lib/core/event.ts";
import type { Resolver } from "../lib/core/resolver.ts";
import { PolicyChain, withRebindingFilter } from "../lib/policy_chain.ts";
import type { PolicyConfig } from "../lib/config/policy_config.ts";
import { UsageError } from "../lib/core/errors.ts";
import { parseRecord } from "../lib/resolver/local/record_text.ts";
import { extendedErrors } from "./support/clients/query_client.ts";
import { assertEquals, assertRejects, assertThrows } from "./support/assert.ts";
import { FakeResolver } from "./support/fakes/resolver.ts";
import { a, aaaa, response } from "./support/packets/packets.ts";
import { OPEN } from "./support/fakes/policy.ts";
import { asked, resolved, told } from "./support/clients/resolver_client.ts";

/** Builds policy chains, and removes their files at the end. */
class Fixture implements Disposable {
  readonly events: Event[] = [];
  readonly next = new FakeResolver();
  readonly #folder = Deno.makeTempDirSync();
  #policy: PolicyChain | undefined;

  write(name: string, text: string): string {
    Deno.writeTextFileSync(this.path(name), text);
    return this.path(name);
  }

  path(name: string): string {
    return `${this.#folder}/${name}`;
  }

  start(config: Partial<PolicyConfig>, next: Resolver = this.next, routes: string[] = []) {
    const observe = (event: Event) => void this.events.push(event);
    const options = { config: { ...OPEN, ...config }, routes, onChange: () => {}, observe };
    const policy = this.#policy = PolicyChain.build(options, next);
    return { policy, first: policy.first };
  }

  [Symbol.dispose](): void {
    this.#policy?.[Symbol.dispose]();
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

Deno.test("configured records come before hosts files, and these before lists and filters", async () => {
  using fixture = new Fixture();
  const hosts = fixture.write("hosts", "10.0.0.1 a.lan\n10.0.0.1 b.lan\nfd00::1 b.lan\n");
  const path = fixture.write("ads", "lan\nads.example\n");
  const { first } = fixture.start({
    hosts: [hosts],
    records: [parseRecord("a.lan A 10.0.0.2")],
    lists: [{ label: "ads", path, allows: false }],
    filterTypes: [28],
    specialNames: "local",
  });
  assertEquals(await told(first, "a.lan"), "0 10.0.0.2");
  assertEquals(await told(first, "b.lan"), "0 10.0.0.1");
  assertEquals(await told(first, "b.lan", "AAAA"), "0 fd00::1");
  assertEquals(await told(first, "c.lan"), "3");
  assertEquals(await told(first, "c.lan", "AAAA"), "3");
  assertEquals(await told(first, "localhost"), "0 127.0.0.1");
  assertEquals(fixture.next.asked.length, 0);
  assertEquals((await resolved(first, asked("example"))).rcode, 0);
  assertEquals(fixture.next.names, ["example"]);
});

Deno.test("local answers for public names have EDE 4, and those for internal names do not", async () => {
  using fixture = new Fixture();
  const records = [
    "www.example.com",
    "nas.lan",
    "nas.home.arpa",
    "1.0.0.10.in-addr.arpa",
    "1.2.0.192.in-addr.arpa",
    "nas",
  ]
    .map((name) => parseRecord(`${name} A 10.0.0.1`));
  const { first } = fixture.start({ records });
  const forged = async (name: string) => extendedErrors(await resolved(first, asked(name))).length;
  const names = ["www.example.com", "nas.lan", "nas.home.arpa", "1.0.0.10.in-addr.arpa", "nas"];
  assertEquals(await Promise.all(names.map(forged)), [1, 0, 0, 0, 0]);
});

Deno.test("a reload reads files while queries are answered; an unreadable file leaves all unchanged", async () => {
  using fixture = new Fixture();
  const hosts = fixture.write("hosts", "10.0.0.1 a.lan\n");
  const path = fixture.write("ads", "ads.example\n");
  const { policy, first } = fixture.start({ hosts: [hosts], lists: [{ label: "ads", path, allows: false }] });
  assertEquals([await told(first, "a.lan"), await told(first, "ads.example")], ["0 10.0.0.1", "3"]);

  fixture.write("hosts", "10.0.0.2 a.lan\n");
  fixture.write("ads", "b.example\n");
  const reading = policy.reload();
  assertEquals(await told(first, "ads.example"), "3", "the old list is in force until the new one is read");
  await reading;
  assertEquals([await told(first, "a.lan"), await told(first, "b.example")], ["0 10.0.0.2", "3"]);
  assertEquals((await resolved(first, asked("ads.example"))).rcode, 0);

  Deno.removeSync(path);
  fixture.write("hosts", "10.0.0.3 a.lan\n");
  await policy.reload();
  assertEquals([await told(first, "a.lan"), await told(first, "b.example")], ["0 10.0.0.2", "3"]);
  const kinds = fixture.events.map(({ kind }) => kind);
  assertEquals(kinds.filter((kind) => kind === "list reload failed").length, 1);
});

Deno.test("an empty hosts file is in force once it has names", async () => {
  using fixture = new Fixture();
  const hosts = fixture.write("hosts", "");
  const { policy, first } = fixture.start({ hosts: [hosts] });
  fixture.write("hosts", "10.0.0.1 a.lan\n");
  await policy.reload();
  assertEquals(await told(first, "a.lan"), "0 10.0.0.1");
});

Deno.test("build throws for an unreadable file, with option, file, reason and remedy", () => {
  using fixture = new Fixture();
  const list = (path: string, allows: boolean) => ({ lists: [{ label: "ads", path, allows }] });
  const options: [option: string, config: (path: string) => Partial<PolicyConfig>][] = [
    ["--block", (path) => list(path, false)],
    ["--unblock", (path) => list(path, true)],
    ["--hosts", (path) => ({ hosts: [path] })],
  ];
  const missing = "No such file or directory (os error 2); correct the path, or create the file";
  const folder = "Is a directory (os error 21); choose a readable file";
  for (const [name, reason] of [["nowhere", missing], [".", folder]] as const) {
    const path = fixture.path(name);
    for (const [option, config] of options) {
      const error = assertThrows(() => fixture.start(config(path)), UsageError) as Error;
      assertEquals(error.message, `${option}: cannot read "${path}": ${reason}`);
    }
  }
});

Deno.test("a list removed before it is read lets queries pass at the start, and fails a reload", async () => {
  using fixture = new Fixture();
  for (const isReload of [false, true]) {
    const path = fixture.write("ads", "ads.example\n");
    const lists = [{ label: "ads", path, allows: false }];
    const observe = (event: Event) => void fixture.events.push(event);
    const options = { config: { ...OPEN, lists }, routes: [], isReload, onChange: () => {}, observe };
    using policy = PolicyChain.build(options, fixture.next);
    Deno.removeSync(path);
    const { first } = policy;
    if (isReload) await assertRejects(() => policy.loaded, UsageError, `--block: cannot read "${path}"`);
    else assertEquals((await resolved(first, asked("ads.example"))).rcode, 0);
  }
  assertEquals(
    fixture.events.map(({ kind }) => kind),
    ["list reload failed"],
    "the second failure rejects `loaded` instead",
  );
});

Deno.test("private addresses from upstreams pass unless the protection is on", async () => {
  using fixture = new Fixture();
  assertEquals(withRebindingFilter(OPEN, fixture.next), fixture.next);
  const config = { ...OPEN, rebindProtection: true, rebindAllow: ["corp.example"] };
  const guarded = withRebindingFilter(config, fixture.next); // answers 10.x.y.z for any name
  assertEquals((await resolved(guarded, asked("www.example"))).answers.length, 0);
  assertEquals((await resolved(guarded, asked("www.corp.example"))).answers.length, 1);
});

Deno.test("queries of other classes skip local data, filters and lists, and get no records of class IN", async () => {
  using fixture = new Fixture();
  const path = fixture.write("ads", "ads.example\n");
  const { policy, first } = fixture.start({
    lists: [{ label: "ads", path, allows: false }],
    records: [parseRecord("nas.lan A 10.0.0.1")],
    filterTypes: [28],
    specialNames: "local",
  });
  await policy.loaded;
  for (const qclass of [3, 1]) {
    fixture.next.respond = ({ message: { name, bytes } }) =>
      Message.parse(response(bytes, { answers: [{ ...aaaa(name, "2001:db8::1"), class: qclass }] }));
    for (const name of ["ads.example", "nas.lan", "localhost", "example"]) {
      for (const type of ["A", "AAAA", "ANY"] as const) {
        const answer = await resolved(first, asked(name, type, { class: 3 }));
        const found = [answer.rcode, answer.answers.map((record) => record.class), answer.authority];
        assertEquals(found, qclass === 3 ? [0, [3], []] : [5, [], []], `${name} ${type}`);
      }
    }
  }
});

Deno.test("the rebinding filter knows internal networks and embedded IPv4 addresses", async () => {
  using fixture = new Fixture();
  const inside = [
    ...[
      "100.64.0.1",
      "100.127.255.255",
      "192.0.0.2",
      "198.18.0.1",
      "224.0.0.1",
      "240.0.0.1",
      "255.255.255.255",
    ],
    ...["fec0::1", "ff02::1", "64:ff9b::c0a8:101", "64:ff9b:1::c0a8:101", "64:ff9b:1:c0a8:1:100::"],
    ...["64:ff9b:1:ab00:0:a00:100:0", "64:ff9b:1:fffe:a:0:100:0", "::c0a8:101", "::ffff:0:c0a8:101"],
    ...["2002:c0a8:101::1", "2001:0:c000:201::3f57:fefe", "64:ff9b::6440:1", "64:ff9b::7f00:1"],
  ];
  const outside = [
    ...["100.63.255.255", "100.128.0.1", "192.0.0.170", "198.20.0.1", "203.0.113.1"],
    ...["64:ff9b::cb00:7101", "64:ff9b::c000:aa", "64:ff9b:1::cb00:7101", "64:ff9b:1:cb00:71:100::"],
    ...["64:ff9b:2::c0a8:101", "::cb00:7101", "2002:cb00:7101::1", "2001:0:c0a8:101::34ff:8efe"],
    ...["2001:1::c0a8:101", "2003:c0a8:101::1", "2001:db8::c0a8:101"],
  ];
  const filter = withRebindingFilter({ ...OPEN, rebindProtection: true }, fixture.next);
  for (const address of [...inside, ...outside]) {
    const type = address.includes(":") ? "AAAA" : "A";
    fixture.next.respond = ({ message }) => {
      const record = type === "A" ? a("www.example", address) : aaaa("www.example", address);
      return Message.parse(response(message.bytes, { answers: [record] }));
    };
    const answer = await resolved(filter, asked("www.example", type));
    assertEquals(answer.answers.length, inside.includes(address) ? 0 : 1, address);
  }
});

Deno.test("the target of a configured alias may have a private address, and no other name", async () => {
  using fixture = new Fixture();
  const config = {
    rebindProtection: true,
    records: [parseRecord("x.lan CNAME nas.dyn.example"), parseRecord("y.lan A 10.0.0.1")],
  };
  const guarded = withRebindingFilter({ ...OPEN, ...config }, fixture.next); // answers 10.x.y.z for any name
  const count = async (name: string) => (await resolved(guarded, asked(name))).answers.length;
  assertEquals(await Promise.all(["Nas.dyn.example", "a.nas.dyn.example", "dyn.example"].map(count)), [
    1,
    0,
    0,
  ]);
  const { first } = fixture.start(config, guarded);
  assertEquals((await resolved(first, asked("x.lan"))).answers.length, 2);
});

Deno.test("FileWatch reports a change once, after the files are stable", async () => {
  using fixture = new Fixture();
  const path = fixture.write("list", "a");
  let changes = 0;
  using watch = new FileWatch([path, fixture.path("missing")], () => changes++);
  const look = async (times: number) => {
    for (let i = 0; i < times; i++) await watch.check();
    return changes;
  };
  assertEquals(await look(3), 0);
  fixture.write("list", "abc");
  assertEquals(await look(1), 0, "perhaps it is still being written");
  assertEquals(await look(3), 1);
  fixture.write("missing", "here");
  assertEquals(await look(3), 2);
  Deno.renameSync(fixture.write("new", "abc"), path);
  assertEquals(await look(3), 3);
});
