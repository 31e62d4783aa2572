// What is put before the texts of each MTEB task: the paper's instructions (NeoBERT, tables 8 and 9, and the files of its
// published code, whose corpus side differs in the last label only) and the prompts of mteb 1.34.14's own tasks.

import type { TaskType } from "./task-types.js";

export interface TaskTexts {
  /** The paper's instruction for queries, and for documents where `corpus` does not give another last label. */
  paper?: string;
  corpus?: string;
  /** mteb's prompt: for queries in retrieval, for all texts elsewhere. */
  mteb?: string;
}

export const taskTexts: Record<string, TaskTexts> = {
  // Classification
  AmazonCounterfactualClassification: {
    paper: "Given an Amazon customer review, classify it as either counterfactual or not-counterfactual. Review: ",
    mteb: "Classify a given Amazon customer review text as either counterfactual or not-counterfactual",
  },
  AmazonPolarityClassification: {
    paper: "Given an Amazon review, classify its main sentiment into positive or negative. Review: ",
    mteb: "Classify Amazon reviews into positive or negative sentiment",
  },
  AmazonReviewsClassification: {
    paper: "Given an Amazon review, classify it into its appropriate rating category. Review: ",
    mteb: "Classify the given Amazon review into its appropriate rating category",
  },
  Banking77Classification: {
    paper: "Given a online banking query, find the corresponding intents. Query: ",
    mteb: "Given a online banking query, find the corresponding intents",
  },
  EmotionClassification: {
    paper:
      "Given a Twitter message, classify the emotion expressed into one of the six emotions: anger, fear, joy, love, sadness, and surprise. Message: ",
    mteb: "Classify the emotion expressed in the given Twitter message into one of the six emotions: anger, fear, joy, love, sadness, and surprise",
  },
  ImdbClassification: {
    paper: "Given an IMDB movie review, classify its sentiment into positive or negative. Review: ",
    mteb: "Classify the sentiment expressed in the given movie review text from the IMDB dataset",
  },
  MassiveIntentClassification: {
    paper: "Given a user utterance, find the user intents. Utterance: ",
    mteb: "Given a user utterance as query, find the user intents",
  },
  MassiveScenarioClassification: {
    paper: "Given a user utterance, find the user scenarios. Utterance: ",
    mteb: "Given a user utterance as query, find the user scenarios",
  },
  MTOPDomainClassification: {
    paper: "Given a user utterance, classify the domain in task-oriented conversation. Utterance: ",
    mteb: "Classify the intent domain of the given utterance in task-oriented conversation",
  },
  MTOPIntentClassification: {
    paper: "Given a user utterance, classify the intent in task-oriented conversation. Utterance: ",
    mteb: "Classify the intent of the given utterance in task-oriented conversation",
  },
  ToxicConversationsClassification: {
    paper: "Given comments, classify them as either toxic or not toxic. Comments: ",
    mteb: "Classify the given comments as either toxic or not toxic",
  },
  TweetSentimentExtractionClassification: {
    paper: "Given a tweet, classify its sentiment as either positive, negative, or neutral. Tweet: ",
    mteb: "Classify the sentiment of a given tweet as either positive, negative, or neutral",
  },
  // Clustering
  ArxivClusteringP2P: {
    paper: "Identify the main and secondary category of Arxiv papers based on their titles and abstracts.",
    mteb: "Identify the main and secondary category of Arxiv papers based on the titles and abstracts",
  },
  ArxivClusteringS2S: {
    paper: "Identify the main and secondary category of Arxiv papers based on their titles.",
    mteb: "Identify the main and secondary category of Arxiv papers based on the titles",
  },
  BiorxivClusteringP2P: {
    paper: "Identify the main category of Biorxiv papers based on their titles and abstracts.",
    mteb: "Identify the main category of Biorxiv papers based on the titles and abstracts",
  },
  BiorxivClusteringS2S: {
    paper: "Identify the main category of Biorxiv papers based on their titles.",
    mteb: "Identify the main category of Biorxiv papers based on the titles",
  },
  MedrxivClusteringP2P: {
    paper: "Identify the main category of Medrxiv papers based on their titles and abstracts.",
    mteb: "Identify the main category of Medrxiv papers based on the titles and abstracts",
  },
  MedrxivClusteringS2S: {
    paper: "Identify the main category of Medrxiv papers based on their titles .",
    mteb: "Identify the main category of Medrxiv papers based on the titles",
  },
  RedditClustering: {
    paper: "Identify the topic or theme of Reddit posts based on their titles.",
    mteb: "Identify the topic or theme of Reddit posts based on the titles",
  },
  RedditClusteringP2P: {
    paper: "Identify the topic or theme of Reddit posts based on their titles and posts.",
    mteb: "Identify the topic or theme of Reddit posts based on the titles and posts",
  },
  StackExchangeClustering: {
    paper: "Identify the topic or theme of StackExchange posts based on their titles.",
    mteb: "Identify the topic or theme of StackExchange posts based on the titles",
  },
  StackExchangeClusteringP2P: {
    paper: "Identify the topic or theme of StackExchange posts based on their given paragraphs.",
    mteb: "Identify the topic or theme of StackExchange posts based on the given paragraphs",
  },
  TwentyNewsgroupsClustering: {
    paper: "Identify the topic or theme of the given news articles.",
    mteb: "Identify the topic or theme of the given news articles",
  },
  // PairClassification
  SprintDuplicateQuestions: {
    paper: "Retrieve duplicate questions from Sprint forum. Question: ",
    mteb: "Retrieve duplicate questions from Sprint forum",
  },
  TwitterSemEval2015: {
    paper: "Given a tweet, retrieve tweets that are semantically similar. Tweet: ",
    mteb: "Retrieve tweets that are semantically similar to the given tweet",
  },
  TwitterURLCorpus: {
    paper: "Given a tweet, retrieve tweets that are semantically similar. Tweet: ",
    mteb: "Retrieve tweets that are semantically similar to the given tweet",
  },
  // Reranking
  AskUbuntuDupQuestions: {
    paper: "Retrieve duplicate questions from AskUbuntu forum. Question: ",
    mteb: "Retrieve duplicate questions from AskUbuntu forum",
  },
  MindSmallReranking: {
    paper: "Given a user browsing history, retrieve relevant news articles. Browsing history: ",
    corpus: "News article: ",
    mteb: "Retrieve relevant news articles based on user browsing history",
  },
  SciDocsRR: {
    paper: "Given a title of a scientific paper, retrieve the titles of other relevant papers. Title: ",
    mteb: "Given a title of a scientific paper, retrieve the titles of other relevant papers",
  },
  StackOverflowDupQuestions: {
    paper: "Retrieve duplicate questions from StackOverflow forum. Question: ",
    mteb: "Retrieve duplicate questions from StackOverflow forum",
  },
  // Retrieval
  ArguAna: {
    paper: "Given a claim, find documents that refute the claim. Claim: ",
    corpus: "Document: ",
    mteb: "Given a claim, find documents that refute the claim",
  },
  ClimateFEVER: {
    paper: "Given a claim about climate change, retrieve documents that support or refute the claim. Claim: ",
    corpus: "Document: ",
    mteb: "Given a claim about climate change, retrieve documents that support or refute the claim",
  },
  CQADupstackRetrieval: {
    paper:
      "Given a question, retrieve detailed question descriptions from Stackexchange that are duplicates to the given question. Question: ",
    corpus: "Description: ",
  },
  DBPedia: {
    paper: "Given a query, retrieve relevant entity descriptions from DBPedia. Query: ",
    corpus: "Entity description: ",
    mteb: "Given a query, retrieve relevant entity descriptions from DBPedia",
  },
  FEVER: {
    paper: "Given a claim, retrieve documents that support or refute the claim. Claim: ",
    corpus: "Document: ",
    mteb: "Given a claim, retrieve documents that support or refute the claim",
  },
  FiQA2018: {
    paper: "Given a financial question, retrieve user replies that best answer the question. Question: ",
    corpus: "Reply: ",
    mteb: "Given a financial question, retrieve user replies that best answer the question",
  },
  HotpotQA: {
    paper: "Given a multi-hop question, retrieve documents that can help answer the question. Question: ",
    corpus: "Document: ",
    mteb: "Given a multi-hop question, retrieve documents that can help answer the question",
  },
  MSMARCO: {
    paper: "Given a web search query, retrieve relevant passages that answer the query. Query: ",
    corpus: "Passage: ",
    mteb: "Given a web search query, retrieve relevant passages that answer the query",
  },
  NFCorpus: {
    paper: "Given a question, retrieve relevant documents that best answer the question. Question: ",
    corpus: "Document: ",
    mteb: "Given a question, retrieve relevant documents that best answer the question",
  },
  NQ: {
    paper: "Given a question, retrieve Wikipedia passages that answer the question. Question: ",
    corpus: "Passage: ",
    mteb: "Given a question, retrieve Wikipedia passages that answer the question",
  },
  QuoraRetrieval: {
    paper: "Given a question, retrieve questions that are semantically equivalent to the given question. Question: ",
    mteb: "Given a question, retrieve questions that are semantically equivalent to the given question",
  },
  SCIDOCS: {
    paper: "Given a scientific paper title, retrieve paper abstracts that are cited by the given paper. Title: ",
    corpus: "Abstract: ",
    mteb: "Given a scientific paper title, retrieve paper abstracts that are cited by the given paper",
  },
  SciFact: {
    paper: "Given a scientific claim, retrieve documents that support or refute the claim . Claim: ",
    corpus: "Document: ",
    mteb: "Given a scientific claim, retrieve documents that support or refute the claim",
  },
  Touche2020: {
    paper: "Given a question, retrieve detailed and persuasive arguments that answer the question. Question: ",
    corpus: "Argument: ",
    mteb: "Given a question, retrieve detailed and persuasive arguments that answer the question",
  },
  TRECCOVID: {
    paper: "Given a query on COVID-19, retrieve documents that answer the query. Query: ",
    corpus: "Document: ",
    mteb: "Given a query on COVID-19, retrieve documents that answer the query",
  },
  // STS
  BIOSSES: { paper: "Retrieve semantically similar text from the biomedical field." },
  // Summarization
  SummEval: { paper: "Given a news summary, retrieve other semantically similar summaries. Summary: " },
};

/** What the paper's code takes for a task that its files do not name. */
export const paperDefaults: { [T in TaskType]?: string } = { STS: "Retrieve semantically similar text." };

/** What mteb takes for a task without a prompt. */
export const mtebDefaults: Record<TaskType, string> = {
  Classification: "Classify user passages.",
  Clustering: "Identify categories in user passages.",
  PairClassification: "Retrieve text that are semantically similar to the given text.",
  Reranking: "Retrieve text based on user query.",
  Retrieval: "Retrieve text based on user query.",
  STS: "Retrieve semantically similar text.",
  Summarization: "Given a news summary, retrieve other semantically similar summaries.",
};
