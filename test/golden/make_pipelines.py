# Makes question-answering/ and zero-shot/: small BERT and RoBERTa models of random weights, and what transformers'
# pipelines answer with them. Run in this folder, with torch 2.9.1 and transformers 4.57.
import json
from pathlib import Path

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    BertConfig, BertForQuestionAnswering, BertForSequenceClassification, BertTokenizerFast, RobertaConfig,
    RobertaForQuestionAnswering, RobertaForSequenceClassification, RobertaTokenizerFast, pipeline,
)

HERE = Path(__file__).parent
WORDS = "the house of a united people shall govern its own free states in peace and war by law who where when does is"
PIECES = "un##it ##ed ##s ##ly ##e ##r ##n ##ing ##en ##al ##ern gov peo ##ple ho ##use"
LIMIT = 64
PLAIN = "The people govern the united states by law, and the house of peace is free."
MIXED = "Unitedly (governing) the café \U0001F3DB of peace: “war's” law; housing 1984 peoples?\n\tWar, WAR, war."
LONG = " ".join(f"The house {i} of the {'free' if i % 3 else 'united'} people shall govern war by its law." for i in range(12))


def bert_tokenizer(folder):
    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789.,;:?!'()")
    pieces = PIECES.replace("un##it", "un ##it").split()
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys([*letters, *WORDS.split(), *pieces])]
    (folder / "vocab.txt").write_text("\n".join(vocab) + "\n")
    tokenizer = BertTokenizerFast(vocab_file=str(folder / "vocab.txt"), model_max_length=LIMIT)
    (folder / "vocab.txt").unlink()
    return tokenizer


def roberta_tokenizer(folder):
    folder.mkdir(parents=True, exist_ok=True)
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator([WORDS, PLAIN, LONG], vocab_size=330, min_frequency=1, special_tokens=special, show_progress=False)
    bpe.save_model(str(folder))
    tokenizer = RobertaTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=LIMIT)
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    return tokenizer


def save(folder, tokenizer, model):
    tokenizer.save_pretrained(folder)
    model.eval().save_pretrained(folder)
    for name in ("vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)


def sizes(tokenizer):
    return dict(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        initializer_range=0.4, pad_token_id=tokenizer.pad_token_id, torch_dtype="float32",
    )


ANSWER_CASES = [
    dict(question="Who shall govern?", context=PLAIN),
    dict(question="Who shall govern?", context=PLAIN, top_k=5),
    dict(question="Who shall govern?", context=PLAIN, top_k=4, handle_impossible_answer=True),
    dict(question="Who shall govern?", context=PLAIN, top_k=6, max_answer_len=2),
    dict(question="Where is peace", context=MIXED, top_k=5),
    dict(question="Where is peace", context=MIXED, top_k=5, align_to_words=False),
    dict(question="Where is war?", context=MIXED, top_k=1, align_to_words=False, max_answer_len=3),
    dict(question="When \U0001F3DB does war govern?", context=LONG, top_k=6),
    dict(question="When does war govern?", context=LONG, top_k=3, max_seq_len=40, doc_stride=8, handle_impossible_answer=True),
    dict(question="When does war govern?", context=LONG, top_k=8, max_seq_len=33, doc_stride=0, max_answer_len=4),
    dict(question="law", context="war War WAR war, war", top_k=3, handle_impossible_answer=True),
    dict(question="is it?", context="law", top_k=1, handle_impossible_answer=True),
]


def question_answering():
    families = [
        ("bert", bert_tokenizer, BertConfig, BertForQuestionAnswering, dict(max_position_embeddings=LIMIT)),
        ("roberta", roberta_tokenizer, RobertaConfig, RobertaForQuestionAnswering,
         dict(max_position_embeddings=LIMIT + 2, type_vocab_size=1, layer_norm_eps=1e-5)),
    ]
    for seed, (name, make_tokenizer, config, model_class, own) in enumerate(families):
        folder = HERE / "question-answering" / name
        tokenizer = make_tokenizer(folder)
        torch.manual_seed(seed)
        model = model_class(config(**sizes(tokenizer), **own))
        save(folder, tokenizer, model)
        answerer = pipeline("question-answering", model=model, tokenizer=tokenizer, device="cpu")
        cases = []
        for case in ANSWER_CASES:
            with torch.no_grad():
                answers = answerer(**case)
            cases.append({**case, "answers": answers if isinstance(answers, list) else [answers]})
        (folder / "expected.json").write_text(json.dumps(cases, indent=1) + "\n")


ZERO_SHOT_CASES = [
    dict(sequences=PLAIN, candidate_labels=["law", "war", "peace", "the united states"]),
    dict(sequences=PLAIN, candidate_labels=["law", "war", "peace"], multi_label=True),
    dict(sequences=MIXED, candidate_labels=["law"]),
    dict(sequences=MIXED, candidate_labels=["house", "café"], hypothesis_template="Is it of {}?"),
    dict(sequences=LONG, candidate_labels=["free people", "war", "own $& law"]),
    dict(sequences=LONG, candidate_labels=["free people", "war"], multi_label=True),
]


def zero_shot():
    families = [
        ("bert", bert_tokenizer, BertConfig, BertForSequenceClassification,
         dict(max_position_embeddings=LIMIT, id2label={0: "contradiction", 1: "neutral", 2: "Entailment"})),
        ("roberta", roberta_tokenizer, RobertaConfig, RobertaForSequenceClassification,
         dict(max_position_embeddings=LIMIT + 2, type_vocab_size=1, layer_norm_eps=1e-5,
              id2label={0: "ENTAILMENT", 1: "neutral", 2: "contradiction"})),
    ]
    for seed, (name, make_tokenizer, config, model_class, own) in enumerate(families):
        folder = HERE / "zero-shot" / name
        tokenizer = make_tokenizer(folder)
        torch.manual_seed(10 + seed)
        label2id = {label: i for i, label in own["id2label"].items()}
        model = model_class(config(**sizes(tokenizer), **own, label2id=label2id))
        save(folder, tokenizer, model)
        classifier = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer, device="cpu")
        cases = []
        for case in ZERO_SHOT_CASES:
            with torch.no_grad():
                result = classifier(**case)
            cases.append({**case, "labels": result["labels"], "scores": result["scores"]})
        (folder / "expected.json").write_text(json.dumps(cases, indent=1) + "\n")


question_answering()
zero_shot()
