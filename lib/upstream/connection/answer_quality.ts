/** Counts the messages of one connection that are not useful answers, and says when the connection must end. */

/** After each of this many bad answers in a row, the connection is probed. */
const BAD_BEFORE_PROBE = 8;
/** With this many bad answers in a row, the connection is useless. */
const MAX_BAD = 32;
/** Maximum number of unsolicited messages. Each useful answer makes up for one. */
const MAX_UNSOLICITED = 100;

export class AnswerQuality {
  /** Number of useful answers to queries of this connection, late ones not included. */
  answered = 0;
  #badInARow = 0;
  #unreadable = 0;
  #unsolicited = 0;

  /** Counts a useful answer, on time or late. */
  noteUseful(): void {
    this.#badInARow = 0;
    if (this.#unsolicited > 0) this.#unsolicited--;
  }

  /** Counts a bad answer. Without any useful answer before, the first one makes the connection useless. */
  noteBad(): "tolerable" | "worth a probe" | "useless" {
    this.#badInARow++;
    if (this.answered === 0 || this.#badInARow >= MAX_BAD) return "useless";
    return this.#badInARow % BAD_BEFORE_PROBE === 0 ? "worth a probe" : "tolerable";
  }

  /** Counts a message that belongs to no query. Returns whether the limit is exceeded. */
  noteUnsolicited(): boolean {
    return ++this.#unsolicited > MAX_UNSOLICITED;
  }

  /**
   * Counts a message whose ID matches no query. Returns whether there are as many as pending queries, because then each
   * query may have had its answer.
   */
  noteUnreadable(pending: number): boolean {
    if (++this.#unreadable < pending) return false;
    this.#unreadable = 0;
    return true;
  }
}
