import { lowerCase } from "../../dns/name.ts";

/** What a line says of its names: each alone, or with all below; to be blocked, or to be let through. */
export interface LineKind {
  readonly withBelow: boolean;
  readonly allows: boolean;
}

const HOST: LineKind = { withBelow: false, allows: false };
const DOMAIN: LineKind = { withBelow: true, allows: false };
const EXCEPTION: LineKind = { withBelow: true, allows: true };

const [HASH, BANG, BRACKET, PIPE, AT, CARET, STAR, DOT, COLON] = [
  0x23,
  0x21,
  0x5b,
  0x7c,
  0x40,
  0x5e,
  0x2a,
  0x2e,
  0x3a,
];
const IMPORTANT = new TextEncoder().encode("$important");
/** What is read behind the end of a line. */
const NOTHING = 0;

/**
 * Reads the lines of block lists, octet by octet and without a string, since there are millions. Three kinds of lists
 * are understood: hosts files (`0.0.0.0 name …`), of which each name is meant alone; domains (`name`, `*.name`), and the
 * rules of ad blockers that are about whole domains (`||name^`, `@@||name^`), both meant with all names below.
 * Everything else is passed over: no line is an error.
 */
export class ListParser {
  /** The name that `visit` is called for, in wire format and lower case. */
  readonly name = new Uint8Array(256);
  #bytes: Uint8Array = this.name;
  #at = 0;
  #end = 0;

  /**
   * Reads the line from `start` to `end` and calls `visit` for each of its names. Returns whether all of it was
   * understood, as comments and empty lines are.
   */
  read(bytes: Uint8Array, start: number, end: number, visit: (kind: LineKind) => void): boolean {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#trim();
    const first = this.#octet(0);
    // "!" begins a comment of ad blockers, "[" the first line of their lists.
    if (first === NOTHING || first === BANG || first === BRACKET) return true;
    if (first === PIPE) return this.#takes(PIPE, PIPE) && this.#readRule(DOMAIN, visit);
    if (first === AT) return this.#takes(AT, AT, PIPE, PIPE) && this.#readRule(EXCEPTION, visit);
    return this.#takesAddress() ? this.#readHosts(visit) : this.#readDomain(visit);
  }

  /** To what is neither blank nor comment. That takes a blank before it: `name##.banner` is a rule about pages. */
  #trim(): void {
    this.#skipBlanks();
    for (let at = this.#at; at < this.#end; at++) {
      if (this.#bytes[at] !== HASH || at > this.#at && !isBlank(this.#bytes[at - 1]!)) continue;
      this.#end = at;
    }
    while (this.#end > this.#at && isBlank(this.#bytes[this.#end - 1]!)) this.#end--;
  }

  #readHosts(visit: (kind: LineKind) => void): boolean {
    let isUnderstood = true;
    while (this.#at < this.#end) {
      const isName = this.#readName() && (this.#at === this.#end || isBlank(this.#octet(0)));
      if (isName) visit(HOST);
      isUnderstood &&= isName;
      while (this.#at < this.#end && !isBlank(this.#octet(0))) this.#at++;
      this.#skipBlanks();
    }
    return isUnderstood;
  }

  #readDomain(visit: (kind: LineKind) => void): boolean {
    this.#takes(STAR, DOT);
    if (!this.#readName() || this.#at < this.#end) return false;
    visit(DOMAIN);
    return true;
  }

  /** Without `^` a rule is about addresses of pages, and modifiers limit it to what is not to be seen here. */
  #readRule(kind: LineKind, visit: (kind: LineKind) => void): boolean {
    this.#takes(STAR, DOT);
    if (!this.#readName() || !this.#takes(CARET)) return false;
    this.#takes(PIPE);
    if (this.#octet(0) === IMPORTANT[0]) this.#takes(...IMPORTANT);
    if (this.#at < this.#end) return false;
    visit(kind);
    return true;
  }

  /** Takes a name up to the first octet that can be in none; an address, which ends in a number, is none. */
  #readName(): boolean {
    const { name } = this;
    let label = 0;
    let to = 1;
    let isNumber = true;
    for (;; this.#at++) {
      const octet = lowerCase(this.#octet(0));
      if (isNameOctet(octet)) {
        if (to - label > 63 || to > 253) return false;
        name[to++] = octet;
        isNumber &&= isDigit(octet);
        continue;
      }
      if (to === label + 1) return false; // an empty label
      name[label] = to - label - 1;
      if (octet !== DOT) break;
      if (!isNameOctet(lowerCase(this.#octet(1)))) {
        this.#at++; // the final dot
        break;
      }
      label = to++;
      isNumber = true;
    }
    name[to] = 0;
    return !isNumber;
  }

  /** Takes an address and the blanks behind it, if that is what stands there. */
  #takesAddress(): boolean {
    let at = this.#at;
    let colons = 0;
    let dots = 0;
    let others = 0;
    for (; at < this.#end && !isBlank(this.#bytes[at]!); at++) {
      const octet = this.#bytes[at]!;
      if (octet === COLON) colons++;
      else if (octet === DOT) dots++;
      else if (!isDigit(octet)) others++;
    }
    // No name has a colon.
    const isAddress = colons > 0 || dots === 3 && others === 0;
    if (!isAddress || at === this.#end) return false;
    this.#at = at;
    this.#skipBlanks();
    return true;
  }

  #takes(...wanted: number[]): boolean {
    for (let i = 0; i < wanted.length; i++) if (this.#octet(i) !== wanted[i]) return false;
    this.#at += wanted.length;
    return true;
  }

  #skipBlanks(): void {
    while (this.#at < this.#end && isBlank(this.#bytes[this.#at]!)) this.#at++;
  }

  #octet(ahead: number): number {
    const at = this.#at + ahead;
    return at < this.#end ? this.#bytes[at]! : NOTHING;
  }
}

function isBlank(octet: number): boolean {
  return octet === 0x20 || octet === 0x09 || octet === 0x0d;
}

function isDigit(octet: number): boolean {
  return octet >= 0x30 && octet <= 0x39;
}

/** Small letters, digits, "-" and "_"; what else there is in names is written as xn-- in lists. */
function isNameOctet(octet: number): boolean {
  return octet >= 0x61 && octet <= 0x7a || isDigit(octet) || octet === 0x2d || octet === 0x5f;
}
