import { assert } from "../support/assert.ts";
import { compareAnswers } from "./comparison.ts";

Deno.test("what comes through the proxy, cold, warm and fast, is what its upstream answers, record by record", async () => {
  const { questions, answers } = await compareAnswers(100);
  assert(questions > 1_000 && answers === 5 * questions, `${questions} questions, ${answers} answers`);
});
