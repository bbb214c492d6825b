/** The cache over restarts: what is saved is there again, as old as it is; what is damaged is refused as a whole. */
import type { Event } from "../../../lib/core/event.ts";
import { SnapshotFile } from "../../../lib/resolver/cache/snapshot_file.ts";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";
import { addressFor, CacheFixture, failing, responding } from "./cache_fixture.ts";
import { soa } from "../../support/packets/packets.ts";

const DAY = 86_400_000;
/** 2026-01-01, in ms since 1970. */
const NEW_YEAR = 1_767_225_600_000;

class Disk implements AsyncDisposable {
  readonly #temporary = Deno.makeTempDirSync();
  readonly directory = `${this.#temporary}/state`;
  readonly events: Event[] = [];
  /** Both clocks of the host: this one goes on while the process does not. */
  wall = NEW_YEAR;

  get path(): string {
    return `${this.directory}/cache`;
  }

  file(fixture: CacheFixture, { conditions = "", serveStale = DAY, maxTtl = 86_400 } = {}): SnapshotFile {
    return new SnapshotFile({
      directory: this.directory,
      store: fixture.cache.store,
      conditions,
      serveStale,
      maxTtl,
      observe: (event) => this.events.push(event),
      now: fixture.time.now,
      wallClock: () => this.wall,
    });
  }

  async save(fixture: CacheFixture, options = {}): Promise<void> {
    using file = this.file(fixture, options);
    await file.save();
  }

  async load(fixture: CacheFixture, options = {}): Promise<void> {
    using file = this.file(fixture, options);
    await file.load();
  }

  get complaints(): string[] {
    return this.events.map((event) => event.kind === "cache file error" ? event.reason : event.kind);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#temporary, { recursive: true });
  }
}

/** Saves a cache that has learned a.test to d.test, 1000 s each, over some time. */
async function saved(disk: Disk, options = {}): Promise<void> {
  using fixture = new CacheFixture(addressFor(1000));
  await fixture.pass(5);
  for (const name of ["a.test", "b.test", "c.test", "d.test"]) await fixture.ask(name);
  await fixture.pass(100);
  await disk.save(fixture, options);
}

Deno.test("what was saved answers after the restart, and time has passed meanwhile", async () => {
  await using disk = new Disk();
  await saved(disk);
  disk.wall += 300_000;
  using fixture = new CacheFixture(failing("refused", "connect"));
  await disk.load(fixture);
  assertEquals(await fixture.tell("A.test"), "cache: 0 | 600 192.0.2.1");
  assertEquals([fixture.cache.store.size, fixture.asked, disk.events], [4, 0, []]);
  await fixture.pass(600);
  assertEquals(await fixture.tell("a.test"), "stale: 0 | 30 192.0.2.1 EDE 3");
});

Deno.test("under a lower --max-ttl what was saved has the TTL that it would have got", async () => {
  await using disk = new Disk();
  await saved(disk);
  disk.wall += 300_000;
  const cases = [[1000, "cache: 0 | 600 192.0.2.1"], [500, "cache: 0 | 100 192.0.2.1"], [
    399,
    "stale: 0 | 30 192.0.2.1 EDE 3",
  ]] as const;
  for (const [maxTtl, told] of cases) {
    using fixture = new CacheFixture(failing("refused", "connect"), { maxTtl });
    await disk.load(fixture, { maxTtl });
    assertEquals(await fixture.tell("a.test"), told, `${maxTtl}`);
  }
});

Deno.test("what has a lower TTL now is asked for again before its end", async () => {
  await using disk = new Disk();
  await saved(disk);
  disk.wall += 300_000;
  using fixture = new CacheFixture(addressFor(500), { maxTtl: 500 });
  await disk.load(fixture, { maxTtl: 500 });
  await fixture.pass(49);
  await fixture.tell("a.test");
  assertEquals(fixture.asked, 0);
  await fixture.pass(2);
  assertEquals(await fixture.tell("a.test"), "cache: 0 | 49 192.0.2.1");
  assertEquals(fixture.asked, 1);
});

Deno.test("what has expired while the process was away is stale, and gone when its time for that is over", async () => {
  await using disk = new Disk();
  await saved(disk);
  disk.wall += 1_000_000;
  for (
    const [serveStale, told] of [[DAY, "stale: 0 | 30 192.0.2.1 EDE 3"], [60_000, "error: refused"]] as const
  ) {
    using fixture = new CacheFixture(failing("refused", "connect"), { serveStale });
    await disk.load(fixture, { serveStale });
    assertEquals(await fixture.tell("a.test"), told);
    assertEquals(fixture.cache.store.size, serveStale === DAY ? 4 : 0);
  }
});

Deno.test("with a clock that has gone back nothing is fresh, for nobody knows how old it is (8767-3)", async () => {
  await using disk = new Disk();
  await saved(disk);
  disk.wall -= 1;
  using fixture = new CacheFixture(failing("refused", "connect"));
  await disk.load(fixture);
  assertEquals(await fixture.tell("a.test"), "stale: 0 | 30 192.0.2.1 EDE 3");
});

Deno.test("denials come back, too", async () => {
  await using disk = new Disk();
  {
    using fixture = new CacheFixture(
      responding({ rcode: 3, ad: true, authority: [soa("test", { minimum: 500 })] }),
    );
    await fixture.ask("no.test");
    await disk.save(fixture);
  }
  using fixture = new CacheFixture(failing("refused"));
  await disk.load(fixture);
  for (const name of ["no.test", "below.no.test"]) {
    assertEquals(await fixture.tell(name, { type: "MX" }), "cache: 3");
  }
});

Deno.test("without a file the cache is empty, and that is nothing to complain about", async () => {
  await using disk = new Disk();
  using fixture = new CacheFixture(addressFor(1));
  await disk.load(fixture);
  assertEquals([fixture.cache.store.size, disk.events], [0, []]);
});

Deno.test("a file with any octet changed or missing is refused in one line, and the cache is empty", async () => {
  await using disk = new Disk();
  await saved(disk);
  const whole = await Deno.readFile(disk.path);
  using fixture = new CacheFixture(addressFor(1));
  async function refused(bytes: Uint8Array, what: string): Promise<void> {
    disk.events.length = 0;
    await Deno.writeFile(disk.path, bytes);
    await disk.load(fixture);
    assertEquals([fixture.cache.store.size, disk.complaints.length], [0, 1], what);
    assertMatch(disk.complaints[0]!, /\/cache cannot be used, so the cache starts empty: it/);
  }
  for (let length = 0; length < whole.length; length++) {
    await refused(whole.subarray(0, length), `${length} octets`);
  }
  for (let at = 0; at < whole.length; at++) {
    const changed = whole.slice();
    changed[at]! ^= 0x10;
    await refused(changed, `octet ${at} changed`);
  }
});

Deno.test("answers saved under other conditions are not used: they come from other upstreams, or unchecked", async () => {
  await using disk = new Disk();
  await saved(disk, { conditions: "corp → 10.0.0.53" });
  using fixture = new CacheFixture(addressFor(1));
  await disk.load(fixture);
  assertEquals(fixture.cache.store.size, 0);
  assertMatch(disk.complaints[0]!, /other routes/);
});

Deno.test("what was learned since the start is not overwritten by what was saved", async () => {
  await using disk = new Disk();
  await saved(disk);
  using fixture = new CacheFixture(addressFor(77));
  await fixture.ask("a.test");
  await disk.load(fixture);
  assertEquals(await fixture.tell("a.test"), "cache: 0 | 77 192.0.2.1");
  assertEquals(fixture.cache.store.size, 4);
});

Deno.test("a smaller cache takes what fits of a larger one's file, the youngest", async () => {
  await using disk = new Disk();
  const names = Array.from({ length: 20_000 }, (_, i) => `name${i}.test`);
  {
    using fixture = new CacheFixture(addressFor(1000), { maxOctets: 8 << 20 });
    for (const name of names) await fixture.cache.resolve(fixture.query(name));
    await disk.save(fixture);
  }
  using fixture = new CacheFixture(failing("refused"), { maxOctets: 1 << 20 });
  await disk.load(fixture);
  const { size, bytes } = fixture.cache.store;
  assert(size > 5_000 && size < 15_000 && bytes <= 1 << 20, `${size} entries, ${bytes} octets`);
  assertEquals((await fixture.ask("name19999.test")).source, "cache");
});

Deno.test("the file is whole at any time, and nobody else can read it", async () => {
  await using disk = new Disk();
  await saved(disk);
  const before = await Deno.stat(disk.path);
  await saved(disk);
  const after = await Deno.stat(disk.path);
  assert(before.ino !== after.ino, "a new file has taken the place of the old one");
  assertEquals(after.mode! & 0o777, 0o600);
  assertEquals([...Deno.readDirSync(disk.directory)].map(({ name }) => name), ["cache"]);
});

Deno.test("a directory that cannot be written is one line, and what is there stays", async () => {
  await using disk = new Disk();
  await saved(disk);
  const whole = await Deno.readFile(disk.path);
  const { open } = Deno;
  Deno.open = (path, options) =>
    options?.createNew ? Promise.reject(new Error("Permission denied (os error 13)")) : open(path, options);
  try {
    await saved(disk);
  } finally {
    Deno.open = open;
  }
  assertMatch(disk.complaints.join(), /^\S+\/cache cannot be written: [^,]+$/);
  assertEquals(await Deno.readFile(disk.path), whole);
});

Deno.test("it is saved every ten minutes, one writing at a time, and not after the end", async () => {
  await using disk = new Disk();
  using fixture = new CacheFixture(addressFor(86_400));
  const file = disk.file(fixture);
  await fixture.ask("a.test");
  await fixture.pass(600);
  await Promise.all([file.save(), file.save()]);
  const { ino } = await Deno.stat(disk.path);
  file[Symbol.dispose]();
  await fixture.pass(1800);
  assertEquals([(await Deno.stat(disk.path)).ino, fixture.time.waiting, disk.events], [ino, 0, []]);
});

Deno.test("a full disk is given its room back, and what is saved already stays", async () => {
  await using disk = new Disk();
  await saved(disk);
  const whole = await Deno.readFile(disk.path);
  await Deno.writeTextFile(`${disk.path}.new`, "of an earlier version");
  const { write } = Deno.FsFile.prototype;
  Deno.FsFile.prototype.write = () => Promise.reject(new Error("No space left on device (os error 28)"));
  try {
    await saved(disk);
  } finally {
    Deno.FsFile.prototype.write = write;
  }
  assertMatch(disk.complaints.join(), /cannot be written: No space left/);
  assertEquals([...Deno.readDirSync(disk.directory)].map(({ name }) => name), ["cache"]);
  assertEquals(await Deno.readFile(disk.path), whole);
  await saved(disk);
  assertEquals(disk.complaints.length, 1, "and it is written again when there is room");
});

Deno.test("no link is followed, neither by the writer nor by the reader", async () => {
  await using disk = new Disk();
  await saved(disk);
  const target = `${disk.directory}/target`;
  await Deno.writeTextFile(target, "somebody's");
  await Deno.symlink(target, `${disk.path}.new`);
  await Deno.remove(disk.path);
  await Deno.symlink(target, disk.path);
  using fixture = new CacheFixture(addressFor(1));
  await disk.load(fixture);
  assertMatch(disk.complaints.join(), /it is no regular file/);
  await saved(disk);
  assertEquals(await Deno.readTextFile(target), "somebody's");
  assertEquals((await Deno.lstat(disk.path)).isFile, true);
});

Deno.test("a directory that others may write to is warned of", async () => {
  await using disk = new Disk();
  await saved(disk);
  using fixture = new CacheFixture(addressFor(1));
  await disk.load(fixture);
  assertEquals(disk.complaints, []);
  await Deno.chmod(disk.directory, 0o777);
  await disk.load(fixture);
  assertMatch(disk.complaints.join(), /^other users may write to \S+, and so decide what is answered/);
});
