import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "./support/assert.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

Deno.test("each test that docs/security.md names is there", () => {
  const text = Deno.readTextFileSync(`${ROOT}docs/security.md`);
  const named = new Set([...text.matchAll(/`((?:tests|lib)\/[^`]+\.ts)`/g)].map(([, path]) => path!));
  assert(named.size > 30);
  const missing = [...named].filter((path) => {
    try {
      return !Deno.statSync(`${ROOT}${path}`).isFile;
    } catch {
      return true;
    }
  });
  assertEquals(missing, []);
});
