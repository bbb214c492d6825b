/** Checked access to the values of a configuration file. */

// @ts-types="./std.d.ts"
import { closestString } from "@std/text/closest-string";
import type { OptionValue } from "./command_line.ts";
import { UsageError } from "../core/errors.ts";
import type { Schema } from "./option_types.ts";
import type { Toml } from "./toml.ts";

/** A value in the configuration file. A wrong type is a `UsageError` with the file, line, key and the value found. */
export class TomlValue {
  readonly #file: string;
  readonly #key: string;
  readonly #node: Toml;

  constructor(file: string, key: string, node: Toml) {
    this.#file = file;
    this.#key = key;
    this.#node = node;
  }

  /** The file, line and key, for errors. */
  get source(): string {
    return `${this.#file}:${this.#node.line}: ${this.#key}`;
  }

  get isTable(): boolean {
    return this.#node.kind === "table";
  }

  /** The values of a table, by key. */
  entries(accepts: string): Map<string, TomlValue> {
    const node = this.#node;
    if (node.kind !== "table") this.#refuse("a table", accepts);
    const within = this.#key === "" ? "" : `${this.#key}.`;
    return new Map(
      [...node.entries].map(([key, each]) => [key, new TomlValue(this.#file, within + quoted(key), each)]),
    );
  }

  /** The values of a table. Throws `UsageError` for a key that is not in `known`. */
  fields(known: readonly string[]): Map<string, TomlValue> {
    const fields = this.entries(known.join(", "));
    for (const [key, { source }] of fields) {
      if (known.includes(key)) continue;
      throw new UsageError(`${source}: unknown key; did you mean ${closestString(key, known)}?`);
    }
    return fields;
  }

  /** The values of a list. A single value counts as a list of one. */
  items(): TomlValue[] {
    const node = this.#node;
    if (node.kind !== "array") return [this];
    if (node.items.length === 0) throw new UsageError(`${this.source}: the list is empty; leave the key out`);
    return node.items.map((item) => new TomlValue(this.#file, this.#key, item));
  }

  /** The text of a single value. Throws `UsageError` for a value of another type. */
  scalar({ type }: Schema, accepts: string): OptionValue {
    const node = this.#node;
    const isScalar = node.kind === "string" || node.kind === "integer" || node.kind === "boolean";
    if (isScalar && [type].flat().includes(node.kind)) return { source: this.source, text: node.text };
    this.#refuse(
      type === "string" ? "text in quotes" : type === "boolean" ? "a boolean" : "a number",
      accepts,
    );
  }

  #refuse(wanted: string, accepts: string): never {
    throw new UsageError(`${this.source}: found ${describe(this.#node)}, expected ${wanted}: ${accepts}`);
  }
}

function quoted(key: string): string {
  return /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
}

function describe(node: Toml): string {
  if (node.kind === "string") return `the text ${JSON.stringify(node.text)}`;
  return node.kind === "array" ? "a list" : node.kind === "table" ? "a table" : node.text;
}
