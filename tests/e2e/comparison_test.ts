import { assert } from "../support/assert.ts";
import { compareAnswers } from "./comparison.ts";

Deno.test("answers through the proxy, cold, warm and fast, equal the upstream's, record by record", async () => {
  const { questions, answers } = await compareAnswers(100);
  assert(questions > 1_000 && answers === 5 * questions, `${questions} questions, ${answers} answers`);
});
