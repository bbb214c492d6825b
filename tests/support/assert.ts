/** The assertions in use, with the types that the npm packaging of the standard library leaves out. */
// @ts-types="./assert.d.ts"
export {
  assert,
  assertEquals,
  assertExists,
  assertInstanceOf,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
