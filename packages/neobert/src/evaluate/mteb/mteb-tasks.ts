// The 56 tasks of MTEB (English, v1) as data: where their texts lie on the Hub, how they are scored, and what is put before
// the texts. Facts of mteb 1.34.14, benchmark "MTEB(eng, v1)"; CQADupstack is the mean of its 12 parts.

import { mtebDefaults, paperDefaults, taskTexts } from "./instructions.js";
import { type TaskType, taskTypes } from "./task-types.js";

export { type TaskType, taskTypes };

/** A column of a task's data: a key; where several may hold it, the keys in the order they are tried; or one that may be absent. */
export type Column = string | readonly string[] | { optional: string };

export interface MtebTask {
  name: string;
  type: TaskType;
  /** Where mteb's copy lies; absent for a data set of the user's own. */
  hub?: { name: string; revision: string };
  /** The split that is scored (the part `test` or `qrels`), and mteb's name of its subset. */
  split: string;
  subset: string;
  /** For each part of the data, our name of a column -> its key on the Hub. */
  columns: Record<string, Record<string, Column>>;
  mainScore: string;
  /** Rows drawn of each label in each of the ten experiments of a classification. */
  samplesPerLabel: number;
  /** Whether a document with the query's own id is taken out of the ranking. */
  ignoreIdenticalIds: boolean;
  /** Least and greatest gold score. */
  scoreRange: readonly [number, number];
  /** The scored split is first cut to this many rows, each label keeping its share. */
  testRows?: number;
  /** Set where the score is the mean over these tasks. */
  subtasks?: readonly MtebTask[];
}

const labelled = { text: "text", label: "label" };

const columnsOf: Record<TaskType, MtebTask["columns"]> = {
  Classification: { train: labelled, test: labelled },
  Clustering: { test: { sentences: "sentences", labels: "labels" } },
  PairClassification: {
    test: { sentence1: ["sentence1", "sent1"], sentence2: ["sentence2", "sent2"], labels: "labels" },
  },
  Reranking: { test: { query: "query", positive: "positive", negative: "negative" } },
  Retrieval: {
    corpus: { id: ["_id", "id"], title: { optional: "title" }, text: "text" },
    queries: { id: ["_id", "id"], text: "text" },
    qrels: { query: "query-id", document: "corpus-id", score: "score" },
  },
  STS: { test: { sentence1: "sentence1", sentence2: "sentence2", score: "score" } },
  Summarization: { test: { human: "human_summaries", machine: "machine_summaries", relevance: "relevance" } },
};

const mainScores: Record<TaskType, string> = {
  Classification: "accuracy",
  Clustering: "v_measure",
  PairClassification: "max_ap",
  Reranking: "map",
  Retrieval: "ndcg_at_10",
  STS: "cosine_spearman",
  Summarization: "cosine_spearman",
};

type Special = Partial<Omit<MtebTask, "name" | "type" | "hub">>;
type TaskRow = readonly [name: string, hub: string, revision: string, special?: Special];

/** The parts of the data that tasks of a type have: files of their own in a mapping file, splits or configurations on the Hub. */
export const partsOf = (type: TaskType) => Object.keys(columnsOf[type]);

/** A task by its type with what the type leaves open; the user's own data sets are made by this too. */
export function taskOf(name: string, type: TaskType, special: Partial<MtebTask> = {}): MtebTask {
  return {
    name,
    type,
    split: "test",
    subset: "default",
    columns: columnsOf[type],
    mainScore: mainScores[type],
    samplesPerLabel: 8,
    ignoreIdenticalIds: false,
    scoreRange: [0, 5],
    ...special,
  };
}

// biome-ignore format: a table
const cqadupstack: TaskRow[] = [
  ["CQADupstackAndroidRetrieval", "cqadupstack-android", "f46a197baaae43b4f621051089b82a364682dfeb"],
  ["CQADupstackEnglishRetrieval", "cqadupstack-english", "ad9991cb51e31e31e430383c75ffb2885547b5f0"],
  ["CQADupstackGamingRetrieval", "cqadupstack-gaming", "4885aa143210c98657558c04aaf3dc47cfb54340"],
  ["CQADupstackGisRetrieval", "cqadupstack-gis", "5003b3064772da1887988e05400cf3806fe491f2"],
  ["CQADupstackMathematicaRetrieval", "cqadupstack-mathematica", "90fceea13679c63fe563ded68f3b6f06e50061de"],
  ["CQADupstackPhysicsRetrieval", "cqadupstack-physics", "79531abbd1fb92d06c6d6315a0cbbbf5bb247ea4"],
  ["CQADupstackProgrammersRetrieval", "cqadupstack-programmers", "6184bc1440d2dbc7612be22b50686b8826d22b32"],
  ["CQADupstackStatsRetrieval", "cqadupstack-stats", "65ac3a16b8e91f9cee4c9828cc7c335575432a2a"],
  ["CQADupstackTexRetrieval", "cqadupstack-tex", "46989137a86843e03a6195de44b09deda022eec7"],
  ["CQADupstackUnixRetrieval", "cqadupstack-unix", "6c6430d3a6d36f8d2a829195bc5dc94d7e063e53"],
  ["CQADupstackWebmastersRetrieval", "cqadupstack-webmasters", "160c094312a0e1facb97e55eeddb698c0abe3571"],
  ["CQADupstackWordpressRetrieval", "cqadupstack-wordpress", "4ffe81d471b1924886b33c7567bfb200e9eec5c4"],
];

// biome-ignore format: a table
const table: Record<TaskType, TaskRow[]> = {
  Classification: [
    ["AmazonCounterfactualClassification", "amazon_counterfactual", "e8379541af4e31359cca9fbcf4b00f2671dba205", { samplesPerLabel: 32, subset: "en" }],
    ["AmazonPolarityClassification", "amazon_polarity", "e2d317d38cd51312af73b3d32a06d1a08b442046"],
    ["AmazonReviewsClassification", "amazon_reviews_multi", "1399c76144fd37290681b995c656ef9b2e06e26d", { subset: "en" }],
    ["Banking77Classification", "banking77", "0fd18e25b25c072e09e0d92ab615fda904d66300"],
    ["EmotionClassification", "emotion", "4f58c6b202a23cf9a4da393831edf4f9183cad37", { samplesPerLabel: 16 }],
    ["ImdbClassification", "imdb", "3d86128a09e091d6018b6d26cad27f2739fc2db7"],
    ["MassiveIntentClassification", "amazon_massive_intent", "4672e20407010da34463acc759c162ca9734bca6", { subset: "en" }],
    ["MassiveScenarioClassification", "amazon_massive_scenario", "fad2c6e8459f9e1c45d9315f4953d921437d70f8", { subset: "en" }],
    ["MTOPDomainClassification", "mtop_domain", "d80d48c1eb48d3562165c59d59d0034df9fff0bf", { subset: "en" }],
    ["MTOPIntentClassification", "mtop_intent", "ae001d0e6b1228650b7bd1c2c65fb50ad11a8aba", { subset: "en" }],
    ["ToxicConversationsClassification", "toxic_conversations_50k", "edfaf9da55d3dd50d43143d90c1ac476895ae6de", { samplesPerLabel: 16, testRows: 2048 }],
    ["TweetSentimentExtractionClassification", "tweet_sentiment_extraction", "d604517c81ca91fe16a244d1248fc021f9ecee7a", { samplesPerLabel: 32 }],
  ],
  Clustering: [
    ["ArxivClusteringP2P", "arxiv-clustering-p2p", "a122ad7f3f0291bf49cc6f4d32aa80929df69d5d"],
    ["ArxivClusteringS2S", "arxiv-clustering-s2s", "f910caf1a6075f7329cdf8c1a6135696f37dbd53"],
    ["BiorxivClusteringP2P", "biorxiv-clustering-p2p", "65b79d1d13f80053f67aca9498d9402c2d9f1f40"],
    ["BiorxivClusteringS2S", "biorxiv-clustering-s2s", "258694dd0231531bc1fd9de6ceb52a0853c6d908"],
    ["MedrxivClusteringP2P", "medrxiv-clustering-p2p", "e7a26af6f3ae46b30dde8737f02c07b1505bcc73"],
    ["MedrxivClusteringS2S", "medrxiv-clustering-s2s", "35191c8c0dca72d8ff3efcd72aa802307d469663"],
    ["RedditClustering", "reddit-clustering", "24640382cdbf8abc73003fb0fa6d111a705499eb"],
    ["RedditClusteringP2P", "reddit-clustering-p2p", "385e3cb46b4cfa89021f56c4380204149d0efe33"],
    ["StackExchangeClustering", "stackexchange-clustering", "6cbc1f7b2bc0622f2e39d2c77fa502909748c259"],
    ["StackExchangeClusteringP2P", "stackexchange-clustering-p2p", "815ca46b2622cec33ccafc3735d572c266efdb44"],
    ["TwentyNewsgroupsClustering", "twentynewsgroups-clustering", "6125ec4e24fa026cec8a478383ee943acfbd5449"],
  ],
  PairClassification: [
    ["SprintDuplicateQuestions", "sprintduplicatequestions-pairclassification", "d66bd1f72af766a5cc4b0ca5e00c162f89e8cc46"],
    ["TwitterSemEval2015", "twittersemeval2015-pairclassification", "70970daeab8776df92f5ea462b6173c0b46fd2d1"],
    ["TwitterURLCorpus", "twitterurlcorpus-pairclassification", "8b6510b0b1fa4e4c4f879467980e9be563ec1cdf"],
  ],
  Reranking: [
    ["AskUbuntuDupQuestions", "askubuntudupquestions-reranking", "2000358ca161889fa9c082cb41daa8dcfb161a54"],
    ["MindSmallReranking", "mind_small", "59042f120c80e8afa9cdbb224f67076cec0fc9a7"],
    ["SciDocsRR", "scidocs-reranking", "d3c5e1fc0b855ab6097bf1cda04dd73947d7caab"],
    ["StackOverflowDupQuestions", "stackoverflowdupquestions-reranking", "e185fbe320c72810689fc5848eb6114e1ef5ec69"],
  ],
  Retrieval: [
    ["ArguAna", "arguana", "c22ab2a51041ffd869aaddef7af8d8215647e41a", { ignoreIdenticalIds: true }],
    ["ClimateFEVER", "climate-fever", "47f2ac6acb640fc46020b02a5b59fdda04d39380"],
    ["DBPedia", "dbpedia", "c0f706b76e590d620bd6618b3ca8efdd34e2d659"],
    ["FEVER", "fever", "bea83ef9e8fb933d90a2f1d5515737465d613e12", { ignoreIdenticalIds: true }],
    ["FiQA2018", "fiqa", "27a168819829fe9bcd655c2df245fb19452e8e06", { ignoreIdenticalIds: true }],
    ["HotpotQA", "hotpotqa", "ab518f4d6fcca38d87c25209f94beba119d02014"],
    ["MSMARCO", "msmarco", "c5a29a104738b98a9e76336939199e264163d4a0", { split: "dev", ignoreIdenticalIds: true }],
    ["NFCorpus", "nfcorpus", "ec0fa4fe99da2ff19ca1214b7966684033a58814"],
    ["NQ", "nq", "b774495ed302d8c44a3a7ea25c90dbce03968f31"],
    ["QuoraRetrieval", "quora", "e4e08e0b7dbe3c8700f0daef558ff32256715259", { ignoreIdenticalIds: true }],
    ["SCIDOCS", "scidocs", "f8c2fcf00f625baaa80f62ec5bd9e1fff3b8ae88"],
    ["SciFact", "scifact", "0228b52cf27578f30900b9e5271d331663a030d7"],
    ["Touche2020", "touche2020", "a34f9a33db75fa0cbb21bb5cfc3dae8dc8bec93f"],
    ["TRECCOVID", "trec-covid", "bb9466bac8153a0349341eb1b22e06409e78ef4e"],
  ],
  STS: [
    ["BIOSSES", "biosses-sts", "d3fb88f8f02e40887cd149695127462bbcf29b4a"],
    ["SICK-R", "sickr-sts", "20a6d6f312dd54037fe07a32d58e5e168867909d"],
    ["STS12", "sts12-sts", "a0d554a64d88156834ff5ae9920b964011b16384"],
    ["STS13", "sts13-sts", "7e90230a92c190f1bf69ae9002b8cea547a64cca"],
    ["STS14", "sts14-sts", "6031580fec1f6af667f0bd2da0a551cf4f0b2375"],
    ["STS15", "sts15-sts", "ae752c7c21bf194d8b67fd573edf7ae58183cbe3"],
    ["STS16", "sts16-sts", "4d8694f8f0e0100860b497b999b3dbed754a0513"],
    ["STS17", "sts17-crosslingual-sts", "faeb762787bd10488a50c8b5be4a3b82e411949c", { subset: "en-en" }],
    ["STS22", "sts22-crosslingual-sts", "de9d86b3b84231dc21f76c7b7af1f28e2f57f6e3", { subset: "en", scoreRange: [1, 4] }],
    ["STSBenchmark", "stsbenchmark-sts", "b0fddb56ed78048fa8b90373c8a3cfc37b684831"],
  ],
  Summarization: [
    ["SummEval", "summeval", "cda12ad7615edc362dbf25a00fdd61d3b1eaf93c"],
  ],
};

const rowToTask = (type: TaskType) => (row: TaskRow) => {
  const [name, hub, revision, special] = row;
  return taskOf(name, type, { hub: { name: `mteb/${hub}`, revision }, ...special });
};

const byName = (a: MtebTask, b: MtebTask) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1);

/** The 56 tasks, type by type. */
export const mtebTasks: readonly MtebTask[] = taskTypes.flatMap((type) => {
  const tasks = table[type].map(rowToTask(type));
  if (type !== "Retrieval") return tasks;
  const subtasks = cqadupstack.map(rowToTask(type));
  return [...tasks, taskOf("CQADupstackRetrieval", type, { subtasks, hub: { name: "", revision: "1" } })].sort(byName);
});

/** The tasks of these names and types, in the table's order. Throws for a name that is none, with those that are. */
export function selectTasks(
  choice: { tasks?: readonly string[] | undefined; types?: readonly TaskType[] | undefined },
  own: readonly MtebTask[] = [],
): MtebTask[] {
  const all = [...mtebTasks, ...own];
  const known = [...all, ...all.flatMap(({ subtasks = [] }) => subtasks)];
  const unknown = choice.tasks?.find((name) => !known.some((task) => task.name === name));
  if (unknown !== undefined) {
    const names = known.map(({ name }) => name);
    const near = names.filter((name) => name.toLowerCase().includes(unknown.toLowerCase()));
    throw new Error(
      `tasks: expected names of MTEB's English tasks (v1) or of the mapping file's, got ${unknown}\n` +
        (near.length > 0 ? `Did you mean ${near.join(", ")}?` : `Known are ${names.join(", ")}.`),
    );
  }
  const ofType = (task: MtebTask) => choice.types === undefined || choice.types.includes(task.type);
  return (choice.tasks ? known.filter(({ name }) => choice.tasks!.includes(name)) : all).filter(ofType);
}

export type InstructionSource = "paper" | "mteb" | "none";

/** What stands before a task's texts: the query's and the document's instruction; empty for none. */
export function instructionsOf(task: MtebTask, source: InstructionSource): { query: string; document: string } {
  const name = task.name.startsWith("CQADupstack") ? "CQADupstackRetrieval" : task.name;
  const { paper = paperDefaults[task.type], corpus, mteb } = taskTexts[name] ?? {};
  if (source === "paper" && paper !== undefined) {
    const document = corpus === undefined ? paper : paper.replace(/[^.]*$/, ` ${corpus}`);
    return { query: paper, document };
  }
  if (source === "mteb") {
    const text = mteb ?? mtebDefaults[task.type];
    return { query: text, document: task.type === "Retrieval" && mteb !== undefined ? "" : text };
  }
  return { query: "", document: "" };
}
