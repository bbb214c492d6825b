/** The permissions that the program is shipped with: one set in deno.json, and every way to run the program takes it. */
import { assertEquals, assertMatch } from "./support/assert.ts";
import config from "../deno.json" with { type: "json" };

const ARCHITECTURES = ["x86_64", "aarch64"];

Deno.test("the shipped permissions allow neither subprocesses nor imports, and name each part of the system", () => {
  assertEquals(config.permissions, {
    default: {
      net: true,
      read: true,
      write: true,
      env: true,
      // "ca" is the reading of the public roots, for pins. The flag --allow-sys=ca does not exist.
      sys: ["networkInterfaces", "ca"],
      ffi: [
        ...ARCHITECTURES.map((architecture) => `/lib/${architecture}-linux-gnu/libc.so.6`),
        "/lib64/libc.so.6",
        "/usr/lib/libc.so.6",
      ],
    },
  });
});

Deno.test("the tasks that run or compile the program take the shipped permissions, add none, and never prompt", () => {
  for (const task of [config.tasks.start, config.tasks.compile]) {
    assertMatch(task, / --no-prompt /);
    assertMatch(task, / --permission-set /);
    assertEquals([...task.matchAll(/(--allow-|--deny-|-A\b|-P\b)/g)], []);
  }
});
