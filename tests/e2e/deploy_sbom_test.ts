import type { Lock } from "../../deploy/program.ts";
import { billOfMaterials } from "../../deploy/sbom.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";

const lock: Lock = JSON.parse(await Deno.readTextFile(new URL("../../deno.lock", import.meta.url)));

Deno.test("the SBOM names the runtime and the packages of main.ts, with the lock's hashes", async () => {
  const { components, dependencies } = await billOfMaterials();
  const names = components.map(({ name }) => name);
  assertEquals(["deno", "tldts-core", "prom-client"].filter((name) => !names.includes(name)), []);
  // What only tests and builds import is not in the executable.
  assertEquals(["fast-check", "esbuild", "playwright-core"].filter((name) => names.includes(name)), []);
  for (const component of components) {
    assertEquals(component.licenses?.length, 1, component.name);
    if (!("hashes" in component)) continue;
    const { integrity } = lock.npm[`${component.name}@${component.version}`]!;
    assertMatch(integrity, /^sha512-/);
    assertEquals(
      Uint8Array.fromHex(component.hashes[0]!.content).toBase64(),
      integrity.slice("sha512-".length),
    );
  }
  const references = new Set(components.map((component) => component["bom-ref"]));
  for (const { dependsOn } of dependencies) for (const each of dependsOn) assert(references.has(each), each);
});
