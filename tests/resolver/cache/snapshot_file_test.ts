/** The cache across restarts: a saved file is loaded with the age of its entries; a damaged one is refused as a whole. */
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
  /** The wall clock. The fixture has the other clock, which stops with the process. */
  wall = NEW_YEAR;

  get path(): string {
    return `${this.directory}/cache`;
  }

  file(fixture: CacheFixture, { policy = "", serveStale = DAY, maxTtl = 86_400 } = {}): SnapshotFile {
    return new SnapshotFile({
      directory: this.directory,
      store: fixture.cache.store,
      policy,
      serveStaleMs: serveStale,
      maxTtlSeconds: maxTtl,
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

  get reports(): string[] {
    return this.events.map((event) => event.kind === "cache file error" ? event.reason : event.kind);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#temporary, { recursive: true });
  }
}

/** Saves a cache with a.test to d.test, whose TTL is 1000 s, some time after it asked for them. */
async function saved(disk: Disk, options = {}): Promise<void> {
  using fixture = new CacheFixture(addressFor(1000));
  await fixture.pass(5);
  for (const name of ["a.test", "b.test", "c.test", "d.test"]) await fixture.ask(name);
  await fixture.pass(100);
  await disk.save(fixture, options);
}

Deno.test("SnapshotFile restores entries with the time that passed meanwhile", async () => {
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

Deno.test("SnapshotFile reduces TTLs when --max-ttl is lower than before", async () => {
  await using disk = new Disk();
  await saved(disk);
  disk.wall += 300_000;
  const cases = [[1000, "cache: 0 | 600 192.0.2.1"], [500, "cache: 0 | 100 192.0.2.1"], [
    399,
    "stale: 0 | 30 192.0.2.1 EDE 3",
  ]] as const;
  for (const [maxTtl, expected] of cases) {
    using fixture = new CacheFixture(failing("refused", "connect"), { maxTtl });
    await disk.load(fixture, { maxTtl });
    assertEquals(await fixture.tell("a.test"), expected, `${maxTtl}`);
  }
});

Deno.test("SnapshotFile prefetches an entry in time when its TTL was reduced", async () => {
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

Deno.test("SnapshotFile restores expired entries as stale data, and leaves out those that are stale for too long", async () => {
  await using disk = new Disk();
  await saved(disk);
  disk.wall += 1_000_000;
  for (
    const [serveStale, expected] of [[DAY, "stale: 0 | 30 192.0.2.1 EDE 3"], [
      60_000,
      "error: refused",
    ]] as const
  ) {
    using fixture = new CacheFixture(failing("refused", "connect"), { serveStale });
    await disk.load(fixture, { serveStale });
    assertEquals(await fixture.tell("a.test"), expected);
    assertEquals(fixture.cache.store.size, serveStale === DAY ? 4 : 0);
  }
});

Deno.test("SnapshotFile restores all entries as expired when the wall clock went back (8767-3)", async () => {
  await using disk = new Disk();
  await saved(disk);
  disk.wall -= 1;
  using fixture = new CacheFixture(failing("refused", "connect"));
  await disk.load(fixture);
  assertEquals(await fixture.tell("a.test"), "stale: 0 | 30 192.0.2.1 EDE 3");
});

Deno.test("SnapshotFile restores denials", async () => {
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

Deno.test("SnapshotFile reports nothing when there is no file", async () => {
  await using disk = new Disk();
  using fixture = new CacheFixture(addressFor(1));
  await disk.load(fixture);
  assertEquals([fixture.cache.store.size, disk.events], [0, []]);
});

Deno.test("SnapshotFile refuses a file with one changed or missing byte, in one event", async () => {
  await using disk = new Disk();
  await saved(disk);
  const whole = await Deno.readFile(disk.path);
  using fixture = new CacheFixture(addressFor(1));
  async function refused(bytes: Uint8Array, what: string): Promise<void> {
    disk.events.length = 0;
    await Deno.writeFile(disk.path, bytes);
    await disk.load(fixture);
    assertEquals([fixture.cache.store.size, disk.reports.length], [0, 1], what);
    assertMatch(disk.reports[0]!, /\/cache cannot be used, so the cache starts empty: it/);
  }
  for (let length = 0; length < whole.length; length++) {
    await refused(whole.subarray(0, length), `${length} bytes`);
  }
  for (let at = 0; at < whole.length; at++) {
    const changed = whole.slice();
    changed[at]! ^= 0x10;
    await refused(changed, `byte ${at} changed`);
  }
});

Deno.test("SnapshotFile refuses a file that was saved under another policy", async () => {
  await using disk = new Disk();
  await saved(disk, { policy: "corp → 10.0.0.53" });
  using fixture = new CacheFixture(addressFor(1));
  await disk.load(fixture);
  assertEquals(fixture.cache.store.size, 0);
  assertMatch(disk.reports[0]!, /other routes/);
});

Deno.test("SnapshotFile does not overwrite newer entries when it loads", async () => {
  await using disk = new Disk();
  await saved(disk);
  using fixture = new CacheFixture(addressFor(77));
  await fixture.ask("a.test");
  await disk.load(fixture);
  assertEquals(await fixture.tell("a.test"), "cache: 0 | 77 192.0.2.1");
  assertEquals(fixture.cache.store.size, 4);
});

Deno.test("SnapshotFile loads the newest entries that fit when the cache is smaller", async () => {
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
  assert(size > 5_000 && size < 15_000 && bytes <= 1 << 20, `${size} entries, ${bytes} bytes`);
  assertEquals((await fixture.ask("name19999.test")).source, "cache");
});

Deno.test("SnapshotFile replaces the file at once, and only its user can read it", async () => {
  await using disk = new Disk();
  await saved(disk);
  const before = await Deno.stat(disk.path);
  await saved(disk);
  const after = await Deno.stat(disk.path);
  assert(before.ino !== after.ino, "a new file has taken the place of the old one");
  assertEquals(after.mode! & 0o777, 0o600);
  assertEquals([...Deno.readDirSync(disk.directory)].map(({ name }) => name), ["cache"]);
});

Deno.test("SnapshotFile reports one event and keeps the old file when it cannot write", async () => {
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
  assertMatch(disk.reports.join(), /^\S+\/cache cannot be written: [^,]+$/);
  assertEquals(await Deno.readFile(disk.path), whole);
});

Deno.test("SnapshotFile saves every ten minutes, one save at a time, until it is disposed", async () => {
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

Deno.test("SnapshotFile removes its unfinished file and keeps the old one when the disk is full", async () => {
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
  assertMatch(disk.reports.join(), /cannot be written: No space left/);
  assertEquals([...Deno.readDirSync(disk.directory)].map(({ name }) => name), ["cache"]);
  assertEquals(await Deno.readFile(disk.path), whole);
  await saved(disk);
  assertEquals(disk.reports.length, 1, "and it is written again when there is room");
});

Deno.test("SnapshotFile follows no link when it writes or loads", async () => {
  await using disk = new Disk();
  await saved(disk);
  const target = `${disk.directory}/target`;
  await Deno.writeTextFile(target, "another file");
  await Deno.symlink(target, `${disk.path}.new`);
  await Deno.remove(disk.path);
  await Deno.symlink(target, disk.path);
  using fixture = new CacheFixture(addressFor(1));
  await disk.load(fixture);
  assertMatch(disk.reports.join(), /it is not a regular file/);
  await saved(disk);
  assertEquals(await Deno.readTextFile(target), "another file");
  assertEquals((await Deno.lstat(disk.path)).isFile, true);
});

Deno.test("SnapshotFile reports a directory that other users may write to", async () => {
  await using disk = new Disk();
  await saved(disk);
  using fixture = new CacheFixture(addressFor(1));
  await disk.load(fixture);
  assertEquals(disk.reports, []);
  await Deno.chmod(disk.directory, 0o777);
  await disk.load(fixture);
  assertMatch(
    disk.reports.join(),
    /^other users may write to \S+ and so choose the answers: run chmod go-w on /,
  );
});
