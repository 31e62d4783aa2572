// Reranking: a search by vectors finds candidates fast; a cross-encoder then reads each together with the question.
//   node examples/reranking.mjs [CROSS-ENCODER] [MODEL]   (models' folders or their names on the Hub)
import { CrossEncoder, Encoder } from "neobert";

const [crossModel = "cross-encoder/ms-marco-MiniLM-L6-v2", model = "sentence-transformers/all-MiniLM-L6-v2"] =
  process.argv.slice(2);
const query = "How many moons does Mars have?";
const texts = [
  "Mars is the fourth planet from the Sun, and a day there is 37 minutes longer than ours.",
  "Phobos and Deimos, two small and irregular bodies, orbit Mars; they may be captured asteroids.",
  "Jupiter has 95 known moons, of which Galileo saw the four largest in 1610.",
  "How many people will live on Mars one day is anybody's guess.",
  "The Moon is the only natural satellite of the Earth.",
  "Mars Inc. makes chocolate bars, pet food and chewing gum.",
  "Venus and Mercury have no natural satellites at all, Mars has a pair of them.",
];

const encoder = await Encoder.load(model);
const documents = await encoder.encode(texts, { role: "document" });
const scores = encoder.similarity(await encoder.encode(query, { role: "query" }), documents).row(0);
const found = [...scores.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, 5);
console.log(`${query}\nfound by their vectors:`);
for (const i of found) console.log(`  ${scores[i].toFixed(3)}  ${texts[i]}`);
await encoder.dispose();

const crossEncoder = await CrossEncoder.load(crossModel);
const candidates = found.map((i) => texts[i]);
console.log("reranked:");
for (const { score, text } of await crossEncoder.rerank(query, candidates)) {
  console.log(`  ${score.toFixed(3)}  ${text}`);
}
await crossEncoder.dispose();
