/** Writes what is made from the table of options: the schema for editors, and the README's table. `deno task generate`. */
import { jsonSchema } from "../lib/config/schema.ts";
import { optionTable } from "../lib/config/help.ts";

const SCHEMA = new URL("dot-proxy.schema.json", import.meta.url);
const README = new URL("../README.md", import.meta.url);

await Deno.writeTextFile(SCHEMA, jsonSchema());
const readme = await Deno.readTextFile(README);
const table = `<!-- options -->\n${optionTable()}<!-- /options -->`;
await Deno.writeTextFile(README, readme.replace(/<!-- options -->\n.*?<!-- \/options -->/s, () => table));
