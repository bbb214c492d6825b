import { join } from "node:path";
import { RotatingFile } from "../../lib/observe/rotating_file.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";

/** Runs `use` with a new directory and returns the contents of its files by name. */
async function filesAfter(use: (path: string) => Promise<void>): Promise<Record<string, string>> {
  const directory = await Deno.makeTempDir();
  try {
    await use(join(directory, "q.log"));
    const names = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
    return Object.fromEntries(names.map((name) => [name, Deno.readTextFileSync(join(directory, name))]));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("RotatingFile renames a full file, and deletes the oldest of four", async () => {
  const files = await filesAfter(async (path) => {
    const file = new RotatingFile(path, 10);
    for (const word of ["one", "two", "three", "four", "five", "six"]) {
      await file.write(word.padEnd(9) + "\n");
    }
    file.close();
  });
  assertEquals(Object.entries(files).map(([name, text]) => `${name} ${text.trim()}`), [
    "q.log six",
    "q.log.1 five",
    "q.log.2 four",
    "q.log.3 three",
    "q.log.4 two",
  ]);
});

Deno.test("RotatingFile keeps the contents of an existing file, and counts their size", async () => {
  const files = await filesAfter(async (path) => {
    await Deno.writeTextFile(path, "before\n");
    const file = new RotatingFile(path, 15);
    await file.write("after\n");
    await file.write("later\n");
    file.close();
  });
  assertEquals(files, { "q.log": "later\n", "q.log.1": "before\nafter\n" });
});

Deno.test("RotatingFile lets only the owner and the group read the file", async () => {
  await filesAfter(async (path) => {
    new RotatingFile(path, 10).close();
    assertEquals((await Deno.stat(path)).mode! & 0o007, 0);
  });
});

Deno.test("RotatingFile moves no file and writes on when the next file cannot be created", async () => {
  const files = await filesAfter(async (path) => {
    const file = new RotatingFile(path, 10);
    for (const word of ["one", "two", "three"]) await file.write(word.padEnd(9) + "\n");
    await Deno.mkdir(`${path}.new`); // stands for a lack of descriptors: it cannot be opened
    let failures = 0;
    for (let i = 0; i < 5; i++) await file.write("four     \n").catch(() => failures++);
    assertEquals(failures, 4, "up to twice the size");
    await Deno.remove(`${path}.new`);
    await file.write("five     \n");
    file.close();
  });
  assertEquals(Object.entries(files).map(([name, text]) => `${name} ${text.replace(/\s+/g, " ").trim()}`), [
    "q.log five",
    "q.log.1 three four",
    "q.log.2 two",
    "q.log.3 one",
  ]);
});

Deno.test("RotatingFile ends a torn line before the next one, also after a restart", async () => {
  const files = await filesAfter(async (path) => {
    await Deno.writeTextFile(path, "torn by a ki");
    const file = new RotatingFile(path, 1000);
    await file.write("second\n");
    const { write } = Deno.FsFile.prototype;
    let room = 4;
    Deno.FsFile.prototype.write = function (bytes) {
      if (room === 0) return Promise.reject(new Error("No space left on device (os error 28)"));
      const part = bytes.subarray(0, room);
      room -= part.length;
      return write.call(this, part);
    };
    await assertRejects(() => file.write("third\n"), Error, "No space");
    Deno.FsFile.prototype.write = write;
    await file.write("fourth\n");
    file.close();
  });
  assertEquals(files, { "q.log": "torn by a ki\nsecond\nthir\nfourth\n" });
});
