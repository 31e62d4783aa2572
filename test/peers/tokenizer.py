# transformers' AutoTokenizer and tokenizers' own loader take the folders that we write and give the same ids, offsets,
# type ids and text; then they save theirs for us to read. Their BpeTrainer learns our vocabulary and merges.
import json
import sys
from pathlib import Path
import tokenizers
import transformers

folder = Path(sys.argv[1])
names = sorted(path.stem for path in folder.glob("*.json"))
tokens = 0
for name in names:
    ours = json.loads((folder / f"{name}.json").read_text())
    texts = ours["texts"]
    theirs = transformers.AutoTokenizer.from_pretrained(folder / name)
    assert theirs.is_fast and len(theirs) == ours["vocabSize"], (name, len(theirs))
    assert theirs.model_max_length == ours.get("modelMaxLength", theirs.model_max_length), name
    for token, content in ours["specialTokens"].items():
        assert getattr(theirs, f"{token}_token") == content, (name, token)
        assert getattr(theirs, f"{token}_token_id") == ours["specialIds"][token], (name, token)

    encoded = theirs(texts, return_offsets_mapping=True)
    plain = tokenizers.Tokenizer.from_file(str(folder / name / "tokenizer.json"))
    for index, single in enumerate(ours["single"]):
        where = (name, texts[index][:60])
        assert encoded["input_ids"][index] == single["ids"], where
        assert [place for span in encoded["offset_mapping"][index] for place in span] == single["offsets"], where
        assert plain.encode(texts[index]).ids == single["ids"], where
        # NOTE: transformers joins apostrophes once more after this; that is not part of the tokenizer.
        assert plain.decode(single["ids"]) == ours["decoded"][index], where
        tokens += len(single["ids"])
    pairs = theirs(texts[:-1], texts[1:], truncation="longest_first", max_length=64, return_token_type_ids=True)
    for index, pair in enumerate(ours["pair"]):
        assert pairs["input_ids"][index] == pair["ids"], (name, "pair", index)
        assert pairs["token_type_ids"][index] == pair["typeIds"], (name, "pair", index)
    assert theirs("a")["attention_mask"] == [1, 1, 1] and "token_type_ids" not in theirs("a"), theirs("a")
    theirs.save_pretrained(folder / "theirs" / name)
ours = json.loads((folder / "trained-bpe" / "tokenizer.json").read_text())["model"]
texts = json.loads((folder / "trained-bpe.json").read_text())["texts"]
byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
trainer = tokenizers.trainers.BpeTrainer(
    vocab_size=len(ours["vocab"]),
    min_frequency=2,
    special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
    initial_alphabet=byte_level.alphabet(),
    show_progress=False,
)
learner = tokenizers.Tokenizer(tokenizers.models.BPE())
learner.pre_tokenizer = byte_level
learner.train_from_iterator(texts, trainer)
theirs = json.loads(learner.to_str())["model"]
assert theirs["merges"] == ours["merges"], "merges"
assert theirs["vocab"] == ours["vocab"], "vocabulary"
print(f"transformers {transformers.__version__} gives the ids of {', '.join(names)} on {tokens} tokens")
