// The data sets of the paper's contrastive fine-tuning (NeoBERT, appendix D, Table 7): where they lie on the Hub, their
// columns and instructions. Where the paper's code has no entry (AGNEWS, MEDMCQA, NPR, YAHOO) the set is the one that fits
// its instruction. Sets with scores keep the pairs above 4 of 5. The words after an instruction are those of the paper's
// evaluation files.

import type { PairSource } from "./read-pairs.js";

interface CatalogueEntry extends Omit<PairSource, "name"> {
  instruction: string;
  documentInstruction: string;
  maxNegatives?: number;
}

const hub = (path: string) => `hf://datasets/${path}`;

/** An instruction before the query and, with another last word, before the document. */
function instructed(sentence: string, query = "", document = query) {
  const before = (word: string) => `${sentence} ${word === "" ? "" : `${word}: `}`;
  return { instruction: before(query), documentInstruction: before(document) };
}

const retrieval = (name: string) => {
  const [queries, corpus, judgements] = ["queries.*", "corpus.*", "qrels/train.*"].map((file) =>
    hub(`mteb/${name}/${file}`),
  );
  return { queries: queries!, corpus: corpus!, judgements: judgements! };
};
/** Files of the Hub with the columns of query and positive, and of hard negatives where it has some. */
const columns = (path: string, query: string, positive: string, negatives?: string | string[]) => ({
  path: hub(path),
  query,
  positive,
  ...(negatives !== undefined && { negatives }),
});
const scored = { query: "sentence1", positive: "sentence2", filter: { column: "score", above: 4 } };

export const catalogue: Record<string, CatalogueEntry> = {
  AGNEWS: {
    ...columns("sentence-transformers/agnews/**/*.parquet", "title", "description"),
    ...instructed("Given a news title, retrieve relevant articles.", "Title", "Article"),
  },
  ALLNLI: {
    ...columns("sentence-transformers/all-nli/triplet/train*", "anchor", "positive", "negative"),
    ...instructed("Given a premise, retrieve a hypothesis that is entailed by the premise.", "Premise", "Hypothesis"),
  },
  AMAZONQA: {
    ...columns("embedding-data/Amazon-QA/*.jsonl.gz", "query", "pos"),
    ...instructed("Given a question, retrieve Amazon posts that answer the question.", "Question", "Post"),
  },
  CONCURRENTQA: {
    ...columns("stanfordnlp/concurrentqa-retrieval/*train*", "question", "pos_paras.text", "neg_paras.text"),
    maxNegatives: 19,
    ...instructed(
      "Given a multi-hop question, retrieve documents that can help answer the question.",
      "Question",
      "Document",
    ),
  },
  FEVER: {
    retrieval: retrieval("fever"),
    ...instructed("Given a claim, retrieve documents that support or refute the claim.", "Claim", "Document"),
  },
  GITHUBISSUE: {
    ...columns("WhereIsAI/github-issue-similarity/positive/train*", "anchor", "positive"),
    ...instructed(
      "Given a question, retrieve questions from Github that are duplicates to the given question.",
      "Question",
    ),
  },
  GOOAQ: {
    ...columns(
      "tomaarsen/gooaq-hard-negatives/triplet-5/train*",
      "question",
      "answer",
      [1, 2, 3, 4, 5].map((n) => `negative_${n}`),
    ),
    ...instructed(
      "Given a question, retrieve relevant documents that best answer the question.",
      "Question",
      "Document",
    ),
  },
  MEDMCQA: {
    ...columns("openlifescienceai/medmcqa/data/train*", "question", "exp"),
    ...instructed(
      "Given a medical question, retrieve relevant passages that answer the question.",
      "Question",
      "Passage",
    ),
  },
  MSMARCO: {
    retrieval: retrieval("msmarco"),
    ...instructed("Given a web search query, retrieve relevant passages that answer the query.", "Query", "Passage"),
  },
  NPR: {
    ...columns("sentence-transformers/npr/**/*.parquet", "title", "body"),
    ...instructed("Given a news title, retrieve relevant articles.", "Title", "Article"),
  },
  PUBMEDQA: {
    ...columns(
      "sentence-transformers/pubmedqa/triplet-20/train*",
      "anchor",
      "positive",
      Array.from({ length: 20 }, (_, i) => `negative_${i + 1}`),
    ),
    ...instructed(
      "Given a medical question, retrieve documents that best answer the question.",
      "Question",
      "Document",
    ),
  },
  SENTENCECOMP: {
    ...columns("embedding-data/sentence-compression/*.jsonl.gz", "set.1", "set.0"),
    ...instructed("Given a sentence, retrieve semantically equivalent summaries.", "Sentence", "Summary"),
  },
  STACKEXCHANGE: {
    path: ["body-body-pair", "post-post-pair"].map((part) =>
      hub(`sentence-transformers/stackexchange-duplicates/${part}/train*`),
    ),
    ...instructed("Given a Stack Exchange post, retrieve posts that are duplicates to the given post.", "Post"),
  },
  STACKOVERFLOW: {
    ...columns("mteb/stackoverflowdupquestions-reranking/**/train*", "query", "positive", "negative"),
    maxNegatives: 48,
    ...instructed("Retrieve duplicate questions from StackOverflow forum.", "Question"),
  },
  STS12: { path: hub("mteb/sts12-sts/**/train*"), ...scored, ...instructed("Retrieve semantically similar text.") },
  STSBENCHMARK: {
    path: hub("mteb/stsbenchmark-sts/**/train*"),
    ...scored,
    ...instructed("Retrieve semantically similar text."),
  },
  TRIVIAQA: {
    ...columns("sentence-transformers/trivia-qa-triplet/triplet/train*", "anchor", "positive", "negative"),
    ...instructed("Given a question, retrieve documents that answer the question.", "Question", "Document"),
  },
  WIKIHOW: {
    ...columns("sentence-transformers/wikihow/**/*.parquet", "text", "summary"),
    ...instructed("Given a Wikihow post, retrieve titles that best summarize the post.", "Post", "Title"),
  },
  YAHOO: {
    ...columns("sentence-transformers/yahoo-answers/title-answer-pair/train*", "title", "answer"),
    ...instructed("Identify the main topic of Yahoo posts based on their titles and answers."),
  },
  // In the paper's code but not in its list.
  PAQ: {
    ...columns("embedding-data/PAQ_pairs/*.jsonl.gz", "set.0", "set.1"),
    ...instructed("Given a question, retrieve Wikipedia passages that answer the question.", "Question", "Passage"),
  },
  QQP: {
    ...columns("embedding-data/QQP_triplets/*.jsonl.gz", "query", "pos", "neg"),
    maxNegatives: 48,
    ...instructed(
      "Given a question, retrieve questions from Quora forum that are semantically equivalent to the given question.",
      "Question",
    ),
  },
};

/** The sets of the paper's list. */
export const paperSets = Object.keys(catalogue).filter((name) => name !== "PAQ" && name !== "QQP");
