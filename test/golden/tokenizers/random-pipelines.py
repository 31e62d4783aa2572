# Writes random-pipelines.json.gz: random tokenizer.json files over one vocabulary, with what the Rust tokenizers give for
# random texts. Run with tokenizers 0.22.2: python random-pipelines.py
import gzip
import json
import random
from tokenizers import Tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = list("abcdefhilortvwxyABCÉéèßσςΣİı中文한각ｱ½ﬁ²०123.,!?-_'\"()[]<>+$^`~%&\u0301\u200d😀")
WORDS = ["the", "cat", "ab", "cab", "hello", "12", "fé", "'t", "it"]
BYTES = ["Ġ", "Ã", "©", "Ġa", "##Ã", "##©", "##Ġ"]
VOCAB = {t: i for i, t in enumerate(dict.fromkeys(SPECIAL + LETTERS + ["##" + x for x in LETTERS] + WORDS + BYTES + ["##ab", "##at"]))}
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u200b", "\ufeff", "\u0085", "\u2028", "\u0000"]
PATTERNS = [
    {"String": " "}, {"String": "ab"}, *({"Regex": regex} for regex in (
        r"\s+", r"\d", "[aeiou]+", r"\p{P}", r"\w+|[^\w\s]+", "(?i)the", r"[^\S\n]+", "a{2,3}", r"^\s+|\s+$", r"\p{L}+", r"\p{N}{1,3}",
        r"'s|'t| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", "(?<=a)b", r"\b", "[[:punct:]]", r"\h+", ".", "^.", r".$", r"[\h_]+", r"\W",
    )),
]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def normalizer(r):
    kind = r.choice(["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Replace", "Prepend", "BertNormalizer", "Nmt", "ByteLevel"])
    fields = {
        "Strip": lambda: {"strip_left": r.random() < 0.5, "strip_right": r.random() < 0.5},
        "Replace": lambda: {"pattern": r.choice(PATTERNS), "content": r.choice(["", " ", "x", "ab", "É"])},
        "Prepend": lambda: {"prepend": r.choice([" ", "x"])},
        "BertNormalizer": lambda: {
            "clean_text": r.random() < 0.7, "handle_chinese_chars": r.random() < 0.6,
            "strip_accents": r.choice([None, True, False]), "lowercase": r.random() < 0.6,
        },
    }
    return {"type": kind, **fields.get(kind, dict)()}


def pre_tokenizer(r):
    kind = r.choice(["BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Digits", "Punctuation", "Split", "Split", "CharDelimiterSplit", "ByteLevel", "FixedLength"])
    fields = {
        "Digits": lambda: {"individual_digits": r.random() < 0.5},
        "Punctuation": lambda: {"behavior": r.choice(BEHAVIORS)},
        "Split": lambda: {"pattern": r.choice(PATTERNS), "behavior": r.choice(BEHAVIORS), "invert": r.random() < 0.3},
        "CharDelimiterSplit": lambda: {"delimiter": r.choice([" ", "-", "a"])},
        "ByteLevel": lambda: {"add_prefix_space": r.random() < 0.5, "trim_offsets": True, "use_regex": r.random() < 0.6},
        "FixedLength": lambda: {"length": r.choice([2, 5])},
    }
    return {"type": kind, **fields.get(kind, dict)()}


def some(r, one, key):
    if r.random() < 0.1:
        return None
    return one(r) if r.random() < 0.5 else {"type": "Sequence", key: [one(r) for _ in range(r.randint(1, 3))]}


def model(r):
    if r.random() < 0.7:
        return {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": r.choice([100, 5])}
    merges = [["a", "b"], ["c", "ab"], ["Ġ", "a"], ["f", "é"], ["1", "2"]]
    return {"type": "BPE", "unk_token": "[UNK]", "fuse_unk": r.random() < 0.5, "ignore_merges": r.random() < 0.3, "merges": merges}


def text(r):
    return "".join(r.choice(LETTERS + 2 * SPACES + 4 * WORDS) for _ in range(r.choice([0, 1, 2, 5, 8, 13])))


added = [{"id": VOCAB[t], "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for t in SPECIAL]
common = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "post_processor": None, "decoder": None}
cases = []
for seed in range(400):
    r = random.Random(seed)
    parts = {"normalizer": some(r, normalizer, "normalizers"), "pre_tokenizer": some(r, pre_tokenizer, "pretokenizers"), "model": model(r)}
    whole = {**common, **parts, "model": {**parts["model"], "vocab": VOCAB}}
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    rows = []
    for _ in range(6):
        given = text(r)
        try:
            encoding = tokenizer.encode(given)
        except BaseException:  # some texts that grow make it panic
            continue
        rows.append({"text": given, "ids": encoding.ids, "words": [-1 if word is None else word for word in encoding.word_ids]})
    cases.append({**parts, "rows": rows})
packed = gzip.compress(json.dumps({"common": common, "vocab": VOCAB, "cases": cases}).encode(), mtime=0)
open("random-pipelines.json.gz", "wb").write(packed)
