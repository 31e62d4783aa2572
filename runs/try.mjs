import { makeTokenizers, makeShards } from "./stages.mjs";
const D="../shared/data/";
const sets={books:{sources:[D+"classic-books/books.jsonl.gz"],validation:.05},wikipedia:{sources:[D+"wikipedia-articles/wikipedia_articles.json.gz"],column:"content",validation:.05},web:{sources:[D+"c4-sample/c4_sample.jsonl.gz",D+"cc-en-head/*.jsonl.gz"],validation:.05}};
const {wordpiece}=await makeTokenizers({wordpiece:{kind:"wordpiece",vocabSize:4096,texts:["books","web"]}},sets,"out/try4");
await makeShards(sets,wordpiece,"out/try4/wordpiece");
