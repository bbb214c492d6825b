/** TOML with the line of each value. */

import { type AST, parseTOML } from "toml-eslint-parser";

/** A value of a TOML document with its line. */
export type Toml = Scalar | List | Table;

interface Scalar {
  readonly line: number;
  readonly kind: "string" | "integer" | "boolean" | "other";
  /** The contents of a string; the source text of other kinds. */
  readonly text: string;
}

interface List {
  readonly line: number;
  readonly kind: "array";
  readonly items: Toml[];
}

export interface Table {
  readonly line: number;
  readonly kind: "table";
  readonly entries: Map<string, Toml>;
}

/** A syntax error with its line. */
export class TomlError extends SyntaxError {
  readonly line: number;

  constructor(message: string, line: number, cause: unknown) {
    super(message, { cause });
    this.line = line;
  }
}

/**
 * Parses a document. Throws `TomlError`. The parser is made for editors, so it knows the line of each value, which errors
 * about values need.
 */
export function parseToml(text: string): Table {
  const root: Table = { line: 1, kind: "table", entries: new Map() };
  for (const each of parse(text).body[0].body) {
    if (each.type === "TOMLKeyValue") put(root, keysOf(each.key), valueOf(each.value, text));
    else fill(tableAt(root, each), each.body, text);
  }
  return root;
}

function parse(text: string): AST.TOMLProgram {
  try {
    return parseTOML(text);
  } catch (cause) {
    const { message, lineNumber } = cause as SyntaxError & { lineNumber?: number };
    if (lineNumber === undefined) throw cause;
    throw new TomlError(message, lineNumber, cause);
  }
}

/** Returns the table of a header, and creates it in its place if it is new. */
function tableAt(root: Table, { kind, key, loc }: AST.TOMLTable): Table {
  const path = keysOf(key);
  const { line } = loc.start;
  if (kind === "standard") return tableOf(root, path, line);
  const table: Table = { line, kind: "table", entries: new Map() };
  const { entries } = tableOf(root, path.slice(0, -1), line);
  const list = entries.get(path.at(-1)!);
  if (list?.kind === "array") list.items.push(table);
  else entries.set(path.at(-1)!, { line, kind: "array", items: [table] });
  return table;
}

/** Returns the table at the path, and creates missing tables. In a list of tables, the last one counts. */
function tableOf(root: Table, path: readonly string[], line: number): Table {
  let table = root;
  for (const key of path) {
    const known = table.entries.get(key);
    const last = known?.kind === "array" ? known.items.at(-1) : known;
    const next: Table = last?.kind === "table" ? last : { line, kind: "table", entries: new Map() };
    if (next !== last) table.entries.set(key, next);
    table = next;
  }
  return table;
}

function fill(table: Table, pairs: readonly AST.TOMLKeyValue[], text: string): Table {
  for (const { key, value } of pairs) put(table, keysOf(key), valueOf(value, text));
  return table;
}

function put(table: Table, path: readonly string[], value: Toml): void {
  tableOf(table, path.slice(0, -1), value.line).entries.set(path.at(-1)!, value);
}

function keysOf({ keys }: AST.TOMLKey): string[] {
  return keys.map((key) => key.type === "TOMLBare" ? key.name : key.value);
}

function valueOf(node: AST.TOMLContentNode, text: string): Toml {
  const { line } = node.loc.start;
  switch (node.type) {
    case "TOMLArray":
      return { line, kind: "array", items: node.elements.map((each) => valueOf(each, text)) };
    case "TOMLInlineTable":
      return fill({ line, kind: "table", entries: new Map() }, node.body, text);
    case "TOMLValue":
      return { line, ...scalarOf(node, text) };
  }
}

function scalarOf(node: AST.TOMLValue, text: string): Pick<Scalar, "kind" | "text"> {
  switch (node.kind) {
    case "string":
      return { kind: "string", text: node.value };
    case "integer":
      return { kind: "integer", text: String(node.bigint) };
    case "boolean":
      return { kind: "boolean", text: String(node.value) };
    default:
      return { kind: "other", text: text.slice(...node.range) };
  }
}
