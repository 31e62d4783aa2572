# Ids and offsets of WordPiece behind the normalizers and pre-tokenizers that tokenizer.json can name, by Hugging Face's
# Rust tokenizers (0.22.2), and the ids of folders whose files disagree, by transformers (4.57.6):
#   python test/golden/tokenizers/wordpiece-pipelines.py > test/golden/tokenizers/wordpiece-pipelines.json
import json, os, tempfile
from tokenizers import Tokenizer
from transformers import AutoTokenizer

letters = "abcdefghijklmnopqrstuvwxyzABCÉé0123456789"
tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *[f"##{c}" for c in letters], *"-,()!$中", "##-", "##,"]
vocab = {token: i for i, token in enumerate(tokens)}
texts = ["Éb a-b, 12 (c)", "a1b22", "  Ab\tcd\u3000é ", "x中y", "", "a-b-c!!", "e\u0301 $5", "cab [MASK] ab", "a_b 🙂 c"]
bert = dict(type="BertNormalizer", clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
sequence = lambda kind, *steps: {"type": "Sequence", {"n": "normalizers", "p": "pretokenizers"}[kind]: list(steps)}
T = lambda name, **more: dict(type=name, **more)
space, punctuation = T("WhitespaceSplit"), T("Punctuation", behavior="Isolated")
digits = T("Digits", individual_digits=True)
pipelines = {
    "tutorial": (sequence("n", T("NFD"), T("Lowercase"), T("StripAccents")), T("Whitespace")),
    "nothing": (None, None),
    "whitespace split": (None, space),
    "bert then digits": (bert, sequence("p", T("BertPreTokenizer"), digits)),
    "digits together": (T("Lowercase"), sequence("p", T("Whitespace"), T("Digits", individual_digits=False))),
    "punctuation": (T("NFKC"), sequence("p", space, punctuation)),
    "punctuation with what follows": (None, sequence("p", space, T("Punctuation", behavior="MergedWithNext"))),
    "delimiter": (None, T("CharDelimiterSplit", delimiter="-")),
    "bert normalizer in a sequence": (sequence("n", T("NFC"), bert), T("BertPreTokenizer")),
    "strip then bert": (sequence("n", T("Strip", strip_left=True, strip_right=True), bert), space),
    "sequence in a sequence": (T("Lowercase"), sequence("p", sequence("p", space, punctuation), digits)),
    "replace": (T("Replace", pattern={"Regex": "[0-9]+"}, content="1"), T("Whitespace")),
    "empty sequences": (sequence("n"), sequence("p")),
}
mask = dict(id=4, content="[MASK]", single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)

def of(normalizer, pre_tokenizer):
    model = dict(type="WordPiece", unk_token="[UNK]", continuing_subword_prefix="##", max_input_chars_per_word=100, vocab=vocab)
    return dict(version="1.0", truncation=None, padding=None, added_tokens=[mask], normalizer=normalizer,
                pre_tokenizer=pre_tokenizer, post_processor=None, decoder=None, model=model)

def encoded(tokenizer):
    return [dict(text=t, ids=e.ids, offsets=e.offsets) for t in texts for e in [tokenizer.encode(t)]]

out = dict(vocab=vocab, pipelines=[], folders=[])
for name, (normalizer, pre_tokenizer) in pipelines.items():
    rows = encoded(Tokenizer.from_str(json.dumps(of(normalizer, pre_tokenizer))))
    out["pipelines"].append(dict(name=name, normalizer=normalizer, pre_tokenizer=pre_tokenizer, texts=rows))

whole = of(bert, T("BertPreTokenizer"))
lower = {"do_lower_case": False}
named = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
added = {"covid-19": len(vocab), "[DRUG]": len(vocab) + 1, "ab": len(vocab) + 2}
flags = dict(lstrip=False, rstrip=False, single_word=False)
decoder = {str(i): dict(content=t, special=t == "[DRUG]", normalized=t != "[DRUG]", **flags) for t, i in added.items()}
bert_class = {"tokenizer_class": "BertTokenizer"}
text_vocab = "\n".join(tokens) + "\n"
folders = {
    "cased": {"tokenizer.json": whole, "tokenizer_config.json": {**bert_class, **lower}},
    "accents": {"tokenizer.json": whole, "tokenizer_config.json": {**bert_class, "do_lower_case": True, "strip_accents": False}},
    "chinese": {"tokenizer.json": whole, "tokenizer_config.json": {**bert_class, "do_lower_case": True, "tokenize_chinese_chars": False}},
    "the class that takes tokenizer.json as it is": {"tokenizer.json": whole, "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", **lower}},
    "added_tokens.json": {"vocab.txt": text_vocab, "added_tokens.json": added, "tokenizer_config.json": {**bert_class, "do_lower_case": True},
                          "special_tokens_map.json": {**named, "additional_special_tokens": ["[DRUG]"]}},
    "added_tokens_decoder": {"vocab.txt": text_vocab, "tokenizer_config.json": {**bert_class, **named, "do_lower_case": True, "added_tokens_decoder": decoder}},
    "added_tokens_decoder beside tokenizer.json": {"tokenizer.json": whole, "tokenizer_config.json": {**bert_class, **named, "do_lower_case": True, "added_tokens_decoder": decoder}},
    "additional special tokens": {"tokenizer.json": whole, "tokenizer_config.json": {**bert_class, **named, "do_lower_case": True, "additional_special_tokens": ["<new>", "ab"]}},
}
config = dict(model_type="bert")
for name, files in folders.items():
    with tempfile.TemporaryDirectory() as folder:
        for path, content in {**files, "config.json": config}.items():
            with open(os.path.join(folder, path), "w") as file:
                file.write(content if isinstance(content, str) else json.dumps(content))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        for text in [*texts, "a covid-19 [DRUG] cab <new> b"]:
            out["folders"].append(dict(name=name, text=text, ids=tokenizer(text, add_special_tokens=False)["input_ids"]))
    out.setdefault("files", {})[name] = files
print(json.dumps(out, ensure_ascii=False))
