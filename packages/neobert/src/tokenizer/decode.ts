// Tokens back to text: pieces with the continuing prefix are glued to what stands before them, and with `cleanup` the
// space before punctuation and English contractions goes (token by token, as the decoder of Hugging Face tokenizers).

const contractions: readonly (readonly [string, string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

export function decodeWordPieces(tokens: readonly string[], prefix: string, cleanup: boolean): string {
  let text = "";
  for (const [i, token] of tokens.entries()) {
    let piece = token;
    if (i > 0) piece = token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
    if (cleanup) for (const [from, to] of contractions) piece = piece.replaceAll(from, to);
    text += piece;
  }
  return text;
}
