/** Files that the configuration names: broken, emptied, of another kind, or on a file system that does not answer. */
import { composeConfig, type Config, parseConfig, readSources, UsageError } from "../../lib/config/config.ts";
import { withinDeadline } from "../../lib/platform/file_deadline.ts";
import { FileWatch } from "../../lib/platform/file_watch.ts";
import { readAhead, readInputFileLater } from "../../lib/platform/read_file.ts";
import { readFiles } from "../../lib/config/files.ts";
import type { Event } from "../../lib/core/event.ts";
import { PolicyChain } from "../../lib/policy_chain.ts";
import { readLists } from "../../lib/resolver/blocklist/list_loader.ts";
import { assertEquals, assertMatch, assertRejects, assertThrows } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { FakeResolver } from "../support/fakes/resolver.ts";
import { FakeTime, settled } from "../support/fakes/time.ts";
import { OPEN } from "../support/fakes/policy.ts";
import { asked, resolved } from "../support/clients/resolver_client.ts";

const AUTHORITY = await Authority.create();
const OTHER = await Authority.create();
const GARBAGE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/** A folder that is gone in the end. */
class Folder implements Disposable {
  readonly path = Deno.makeTempDirSync();

  write(name: string, content: string | Uint8Array): string {
    const path = `${this.path}/${name}`;
    if (typeof content === "string") Deno.writeTextFileSync(path, content);
    else Deno.writeFileSync(path, content);
    return path;
  }

  pipe(name: string): string {
    const path = `${this.path}/${name}`;
    const { success } = new Deno.Command("mkfifo", { args: [path] }).outputSync();
    assertEquals(success, true);
    return path;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

function damaged(pem: string): string {
  const [, base64 = ""] = /-----BEGIN CERTIFICATE-----([^-]*)/.exec(pem) ?? [];
  const der = Uint8Array.fromBase64(base64);
  der[der.length - 20]! ^= 1; // of the signature
  return `-----BEGIN CERTIFICATE-----\n${der.toBase64()}\n-----END CERTIFICATE-----\n`;
}

const CA_FILES: [what: string, content: string, words: RegExp][] = [
  ["nothing", "", /holds no PEM certificate/],
  ["garbage within PEM", GARBAGE, /certificate 1 cannot be used: .*; replace it, or take it out/],
  ["a good one and garbage", AUTHORITY.pem + GARBAGE, /certificate 2 cannot be used/],
  ["a good one that is cut off", AUTHORITY.pem.slice(0, 300), /is cut off: certificate 1 has no end/],
  ["a good one and one that is cut off", AUTHORITY.pem + OTHER.pem.slice(0, 300), /certificate 2 has no end/],
  ["a root with a flipped bit", damaged(AUTHORITY.pem), /its signature is invalid/],
];

for (const [what, content, words] of CA_FILES) {
  Deno.test(`--ca with ${what} is an error with that reason`, () => {
    using folder = new Folder();
    const ca = folder.write("ca.pem", content);
    const error = assertThrows(
      () => readFiles(parseConfig(["--ca", ca], {}) as Config),
      UsageError,
    ) as Error;
    assertMatch(error.message, words);
    assertMatch(error.message, new RegExp(`^--ca: "${ca}"`));
  });
}

Deno.test("--ca may hold several certificates, with comments between them", () => {
  using folder = new Folder();
  const ca = folder.write("ca.pem", `# ours\n${AUTHORITY.pem}\r\n# theirs\n${OTHER.pem}`);
  assertEquals(readFiles(parseConfig(["--ca", ca], {}) as Config).caCerts.length, 2);
});

Deno.test("a client certificate whose chain is damaged is refused, and travels with its upstream otherwise", async () => {
  using folder = new Folder();
  const { certificate, key } = await AUTHORITY.issue({ names: ["client.test"] });
  const [good, bad, keyFile] = [
    folder.write("good", certificate),
    folder.write("bad", certificate + GARBAGE),
    folder.write("key", key),
  ];
  const config = (file: string) =>
    parseConfig(["--upstream", `192.0.2.1?cert=${file}&key=${keyFile}`], {}) as Config;
  assertThrows(() => readFiles(config(bad)), UsageError, `"${bad}" holds no PEM certificate`);
  const [upstream] = readFiles(config(good)).config.upstreams;
  const { cert, key: secret } = upstream!.clientCertificate!.pem!;
  assertEquals([cert.trim(), secret.trim()], [certificate.trim(), key.trim()]);
});

const CONFIGURATIONS: [what: string, text: string, words: RegExp][] = [
  ["is empty", "", /:1: the file is empty and may be truncated/],
  ["is blank", " \n\n", /:1: the file is empty/],
  [
    "begins with a byte order mark",
    '\ufeffupstream = ["192.0.2.1"]\n',
    /:1: the file starts with a byte order mark/,
  ],
];

for (const [what, text, words] of CONFIGURATIONS) {
  Deno.test(`a configuration file that ${what} is an error with that reason`, () => {
    using folder = new Folder();
    const path = folder.write("dot-proxy.toml", text);
    const error = assertThrows(() => parseConfig(["--config", path], {}), UsageError) as Error;
    assertMatch(error.message, words);
  });
}

Deno.test("files are read ahead, each once, and an unreadable one is reported as at the start", async () => {
  using folder = new Folder();
  const ca = folder.write("ca.pem", AUTHORITY.pem);
  const path = folder.write("dot-proxy.toml", `ca = "${ca}"\n`);
  const read = (args: string[]) =>
    readAhead((file) => {
      const sources = readSources(args, {}, file);
      if (typeof sources === "string") throw new Error(sources);
      return readFiles(composeConfig(sources), file);
    });
  assertEquals((await read(["--config", path])).caCerts.length, 1);
  const missing = `${folder.path}/nowhere`;
  await assertRejects(
    () => read(["--config", missing]),
    UsageError,
    `--config: cannot read "${missing}": No such`,
  );
});

Deno.test("a pipe is no file: it is refused at once, and not waited for", async () => {
  using folder = new Folder();
  const pipe = folder.pipe("pipe");
  const words = `--ca: cannot read "${pipe}": it is a pipe or a device; choose a readable file`;
  assertThrows(() => readFiles(parseConfig(["--ca", pipe], {}) as Config), UsageError, words);
  await assertRejects(() => readInputFileLater("--ca", pipe), UsageError, words);
});

Deno.test("of a file that hangs one operation is under way, and other files go on", async () => {
  using time = new FakeTime();
  const disk = Promise.withResolvers<string>();
  const late: string[] = [];
  let started = 0;
  const hanging = () => {
    started++;
    return disk.promise;
  };
  const first = withinDeadline("/mnt/hung", hanging, { discard: (text) => late.push(text) });
  const outcome = first.catch((error: Error) => error.message);
  await time.pass(5000);
  assertEquals(await outcome, "its file system does not respond");
  await assertRejects(() => withinDeadline("/mnt/hung", hanging), Deno.errors.TimedOut);
  assertEquals(started, 1);
  assertEquals(await withinDeadline("/etc/well", () => Promise.resolve("well")), "well");
  disk.resolve("at last");
  await settled();
  assertEquals(late, ["at last"]);
  assertEquals(await withinDeadline("/mnt/hung", () => Promise.resolve("well")), "well");
  assertEquals(time.waiting, 0);
});

Deno.test("files that hang never take all threads of the platform", async () => {
  using time = new FakeTime();
  const disk = Promise.withResolvers<void>();
  let started = 0;
  const tries = Array.from({ length: 40 }, (_, i) => `/mnt/${i}`);
  for (const path of tries) {
    const tried = withinDeadline(path, () => {
      started++;
      return disk.promise;
    }).catch(() => {});
    await time.pass(5000);
    await tried;
  }
  assertEquals(started, 16);
  disk.resolve();
  await settled();
});

Deno.test("FileWatch reports a hung file once, and still sees changes of the others", async () => {
  using folder = new Folder();
  const [well, hung] = [folder.write("well", "a"), folder.write("hung", "a")];
  const disk = Promise.withResolvers<void>();
  let hangs = false;
  let looks = 0;
  const real = Deno.stat;
  Deno.stat = async (path) => {
    if (path === hung && hangs) {
      looks++;
      await disk.promise;
    }
    return await real(path);
  };
  try {
    const [changed, told]: [number[], string[]] = [[], []];
    using watch = new FileWatch([hung, well], () => changed.push(1), (path) => told.push(path));
    await watch.check();
    using time = new FakeTime();
    hangs = true;
    const look = async () => {
      const looked = watch.check();
      await time.pass(5000);
      await looked;
    };
    await look();
    folder.write("well", "abc");
    for (let i = 0; i < 3; i++) await watch.check();
    assertEquals([changed.length, told, looks], [1, [hung], 1]);
    hangs = false;
    disk.resolve();
    await settled();
    folder.write("hung", "abc");
    // The hung operation ends whenever the system completes it.
    for (let i = 0; i < 1000 && changed.length < 2; i++) await watch.check();
    assertEquals([changed.length, told], [2, [hung]]);
  } finally {
    Deno.stat = real;
  }
});

const NO_LISTS: [what: string, content: string | Uint8Array, words: RegExp][] = [
  ["a page of HTML", "\n<!DOCTYPE html>\n<html>ads.example</html>\n", /an HTML or XML page/],
  ["gzip", Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 10), /it is compressed; unpack it/],
  ["UTF-16", Uint8Array.of(0xff, 0xfe, 0x61, 0, 0x2e, 0), /it is UTF-16/],
  ["binary data", Uint8Array.of(0x61, 0, 1, 2), /it is no text/],
  ["a format that is not known", "a b c d e f\ng h i j\n", /no line of it can be understood/],
];

for (const [what, content, words] of NO_LISTS) {
  Deno.test(`${what} in place of a list is rejected, and the current list stays`, async () => {
    using folder = new Folder();
    const path = folder.write("ads", content);
    const list = { label: "ads", path, allows: false };
    const error = await assertRejects(
      () => readLists([list], { yields: true, report: () => {} }),
      UsageError,
      `--block: cannot read "${path}"`,
    );
    assertMatch(error.message, words);
  });
}

Deno.test("a list or hosts file that is emptied later stays in force, and at the start the good lists count", async () => {
  using folder = new Folder();
  const events: Event[] = [];
  const [ads, page, hosts] = [
    folder.write("ads", "ads.example\n"),
    folder.write("page", "<html>"),
    folder.write("hosts", "192.0.2.1 nas.lan\n"),
  ];
  const lists = [ads, page].map((path) => ({ label: path, path, allows: false }));
  using policy = PolicyChain.build({
    config: { ...OPEN, lists, hosts: [hosts] },
    routes: [],
    onChange: () => {},
    observe: (event) => events.push(event),
  }, new FakeResolver());
  const { first } = policy;
  const answer = async (name: string) => (await resolved(first, asked(name))).rcode;
  assertEquals(await answer("ads.example"), 3);
  assertEquals(events.filter(({ kind }) => kind === "list reload failed").length, 1, "the page");
  folder.write("page", "page.example\n");
  await policy.reload();
  assertEquals(await answer("page.example"), 3);
  for (const emptied of [ads, hosts]) {
    const before = events.length;
    Deno.writeTextFileSync(emptied, "");
    await policy.reload();
    assertEquals(events.slice(before).map(({ kind }) => kind), ["list reload failed"]);
    assertEquals(await answer("ads.example"), 3);
    Deno.writeTextFileSync(emptied, emptied === ads ? "ads.example\n" : "192.0.2.1 nas.lan\n");
  }
  // One that is empty from the start, or on purpose, is no news: the others are read again.
  folder.write("ads", "# none any more\n");
  await policy.reload();
  assertEquals(await answer("ads.example"), 0, "a comment says that it is meant");
});

Deno.test("a list that was empty at the start keeps no other from being read again", async () => {
  using folder = new Folder();
  const events: Event[] = [];
  const [own, ads] = [folder.write("own", ""), folder.write("ads", "ads.example\n")];
  using policy = PolicyChain.build({
    config: { ...OPEN, lists: [own, ads].map((path) => ({ label: path, path, allows: false })) },
    routes: [],
    onChange: () => {},
    observe: (event) => events.push(event),
  }, new FakeResolver());
  const { first } = policy;
  await policy.loaded;
  folder.write("ads", "more.example\n");
  await policy.reload();
  assertEquals((await resolved(first, asked("more.example"))).rcode, 3);
  assertEquals(events.filter(({ kind }) => kind === "list reload failed"), []);
});
