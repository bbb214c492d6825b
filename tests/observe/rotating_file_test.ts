import { join } from "node:path";
import { RotatingFile } from "../../lib/observe/rotating_file.ts";
import { assertEquals } from "../support/assert.ts";

/** What the files in a directory hold, by name, after `use`. */
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

Deno.test("a full file is put aside, and the oldest of four is given up", async () => {
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

Deno.test("what a file holds already counts, and is kept", async () => {
  const files = await filesAfter(async (path) => {
    await Deno.writeTextFile(path, "before\n");
    const file = new RotatingFile(path, 15);
    await file.write("after\n");
    await file.write("later\n");
    file.close();
  });
  assertEquals(files, { "q.log": "later\n", "q.log.1": "before\nafter\n" });
});

Deno.test("only the owner and the group may read it", async () => {
  await filesAfter(async (path) => {
    new RotatingFile(path, 10).close();
    assertEquals((await Deno.stat(path)).mode! & 0o007, 0);
  });
});
