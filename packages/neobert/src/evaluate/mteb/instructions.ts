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

/** Texts in which the two agree but for the label that the paper puts at the end, and before a document. */
function agreed(sentence: string, label?: string, corpus?: string): TaskTexts {
  const paper = label === undefined ? `${sentence}.` : `${sentence}. ${label}: `;
  return { paper, mteb: sentence, ...(corpus !== undefined && { corpus: `${corpus}: ` }) };
}

/** What is to be told of texts, and from which of their parts. */
const clusters = (what: string, parts: string): TaskTexts => ({
  paper: `Identify the ${what} based on their ${parts}.`,
  mteb: `Identify the ${what} based on the ${parts}`,
});

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
  Banking77Classification: agreed("Given a online banking query, find the corresponding intents", "Query"),
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
  ArxivClusteringP2P: clusters("main and secondary category of Arxiv papers", "titles and abstracts"),
  ArxivClusteringS2S: clusters("main and secondary category of Arxiv papers", "titles"),
  BiorxivClusteringP2P: clusters("main category of Biorxiv papers", "titles and abstracts"),
  BiorxivClusteringS2S: clusters("main category of Biorxiv papers", "titles"),
  MedrxivClusteringP2P: clusters("main category of Medrxiv papers", "titles and abstracts"),
  MedrxivClusteringS2S: {
    paper: "Identify the main category of Medrxiv papers based on their titles .",
    mteb: "Identify the main category of Medrxiv papers based on the titles",
  },
  RedditClustering: clusters("topic or theme of Reddit posts", "titles"),
  RedditClusteringP2P: clusters("topic or theme of Reddit posts", "titles and posts"),
  StackExchangeClustering: clusters("topic or theme of StackExchange posts", "titles"),
  StackExchangeClusteringP2P: clusters("topic or theme of StackExchange posts", "given paragraphs"),
  TwentyNewsgroupsClustering: agreed("Identify the topic or theme of the given news articles"),
  // PairClassification
  SprintDuplicateQuestions: agreed("Retrieve duplicate questions from Sprint forum", "Question"),
  TwitterSemEval2015: {
    paper: "Given a tweet, retrieve tweets that are semantically similar. Tweet: ",
    mteb: "Retrieve tweets that are semantically similar to the given tweet",
  },
  TwitterURLCorpus: {
    paper: "Given a tweet, retrieve tweets that are semantically similar. Tweet: ",
    mteb: "Retrieve tweets that are semantically similar to the given tweet",
  },
  // Reranking
  AskUbuntuDupQuestions: agreed("Retrieve duplicate questions from AskUbuntu forum", "Question"),
  MindSmallReranking: {
    paper: "Given a user browsing history, retrieve relevant news articles. Browsing history: ",
    corpus: "News article: ",
    mteb: "Retrieve relevant news articles based on user browsing history",
  },
  SciDocsRR: agreed("Given a title of a scientific paper, retrieve the titles of other relevant papers", "Title"),
  StackOverflowDupQuestions: agreed("Retrieve duplicate questions from StackOverflow forum", "Question"),
  // Retrieval
  ArguAna: agreed("Given a claim, find documents that refute the claim", "Claim", "Document"),
  ClimateFEVER: agreed(
    "Given a claim about climate change, retrieve documents that support or refute the claim",
    "Claim",
    "Document",
  ),
  CQADupstackRetrieval: {
    paper:
      "Given a question, retrieve detailed question descriptions from Stackexchange that are duplicates to the given question. Question: ",
    corpus: "Description: ",
  },
  DBPedia: agreed("Given a query, retrieve relevant entity descriptions from DBPedia", "Query", "Entity description"),
  FEVER: agreed("Given a claim, retrieve documents that support or refute the claim", "Claim", "Document"),
  FiQA2018: agreed(
    "Given a financial question, retrieve user replies that best answer the question",
    "Question",
    "Reply",
  ),
  HotpotQA: agreed(
    "Given a multi-hop question, retrieve documents that can help answer the question",
    "Question",
    "Document",
  ),
  MSMARCO: agreed("Given a web search query, retrieve relevant passages that answer the query", "Query", "Passage"),
  NFCorpus: agreed(
    "Given a question, retrieve relevant documents that best answer the question",
    "Question",
    "Document",
  ),
  NQ: agreed("Given a question, retrieve Wikipedia passages that answer the question", "Question", "Passage"),
  QuoraRetrieval: agreed(
    "Given a question, retrieve questions that are semantically equivalent to the given question",
    "Question",
  ),
  SCIDOCS: agreed(
    "Given a scientific paper title, retrieve paper abstracts that are cited by the given paper",
    "Title",
    "Abstract",
  ),
  SciFact: {
    paper: "Given a scientific claim, retrieve documents that support or refute the claim . Claim: ",
    corpus: "Document: ",
    mteb: "Given a scientific claim, retrieve documents that support or refute the claim",
  },
  Touche2020: agreed(
    "Given a question, retrieve detailed and persuasive arguments that answer the question",
    "Question",
    "Argument",
  ),
  TRECCOVID: agreed("Given a query on COVID-19, retrieve documents that answer the query", "Query", "Document"),
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
