// Byte-level BPE spells every byte of UTF-8 as a printable character (GPT-2's bytes_to_unicode): printable Latin-1 as
// itself, the other 68 bytes as U+0100 and on, so a space is Ġ.

/** The character of each byte. */
export const byteCharacters: readonly string[] = spellings();
const byteOf = new Map(byteCharacters.map((char, byte) => [char, byte]));

function spellings(): string[] {
  let next = 0x100;
  const isPrintable = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}

/** A text as the characters of its bytes. */
export function spellBytes(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => byteCharacters[byte]).join("");
}

/** The text that tokens spell; bytes that are no UTF-8 become U+FFFD. A token with any other character is itself. */
export function readBytes(tokens: readonly string[]): string {
  const bytes: number[] = [];
  for (const token of tokens) {
    const own = Array.from(token, (char) => byteOf.get(char));
    if (own.includes(undefined)) for (const byte of new TextEncoder().encode(token)) bytes.push(byte);
    else for (const byte of own) bytes.push(byte!);
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}
