// A text that has been changed, with the place in the original that each of its code units came from. The places are
// made when they are first asked for: ids need none.

/** `starts[i]` and `ends[i]` bound, in code units of the original, what code unit `i` of `text` came from. */
export interface AlignedText {
  readonly text: string;
  readonly starts: ArrayLike<number>;
  readonly ends: ArrayLike<number>;
}

type Places = Pick<AlignedText, "starts" | "ends">;

class LazyText implements AlignedText {
  readonly text: string;
  readonly #locate: () => Places;
  #places: Places | undefined;

  constructor(text: string, locate: () => Places) {
    this.text = text;
    this.#locate = locate;
  }

  get starts(): ArrayLike<number> {
    this.#places ??= this.#locate();
    return this.#places.starts;
  }

  get ends(): ArrayLike<number> {
    this.#places ??= this.#locate();
    return this.#places.ends;
  }
}

/** The original itself. */
export function unchanged(text: string): AlignedText {
  return new LazyText(text, () => {
    const starts = new Int32Array(text.length);
    const ends = new Int32Array(text.length);
    for (let i = 0; i < text.length; ) {
      const end = i + widthAt(text, i);
      starts.fill(i, i, end);
      ends.fill(end, i, end);
      i = end;
    }
    return { starts, ends };
  });
}

/** `inserted` and then `aligned.text[from, to)`, which is not empty; what is inserted counts to its first character. */
export function prepend(inserted: string, aligned: AlignedText, from: number, to: number): AlignedText {
  return new LazyText(inserted + aligned.text.slice(from, to), () => {
    const starts = new Int32Array(inserted.length + to - from).fill(aligned.starts[from]!);
    const ends = new Int32Array(starts.length).fill(aligned.ends[from]!);
    for (let i = from, at = inserted.length; i < to; i++, at++) {
      starts[at] = aligned.starts[i]!;
      ends[at] = aligned.ends[i]!;
    }
    return { starts, ends };
  });
}

/** The code units that the code point at `at` takes. */
export function widthAt(text: string, at: number): number {
  return text.codePointAt(at)! > 0xffff ? 2 : 1;
}

/** Writes a changed text one character at a time. */
export class AlignedWriter {
  readonly #source: AlignedText;
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  #text = "";

  constructor(source: AlignedText) {
    this.#source = source;
  }

  /** Appends `text`, which came from code unit `at` of the source; from nowhere where that is before its beginning. */
  write(text: string, at: number): void {
    this.#text += text;
    for (let i = 0; i < text.length; i++) {
      this.#starts.push(at < 0 ? 0 : this.#source.starts[at]!);
      this.#ends.push(at < 0 ? 0 : this.#source.ends[at]!);
    }
  }

  toText(): AlignedText {
    return { text: this.#text, starts: this.#starts, ends: this.#ends };
  }
}
